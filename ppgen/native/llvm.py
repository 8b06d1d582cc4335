"""The intermediate representation as LLVM IR text.

    void @NAME(ptr x, ptr n, ptr c, ptr k, ptr w, ptr m, ptr out)

A loop tests at its bottom, behind a guard where it may be empty; its counter is one phi, a `Variable` a stack slot in the entry
block that becomes a register, a place in a buffer one inbounds getelementptr. That is the form that the loop vectoriser takes.
Innermost loops of SHORT counts are kept from being written out before it has seen them: a product of 1000 rows and 20 columns with
its gradient took 12 us so, and takes 5.

Flags: reals may be contracted to fused multiply-adds, the sign of zero and a division by multiplication with the reciprocal are
the compiler's to choose (contract nsz arcp); only what adds up (`how="add"`) may be reordered (reassoc). Nothing assumes that nan or
inf do not occur.

Intrinsics are used and not declared: since LLVM 19 the reader of text declares them by itself.
"""

import struct
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import LoweringError
from . import math
from .ir import BUFFERS, WRITTEN, Body, For, How, Index, Kind, Let, Load, Program, Scalar, Statement, Store, Update, Variable

__all__ = ["function"]

SHORT = range(8, 64)  # iterations of loops that LLVM would write out, and that fill at least one vector
PLAIN, SUM = "contract nsz arcp", "contract nsz arcp reassoc"
ORDER: Mapping[Kind, int] = {"b": 0, "i": 1, "f": 2}

# Operations, by the kind of their arguments. {T} is the type of the arguments, {S} the suffix of intrinsics on it.
REAL: Mapping[str, str] = {
    "add": f"fadd {PLAIN} {{T}} {{0}}, {{1}}",
    "sub": f"fsub {PLAIN} {{T}} {{0}}, {{1}}",
    "mul": f"fmul {PLAIN} {{T}} {{0}}, {{1}}",
    "div": f"fdiv {PLAIN} {{T}} {{0}}, {{1}}",
    "neg": "fneg {T} {0}",
    "abs": "call {T} @llvm.fabs.{S}({T} {0})",
    "round": "call {T} @llvm.rint.{S}({T} {0})",
    **{name: f"call {{T}} @llvm.{name}.{{S}}({{T}} {{0}})" for name in ("sqrt", "floor", "ceil", "trunc")},
    "max": "call nsz {T} @llvm.maximum.{S}({T} {0}, {T} {1})",  # nan of either
    "min": "call nsz {T} @llvm.minimum.{S}({T} {0}, {T} {1})",
    "lt": "fcmp olt {T} {0}, {1}",
    "le": "fcmp ole {T} {0}, {1}",
    "gt": "fcmp ogt {T} {0}, {1}",
    "ge": "fcmp oge {T} {0}, {1}",
    "eq": "fcmp oeq {T} {0}, {1}",
    "ne": "fcmp une {T} {0}, {1}",
    "isnan": "fcmp uno {T} {0}, {0}",
    "isinf": "call i1 @llvm.is.fpclass.{S}({T} {0}, i32 516)",  # classes 2 and 9: the infinities
    "isfinite": "call i1 @llvm.is.fpclass.{S}({T} {0}, i32 504)",  # classes 3 to 8
    "where": "select i1 {0}, {T} {1}, {T} {2}",
    "int": "call i64 @llvm.fptosi.sat.i64.{S}({T} {0})",
    "true": "fcmp une {T} {0}, 0.0",
}
WHOLE: Mapping[str, str] = {
    "add": "add i64 {0}, {1}",
    "sub": "sub i64 {0}, {1}",
    "mul": "mul i64 {0}, {1}",
    "floordiv": "call i64 @ppgen.floordiv(i64 {0}, i64 {1})",
    "mod": "call i64 @ppgen.mod(i64 {0}, i64 {1})",
    "neg": "sub i64 0, {0}",
    "abs": "call i64 @llvm.abs.i64(i64 {0}, i1 false)",
    "max": "call i64 @llvm.smax.i64(i64 {0}, i64 {1})",
    "min": "call i64 @llvm.smin.i64(i64 {0}, i64 {1})",
    "lt": "icmp slt i64 {0}, {1}",
    "le": "icmp sle i64 {0}, {1}",
    "gt": "icmp sgt i64 {0}, {1}",
    "ge": "icmp sge i64 {0}, {1}",
    "eq": "icmp eq i64 {0}, {1}",
    "ne": "icmp ne i64 {0}, {1}",
    "where": "select i1 {0}, i64 {1}, i64 {2}",
    "real": "sitofp i64 {0} to {R}",
    "true": "icmp ne i64 {0}, 0",
}
TRUTH: Mapping[str, str] = {
    "and": "and i1 {0}, {1}",
    "or": "or i1 {0}, {1}",
    "xor": "xor i1 {0}, {1}",
    "not": "xor i1 {0}, true",
    "eq": "icmp eq i1 {0}, {1}",
    "ne": "xor i1 {0}, {1}",
    "where": "select i1 {0}, i1 {1}, i1 {2}",
    "real": "uitofp i1 {0} to {R}",
    "int": "zext i1 {0} to i64",
}
# Not to be unrolled; what the vectoriser leaves of them is an ordinary loop again.
VECTORS_FIRST = """\
!0 = !{!"llvm.loop.unroll.disable"}
!1 = !{!"llvm.loop.vectorize.followup_all", !2}
!2 = !{!"llvm.loop.isvectorized", i32 1}"""
INSTRUCTIONS: Mapping[Kind, Mapping[str, str]] = {"f": REAL, "i": WHOLE, "b": TRUTH}
CONVERSION: Mapping[Kind, str] = {"f": "real", "i": "int", "b": "true"}

# Rounding down, and no trap: a division by zero is 0 and leaves 0, as NumPy has it; the least number over -1 is itself.
DIVISION = """\
define internal i64 @ppgen.floordiv(i64 %a, i64 %b) alwaysinline nounwind {
  %minus = icmp eq i64 %b, -1
  %zero = icmp eq i64 %b, 0
  %unsafe = or i1 %minus, %zero
  %by = select i1 %unsafe, i64 1, i64 %b
  %quotient = sdiv i64 %a, %by
  %rest = srem i64 %a, %by
  %signs = xor i64 %rest, %by
  %opposite = icmp slt i64 %signs, 0
  %some = icmp ne i64 %rest, 0
  %down = and i1 %some, %opposite
  %one = sext i1 %down to i64
  %rounded = add i64 %quotient, %one
  %negated = sub i64 0, %a
  %exact = select i1 %minus, i64 %negated, i64 %rounded
  %result = select i1 %zero, i64 0, i64 %exact
  ret i64 %result
}
define internal i64 @ppgen.mod(i64 %a, i64 %b) alwaysinline nounwind {
  %quotient = call i64 @ppgen.floordiv(i64 %a, i64 %b)
  %back = mul i64 %quotient, %b
  %rest = sub i64 %a, %back
  %zero = icmp eq i64 %b, 0
  %result = select i1 %zero, i64 0, i64 %rest
  ret i64 %result
}"""


def function(program: Program) -> str:
    """A module with the program as its one external function, and what it calls.

    Raises LoweringError: an operation that has no instruction for the kind of its arguments.
    """
    emitter = _Emitter(program.single)
    emitter.body(program.body)
    needed = [math.functions(emitter.called, program.single)] if emitter.called else []
    if emitter.divides:
        needed.append(DIVISION)
    arguments = ", ".join(_argument(b, program) for b in BUFFERS)
    return "\n".join([
        *needed,
        f"define void @{program.name}({arguments}) nounwind {{",
        "entry:",
        *emitter.slots,
        *emitter.lines,
        "  ret void",
        "}",
        *([VECTORS_FIRST] if emitter.marks else []),
        *(f"{mark} = distinct !{{{mark}, !0, !1}}" for mark in emitter.marks),
        "",
    ])  # fmt: skip


def _argument(buffer: str, program: Program) -> str:
    """Nothing else points where a buffer is; how many bytes may be read even where a loop turns out to be empty."""
    width = 4 if program.single and BUFFERS[buffer] == "f" else 8
    size = program.sizes.get(buffer, 0) * width
    there = f" dereferenceable({size})" if size else ""
    return f"ptr noalias {'' if buffer in WRITTEN else 'readonly '}align {width}{there} %{buffer}"


class Value(NamedTuple):
    """An operand as it stands in an instruction; of a `Variable`, the pointer to where it is."""

    text: str
    kind: Kind
    slot: bool = False


def _iterations(s: For) -> int | None:
    """How many there are, where that is known."""
    return None if s.start.terms or s.stop.terms else s.stop.offset - s.start.offset


class _Emitter:
    """Statements -> instructions of one function.

    lines      the instructions so far; slots: those of the entry block that reserve places for variables
    marks      names of the loops that are to become vectors first
    called     functions of math.py; divides: whether whole numbers are divided
    """

    def __init__(self, single: bool):
        self.single = single
        self.types: dict[Kind, str] = {"f": "float" if single else "double", "i": "i64", "b": "i1"}
        self.suffixes: dict[Kind, str] = {"f": "f32" if single else "f64", "i": "i64", "b": "i1"}
        self.lines: list[str] = []
        self.slots: list[str] = []
        self.marks: list[str] = []
        self.called: set[str] = set()
        self.divides = False
        self._scope: ChainMap[str, Value] = ChainMap()
        self._places: ChainMap[Index, str] = ChainMap()  # integers that were computed in this block or one that encloses it
        self._nonnegative: set[str] = set()  # counters
        self._block = "entry"
        self._count = 0

    def body(self, body: Body) -> None:
        for s in body:
            self._statement(s)

    def _statement(self, s: Statement) -> None:
        match s:
            case Load(name, buffer, place):
                kind = BUFFERS[buffer]
                self._name(name, kind, f"load {self.types[kind]}, ptr {self._pointer(buffer, place)}")
            case Let():
                self._let(s)
            case Store(buffer, place, value, how):
                self._write(self._pointer(buffer, place), BUFFERS[buffer], value, how)
            case Variable(name, kind, value):
                pointer = self._fresh(name)
                self.slots.append(f"  {pointer} = alloca {self.types[kind]}")
                self._write(pointer, kind, value, "set")
                self._scope[name] = Value(pointer, kind, slot=True)
            case Update(name, value, how):
                variable = self._scope[name]
                self._write(variable.text, variable.kind, value, how)
            case For():
                self._loop(s)

    # Loops

    def _loop(self, s: For) -> None:
        count = _iterations(s)
        if not s.body or (count is not None and count <= 0):
            return
        start, stop = self._integer(s.start), self._integer(s.stop)
        first = self._integer(s.stop, -1) if s.reverse else start
        self._count += 1
        loop, latch, after = f"loop.{self._count}", f"latch.{self._count}", f"after.{self._count}"
        if count is None:
            some = self._temporary(f"icmp slt i64 {start}, {stop}")
            self._append(f"br i1 {some}, label %{loop}, label %{after}")
        else:
            self._append(f"br label %{loop}")
        counter, following = self._fresh(s.variable), self._fresh(f"{s.variable}.next")
        before = self._block
        self._begin(loop)
        self._append(f"{counter} = phi i64 [ {first}, %{before} ], [ {following}, %{latch} ]")
        nonnegative = self._is_nonnegative(s.start)
        self._inside(s, counter, nonnegative)
        self._append(f"br label %{latch}")
        self._begin(latch)
        if s.reverse:
            self._append(f"{following} = add nsw i64 {counter}, -1")
            more = self._temporary(f"icmp sgt i64 {counter}, {start}")
        else:
            self._append(f"{following} = add {'nuw ' if nonnegative else ''}nsw i64 {counter}, 1")
            more = self._temporary(f"icmp slt i64 {following}, {stop}")
        self._append(f"br i1 {more}, label %{loop}, label %{after}{self._mark(s, count)}")
        self._begin(after)

    def _inside(self, s: For, counter: str, nonnegative: bool) -> None:
        """The body of a loop; what is given or computed in it is gone after it."""
        scope, places = self._scope, self._places
        self._scope, self._places = scope.new_child({s.variable: Value(counter, "i")}), places.new_child()
        if nonnegative:
            self._nonnegative.add(counter)
        self.body(s.body)
        self._scope, self._places = scope, places

    def _mark(self, s: For, count: int | None) -> str:
        """What the branch of a short innermost loop ends with."""
        if count not in SHORT or any(isinstance(t, For) for t in s.body):
            return ""
        self.marks.append(f"!{len(self.marks) + 3}")
        return f", !llvm.loop {self.marks[-1]}"

    def _is_nonnegative(self, i: Index) -> bool:
        """As far as counters and literals tell."""
        return i.offset >= 0 and all(stride >= 0 and self._scope[name].text in self._nonnegative for name, stride in i.terms)

    # Operations

    def _let(self, s: Let) -> None:
        values = [self._value(a) for a in s.arguments]
        chosen = values[1:] if s.operation == "where" else values
        kind = max((v.kind for v in chosen), key=ORDER.__getitem__)
        operands = [self._as(v, kind) for v in chosen]
        if s.operation == "where":
            operands = [self._as(values[0], "b"), *operands]
        self._name(s.name, s.kind, self._instruction(s.operation, kind, operands))

    def _instruction(self, operation: str, kind: Kind, operands: Sequence[str]) -> str:
        """The instruction of an operation on operands of one kind."""
        if kind == "f" and operation in math.NAMES:
            self.called.add(operation)
            arguments = ", ".join(f"{self.types['f']} {x}" for x in operands)
            return f"call {self.types['f']} @{math.symbol(operation, self.single)}({arguments})"
        if operation not in INSTRUCTIONS[kind]:
            raise LoweringError(f"operation {operation!r} has no machine code for arguments of kind {kind!r}")
        self.divides |= operation in ("floordiv", "mod")
        return INSTRUCTIONS[kind][operation].format(*operands, T=self.types[kind], S=self.suffixes[kind], R=self.types["f"])

    def _as(self, value: Value, kind: Kind) -> str:
        """A value as an operand of another kind."""
        if value.kind == kind:
            return value.text
        return self._temporary(self._instruction(CONVERSION[kind], value.kind, [value.text]))

    def _write(self, pointer: str, kind: Kind, value: Scalar, how: How) -> None:
        new = self._as(self._value(value), kind)
        if how != "set":
            old = self._temporary(f"load {self.types[kind]}, ptr {pointer}")
            combined = self._instruction(how, kind, [new, old])
            new = self._temporary(combined.replace(PLAIN, SUM))
        self._append(f"store {self.types[kind]} {new}, ptr {pointer}")

    # Operands

    def _value(self, x: Scalar) -> Value:
        match x:
            case bool():
                return Value(str(x).lower(), "b")
            case int():
                return Value(str(x), "i")
            case float():
                rounded = float(np.float32(x)) if self.single else x
                return Value(f"0x{struct.pack('>d', rounded).hex().upper()}", "f")
        value = self._scope[x]
        if value.slot:
            return Value(self._temporary(f"load {self.types[value.kind]}, ptr {value.text}"), value.kind)
        return value

    def _pointer(self, buffer: str, place: Index) -> str:
        return self._temporary(f"getelementptr inbounds {self.types[BUFFERS[buffer]]}, ptr %{buffer}, i64 {self._integer(place)}")

    def _integer(self, i: Index, plus: int = 0) -> str:
        """offset + plus + sum of stride * variable, as an operand."""
        terms = tuple((name, stride) for name, stride in i.terms if stride)
        offset = i.offset + plus
        if not terms:
            return str(offset)
        changing = any(self._scope[name].slot for name, _ in terms)
        key = Index(offset, terms)
        if key in self._places and not changing:
            return self._places[key]
        total = self._sum(terms)
        if offset:
            total = self._temporary(f"add nsw i64 {total}, {offset}")
        self._places[key] = total
        return total

    def _sum(self, terms: Sequence[tuple[str, int]]) -> str:
        total = ""
        for name, stride in terms:
            value = self._value(name).text
            product = value if stride == 1 else self._temporary(f"mul nsw i64 {value}, {stride}")
            total = self._temporary(f"add nsw i64 {total}, {product}") if total else product
        return total

    # Lines

    def _append(self, instruction: str) -> None:
        self.lines.append(f"  {instruction}")

    def _begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self._block = label

    def _name(self, name: str, kind: Kind, instruction: str) -> None:
        """A local is what an instruction gives."""
        self._append(f"{(result := self._fresh(name))} = {instruction}")
        self._scope[name] = Value(result, kind)

    def _temporary(self, instruction: str) -> str:
        self._count += 1
        result = f"%.{self._count}"  # no name of Python's begins with a dot
        self._append(f"{result} = {instruction}")
        return result

    def _fresh(self, name: str) -> str:
        """A name of LLVM for a local: two loops may use the same variable, LLVM gives each name once."""
        self._count += 1
        return f"%{name}.{self._count}"
