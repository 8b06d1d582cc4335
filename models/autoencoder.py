"""Variational autoencoders: each datum is made by a network from a few latent numbers, which another network finds again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyro
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn
from torch.distributions import Distribution

from ..errors import ProgramError
from ..family import Family, check_rows, count_rows
from ..recording import seeded
from ._contexts import contexts
from ._latent_laws import DiagonalNormal, Given, StandardNormal
from ._likelihoods import Gaussian, Likelihood, Scale, likelihood_by_name
from ._networks import decoder_for, encoder_for
from ._principal import LinearGaussianLatents, affine, principal_components
from ._units import shape_of, units_of

__all__ = ["VariationalAutoencoder"]

Law = Distribution | nn.Module


class VariationalAutoencoder(Family):
    """A network makes data of latent numbers, and another tells the latent numbers of a datum.

        z_n ~ Normal(0, I)                    k numbers, n = 1..N; or another prior
        x_n ~ likelihood(decoder(z_n))

    features     D, or the shape of a datum, (channels, height, width); None is that of `like`
    like         data (N, *shape) whose mean, number by number, and overall standard deviation are taken once (buffers): networks work
                 in these units, and an image may have any
    latent       k
    likelihood   gaussian; bernoulli, of numbers in [0, 1] (grey counts as the mean over black and white); categorical, of whole numbers
                 0..levels-1; logistic, of grey levels k / (levels - 1); or a module (or callable) from the decoder's output, of the
                 shape of a datum, to the distribution of data
    scale        of gaussian and logistic: shared, one for all numbers of a datum; each has its own; or a number in the data's units
    levels       of categorical and logistic
    hidden       widths of the dense layers of encoder and decoder: (256, 256), convolutions for images; () makes both affine maps
    encoder      a module x (N, *shape) -> (N, 2 k): loc, and what softplus makes the scale; what a `posterior` is called with, else
    decoder      a module z (N, k) -> (N, *shape), categorical (N, *shape, levels): logits, or means in units of the data's
    prior        of z: a distribution, a NormalizingFlow, or a module that gives one when called with the context, None without
    posterior    of z given the encoder's output: a NormalizingFlow of it as context, or a module that gives a distribution
    context      C: data are conditioned on contexts (N, C), which encoder and decoder are given as a second argument

    Exact, with an affine decoder (hidden=()), a gaussian likelihood and the standard prior: evidence and posterior, those of
    probabilistic principal components, and the maximum of the likelihood. Affine networks then reach it.
    Warm-up of the divergence, its weight and importance-weighted bounds are settings of SVI.
    Sources: Kingma & Welling, ICLR 2014; Rezende, Mohamed & Wierstra, ICML 2014; Lucas et al., NeurIPS 2019 (affine networks).
    """

    centre: Tensor  # (*shape)
    spread: Tensor  # ()

    def __init__(
        self,
        features: int | Sequence[int] | None = None,
        *,
        like: Tensor | None = None,
        latent: int = 2,
        likelihood: Likelihood | Callable[[Tensor], TorchDistributionMixin] = "gaussian",
        scale: Scale | float = "shared",
        levels: int | None = None,
        hidden: Sequence[int] | None = None,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        prior: Law | None = None,
        posterior: nn.Module | None = None,
        context: int = 0,
    ):
        super().__init__()
        if latent < 1 or context < 0:
            raise ProgramError(f"latent must be at least 1 and context 0; got {latent} and {context}")
        self.event_shape, self.latent, self.context = shape_of(features, like), latent, context
        centre, spreads = units_of(self.event_shape, like, alike=True)
        spread = spreads.flatten()[0].clone()
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        self.output_shape = self.event_shape
        if isinstance(likelihood, str):
            likelihood, output = likelihood_by_name(likelihood, centre, spread, scale, levels)
            self.output_shape = output(self.event_shape)
        self.likelihood = likelihood
        self.prior = StandardNormal(latent) if prior is None else Given(prior, context)
        self.posterior = DiagonalNormal(latent) if posterior is None else Given(posterior)
        if self.posterior.inputs == 0:
            raise ProgramError("this posterior takes no context, so that it cannot depend on data; make the flow with context=")
        if encoder is None:
            if self.posterior.inputs is None:
                raise ProgramError("this posterior does not say by `context` how many numbers it is called with; give the encoder too")
            encoder = encoder_for(self.event_shape, self.posterior.inputs, context, hidden)
        self.encoder = encoder
        self.decoder = decoder_for(latent, self.output_shape, context, hidden) if decoder is None else decoder

    # The pair

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N, *shape), or draws `size` data; given contexts (N, C), one datum for each."""
        rows = None if x is None else self._rows(x)
        count = count_rows(rows, len(context) if size is None and rows is None and isinstance(context, Tensor) else size)
        given = contexts(context, self.context, count, self.centre.dtype)
        with pyro.plate("data", count):
            z = pyro.sample("z", self._checked(self.prior(given), "prior", count))  # (N, k)
            return pyro.sample("x", self.likelihood(self._decoded(z, given)), obs=rows)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Of each datum by itself, what the encoder says of its x: independent normals, which cannot follow correlations of a datum's
        latent numbers nor anything but one mode; a `posterior` may."""
        if x is None:
            raise ProgramError("the guide tells the latent numbers of data; give it x")
        rows = self._rows(x)
        with pyro.plate("data", count_rows(rows, size)):
            pyro.sample("z", self._encoded(rows, contexts(context, self.context, len(rows), self.centre.dtype)))

    def _encoded(self, rows: Tensor, given: Tensor | None) -> TorchDistributionMixin:
        x = (rows - self.centre) / self.spread
        output = self.encoder(x) if given is None else self.encoder(x, given)
        expected = (len(rows), self.posterior.inputs)
        if self.posterior.inputs is not None and output.shape != expected:
            raise ProgramError(
                f"the encoder gives {tuple(output.shape)} for {len(rows)} data; {self.latent} latent numbers under this posterior need "
                f"{expected}"
            )
        return self._checked(self.posterior(output), "posterior", len(rows))

    def _decoded(self, z: Tensor, given: Tensor | None) -> Tensor:
        """z (N, k) -> (N, *output)"""
        z = z.to(self.centre.dtype)
        output: Tensor = self.decoder(z) if given is None else self.decoder(z, given)
        if output.shape != (len(z), *self.output_shape):
            raise ProgramError(
                f"the decoder gives {tuple(output.shape)} for z of shape {tuple(z.shape)}; data of shape {tuple(self.event_shape)} need "
                f"{(len(z), *self.output_shape)}"
            )
        return output

    def _checked(self, law: TorchDistributionMixin, what: str, count: int) -> TorchDistributionMixin:
        if law.event_shape != (self.latent,):
            raise ProgramError(f"the {what} is one of {tuple(law.event_shape)} numbers a datum, and latent is {self.latent}")
        return law.expand((count,))

    # In the field's words

    def encode(self, x: Tensor, context: Tensor | None = None) -> TorchDistributionMixin:
        """The guide's distribution of z (k,) for each row of x: batch shape (N,)."""
        rows = self._rows(x)
        return self._encoded(rows, contexts(context, self.context, len(rows), self.centre.dtype))

    def decode(self, z: Tensor, context: Tensor | None = None) -> TorchDistributionMixin:
        """The distribution of a datum for each row of z (N, k): batch shape (N,)."""
        check_rows(z, torch.Size((self.latent,)), "z")
        given = contexts(context, self.context, len(z), self.centre.dtype)
        return self.likelihood(self._decoded(z, given))

    @torch.no_grad()
    def reconstruct(self, x: Tensor, context: Tensor | None = None, *, seed: int = 0) -> Tensor:
        """What becomes of data on the way through z: the mean of x given one draw of z for each, (N, *shape)."""
        law = self.encode(x, context)
        with seeded(seed):
            z = law.sample()
        return self.decode(z, context).mean

    # What is known in closed form

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_likelihood, a function of values by site: z (*lead, N, k) -> (*lead, N), nats.

        With an affine decoder, a gaussian likelihood and the standard prior also log_evidence, nats; posterior, of z; and
        maximum_likelihood, a function without arguments (one scale, no context): see _principal.py.
        """
        rows = self._rows(x)
        given = contexts(context, self.context, len(rows), self.centre.dtype)
        known: dict[str, Any] = {"log_likelihood": partial(self._log_likelihood, rows, given)}
        noise = self.likelihood
        if not (affine(self.decoder) and type(noise) is Gaussian and isinstance(self.prior, StandardNormal)):
            return known
        law, flat = self._affine(noise, len(rows), given), rows.double().flatten(1)
        known |= {"log_evidence": law.log_density(flat).sum(), "posterior": {"z": law.posterior(flat)}}
        if not noise.log_scale.dim() and given is None:
            known["maximum_likelihood"] = partial(principal_components, flat, self.latent)
        return known

    @torch.no_grad()
    def _affine(self, noise: Gaussian, count: int, given: Tensor | None) -> LinearGaussianLatents:
        decode = lambda z, c: (noise.centre + noise.spread * self._decoded(z, c)).flatten(1).double()  # noqa: E731
        units = torch.eye(self.latent).to(self.centre)
        first = None if given is None else given[:1].expand(self.latent, -1)
        offset = decode(units.new_zeros(count, self.latent), given)  # (N, D)
        weight = decode(units, first) - offset[:1]  # (k, D)
        return LinearGaussianLatents(weight.mT, offset, noise.scale.double().expand(self.event_shape).reshape(-1))

    @torch.no_grad()
    def _log_likelihood(self, rows: Tensor, given: Tensor | None, values: Mapping[str, Tensor]) -> Tensor:
        z = values["z"]
        flat = z.reshape(-1, len(rows), self.latent)
        return torch.stack([self.likelihood(self._decoded(one, given)).log_prob(rows) for one in flat]).reshape(z.shape[:-1])

    def _rows(self, x: Tensor) -> Tensor:
        """Data in the networks' own dtype. Raises DataError."""
        check_rows(x, self.event_shape)
        return x.to(self.centre.dtype)
