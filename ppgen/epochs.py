"""Which rows of subsampled plates a step sees: each epoch sees every row once, in an order of its own."""

import torch
from torch import Tensor

from .keys import ROWS, Key, nth
from .program import ARGUMENTS, Program

__all__ = ["Epochs"]


class Epochs:
    """The rows of each step of a program that shows but some of them.

    full      the program with all of its rows
    """

    def __init__(self, program: Program, full: Program):
        self.batches = {n: len(rows) for n, rows in program.rows.items()}
        plates = {n: full.data_plate if n == ARGUMENTS else n for n in program.rows}
        self.sizes = {n: full.plates[plate].size for n, plate in plates.items() if plate is not None}
        self.plates = set(plates.values())
        self._order: dict[tuple[int, int], Tensor] = {}

    def rows(self, key: Key, step: int) -> dict[str, Tensor]:
        """By name, (batch,) each: step t sees the t-th piece of an endless row of permutations, so that one on the border of two
        epochs has rows of both."""
        out = {}
        for i, (name, batch) in enumerate(self.batches.items()):
            size = self.sizes[name]
            first, last = step * batch, (step + 1) * batch - 1
            epochs = [self._epoch(key, i, e, size) for e in range(first // size, last // size + 1)]
            begin = first % size
            out[name] = torch.cat(epochs)[begin : begin + batch].to(key.device)
        return out

    def _epoch(self, key: Key, i: int, epoch: int, size: int) -> Tensor:
        if (i, epoch) not in self._order:
            self._order = {k: v for k, v in self._order.items() if k[0] != i or k[1] == epoch - 1}
            self._order[i, epoch] = key.at(epoch).permutation(nth(ROWS, i), size)
        return self._order[i, epoch]
