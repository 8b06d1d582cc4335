"""Files of numbers as float64 tensors. What is not a number raises DataError by file, row and column."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

__all__ = ["READERS", "read"]

Table = tuple[np.ndarray, tuple[str, ...]]  # values and the names of their columns

MISSING = ("", "na", "n/a", "nan", "null", "none")


def read(path: Path) -> tuple[Tensor, tuple[str, ...]]:
    """The numbers in a file, (N, ...) or for a single column (N,), and the columns' names where it has any."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: ppgen reads {', '.join(READERS)}, not {path.suffix or 'a file without suffix'}")
    values, columns = reader(path)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path} holds {values.dtype}, not numbers")
    if values.ndim == 0 or values.size == 0:
        raise DataError(f"{path} holds no rows: its shape is {values.shape}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return torch.from_numpy(values.astype(np.float64)), columns


def _csv(path: Path) -> Table:
    """Comma-separated values; a first row without any number in it is the header. Lines are counted as editors do."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            rows = ((lines.line_num, row) for row in lines if row)
            first = next(rows, None)
            if first is None:
                raise DataError(f"{path} is empty")
            names = _header(path, first[1])
            start = [] if names else [first]
            labels = names or [str(j) for j in range(1, len(first[1]) + 1)]
            cells = [_numbers(path, line, row, labels) for line, row in (*start, *rows)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not comma-separated text in UTF-8: {error}") from error
    return np.array(cells, dtype=np.float64).reshape(len(cells), len(labels)), tuple(names)


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


def _numbers(path: Path, line: int, row: Sequence[str], columns: Sequence[str]) -> list[float]:
    if len(row) != len(columns):
        raise DataError(f"{path}, line {line}: {len(columns)} values were expected, one for each column, and {len(row)} came")
    return [_number(path, line, cell, column) for cell, column in zip(row, columns, strict=True)]


def _number(path: Path, line: int, cell: str, column: str) -> float:
    try:
        return float(cell)
    except ValueError:
        if cell.strip().lower() in MISSING:
            return float("nan")
        raise DataError(f"{path}, line {line}, column {column}: {cell!r} is not a number") from None


def _npy(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            return np.load(file, allow_pickle=False), ()
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is not an array of numbers in NumPy's format: {error}") from error


def _npz(path: Path) -> Table:
    """The only array of an archive, or the one named x."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            name = arrays.files[0] if len(arrays.files) == 1 else "x"
            if name not in arrays.files:
                raise DataError(f"{path} holds the arrays {', '.join(arrays.files) or '-'}; name the one to be read x")
            return arrays[name], ()
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise DataError(f"{path} is not an archive of number arrays in NumPy's format: {error}") from error


def _parquet(path: Path) -> Table:
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
    return frame.to_numpy(dtype=np.float64, na_value=np.nan), tuple(map(str, frame.columns))


READERS: dict[str, Callable[[Path], Table]] = {".csv": _csv, ".npy": _npy, ".npz": _npz, ".parquet": _parquet}
