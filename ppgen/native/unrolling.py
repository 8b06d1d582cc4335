"""Short loops written out."""

from .ir import Body, For, Index, Program, Statement
from .rewriting import copied, fresh, size, with_body
from .writer import Names

__all__ = ["unrolled"]


def unrolled(program: Program, most: int = 4, limit: int = 4000) -> Program:
    """Loops of at most `most` iterations, and with no loop left inside, as the statements of each iteration.

    The same operations in the same order: results are equal to the last bit. The innermost loops come first; a loop whose inner loops'
    bounds become numbers takes them with it (small triangular loops). None is written out that would bring the program beyond `limit`
    statements.
    """
    return with_body(program, _Unroller(fresh(program), most, limit - size(program.body)).body(program.body))


class _Unroller:
    def __init__(self, names: Names, most: int, room: int):
        self.names, self.most, self.room = names, most, room

    def body(self, body: Body) -> Body:
        return [t for s in body for t in (self.loop(s) if isinstance(s, For) else [s])]

    def loop(self, loop: For) -> Body:
        loop = loop._replace(body=self.body(loop.body))
        iterations = _iterations(loop)
        if iterations is None or len(iterations) > self.most or not _inner_depend_on_it(loop):
            return [loop]
        room = self.room
        written: list[Statement] = []
        for i in iterations:
            copy = copied(loop.body, self.names, {loop.variable: i})
            self.room -= len(copy)
            if self.room < 0:
                break
            written += self.body(copy)
        if self.room >= 0 and not any(isinstance(s, For) for s in written):
            return written
        self.room = room
        return [loop]


def _iterations(loop: For) -> range | None:
    """The values of the variable where they are known."""
    (start, varying), (stop, also) = loop.start, loop.stop
    if varying or also:
        return None
    return range(stop - 1, start - 1, -1) if loop.reverse else range(start, stop)


def _inner_depend_on_it(loop: For) -> bool:
    """Whether every loop inside has bounds that become numbers with this one's variable, or with that of another inside."""
    inside = [s for s in loop.body if isinstance(s, For)]
    return all(_names(s.start) | _names(s.stop) == {loop.variable} for s in inside)


def _names(index: Index) -> set[str]:
    return {variable for variable, _ in index.terms}
