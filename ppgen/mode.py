"""The mode of a density, and how far each coordinate reaches from it: where a guide over the flat position begins, and in what
units it moves.

A position is unconstrained but has the data's units: a mean of 40 with an sd of 0.01 is as usual as one of 0 with an sd of 1.
An optimiser whose steps have a fixed length would never arrive at the first.

Source: Laplace's approximation; L-BFGS: Liu & Nocedal, Mathematical Programming 45, 1989.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .keys import START, Key, nth
from .program import Program
from .recording import Recording
from .targets import LogDensity

__all__ = ["Start", "at_mode"]

STEPS = 500  # of L-BFGS
DIFFERENCE = 1e-4  # of second derivatives from gradients
WIDEST = 500  # coordinates whose second derivatives are looked at
LEVEL = 0.3  # sds that a mode of a normal with that slope and curvature may be away
DRAWS = 64  # by which two starts are compared
FAR = 1e100  # stands for a density of zero, which a line search cannot use


class Start(NamedTuple):
    """Of the flat position: where to begin (dim,), and the length of a unit along each coordinate (dim,)."""

    centre: Tensor
    unit: Tensor

    def place(self, units: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        """A position in these units (*batch, dim) and its log density (*batch,), as a position and its log density."""
        return self.centre + self.unit * units, log_q - self.unit.log().sum()


def at_mode(program: Program, key: Key, recording: Recording | None = None) -> Start:
    """A local mode with the sds of the normal that has its curvature, each given the other coordinates; or, where the density
    has no mode within reach, a random point of finite density with units of 1. Where the climb ended on a slope, which is how it ends for
    a hierarchy whose density has no bound as its scale goes to 0: of the two the one about which a normal promises the greater evidence
    bound. recording: of this program, where there is one. Raises StartError."""
    density = LogDensity(program, recording=recording)
    begin = density.initial(key, radius=0.1)[0]
    anywhere = Start(begin, torch.ones_like(begin))
    centre = _climbed(density, begin)
    curvature = _curvature(density, centre)
    if curvature is None or not bool((curvature > 0).all()):
        return anywhere
    climbed = Start(centre, curvature.rsqrt())
    slope = density.value_and_grad(centre[None])[1][0] * climbed.unit
    if bool((slope.abs() < LEVEL).all()):
        return climbed
    return max(climbed, anywhere, key=lambda start: _bound(density, start, key))


def _bound(density: LogDensity, start: Start, key: Key) -> float:
    """The evidence bound of a normal about a start, a unit wide, nats, up to a constant; by the median of its draws, as the scale of the
    guide soon leaves out tails that are hardly possible."""
    noise = Key(key.seed, chains=tuple(range(DRAWS))).normal(nth(START, 1), (DRAWS, len(start.centre)))
    values = density.value_and_grad(start.centre + start.unit * noise.to(start.centre))[0]
    return float(torch.where(values.isfinite(), values, -FAR).median() + start.unit.log().sum())


def _climbed(density: LogDensity, begin: Tensor) -> Tensor:
    from scipy.optimize import minimize

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density.value_and_grad(torch.from_numpy(x).to(begin)[None])
        if not (value.isfinite().all() and gradient.isfinite().all()):
            return FAR, np.zeros_like(x)
        return -float(value), -gradient[0].double().cpu().numpy()

    if not len(begin):
        return begin
    found = minimize(loss, begin.double().cpu().numpy(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": 20})
    return torch.from_numpy(found.x).to(begin)


def _curvature(density: LogDensity, at: Tensor) -> Tensor | None:
    """Minus the second derivative along each coordinate, (dim,); None where there are too many or one is not finite."""
    if len(at) > WIDEST:
        return None
    moves = DIFFERENCE * torch.eye(len(at)).to(at)
    up, down = (density.value_and_grad(at + sign * moves)[1].diagonal() for sign in (1, -1))
    curvature = (down - up) / (2 * DIFFERENCE)
    return curvature if bool(curvature.isfinite().all()) else None
