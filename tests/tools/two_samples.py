"""Whether two samples come from one law, told without its density.

    mmd               squared maximum mean discrepancy, unbiased: 0 in expectation for one law, whatever it is
    accuracy          of a classifier that tells the samples apart, on points that it has not seen: 1/2 for one law

Sources: Gretton et al., JMLR 13, 2012; Lopez-Paz & Oquab, ICLR 2017.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Accuracy", "accuracy", "mmd", "mmd_floor"]

WIDTHS = (0.1, 0.3, 1.0, 3.0)  # of the kernels, in medians of the distance between points


def mmd(x: Tensor, y: Tensor) -> float:
    """Of samples (n, D) and (m, D) of at most some thousands, with a mean of normal kernels of four widths."""
    x, y = x.double(), y.double()
    scale = torch.cdist(x[:500], y[:500]).median()
    return _unbiased(*(_kernel(torch.cdist(a, b) / scale) for a, b in ((x, x), (y, y), (x, y))))


def mmd_floor(x: Tensor, seed: int = 0, repeats: int = 200) -> float:
    """What the MMD of two halves of one sample (n, D) stays below in 99 of 100 splits."""
    x = x.double()
    distance = torch.cdist(x, x)
    kernel = _kernel(distance / distance.median())
    generator, half = torch.Generator().manual_seed(seed), len(x) // 2
    found = []
    for _ in range(repeats):
        order = torch.randperm(len(x), generator=generator)
        a, b = order[:half], order[half : 2 * half]
        found.append(_unbiased(kernel[a][:, a], kernel[b][:, b], kernel[a][:, b]))
    return float(np.quantile(found, 0.99))


def _kernel(distance: Tensor) -> Tensor:
    return sum((-0.5 * (distance / w) ** 2).exp() for w in WIDTHS) / len(WIDTHS)  # type: ignore[return-value]


def _unbiased(within_x: Tensor, within_y: Tensor, between: Tensor) -> float:
    n, m = len(within_x), len(within_y)
    own = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1)) + (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
    return float(own - 2 * between.mean())


class Accuracy(NamedTuple):
    """value: share of points that were told right; standard_error: of it, were the samples of one law."""

    value: float
    standard_error: float

    @property
    def z(self) -> float:
        """Standard errors above one half: above 3 the samples differ."""
        return (self.value - 0.5) / self.standard_error


def accuracy(x: Tensor, y: Tensor, seed: int = 0) -> Accuracy:
    """Of a network with two layers of 64, five-fold, on samples (n, D) and (n, D) in units of their own sds."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    if len(x) != len(y):
        raise ValueError(f"both samples must be of one size, for which a guess is right half of the time; got {len(x)} and {len(y)}")
    both = torch.cat([x, y]).double()
    both = (both - both.mean(0)) / both.std(0)
    label = np.repeat([0, 1], len(x))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    network = MLPClassifier((64, 64), max_iter=60, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer")  # it need not have converged
        found = cross_val_score(network, both.numpy(), label, cv=folds)
    return Accuracy(float(found.mean()), 0.5 / math.sqrt(len(both)))
