"""Trigonometric functions and their inverses.

sin, cos and tan: x = n pi/2 + r, with pi/2 in three doubles and r in two, so that the reduction is as good as the result up to
|x| = LIMIT. Beyond it they are nan, and not a number that may be wrong: a call of the C library there would cost the vector loop.
"""

import math

from .math_tables import ASIN, ATAN, COS, SIN
from .math_values import Value, absolute, bits, copysign, equal, fma, horner, muladd, nearest, real, signbit, sqrt, where

__all__ = ["acos", "asin", "atan", "atan2", "cos", "sin", "tan"]

LIMIT = 2.0**40
HALF_PI = (float.fromhex("0x1.921fb54442d18p0"), float.fromhex("0x1.1a62633145c07p-54"), float.fromhex("-0x1.f1976b7ed8fbcp-110"))


def _circle(x: Value) -> tuple[Value, Value, Value]:
    """The quarter turn n that x is nearest to, as an integer, and sine and cosine of the rest."""
    n, quarter = nearest(x * (2 / math.pi))
    first = n * HALF_PI[0]
    first_low = fma(n, HALF_PI[0], -first)
    second = n * HALF_PI[1]
    second_low = fma(n, HALF_PI[1], -second)
    high, low = two_sum(x - first, -first_low)
    high, lower = two_sum(high, -second)
    low = (low + lower) - muladd(n, HALF_PI[2], second_low)
    r = high + low
    rest = low - (r - high)
    r = where(absolute(x) <= LIMIT, r, math.nan)
    z = r * r
    sine = r + muladd(z * r, horner(z, SIN), muladd(-0.5 * z, rest, rest))
    half = 0.5 * z
    most = 1.0 - half
    cosine = most + (((1.0 - most) - half) + muladd(z * z, horner(z, COS), -r * rest))
    return quarter, sine, cosine


def two_sum(x: Value, y: Value) -> tuple[Value, Value]:
    """The sum, and what rounding took from it."""
    total = x + y
    back = total - x
    return total, (x - (total - back)) + (y - back)


def _signed(x: Value, quarter: Value) -> Value:
    """-x where the second bit of the quarter turn is set."""
    width = x.code.format.width
    return real(bits(x) ^ ((quarter << (width - 2)) & x.code.bits(-0.0)))


def sin(x: Value) -> Value:
    quarter, sine, cosine = _circle(x)
    value = _signed(where(equal(quarter & 1, 0), sine, cosine), quarter)
    return where(absolute(x) < 2.0**-27, x, value)


def cos(x: Value) -> Value:
    quarter, sine, cosine = _circle(x)
    return _signed(where(equal(quarter & 1, 0), cosine, sine), quarter + 1)


def tan(x: Value) -> Value:
    quarter, sine, cosine = _circle(x)
    even = equal(quarter & 1, 0)
    return where(absolute(x) < 2.0**-27, x, where(even, sine, -cosine) / where(even, cosine, sine))


# The inverses


def _arcsine(x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| > 1/2, and s and asin(s) - s: of |x|, or else of sqrt((1 - |x|) / 2), half the arccosine."""
    size = absolute(x)
    large = size > 0.5
    z = where(large, 0.5 - 0.5 * size, size * size)
    s = where(large, sqrt(z), size)
    return large, s, s * z * horner(z, ASIN)


def asin(x: Value) -> Value:
    large, s, tail = _arcsine(x)
    turned = HALF_PI[0] - (2.0 * s + (2.0 * tail - HALF_PI[1]))
    return copysign(where(large, turned, s + tail), x)


def acos(x: Value) -> Value:
    large, s, tail = _arcsine(x)
    twice = 2.0 * (s + tail)
    outer = where(x < 0.0, 2.0 * HALF_PI[0] - (twice - 2.0 * HALF_PI[1]), twice)
    return where(large, outer, HALF_PI[0] - (x - (HALF_PI[1] - copysign(tail, x))))


def _arctangent(numerator: Value, denominator: Value) -> Value:
    """atan(numerator / denominator), 0 <= numerator <= denominator: from 0 to pi/4."""
    upper = numerator > math.tan(math.pi / 8) * denominator
    t = where(upper, numerator - denominator, numerator) / where(upper, numerator + denominator, denominator)
    z = t * t
    tail = t * z * horner(z, ATAN)
    return where(upper, 0.5 * HALF_PI[0], 0.0) + (t + (tail + where(upper, 0.5 * HALF_PI[1], 0.0)))


def atan(x: Value) -> Value:
    size = absolute(x)
    steep = size > 1.0
    angle = _arctangent(where(steep, 1.0, size), where(steep, size, 1.0))
    return copysign(where(steep, HALF_PI[0] - (angle - HALF_PI[1]), angle), x)


def atan2(y: Value, x: Value) -> Value:
    height, width = absolute(y), absolute(x)
    steep = height > width
    smaller, larger = where(steep, width, height), where(steep, height, width)
    shrink = where(larger > 2.0**1000, 0.25, where(larger < 2.0**-900, 2.0**100, 1.0))
    smaller, larger = smaller * shrink, larger * shrink
    # Both infinite is half way between the axes, both zero is on the first.
    corner = equal(smaller, math.inf) & equal(larger, math.inf)
    angle = _arctangent(where(corner, 1.0, smaller), where(corner | equal(larger, 0.0), 1.0, larger))
    angle = where(steep, HALF_PI[0] - (angle - HALF_PI[1]), angle)
    return copysign(where(signbit(x), 2.0 * HALF_PI[0] - (angle - 2.0 * HALF_PI[1]), angle), y)
