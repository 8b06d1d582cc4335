"""The error function, its complement, that complement scaled, and the inverse.

erf by a polynomial in x^2 up to 1. Beyond, erfc(x) = e^(-x^2) erfcx(x), with (1 + 2 x) erfcx(x) a polynomial in (x - 4) / (x + 4) on
the whole half line (Shepherd and Laframboise, Mathematics of Computation 36, 1981). The inverse is x P(-log(1 - x^2)), as in
M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011; coefficients are our own.
"""

import math

from .math_exponential import exponential, log
from .math_tables import ERF, ERFCX, ERFINV, ERFINV_TAIL
from .math_values import Value, absolute, copysign, fma, horner, muladd, sqrt, where

__all__ = ["erf", "erfc", "erfcx", "erfinv"]

SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0


def _near(x: Value) -> Value:
    """erf, |x| <= 1."""
    z = x * x
    return muladd(x, muladd(z, horner(z, ERF), SLOPE - 1.0), x)


def _scaled_complement(x: Value) -> Value:
    """erfcx, x >= 0."""
    t = 1.0 - 8.0 / (x + 4.0)
    d = 1.0 + 2.0 * x
    d_low = 2.0 * x - (d - 1.0)
    p = horner(t, ERFCX)
    inverse = 1.0 / d
    q = p * inverse
    return q


def _gauss(x: Value, sign: float) -> Value:
    """e^(sign x^2), with the square in two parts."""
    square = x * x
    low = where(square < 1000.0, fma(x, x, -square), 0.0)
    return exponential(sign * square, sign * low)


def erf(x: Value) -> Value:
    size = absolute(x)
    tail = 1.0 - _gauss(size, -1.0) * _scaled_complement(size)
    return where(size < 1.0, _near(x), copysign(tail, x))


def erfc(x: Value) -> Value:
    size = absolute(x)
    tail = _gauss(size, -1.0) * _scaled_complement(size)
    return where(size < 0.5, 1.0 - _near(x), where(x < 0.0, 2.0 - tail, tail))


def erfcx(x: Value) -> Value:
    size = absolute(x)
    right = _scaled_complement(size)
    return where(x < 0.0, 2.0 * _gauss(size, 1.0) - right, right)


def erfinv(x: Value) -> Value:
    w = -log((1.0 - x) * (1.0 + x))
    centre = x * horner(w - 3.125, ERFINV)
    tail = x * horner(sqrt(w) - 4.3, ERFINV_TAIL)
    value = where(w < 6.25, centre, tail)
    return where(absolute(x) < 1.0, value, where(absolute(x) > 1.0, math.nan, x * math.inf))
