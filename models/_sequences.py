"""Data that are sequences: one, several of equal length, or of unequal lengths, with values missing here and there."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..errors import DataError, PpgenWarning, ProgramError

__all__ = ["Sequences", "alive", "observed_rows", "sequences_of"]

BESIDE = ("lengths", "mask")


class Sequences(NamedTuple):
    """N sequences of at most T steps.

    values   (N, T, *event); None where they are to be drawn
    seen     (N, T) True where a value is observed, NaN being none; None where they are to be drawn
    lengths  (N,) or None: all are T steps long
    """

    values: Tensor | None
    seen: Tensor | None
    lengths: Tensor | None
    size: int
    steps: int


def sequences_of(x: Any, size: int | None, event_shape: torch.Size, steps: int) -> Sequences:
    """What is in x: (T, *event), (N, T, *event), or a dict of x with lengths (N,), mask (N, T), or both; where x is None, `size`
    sequences of `steps` steps to be drawn.

    Shapes are looked at always, values where Pyro validates: a program that calls this can be recorded with x as an input. Raises
    DataError, ProgramError.
    """
    if x is None:
        if size is None:
            raise ProgramError("give data x to observe, or size, the number of sequences to draw")
        if size < 1:
            raise ProgramError(f"size must be at least 1, got {size}")
        return Sequences(None, None, None, size, steps)
    values, seen, lengths = _read(x, event_shape)
    if size is not None and size != len(values):
        raise ProgramError(f"x has {len(values)} sequences and size is {size}; give one of them")
    if Distribution._validate_args:
        _check(values, seen, lengths)
    return Sequences(values, seen, lengths, *values.shape[:2])


def observed_rows(x: Any, event_shape: torch.Size) -> Tensor:
    """The values that are observed in x, (rows, *event). Raises DataError."""
    values, seen, lengths = _read(x, event_shape)
    _check(values, seen, lengths)
    return values[seen]


def alive(lengths: Tensor, steps: int) -> Tensor:
    """(N, T): True up to the end of each sequence."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def _read(x: Any, event_shape: torch.Size) -> tuple[Tensor, Tensor, Tensor | None]:
    """Values (N, T, *event), seen (N, T), lengths (N,) or None. Looks at shapes only."""
    beside = _beside(x)
    values = _values(x["x"] if isinstance(x, Mapping) else x, event_shape)
    count, steps = values.shape[:2]
    seen = ~values.isnan().reshape(count, steps, -1).any(-1)
    if (mask := beside.get("mask")) is not None:
        if mask.dtype != torch.bool or mask.shape not in ((count, steps), (steps,) if count == 1 else ()):
            raise DataError(
                f"mask must hold booleans, True where a step is observed, of shape {(count, steps)}; got {mask.dtype} of shape "
                f"{tuple(mask.shape)}"
            )
        seen = seen & mask
    lengths = beside.get("lengths")
    if lengths is not None:
        lengths = _lengths(lengths, count)
        seen = seen & alive(lengths, steps)
    return values, seen, lengths


def _beside(x: Any) -> dict[str, Tensor]:
    if not isinstance(x, Mapping):
        return {}
    if "x" not in x or set(x) - {"x", *BESIDE}:
        raise DataError(f"a dict of sequences has x, and lengths or mask where they are needed; this one has {', '.join(map(repr, x))}")
    beside = {n: x[n] for n in BESIDE if x.get(n) is not None}
    for name, t in beside.items():
        if not isinstance(t, Tensor):
            raise DataError(f"{name} must be a torch tensor, got {type(t).__name__}; use torch.as_tensor({name})")
    return beside


def _values(x: Any, event_shape: torch.Size) -> Tensor:
    """(N, T, *event)"""
    if not isinstance(x, Tensor):
        raise DataError(f"x must be a torch tensor, or a dict of x with lengths or mask; got {type(x).__name__}")
    if not x.is_floating_point():
        raise DataError(f"x must hold floating-point numbers, NaN where missing, got {x.dtype}; use x.double()")
    batch = x.dim() - len(event_shape)
    if batch not in (1, 2) or x.shape[batch:] != event_shape:
        tail = "".join(f", {n}" for n in event_shape)
        raise DataError(f"x must have shape (T{tail or ','}), one sequence, or (N, T{tail}), several of them; got {tuple(x.shape)}")
    if not x.shape[batch - 1]:
        raise DataError(f"x holds an empty sequence: its shape is {tuple(x.shape)}, without a step")
    if not len(x):
        raise DataError(f"x holds no sequence: its shape is {tuple(x.shape)}")
    return x if batch == 2 else x[None]


def _lengths(lengths: Tensor, count: int) -> Tensor:
    lengths = lengths if lengths.dim() else lengths[None]
    if lengths.is_floating_point() or lengths.dtype == torch.bool or lengths.shape != (count,):
        raise DataError(
            f"lengths must be whole numbers of shape ({count},), one for each sequence; got {lengths.dtype} of shape {tuple(lengths.shape)}"
        )
    return lengths


def _check(values: Tensor, seen: Tensor, lengths: Tensor | None) -> None:
    """What can be wrong with values. Warns of steps that have some of their numbers."""
    steps = seen.shape[1]
    if lengths is not None:
        for wrong, rule in ((lengths > steps, f"longer than the {steps} steps of x"), (lengths < 1, "empty")):
            if wrong.any():
                at = int(wrong.nonzero()[0, 0])
                raise DataError(f"lengths: sequence {at} has length {int(lengths[at])} and is {rule}")
    if (blank := ~seen.any(1)).any():
        raise DataError(f"sequence {int(blank.nonzero()[0, 0])} of x has no step that is observed: all are NaN or masked; drop it")
    none = values.isnan().reshape(*seen.shape, -1)
    partly = none.any(2) & ~none.all(2)
    if lengths is not None:
        partly = partly & alive(lengths, steps)
    if partly.any():
        sequence, step = partly.nonzero()[0].tolist()
        warnings.warn(
            f"{int(partly.sum())} steps of x lack some of their numbers, the first is step {step} of sequence {sequence}: such a step is "
            "missing as a whole; make all of its numbers NaN to say so, or fill in those that it lacks",
            PpgenWarning,
            stacklevel=3,
        )
