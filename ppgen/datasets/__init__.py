"""Data sets: a few classics by name, and anybody's own as a file.

    x = datasets.load("old-faithful").x
    x = datasets.load("my.csv").x

A data set of the house is two files in this folder: NAME.json with its description, source and licence, and NAME.csv, NAME.npz
(images), NAME.gml (a graph) or NAME.bif (a network of tables). Putting them there is all it takes. The JSON may also say

    counts      the column that says how often each row is to be repeated
    sequence    the column that says which sequence a row belongs to: x is then padded, with lengths
    states      column -> its states in their order, otherwise alphabetical
    label       the column that is to be told from the others
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..discovery import closest
from ..errors import DataError, NameNotFoundError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dataset", "available", "load"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Dataset:
    """Data and where they come from.

    name         as in `available()`, or the file's name
    x            rows of numbers, float64 on the CPU: (N,) for one column, (N, D) for several, (N, ...) for arrays; NaN where a
                 value is missing. Of sequences of unequal length a dict, `x` (N, T, ...) and `lengths` (N,); of a .gml file a
                 networkx graph; of a .bif file its path, for BayesianNetwork.from_bif
    columns      their D names, or empty where the file has none
    states       column of words -> its states; x holds their numbers, from 0
    label        the column that is to be told from the others, where the data are known for that
    labels       what each datum of an array is, (N,) whole numbers, where the file says so beside x
    source, licence, description    empty for files of one's own
    notes        what a careful user should know
    """

    name: str
    x: Any  # Tensor, dict[str, Tensor], nx.Graph or Path
    columns: tuple[str, ...] = ()
    states: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label: str | None = None
    labels: "Tensor | None" = None
    source: str = ""
    licence: str = ""
    description: str = ""
    notes: str = ""

    @property
    def table(self) -> "dict[str, Tensor]":
        """Column by column, (N,) each. Raises DataError where the data are no table with named columns."""
        if not self.columns or isinstance(self.x, dict):
            raise DataError(f"{self.name} is no table with named columns; give a file with a header")
        return dict(zip(self.columns, self.x.reshape(len(self.x), -1).unbind(1), strict=True))

    @property
    def size(self) -> int:
        """Rows, sequences or nodes; 0 of a network of tables, which holds no data."""
        return 0 if isinstance(self.x, Path) else len(next(iter(self.x.values())) if isinstance(self.x, dict) else self.x)


def available() -> dict[str, str]:
    """The data sets that `load` knows by name, each in one line."""
    return {file.stem: _facts(file)["description"] for file in sorted(_FOLDER.glob("*.json"))}


def load(name_or_path: str | Path) -> Dataset:
    """A data set by name, or the file at a path: .csv (with or without a header), .npy, .npz, .parquet, .gml or .bif.

    Values that are missing (an empty cell, NA, NaN) become NaN. A named column of a .csv file without a single number in it is
    one of states. An archive .npz of `x` beside `lengths` or `mask` is a dict; `labels` beside it are
    the labels.
    Raises NameNotFoundError where there is no such name or file, and DataError, naming file, row and column, where it does not
    hold what its suffix says.
    """
    from ._reading import READERS, read

    name, path = str(name_or_path), Path(name_or_path)
    if isinstance(name_or_path, str) and name in available():
        return _of_the_house(name)
    if path.is_file():
        found = read(path)
        return Dataset(path.name, found.x, found.columns, found.states, labels=found.labels, source=str(path))
    if path.suffix.lower() in READERS or path.parent != Path():
        raise NameNotFoundError(f"there is no file {name!r}")
    raise NameNotFoundError(f"there is no data set {name!r}{closest(name, available())}, or a file's path: {', '.join(READERS)}")


def _of_the_house(name: str) -> Dataset:
    """One of this folder, as its JSON says."""
    from ._reading import READERS, in_sequences, read, repeated

    facts = _facts(_FOLDER / f"{name}.json")
    (file,) = (path for path in _FOLDER.glob(f"{name}.*") if path.suffix in READERS)
    states = {column: tuple(known) for column, known in facts.pop("states", {}).items()}
    found = read(file, states)
    if (counts := facts.pop("counts", None)) is not None:
        found = repeated(found, counts)
    if (sequence := facts.pop("sequence", None)) is not None:
        found = in_sequences(found, sequence)
    return Dataset(name, found.x, found.columns, found.states, labels=found.labels, **facts)


def _facts(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))
