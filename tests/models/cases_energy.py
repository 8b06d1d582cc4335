"""Energies for the contract suites: a small network at its start, and a quadratic one."""

import torch
from torch import Tensor

from ppgen import datasets
from ppgen.models import EnergyModel, Quadratic
from tests.contracts.cases import Case

FAITHFUL = datasets.load("old-faithful").x[::9].float()  # minutes of two kinds, about 3.5 and 70


def _quadratic(x: Tensor) -> EnergyModel:
    return EnergyModel(2, Quadratic(x.mean(0), torch.linalg.inv(torch.cov(x.mT))), like=x)


def _network(x: Tensor) -> EnergyModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return EnergyModel(like=x, hidden=(6,))


CASES = {
    "quadratic": Case(_quadratic(FAITHFUL), FAITHFUL, edges="x -> energy", plates={"data": "x energy"}),
    "network": Case(_network(FAITHFUL), FAITHFUL),
}
