"""Expressions that write themselves down as LLVM IR: what the functions of math.py are made of.

Operators of a `Value` append one instruction each to its `Code`, numbers become literals, and a function of values reads like its
mathematics:

    code = Code("half", 1, DOUBLE, DOUBLE)
    [x] = code.arguments
    print(code.definition(0.5 * x))

    define internal double @half(double %x) alwaysinline nounwind {
    entry:
      %0 = fmul double 0x3FE0000000000000, %x
      ret double %0
    }

No instruction carries a fast-math flag: a sum that recovers a rounding error stays what it says. Where contraction does no harm
`muladd` asks for it; `fma` is one rounding on every machine (a call of the C library where the hardware has none, so it stands
only where nothing else does). Nothing branches, so that the loop vectoriser takes whatever is made here.
"""

import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

__all__ = [
    "DOUBLE", "SINGLE", "Code", "Format", "Number", "Value", "absolute", "bits", "copysign", "equal", "floor", "fma", "horner", "muladd",
    "nearest", "polynomial", "real", "signbit", "sqrt", "where",
]  # fmt: skip


class Format(NamedTuple):
    """An IEEE format, and the integer of its width."""

    real: str
    integer: str
    suffix: str  # of intrinsics
    mantissa: int  # stored bits
    bias: int

    @property
    def width(self) -> int:
        return int(self.integer[1:])

    @property
    def shifter(self) -> float:
        """1.5 * 2^mantissa: adding it leaves the nearest whole number in the lowest bits."""
        return 1.5 * 2.0**self.mantissa

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


DOUBLE = Format("double", "i64", "f64", 52, 1023)
SINGLE = Format("float", "i32", "f32", 23, 127)

Kind: TypeAlias = Literal["real", "integer", "i1"]
Number: TypeAlias = "Value | float"


class Code:
    """The body of a function of reals; what it is given and gives may be of another format than what it computes with."""

    def __init__(self, symbol: str, arguments: int, given: Format, format: Format) -> None:  # noqa: A002
        self.format = format
        self._symbol, self._given = symbol, given
        self._lines: list[str] = []
        self._parameters = tuple(f"%{name}" for name in "xyz"[:arguments])
        self.arguments = tuple(self._argument(name) for name in self._parameters)

    def _argument(self, name: str) -> "Value":
        if self._given is self.format:
            return Value(self, name, "real")
        return self.emit("real", f"fpext {self._given.real} {name} to {self.format.real}")

    def emit(self, kind: Kind, instruction: str) -> "Value":
        """One more instruction, and the value that it has."""
        name = f"%{len(self._lines)}"
        self._lines.append(f"  {name} = {instruction}")
        return Value(self, name, kind)

    def type(self, kind: Kind) -> str:
        return {"real": self.format.real, "integer": self.format.integer, "i1": "i1"}[kind]

    def number(self, x: float, kind: Kind) -> str:
        """A literal; what is no number of the format is rounded to it."""
        if kind != "real":
            return str(int(x))
        return f"0x{struct.unpack('<Q', struct.pack('<d', self.rounded(x)))[0]:016X}"

    def rounded(self, x: float) -> float:
        return x if self.format is DOUBLE else float(struct.unpack("<f", struct.pack("<f", x))[0])

    def bits(self, x: float) -> int:
        """The bits of a number of the format."""
        to, of = ("<q", "<d") if self.format is DOUBLE else ("<i", "<f")
        return int(struct.unpack(to, struct.pack(of, x))[0])

    def definition(self, result: "Value") -> str:
        """The function that returns `result`."""
        real = self._given.real
        if self._given is not self.format:
            result = self.emit("real", f"fptrunc {self.format.real} {result.name} to {real}")
        head = f"define internal {real} @{self._symbol}({', '.join(f'{real} {p}' for p in self._parameters)}) alwaysinline nounwind {{"
        return "\n".join([head, "entry:", *self._lines, f"  ret {real} {result.name}", "}", ""])


class Value:
    """A real, an integer of the same width or a truth value."""

    __slots__ = ("code", "kind", "name")

    def __init__(self, code: Code, name: str, kind: Kind) -> None:
        self.code, self.name, self.kind = code, name, kind

    def text(self, other: Number) -> str:
        """Another operand beside this one."""
        return other.name if isinstance(other, Value) else self.code.number(other, self.kind)

    def _binary(self, left: Number, operation: str, right: Number) -> "Value":
        return self.code.emit(self.kind, f"{operation} {self.code.type(self.kind)} {self.text(left)}, {self.text(right)}")

    def _arithmetic(self, left: Number, operation: str, right: Number) -> "Value":
        return self._binary(left, f"f{operation}" if self.kind == "real" else operation, right)

    def _compare(self, predicate: str, right: Number) -> "Value":
        """Ordered: false where either side is nan."""
        return self.code.emit("i1", f"fcmp {predicate} {self.code.type(self.kind)} {self.name}, {self.text(right)}")

    def __add__(self, other: Number) -> "Value":
        return self._arithmetic(self, "add", other)

    def __radd__(self, other: float) -> "Value":
        return self._arithmetic(other, "add", self)

    def __sub__(self, other: Number) -> "Value":
        return self._arithmetic(self, "sub", other)

    def __rsub__(self, other: float) -> "Value":
        return self._arithmetic(other, "sub", self)

    def __mul__(self, other: Number) -> "Value":
        return self._arithmetic(self, "mul", other)

    def __rmul__(self, other: float) -> "Value":
        return self._arithmetic(other, "mul", self)

    def __truediv__(self, other: Number) -> "Value":
        return self._arithmetic(self, "div", other)

    def __rtruediv__(self, other: float) -> "Value":
        return self._arithmetic(other, "div", self)

    def __neg__(self) -> "Value":
        return self.code.emit(self.kind, f"fneg {self.code.type(self.kind)} {self.name}")

    def __lt__(self, other: Number) -> "Value":
        return self._compare("olt", other)

    def __le__(self, other: Number) -> "Value":
        return self._compare("ole", other)

    def __gt__(self, other: Number) -> "Value":
        return self._compare("ogt", other)

    def __ge__(self, other: Number) -> "Value":
        return self._compare("oge", other)

    def __and__(self, other: Number) -> "Value":
        return self._binary(self, "and", other)

    def __or__(self, other: Number) -> "Value":
        return self._binary(self, "or", other)

    def __xor__(self, other: Number) -> "Value":
        return self._binary(self, "xor", other)

    def __invert__(self) -> "Value":
        return self._binary(self, "xor", -1)

    def __lshift__(self, other: int) -> "Value":
        return self._binary(self, "shl", other)

    def __rshift__(self, other: int) -> "Value":
        """Without the sign."""
        return self._binary(self, "lshr", other)


def _intrinsic(name: str, x: Value, *others: Number) -> Value:
    real = x.code.format.real
    operands = ", ".join(f"{real} {x.text(o)}" for o in (x, *others))
    return x.code.emit("real", f"call {real} @llvm.{name}.{x.code.format.suffix}({operands})")


def fma(x: Value, y: Number, z: Number) -> Value:
    """x y + z, rounded once."""
    return _intrinsic("fma", x, y, z)


def muladd(x: Value, y: Number, z: Number) -> Value:
    """x y + z, rounded once where that is fast."""
    return _intrinsic("fmuladd", x, y, z)


def horner(x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with these coefficients, the constant first."""
    *rest, last = coefficients
    total: Number = last
    for c in reversed(rest):
        total = muladd(x, total, c)
    if not isinstance(total, Value):
        raise ValueError("a polynomial of degree 0 is a number")
    return total


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """The same in two chains of half the length, even powers and odd ones, which the processor follows side by side."""
    square = x * x
    return muladd(x, horner(square, coefficients[1::2]), horner(square, coefficients[::2]))


def absolute(x: Value) -> Value:
    return _intrinsic("fabs", x)


def sqrt(x: Value) -> Value:
    return _intrinsic("sqrt", x)


def floor(x: Value) -> Value:
    return _intrinsic("floor", x)


def copysign(x: Value, sign: Value) -> Value:
    return _intrinsic("copysign", x, sign)


def where(condition: Value, x: Number, y: Number) -> Value:
    """x where the condition holds, else y; two numbers are reals."""
    kind: Kind = next((v.kind for v in (x, y) if isinstance(v, Value)), "real")
    code = condition.code
    a, b = (v.name if isinstance(v, Value) else code.number(v, kind) for v in (x, y))
    return code.emit(kind, f"select i1 {condition.name}, {code.type(kind)} {a}, {code.type(kind)} {b}")


def equal(x: Value, y: Number) -> Value:
    if x.kind == "real":
        return x.code.emit("i1", f"fcmp oeq {x.code.type(x.kind)} {x.name}, {x.text(y)}")
    return x.code.emit("i1", f"icmp eq {x.code.type(x.kind)} {x.name}, {x.text(y)}")


def bits(x: Value) -> Value:
    """The integer with the bits of a real."""
    return x.code.emit("integer", f"bitcast {x.code.format.real} {x.name} to {x.code.format.integer}")


def signbit(x: Value) -> Value:
    """Whether x is negative, -0 and nan included."""
    n = bits(x)
    return n.code.emit("i1", f"icmp slt {n.code.format.integer} {n.name}, 0")


def real(n: Value) -> Value:
    """The real with the bits of an integer."""
    return n.code.emit("real", f"bitcast {n.code.format.integer} {n.name} to {n.code.format.real}")


def nearest(x: Value) -> tuple[Value, Value]:
    """The whole number nearest to x, |x| < 2^(mantissa - 1), as a real, and as an integer of which the low bits count."""
    shifted = x + x.code.format.shifter
    return shifted - x.code.format.shifter, bits(shifted)
