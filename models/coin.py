"""Coin tosses: one probability of heads shared by all tosses."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..errors import ProgramError
from ..family import Family, check_rows, count_rows
from ._mixture import positive

__all__ = ["CoinTosses"]

BEGIN = 50.0


class CoinTosses(Family):
    """
        probability ~ Beta(heads, tails)           pseudo-tosses seen before
        x_n         ~ Bernoulli(probability)       n = 1..N, 1 is heads

    Exact: the posterior, Beta(heads + sum x, tails + N - sum x), and the evidence, a ratio of Beta functions.
    Source: Bayes, Philosophical Transactions 53, 1763; Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section 2.1.
    """

    prior: Tensor  # (2,) heads, tails

    def __init__(self, heads: float = 1.0, tails: float = 1.0):
        super().__init__()
        self.register_buffer("prior", torch.tensor([positive("heads", heads), positive("tails", tails)]))
        # (2,) counts may grow by any factor, so their logarithms are learned; they begin as if BEGIN tosses had been seen
        self.log_q = torch.nn.Parameter((self.prior * BEGIN / self.prior.sum()).log())

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes tosses x (N,) of 0 and 1, or draws `size` of them."""
        if context is not None:
            raise ProgramError("CoinTosses takes no context")
        if x is not None:
            check_rows(x, torch.Size())
        probability = pyro.sample("probability", dist.Beta(*self.prior))  # ()
        with pyro.plate("data", count_rows(x, size)):
            return pyro.sample("x", dist.Bernoulli(probability), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Beta q(probability). It contains the exact posterior: any error left is the optimiser's."""
        pyro.sample("probability", dist.Beta(*self.log_q.exp()))

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence, nats; posterior by site; log_likelihood of each toss, a function of values by site."""
        after = self.prior + torch.stack([x.sum(), (1 - x).sum()]).to(self.prior)
        return {
            "log_evidence": _log_beta(after) - _log_beta(self.prior),
            "posterior": {"probability": dist.Beta(*after)},
            "log_likelihood": partial(self._log_likelihood, x),
        }

    def _log_likelihood(self, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """values (*lead) -> (*lead, N)"""
        return dist.Bernoulli(values["probability"].unsqueeze(-1)).log_prob(x)


def _log_beta(counts: Tensor) -> Tensor:
    return counts.lgamma().sum() - counts.sum().lgamma()
