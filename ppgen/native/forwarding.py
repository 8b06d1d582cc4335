"""Memory that need not be touched: values read back where they were written, and values that nobody reads."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .dependence import Ranges, Region, apart, effects, place, ranges, touched
from .ir import BUFFERS, Body, For, Index, Kind, Let, Load, Program, Scalar, Statement, Store, Update, Variable, walk
from .rewriting import size, substituted, with_body

__all__ = ["forwarded", "swept"]

Strides: TypeAlias = tuple[tuple[str, int], ...]
SCRATCH = ("w", "m")  # nothing in them survives a call


def forwarded(program: Program) -> Program:
    """What is loaded from a place whose value is in a local, because it was just stored or loaded, is that local.

    The same values: results are equal to the last bit. A value is known in the rest of a body and in the loops there, until something
    may write to its place.
    """
    outer = ranges(program.body)
    return with_body(program, _Forwarder(outer).body(program.body, _Known(outer)))


class _Known:
    """Places of which the value is in a local. Those that are the same strides apart are told from each other by their offset."""

    def __init__(self, outer: Ranges):
        self.outer = outer
        self.values: dict[tuple[str, Strides], dict[int, str]] = {}

    def copy(self) -> "_Known":
        other = _Known(self.outer)
        other.values = {key: dict(values) for key, values in self.values.items()}
        return other

    def get(self, buffer: str, index: Index) -> str | None:
        return self.values.get((buffer, _strides(index)), {}).get(index.offset)

    def add(self, buffer: str, index: Index, value: str) -> None:
        self.values.setdefault((buffer, _strides(index)), {})[index.offset] = value

    def written(self, region: Region) -> None:
        """Forget what may have been overwritten."""
        for (buffer, strides), values in self.values.items():
            if buffer != region.buffer:
                continue
            if dict(strides) == region.strides and region.low == region.high:
                values.pop(int(region.low), None)
                continue
            for offset in [o for o in values if not apart(region, Region(buffer, o, o, dict(strides), False), self.outer)]:
                del values[offset]

    def changed(self, locals_: Iterable[str]) -> None:
        """Forget places that depend on locals that have other values now."""
        names = set(locals_)
        self.values = {key: values for key, values in self.values.items() if names.isdisjoint(v for v, _ in key[1])}


def _strides(index: Index) -> Strides:
    """The strides of a place, equal for places that are only an offset apart."""
    return tuple(sorted(place("", index).strides.items()))


class _Forwarder:
    def __init__(self, outer: Ranges) -> None:
        self.outer = outer
        self.kinds: dict[str, Kind] = {}  # of locals that keep their value
        self.changes: dict[str, Scalar] = {}

    def body(self, body: Body, known: _Known) -> Body:
        """The body where what is known is not loaded; what becomes known is added."""
        result: Body = []
        for original in body:
            (s,) = substituted([original], self.changes) if self.changes else (original,)
            match s:
                case Load(name, buffer, index):
                    if (held := known.get(buffer, index)) is not None:
                        self.changes[name] = held
                        continue
                    known.add(buffer, index, name)
                    self.kinds[name] = BUFFERS[buffer]
                case Let(name, kind):
                    self.kinds[name] = kind
                case Store(buffer, index, value, how):
                    known.written(place(buffer, index, written=True))
                    if how == "set" and isinstance(value, str) and self.kinds.get(value) == BUFFERS[buffer]:
                        known.add(buffer, index, value)
                case Update(name):
                    known.changed([name])
                case For():
                    done = effects([s], self.outer)
                    for region in (r for r in done.regions if r.written):
                        known.written(region)
                    known.changed(done.changed)
                    s = s._replace(body=self.body(s.body, known.copy()))
            result.append(s)
        return result


def swept(program: Program) -> Program:
    """Without stores to places of the workspace that are never loaded, locals that are never used, loops with nothing in them."""
    body, before = program.body, -1
    while (left := size(body)) != before:
        before = left
        body = _Sweeper(_dead_stores(body), _updated_for(body)).body(body)
    return with_body(program, body)


def _dead_stores(body: Body) -> set[int]:
    """The identities of stores to elements of the workspace that are never loaded."""
    everything = touched(body)
    loaded = {b: _Union((r.low, r.high) for s, r in everything if isinstance(s, Load) and s.buffer == b) for b in SCRATCH}
    scratch = [(s, r) for s, r in everything if isinstance(s, Store) and s.buffer in SCRATCH]
    live = {id(s) for s, r in scratch if loaded[s.buffer].meets(r.low, r.high)}
    return {id(s) for s, _ in scratch} - live


class _Union:
    """A union of closed intervals."""

    def __init__(self, intervals: Iterable[tuple[float, float]]):
        self.lows: list[float] = []
        self.highs: list[float] = []
        for low, high in sorted(intervals):
            if self.highs and low <= self.highs[-1]:
                self.highs[-1] = max(self.highs[-1], high)
            else:
                self.lows.append(low)
                self.highs.append(high)

    def meets(self, low: float, high: float) -> bool:
        i = bisect_right(self.lows, high)
        return i > 0 and self.highs[i - 1] >= low


def _updated_for(body: Body) -> set[str]:
    """Variables that something other than an update of the same variable reads."""
    return {name for s in walk(body) for name in _reads(s)}


def _reads(s: Statement) -> Iterator[str]:
    """Locals that a statement reads; an update does not read its own variable."""
    match s:
        case Load(_, _, index):
            yield from (v for v, _ in index.terms)
        case Let(_, _, _, arguments):
            yield from (a for a in arguments if isinstance(a, str))
        case Store(_, index, value):
            yield from (v for v, _ in index.terms)
            yield str(value)
        case Variable(_, _, value) | Update(_, value):
            yield str(value)
        case For(_, start, stop):
            yield from (v for v, _ in (*start.terms, *stop.terms))


class _Sweeper:
    """Goes through the statements from the last to the first: what is needed is known before what gives it.

    dead    identities of stores that nobody reads
    alive   variables that are read somewhere: in a loop, a use may come after an update and stand before it
    """

    def __init__(self, dead: set[int], alive: set[str]):
        self.dead, self.alive = dead, alive
        self.needed: set[str] = set()

    def body(self, body: Body) -> Body:
        kept = [t for s in reversed(body) if (t := self.statement(s)) is not None]
        return kept[::-1]

    def statement(self, s: Statement) -> Statement | None:
        match s:
            case Load(name) | Let(name) if name not in self.needed:
                return None
            case Variable(name) | Update(name) if name not in self.alive:
                return None
            case Store() if id(s) in self.dead:
                return None
            case For(_, start, stop, inside):
                if start.terms == stop.terms and start.offset >= stop.offset:
                    return None
                if not (left := self.body(inside)):
                    return None
                s = s._replace(body=left)
        self.needed.update(_reads(s))
        return s
