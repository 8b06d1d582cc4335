"""Guides by name: distributions over the flat unconstrained position, for any program.

    normal        q(u) = Normal(loc, scale), every coordinate on its own. Its scales are too small where coordinates are
                  correlated.
    multivariate  q(u) = Normal(loc, L L'), L lower triangular: dim (dim + 1) / 2 numbers.
    delta         a point: the maximum a posteriori of the constrained values, no Jacobian; no spread, so no k-hat.

Being over the flat position they see every support re-read at each evaluation, improper priors included.
Sources: Kucukelbir et al., Automatic differentiation variational inference, JMLR 18, 2017; the gradient of log q: Roeder, Wu &
Duvenaud, Sticking the landing, NeurIPS 2017.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..discovery import pick
from ..guides import FlatGuide, Noise

__all__ = ["GUIDES", "Delta", "MultivariateNormal", "Normal", "by_name"]

LOC, LOG_SCALE, TRIL = "guide.loc", "guide.log_scale", "guide.tril"


@dataclass(frozen=True)
class Normal(FlatGuide):
    """Mean-field normal. Contains the posterior of independent Gaussian coordinates."""

    initial_scale: float = 1.0  # in units of the start, which are those of the density's curvature

    def initial(self, position: Tensor) -> dict[str, Tensor]:
        return {LOC: position.clone(), LOG_SCALE: torch.full_like(position, math.log(self.initial_scale))}

    def noise(self, dim: int, dtype: torch.dtype) -> list[Noise]:
        return [Noise("normal", (dim,), dtype)]

    def __call__(self, params: Mapping[str, Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        scale = params[LOG_SCALE].exp()
        position = params[LOC] + scale * noise[0]
        return position, _log_q(params, noise[0], position, noise[0] / scale)


@dataclass(frozen=True)
class MultivariateNormal(Normal):
    """Full-covariance normal. Contains every Gaussian posterior."""

    def initial(self, position: Tensor) -> dict[str, Tensor]:
        dim = len(position)
        return {**super().initial(position), TRIL: position.new_zeros(dim * (dim - 1) // 2)}

    def __call__(self, params: Mapping[str, Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        loc, scale = params[LOC], params[LOG_SCALE].exp()
        dim = len(loc)
        rows, columns = torch.tril_indices(dim, dim, -1, device=loc.device)
        unit = torch.zeros(dim, dim, dtype=loc.dtype, device=loc.device).index_put((rows, columns), params[TRIL])
        # L = diag(scale) (I + unit): the rows below the diagonal are in units of their own scale
        position = loc + scale * (noise[0] + unit @ noise[0])
        whitened = torch.linalg.solve_triangular((unit + torch.eye(dim).to(unit)).mT, noise[0][:, None], upper=True)[:, 0]
        return position, _log_q(params, noise[0], position, whitened / scale)


@dataclass(frozen=True)
class Delta(FlatGuide):
    """A point estimate."""

    point = True

    def initial(self, position: Tensor) -> dict[str, Tensor]:
        return {LOC: position.clone()}

    def noise(self, dim: int, dtype: torch.dtype) -> list[Noise]:
        return []

    def __call__(self, params: Mapping[str, Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return params[LOC] * 1.0, params[LOC].new_zeros(())


def _log_q(params: Mapping[str, Tensor], noise: Tensor, position: Tensor, slope: Tensor) -> Tensor:
    """Log density of the position that this noise becomes (). Its gradient is that by the position alone, -slope: what is left
    out, by the parameters with the position held, is 0 in expectation and the only noise where the guide is exact."""
    dim = noise.shape[-1]
    value = -0.5 * (noise * noise).sum(-1) - params[LOG_SCALE].sum() - 0.5 * dim * math.log(2 * math.pi)
    return value.detach() - (slope.detach() * (position - position.detach())).sum(-1)


GUIDES: dict[str, type[FlatGuide]] = {"normal": Normal, "multivariate": MultivariateNormal, "delta": Delta}


def by_name(name: str) -> FlatGuide:
    """Raises NameNotFoundError."""
    return pick("guide", name, GUIDES)()
