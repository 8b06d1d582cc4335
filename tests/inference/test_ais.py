"""AIS: evidences in closed form, by quadrature and by enumeration; both bounds; scores datum by datum."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen import score
from ppgen.annealing import anneal, anneal_back, inverse_temperatures
from ppgen.errors import EngineError, GuideError, NameNotFoundError, PpgenError, ScoreError
from ppgen.family import Family
from ppgen.inference import AIS, SVI
from ppgen.keys import Key
from ppgen.models import BoltzmannMachine, CoinTosses, Ising

QUICK: dict[str, Any] = {"num_samples": 200, "progress": False}
X = torch.tensor([31.0, 44.0, 39.5, 52.0, 47.0])
SCHOOLS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]), torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SCHOOLS_EVIDENCE = -31.3113  # by quadrature over tau, mu in closed form


def conjugate(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)


MARGINAL = torch.distributions.MultivariateNormal(torch.full((5,), 30.0), 25.0 * torch.eye(5) + 400.0)


def eight_schools(y: Tensor, s: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("data", 8):
        effect = pyro.sample("effect", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * effect, s), obs=y)


def schools_evidence() -> float:
    y, s = (t.double().numpy() for t in SCHOOLS)
    angle = (np.arange(20_000) + 0.5) / 20_000 * math.pi / 2  # tau = 5 tan(angle): under the prior, angle is uniform
    total = []
    for tau in 5 * np.tan(angle):
        v = s**2 + tau**2
        precision, pulled = (1 / v).sum() + 1 / 25, (y / v).sum()
        total.append(-0.5 * (np.log(2 * math.pi * v).sum() + (y**2 / v).sum() + math.log(25 * precision) - pulled**2 / precision))
    return float(np.logaddexp.reduce(total) - math.log(len(total)))


@pytest.mark.parametrize("base", ["prior", "normal"])
@pytest.mark.parametrize("schedule", ["sigmoid", "linear", [0.0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0]])
def test_a_conjugate_evidence(base: str, schedule: Any) -> None:
    posterior = AIS(base=base, schedule=schedule, **QUICK).run(conjugate, X)
    found, expected = posterior.provenance["evidence"], float(MARGINAL.log_prob(X))
    assert found["log_evidence"] == pytest.approx(posterior.log_evidence)
    assert abs(found["log_evidence"] - expected) < max(4 * found["standard_error"], 1e-4)
    assert found["standard_error"] < 0.2
    assert found["lower"] <= found["log_evidence"] + 1e-9
    assert posterior.log_weights is not None
    assert posterior.log_weights.shape == (1, 200)


def test_both_bounds_close_as_there_are_more_temperatures() -> None:
    """On average: each has an error of its own."""
    precision = 1 / 400 + len(X) / 25
    generator = torch.Generator().manual_seed(1)
    exact = {"loc": (X.sum() / 25 + 30 / 400) / precision + torch.randn(300, generator=generator) * precision**-0.5}
    expected, gaps = float(MARGINAL.log_prob(X)), []
    for count in (20, 80, 320):
        found = AIS(num_temperatures=count, num_particles=300).evidence(conjugate, X, exact=exact)
        assert found.upper is not None
        assert found.lower < expected + 0.02
        assert found.upper > expected - 0.02
        gaps.append(found.upper - found.lower)
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0


def test_eight_schools() -> None:
    assert schools_evidence() == pytest.approx(SCHOOLS_EVIDENCE, abs=2e-4)
    found = AIS(num_temperatures=400, num_particles=400).evidence(eight_schools, *SCHOOLS)
    assert abs(found.log_evidence - SCHOOLS_EVIDENCE) < 4 * found.standard_error
    assert found.standard_error < 0.03


def test_a_mixture_and_its_labels() -> None:
    """Labels are summed out; two modes far apart are both found, since particles begin in the prior. Quadrature over the means."""
    x = torch.tensor([-20.0, -17.0, 21.0, 24.0, 19.0])

    def mixture(x: Tensor) -> None:
        with pyro.plate("parts", 2):
            loc = pyro.sample("loc", dist.Normal(0.0, 25.0))
        with pyro.plate("data", len(x)):
            part = pyro.sample("part", dist.Categorical(torch.tensor([0.3, 0.7])))
            pyro.sample("x", dist.Normal(loc[part], 3.0), obs=x)

    grid = torch.linspace(-120, 120, 1201, dtype=torch.float64)
    prior = dist.Normal(0.0, 25.0).log_prob(grid)
    parts = dist.Normal(grid[:, None], 3.0).log_prob(x.double())  # (grid, data)
    joint = torch.logaddexp(math.log(0.3) + parts[:, None], math.log(0.7) + parts).sum(-1) + prior[:, None] + prior
    expected = float(joint.flatten().logsumexp(0)) + 2 * math.log(0.2)
    posterior = AIS(num_temperatures=300, num_particles=500, **QUICK).run(mixture, x)
    found = posterior.provenance["evidence"]
    assert abs(found["log_evidence"] - expected) < 4 * found["standard_error"]
    assert found["standard_error"] < 0.1
    assert posterior.draws["part"].shape == (1, 200, 5)
    assert 0.02 < float((posterior.draws["loc"][..., 0] > 0).double().mean()) < 0.98


@pytest.mark.parametrize("dim", [1, 2])
def test_an_energy_whose_constant_is_known_by_quadrature(dim: int) -> None:
    """Two wells, in units of 10; Z is over the prior, which is a normal."""

    def wells() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 30.0).expand([dim]).to_event(1))
        pyro.factor("energy", -(((x / 10).square() - 1).square().sum() * 4 + 0.5 * (x.sum() / 10)))

    t = torch.linspace(-20, 20, 40_001, dtype=torch.float64)
    one = torch.exp(-(4 * (t**2 - 1) ** 2 + 0.5 * t) + dist.Normal(0.0, 3.0).log_prob(t))
    expected = dim * math.log(float(torch.trapezoid(one, t)))
    found = AIS(num_temperatures=200, num_particles=400).evidence(wells)
    assert abs(found.log_evidence - expected) < 4 * found.standard_error
    assert found.standard_error < 0.1


# Discrete programs


def machine() -> BoltzmannMachine:
    torch.manual_seed(3)
    family = BoltzmannMachine(12, 6)
    with torch.no_grad():
        family.weight.copy_(torch.randn(12, 6) * 0.8)
        family.hidden_bias.copy_(torch.randn(6))
    return family


def test_a_boltzmann_machine_is_bracketed() -> None:
    family = machine()
    expected = float(family.log_partition().detach())
    exact = family.draws(200, torch.Generator().manual_seed(0))
    found = AIS(num_temperatures=300).evidence(family, size=1, exact=exact)
    assert abs(found.log_evidence - expected) < 4 * found.standard_error
    assert found.upper is not None
    assert found.lower < expected < found.upper
    assert found.upper - found.lower < 0.3


def test_an_ising_model() -> None:
    """4 x 4 torus against the sum over all configurations; its draws agree about neighbours."""
    graph = nx.grid_2d_graph(4, 4, periodic=True)
    s = 2.0 * ((torch.arange(2**16)[:, None] >> torch.arange(16)) & 1).double() - 1
    number = {node: i for i, node in enumerate(graph.nodes)}
    source, target = (torch.tensor([number[e[i]] for e in graph.edges]) for i in (0, 1))
    energy = 0.3 * (s[:, source] * s[:, target]).sum(1)
    posterior = AIS(**QUICK).run(Ising(graph, coupling=1.0, inverse_temperature=0.3), size=1)
    found = posterior.provenance["evidence"]
    assert abs(found["log_evidence"] - float(energy.logsumexp(0))) < 4 * found["standard_error"]
    spins = posterior.draws["x"][0, :, 0].double()
    agree = (spins[:, source] * spins[:, target]).mean(1)
    expected = float((energy.softmax(0) * energy).sum()) / 0.3 / len(source)
    assert abs(float(agree.mean()) - expected) < 5 * float(agree.std()) / math.sqrt(100)  # resampled from 200


def test_elements_one_after_the_other() -> None:
    """Both kinds of sites, which no layer can have: a switch that the data do not settle, of three values."""

    def switched(x: Tensor) -> None:
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.5, 0.3])))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(torch.tensor([30.0, 41.0, 44.0])[k], 8.0), obs=x)

    each = dist.Normal(torch.tensor([30.0, 41.0, 44.0])[:, None], 8.0).log_prob(X).sum(1) + torch.tensor([0.2, 0.5, 0.3]).log()
    posterior = AIS(num_temperatures=50, num_particles=400, num_samples=2000, progress=False).run(switched, X)
    assert posterior.log_evidence == pytest.approx(float(each.logsumexp(0)), abs=4 * posterior.provenance["evidence"]["standard_error"])
    share = torch.bincount(posterior.draws["k"].flatten(), minlength=3) / 2000
    assert ((share - each.softmax(0)).abs() < 0.1).all()


# A bridge of one's own


class Shift:
    """Normal(0, 1) to exp(-(x - 6)^2 / 8) by exact draws of what is between: log Z = log sqrt(8 pi)."""

    def begin(self, count: int, key: Key) -> Tensor:
        return key.normal(0, (count,))

    def log_ratio(self, state: Tensor) -> Tensor:
        return -((state - 6.0) ** 2) / 8 - dist.Normal(0.0, 1.0).log_prob(state)

    def move(self, state: Tensor, inverse_temperature: float, key: Key, back: bool = False) -> Tensor:
        precision = (1 - inverse_temperature) + inverse_temperature / 4
        return inverse_temperature * 6.0 / 4 / precision + key.normal(0, state.shape) * precision**-0.5


def test_a_familys_own_guide_as_the_base() -> None:
    """Of one that has run before, too."""
    family, x = CoinTosses(2.0, 3.0), (torch.arange(40) % 3 > 0).float()
    SVI(num_steps=10, progress=False).run(family, x)
    found = AIS(base="guide", **QUICK).evidence(family, x)
    assert found.log_evidence == pytest.approx(float(family.exact(x)["log_evidence"]), abs=5 * found.standard_error + 1e-3)


def test_the_weights_both_ways() -> None:
    levels, key = inverse_temperatures(100), Key(5, 0, tuple(range(2000)))
    expected = 0.5 * math.log(8 * math.pi)
    forth = anneal(Shift(), levels, 2000, key).log_weights
    back = anneal_back(Shift(), levels, 6.0 + 2.0 * key.normal(3, (2000,)), key)
    assert float(forth.logsumexp(0)) - math.log(2000) == pytest.approx(expected, abs=0.05)
    assert math.log(2000) - float((-back).logsumexp(0)) == pytest.approx(expected, abs=0.05)
    assert float(forth.mean()) < expected < float(back.mean())


def test_schedules() -> None:
    for schedule in ("sigmoid", "linear"):
        levels = inverse_temperatures(10, schedule)
        assert (len(levels), levels[0], levels[-1]) == (11, 0.0, 1.0)
        assert all(a < b for a, b in pairwise(levels))
    sigmoid = inverse_temperatures(10)
    assert sigmoid[1] < 0.05 < sigmoid[6] - sigmoid[5]


# Scores


class Loadings(Family):
    """z_n ~ Normal(0, I), x_n ~ Normal(40 + W z_n, 0.5); the guide is off."""

    W = torch.tensor([[2.0, 0.3], [-1.0, 1.5], [0.5, 0.5]])

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            pyro.sample("x", dist.Normal(40 + z @ self.W.T, 0.5).to_event(1), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(0.3 * (x[:, :2] - 40).clamp(-2, 2), 0.6).to_event(1))


def rates(x: Tensor) -> None:
    """Of x a negative binomial; the rate is positive, so its way to the position has a Jacobian."""
    with pyro.plate("data", len(x)):
        rate = pyro.sample("rate", dist.Gamma(3.0, 0.1))
        pyro.sample("x", dist.Poisson(rate), obs=x)


ROWS = 40 + 2.5 * torch.randn(6, 3, generator=torch.Generator().manual_seed(4))
COUNTS = torch.tensor([3.0, 20.0, 45.0, 100.0, 0.0])


OF_ROWS = dist.MultivariateNormal(torch.full((3,), 40.0), Loadings.W @ Loadings.W.T + 0.25 * torch.eye(3)).log_prob(ROWS)
OF_COUNTS = torch.distributions.NegativeBinomial(3.0, probs=torch.tensor(1 / 1.1)).log_prob(COUNTS)


@pytest.mark.parametrize(
    ("program", "x", "expected"),
    [(Loadings(), ROWS, OF_ROWS), (Loadings().model, ROWS, OF_ROWS), (rates, COUNTS, OF_COUNTS)],
    ids=["from the guide", "from the prior", "with a Jacobian"],
)
def test_scores_datum_by_datum(program: Callable[..., Any], x: Tensor, expected: Tensor) -> None:
    found = score(program, x, method="ais", num_particles=100)
    assert found.kind == "estimate"
    assert ((found.value - expected).abs() < 4 * found.standard_error).all()
    assert float(found.standard_error.max()) < 0.3


def test_scores_refuse_what_belongs_to_no_datum() -> None:
    def program(x: Tensor) -> None:
        pyro.sample("idle", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 30.0))
            pyro.sample("x", dist.Normal(z, 5.0), obs=x)

    with pytest.raises(ScoreError, match="'idle' belong to no datum each"):
        score(program, X, method="ais")


# Bad input


def improper(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.ImproperUniform(dist.constraints.real, (), ()))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)


def test_an_improper_prior_is_no_base() -> None:
    with pytest.raises(EngineError, match=r"'loc' has an improper prior.*base=\"normal\""):
        AIS(**QUICK).run(improper, X)
    deviations = (X - X.mean()).square().sum()
    expected = -2 * math.log(2 * math.pi * 25) - float(deviations) / 50 - 0.5 * math.log(5)
    assert AIS(base="normal", **QUICK).run(improper, X).log_evidence == pytest.approx(expected, abs=1e-3)


def test_bases_that_do_not_fit() -> None:
    def other(x: Tensor) -> None:
        pyro.sample("location", dist.Normal(0.0, 1.0))

    def positive(x: Tensor) -> None:
        pyro.sample("loc", dist.LogNormal(3.0, 1.0))

    def near(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(x.mean(), 4.0))

    for base, words in ((other, "the base has continuous sites"), (positive, "'?loc'? have other supports in the base")):
        with pytest.raises(EngineError, match=words):
            AIS(base=base, **QUICK).run(conjugate, X)
    with pytest.raises(GuideError, match="'conjugate' has no guide of its own"):
        AIS(base="guide", **QUICK).run(conjugate, X)
    found = AIS(base=near, num_temperatures=20, **QUICK).run(conjugate, X).provenance["evidence"]
    assert abs(found["log_evidence"] - float(MARGINAL.log_prob(X))) < 4 * found["standard_error"] < 0.1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base": "posterior"}, "no base 'posterior'; there are prior, guide and normal"),
        ({"schedule": "cosine"}, "schedule must be sigmoid, linear"),
        ({"schedule": [0.0, 0.5, 0.4, 1.0]}, "inverse temperatures must rise from 0 to 1"),
        ({"num_particles": 1}, "num_particles must be at least 2"),
        ({"num_temperatures": 0}, "num_temperatures must be a whole number of at least 1"),
        ({"checkpoint": "somewhere"}, "nothing to resume"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], words: str) -> None:
    kind: type[PpgenError] = NameNotFoundError if "base" in settings else EngineError
    with pytest.raises(kind, match=words):
        AIS(**settings)
