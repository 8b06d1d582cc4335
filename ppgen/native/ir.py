"""The intermediate representation: typed loops over flat memory, printed as Python and run by Python.

A program reads and writes a handful of flat buffers; everything about shapes is settled before it is made. Three types of
scalar are there: "f", a real (double or single, one for the whole program), "i", a 64-bit integer, and "b", a truth value.

    for i0 in range(3):                          For
        t1 = x[i0]                               Load
        t2 = exp(t1)                             Let
        w[4 * i0 + 2] = t2                       Store (also +=, or the larger of the two)
    total = 0.0                                  Variable
    for i1 in range(3):
        t3 = w[4 * i1 + 2]
        total += t3                              Update

What prints as Python is Python: `run` executes the text with NumPy scalars. It is the oracle of the other back end, llvm.py,
and shares nothing with it but these statements. No statement raises: a division by zero is inf, a failed root nan.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BUFFERS", "OPERATIONS", "Array", "Body", "For", "How", "Index", "Kind", "Let", "Load", "Program", "Scalar", "Statement", "Store",
    "Update", "Variable", "View", "contiguous", "run", "text", "walk",
]  # fmt: skip

Kind = Literal["f", "i", "b"]
How = Literal["set", "add", "max"]  # `max` keeps a nan of either side
Scalar: TypeAlias = str | float | int | bool  # the name of a local, or a literal, whose Python type is its kind
Array: TypeAlias = NDArray[Any]

# What a program reads and writes, in the order of the arguments of its machine code, and the kind of each. Truth values have no
# buffer of their own: in memory they are the reals 0 and 1.
BUFFERS: Mapping[str, Kind] = {
    "x": "f",  # given anew at every call: position, parameters, noise, one after the other
    "n": "i",  # the same, whole numbers: rows of a minibatch
    "c": "f",  # constants, data, and what depends on data alone
    "k": "i",  # the same, whole numbers
    "w": "f",  # workspace; nothing in it survives a call
    "m": "i",  # the same, whole numbers
    "out": "f",  # results, one after the other
}
WRITTEN = ("w", "m", "out")


class Index(NamedTuple):
    """offset + sum of stride * variable: a place in a buffer, or a bound of a loop. Variables are integer locals."""

    offset: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        parts = [v if s == 1 else f"{s} * {v}" for v, s in self.terms if s] + ([str(self.offset)] if self.offset else [])
        return " + ".join(parts) or "0"


class Load(NamedTuple):
    name: str
    buffer: str
    place: Index


class Let(NamedTuple):
    """name = operation(arguments): each name is given once."""

    name: str
    kind: Kind
    operation: str
    arguments: tuple[Scalar, ...]


class Store(NamedTuple):
    buffer: str
    place: Index
    value: Scalar
    how: How = "set"


class Variable(NamedTuple):
    """A local that may be updated, in scope for the statements after it in the same body and in the loops among them."""

    name: str
    kind: Kind
    value: Scalar


class Update(NamedTuple):
    name: str
    value: Scalar
    how: How = "set"


class For(NamedTuple):
    """variable = start, ..., stop - 1, or the same downwards. Bounds may depend on outer variables; a loop may be empty."""

    variable: str
    start: Index
    stop: Index
    body: "Body"
    reverse: bool = False


Statement: TypeAlias = Load | Let | Store | Variable | Update | For
Body: TypeAlias = list[Statement]


class View(NamedTuple):
    """A tensor in a buffer: its element at (i, j, ...) stands at offset + strides . (i, j, ...)."""

    buffer: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def at(self, *variables: str | int) -> Index:
        """The place of one element, each coordinate an integer local or a number."""
        numbers = sum(s * v for v, s in zip(variables, self.strides, strict=True) if isinstance(v, int))
        return Index(self.offset + numbers, tuple((v, s) for v, s in zip(variables, self.strides, strict=True) if isinstance(v, str)))


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor whose elements follow each other, last dimension fastest."""
    strides, step = [], 1
    for d in reversed(shape):
        strides.append(step)
        step *= d
    return tuple(reversed(strides))


@dataclass
class Program:
    """void f(x, n, c, k, w, m, out).

    single   reals are of single precision
    sizes    elements of each buffer: what must be there, at least
    """

    body: Body
    sizes: dict[str, int]
    single: bool = False
    name: str = "program"
    notes: dict[str, Any] = field(default_factory=dict)


def walk(body: Iterable[Statement]) -> Iterator[Statement]:
    """Every statement, those inside loops after their loop."""
    for s in body:
        yield s
        if isinstance(s, For):
            yield from walk(s.body)


# Operations: the Python that each one is


def _larger(a: Any, b: Any) -> Any:
    return a if a > b or np.isnan(a) else b


def _smaller(a: Any, b: Any) -> Any:
    return a if a < b or np.isnan(a) else b


def _truncated(x: Any) -> int:
    """Towards zero; what no integer holds is the nearest that one does, and nan is 0."""
    return 0 if np.isnan(x) else int(x) if abs(x) < 2.0**63 else 2**63 - 1 if x > 0 else -(2**63)


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    return a if condition else b


def _special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, which takes a tenth of a second to import and is needed where a program is interpreted only."""

    def function(*x: Any) -> Any:
        from scipy import special

        return getattr(special, name)(*x)

    return function


# Polymorphic where NumPy is: add, sub, mul, neg, abs, max, min, where and comparisons take reals or integers. Comparisons with nan
# are false but for `ne`; `max` and `min` keep nan; `floordiv` and `mod` round down as Python's do and are for integers; `real`
# takes integers and truth values, `int` truncates reals, `true` is `!= 0`.
OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc,
    "exp": np.exp, "log": np.log, "log1p": np.log1p, "expm1": np.expm1,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "lgamma": _special("gammaln"), "digamma": _special("digamma"), "trigamma": lambda x: _special("polygamma")(1, x),
    "erf": _special("erf"), "erfc": _special("erfc"), "erfinv": _special("erfinv"), "erfcx": _special("erfcx"),
    "i0": _special("i0"), "i0e": _special("i0e"), "i1": _special("i1"), "i1e": _special("i1e"),
    "max": _larger, "min": _smaller, "where": _chosen,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "floordiv": np.floor_divide, "mod": np.mod,
    "real": float, "int": _truncated, "true": bool,
}  # fmt: skip


# Printing and running


def text(program: Program) -> str:
    """The program as Python."""
    return "\n".join([f"def {program.name}({', '.join(BUFFERS)}):", *_lines(program.body, 1), "    return out"])


def _lines(body: Body, depth: int) -> Iterator[str]:
    pad = "    " * depth
    for s in body:
        match s:
            case Load(name, buffer, place):
                yield f"{pad}{name} = {buffer}[{place}]"
            case Let(name, _, operation, arguments):
                yield f"{pad}{name} = {operation}_({', '.join(map(_scalar, arguments))})"
            case Store(buffer, place, value, how):
                yield pad + _update(f"{buffer}[{place}]", value, how)
            case Variable(name, _, value):
                yield f"{pad}{name} = {_scalar(value)}"
            case Update(name, value, how):
                yield pad + _update(name, value, how)
            case For(variable, start, stop, inside, reverse):
                bounds = f"range({stop})" if start == Index() else f"range({start}, {stop})"
                yield f"{pad}for {variable} in {f'reversed({bounds})' if reverse else bounds}:"
                yield from _lines(inside, depth + 1)
                if not inside:
                    yield pad + "    pass"


def _update(place: str, value: Scalar, how: How) -> str:
    new = _scalar(value)
    return {"set": f"{place} = {new}", "add": f"{place} += {new}", "max": f"{place} = max_({new}, {place})"}[how]


def _scalar(x: Scalar) -> str:
    if isinstance(x, float) and not math.isfinite(x):
        return f"float('{x}')"
    return x if isinstance(x, str) else repr(x)


def run(program: Program, given: Mapping[str, Array]) -> Array:
    """Run by Python: buffers x, n, c, k as flat arrays (those that are absent are empty), to `out`.

    Slow: for tests, and for a look at what a program computes.
    """
    real = np.float32 if program.single else np.float64
    types = {"f": real, "i": np.int64}
    buffers = {b: np.array(given.get(b, ()), types[kind]) for b, kind in BUFFERS.items() if b not in WRITTEN}
    buffers |= {b: np.full(program.sizes.get(b, 0), 0, types[BUFFERS[b]]) for b in WRITTEN}
    if program.sizes.get("w"):
        buffers["w"][:] = np.nan  # what was never written is seen
    scope: dict[str, Any] = {f"{name}_": f for name, f in OPERATIONS.items()}
    exec(compile(text(program), f"<ppgen {program.name}>", "exec"), scope)  # noqa: S102  text of our own
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return scope[program.name](*(buffers[b] for b in BUFFERS))
