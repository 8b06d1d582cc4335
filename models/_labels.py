"""Data with labels: a dict from site to tensor, of which `label` may be missing, all of it or, by a mask, here and there."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..errors import DataError, NameNotFoundError

if TYPE_CHECKING:
    from ..datasets import Dataset

__all__ = ["Labels", "labelled", "labels_of", "masked", "observe"]


class Labels(NamedTuple):
    """Of N data.

    values   (N,) numbers from 0, or None where nobody knows one
    known    (N,) True where the label is known; None: everywhere
    """

    values: Tensor | None
    known: Tensor | None

    @property
    def complete(self) -> bool:
        return self.values is not None and (self.known is None or bool(self.known.all()))

    def whole(self) -> Tensor:
        """All of them as whole numbers. Raises DataError where one is not known."""
        if self.values is None:
            raise DataError("no label is known, and there is no closed form then; run an engine")
        if not self.complete:
            row = int((~self.known).nonzero()[0, 0])  # type: ignore[operator]
            raise DataError(f"the label in row {row} is unknown, and there is no closed form then; run an engine, or drop such rows")
        return self.values.long()

    def chosen(self, log_joint: Tensor) -> Tensor:
        """log p(datum, label), or log p(datum) where the label is unknown, from (*lead, N, K): (*lead, N)."""
        summed = log_joint.logsumexp(-1)
        if self.values is None:
            return summed
        known = torch.ones_like(self.values, dtype=torch.bool) if self.known is None else self.known
        at = torch.where(known, self.values, self.values.new_zeros(())).long()
        return torch.where(known, log_joint.take_along_dim(at.expand(summed.shape)[..., None], -1)[..., 0], summed)


def labels_of(x: Mapping[str, Any], count: int, sites: Collection[str]) -> Labels:
    """The labels of a dict of data that has also these sites. Never reads a value. Raises DataError."""
    if unknown := sorted(set(x) - {*sites, "label", "mask"}):
        raise DataError(
            f"x has {', '.join(map(repr, unknown))}; a dict of data has {', '.join(sites)}, label, and mask where not all are known"
        )
    if missing := [name for name in sites if name not in x]:
        raise DataError(f"x has no {', '.join(map(repr, missing))}; a dict of data has {', '.join(sites)}, and label where it is known")
    values, known = x.get("label"), x.get("mask")
    if values is None:
        if known is not None:
            raise DataError("x has a mask of labels and no label; leave it out where no label is known")
        return Labels(None, None)
    if not (isinstance(values, Tensor) and values.is_floating_point()):
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise DataError(f"label must hold floating-point numbers, got {kind}; use label.double()")
    for name, t in (("label", values), ("mask", known)):
        if t is not None and t.shape != (count,):
            raise DataError(f"{name} must have shape ({count},), one for each datum; got {tuple(t.shape)}")
    if known is not None and known.dtype != torch.bool:
        raise DataError(f"mask must hold booleans, True where the label is known; got {known.dtype}")
    return Labels(values, known)


def observe(weights: Tensor, labels: Labels) -> Tensor:
    """The site `label`, inside the data plate: latent where it is not known, and then summed out."""
    law = dist.Categorical(weights)
    if labels.values is None or labels.known is None:
        label: Tensor = pyro.sample("label", law, obs=labels.values)
    else:
        known: Any = labels.known
        label = pyro.sample("label", law, obs=torch.where(known, labels.values, labels.values.new_zeros(())).long(), obs_mask=known)
    return label.long()


def labelled(data: "Dataset") -> tuple[str, Tensor, int]:
    """The column of labels of a table: its name, its numbers (N,) and how many classes there are. Raises DataError, NameNotFoundError."""
    table = data.table
    if data.label is None:
        raise DataError(f"{data.name} does not say which of its columns is the label: {', '.join(table)}; give --label COLUMN")
    if data.label not in table:
        raise NameNotFoundError(f"{data.name} has no column {data.label!r} to be the label; it has {', '.join(table)}")
    label = table[data.label]
    return data.label, label, len(data.states[data.label]) if data.label in data.states else int(label.nan_to_num().max()) + 1


def masked(label: Tensor) -> dict[str, Tensor]:
    """A column of labels as data have it: with a mask where some are NaN."""
    missing = label.isnan()
    return {"label": label.nan_to_num(), "mask": ~missing} if missing.any() else {"label": label}
