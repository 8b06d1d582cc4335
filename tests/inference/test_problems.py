"""Many posteriors on one compiled graph: each is what its own run gives, and right."""

from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.errors import DataError, NameNotFoundError
from ppgen.inference import HMC, MALA, NUTS
from ppgen.program import Program
from ppgen.targets import LogDensity

X = 40.0 + 6.0 * torch.randn(12, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)  # 12 problems of 5 data
PRECISION = 1 / 20.0**2 + 5 / 5.0**2


def normal(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)


def shifted(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(pyro.param("prior", x.new_tensor(30.0)), 20.0))
    pyro.sample("x", dist.Normal(loc, 5.0).expand([5]).to_event(1), obs=x)


@pytest.mark.parametrize("engine", [NUTS, HMC, MALA])
def test_each_is_what_its_own_run_gives(engine: Any) -> None:
    settings: dict[str, Any] = {"num_chains": 2, "num_warmup": 100, "num_samples": 60}
    each = engine(**settings, seed=3).run_each(normal, X[0], problems={"x": X[:3]})
    for i, posterior in enumerate(each):
        alone = engine(**settings, seed=3 + i, progress=False).run(normal, X[i])
        assert torch.equal(posterior.draws["loc"], alone.draws["loc"])
        assert posterior.provenance["settings"]["seed"] == 3 + i
        assert torch.equal(posterior.program.arguments["x"], X[i])  # type: ignore[union-attr]


def test_twelve_normal_means() -> None:
    """The exact posteriors, by z-scores whose squares sum to a chi-square of 12."""
    each = NUTS(num_chains=2, num_warmup=300, num_samples=500).run_each(normal, X[0], problems={"x": X})
    assert len(each) == 12
    z = []
    for x, posterior in zip(X, each, strict=True):
        draws = posterior.draws["loc"].reshape(-1)
        mean, sd = (x.sum() / 25 + 30 / 400) / PRECISION, PRECISION**-0.5
        ess = float(posterior.summary()["ess_bulk"]["loc"])
        assert ess > 150
        z.append(float((draws.mean() - mean) / sd) * ess**0.5)
        assert 0.85 < float(draws.std()) / sd < 1.15
    assert sum(v * v for v in z) < 33.0  # P = 0.001


def test_parameters_may_differ_too() -> None:
    priors = torch.tensor([0.0, 30.0, 90.0], dtype=torch.float64)
    targets = LogDensity(Program(shifted, X[0])).problems({"x": X[:3]}, {"prior": priors})
    for x, prior, target in zip(X, priors, targets, strict=False):
        expected = dist.Normal(prior, 20.0).log_prob(torch.tensor(41.0)) + dist.Normal(41.0, 5.0).log_prob(x).sum()
        assert float(target.log_density(torch.tensor([[41.0]], dtype=torch.float64))) == pytest.approx(float(expected), rel=1e-6)


def test_folders_and_eager(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"num_chains": 1, "num_warmup": 20, "num_samples": 10}
    first = NUTS(**settings, checkpoint=tmp_path).run_each(normal, X[0], problems={"x": X[:2]})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]
    again = NUTS(**settings, checkpoint=tmp_path).run_each(normal, X[0], problems={"x": X[:2]})
    eager = NUTS(**settings, lowering="eager").run_each(normal, X[0], problems={"x": X[:2]})
    for a, b, c in zip(first, again, eager, strict=True):
        assert torch.equal(a.draws["loc"], b.draws["loc"])
        assert c.draws["loc"].shape == a.draws["loc"].shape


def test_refusals() -> None:
    density = LogDensity(Program(shifted, X[0]))
    with pytest.raises(DataError, match="leading dimension"):
        density.problems({"x": X[:3]}, {"prior": torch.zeros(2).double()})
    with pytest.raises(DataError, match="'x': bind keeps shapes"):
        density.problems({"x": X[:3, :4]})
    with pytest.raises(NameNotFoundError, match="y"):
        density.problems({"y": X[:3]})
