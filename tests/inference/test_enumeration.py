"""Enumeration: Bayes's rule by hand on a published example, what it refuses and why, evidence that cannot be."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen import Program, infer, score
from ppgen.errors import CostError, EliminationError, EngineError, ZeroProbabilityError
from ppgen.inference import Enumeration

X = torch.tensor([41.5, 34.0, 44.0, 50.5])
LEVELS = torch.tensor([38.0, 42.0, 44.0])


def coin(p: float) -> dist.Categorical:
    """States no, yes."""
    return dist.Categorical(logits=torch.tensor([1 - p, p]).log())


def chest_clinic(dysp: Tensor | None = None, asia: Tensor | None = None, either: Tensor | None = None) -> None:
    """Lauritzen & Spiegelhalter, JRSS-B 50(2), 1988, table 2."""
    given = lambda rows, *parents: dist.Categorical(logits=torch.tensor(rows).log()[parents])  # noqa: E731
    visit = pyro.sample("asia", coin(0.01), obs=asia)
    smoke = pyro.sample("smoke", coin(0.5))
    tub = pyro.sample("tub", given([[0.99, 0.01], [0.95, 0.05]], visit))
    lung = pyro.sample("lung", given([[0.99, 0.01], [0.9, 0.1]], smoke))
    bronc = pyro.sample("bronc", given([[0.7, 0.3], [0.4, 0.6]], smoke))
    one = pyro.sample("either", given([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]], tub, lung), obs=either)
    pyro.sample("xray", given([[0.95, 0.05], [0.02, 0.98]], one))
    pyro.sample("dysp", given([[[0.9, 0.1], [0.2, 0.8]], [[0.3, 0.7], [0.1, 0.9]]], one, bronc), obs=dysp)


def levels(x: Tensor, *, scale: float = 5.0) -> None:
    level = pyro.sample("level", dist.Categorical(torch.tensor([0.5, 0.2, 0.3])))
    with pyro.plate("data", len(x)):
        shifted = pyro.sample("shifted", dist.Bernoulli(0.3))
        pyro.sample("x", dist.Normal(LEVELS[level] + 4.0 * shifted, scale), obs=x)


def test_the_chest_clinic_has_its_published_probabilities() -> None:
    """Prior of dyspnoea, an abnormal X-ray, tuberculosis or cancer: to the digits that exact inference gives."""
    prior = Enumeration().marginals(chest_clinic)
    for site, p in {"dysp": 0.4359706, "xray": 0.11029004, "either": 0.064828}.items():
        assert float(prior[site][1]) == pytest.approx(p, abs=1e-7)


def test_evidence_by_bayes_rule() -> None:
    """p(dysp) of a visitor, written out: tub and lung join in `either`; bronc and lung share smoke."""
    evidence = Enumeration().log_evidence(chest_clinic, torch.tensor(1), torch.tensor(1))
    total = 0.0
    for smoke in (0, 1):
        lung, bronc = (0.1, 0.6) if smoke else (0.01, 0.3)
        either = 1 - (1 - 0.05) * (1 - lung)
        total += 0.5 * ((1 - either) * (0.8 * bronc + 0.1 * (1 - bronc)) + either * (0.9 * bronc + 0.7 * (1 - bronc)))
    assert evidence == pytest.approx(math.log(0.01 * total), abs=1e-6)


def test_the_most_probable_values_are_no_product_of_marginals() -> None:
    """Of all sites together: the healthy non-smoker with a normal X-ray, and of a patient short of breath a smoker with bronchitis."""
    well, log_p = Enumeration().mode(chest_clinic)
    assert not any(int(v) for n, v in well.items())
    assert log_p == pytest.approx(math.log(0.99 * 0.5 * 0.99 * 0.99 * 0.7 * 0.95 * 0.9), abs=1e-6)
    ill, log_p = Enumeration().mode(chest_clinic, torch.tensor(1))
    assert {n for n, v in ill.items() if int(v)} == {"smoke", "bronc"}
    assert log_p == pytest.approx(math.log(0.99 * 0.5 * 0.99 * 0.9 * 0.6 * 0.95 * 0.8), abs=1e-6)


def test_draws_are_independent_and_weighted_alike() -> None:
    posterior = Enumeration(num_samples=4000, seed=3).run(levels, X)
    engine = Enumeration()
    assert posterior.log_evidence == pytest.approx(engine.log_evidence(levels, X), abs=1e-9)
    assert posterior.log_weights is not None
    assert (posterior.log_weights == posterior.log_weights[0, 0]).all()
    marginals = engine.marginals(levels, X)
    observed = torch.bincount(posterior.draws["level"][0], minlength=3)
    assert stats.chisquare(observed, 4000 * marginals["level"].numpy()).pvalue > 1e-3
    share = posterior.draws["shifted"][0].mean(0)
    p = marginals["shifted"][:, 1]
    assert ((share - p).abs() < 4.5 * (p * (1 - p) / 4000).sqrt()).all()
    summary = posterior.summary()
    assert (summary["ess_bulk"] > 3000).all()


def test_tasks_take_it() -> None:
    posterior = infer(levels, X, engine=Enumeration(num_samples=500))
    assert posterior.draws["shifted"].shape == (1, 500, 4)
    value = score(posterior).value
    assert value.shape == (4,)
    assert set(posterior.predict()) >= {"x"}


def test_single_precision_and_other_lowerings_agree() -> None:
    want = Enumeration().log_evidence(levels, X)
    for engine in (Enumeration(dtype=torch.float32), Enumeration(lowering="eager"), Enumeration(lowering="recorded")):
        assert engine.log_evidence(levels, X) == pytest.approx(want, abs=1e-4)


def test_continuous_sites_are_held_or_refused() -> None:
    def program(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(40.0, 10.0))
        with pyro.plate("data", len(x)):
            shifted = pyro.sample("shifted", dist.Bernoulli(0.3))
            pyro.sample("x", dist.Normal(loc + 4.0 * shifted, 5.0), obs=x)

    with pytest.raises(EngineError, match=r"'loc' of program 'program' are continuous; hold them.*condition.*NUTS"):
        Enumeration().run(program, X)
    held = pyro.poutine.condition(program, data={"loc": torch.tensor(42.0)})
    logs = torch.distributions.Normal(torch.tensor([42.0, 46.0]), 5.0).log_prob(X[:, None]) + torch.tensor([0.7, 0.3]).log()
    torch.testing.assert_close(Enumeration().marginals(held, X)["shifted"], logs.softmax(1).double(), rtol=1e-5, atol=1e-6)
    with pytest.raises(EngineError, match=r"'loc'"):
        Enumeration().cost(program, X)


def test_what_has_no_finite_support_is_refused_by_name() -> None:
    def counts(x: Tensor) -> None:
        n = pyro.sample("n", dist.Poisson(3.0))
        pyro.sample("x", dist.Normal(n, 1.0), obs=x)

    with pytest.raises(EliminationError, match=r"'n' is discrete \(Poisson\)"):
        Enumeration().run(counts, torch.tensor(2.0))


def crowd() -> None:
    """Twelve sites of 40 values, each pair of which meets: 40^12 cells."""
    z = [pyro.sample(f"z{i:02d}", dist.Categorical(torch.ones(40))) for i in range(12)]
    for i in range(12):
        for j in range(i):
            pyro.sample(f"x{i}_{j}", dist.Normal(1.0 * (z[i] - z[j]), 1.0), obs=torch.tensor(0.0))


def test_cost_is_known_before_any_work() -> None:
    engine = Enumeration()
    assert engine.cost(levels, X) == 8 * 3 * 2 * 4  # the local site in its plate, with the level
    assert engine.cost(crowd) == 8 * 40**12
    with pytest.raises(CostError, match=r"z00, z01.*and 4 more of .* GiB, more than 2 GiB; condition on some of them"):
        engine.run(crowd)


def test_evidence_that_cannot_be_is_named() -> None:
    engine, yes, no = Enumeration(), torch.tensor(1), torch.tensor(0)

    def doubly_sure(either: Tensor, tub: Tensor) -> None:
        pyro.poutine.condition(chest_clinic, data={"tub": tub})(either=either)

    for ask in (engine.run, engine.marginals, engine.mode):
        with pytest.raises(ZeroProbabilityError, match=r"probability zero: site 'either' cannot have its value given 'tub'"):
            ask(doubly_sure, no, yes)
    assert engine.log_evidence(doubly_sure, no, yes) == -math.inf

    def dice(x: Tensor, y: Tensor) -> None:
        sides = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.25, 0.25, 0.5]]).log()
        die = pyro.sample("die", coin(0.5))
        with pyro.plate("throws", len(x)):
            pyro.sample("x", dist.Categorical(logits=sides[die]), obs=x)
            pyro.sample("y", dist.Categorical(logits=sides[die]), obs=y)

    with pytest.raises(ZeroProbabilityError, match=r"site 'x', row 2, cannot"):
        engine.run(dice, torch.tensor([1, 0, 2]), torch.tensor([1, 1, 1]))
    with pytest.raises(ZeroProbabilityError, match=r"site 'y', row 1, cannot have its value given 'x'"):
        engine.run(dice, torch.tensor([1, 0, 1]), torch.tensor([1, 3, 1]))


def test_settings_and_programs_that_make_no_sense() -> None:
    with pytest.raises(EngineError, match="num_samples"):
        Enumeration(num_samples=0)
    with pytest.raises(EngineError, match="nothing to resume"):
        Enumeration(checkpoint="somewhere")

    def plain(x: Tensor) -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0), obs=x)

    with pytest.raises(EngineError, match="no latent site"):
        Enumeration().run(plain, torch.tensor(0.3))
    assert Enumeration().log_evidence(plain, torch.tensor(0.3)) == pytest.approx(stats.norm.logpdf(0.3), abs=1e-6)


def test_programs_come_with_their_arguments_too() -> None:
    assert Enumeration().log_evidence(Program(levels, X, scale=3.0)) == Enumeration().log_evidence(levels, X, scale=3.0)
