"""The error function, its complement, that complement scaled, and the inverse.

erf by a polynomial in x^2 up to 1, erfc up to 3/4. Beyond, erfc(x) = e^(-x^2) erfcx(x), with (1 + 2 x) erfcx(x) a polynomial in
(x - 4) / (x + 4) from 3/4 to infinity (Shepherd and Laframboise, Mathematics of Computation 36, 1981). The inverse is
x P(-log(1 - x^2)), as in M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011; coefficients are our own.
"""

import math

from .math_exponential import exponential, log
from .math_tables import ERF, ERFCX, ERFINV, ERFINV_TAIL
from .math_values import Value, absolute, copysign, equal, fma, horner, muladd, sqrt, where

__all__ = ["erf", "erfc", "erfcx", "erfinv"]

SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0
EDGE = 0.75


def _near(x: Value) -> Value:
    """erf(x) / x - 1, |x| <= 1."""
    z = x * x
    return muladd(z, horner(z, ERF), SLOPE - 1.0)


def _near_complement(x: Value) -> Value:
    """erfc, |x| <= 3/4: what is subtracted from 1 is mostly exact."""
    return muladd(-x, _near(x), 1.0 - x)


def _complement(x: Value) -> tuple[Value, Value]:
    """erfcx as a sum of two, 3/4 <= x < inf."""
    near = where(x < 2.0**60, x, 2.0**60)
    inverse = 1.0 / (near + 4.0)
    t = (near - 4.0) * inverse
    t = muladd(inverse, fma(-t, near, fma(t + 1.0, -4.0, near)), t)  # erfcx is sensitive to t where x is small
    rest = t * horner(t, ERFCX[1:])
    p = ERFCX[0] + rest
    p_low = rest - (p - ERFCX[0])
    d = 0.5 + x  # half of the divisor, which may be out of range
    d_low = x - (d - 0.5)
    inverse = 1.0 / d
    q = p * inverse
    return 0.5 * q, 0.5 * inverse * (muladd(-q, d, p) + muladd(-q, d_low, p_low))


def _square(x: Value, sign: float) -> tuple[Value, Value]:
    """sign x^2 in two parts."""
    square = sign * x * x
    return square, where(absolute(square) < 1000.0, fma(sign * x, x, -square), 0.0)


def _tail(x: Value) -> Value:
    """erfc, x >= 3/4."""
    x = where(x > 30.0, 30.0, x)  # 0 from there on
    return exponential(*_square(x, -1.0), *_complement(x))


def erf(x: Value) -> Value:
    size = absolute(x)
    return where(size < 1.0, muladd(x, _near(x), x), copysign(1.0 - _tail(size), x))


def erfc(x: Value) -> Value:
    size = absolute(x)
    tail = _tail(size)
    return where(size < EDGE, _near_complement(x), where(x < 0.0, 2.0 - tail, tail))


def erfcx(x: Value) -> Value:
    size = absolute(x)
    gauss = exponential(*_square(size, 1.0))
    right, low = _complement(size)
    right = where(equal(size, math.inf), 0.0, right + low)
    return where(size < EDGE, gauss * _near_complement(x), where(x < 0.0, 2.0 * gauss - right, right))


def erfinv(x: Value) -> Value:
    w = -log((1.0 - x) * (1.0 + x))
    centre = x * horner(w - 3.125, ERFINV)
    tail = x * horner(sqrt(w) - 4.3, ERFINV_TAIL)
    value = where(w < 6.25, centre, tail)
    return where(absolute(x) < 1.0, value, where(absolute(x) > 1.0, math.nan, x * math.inf))
