"""lgamma and its first two derivatives, on the whole line.

From 8 on by Stirling's series, below by a polynomial around 2 (lgamma) or 3/2 (digamma) and the recurrence, without subtracting
what cancels: both keep their relative error at their zeros on the positive axis. Left of 0 by reflection, where lgamma and digamma
have zeros of their own between the poles and only their absolute error is small.
"""

import math

from .math_exponential import log, logarithm
from .math_tables import DIGAMMA, DIGAMMA_TAIL, LGAMMA, SINPI, STIRLING, TRIGAMMA_TAIL
from .math_values import Value, absolute, equal, floor, horner, muladd, nearest, where

__all__ = ["digamma", "lgamma", "trigamma"]

SERIES = 8  # from here on
ROOT = (float.fromhex("0x1.762d86356be3fp0"), float.fromhex("0x1.b86a722197829p-54"))  # of digamma, in two doubles


def _sine(f: Value) -> Value:
    """sin(pi f), |f| <= 1/2."""
    return f * horner(f * f, SINPI)


def _fraction(x: Value) -> Value:
    """x less the whole number nearest to it; of numbers without a fraction 0."""
    whole, _ = nearest(where(absolute(x) < 2.0**51, x, 0.0))
    return where(absolute(x) < 2.0**51, x - whole, 0.0)


def lgamma(x: Value) -> Value:
    """log |gamma(x)|; inf at 0, -1, -2, ..."""
    size = absolute(x)
    below, middle = size < 1.0, size < float(SERIES)
    # lgamma(y) = (y - 1) (y - 2) Q(y) on [1, 3]; up from (0, 1) by y = x + 1, down from [3, 8) by y = x - 1, x - 2, ...
    t = where(size < 3.0, size - where(below, 1.0, 2.0), size - floor(size))
    near = t * (t + 1.0) * horner(t, LGAMMA)
    product = where(size >= 3.0, size - 1.0, 1.0)
    for j in range(2, SERIES - 2):
        product = where(size >= float(j + 2), product * (size - float(j)), product)
    # One logarithm for all: of x, of the product, or of x once more, where a reflected one cancels it.
    left = x < 0.0
    logs = logarithm_of(where(middle, where(below, where(left, 1.0, size), product), size))
    inverse = 1.0 / size
    series = muladd(size - 0.5, logs - 1.0, 0.5 * math.log(2 * math.pi) - 0.5 + inverse * horner(inverse * inverse, STIRLING))
    right = where(middle, near + where(below, -logs, logs), series)
    sine = absolute(_sine(_fraction(x))) * (1 / math.pi)
    reflected = -log(where(left, sine * where(below, 1.0, size), 1.0)) - right
    return where(equal(size, math.inf), math.inf, where(left, reflected, right))


def logarithm_of(x: Value) -> Value:
    """log of x >= 0."""
    return where(equal(x, 0.0), -math.inf, logarithm(x))


def digamma(x: Value) -> Value:
    """-inf at 0, inf at -0, nan at -1, -2, ..."""
    left = x < 0.0
    size = where(left, 1.0 - x, x)
    below, middle = size < 1.0, size < float(SERIES)
    # (y - root) Q(y) on [1, 2), and the sum of 1 / (x - j) as one fraction
    t = where(below, size - 0.5, size - floor(size) - 0.5)
    near = ((t - (ROOT[0] - 1.5)) - ROOT[1]) * horner(t, DIGAMMA)
    above, under = where(below, -1.0, where(size >= 2.0, 1.0, 0.0)), where(below, size, where(size >= 2.0, size - 1.0, 1.0))
    for j in range(2, SERIES - 1):
        step = size - float(j)
        more = size >= float(j + 1)
        above, under = where(more, muladd(above, step, under), above), where(more, under * step, under)
    inverse = where(middle, above, 1.0) / where(middle, under, size)
    z = inverse * inverse
    series = log(size) - muladd(z, horner(z, DIGAMMA_TAIL), 0.5 * inverse)
    right = where(middle, near + inverse, series)
    f = _fraction(x)
    cotangent = math.pi * _sine(0.5 - absolute(f)) / _sine(f)
    reflected = where(equal(f, 0.0), math.nan, right - cotangent)
    return where(left, reflected, right)


def trigamma(x: Value) -> Value:
    """inf at 0, -1, -2, ..."""
    left = x < 0.0
    size = where(left, 1.0 - x, x)
    middle = size < float(SERIES)
    # The sum of 1 / (x + j)^2, j = 1 ... 7, as one fraction of positive terms
    under = (size + 1.0) * (size + 1.0)
    above: Value | float = 1.0
    for j in range(2, SERIES):
        square = (size + float(j)) * (size + float(j))
        above, under = square * above + under, under * square
    inverse = 1.0 / where(middle, size + float(SERIES), size)
    z = inverse * inverse
    series = muladd(z * inverse, horner(z, TRIGAMMA_TAIL), muladd(z, 0.5, inverse))
    sum_ = above / under
    right = series + where(middle, sum_ + 1.0 / (size * size), 0.0)
    sine = _sine(_fraction(x)) * (1 / math.pi)
    return where(left, 1.0 / (sine * sine) - right, right)
