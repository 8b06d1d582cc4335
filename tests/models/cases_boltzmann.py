"""A small Boltzmann machine for the contract suites."""

import torch

from ppgen import datasets
from ppgen.models import BoltzmannMachine
from tests.contracts.cases import Case

PIXELS = (datasets.load("digits").x[::60].float().flatten(1)[:, 18:24] > 8).float()  # (30, 6)


def _made() -> BoltzmannMachine:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        machine = BoltzmannMachine(num_hidden=3, like=PIXELS)
        with torch.no_grad():
            machine.weight.mul_(100.0)
    return machine


CASES = {
    "of pixels": Case(
        _made(),
        PIXELS[:5],
        edges="x -> visible, x -> energy, h -> energy",
        plates={"data": "x h visible energy", "hidden": "h energy"},
    )
}
