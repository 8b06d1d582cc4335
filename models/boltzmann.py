"""Restricted Boltzmann machines: two layers of units that are on or off, each unit of one given all of the other."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from ..errors import CostError, ProgramError
from ..family import Family, check_rows, count_rows

__all__ = ["BoltzmannMachine"]

MOST = 22  # units of a layer that are enumerated
AT_ONCE = 2**24  # numbers


class BoltzmannMachine(Family):
    """Rows of bits, and hidden bits that tell which go together.

        log p(x_n, h_n) = visible_bias . x_n + hidden_bias . h_n + x_n^T weight h_n - log Z        n = 1..N

    num_visible    D; None is that of `like`
    num_hidden     M
    like           data (N, D) of zeros and ones: visible biases begin at their log odds, as without hidden units they would end

    The hidden units of observed data are summed out, which leaves the free energy: log p(x) is known up to log Z. `sample` runs Gibbs,
    a layer at a time. Learned by ContrastiveDivergence. Exact: log Z and draws by enumeration of the smaller layer, of up to 22 units;
    the hidden units given the data, which are independent.
    Sources: Smolensky, Parallel Distributed Processing 1, 1986; Hinton, Neural Computation 14(8), 2002.
    """

    normalised = False

    def __init__(self, num_visible: int | None = None, num_hidden: int = 16, *, like: Tensor | None = None):
        super().__init__()
        if num_visible is None:
            if like is None:
                raise ProgramError("give num_visible, or data like= from which it is taken")
            num_visible = like.shape[-1]
        if num_visible < 1 or num_hidden < 1:
            raise ProgramError(f"both layers need at least one unit; got {num_visible} and {num_hidden}")
        self.num_visible, self.num_hidden = num_visible, num_hidden
        self.weight = nn.Parameter(0.01 * torch.randn(num_visible, num_hidden))
        self.visible_bias = nn.Parameter(torch.zeros(num_visible) if like is None else self._log_odds(like))
        self.hidden_bias = nn.Parameter(torch.zeros(num_hidden))

    def _log_odds(self, like: Tensor) -> Tensor:
        check_rows(like, torch.Size((self.num_visible,)), "like")
        share = (like.sum(0) + 0.5) / (len(like) + 1)
        return torch.logit(share).to(torch.get_default_dtype())

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N, D), or draws `size` rows of fair coins, weighted."""
        if x is not None:
            check_rows(x, torch.Size((self.num_visible,)))
        data = pyro.plate("data", count_rows(x, size), dim=-1)
        coin = dist.Bernoulli(self.visible_bias.new_tensor(0.5))
        coins = (self.num_visible + self.num_hidden) * math.log(2)  # what the coins put in is taken out
        with data:
            x = pyro.sample("x", coin.expand((self.num_visible,)).to_event(1), obs=x)
            pyro.factor("visible", x @ self.visible_bias + coins)
        with pyro.plate("hidden", self.num_hidden, dim=-2), data:
            h = pyro.sample("h", coin)  # (M, N)
            pyro.factor("energy", h * self._field(x))
        return x

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Nothing: all units are discrete."""

    def _field(self, x: Tensor) -> Tensor:
        """Log odds of the hidden units given visible ones, (N, D) -> (M, N)."""
        return (x @ self.weight + self.hidden_bias).mT

    def free_energy(self, x: Tensor) -> Tensor:
        """-log of the sum over h of exp(-E(x, h)), (N, D) -> (N,), nats."""
        return -(x @ self.visible_bias) - nn.functional.softplus(self._field(x)).sum(0)

    # What is known

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence: minus the free energies of all data, nats: the log likelihood up to N log Z. posterior: of h.

        Where a layer has at most 22 units: log_partition, log Z, a function without arguments; log_prob, one of x; and draws, one of a
        number and a generator.
        """
        check_rows(x, torch.Size((self.num_visible,)))
        with torch.no_grad():
            known: dict[str, Any] = {
                "log_evidence": -self.free_energy(x).double().sum(),
                "posterior": {"h": dist.Bernoulli(logits=self._field(x))},
            }
        if min(self.num_visible, self.num_hidden) <= MOST:
            known |= {"log_partition": self.log_partition, "log_prob": self.log_prob, "draws": self.draws}
        return known

    def log_partition(self) -> Tensor:
        """log Z, (), nats, by enumeration of the smaller layer; differentiable. Raises CostError."""
        return torch.cat([self._log_marginal(rows) for rows in self._assignments()]).logsumexp(0)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (N, D) -> (N,), nats."""
        return -self.free_energy(x) - self.log_partition()

    @torch.no_grad()
    def draws(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Independent exact draws of one datum: x (count, 1, D) and h (count, M, 1)."""
        log_marginal = torch.cat([self._log_marginal(rows) for rows in self._assignments()]).double()
        chosen = torch.multinomial(log_marginal.softmax(0), count, replacement=True, generator=generator)
        first = torch.cat(list(self._assignments()))[chosen]
        logits = first @ self.weight.mT + self.visible_bias if self._hidden_is_smaller else self._field(first).mT
        second = torch.bernoulli(logits.sigmoid(), generator=generator)
        x, h = (second, first) if self._hidden_is_smaller else (first, second)
        return {"x": x[:, None], "h": h[..., None]}

    @property
    def _hidden_is_smaller(self) -> bool:
        return self.num_hidden <= self.num_visible

    def _log_marginal(self, rows: Tensor) -> Tensor:
        """Log weight of assignments of the smaller layer, the other summed out: (n, units) -> (n,)."""
        if not self._hidden_is_smaller:
            return -self.free_energy(rows)
        return rows @ self.hidden_bias + nn.functional.softplus(rows @ self.weight.mT + self.visible_bias).sum(1)

    def _assignments(self) -> list[Tensor]:
        """All of the smaller layer, in pieces."""
        units = min(self.num_visible, self.num_hidden)
        if units > MOST:
            raise CostError(f"log Z is a sum over 2^{units} assignments; AIS().evidence(model, size=1) has bounds")
        numbers = torch.arange(2**units, device=self.weight.device)
        bits = (numbers[:, None] >> torch.arange(units, device=numbers.device)) & 1
        return list(bits.to(self.weight.dtype).split(max(1, AT_ONCE // max(self.num_visible, self.num_hidden))))
