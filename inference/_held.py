"""The density that Gibbs works on: every discrete site held, with what is needed to draw the discrete sites given the rest."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import LoweringError
from ..lowering import over_rows
from ..program import Program
from ..readings import RecordedReading
from ..targets import POINTS, LogDensity
from ._joint_draws import ALL_PRODUCTS, Order, order_of
from ._laws import Laws, laws_of
from ._layers import Layers, layers_of
from ._tables import Tables, no_tables, tables_of
from ._terms import Terms

if TYPE_CHECKING:
    from ..native.kernel import BoundKernel

__all__ = ["HeldDensity"]

WORTH = 1000.0  # products of a joint draw for each number that a sweep reads, at most: draws that are independent are worth many sweeps
FEW = 8  # layers, at most: each takes a gradient of all


class HeldDensity(LogDensity):
    """The log density of a program with every discrete site held.

    tables   of the terms that few elements enter; order: of joint draws of all elements, None where there can be none, or where they
             cost so much more than a sweep that many sweeps are better
    layers   of elements that are drawn at once, where that is how a sweep goes
    laws     of the continuous coordinates given the discrete ones, where all of them have one
    narrow   position (chains, dim), held numbers -> values of the terms that have tables, (chains, ...), rows of the covering array
             one after the other; wide: the sum of the others, (chains,). Machine code in that lowering, one chain at a time
    """

    tables: Tables
    order: Order | None
    layers: Layers | None = None
    laws: Laws | None = None
    narrow: Any
    wide: Any

    def __init__(self, program: Program, *, dtype: torch.dtype, lowering: str):
        super().__init__(program, dtype=dtype, lowering=lowering, held=program.discrete)
        begin = time.perf_counter()
        sizes = self.holding.sizes
        if not isinstance(self.reading, RecordedReading):
            self.tables, self.narrow, self.wide = no_tables(sizes), None, self._whole
            return
        terms = Terms(self.reading)
        self.tables = tables_of(terms, sizes)
        self.seconds["record"] += time.perf_counter() - begin
        begin = time.perf_counter()
        try:
            self._lower(terms)
        except LoweringError:
            if lowering != "auto" or self.lowering.name == "recorded":
                raise
            self.__init__(program, dtype=dtype, lowering="recorded")  # type: ignore[misc]
            return
        self.seconds["compile"] += time.perf_counter() - begin

    def _lower(self, terms: Terms) -> None:
        assert isinstance(self.reading, RecordedReading)  # noqa: S101  for mypy
        generator = torch.Generator().manual_seed(5)
        position = torch.randn(POINTS, self.dim, generator=generator, dtype=torch.float64).to(self.device, self.dtype)
        held = torch.zeros(POINTS, self.holding.elements, dtype=torch.int64, device=self.device)
        rows = torch.from_numpy(self.tables.rows).to(self.device)
        narrow, wide = terms.function(self.tables.narrow), terms.function(self.tables.wide)

        def values(position: Tensor, *others: Tensor) -> list[Tensor]:
            columns = over_rows(lambda row, *rest: narrow(position, row, *rest), [rows], others)
            return [torch.cat([c.reshape(-1) for c in columns])]

        def total(position: Tensor, held: Tensor, *others: Tensor) -> list[Tensor]:
            return [torch.stack([t.sum() for t in wide(position, held, *others)]).sum()]

        self.narrow = self.reading.lowered(values, [position]) if len(rows) else None
        self.wide = self.reading.lowered(total, [position, held]) if self.tables.wide else None
        self.table_values = len(rows) * sum(terms.scopes[i].shape[0] for i in self.tables.narrow)

    def _whole(self, points: Sequence[Tensor]) -> list[Tensor]:
        """All terms, by the program itself."""
        return [self.reading.value_and_grad(*points)[0]]

    def plan(self, how: str, trajectories: bool = False) -> None:
        """Find the order of joint draws: at any price that fits (joint), where it is worth its price (auto), never (sweep, layers). And
        layers, if asked for, or where a sweep would have to evaluate whole terms for every element. And the laws of continuous
        coordinates, unless trajectories are wanted."""
        begin = time.perf_counter()
        if self.dim and not trajectories and self.lowering.name in ("native", "recorded"):
            self.laws = laws_of(self)
        worth = WORTH * float(self.tables.offset[-1] + self.tables.sizes.sum())
        most = {"joint": ALL_PRODUCTS, "auto": min(ALL_PRODUCTS, worth), "sweep": 0.0, "layers": 0.0}[how]
        self.order = order_of(self.tables, most) if most else None
        wanted = how == "layers" or (how == "auto" and self.order is None and len(self.tables.wide) > 0)
        if wanted and not self.dim and isinstance(self.reading, RecordedReading):
            self.layers = layers_of(self.reading, self.holding, self.reading.recording.others, FEW)
        self.seconds["record"] += time.perf_counter() - begin

    @property
    def kernels(self) -> "tuple[BoundKernel | None, BoundKernel | None]":
        """Of narrow and wide terms, in the lowering native."""
        return self.narrow, self.wide

    @property
    def fixed(self) -> bool:
        """Whether no continuous site moves the tables."""
        return self.dim == 0

    def met(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Of each element the entries that it enters: where they begin, which, and the element's stride in each."""
        t = self.tables
        entry = np.repeat(np.arange(t.entries), np.diff(t.first))
        by = np.argsort(t.scope, kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(t.scope, minlength=len(t.sizes)))])
        return first.astype(np.int64), entry[by].astype(np.int64), t.stride[by]
