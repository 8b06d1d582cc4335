"""What draws are worth: the same diagnostics for every sampler, and whether two of them agree. Needs ppgen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from ppgen.diagnostics import ess_and_rhat, mcse_mean

__all__ = ["Agreement", "Worth", "agreement", "worth"]

Draws = Mapping[str, np.ndarray]  # site -> (chains, draws, *shape)


@dataclass(frozen=True)
class Worth:
    """The least bulk ESS over the components of all constrained sites, the component's name, and the largest R-hat."""

    min_bulk_ess: float
    worst: str
    max_rhat: float


@dataclass(frozen=True)
class Agreement:
    """Differences between two samplers' posterior means in standard errors of their difference.

    largest, rms   over `components`
    p              probability that the largest of that many normal deviates is as large or larger
    """

    largest: float
    where: str
    rms: float
    components: int
    p: float


def worth(draws: Draws) -> Worth:
    values, names = _flat(draws, ())
    ess, rhat = ess_and_rhat(values)
    least = int(np.nanargmin(ess)) if np.isfinite(ess).any() else 0
    return Worth(float(ess[least]), names[least], float(np.nanmax(rhat)))


def agreement(one: Draws, other: Draws, heavy: tuple[str, ...]) -> Agreement:
    """`heavy` sites are compared by the means of their logarithms."""
    (a, names), (b, _) = _flat(one, heavy), _flat(other, heavy)
    z = (a.mean((0, 1)) - b.mean((0, 1))) / np.hypot(mcse_mean(a), mcse_mean(b))
    largest = int(np.abs(z).argmax())
    size = float(abs(z[largest]))
    with np.errstate(divide="ignore"):  # a largest of 0 has p = 1
        p = float(-np.expm1(len(z) * np.log1p(-2 * norm.sf(size))))
    return Agreement(size, names[largest], float(np.sqrt((z**2).mean())), len(z), p)


def _flat(draws: Draws, heavy: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """All components, (chains, draws, n), sites in the order of their names."""
    parts, names = [], []
    for site in sorted(draws):
        values = np.asarray(draws[site], dtype=float)
        values = np.log(values) if site in heavy else values
        parts.append(values.reshape(*values.shape[:2], -1))
        shape = values.shape[2:]
        names += [f"{site}[{', '.join(map(str, place))}]" if shape else site for place in np.ndindex(shape)]
    return np.concatenate(parts, -1), names
