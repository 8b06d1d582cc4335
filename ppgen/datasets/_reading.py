"""Files as data: tables and arrays of numbers as float64 tensors, graphs as networkx has them. What does not fit raises DataError by
file, row and column."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

__all__ = ["READERS", "Contents", "in_sequences", "read", "repeated"]

MISSING = ("", "na", "n/a", "nan", "null", "none")
BESIDE = {"lengths": torch.int64, "mask": torch.bool}  # arrays that make an archive a dict


class Contents(NamedTuple):
    """x as Dataset has it, or arrays; the names of its columns, the states of those that hold words, and the labels of data."""

    x: Any
    columns: tuple[str, ...] = ()
    states: Mapping[str, tuple[str, ...]] = {}
    labels: Any = None


def read(path: Path, states: Mapping[str, Sequence[str]] | None = None) -> Contents:
    """What is in a file: numbers (N, ...), for a single column (N,), or what its suffix says.

    states   column of a .csv -> its states in their order; other columns of words have theirs in alphabetical order
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: ppgen reads {', '.join(READERS)}, not {path.suffix or 'a file without suffix'}")
    found = _csv(path, states or {}) if states else reader(path)
    if isinstance(found.x, np.ndarray):
        found = found._replace(x=_tensor(path, found.x))
    elif isinstance(found.x, dict):
        found = found._replace(x={name: _tensor(path, values, BESIDE.get(name, torch.float64)) for name, values in found.x.items()})
    return found if found.labels is None else found._replace(labels=_tensor(path, found.labels, torch.int64))


def _tensor(path: Path, values: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path} holds {values.dtype}, not numbers")
    if values.ndim == 0 or values.size == 0:
        raise DataError(f"{path} holds no rows: its shape is {values.shape}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return torch.from_numpy(values.astype(np.float64)).to(dtype)


def repeated(found: Contents, counts: str) -> Contents:
    """Each row as often as the column `counts` says, which is then dropped."""
    at = found.columns.index(counts)
    rest = [j for j in range(len(found.columns)) if j != at]
    x = found.x[:, rest].repeat_interleave(found.x[:, at].long(), 0).squeeze(1)
    return found._replace(x=x, columns=tuple(found.columns[j] for j in rest))


def in_sequences(found: Contents, sequence: str) -> Contents:
    """Rows gathered by the column `sequence`, in their order: x (N, T) or (N, T, D), with zeros behind the end of the shorter ones,
    and lengths (N,)."""
    at = found.columns.index(sequence)
    rest = [j for j in range(len(found.columns)) if j != at]
    _, which = found.x[:, at].unique(return_inverse=True)
    rows = [found.x[which == i][:, rest].squeeze(1) for i in range(int(which.max()) + 1)]
    lengths = torch.tensor([len(r) for r in rows])
    x = {"x": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), "lengths": lengths}
    return found._replace(x=x, columns=tuple(found.columns[j] for j in rest))


# Tables


def _csv(path: Path, states: Mapping[str, Sequence[str]] | None = None) -> Contents:
    """Comma-separated values; a first row without any number in it is the header. Lines are counted as editors do."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            rows = [(lines.line_num, row) for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not comma-separated text in UTF-8: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty")
    names = _header(path, rows[0][1])
    columns = names or [str(j) for j in range(1, len(rows[0][1]) + 1)]
    body = rows[1:] if names else rows
    for line, row in body:
        if len(row) != len(columns):
            raise DataError(f"{path}, line {line}: {len(columns)} values were expected, one for each column, and {len(row)} came")
    known = {**(_states(names, [row for _, row in body]) if names else {}), **(states or {})}
    cells = [
        [_code(path, line, cell, column, known[column]) if column in known else _number(path, line, cell, column) for cell, column in row]
        for line, row in ((line, zip(row, columns, strict=True)) for line, row in body)
    ]
    return Contents(
        np.array(cells, dtype=np.float64).reshape(len(cells), len(columns)), tuple(names), {n: tuple(k) for n, k in known.items()}
    )


def _states(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Of the columns that hold words alone, in alphabetical order. What holds a semicolon or a tab was separated by it."""
    found = {}
    for j, column in enumerate(columns):
        words = sorted({cell for row in rows if (cell := row[j].strip()).lower() not in MISSING})
        if words and not any(_is_number(word) or ";" in word or "\t" in word for word in words):
            found[column] = tuple(words)
    return found


def _code(path: Path, line: int, cell: str, column: str, states: Sequence[str]) -> float:
    word = cell.strip()
    if word in states:
        return float(states.index(word))
    if word.lower() in MISSING:
        return float("nan")
    raise DataError(f"{path}, line {line}, column {column}: {cell!r} is none of its states, {', '.join(states)}")


def _header(path: Path, row: Sequence[str]) -> list[str]:
    """The names in a row of text without a number in it, or none."""
    names = [cell.strip() for cell in row]
    if any(map(_is_number, names)) or all(name.lower() in MISSING for name in names):
        return []
    if "" in names:
        raise DataError(f"{path}: the header has no name for column {names.index('') + 1}; name it, or drop it if it only counts rows")
    return names


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, cell: str, column: str) -> float:
    try:
        return float(cell)
    except ValueError:
        if cell.strip().lower() in MISSING:
            return float("nan")
        raise DataError(f"{path}, line {line}, column {column}: {cell!r} is not a number") from None


def _npy(path: Path) -> Contents:
    try:
        with path.open("rb") as file:
            return Contents(np.load(file, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is not an array of numbers in NumPy's format: {error}") from error


def _npz(path: Path) -> Contents:
    """The only array of an archive, or the one named x; a dict where `lengths` or `mask` is beside it."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            name = arrays.files[0] if len(arrays.files) == 1 else "x"
            if name not in arrays.files:
                raise DataError(f"{path} holds the arrays {', '.join(arrays.files) or '-'}; name the one to be read x")
            labels = arrays["labels"] if name == "x" and "labels" in arrays.files else None
            if beside := [n for n in BESIDE if n in arrays.files]:
                return Contents({n: arrays[n] for n in (name, *beside)}, labels=labels)
            return Contents(arrays[name], labels=labels)
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise DataError(f"{path} is not an archive of number arrays in NumPy's format: {error}") from error


def _parquet(path: Path) -> Contents:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow; pip install 'ppgen[parquet]'") from error
    except (ValueError, OSError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise DataError(f"{path} is not a Parquet file: {error}") from error
    for name, kind in frame.dtypes.items():
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
            raise DataError(f"{path}, column {name}: {kind}, not numbers")
    return Contents(frame.to_numpy(dtype=np.float64, na_value=np.nan), tuple(map(str, frame.columns)))


# Others


def _gml(path: Path) -> Contents:
    import networkx as nx

    try:
        return Contents(nx.read_gml(path))
    except (nx.NetworkXError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no graph in GML: {error}") from error


def _bif(path: Path) -> Contents:
    return Contents(path)


READERS: dict[str, Callable[[Path], Contents]] = {
    ".csv": _csv,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".gml": _gml,
    ".bif": _bif,
}
