"""Gaps between a guide and the evidence, against principal components: posterior, evidence and the best normals in closed form."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen import Program, datasets, inference_gaps
from ppgen.errors import ScoreError
from ppgen.inference import NUTS
from ppgen.models import GaussianMixture, Heights, VariationalAutoencoder

ROWS = datasets.load("digits").x.flatten(1)[:, 18:26]
QUICK = NUTS(num_warmup=250, num_samples=250, progress=False)


def affine() -> VariationalAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        family = VariationalAutoencoder(like=ROWS, latent=3, hidden=())
    with torch.no_grad():  # directions that are far from orthogonal, so that normals which are independent miss something
        next(family.decoder.parameters()).copy_(torch.tensor([[1.0, 0.8, 0.5]]) + 0.2 * torch.arange(24.0).cos().reshape(8, 3))
    return family


def test_gaps_of_a_linear_model() -> None:
    """The best independent normals have the posterior's means and its precisions' diagonal: log p(x) less their bound is half the
    log of the diagonal's product over the determinant."""
    family, x = affine(), ROWS[:6]
    gaps = inference_gaps(family, x, engine=QUICK, num_particles=4000)
    law = family.exact(x)["posterior"]["z"]
    precision = torch.linalg.inv(law.covariance_matrix[0]).double()
    expected = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    assert float(expected) > 0.3
    errors = (gaps.evidence.standard_error.square() + gaps.best.standard_error.square()).sqrt()
    assert ((gaps.approximation - expected).abs() < 4 * errors + 0.01).all()
    assert float(gaps.evidence.total) == pytest.approx(float(family.exact(x)["log_evidence"]), abs=0.05)
    assert (gaps.evidence.kind, gaps.best.kind, gaps.guide.kind) == ("estimate", "lower bound", "lower bound")
    encoded = family.encode(x)
    with torch.no_grad():  # the divergence of the encoder's law from the posterior is what both gaps come to
        posterior = torch.distributions.MultivariateNormal(law.mean, law.covariance_matrix)
        own = torch.distributions.MultivariateNormal(encoded.mean.double(), torch.diag_embed(encoded.variance.double()))
        divergence = torch.distributions.kl_divergence(own, posterior)
    both = gaps.approximation + gaps.amortisation
    assert ((both - divergence).abs() < 5 * gaps.guide.standard_error + 0.02).all()
    assert "approximation" in repr(gaps)


def test_a_guide_that_is_best_has_no_amortisation_gap() -> None:
    class Told(VariationalAutoencoder):
        """Whose guide is the best independent normals."""

        def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
            assert x is not None
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(loc[: len(x)], scale[: len(x)]).to_event(1))

    family, x = affine(), ROWS[:4]
    law = family.exact(x)["posterior"]["z"]
    loc, scale = law.mean.float(), torch.linalg.inv(law.covariance_matrix).diagonal(dim1=-1, dim2=-2).rsqrt().float()
    family.__class__ = Told
    gaps = inference_gaps(family, x, engine=QUICK, num_particles=4000)
    errors = (gaps.best.standard_error.square() + gaps.guide.standard_error.square()).sqrt()
    assert (gaps.amortisation.abs() < 5 * errors + 0.01).all()


def test_programs_that_have_no_such_gaps() -> None:
    x = torch.tensor([170.0, 180.0, 175.0])
    with pytest.raises(ScoreError, match=r"'precision'.*in its data plate alone"):
        inference_gaps(Heights(like=x), x)
    with pytest.raises(ScoreError, match=r"'weights'"):
        inference_gaps(GaussianMixture(2, like=x), x)
    bounded = dist.Uniform(torch.zeros(2), torch.ones(2)).to_event(1)
    with pytest.raises(ScoreError, match=r"'z' has support.*real numbers"):
        inference_gaps(VariationalAutoencoder(8, prior=bounded), torch.zeros(3, 8))

    def plain(y: Tensor) -> None:
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(pyro.sample("z", dist.Normal(0.0, 1.0)), 1.0), obs=y)

    with pytest.raises(ScoreError, match=r"'z' of 'plain'.*those of a Family"):
        inference_gaps(plain, x)
    with pytest.raises(ScoreError, match="no latent sites"):
        inference_gaps(Program(pyro.poutine.condition(plain, data={"z": torch.zeros(3)}), x))
