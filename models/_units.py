"""The shape of a datum and its units, from data that a family is like."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ProgramError
from ..family import check_finite, check_rows

__all__ = ["shape_of", "units_of"]


def shape_of(features: int | Sequence[int] | None, like: Tensor | None) -> torch.Size:
    """Of a datum. Raises ProgramError."""
    if features is None:
        if not isinstance(like, Tensor) or like.dim() < 2:
            raise ProgramError("give features, the numbers of a datum, or like, data (N, D) to take them from")
        return like.shape[1:]
    shape = torch.Size([features] if isinstance(features, int) else features)
    if not shape.numel() or not len(shape):
        raise ProgramError(f"a datum must have at least one number; its shape is {tuple(shape)}")
    return shape


def units_of(shape: torch.Size, like: Tensor | None, *, alike: bool | None = None) -> tuple[Tensor, Tensor]:
    """Mean and sd (*shape) of data, in torch's default dtype; an sd of 0 counts as the mean one, as of pixels that are always black.
    alike: whether all numbers have one sd; None: those of images have."""
    if like is None:
        return torch.zeros(shape), torch.ones(shape)
    check_rows(like, shape, "like")
    check_finite(like, "like")
    rows = like.detach().double()
    centre, variance = rows.mean(0), rows.var(0, correction=0)
    if len(shape) > 1 if alike is None else alike:
        variance = variance.mean().expand(shape)
    if not (variance > 0).any():
        raise ProgramError("like has the same datum in every row, which gives no scale")
    sd = variance.sqrt()
    spread = torch.where(sd > 0, sd, sd[sd > 0].mean())
    dtype = torch.get_default_dtype()
    return centre.to(dtype), spread.to(dtype)
