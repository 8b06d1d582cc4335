"""Flows for the contract suites: small ones, at their start."""

import torch
from torch import Tensor

from ppgen import datasets
from ppgen.models import NormalizingFlow
from tests.contracts.cases import Case

FAITHFUL = datasets.load("old-faithful").x[::9].float()  # minutes of two kinds, about 3.5 and 70
IMAGES = torch.randint(0, 4, (12, 1, 2, 2), generator=torch.Generator().manual_seed(1)) / 3.0


def _flow(like: Tensor, kind: str, **settings: float) -> NormalizingFlow:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NormalizingFlow(like=like, kind=kind, transforms=1, hidden=(6, 6), bins=4, steps=2, **settings)


CASES = {kind: Case(_flow(FAITHFUL, kind), FAITHFUL) for kind in ("nice", "realnvp", "glow", "maf", "iaf", "continuous")}
CASES["spline"] = Case(_flow(FAITHFUL, "spline"), FAITHFUL, edges="", plates={"data": "x"})
CASES["grey levels"] = Case(
    _flow(IMAGES, "realnvp", logit=0.05, levels=4),
    IMAGES,
    edges="noise -> x",
    plates={"data": "noise x"},
)
