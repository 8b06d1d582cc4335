"""SIGKILL at random moments: the resumed run gives what the unbroken one gives, to the bit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tools.kill import killed, random_moments, unbroken

SHORT = {
    "svi": {"num_steps": 3000, "num_samples": 200, "seed": 4},
    "nuts": {"num_warmup": 400, "num_samples": 1500, "num_chains": 2, "seed": 4, "lowering": "recorded"},
    "nuts native": {"num_warmup": 400, "num_samples": 1500, "thinning": 400, "num_chains": 2, "seed": 4, "lowering": "native"},
    "gibbs": {"num_warmup": 200, "num_samples": 2000, "num_chains": 2, "seed": 4, "lowering": "recorded", "discrete": "sweep"},
    "gibbs native": {"num_warmup": 400, "num_samples": 1500, "thinning": 300, "num_chains": 2, "seed": 4, "discrete": "joint"},
}
LONG = {
    "svi": {"num_steps": 12_000, "num_samples": 200, "seed": 4},
    "nuts": {"num_warmup": 600, "num_samples": 5000, "num_chains": 2, "seed": 4, "lowering": "recorded"},
    "gibbs": {"num_warmup": 400, "num_samples": 6000, "num_chains": 2, "seed": 4, "lowering": "recorded", "discrete": "sweep"},
}


def check(name: str, settings: dict[str, Any], kills: int, folder: Path) -> None:
    name = name.split(maxsplit=1)[0]  # the engine's
    found, alive = killed(name, settings, folder, random_moments(kills, seed=kills))
    assert alive == kills, f"{kills - alive} of {kills} kills came after the end; the run is too short to show anything"
    expected = unbroken(name, settings)
    assert set(found) == set(expected)
    assert {"draws/loc", "draws/scale", "draws/far"} < set(found)
    for what, t in expected.items():
        assert torch.equal(found[what], t), f"{what} differs after {kills} kills"


@pytest.mark.parametrize("name", list(SHORT))
def test_two_kills(name: str, tmp_path: Path) -> None:
    check(name, SHORT[name], 2, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LONG))
def test_ten_kills(name: str, tmp_path: Path) -> None:
    check(name, LONG[name], 10, tmp_path)
