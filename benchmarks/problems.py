"""The ten data sets of benchmarks/nuts.py. What is asked of them stands once per language: peers/*_models.py and peers/pymc.py.

All are simulated from numpy's PCG64 at fixed seeds, save the eight schools.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["PROBLEMS", "Data", "Problem"]

Data = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """title      as tables have it
    data       makes the arrays, by the model's argument names
    heavy      sites whose posterior has no variance, so that means are compared of their logarithms
    few        peer -> warm-up draws, and draws kept, per chain where a whole run would take it many minutes
    """

    title: str
    data: Callable[[], Data]
    heavy: tuple[str, ...] = ()
    few: Mapping[str, int] = field(default_factory=lambda: {"pyro": 150})


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def eight_schools() -> Data:
    """Rubin, Journal of Educational Statistics 6(4), 1981."""
    return {"y": np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), "sigma": np.array([15.0, 10, 16, 11, 9, 11, 10, 18])}


def logistic(rows: int = 1000, columns: int = 20) -> Data:
    rng = np.random.default_rng(1)
    x, b = rng.normal(size=(rows, columns)), rng.normal(size=columns) * 0.5
    return {"x": x, "y": (rng.random(rows) < _sigmoid(x @ b)).astype(float)}


def mixture(rows: int = 500) -> Data:
    rng = np.random.default_rng(2)
    first = rng.random(rows) < 0.4
    return {"x": np.where(first, rng.normal(-2.0, 0.7, rows), rng.normal(1.5, 1.2, rows))}


def radon(rows: int = 800, counties: int = 40) -> Data:
    rng = np.random.default_rng(3)
    county, effect, floor = rng.integers(0, counties, rows), rng.normal(1.0, 0.5, counties), rng.random(rows)
    return {"county": county, "floor": floor, "y": effect[county] - 0.7 * floor + rng.normal(0.0, 0.7, rows)}


def gaussian_process(rows: int = 40) -> Data:
    rng = np.random.default_rng(4)
    x = np.linspace(0.0, 1.0, rows)
    return {"x": x, "y": np.sin(6 * x) + rng.normal(0.0, 0.2, rows)}


def negative_binomial(rows: int = 2000, columns: int = 8) -> Data:
    rng = np.random.default_rng(5)
    x, b, concentration = rng.normal(size=(rows, columns)), rng.normal(size=columns) * 0.3, 3.0
    mean = np.exp(1.0 + x @ b)
    return {"x": x, "y": rng.poisson(rng.gamma(concentration, mean / concentration)).astype(float)}


def autoregression(rows: int = 1000) -> Data:
    rng = np.random.default_rng(6)
    coefficients = np.array([0.5, -0.2, 0.15, 0.1, -0.1])
    y = np.zeros(rows + 105)
    for t in range(5, len(y)):
        y[t] = 0.4 + coefficients @ y[t - 5 : t][::-1] + rng.normal(0.0, 0.8)
    return {"y": y[-rows:]}


def horseshoe(rows: int = 200, columns: int = 100) -> Data:
    rng = np.random.default_rng(7)
    x, b = rng.normal(size=(rows, columns)), np.zeros(columns)
    b[:5] = [2.0, -1.5, 1.0, 3.0, -2.5]
    return {"x": x, "y": x @ b + rng.normal(0.0, 1.0, rows)}


def ordinal(rows: int = 1000, columns: int = 5) -> Data:
    rng = np.random.default_rng(8)
    x, b = rng.normal(size=(rows, columns)), rng.normal(size=columns) * 0.7
    latent = x @ b + rng.logistic(size=rows)
    return {"x": x, "y": np.searchsorted(np.array([-2.0, -0.5, 0.7, 2.2]), latent)}


def stochastic_volatility(steps: int = 500) -> Data:
    rng = np.random.default_rng(9)
    log_volatility = -1.0 + 0.15 * np.cumsum(rng.normal(size=steps))
    return {"y": rng.standard_t(8.0, steps) * np.exp(log_volatility / 2)}


PROBLEMS = {
    "eight-schools": Problem("eight schools", eight_schools, few={}),
    "logistic": Problem("logistic 1000 x 20", logistic),
    "mixture": Problem("mixture 500", mixture),
    "radon": Problem("radon 800/40", radon),
    "gaussian-process": Problem("GP 40", gaussian_process),
    "negative-binomial": Problem("neg. binomial 2000 x 8", negative_binomial),
    "autoregression": Problem("AR(5), 1000 steps", autoregression),
    "horseshoe": Problem("horseshoe 200 x 100", horseshoe, heavy=("local", "overall"), few={"pyro": 25}),
    "ordinal": Problem("ordinal 1000 x 5", ordinal),
    "stochastic-volatility": Problem("stoch. volatility 500", stochastic_volatility, few={"pyro": 25}),
}
