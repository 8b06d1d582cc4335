"""lgamma and its first two derivatives, on the whole line.

From 4 on by Stirling's series, below by a polynomial on [1, 3] and one step of the recurrence, in which little cancels: both keep
their relative error at their zeros on the positive axis. Left of 0 by reflection, where lgamma and digamma have zeros of their own
between the poles and only their absolute error is small.
"""

import math

from .math_exponential import log
from .math_tables import DIGAMMA, DIGAMMA_TAIL, LGAMMA, SINPI, STIRLING, TRIGAMMA_TAIL
from .math_values import Value, absolute, equal, horner, muladd, nearest, where

__all__ = ["digamma", "lgamma", "trigamma"]

SERIES = 4.0  # from here on
ROOT = (float.fromhex("0x1.762d86356be3fp0"), float.fromhex("0x1.b86a722197829p-54"))  # of digamma, in two doubles


def _sine(f: Value) -> Value:
    """sin(pi f) / pi, |f| <= 1/2."""
    z = f * f
    return muladd(f * z, horner(z, SINPI), f)


def _fraction(x: Value) -> Value:
    """x less the whole number nearest to it; of numbers without a fraction 0."""
    whole, _ = nearest(where(absolute(x) < 2.0**51, x, 0.0))
    return where(absolute(x) < 2.0**51, x - whole, 0.0)


def _from_two(x: Value) -> Value:
    """y - 2, -1 <= y - 2 <= 1, for 0 <= x < 4: y is x + 1 below 1, x - 1 above 3."""
    return where(x < 3.0, x - where(x < 1.0, 1.0, 2.0), x - 3.0)


def lgamma(x: Value) -> Value:
    """log |gamma(x)|; inf at 0, -1, -2, ..."""
    size = absolute(x)
    below, middle = size < 1.0, size < SERIES
    t = _from_two(size)
    near = t * (t + 1.0) * horner(t, LGAMMA)
    # One logarithm for all. Left of 0 the one of a small |x| is left out, because that of the sine has it with the other sign.
    left = x < 0.0
    factor = where(below, where(left, 1.0, size), where(size >= 3.0, size - 1.0, 1.0))
    logs = log(where(middle, factor, size))
    inverse = 1.0 / size
    series = muladd(size - 0.5, logs - 1.0, 0.5 * math.log(2 * math.pi) - 0.5 + inverse * horner(inverse * inverse, STIRLING))
    right = where(middle, near + where(below, -logs, logs), series)
    f = _fraction(x)
    reflected = -log(absolute(_sine(f)) * where(below, 1.0, size)) - right
    reflected = where(equal(f, 0.0) | equal(size, math.inf), math.inf, reflected)
    return where(left, reflected, right)


def digamma(x: Value) -> Value:
    """-inf at 0, inf at -0, nan at -1, -2, ..."""
    left = x < 0.0
    size = where(left, 1.0 - x, x)
    below, middle = size < 1.0, size < SERIES
    t = _from_two(size)
    near = ((t + (2.0 - ROOT[0])) - ROOT[1]) * horner(t, DIGAMMA)
    inverse = 1.0 / where(below | ~middle, size, size - 1.0)
    step = where(below, -inverse, where(size >= 3.0, inverse, 0.0))
    z = inverse * inverse
    series = log(size) - muladd(z, horner(z, DIGAMMA_TAIL), 0.5 * inverse)
    right = where(middle, near + step, series)
    f = _fraction(x)
    cotangent = math.pi * _sine(0.5 - absolute(f)) / _sine(f)
    reflected = where(equal(f, 0.0), math.nan, right - cotangent)
    return where(left, reflected, right)


def trigamma(x: Value) -> Value:
    """inf at 0, -1, -2, ..."""
    left = x < 0.0
    size = where(left, 1.0 - x, x)
    middle = size < SERIES
    # The sum of 1 / (x + j)^2, j = 1, 2, 3, as one fraction of positive terms
    first, second, third = ((size + j) * (size + j) for j in (1.0, 2.0, 3.0))
    others = muladd(third, first + second, first * second) / (first * second * third)
    inverse = 1.0 / where(middle, size + SERIES, size)
    z = inverse * inverse
    series = muladd(z * inverse, horner(z, TRIGAMMA_TAIL), muladd(z, 0.5, inverse))
    right = series + where(middle, others + 1.0 / (size * size), 0.0)
    sine = _sine(_fraction(x))
    return where(left, 1.0 / (sine * sine) - right, right)
