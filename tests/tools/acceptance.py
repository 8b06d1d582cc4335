"""Whether draws agree with a reference posterior, within what Monte Carlo error allows on both sides.

Per parameter: the mean within 4 standard errors and a tenth of a standard deviation; the sd within 10 %; below each of the
reference's quantiles as many draws as there should be, within 4 standard errors. Where tails are heavy, moments are not asked.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ppgen.diagnostics import ess_and_rhat

__all__ = ["disagreements", "worst_ess"]

ERRORS = 4.0  # standard errors


def worst_ess(draws: Mapping[str, Tensor]) -> float:
    """The least bulk ESS of parameters (chains, draws)."""
    return float(ess_and_rhat(_stacked(draws))[0].min())


def disagreements(draws: Mapping[str, Tensor], reference: Mapping[str, Any], *, heavy_tails: Collection[str] = ()) -> list[str]:
    """What is wrong with draws (chains, draws) by parameter, in words; nothing where they agree.

    reference   a file of tests/reference/posteriordb
    """
    ess, rhat = ess_and_rhat(_stacked(draws))
    wrong = []
    for i, (name, values) in enumerate(draws.items()):
        truth, flat = reference["reference"][name], values.double().reshape(-1).numpy()
        if not rhat[i] < 1.01:
            wrong.append(f"{name}: R-hat {rhat[i]:.3f}")
        worth = 1 / ess[i] + 1 / truth["ess"]
        if name not in heavy_tails:
            shift = abs(flat.mean() - truth["mean"]) / truth["sd"]
            if shift > ERRORS * math.sqrt(worth) or shift > 0.1:
                wrong.append(f"{name}: mean {flat.mean():.5g}, not {truth['mean']:.5g} ({shift / math.sqrt(worth):.1f} standard errors)")
            if not 0.9 <= flat.std(ddof=1) / truth["sd"] <= 1.1:
                wrong.append(f"{name}: sd {flat.std(ddof=1):.4g}, not {truth['sd']:.4g}")
        for p, quantile in zip(reference["quantile_probs"], truth["q"], strict=True):
            share = (flat <= quantile).mean()
            if abs(share - p) > ERRORS * math.sqrt(p * (1 - p) * worth):
                wrong.append(f"{name}: {share:.3f} of the draws below its {p:.0%} quantile")
    return wrong


def _stacked(draws: Mapping[str, Tensor]) -> np.ndarray:
    return np.stack([v.double().numpy() for v in draws.values()], -1)
