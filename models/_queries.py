"""Exact answers of a Bayesian network: which tables a query needs, their elimination planned once, and the numbers put in.

Variables that are no ancestors of a target or of the evidence sum to 1 and are left out. What is observed is read from the tables, so
that only hidden variables are summed over. A plan depends on which variables are asked for and which are observed, never on their
values, and is kept. On the CPU machine code carries it out (_contraction.py), elsewhere, and where a weight may be lost, torch by
logarithms.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from ..elimination import LARGEST, Elimination, Factor
from ..errors import CostError, EliminationError
from ._conditionals import Conditional, Table, table_of_law
from ._contraction import Contraction, Load

__all__ = ["Answer", "Numbers", "Pattern", "Query", "Variables"]

_version = attrgetter("_version")
CHUNK = 2**28  # bytes of the largest table that one batch of rows may take, where logarithms are needed


class Query(NamedTuple):
    """targets   of which marginals are asked, or with `joint` their joint law; observed: of which values are given
    whole     nothing is left out: what the most probable assignment needs
    """

    targets: tuple[str, ...]
    observed: frozenset[str]
    joint: bool = False
    whole: bool = False


Evidence = Mapping[str, np.ndarray]  # observed variable -> (n,): numbers of states, or values


class Answer(NamedTuple):
    log_value: Tensor  # (n,) log probability of the evidence, or (n, *kept) of it with each assignment of the targets; nats
    marginals: Tensor  # (n, sum of K) of the summed variables, as the pattern's `slices` says
    possible: bool = False  # that it is in every row, as is known already


class Variables:
    """A network as queries see it: its graph, the law of each variable, and the number of states of those that have some.

    begin   where a variable's table stands in the vector of all tables, which has `cells` entries
    """

    def __init__(self, graph: nx.DiGraph, laws: Mapping[str, Conditional], sizes: Mapping[str, int]):
        self.graph, self.laws, self.sizes = graph, laws, sizes
        self.families = {n: (*graph.predecessors(n), n) for n in laws}
        self.begin: dict[str, int] = {}
        self.cells = 0
        for name, family in self.families.items():
            if all(n in sizes for n in family):
                self.begin[name] = self.cells
                self.cells += math.prod(sizes[n] for n in family)


class Numbers:
    """The tables of a network, one after the other in one vector (cells,), float64."""

    def __init__(self, variables: Variables):
        with torch.no_grad():
            parts = [_numbers(variables, n).double().reshape(-1) for n in variables.begin]
        self.vector = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
        self._of = [t for law in variables.laws.values() for t in (*law.parameters(), *law.buffers())]
        self._learned = [t for t in self._of if isinstance(t, torch.nn.Parameter)]
        self._state = self._versions()

    @property
    def stale(self) -> bool:
        """Whether one of the tensors has changed since; that one was replaced, the network itself must tell."""
        return self._state != self._versions()

    def _versions(self) -> list[int]:
        return [*map(_version, self._of), *map(Tensor.data_ptr, self._learned)]


def _numbers(variables: Variables, name: str) -> Tensor:
    law = variables.laws[name]
    if isinstance(law, Table):
        return law.table
    device = next((t.device for t in (*law.parameters(), *law.buffers())), torch.empty(0).device)
    return table_of_law(law, [variables.sizes[n] for n in variables.families[name]], device)


class Pattern:
    """The plan of a query. Raises EliminationError (a hidden variable without states) and CostError (with the figure)."""

    def __init__(self, variables: Variables, query: Query):
        self.variables, self.query = variables, query
        graph, sizes, wanted = variables.graph, variables.sizes, {*query.targets, *query.observed}
        needed = set(graph) if query.whole else wanted.union(*(nx.ancestors(graph, n) for n in wanted))
        self.names = [n for n in variables.laws if n in needed]
        self.hidden = [n for n in self.names if n not in query.observed]
        if wide := [n for n in self.hidden if n not in sizes]:
            raise EliminationError(
                f"{', '.join(map(repr, wide))} has no states to sum over; give a value as evidence, or draw it from the program: "
                "NUTS().run(network, x)"
            )
        self.columns = [n for n in self.names if n in query.observed]
        self.kept = tuple(n for n in query.targets if n in self.hidden) if query.joint else ()
        if (size := 8 * math.prod(sizes[n] for n in self.kept)) > LARGEST:
            raise CostError(
                f"the joint law of {', '.join(self.kept)} is a table of {size / 2**30:.1f} GiB, more than {LARGEST / 2**30:.0f} GiB; ask "
                "for fewer variables at a time"
            )
        self.dims = [tuple(d for d in variables.families[n] if d not in query.observed) for n in self.names]
        self.shapes = [tuple(sizes[d] for d in dims) for dims in self.dims]
        self.densities = [n for n in self.names if n not in variables.begin]
        plates = frozenset(self.kept)
        self.summed = [n for n in self.hidden if n not in plates]
        self.plan = Elimination([Factor(d, plates) for d in self.dims], dict.fromkeys(self.summed, plates), dict(sizes), keep=plates)
        self.loads = self._loads()
        self.contraction = Contraction(self.plan, self.loads, self.kept)
        self.slices = self.contraction.slices

    # Where the tables stand

    def _loads(self) -> list[Load]:
        """Of the tables of `names`. Densities come behind all tables, row by row, and have a column of row numbers."""
        behind, out = self.variables.cells, []
        width = sum(math.prod(s) for n, s in zip(self.names, self.shapes, strict=True) if n in self.densities)
        for name, dims, shape in zip(self.names, self.dims, self.shapes, strict=True):
            if name in self.densities:
                cells = math.prod(shape)
                out.append(Load(behind + np.arange(cells), [len(self.columns)], [width]))
                behind += cells
            else:
                out.append(self._load(name, dims))
        return out

    def _load(self, name: str, dims: Sequence[str]) -> Load:
        family, sizes = self.variables.families[name], self.variables.sizes
        strides = np.cumprod([1, *(sizes[d] for d in family[:0:-1])])[::-1]
        place, columns, jumps = np.full((1,) * len(dims), self.variables.begin[name]), [], []
        for d, stride in zip(family, strides.tolist(), strict=True):
            if d in dims:
                place = place + (stride * np.arange(sizes[d])).reshape([-1 if d == o else 1 for o in dims])
            else:
                columns.append(self.columns.index(d))
                jumps.append(stride)
        return Load(place.reshape(-1), columns, jumps)

    # With numbers

    def __call__(self, vector: Tensor, evidence: Evidence, count: int, *, marginals: bool) -> Answer:
        vector, shift = self._with_densities(vector, evidence, count)
        column = self._columns(evidence, count)
        if vector.device.type == "cpu":
            answer = self._by_machine(vector, column, marginals)
        else:
            answer = self._by_logs(vector, torch.from_numpy(column).to(vector.device), marginals)
        if shift is None:
            return answer
        return answer._replace(log_value=answer.log_value + shift.reshape(-1, *[1] * len(self.kept)))

    def _by_machine(self, vector: Tensor, column: np.ndarray, marginals: bool) -> Answer:
        value, found, lost = self.contraction(vector.numpy(), column, marginals=marginals)
        answer = Answer(torch.from_numpy(value), torch.from_numpy(found), possible=lost is None)
        if lost is not None:
            again = torch.from_numpy(lost)
            mended = self._by_logs(vector, torch.from_numpy(column)[again], marginals)
            answer.log_value[again] = mended.log_value
            answer.marginals[again] = mended.marginals
        return answer

    def _by_logs(self, vector: Tensor, column: Tensor, marginals: bool) -> Answer:
        size = max(1, CHUNK // max(1, self.plan.bytes))
        parts = [self._some_by_logs(vector, column[i : i + size], marginals) for i in range(0, len(column), size)]
        return Answer(torch.cat([p.log_value for p in parts]), torch.cat([p.marginals for p in parts]))

    def _some_by_logs(self, vector: Tensor, column: Tensor, marginals: bool) -> Answer:
        """The probability of a state is the derivative of the log value by a number added to its logarithms."""
        tables, count = self._logs(vector, column), len(column)
        if not marginals:
            return Answer(self.plan.run(tables).expand(count, *[-1] * len(self.kept)), vector.new_zeros(count, 0))
        probe = vector.new_zeros(count, sum(self.variables.sizes[n] for n in self.slices)).requires_grad_()
        with torch.enable_grad():
            own = dict(zip(self.names, self.dims, strict=True))
            probes = {n: probe[:, s].reshape(count, *[1] * (len(own[n]) - 1), -1) for n, s in self.slices.items()}
            tables = [t + probes[n] if n in probes else t for n, t in zip(self.names, tables, strict=True)]
            value = self.plan.run(tables).expand(count)
            slopes = torch.autograd.grad(value.sum(), probe)[0] if probes else probe
        return Answer(value.detach(), slopes.detach())

    def _logs(self, vector: Tensor, column: Tensor) -> list[Tensor]:
        """Log tables of `names`, (n or 1, *dims)."""
        return [vector[place].log().reshape(-1, *shape) for place, shape in self._places(column)]

    def _places(self, column: Tensor) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
        """Of each table: where its cells stand in the vector, (n or 1, cells), and its shape."""
        for load, shape in zip(self.loads, self.shapes, strict=True):
            place = torch.from_numpy(load.place).to(column.device)[None]
            if load.columns:
                jumps = torch.tensor(load.strides, device=column.device)
                place = place + (column[:, list(load.columns)] * jumps).sum(-1, keepdim=True)
            yield place, shape

    def _columns(self, evidence: Evidence, count: int) -> np.ndarray:
        """(count, columns + 1) states of the observed variables, and the number of the row."""
        column = np.zeros((count, len(self.columns) + 1), dtype=np.int64)
        for i, n in enumerate(self.columns):
            if n in self.variables.sizes:
                column[:, i] = evidence[n]
        if self.densities:
            column[:, -1] = np.arange(count)
        return column

    def _with_densities(self, vector: Tensor, evidence: Evidence, count: int) -> tuple[Tensor, Tensor | None]:
        """The vector with the densities of variables without states behind it; each row's are divided by their largest, whose
        logarithms (count,) are to be added."""
        if not self.densities:
            return vector, None
        found, shift = [], torch.zeros(count, dtype=torch.float64, device=vector.device)
        own = {n: (dims, shape) for n, dims, shape in zip(self.names, self.dims, self.shapes, strict=True)}
        for name in self.densities:
            dims, shape = own[name]
            values = [self._value(n, dims, evidence, count).to(vector.device) for n in self.variables.families[name]]
            law = self.variables.laws[name]
            with torch.no_grad():
                log = law.law(values[:-1]).log_prob(law.observed(values[-1])).double().expand(count, *shape).reshape(count, -1)
            top = log.amax(-1)
            top = torch.where(top.isinf(), 0.0, top)
            shift = shift + top
            found.append((log - top[:, None]).exp())
        return torch.cat([vector, torch.cat(found, -1).reshape(-1)]), shift

    def _value(self, name: str, dims: Sequence[str], evidence: Evidence, count: int) -> Tensor:
        """Of one member of a family: rows first, then a dimension for each hidden one."""
        if name in dims:
            return torch.arange(self.variables.sizes[name]).reshape([1, *(-1 if d == name else 1 for d in dims)])
        return torch.from_numpy(evidence[name]).reshape(count, *[1] * len(dims))

    def log_values(self, vectors: Tensor, evidence: Evidence, count: int) -> Tensor:
        """The log probability of the evidence with each of several vectors of tables (lead, cells): (lead, count)."""
        lead = len(vectors)
        whole, shift = self._with_densities(vectors[0], evidence, count)
        behind = whole[self.variables.cells :].expand(lead, -1)
        column = torch.from_numpy(self._columns(evidence, count)).to(whole.device)
        tables = []
        for place, shape in self._places(column):
            each = torch.cat([vectors, behind], -1)[:, place].log()  # (lead, count or 1, cells)
            tables.append(each.expand(lead, count, -1).reshape(lead * count, *shape))
        value = self.plan.run(tables).expand(lead * count).reshape(lead, count)
        return value if shift is None else value + shift

    def best(self, vector: Tensor, evidence: Evidence, count: int) -> tuple[dict[str, Tensor], Tensor]:
        """Hidden variable -> its number in the most probable assignment, (count,), and the log probability of it with the evidence."""
        vector, shift = self._with_densities(vector, evidence, count)
        slots = self.plan.maxima(self._logs(vector, torch.from_numpy(self._columns(evidence, count)).to(vector.device)))
        total = self.plan.total(slots).expand(count)
        found = {n: index.expand(count) for n, (index, _) in self.plan.assign(slots, count).items()}
        return found, total if shift is None else total + shift
