"""Normalizing flows: densities against quadrature and autograd, round trips, what they are used for."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from ppgen import LogDensity, Program, datasets, learn, neutra, sample, score
from ppgen.diagnostics import ess_and_rhat, smooth
from ppgen.errors import DataError, EngineError, GuideError, NameNotFoundError, ProgramError, SupportError
from ppgen.inference import NUTS, SVI
from ppgen.models import FlowGuide, NormalizingFlow
from ppgen.models._flows import KINDS
from tests.tools.toys import TOYS, modes_held
from tests.tools.two_samples import accuracy, mmd, mmd_floor

FAITHFUL = datasets.load("old-faithful").x.float()  # minutes: means 3.5 and 70.9, sds 1.1 and 13.6
CENTRE, SPREAD = FAITHFUL.mean(0), FAITHFUL.std(0, correction=0)
EVERY = pytest.mark.parametrize("kind", list(KINDS))


def seeded(kind: str = "spline", *, shaken: float = 0.3, **settings: Any) -> NormalizingFlow:
    """A flow that is far from the identity."""
    settings = {"like": FAITHFUL, "hidden": (16, 16), **settings}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        flow = NormalizingFlow(kind=kind, **settings)
        with torch.no_grad():
            for p in flow.parameters():
                p.add_(shaken * torch.randn_like(p))
    return flow


def spread_out(size: int) -> Tensor:
    """Data of which one in a hundred is 10 and one in a hundred 100 sds out."""
    z = torch.randn(size, 2, generator=torch.Generator().manual_seed(3))
    z[: size // 100] *= 100
    z[size // 100 : size // 50] *= 10
    return CENTRE + SPREAD * z


# The density


@EVERY
def test_the_density_integrates_to_1(kind: str) -> None:
    g = torch.linspace(-10, 10, 641)
    with torch.no_grad():
        density = seeded(kind, shaken=0.2, steps=6).distribution().log_prob(CENTRE + SPREAD * torch.cartesian_prod(g, g)).double().exp()
    assert float(density.sum() * SPREAD.prod()) / 32**2 == pytest.approx(1.0, abs=1e-3)


@EVERY
def test_the_log_determinant_is_autograds(kind: str) -> None:
    """In double precision, so that what is compared is not rounding; of the continuous kind up to the integrator's error, which falls
    16-fold with twice the steps."""

    def gap(**settings: Any) -> float:
        flow = seeded(kind, **settings).double()
        law, x = flow.distribution(), spread_out(200).double().requires_grad_()
        z, log_det = law.transform.call_and_ladj(x)
        rows = [torch.autograd.grad(z[:, i].sum(), x, retain_graph=True)[0] for i in range(2)]
        return float((torch.linalg.slogdet(torch.stack(rows, 1))[1] - log_det).detach().abs().max())

    if kind != "continuous":
        assert gap() < 1e-5
        return
    coarse, fine = gap(steps=20), gap(steps=40)
    assert fine < 1e-5
    assert coarse / fine > 8


@EVERY
def test_there_and_back_in_single_precision(kind: str) -> None:
    """10^5 points, in units of their distance from the middle, sds; and the density of a draw is that of its value."""
    law = seeded(kind).distribution()
    x = spread_out(100_000)
    with torch.no_grad():
        back = law.transform.inv(law.code(x))
        far = ((x - CENTRE) / SPREAD).abs().amax(-1, keepdim=True)
        assert float((((back - x) / SPREAD).abs() / (1 + far)).max()) < 1e-4
        drawn = law.rsample((1000,))
        assert torch.allclose(law.log_prob(drawn), law.log_prob(drawn.clone()), atol=1e-3)


def test_a_draw_can_be_differentiated() -> None:
    flow = seeded("maf")
    law = flow.distribution()
    (law.log_prob(law.rsample((5,))).sum() + law.rsample((5,)).sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in flow.parameters())


@pytest.mark.parametrize("features", [1, 3])
@EVERY
def test_any_number_of_features(kind: str, features: int) -> None:
    like = 40.0 + 7.0 * torch.randn(50, features, generator=torch.Generator().manual_seed(0))
    flow = seeded(kind, like=like, shaken=0.1)
    law = flow.distribution()
    assert law.sample((4,)).shape == (4, features)
    assert torch.allclose(law.transform.inv(law.code(like)), like, rtol=1e-4)


@EVERY
def test_nothing_runs_eagerly(kind: str) -> None:
    flow = seeded(kind, transforms=1, hidden=(4, 4), steps=2, bins=3)
    density = LogDensity(Program(flow, FAITHFUL[:20]))
    assert density.lowering.name != "eager"
    expected = float(flow.double().exact(FAITHFUL[:20].double())["log_evidence"])
    assert float(density.log_density(torch.zeros(1, 0, dtype=torch.float64))) == pytest.approx(expected, rel=1e-5)


def test_scores_and_codes() -> None:
    """The score is exact; codes of draws are the base's draws; location and scale of `like` have their Jacobian."""
    flow = seeded("realnvp", shaken=0.0)
    with torch.no_grad():
        for p in flow.parameters():
            p.zero_()
    found = score(flow, FAITHFUL[:7])
    assert found.kind == "exact"
    expected = stats.norm(CENTRE.numpy(), SPREAD.numpy()).logpdf(FAITHFUL[:7].numpy()).sum(-1)
    assert found.value == pytest.approx(expected, rel=1e-5)
    exact = flow.exact(FAITHFUL[:7])
    assert exact["code"]() == pytest.approx(((FAITHFUL[:7] - CENTRE) / SPREAD).numpy(), abs=1e-5)
    assert exact["log_density"]() == pytest.approx(expected, rel=1e-5)


def test_glow_begins_standard() -> None:
    """What leaves each actnorm has mean 0 and sd 1 over `like`."""
    flow = seeded("glow", shaken=0.0)
    x = (FAITHFUL - CENTRE) / SPREAD
    with torch.no_grad():
        for step in flow.flow.steps:
            x = step(None)(x)
            if hasattr(step, "standardise"):
                assert x.mean(0) == pytest.approx([0.0, 0.0], abs=1e-4)
                assert x.std(0, correction=0) == pytest.approx([1.0, 1.0], abs=1e-4)


class Logistic(nn.Module):
    """Independent standard logistic numbers."""

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("zero", torch.zeros(features))

    def forward(self, context: Tensor | None = None) -> Any:
        uniform = dist.Uniform(self.zero, self.zero + 1)
        return dist.TransformedDistribution(uniform, [torch.distributions.SigmoidTransform().inv]).to_event(1)


# Images


def uniform_image(levels: int | None, share: float = 0.05) -> NormalizingFlow:
    """A flow whose images are uniform over [0, 1] and the share beyond it at both ends, whatever the noise: the logit of a uniform
    number is logistic."""
    flow = NormalizingFlow((1, 2, 3), kind="nice", base=Logistic(6), logit=share, levels=levels)
    with torch.no_grad():
        for p in flow.parameters():
            p.zero_()
    return flow


def test_bits_per_dimension_of_uniform_images() -> None:
    """A uniform law over 8 grey levels has 3 bits for each number, and log2(1 / 0.9) more where a tenth of it lies beyond them."""
    x = torch.randint(0, 8, (20, 1, 2, 3), generator=torch.Generator().manual_seed(0)) / 7.0
    flow = uniform_image(8)
    for method in ("elbo", "importance"):
        found = score(flow, x, method=method, num_particles=20)
        assert flow.bits_per_dimension(found.value) == pytest.approx(np.full(20, 3 - math.log2(0.9)), abs=1e-4)
    assert score(flow, x, method="elbo").kind == "lower bound"
    plain = uniform_image(None)
    assert plain.bits_per_dimension(score(plain, x).value) == pytest.approx(np.full(20, -math.log2(0.9)), abs=1e-4)


def test_probabilities_of_grey_levels_sum_to_1() -> None:
    """Of one pixel, by importance over its noise, over all levels; what lies beyond the ends is all that is missing."""
    like = torch.tensor([0.0, 1, 1, 1, 2, 3, 3, 3])[:, None] / 3
    flow = seeded("spline", like=like, logit=0.01, levels=4, shaken=0.1)
    x = torch.arange(4.0)[:, None] / 3
    found = score(flow, x, num_particles=20_000)
    with torch.no_grad():
        drawn = flow.distribution().sample((100_000,))
    beyond = float(((drawn < 0) | (drawn > 1)).float().mean())
    assert float(found.value.exp().sum()) == pytest.approx(1 - beyond, abs=0.01)
    shares = torch.bincount((sample(flow, 20_000)["x"] * 3).round().long().reshape(-1), minlength=4) / 20_000
    inside = shares - torch.tensor([float((drawn < 0).float().mean()), 0, 0, float((drawn > 1).float().mean())])
    assert found.value.exp() == pytest.approx(inside.numpy(), abs=0.015)


def test_images_come_back_as_images() -> None:
    x = torch.randint(0, 4, (9, 1, 2, 2), generator=torch.Generator().manual_seed(1)) / 3.0
    flow = seeded("realnvp", like=x, logit=0.05, levels=4)
    drawn = sample(flow, 5)["x"]
    assert drawn.shape == (5, 1, 2, 2)
    assert set((drawn * 3).round().unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}


# Contexts


@EVERY
def test_each_context_has_a_density_of_its_own(kind: str) -> None:
    like = 40.0 + 7.0 * torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    flow = seeded(kind, like=like, context=2, shaken=0.2)
    context = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    grid = torch.linspace(40 - 400, 40 + 400, 80_001)
    with torch.no_grad():
        density = flow.distribution(context).log_prob(grid[:, None, None]).exp()  # (grid, 2)
    assert density.sum(0).double() * 0.01 == pytest.approx([1.0, 1.0], abs=2e-3)
    assert (density[:, 0] - density[:, 1]).abs().max() > 1e-3
    assert sample(flow, 2, context=context)["x"].shape == (2, 1)


def test_a_conditional_law_is_learned() -> None:
    """x | c ~ Normal(3 c, 2): what the flow says of the mean and sd at contexts that it has not seen."""
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(500, 1, generator=generator)
    x = 50.0 + 3.0 * c + 2.0 * torch.randn(500, 1, generator=generator)
    flow = seeded("maf", like=x, context=1, shaken=0.0)
    engine = SVI(num_steps=400, num_particles=1, learning_rate=0.01, num_samples=1, batch_size=100, progress=False)
    fitted = learn(flow, x, c, engine=engine).fn
    drawn = fitted.distribution(torch.tensor([[-1.0], [1.0]])).sample((4000,))
    assert drawn.mean(0).reshape(-1) == pytest.approx([47.0, 53.0], abs=0.6)
    assert drawn.std(0).reshape(-1) == pytest.approx([2.0, 2.0], rel=0.2)


# In other programs


def test_a_flow_as_prior() -> None:
    """With its networks at 0 it is a normal, and the posterior is a normal's."""
    flow = seeded("realnvp", shaken=0.0)
    with torch.no_grad():
        for p in flow.parameters():
            p.zero_()

    def program(x: Tensor) -> None:
        z = pyro.sample("z", flow.distribution())
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(z, 2.0).to_event(1), obs=x)

    density = LogDensity(Program(program, FAITHFUL[:5]))
    at = torch.tensor([[3.0, 60.0]], dtype=torch.float64)
    expected = stats.norm(CENTRE.numpy(), SPREAD.numpy()).logpdf([3.0, 60.0]).sum()
    expected += stats.norm([3.0, 60.0], 2.0).logpdf(FAITHFUL[:5].numpy()).sum()
    assert density.lowering.name != "eager"
    assert float(density.log_density(at)) == pytest.approx(expected, rel=1e-6)


def test_pyros_transforms_as_steps() -> None:
    """They go from the base to the data; a conditional one takes the context."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        steps = [dist.transforms.affine_coupling(2, hidden_dims=[8]), dist.transforms.conditional_matrix_exponential(2, 3)]
    flow = NormalizingFlow(like=FAITHFUL, transforms=steps, context=3)
    context = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    law = flow.distribution(context)
    there = dist.TransformedDistribution(
        dist.Normal(torch.zeros(6, 2), 1.0).to_event(1),
        [steps[1].condition(context), steps[0], dist.transforms.AffineTransform(CENTRE, SPREAD)],
    )
    x = FAITHFUL[:6]
    assert law.log_prob(x).detach() == pytest.approx(there.log_prob(x).detach().numpy(), rel=1e-4)


DIM = 9


def funnel() -> None:
    """Neal's: v ~ Normal(0, 3), and nine numbers of sd exp(v / 2)."""
    v = pyro.sample("v", dist.Normal(0.0, 3.0))
    pyro.sample("x", dist.Normal(torch.zeros(DIM), (v / 2).exp()).to_event(1))


def banana() -> None:
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    pyro.sample("b", dist.Normal(2 * a * a, 0.3))


def fit(program: Any, guide: Any, **settings: Any) -> Any:
    return SVI(guide=guide, num_steps=1000, num_particles=32, learning_rate=0.005, progress=False, **settings).run(program)


@pytest.mark.slow
@pytest.mark.parametrize("program", [funnel, banana])
def test_a_spline_guide_fits_where_independent_normals_do_not(program: Any) -> None:
    """The divergence, which the loss is where nothing is observed; and k-hat of a thousand draws, twelve times."""
    assert SVI(guide="normal", progress=False).run(program).khat > 0.7
    found = []
    for seed in range(3):
        engine = SVI(
            guide=FlowGuide(),
            num_steps=2000,
            num_particles=128,
            learning_rate=0.01,
            scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 2000),
            num_samples=4000,
            seed=seed,
            progress=False,
        )
        fitted = engine.run(program)
        assert float(fitted.losses[-200:].mean()) < 0.04
        assert fitted.log_evidence == pytest.approx(0.0, abs=0.03)
        found += [smooth(some)[1] for some in fitted.log_weights.double().reshape(4, 1000).numpy()]
    assert np.median(found) < 0.7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ppgen.errors.PpgenWarning")  # plain NUTS says that it fails
def test_a_funnel_through_a_flow() -> None:
    """Its scale: bulk ESS for each gradient, against NUTS in the funnel's own coordinates, and the moments."""
    through = NUTS(progress=False).run(neutra(fit(funnel, FlowGuide())))
    plain = NUTS(progress=False).run(funnel)
    v = through.draws["v"].double()

    def worth(posterior: Any) -> tuple[float, float]:
        ess = float(ess_and_rhat(posterior.draws["v"].double().numpy()[..., None])[0][0])
        return ess, ess / float(posterior.stats["n_steps"].sum())

    ess, each = worth(through)
    assert ess > 400
    assert each > 5 * worth(plain)[1]
    assert float(v.mean()) == pytest.approx(0.0, abs=4 * 3 / math.sqrt(ess))
    assert float(v.std()) == pytest.approx(3.0, rel=4 / math.sqrt(2 * ess))
    known = (through.draws["x"].double() * (-v / 2).exp()[..., None]).reshape(-1)
    assert float(known.std()) == pytest.approx(1.0, abs=0.05)


def test_neutra_is_the_same_posterior() -> None:
    """Through any guide over the flat position: constrained sites, plates, data. The posterior is a normal-gamma's."""
    x = torch.tensor([3.1, 4.0, 2.2, 5.9, 4.4, 3.0])

    def program(x: Tensor) -> None:
        rate = pyro.sample("rate", dist.Gamma(3.0, 2.0))
        with pyro.plate("data", len(x)):
            each = pyro.sample("each", dist.Exponential(1.0))
            pyro.sample("x", dist.Gamma(2.0, rate + 0.0 * each), obs=x)

    posterior = SVI(guide="multivariate", num_steps=300, progress=False).run(program, x)
    made = neutra(posterior)
    draws = NUTS(progress=False, num_samples=500, num_warmup=300).run(made).draws
    exact = stats.gamma(3.0 + 2 * len(x), scale=1 / (2.0 + float(x.sum())))
    rate = draws["rate"].double()
    ess = float(ess_and_rhat(rate.numpy()[..., None])[0][0])
    assert ess > 400
    assert float(rate.mean()) == pytest.approx(exact.mean(), abs=4 * exact.std() / math.sqrt(ess))
    assert float(rate.std()) == pytest.approx(exact.std(), rel=0.1)
    assert draws["each"].mean((0, 1)) == pytest.approx(np.ones(6), abs=0.15)


def test_a_flow_as_guide() -> None:
    """A flow over two numbers begins where it was fitted; one of another size is refused by its size."""
    flow = seeded("realnvp", shaken=0.0)
    with torch.no_grad():
        for p in flow.parameters():
            p.zero_()

    def program() -> None:
        pyro.sample("z", dist.Normal(CENTRE, SPREAD).to_event(1))

    posterior = SVI(guide=flow, num_steps=1, num_samples=200, learning_rate=1e-6, progress=False).run(program)
    assert float(posterior.log_weights.abs().max()) < 1e-2
    assert posterior.draws["z"].mean((0, 1)) == pytest.approx(CENTRE.numpy(), rel=0.2)
    with pytest.raises(GuideError, match="over 2 numbers and the program has 10"):
        SVI(guide=flow, progress=False).run(funnel)
    with pytest.raises(GuideError, match="context"):
        seeded("maf", context=1).as_guide()


def test_what_neutra_refuses() -> None:
    with pytest.raises(GuideError, match="Delta"):
        neutra(SVI(guide="delta", num_steps=2, progress=False).run(banana))
    with pytest.raises(EngineError, match="over the flat position"):
        neutra(NUTS(num_warmup=20, num_samples=4, num_chains=1, progress=False).run(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))))


# Learning


@pytest.mark.slow
@pytest.mark.parametrize("toy", ["moons", "eight Gaussians"])
def test_two_sample_tests_are_passed(toy: str) -> None:
    generator = torch.Generator().manual_seed(0)
    train, test = TOYS[toy](4000, generator), TOYS[toy](2000, generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = NormalizingFlow(like=train, transforms=4, hidden=(64, 64))
    engine = SVI(num_steps=2500, num_particles=1, batch_size=500, learning_rate=0.004, num_samples=1, progress=False)
    fitted = learn(flow, train, engine=engine).fn
    drawn = sample(fitted, 2000)["x"]
    assert accuracy(drawn, test).z < 3
    assert mmd(drawn, test) < mmd_floor(test)
    assert modes_held(toy, drawn) > 0.6


# Mistakes


def test_bad_input_is_named() -> None:
    flow, conditional = seeded(), seeded("maf", context=2)
    holed = FAITHFUL.clone()
    holed[7, 1] = torch.nan
    with pytest.raises(DataError, match=r"'x'.*row 7"):
        score(flow, holed)
    with pytest.raises(DataError, match="row 7"):
        NormalizingFlow(like=holed)
    with pytest.raises(DataError, match=r"shape \(N, 2\)"):
        score(flow, torch.ones(5, 3))
    with pytest.raises(ProgramError, match=r"needs a context of shape \(5, 2\)"):
        score(conditional, torch.ones(5, 2))
    with pytest.raises(DataError, match=r"context must have shape \(N, 2\)"):
        score(conditional, torch.ones(5, 2), torch.ones(5, 3))
    with pytest.raises(DataError, match="context has 4 rows for 5 data"):
        score(conditional, torch.ones(5, 2), torch.ones(4, 2))
    with pytest.raises(ProgramError, match="takes no context"):
        score(flow, torch.ones(5, 2), torch.ones(5, 2))


def test_images_outside_of_their_range_are_named() -> None:
    x = torch.full((6, 4), 0.5)
    x[2, 1] = 1.5
    with pytest.raises(SupportError, match="row 2"):
        NormalizingFlow(like=x, logit=0.05)
    with pytest.raises(SupportError, match=r"'x'.*row 2"):
        score(NormalizingFlow(4, logit=0.05), x)
    with pytest.raises(SupportError, match=r"'x'.*row 0"):
        Program(NormalizingFlow(4, logit=0.05, levels=4), torch.full((6, 4), 0.5))  # no grey level of four


@pytest.mark.parametrize(
    ("settings", "error", "pattern"),
    [
        ({"transforms": 0}, ProgramError, "transforms must be at least 1, got 0"),
        ({"transforms": []}, ProgramError, "at least one step"),
        ({"kind": "cubic"}, NameNotFoundError, "'cubic'.*spline"),
        ({"logit": 0.7}, ProgramError, "got 0.7"),
        ({"levels": 256}, ProgramError, "needs logit"),
        ({"features": 0}, ProgramError, "at least one number"),
        ({"features": None}, ProgramError, "features"),
        ({"bins": 1}, ProgramError, "bins 2"),
        ({"kind": "continuous", "hidden": (5,)}, ProgramError, "two hidden layers"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], error: type[Exception], pattern: str) -> None:
    with pytest.raises(error, match=pattern):
        NormalizingFlow(**{"features": 2, **settings})


def test_libraries_are_imported_when_a_flow_is_made_and_leave_torch_as_it_was() -> None:
    code = (
        "import sys, ppgen.models; assert not {'zuko', 'torchdiffeq', 'sklearn'} & set(sys.modules); "
        "from torch.distributions import Distribution; before = Distribution._validate_args; "
        "ppgen.models.NormalizingFlow(2); assert Distribution._validate_args is before and 'zuko' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
