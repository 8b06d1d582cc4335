"""exp, log and what is made of them.

The exponential: x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n e^r. The logarithm: x = 2^k (1 + f) with 1 + f between sqrt(1/2) and
sqrt(2), log(1 + f) = 2 atanh(s) of s = f / (2 + f), summed so that what is small is added first (as in fdlibm's e_log.c, Sun
Microsystems 1993).
"""

import math

from .math_tables import EXP, EXP_SINGLE, LOG, LOG_SINGLE
from .math_values import SINGLE, Value, bits, equal, horner, muladd, nearest, real, where

__all__ = ["exp", "log"]

# ln 2 in two parts, the first short enough that its product with an exponent is exact.
LN2 = (float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33"))
LN2_SINGLE = (float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20"))


def _ln2(x: Value) -> tuple[float, float]:
    return LN2_SINGLE if x.code.format is SINGLE else LN2


def scaled(x: Value, n: Value) -> Value:
    """x 2^n for a whole number |n| < 2 bias: in two steps, so that only the result may over- or underflow."""
    first, low = nearest(0.5 * n)
    _, high = nearest(n - first)
    return x * _power(low) * _power(high)


def _power(n: Value) -> Value:
    """2^n of the lowest bits of n."""
    return real((n + n.code.format.bias) << n.code.format.mantissa)


def _reduced(x: Value) -> tuple[Value, Value]:
    """n and r of x = n ln 2 + r."""
    high, low = _ln2(x)
    n, _ = nearest(x * (1 / math.log(2)))
    return n, muladd(n, -low, muladd(n, -high, x))


def exp(x: Value) -> Value:
    single = x.code.format is SINGLE
    top, bottom = (90.0, -105.0) if single else (710.0, -746.0)  # beyond them the result is inf and 0
    x = where(x > top, top, where(x < bottom, bottom, x))
    n, r = _reduced(x)
    tail = horner(r, EXP_SINGLE if single else EXP)
    return scaled(1.0 + muladd(r * r, tail, r), n)


def split(x: Value) -> tuple[Value, Value]:
    """k and m of x = 2^k m, m from sqrt(1/2) to sqrt(2), for x > 0 that may be subnormal."""
    form = x.code.format
    lifted = 2.0 ** (form.mantissa + 2)
    small = x < form.smallest_normal
    root = x.code.bits(math.sqrt(0.5))
    raised = bits(where(small, x * lifted, x)) + (x.code.bits(1.0) - root)
    mantissa = (raised & (2**form.mantissa - 1)) + root
    # The exponent, laid into the low bits of 2^mantissa, is a real by one subtraction.
    exponent = real((raised >> form.mantissa) | x.code.bits(2.0**form.mantissa))
    k = exponent - (2.0**form.mantissa + form.bias)
    return k - where(small, float(form.mantissa + 2), 0.0), real(mantissa)


def log_of_parts(k: Value, f: Value, correction: Value | float = 0.0) -> Value:
    """k ln 2 + log(1 + f) + correction, the last of them small."""
    high, low = _ln2(f)
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    tail = z * horner(z, LOG_SINGLE if f.code.format is SINGLE else LOG)
    small = muladd(s, half + tail, muladd(k, low, correction))
    return muladd(k, high, f - (half - small))


def log(x: Value) -> Value:
    k, m = split(x)
    finite = log_of_parts(k, m - 1.0)
    return where(x > 0.0, where(x < math.inf, finite, x), where(equal(x, 0.0), -math.inf, math.nan))
