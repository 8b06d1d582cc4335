"""Coin tosses for the contract suites: 83 heads in 120 tosses."""

import torch

from ppgen.models import CoinTosses
from tests.contracts.cases import Case

TOSSES = (torch.arange(120) * 37 % 120 < 83).float()
LAW = torch.distributions.Beta(2.0 + 83, 3.0 + 37)

CASES = {
    "Beta(2, 3)": Case(
        CoinTosses(2.0, 3.0),
        TOSSES,
        {"probability": (LAW.mean[None], LAW.stddev[None])},
        edges="probability -> x",
        plates={"data": "x"},
    )
}
