"""Which statements may change places: what they touch in memory, and which locals.

Places are affine in the variables of loops. A statement's region of a buffer is an interval plus strides of the variables from
outside of it; an index that is loaded, or a bound that is not known, makes the interval endless. So the answers err on one
side: what is said to be apart is apart.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from .ir import Body, For, Index, Let, Load, Scalar, Statement, Store, Update, Variable

__all__ = [
    "ANY",
    "Effects",
    "Range",
    "Ranges",
    "Region",
    "apart",
    "commute",
    "effects",
    "independent",
    "may_follow",
    "place",
    "ranges",
    "touched",
]

Range: TypeAlias = tuple[float, float]  # least and greatest value of an integer; endless where not known
Ranges: TypeAlias = Mapping[str, Range]
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
        low, high = _scaled(self.strides.get(variable, 0), values)
        return self._replace(low=self.low + low, high=self.high + high, strides={v: s for v, s in self.strides.items() if v != variable})


class Effects(NamedTuple):
    """What statements touch.

    used      locals from outside
    changed   locals that later statements may read, given or updated here
    """

    regions: tuple[Region, ...]
    used: frozenset[str]
    changed: frozenset[str]


# What is touched


def place(buffer: str, index: Index, written: bool = False) -> Region:
    """One element, for given values of the variables."""
    strides: dict[str, int] = {}
    for variable, stride in index.terms:
        strides[variable] = strides.get(variable, 0) + stride
    return Region(buffer, index.offset, index.offset, {v: s for v, s in strides.items() if s}, written)


def effects(statements: Iterable[Statement], outer: Ranges) -> Effects:
    """What the statements touch together, among loops whose variables have these ranges."""
    statements = list(statements)
    c = _collected(statements, outer)
    inside = set(_given(s for s in statements if isinstance(s, For)))
    return Effects(tuple(r for _, r in c.touched), frozenset(c.used - c.given), frozenset((c.given | c.updated) - inside))


def touched(body: Body) -> list[tuple[Load | Store, Region]]:
    """Every load and store with its region over all iterations of the loops around it."""
    return _collected(body, {}).touched


def ranges(body: Body) -> Ranges:
    """Of the variables of all loops."""
    c = _collected(body, {})
    return {v: c.inside[v] for v in c.loops}


class _Collector:
    """What statements touch, in the order of the statements.

    outer    ranges of variables from outside, for bounds that depend on them
    inside   ranges of the integers that vary inside
    """

    def __init__(self, outer: Ranges) -> None:
        self.outer = outer
        self.touched: list[tuple[Load | Store, Region]] = []
        self.used: set[str] = set()
        self.given: set[str] = set()
        self.updated: set[str] = set()
        self.loops: set[str] = set()
        self.inside: dict[str, Range] = {}

    def body(self, body: Iterable[Statement]) -> None:
        for s in body:
            match s:
                case Load(name, buffer, index):
                    self.touch(s, place(buffer, index))
                    self.index(index)
                    self.local(name)
                case Let(name, _, operation, arguments):
                    self.scalars(*arguments)
                    self.local(name, _at_most(arguments) if operation == "min" else ANY)
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
                    self.inside[name] = ANY
                case For():
                    self.loop(s)

    def touch(self, statement: Load | Store, region: Region) -> None:
        for variable in self.inside.keys() & region.strides.keys():
            region = region.along(variable, self.inside[variable])
        self.touched.append((statement, region))

    def index(self, index: Index) -> None:
        self.used.update(variable for variable, _ in index.terms)

    def scalars(self, *values: Scalar) -> None:
        self.used.update(v for v in values if isinstance(v, str))

    def local(self, name: str, values: Range = ANY) -> None:
        self.given.add(name)
        self.inside[name] = values

    def loop(self, loop: For) -> None:
        self.index(loop.start)
        self.index(loop.stop)
        known = {**self.outer, **self.inside} if loop.start.terms or loop.stop.terms else {}
        first, last = _extent(loop.start, known)[0], _extent(loop.stop, known)[1] - 1
        if loop.variable in self.loops:  # a name that another loop has too
            first, last = min(first, self.inside[loop.variable][0]), max(last, self.inside[loop.variable][1])
        self.loops.add(loop.variable)
        self.local(loop.variable, (first, max(first, last)))
        if first <= last:
            self.body(loop.body)


def _collected(body: Body, outer: Ranges) -> _Collector:
    c = _Collector(outer)
    c.body(body)
    if any(name in region.strides for name in c.updated for _, region in c.touched):
        c.touched = []  # a place was seen before an update of its index: again, now that the latter is known to vary
        c.body(body)
    return c


def _given(body: Iterable[Statement]) -> Iterable[str]:
    for s in body:
        match s:
            case Load(name) | Let(name) | Variable(name):
                yield name
            case For(variable, _, _, inside):
                yield variable
                yield from _given(inside)


def _at_most(arguments: Iterable[Scalar]) -> Range:
    """The least of several is no greater than a number among them."""
    return (-math.inf, min((a for a in arguments if isinstance(a, int)), default=math.inf))


def _scaled(stride: int, values: Range) -> Range:
    if not stride:
        return (0, 0)
    low, high = stride * values[0], stride * values[1]
    return (low, high) if stride > 0 else (high, low)


def _extent(index: Index, known: Ranges) -> Range:
    """The values of a bound."""
    low, high = float(index.offset), float(index.offset)
    for variable, stride in index.terms:
        least, greatest = _scaled(stride, known.get(variable, ANY))
        low, high = low + least, high + greatest
    return (low, high)


# What may change places


def apart(a: Region, b: Region, outer: Ranges) -> bool:
    """Whether two regions of one buffer share no element for equal values of the variables."""
    low, high = _difference(a, b, outer)
    return low > 0 or high < 0


def _difference(a: Region, b: Region, outer: Ranges, but: str | None = None) -> Range:
    """Of an element of a and one of b, but for a variable."""
    low, high = a.low - b.high, a.high - b.low
    if a.strides != b.strides:
        for variable in (a.strides.keys() | b.strides.keys()) - {but}:
            least, greatest = _scaled(a.strides.get(variable, 0) - b.strides.get(variable, 0), outer.get(variable, ANY))
            low, high = low + least, high + greatest
    return (low, high)


def _conflict(a: Effects, b: Effects) -> bool:
    """Whether they share a local that one of them changes."""
    return bool(a.changed & (b.used | b.changed)) or bool(b.changed & a.used)


def _pairs(a: Effects, b: Effects) -> Iterable[tuple[Region, Region]]:
    return ((r, s) for r in a.regions for s in b.regions if (r.written or s.written) and r.buffer == s.buffer)


def commute(a: Effects, b: Effects, outer: Ranges) -> bool:
    """Whether two statements in one body may change places."""
    return not _conflict(a, b) and all(apart(r, s, outer) for r, s in _pairs(a, b))


def may_follow(first: Effects, second: Effects, variables: tuple[str, str], values: Range, downwards: bool, outer: Ranges) -> bool:
    """Whether iteration i of the second loop may run before iterations of the first loop that come after i.

    Effects of the bodies; the variable of each; their values, the same for both.
    """
    if _conflict(first, second):
        return False
    one, other = variables
    return all(
        _ahead(r, s._replace(strides={one if v == other else v: x for v, x in s.strides.items()}), one, values, downwards, outer)
        for r, s in _pairs(first, second)
    )


def independent(body: Effects, variable: str, values: Range, outer: Ranges) -> bool:
    """Whether no iteration of a loop touches what another one writes."""
    return all(_ahead(r, s, variable, values, False, outer) for r, s in _pairs(body, body))


def _ahead(a: Region, b: Region, variable: str, values: Range, downwards: bool, outer: Ranges) -> bool:
    """Whether what `a` touches in later iterations is never what `b` touches in an earlier one."""
    stride, most = a.strides.get(variable, 0), values[1] - values[0]
    if stride != b.strides.get(variable, 0):
        return apart(a.along(variable, values), b.along(variable, values), outer)
    # a - b at a distance of d iterations is stride * d + something from low to high: is it 0 for a d from 1 to `most`?
    low, high = _difference(a, b, outer, but=variable)
    if not stride or most < 1 or not (math.isfinite(low) and math.isfinite(high)):
        return low > 0 or high < 0 or most < 1
    least, greatest = sorted((-high / stride, -low / stride))
    if downwards:
        least, greatest = -greatest, -least
    return min(most, math.floor(greatest)) < max(1, math.ceil(least))
