"""Where tensors are: in a local of a nest, in memory, or in nothing but a number; and which nest computes what.

A `Ref` is a tensor as the translator sees it: strides into a `Base`. A base is a literal, memory that is there from the start, or
something that a nest makes; the latter stays a local until another nest reads it. Fusion is greedy: what is computed joins the
earliest nest of its shape after everything that it reads. Dimensions of size 1 are no loops.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from .ir import BUFFERS, Body, How, Index, Kind, View, contiguous
from .nest import Nest, Number, Value, kind_of_number, literal
from .writer import Names, Writer

__all__ = ["Base", "Checked", "Nests", "Operand", "Piece", "Ref", "broadcast", "core", "kind_of"]


class Piece(NamedTuple):
    """What is laid, contiguous, into a buffer when a program is bound: a constant, or the handed value of that number."""

    buffer: str
    offset: int
    size: int
    source: Tensor | int


class Checked(NamedTuple):
    """Handed whole numbers that index a dimension: what is out of -length, ..., length - 1 must be refused when bound."""

    source: int
    length: int


@dataclass(eq=False, slots=True)
class Base:
    """Elements that a tensor's strides go over.

    number   of a literal, of which every element is the same
    made     the nest that makes it, -1 where it is there from the start
    local    what its nest computes, `depth` loops deep
    buffer   where it stands in memory, None where it does not (yet)
    source   the constant or the number of the handed value that is laid there; reals: the same laid once more, as reals
    below    whole numbers 0, ..., below - 1, by construction
    terms    strides of variables of loops around the nests, which its place depends on
    """

    kind: Kind
    shape: tuple[int, ...]
    number: Number | None = None
    made: int = -1
    local: Value | None = None
    depth: int = 0
    buffer: str | None = None
    offset: int = 0
    source: Tensor | int | None = None
    below: int | None = None
    reals: "Base | None" = None
    terms: tuple[tuple[str, int], ...] = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def at(self, index: Index) -> Index:
        """A place in the buffer from one that is counted from the base's first element."""
        return Index(self.offset + index.offset, (*index.terms, *self.terms))


class Ref(NamedTuple):
    """A tensor: its element (i, j, ...) is the base's element offset + strides . (i, j, ...)."""

    base: Base
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def kind(self) -> Kind:
        return self.base.kind

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def number(self) -> Number | None:
        """The literal that every element is."""
        return self.base.number

    def spread(self, shape: Sequence[int]) -> "Ref":
        """Broadcast to a shape."""
        lead = (0,) * (len(shape) - len(self.shape))
        strides = tuple([0 if d == 1 else s for d, s in zip(self.shape, self.strides, strict=True)])
        return Ref(self.base, tuple(shape), lead + strides, self.offset)

    def permute(self, order: Sequence[int]) -> "Ref":
        return self._replace(shape=tuple(self.shape[d] for d in order), strides=tuple(self.strides[d] for d in order))

    def unsqueeze(self, dim: int) -> "Ref":
        """With a dimension of size 1 before dimension `dim`."""
        shape, strides = self.shape, self.strides
        return self._replace(shape=(*shape[:dim], 1, *shape[dim:]), strides=(*strides[:dim], 0, *strides[dim:]))

    def reshape(self, shape: Sequence[int]) -> "Ref":
        """To a shape that differs by dimensions of size 1 alone."""
        strides = iter([s for s, d in zip(self.strides, self.shape, strict=True) if d != 1])
        return self._replace(shape=tuple(shape), strides=tuple(0 if d == 1 else next(strides) for d in shape))


NUMBERS: dict[Kind, Number] = {"f": 0.0, "i": 0, "b": False}  # that stand for the elements of an empty tensor
Operand: TypeAlias = Ref | Number
Formula: TypeAlias = Callable[..., Value]


def core(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its dimensions of size 1: the loops over it."""
    return tuple(d for d in shape if d != 1)


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that all of them broadcast to."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return tuple(first)
    rank = max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(s)) + tuple(s) for s in shapes), strict=True)
    return tuple(next((n for n in column if n != 1), 1) for column in columns)


def _as_reals(x: Ref) -> Ref:
    """Whole numbers that are laid when a program is bound, laid as reals: what computes with reals then converts nothing."""
    if x.base.reals is None:
        x.base.reals = Base("f", x.base.shape, source=x.base.source)
    return x._replace(base=x.base.reals)


@lru_cache(maxsize=64)
def kind_of(dtype: torch.dtype) -> Kind:
    return "f" if dtype.is_floating_point else "b" if dtype is torch.bool else "i"


class Nests:
    """The program while it is being made: nests in the order in which they run, and memory.

    outer    nests of which these will stand in a loop: names and memory are common
    """

    def __init__(self, outer: "Nests | None" = None) -> None:
        self.names: Names = Names() if outer is None else outer.names
        self.sizes: dict[str, int] = dict.fromkeys(BUFFERS, 0) if outer is None else outer.sizes
        self.pieces: list[Piece] = [] if outer is None else outer.pieces
        self.checked: dict[Checked, None] = {} if outer is None else outer.checked
        self.destination: Ref | None = None  # where in `out` the operation that is being translated may leave its result
        self.shared: dict[Any, Any] = {}  # what several operations are made of, by what it is made of
        self._nests: list[Nest] = []
        self._open: dict[tuple[int, ...], list[int]] = {}  # shape -> numbers of the nests that may be joined
        self._locals: dict[tuple[str | Number, Kind], Base] = {}
        self._aside = Nest((), self.names)  # where literals meet; nothing is ever written to it

    def body(self) -> Body:
        return [s for nest in self._nests for s in nest.body()]

    # Tensors

    def literal(self, x: Number, shape: Sequence[int] = (), kind: Kind | None = None) -> Ref:
        value = literal(self._aside, x).to(kind or kind_of_number(x))
        return Ref(Base(value.kind, (), value.number), tuple(shape), (0,) * len(shape))

    def given(self, buffer: str, t: Tensor) -> Ref:
        """An input: memory that is filled anew at every call."""
        base = Base(kind_of(t.dtype), tuple(t.shape), buffer=buffer, offset=self._take(buffer, t.numel()))
        return Ref(base, base.shape, contiguous(base.shape))

    def laid(self, source: Tensor | int, like: Tensor) -> Ref:
        """A constant, or the handed value of that number, of the shape and dtype of `like`; it takes memory where it is read."""
        base = Base(kind_of(like.dtype), tuple(like.shape), source=source)
        return Ref(base, base.shape, contiguous(base.shape))

    def ref(self, x: Operand) -> Ref:
        return x if isinstance(x, Ref) else self.literal(x)

    def _take(self, buffer: str, size: int) -> int:
        offset = self.sizes[buffer]
        self.sizes[buffer] += size
        return offset

    def memory(self, shape: Sequence[int], kind: Kind, strides: Sequence[int] | None = None) -> Ref:
        """Workspace for a tensor that is about to be written; contiguous, or with other strides that leave no gaps."""
        base = Base(kind, tuple(shape), buffer="m" if kind == "i" else "w")
        base.offset = self._take(str(base.buffer), base.size)
        return Ref(base, base.shape, contiguous(shape) if strides is None else tuple(strides))

    def result(self, shape: Sequence[int]) -> Ref:
        """The next place in `out`, for a tensor; all results are reals there."""
        base = Base("f", tuple(shape), buffer="out")
        base.offset = self._take("out", base.size)
        return Ref(base, base.shape, contiguous(shape))

    def joined(self, shape: Sequence[int], kind: Kind) -> Ref:
        """Memory for parts that are written side by side: the result itself where that is what is being made."""
        place, self.destination = self.destination, None
        return place if place is not None and kind == "f" and place.shape == tuple(shape) else self.memory(shape, kind)

    def _stand(self, base: Base) -> None:
        """Give a base a place in memory, where it has none."""
        if base.buffer is not None:
            return
        if base.source is not None:
            base.buffer = "k" if base.kind == "i" else "c"
            base.offset = self._take(base.buffer, base.size)
            self.pieces.append(Piece(base.buffer, base.offset, base.size, base.source))
        elif base.local is not None:
            nest = self._nests[base.made]
            base.buffer = "m" if base.kind == "i" else "w"
            base.offset = self._take(base.buffer, base.size)
            index = nest.place(base.offset, contiguous(nest.shape[: base.depth]))
            value = base.local.to("f" if base.kind == "b" else base.kind)
            nest.store(base.buffer, index, value, tail=base.depth if base.depth < nest.rank else None)

    def lent(self, ref: Ref) -> Ref:
        """A tensor as nests in a loop after these see it: there from the start, in memory."""
        if ref.number is not None:
            return ref
        ref = self.standing(ref)
        local = ref.base.local if ref.base.depth == 0 else None
        return ref._replace(base=replace(ref.base, made=-1, local=local))

    # Nests

    def _ready(self, ref: Ref, loops: tuple[int, ...]) -> int:
        """The first nest of these loops that may read a tensor."""
        base = ref.base
        if base.made < 0:
            return 0
        return base.made if self._in_step(ref, loops) else base.made + 1

    def _in_step(self, ref: Ref, loops: tuple[int, ...]) -> bool:
        """Is the element that an iteration needs the very one that the same iteration of its nest makes?"""
        base = ref.base
        if base.local is None or base.depth != len(loops) or self._nests[base.made].shape != loops or core(ref.shape) != loops:
            return False
        strides = tuple(s for s, d in zip(ref.strides, ref.shape, strict=True) if d != 1)
        return not ref.offset and strides == contiguous(loops)

    def nest(self, refs: Sequence[Ref], shape: Sequence[int], after: int = -1) -> int:
        """The earliest nest over a shape that may read tensors and comes after another one."""
        loops = core(shape)
        first = max([after + 1, *(self._ready(r, loops) for r in refs)])
        there = self._open.setdefault(loops, [])
        at = bisect_left(there, first)
        return there[at] if at < len(there) else self.alone(loops, joined=True)

    def alone(self, loops: Sequence[int], *, joined: bool = False) -> int:
        """A new nest after all others; nothing joins it unless it may be joined."""
        self._nests.append(Nest(loops, self.names))
        if joined:
            self._open.setdefault(tuple(loops), []).append(len(self._nests) - 1)
        return len(self._nests) - 1

    def __getitem__(self, g: int) -> Nest:
        return self._nests[g]

    # Reading and writing inside a nest

    def read(self, ref: Ref, g: int, shape: Sequence[int]) -> Value:
        """An element of a tensor, broadcast to the shape that nest g goes over."""
        base, nest = ref.base, self._nests[g]
        if base.number is not None:
            return literal(nest, base.number)
        if base.local is not None and base.made == g:
            return base.local
        if base.local is not None and base.depth == 0:  # a local of the whole program
            return Value(nest, base.local.scalar, base.kind)
        self._stand(base)
        strides = [s for s, d in zip(ref.spread(shape).strides, shape, strict=True) if d != 1]
        return self.load(nest, base, nest.place(ref.offset, strides), max([d + 1 for d, s in enumerate(strides) if s], default=0))

    def load(self, nest: Nest, base: Base, index: Index, depth: int) -> Value:
        """What stands at a place that is counted from a base's first element."""
        value = nest.load(str(base.buffer), "f" if base.kind == "b" else base.kind, base.at(index), depth)
        return value.to(base.kind)

    def keep(self, value: Value, g: int, shape: Sequence[int], *, depth: int | None = None) -> Ref:
        """What nest g computes, as a tensor of a shape."""
        if value.number is not None:
            return self.literal(value.number, shape)
        depth = self._nests[g].rank if depth is None else depth
        key = (str(value.scalar), value.kind)
        base = self._locals.get(key)
        if base is None or base.made != g or base.depth != depth:
            base = self._locals[key] = Base(value.kind, tuple(shape), made=g, local=value, depth=depth)
        return Ref(base, tuple(shape), contiguous(shape))

    def pointwise(self, formula: Formula, *operands: Operand | None, kind: Kind | None = None) -> Ref:
        """A formula of elements, over the shape that its operands broadcast to; None is handed on.

        Along a dimension in which no operand has elements of its own it is computed once.
        """
        refs = [o if o is None else self.ref(o) for o in operands]
        there = [r for r in refs if r is not None]
        if any(r.base.kind == "f" for r in there):
            refs = [r if r is None or r.base.kind != "i" or r.base.source is None else _as_reals(r) for r in refs]
            there = [r for r in refs if r is not None]
        shape = broadcast(*[r.shape for r in there])
        if 0 in shape or all(r.number is not None for r in there):
            value = formula(*(None if r is None else literal(self._aside, NUMBERS[r.kind] if r.number is None else r.number) for r in refs))
            return self.keep(value.to(kind or value.kind), -1, shape)
        own = [any(s) for s in zip(*(r.spread(shape).strides for r in there), strict=True)]
        once = tuple(d if moves else 1 for d, moves in zip(shape, own, strict=True))
        if once != shape:
            refs = [None if r is None else r.spread(shape)._replace(shape=once) for r in refs]
            return self.pointwise(formula, *refs, kind=kind).spread(shape)
        g = self.nest(there, shape)
        value = formula(*(None if r is None else self.read(r, g, shape) for r in refs))
        return self.keep(value.to(kind or value.kind), g, shape)

    def write(self, ref: Ref, into: Ref, how: How = "set", *, after: int = -1) -> None:
        """A tensor into memory, in a nest after another one."""
        if 0 in into.shape:
            return
        base, ref = into.base, ref.spread(into.shape)
        g = self.nest([ref], into.shape, after)
        nest, value = self._nests[g], self.read(ref, g, into.shape)
        strides = [s for s, d in zip(into.strides, into.shape, strict=True) if d != 1]
        self.save(nest, base, nest.place(into.offset, strides), value, how)
        base.made = max(base.made, g)

    def save(self, nest: Nest, base: Base, index: Index, value: Value, how: How = "set", tail: int | None = None) -> None:
        """A value to a place that is counted from a base's first element."""
        nest.store(str(base.buffer), base.at(index), value.to("f" if base.kind == "b" else base.kind), how, tail)

    def copied(self, ref: Ref) -> Ref:
        """The tensor in memory of its own, contiguous."""
        out = self.memory(ref.shape, ref.kind)
        self.write(ref, out)
        return out

    def standing(self, ref: Ref) -> Ref:
        """The tensor in memory."""
        if ref.base.number is not None:
            return self.copied(ref)
        self._stand(ref.base)
        return ref

    def view(self, ref: Ref) -> View:
        """A tensor in memory as loops of other makers read it."""
        ref = self.copied(ref) if ref.base.terms else self.standing(ref)
        return View(str(ref.base.buffer), ref.shape, ref.strides, ref.base.offset + ref.offset)

    def computed(self, write: Callable[..., Any], operands: Sequence[Ref], results: Sequence[Ref]) -> None:
        """Loops of another maker: `write(writer, *views of operands, *views of results)`, the results memory just made."""
        views = [self.view(r) for r in (*operands, *results)]
        g = self.alone(())
        write(Writer(self._nests[g].heads[0], self.names, self.sizes), *views)
        for r in results:
            r.base.made = g
