"""SVI end to end: what it learns, what it leaves alone, rows, optimisers, kills, and refusals."""

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroParam
from torch import Tensor, nn
from torch.distributions import constraints

from ppgen import datasets
from ppgen.errors import CheckpointError, DataError, EngineError, GuideError, NameNotFoundError
from ppgen.inference import SVI
from ppgen.models import GaussianMixture
from ppgen.posterior import Posterior

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(40, 3, generator=GENERATOR, dtype=torch.float64)
WEIGHT = torch.tensor([20.0, -3.0, 0.5], dtype=torch.float64)
Y = 40.0 + INPUTS @ WEIGHT + 4.0 * torch.randn(40, generator=GENERATOR, dtype=torch.float64)
QUICK: dict[str, Any] = {"progress": False, "num_samples": 500}


def run(program: Any, *args: Any, **settings: Any) -> Posterior:
    return SVI(**{**QUICK, **settings}).run(program, *args)


def regression(x: Tensor, y: Tensor) -> None:
    """Its posterior is normal: prior N(0, 50^2) for each weight, N(40, 50^2) for the intercept, noise 4."""
    intercept = pyro.sample("intercept", dist.Normal(x.new_tensor(40.0), 50.0))
    w = pyro.sample("w", dist.Normal(x.new_zeros(3), 50.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(intercept + x @ w, 4.0), obs=y)


def exact_regression() -> tuple[Tensor, Tensor, float]:
    """Mean, covariance of (intercept, w), and log evidence."""
    design = torch.cat([torch.ones(40, 1).double(), INPUTS], 1)
    prior = torch.tensor([40.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    precision = torch.eye(4).double() / 2500.0 + design.mT @ design / 16.0
    covariance = torch.linalg.inv(precision)
    mean = covariance @ (prior / 2500.0 + design.mT @ Y / 16.0)
    marginal = torch.distributions.MultivariateNormal(design @ prior, 16.0 * torch.eye(40).double() + 2500.0 * design @ design.mT)
    return mean, covariance, float(marginal.log_prob(Y))


def agrees(posterior: Posterior, within: float = 0.1) -> None:
    """Draws against the exact posterior: means within a tenth of an sd and their standard error, sds within 10 % and theirs."""
    mean, covariance, _ = exact_regression()
    draws = torch.cat([posterior.draws["intercept"][0][:, None], posterior.draws["w"][0]], 1).double()
    sd, n = covariance.diagonal().sqrt(), len(draws)
    assert ((draws.mean(0) - mean).abs() < (within + 4 / math.sqrt(n)) * sd).all()
    assert ((draws.std(0) / sd).log().abs() < within + 4 / math.sqrt(2 * n)).all()


# The main job


def test_old_faithful_against_gibbs() -> None:
    """The family's own guide with default settings. Measured: k-hat 0.33, sd ratios 0.95 to 1.03, means within 0.1 sd."""
    x = datasets.load("old-faithful").x
    posterior = SVI(progress=False, num_samples=4000).run(GaussianMixture(2, like=x), x)
    assert posterior.khat < 0.7
    reference = json.loads((Path(__file__).parents[1] / "reference/old_faithful_gibbs.json").read_text())["parameters"]
    draws = posterior.identified().draws
    compared = 0
    for name, truth in reference.items():
        site, places = re.fullmatch(r"(\w+)\[(.*)\]", name).groups()  # type: ignore[union-attr]
        mine = draws[site][(0, slice(None), *map(int, places.split(",")))]
        if truth["sd"] > 0:
            compared += 1
            assert abs(float(mine.mean()) - truth["mean"]) < 0.25 * truth["sd"], name
            assert 0.8 < float(mine.std()) / truth["sd"] < 1.25, name
    assert compared >= 12


def test_family_with_its_own_guide() -> None:
    """A mixture small enough for every test run: it finds the two clusters, and gives each row its component back."""
    generator = torch.Generator().manual_seed(1)
    x = torch.cat([40.0 + 2.0 * torch.randn(30, generator=generator), 70.0 + 5.0 * torch.randn(50, generator=generator)])
    family = GaussianMixture(2, like=x)
    before = {n: p.detach().clone() for n, p in family.named_parameters()}
    posterior = run(family, x, num_steps=400)
    draws = posterior.identified().draws
    assert draws["loc"].mean((0, 1)).tolist() == pytest.approx([40.0, 70.0], abs=2.0)
    assert ((draws["assignment"].double().mean((0, 1)) > 0.5) == (torch.arange(80) >= 30)).all()
    assert posterior.khat < 1.0
    assert posterior.losses.shape == (400,)
    assert posterior.losses[-50:].mean() < posterior.losses[:5].mean()
    for n, p in family.named_parameters():  # the user's own is as it was; the learned copy is not
        assert torch.equal(p, before[n])
    learned = dict(posterior.program.fn.named_parameters())  # type: ignore[union-attr]
    assert all(torch.equal(learned[n], posterior.params[n]) for n in learned)
    assert not torch.equal(learned["q.loc"], before["q.loc"])


# Guides


@pytest.mark.parametrize("guide", ["multivariate", None])
def test_function_with_a_guide_by_name(guide: str | None) -> None:
    posterior = run(regression, INPUTS, Y, guide=guide, num_steps=800, learning_rate=0.05)
    agrees(posterior)
    assert posterior.log_evidence == pytest.approx(exact_regression()[2], abs=0.05)
    assert posterior.khat < 0.7


def guide_function(x: Tensor, y: Tensor) -> None:
    scale = pyro.param("scale", lambda: x.new_ones(4), constraint=constraints.positive)
    loc = pyro.param("loc", x.new_tensor([40.0, 0.0, 0.0, 0.0]))
    pyro.sample("intercept", dist.Normal(loc[0], scale[0]))
    pyro.sample("w", dist.Normal(loc[1:], scale[1:]).to_event(1))


class GuideModule(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.tensor([40.0, 0.0, 0.0, 0.0], dtype=torch.float64))
        self.scale = PyroParam(torch.ones(4).double(), constraints.positive)

    def forward(self, x: Tensor, y: Tensor) -> None:
        pyro.sample("intercept", dist.Normal(self.loc[0], self.scale[0]))
        pyro.sample("w", dist.Normal(self.loc[1:], self.scale[1:]).to_event(1))


def test_guides_of_the_users_own_learn_and_are_left_alone() -> None:
    """A function with `pyro.param`, and a module: both the best independent normal, whose variances are 1 / diag(precision)."""
    pyro.get_param_store().clear()
    pyro.param("loc", torch.tensor(7.0))
    mean, covariance, _ = exact_regression()
    module = GuideModule()
    settings = {"num_steps": 800, "learning_rate": 0.5, "final_learning_rate": 0.001}
    by_function = run(regression, INPUTS, Y, guide=guide_function, **settings)
    by_module = run(regression, INPUTS, Y, guide=module, **settings)
    scales = torch.linalg.inv(covariance).diagonal().rsqrt()
    for posterior, scale in ((by_function, "scale"), (by_module, "scale_unconstrained")):
        torch.testing.assert_close(posterior.params["loc"], mean, rtol=0, atol=0.1)
        torch.testing.assert_close(posterior.params[scale].exp(), scales, rtol=0.05, atol=0)
    assert module.loc.tolist() == [40.0, 0.0, 0.0, 0.0]
    assert float(pyro.param("loc").detach()) == 7.0
    assert set(pyro.get_param_store().keys()) == {"loc"}


# Programs that learn

NET = nn.Linear(3, 1).double()


def with_param(x: Tensor, y: Tensor) -> None:
    w = pyro.param("w", x.new_zeros(3))
    b = pyro.param("b", x.new_tensor(40.0))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(b + x @ w, 4.0), obs=y)


def with_module(x: Tensor, y: Tensor) -> None:
    pyro.module("net", NET)  # what it returns is not used, as is common
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(40.0 + NET(x)[:, 0], 4.0), obs=y)


class WithPyroModule(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 1).double()

    def forward(self, x: Tensor, y: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(self.net(x)[:, 0] + 40.0, 4.0), obs=y)


@pytest.mark.parametrize("program", [with_param, with_module, WithPyroModule()])
def test_maximum_likelihood_is_least_squares(program: Any) -> None:
    """No latent site: the loss is the negative log likelihood, and its minimum a solved system. The user's own stays."""
    before = [p.detach().clone() for p in (*NET.parameters(), *(program.parameters() if isinstance(program, nn.Module) else ()))]
    posterior = run(program, INPUTS, Y, guide="normal", num_steps=600, learning_rate=0.5, final_learning_rate=1e-4)
    after = [*NET.parameters(), *(program.parameters() if isinstance(program, nn.Module) else ())]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    design = torch.cat([torch.ones(40, 1).double(), INPUTS], 1)
    best = torch.linalg.lstsq(design, Y[:, None]).solution[:, 0]
    weights = next(p for n, p in posterior.params.items() if p.numel() == 3)
    torch.testing.assert_close(weights.reshape(-1), best[1:], rtol=0, atol=0.01)
    likelihood = torch.distributions.Normal(design @ best, 4.0).log_prob(Y).sum()
    assert float(posterior.losses[-1]) == pytest.approx(-float(likelihood), abs=1e-3)
    assert posterior.draws == {}
    copied = posterior.program.params  # type: ignore[union-attr]
    assert all(torch.equal(copied[n], posterior.params[n]) for n in posterior.params)


# Rows


@pytest.mark.parametrize("guide", ["multivariate", guide_function])
def test_minibatches_reach_the_posterior_of_all_rows(guide: Any) -> None:
    """Batches of 15 of 40 rows: epochs end within a step. The weights are of all rows."""
    posterior = run(
        regression, INPUTS, Y, guide=guide, batch_size=15, num_steps=3000, learning_rate=0.1, final_learning_rate=0.001, num_samples=2000
    )
    assert posterior.provenance["lowering"]["name"] == "native"  # 40 / 15 is no float32, and new_tensor reads no row
    mean, covariance, evidence = exact_regression()
    draws = torch.cat([posterior.draws["intercept"][0][:, None], posterior.draws["w"][0]], 1)
    assert ((draws.mean(0) - mean).abs() < 0.35 * covariance.diagonal().sqrt()).all()
    assert posterior.log_evidence == pytest.approx(evidence, abs=0.3)


def subsampled(x: Tensor, y: Tensor) -> None:
    intercept = pyro.sample("intercept", dist.Normal(x.new_tensor(40.0), 50.0))
    w = pyro.sample("w", dist.Normal(x.new_zeros(3), 50.0).to_event(1))
    with pyro.plate("data", len(x), subsample_size=16) as rows:
        pyro.sample("y", dist.Normal(intercept + x[rows] @ w, 4.0), obs=y[rows])


def test_a_program_that_subsamples_itself() -> None:
    posterior = run(subsampled, INPUTS, Y, num_steps=3000, learning_rate=0.1, final_learning_rate=0.001, num_samples=2000)
    mean, covariance, evidence = exact_regression()
    draws = torch.cat([posterior.draws["intercept"][0][:, None], posterior.draws["w"][0]], 1)
    assert ((draws.mean(0) - mean).abs() < 0.35 * covariance.diagonal().sqrt()).all()
    assert posterior.log_evidence == pytest.approx(evidence, abs=0.3)


class Encoder(PyroModule):
    """Local values found from each row by a line: z | x is exact with slope 9 / 25 and sd 2.4."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.0).double())
        self.intercept = nn.Parameter(torch.tensor(40.0).double())
        self.scale = PyroParam(torch.tensor(1.0).double(), constraints.positive)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.intercept + self.slope * (x - 40.0), self.scale))


def local(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.full_like(x, 40.0), 3.0))
        pyro.sample("x", dist.Normal(z, 4.0), obs=x)


def test_amortised_guide_in_minibatches() -> None:
    x = 40.0 + 5.0 * torch.randn(30, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    posterior = run(local, x, guide=Encoder(), batch_size=8, num_steps=1500, learning_rate=0.1, final_learning_rate=1e-3)
    assert float(posterior.params["slope"]) == pytest.approx(9 / 25, abs=0.02)
    assert float(posterior.params["intercept"]) == pytest.approx(40.0, abs=0.1)
    assert float(posterior.params["scale_unconstrained"].exp()) == pytest.approx(2.4, rel=0.03)
    assert posterior.draws["z"].shape == (1, 500, 30)
    evidence = torch.distributions.Normal(40.0, 5.0).log_prob(x).sum()
    assert posterior.log_evidence == pytest.approx(float(evidence), abs=0.2)


# Optimisers and settings


@pytest.mark.parametrize(
    "optimizer", ["SGD", "RMSprop", "AdamW", "LBFGS", lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.9, 0.99)), "Adagrad"]
)
def test_any_optimiser(optimizer: Any) -> None:
    rate = {"SGD": 1e-3, "LBFGS": 0.5, "Adagrad": 0.5}.get(optimizer, 0.05) if isinstance(optimizer, str) else 0.05
    posterior = run(with_param, INPUTS, Y, guide="normal", optimizer=optimizer, learning_rate=rate, num_steps=200)
    assert posterior.losses[-1] < 0.9 * posterior.losses[0]


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_fused_optimisers_step_as_plain_ones(name: str) -> None:
    """Where a gradient is a transposed view, too, which torch's fused steps would take for another one."""
    start = {"w": torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)}
    slopes = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    kind = getattr(torch.optim, name)
    fused, plain = SVI(optimizer=name, learning_rate=0.05), SVI(optimizer=lambda leaves: kind(leaves, lr=0.05, foreach=False))
    at, expected = fused.begun(start, {}), plain.begun(start, {})
    assert at.optimizer.defaults["fused"]
    for slope in slopes:
        for engine, descent in ((fused, at), (plain, expected)):
            engine.descend(descent, lambda slope=slope: (torch.tensor(0.0), {"w": slope.mT}))
    assert torch.allclose(at.params["w"], expected.params["w"], rtol=1e-12)
    assert not torch.allclose(at.params["w"], start["w"], rtol=1e-3)


def test_learning_rate_falls_over_the_second_half() -> None:
    rates = []

    class Seen(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    setattr(torch.optim, "Seen", Seen)  # noqa: B010
    try:
        run(with_param, INPUTS, Y, guide="normal", optimizer="Seen", learning_rate=1e-3, num_steps=100, final_learning_rate=0.01)
    finally:
        delattr(torch.optim, "Seen")
    assert rates[0] == rates[49] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a >= b for a, b in pairwise(rates))


def test_parameters_within_their_constraints(tmp_path: Path) -> None:
    """Of the model, and of the user's own guide: as `pyro.param` gives them, saved and read too."""

    def model(y: Tensor) -> None:
        scale = pyro.param("scale", torch.tensor(2.0, dtype=torch.float64), constraint=constraints.positive)
        loc = pyro.sample("loc", dist.Normal(y.new_tensor(40.0), 50.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(loc, scale), obs=y)

    def guide(y: Tensor) -> None:
        at = pyro.param("at", torch.tensor(40.0, dtype=torch.float64))
        width = pyro.param("width", torch.tensor(3.0, dtype=torch.float64), constraint=constraints.interval(0.1, 50.0))
        pyro.sample("loc", dist.Normal(at, width))

    found = run(model, Y, guide=guide, num_steps=1500, learning_rate=0.05)
    assert float(found.constrained["scale"]) == pytest.approx(float(found.params["scale"].exp()))
    assert float(found.constrained["scale"]) == pytest.approx(float(Y.std(correction=0)), rel=0.05)
    assert float(found.constrained["width"]) == pytest.approx(float(found.constrained["scale"]) / math.sqrt(len(Y)), rel=0.15)
    assert float(found.draws["loc"].std()) == pytest.approx(float(found.constrained["width"]), rel=0.1)
    assert torch.equal(found.constrained["at"], found.params["at"])
    read = Posterior.load(found.save(tmp_path / "fit"))
    assert {n: float(v) for n, v in read.constrained.items()} == {n: float(v) for n, v in found.constrained.items()}


def test_seeds_and_keep() -> None:
    one, again, other = (run(regression, INPUTS, Y, num_steps=30, seed=s, keep=["w"]) for s in (1, 1, 2))
    assert set(one.draws) == {"w"}
    assert torch.equal(one.draws["w"], again.draws["w"])
    assert torch.equal(one.losses, again.losses)
    assert not torch.equal(one.draws["w"], other.draws["w"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_and_eager_agree(dtype: torch.dtype) -> None:
    """Pyro itself, step by step, learns what the graph learns; the noise of a flat guide is the same."""
    settings = {"num_steps": 20, "guide": "normal", "dtype": dtype}
    recorded, eager = (run(regression, INPUTS, Y, lowering=low, **settings) for low in ("recorded", "eager"))
    assert eager.provenance["lowering"]["name"] == "eager"
    torch.testing.assert_close(recorded.losses, eager.losses.to(recorded.losses), rtol=1e-4, atol=1e-4)
    for n, p in recorded.params.items():
        torch.testing.assert_close(p, eager.params[n].to(p), rtol=1e-3, atol=1e-3)


# Refusals


def nan_later(x: Tensor, y: Tensor) -> None:
    w = pyro.param("w", x.new_tensor(3.0))
    pyro.sample("y", dist.Normal(w.sqrt(), 1.0), obs=x.new_tensor(-50.0))


def test_refusals_name_the_culprit() -> None:
    with pytest.raises(DataError, match=r"nan at step \d+"):
        run(nan_later, INPUTS, Y, guide="normal", learning_rate=1.0, num_steps=50)
    with pytest.raises(EngineError, match="no optimiser named 'Adamm'"):
        run(with_param, INPUTS, Y, guide="normal", optimizer="Adamm")
    with pytest.raises(NameNotFoundError, match="multivariat"):
        run(regression, INPUTS, Y, guide="multivariat")
    with pytest.raises(GuideError, match="'w'"):
        run(regression, INPUTS, Y, guide=lambda x, y: pyro.sample("intercept", dist.Normal(x.new_tensor(0.0), 1.0)))
    with pytest.raises(EngineError, match="num_steps"):
        SVI(num_steps=0)
    with pytest.raises(EngineError, match="learning rates"):
        SVI(learning_rate=-1.0)

    def fixed(x: Tensor, y: Tensor) -> None:
        pyro.sample("intercept", dist.Normal(x.new_tensor(40.0), 1.0))
        pyro.sample("w", dist.Normal(x.new_zeros(3), 1.0).to_event(1))

    with pytest.raises(GuideError, match="nothing to learn"):
        run(regression, INPUTS, Y, guide=fixed)


# To the bit


def test_a_checkpoint_goes_on_and_refuses_another_run(tmp_path: Path) -> None:
    whole = run(regression, INPUTS, Y, num_steps=60, optimizer="AdamW")
    first = run(regression, INPUTS, Y, num_steps=60, optimizer="AdamW", checkpoint=tmp_path)
    again = run(regression, INPUTS, Y, num_steps=60, optimizer="AdamW", checkpoint=tmp_path)  # finished: nothing is done anew
    for posterior in (first, again):
        assert torch.equal(posterior.losses, whole.losses)
        assert all(torch.equal(posterior.draws[n], v) for n, v in whole.draws.items())
    with pytest.raises(CheckpointError, match="learning_rate"):
        run(regression, INPUTS, Y, num_steps=60, optimizer="AdamW", learning_rate=0.5, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="program, data or parameters"):
        run(regression, INPUTS, Y + 1, num_steps=60, optimizer="AdamW", checkpoint=tmp_path)
