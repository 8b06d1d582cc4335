"""Programs of the intermediate representation for tests: run as machine code, and made at random.

A random program computes with whole numbers small enough that every result is exact, in double and in single precision, in any
order: so what the interpreter and the machine give must be equal, nan included.
"""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ppgen.native import ir, llvm, machine
from ppgen.native.ir import Body, For, Index, Let, Load, Program, Scalar, Store, Update, Variable

__all__ = ["given_to", "programs", "run_on_machine"]

SIZES = {"x": 8, "n": 4, "c": 12, "k": 6, "w": 16, "m": 8, "out": 12}
LARGEST = 200.0  # of a real that goes on; 24 bits hold sums of 60 products of two of them and more
INDEX = 3  # n and k hold 0, ..., 3, so what is loaded from them may be an index


def run_on_machine(program: Program, given: Mapping[str, ir.Array]) -> ir.Array:
    """As ir.run, by the other back end."""
    code = machine.Code(machine.compiled(llvm.function(program)), (program.name,))
    types = {"f": np.float32 if program.single else np.float64, "i": np.int64}
    memory = {b: np.array(given.get(b, ()), types[kind]) for b, kind in ir.BUFFERS.items() if b not in ir.WRITTEN}
    memory |= {b: np.zeros(program.sizes.get(b, 0), types[ir.BUFFERS[b]]) for b in ir.WRITTEN}
    memory["w"][:] = np.nan
    before = {b: memory[b].copy() for b in memory if b not in ir.WRITTEN}
    f = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(ir.BUFFERS))(code.addresses[program.name])
    f(*(memory[b].ctypes.data for b in ir.BUFFERS))
    for b, x in before.items():
        np.testing.assert_array_equal(memory[b], x)
    return memory["out"]


def given_to(seed: int) -> dict[str, ir.Array]:
    """Numbers for the buffers of a random program."""
    random = np.random.default_rng(seed)
    reals = {b: random.integers(-9, 10, SIZES[b]).astype(float) for b in "xc"}
    return {**reals, **{b: random.integers(0, INDEX + 1, SIZES[b]) for b in "nk"}}


class _Making:
    """A program while it is drawn. Locals by kind, and the largest value of those that may be an index (the least is 0)."""

    def __init__(self, draw: Any):
        self.draw = draw
        self.locals: dict[str, list[str]] = {"f": [], "i": [], "b": []}
        self.variables: dict[str, list[str]] = {"f": [], "i": [], "b": []}
        self.largest: dict[str, int] = {}
        self.count = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def index(self, size: int) -> Index:
        """A place in a buffer of that size."""
        room, terms = size - 1, []
        for variable in list(self.largest)[-3:]:
            stride = self.number(0, 3)
            if stride and stride * self.largest[variable] <= room:
                terms.append((variable, stride))
                room -= stride * self.largest[variable]
        return Index(self.number(0, room), tuple(terms))

    def scalar(self, kind: str) -> Scalar:
        literal = {"f": st.sampled_from([0.0, 1.0, -3.0, 2.0, float("nan")]), "i": st.integers(-4, 4), "b": st.booleans()}[kind]
        names = self.locals[kind] + self.variables[kind]
        return self.draw(st.sampled_from(names)) if names and self.number(0, 3) else self.draw(literal)

    def let(self, body: Body, kind: str, operation: str, *arguments: Scalar) -> str:
        name = self.name("t")
        body.append(Let(name, kind, operation, arguments))  # type: ignore[arg-type]
        return name

    def body(self, depth: int) -> Body:
        """A few statements, with loops up to `depth` deep; what is given in it is gone after it."""
        locals_, variables = ({k: list(v) for k, v in d.items()} for d in (self.locals, self.variables))
        body: Body = []
        for _ in range(self.number(1, 5)):
            makers = [self.load, self.gather, self.real, self.whole, self.truth, self.store, self.variable, self.update]
            self.one_of(*makers, *([self.loop] * 4 if depth else []))(body, depth)
        self.store(body, depth)
        self.locals, self.variables = locals_, variables
        return body

    def load(self, body: Body, depth: int) -> None:
        buffer = self.one_of("x", "c", "w", "out", "n", "k", "m")
        name = self.name("t")
        body.append(Load(name, buffer, self.index(SIZES[buffer])))
        self.locals[ir.BUFFERS[buffer]].append(name)

    def gather(self, body: Body, depth: int) -> None:
        """Through an index that was loaded."""
        at, name = self.name("t"), self.name("t")
        buffer = self.one_of("n", "k")
        body += [Load(at, buffer, self.index(SIZES[buffer])), Load(name, "c", Index(self.number(0, 2), ((at, self.number(1, 3)),)))]
        self.locals["i"].append(at)
        self.locals["f"].append(name)

    def real(self, body: Body, depth: int) -> None:
        operation = self.one_of("add", "sub", "mul", "neg", "abs", "max", "min", "where", "floor", "real", "half")
        a, b = self.scalar("f"), self.scalar("f")
        match operation:
            case "neg" | "abs" | "floor":
                name = self.let(body, "f", operation, a)
            case "where":
                name = self.let(body, "f", operation, self.scalar("b"), a, b)
            case "real":
                name = self.let(body, "f", operation, self.scalar(self.one_of("i", "b")))
            case "half":  # and back to a whole number
                name = self.let(body, "f", "ceil", self.let(body, "f", "div", a, 2.0))
            case _:
                name = self.let(body, "f", operation, a, b)
        self.bounded(body, name)

    def bounded(self, body: Body, name: str) -> None:
        """Large numbers and infinities become 1; nan stays in half of the cases."""
        small = self.let(body, "b", "le", self.let(body, "f", "abs", name), LARGEST)
        if self.draw(st.booleans()):
            small = self.let(body, "b", "or", small, self.let(body, "b", "isnan", name))
        self.locals["f"].append(self.let(body, "f", "where", small, name, 1.0))

    def whole(self, body: Body, depth: int) -> None:
        operation = self.one_of("add", "sub", "mul", "neg", "abs", "max", "min", "where", "floordiv", "mod", "int")
        a, b = self.scalar("i"), self.scalar("i")
        match operation:
            case "neg" | "abs":
                name = self.let(body, "i", operation, a)
            case "where":
                name = self.let(body, "i", operation, self.scalar("b"), a, b)
            case "int":
                name = self.let(body, "i", operation, self.scalar("b"))
            case _:
                name = self.let(body, "i", operation, a, b)
        self.locals["i"].append(self.let(body, "i", "mod", name, self.one_of(7, -5)))

    def truth(self, body: Body, depth: int) -> None:
        operation = self.one_of("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not", "isnan", "isfinite", "true")
        kind = self.one_of("f", "i")
        match operation:
            case "and" | "or" | "xor":
                arguments = [self.scalar("b"), self.scalar("b")]
            case "not":
                arguments = [self.scalar("b")]
            case "isnan" | "isfinite":
                arguments = [self.scalar("f")]
            case "true":
                arguments = [self.scalar(kind)]
            case _:
                arguments = [self.scalar(kind), self.scalar(kind)]
        self.locals["b"].append(self.let(body, "b", operation, *arguments))

    def store(self, body: Body, depth: int) -> None:
        buffer = self.one_of("w", "out", "m", "out")
        kind = ir.BUFFERS[buffer]
        how = self.one_of("set", "add", "max")
        place = self.index(SIZES[buffer])
        if how == "add":  # what adds up begins small and stays so: at most 5^3 iterations
            old = self.name("t")
            body.append(Load(old, buffer, place))
            if kind == "f":
                self.bounded(body, old)
                body.append(Store(buffer, place, self.locals["f"][-1]))
            else:
                body.append(Store(buffer, place, self.let(body, "i", "mod", old, 11)))
        body.append(Store(buffer, place, self.scalar(kind), how))

    def variable(self, body: Body, depth: int) -> None:
        kind, name = self.one_of("f", "i", "b"), self.name("v")
        body.append(Variable(name, kind, self.scalar(kind)))
        self.variables[kind].append(name)

    def update(self, body: Body, depth: int) -> None:
        kind = self.one_of("f", "i", "b")
        if not self.variables[kind]:
            return
        name, how = self.one_of(*self.variables[kind]), "set" if kind == "b" else self.one_of("set", "add", "max")
        value = self.scalar(kind)
        if how == "add":  # of no variable: that could double at every iteration
            value = self.one_of(*self.locals[kind]) if self.locals[kind] else {"f": 3.0, "i": 2}[kind]
        body.append(Update(name, value, how))

    def loop(self, body: Body, depth: int) -> None:
        """Of up to five iterations, its bounds numbers or of an outer variable."""
        variable = self.name("i")
        outer = self.one_of(*self.largest) if self.largest and self.draw(st.booleans()) else None
        if outer is None:
            start, stop = Index(self.number(0, 2)), Index(self.number(0, 5))
            most = stop.offset - 1
        elif self.draw(st.booleans()):  # from the outer variable
            start, stop = Index(0, ((outer, 1),)), Index(self.number(0, 5))
            most = stop.offset - 1
        else:  # up to it
            start, stop = Index(self.number(0, 1)), Index(self.number(0, 1), ((outer, 1),))
            most = self.largest[outer] + stop.offset - 1
        self.largest[variable] = max(most, 0)
        self.locals["i"].append(variable)
        inside = self.body(depth - 1)
        self.locals["i"].remove(variable)
        del self.largest[variable]
        body.append(For(variable, start, stop, inside, self.draw(st.booleans())))


@st.composite
def programs(draw: Any, single: bool = False) -> Program:
    """Up to three loops deep, over buffers of SIZES."""
    making = _Making(draw)
    body = [s for _ in range(draw(st.integers(1, 3))) for s in making.body(3)]
    return Program(body, dict(SIZES), single)
