"""Bayesian networks: variables on a directed graph without cycles, each with a law given its parents."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..errors import DataError, NameNotFoundError, ProgramError
from ..family import count_rows
from ._answers import Answers
from ._bif import Block, read_bif, write_bif
from ._cells import Cells, by_name, found_states, read_cells
from ._conditionals import AnyLaw, Conditional, LinearGaussian, Table, check_graph, check_prior, check_states, check_table
from ._search import chow_liu, hill_climbing

if TYPE_CHECKING:
    from ..datasets import Dataset

__all__ = ["BayesianNetwork", "LinearGaussian"]


class BayesianNetwork(Answers):
    """
        table_v  ~ Dirichlet(prior, ..., prior)              each row, where there is a prior
        v_n      ~ its law given the values of its parents   n = 1..N, in the order of the graph

    graph         of networkx, its nodes the variables' names
    conditionals  variable -> its law: a table (*states of the parents, states) with parents in the order of graph.predecessors;
                  LinearGaussian; or any function of the parents' values that returns a distribution of Pyro's. Rows of tables are
                  divided by their sum, which may differ from 1 by 0.001
    states        variable -> the names of its states, otherwise "0", "1", ... of a table. A variable whose law is a function has
                  states where they are given here, otherwise none. Tables left out are even
    prior         tables are latent: pseudo-data of each cell, one number for all or variable -> number or table
    learned       tables without prior are parameters
    like          data from which the guide starts: the exact posterior, of the rows in which a variable and its parents are known

    x is a dict from variable to (N,) numbers of states, -1 or NaN where a cell is missing (or names of states, or a DataFrame); cells
    and variables that are missing are latent, and summed out exactly. (Columns of uint8 have no missing cells, so that they need not be
    looked at: minibatches are then recorded.) Tables are float64, as exact answers are.
    Exact: all queries of variables with states; with a prior and complete data, posterior and evidence.
    Sources: Pearl, Probabilistic Reasoning in Intelligent Systems (1988); Koller & Friedman, Probabilistic Graphical Models (2009).
    """

    def __init__(
        self,
        graph: nx.DiGraph,
        conditionals: Mapping[str, Any] | None = None,
        *,
        states: Mapping[str, Sequence[str]] | None = None,
        prior: float | Mapping[str, Any] | None = None,
        learned: bool = False,
        like: Any = None,
    ):
        graph = check_graph(graph)
        order = tuple(nx.topological_sort(graph))
        given = dict(conditionals or {})
        for unknown in sorted({*given, *(states or {}), *(prior if isinstance(prior, Mapping) else {})} - set(order)):
            raise NameNotFoundError(f"the graph has no variable {unknown!r}; it has {', '.join(order)}")
        known = check_states(order, given, states or {})
        laws = {n: _law(n, given.get(n), tuple(graph.predecessors(n)), known, prior, learned) for n in order}
        super().__init__(graph, known, laws)
        if like is not None:
            self._start(like)

    @classmethod
    def from_bif(
        cls, path: str | Path, *, prior: float | Mapping[str, Any] | None = None, learned: bool = False, like: Any = None
    ) -> "BayesianNetwork":
        """The network of a file in the Bayesian interchange format, .bif or .bif.gz; each row of its tables divided by its sum.

        Raises DataError by file and line; and what the class raises.
        """
        blocks = read_bif(path)
        graph = nx.DiGraph()
        graph.add_nodes_from(blocks)
        graph.add_edges_from((p, n) for n, block in blocks.items() for p in block.parents)
        tables = {n: block.table for n, block in blocks.items()}
        return cls(graph, tables, states={n: b.states for n, b in blocks.items()}, prior=prior, learned=learned, like=like)

    @classmethod
    def chow_liu(cls, x: Any, *, states: Mapping[str, Sequence[str]] | None = None, smoothing: float = 0.5) -> "BayesianNetwork":
        """The tree of highest likelihood of complete data, with `smoothing` pseudo-data in each pair of states, as in `fitted`.

        x   variable -> (N,) as the class has it, or a DataFrame; states are the numbers up to the largest, unless given

        Source: Chow & Liu, IEEE Trans. Information Theory 14(3), 1968.
        """
        states = states or found_states(x)
        cells = read_cells(x, states, tuple(states), torch.device("cpu"))
        _refuse_missing(cells, states, "chow_liu")
        graph = chow_liu({n: v.numpy() for n, v in cells.values.items()}, {n: len(s) for n, s in states.items()}, smoothing)
        return cls(graph, states=states).fitted(x, smoothing=smoothing)

    @classmethod
    def hill_climbing(
        cls, x: Any, *, states: Mapping[str, Sequence[str]] | None = None, score: str = "bic", smoothing: float = 0.5
    ) -> "BayesianNetwork":
        """A network of high score of complete data, by greedy steps (a local maximum), with tables as `chow_liu` has them. Needs pyAgrum.

        score   bic, aic, bdeu, bd or k2

        Source: Heckerman, Geiger & Chickering, Machine Learning 20, 1995.
        """
        states = states or found_states(x)
        cells = read_cells(x, states, tuple(states), torch.device("cpu"))
        _refuse_missing(cells, states, "hill_climbing")
        graph = hill_climbing({n: v.numpy() for n, v in cells.values.items()}, {n: len(s) for n, s in states.items()}, score)
        return cls(graph, states=states).fitted(x, smoothing=smoothing)

    @classmethod
    def for_data(cls, data: "Dataset", settings: Mapping[str, Any]) -> tuple["BayesianNetwork", Any]:
        """Of a .bif file the network, and one row of which nothing is known. Of a table of states its rows, and the network of the
        file `bif` in settings or else the tree of highest likelihood, each of its cells with one pseudo-datum."""
        rest = {name: value for name, value in settings.items() if name != "bif"}
        if isinstance(data.x, Path):
            network = cls.from_bif(data.x, **rest)
            return network, {network.order[0]: torch.tensor([-1])}
        if "bif" in settings:
            return cls.from_bif(settings["bif"], **rest), {n: by_name(v, data.states.get(n)) for n, v in data.table.items()}
        numbers = data.table
        many = {n: range(int(v.nan_to_num().max()) + 1) for n, v in numbers.items() if n not in data.states}
        states = {n: data.states.get(n) or [str(i) for i in many[n]] for n in numbers}
        tree = cls.chow_liu(numbers, states=states)
        return cls(tree.graph, **{"states": states, "prior": 1.0, "like": numbers, **rest}), numbers

    def to_bif(self, path: str | Path) -> Path:
        """Write the network, its numbers with all digits; .gz is packed. Raises ProgramError: a variable without a table."""
        if other := [n for n in self.order if n not in self._variables.begin]:
            raise ProgramError(f"BIF holds tables alone, and {', '.join(map(repr, other))} has none")
        blocks = {n: Block(tuple(self.states[n]), self.parents(n), self.table(n).numpy()) for n in self.graph}
        return write_bif(path, blocks)

    # Its parts

    def do(self, values: Mapping[str, Any]) -> "BayesianNetwork":
        """The network in which variables are set to values from outside: their parents no longer matter.

        Source: Pearl, Causality (2nd ed., 2009), section 3.2.
        """
        graph, laws = self.graph.copy(), self._laws()
        for name, value in values.items():
            graph.remove_edges_from([(p, name) for p in self.parents(name)])
            if name in self.states:
                laws[name] = torch.nn.functional.one_hot(torch.tensor(self._number(name, value)), len(self.states[name])).double()
            else:
                laws[name] = partial(dist.Delta, torch.as_tensor(value, dtype=torch.get_default_dtype()))
        return BayesianNetwork(graph, laws, states=self.states)

    def with_tables(self, tables: Mapping[str, Any]) -> "BayesianNetwork":
        """The same network with other tables, fixed: a draw of a posterior, its mean."""
        return BayesianNetwork(self.graph, self._laws() | {self._known(n): t for n, t in tables.items()}, states=self.states)

    def _laws(self) -> dict[str, Any]:
        """As they are now, to make another network of."""
        laws = {n: self.law(n) for n in self.order}
        return {n: law.function if isinstance(law, AnyLaw) else self.table(n) if isinstance(law, Table) else law for n, law in laws.items()}

    # The pair

    def model(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> dict[str, Tensor]:
        """Observes x, or draws `size` rows: variable -> (N,)."""
        if context is not None:
            raise ProgramError("BayesianNetwork takes no context; observe variables, or set them by do(...)")
        cells = Cells({}, {}, count_rows(None, size)) if x is None else self._cells(x, check=False)  # the program checks supports
        priors = {n: prior for n, table in self._tables().items() if (prior := table.prior()) is not None}
        tables = {n: pyro.sample(f"{n}_table", prior) for n, prior in priors.items()}  # (*states of the parents, states)
        values: dict[str, Tensor] = {}
        with pyro.plate("data", cells.rows):
            for name in self.order:
                law, seen = self.law(name), cells.seen.get(name)
                obs = law.observed(cells.values[name]) if name in cells.values else None
                here = law.law([values[p] for p in self.parents(name)], tables.get(name))
                value = pyro.sample(name, here, obs=obs, obs_mask=seen)  # type: ignore[arg-type]
                values[name] = value.long() if name in self.states else value
        return values

    def guide(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """A Dirichlet for each row of each table: it contains the exact posterior of complete data. Variables with states that are
        missing are left to be summed out exactly. Raises ProgramError where others are missing."""
        cells = self._cells(x, check=False)
        if other := [n for n in self.order if n not in self.states and n not in cells.complete]:
            raise ProgramError(
                f"the guide has no law for missing values of {other[0]!r}; use NUTS, or a guide by name: SVI(guide='normal')"
            )
        for name, table in self._tables().items():
            if table.concentration is not None:
                pyro.sample(f"{name}_table", table.guide())

    def _tables(self) -> dict[str, Table]:
        return {n: law for n in self.order if isinstance(law := self.law(n), Table)}

    # What is known in closed form

    def counts(self, x: Any) -> dict[str, Tensor]:
        """Variable -> how many rows of x have each cell of its table, among those in which it and its parents are known."""
        return self._counts(self._cells(x))

    def _counts(self, cells: Cells) -> dict[str, Tensor]:
        shapes = {n: torch.Size(self._variables.sizes[m] for m in self._variables.families[n]) for n in self._variables.begin}
        device = self._vector().device
        return {n: cells.tally(self._variables.families[n], shape, device) for n, shape in shapes.items()}

    def fitted(self, x: Any, *, smoothing: float = 0.0) -> "BayesianNetwork":
        """The same network with the tables of highest likelihood of complete data, each cell with `smoothing` pseudo-data. Rows of a
        table of which no data tell stay as they are. For missing cells, learn with EM.

        Raises DataError: a missing cell.
        """
        cells = self._cells(x)
        _refuse_missing(cells, self.states, "fitted")
        tables = {}
        for name, count in self._counts(cells).items():
            total = (count + smoothing).sum(-1, keepdim=True)
            tables[name] = torch.where(total > 0, (count + smoothing) / total.clamp(min=1e-300), self.table(name))
        return self.with_tables(tables)

    def exact(self, x: Any, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence, nats; with priors, of complete data alone, and the posterior of each table. With priors log_likelihood of each
        row, missing cells summed out, a function of the tables by site (*lead, ...) -> (*lead, N)."""
        cells = self._cells(x)
        priors = {n: table.concentration for n, table in self._tables().items() if table.concentration is not None}
        if not priors:
            return {"log_evidence": self._row_log_evidence(cells, {}).sum()}
        out: dict[str, Any] = {"log_likelihood": partial(self._row_log_evidence, cells)}
        if cells.seen or len(cells.values) < len(self.order):
            return out
        counts = self._counts(cells)
        after = {n: before + counts[n] for n, before in priors.items()}
        others = self._row_log_evidence(cells, {f"{n}_table": torch.ones_like(c) for n, c in after.items()}).sum()
        gained = torch.stack([_log_beta(after[n]) - _log_beta(before) for n, before in priors.items()]).sum()
        posterior = {f"{n}_table": dist.Dirichlet(c).to_event(c.dim() - 1) for n, c in after.items()}
        return {**out, "log_evidence": others + gained, "posterior": posterior}

    def _start(self, like: Any) -> None:
        """The guide at the posterior of the rows in which a family is complete."""
        counts = self.counts(like)
        for name, table in self._tables().items():
            if table.concentration is not None:
                with torch.no_grad():
                    table.log_q.copy_((table.concentration + counts[name]).log())


def _law(name: str, given: Any, parents: tuple[str, ...], states: Mapping[str, Sequence[str]], prior: Any, learned: bool) -> Conditional:
    if isinstance(given, LinearGaussian):
        given = copy.deepcopy(given)
        given.bind(name, parents, states)
        return given
    if callable(given):
        return AnyLaw(given)
    if name not in states:
        raise ProgramError(f"{name!r} has neither a law nor states; give it a table, LinearGaussian or a function in conditionals")
    if wide := [p for p in parents if p not in states]:
        raise ProgramError(f"{name!r} has a table and its parent {wide[0]!r} has no states; give {name!r} a function as its law")
    shape = [len(states[n]) for n in (*parents, name)]
    table = torch.full(shape, 1 / shape[-1], dtype=torch.float64)
    if given is not None:
        table = check_table(name, given, parents, states, torch.float64)
    own = prior.get(name) if isinstance(prior, Mapping) else prior
    return Table(table, learned=learned and own is None, concentration=None if own is None else check_prior(name, own, shape))


def _refuse_missing(cells: Cells, states: Mapping[str, Sequence[str]], task: str) -> None:
    if absent := [n for n in states if n not in cells.values]:
        raise DataError(f"{task} needs complete data, and x has no {absent[0]!r}; learn with EM, which sums it out")
    for name in (n for n in states if n in cells.seen):
        row = int((~cells.seen[name]).nonzero()[0, 0])
        raise DataError(f"{task} needs complete data, and {name!r} is missing in row {row}; learn with EM, which sums it out")


def _log_beta(counts: Tensor) -> Tensor:
    return (counts.lgamma().sum(-1) - counts.sum(-1).lgamma()).sum()
