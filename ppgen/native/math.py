"""Elementary and special functions as LLVM IR that the loop vectoriser takes.

LLVM has no vector library of its own: a loop that calls exp of the C library stays scalar. What is here is written without a
branch and inlined wherever it is called, so that such a loop works on a register full of elements at once. Where one formula does
not serve the whole line, the formulas of all its parts are computed and one is chosen.

Largest errors in units in the last place of a double, over 10^6 points each on several scales (the worst thousand of every scale, as
NumPy and SciPy see them, by mpmath), and nanoseconds per element in a loop over 4096 doubles, for AVX-512 on an AMD Zen 5 (AVX2
takes twice as long there, SSE2 without fused multiplication five to eight times as long):

                ulp    ns                       ulp    ns                                    ulp    ns
    exp        0.87   0.5        sin           0.78   1.0        erf                        1.07   2.1
    expm1      1.71   0.5        cos           0.75   1.0        erfc                       1.82   2.2
    log        0.79   0.6        tan           2.04   1.1        erfcx                      2.02   2.1
    log1p      0.82   0.6        asin          1.55   0.6        erfinv                     2.73   3.1
    pow        0.89   2.7        acos          1.11   0.7        i0                         3.56   2.0
    sinh       2.08   0.6        atan          1.41   0.7        i0e                        3.02   1.8
    cosh       1.25   0.6        atan2         1.37   1.1        i1                         3.29   2.0
    tanh       2.49   0.7        lgamma        2.24   3.5        i1e                        2.54   1.8
                                 digamma       2.84   2.4
                                 trigamma      2.51   0.9

lgamma and digamma keep these relative errors at their zeros at 1, 2 and 1.4616. Left of 0, where they have a zero between any two
poles, the error is at most 4 ulp plus 3e-15 down to -30; it grows with |x| as the function does. trigamma: 3.93 ulp there.
sin, cos and tan are nan beyond 2^40 = 1.1e12. Zeros keep their sign, subnormal arguments and results count like others, nan stays.

In single precision exp and log are computed in singles (0.87 and 0.77 ulp, 0.3 ns), the others in doubles that are rounded once
(0.50 ulp, in about the time above).

Intrinsics are used and not declared, which the reader of LLVM 22 (llvmlite 0.50) does by itself. tests/tools/native_math.py measures
the table, tests/tools/coefficients.py derives the polynomials.
"""

import inspect
from collections.abc import Callable, Collection, Mapping

from . import math_bessel, math_error, math_exponential, math_gamma, math_trigonometric
from .math_values import DOUBLE, SINGLE, Code, Value

__all__ = ["NAMES", "functions", "symbol"]

_FAMILIES = (math_exponential, math_trigonometric, math_gamma, math_error, math_bessel)
_FUNCTIONS: Mapping[str, Callable[..., Value]] = {name: getattr(family, name) for family in _FAMILIES for name in family.__all__}
_IN_SINGLE = frozenset({"exp", "log"})  # computed in single precision; the others in double, and rounded
NAMES: frozenset[str] = frozenset(_FUNCTIONS)


def symbol(name: str, single: bool) -> str:
    """What a function is called in IR, without the @."""
    return f"ppgen.{name}.{(SINGLE if single else DOUBLE).suffix}"


def functions(names: Collection[str], single: bool) -> str:
    """Definitions, one of each name, internal and always inlined; they call nothing but intrinsics.

    names    of NAMES, in any order; any other is a KeyError
    single   `float` functions, not `double`
    """
    return "\n".join(_definition(name, single) for name in sorted(set(names)))


def _definition(name: str, single: bool) -> str:
    function = _FUNCTIONS[name]
    given = SINGLE if single else DOUBLE
    code = Code(symbol(name, single), len(inspect.signature(function).parameters), given, given if name in _IN_SINGLE else DOUBLE)
    return code.definition(function(*code.arguments))
