"""Diffusions for the contract suites: eight steps, small networks at their start; and one for normal data."""

from typing import Any

import pyro
import torch
from torch import Tensor

from ppgen import datasets
from ppgen.models import Diffusion
from tests.contracts.cases import Case

FAITHFUL = datasets.load("old-faithful").x[::60].float()  # minutes of two kinds, about 3.5 and 70
IMAGES = datasets.load("digits").x[::600, :, 2::4, 2::4].float()  # (3, 1, 2, 2), grey levels 0 to 16
STEPS = 8


def _made(**settings: Any) -> Diffusion:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Diffusion(num_steps=STEPS, **settings)


def exact_guide(family: Diffusion, x: Tensor) -> Any:
    """Of the path, given each datum by itself."""

    def guide(x: Tensor, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("path", law)

    law = family.exact(x)["posterior"]["path"]
    return guide


def _normal() -> Case:
    family = Diffusion.of_normal(FAITHFUL.mean(0), FAITHFUL.mT.cov(), num_steps=STEPS)
    return Case(family, FAITHFUL, guide=exact_guide(family, FAITHFUL))


CASES = {
    "vectors": Case(_made(like=FAITHFUL, hidden=(8,)), FAITHFUL, edges="path -> x", plates={"data": "path x"}),
    "cosine": Case(_made(like=FAITHFUL, hidden=(8,), schedule="cosine", predict="velocity", variance="forward"), FAITHFUL),
    "images": Case(_made(like=IMAGES, predict="data", hidden=(8,)), IMAGES),
    "normal": _normal(),
}
