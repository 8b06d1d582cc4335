"""Metrics and their estimates: against known covariances, numpy, and the equation that the Fisher divergence's minimum solves."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ppgen.inference._metric import (
    METRICS,
    Covariance,
    DenseFisher,
    DiagonalFisher,
    LowRankFisher,
    Metric,
    MetricEstimator,
    Variance,
    to_position,
    to_whitened,
)

CHAINS, DIM = 3, 12
FISHER = [DiagonalFisher(), DenseFisher(), LowRankFisher(), LowRankFisher(rank=4, cutoff=2.0)]
ANY = [*METRICS.values(), *FISHER]


def correlated(dim: int = DIM, seed: int = 0) -> Tensor:
    """A covariance with strong correlations and standard deviations from 0.01 to 100."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(dim, 3)) * 2
    matrix = factors @ factors.T + np.diag(rng.uniform(0.5, 2.0, dim))
    sds = rng.permutation(np.logspace(-2, 2, dim))
    scale = sds / np.sqrt(np.diag(matrix))
    return torch.from_numpy(matrix * scale * scale[:, None])


def normal_window(covariance: Tensor, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Independent draws of a normal and the gradients of its log density there, (CHAINS, n, dim)."""
    rng = np.random.default_rng(seed)
    lower = torch.linalg.cholesky(covariance)
    deviations = torch.from_numpy(rng.normal(size=(CHAINS, n, len(covariance)))) @ lower.T
    gradients = -torch.cholesky_solve(deviations.reshape(-1, len(covariance)).T, lower).T.reshape(deviations.shape)
    return deviations + torch.from_numpy(rng.normal(size=len(covariance))) * 30, gradients


def skewed_window(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draws and gradients that belong to no normal."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(DIM, DIM))
    return torch.from_numpy(rng.gamma(2.0, 3.0, (CHAINS, n, DIM)) @ mixing), torch.from_numpy(rng.standard_t(5, (CHAINS, n, DIM)) * 0.2)


def condition(metric: Metric, covariance: Tensor) -> Tensor:
    """Of the covariance in whitened coordinates, for each chain: 1 is perfect."""
    return torch.linalg.cond(torch.linalg.solve(metric.root(), torch.linalg.cholesky(covariance))) ** 2


def inverse_mass_matrix(metric: Metric) -> Tensor:
    root = metric.root()
    return root @ root.mT


# Known covariances


@pytest.mark.parametrize("estimator", [DenseFisher(shrinkage=0.0), LowRankFisher(cutoff=1.0, shrinkage=0.0)], ids=repr)
def test_a_normal_is_found_exactly_once_draws_outnumber_dimensions(estimator: MetricEstimator) -> None:
    covariance = correlated()
    metric = estimator.estimate(*normal_window(covariance, DIM + 3))
    sds = covariance.diagonal().sqrt()
    error = (inverse_mass_matrix(metric) - covariance) / sds / sds[:, None]
    assert error.abs().max() < 1e-3
    assert (condition(metric, covariance) < 1.01).all()


def test_directions_are_those_of_largest_and_smallest_variance() -> None:
    covariance = correlated()
    metric = LowRankFisher(rank=5, shrinkage=0.0).estimate(*normal_window(covariance, 4 * DIM))
    for scale, vectors, values in zip(metric.scale, metric.vectors, metric.values, strict=True):
        eigenvalues, eigenvectors = np.linalg.eigh((covariance / scale / scale[:, None]).numpy())
        order = np.argsort(-np.abs(np.log(eigenvalues)))[:5]
        assert values.numpy() == pytest.approx(eigenvalues[order], rel=1e-3)
        assert np.abs(np.diag(vectors.numpy() @ eigenvectors[:, order])) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("n", [10, 20, 40])
def test_fewer_draws_than_dimensions_already_help(n: int) -> None:
    covariance = correlated(100)
    window = normal_window(covariance, n)
    diagonal = condition(DiagonalFisher().estimate(*window), covariance)
    for estimator in (DenseFisher(), LowRankFisher()):
        assert (condition(estimator.estimate(*window), covariance) < diagonal / 3).all()


def test_two_draws_are_enough_for_independent_coordinates() -> None:
    variances = torch.logspace(-16, 16, DIM, dtype=torch.float64)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(CHAINS, 2, DIM))) * variances.sqrt()
    metric = DiagonalFisher().estimate(x, -x / variances)
    torch.testing.assert_close(metric.scale.square(), variances.expand(CHAINS, -1))


# Any draws


@pytest.mark.parametrize("estimator", [DenseFisher(shrinkage=0.0), LowRankFisher(cutoff=1.0, shrinkage=0.0)], ids=repr)
def test_the_fisher_divergence_is_least(estimator: MetricEstimator) -> None:
    """S cov(g) S = cov(x), the condition for a minimum; and metrics nearby are worse."""
    x, g = skewed_window(50)
    metric = estimator.estimate(x, g)
    for chain, found in enumerate(inverse_mass_matrix(metric)):
        expected, cov_g = (torch.from_numpy(np.cov(z[chain].numpy().T)) for z in (x, g))
        torch.testing.assert_close(found @ cov_g @ found, expected, rtol=1e-7, atol=1e-7 * float(expected.abs().max()))

        def divergence(matrix: Tensor, cov_x: Tensor = expected, cov_g: Tensor = cov_g) -> Tensor:
            return (torch.linalg.solve(matrix, cov_x) + matrix @ cov_g).trace()

        for seed in range(5):
            tilt = torch.eye(DIM) + 0.05 * torch.from_numpy(np.random.default_rng(seed).normal(size=(DIM, DIM)))
            assert divergence(tilt @ found @ tilt.T) > divergence(found)


def test_the_diagonal_is_least_among_diagonals() -> None:
    x, g = skewed_window(50)
    metric = DiagonalFisher().estimate(x, g)
    expected = np.sqrt(np.std(x.numpy(), axis=1) / np.std(g.numpy(), axis=1))
    assert metric.scale.numpy() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("estimator", FISHER, ids=repr)
@pytest.mark.parametrize("n", [5, 50])
def test_units_do_not_matter(estimator: MetricEstimator, n: int) -> None:
    x, g = skewed_window(n)
    units = torch.from_numpy(np.random.default_rng(1).permutation(np.logspace(-8, 8, DIM)))
    here, there = inverse_mass_matrix(estimator.estimate(x, g)), inverse_mass_matrix(estimator.estimate(x * units, g / units))
    rounding = 1e-6 * float(here.abs().max())
    torch.testing.assert_close(there / units / units[:, None], here, rtol=1e-6, atol=rounding)


def test_stans_estimates() -> None:
    x, g = skewed_window(30)
    variance, covariance = (e.estimate(x, g) for e in (Variance(), Covariance()))
    for chain in range(CHAINS):
        expected = 30 / 35 * np.cov(x[chain].numpy().T) + 5 / 35 * 1e-3 * np.eye(DIM)
        assert variance.scale[chain].square().numpy() == pytest.approx(np.diag(expected))
        assert inverse_mass_matrix(covariance)[chain].numpy() == pytest.approx(expected, rel=1e-5, abs=1e-5 * np.abs(expected).max())


def test_directions_within_the_cutoff_are_left_alone() -> None:
    covariance = correlated()
    window = normal_window(covariance, 4 * DIM)
    everything, some, none = (LowRankFisher(cutoff=c).estimate(*window) for c in (1.0, 3.0, 1e6))
    stretch = everything.values.log().abs()
    assert (stretch[:, :-1] >= stretch[:, 1:]).all()
    counted = stretch > np.log(3.0)
    assert counted.any()
    assert not counted.all()
    torch.testing.assert_close(some.values, torch.where(counted, everything.values, 1.0))
    assert (some.vectors[~counted] == 0).all()
    assert (none.values == 1).all()
    torch.testing.assert_close(none.scale, DiagonalFisher().estimate(*window).scale)


@pytest.mark.parametrize("estimator", METRICS.values(), ids=METRICS)
def test_pooled(estimator: MetricEstimator) -> None:
    x, g = skewed_window(20)
    metric = estimator.estimate(x, g, pooled=True)
    together = estimator.estimate(x.reshape(1, -1, DIM), g.reshape(1, -1, DIM))
    for found, expected in zip(metric, together, strict=True):
        assert found.is_contiguous()
        for chain in found:
            torch.testing.assert_close(chain, expected[0])


# The root and its uses


@pytest.mark.parametrize("estimator", ANY, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_identities_of_the_root(estimator: MetricEstimator, dtype: torch.dtype) -> None:
    metric = estimator.estimate(*(z.to(dtype) for z in normal_window(correlated(), 30)))
    p, g = (torch.from_numpy(np.random.default_rng(i).normal(size=(CHAINS, DIM))).to(dtype) for i in range(2))
    tolerance = 1e-9 if dtype == torch.float64 else 2e-3
    q, force = metric.to_position(p), metric.to_whitened(g)
    assert q.dtype == force.dtype == dtype
    torch.testing.assert_close(metric.whiten(q), p, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close((g * q).sum(-1), (force * p).sum(-1), rtol=tolerance, atol=tolerance * float((g * q).abs().max()))
    torch.testing.assert_close((metric.root() @ p[..., None])[..., 0], q, rtol=tolerance, atol=tolerance * float(q.abs().max()))
    for chain in range(CHAINS):
        arrays = [field[chain].numpy() for field in metric]
        for compiled, given, expected in ((to_position, p, q), (to_whitened, g, force)):
            out = np.full(DIM, np.nan, dtype=given.numpy().dtype)
            compiled(*arrays, given[chain].numpy(), out)
            torch.testing.assert_close(torch.from_numpy(out), expected[chain], rtol=tolerance, atol=tolerance * float(expected.abs().max()))


@pytest.mark.parametrize("estimator", ANY, ids=repr)
def test_shapes_stay(estimator: MetricEstimator) -> None:
    """What a run begins with and what each window gives have the same arrays, whatever was found."""
    begin = estimator.unit(torch.zeros(CHAINS, DIM, dtype=torch.float64))
    torch.testing.assert_close(begin.root(), torch.eye(DIM, dtype=torch.float64).expand(CHAINS, -1, -1))
    for n in (1, 2, 7, 40):
        metric = estimator.estimate(*skewed_window(n))
        assert [f.shape for f in metric] == [f.shape for f in begin]
        assert all(f.is_contiguous() for f in metric)


# Windows from which little can be learned


@pytest.mark.parametrize("estimator", ANY, ids=repr)
def test_one_draw_is_the_unit_metric(estimator: MetricEstimator) -> None:
    torch.testing.assert_close(estimator.estimate(*skewed_window(1)).root(), torch.eye(DIM).double().expand(CHAINS, -1, -1))


@pytest.mark.parametrize("estimator", FISHER, ids=repr)
def test_a_coordinate_of_which_nothing_is_learned_keeps_its_scale(estimator: MetricEstimator) -> None:
    x, g = skewed_window(30)
    for fault in ("constant", "nan", "inf"):
        bad_x, bad_g = x.clone(), g.clone()
        bad_x[:, :, 4] = 1e8 + 0.1
        bad_g[:, :, 4] = 0.3
        if fault != "constant":
            bad_g[1, 7, 4] = float(fault)
        root = estimator.estimate(bad_x, bad_g).root()
        assert root.isfinite().all()
        others = [i for i in range(DIM) if i != 4]
        torch.testing.assert_close(root[:, 4, 4], torch.ones(CHAINS).double(), rtol=1e-4, atol=0.0)
        assert root[:, 4, others].abs().max() < 1e-6
        without = estimator.estimate(x[..., others], g[..., others])
        if not isinstance(estimator, LowRankFisher):  # whose directions are so many at most, and that one is not among them
            torch.testing.assert_close(root[:, others][:, :, others], without.root(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("estimator", FISHER, ids=repr)
def test_flat_directions_and_stuck_ones(estimator: MetricEstimator) -> None:
    """No gradient: the draws' standard deviation; draws that do not move: one over the gradients'."""
    x, g = skewed_window(30)
    g[..., 2], x[..., 5] = 0.0, 7.0
    scale = estimator.estimate(x, g).scale
    torch.testing.assert_close(scale[:, 2], x[..., 2].std(1))
    torch.testing.assert_close(scale[:, 5], 1 / g[..., 5].std(1))


@pytest.mark.parametrize("estimator", ANY, ids=repr)
@pytest.mark.parametrize("size", [1e-100, 1e-8, 1e8, 1e100])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_a_wild_window_gives_a_finite_root(estimator: MetricEstimator, size: float, n: int) -> None:
    """Early draws are far from the posterior: gradients of any size, directions of any ratio, repeated draws."""
    x, g = skewed_window(n)
    x[:, 1:3] = x[:, :1]
    g[:, 1:3] = g[:, :1]
    metric = estimator.estimate(x, g * size * torch.logspace(-6, 6, DIM, dtype=torch.float64))
    root = metric.root()
    assert root.isfinite().all()
    assert (torch.linalg.svdvals(root) > 0).all()


def test_many_dimensions_need_no_square_matrix() -> None:
    """One of 10^10 numbers would not fit."""
    dim, n = 100_000, 6
    rng = np.random.default_rng(0)
    loading = torch.from_numpy(rng.normal(size=dim))
    z, common = torch.from_numpy(rng.normal(size=(1, n, dim))), torch.from_numpy(rng.normal(size=(1, n, 1)))
    x = z + common * loading  # covariance I + loading loading'
    g = -(x - (x @ loading)[..., None] * loading / (1 + loading @ loading))
    metric = LowRankFisher(rank=2, cutoff=2.0).estimate(x, g)
    along = loading / loading.norm()
    assert metric.vectors.shape == (1, 2, dim)
    assert float(metric.to_position(along[None])[0] @ along) > 2


# Where gradients say nothing of the covariance


@pytest.mark.parametrize("kind", ["diagonal", "dense", "low_rank"])
def test_a_chain_in_funnels_takes_its_draws_variances(kind: str) -> None:
    """Chain 0 is in ten funnels, x ~ N(0, e^2v) with v ~ N(0, 3); chain 1 is normal and keeps its own estimate."""
    generator = torch.Generator().manual_seed(5)
    v = 3.0 * torch.randn(200, 10, generator=generator, dtype=torch.float64)
    x = v.exp() * torch.randn(200, 10, generator=generator, dtype=torch.float64)
    funnels = torch.cat([v, x], 1), torch.cat([-v / 9 + (x / v.exp()) ** 2 - 1, -x * (-2 * v).exp()], 1)
    normal = 5.0 * torch.randn(200, 20, generator=generator, dtype=torch.float64)
    draws, gradients = torch.stack([funnels[0], normal]), torch.stack([funnels[1], -normal / 25])
    metric = METRICS[kind].estimate(draws, gradients)
    plain = METRICS["variance"].estimate(draws, gradients)
    assert torch.equal(metric.scale[0], plain.scale[0])
    assert torch.allclose(metric.scale[1], torch.full((20,), 5.0, dtype=torch.float64), rtol=1e-9)
    momentum = torch.ones(2, 20, dtype=torch.float64)
    assert torch.allclose(metric.to_position(momentum)[0], plain.scale[0])
