"""Modified Bessel functions of the first kind, of order 0 and 1, plain and multiplied by e^-|x|.

Up to |x| = 6 by a polynomial in x^2 / 4, whose terms are all positive; beyond by e^x / sqrt(x) times a polynomial in 1 / x.
"""

import math

from .math_exponential import exponential
from .math_tables import I0, I0_TAIL, I1, I1_TAIL
from .math_values import Value, absolute, copysign, horner, muladd, sqrt, where

__all__ = ["i0", "i0e", "i1", "i1e"]

EDGE = 6.0


def _near(x: Value, order: int) -> Value:
    """|x| <= 6."""
    z = 0.25 * x * x
    return muladd(z, horner(z, I0), 1.0) if order == 0 else x * muladd(z, horner(z, I1), 0.5)


def _far(x: Value, order: int) -> Value:
    """e^-x I(x), x >= 6."""
    return horner(12.0 / x - 1.0, I1_TAIL if order else I0_TAIL) / sqrt(x)


def _plain(x: Value, order: int) -> Value:
    """x >= 0."""
    far = exponential(x, factor=_far(x, order), shift=-8) * 2.0**8  # e^x overflows before I(x) does
    return where(x < EDGE, _near(x, order), where(x > 714.0, math.inf, far))


def _scaled(x: Value, order: int) -> Value:
    """x >= 0."""
    return where(x < EDGE, exponential(-x, factor=_near(x, order)), _far(x, order))


def i0(x: Value) -> Value:
    return _plain(absolute(x), 0)


def i0e(x: Value) -> Value:
    return _scaled(absolute(x), 0)


def i1(x: Value) -> Value:
    return copysign(_plain(absolute(x), 1), x)


def i1e(x: Value) -> Value:
    return copysign(_scaled(absolute(x), 1), x)
