"""Heights in centimetres for the contract suites, with moments by quadrature."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ppgen.models import Heights
from tests.contracts.cases import Case

CENTIMETRES = 172.0 + 8.0 * torch.special.ndtri((torch.arange(40) + 0.5) / 40).roll(13)


def _moments(x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """On a grid of 600 x 600: loc ~ Normal(175, (0.5 precision)^-1/2), precision ~ Gamma(2, 2 * 10^2)."""
    x = x.double()
    precision = torch.linspace(0.003, 0.06, 600, dtype=x.dtype)[:, None]
    loc = torch.linspace(160.0, 184.0, 600, dtype=x.dtype)[None]
    log_p = torch.distributions.Gamma(2.0, 200.0).log_prob(precision)
    log_p = log_p + torch.distributions.Normal(175.0, (0.5 * precision).rsqrt()).log_prob(loc)
    log_p = log_p + torch.distributions.Normal(loc[..., None], precision.rsqrt()[..., None]).log_prob(x).sum(-1)
    weights = (log_p - log_p.max()).exp()
    weights = weights / weights.sum()
    found = {}
    for name, at in (("precision", precision), ("loc", loc)):
        mean = (weights * at).sum()
        found[name] = mean[None], (weights * (at - mean) ** 2).sum().sqrt()[None]
    return found


def _posterior(x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
    """precision as `exact` has it, and loc given it."""
    law = HEIGHTS.exact(CENTIMETRES)["posterior"]
    precision = pyro.sample("precision", law["precision"])
    pyro.sample("loc", dist.Normal(law["loc"].loc, ((0.5 + len(CENTIMETRES)) * precision).rsqrt()))


HEIGHTS = Heights(centre=175.0, spread=10.0, weight=0.5, shape=2.0)
CASES = {
    "centimetres": Case(
        HEIGHTS,
        CENTIMETRES,
        _moments(CENTIMETRES),
        edges="precision -> loc -> x, precision -> x",
        plates={"data": "x"},
        guide=_posterior,
    )
}
