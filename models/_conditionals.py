"""Laws of a variable given its parents: tables, linear normals, and anything else.

Values of variables with states are the numbers of their states. `law` takes the values of all parents, in their order, broadcast
against each other, as a program gives them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.ops.indexing import Vindex
from torch import Tensor

from ..errors import DataError, NameNotFoundError, ProgramError
from ._mixture import positive

__all__ = [
    "AnyLaw", "Conditional", "LinearGaussian", "Table", "check_graph", "check_prior", "check_states", "check_table", "table_of_law",
]  # fmt: skip

BEGIN = 50.0  # rows of data that the guide begins as if it had seen, for each row of a table
ROUNDED = 1e-3  # how far from 1 a row may sum; files round their numbers, and every row is then divided by its sum


class Conditional(torch.nn.Module):
    """The law of one variable given its parents."""

    def observed(self, value: Tensor) -> Tensor:
        """A value as its law takes it."""
        return value

    def law(self, parents: Sequence[Tensor], table: Tensor | None = None) -> TorchDistributionMixin:
        """table: what was sampled for it, where it has a prior"""
        raise NotImplementedError


class Table(Conditional):
    """Probabilities (*states of the parents, states).

    learned         they are parameters, as logits
    concentration   like the table: each row has a Dirichlet prior, and q is the guide's
    """

    probs: Tensor
    logits: Tensor
    concentration: Tensor | None
    log_q: Tensor

    def __init__(self, probs: Tensor, *, learned: bool = False, concentration: Tensor | None = None):
        super().__init__()
        self.learned = learned
        self.register_buffer("concentration", concentration)
        if learned:
            self.logits = torch.nn.Parameter(probs.clamp(min=torch.finfo(probs.dtype).eps).log())
        else:
            self.register_buffer("probs", probs)
        if concentration is not None:
            self.log_q = torch.nn.Parameter((concentration * BEGIN / concentration.sum(-1, keepdim=True)).log())

    @property
    def table(self) -> Tensor:
        """Its probabilities as they are now: where it has a prior, the guide's mean."""
        if self.concentration is not None:
            q = self.log_q.exp()
            return q / q.sum(-1, keepdim=True)
        return self.logits.softmax(-1) if self.learned else self.probs

    def law(self, parents: Sequence[Tensor], table: Tensor | None = None) -> TorchDistributionMixin:
        logits = self.logits if table is None and self.learned else (self.probs if table is None else table).log()
        return dist.Categorical(logits=Vindex(logits)[(*parents, slice(None))] if parents else logits)

    def prior(self) -> TorchDistributionMixin | None:
        return None if self.concentration is None else _rows(self.concentration)

    def guide(self) -> TorchDistributionMixin:
        return _rows(self.log_q.exp())


def _rows(concentration: Tensor) -> TorchDistributionMixin:
    return dist.Dirichlet(concentration).to_event(concentration.dim() - 1)


class LinearGaussian(Conditional):
    """x ~ Normal(intercept + sum of coefficient * parent, scale).

    intercept, scale   numbers, or (*states of the parents that have states): one for each of their assignments
    coefficients       parent without states -> its coefficient, of the same shape
    learned            all of them are parameters

    Source: Lauritzen, JASA 87(420), 1992 (conditional Gaussian networks).
    """

    intercept: Tensor
    log_scale: Tensor
    coefficients: Tensor  # (*states, parents without states)

    def __init__(self, intercept: Any, coefficients: Mapping[str, Any] | None = None, scale: Any = 1.0, *, learned: bool = False):
        super().__init__()
        self.slopes = tuple(coefficients or {})
        default = torch.get_default_dtype()
        numbers = [torch.as_tensor(v, dtype=default) for v in (intercept, scale, *(coefficients or {}).values())]
        if not all(v.isfinite().all() for v in numbers) or not (numbers[1] > 0).all():
            raise DataError("LinearGaussian needs finite numbers and scales above 0")
        shape = torch.broadcast_shapes(*(v.shape for v in numbers))
        loc, scale, *slopes = (v.expand(shape).clone() for v in numbers)
        for name, value in {"intercept": loc, "log_scale": scale.log(), "coefficients": torch.stack([*slopes, loc], -1)[..., :-1]}.items():
            if learned and value.numel():
                self.register_parameter(name, torch.nn.Parameter(value.clone()))
            else:
                self.register_buffer(name, value.clone())
        self._discrete: tuple[int, ...] = ()
        self._continuous: tuple[int, ...] = ()

    def bind(self, name: str, parents: Sequence[str], states: Mapping[str, Sequence[str]]) -> None:
        """Raises NameNotFoundError, DataError: coefficients or shapes that do not fit the parents."""
        without = [p for p in parents if p not in states]
        if unknown := sorted(set(self.slopes) ^ set(without)):
            raise NameNotFoundError(
                f"{name!r} needs a coefficient for each parent without states ({', '.join(without) or 'none'}) and for no other; see "
                f"{', '.join(unknown)}"
            )
        shape, expected = tuple(self.intercept.shape), tuple(len(states[p]) for p in parents if p in states)
        if shape not in {(), expected}:
            raise DataError(f"the numbers of {name!r} have shape {shape}; expected () or {expected}, the states of its parents")
        self._discrete = tuple(i for i, p in enumerate(parents) if p in states) if shape else ()
        self._continuous = tuple(parents.index(p) for p in self.slopes)

    def law(self, parents: Sequence[Tensor], table: Tensor | None = None) -> TorchDistributionMixin:
        at = tuple(parents[i] for i in self._discrete)
        loc = Vindex(self.intercept)[at] if at else self.intercept
        scale = (Vindex(self.log_scale)[at] if at else self.log_scale).exp()
        for j, i in enumerate(self._continuous):
            loc = loc + (Vindex(self.coefficients)[(*at, j)] if at else self.coefficients[j]) * parents[i]
        return dist.Normal(loc, scale)


class AnyLaw(Conditional):
    """Any function of the parents' values that returns a distribution of Pyro's."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self.function = function

    def observed(self, value: Tensor) -> Tensor:
        """Laws of numbers of states other than Categorical want them as floating-point numbers."""
        return value if value.is_floating_point() else value.to(torch.get_default_dtype())

    def law(self, parents: Sequence[Tensor], table: Tensor | None = None) -> TorchDistributionMixin:
        law: TorchDistributionMixin = self.function(*parents)
        return law


def check_table(name: str, values: Any, parents: Sequence[str], states: Mapping[str, Sequence[str]], dtype: torch.dtype) -> Tensor:
    """A table of the right shape whose rows are probabilities, divided by their sums. Raises DataError by row."""
    try:
        table = torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values).to(dtype)
    except (TypeError, ValueError) as error:
        raise DataError(f"the table of {name!r} is no array of numbers: {error}") from error
    shape = tuple(len(states[n]) for n in (*parents, name))
    if tuple(table.shape) != shape:
        axes = ", ".join((*parents, name))
        raise DataError(f"the table of {name!r} has shape {tuple(table.shape)}; expected {shape}, the states of {axes}")
    bad = ~table.isfinite().all(-1) | (table < 0).any(-1)
    if bool((bad | ((table.sum(-1) - 1).abs() > ROUNDED)).any()):
        at = tuple((bad | ((table.sum(-1) - 1).abs() > ROUNDED)).nonzero()[0].tolist())
        row = ", ".join(f"{p} = {states[p][i]}" for p, i in zip(parents, at, strict=True)) or "without parents"
        what = "holds numbers that are no probabilities" if bool(bad[at]) else f"sums to {float(table[at].sum()):.6g} and not to 1"
        raise DataError(f"the table of {name!r}, row {row}, {what}: {', '.join(f'{v:g}' for v in table[at].tolist()[:10])}")
    return table / table.sum(-1, keepdim=True)


def table_of_law(law: Conditional, sizes: Sequence[int], device: torch.device) -> Tensor:
    """Probabilities (*sizes of the parents, size) of any law of a variable with states, all of whose parents have some."""
    grid = torch.meshgrid(*(torch.arange(k, device=device) for k in sizes), indexing="ij")
    probs = law.law(grid[:-1]).log_prob(law.observed(grid[-1])).exp()
    return probs.expand(*sizes) if math.prod(sizes) else probs


def check_graph(graph: nx.DiGraph) -> nx.DiGraph:
    """A copy without attributes. Raises ProgramError."""
    if not isinstance(graph, nx.DiGraph):
        raise ProgramError(f"a Bayesian network needs a networkx DiGraph, got {type(graph).__name__}")
    if not len(graph):
        raise ProgramError("the graph has no nodes; each variable is one")
    for name in graph:
        if not isinstance(name, str) or name == "data":
            raise ProgramError(
                f"a variable cannot have the name {name!r}: names are strings, and 'data' is the plate's; use nx.relabel_nodes"
            )
        if f"{name}_table" in graph:
            raise ProgramError(f"a variable cannot have the name '{name}_table', which is that of the table of {name!r}")
    if not nx.is_directed_acyclic_graph(graph):
        cycle = [a for a, _ in nx.find_cycle(graph)]
        raise ProgramError(f"the graph has a cycle, {' -> '.join([*cycle, cycle[0]])}; the graph of a Bayesian network has none")
    out = nx.DiGraph()
    out.add_nodes_from(graph)
    out.add_edges_from((p, n) for n in graph for p in graph.predecessors(n))
    return out


def check_states(order: Sequence[str], given: Mapping[str, Any], states: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Of each variable that has some. Raises ProgramError: none, or one twice."""
    out: dict[str, tuple[str, ...]] = {}
    for name in order:
        if name in states:
            out[name] = tuple(map(str, states[name]))
        elif name in given and not callable(given[name]) and not isinstance(given[name], LinearGaussian):
            shape = tuple(getattr(given[name], "shape", None) or torch.as_tensor(given[name]).shape)
            out[name] = tuple(map(str, range(shape[-1] if shape else 0)))
        if name in out and (not out[name] or len(set(out[name])) < len(out[name])):
            raise ProgramError(f"the states of {name!r} must be one or more different names, got {', '.join(out[name]) or 'none'}")
    return out


def check_prior(name: str, given: Any, shape: Sequence[int]) -> Tensor:
    """Pseudo-data of the cells of a table, above 0."""
    pseudo = torch.as_tensor(given, dtype=torch.float64)
    if not pseudo.dim():
        pseudo = torch.full(tuple(shape), positive("prior", float(pseudo)), dtype=torch.float64)
    if tuple(pseudo.shape) != tuple(shape) or not bool((pseudo > 0).all()):
        raise DataError(f"the prior of {name!r} needs numbers above 0, one or of shape {tuple(shape)}; got shape {tuple(pseudo.shape)}")
    return pseudo
