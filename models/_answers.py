"""What can be asked of a Bayesian network: its parts, its graph, and exact queries."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, NameNotFoundError, ProgramError, ZeroProbabilityError
from ..family import Family
from ._cells import Cells, read_cells
from ._conditionals import Conditional
from ._queries import Answer, Numbers, Pattern, Query, Variables

__all__ = ["Answers", "Explanation", "module_name"]

PATTERNS = 256  # queries whose plans a network keeps
Evidence = Any  # variable -> a state's name or number, or a value; or for many rows (N,) of them, or a DataFrame


class Explanation(NamedTuple):
    """The most probable states of all variables, and the log probability of them together, nats. Of N rows: dict of (N,), and (N,)."""

    states: dict[str, Any]
    log_probability: Any


class Given(NamedTuple):
    """Evidence by numbers: variable -> (rows,)."""

    values: dict[str, np.ndarray]
    rows: int
    many: bool


class Answers(Family):
    """graph, order   the network, and its variables from parents to children
    states         variable -> the names of its states; others have none
    """

    def __init__(self, graph: nx.DiGraph, states: Mapping[str, tuple[str, ...]], laws: Mapping[str, Conditional]):
        super().__init__()
        self.graph, self.order, self.states = graph, tuple(laws), dict(states)
        for name, law in laws.items():
            self.add_module(module_name(name), law)
        self._variables = Variables(graph, laws, {n: len(s) for n, s in states.items()})
        self._patterns: dict[Query, Pattern] = {}
        self._numbers: Numbers | None = None

    # Its parts

    def parents(self, name: str) -> tuple[str, ...]:
        """In the order of the axes of its table."""
        return tuple(self.graph.predecessors(self._known(name)))

    def law(self, name: str) -> Conditional:
        law = self.get_submodule(module_name(self._known(name)))
        assert isinstance(law, Conditional)  # noqa: S101  made here
        return law

    def table(self, name: str) -> Tensor:
        """(*states of the parents, states): its probabilities, under a prior the guide's mean. Raises ProgramError."""
        if self._known(name) not in self._variables.begin:
            raise ProgramError(f"{name!r} has no table: it, or a parent of its, has no states")
        begin, sizes = self._variables.begin[name], [len(self.states[n]) for n in (*self.parents(name), name)]
        return self._vector()[begin : begin + torch.Size(sizes).numel()].reshape(sizes).clone()

    def markov_blanket(self, name: str) -> set[str]:
        """Given these variables it is independent of all others: parents, children, and the children's other parents."""
        children = set(self.graph.successors(self._known(name)))
        return children.union(self.graph.predecessors(name), *(self.graph.predecessors(c) for c in children)) - {name}

    def d_separated(self, a: str | set[str], b: str | set[str], given: str | set[str] | None = None) -> bool:
        """Whether the graph alone says that a and b are independent given a set of variables."""
        sets = [{s} if isinstance(s, str) else set(s or ()) for s in (a, b, given)]
        for name in set().union(*sets):
            self._known(name)
        if shared := (sets[0] & sets[1]) | (sets[0] & sets[2]) | (sets[1] & sets[2]):
            raise ProgramError(f"{', '.join(map(repr, sorted(shared)))} stands in two of the sets; a variable can be in one")
        return bool(nx.is_d_separator(self.graph, *sets))

    def _known(self, name: str) -> str:
        if name not in self.graph:
            raise NameNotFoundError(f"the network has no variable {name!r}; it has {', '.join(self.order)}")
        return name

    def _number(self, name: str, state: Any) -> int:
        """Of a state, by its name or its number."""
        known = self.states[self._known(name)]
        if state in known:
            return known.index(state)
        if isinstance(state, int) and 0 <= state < len(known):
            return int(state)
        raise NameNotFoundError(f"{name!r} has no state {state!r}; it has {', '.join(known)}")

    # Queries

    def query(self, targets: str | Sequence[str], evidence: Evidence | None = None) -> dict[str, Any]:
        """Posterior probabilities: target -> {state: probability}.

        evidence   variable -> state, or value. Or many rows of one pattern at once: variable -> (N,) of these, or a DataFrame; then
                   target -> (N, states)

        Raises NameNotFoundError, ZeroProbabilityError, CostError (with the figure), EliminationError (a variable without states that
        would have to be integrated out).
        """
        targets, given = self._targets(targets), self._given(evidence)
        hidden = tuple(t for t in targets if t not in given.values)
        query = Query(hidden, frozenset(given.values), joint=len(hidden) == 1)
        answer = self._posterior(query, given, marginals=not query.joint)
        if query.joint:
            found = {hidden[0]: answer.log_value.softmax(-1)}
        else:
            slices = self._pattern(query).slices
            found = {n: answer.marginals[:, slices[n]] for n in hidden} if given.many else {}
        for name in given.values.keys() & set(targets):
            found[name] = torch.nn.functional.one_hot(torch.from_numpy(given.values[name]), len(self.states[name])).double()
        if given.many:
            return {n: found[n] for n in targets}
        row = answer.marginals[0].tolist()
        named = {n: found[n][0].tolist() if n in found else row[slices[n]] for n in targets}
        return {n: dict(zip(self.states[n], probs, strict=True)) for n, probs in named.items()}

    def joint(self, targets: Sequence[str], evidence: Evidence | None = None) -> Tensor:
        """Posterior probabilities of all assignments of several variables: (*states of the targets); of many rows (N, *states). Raises
        what `query` raises, and CostError where the table would not fit."""
        targets, given = self._targets(targets), self._given(evidence)
        if seen := [t for t in targets if t in given.values]:
            raise ProgramError(f"{', '.join(map(repr, seen))} is both a target and evidence; leave it out of the targets")
        log = self._posterior(Query(tuple(sorted(targets)), frozenset(given.values), joint=True), given).log_value
        probs = log.flatten(1).softmax(-1).reshape(log.shape)
        probs = probs.permute(0, *(1 + sorted(targets).index(t) for t in targets))
        return probs if given.many else probs[0]

    def log_evidence(self, evidence: Evidence) -> Any:
        """log P(evidence), nats; -inf where it is impossible. Of many rows (N,); here cells of a row may be missing."""
        if _are_many(evidence):
            return self._row_log_evidence(self._cells(evidence), {})
        given = self._given(evidence)
        return float(self._answer(Query((), frozenset(given.values)), given).log_value[0])

    def mpe(self, evidence: Evidence | None = None) -> Explanation:
        """The most probable states of all variables given the evidence. Raises what `query` raises."""
        given = self._given(evidence)
        pattern = self._pattern(Query((), frozenset(given.values), whole=True))
        found, log = pattern.best(self._vector(), given.values, given.rows)
        self._refuse_impossible(log, given)
        found = {n: torch.from_numpy(v).to(log.device) for n, v in given.values.items()} | found
        if given.many:
            return Explanation({n: found[n] for n in self.order}, log)
        named = {n: self.states[n][int(found[n])] if n in self.states else float(found[n]) for n in self.order}
        return Explanation(named, float(log[0]))

    def _targets(self, targets: str | Sequence[str]) -> tuple[str, ...]:
        targets = (targets,) if isinstance(targets, str) else tuple(targets)
        for name in targets:
            if self._known(name) not in self.states:
                raise ProgramError(f"{name!r} has no states; draw it from the program: NUTS().run(network, x)")
        if len(set(targets)) < len(targets):
            raise ProgramError(f"target {next(n for n in targets if targets.count(n) > 1)!r} is there twice")
        return targets

    def _given(self, evidence: Evidence | None) -> "Given":
        if evidence is None:
            return Given({}, 1, many=False)
        if _are_many(evidence):
            cells = self._cells(evidence)
            if cells.seen:
                name, seen = next(iter(cells.seen.items()))
                raise DataError(f"evidence {name!r} is missing in row {int((~seen).nonzero()[0, 0])}; ask rows of one pattern at a time")
            return Given({n: v.cpu().numpy() for n, v in cells.values.items()}, cells.rows, many=True)
        numbers = {n: self._number(n, v) if self._known(n) in self.states else float(v) for n, v in evidence.items()}
        return Given({n: np.array([v]) for n, v in numbers.items()}, 1, many=False)

    def _vector(self) -> Tensor:
        """All tables, as they are now."""
        if self._numbers is None or self._numbers.stale:
            self._numbers = Numbers(self._variables)
        return self._numbers.vector

    def _apply(self, *args: Any) -> Any:
        """Tensors are replaced: .float(), .to(device)."""
        self._numbers = None
        return super()._apply(*args)

    def _pattern(self, query: Query) -> Pattern:
        if query not in self._patterns:
            while len(self._patterns) >= PATTERNS:
                del self._patterns[next(iter(self._patterns))]
            self._patterns[query] = Pattern(self._variables, query)
        return self._patterns[query]

    def _answer(self, query: Query, given: "Given", *, marginals: bool = False) -> Answer:
        return self._pattern(query)(self._vector(), given.values, given.rows, marginals=marginals)

    def _posterior(self, query: Query, given: "Given", *, marginals: bool = False) -> Answer:
        """The answer; raises ZeroProbabilityError."""
        answer = self._answer(query, given, marginals=marginals)
        if not answer.possible:
            self._refuse_impossible(answer.log_value, given)
        return answer

    def _refuse_impossible(self, log_evidence: Tensor, given: "Given") -> None:
        """Raise ZeroProbabilityError at the first impossible row of (n,) or (n, *states), and name the variable that makes it so."""
        if not bool((log_evidence == -torch.inf).any()):
            return
        impossible = (log_evidence.flatten(1) == -torch.inf).all(-1) if log_evidence.dim() > 1 else log_evidence == -torch.inf
        if not bool(impossible.any()):
            return
        row = int(impossible.nonzero()[0, 0])
        one = {n: given.values[n][row : row + 1] for n in self.order if n in given.values}
        named = [f"{n} = {self.states[n][int(v[0])] if n in self.states else float(v[0])}" for n, v in one.items()]
        for i in range(1, len(one) + 1):
            some = dict(list(one.items())[:i])
            if self._answer(Query((), frozenset(some)), Given(some, 1, many=False)).log_value[0] == -torch.inf:
                before = f" given {', '.join(named[: i - 1])}" if i > 1 else ""
                where = f"row {row} of the evidence" if given.many else "the evidence"
                raise ZeroProbabilityError(f"{where}, {', '.join(named)}, has probability zero: {named[i - 1]} is impossible{before}")

    def _row_log_evidence(self, cells: Cells, values: Mapping[str, Tensor]) -> Tensor:
        """log P of the known cells of each row; values: tables (*lead, *shape) by site -> (*lead, N)."""
        own, begin = self._vector(), self._variables.begin
        given = {n: values[f"{n}_table"].double() for n in begin if f"{n}_table" in values}
        lead = next((v.shape[: v.dim() - self.table(n).dim()] for n, v in given.items()), torch.Size())
        parts = [given[n].reshape(lead.numel(), -1) if n in given else self.table(n).reshape(1, -1) for n in begin]
        vectors = torch.cat([p.expand(lead.numel(), -1) for p in parts], -1) if parts else own[None]
        out = vectors.new_zeros(lead.numel(), cells.rows)
        for rows, observed in cells.patterns():
            some = {n: cells.values[n][rows].cpu().numpy() for n in observed}
            out[:, rows] = self._pattern(Query((), frozenset(observed))).log_values(vectors, some, len(rows))
        return out.reshape(*lead, cells.rows)

    def _cells(self, x: Any, check: bool = True) -> Cells:
        return read_cells(x, self.states, self.order, self._vector().device, check)


def _are_many(evidence: Any) -> bool:
    """Whether these are rows."""
    values = evidence.values() if isinstance(evidence, Mapping) else None
    return values is None or any(not isinstance(v, str) and hasattr(v, "__len__") and getattr(v, "ndim", 1) > 0 for v in values)


def module_name(name: str) -> str:
    return f"{name}_table".replace(".", "·")  # torch allows no dot
