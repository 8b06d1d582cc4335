"""Every law of Pyro with a differentiable density, in each lowering, against torch at eight dispersed points."""

from collections.abc import Callable

import pytest
import torch

from ppgen.native.kernel import Kernel
from ppgen.straightline import Graph
from tests.tools.zoo import LAWS, Interpreted, Lowered, density_of, difference, points

LOWERINGS = [pytest.param(Interpreted, id="interpreter"), pytest.param(Kernel, id="machine", marks=pytest.mark.slow)]


@pytest.mark.parametrize("lowered", LOWERINGS)
@pytest.mark.parametrize("name", LAWS)
def test_value_and_gradient_are_torchs(name: str, lowered: Callable[[Graph, torch.dtype], Lowered]) -> None:
    density = density_of(LAWS[name].program())
    run = density.by(lowered(density.graph, torch.float64))
    seen = 0
    for position in points(density.dim):
        truth = density.by_torch(position)
        assert difference(run(position), truth) < 1e-9
        seen += all(bool(t.isfinite().all()) for t in truth)
    assert seen == 8
