"""Heights: one normal law for all, its mean and precision unknown."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..errors import ProgramError
from ..family import Family, check_finite, check_rows, count_rows
from ._mixture import positive

__all__ = ["Heights"]


class Heights(Family):
    """
        precision ~ Gamma(shape, shape * spread^2)             so that a standard deviation is about `spread`
        loc       ~ Normal(centre, (weight * precision)^-1/2)  as if `weight` data had been seen there
        x_n       ~ Normal(loc, precision^-1/2)                n = 1..N

    like     data (N,) from which centre and spread are taken once, as mean and standard deviation in the data's units
    centre, spread   otherwise; weight: pseudo-data behind the mean; shape: half as many behind the precision

    Exact: posterior and evidence, the normal-gamma's.
    Source: Bernardo & Smith, Bayesian Theory (1994), section 5.2; Galton's heights are where regression began.
    """

    centre: Tensor  # ()
    spread: Tensor  # ()

    def __init__(self, *, like: Tensor | None = None, centre: float = 0.0, spread: float = 1.0, weight: float = 0.01, shape: float = 1.0):
        super().__init__()
        if like is not None:
            check_rows(like, torch.Size(), "like")
            check_finite(like, "like")
            centre, spread = float(like.mean()), float(like.std(correction=0))
        self.weight, self.shape = positive("weight", weight), positive("shape", shape)
        self.register_buffer("centre", torch.tensor(float(centre)))
        self.register_buffer("spread", torch.tensor(positive("spread", spread)))
        self.q_loc = torch.nn.Parameter(torch.zeros(()))  # from centre, in spreads
        # logarithms of shape, rate (in spreads squared) and weight, which may grow by any factor
        self.log_q = torch.nn.Parameter(torch.tensor([self.shape, self.shape, 1.0]).log())

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N,), or draws `size` data."""
        if context is not None:
            raise ProgramError("Heights takes no context")
        if x is not None:
            check_rows(x, torch.Size())
        precision = pyro.sample("precision", dist.Gamma(self.spread.new_tensor(self.shape), self.shape * self.spread**2))  # ()
        loc = pyro.sample("loc", dist.Normal(self.centre, (self.weight * precision).rsqrt()))  # ()
        with pyro.plate("data", count_rows(x, size)):
            return pyro.sample("x", dist.Normal(loc, precision.rsqrt()), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """A normal-gamma law. It contains the exact posterior: any error left is the optimiser's."""
        shape, rate, weight = self.log_q.exp()
        precision = pyro.sample("precision", dist.Gamma(shape, rate * self.spread**2))
        pyro.sample("loc", dist.Normal(self.centre + self.spread * self.q_loc, (weight * precision).rsqrt()))

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence, nats; posterior: the marginal laws by site; log_likelihood of each datum, a function of values by site."""
        x, n = x.double(), len(x)
        centre, spread = self.centre.double(), self.spread.double()
        weight, shape, rate = self.weight + n, self.shape + n / 2, self.shape * spread**2
        loc = (self.weight * centre + x.sum()) / weight
        after = rate + 0.5 * (x - x.mean()).square().sum() + 0.5 * self.weight * n / weight * (x.mean() - centre) ** 2
        evidence = (
            math.lgamma(shape)
            - math.lgamma(self.shape)
            + self.shape * rate.log()
            - shape * after.log()
            + 0.5 * math.log(self.weight / weight)
            - 0.5 * n * math.log(2 * math.pi)
        )
        posterior = {
            "precision": dist.Gamma(torch.tensor(shape, dtype=x.dtype), after),
            "loc": dist.StudentT(torch.tensor(2 * shape, dtype=x.dtype), loc, (after / (shape * weight)).sqrt()),
        }
        return {"log_evidence": evidence, "posterior": posterior, "log_likelihood": partial(self._log_likelihood, x)}

    def _log_likelihood(self, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """values (*lead) -> (*lead, N)"""
        return dist.Normal(values["loc"].unsqueeze(-1), values["precision"].rsqrt().unsqueeze(-1)).log_prob(x)
