"""Ising models: spins on the nodes of a graph, up or down, that like to agree along its edges."""

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import pyro
import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from ..errors import CostError, ProgramError
from ..family import Family, check_rows, count_rows

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Ising", "Spins"]

LARGEST = 2**26  # numbers of a table of the exact sum
FEW = 20  # spins of which all configurations are looked at, for exact draws


class _Spin(constraints.Constraint):
    """-1 or 1."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return value.abs() == 1


class Spins(TorchDistribution):
    """Independent fair spins, -1 or 1, of a batch shape."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  torch's own way
    support = _Spin()
    has_enumerate_support = True

    def __init__(self, like: Tensor, batch_shape: Sequence[int] = ()):
        """like: of its dtype and device."""
        self.like = like
        super().__init__(torch.Size(batch_shape), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Spins":
        return Spins(self.like, batch_shape)

    @property
    def mean(self) -> Tensor:
        return self.like.new_zeros(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        return self.like.new_ones(self.batch_shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        up = torch.rand(*sample_shape, *self.batch_shape, dtype=self.like.dtype, device=self.like.device) < 0.5
        return torch.where(up, 1.0, -1.0).to(self.like)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.zeros_like(value) - math.log(2)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = torch.tensor([-1.0, 1.0]).to(self.like).reshape(2, *[1] * len(self.batch_shape))
        return values.expand(2, *self.batch_shape) if expand else values


class Ising(Family):
    """Configurations of spins s_i = -1 or 1 on the nodes of a graph.

        log p(s) = inverse_temperature (sum over edges of coupling s_i s_j + sum over nodes of field s_i) - log Z

    graph        a networkx graph, whose loops are left out; spins stand in the order of its nodes
    coupling     J: one number, one for each edge (E,), or the name of an edge attribute
    field        h: one number, or one for each node (n,)

    Data are configurations (N, n). J and h are parameters, so they can be learned from data (ContrastiveDivergence); `sample` runs
    Gibbs. Exact: log Z and mean energy by elimination of one spin after the other (the transfer matrix of a lattice, on any graph of small
    width: a torus of 8 x 8 takes tables of 2^17 numbers); draws of up to 20 spins.
    Sources: Ising, Zeitschrift fuer Physik 31, 1925; Onsager, Physical Review 65, 1944 (the infinite lattice).
    """

    normalised = False
    source: Tensor  # (E,)
    target: Tensor  # (E,)
    inverse_temperature: Tensor  # ()

    def __init__(
        self,
        graph: "nx.Graph[Hashable]",
        coupling: float | Tensor | str = 1.0,
        field: float | Tensor = 0.0,
        inverse_temperature: float = 1.0,
    ):
        super().__init__()
        self.nodes = list(graph.nodes)
        place = {n: i for i, n in enumerate(self.nodes)}
        edges = [(a, b) for a, b in graph.edges() if a != b]
        if not edges:
            raise ProgramError(f"this graph has {len(self.nodes)} nodes and no edge between two of them, so no spin meets another")
        if isinstance(coupling, str):
            lacking = [e for e in edges if coupling not in graph.edges[e]]
            if lacking:
                raise ProgramError(f"edge {lacking[0]} has no attribute {coupling!r}, which is to be its coupling")
            coupling = torch.tensor([float(graph.edges[e][coupling]) for e in edges])
        dtype = torch.get_default_dtype()
        self.coupling = nn.Parameter(_numbers(coupling, len(edges), "coupling", "edges").to(dtype))
        self.field = nn.Parameter(_numbers(field, len(self.nodes), "field", "nodes").to(dtype))
        self.register_buffer("source", torch.tensor([place[a] for a, _ in edges]))
        self.register_buffer("target", torch.tensor([place[b] for _, b in edges]))
        self.register_buffer("inverse_temperature", torch.tensor(inverse_temperature, dtype=dtype))

    @property
    def num_spins(self) -> int:
        return len(self.nodes)

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes configurations x (N, n), or draws `size` of independent spins, weighted."""
        if x is not None:
            check_rows(x, torch.Size((self.num_spins,)))
        with pyro.plate("data", count_rows(x, size)):
            x = pyro.sample("x", Spins(self.field, (self.num_spins,)).to_event(1), obs=x)
            pyro.factor("energy", -self.inverse_temperature * self.energy(x) + self.num_spins * math.log(2))  # less what the coins put in
        return x

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Nothing: all spins are discrete."""

    def energy(self, x: Tensor) -> Tensor:
        """Of configurations (N, n): (N,), in units of J."""
        return -(self.coupling * x[..., self.source] * x[..., self.target]).sum(-1) - (self.field * x).sum(-1)

    # What is known

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence: -inverse_temperature times the energies of all data, nats: the log likelihood up to N log Z.

        log_partition, log Z, and mean_energy, functions without arguments; log_prob, one of x; of up to 20 spins draws, one of a number
        and a generator.
        """
        check_rows(x, torch.Size((self.num_spins,)))
        known: dict[str, Any] = {
            "log_evidence": -(self.inverse_temperature * self.energy(x)).detach().double().sum(),
            "log_partition": self.log_partition,
            "mean_energy": self.mean_energy,
            "log_prob": lambda x: -(self.inverse_temperature * self.energy(x)).detach().double() - self.log_partition(),
        }
        return {**known, "draws": self.draws} if self.num_spins <= FEW else known

    def log_partition(self) -> Tensor:
        """log Z, (), nats. Raises CostError where the graph is too wide."""
        with torch.no_grad():
            return self._log_partition(self.inverse_temperature.double())

    def mean_energy(self) -> Tensor:
        """E[energy], (): minus the derivative of log Z by the inverse temperature."""
        with torch.enable_grad():
            beta = self.inverse_temperature.detach().double().requires_grad_()
            (slope,) = torch.autograd.grad(self._log_partition(beta), beta)
        return -slope

    def _log_partition(self, beta: Tensor) -> Tensor:
        """By opt_einsum, of weights that are at most 1."""
        import opt_einsum

        spins = torch.tensor([-1.0, 1.0], dtype=torch.float64, device=beta.device)
        coupling = self.coupling.detach().double().expand(len(self.source))
        field = self.field.detach().double().expand(self.num_spins)
        parts: list[Any] = []
        for j, a, b in zip(coupling, self.source.tolist(), self.target.tolist(), strict=True):
            parts += [(beta * (j * spins[:, None] * spins - j.abs())).exp(), (a, b)]
        for i, h in enumerate(field):
            parts += [(beta * (h * spins - h.abs())).exp(), (i,)]
        path, info = opt_einsum.contract_path(*parts, (), optimize="auto", memory_limit=None)
        if info.largest_intermediate > LARGEST:
            raise CostError(
                f"the exact log Z of this graph needs a table of {float(info.largest_intermediate):.2g} numbers; AIS().evidence(model, "
                "size=1) has bounds",
                needed=8 * int(info.largest_intermediate),
            )
        total = opt_einsum.contract(*parts, (), optimize=path, backend="torch")
        return total.log() + beta * (coupling.abs().sum() + field.abs().sum())

    @torch.no_grad()
    def draws(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Independent exact draws of one configuration, by enumeration: x (count, 1, n)."""
        if self.num_spins > FEW:
            raise CostError(f"exact draws look at all 2^{self.num_spins} configurations; sample by Gibbs")
        numbers = torch.arange(2**self.num_spins, device=self.field.device)
        bits = (numbers[:, None] >> torch.arange(self.num_spins, device=numbers.device)) & 1
        every = (2 * bits - 1).to(self.field)
        weights = (-self.inverse_temperature * self.energy(every)).double().softmax(0)
        return {"x": every[torch.multinomial(weights, count, replacement=True, generator=generator)][:, None]}


def _numbers(given: float | Tensor, count: int, what: str, of: str) -> Tensor:
    numbers = torch.as_tensor(given, dtype=torch.float64)
    if numbers.shape not in (torch.Size(), torch.Size((count,))):
        raise ProgramError(f"{what} is one number, or one for each of {count} {of}; got shape {tuple(numbers.shape)}")
    return numbers
