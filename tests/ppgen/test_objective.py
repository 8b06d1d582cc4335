"""The objective: with the exact posterior in the guide the bound equals the log evidence on every draw; gradients against
closed forms; rows; guides that are refused."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroParam, PyroSample
from scipy import special, stats
from torch import Tensor
from torch.distributions import constraints

from ppgen.errors import GuideError, RecordingError
from ppgen.guides import FlatGuide, Noise
from ppgen.keys import Key
from ppgen.objective import Inputs, Objective
from ppgen.program import Program

X = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1, -0.4, 0.9], dtype=torch.float64)
COUNTS = torch.tensor([3.0, 5.0, 2.0, 4.0, 7.0, 1.0], dtype=torch.float64)
HOURS = torch.tensor([1.0, 2.5, 0.5, 2.0, 3.0, 1.5], dtype=torch.float64)
FLIPS = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0], dtype=torch.float64)


def d(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


# Conjugate pairs: model, guide at the exact posterior, and the log evidence from outside


def normal(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(d(30.0), 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)


def normal_guide(x: Tensor) -> None:
    precision = 1 / 20.0**2 + len(x) / 5.0**2
    loc = (30.0 / 20.0**2 + x.sum() / 5.0**2) / precision
    pyro.sample("loc", dist.Normal(loc + pyro.param("off", d(0.0)), precision**-0.5 * pyro.param("by", d(1.0)).abs()))


def normal_evidence(x: np.ndarray) -> float:
    cov = 25.0 * np.eye(len(x)) + 400.0
    return stats.multivariate_normal(np.full(len(x), 30.0), cov).logpdf(x)


def coin(x: Tensor) -> None:
    p = pyro.sample("p", dist.Beta(d(2.0), d(3.0)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Bernoulli(p), obs=x)


def coin_guide(x: Tensor) -> None:
    pyro.sample("p", dist.Beta(2.0 + x.sum() * pyro.param("by", d(1.0)), 3.0 + (1 - x).sum()))


def coin_evidence(x: np.ndarray) -> float:
    return special.betaln(2 + x.sum(), 3 + (1 - x).sum()) - special.betaln(2, 3)


def rate(x: Tensor, hours: Tensor) -> None:
    r = pyro.sample("rate", dist.Gamma(d(2.0), d(0.5)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Poisson(r * hours), obs=x)


def rate_guide(x: Tensor, hours: Tensor) -> None:
    pyro.sample("rate", dist.Gamma(2.0 + x.sum() * pyro.param("by", d(1.0)), 0.5 + hours.sum()))


def rate_evidence(x: np.ndarray, hours: np.ndarray) -> float:
    a, b = 2 + x.sum(), 0.5 + hours.sum()
    prior = 2 * math.log(0.5) - special.gammaln(2)
    return prior + (x * np.log(hours) - special.gammaln(x + 1)).sum() + special.gammaln(a) - a * math.log(b)


def die(x: Tensor) -> None:
    p = pyro.sample("p", dist.Dirichlet(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Categorical(p), obs=x)


def die_guide(x: Tensor) -> None:
    counts = (x[:, None] == torch.arange(3)).sum(0)
    pyro.sample("p", dist.Dirichlet(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64) + counts * pyro.param("by", d(1.0))))


def die_evidence(x: np.ndarray) -> float:
    prior = np.array([1.0, 2.0, 0.5])
    log_beta = lambda a: special.gammaln(a).sum() - special.gammaln(a.sum())  # noqa: E731
    return log_beta(prior + np.bincount(x, minlength=3)) - log_beta(prior)


def line(x: Tensor, y: Tensor) -> None:
    w = pyro.sample("w", dist.MultivariateNormal(torch.zeros(2, dtype=torch.float64), 9.0 * torch.eye(2, dtype=torch.float64)))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(w[0] + w[1] * x, 2.0), obs=y)


def line_guide(x: Tensor, y: Tensor) -> None:
    design = torch.stack([torch.ones_like(x), x], -1)
    precision = torch.eye(2).to(x) / 9.0 + design.mT @ design / 4.0
    loc = torch.linalg.solve(precision, design.mT @ y / 4.0)
    pyro.sample("w", dist.MultivariateNormal(loc + pyro.param("off", torch.zeros(2).to(x)), precision_matrix=precision))


def line_evidence(x: np.ndarray, y: np.ndarray) -> float:
    design = np.stack([np.ones_like(x), x], -1)
    return stats.multivariate_normal(np.zeros(len(x)), 4.0 * np.eye(len(x)) + 9.0 * design @ design.T).logpdf(y)


def two_places(x: Tensor) -> None:
    """One datum from one of two places, and where the place is unknown: the sum over places of normals is exact."""
    z = pyro.sample("z", dist.Categorical(torch.tensor([0.3, 0.7], dtype=torch.float64)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(torch.tensor([35.0, 44.0], dtype=torch.float64)[z], 5.0), obs=x)


def two_places_guide(x: Tensor) -> None:
    """The exact probabilities of the place."""
    each = dist.Normal(torch.tensor([35.0, 44.0], dtype=torch.float64), 5.0).log_prob(x[:, None]).sum(0)
    logits = each + torch.tensor([0.3, 0.7], dtype=torch.float64).log() + pyro.param("off", torch.zeros(2).to(x))
    pyro.sample("z", dist.Categorical(logits=logits))


def two_places_evidence(x: np.ndarray) -> float:
    return special.logsumexp([math.log(w) + stats.norm(m, 5).logpdf(x).sum() for w, m in ((0.3, 35.0), (0.7, 44.0))])


def clusters(x: Tensor) -> None:
    """Local labels, global weights: the guide gives each label its exact probability given the weights."""
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(2, dtype=torch.float64)))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(torch.tensor([35.0, 44.0], dtype=torch.float64)[z], 5.0), obs=x)


class Case(NamedTuple):
    model: Callable
    guide: Callable
    data: tuple[Tensor, ...]
    evidence: Callable[..., float]


EXACT = {
    "normal": Case(normal, normal_guide, (X,), normal_evidence),
    "coin": Case(coin, coin_guide, (FLIPS,), coin_evidence),
    "rate": Case(rate, rate_guide, (COUNTS, HOURS), rate_evidence),
    "die": Case(die, die_guide, (torch.tensor([0, 2, 1, 1, 0, 1]),), die_evidence),
    "line": Case(line, line_guide, (HOURS, X), line_evidence),
    "two places": Case(two_places, two_places_guide, (X[:2],), two_places_evidence),
}


def objective(case: Case, **settings: Any) -> Objective:
    return Objective(Program(case.model, *case.data), case.guide, key=Key(0), dtype=torch.float64, **settings)


@pytest.mark.parametrize("name", list(EXACT))
@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_exact_posterior_gives_the_log_evidence_on_every_draw(name: str, lowering: str) -> None:
    case = EXACT[name]
    target = objective(case, lowering=lowering)
    assert target.lowering.name == lowering
    evidence = case.evidence(*[t.numpy() for t in case.data])
    _, weights = target.draws(target.params, Key(3), 20)
    torch.testing.assert_close(weights, torch.full((20,), evidence, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    for step in range(3):  # one particle each: no mean hides a draw
        loss, gradient = target.value_and_grad(target.params, target.inputs(Key(1).at(step)))
        assert float(loss) == pytest.approx(-evidence, abs=1e-9)
        assert set(gradient) == set(target.params)


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
@pytest.mark.parametrize("name", ["normal", "coin", "rate", "die", "line"])
def test_no_noise_is_left_where_the_guide_is_exact(name: str, lowering: str) -> None:
    """The gradient by the values alone is 0 on every draw of an exact posterior; that by the parameters too is 0 on the mean."""
    sizes = []
    for by_values in (True, False):
        target = objective(EXACT[name], lowering=lowering, by_values=by_values)
        each = [target.value_and_grad(target.params, target.inputs(Key(1).at(step)))[1] for step in range(4)]
        sizes.append(max(float(g.abs().max()) for gradient in each for g in gradient.values()))
    assert sizes[0] < 1e-8
    assert sizes[1] > 1e-2


def test_densities_that_remember_their_draw_keep_the_plain_gradient() -> None:
    """A transformed draw's density is read from what it was made of: no way back is taken, which some transforms do not know."""

    class OneWay(torch.distributions.transforms.ExpTransform):
        def _inverse(self, y: Tensor) -> Tensor:
            raise NotImplementedError

    def positive(x: Tensor) -> None:
        scale = pyro.sample("scale", dist.LogNormal(d(1.0), 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(d(40.0), scale), obs=x)

    def guide(x: Tensor) -> None:
        base = dist.Normal(pyro.param("loc", d(1.5)), 0.3)
        pyro.sample("scale", dist.TransformedDistribution(base, [OneWay()]))

    target = Objective(Program(positive, X), guide, key=Key(0), dtype=torch.float64)
    inputs = target.inputs(Key(2))
    up, down = (float(target.value_and_grad({"loc": d(1.5 + s * 1e-5)}, inputs)[0]) for s in (1, -1))
    assert float(target.value_and_grad(target.params, inputs)[1]["loc"]) == pytest.approx((up - down) / 2e-5, rel=1e-6)


def gaussian_kl(off: float, by: float) -> float:
    """KL(q || p) of normals whose means differ by `off` sds and whose sds have the ratio `by`."""
    return 0.5 * (by**2 + off**2 - 1) - math.log(by)


def test_bound_and_gradient_are_those_of_a_gaussian_kl() -> None:
    """ELBO = log evidence - KL; 40,000 particles, 5 standard errors."""
    target = objective(EXACT["normal"], num_particles=40_000)
    sd = (1 / 20.0**2 + len(X) / 5.0**2) ** -0.5
    params = {"off": d(0.7 * sd), "by": d(1.3)}
    loss, gradient = target.value_and_grad(params, target.inputs(Key(8)))
    assert float(loss) == pytest.approx(-normal_evidence(X.numpy()) + gaussian_kl(0.7, 1.3), abs=5 * 1.4 / 200)
    assert float(gradient["off"]) * sd == pytest.approx(0.7, abs=5 * 1.3 / 200)
    assert float(gradient["by"]) == pytest.approx(1.3 - 1 / 1.3, abs=5 * 2.5 / 200)


@pytest.mark.parametrize("name", ["coin", "rate", "die"])
def test_gradient_through_gammas_is_that_of_the_kl(name: str) -> None:
    """No noise input carries a gamma: the gradient is implicit. The bound's slope by quadrature, or by the closed form."""
    case = EXACT[name]
    target = objective(case, num_particles=20_000)
    values = [target.value_and_grad({"by": d(by)}, target.inputs(Key(4)))[0] for by in (0.5, 0.7)]
    slope = target.value_and_grad({"by": d(0.6)}, target.inputs(Key(5)))[1]["by"]
    assert float(slope) == pytest.approx(float(values[1] - values[0]) / 0.2, abs=0.05 * abs(float(slope)) + 0.02)
    assert float(slope) < -0.2  # it pulls towards the exact posterior at 1


def test_gradient_against_finite_differences() -> None:
    """With the noise held, the recorded loss is a smooth function of the parameters."""
    target = objective(EXACT["line"], num_particles=3, by_values=False)
    inputs = target.inputs(Key(2))
    at = {"off": torch.tensor([0.4, -0.2], dtype=torch.float64)}
    gradient = target.value_and_grad(at, inputs)[1]["off"]
    for i in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = 1e-5
        up, down = (target.value_and_grad({"off": at["off"] + s * step}, inputs)[0] for s in (1, -1))
        assert float(gradient[i]) == pytest.approx(float(up - down) / 2e-5, rel=1e-6, abs=1e-8)


def test_enumerated_in_the_guide_is_a_looser_bound_by_the_kl_of_the_labels() -> None:
    """Labels with probabilities of the guide's own: ELBO = exact - sum over rows of KL(q(z) || p(z | x, weights))."""

    def guide(x: Tensor) -> None:
        weights = pyro.sample("weights", dist.Delta(torch.tensor([0.4, 0.6], dtype=torch.float64), event_dim=1))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Categorical(logits=pyro.param("logits", torch.zeros(len(x), 2).to(x))))
        assert weights.shape == (2,)

    def without(x: Tensor) -> None:
        pyro.sample("weights", dist.Delta(torch.tensor([0.4, 0.6], dtype=torch.float64), event_dim=1))
        pyro.param("unused", torch.zeros(1).to(x))

    program = Program(clusters, X)
    losses = []
    for g in (guide, without):
        target = Objective(program, g, key=Key(0), dtype=torch.float64)
        losses.append(float(target.value_and_grad(target.params, target.inputs(Key(0)))[0]))
    weights, means = np.array([0.4, 0.6]), np.array([35.0, 44.0])
    log_joint = np.log(weights) + stats.norm(means, 5.0).logpdf(X.numpy()[:, None])
    exact = special.logsumexp(log_joint, -1)
    log_post = log_joint - exact[:, None]
    kl = (0.5 * (math.log(0.5) - log_post)).sum()
    assert losses[1] == pytest.approx(-exact.sum(), abs=1e-9)  # the Dirichlet(1, 1) has density 1
    assert losses[0] - losses[1] == pytest.approx(kl, abs=1e-9)


def test_rows_of_an_epoch_are_all_rows_once() -> None:
    target = objective(EXACT["normal"], batch_size=4)  # 6 rows: an epoch ends within a step
    seen = torch.cat([target.supply.rows(Key(5).at(t))["arguments"] for t in range(9)])  # 36 rows, six epochs
    assert len(seen) == 36
    for epoch in seen.reshape(6, 6):
        assert epoch.sort().values.tolist() == list(range(6))
    assert len({tuple(e.tolist()) for e in seen.reshape(6, 6)}) > 1
    again = target.supply.rows(Key(5).at(4))["arguments"]
    assert again.tolist() == seen[16:20].tolist()


def test_minibatches_are_unbiased() -> None:
    """With the noise held, loss and gradient averaged over the steps of an epoch are those of all rows."""

    def guide(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(pyro.param("at", d(41.0)), pyro.param("by", d(3.0))))

    whole, parts = (Objective(Program(normal, X), guide, key=Key(0), batch_size=size, dtype=torch.float64) for size in (None, 2))
    at = {"at": d(43.0), "by": d(2.0)}
    noise = whole.inputs(Key(1)).noise
    loss, gradient = whole.value_and_grad(at, Inputs(noise, {}, {}, 0))
    steps = [parts.value_and_grad(at, Inputs(noise, parts.supply.rows(Key(1).at(t)), {}, 0)) for t in range(3)]
    assert len({float(step) for step, _ in steps}) == 3
    assert sum(float(step) for step, _ in steps) / 3 == pytest.approx(float(loss), rel=1e-12)
    for n, g in gradient.items():
        assert sum(float(slope[n]) for _, slope in steps) / 3 == pytest.approx(float(g), rel=1e-10)


def amortised(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros_like(x) + 40.0, 3.0))
        pyro.sample("x", dist.Normal(z, 4.0), obs=x)


def amortised_guide(x: Tensor) -> None:
    """Exact: given other rows than the model's it is far from it."""
    precision = 1 / 9.0 + 1 / 16.0
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal((40.0 / 9.0 + x / 16.0) / precision + pyro.param("off", d(0.0)), precision**-0.5))


def test_model_and_guide_see_the_same_rows() -> None:
    """An amortised guide that is exact gives the evidence of its minibatch, scaled, on every draw; on other rows it could not."""
    target = Objective(Program(amortised, X), amortised_guide, key=Key(0), batch_size=2, dtype=torch.float64)
    assert target.lowering.name == "native"
    for step in range(7):
        inputs = target.inputs(Key(3).at(step))
        rows = X[inputs.rows["arguments"]].numpy()
        expected = 3.0 * stats.norm(40.0, 5.0).logpdf(rows).sum()
        assert float(target.value_and_grad(target.params, inputs)[0]) == pytest.approx(-expected, abs=1e-9)


def subsampled(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(d(30.0), 20.0))
    with pyro.plate("data", len(x), subsample_size=4) as rows:
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x[rows])


def test_a_program_that_subsamples_itself_is_weighed_on_all_rows() -> None:
    target = Objective(Program(subsampled, X), normal_guide, key=Key(0), dtype=torch.float64)
    _, weights = target.draws(target.params, Key(0), 10)
    torch.testing.assert_close(weights, torch.full((10,), normal_evidence(X.numpy()), dtype=torch.float64), rtol=0, atol=1e-9)
    losses = [float(target.value_and_grad(target.params, target.inputs(Key(0).at(t)))[0]) for t in range(3)]
    assert len(set(losses)) == 3  # other rows at every step


def test_draws_do_not_depend_on_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    target = objective(EXACT["line"])
    whole = target.draws(target.params, Key(1), 50)
    monkeypatch.setattr("ppgen.objective.CHUNK", 6 * 7)
    parts = target.draws(target.params, Key(1), 50)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)
    assert len(whole[0].unique(dim=0)) == 50


def test_every_noise_has_a_stream_of_its_own() -> None:
    """Two sites of equal shape whose draws would be equal, or mirrored, if they shared their numbers."""

    def guide(x: Tensor) -> None:
        pyro.param("unused", d(0.0))
        a = pyro.sample("a", dist.Normal(d(0.0), 1.0))
        pyro.sample("b", dist.Normal(0.0 * a, 1.0))
        pyro.sample("c", dist.Uniform(d(0.0), 1.0))

    def model(x: Tensor) -> None:
        a, b = pyro.sample("a", dist.Normal(d(0.0), 1.0)), pyro.sample("b", dist.Normal(d(0.0), 1.0))
        c = pyro.sample("c", dist.Uniform(d(0.0), 1.0))
        pyro.sample("x", dist.Normal(a + b + c, 1.0), obs=x)

    target = Objective(Program(model, d(1.0)), guide, key=Key(0), dtype=torch.float64)
    position, _ = target.draws(target.params, Key(0), 4000)
    correlation = torch.corrcoef(position.T)
    assert float((correlation - torch.eye(3)).abs().max()) < 4 / math.sqrt(4000)


# Parameters


class Learned(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.scale = PyroParam(d(4.0), constraints.positive)
        self.slope = torch.nn.Parameter(d(1.5))
        self.loc = PyroSample(dist.Normal(d(30.0), 20.0))

    def forward(self, x: Tensor) -> None:
        loc = self.loc * 1.0
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc + self.slope, self.scale), obs=x)


class Guide(PyroModule):
    """Its `scale` is another number than the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.where = torch.nn.Parameter(d(38.0))
        self.scale = PyroParam(d(2.0), constraints.positive)

    def forward(self, x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(self.where, self.scale))


def test_modules_of_model_and_guide_keep_their_parameters_apart() -> None:
    model, guide = Learned(), Guide()
    target = Objective(Program(model, X), guide, key=Key(0), num_particles=20_000, dtype=torch.float64)
    assert set(target.params) == {"scale_unconstrained", "slope", "where", "guide.scale_unconstrained"}
    params = {**target.params, "scale_unconstrained": d(math.log(6.0)), "slope": d(-1.0), "where": d(41.0)}
    loss, gradient = target.value_and_grad(params, target.inputs(Key(0)))
    # E_q log p: every expectation of a normal's log density under a normal is closed
    residual = X.numpy() + 1.0 - 41.0
    log_p = stats.norm(0, 6).logpdf(residual).sum() - len(X) * 4.0 / (2 * 36.0)
    log_p += stats.norm(30, 20).logpdf(41.0) - 4.0 / (2 * 400.0)
    entropy = stats.norm(0, 2).entropy()
    assert float(loss) == pytest.approx(-(log_p + entropy), abs=0.05)
    assert float(gradient["slope"]) == pytest.approx(-residual.sum() / 36.0, abs=0.03)
    assert float(model.scale.detach()) == pytest.approx(4.0)
    assert float(guide.where.detach()) == 38.0


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_a_module_that_a_guide_function_learns_stays_the_users(lowering: str) -> None:
    """`pyro.module` in a guide that is a function: what is learned is a copy, also where the module itself is called."""
    encoder = torch.nn.Linear(1, 1).double()
    before = {n: p.detach().clone() for n, p in encoder.named_parameters()}

    def guide(x: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(40.0 + encoder((x[:, None] - 40.0) / 5.0)[:, 0], (1 / 9.0 + 1 / 16.0) ** -0.5))

    target = Objective(Program(amortised, X), guide, key=Key(0), dtype=torch.float64, lowering=lowering)
    assert set(target.params) == {"encoder$$$weight", "encoder$$$bias"}
    precision = 1 / 9.0 + 1 / 16.0
    exact = {"encoder$$$weight": d(5.0 / 16.0 / precision).reshape(1, 1), "encoder$$$bias": d(0.0).reshape(1)}
    evidence = stats.norm(40.0, 5.0).logpdf(X.numpy()).sum()
    for step in range(3):
        inputs = target.inputs(Key(1).at(step))
        assert float(target.value_and_grad(exact, inputs)[0]) == pytest.approx(-evidence, abs=1e-9)
        gradient = target.value_and_grad(target.params, inputs)[1]
        assert all(float(g.abs().max()) > 0 for g in gradient.values())
    for n, p in encoder.named_parameters():
        assert torch.equal(p, before[n])
        assert p.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_precisions(dtype: torch.dtype) -> None:
    """A program in Pyro's default float32, computed in either."""

    def model(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 5.0), obs=x)

    def guide(x: Tensor) -> None:
        precision = 1 / 20.0**2 + len(x) / 5.0**2
        off = pyro.param("off", torch.tensor(0.0))
        pyro.sample("loc", dist.Normal((30.0 / 20.0**2 + x.sum() / 5.0**2) / precision + off, precision**-0.5))

    x = X.float()
    target = Objective(Program(model, x), guide, key=Key(0), dtype=dtype)
    assert target.lowering.name == "native"
    position, weights = target.draws(target.params, Key(0), 5)
    assert position.dtype == weights.dtype == dtype
    torch.testing.assert_close(
        weights.double(), torch.full((5,), normal_evidence(x.double().numpy()), dtype=torch.float64), rtol=0, atol=1e-4
    )


def test_initial_values_drawn_at_random_depend_on_the_seed_alone() -> None:
    def guide(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(pyro.param("loc_q", torch.randn(()).double()), 1.0))

    made = []
    for global_seed, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        made.append(float(Objective(Program(normal, X), guide, key=Key(seed), dtype=torch.float64).params["loc_q"]))
        assert torch.equal(torch.get_rng_state(), before)
    assert made[0] == made[1] != made[2]


# What is refused


def nothing(x: Tensor) -> None:
    pyro.param("p", d(0.0))


def more(x: Tensor) -> None:
    normal_guide(x)
    pyro.sample("other", dist.Normal(d(0.0), 1.0))


def wide(x: Tensor) -> None:
    pyro.sample("loc", dist.Normal(torch.zeros(3, dtype=torch.float64), 1.0).to_event(1))


def jagged(x: Tensor) -> None:
    pyro.sample("loc", dist.VonMises(pyro.param("p", d(0.0)), 1.0))


def broken(x: Tensor) -> None:
    raise KeyError("missing")


def arguments(x: Tensor, y: Tensor) -> None:
    pyro.sample("loc", dist.Normal(d(0.0), 1.0))


def own_rows(x: Tensor) -> None:
    normal_guide(x)
    with pyro.plate("mine", len(x), subsample_size=2):
        pass


@pytest.mark.parametrize(
    ("guide", "words"),
    [
        (nothing, ["'loc'", "does not sample"]),
        (more, ["'other'", "the model does not"]),
        (wide, ["'loc'", "()", "(3,)"]),
        (jagged, ["'loc'", "VonMises", "rsample"]),
        (broken, ["KeyError", "missing"]),
        (arguments, ["arguments", "'y'"]),
        (own_rows, ["'mine'", "subsamples"]),
        (None, ["has no guide of its own"]),
    ],
)
def test_guides_that_do_not_fit_are_refused_by_name(guide: Callable | None, words: Sequence[str]) -> None:
    with pytest.raises(GuideError) as caught:
        Objective(Program(normal, X), guide, key=Key(0))
    assert all(w in str(caught.value) for w in words), str(caught.value)


def test_labels_that_depend_on_each_other_are_refused() -> None:
    def chain(x: Tensor) -> None:
        a = pyro.sample("a", dist.Bernoulli(d(0.3)))
        b = pyro.sample("b", dist.Bernoulli(0.2 + 0.5 * a))
        pyro.sample("x", dist.Normal(b, 1.0), obs=x)

    def dependent(x: Tensor) -> None:
        a = pyro.sample("a", dist.Bernoulli(pyro.param("p", d(0.5))))
        pyro.sample("b", dist.Bernoulli(0.3 + 0.1 * a))

    def half(x: Tensor) -> None:
        pyro.sample("a", dist.Bernoulli(pyro.param("p", d(0.5))))

    def other_values(x: Tensor) -> None:
        pyro.sample("a", dist.Categorical(torch.full((3,), 1 / 3).double()))
        pyro.sample("b", dist.Bernoulli(pyro.param("p", d(0.5))))

    for guide, words in ((dependent, "'b' depends on 'a'"), (half, "but not b"), (other_values, "other values")):
        with pytest.raises(GuideError, match=words):
            Objective(Program(chain, d(0.4)), guide, key=Key(0))


def test_a_flat_guide_cannot_follow_rows() -> None:
    class Point(FlatGuide):
        point = True

        def initial(self, position: Tensor) -> dict[str, Tensor]:
            return {"at": position}

        def noise(self, dim: int, dtype: torch.dtype) -> list[Noise]:
            return []

        def __call__(self, params: dict[str, Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
            return params["at"], params["at"].new_zeros(())

    with pytest.raises(GuideError, match="'z' belongs to the rows"):
        Objective(Program(amortised, X), Point(), key=Key(0), batch_size=2)


def test_what_cannot_be_recorded_runs_by_itself_and_says_why() -> None:
    def guide(x: Tensor) -> None:
        by = pyro.param("by", d(1.2))
        scale = 1.0 if float(by.detach()) > 1 else 3.0
        pyro.sample("loc", dist.Normal(by * 30.0, scale))

    target = Objective(Program(normal, X), guide, key=Key(0))
    assert target.lowering.name == "eager"
    assert "by" in target.lowering.reason
    with pytest.raises(RecordingError, match="by"):
        Objective(Program(normal, X), guide, key=Key(0), lowering="recorded")
    loss, gradient = target.value_and_grad(target.params, target.inputs(Key(0)))
    assert math.isfinite(float(loss))
    assert float(gradient["by"]) != 0.0
