"""Machine code against the interpreter: operation by operation, and on programs made at random."""

import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppgen.errors import LoweringError
from ppgen.native import ir, llvm, machine
from ppgen.native import math as functions
from ppgen.native.ir import For, Index, Let, Load, Program, Store, Update, Variable
from tests.tools.loops import given_to, programs, run_on_machine

REALS = [-1e3, -7.25, -2.5, -1.0, -0.75, -1e-3, 0.0, 1e-3, 0.1, 0.5, 0.75, 1.0, 1.5, 2.5, 7.25, 30.0, 170.5, math.nan]
INFINITE = [-math.inf, math.inf]  # for what is an instruction; the functions of math.py have tests of their own at their ends
WHOLES = [-(2**63), -7, -2, -1, 0, 1, 2, 3, 10, 2**62]
TRUTHS = [False, True]
BINARY = (
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "atan2",
    "max",
    "min",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "floordiv",
    "mod",
    "and",
    "or",
    "xor",
)
TRUE = ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not", "isnan", "isinf", "isfinite", "true")  # what gives a truth value
OF_WHOLE = ("add", "sub", "mul", "floordiv", "mod", "neg", "abs", "max", "min", "lt", "le", "gt", "ge", "eq", "ne", "where", "real", "true")
OF_TRUTH = ("and", "or", "xor", "not", "where", "real", "int")
OF_REAL = tuple(name for name in ir.OPERATIONS if name not in ("floordiv", "mod", "and", "or", "xor", "not", "real", "int"))
ALL = [*((name, "f") for name in OF_REAL), *((name, "i") for name in OF_WHOLE), *((name, "b") for name in OF_TRUTH)]
WHOLE_SPLIT = 2**31  # a whole number goes into `out` as two reals, without rounding


def of_all(operation: str, kind: str, single: bool = False) -> tuple[Program, dict[str, ir.Array]]:
    """The operation on all values of a kind, or on all pairs of them, in one loop; truth values are reals in memory."""
    values = {"f": REALS if operation in functions.NAMES else REALS + INFINITE, "i": WHOLES, "b": TRUTHS}[kind]
    count = 2 if operation in (*BINARY, "where") else 1
    grid = [np.ravel(g) for g in np.meshgrid(*[values] * count)]
    buffer, size = "k" if kind == "i" else "c", len(grid[0])
    body: ir.Body = [Load(f"t{j}", buffer, Index(j * size, (("i", 1),))) for j in range(count)]
    names = [f"t{j}" for j in range(count)]
    if kind == "b":
        body += [Let(f"b{j}", "b", "true", (f"t{j}",)) for j in range(count)]
        names = [f"b{j}" for j in range(count)]
    if operation == "where":
        body.append(Let("which", "b", "lt", ("t0", "t1")))
        names.insert(0, "which")
    result = "b" if operation in TRUE else {"real": "f", "int": "i"}.get(operation, kind)
    body.append(Let("r", result, operation, tuple(names)))
    low, high = ("r", 0.0) if result == "f" else ("l", "h")
    if result == "b":
        body += [Let("l", "f", "real", ("r",)), Let("h", "f", "add", ("l", 1.0))]
    elif result == "i":
        body += [Let("d", "i", "floordiv", ("r", WHOLE_SPLIT)), Let("m", "i", "mod", ("r", WHOLE_SPLIT))]
        body += [Let("h", "f", "real", ("d",)), Let("l", "f", "real", ("m",))]
    body += [Store("out", Index(0, (("i", 1),)), low), Store("out", Index(size, (("i", 1),)), high)]
    program = Program([For("i", Index(), Index(size), body)], {buffer: count * size, "out": 2 * size}, single)
    return program, {buffer: np.concatenate(grid)}


@pytest.mark.parametrize(("operation", "kind"), ALL)
def test_every_operation_is_the_interpreters(operation: str, kind: str) -> None:
    program, data = of_all(operation, kind)
    np.testing.assert_allclose(run_on_machine(program, data), ir.run(program, data), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("operation", OF_REAL)
def test_every_operation_in_single_precision(operation: str) -> None:
    program, data = of_all(operation, "f", single=True)
    np.testing.assert_allclose(run_on_machine(program, data), ir.run(program, data), rtol=3e-6, atol=1e-37)


def test_no_operation_is_left_out() -> None:
    assert set(OF_REAL) | set(OF_WHOLE) | set(OF_TRUTH) == set(ir.OPERATIONS)


@pytest.mark.parametrize("single", [False, True])
def test_random_programs(single: bool) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(programs(single), st.integers(0, 100))
    def check(program: Program, seed: int) -> None:
        data = given_to(seed)
        np.testing.assert_array_equal(run_on_machine(program, data), ir.run(program, data))

    check()


def at(i: str, stride: int = 1, offset: int = 0) -> Index:
    return Index(offset, ((i, stride),))


def test_an_index_that_is_a_variable_follows_it() -> None:
    """Places are computed once for all statements of a block: not those that change."""
    body: ir.Body = [
        Variable("v", "i", 0),
        For("i", Index(), Index(4), [
            Load("t", "c", at("v", 2)), Store("out", at("i"), "t"),
            Update("v", 1, "add"),
            Load("u", "c", at("v", 2)), Store("out", at("i"), "u", "add"),
        ]),
    ]  # fmt: skip
    program = Program(body, {"c": 9, "out": 4})
    assert run_on_machine(program, {"c": np.arange(9.0) ** 2}).tolist() == [0 + 4, 4 + 16, 16 + 36, 36 + 64]


def test_loops_may_share_a_variable_and_be_empty() -> None:
    body: ir.Body = [
        For("i", Index(), Index(3), [Store("out", at("i"), 1.0)]),
        For("i", Index(), Index(3), [Store("out", at("i"), 2.0, "add"), For("j", Index(2), at("i"), [Store("out", Index(3), 9.0)])]),
        For("i", Index(3), Index(3), [Store("out", Index(3), 9.0)]),
        For("i", Index(), Index(3), []),
    ]
    assert run_on_machine(Program(body, {"out": 4}), {}).tolist() == [3, 3, 3, 0]


def test_memory_that_a_loop_writes_and_reads() -> None:
    """A running product: the vectoriser must see that each element needs the one before."""
    body: ir.Body = [
        Store("w", Index(), 3.0),
        For("i", Index(), Index(9), [
            Load("t", "w", at("i")), Load("u", "c", at("i")), Let("p", "f", "mul", ("t", "u")), Store("w", at("i", 1, 1), "p"),
        ]),
        Load("r", "w", Index(9)), Store("out", Index(), "r"),
    ]  # fmt: skip
    c = np.array([2, 1, 0.5, 4, 3, 1, 0.25, 2, 5])
    assert run_on_machine(Program(body, {"c": 9, "w": 10, "out": 1}), {"c": c}).tolist() == [3 * np.prod(c)]


@pytest.mark.parametrize("how", ["add", "max"])
@pytest.mark.parametrize("single", [False, True])
def test_loops_are_vectorised(how: ir.How, single: bool) -> None:
    """exp, a store and a reduction in one loop: vectors of each, and a nan anywhere comes through."""
    body: ir.Body = [
        Variable("s", "f", -math.inf if how == "max" else 0.0),
        For("i", Index(), Index(1000), [
            Load("a", "c", at("i")), Load("b", "x", at("i")), Let("p", "f", "mul", ("a", "b")), Let("e", "f", "exp", ("p",)),
            Store("w", at("i"), "e"), Update("s", "e", how),
        ]),
        Store("out", Index(), "s"),
    ]  # fmt: skip
    program = Program(body, {"c": 1000, "x": 1000, "w": 1000, "out": 1}, single)
    text, real = machine.optimised(llvm.function(program)), "float" if single else "double"
    assert re.search(rf"store <\d+ x {real}>", text)
    assert re.search(rf"call .*@llvm\.vector\.reduce\.{'fadd' if how == 'add' else 'fmaximum'}", text)
    x, c = np.random.default_rng(1).normal(size=(2, 1000))
    exact = np.exp(x * c).sum() if how == "add" else np.exp(x * c).max()
    assert run_on_machine(program, {"x": x, "c": c})[0] == pytest.approx(exact, rel=1e-5 if single else 1e-13)
    x[567] = math.nan
    assert math.isnan(run_on_machine(program, {"x": x, "c": c})[0])


@pytest.mark.parametrize(("count", "marked"), [(7, False), (8, True), (63, True), (64, False)])
def test_short_inner_loops_are_not_written_out_before_they_are_vectors(count: int, marked: bool) -> None:
    row: ir.Body = [
        Variable("s", "f", 0.0),
        For("j", Index(), Index(count), [
            Load("a", "c", Index(0, (("i", count), ("j", 1)))), Load("b", "x", at("j")),
            Let("p", "f", "mul", ("a", "b")), Update("s", "p", "add"),
        ]),
        Store("out", at("i"), "s"),
    ]  # fmt: skip
    program = Program([For("i", Index(), Index(40), row)], {"c": 40 * count, "x": count, "out": 40})
    text = llvm.function(program)
    assert len(re.findall(r"br i1 .*!llvm\.loop", text)) == marked
    assert re.search(r"fmul .*<\d+ x double>", machine.optimised(text))
    c, x = np.random.default_rng(1).normal(size=(40, count)), np.random.default_rng(2).normal(size=count)
    np.testing.assert_allclose(run_on_machine(program, {"c": c.ravel(), "x": x}), c @ x, rtol=1e-12, atol=1e-12)


def test_compensated_sums_stay_so() -> None:
    """Only what adds up may be reordered: (x + 1e16) - 1e16 is not x."""
    body: ir.Body = [
        Load("x", "c", Index()),
        Let("a", "f", "add", ("x", 1e16)),
        Let("b", "f", "sub", ("a", 1e16)),
        Store("out", Index(), "b"),
    ]
    assert run_on_machine(Program(body, {"c": 1, "out": 1}), {"c": np.array([3.0])}).tolist() == [4.0]


def test_what_has_no_instruction_is_named() -> None:
    program = Program([Let("t", "i", "sqrt", (3,))], {})
    with pytest.raises(LoweringError, match="'sqrt' has no machine code for arguments of kind 'i'"):
        llvm.function(program)


def test_text_that_is_no_module_is_refused() -> None:
    with pytest.raises(LoweringError, match=r"LLVM does not take the module: LLVM IR parsing error\n.*expected instruction"):
        machine.compiled("define void @f() { gibberish }")


def test_a_function_that_nobody_has_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    text = "declare void @nobody_has_this()\ndefine void @f() {\n  call void @nobody_has_this()\n  ret void\n}"
    with pytest.raises(LoweringError, match="machine code cannot be linked"):
        machine.Code(machine.compiled(text), ("f",))
    assert "nobody_has_this" in capfd.readouterr().err  # LLVM says which
