"""Derives ppgen/native/math_tables.py: the coefficients of math.py's polynomials. Run from the checkout:

    python tests/tools/coefficients.py            prints the module
    python tests/tools/coefficients.py --write    writes it

Each polynomial interpolates its function at the zeros of a Chebyshev polynomial, in 60 digits: within a small factor of the best
possible, which one more degree makes up for, and without the trouble of an exchange algorithm. Functions are divided by their leading
behaviour first, so that an absolute error here is a relative one there. The last column is the largest relative error of the
polynomial with its coefficients rounded, over the interval; 2^-53 is 1.1e-16.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mpmath import mp, mpf

MODULE = Path(__file__).parents[2] / "ppgen/native/math_tables.py"


class Table(NamedTuple):
    function: Callable[[mpf], mpf]
    start: float
    stop: float
    degree: int
    what: str


def series(function: Callable[[mpf], mpf], limit: float | None = None) -> Callable[[mpf], mpf]:
    """A function with a removable singularity at 0, where twice the digits are lost."""

    def value(t: mpf) -> mpf:
        with mp.workdps(3 * mp.dps):
            return function(t) if abs(t) > mpf(10) ** -40 else function(mpf(10) ** -40)

    return value


LOG_Z = (3 - 2 * 2**0.5) / (3 + 2 * 2**0.5) * 1.001  # largest s^2 of s = f / (2 + f), 1 + f up to sqrt(2)


def atanh_tail(z: mpf) -> mpf:
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z


TABLES = {
    "EXP": Table(series(lambda r: (mp.exp(r) - 1 - r) / r**2), -0.3467, 0.3467, 10, "(e^r - 1 - r) / r^2"),
    "EXP_SINGLE": Table(series(lambda r: (mp.exp(r) - 1 - r) / r**2), -0.3467, 0.3467, 4, "(e^r - 1 - r) / r^2"),
    "LOG": Table(series(atanh_tail), 0.0, LOG_Z, 6, "(2 atanh(s) / s - 2) / z of z = s^2"),
    "LOG_SINGLE": Table(series(atanh_tail), 0.0, LOG_Z, 2, "(2 atanh(s) / s - 2) / z of z = s^2"),
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
    for name, table in TABLES.items():
        found = coefficients(table)
        yield f"# {table.what}, {table.start:.6g} to {table.stop:.6g}: {error(table, found):.1e}"
        yield f"{name} = ("
        yield from (f"    {c!r}," for c in found)
        yield ")"


def main() -> None:
    mp.dps = 60
    text = "\n".join(module()) + "\n"
    if "--write" in sys.argv:
        MODULE.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
