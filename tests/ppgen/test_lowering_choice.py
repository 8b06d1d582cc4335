"""Which lowering runs: the fastest that can, the reason said; what was asked for, or an error that names the operation."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen import inductor
from ppgen.errors import EngineError, LoweringError
from ppgen.inference import NUTS, SVI
from ppgen.lowering import choose
from ppgen.program import Program
from ppgen.targets import LogDensity

Y = 40.0 + 5.0 * torch.linspace(-2, 2, 9, dtype=torch.float64)


def plain(y: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(y.new_tensor(30.0), 20.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(loc, 5.0), obs=y)


def spectral(y: Tensor) -> None:
    """A Fourier transform is no operation of the native lowering, which has no complex numbers."""
    loc = pyro.sample("loc", dist.Normal(y.new_zeros(9), 20.0).to_event(1))
    pyro.sample("y", dist.Normal(torch.fft.rfft(loc).abs(), 5.0).to_event(1), obs=y[:5])


def test_the_cpu_runs_machine_code_and_says_so() -> None:
    posterior = NUTS(num_warmup=50, num_samples=50, num_chains=2, progress=False).run(plain, Y)
    assert posterior.provenance["lowering"] == {"name": "native", "reason": "the graph as machine code"}
    assert posterior.provenance["gradients"] >= posterior.stats["n_steps"].sum()
    learned = SVI(num_steps=50, progress=False).run(plain, Y)
    assert learned.provenance["lowering"]["name"] == "native"


def test_what_machine_code_has_not_is_named_and_the_next_runs() -> None:
    density = LogDensity(Program(spectral, Y))
    assert density.lowering.name == "recorded"
    assert density.lowering.reason.startswith("not native: ")
    assert "_fft_r2c" in density.lowering.reason
    assert "\n" not in density.lowering.reason
    assert density.native is None
    with pytest.raises(LoweringError, match="_fft_r2c"):
        LogDensity(Program(spectral, Y), lowering="native")


def test_lowerings_give_the_same_numbers() -> None:
    at = torch.tensor([[31.0], [44.0], [29.5]], dtype=torch.float64)
    native, recorded, eager = (LogDensity(Program(plain, Y), lowering=name).value_and_grad(at) for name in ("native", "recorded", "eager"))
    for a, b, c in zip(native, recorded, eager, strict=True):
        assert torch.allclose(a, b, rtol=1e-13)
        assert torch.allclose(a, c, rtol=1e-13)


def test_other_devices_begin_with_inductor() -> None:
    def build(name: str) -> str:
        if name == "inductor":
            raise LoweringError("no compiler")
        return name

    assert choose("auto", torch.device("cuda"), build)[0] == "recorded"
    assert choose("auto", torch.device("cuda"), build)[1].reason.startswith("not inductor: no compiler; ")
    with pytest.raises(LoweringError, match="no compiler"):
        choose("inductor", torch.device("cpu"), build)
    with pytest.raises(EngineError, match="lowering must be one of auto, native, inductor, recorded, eager; got 'fast'"):
        LogDensity(Program(plain, Y), lowering="fast")


def test_a_long_graph_never_goes_to_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inductor, "LONGEST", 3)
    with pytest.raises(LoweringError, match=r"the graph has \d+ operations, \d+ of them aten\.\w+.*, more than the 3"):
        LogDensity(Program(plain, Y), lowering="inductor")


@pytest.mark.slow
def test_inductor_agrees() -> None:
    density = LogDensity(Program(plain, Y), lowering="inductor")
    at = torch.tensor([[31.0], [44.0], [29.5], [0.0]], dtype=torch.float64)
    for a, b in zip(density.value_and_grad(at), LogDensity(Program(plain, Y), lowering="eager").value_and_grad(at), strict=True):
        assert torch.allclose(a, b, rtol=1e-12)
    assert density.lowering == ("inductor", "asked for")


@pytest.mark.parametrize(("rows", "lowering"), [(64, "native"), (256, "recorded")])
def test_large_products_of_matrices_are_left_to_torch(rows: int, lowering: str) -> None:
    """rows x 200 x 200 multiplications: 2.6 million, and 10."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(rows, 200, generator=generator, dtype=torch.float64)
    W = torch.randn(200, 200, generator=generator, dtype=torch.float64)

    def model(y: Tensor) -> None:
        scale = pyro.sample("scale", dist.Normal(y.new_zeros(200), 1.0).to_event(1))
        pyro.sample("y", dist.Normal((X * scale) @ W, 5.0).to_event(2), obs=y)

    density = LogDensity(Program(model, X.flip(0)))
    assert density.lowering.name == lowering
    if lowering == "recorded":
        assert "a matrix product of 10,240,000 multiplications" in density.lowering.reason
        assert LogDensity(Program(model, X.flip(0)), lowering="native").lowering.name == "native"
