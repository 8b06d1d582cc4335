"""Rows of data of named variables: states by number or by name, some cells missing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, NameNotFoundError, SupportError

__all__ = ["Cells", "by_name", "codes", "found_states", "read_cells"]

MASK = "mask"


class Cells(NamedTuple):
    """values  variable -> (N,): numbers of states, int64, or values of variables without states; 0 where missing
    seen      variable -> (N,) bool, of variables some of whose cells are missing
    rows      N
    """

    values: dict[str, Tensor]
    seen: dict[str, Tensor]
    rows: int

    @property
    def complete(self) -> dict[str, Tensor]:
        return {n: v for n, v in self.values.items() if n not in self.seen}

    def patterns(self) -> Iterator[tuple[Tensor, list[str]]]:
        """Rows in which the same variables are known, and these."""
        if not self.seen:
            yield torch.arange(self.rows), list(self.values)
            return
        seen = torch.stack(list(self.seen.values()), -1)  # (N, variables)
        kinds, of = torch.unique(seen, dim=0, return_inverse=True)
        for i, kind in enumerate(kinds.tolist()):
            hidden = {n for n, known in zip(self.seen, kind, strict=True) if not known}
            yield (of == i).nonzero()[:, 0], [n for n in self.values if n not in hidden]

    def tally(self, names: Sequence[str], shape: torch.Size, device: torch.device) -> Tensor:
        """How many rows have each combination of states of variables, among those in which all are known: float64."""
        if any(n not in self.values for n in names):
            return torch.zeros(shape, dtype=torch.float64, device=device)
        place = torch.zeros(self.rows, dtype=torch.int64, device=device)
        known = torch.ones(self.rows, dtype=torch.bool, device=device)
        for name, k in zip(names, shape, strict=True):
            place = place * k + self.values[name]
            known = known & self.seen[name] if name in self.seen else known
        return torch.bincount(place[known], minlength=shape.numel()).double().reshape(shape)


def read_cells(x: Any, states: Mapping[str, Sequence[str]], variables: Sequence[str], device: torch.device, check: bool = True) -> Cells:
    """x: variable -> (N,) numbers of states (-1 or NaN: missing), names of states, or values; or a DataFrame of them. A dict may have
    `mask`: variable -> (N,) bool, False where missing. Variables that are not there are missing altogether.

    Columns of uint8 and bool have no missing cells: their values are not looked at without `check`, so that a program can be recorded
    with them as inputs.

    Raises NameNotFoundError (variable, state), DataError (shape, length, whole numbers), SupportError (a number of no state).
    """
    given, masks = _columns(x, variables)
    values: dict[str, Tensor] = {}
    seen: dict[str, Tensor] = {}
    for name in (n for n in variables if n in given):
        value = _numbers(name, given[name], states.get(name)).to(device)
        if value.dim() != 1 or not len(value):
            raise DataError(f"x[{name!r}] must have shape (N,), one value a row; got {tuple(value.shape)}")
        values[name], missing = _without_missing(value, name in states)
        if name in masks:
            masked = ~torch.as_tensor(masks[name], dtype=torch.bool, device=device)
            if masked.shape != value.shape:
                raise DataError(f"mask[{name!r}] has shape {tuple(masked.shape)}; expected {tuple(value.shape)}")
            missing = masked if missing is None else missing | masked
        if check and name in states:
            _check_states(name, values[name], len(states[name]))
        if missing is not None and bool(missing.any()):
            seen[name] = ~missing
    lengths = {n: len(v) for n, v in values.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"all variables of x need as many rows: {', '.join(f'{n} has {k}' for n, k in lengths.items())}")
    return Cells(values, seen, next(iter(lengths.values())))


def _columns(x: Any, variables: Sequence[str]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The columns of x, and its masks."""
    if not isinstance(x, Mapping) and not hasattr(x, "columns"):
        raise DataError(f"x must be a dict from variable to (N,) states, or a DataFrame, got {type(x).__name__}")
    masks = x[MASK] if MASK in x and MASK not in variables else {}
    given = {n: x[n] for n in x if n != MASK or MASK in variables}
    if unknown := sorted(map(str, {*given, *masks} - set(variables))):
        raise NameNotFoundError(f"the network has no variable {', '.join(map(repr, unknown))}; it has {', '.join(variables)}")
    if not given:
        raise DataError(f"x has no variable; give (N,) states of some of {', '.join(variables)}")
    return given, masks


def _without_missing(value: Tensor, discrete: bool) -> tuple[Tensor, Tensor | None]:
    """The values with 0 where they are missing, and which may be."""
    if value.dtype == torch.uint8:
        return value.long(), None
    missing = value.isnan() if value.is_floating_point() else value == -1
    if not discrete:
        return torch.where(missing, 0.0, value), missing
    missing = missing | (value == -1)
    return torch.where(missing, torch.zeros_like(value), value).long(), missing


def _check_states(name: str, value: Tensor, size: int) -> None:
    wrong = (value < 0) | (value >= size)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise SupportError(f"x[{name!r}], row {row}: there is no state {int(value[row])}; numbers of states go from 0 to {size - 1}")


def _numbers(name: str, values: Any, states: Sequence[str] | None) -> Tensor:
    """Numbers, of states where values are their names; NaN where nothing stands."""
    if isinstance(values, Tensor):
        number = values
    else:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            return torch.from_numpy(codes(name, array, states or ()))
        number = torch.from_numpy(np.ascontiguousarray(array))
    if number.dtype == torch.bool:
        return number.to(torch.uint8)
    if states is None:
        return number if number.is_floating_point() else number.to(torch.get_default_dtype())
    if number.is_floating_point() and not bool((number.isnan() | (number == number.round())).all()):
        row = int((~(number.isnan() | (number == number.round()))).nonzero()[0, 0])
        raise DataError(f"x[{name!r}], row {row}: {float(number[row]):g} is no number of a state, 0 to {len(states) - 1}")
    return number


def codes(name: str, array: np.ndarray, states: Sequence[str]) -> np.ndarray:
    """Names of states (N,) -> their numbers, int64; -1 where a cell is None or NaN. Raises NameNotFoundError by row."""
    known = {state: i for i, state in enumerate(states)}
    missing = np.array([_missing(v) for v in array.ravel().tolist()], dtype=bool)
    unique, place = np.unique(np.where(missing, "", array.ravel().astype(str)), return_inverse=True)
    number = np.array([known.get(state, -2) for state in unique.tolist()], dtype=np.int64)[place]
    number[missing] = -1
    if (number == -2).any():
        row = int(np.argmax(number == -2))
        raise NameNotFoundError(f"{name!r} has no state {str(array.ravel()[row])!r} (row {row}); it has {', '.join(states) or 'no states'}")
    return number.reshape(array.shape)


def found_states(x: Any) -> dict[str, tuple[str, ...]]:
    """Of columns of whole numbers, those up to the largest; of names, in alphabetical order."""
    out = {}
    for name in (n for n in x if n != MASK):
        array = x[name].cpu().numpy() if isinstance(x[name], Tensor) else np.asarray(x[name])
        if array.dtype.kind in "biuf":
            out[name] = tuple(map(str, range(int(np.nanmax(array)) + 1)))
        else:
            out[name] = tuple(sorted({str(v) for v in array.tolist() if not _missing(v)}))
    return out


def _missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def by_name(numbers: Tensor, states: Sequence[str] | None) -> Any:
    """Numbers of states (N,), NaN where a cell is missing, as the names of states; as they are where these are not known."""
    if states is None:
        return numbers
    missing = len(states)
    return np.array([*states, None], dtype=object)[numbers.nan_to_num(missing).long().numpy()]
