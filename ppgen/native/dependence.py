"""Which statements may change places: what they touch in memory, and which locals.

Places are affine in the variables of loops. A statement's region of a buffer is an interval plus strides of the variables from outside
of it; an index that is loaded, or a bound that is not known, makes the interval endless. So the answers err on one side: what
is said to be apart is apart.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from .ir import Body, For, Index, Let, Load, Scalar, Statement, Store, Update, Variable

__all__ = ["Effects", "Region", "apart", "commute", "effects", "independent", "may_follow", "place", "touched"]

Range: TypeAlias = tuple[float, float]  # least and greatest value of an integer; endless where not known
ANY: Range = (-math.inf, math.inf)


class Region(NamedTuple):
    """What may be touched: low, ..., high, moved by strides . variables."""

    buffer: str
    low: float
    high: float
    strides: Mapping[str, int]
    written: bool

    def along(self, variable: str, values: Range) -> "Region":
        """The region over all values of a variable."""
        strides = dict(self.strides)
        low, high = _scaled(strides.pop(variable, 0), values)
        return self._replace(low=self.low + low, high=self.high + high, strides=strides)


class Effects(NamedTuple):
    """What statements touch.

    used      locals from outside
    changed   locals that later statements may read, given or updated here
    """

    regions: tuple[Region, ...]
    used: frozenset[str]
    changed: frozenset[str]


def _scaled(stride: int, values: Range) -> Range:
    if not stride:
        return (0, 0)
    low, high = stride * values[0], stride * values[1]
    return (low, high) if stride > 0 else (high, low)


def _extent(index: Index, known: Mapping[str, Range]) -> Range:
    """The values of a bound whose variables have known ranges."""
    low, high = float(index.offset), float(index.offset)
    for variable, stride in index.terms:
        least, greatest = _scaled(stride, known.get(variable, ANY))
        low, high = low + least, high + greatest
    return (low, high)


class _Collector:
    def __init__(self) -> None:
        self.touched: list[tuple[Load | Store, Region]] = []
        self.used: set[str] = set()
        self.given: set[str] = set()
        self.updated: set[str] = set()
        self.known: dict[str, Range] = {}  # integers that vary inside

    def touch(self, statement: Load | Store, region: Region) -> None:
        for variable in self.known.keys() & region.strides.keys():
            region = region.along(variable, self.known[variable])
        self.touched.append((statement, region))

    def index(self, index: Index) -> None:
        self.used.update(variable for variable, _ in index.terms)

    def scalars(self, *values: Scalar) -> None:
        self.used.update(v for v in values if isinstance(v, str))

    def local(self, name: str) -> None:
        self.given.add(name)
        self.known[name] = ANY

    def body(self, body: Iterable[Statement]) -> None:
        for s in body:
            match s:
                case Load(name, buffer, index):
                    self.touch(s, place(buffer, index))
                    self.index(index)
                    self.local(name)
                case Let(name, _, _, arguments):
                    self.scalars(*arguments)
                    self.local(name)
                case Store(buffer, index, value):
                    self.touch(s, place(buffer, index, written=True))
                    self.index(index)
                    self.scalars(value)
                case Variable(name, _, value):
                    self.scalars(value)
                    self.local(name)
                case Update(name, value):
                    self.scalars(name, value)
                    self.updated.add(name)
                    self.known[name] = ANY
                case For():
                    self.loop(s)

    def loop(self, loop: For) -> None:
        self.index(loop.start)
        self.index(loop.stop)
        first, last = _extent(loop.start, self.known)[0], _extent(loop.stop, self.known)[1] - 1
        if last < first:
            return
        self.known[loop.variable] = (first, last)
        self.given.add(loop.variable)
        self.body(loop.body)


def effects(statements: Iterable[Statement]) -> Effects:
    """What the statements touch together; the locals that they give themselves are not among those used."""
    statements = list(statements)
    c = _collected(statements)
    inside = set(_given(s for s in statements if isinstance(s, For)))
    return Effects(tuple(r for _, r in c.touched), frozenset(c.used - c.given), frozenset((c.given | c.updated) - inside))


def touched(body: Iterable[Statement]) -> list[tuple[Load | Store, Region]]:
    """Every load and store with its region over all iterations of the loops around it."""
    return _collected(list(body)).touched


def _collected(body: Body) -> _Collector:
    c = _Collector()
    c.body(body)
    if any(name in region.strides for name in c.updated for _, region in c.touched):
        c.touched = []  # a place was seen before an update of its index: again, now that the latter is known to vary
        c.body(body)
    return c


def place(buffer: str, index: Index, written: bool = False) -> Region:
    """One element, for given values of the variables."""
    strides: dict[str, int] = {}
    for variable, stride in index.terms:
        strides[variable] = strides.get(variable, 0) + stride
    return Region(buffer, index.offset, index.offset, {v: s for v, s in strides.items() if s}, written)


def _given(body: Iterable[Statement]) -> Iterable[str]:
    for s in body:
        match s:
            case Load(name) | Let(name) | Variable(name):
                yield name
            case For(variable, _, _, inside):
                yield variable
                yield from _given(inside)


def apart(a: Region, b: Region) -> bool:
    """Whether two regions of one buffer share no element for equal values of the variables."""
    return a.strides == b.strides and (a.high < b.low or b.high < a.low)


def _conflict(a: Effects, b: Effects) -> bool:
    """Whether they share a local that one of them changes."""
    return bool(a.changed & (b.used | b.changed)) or bool(b.changed & a.used)


def _pairs(a: Effects, b: Effects) -> Iterable[tuple[Region, Region]]:
    return ((r, s) for r in a.regions for s in b.regions if r.buffer == s.buffer and (r.written or s.written))


def commute(a: Effects, b: Effects) -> bool:
    """Whether two statements in one body may change places."""
    return not _conflict(a, b) and all(apart(r, s) for r, s in _pairs(a, b))


def may_follow(first: Effects, second: Effects, variables: tuple[str, str], values: Range, downwards: bool) -> bool:
    """Whether iteration i of the second loop may run before iterations of the first loop that come after i.

    Effects of the bodies; the variable of each; their values, the same for both.
    """
    if _conflict(first, second):
        return False
    one, other = variables
    return all(
        _ahead(r, s._replace(strides={one if v == other else v: x for v, x in s.strides.items()}), one, values, downwards)
        for r, s in _pairs(first, second)
    )


def independent(body: Effects, variable: str, values: Range) -> bool:
    """Whether no iteration of a loop touches what another one writes."""
    return all(_ahead(r, s, variable, values, downwards=False) for r, s in _pairs(body, body))


def _ahead(a: Region, b: Region, variable: str, values: Range, downwards: bool) -> bool:
    """Whether what `a` touches in later iterations is never what `b` touches in an earlier one."""
    stride = a.strides.get(variable, 0)
    if stride != b.strides.get(variable, 0):
        return apart(a.along(variable, values), b.along(variable, values))
    if {**a.strides, variable: 0} != {**b.strides, variable: 0}:
        return False
    # a - b at a distance of d iterations is stride * d + something from low to high: is it 0 for a d from 1 to `most`?
    low, high, most = a.low - b.high, a.high - b.low, values[1] - values[0]
    if most < 1:
        return True
    if not stride:
        return low > 0 or high < 0
    if not (math.isfinite(low) and math.isfinite(high)):
        return False
    least, greatest = sorted((-high / stride, -low / stride))
    if downwards:
        least, greatest = -greatest, -least
    return min(most, math.floor(greatest)) < max(1, math.ceil(least))
