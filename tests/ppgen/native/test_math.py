"""The vectorisable functions against mpmath, at their special values, and on machines with and without wide registers."""

import functools
import itertools
import math
import re

import numpy as np
import pytest
import torch
from mpmath import mp

from ppgen.native import math as native
from ppgen.native import math_tables
from ppgen.native.ir import OPERATIONS
from ppgen.native.math_values import DOUBLE, SINGLE, Code, horner
from tests.tools import coefficients, native_math

compiled = functools.cache(native_math.compiled)
INF, NAN, PI = math.inf, math.nan, math.pi
TINY, LEAST, MOST = 1e-310, 5e-324, 1.7976931348623157e308

# Largest errors in units in the last place of a double; the table in math.py's docstring is what was measured.
ULP = {
    "exp": 1, "log": 1, "expm1": 2, "log1p": 1, "pow": 1, "sinh": 2.5, "cosh": 1.5, "tanh": 2.6,
    "sin": 1, "cos": 1, "tan": 2.2, "asin": 2, "acos": 1.5, "atan": 2, "atan2": 2,
    "lgamma": 3, "digamma": 4, "trigamma": 3, "lgamma, x < 0": 4, "digamma, x < 0": 4, "trigamma, x < 0": 4.5,
    "erf": 1.5, "erfc": 2, "erfcx": 2.5, "erfinv": 3, "i0": 4, "i0e": 4, "i1": 4, "i1e": 3,
}  # fmt: skip

# Values that are exact, or thresholds of overflow and underflow.
SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (709.79, INF), (-745.2, 0), (-745.13, LEAST), (LEAST, 1)],
    "expm1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -1), (LEAST, LEAST), (-TINY, -TINY), (709.79, INF), (-50, -1)],
    "log": [(0, -INF), (-0.0, -INF), (-1, NAN), (-LEAST, NAN), (1, 0), (INF, INF), (-INF, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INF), (-1.5, NAN), (INF, INF), (-INF, NAN), (LEAST, LEAST), (-TINY, -TINY)],
    "sinh": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (711, INF), (-711, -INF), (LEAST, LEAST)],
    "cosh": [(0, 1), (INF, INF), (-INF, INF), (711, INF)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (20, 1), (-LEAST, -LEAST)],
    "sin": [(0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (LEAST, LEAST), (2.0**41, NAN)],
    "cos": [(0, 1), (-0.0, 1), (INF, NAN), (TINY, 1), (-(2.0**41), NAN)],
    "tan": [(0, 0), (-0.0, -0.0), (INF, NAN), (-TINY, -TINY)],
    "asin": [(0, 0), (-0.0, -0.0), (1, PI / 2), (-1, -PI / 2), (1.1, NAN), (-INF, NAN), (LEAST, LEAST)],
    "acos": [(0, PI / 2), (1, 0), (-1, PI), (-1.1, NAN), (INF, NAN)],
    "atan": [(0, 0), (-0.0, -0.0), (INF, PI / 2), (-INF, -PI / 2), (MOST, PI / 2), (LEAST, LEAST)],
    "lgamma": [(0, INF), (-0.0, INF), (1, 0), (2, 0), (-1, INF), (-7, INF), (-1e17, INF), (INF, INF), (-INF, INF), (MOST, INF)],
    "digamma": [(0, -INF), (-0.0, INF), (-1, NAN), (-20, NAN), (-1e17, NAN), (INF, INF), (-INF, NAN)],
    "trigamma": [(0, INF), (-0.0, INF), (-1, INF), (-20, INF), (INF, 0), (TINY, INF)],
    "erf": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (6, 1), (-6, -1), (MOST, 1)],
    "erfc": [(0, 1), (INF, 0), (-INF, 2), (-6, 2), (28, 0), (MOST, 0), (LEAST, 1)],
    "erfcx": [(0, 1), (INF, 0), (-INF, INF), (-27, INF), (-MOST, INF), (LEAST, 1)],
    "erfinv": [(0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.1, NAN), (-INF, NAN)],
    "i0": [(0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (714, INF), (MOST, INF)],
    "i0e": [(0, 1), (INF, 0), (-INF, 0)],
    "i1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (-714, -INF)],
    "i1e": [(0, 0), (-0.0, -0.0), (INF, 0), (-INF, -0.0)],
}


def same(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Equal, and of one sign where zero."""
    return (np.isnan(found) & np.isnan(expected)) | ((found == expected) & (np.signbit(found) == np.signbit(expected)))


def test_what_there_is() -> None:
    """All that the intermediate representation has and LLVM has no instruction for."""
    assert set(OPERATIONS) >= native.NAMES
    assert {key.partition(",")[0] for key in ULP} == native.NAMES == set(SPECIAL) | {"pow", "atan2"}


@pytest.mark.parametrize("key", ULP)
def test_error(key: str) -> None:
    """A million points, in as many ways as the function has scales."""
    worst = native_math.error(key, 1_000_000, 20)
    assert 0.4 < worst.ulp < ULP[key], worst


@pytest.mark.slow
@pytest.mark.parametrize("key", ULP)
def test_error_at_many_points(key: str) -> None:
    worst = native_math.error(key, 4_000_000, 1000, seed=7)
    assert worst.ulp < ULP[key], worst


@pytest.mark.parametrize("key", ULP)
def test_error_in_single_precision(key: str) -> None:
    """A double rounded once, but for exp and log."""
    worst = native_math.error(key, 20_000, 10, single=True)
    assert worst.ulp < (1.0 if key in {"exp", "log"} else 0.501), worst


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    x, expected = np.array([*SPECIAL[name], (NAN, NAN)]).T
    found = compiled(name)(x)
    assert same(found, expected).all(), np.c_[x, found, expected]


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values_in_single_precision(name: str) -> None:
    x, expected = np.array([(a, b) for a, b in [*SPECIAL[name], (NAN, NAN)] if abs(a) in {0, 1, 2, 7, 20, INF} or math.isnan(a)]).T
    found = compiled(name, True)(x)
    assert same(found, expected.astype(np.float32)).all(), np.c_[x, found, expected]


@pytest.mark.parametrize("name", ["pow", "atan2"])
@pytest.mark.parametrize("single", [False, True])
def test_special_pairs(name: str, single: bool) -> None:
    """Every pair of these as the C library has it."""
    values = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, -2.5, 4.0, INF, -INF, NAN, 1e-30, 1e30, -1e30]
    pairs = np.array(list(itertools.product(values, values)), np.float32 if single else np.float64)
    with np.errstate(all="ignore"):
        expected = {"pow": np.power, "atan2": np.arctan2}[name](*pairs.T)
        found = compiled(name, single)(*pairs.T)
        close = np.abs(found - expected) <= 2 * np.spacing(np.abs(expected))
    wrong = ~(same(found, expected) | (np.isfinite(expected) & (expected != 0) & close))
    assert not wrong.any(), np.c_[pairs, found, expected][wrong]


@pytest.mark.parametrize("name", ["lgamma", "digamma", "erf", "erfinv", "expm1", "log1p", "tanh"])
def test_poles_and_edges_are_those_of_torch(name: str) -> None:
    x = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, -3.5, 0.5, -0.5, 40.0, -50.5, INF, -INF, NAN], dtype=torch.float64)
    expected = getattr(torch, name)(x).numpy()
    np.testing.assert_allclose(compiled(name)(x.numpy()), expected, rtol=1e-13)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("name", sorted(native.NAMES))
def test_loops_are_vectorised(name: str, single: bool) -> None:
    """Nothing is called, and what is stored is a vector, if only one of bits."""
    loop = compiled(name, single).ir.partition("@loop")[2]
    assert re.search(rf"store <\d+ x ({'float|i32' if single else 'double|i64'})>", loop)
    assert not re.search(r"call .*@(?!llvm\.)", loop)


@pytest.mark.parametrize("name", ["exp", "log", "pow", "sin", "lgamma", "erfc"])
def test_without_fused_multiplication(name: str) -> None:
    """The plainest machine of this kind gives values as good."""
    typical = [p(np.random.default_rng(3), 4000) for p in native_math.MEASURES[name].typical]
    plain, best = native_math.compiled(name, cpu="generic")(*typical), compiled(name)(*typical)
    assert native_math.in_ulp(plain, best.astype(np.longdouble)).max() <= 4


def test_coefficients_are_those_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp, "dps", coefficients.DIGITS)
    for name, table in coefficients.TABLES.items():
        assert tuple(coefficients.coefficients(table)) == getattr(math_tables, name)


@pytest.mark.slow
def test_table_of_coefficients_is_what_the_script_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp, "dps", coefficients.DIGITS)
    assert coefficients.MODULE.read_text() == "\n".join(coefficients.module()) + "\n"


def test_expressions_print_as_llvm() -> None:
    code = Code("half", 1, DOUBLE, DOUBLE)
    [x] = code.arguments
    assert code.definition(0.5 * x).splitlines()[1:-1] == ["entry:", "  %0 = fmul double 0x3FE0000000000000, %x", "  ret double %0"]
    wider = Code("half", 1, SINGLE, DOUBLE)
    assert "fptrunc double %1 to float" in wider.definition(wider.arguments[0] * 0.5)
    with pytest.raises(ValueError, match="degree 0"):
        horner(x, [1.0])


def test_one_definition_of_each_name() -> None:
    text = native.functions(["log", "exp", "log"], single=True)
    assert re.findall(r"define internal float @(\S+)\(", text) == [native.symbol("exp", True), native.symbol("log", True)]
    with pytest.raises(KeyError, match="cbrt"):
        native.functions(["cbrt"], single=False)
