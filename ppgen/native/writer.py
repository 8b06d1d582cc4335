"""Statements appended one after the other: what makes loops in Python read like the loops that it makes.

with w.loop(n) as i:                                     for i0 in range(n):
    w.store(out, (i,), w.real("mul", w.load(a, i), 2.0))     t1 = x[i0]; t2 = mul(t1, 2.0); w[i0] = t2
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from .ir import BUFFERS, Body, For, How, Index, Kind, Let, Load, Scalar, Store, Update, Variable, View, contiguous

__all__ = ["Bound", "Coordinate", "Names", "Writer", "index", "shifted"]

Coordinate: TypeAlias = str | int  # an integer local, or a number
Bound: TypeAlias = Coordinate | Index


class Names:
    """Names that were not given before: t0, i1, ...; one for the whole program. Their numbers begin at `start`."""

    def __init__(self, start: int = 0) -> None:
        self._count = itertools.count(start)

    def __call__(self, stem: str = "t") -> str:
        return f"{stem}{next(self._count)}"


def index(bound: Bound) -> Index:
    match bound:
        case str():
            return Index(0, ((bound, 1),))
        case Index():
            return bound
        case _:
            return Index(bound)


def shifted(bound: Bound, by: int) -> Index:
    """bound + by."""
    offset, terms = index(bound)
    return Index(offset + by, terms)


@dataclass
class Writer:
    """Appends to `body`; `sizes` are the elements of each buffer so far, and grow with `new`.

    Inside `with w.loop(...)`, what is written goes into the loop.
    """

    body: Body = field(default_factory=list)
    names: Names = field(default_factory=Names)
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BUFFERS, 0))

    def new(self, shape: Sequence[int], buffer: str = "w", strides: Sequence[int] | None = None) -> View:
        """Memory for a tensor, at the end of a buffer; contiguous, or with other strides that leave no gaps."""
        view = View(buffer, tuple(shape), contiguous(shape) if strides is None else tuple(strides), self.sizes[buffer])
        self.sizes[buffer] += view.size
        return view

    def load(self, view: View, *at: Coordinate) -> str:
        name = self.names()
        self.body.append(Load(name, view.buffer, view.at(*at)))
        return name

    def store(self, view: View, at: Sequence[Coordinate], value: Scalar, how: How = "set") -> None:
        self.body.append(Store(view.buffer, view.at(*at), value, how))

    def let(self, kind: Kind, operation: str, *arguments: Scalar) -> str:
        name = self.names()
        self.body.append(Let(name, kind, operation, arguments))
        return name

    def real(self, operation: str, *arguments: Scalar) -> str:
        return self.let("f", operation, *arguments)

    def whole(self, operation: str, *arguments: Scalar) -> str:
        return self.let("i", operation, *arguments)

    def truth(self, operation: str, *arguments: Scalar) -> str:
        return self.let("b", operation, *arguments)

    def variable(self, value: Scalar, kind: Kind = "f") -> str:
        name = self.names("v")
        self.body.append(Variable(name, kind, value))
        return name

    def update(self, name: str, value: Scalar, how: How = "set") -> None:
        self.body.append(Update(name, value, how))

    @contextmanager
    def loop(self, stop: Bound, start: Bound = 0, *, reverse: bool = False) -> Iterator[Coordinate]:
        """A loop from start to stop - 1; of a single iteration that is known, the statements themselves."""
        if isinstance(start, int) and isinstance(stop, int) and stop - start == 1:
            yield start
            return
        outside, variable = self.body, self.names("i")
        self.body = []
        try:
            yield variable
            outside.append(For(variable, index(start), index(stop), self.body, reverse))
        finally:
            self.body = outside

    @contextmanager
    def loops(self, shape: Sequence[int]) -> Iterator[tuple[Coordinate, ...]]:
        """Nested loops over all indices of a shape, the first outermost."""
        with ExitStack() as stack:
            yield tuple(stack.enter_context(self.loop(n)) for n in shape)
