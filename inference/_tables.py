"""A log joint density as tables: an entry that few elements enter is known by its value at each of their assignments.

    value of an entry at an assignment of its scope = terms evaluated at rows of a covering array, read where the row agrees

A covering array is a set of assignments of all elements such that every entry sees every assignment of its scope in one of them. It
is found greedily, once; pairs among N elements of K values need a few times K^2 rows, whatever N is. Terms with an entry that
depends on too many elements, or on one whose support has no end, have no table: they are evaluated whole (`wide`).

Source: Cohen, Dalal, Fredman & Patton, IEEE Trans. Software Engineering 23(7), 1997 (greedy covering arrays).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from ._terms import Terms

__all__ = ["Numbers", "Tables", "no_tables", "tables_of"]

Numbers = NDArray[np.int64]
CELLS = 4096  # of one entry's table, at most
ALL_CELLS, ALL_VALUES = 2**24, 2**26  # of all tables; of all terms at all rows


@dataclass(frozen=True)
class Tables:
    """sizes     (elements,) how many values each element may have; 0: no end
    narrow, wide  terms with and without tables; touched: (elements,) whether a wide term depends on it
    rows      (M, elements) the covering array
    pick      (cells,) where each cell's value stands among the values of narrow terms, row by row: term after term, (M, entries) each
    offset    (entries + 1,) where an entry's table begins; first: (entries + 1,) where its scope begins in `scope`
    scope     elements; stride: how far apart the cells of an element's values are in the entry's table
    """

    sizes: Numbers
    narrow: tuple[int, ...]
    wide: tuple[int, ...]
    touched: NDArray[np.bool_]
    rows: Numbers
    pick: Numbers
    offset: Numbers
    first: Numbers
    scope: Numbers
    stride: Numbers

    @property
    def entries(self) -> int:
        return len(self.offset) - 1


def tables_of(terms: Terms, sizes: Sequence[int]) -> Tables:
    """Tables of all terms that allow for them."""
    size = np.asarray(sizes, np.int64)
    logs = np.log2(np.maximum(size, 1).astype(float))
    logs[size == 0] = np.inf
    narrow = [i for i, s in enumerate(terms.scopes) if (_log_cells(s, logs) <= np.log2(CELLS)).all()]
    while True:
        tables = _build(terms, size, narrow)
        values = len(tables.rows) * sum(terms.scopes[i].shape[0] for i in narrow)
        if values <= ALL_VALUES:
            return tables
        narrow.remove(max(narrow, key=lambda i: _cells(terms.scopes[i], logs)))


def no_tables(sizes: Sequence[int]) -> Tables:
    """All terms together are one that everything enters."""
    none, one, size = np.zeros(0, np.int64), np.zeros(1, np.int64), np.asarray(sizes, np.int64)
    return Tables(size, (), (0,), np.ones(len(size), np.bool_), np.zeros((0, len(size)), np.int64), none, one, one, none, none)


def _log_cells(scope: csr_matrix, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each entry, the base-2 logarithm of the number of assignments."""
    out = np.zeros(scope.shape[0])
    np.add.at(out, np.repeat(np.arange(scope.shape[0]), np.diff(scope.indptr)), logs[scope.indices])
    return out


def _cells(scope: csr_matrix, logs: NDArray[np.float64]) -> float:
    return float(np.exp2(_log_cells(scope, logs)).sum())


def _build(terms: Terms, size: Numbers, narrow: list[int]) -> Tables:
    logs = np.log2(np.maximum(size, 1).astype(float))
    while sum(_cells(terms.scopes[i], logs) for i in narrow) > ALL_CELLS:
        narrow.remove(max(narrow, key=lambda i: _cells(terms.scopes[i], logs)))
    wide = [i for i in range(len(terms.scopes)) if i not in narrow]
    touched = np.zeros(len(size), np.bool_)
    for i in wide:
        touched[terms.scopes[i].indices] = True
    whole = vstack([terms.scopes[i] for i in narrow], format="csr") if narrow else csr_matrix((0, len(size)), dtype=np.int32)
    whole.sort_indices()
    within = np.concatenate([np.arange(terms.scopes[i].shape[0]) for i in narrow]) if narrow else np.zeros(0, np.int64)
    term = np.repeat(np.arange(len(narrow)), [terms.scopes[i].shape[0] for i in narrow])
    kept = np.diff(whole.indptr) > 0
    whole, within, term = whole[kept], within[kept], term[kept]
    first, scope = whole.indptr.astype(np.int64), whole.indices.astype(np.int64)
    stride, cells = _strides(first, scope, size)
    offset = np.concatenate([[0], np.cumsum(cells)]).astype(np.int64)
    rows, row_of = _covering(size, offset, first, scope, stride)
    lengths = np.array([terms.scopes[i].shape[0] for i in narrow], np.int64)
    start = np.concatenate([[0], np.cumsum(lengths * len(rows))])[:-1].astype(np.int64)
    entry = np.repeat(np.arange(len(cells)), cells)
    pick = start[term[entry]] + row_of * lengths[term[entry]] + within[entry] if len(entry) else np.zeros(0, np.int64)
    return Tables(size, tuple(narrow), tuple(wide), touched, rows, pick, offset, first, scope, stride)


@njit(cache=True)
def _strides(first, scope, size):  # type: ignore[no-untyped-def]
    """Of every element of every scope, and the cells of each entry; the last element's values stand side by side."""
    stride, cells = np.empty(len(scope), np.int64), np.empty(len(first) - 1, np.int64)
    for i in range(len(first) - 1):
        step = 1
        for a in range(first[i + 1] - 1, first[i] - 1, -1):
            stride[a] = step
            step *= size[scope[a]]
        cells[i] = step
    return stride, cells


def _covering(size: Numbers, offset: Numbers, first: Numbers, scope: Numbers, stride: Numbers) -> tuple[Numbers, Numbers]:
    """The rows (M, elements), and for every cell of every entry a row that shows it."""
    row_of, left = np.full(offset[-1], -1, np.int64), int(offset[-1])
    rows: list[Numbers] = []
    while left:
        row = _next_row(size, offset, first, scope, stride, row_of, len(rows))
        left -= _note(row, offset, first, scope, stride, row_of, len(rows))
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, len(size)), np.int64), row_of


@njit(cache=True)
def _next_row(size, offset, first, scope, stride, row_of, number):  # type: ignore[no-untyped-def]
    """An assignment that shows many cells which none has shown: entry after entry, in random order, the first such cell that agrees
    with what is fixed already, beginning anywhere."""
    np.random.seed(number)  # noqa: NPY002  Numba's own, seeded here
    entries = len(first) - 1
    row, order = np.full(len(size), -1, np.int64), np.random.permutation(entries)  # noqa: NPY002  Numba's own, seeded here
    for i in order:
        cells = offset[i + 1] - offset[i]
        start = np.random.randint(cells)  # noqa: NPY002  Numba's own, seeded here
        for c in range(cells):
            cell = (start + c) % cells
            if row_of[offset[i] + cell] >= 0:
                continue
            agrees = True
            for a in range(first[i], first[i + 1]):
                value, e = cell // stride[a] % size[scope[a]], scope[a]
                if row[e] >= 0 and row[e] != value:
                    agrees = False
                    break
            if agrees:
                for a in range(first[i], first[i + 1]):
                    row[scope[a]] = cell // stride[a] % size[scope[a]]
                break
    for e in range(len(size)):
        if row[e] < 0:
            row[e] = np.random.randint(max(size[e], 1))  # noqa: NPY002  Numba's own, seeded here
    return row


@njit(cache=True)
def _note(row, offset, first, scope, stride, row_of, number):  # type: ignore[no-untyped-def]
    """Mark the cells that a row shows. Returns how many are new."""
    new = 0
    for i in range(len(first) - 1):
        cell = offset[i]
        for a in range(first[i], first[i + 1]):
            cell += stride[a] * row[scope[a]]
        if row_of[cell] < 0:
            row_of[cell] = number
            new += 1
    return new
