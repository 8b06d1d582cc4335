"""Networks in bfloat16, densities in the program's own dtype."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

from ppgen.errors import EngineError
from ppgen.inference import SVI
from ppgen.mixed_precision import networks_in
from ppgen.models import Diffusion, VariationalAutoencoder

HALF = torch.bfloat16
X = (torch.rand(400, 24, generator=torch.Generator().manual_seed(0)) < 0.3).float()
QUICK: dict[str, Any] = {"num_particles": 1, "num_samples": 20, "progress": False, "learning_rate": 3e-3}


class Seen(nn.Module):
    """What dtype comes by."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: list[torch.dtype] = []

    def forward(self, x: Tensor) -> Tensor:
        self.dtypes.append(x.dtype)
        return x


def test_what_leaves_a_network_is_float32_again() -> None:
    inside, outside = Seen(), Seen()
    network = nn.Sequential(nn.Linear(24, 8), inside, nn.Linear(8, 3))
    with networks_in(HALF, None):
        first = network(X)
        outside(first @ torch.randn(3, 3))
    assert inside.dtypes == [HALF]
    assert outside.dtypes == [torch.float32]
    assert first.dtype == torch.float32
    assert 0 < float((first - network(X)).abs().detach().max()) < 0.05  # three digits
    assert inside.dtypes[1:] == [torch.float32]  # afterwards as before


def test_modules_that_sample_are_no_networks() -> None:
    """Neither the program's own module nor one of Pyro's within it: what they compute between networks stays as it is."""

    class Inner(PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(24, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.network(x)
            assert y.dtype == torch.float32
            return y @ torch.ones(2, 2)

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) @ torch.ones(2, 2)

    outer = Outer()
    with networks_in(HALF, outer):
        found = outer(X)
    weight, bias = outer.inner.network.weight, outer.inner.network.bias
    rounded = (X.to(HALF) @ weight.to(HALF).mT + bias.to(HALF)).float()
    assert torch.allclose(found, rounded @ torch.full((2, 2), 2.0), atol=0.05)
    assert not torch.is_autocast_enabled("cpu")


def test_a_network_that_fails_leaves_nothing_behind() -> None:
    with networks_in(HALF, None), pytest.raises(RuntimeError):
        nn.Sequential(nn.Linear(3, 8))(X)
    assert not torch.is_autocast_enabled("cpu")
    seen = Seen()
    nn.Sequential(nn.Linear(24, 8), seen)(X)
    assert seen.dtypes == [torch.float32]


def autoencoder() -> VariationalAutoencoder:
    torch.manual_seed(1)
    return VariationalAutoencoder(24, latent=2, likelihood="bernoulli", hidden=[32])


def diffusion() -> Diffusion:
    torch.manual_seed(1)
    return Diffusion(like=X[:, :4] * 9.0 + 40.0, hidden=[32], weighting="simple")


@pytest.mark.parametrize(("family", "x"), [(autoencoder, X), (diffusion, X[:, :4] * 9.0 + 40.0)], ids=["autoencoder", "diffusion"])
def test_it_learns_as_in_float32(family: Any, x: Tensor) -> None:
    half, whole = (SVI(num_steps=300, batch_size=100, keep=(), autocast=dtype, **QUICK).run(family(), x) for dtype in (HALF, None))
    assert not torch.equal(half.losses, whole.losses)
    assert torch.allclose(half.losses[:3], whole.losses[:3], rtol=5e-3)
    assert float(half.losses[-100:].mean()) == pytest.approx(float(whole.losses[-100:].mean()), rel=0.02)
    assert all(p.dtype == torch.float32 for p in half.params.values())
    assert half.provenance["settings"]["autocast"] == "bfloat16"


def test_the_graph_is_the_program_under_autocast() -> None:
    """Pyro itself, step by step, loses what the graph loses; draws and their weights are in full."""
    settings = {**QUICK, "num_steps": 5, "num_samples": 4}
    graph, eager = (SVI(autocast=HALF, lowering=how, **settings).run(autoencoder(), X) for how in ("recorded", "eager"))
    assert graph.losses == pytest.approx(eager.losses, rel=1e-2)
    assert graph.draws["z"].dtype == torch.float32
    assert graph.log_weights is not None


def test_refusals() -> None:
    with pytest.raises(EngineError, match=r"must be torch.bfloat16, got torch.float16"):
        SVI(autocast=torch.float16)

    def double(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.tensor(0.0).double(), 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 1.0), obs=x)

    with pytest.raises(EngineError, match="from float32, and program 'double' computes in float64"):
        SVI(guide="normal", autocast=HALF, **QUICK).run(double, X[:, 0].double())
