"""Elementwise operations of ATen, as formulas of scalars.

A formula takes the arguments of the operation in the order of its schema, numbers and elements of tensors alike, and gives an
element of the result. The result is then brought to the dtype that torch gave it, so formulas may add truth values.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..errors import LoweringError
from .nest import Number, Value, apply, literal, value_of, wider

__all__ = [
    "FORMULAS", "absolute", "eq", "exp", "isinf", "isnan", "larger", "log", "log_sigmoid", "powers", "smaller", "sqrt", "where",
]  # fmt: skip

Formula: TypeAlias = Callable[..., Value]
Either: TypeAlias = Value | Number
LOG_2, ROOT_2, ROOT_PI = math.log(2.0), math.sqrt(2.0), math.sqrt(math.pi)


def real(operation: str) -> Callable[[Value], Value]:
    """An operation on a real; whole numbers become real."""
    return lambda x: apply(operation, x.to("f"))


def alike(operation: str) -> Callable[[Value], Value]:
    """An operation on a real or a whole number that gives its like."""
    return lambda x: apply(operation, x.to(wider(x.kind, "i")))


def rounding(operation: str) -> Callable[..., Value]:
    """Rounding, which leaves whole numbers alone."""
    return lambda x: x if x.kind != "f" else apply(operation, x)


def of_two(operation: str, at_least: str = "i") -> Callable[[Value, Value], Value]:
    """An operation on two, in the kind that holds both."""

    def formula(x: Value, y: Value) -> Value:
        kind = wider(x.kind, y.kind, at_least)  # type: ignore[arg-type]
        return apply(operation, x.to(kind), y.to(kind))

    return formula


exp, log, log1p, expm1, sqrt = real("exp"), real("log"), real("log1p"), real("expm1"), real("sqrt")
sin, cos, tanh, floor, trunc = real("sin"), real("cos"), real("tanh"), rounding("floor"), rounding("trunc")
lgamma, digamma, trigamma = real("lgamma"), real("digamma"), real("trigamma")
erf, erfc, erfcx, erfinv = real("erf"), real("erfc"), real("erfcx"), real("erfinv")
i0, i0e, i1, i1e = real("i0"), real("i0e"), real("i1"), real("i1e")
absolute, isnan, isinf, isfinite = alike("abs"), real("isnan"), real("isinf"), real("isfinite")
larger, smaller, ne = of_two("max"), of_two("min"), of_two("ne")
_eq, _pow = of_two("eq"), of_two("pow", "f")


def eq(x: Value, y: Either) -> Value:
    return _eq(x, value_of(x.nest, y))


def where(condition: Value, x: Either, y: Either) -> Value:
    """x where the condition holds, y elsewhere."""
    a, b = value_of(condition.nest, x), value_of(condition.nest, y)
    kind = wider(a.kind, b.kind)
    condition = condition.to("b")
    if condition.number is not None:
        return (a if condition.number else b).to(kind)
    return apply("where", condition, a.to(kind), b.to(kind))


# Arithmetic


def add(x: Value, y: Value, alpha: Value | None = None) -> Value:
    return x + (y if alpha is None else y * alpha)


def sub(x: Value, y: Value, alpha: Value | None = None) -> Value:
    return x - (y if alpha is None else y * alpha)


def rsub(x: Value, y: Value, alpha: Value | None = None) -> Value:
    return sub(y, x, alpha)


def mul(x: Value, y: Value) -> Value:
    return x * y


def div(x: Value, y: Value, rounding_mode: str | None = None) -> Value:
    if rounding_mode is None:
        return x / y
    if wider(x.kind, y.kind) != "f" and rounding_mode == "floor":
        return floor_of_whole(x, y)
    return (floor if rounding_mode == "floor" else trunc)(x / y)


floor_of_whole, modulus = of_two("floordiv"), of_two("mod")


def remainder(x: Value, y: Value) -> Value:
    """With the sign of y."""
    return x - floor(x / y) * y if wider(x.kind, y.kind) == "f" else modulus(x, y)


def fmod(x: Value, y: Value) -> Value:
    """With the sign of x."""
    return x - trunc(x / y) * y


def reciprocal(x: Value) -> Value:
    return 1.0 / x


def square(x: Value) -> Value:
    return x * x


def powers(x: Value, y: Value) -> Value:
    """By products and roots where the exponent is a small number."""
    small = POWERS.get(float(y.number)) if y.number is not None else None
    return small(x) if small is not None else _pow(x, y)


POWERS: Mapping[float, Formula] = {
    -2.0: lambda x: 1.0 / (x * x),
    -1.0: lambda x: 1.0 / x,
    -0.5: lambda x: 1.0 / sqrt(x),
    0.0: lambda x: literal(x.nest, 1.0),
    0.5: sqrt,
    1.0: lambda x: x,
    2.0: square,
    3.0: lambda x: x * x * x,
    4.0: lambda x: square(x * x),
}


def sign(x: Value) -> Value:
    return where(x > 0, 1.0, 0.0) - where(x < 0, 1.0, 0.0)


def clamp(x: Value, min: Value | None = None, max: Value | None = None) -> Value:  # noqa: A002  torch's names
    x = x if min is None else larger(x, min)
    return x if max is None else smaller(x, max)


def clamp_max(x: Value, max: Value) -> Value:  # noqa: A002
    return smaller(x, max)


def fmax(x: Value, y: Value) -> Value:
    """The larger, or the one that is a number."""
    return where(isnan(x), y, where(isnan(y), x, larger(x, y)))


def fmin(x: Value, y: Value) -> Value:
    return where(isnan(x), y, where(isnan(y), x, smaller(x, y)))


def masked_fill(x: Value, mask: Value, value: Value) -> Value:
    return where(mask, value.to(x.kind), x)


def addcmul(x: Value, a: Value, b: Value, value: Value | None = None) -> Value:
    return add(x, a * b, value)


def addcdiv(x: Value, a: Value, b: Value, value: Value | None = None) -> Value:
    return add(x, a / b, value)


def lerp(x: Value, y: Value, weight: Value) -> Value:
    return x + weight * (y - x)


def copysign(x: Value, y: Value) -> Value:
    negative = (y < 0) | (eq(y, 0) & (1.0 / y < 0))
    return where(negative, -absolute(x), absolute(x))


# Sigmoids


def sigmoid(x: Value) -> Value:
    return 1.0 / (1.0 + exp(-x))


def sigmoid_backward(grad: Value, y: Value) -> Value:
    return grad * (1.0 - y) * y


def tanh_backward(grad: Value, y: Value) -> Value:
    return grad * (1.0 - y * y)


def softplus(x: Value, beta: Either = 1, threshold: Either = 20) -> Value:
    scaled = x * beta
    return where(scaled > threshold, x, log1p(exp(scaled)) / beta)


def softplus_backward(grad: Value, x: Value, beta: Value, threshold: Value) -> Value:
    scaled = x * beta
    z = exp(scaled)
    return where(scaled > threshold, grad, grad * z / (z + 1.0))


def log_sigmoid(x: Value) -> Value:
    return smaller(x, literal(x.nest, 0.0)) - log1p(exp(-absolute(x)))


def log_sigmoid_backward(grad: Value, x: Value, buffer: Value) -> Value:
    z = exp(-absolute(x))
    return grad * (where(x < 0, 1.0, 0.0) - where(x < 0, 1.0, -1.0) * (z / (1.0 + z)))


def logit(x: Value, eps: Value | None = None) -> Value:
    x = x if eps is None else clamp(x, eps, 1.0 - eps)
    return log(x / (1.0 - x))


def logit_backward(grad: Value, x: Value, eps: Value | None = None) -> Value:
    if eps is None:
        return where((x < 0.0) | (x > 1.0), math.nan, grad / (x * (1.0 - x)))
    return where((x < eps) | (x > 1.0 - eps), 0.0, grad / (x * (1.0 - x)))


def silu(x: Value) -> Value:
    return x * sigmoid(x)


def silu_backward(grad: Value, x: Value) -> Value:
    s = sigmoid(x)
    return grad * s * (1.0 + x * (1.0 - s))


def relu(x: Value) -> Value:
    return larger(x, literal(x.nest, 0))


def threshold(x: Value, level: Value, value: Value) -> Value:
    return where(x <= level, value, x)


def threshold_backward(grad: Value, x: Value, level: Value) -> Value:
    return where(x <= level, 0.0, grad)


def leaky_relu(x: Value, slope: Either = 0.01) -> Value:
    return where(x > 0, x, x * slope)


def leaky_relu_backward(grad: Value, x: Value, slope: Value, is_result: Value) -> Value:
    return where(x > 0, grad, grad * slope)


def elu(x: Value, alpha: Either = 1.0, scale: Either = 1.0, input_scale: Either = 1.0) -> Value:
    return where(x > 0, x * scale, expm1(x * input_scale) * alpha * scale)


def elu_backward(grad: Value, alpha: Value, scale: Value, input_scale: Value, is_result: Value, x: Value) -> Value:
    slope = (x + alpha * scale) if is_result.number else exp(x * input_scale) * alpha * scale
    return where(x > 0, grad * scale, grad * input_scale * slope)


def celu(x: Value, alpha: Either = 1.0) -> Value:
    return where(x > 0, x, alpha * expm1(x / alpha))


def hardtanh(x: Value, low: Either = -1, high: Either = 1) -> Value:
    return clamp(x, value_of(x.nest, low), value_of(x.nest, high))


def hardtanh_backward(grad: Value, x: Value, low: Value, high: Value) -> Value:
    return where((x <= low) | (x >= high), 0.0, grad)


def gelu(x: Value, approximate: str = "none") -> Value:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + tanh(ROOT_2 / ROOT_PI * (x + 0.044715 * x * x * x)))
    return x * ndtr(x)


def gelu_backward(grad: Value, x: Value, approximate: str = "none") -> Value:
    if approximate == "tanh":
        slope = ROOT_2 / ROOT_PI
        t = tanh(slope * (x + 0.044715 * x * x * x))
        return grad * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope * (1.0 + 3 * 0.044715 * x * x))
    return grad * (ndtr(x) + x * exp(-0.5 * (x * x)) / (ROOT_2 * ROOT_PI))


# Logarithms and special functions


def xlogy(x: Value, y: Value) -> Value:
    return where(isnan(y), math.nan, where(eq(x, 0), 0.0, x * log(y)))


def xlog1py(x: Value, y: Value) -> Value:
    return where(isnan(y), math.nan, where(eq(x, 0), 0.0, x * log1p(y)))


def entr(x: Value) -> Value:
    return where(x > 0, -x * log(x), where(eq(x, 0), 0.0, where(isnan(x), x, -math.inf)))


def logaddexp(x: Value, y: Value) -> Value:
    """log(exp(x) + exp(y)); of two equal infinities that one."""
    same = isinf(x) & eq(x, y)
    return where(same, x, larger(x, y) + log1p(exp(-absolute(x - y))))


def ndtr(x: Value) -> Value:
    """The normal distribution function."""
    return 0.5 * erfc(-x / ROOT_2)


def log_ndtr(x: Value) -> Value:
    """Its logarithm; far out on the left by the scaled complementary error function."""
    left = log(0.5 * erfcx(-x / ROOT_2)) - 0.5 * (x * x)
    return where(x < -1.0, left, log1p(-0.5 * erfc(x / ROOT_2)))


def polygamma(n: Value, x: Value) -> Value:
    if n.number not in (0, 1):
        raise LoweringError(f"polygamma of order {n.number}: only orders 0 and 1 have machine code")
    return digamma(x) if n.number == 0 else trigamma(x)


def bitwise(operation: str) -> Callable[..., Value]:
    """Of truth values."""

    def formula(*x: Value) -> Value:
        if any(v.kind != "b" for v in x):
            raise LoweringError(f"bitwise {operation} of whole numbers has no machine code")
        return apply(operation, *x)

    return formula


def mvlgamma(x: Value, p: Value) -> Value:
    """The logarithm of the multivariate gamma function."""
    order = int(p.number or 0)
    total = literal(x.nest, order * (order - 1) / 4 * math.log(math.pi))
    for i in range(order):
        total = total + lgamma(x - 0.5 * i)
    return total


def sinc(x: Value) -> Value:
    return where(eq(x, 0), 1.0, sin(math.pi * x) / (math.pi * x))


def asinh(x: Value) -> Value:
    size = absolute(x)
    inverse = log1p(size + size * size / (1.0 + sqrt(size * size + 1.0)))
    return where(x < 0, -inverse, inverse)


def acosh(x: Value) -> Value:
    return log1p((x - 1.0) + sqrt((x - 1.0) * (x + 1.0)))


def atanh(x: Value) -> Value:
    return 0.5 * (log1p(x) - log1p(-x))


def heaviside(x: Value, at_zero: Value) -> Value:
    return where(isnan(x), x, where(eq(x, 0), at_zero, where(x > 0, 1.0, 0.0)))


FORMULAS: Mapping[str, Formula] = {
    "abs": absolute, "acos": real("acos"), "acosh": acosh, "add": add, "addcdiv": addcdiv, "addcmul": addcmul, "asin": real("asin"),
    "asinh": asinh, "atan": real("atan"), "atan2": of_two("atan2", "f"), "atanh": atanh, "bitwise_and": bitwise("and"),
    "bitwise_not": bitwise("not"), "bitwise_or": bitwise("or"), "bitwise_xor": bitwise("xor"), "ceil": rounding("ceil"), "celu": celu,
    "clamp": clamp, "clamp_max": clamp_max, "clamp_min": clamp, "copysign": copysign, "cos": cos, "cosh": real("cosh"),
    "digamma": digamma, "div": div, "elu": elu, "elu_backward": elu_backward, "eq": eq, "erf": erf, "erfc": erfc, "erfinv": erfinv,
    "exp": exp, "exp2": lambda x: exp(LOG_2 * x), "expm1": expm1, "floor": floor, "floor_divide": lambda x, y: div(x, y, "floor"),
    "fmax": fmax, "fmin": fmin, "fmod": fmod, "frac": lambda x: x - trunc(x), "ge": lambda x, y: x >= y, "gelu": gelu,
    "gelu_backward": gelu_backward, "gt": lambda x, y: x > y, "hardtanh": hardtanh, "hardtanh_backward": hardtanh_backward,
    "heaviside": heaviside, "hypot": lambda x, y: sqrt(x * x + y * y), "i0": i0, "isfinite": isfinite, "isinf": isinf, "isnan": isnan,
    "isneginf": lambda x: eq(x, -math.inf), "isposinf": lambda x: eq(x, math.inf), "le": lambda x, y: x <= y, "leaky_relu": leaky_relu,
    "leaky_relu_backward": leaky_relu_backward, "lerp": lerp, "lgamma": lgamma, "log": log, "log10": lambda x: log(x) / math.log(10.0),
    "log1p": log1p, "log2": lambda x: log(x) / LOG_2, "log_sigmoid_backward": log_sigmoid_backward, "logaddexp": logaddexp,
    "logical_and": lambda x, y: x & y, "logical_not": lambda x: ~x, "logical_or": lambda x, y: x | y, "logical_xor": lambda x, y: x ^ y,
    "logit": logit, "logit_backward": logit_backward, "lt": lambda x, y: x < y, "masked_fill": masked_fill, "maximum": larger,
    "minimum": smaller, "mul": mul, "mvlgamma": mvlgamma, "ne": ne, "neg": lambda x: -x, "polygamma": polygamma, "pow": powers,
    "reciprocal": reciprocal, "relu": relu, "remainder": remainder, "round": rounding("round"), "rsqrt": lambda x: 1.0 / sqrt(x),
    "rsub": rsub, "sgn": sign, "sigmoid": sigmoid, "sigmoid_backward": sigmoid_backward, "sign": sign, "signbit": lambda x: x < 0,
    "silu": silu, "silu_backward": silu_backward, "sin": sin, "sinc": sinc, "sinh": real("sinh"), "softplus": softplus,
    "softplus_backward": softplus_backward, "special_entr": entr, "special_erfcx": erfcx, "special_i0e": i0e, "special_i1": i1,
    "special_i1e": i1e, "special_log_ndtr": log_ndtr, "special_ndtr": ndtr, "special_xlog1py": xlog1py, "sqrt": sqrt, "square": square,
    "sub": sub, "tan": real("tan"), "tanh": tanh, "tanh_backward": tanh_backward, "threshold": threshold,
    "threshold_backward": threshold_backward, "trunc": trunc, "where": where, "xlogy": xlogy,
}  # fmt: skip
