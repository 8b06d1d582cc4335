"""EM against closed forms, published maxima, other people's programs and optimisers; it never goes down; what it refuses."""

import math
import warnings
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.distributions import constraints

from ppgen import datasets, learn, score
from ppgen.completion import Completion
from ppgen.engine import drive
from ppgen.errors import EngineError, PpgenWarning
from ppgen.inference import EM
from ppgen.inference._newton import maximise
from ppgen.inference.em import LOST, _bounded
from ppgen.keys import Key
from ppgen.models import GaussianMixture
from ppgen.posterior import Posterior
from ppgen.program import Program
from tests.tools.flat import EARTHQUAKES, bernoullis, blood_groups, flat, hidden, linkage, multivariate, normals, poissons, table

FAITHFUL = datasets.load("old-faithful").x.double()
GALAXIES = datasets.load("galaxies").x.double()  # thousands of km/s


@pytest.fixture(autouse=True)
def doubles() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def run(program: Any, *args: Any, **settings: Any) -> Posterior:
    return EM(progress=False, **settings).run(program, *args)


def loglik(posterior: Posterior) -> float:
    return -float(posterior.losses[-1])


# Against what others found


@pytest.mark.parametrize(
    ("program", "x", "published"),
    [
        (multivariate(2), FAITHFUL, -1130.264),
        (normals(2, equal=True), GALAXIES, -230.352),
        (normals(3, equal=True), GALAXIES, -212.352),
        (normals(4, equal=True), GALAXIES, -207.722),
        (normals(3), GALAXIES, -203.179),
        (poissons(2), EARTHQUAKES, -360.3690),
        (poissons(3), EARTHQUAKES, -356.8489),
        (poissons(4), EARTHQUAKES, -356.7337),
        (hidden(2), EARTHQUAKES, -341.8787),
        (hidden(2, stationary=True), EARTHQUAKES, -342.3183),
        (hidden(3, stationary=True), EARTHQUAKES, -329.4603),
    ],
)
def test_published_maxima(program: Any, x: Tensor, published: float) -> None:
    """Best of several starts or of direct maximisation: Zucchini & MacDonald (2009) for earthquakes, 25 starts for galaxies."""
    posterior = run(program, x, num_starts=20 if published == -329.4603 else 10, tolerance=1e-10)
    assert loglik(posterior) == pytest.approx(published, abs=6e-4)
    assert posterior.stats["converged"].item()


def test_the_estimate_of_old_faithful() -> None:
    posterior = run(multivariate(2), FAITHFUL)
    loc, order = posterior.draws["loc"][0, 0].sort(0)
    assert torch.allclose(posterior.draws["weights"][0, 0][order[:, 0]], torch.tensor([0.3559, 0.6441]), atol=1e-4)
    assert torch.allclose(loc, torch.tensor([[2.0364, 54.4785], [4.2897, 79.9681]]), atol=1e-3)
    z = posterior.draws["z"][0, 0]
    assert torch.equal(z.bool(), (FAITHFUL[:, 0] > 3.0) == bool(order[1, 0]))


@pytest.mark.slow
def test_published_maxima_that_take_long() -> None:
    assert loglik(run(multivariate(3, tied=True), FAITHFUL)) >= -1126.33
    assert loglik(run(normals(6, equal=True), GALAXIES, num_starts=40)) == pytest.approx(-197.011, abs=1e-3)
    start = {"rate": torch.tensor([11.0, 14.0, 20.0, 30.0])}  # anywhere, 1 start in 300 finds this one of many maxima
    assert loglik(run(hidden(4, stationary=True), EARTHQUAKES, start=start)) == pytest.approx(-327.8316, abs=6e-4)


def test_linkage() -> None:
    """Rao (1973); Dempster, Laird & Rubin (1977), section 1: the root of 197 pi^2 - 15 pi - 68."""
    posterior = run(linkage, torch.tensor([125.0, 18.0, 20.0, 34.0]), num_starts=1, tolerance=1e-15)
    assert posterior.draws["pi"].item() == pytest.approx((15 + (15**2 + 4 * 197 * 68) ** 0.5) / (2 * 197), abs=1e-7)


def test_blood_groups() -> None:
    """Gene frequencies by EM, which geneticists called counting: against a direct maximum of the multinomial likelihood."""
    counts = torch.tensor([186.0, 38.0, 13.0, 284.0])

    def loss(u: Any) -> float:
        p, q, r = torch.cat([torch.as_tensor(u), torch.zeros(1)]).softmax(0)
        return -float((counts * torch.stack([p * p + 2 * p * r, q * q + 2 * q * r, 2 * p * q, r * r]).log()).sum())

    best = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    posterior = run(blood_groups, torch.arange(4).repeat_interleave(counts.long()), num_starts=3, tolerance=1e-14)
    assert loglik(posterior) == pytest.approx(-best.fun, abs=1e-8)
    assert torch.allclose(posterior.draws["frequencies"][0, 0], torch.cat([torch.as_tensor(best.x), torch.zeros(1)]).softmax(0), atol=1e-6)


def test_scikit_learn_from_the_same_start() -> None:
    from sklearn.mixture import GaussianMixture as Theirs

    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        start = FAITHFUL[torch.randperm(272, generator=generator)[:2]]
        theirs = Theirs(2, tol=1e-12, max_iter=5000, reg_covar=0.0, means_init=start.numpy(), weights_init=[0.5, 0.5])
        theirs.precisions_init = torch.linalg.inv(FAITHFUL.mT.cov()).expand(2, 2, 2).numpy()
        theirs.fit(FAITHFUL.numpy())
        root = torch.linalg.cholesky(FAITHFUL.mT.cov())
        scale = root.norm(dim=1)
        begin = {"weights": torch.tensor([0.5, 0.5]), "loc": start, "scale": scale.expand(2, 2)}
        begin["correlation"] = (root / scale[:, None]).expand(2, 2, 2)
        ours = run(multivariate(2), FAITHFUL, num_starts=1, start=begin, accelerate=False, tolerance=1e-12)
        assert loglik(ours) == pytest.approx(theirs.score(FAITHFUL.numpy()) * 272, abs=1e-6)
        assert ours.losses[0] > ours.losses[-1]


def test_one_step_is_that_of_the_textbook() -> None:
    """Weighted means, standard deviations and shares, by the responsibilities of the start."""
    start = {"weights": torch.tensor([0.3, 0.7]), "loc": torch.tensor([10.0, 22.0]), "scale": torch.tensor([2.0, 3.0])}
    posterior = only(1, normals(2), GALAXIES, start=start)
    log_p = torch.distributions.Normal(start["loc"], start["scale"]).log_prob(GALAXIES[:, None]) + start["weights"].log()
    r = log_p.softmax(1)
    loc = (r * GALAXIES[:, None]).sum(0) / r.sum(0)
    scale = ((r * (GALAXIES[:, None] - loc) ** 2).sum(0) / r.sum(0)).sqrt()
    assert torch.allclose(posterior.draws["weights"][0, 0], r.mean(0), rtol=1e-4)
    assert torch.allclose(posterior.draws["loc"][0, 0], loc, rtol=1e-4)
    assert torch.allclose(posterior.draws["scale"][0, 0], scale, rtol=1e-3)


def only(steps: int, *args: Any, **settings: Any) -> Posterior:
    """A run that is cut off after a number of plain steps."""
    with pytest.warns(PpgenWarning, match=f"num_steps after {steps} steps before it converged"):
        return run(*args, num_starts=1, num_steps=steps, accelerate=False, **settings)


def test_a_network_with_missing_values() -> None:
    """The likelihood of every row by its own sum over what is missing, maximised by another optimiser."""
    generator = torch.Generator().manual_seed(3)
    a = (torch.rand(150, generator=generator) < 0.3).double()
    b = (torch.rand(150, generator=generator) < torch.where(a > 0, 0.8, 0.25)).double()
    c = (torch.rand(150, generator=generator) < torch.where(a > 0, 0.1, 0.6)).double()
    seen = torch.rand(150, 3, generator=generator) < torch.tensor([0.5, 0.8, 0.9])

    def loss(u: Any) -> tuple[float, Any]:
        u = torch.tensor(u, requires_grad=True)
        p_a, p_b, p_c = u[0].sigmoid(), u[1:3].sigmoid(), u[3:].sigmoid()
        rows = []
        for at, p in ((0, 1 - p_a), (1, p_a)):
            term = p * torch.where(seen[:, 0], (a == at).double(), 1.0)
            for x, table_, k in ((b, p_b, 1), (c, p_c, 2)):
                term = term * torch.where(seen[:, k], torch.where(x > 0, table_[at], 1 - table_[at]), 1.0)
            rows.append(term)
        value = -(rows[0] + rows[1]).log().sum()
        (slope,) = torch.autograd.grad(value, u)
        return value.item(), slope.numpy()

    best = min((minimize(loss, torch.randn(5, generator=generator).numpy(), jac=True, tol=1e-12) for _ in range(5)), key=lambda r: r.fun)
    posterior = run(table, a, b, c, seen, tolerance=1e-12)
    assert loglik(posterior) == pytest.approx(-best.fun, abs=1e-6)
    assert torch.allclose(posterior.draws["p_a"][0, 0], torch.as_tensor(best.x[0]).sigmoid(), atol=1e-4)
    assert torch.allclose(posterior.draws["p_c"][0, 0], torch.as_tensor(best.x[3:]).sigmoid(), atol=1e-4)
    filled = posterior.draws["a_unobserved"][0, 0]
    assert set(filled.tolist()) == {0.0, 1.0}


def test_missing_numbers_integrate_out() -> None:
    mask = torch.arange(82) % 3 > 0

    def model(x: Tensor, mask: Tensor) -> None:
        loc, scale = flat("loc", constraints.real), flat("scale", constraints.positive)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, scale), obs=x, obs_mask=mask)

    posterior = run(model, GALAXIES, mask, num_starts=2)
    assert posterior.draws["loc"].item() == pytest.approx(float(GALAXIES[mask].mean()))
    assert posterior.draws["scale"].item() == pytest.approx(float(GALAXIES[mask].std(correction=0)))
    assert torch.equal(posterior.draws["x"][0, 0][mask], GALAXIES[mask])
    assert (posterior.draws["x"][0, 0][~mask] - GALAXIES.mean()).abs().max() < 5 * GALAXIES.std()


# Priors, parameters, programs of other kinds


def test_priors_count_or_not() -> None:
    x = torch.tensor([1.0, 1.0, 0.0, 1.0])

    def coin(x: Tensor) -> None:
        p = pyro.sample("p", dist.Beta(3.0, 4.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Bernoulli(p), obs=x)

    assert run(coin, x).draws["p"].item() == pytest.approx(5 / 9, abs=1e-7)  # (3 + 3 - 1) / (7 + 4 - 2): no Jacobian
    assert run(coin, x, priors=False).draws["p"].item() == pytest.approx(3 / 4, abs=1e-7)


def test_maximum_a_posteriori_of_a_family() -> None:
    """The gradient of the log joint by constrained values is zero, by the family's own formula."""
    family = GaussianMixture(2, like=GALAXIES)
    posterior = run(family, GALAXIES, tolerance=1e-14)
    values = {n: posterior.draws[n][0, 0].clone().requires_grad_() for n in ("loc", "scale", "weights")}
    priors = family.priors()
    total = family.log_likelihood(GALAXIES, values).sum() + sum(priors[n].log_prob(values[n]).sum() for n in priors)
    total = total + (family.concentration - 1).double() @ values["weights"].log()
    assert loglik(posterior) == pytest.approx(total.item() + math.log(6.0), abs=1e-6)
    slopes = torch.autograd.grad(total, list(values.values()))
    assert slopes[0].abs().max() < 1e-2
    assert slopes[1].abs().max() < 1e-2
    assert float(slopes[2].std()) < 1e-2 * float(slopes[2].mean())  # on the simplex


def shares(x: Tensor) -> None:
    weights = pyro.param("weights", torch.tensor([0.5, 0.5]), constraint=constraints.simplex)
    loc = pyro.param("loc", torch.tensor([10.0, 25.0]))
    scale = pyro.param("scale", torch.tensor(3.0), constraint=constraints.positive)
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(loc[z], scale), obs=x)


def test_parameters_of_the_program() -> None:
    """One more coordinate than there are shares: a direction in which nothing changes, and nothing moves."""
    posterior = run(shares, GALAXIES, num_starts=1)
    assert loglik(posterior) == pytest.approx(-230.352, abs=1e-3)
    assert posterior.params["weights"].abs().max() < 10
    learned = learn(shares, GALAXIES, engine=EM(progress=False, num_starts=1))
    assert torch.equal(learned.params["loc"], posterior.params["loc"])
    assert float(score(learned).value.sum()) == pytest.approx(loglik(posterior))


class Logistic(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Tensor, y: Tensor) -> None:
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Bernoulli(logits=self.linear(x)[:, 0]), obs=y)


def test_maximum_likelihood_without_discrete_sites() -> None:
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 3, generator=generator) * torch.tensor([1.0, 50.0, 0.01]) + torch.tensor([5.0, 300.0, 0.0])
    y = (torch.rand(100, generator=generator) < (x[:, 0] - 5.0).sigmoid()).double()
    module = Logistic()
    before = module.linear.weight.clone()
    posterior = run(module, x, y, num_starts=1, tolerance=1e-14)
    z = (x - x.mean(0)) / x.std(0)
    theirs = LogisticRegression(C=1e14, tol=1e-12, max_iter=10_000).fit(z, y)
    assert torch.allclose(posterior.params["linear.weight"][0] * x.std(0), torch.as_tensor(theirs.coef_[0]), atol=1e-4)
    assert torch.equal(module.linear.weight, before)
    assert len(posterior.losses) <= 3
    assert not posterior.draws


def test_learn_holds_a_familys_estimate() -> None:
    learned = learn(GaussianMixture(2, like=GALAXIES), GALAXIES, engine=EM(progress=False))
    assert not [s for s in learned.latent if s.continuous]
    assert float(score(learned).value.mean()) > -2.9


def test_single_precision() -> None:
    posterior = run(normals(2, equal=True), GALAXIES, dtype=torch.float32)
    assert posterior.draws["loc"].dtype == torch.float32
    assert loglik(posterior) == pytest.approx(-230.352, abs=0.01)


# It never goes down


def rows(count: int, seed: int, *shape: int) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


RANDOM = {
    "normals, scales of their own": (normals(3), lambda s: 40.0 + 5.0 * torch.randn(60, generator=torch.Generator().manual_seed(s))),
    "normals, one scale": (normals(3, equal=True), lambda s: 1e-3 * rows(60, s)),
    "normals in two dimensions": (multivariate(2), lambda s: rows(60, s, 2) * torch.tensor([1.0, 100.0])),
    "Poisson": (poissons(3), lambda s: (20 * rows(60, s)).floor()),
    "Bernoulli": (bernoullis(3), lambda s: rows(60, s, 5).round()),
    "chain": (hidden(3), lambda s: (20 * rows(60, s)).floor()),
    "stationary chain": (hidden(2, stationary=True), lambda s: (20 * rows(60, s)).floor()),
    "network with missing values": (table, lambda s: (*rows(60, s, 3).round().unbind(1), rows(60, s + 1, 3) < 0.7)),
    "priors": (GaussianMixture(2), lambda s: torch.randn(60, generator=torch.Generator().manual_seed(s))),
    "parameters": (shares, lambda s: 20.0 + 5.0 * torch.randn(60, generator=torch.Generator().manual_seed(s))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RANDOM)
def test_it_never_goes_down(name: str) -> None:
    """500 runs, 50 of each kind, on 2 random data sets: no E and M step lowers the objective by more than rounding, though nothing keeps
    it from that but what it is; the objective is what the density says; and where a run ends, the density's gradient vanishes."""
    program, make = RANDOM[name]
    for seed in range(2):
        data = make(seed)
        args = data if isinstance(data, tuple) else (data,)
        engine = EM(num_starts=25, seed=seed, progress=False, num_steps=15, accelerate=False)
        target = Completion(Program(program, *args), points=25, priors=True)
        state, tuning = engine.init(target, Key(seed, 0, engine.chains))
        for _ in range(15):
            there, _ = maximise(lambda q, d: target.expected(q, d, state.weights), state.point, tuning.blocks, _bounded(target))  # noqa: B023
            value = target.evidence(there)[0]
            lost = state.status == LOST
            assert (lost | (value >= state.value - 1e-9 * (1 + state.value.abs()))).all()
            state, _ = engine.step(target, state, tuning, Key(seed))
        if not target.params:
            position = torch.stack([target.position(p) for p in state.point])
            values = target.density.constrain(position)
            again = target.conditionals({}).log_evidence(values, 25)
            assert torch.allclose(again, state.value, rtol=1e-9)


def test_losses_fall_and_runs_end_where_the_gradient_vanishes() -> None:
    engine = EM(num_starts=8, progress=False, tolerance=1e-14)
    target = Completion(Program(poissons(2), EARTHQUAKES), points=8, priors=True)
    found = drive(engine, target)
    losses = found.stats["losses"]
    assert (losses.diff(dim=1) <= 0).all()
    directions = torch.zeros(1, target.dim)
    assert target.expected(found.state.point, directions, found.state.weights).gradient.abs().max() < 1e-3


# Where there is no maximum, or the data say nothing


def test_a_component_on_one_datum_is_told_of() -> None:
    x = torch.cat([torch.linspace(-1.0, 1.0, 20), torch.tensor([50.0, 50.0])])
    with pytest.warns(PpgenWarning, match=r"of 10 starts ran away: site 'scale'\[[01]\] goes to the end of its support"):
        posterior = run(normals(2), x)
    assert torch.isfinite(posterior.losses).all()
    assert posterior.provenance["stopped"].startswith(("no maximum", "tolerance"))
    assert loglik(run(GaussianMixture(2, like=x), x)) < 0  # with priors there is a maximum


def test_an_empty_component_is_told_of() -> None:
    start = {"loc": torch.tensor([20.0, 500.0]), "scale": torch.tensor([5.0, 1.0])}
    with pytest.warns(PpgenWarning, match=r"value 1 of site 'z' is empty"):
        run(normals(2), GALAXIES, num_starts=1, start=start | {"weights": torch.tensor([0.5, 0.5])})


def test_refusals() -> None:
    def local(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
        with pyro.plate("data", len(x)):
            effect = pyro.sample("effect", dist.Normal(loc, 1.0))
            pyro.sample("x", dist.Normal(effect, 1.0), obs=x)

    def known(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Bernoulli(0.5))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def some(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
        with pyro.plate("data", len(x), subsample_size=5) as rows:
            pyro.sample("x", dist.Normal(loc, 1.0), obs=x[rows])

    with pytest.raises(EngineError, match=r"'effect' is continuous and inside the data plate 'data', and 'x' depends on it"):
        run(local, GALAXIES)
    with pytest.raises(EngineError, match="nothing to maximise over"):
        run(known, GALAXIES)
    with pytest.raises(EngineError, match="plate data shows but some"):
        run(some, GALAXIES)
    with pytest.raises(EngineError, match="no eager form"):
        run(poissons(2), EARTHQUAKES, lowering="eager")
    with pytest.raises(EngineError, match="num_starts"):
        EM(num_starts=0)
    with pytest.raises(EngineError, match="tolerance"):
        EM(tolerance=-1.0)


# The driver's promises


def test_killed_and_resumed_to_the_bit(tmp_path: Any) -> None:
    whole = run(poissons(3), EARTHQUAKES)
    with pytest.warns(PpgenWarning, match="before it converged"):
        run(poissons(3), EARTHQUAKES, num_steps=7, checkpoint=tmp_path)
    resumed = run(poissons(3), EARTHQUAKES, checkpoint=tmp_path)
    assert torch.equal(whole.losses, resumed.losses)
    assert all(torch.equal(v, resumed.draws[n]) for n, v in whole.draws.items())


def test_saved_and_loaded(tmp_path: Any) -> None:
    posterior = run(poissons(2), EARTHQUAKES)
    loaded = Posterior.load(posterior.save(tmp_path / "fit"))
    assert torch.equal(loaded.stats["start_losses"], posterior.stats["start_losses"])
    assert loaded.provenance["stopped"] == posterior.provenance["stopped"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(posterior.to_arviz()["posterior"].data_vars) == set(posterior.draws)
