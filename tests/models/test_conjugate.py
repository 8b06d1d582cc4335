"""Families whose posterior is known: with it in the guide, the ELBO is the log evidence on every draw."""

import pytest
import torch
from scipy import integrate, stats

from ppgen.keys import Key
from ppgen.models import CoinTosses, Heights
from ppgen.objective import Objective
from ppgen.program import Program
from tests.models.cases_coin import TOSSES
from tests.models.cases_heights import CENTIMETRES


def bound(family, x) -> float:
    """The ELBO of 16 draws of the family's guide as it is; each draw's is within 1e-3 of it, or this fails."""
    objective = Objective(Program(family, x).copy(), None, key=Key(0), num_particles=1)
    losses = [-float(objective.value_and_grad(objective.params, objective.inputs(Key(0, i)))[0]) for i in range(16)]
    assert max(losses) - min(losses) < 2e-3
    return losses[0]


def test_the_exact_posterior_of_a_coin_gives_the_evidence() -> None:
    family = CoinTosses(2.0, 3.0)
    exact = family.exact(TOSSES)
    with torch.no_grad():
        family.log_q.copy_(torch.tensor([85.0, 40.0]).log())
    by_quadrature = integrate.quad(lambda p: p**83 * (1 - p) ** 37 * stats.beta(2, 3).pdf(p) * 1e30, 0, 1)[0]
    assert float(exact["log_evidence"]) == pytest.approx(torch.tensor(by_quadrature / 1e30, dtype=torch.float64).log().item(), rel=1e-6)
    assert bound(family, TOSSES) == pytest.approx(float(exact["log_evidence"]), abs=1e-3)


def test_the_exact_posterior_of_heights_gives_the_evidence() -> None:
    family = Heights(centre=175.0, spread=10.0, weight=0.5, shape=2.0)
    exact = family.exact(CENTIMETRES)
    posterior = exact["posterior"]
    with torch.no_grad():
        after = posterior["precision"]
        family.log_q.copy_(torch.stack([after.concentration, after.rate / 100, torch.tensor(40.5)]).log())
        family.q_loc.copy_((posterior["loc"].loc - 175) / 10)
    assert bound(family, CENTIMETRES) == pytest.approx(float(exact["log_evidence"]), abs=2e-3)
    x = CENTIMETRES.double()  # the evidence again, datum after datum by Student's t
    total = 0.0
    for n in range(len(x)):
        law = Heights(centre=175.0, spread=10.0, weight=0.5, shape=2.0).exact(x[:n])["posterior"] if n else None
        df, loc, scale = (
            (4.0, 175.0, (200 / 2 * (1 + 1 / 0.5)) ** 0.5)
            if law is None
            else (
                float(law["loc"].df),
                float(law["loc"].loc),
                float((law["precision"].rate / law["precision"].concentration * (1 + 1 / (0.5 + n))).sqrt()),
            )
        )
        total += float(stats.t(df, loc, scale).logpdf(float(x[n])))
    assert float(exact["log_evidence"]) == pytest.approx(total, rel=1e-9)
