"""Autoencoders for the contract suites: small ones, at their start."""

from typing import Any

import pyro
import torch
from torch import Tensor

from ppgen import datasets
from ppgen.models import VariationalAutoencoder
from tests.contracts.cases import Case

DIGITS = datasets.load("digits").x[::60].float()  # (30, 1, 8, 8), grey levels 0 to 16
ROWS = DIGITS.flatten(1)[:, 18:26]  # (30, 8): a row of pixels
BLACK_AND_WHITE = (ROWS > 8).float()
STEPS = (ROWS / 4).floor().clamp(max=3)  # 0 to 3
PLATES = {"data": "z x"}


def _made(**settings: Any) -> VariationalAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VariationalAutoencoder(**{"hidden": (6,), **settings})


def exact_guide(family: VariationalAutoencoder, x: Tensor) -> Any:
    """Of z, given each datum by itself."""

    def guide(x: Tensor, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", law)

    law = family.exact(x)["posterior"]["z"]
    return guide


def _affine() -> Case:
    family, x = _made(like=ROWS, hidden=()), ROWS[:6]
    return Case(family, x, edges="z -> x", plates=PLATES, guide=exact_guide(family, x))


CASES = {
    "affine": _affine(),
    "images": Case(_made(like=DIGITS, scale="each"), DIGITS),
    "bernoulli": Case(_made(features=8, likelihood="bernoulli"), BLACK_AND_WHITE, edges="z -> x", plates=PLATES),
    "categorical": Case(_made(features=8, likelihood="categorical", levels=4), STEPS, edges="z -> x", plates=PLATES),
    "logistic": Case(_made(like=STEPS / 3, likelihood="logistic", levels=4), STEPS / 3, edges="z -> x", plates=PLATES),
}
