"""The best network that there is for data with a normal distribution, and what is known of a chain that has it."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from ..errors import ProgramError
from ._schedules import Predict, Schedule

__all__ = ["GaussianScore", "path_law"]


class GaussianScore(nn.Module):
    """What a network gives once it has learned all of data u_0 ~ Normal(loc, covariance), at every level of noise.

    loc, covariance   (D,) and (D, D), of data in the diffusion's own units (`Diffusion.of_normal` takes them in the data's)
    predict           noise, data or velocity, as the diffusion's

    The noisy datum alpha u_0 + sigma noise is Normal(alpha loc, alpha^2 covariance + sigma^2), whose score is an affine function.
    """

    loc: Tensor
    variances: Tensor  # (D,) along the axes
    axes: Tensor  # (D, D), one a column

    def __init__(self, loc: Tensor, covariance: Tensor, predict: Predict = "noise"):
        super().__init__()
        if covariance.shape != (*loc.shape, *loc.shape) or loc.dim() != 1:
            raise ProgramError(f"loc must be (D,) and covariance (D, D); got {tuple(loc.shape)} and {tuple(covariance.shape)}")
        variances, axes = torch.linalg.eigh(covariance.double())
        if not variances.min() > 0:
            raise ProgramError(f"the covariance is not positive definite: its smallest eigenvalue is {float(variances.min()):.3g}")
        self.predict = predict
        dtype = torch.get_default_dtype()
        for name, value in {"loc": loc, "variances": variances, "axes": axes}.items():
            self.register_buffer(name, value.detach().to(dtype))

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        alpha, sigma = log_snr.sigmoid().sqrt()[:, None], (-log_snr).sigmoid().sqrt()[:, None]
        off = (x - alpha * self.loc) @ self.axes  # from the mean, along the axes
        noise = sigma * off / (alpha.square() * self.variances + sigma.square()) @ self.axes.mT
        if self.predict == "noise":
            return noise
        if self.predict == "velocity":
            return (noise - sigma * x) / alpha
        data = self.variances * alpha * off / (alpha.square() * self.variances + sigma.square())
        return self.loc + data @ self.axes.mT

    def marginal(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of the noisy datum at a level (), in double."""
        loc, variances, axes = (t.double() for t in (self.loc, self.variances, self.axes))
        alpha2, sigma2 = log_snr.double().sigmoid(), (-log_snr.double()).sigmoid()
        return alpha2.sqrt() * loc, (axes * (alpha2 * variances + sigma2)) @ axes.mT


def path_law(network: GaussianScore, schedule: Schedule) -> dist.MultivariateNormal:
    """Of (u_0, u_1, .., u_T) under the model with this network, as one vector of (T + 1) D numbers, in double: every step is an affine
    function of the one before it and of its own noise."""
    size = len(network.loc)
    loc, variances, axes = (t.double() for t in (network.loc, network.variances, network.axes))
    count = (schedule.steps + 1) * size
    noise = torch.eye(count, dtype=torch.float64, device=loc.device).reshape(-1, size, count)
    means, maps = [torch.zeros_like(loc)], [noise[schedule.steps]]
    for step in range(schedule.steps - 1, -1, -1):
        alpha, sigma, sd = (getattr(schedule, n)[step].double() for n in ("alpha", "sigma", "sd"))
        of_data, of_here = schedule.of_data[step].double(), schedule.of_here[step].double()
        gain = (axes * (alpha * variances / (alpha**2 * variances + sigma**2))) @ axes.mT
        one = torch.eye(size, dtype=torch.float64, device=loc.device)
        slope = of_data * gain + of_here * one
        means.append(slope @ means[-1] + of_data * (loc - alpha * gain @ loc))
        maps.append(slope @ maps[-1] + sd * noise[step])
    root = torch.cat(maps[::-1])
    return dist.MultivariateNormal(torch.cat(means[::-1]), root @ root.mT)
