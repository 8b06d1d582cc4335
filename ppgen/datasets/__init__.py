"""Data sets: a few classics by name, and anybody's own as a file.

    x = datasets.load("old-faithful").x
    x = datasets.load("my.csv").x

A data set of the house is two files in this folder, NAME.csv and NAME.json with its description, source and licence; putting
them there is all it takes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..discovery import closest
from ..errors import NameNotFoundError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dataset", "available", "load"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Dataset:
    """Rows of numbers and where they come from.

    name         as in `available()`, or the file's name
    x            float64 on the CPU: (N,) for one column, (N, D) for several, (N, ...) for arrays; NaN where a value is missing
    columns      their D names, or empty where the file has none
    source, licence, description    empty for files of one's own
    notes        what a careful user should know
    """

    name: str
    x: "Tensor"
    columns: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    description: str = ""
    notes: str = ""


def available() -> dict[str, str]:
    """The data sets that `load` knows by name, each in one line."""
    return {file.stem: _facts(file)["description"] for file in sorted(_FOLDER.glob("*.json"))}


def load(name_or_path: str | Path) -> Dataset:
    """A data set by name, or the file at a path: .csv (with or without a header), .npy, .npz or .parquet.

    Values that are missing (an empty cell, NA, NaN) become NaN. Raises NameNotFoundError where there is no such name or file,
    and DataError, naming file, row and column, where it does not hold a table of numbers.
    """
    from ._reading import READERS, read

    name, path = str(name_or_path), Path(name_or_path)
    if isinstance(name_or_path, str) and name in available():
        return _of_the_house(name)
    if path.is_file():
        x, columns = read(path)
        return Dataset(path.name, x, columns, source=str(path))
    if path.suffix.lower() in READERS or path.parent != Path():
        raise NameNotFoundError(f"there is no file {name!r}")
    raise NameNotFoundError(f"there is no data set {name!r}{closest(name, available())}, or a file's path: {', '.join(READERS)}")


def _of_the_house(name: str) -> Dataset:
    """One of this folder. `counts` in its facts names the column that says how often each row is to be repeated."""
    from ._reading import read

    facts = _facts(_FOLDER / f"{name}.json")
    x, columns = read(_FOLDER / f"{name}.csv")
    if (counts := facts.pop("counts", None)) is not None:
        at = columns.index(counts)
        columns = columns[:at] + columns[at + 1 :]
        x = x[:, [j for j in range(x.shape[1]) if j != at]].repeat_interleave(x[:, at].long(), 0).squeeze(1)
    return Dataset(name, x, columns, **facts)


def _facts(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))
