"""Loops found again in straight-line code: a recursion that was written out step by step becomes one.

    t1 = c[0]                        for r in range(199):
    t2 = mul(t1, t0)                     t4 = c[r + 1]
    t3 = add(t2, t0)                     t5 = mul(t4, v)
    t4 = c[1]                            t6 = add(t5, t0)
    t5 = mul(t4, t3)                     w[r] = t6          only where steps elsewhere read it
    t6 = add(t5, t0)                     v = t6
    ...

Of a stretch of statements with period L, statement i + L is statement i with other names, and where each argument was given moves by
the same distance at every step: 0 (from outside), L (of the same step, or of one before it), or whole steps of another stretch:
the backward pass reads the values of the forward pass from the last to the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dependence import effects
from .ir import BUFFERS, Body, For, Index, Kind, Let, Load, Program, Scalar, Statement, Store, Update, Variable
from .rewriting import fresh, substituted

__all__ = ["rolled"]

LONG = 1000  # statements: what is shorter compiles fast as it is
GAIN = 100  # statements that a loop must replace
LEAST = 8  # steps of a loop
FARTHEST = 4  # steps that a value is handed on
LONGEST = 512  # statements of a step
PERIODS = 8  # distances at which most statements repeat; they and their divisors are tried as lengths of a step


def rolled(program: Program, long: int = LONG, gain: int = GAIN) -> Program:
    """Stretches of straight-line code that repeat one step, as loops; programs of at least `long` statements.

    The same operations in the same order: results are equal to the last bit. Values of a step that are used outside of the loop go
    through the workspace, which grows. GARCH(1, 1) of 1,000 steps with its gradient: 26,137 statements become 298 in 0.2 s, and compile
    in 0.1 s.
    """
    if len(program.body) < long:
        return program
    lines = _Lines(program.body)
    stretches = _checked(lines, _stretches(lines, 0, len(program.body), gain))
    return _Roller(program, lines, stretches).program() if stretches else program


@dataclass
class _Stretch:
    """`steps` steps of `length` statements, from `first` on; kept: statements of a step whose values go to memory, and where to."""

    first: int
    length: int
    steps: int
    kept: dict[int, int] = field(default_factory=dict)

    @property
    def covered(self) -> int:
        return self.steps * self.length

    @property
    def end(self) -> int:
        return self.first + self.covered

    def __contains__(self, position: int) -> bool:
        return self.first <= position < self.end


# Statements as numbers


class _Lines:
    """The statements of a body as numbers, a row for each.

    keys      equal for statements that differ in names and offsets alone
    sources   for each argument, the row that gave it; -1 for a literal or none
    offsets   of places
    given     the row that gives a local
    """

    def __init__(self, body: Body):
        self.body = body
        self.given = {s.name: i for i, s in enumerate(body) if isinstance(s, Load | Let | Variable)}
        ids: dict[Any, int] = {}
        self.keys = np.array([ids.setdefault(_key(s, i), len(ids)) for i, s in enumerate(body)], np.int64)
        self.offsets = np.array([_offset(s) for s in body], np.int64)
        arguments = [_arguments(s) for s in body]
        self.sources = np.full((len(body), max(map(len, arguments))), -1, np.int64)
        for i, row in enumerate(arguments):
            self.sources[i, : len(row)] = [self.given[a] if isinstance(a, str) else -1 for a in row]

    def kind(self, row: int) -> Kind:
        match self.body[row]:
            case Let(_, kind) | Variable(_, kind):
                return kind
            case Load(_, buffer):
                return BUFFERS[buffer]
        raise TypeError("a statement that gives nothing")

    def name(self, row: int) -> str:
        match self.body[row]:
            case Let(name) | Variable(name) | Load(name):
                return name
        raise TypeError("a statement that gives nothing")


def _key(s: Statement, row: int) -> Any:
    match s:
        case Load(_, buffer, Index(_, ())):
            return ("load", buffer)
        case Let(_, kind, operation, arguments):
            return (kind, operation, *map(_literal, arguments))
        case Store(buffer, Index(_, ()), value, how):
            return ("store", buffer, how, _literal(value))
    return row


def _literal(x: Scalar) -> Any:
    return None if isinstance(x, str) else (type(x), repr(x))


def _offset(s: Statement) -> int:
    match s:
        case Load(_, _, index) | Store(_, index):
            return index.offset
    return 0


def _arguments(s: Statement) -> tuple[Scalar, ...]:
    match s:
        case Let(_, _, _, arguments):
            return arguments
        case Store(_, _, value):
            return (value,)
    return ()


# Where steps repeat


def _stretches(lines: _Lines, first: int, last: int, gain: int) -> Iterator[_Stretch]:
    """In the order of the statements: the one that covers most, with the shortest step that does, and those before and after it."""
    found = [s for length in _periods(lines.keys[first:last]) if (s := _longest(lines, first, last, length))]
    most = max((s.covered for s in found), default=0)
    if most < gain:
        return
    best = min((s for s in found if s.covered >= 0.9 * most), key=lambda s: s.length)
    yield from _stretches(lines, first, best.first, gain)
    yield best
    yield from _stretches(lines, best.end, last, gain)


def _periods(keys: NDArray[np.int64]) -> list[int]:
    """Distances at which most statements have the same key, and what divides them: steps of two lengths repeat together at a multiple."""
    most = min(LONGEST, len(keys) // LEAST)
    same = [int(np.count_nonzero(keys[d:] == keys[:-d])) for d in range(1, most + 1)]
    best = sorted(range(1, most + 1), key=lambda d: -same[d - 1])[:PERIODS]
    return [d for d in range(1, most + 1) if any(b % d == 0 for b in best)]


def _longest(lines: _Lines, first: int, last: int, length: int) -> _Stretch | None:
    """The longest stretch of a period: arguments and offsets move equally from each step to the next."""
    keys, sources, offsets = lines.keys[first:last], lines.sources[first:last], lines.offsets[first:last]
    if len(keys) < LEAST * length:
        return None
    same = keys[length:] == keys[:-length]
    moves, shifts = sources[length:] - sources[:-length], offsets[length:] - offsets[:-length]
    regular = same[length:] & same[:-length] & (moves[length:] == moves[:-length]).all(1) & (shifts[length:] == shifts[:-length])
    begin, end = _longest_run(regular)
    steps = (end - begin) // length + 2
    return _Stretch(first + begin, length, steps) if steps >= LEAST else None


def _longest_run(truths: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest run of truths begins and ends."""
    breaks = np.concatenate([[-1], np.flatnonzero(~truths), [len(truths)]])
    widest = int(np.argmax(np.diff(breaks)))
    return int(breaks[widest]) + 1, int(breaks[widest + 1])


def _checked(lines: _Lines, candidates: Iterator[_Stretch]) -> list[_Stretch]:
    """Stretches, made shorter where arguments come from where a loop cannot read them."""
    accepted: list[_Stretch] = []
    for candidate in candidates:
        if (s := _shortened(lines, candidate, accepted)) is not None:
            accepted.append(s)
    return accepted


def _shortened(lines: _Lines, s: _Stretch, others: Sequence[_Stretch]) -> _Stretch | None:
    begin, end = _longest_run(_readable(lines, s, others))
    if end - begin < LEAST:
        return None
    if end - begin == s.steps:
        return s
    return _shortened(lines, _Stretch(s.first + begin * s.length, s.length, end - begin), others)


def _readable(lines: _Lines, s: _Stretch, others: Sequence[_Stretch]) -> NDArray[np.bool_]:
    """For each step, whether a loop has all of its arguments."""
    sources = lines.sources[s.first : s.end].reshape(s.steps, s.length, -1)
    begins = s.first + s.length * np.arange(s.steps)
    readable = np.ones(s.steps, np.bool_)
    for rows in sources.reshape(s.steps, -1).T:
        move = int(rows[1] - rows[0])
        if move == 0:
            readable &= rows < begins
        elif not (move == s.length and rows[0] >= s.first - FARTHEST * s.length):
            other = next((o for o in others if int(rows[s.steps // 2]) in o), None)
            if other is None or move % other.length:
                return np.zeros(s.steps, np.bool_)
            readable &= (rows >= other.first) & (rows < other.end)
    return readable


# Writing the loops


class _Roller:
    """Writes the program anew. A value of a stretch that is used outside of it is stored at every step and loaded where it is used."""

    def __init__(self, program: Program, lines: _Lines, stretches: Sequence[_Stretch]):
        self.old, self.lines, self.stretches = program, lines, stretches
        self.names, self.sizes = fresh(program), dict(program.sizes)
        self.loaded: dict[int, str] = {}  # values of stretches that are in locals outside
        self.result: Body = []

    def program(self) -> Program:
        begins = {s.first: s for s in self.stretches}
        loops: list[tuple[int, _Stretch]] = []  # where in the result: what a loop must store is known at the end
        row = 0
        while row < len(self.lines.body):
            if (s := begins.get(row)) is not None:
                loops.append(self.stretch(s))
                row = s.end
            else:
                self.single(self.lines.body[row])
                row += 1
        for at, s in loops:
            self.keep(at, s)
        return replace(self.old, body=self.result, sizes=self.sizes)

    def single(self, s: Statement) -> None:
        used = effects([s], {}).used
        self.result += substituted([s], {name: self.outside(self.lines.given[name]) for name in used})

    def stretch(self, s: _Stretch) -> tuple[int, _Stretch]:
        """One loop for the steps; the values that it hands on are variables."""
        step, inside, handed = self.names("i"), list[Statement](), dict[tuple[int, int], str]()
        for row in range(s.first, s.first + s.length):
            statement = self.lines.body[row]
            changes = {
                argument: self.argument(s, row, j, step, inside, handed)
                for j, argument in enumerate(_arguments(statement))
                if isinstance(argument, str)
            }
            shift = int(self.lines.offsets[row + s.length] - self.lines.offsets[row])
            (moved,) = substituted([statement], changes)
            inside.append(_advanced(moved, step, shift))
        inside += self.hand_on(s, handed)
        self.result.append(For(step, Index(), Index(s.steps), inside))
        return len(self.result) - 1, s

    def argument(self, s: _Stretch, row: int, j: int, step: str, inside: Body, handed: dict[tuple[int, int], str]) -> str:
        """What stands for an argument inside the loop."""
        source, move = int(self.lines.sources[row, j]), int(self.lines.sources[row + s.length, j] - self.lines.sources[row, j])
        if move == 0:
            return self.outside(source)
        if move == s.length and source >= s.first - FARTHEST * s.length:
            back, statement = divmod(source - s.first, s.length)
            if back == 0:
                return self.lines.name(source)
            return [self.handed(s, statement, steps, handed) for steps in range(1, -back + 1)][-1]
        other = next(o for o in self.stretches if source in o)
        return self.load(other, source, inside, ((step, move // other.length),))

    def handed(self, s: _Stretch, statement: int, steps: int, handed: dict[tuple[int, int], str]) -> str:
        """The variable for a value of some steps ago; it begins as what stands before the loop."""
        key = (statement, steps)
        if key not in handed:
            row = s.first + statement - steps * s.length
            begin = self.outside(row)
            handed[key] = self.names("v")
            self.result.append(Variable(handed[key], self.lines.kind(s.first + statement), begin))
        return handed[key]

    def hand_on(self, s: _Stretch, handed: dict[tuple[int, int], str]) -> Body:
        """At the end of a step, the oldest first."""
        return [
            Update(name, self.lines.name(s.first + statement) if steps == 1 else handed[statement, steps - 1])
            for (statement, steps), name in sorted(handed.items(), key=lambda item: -item[0][1])
        ]

    def outside(self, row: int) -> str:
        """The value of a row in a local outside of all loops."""
        other = next((o for o in self.stretches if row in o), None)
        if other is None:
            return self.lines.name(row)
        if row not in self.loaded:
            self.loaded[row] = self.load(other, row, self.result, ())
        return self.loaded[row]

    def load(self, other: _Stretch, row: int, body: Body, terms: tuple[tuple[str, int], ...]) -> str:
        """A value that a stretch keeps, of the step that the row belongs to and as many further on as the terms say."""
        step, statement = divmod(row - other.first, other.length)
        kind, name = self.lines.kind(row), self.names()
        buffer = "m" if kind == "i" else "w"
        if statement not in other.kept:
            other.kept[statement] = self.sizes.get(buffer, 0)
            self.sizes[buffer] = other.kept[statement] + other.steps
        body.append(Load(name, buffer, Index(other.kept[statement] + step, terms)))
        if kind == "b":  # in memory a real
            body.append(Let(truth := self.names(), "b", "true", (name,)))
            return truth
        return name

    def keep(self, at: int, s: _Stretch) -> None:
        """Store in the loop what was found to be used elsewhere."""
        loop = self.result[at]
        if not isinstance(loop, For):
            raise TypeError("not a loop")
        names = {self.lines.name(s.first + statement): place for statement, place in s.kept.items()}
        inside: Body = []
        for statement in loop.body:
            inside.append(statement)
            if isinstance(statement, Load | Let) and statement.name in names:
                buffer = "m" if self.lines.kind(self.lines.given[statement.name]) == "i" else "w"
                inside.append(Store(buffer, Index(names[statement.name], ((loop.variable, 1),)), statement.name))
        self.result[at] = loop._replace(body=inside)


def _advanced(s: Statement, step: str, shift: int) -> Statement:
    """With a place that moves by `shift` at every step."""
    if not shift:
        return s
    match s:
        case Load(name, buffer, index):
            return Load(name, buffer, Index(index.offset, ((step, shift),)))
        case Store(buffer, index, value, how):
            return Store(buffer, Index(index.offset, ((step, shift),)), value, how)
    return s
