"""Data with labels: a dict from site to tensor, of which `label` may be missing, all of it or here and there."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..errors import DataError
from ..family import count_rows

__all__ = ["as_rows", "check_labels", "class_counts", "observe_labels", "of_labels"]


def as_rows(x: Any) -> Tensor:
    """The rows of data with labels, or data without."""
    return x["x"] if isinstance(x, dict) and "x" in x else x


def of_labels(x: Any, size: int | None) -> tuple[Any, Tensor | None, int]:
    """Rows, labels (N,) and how many there are; nothing but `size` where data are to be drawn. Raises DataError."""
    if x is None:
        return None, None, count_rows(None, size)
    if not isinstance(x, dict):
        return x, None, count_rows(x, size) if isinstance(x, Tensor) else 0
    if unknown := sorted(set(x) - {"x", "label"}):
        raise DataError(f"x has {', '.join(map(repr, unknown))}; a dict of data has x, and label where it is known")
    if "x" not in x:
        raise DataError("x has labels and no rows; a dict of data has x, and label where it is known")
    return x["x"], _checked(x.get("label"), len(x["x"])), count_rows(x["x"], size)


def _checked(labels: Any, count: int) -> Tensor | None:
    """The labels, (count,), as numbers or NaN. Their values are the site's to check. Raises DataError."""
    if labels is None:
        return None
    if not (isinstance(labels, Tensor) and labels.is_floating_point()):
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise DataError(f"label must hold floating-point numbers, NaN where it is not known, got {kind}; use label.double()")
    if labels.shape != (count,):
        raise DataError(f"label must have shape ({count},), one for each row of x; got {tuple(labels.shape)}")
    return labels


def observe_labels(weights: Tensor, labels: Tensor | None) -> Tensor:
    """The site `label`, inside the data plate: latent where `labels` is None or NaN, which is summed out."""
    law = dist.Categorical(weights)
    missing = None if labels is None else labels.isnan()
    if missing is None or not missing.any():
        label: Tensor = pyro.sample("label", law, obs=labels)
    else:
        label = pyro.sample("label", law, obs=labels.nan_to_num().long(), obs_mask=~missing)  # type: ignore[union-attr]
    return label.long()


def check_labels(labels: Tensor | None) -> Tensor:
    """All labels as whole numbers. Raises DataError where one is not known."""
    if labels is None or labels.isnan().any():
        which = "all labels are" if labels is None else f"the label in row {int(labels.isnan().nonzero()[0, 0])} is"
        raise DataError(f"{which} unknown, and there is no closed form then; run an engine, or drop such rows")
    return labels.long()


def class_counts(labels: Tensor, num_classes: int) -> Tensor:
    return torch.bincount(labels, minlength=num_classes).double()
