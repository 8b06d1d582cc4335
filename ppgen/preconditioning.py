"""Sampling a posterior in the coordinates of a guide that was fitted to it.

    base ~ Normal(0, I),   position = T(base),   log density(base) = log p(T(base)) - log q(T(base)) + log Normal(base)

where q is the law of T(base): what a guide over the flat position draws. If q were the posterior, base would be standard normal.

Source: Hoffman et al., NeuTra-lizing bad geometry in Hamiltonian Monte Carlo using neural transport, 2019.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from .bijections import bijection_of
from .errors import EngineError, GuideError, ProgramError
from .guides import FlatGuide
from .mode import Start
from .posterior import Posterior
from .program import Program

__all__ = ["PlacedGuide", "neutra"]

BASE = "base"  # the site in whose coordinates the chain moves


class PlacedGuide(NamedTuple):
    """A guide over the flat position as it was fitted.

    start   the place and units of which its parameters are numbers
    """

    guide: FlatGuide
    start: Start
    params: Mapping[str, Tensor]

    def __call__(self, noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """-> position (dim,), log q (), nats"""
        return self.start.place(*self.guide(self.params, noise))


def neutra(posterior: Posterior) -> Program:
    """The program of a posterior by SVI, written in the coordinates of its guide: a program for any sampler.

        posterior = SVI(guide=FlowGuide()).run(program, x)
        NUTS().run(neutra(posterior))

    Its only continuous latent site is `base`, (dim,); the program's own sites are deterministic ones, so that draws come in them. The
    density is the program's, exactly, however well the guide fits. Discrete sites stay as they are.

    Raises EngineError (a posterior without such a guide), GuideError (a point estimate, a guide that is no image of normals).
    """
    placed, program = posterior.guide, posterior.program
    if placed is None or program is None:
        raise EngineError("neutra needs what SVI gives with a guide over the flat position: a flow, FlowGuide(), normal or multivariate")
    kinds = [(n.kind, n.shape) for n in placed.guide.noise(program.dim, program.dtype)]
    if placed.guide.point or kinds != [("normal", (program.dim,))]:
        raise GuideError(f"{type(placed.guide).__name__} is no invertible image of {program.dim} normals, one for each coordinate")
    if local := [s.name for s in program.latent if s.rows is not None]:
        raise ProgramError(f"site {local[0]!r} has missing rows, for which neutra has no coordinates")
    made = Program(_preconditioned(placed, program), *program.args, coords=program.coords, dims=program.dims, **program.kwargs)
    made.set_params({n: program.params[n] for n in made.params.keys() & program.params.keys()})
    return made


def _preconditioned(placed: PlacedGuide, program: Program) -> Callable[..., Any]:
    """The program's callable in the coordinates of a guide."""
    zero = torch.zeros(program.dim, dtype=program.dtype, device=placed.start.centre.device)

    def preconditioned(*args: Any, **kwargs: Any) -> Any:
        normal = dist.Normal(zero, torch.ones_like(zero)).to_event(1)
        base = pyro.sample(BASE, normal)
        position, log_q = placed([base])
        pyro.factor("volume", -log_q)  # with the density of base: log of the volume that T makes of a unit of it
        with _At(position, program):
            return program.fn(*args, **kwargs)

    preconditioned.__name__ = program.name
    return preconditioned


class _At(Messenger):
    """Continuous latent sites become functions of a position: determined, with a factor for what they would have counted."""

    def __init__(self, position: Tensor, program: Program):
        super().__init__()
        self.position, self.sites = position, program.sites

    def _pyro_sample(self, msg: Any) -> None:
        site, fn = self.sites.get(msg["name"]), msg["fn"]
        if site is None or site.place is None or msg["is_observed"] or msg["done"]:
            return
        transform: Any = bijection_of(fn)
        free = self.position[site.place].reshape(site.unconstrained_shape)
        value = transform(free)
        pyro.factor(f"{msg['name']}_density", fn.log_prob(value) + transform.log_abs_det_jacobian(free, value))
        msg["fn"] = dist.Delta(value, event_dim=fn.event_dim).mask(False)
        msg["value"], msg["is_observed"] = value, True
        msg["infer"] = {**(msg["infer"] or {}), "_deterministic": True}
