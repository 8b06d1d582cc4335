"""Elementary and special functions as LLVM IR that the loop vectoriser takes.

LLVM has no vector library of its own: a loop that calls exp of the C library stays scalar. What is here is written without a
branch, and inlined wherever it is called.

Intrinsics are used and not declared: since LLVM 19 the reader of text declares them by itself.
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

    names    of NAMES, in any order
    single   `float` functions, not `double`
    """
    return "\n".join(_definition(name, single) for name in sorted(set(names)))


def _definition(name: str, single: bool) -> str:
    function = _FUNCTIONS[name]
    given = SINGLE if single else DOUBLE
    code = Code(symbol(name, single), len(inspect.signature(function).parameters), given, given if name in _IN_SINGLE else DOUBLE)
    return code.definition(function(*code.arguments))
