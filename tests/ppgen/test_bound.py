"""A family's own bound: an unbiased estimate of the pair's lower bound, by which SVI learns."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.errors import GuideError, PpgenWarning, ProgramError
from ppgen.family import Family
from ppgen.inference import SVI
from ppgen.keys import Key
from ppgen.objective import Objective
from ppgen.program import Program

X = 30.0 + 6.0 * torch.tensor([0.2, -1.1, 0.7, 1.9, -0.4, 0.9], dtype=torch.float64)
STEPS = 8


class Layers(Family):
    """
        z_t ~ Normal(0, 1)                     t = 1..8, for each datum
        x   ~ Normal(shift + 3 sum_t z_t, 2)

    with a guide that knows nothing of x. The bound draws the sum of z at once and one of the terms that are sums over t.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(25.0, dtype=torch.float64))
        self.loc = torch.nn.Parameter(torch.linspace(-0.2, 0.4, STEPS, dtype=torch.float64))
        self.log_scale = torch.nn.Parameter(torch.linspace(-0.5, 0.3, STEPS, dtype=torch.float64))

    def model(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> Any:
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(STEPS, dtype=torch.float64), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(self.shift + 3.0 * z.sum(-1), 2.0), obs=x)

    def guide(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x) if x is not None else size):
            pyro.sample("z", dist.Normal(self.loc, self.log_scale.exp()).to_event(1))

    def bound(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        variance = (2 * self.log_scale).exp()
        with pyro.plate("data", len(x)):
            total = self.loc.sum() + variance.sum().sqrt() * torch.randn(len(x), dtype=torch.float64)
            pyro.factor("seen", dist.Normal(self.shift + 3.0 * total, 2.0).log_prob(x))
            divergence = 0.5 * (self.loc.square() + variance - 1.0) - self.log_scale  # (STEPS,)
            pyro.factor("prior", -STEPS * divergence[torch.randint(STEPS, (len(x),))])


@torch.no_grad()
def elbo(family: Layers) -> float:
    """By hand."""
    variance = (2 * family.log_scale).exp()
    divergence = (0.5 * (family.loc.square() + variance - 1.0) - family.log_scale).sum()
    miss = (X - family.shift - 3 * family.loc.sum()).square() + 9 * variance.sum()
    return float((-0.5 * miss / 4 - math.log(2.0) - 0.5 * math.log(2 * math.pi)).sum() - len(X) * divergence)


def value_of(bound: bool, **settings: Any) -> tuple[float, dict[str, Tensor]]:
    target = Objective(Program(Layers(), X).copy(), None, key=Key(0), num_particles=40_000, bound=bound, **settings)
    loss, gradient = target.value_and_grad(target.params, target.inputs(Key(0, 3)))
    return -float(loss), gradient


@pytest.mark.parametrize("settings", [{}, {"batch_size": 2}])
def test_its_mean_is_the_pairs_lower_bound(settings: dict[str, int]) -> None:
    """Value and gradient, against the pair's own estimate and a formula; with minibatches over the mean of an epoch."""
    if settings:
        target = Objective(Program(Layers(), X).copy(), None, key=Key(0), num_particles=20_000, bound=True, batch_size=2)
        got = -sum(float(target.value_and_grad(target.params, target.inputs(Key(0, step)))[0]) for step in range(3)) / 3
        assert got == pytest.approx(elbo(Layers()), rel=5e-3)
        return
    (value, gradient), (other, slope) = value_of(True), value_of(False)
    assert value == pytest.approx(elbo(Layers()), rel=5e-3)
    assert other == pytest.approx(elbo(Layers()), rel=5e-3)
    assert set(gradient) == set(slope) == {"shift", "loc", "log_scale"}
    for name in gradient:
        assert torch.allclose(gradient[name], slope[name], rtol=0.03, atol=0.03 * float(slope[name].abs().max()))


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_every_lowering_gives_the_same_number(lowering: str) -> None:
    """Under the same noise where it is an input, the loss is the program's own."""
    target = Objective(Program(Layers(), X).copy(), None, key=Key(0), num_particles=4, bound=True, lowering=lowering)
    assert target.lowering.name == lowering
    if lowering != "eager":
        assert sorted(n.kind for n in target.pair.noises.values()) == ["normal", "uniform"]
    again = [float(target.value_and_grad(target.params, target.inputs(Key(0, 3)))[0]) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] == pytest.approx(-elbo(Layers()), rel=0.5)


def test_svi_learns_by_it_and_draws_from_the_pair() -> None:
    posterior = SVI(num_steps=1500, num_samples=4000, learning_rate=0.05, progress=False).run(Layers(), X)
    learned = posterior.program.fn
    assert float((learned.shift + 3 * learned.loc.sum()).detach()) == pytest.approx(float(X.mean()), abs=0.7)
    assert posterior.draws["z"].shape == (1, 4000, 6, STEPS)
    weights = posterior.log_weights
    assert float(weights.mean()) == pytest.approx(elbo(learned), abs=5 * float(weights.std()) / math.sqrt(4000))
    assert "draws" not in posterior.provenance


def test_another_guide_is_learned_without_it() -> None:
    class Raises(Layers):
        def bound(self, x: Any = None, context: Any = None, *, size: int | None = None) -> None:
            raise AssertionError

    assert SVI(guide="normal", num_steps=5, num_samples=5, progress=False).run(Raises(), X).losses.isfinite().all()
    with pytest.raises(GuideError, match="the bound fails: AssertionError"):
        SVI(num_steps=5, progress=False).run(Raises(), X)


def test_what_a_bound_may_not_hold() -> None:
    class Samples(Layers):
        def bound(self, x: Any = None, context: Any = None, *, size: int | None = None) -> None:
            pyro.sample("u", dist.Normal(0.0, 1.0))

    class Observes(Layers):
        def bound(self, x: Any = None, context: Any = None, *, size: int | None = None) -> None:
            pyro.sample("v", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    class Empty(Layers):
        def bound(self, x: Any = None, context: Any = None, *, size: int | None = None) -> None:
            pass

    for kind, message in ((Samples, "samples 'u'"), (Observes, "observes 'v'"), (Empty, "no factor")):
        with pytest.raises(ProgramError, match=message):
            SVI(num_steps=1, progress=False).run(kind(), X)


def test_a_pair_that_does_not_fit_is_refused_before_learning() -> None:
    class Lacks(Layers):
        def guide(self, x: Any = None, context: Any = None, *, size: int | None = None) -> None:
            pass

    with pytest.raises(GuideError, match="'z'"):
        SVI(num_steps=10**9, progress=False).run(Lacks(), X)


class Mixed(Family):
    """Two states for each of three nodes, whose sum is seen: no order of sums over the plate finds it. The guide leaves them out."""

    def __init__(self) -> None:
        super().__init__()
        self.loc = torch.nn.Parameter(torch.tensor(0.0))

    def model(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        rate = pyro.sample("rate", dist.Normal(0.0, 1.0))
        with pyro.plate("nodes", 3):
            state = pyro.sample("state", dist.Bernoulli(0.5))
        pyro.sample("x", dist.Normal(rate + state.sum(), 1.0), obs=x)

    def guide(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        pyro.sample("rate", dist.Normal(self.loc, 0.5))

    def bound(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        pyro.factor("all", -0.5 * (self.loc - 0.3).square())


class Whole(Mixed):
    """The same with a guide for the states too, and a sum that is a site."""

    def model(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        rate = pyro.sample("rate", dist.Normal(0.0, 1.0))
        with pyro.plate("nodes", 3):
            state = pyro.sample("state", dist.Bernoulli(0.3))
        total = pyro.deterministic("total", rate + state.sum())
        pyro.sample("x", dist.Normal(total, 1.0), obs=x)

    def guide(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        pyro.sample("rate", dist.Normal(self.loc, 0.5))
        with pyro.plate("nodes", 3):
            pyro.sample("state", dist.Bernoulli(torch.tensor([0.2, 0.5, 0.9])))


def test_discrete_sites_are_drawn_from_the_guide_and_weighed() -> None:
    """Each draw's weight by hand; the mean of the weights is the evidence, by the sum over all states."""
    engine = SVI(num_steps=200, num_samples=20_000, learning_rate=0.05, progress=False)
    posterior = engine.run(Whole(), torch.tensor(1.5))
    rate, state, loc = posterior.draws["rate"], posterior.draws["state"], posterior.params["loc"]
    assert torch.allclose(posterior.draws["total"], rate + state.sum(-1))
    assert state.mean((0, 1)).tolist() == pytest.approx([0.2, 0.5, 0.9], abs=0.015)
    model = dist.Normal(0.0, 1.0).log_prob(rate) + dist.Bernoulli(0.3).log_prob(state).sum(-1)
    model = model + dist.Normal(rate + state.sum(-1), 1.0).log_prob(torch.tensor(1.5))
    guide = dist.Normal(loc, 0.5).log_prob(rate) + dist.Bernoulli(torch.tensor([0.2, 0.5, 0.9])).log_prob(state).sum(-1)
    assert torch.allclose(posterior.log_weights, (model - guide).double(), atol=1e-5)
    counts = torch.arange(4.0)
    evidence = (dist.Binomial(3, torch.tensor(0.3)).log_prob(counts) + dist.Normal(counts, 2**0.5).log_prob(torch.tensor(1.5))).logsumexp(0)
    assert posterior.log_evidence == pytest.approx(float(evidence), abs=0.1)
    assert "as the guide has them" in posterior.provenance["draws"]


def test_draws_without_weights_say_so() -> None:
    engine = SVI(num_steps=200, num_samples=50, learning_rate=0.05, progress=False)
    with pytest.warns(PpgenWarning, match="without log weights.*cannot be summed out"):
        posterior = engine.run(Mixed(), torch.tensor(1.0))
    assert set(posterior.draws) == {"rate"}
    assert posterior.log_weights is None
    assert "without log weights" in posterior.provenance["draws"]
    assert float(posterior.params["loc"]) == pytest.approx(0.3, abs=0.02)
