"""Machine code against torch on every law of Pyro: value and gradient at eight dispersed points."""

from collections.abc import Iterator

import pytest
import torch

from ppgen.native.kernel import Kernel
from tests.tools.zoo import LAWS, density_of, difference, points

# Its smallest real in double precision is a constant of the recording, which torch refuses to make single
DOUBLE_ONLY = {"DiscreteHMM"}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Everything is compiled here, and nothing found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def worst(law: str, dtype: torch.dtype) -> float:
    density = density_of(LAWS[law].program(), dtype)
    run = density.by(Kernel(density.graph, dtype))
    return max(difference(run(q.to(dtype)), density.by_torch(q.to(dtype))) for q in points(density.dim))


@pytest.mark.parametrize("law", LAWS)
def test_a_law(law: str) -> None:
    assert worst(law, torch.float64) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("law", sorted(set(LAWS) - DOUBLE_ONLY))
def test_a_law_in_single_precision(law: str) -> None:
    assert worst(law, torch.float32) < 1e-4
