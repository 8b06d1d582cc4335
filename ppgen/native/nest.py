"""A nest of loops while it is being made, and the scalars in it.

A `Nest` has statements at every depth; a `Value` is a scalar at one of them. Arithmetic on values appends statements as deep as
their arguments are and no deeper, so what does not depend on an inner loop stands outside of it:

    x / (1.0 + exp(-x))        t2 = neg(t1); t3 = exp(t2); t4 = add(1.0, t3); t5 = div(t1, t4)

Equal statements are there once; arithmetic on literals alone is done here and now.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from .ir import OPERATIONS, Body, For, Index, Kind, Let, Load, Scalar, Store, Update, Variable
from .writer import Names

__all__ = ["Nest", "Value", "apply", "literal", "value_of", "wider"]

Number: TypeAlias = float | int | bool
ORDER: dict[Kind, int] = {"b": 0, "i": 1, "f": 2}
TRUTHS = frozenset(("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not", "isnan", "isinf", "isfinite", "true"))
PYTHON: dict[Kind, Callable[[Any], Number]] = {"f": float, "i": int, "b": bool}
NEUTRAL = frozenset((("mul", 1.0), ("div", 1.0), ("add", 0.0), ("sub", 0.0)))  # (operation, right argument) that change nothing


def kind_of_number(x: Number) -> Kind:
    return "b" if isinstance(x, (bool, np.bool_)) else "i" if isinstance(x, (int, np.integer)) else "f"


def wider(*kinds: Kind) -> Kind:
    """The kind that arithmetic on several is done in: truth values become whole numbers, those become reals."""
    return max(kinds, key=ORDER.__getitem__)


class Nest:
    """Loops over a shape, outermost first.

    heads[d]   what stands inside d loops before the next one; heads[rank] is the innermost body
    tails[d]   what stands inside d loops after the next one
    """

    def __init__(self, shape: Sequence[int], names: Names):
        self.shape, self.names = tuple(shape), names
        self.variables = tuple(names("i") for _ in shape)
        self.heads: list[Body] = [[] for _ in range(len(self.shape) + 1)]
        self.tails: list[Body] = [[] for _ in self.shape]
        self._known: dict[Any, Value] = {}

    @property
    def rank(self) -> int:
        return len(self.shape)

    def coordinate(self, axis: int) -> "Value":
        """The number of the loop's iteration, as a value."""
        return Value(self, self.variables[axis], "i", axis + 1)

    def place(self, offset: int, strides: Sequence[int]) -> Index:
        """offset + strides . (the loops' variables, outermost first)."""
        return Index(offset, tuple((v, s) for v, s in zip(self.variables, strides, strict=False) if s))

    def load(self, buffer: str, kind: Kind, index: Index, depth: int) -> "Value":
        """What stands in memory; depth: the loops that the place depends on. It must not be written to in this nest."""
        key = (buffer, index)
        if (known := self._known.get(key)) is None:
            name = self.names()
            self.heads[depth].append(Load(name, buffer, index))
            known = self._known[key] = Value(self, name, kind, depth)
        return known

    def let(self, operation: str, kind: Kind, arguments: Sequence["Value"]) -> "Value":
        scalars = tuple(a.scalar for a in arguments)
        key = (operation, *map(_key, scalars))
        if (known := self._known.get(key)) is None:
            name, depth = self.names(), max(a.depth for a in arguments)
            self.heads[depth].append(Let(name, kind, operation, scalars))
            known = self._known[key] = Value(self, name, kind, depth)
        return known

    def variable(self, start: Number, depth: int) -> "Value":
        """A local that is set anew before the loop inside `depth` others, changed in every iteration, and read after that loop."""
        name, kind = self.names("v"), kind_of_number(start)
        self.heads[depth].append(Variable(name, kind, start))
        return Value(self, name, kind, self.rank)

    def update(self, variable: "Value", operation: str, new: "Value") -> None:
        """variable = operation(variable, new) in every iteration; `set` puts new in its place."""
        match operation:
            case "set" | "add" | "max":
                self.heads[-1].append(Update(str(variable.scalar), new.scalar, operation))
            case _:
                name = self.names()
                self.heads[-1].append(Let(name, variable.kind, operation, (variable.scalar, new.scalar)))
                self.heads[-1].append(Update(str(variable.scalar), name))

    def store(self, buffer: str, index: Index, value: "Value", how: Any = "set", tail: int | None = None) -> None:
        """Into memory in every iteration, or after the loop inside `tail` others."""
        where = self.heads[-1] if tail is None else self.tails[tail]
        where.append(Store(buffer, index, value.scalar, how))

    def fill(self, buffer: str, offset: int, size: int, number: Number) -> None:
        """A number into memory, before the loops."""
        variable = self.names("i")
        self.heads[0].append(For(variable, Index(), Index(size), [Store(buffer, Index(offset, ((variable, 1),)), number)]))

    def body(self) -> Body:
        """The loops as statements; a loop with nothing in it is none."""
        inside: Body = self.heads[-1]
        for variable, size, head, tail in reversed(list(zip(self.variables, self.shape, self.heads[:-1], self.tails, strict=True))):
            inside = [*head, *([For(variable, Index(), Index(size), inside)] if inside else []), *tail]
        return inside


def _key(x: Scalar) -> Any:
    """A scalar as part of a key: 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    return x if isinstance(x, str) else (type(x), repr(x))


class Value:
    """A scalar in a nest: the name of a local, or a literal.

    depth   the loops that it depends on
    """

    __slots__ = ("depth", "kind", "nest", "scalar")

    def __init__(self, nest: Nest, scalar: Scalar, kind: Kind, depth: int = 0):
        self.nest, self.scalar, self.kind, self.depth = nest, scalar, kind, depth

    @property
    def number(self) -> Number | None:
        """What a literal is."""
        return None if isinstance(self.scalar, str) else self.scalar

    def to(self, kind: Kind) -> "Value":
        """As a real, a whole number, a truth value."""
        if kind == self.kind:
            return self
        if self.number is not None:
            return literal(self.nest, PYTHON[kind](self.number))
        if kind == "i" and self.kind == "b":
            return apply("where", self, literal(self.nest, 1), literal(self.nest, 0))
        return self.nest.let({"f": "real", "i": "int", "b": "true"}[kind], kind, (self,))

    def _with(self, operation: str, other: "Value | Number", swapped: bool = False, kind: Kind = "i") -> "Value":
        """An operation on two in the kind that holds both, and at least `kind`."""
        other = value_of(self.nest, other)
        common = wider(self.kind, other.kind, kind)
        a, b = self.to(common), other.to(common)
        return apply(operation, b, a) if swapped else apply(operation, a, b)

    def __add__(self, other: "Value | Number") -> "Value":
        return self._with("add", other)

    def __radd__(self, other: Number) -> "Value":
        return self._with("add", other, swapped=True)

    def __sub__(self, other: "Value | Number") -> "Value":
        return self._with("sub", other)

    def __rsub__(self, other: Number) -> "Value":
        return self._with("sub", other, swapped=True)

    def __mul__(self, other: "Value | Number") -> "Value":
        return self._with("mul", other)

    def __rmul__(self, other: Number) -> "Value":
        return self._with("mul", other, swapped=True)

    def __truediv__(self, other: "Value | Number") -> "Value":
        return self._with("div", other, kind="f")

    def __rtruediv__(self, other: Number) -> "Value":
        return self._with("div", other, swapped=True, kind="f")

    def __neg__(self) -> "Value":
        return apply("neg", self.to(wider(self.kind, "i")))

    def __lt__(self, other: "Value | Number") -> "Value":
        return self._with("lt", other)

    def __le__(self, other: "Value | Number") -> "Value":
        return self._with("le", other)

    def __gt__(self, other: "Value | Number") -> "Value":
        return self._with("gt", other)

    def __ge__(self, other: "Value | Number") -> "Value":
        return self._with("ge", other)

    def __and__(self, other: "Value") -> "Value":
        return apply("and", self.to("b"), other.to("b"))

    def __or__(self, other: "Value") -> "Value":
        return apply("or", self.to("b"), other.to("b"))

    def __xor__(self, other: "Value") -> "Value":
        return apply("xor", self.to("b"), other.to("b"))

    def __invert__(self) -> "Value":
        return apply("not", self.to("b"))


def literal(nest: Nest, x: Number) -> Value:
    return Value(nest, x, kind_of_number(x))


def value_of(nest: Nest, x: Value | Number) -> Value:
    return x if isinstance(x, Value) else literal(nest, x)


def apply(operation: str, *arguments: Value) -> Value:
    """An operation of the intermediate representation on values of the kinds that it takes."""
    nest, last = arguments[0].nest, arguments[-1]
    if all(a.number is not None for a in arguments):
        return literal(nest, _folded(operation, [a.number for a in arguments], last.kind))
    if (operation, last.number) in NEUTRAL:
        return arguments[0]
    kind: Kind = "b" if operation in TRUTHS else last.kind
    return nest.let(operation, kind, arguments)


def _folded(operation: str, numbers: Sequence[Any], kind: Kind) -> Number:
    with np.errstate(all="ignore"):
        return PYTHON["b" if operation in TRUTHS else kind](OPERATIONS[operation](*numbers))
