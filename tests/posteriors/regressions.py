"""Regressions: normal, logistic and Poisson."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ._priors import flat, flat_positive

__all__ = [
    "blr",
    "dogs",
    "earn_height",
    "glm_poisson",
    "kidscore_mom_work",
    "kidscore_momhsiq",
    "kilpisjarvi",
    "logearn_interaction_z",
    "logmesquite_logvash",
    "mesquite",
    "nes",
    "nes_logit",
    "wells",
]


def normal_rows(mean: Tensor, sigma: Tensor, y: Tensor) -> None:
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, sigma), obs=y)


def bernoulli_rows(logits: Tensor, y: Tensor) -> None:
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Bernoulli(logits=logits), obs=y)


def flat_regression(columns: list[Tensor], y: Tensor) -> None:
    """An intercept and columns (N,); flat priors on all coefficients and on sigma itself."""
    x = torch.stack([torch.ones_like(y), *columns], -1)
    beta = flat("beta", x.shape[1])
    normal_rows(x @ beta, flat_positive("sigma"), y)


def indicators(level: Tensor, of: list[int]) -> list[Tensor]:
    return [(level == k).to(level.dtype) for k in of]


def nes(real_ideo: Tensor, race_adj: Tensor, age_discrete: Tensor, educ1: Tensor, gender: Tensor, income: Tensor, partyid7: Tensor) -> None:
    flat_regression([real_ideo, race_adj, *indicators(age_discrete, [2, 3, 4]), educ1, gender, income], partyid7)


def mesquite(
    diam1: Tensor, diam2: Tensor, canopy_height: Tensor, total_height: Tensor, density: Tensor, group: Tensor, weight: Tensor
) -> None:
    flat_regression([diam1, diam2, canopy_height, total_height, density, group], weight)


def logmesquite_logvash(diam1: Tensor, diam2: Tensor, canopy_height: Tensor, total_height: Tensor, group: Tensor, weight: Tensor) -> None:
    volume, area, shape = (diam1 * diam2 * canopy_height).log(), (diam1 * diam2).log(), (diam1 / diam2).log()
    flat_regression([volume, area, shape, total_height.log(), group], weight.log())


def kidscore_mom_work(mom_work: Tensor, kid_score: Tensor) -> None:
    flat_regression(indicators(mom_work, [2, 3, 4]), kid_score)


def earn_height(height: Tensor, earn: Tensor) -> None:
    flat_regression([height], earn)


def logearn_interaction_z(height: Tensor, male: Tensor, earn: Tensor) -> None:
    z = (height - height.mean()) / height.std()  # divisor N - 1
    flat_regression([z, male, z * male], earn.log())


def kidscore_momhsiq(mom_hs: Tensor, mom_iq: Tensor, kid_score: Tensor) -> None:
    beta = flat("beta", 3)
    sigma = pyro.sample("sigma", dist.HalfCauchy(2.5))
    normal_rows(beta[0] + beta[1] * mom_hs + beta[2] * mom_iq, sigma, kid_score)


def kilpisjarvi(x: Tensor, y: Tensor, pmualpha: float, psalpha: float, pmubeta: float, psbeta: float) -> None:
    """x stands around 3983 and is not centred, so alpha and beta are almost perfectly correlated."""
    alpha = pyro.sample("alpha", dist.Normal(pmualpha, psalpha))
    beta = pyro.sample("beta", dist.Normal(pmubeta, psbeta))
    normal_rows(alpha + beta * x, flat_positive("sigma"), y)


def blr(X: Tensor, y: Tensor) -> None:
    beta = pyro.sample("beta", dist.Normal(torch.zeros(X.shape[1]), 10.0).to_event(1))
    normal_rows(X @ beta, pyro.sample("sigma", dist.HalfNormal(10.0)), y)


def nes_logit(income: Tensor, vote: Tensor) -> None:
    alpha, beta = flat("alpha", 1), flat("beta", 1)
    bernoulli_rows(alpha + beta * income, vote)


def wells(dist: Tensor, arsenic: Tensor, educ: Tensor, switched: Tensor) -> None:
    s, a, e = (dist - dist.mean()) / 100, arsenic - arsenic.mean(), (educ - educ.mean()) / 4
    alpha, beta = flat("alpha", 1), flat("beta", 6)
    bernoulli_rows(alpha + torch.stack([s, a, e, s * a, s * e, a * e], -1) @ beta, switched)


def dogs(y: Tensor) -> None:
    """y (dogs, trials): 1 where the dog was shocked; avoidances and shocks so far are the columns."""
    beta = pyro.sample("beta", dist.Normal(torch.zeros(3), 100.0).to_event(1))
    shock = y.cumsum(1) - y
    avoid = (1 - y).cumsum(1) - (1 - y)
    with pyro.plate("dogs", y.shape[0], dim=-2), pyro.plate("trials", y.shape[1], dim=-1):
        pyro.sample("y", dist.Bernoulli(logits=beta[0] + beta[1] * avoid + beta[2] * shock), obs=y)


def glm_poisson(year: Tensor, C: Tensor) -> None:
    """Counts of peregrine falcons; the bounds of the uniform priors are far from the posterior."""
    alpha = pyro.sample("alpha", dist.Uniform(-20.0, 20.0))
    beta = [pyro.sample(f"beta{k}", dist.Uniform(-10.0, 10.0)) for k in (1, 2, 3)]
    with pyro.plate("data", len(C)):
        pyro.sample("C", dist.Poisson((alpha + beta[0] * year + beta[1] * year**2 + beta[2] * year**3).exp()), obs=C)
