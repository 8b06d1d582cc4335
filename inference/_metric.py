"""The metric of Hamiltonian engines, and its estimates from a window of warm-up draws and of their gradients.

    M^-1 = L L',    q = L z,    z' += step p,    p += step / 2 L' grad log p(q),    p ~ Normal(0, I)

In coordinates z, which L whitens, every metric is the unit one: a trajectory needs `to_position` (L p) and `to_whitened`
(L' g), and nothing else. L = diag(scale) C, where C is the unit matrix, the unit matrix stretched along a few orthonormal
directions, or a lower triangle. All three stand in one tuple of arrays; the parts that a kind has no use for have length 0.

From the draws alone come the estimates of Stan: variances or covariance, shrunk. From draws x and gradients g comes the
metric that minimises the Fisher divergence between the posterior and a normal, E |L^-1 (x - mean) + L' (g - mean)|^2: on
the diagonal sd(x) / sd(g); else the geometric mean of cov(x) and cov(g)^-1, the S with S cov(g) S = cov(x). For a normal
posterior it is exact, but for shrinkage, as soon as the draws span the space.

Sources: Stan Reference Manual, "Automatic parameter tuning" (shrinkage); Seyboldt, Carlson & Carpenter, arXiv 2603.18845,
2026 (Fisher divergence, low rank); Bhatia, Positive Definite Matrices, 2007, ch. 4 (geometric mean).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from numba import njit
from torch import Tensor

from ..native.calling import HOW

__all__ = [
    "METRICS",
    "Covariance",
    "DenseFisher",
    "DiagonalFisher",
    "LowRankFisher",
    "Metric",
    "MetricEstimator",
    "Variance",
    "to_position",
    "to_whitened",
]

HEAVY, HEAVY_SHARE = 20.0, 0.05


class Metric(NamedTuple):
    """L of each chain: diag(scale) (I + sum_r vectors_r (sqrt(values_r) - 1) vectors_r'), or diag(scale) triangle.

    scale      (chains, dim)
    vectors    (chains, rank, dim), orthonormal rows; zero where the value is 1
    values     (chains, rank), variances along the vectors in units of the scale, those of 1 last
    triangle   (chains, dim, dim), lower, or (chains, 0, 0)
    """

    scale: Tensor
    vectors: Tensor
    values: Tensor
    triangle: Tensor

    @classmethod
    def diagonal(cls, scale: Tensor, rank: int = 0) -> "Metric":
        chains, dim = scale.shape
        return cls(scale, scale.new_zeros(chains, rank, dim), scale.new_ones(chains, rank), scale.new_zeros(chains, 0, 0))

    @classmethod
    def dense(cls, scale: Tensor, root: Tensor) -> "Metric":
        """M^-1 = diag(scale) root root' diag(scale), from any square root (chains, dim, dim)."""
        triangle = torch.linalg.qr(root.mT).R.mT
        return cls.diagonal(scale)._replace(triangle=triangle * triangle.diagonal(dim1=1, dim2=2).sign()[:, None])

    def to(self, like: Tensor) -> "Metric":
        return Metric(*(field.to(like) for field in self))

    def shared(self, chains: int) -> "Metric":
        """One chain's metric as that of all."""
        return Metric(*(field.expand(chains, *field.shape[1:]).contiguous() for field in self))

    def to_position(self, momentum: Tensor) -> Tensor:
        """L p, (chains, dim)."""
        return self.scale * (_times(self.triangle, momentum) if self._dense else self._stretch(momentum, self.values.sqrt()))

    def to_whitened(self, gradient: Tensor) -> Tensor:
        """L' g, (chains, dim)."""
        scaled = self.scale * gradient
        return _times(self.triangle.mT, scaled) if self._dense else self._stretch(scaled, self.values.sqrt())

    def whiten(self, position: Tensor) -> Tensor:
        """L^-1 q, (chains, dim)."""
        scaled = position / self.scale
        if self._dense:
            return torch.linalg.solve_triangular(self.triangle, scaled[..., None], upper=False)[..., 0]
        return self._stretch(scaled, self.values.rsqrt())

    def root(self) -> Tensor:
        """L, (chains, dim, dim)."""
        chains, dim = self.scale.shape
        columns = torch.eye(dim).to(self.scale).expand(chains, -1, -1)
        return torch.stack([self.to_position(columns[:, i]) for i in range(dim)], -1)

    @property
    def _dense(self) -> bool:
        return self.triangle.shape[-1] > 0

    def _stretch(self, x: Tensor, by: Tensor) -> Tensor:
        return x + _times(self.vectors.mT, (by - 1) * _times(self.vectors, x))


@njit(cache=True, **HOW)
def to_position(scale, vectors, values, triangle, momentum, out):  # type: ignore[no-untyped-def]
    """out = L p for one chain's arrays; `out` is not `momentum`."""
    if triangle.shape[0]:
        for i in range(len(scale)):
            row, total = triangle[i], 0.0
            for j in range(i + 1):
                total += row[j] * momentum[j]
            out[i] = scale[i] * total
        return
    for i in range(len(scale)):
        out[i] = momentum[i]
    _stretch(vectors, values, out)
    for i in range(len(scale)):
        out[i] *= scale[i]


@njit(cache=True, **HOW)
def to_whitened(scale, vectors, values, triangle, gradient, out):  # type: ignore[no-untyped-def]
    """out = L' g for one chain's arrays; `out` is not `gradient`."""
    if triangle.shape[0]:
        out[:] = 0.0
        for i in range(len(scale)):
            row, factor = triangle[i], scale[i] * gradient[i]
            for j in range(i + 1):
                out[j] += row[j] * factor
        return
    for i in range(len(scale)):
        out[i] = scale[i] * gradient[i]
    _stretch(vectors, values, out)


@njit(cache=True, **HOW)
def _stretch(vectors, values, x):  # type: ignore[no-untyped-def]
    """In place; one direction after the other is all at once, since they are orthogonal. Rank is what is kept, not its limit."""
    for r in range(len(values)):
        if values[r] == 1:
            break
        row, along = vectors[r], 0.0
        for i in range(len(x)):
            along += row[i] * x[i]
        along *= values[r] ** 0.5 - 1
        for i in range(len(x)):
            x[i] += along * row[i]


class MetricEstimator(ABC):
    """A kind of metric and how it is found."""

    @abstractmethod
    def _estimate(self, draws: Tensor, gradients: Tensor) -> Metric:
        """Of at least two draws, in float64, all finite."""

    def _shaped(self, metric: Metric) -> Metric:
        """A diagonal metric with the arrays of this kind."""
        return metric

    def unit(self, position: Tensor) -> Metric:
        """To begin with, for chains at `position` (chains, dim)."""
        return self._shaped(Metric.diagonal(torch.ones_like(position)))

    def estimate(self, draws: Tensor, gradients: Tensor, pooled: bool = False) -> Metric:
        """From a window of each chain, (chains, n, dim) both, of the same dtype; `pooled` makes one window of them all.

        Coordinates of which nothing can be learned (constant draws and gradients, values that are not finite) keep scale 1;
        a single draw gives the unit metric.
        """
        chains, n, dim = draws.shape
        if pooled:
            draws, gradients = (x.reshape(1, chains * n, dim) for x in (draws, gradients))
        if draws.shape[1] < 2:
            return self.unit(draws.new_ones(chains, dim))
        finite = (draws.isfinite() & gradients.isfinite()).all(1, keepdim=True)
        metric = self._estimate(*(torch.where(finite, x, 0.0).double() for x in (draws, gradients)))
        return metric.shared(chains).to(draws)


@dataclass(frozen=True)
class Variance(MetricEstimator):
    """Stan's diagonal: variances of the draws, mixed with `shrinkage` draws' worth of 1e-3."""

    shrinkage: float = 5.0

    def _estimate(self, draws: Tensor, gradients: Tensor) -> Metric:
        n = draws.shape[1]
        return Metric.diagonal(((n * draws.var(1) + 1e-3 * self.shrinkage) / (n + self.shrinkage)).sqrt())


@dataclass(frozen=True)
class Covariance(MetricEstimator):
    """Stan's dense metric: the draws' covariance, mixed with `shrinkage` draws' worth of 1e-3 times the unit matrix."""

    shrinkage: float = 5.0

    def _estimate(self, draws: Tensor, gradients: Tensor) -> Metric:
        n = draws.shape[1]
        scale = ((n * draws.var(1) + 1e-3 * self.shrinkage) / (n + self.shrinkage)).sqrt()  # so that the triangle is of order 1
        x = (draws - draws.mean(1, keepdim=True)) / scale[:, None]
        added = 1e-3 * self.shrinkage / scale**2 + 1e-8 * n  # the latter so that rounding leaves it positive definite
        correlation = (n / (n - 1) * x.mT @ x + torch.diag_embed(added)) / (n + self.shrinkage)
        return Metric.dense(scale, torch.linalg.cholesky(correlation))

    def _shaped(self, metric: Metric) -> Metric:
        return Metric.dense(metric.scale, torch.diag_embed(torch.ones_like(metric.scale)))


class Fisher(MetricEstimator):
    """Of least Fisher divergence, by draws and gradients.

    A chain whose gradients have heavy tails takes the variances of its draws instead. There the posterior's width is another one from
    place to place: gradients in the neck of a funnel are many times those elsewhere, and say nothing of its covariance. (Horseshoe
    with 100 columns, 4 x (400 + 1000) draws: R-hat 1.59 without this, 1.01 with it.)
    """

    @abstractmethod
    def _fisher(self, draws: Tensor, gradients: Tensor) -> Metric: ...

    def _estimate(self, draws: Tensor, gradients: Tensor) -> Metric:
        metric, heavy = self._fisher(draws, gradients), _heavy_tailed(gradients)
        if not heavy.any():
            return metric
        plain = self._shaped(Variance()._estimate(draws, gradients))
        return Metric(*(torch.where(heavy.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(plain, metric, strict=True)))


@dataclass(frozen=True)
class DiagonalFisher(Fisher):
    """The diagonal of least Fisher divergence."""

    def _fisher(self, draws: Tensor, gradients: Tensor) -> Metric:
        return Metric.diagonal(_fisher_scale(draws, gradients))


@dataclass(frozen=True)
class DenseFisher(Fisher):
    """The matrix of least Fisher divergence. It learns all correlations; dim^2 numbers and operations a leapfrog step.

    shrinkage   holds directions that the window has not seen at what the diagonal says: shrinkage / n^3 of the mean square is
                added to the second moments of n draws and of their gradients. The fall is steep, because a few early draws are
                on their way somewhere, while a hundred from the posterior must be free to show coordinates that are all but
                collinear (benchmarks/results/warmup.choice.md)
    """

    shrinkage: float = 10.0

    def _fisher(self, draws: Tensor, gradients: Tensor) -> Metric:
        scale, x, g = _scaled(draws, gradients)
        return Metric.dense(scale, _root_of_geometric_mean(x, g, self.shrinkage))

    def _shaped(self, metric: Metric) -> Metric:
        return Metric.dense(metric.scale, torch.diag_embed(torch.ones_like(metric.scale)))


@dataclass(frozen=True)
class LowRankFisher(Fisher):
    """The diagonal, and on top of it the directions in which the posterior is far wider or narrower than the diagonal says.

    They are sought in the span of the window's draws and gradients, with n^2 dim operations a window of n draws where those are
    fewer than half of dim: 3 ms with 40 draws in 400 dimensions, 0.2 s with 160 in 6,400. A leapfrog step takes 4 rank dim more.

    rank        directions, at most
    cutoff      a direction counts if its variance, in units of the scale, is above `cutoff` or below its inverse
    shrinkage   as for DenseFisher
    """

    rank: int = 64
    cutoff: float = 1.5
    shrinkage: float = 10.0

    def _fisher(self, draws: Tensor, gradients: Tensor) -> Metric:
        scale, x, g = _scaled(draws, gradients)
        basis = _span(x, g)  # (chains, m, dim), orthonormal rows
        vectors, singular, _ = torch.linalg.svd(_root_of_geometric_mean(x @ basis.mT, g @ basis.mT, self.shrinkage))
        values = singular**2
        rank = min(self.rank, scale.shape[1])
        kept = min(rank, values.shape[1])
        away, order = values.log().abs().sort(descending=True)
        away, order = away[:, :kept], order[:, :kept]
        counts = away > torch.tensor(self.cutoff).log()
        rows = vectors.gather(2, order[:, None].expand(-1, values.shape[1], -1)).mT @ basis
        metric = Metric.diagonal(scale, rank)
        metric.values[:, :kept] = torch.where(counts, values.gather(1, order), 1.0)
        metric.vectors[:, :kept] = torch.where(counts[..., None], rows, 0.0)
        return metric

    def _shaped(self, metric: Metric) -> Metric:
        return Metric.diagonal(metric.scale, min(self.rank, metric.scale.shape[1]))


METRICS: Mapping[str, MetricEstimator] = {
    "variance": Variance(),
    "covariance": Covariance(),
    "diagonal": DiagonalFisher(),
    "dense": DenseFisher(),
    "low_rank": LowRankFisher(),
}


def _heavy_tailed(gradients: Tensor) -> Tensor:
    """(chains,): whether more than HEAVY_SHARE of the coordinates of gradients (chains, n, dim) have a kurtosis above HEAVY. It is 3
    where the posterior is normal, and never above n, so that short windows do not count."""
    g = gradients - gradients.mean(1, keepdim=True)
    kurtosis = (g**4).mean(1) / g.square().mean(1).square().clamp(min=torch.finfo(g.dtype).tiny)
    return (kurtosis > HEAVY).double().mean(1) > HEAVY_SHARE


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    return (matrix @ x[..., None])[..., 0]


def _fisher_scale(draws: Tensor, gradients: Tensor) -> Tensor:
    """sqrt(sd(x) / sd(g)), (chains, dim); by one of them where the other is constant, 1 where both are."""
    x, g = (_sd(z) for z in (draws, gradients))
    return torch.where(x > 0, x, torch.where(g > 0, 1 / g, 1.0)).sqrt() * torch.where(g > 0, 1 / g, torch.where(x > 0, x, 1.0)).sqrt()


def _sd(x: Tensor) -> Tensor:
    """0 where what varies is rounding alone."""
    sd = x.std(1)
    return torch.where(sd > 1e-14 * x.abs().amax(1), sd, 0.0)


def _scaled(draws: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The diagonal of least Fisher divergence, and deviations of draws and gradients in its units, both over their common root
    mean square (of coordinates that vary): the metric depends on their ratio alone."""
    scale = _fisher_scale(draws, gradients)
    x, g = (z - z.mean(1, keepdim=True) for z in (draws, gradients))
    x, g = x / scale[:, None], g * scale[:, None]
    squares = (x.square() + g.square()).mean(1) / 2  # (chains, dim)
    size = (squares.sum(1) / (squares > 1e-20).sum(1).clamp(min=1)).sqrt()[:, None, None]
    size = torch.where(size > 0, size, 1.0)
    return scale, x / size, g / size


def _span(x: Tensor, g: Tensor) -> Tensor:
    """Orthonormal rows whose span holds all rows of x and g: the unit matrix where nothing is saved."""
    chains, n, dim = x.shape
    if 2 * n >= dim:
        return torch.eye(dim).to(x).expand(chains, -1, -1)
    return torch.linalg.qr(torch.cat([x, g], 1).mT).Q.mT


def _root_of_geometric_mean(x: Tensor, g: Tensor, shrinkage: float) -> Tensor:
    """A root H of S = H H', symmetric and positive definite, with S B S = A: A and B (chains, dim, dim) are the second moments of x
    and g, (chains, n, dim), shrunk. By B = R R' and R' A R = V D V', H = R'^-1 V D^1/4.
    """
    n, dim = x.shape[1:]
    least = shrinkage / n**3 + 1e-13 * dim  # the latter is rounding, which must not make them indefinite
    a, b = (z.mT @ z / n + least * torch.eye(dim).to(z) for z in (x, g))
    lower = torch.linalg.cholesky(b)
    values, vectors = torch.linalg.eigh(lower.mT @ a @ lower)
    values = values.clamp(min=1e-16 * values.amax(1, keepdim=True))
    return torch.linalg.solve_triangular(lower.mT, vectors * values[:, None] ** 0.25, upper=True)
