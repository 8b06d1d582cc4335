"""Memory that need not be touched: values read back where they were written, and values that nobody reads."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import TypeAlias

from .dependence import Region, apart, effects, place, touched
from .ir import BUFFERS, Body, For, Index, Kind, Let, Load, Program, Scalar, Statement, Store, Update, Variable, walk
from .rewriting import substituted, with_body

__all__ = ["forwarded", "swept"]

Place: TypeAlias = tuple[str, Index]
SCRATCH = ("w", "m")  # nothing in them survives a call


def forwarded(program: Program) -> Program:
    """What is loaded from a place whose value is in a local, because it was just stored or loaded, is that local.

    The same values: results are equal to the last bit. A value is known in the rest of a body and in the loops there, until something
    may write to its place.
    """
    return with_body(program, _Forwarder().body(program.body, {}))


class _Forwarder:
    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}  # of locals that keep their value
        self.changes: dict[str, Scalar] = {}

    def body(self, body: Body, known: dict[Place, tuple[str, Region]]) -> Body:
        """The body where `known` places have their value in a local; what becomes known is added."""
        result: Body = []
        for original in body:
            (s,) = substituted([original], self.changes)
            _forget(known, s)
            match s:
                case Load(name, buffer, index):
                    if (buffer, index) in known:
                        self.changes[name] = known[buffer, index][0]
                        continue
                    known[buffer, index] = (name, place(buffer, index))
                    self.kinds[name] = BUFFERS[buffer]
                case Let(name, kind):
                    self.kinds[name] = kind
                case Store(buffer, index, str(value), "set") if self.kinds.get(value) == BUFFERS[buffer]:
                    known[buffer, index] = (value, place(buffer, index))
                case For():
                    s = s._replace(body=self.body(s.body, dict(known)))
            result.append(s)
        return result


def _forget(known: dict[Place, tuple[str, Region]], s: Statement) -> None:
    """What may have another value after the statement, or during it where it is a loop."""
    if not isinstance(s, Store | Update | For):
        return
    done = effects([s])
    written = [r for r in done.regions if r.written]
    for key, (_, region) in list(known.items()):
        moved = any(variable in done.changed for variable in region.strides)
        if moved or any(r.buffer == region.buffer and not apart(r, region) for r in written):
            del known[key]


def swept(program: Program) -> Program:
    """Without stores to places of the workspace that are never loaded, locals that are never used, loops with nothing in them."""
    body = program.body
    while (smaller := _swept(body, _dead_stores(body), _used(body))) != body:
        body = smaller
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


def _used(body: Body) -> set[str]:
    """Locals that something other than their own update reads."""
    used: set[str] = set()
    for s in walk(body):
        match s:
            case Load(_, _, index):
                used.update(v for v, _ in index.terms)
            case Let(_, _, _, arguments):
                used.update(a for a in arguments if isinstance(a, str))
            case Store(_, index, value):
                used.update(v for v, _ in index.terms)
                used.add(str(value))
            case Variable(_, _, value) | Update(_, value):
                used.add(str(value))
            case For(_, start, stop):
                used.update(v for v, _ in (*start.terms, *stop.terms))
    return used


def _swept(body: Body, dead: set[int], used: set[str]) -> Body:
    result: Body = []
    for s in body:
        match s:
            case Load(name) | Let(name) | Variable(name) | Update(name) if name not in used:
                continue
            case Store() if id(s) in dead:
                continue
            case For(_, start, stop, inside):
                left = _swept(inside, dead, used)
                if left and not (start.terms == stop.terms and start.offset >= stop.offset):
                    result.append(s._replace(body=left))
            case _:
                result.append(s)
    return result
