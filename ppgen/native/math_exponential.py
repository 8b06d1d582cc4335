"""exp, log and what is made of them.

The exponential: x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n e^r. The logarithm: x = 2^k (1 + f) with 1 + f between sqrt(1/2) and
sqrt(2), log(1 + f) = 2 atanh(s) of s = f / (2 + f), summed so that what is small is added first (the scheme of fdlibm, Sun
Microsystems 1993). `log1p`, `expm1` and the hyperbolic functions carry the rounding of their arguments along; `pow` has its logarithm
in two doubles.
"""

import math

from .math_tables import EXP, EXP_SINGLE, LOG, LOG_LONG, LOG_SINGLE
from .math_values import (
    SINGLE,
    Number,
    Value,
    absolute,
    bits,
    copysign,
    equal,
    floor,
    fma,
    horner,
    muladd,
    nearest,
    polynomial,
    real,
    signbit,
    where,
)

__all__ = ["cosh", "exp", "expm1", "log", "log1p", "pow", "sinh", "tanh"]

# ln 2 in two parts, the first short enough that its product with an exponent is exact; the second of two thirds.
LN2 = (float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33"))
LN2_SINGLE = (float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20"))
TWO_THIRDS = (float.fromhex("0x1.5555555555555p-1"), float.fromhex("0x1.5555555555555p-55"))


def _ln2(x: Value) -> tuple[float, float]:
    return LN2_SINGLE if x.code.format is SINGLE else LN2


# The exponential


def reduced(x: Value, low: Number = 0.0) -> tuple[Value, Value]:
    """n, an integer of which the low bits count, and e^r - 1 of x + low = n ln 2 + r, where low is no larger than the rounding of x."""
    ln2 = _ln2(x)
    whole, n = nearest(x * (1 / math.log(2)))
    most = muladd(whole, -ln2[0], x)  # exact
    less = muladd(whole, -ln2[1], low)
    r = most + less
    lost = (most - r) + less
    return n, r + muladd(r * r, polynomial(r, EXP_SINGLE if x.code.format is SINGLE else EXP), lost)


def clamped(x: Value, low: float, high: float) -> Value:
    """nan stays."""
    x = where(x < low, low, x)
    return where(x > high, high, x)


def power_of_two(n: Value) -> Value:
    """2^n of an integer of which the low bits count, -bias < n <= bias."""
    return real((n + n.code.format.bias) << n.code.format.mantissa)


def scaled(x: Value, n: Value) -> Value:
    """x 2^n of such an integer, |n| < 2 bias: in two steps, so that only the result may over- or underflow."""
    half = n >> 1
    return x * power_of_two(half) * power_of_two(n - half)


def exponential(x: Value, low: Number = 0.0, factor: Value | None = None, factor_low: Number = 0.0, shift: int = 0) -> Value:
    """2^shift (factor + factor_low) e^(x + low), rounded little more than once."""
    # Beyond these the exponential is inf and 0, whatever the shift.
    x = clamped(x, -110.0, 95.0) if x.code.format is SINGLE else clamped(x, -760.0, 720.0)
    n, e = reduced(x, low)
    value = 1.0 + e if factor is None else factor + muladd(factor, e, factor_low)
    return scaled(value, n + shift if shift else n)


def exp(x: Value) -> Value:
    return exponential(x)


def quarter_expm1(x: Value) -> Value:
    """(e^x - 1) / 4, finite up to x = 710.6."""
    n, e = reduced(clamped(x, -40.0, 710.6))
    power = power_of_two(n - 2)
    return muladd(power, e, power - 0.25)


def expm1(x: Value) -> Value:
    return where(absolute(x) < 2.0**-54, x, 4.0 * quarter_expm1(x))


def sinh(x: Value) -> Value:
    size = absolute(x)
    q = quarter_expm1(size)  # sinh = (q4 + q4 / (q4 + 1)) / 2 of q4 = 4 q
    return where(size < 2.0**-27, x, copysign(2.0 * (q + q / muladd(q, 4.0, 1.0)), x))


def cosh(x: Value) -> Value:
    half = exponential(absolute(x), shift=-1)
    return half + 0.25 / half


def tanh(x: Value) -> Value:
    size = absolute(x)
    t = 4.0 * quarter_expm1(-2.0 * size)
    return where(size < 2.0**-54, x, copysign(t / (2.0 + t), x))


# The logarithm


def split(x: Value, subnormal: bool = True) -> tuple[Value, Value]:
    """k and m of x = 2^k m, m from sqrt(1/2) to sqrt(2), for x > 0, which may be subnormal or not."""
    form = x.code.format
    root, zero = x.code.bits(math.sqrt(0.5)), 2.0**form.mantissa + form.bias
    offset: Number = zero
    if subnormal:
        lift, small = form.mantissa + 2, x < form.smallest_normal
        x, offset = where(small, x * 2.0**lift, x), where(small, zero + lift, zero)
    raised = bits(x) + (x.code.bits(1.0) - root)
    # The exponent, laid into the low bits of 2^mantissa, is a real by one subtraction.
    exponent = real((raised >> form.mantissa) | x.code.bits(2.0**form.mantissa))
    return exponent - offset, real((raised & (2**form.mantissa - 1)) + root)


def logarithm(x: Value, correction: Number = 0.0, subnormal: bool = True) -> Value:
    """log(x) + correction, which is small, for finite x > 0."""
    high, low = _ln2(x)
    k, m = split(x, subnormal)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    tail = z * horner(z, LOG_SINGLE if f.code.format is SINGLE else LOG)
    small = muladd(s, half + tail, muladd(k, low, correction))
    return muladd(k, high, f - (half - small))


def log(x: Value) -> Value:
    return where(x > 0.0, where(x < math.inf, logarithm(x), x), where(equal(x, 0.0), -math.inf, math.nan))


def log1p(x: Value) -> Value:
    whole = 1.0 + x
    back = whole - 1.0
    lost = (x - back) + (1.0 - (whole - back))
    inside = copysign(logarithm(whole, lost / whole, subnormal=False), x)
    return where(x > -1.0, where(x < math.inf, inside, x), where(equal(x, -1.0), -math.inf, math.nan))


# The power


def long_logarithm(x: Value) -> tuple[Value, Value]:
    """log(x) as a sum of two, to 2^-65 of it, for finite x > 0."""
    k, m = split(x)
    f = m - 1.0
    d = 1.0 + m
    d_low = m - (d - 1.0)
    inverse = 1.0 / d
    s = f * inverse
    s_low = fma(-s, d_low, fma(-s, d, f)) * inverse
    z = s * s
    z_low = fma(s, s, -z) + 2.0 * s * s_low
    # log(1 + f) = 2 s + s z (2/3 + 2/5 z + ...)
    rest = z * horner(z, LOG_LONG)
    b = TWO_THIRDS[0] + rest
    b_low = (rest - (b - TWO_THIRDS[0])) + TWO_THIRDS[1]
    c = s * z
    c_low = fma(s, z, -c) + (s * z_low + s_low * z)
    g = c * b
    g_low = fma(c, b, -g) + (c * b_low + c_low * b)
    most = k * LN2[0]  # exact
    first = most + 2.0 * s
    total = first + g
    low = ((most - first) + 2.0 * s) + ((first - total) + g) + (2.0 * s_low + g_low + k * LN2[1])
    return total + low, low - ((total + low) - total)


def pow(x: Value, y: Value) -> Value:  # noqa: A001
    """As C99 has it: 1 where y is 0 or x is 1, nan for x < 0 unless y is whole."""
    size = absolute(x)
    high, low = long_logarithm(size)
    log_size = where(equal(size, 0.0), -math.inf, where(size < math.inf, high, size))
    product = y * log_size
    product_low = where(absolute(product) < 1000.0, fma(y, high, -product) + y * low, 0.0)
    value = where(equal(size, 1.0) & equal(y, y), 1.0, exponential(product, product_low))
    whole, odd = equal(floor(y), y), ~equal(floor(0.5 * y), 0.5 * y)
    value = where(signbit(x) & whole & odd, -value, value)
    value = where((x < 0.0) & (size < math.inf) & ~whole, math.nan, value)
    return where(equal(y, 0.0) | equal(x, 1.0), 1.0, value)
