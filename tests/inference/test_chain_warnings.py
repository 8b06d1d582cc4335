"""What a run of chains says by itself where its draws cannot be trusted."""

import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.errors import PpgenWarning
from ppgen.inference import NUTS
from ppgen.models import GaussianMixture

QUICK = {"num_warmup": 200, "num_samples": 200, "num_chains": 4, "progress": False}


def two_modes() -> None:
    """Normals of sd 1 at -10 and 10: no chain goes from one to the other."""
    pyro.sample("easy", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))
    pyro.factor("modes", torch.logaddexp(-0.5 * (x - 10) ** 2, -0.5 * (x + 10) ** 2))


def test_chains_that_disagree_are_told_of() -> None:
    with pytest.warns(PpgenWarning, match=r"the chains disagree: R-hat of site 'x' is \d+\.\d\d, so no figure"):
        posterior = NUTS(seed=1, **QUICK).run(two_modes)
    assert (posterior.draws["x"].mean(1).sign() == 1).any()
    assert (posterior.draws["x"].mean(1).sign() == -1).any()


def clumps() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.cat([40.0 + torch.randn(40, generator=generator), 60.0 + 2 * torch.randn(60, generator=generator)])


def test_labels_that_switch_are_no_disagreement() -> None:
    x = clumps()
    with warnings.catch_warnings():
        warnings.simplefilter("error", PpgenWarning)
        posterior = NUTS(seed=0, **QUICK).run(GaussianMixture(2, like=x), x)
    assert posterior.draws["loc"].shape == (4, 200, 2)
