"""Priors of the parameters of components or states: what is asked of them, and draws from which a guide takes its units."""

from collections.abc import Collection, Mapping

import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from ..errors import NameNotFoundError, ProgramError

__all__ = ["PRIOR_DRAWS", "checked", "prior_draws"]

PRIOR_DRAWS = 500  # from which a guide reads the scale of each prior


def checked(
    priors: Mapping[str, TorchDistributionMixin], shared: Collection[str], start: Collection[str]
) -> dict[str, TorchDistributionMixin]:
    """Priors for one component, by parameter. Raises ProgramError, NameNotFoundError."""
    for name, prior in priors.items():
        if prior.batch_shape:
            raise ProgramError(f"the prior of {name!r} has batch shape {tuple(prior.batch_shape)}; make it one event by to_event")
        if prior.support.is_discrete:
            raise ProgramError(f"the prior of {name!r} is discrete ({type(prior).__name__}); give a continuous one")
    if unknown := sorted({*shared, *start} - set(priors)):
        raise NameNotFoundError(f"no prior for {', '.join(unknown)}; there are {', '.join(priors)}")
    if not set(priors) - set(shared):
        raise ProgramError("components need at least one parameter of their own, in priors and not in shared; there is none")
    return dict(priors)


def prior_draws(priors: Mapping[str, TorchDistributionMixin]) -> dict[str, Tensor]:
    """(PRIOR_DRAWS, *shape) of each, always the same ones."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(0)
        return {n: p.expand([PRIOR_DRAWS]).sample() for n, p in priors.items()}
