"""Several iterations of an outer loop taken through the loop inside it together ("unroll and jam").

    for i in range(1000):                      for s in range(125):
        r0 = r[i]                                  r0 = r[8 * s]; r1 = r[8 * s + 1]; ...
        for j in range(12):                        for j in range(12):
            g[j] += X[12 * i + j] * r0                 g[j] += X[96 * s + j] * r0
                                                       g[j] += X[96 * s + j + 12] * r1
                                                       ...

Each g[j] is loaded and stored once for eight rows, and inner products have eight sums under way at the same time.
"""

from functools import reduce

from .dependence import Ranges, ranges
from .fusion import innermost, may_merge, one, together
from .ir import Body, For, Index, Let, Program, Statement, Store, Update, Variable, walk
from .rewriting import copied, fresh, substituted, with_body
from .writer import Names, Writer, shifted

__all__ = ["jammed"]

# Iterations of the inner loop, and how many of the outer to take together. Logistic regression, 1000 rows of 12: 3.3 us a gradient where
# it was 7.3, in single precision 3.2 and 7.4; nothing to gain up to 8 columns or from 17 on (AVX-512, LLVM 20).
LENGTHS, BY = range(9, 16), 8


def jammed(program: Program, lengths: range = LENGTHS, by: int = BY) -> Program:
    """Loops around one short inner loop, `by` iterations at a time where the order of their statements allows it.

    Every place in memory and every local sees the same reads and writes in the same order: results are equal to the last bit.
    """
    return with_body(program, _Jammer(fresh(program), ranges(program.body), lengths, by).body(program.body))


class _Jammer:
    def __init__(self, names: Names, outer: Ranges, lengths: range, by: int):
        self.names, self.outer, self.lengths, self.by = names, outer, lengths, by

    def body(self, body: Body) -> Body:
        return [t for s in body for t in (self.loop(s) if isinstance(s, For) else [s])]

    def loop(self, loop: For) -> Body:
        inside = [s for s in loop.body if isinstance(s, For)]
        if len(inside) != 1 or not innermost(inside[0]) or loop.reverse:
            return [loop._replace(body=self.body(loop.body))]
        (inner,) = inside
        length = 0 if inner.start.terms or inner.stop.terms else inner.stop.offset - inner.start.offset
        if length not in self.lengths or _is_short(loop, 2 * self.by):
            return [loop]
        side_by_side = self.iterations(loop, self.by)
        return [loop] if side_by_side is None else self.blocks(loop, self.by, side_by_side)

    def iterations(self, loop: For, by: int) -> Body | None:
        """The statements of iterations i, ..., i + by - 1 with one loop inside; None where that would change what they compute."""
        copies: Body = []
        for ahead in range(by):
            here, changes = Index(ahead, ((loop.variable, 1),)), {}
            if ahead and _is_operand(loop.variable, loop.body):
                changes = {loop.variable: self.names()}
                copies.append(Let(changes[loop.variable], "i", "add", (loop.variable, ahead)))
            copies += copied(loop.body, self.names, changes, {loop.variable: here})
        first, last = self.outer[loop.variable]
        parts = together(copies, may_merge, {**self.outer, loop.variable: (first, last - by + 1)})
        if max(len(part) for part in parts) < by:
            return None
        return [reduce(one, part) for part in parts]

    def blocks(self, loop: For, by: int, body: Body) -> Body:
        """A loop over blocks of iterations, and one over those that are left."""
        w = Writer(names=self.names)
        block = self.names("i")
        if loop.start.terms or loop.stop.terms:
            count = w.whole("sub", _value(w, loop.stop), _value(w, loop.start))
            blocks = w.whole("floordiv", count, by)
            number, left = Index(0, ((blocks, 1),)), Index(loop.start.offset, (*loop.start.terms, (blocks, by)))
        else:
            whole = (loop.stop.offset - loop.start.offset) // by
            number, left = Index(whole), shifted(loop.start, whole * by)
        first = Index(loop.start.offset, (*loop.start.terms, (block, by)))
        wider = Writer(names=self.names)
        changes = {loop.variable: _value(wider, first)} if _is_operand(loop.variable, body) else {}
        result = [*w.body, For(block, Index(), number, [*wider.body, *substituted(body, changes, {loop.variable: first})])]
        if left != loop.stop:
            rest = self.names("i")
            result.append(For(rest, left, loop.stop, copied(loop.body, self.names, {loop.variable: rest})))
        return result


def _is_short(loop: For, iterations: int) -> bool:
    """Whether a loop with known bounds has fewer iterations."""
    return not (loop.start.terms or loop.stop.terms) and loop.stop.offset - loop.start.offset < iterations


def _is_operand(name: str, body: Body) -> bool:
    """Whether a local is used otherwise than in places and bounds."""
    return any(name in _operands(s) for s in walk(body))


def _operands(s: Statement) -> tuple[object, ...]:
    match s:
        case Let(_, _, _, arguments):
            return arguments
        case Store(_, _, value) | Variable(_, _, value) | Update(_, value):
            return (value,)
        case _:
            return ()


def _value(w: Writer, index: Index) -> str:
    """A place or bound as a local."""
    total = w.whole("add", index.offset, 0)
    for variable, stride in index.terms:
        total = w.whole("add", total, w.whole("mul", variable, stride))
    return total
