"""The stored posterior of Old Faithful: its tool samples the family's own density, and the file is what the tool gives."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from ppgen import datasets
from ppgen.models import GaussianMixture
from ppgen.program import Program
from ppgen.targets import LogDensity
from tests.tools import gibbs_mixture as gibbs

STORED = json.loads((Path(__file__).parents[1] / "reference" / "old_faithful_gibbs.json").read_text(encoding="utf-8"))


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def x() -> np.ndarray:
    return datasets.load("old-faithful").x.numpy()


def some(x: np.ndarray, count: int, seed: int = 0) -> tuple[gibbs.Values, np.random.Generator]:
    """Values spread about the posterior and well beyond it."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet([3.0, 3.0], count)
    loc = x.mean(0) + x.std(0) * rng.normal(size=(count, 2, 2))
    shape = np.stack([*np.log(x.std(0) / 2), 0.0]) + 0.5 * rng.normal(size=(count, 2, 3))
    return gibbs.Values(weights, loc, shape), rng


@pytest.mark.usefixtures("double")
def test_the_tool_and_the_family_have_one_density(x: np.ndarray) -> None:
    """With every constant: nothing here but numpy and the definition on one side, LogDensity of the program on the other."""
    values, _ = some(x, 20)
    r, spread = values.correlation, x.std(0)
    factor = np.zeros((20, 2, 2, 2))
    factor[..., 0, 0], factor[..., 1, 0], factor[..., 1, 1] = 1.0, r, np.sqrt(1 - r * r)
    named = {"weights": values.weights, "loc": values.loc, "scale": values.scale, "correlation": factor}
    rows = torch.as_tensor(x)
    density = LogDensity(Program(GaussianMixture(num_components=2, like=rows), rows))
    position = density.unconstrain({n: torch.as_tensor(v) for n, v in named.items()})
    constant = (
        np.log(6)  # Dirichlet(2, 2)
        - 2 * np.log(2 * spread).sum() - 2 * np.log(2 * np.pi)  # four normals
        - 4 * np.log(0.75) - 2 * np.log(2 * np.pi)  # four normals of log scales
        + 2 * np.log(3 / 4)  # 1 - r^2 over (-1, 1), twice
    )  # fmt: skip
    stick = np.log(values.weights).sum(-1)  # d weights[0] / d coordinate = weights[0] weights[1]
    expected = gibbs.log_posterior(values, x) + stick + constant
    np.testing.assert_allclose(density.value_and_grad(position)[0], expected, rtol=1e-10)


def test_conditionals_belong_to_the_joint_density(x: np.ndarray) -> None:
    """For fixed assignments each conditional differs from the joint density by a constant."""
    values, rng = some(x, 6)
    other, _ = some(x, 6, seed=1)
    member = gibbs.draw_assignments(values, x, rng)

    def complete(v: gibbs.Values) -> np.ndarray:
        return gibbs.log_prior(v, x) + (gibbs.log_joint(v, x) * member).sum((1, 2))

    mean, cov = gibbs.loc_conditional(member, values.shape, x)
    log_q = lambda loc: np.array(  # noqa: E731
        [sum(stats.multivariate_normal(mean[c, k], cov[c, k]).logpdf(loc[c, k]) for k in range(2)) for c in range(6)]
    )
    got, want = log_q(other.loc) - log_q(values.loc), complete(values._replace(loc=other.loc)) - complete(values)
    np.testing.assert_allclose(got, want, rtol=1e-8)

    conditional = gibbs.log_shape_conditional(member, values.loc, x)
    got, want = conditional(other.shape).sum(-1) - conditional(values.shape).sum(-1), complete(values._replace(shape=other.shape))
    np.testing.assert_allclose(got, want - complete(values), rtol=1e-8)

    concentration = 2.0 + member.sum(1)
    log_q = lambda w: np.array([stats.dirichlet(concentration[c]).logpdf(w[c]) for c in range(6)])  # noqa: E731
    got, want = log_q(other.weights) - log_q(values.weights), complete(values._replace(weights=other.weights)) - complete(values)
    np.testing.assert_allclose(got, want, rtol=1e-8)


def test_assignments_are_drawn_by_their_probabilities(x: np.ndarray) -> None:
    values, rng = some(x, 1)
    log_p = gibbs.log_joint(values, x)[0]
    p = np.exp(log_p - np.logaddexp.reduce(log_p, -1)[:, None])[:, 0]
    drawn = np.mean([gibbs.draw_assignments(values, x, rng)[0, :, 0] for _ in range(2000)], 0)
    assert (np.abs(drawn - p) <= 4.5 * np.sqrt(p * (1 - p) / 2000) + 1e-3).all()


def test_slice_steps_leave_a_skewed_density_invariant() -> None:
    """Log of a gamma variable with shape 1.5, from a start far away."""
    rng = np.random.default_rng(0)
    at = np.full(4000, 6.0)
    for _ in range(40):
        at = gibbs.slice_step(lambda u: 1.5 * u - np.exp(u), at, 0.7, rng)
    assert stats.kstest(np.exp(at), stats.gamma(1.5).cdf).pvalue > 0.01


def test_stored_run_is_long_enough_and_is_what_the_tool_gives(x: np.ndarray) -> None:
    assert STORED["settings"] == gibbs.SETTINGS
    np.testing.assert_allclose(STORED["data"]["mean"], x.mean(0))
    for s in STORED["parameters"].values():
        assert min(s["ess_bulk"], s["ess_tail"]) >= 4000
        assert s["rhat"] < 1.001
        assert s["q"] == sorted(s["q"])
    short = gibbs.summary(gibbs.sample(x, seed=1, chains=16, warmup=100, sweeps=200))
    assert short.keys() == STORED["parameters"].keys()
    for name, s in short.items():
        t = STORED["parameters"][name]
        for what in ("mean", "sd"):
            error = np.hypot(s[f"mcse_{what}"], t[f"mcse_{what}"])
            assert abs(s[what] - t[what]) < 4 * error, f"{what} of {name}"
