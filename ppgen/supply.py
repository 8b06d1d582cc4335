"""What changes from step to step of learning, read from the key: noise, and rows of minibatches."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .batches import Batches
from .bounds import Term
from .epochs import Epochs
from .guides import Noise
from .keys import NOISE, Key, nth
from .program import ARGUMENTS, Program

__all__ = ["Inputs", "Supply", "first_fault"]

BELOW_ONE = 1.0 - 2.0**-24  # float32 rounds uniforms above it to 1


class Inputs(NamedTuple):
    """What changes from step to step.

    noise   by name, (particles, *shape) each
    rows    of each subsampled plate, (batch,)
    data    those that come in batches, by a program's names for them (data:i)
    seed    of the random numbers that are no inputs: gammas, and everything where Pyro itself runs
    beta    the weight of the divergence, where it has one
    """

    noise: dict[str, Tensor]
    rows: dict[str, Tensor]
    data: dict[str, Tensor]
    seed: int
    beta: float = 1.0

    @property
    def shown(self) -> dict[str, Tensor]:
        """Data and rows as the inputs of a program."""
        return {**self.data, **{f"rows:{n}": r for n, r in self.rows.items()}}


class Supply:
    """Of a program, of which `full` is the one with all rows where its arguments are gathered.

    noises   the noise inputs, by name; random: other random numbers are drawn too, which the step's seed is for
    batches  of a program whose data come from a loader; typed: a tensor of the program's in the dtype of the computation
    """

    def __init__(
        self,
        program: Program,
        full: Program,
        noises: Mapping[str, Noise],
        random: bool,
        device: torch.device,
        batches: Batches | None,
        typed: Callable[[Tensor], Tensor],
    ):
        self.epochs, self.batches, self.typed = Epochs(program, full), batches, typed
        self.noises, self.random, self.device = dict(noises), random, device

    def inputs(self, key: Key, count: int, beta: float = 1.0) -> Inputs:
        """Noise of `count` particles, rows and data of the step that is the key's draw."""
        return Inputs(self.noise(key, count), self.rows(key), self.data(key.draw), self.seed(key), beta)

    def data(self, step: int) -> dict[str, Tensor]:
        """Those that come in batches."""
        return {} if self.batches is None else {n: self.typed(t) for n, t in self.batches.at(step).items()}

    def seed(self, key: Key) -> int:
        return int(key.uniform(nth(NOISE, len(self.noises)), (1, 1)) * 2.0**53) if self.random else 0

    def noise(self, key: Key, count: int) -> dict[str, Tensor]:
        """By name, (count, *shape) each; every input has a stream of its own."""
        out = {}
        for i, (name, q) in enumerate(self.noises.items()):
            stream = nth(NOISE, i)
            if q.kind == "permutation":
                order = key.uniform(stream, (1, count * q.shape[0])).reshape(count, -1).argsort(dim=-1, stable=True)
                out[name] = order.to(self.device)
                continue
            flat = (1, count * math.prod(q.shape))
            numbers = key.normal(stream, flat) if q.kind == "normal" else key.uniform(stream, flat).clamp(max=BELOW_ONE)
            out[name] = numbers.reshape(count, *q.shape).to(self.device, q.dtype)
        return out

    def rows(self, key: Key) -> dict[str, Tensor]:
        """(batch,) of every subsampled plate."""
        return {n: r.to(self.device) for n, r in self.epochs.rows(key, key.draw).items()}

    def every(self) -> Iterator[dict[str, Tensor]]:
        """What a program is shown, several times over, so that it has seen every row equally often: of a loader, its first epoch."""
        if self.batches is not None:
            yield from map(self.data, range(len(self.batches)))
            return
        cycles = []
        for name, batch in self.epochs.batches.items():
            size = self.epochs.sizes[name]
            cycles.append([(torch.arange(batch) + j * batch) % size for j in range(math.lcm(size, batch) // batch)])
        for rows in itertools.product(*cycles):
            yield {f"rows:{n}": r.to(self.device) for n, r in zip(self.epochs.batches, rows, strict=True)}


def first_fault(terms: Mapping[str, Term], plate: str | None, inputs: Inputs) -> str:
    """The first site whose density is not finite, and the rows of the data plate at which; empty where there is none."""
    for what, (log_prob, dims) in terms.items():
        if (bad := ~log_prob.isfinite()).any():
            return f"site {what} has log probability {float(log_prob[bad][0])}{_rows_of(bad, list(dims), plate, inputs)}"
    return ""


def _rows_of(bad: Tensor, dims: list[str | None], plate: str | None, inputs: Inputs) -> str:
    if plate is None or plate not in dims or bad.dim() != len(dims):
        return ""
    at = bad.movedim(dims.index(plate), 0).flatten(1) if bad.dim() > 1 else bad[:, None]
    where = at.any(-1).nonzero()[:, 0]
    rows = inputs.rows.get(ARGUMENTS, inputs.rows.get(plate))
    found = sorted((where if rows is None else rows[where]).tolist())
    of = "batch" if inputs.data else "data"
    return f" in row{'s' if len(found) > 1 else ''} {', '.join(map(str, found[:8]))}{', ...' if len(found) > 8 else ''} of the {of}"
