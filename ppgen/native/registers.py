"""What an innermost loop keeps in locals: elements of memory that stay where they are from iteration to iteration."""

from collections import defaultdict
from typing import NamedTuple

from .dependence import Ranges, Region, apart, place, ranges
from .ir import BUFFERS, Body, For, Index, Let, Load, Program, Statement, Store, Update, Variable
from .rewriting import fresh, substituted, with_body
from .writer import Names

__all__ = ["registered"]


def registered(program: Program) -> Program:
    """Loads of one element are made once, before the loop; what is added up in one element is added up in a local.

    The same operations in the same order: results are equal to the last bit. LLVM does as much where it can see that nothing else in
    the loop touches the element, which among places in one workspace it mostly cannot; and it takes no loop into vectors that
    adds to memory.
    """
    return with_body(program, _Keeper(ranges(program.body), fresh(program)).body(program.body))


class _Around(NamedTuple):
    """A loop, and what comes before and after it."""

    before: Body
    loop: For
    after: Body


class _Keeper:
    def __init__(self, outer: Ranges, names: Names):
        self.outer, self.names = outer, names

    def body(self, body: Body) -> Body:
        kept: Body = []
        for s in body:
            if not isinstance(s, For):
                kept.append(s)
                continue
            before, loop, after = self.loop(s._replace(body=self.body(s.body)))
            kept += [*before, loop, *after]
        return kept

    def loop(self, loop: For) -> _Around:
        if loop.variable not in self.outer or any(isinstance(s, For) for s in loop.body):  # it never runs, or is not innermost
            return _Around([], loop, [])
        before: Body = []
        after: Body = []
        changes: dict[str, str] = {}
        instead: dict[int, Statement | None] = {}  # by the identity of a statement
        for buffer, index, statements in self._still(loop):
            first = statements[0]
            if isinstance(first, Load):
                before.append(first)
                changes |= {s.name: first.name for s in statements[1:] if isinstance(s, Load)}
                instead |= {id(s): None for s in statements}
                continue
            start, total = self.names(), self.names("v")
            before += [Load(start, buffer, index), Variable(total, BUFFERS[buffer], start)]
            instead |= {id(s): Update(total, s.value, s.how) for s in statements if isinstance(s, Store)}
            after.append(Store(buffer, index, total))
        inside = [t for s in loop.body if (t := instead.get(id(s), s)) is not None]
        return _Around(before, loop._replace(body=substituted(inside, changes) if changes else inside), after)

    def _still(self, loop: For) -> list[tuple[str, Index, list[Load | Store]]]:
        """Elements that the loop only loads, or only collects in, in one way, and touches in no other place of its body."""
        moving = {loop.variable, *(s.name for s in loop.body if isinstance(s, (Load, Let, Variable)))}
        still: dict[tuple[str, Index], list[Load | Store]] = defaultdict(list)
        regions: list[tuple[Load | Store, Region]] = []
        for s in loop.body:
            if isinstance(s, (Load, Store)):
                region = place(s.buffer, s.place, written=isinstance(s, Store))
                regions.append((s, region.along(loop.variable, self.outer[loop.variable])))
                if moving.isdisjoint(v for v, _ in s.place.terms):
                    still[s.buffer, s.place].append(s)
        return [(b, i, ss) for (b, i), ss in still.items() if _of_one_kind(ss) and self._alone(place(b, i), ss, regions)]

    def _alone(self, element: Region, own: list[Load | Store], regions: list[tuple[Load | Store, Region]]) -> bool:
        """Whether nothing else touches the element; of loads, whether nothing else writes to it."""
        mine = {id(s) for s in own}
        written = isinstance(own[0], Store)
        others = (r for s, r in regions if id(s) not in mine and r.buffer == element.buffer and (written or r.written))
        return all(apart(element, other, self.outer) for other in others)


def _of_one_kind(statements: list[Load | Store]) -> bool:
    """All loads, or all stores that add, or all that keep the larger."""
    kinds = {s.how if isinstance(s, Store) else "load" for s in statements}
    return len(kinds) == 1 and "set" not in kinds
