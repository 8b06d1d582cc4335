"""Programs with every law of Pyro that has a differentiable density, and what a lowering makes of them.

A program has a latent vector q of independent normals. The law's parameters are made of it; the law is observed, and is that of a
latent site too where `latent`. What is compared is the log density and its gradient at eight dispersed points, with the graph as
torch runs it.

Laws that are not here: GaussianScaleMixture, Stable and TruncatedPolyaGamma have no density; NanMaskedNormal and its like,
StableWithLogProb branch on values, so they are run by Pyro itself; Empirical and Rejector have nothing to differentiate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints, transforms
from torch import Tensor

from ppgen.lowering import differentiated
from ppgen.native import ir
from ppgen.native.translate import Translation, translate
from ppgen.program import Program
from ppgen.readings import RecordedReading
from ppgen.recording import Recording
from ppgen.straightline import Graph

from .recorded.data import tensor

__all__ = ["LAWS", "Density", "Interpreted", "Law", "Lowered", "density_of", "difference", "float64", "points"]


class Lowered(Protocol):
    """A graph in a lowering, to be bound to what `Graph.prepare` hands over; then called with the fast inputs."""

    def bind(self, prepared: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]: ...


class Interpreted:
    """A graph translated and run by the interpreter."""

    def __init__(self, graph: Graph, dtype: torch.dtype):
        self.translation: Translation = translate(graph, dtype)

    def bind(self, prepared: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
        program, pieces, _, inputs, outputs = self.translation
        buffers = {b: np.zeros(program.sizes[b], np.int64 if kind == "i" else np.float64) for b, kind in ir.BUFFERS.items()}
        for buffer, offset, size, source in pieces:
            t = prepared[source] if isinstance(source, int) else source
            buffers[buffer][offset : offset + size] = t.detach().reshape(-1).numpy()

        def run(fast: Sequence[Tensor]) -> list[Tensor]:
            for g, t in zip(inputs, fast, strict=True):
                buffers[g.view.buffer][g.view.offset : g.view.offset + g.view.size] = t.detach().reshape(-1).numpy()
            out = torch.from_numpy(ir.run(program, buffers))
            return [out[o.view.offset : o.view.offset + o.view.size].reshape(o.view.shape).to(o.dtype) for o in outputs]

        return run


class Density(NamedTuple):
    """A program's log density with its gradient as a graph, for one position (dim,), and what its slow inputs are."""

    graph: Graph
    slow: list[Tensor]
    dim: int
    dtype: torch.dtype

    def by_torch(self, position: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            return self.graph.run(self.graph.prepare(self.slow), [position])

    def by(self, lowered: Lowered) -> Callable[[Tensor], Sequence[Tensor]]:
        with torch.no_grad():
            bound = lowered.bind(self.graph.prepare(self.slow))
        return lambda position: bound([position])


@contextmanager
def float64() -> Iterator[None]:
    """As torch's default: some laws make constants of it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def density_of(program: Program, dtype: torch.dtype = torch.float64) -> Density:
    with float64():
        reading = RecordedReading(program, Recording(program), dtype)
        slow = {**reading._slow, **reading._fast}
        position = next(points(program.dim, 1, seed=3)).to(dtype)
        graph = differentiated(reading._density, position, slow, {})
    return Density(graph, list(slow.values()), program.dim, dtype)


def points(dim: int, count: int = 8, *, seed: int = 5) -> Iterator[Tensor]:
    """Dispersed positions."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.rand(dim, generator=generator, dtype=torch.float64) * 3 - 1.5


def difference(results: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    """The largest difference relative to the largest entry of its tensor; inf where what is not finite is not the same."""
    worst = 0.0
    for a, b in zip(results, truths, strict=True):
        if a.shape != b.shape:
            return float("inf")
        if not b.numel():
            continue
        same = (a == b) | (a.isnan() & b.isnan())
        size = b[b.isfinite()].abs().max() if b.isfinite().any() else torch.ones(())
        gap = torch.where(same, torch.zeros_like(b), (a - b).abs() / size.clamp(min=1e-300))
        worst = max(worst, float(gap.nan_to_num(float("inf"), posinf=float("inf")).max()))
    return worst


# The laws


@dataclass(frozen=True)
class Law:
    """A distribution: parameters from q (size,), observed data; latent: is it a latent site's too? rows: are the data many?"""

    make: Callable[[Tensor], Any]
    size: int
    data: Tensor | None = None
    latent: bool = True
    rows: bool = True

    def program(self) -> Program:
        with float64():
            return Program(self, torch.zeros(()) if self.data is None else self.data)

    def __call__(self, data: Tensor) -> None:
        q = pyro.sample("q", dist.Normal(torch.zeros(self.size, dtype=torch.float64), 1.5).to_event(1))
        if self.latent:
            pyro.sample("z", self._whole(self.make(q)))
        if self.data is not None:
            law = self.make(q)
            pyro.sample("x", self._whole(law.expand_by(data.shape[:1]) if self.rows else law), obs=data)

    @staticmethod
    def _whole(law: Any) -> Any:
        return law.to_event(len(law.batch_shape))

    @property
    def __name__(self) -> str:
        return "law"


def positive(x: Tensor) -> Tensor:
    return (0.5 * x).exp() + 0.1


def unit(x: Tensor) -> Tensor:
    return x.sigmoid()


def spread(q: Tensor, n: int) -> Tensor:
    """A positive definite matrix of size n, of n^2 numbers."""
    m = q[: n * n].reshape(n, n)
    return m @ m.mT + torch.eye(n, dtype=q.dtype)


def factor(q: Tensor, n: int) -> Tensor:
    return torch.linalg.cholesky(spread(q, n))


def line(q: Tensor, n: int) -> Tensor:
    return q[:n] * 2 - 1


REAL = tensor([-3.1, 0.4, 12.0])
POSITIVE = tensor([0.2, 3.5, 11.0])
COUNTS = tensor([0.0, 3, 7])
UNIT = tensor([0.05, 0.4, 0.93])
PLANE = tensor([[-2.0, 5.0], [0.3, 1.1], [8.0, -3.0]])
SIMPLEX = tensor([[0.2, 0.5, 0.3], [0.05, 0.05, 0.9]])
ONE_HOT = tensor([[0.0, 1, 0], [1, 0, 0]])
BITS = tensor([1.0, 0, 1])
ANGLES = tensor([[0.4, -2.0], [3.0, 1.0]])
LABELS = torch.tensor([0, 2, 1])
SERIES = tensor([[[0.3, -1.0], [2.0, 0.5], [1.5, 4.0]]])
HOLES = tensor([[-2.0, float("nan")], [float("nan"), 1.1], [8.0, -3.0]])

LAWS: Mapping[str, Law] = {
    "AffineBeta": Law(lambda q: dist.AffineBeta(positive(q[0]), positive(q[1]), -3.5, 16.0), 2, REAL),
    "AsymmetricLaplace": Law(lambda q: dist.AsymmetricLaplace(q[0], positive(q[1]), positive(q[2])), 3, REAL),
    "AVFMultivariateNormal": Law(lambda q: dist.AVFMultivariateNormal(q[4:], factor(q, 2), torch.zeros(2, 1, 2).double()), 6, PLANE),
    "Bernoulli": Law(lambda q: dist.Bernoulli(logits=q[0]), 1, BITS, latent=False),
    "Bernoulli, probs": Law(lambda q: dist.Bernoulli(unit(q[0])), 1, BITS, latent=False),
    "Beta": Law(lambda q: dist.Beta(positive(q[0]), positive(q[1])), 2, UNIT),
    "BetaBinomial": Law(lambda q: dist.BetaBinomial(positive(q[0]), positive(q[1]), 9), 2, COUNTS, latent=False),
    "Binomial": Law(lambda q: dist.Binomial(9, logits=q[0]), 1, COUNTS, latent=False),
    "Binomial, probs": Law(lambda q: dist.Binomial(9, unit(q[0])), 1, COUNTS, latent=False),
    "Categorical": Law(lambda q: dist.Categorical(logits=q), 3, LABELS, latent=False),
    "Categorical, probs": Law(lambda q: dist.Categorical(q.softmax(-1)), 3, LABELS, latent=False),
    "Cauchy": Law(lambda q: dist.Cauchy(q[0], positive(q[1])), 2, REAL),
    "Chi2": Law(lambda q: dist.Chi2(positive(q[0])), 1, POSITIVE),
    "CoalescentTimes": Law(
        lambda q: dist.CoalescentTimes(tensor([0.0, 0.5, 1.0]), positive(q[0])), 1, tensor([[-1.2, -0.2], [-3.0, 0.2]]), latent=False
    ),
    "ContinuousBernoulli": Law(lambda q: dist.ContinuousBernoulli(logits=q[0]), 1, UNIT),
    "Delta": Law(lambda q: dist.Delta(tensor(2.0), log_density=-(q[0] ** 2)), 1, tensor([2.0]), latent=False),
    "Dirichlet": Law(lambda q: dist.Dirichlet(positive(q)), 3, SIMPLEX),
    "DirichletMultinomial": Law(lambda q: dist.DirichletMultinomial(positive(q), 7), 3, tensor([[2.0, 4, 1], [0, 7, 0]]), latent=False),
    "DiscreteHMM": Law(
        lambda q: dist.DiscreteHMM(q[:2], q[2:6].reshape(2, 2), dist.Normal(q[6:8], positive(q[8]))), 9, SERIES[..., 0], latent=False
    ),
    "Exponential": Law(lambda q: dist.Exponential(positive(q[0])), 1, POSITIVE),
    "ExtendedBetaBinomial": Law(lambda q: dist.ExtendedBetaBinomial(positive(q[0]), positive(q[1]), 9), 2, COUNTS, latent=False),
    "ExtendedBinomial": Law(lambda q: dist.ExtendedBinomial(9, logits=q[0]), 1, COUNTS, latent=False),
    "FisherSnedecor": Law(lambda q: dist.FisherSnedecor(positive(q[0]), positive(q[1])), 2, POSITIVE),
    "FoldedDistribution": Law(lambda q: dist.FoldedDistribution(dist.Normal(q[0], positive(q[1]))), 2, POSITIVE),
    "Gamma": Law(lambda q: dist.Gamma(positive(q[0]), positive(q[1])), 2, POSITIVE),
    "GammaGaussianHMM": Law(
        lambda q: dist.GammaGaussianHMM(
            dist.Gamma(positive(q[0]), positive(q[1])),
            dist.MultivariateNormal(q[2:4], torch.eye(2).double()),
            q[4:8].reshape(2, 2),
            dist.MultivariateNormal(q[:2], 2 * torch.eye(2).double()),
            torch.eye(2).double(),
            dist.MultivariateNormal(q[8:10], torch.eye(2).double()),
        ),
        10,
        SERIES,
        latent=False,
    ),
    "GammaPoisson": Law(lambda q: dist.GammaPoisson(positive(q[0]), positive(q[1])), 2, COUNTS, latent=False),
    "GaussianHMM": Law(
        lambda q: dist.GaussianHMM(
            dist.MultivariateNormal(q[:2], torch.eye(2).double()),
            q[2:6].reshape(2, 2),
            dist.MultivariateNormal(q[6:8], 2 * torch.eye(2).double()),
            torch.eye(2).double(),
            dist.MultivariateNormal(q[8:10], torch.eye(2).double()),
        ),
        10,
        SERIES,
        latent=False,
    ),
    "GaussianMRF": Law(
        lambda q: dist.GaussianMRF(
            dist.MultivariateNormal(q[:2], torch.eye(2).double()),
            dist.MultivariateNormal(q[2:6], spread(q, 4)),
            dist.MultivariateNormal(q[6:10], 2 * torch.eye(4).double()),
        ),
        16,
        SERIES,
        latent=False,
    ),
    "GeneralizedPareto": Law(lambda q: dist.GeneralizedPareto(tensor(0.0), positive(q[0]), positive(q[1])), 2, POSITIVE, latent=False),
    "Geometric": Law(lambda q: dist.Geometric(logits=q[0]), 1, COUNTS, latent=False),
    "GroupedNormalNormal": Law(
        lambda q: dist.GroupedNormalNormal(q[:2], positive(q[2:4]), positive(q[4]), torch.tensor([0, 1, 1])),
        5,
        REAL,
        latent=False,
        rows=False,
    ),
    "Gumbel": Law(lambda q: dist.Gumbel(q[0], positive(q[1])), 2, REAL),
    "HalfCauchy": Law(lambda q: dist.HalfCauchy(positive(q[0])), 1, POSITIVE),
    "HalfNormal": Law(lambda q: dist.HalfNormal(positive(q[0])), 1, POSITIVE),
    "ImproperUniform": Law(lambda q: dist.ImproperUniform(constraints.greater_than(2.0), torch.Size(), torch.Size((2,))), 1),
    "Independent": Law(lambda q: dist.Normal(q, 3.0).to_event(1), 2, PLANE),
    "InverseGamma": Law(lambda q: dist.InverseGamma(positive(q[0]), positive(q[1])), 2, POSITIVE),
    "Kumaraswamy": Law(lambda q: dist.Kumaraswamy(positive(q[0]), positive(q[1])), 2, UNIT),
    "LKJ": Law(lambda q: dist.LKJ(3, positive(q[0])), 1),
    "LKJCholesky": Law(lambda q: dist.LKJCholesky(4, positive(q[0])), 1),
    "Laplace": Law(lambda q: dist.Laplace(q[0], positive(q[1])), 2, REAL),
    "LogNormal": Law(lambda q: dist.LogNormal(q[0], positive(q[1])), 2, POSITIVE),
    "LogNormalNegativeBinomial": Law(
        lambda q: dist.LogNormalNegativeBinomial(tensor(4.0), logits=q[0], multiplicative_noise_scale=positive(q[1])),
        2,
        COUNTS,
        latent=False,
    ),
    "Logistic": Law(lambda q: dist.Logistic(q[0], positive(q[1])), 2, REAL),
    "LogisticNormal": Law(lambda q: dist.LogisticNormal(q[:2], positive(q[2:])), 4, SIMPLEX),
    "LowRankMultivariateNormal": Law(lambda q: dist.LowRankMultivariateNormal(q[:2], q[2:4, None], positive(q[4:])), 6, PLANE),
    "MaskedDistribution": Law(lambda q: dist.Normal(q[0], positive(q[1])).mask(torch.tensor(True)), 2, REAL),
    "MaskedMixture": Law(lambda q: dist.MaskedMixture(torch.tensor(True), dist.Normal(q[0], 2.0), dist.Normal(q[1], 1.0)), 2, REAL),
    "MixtureOfDiagNormals": Law(
        lambda q: dist.MixtureOfDiagNormals(q[:4].reshape(2, 2), positive(q[4:8]).reshape(2, 2), q[8:]), 10, PLANE, latent=False
    ),
    "MixtureOfDiagNormalsSharedCovariance": Law(
        lambda q: dist.MixtureOfDiagNormalsSharedCovariance(q[:4].reshape(2, 2), positive(q[4:6]), q[6:]), 8, PLANE, latent=False
    ),
    "MixtureSameFamily": Law(
        lambda q: dist.MixtureSameFamily(dist.Categorical(logits=q[:2]), dist.Normal(q[2:4], positive(q[4:]))), 6, REAL, latent=False
    ),
    "Multinomial": Law(lambda q: dist.Multinomial(7, logits=q), 3, tensor([[2.0, 4, 1], [0, 7, 0]]), latent=False),
    "MultivariateNormal": Law(lambda q: dist.MultivariateNormal(q[4:], spread(q, 2)), 6, PLANE),
    "MultivariateNormal, precision": Law(lambda q: dist.MultivariateNormal(q[4:], precision_matrix=spread(q, 2)), 6, PLANE),
    "MultivariateNormal, factor": Law(lambda q: dist.MultivariateNormal(q[4:], scale_tril=factor(q, 2)), 6, PLANE),
    "MultivariateStudentT": Law(lambda q: dist.MultivariateStudentT(positive(q[6]), q[4:6], factor(q, 2)), 7, PLANE),
    "NegativeBinomial": Law(lambda q: dist.NegativeBinomial(positive(q[0]), logits=q[1]), 2, COUNTS, latent=False),
    "Normal": Law(lambda q: dist.Normal(q[0], positive(q[1])), 2, REAL),
    "OMTMultivariateNormal": Law(lambda q: dist.OMTMultivariateNormal(q[4:], factor(q, 2)), 6, PLANE),
    "OneHotCategorical": Law(lambda q: dist.OneHotCategorical(logits=q), 3, ONE_HOT, latent=False),
    "OneHotCategoricalStraightThrough": Law(lambda q: dist.OneHotCategoricalStraightThrough(logits=q), 3, ONE_HOT, latent=False),
    "OneOneMatching": Law(lambda q: dist.OneOneMatching(q.reshape(3, 3)), 9, torch.tensor([2, 0, 1]), latent=False, rows=False),
    "OneTwoMatching": Law(lambda q: dist.OneTwoMatching(q.reshape(4, 2)), 8, torch.tensor([1, 0, 0, 1]), latent=False, rows=False),
    "OrderedLogistic": Law(lambda q: dist.OrderedLogistic(q[0], torch.cat([q[1:2], q[1:2] + positive(q[2:])])), 3, LABELS, latent=False),
    "Pareto": Law(lambda q: dist.Pareto(tensor(0.1), positive(q[0])), 1, POSITIVE, latent=False),
    "Poisson": Law(lambda q: dist.Poisson(positive(q[0])), 1, COUNTS, latent=False),
    "ProjectedNormal": Law(dist.ProjectedNormal, 2, tensor([[0.6, 0.8], [-1.0, 0.0]]), latent=False),
    "ProjectedNormal, in space": Law(dist.ProjectedNormal, 3, tensor([[0.6, 0.8, 0.0], [-1.0, 0.0, 0.0]]), latent=False),
    "RelaxedBernoulli": Law(lambda q: dist.RelaxedBernoulli(tensor(0.7), logits=q[0]), 1, UNIT),
    "RelaxedBernoulliStraightThrough": Law(lambda q: dist.RelaxedBernoulliStraightThrough(tensor(0.7), logits=q[0]), 1, UNIT, latent=False),
    "RelaxedOneHotCategorical": Law(lambda q: dist.RelaxedOneHotCategorical(tensor(0.7), logits=q), 3, SIMPLEX, latent=False),
    "RelaxedOneHotCategoricalStraightThrough": Law(
        lambda q: dist.RelaxedOneHotCategoricalStraightThrough(tensor(0.7), logits=q), 3, SIMPLEX, latent=False
    ),
    "SineBivariateVonMises": Law(lambda q: dist.SineBivariateVonMises(q[0], q[1], tensor(2.0), tensor(3.5), correlation=q[2]), 3, ANGLES),
    "SineSkewed": Law(lambda q: dist.SineSkewed(dist.VonMises(q[:2], positive(q[2])).to_event(1), tensor([0.3, -0.5])), 3, ANGLES),
    "SkewLogistic": Law(lambda q: dist.SkewLogistic(q[0], positive(q[1]), positive(q[2])), 3, REAL),
    "SoftAsymmetricLaplace": Law(lambda q: dist.SoftAsymmetricLaplace(q[0], positive(q[1]), positive(q[2]), softness=0.8), 3, REAL),
    "SoftLaplace": Law(lambda q: dist.SoftLaplace(q[0], positive(q[1])), 2, REAL),
    "SpanningTree": Law(dist.SpanningTree, 3, torch.tensor([[0, 1], [1, 2]]), latent=False, rows=False),
    "StudentT": Law(lambda q: dist.StudentT(positive(q[0]), q[1], positive(q[2])), 3, REAL),
    "TransformedDistribution": Law(
        lambda q: dist.TransformedDistribution(
            dist.Normal(q[0], positive(q[1])), [transforms.SigmoidTransform(), transforms.AffineTransform(1.0, 4.0)]
        ),
        2,
        tensor([1.2, 4.4]),
    ),
    "TransformedDistribution, ordered": Law(
        lambda q: dist.TransformedDistribution(dist.Normal(q, 2.0).to_event(1), transforms.OrderedTransform()),
        3,
        tensor([[-1.0, 0.5, 7.0]]),
    ),
    "Uniform": Law(lambda q: dist.Uniform(-4 - positive(q[0]), 13 + positive(q[1])), 2, REAL),
    "Unit": Law(lambda q: dist.Unit(-(q[0] ** 2)), 1, torch.zeros(1, 0).double(), latent=False),
    "VonMises": Law(lambda q: dist.VonMises(q[0], positive(q[1])), 2, tensor([-2.0, 0.3, 3.1])),
    "VonMises3D": Law(dist.VonMises3D, 3, tensor([[0.6, 0.8, 0.0], [-1.0, 0.0, 0.0]]), latent=False),
    "Weibull": Law(lambda q: dist.Weibull(positive(q[0]), positive(q[1])), 2, POSITIVE),
    "Wishart": Law(lambda q: dist.Wishart(tensor(4.5), covariance_matrix=spread(q, 2)), 4, spread(tensor([1.0, 2, 0.5, -1]), 2)[None]),
    "ZeroInflatedNegativeBinomial": Law(
        lambda q: dist.ZeroInflatedNegativeBinomial(positive(q[0]), logits=q[1], gate=unit(q[2])), 3, COUNTS, latent=False
    ),
    "ZeroInflatedPoisson": Law(lambda q: dist.ZeroInflatedPoisson(positive(q[0]), gate_logits=q[1]), 2, COUNTS, latent=False),
    "ZeroInflatedDistribution": Law(
        lambda q: dist.ZeroInflatedDistribution(dist.Poisson(positive(q[0])), gate=unit(q[1])), 2, COUNTS, latent=False
    ),
}
