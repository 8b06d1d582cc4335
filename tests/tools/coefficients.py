"""Derives ppgen/native/math_tables.py: the coefficients of math.py's polynomials. Run from the checkout:

    python tests/tools/coefficients.py            prints the module
    python tests/tools/coefficients.py --write    writes it

Each polynomial interpolates its function at the zeros of a Chebyshev polynomial, in 60 digits: within a small factor of the best
possible, which one more degree makes up for, and without the trouble of an exchange algorithm. Functions are divided by their leading
behaviour first, so that an absolute error here is a relative one there. The last column is the largest relative error of the
polynomial with its coefficients rounded, over the interval; 2^-53 is 1.1e-16.
"""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mpmath import mp, mpf

DIGITS = 60
MODULE = Path(__file__).parents[2] / "ppgen/native/math_tables.py"


class Table(NamedTuple):
    function: Callable[[mpf], mpf]
    start: float
    stop: float
    degree: int
    what: str


def removable(function: Callable[[mpf], mpf]) -> Callable[[mpf], mpf]:
    """A function of which some values are limits: a step of 1e-45 aside, with digits enough for what cancels there."""

    def value(t: mpf) -> mpf:
        with mp.workdps(4 * mp.dps):
            return function(t + mpf(10) ** -45)

    return value


def root_of_digamma() -> mpf:
    return mp.findroot(mp.digamma, 1.4616)


def atanh_series(z: mpf) -> mpf:
    """2/3 + 2/5 z + 2/7 z^2 + ..."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z


def digamma_over(t: mpf) -> mpf:
    return mp.digamma(2 + t) / (2 + t - root_of_digamma())


def sine_of_turns(z: mpf) -> mpf:
    angle = mp.pi * mp.sqrt(z)
    return (mp.sin(angle) / angle - 1) / z


def stirling(z: mpf) -> mpf:
    x = 1 / mp.sqrt(z)
    return x * (mp.loggamma(x) - ((x - 0.5) * mp.log(x) - x + mp.log(2 * mp.pi) / 2))


def digamma_tail(z: mpf) -> mpf:
    x = 1 / mp.sqrt(z)
    return x**2 * (mp.log(x) - 1 / (2 * x) - mp.digamma(x))


def trigamma_tail(z: mpf) -> mpf:
    x = 1 / mp.sqrt(z)
    return x**3 * (mp.polygamma(1, x) - 1 / x - 1 / (2 * x**2))


def erf_over(z: mpf) -> mpf:
    x = mp.sqrt(z)
    return (mp.erf(x) / x - 2 / mp.sqrt(mp.pi)) / z


def erfcx(t: mpf) -> mpf:
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x**2) * mp.erfc(x)


def erfinv_over(w: mpf) -> mpf:
    """erfinv(x) / x of w = -log(1 - x^2)."""
    x = mp.sqrt(-mp.expm1(-w))
    return mp.erfinv(x) / x


def bessel_near(order: int, z: mpf) -> mpf:
    x = 2 * mp.sqrt(z)
    return (mp.besseli(0, x) - 1) / z if order == 0 else (mp.besseli(1, x) / x - 0.5) / z


def bessel_tail(order: int, s: mpf) -> mpf:
    """sqrt(x) e^-x I(x) of s = 12 / x - 1."""
    x = 12 / (1 + s)
    return mp.sqrt(x) * mp.exp(-x) * mp.besseli(order, x)


SQUARE_OF_S = (3 - 2 * 2**0.5) / (3 + 2 * 2**0.5) * 1.001  # the largest s^2 of s = f / (2 + f), 1 + f up to sqrt(2)
QUARTER = 0.7856  # of pi, and what the reduction may miss it by

TABLES = {
    "EXP": Table(removable(lambda r: (mp.exp(r) - 1 - r) / r**2), -0.3467, 0.3467, 10, "(e^r - 1 - r) / r^2"),
    "EXP_SINGLE": Table(removable(lambda r: (mp.exp(r) - 1 - r) / r**2), -0.3467, 0.3467, 4, "(e^r - 1 - r) / r^2"),
    "LOG": Table(removable(atanh_series), 0.0, SQUARE_OF_S, 6, "(2 atanh(s) / s - 2) / z of z = s^2"),
    "LOG_SINGLE": Table(removable(atanh_series), 0.0, SQUARE_OF_S, 2, "(2 atanh(s) / s - 2) / z of z = s^2"),
    "LOG_LONG": Table(removable(lambda z: (atanh_series(z) - mpf(2) / 3) / z), 0.0, SQUARE_OF_S, 7, "2/5 + 2/7 z + ..."),
    "SIN": Table(removable(lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z), 0.0, QUARTER**2, 6, "(sin(r) / r - 1) / z of z = r^2"),
    "COS": Table(removable(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2), 0.0, QUARTER**2, 6, "(cos(r) - 1 + z / 2) / z^2 of z = r^2"),
    "SINPI": Table(removable(sine_of_turns), 0.0, 0.25, 9, "(sin(pi f) / (pi f) - 1) / z of z = f^2"),
    "ASIN": Table(removable(lambda z: (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z), 0.0, 0.25, 13, "(asin(s) / s - 1) / z of z = s^2"),
    "ATAN": Table(removable(lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z), 0.0, 0.1716, 11, "(atan(t) / t - 1) / z of z = t^2"),
    "LGAMMA": Table(removable(lambda t: mp.loggamma(2 + t) / (t * (t + 1))), -1.0, 1.0, 28, "lgamma(2 + t) / (t (t + 1))"),
    "STIRLING": Table(removable(stirling), 0.0, 1 / 16, 9, "x (lgamma(x) - (x - 1/2) log(x) + x - log(2 pi) / 2) of z = 1 / x^2"),
    "DIGAMMA": Table(removable(digamma_over), -1.0, 1.0, 28, "digamma(2 + t) / (2 + t - root)"),
    "DIGAMMA_TAIL": Table(removable(digamma_tail), 0.0, 1 / 16, 11, "x^2 (log(x) - 1 / (2 x) - digamma(x)) of z = 1 / x^2"),
    "TRIGAMMA_TAIL": Table(removable(trigamma_tail), 0.0, 1 / 16, 11, "x^3 (trigamma(x) - 1 / x - 1 / (2 x^2)) of z = 1 / x^2"),
    "ERF": Table(removable(erf_over), 0.0, 1.0, 11, "(erf(x) / x - 2 / sqrt(pi)) / z of z = x^2"),
    "ERFCX": Table(removable(erfcx), -0.7, 1.0, 22, "(1 + 2 x) e^(x^2) erfc(x) of t = (x - 4) / (x + 4)"),
    "ERFINV": Table(removable(lambda t: erfinv_over(t + 3.125)), -3.126, 3.126, 23, "erfinv(x) / x of t = w - 3.125, w = -log(1 - x^2)"),
    "ERFINV_TAIL": Table(removable(lambda t: erfinv_over((t + 4.3) ** 2)), -1.8, 1.8, 27, "erfinv(x) / x of t = sqrt(w) - 4.3"),
    "I0": Table(removable(lambda z: bessel_near(0, z)), 0.0, 9.0, 12, "(I0(x) - 1) / z of z = x^2 / 4"),
    "I1": Table(removable(lambda z: bessel_near(1, z)), 0.0, 9.0, 12, "(I1(x) / x - 1/2) / z of z = x^2 / 4"),
    "I0_TAIL": Table(removable(lambda s: bessel_tail(0, s)), -1.0, 1.0, 28, "sqrt(x) e^-x I0(x) of s = 12 / x - 1"),
    "I1_TAIL": Table(removable(lambda s: bessel_tail(1, s)), -1.0, 1.0, 28, "sqrt(x) e^-x I1(x) of s = 12 / x - 1"),
}


def coefficients(table: Table) -> list[float]:
    """Of t^0, t^1, ...: the interpolating polynomial by divided differences, multiplied out."""
    n = table.degree + 1
    middle, half = (mpf(table.stop) + mpf(table.start)) / 2, (mpf(table.stop) - mpf(table.start)) / 2
    nodes = [middle + half * mp.cos(mp.pi * (k + mpf(1) / 2) / n) for k in range(n)]
    newton = [table.function(t) for t in nodes]
    for order in range(1, n):
        for k in reversed(range(order, n)):
            newton[k] = (newton[k] - newton[k - 1]) / (nodes[k] - nodes[k - order])
    polynomial = [mpf(0)] * n
    for k in reversed(range(n)):
        shifted = [mpf(0), *polynomial[:-1]]
        polynomial = [s - nodes[k] * p for s, p in zip(shifted, polynomial, strict=True)]
        polynomial[0] += newton[k]
    return [float(p) for p in polynomial]


def error(table: Table, found: list[float], points: int = 200) -> float:
    """The largest relative one on a grid."""
    start, step = mpf(table.start), (mpf(table.stop) - mpf(table.start)) / points
    places = [start + step * (k + mpf(1) / 3) for k in range(points)]
    return float(max(abs(mp.polyval([mpf(c) for c in reversed(found)], t) / table.function(t) - 1) for t in places))


def module() -> Iterator[str]:
    """Lines of math_tables.py."""
    yield '"""Coefficients of the polynomials of math.py, the constant first. Made by tests/tools/coefficients.py: not edited by hand."""'
    yield ""
    yield "# fmt: off"
    for name, table in TABLES.items():
        found = coefficients(table)
        yield f"# {table.what}, {table.start:.6g} to {table.stop:.6g}: {error(table, found):.1e}"
        yield f"{name} = ("
        yield from textwrap.wrap(", ".join(map(repr, found)), 130, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
        yield ")"


def main() -> None:
    mp.dps = DIGITS
    text = "\n".join(module()) + "\n"
    if "--write" in sys.argv:
        MODULE.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
