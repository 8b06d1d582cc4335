"""Pairs of standard normals from Philox's words, by Box-Muller, without a branch or a call, so that LLVM makes vectors of it.

Box-Muller wants a logarithm in (0, 1], a sine and a cosine of a whole turn; nothing more is asked of those written here. Their
results are within a few units in the last place of those of the C library.

Source: the coefficients and the reductions are fdlibm's (Sun Microsystems, 1993), e_log.c, k_sin.c, k_cos.c.
"""

from typing import Any

from numba import float64, int64, njit, types
from numba.extending import intrinsic

from .native.calling import HOW, doubles
from .philox import inlined_philox, unit

__all__ = ["SPILL", "normals", "pair_of_normals"]

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip
SIN = (
    -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04, 2.75573137070700676789e-06,
    -2.50507602534068634195e-08, 1.58969099521155010221e-10,
)  # fmt: skip
COS = (
    4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05, -2.75573143513906633035e-07,
    2.08757232129817482790e-09, -1.13596475577881948265e-11,
)  # fmt: skip
SPILL = 15
QUARTER = 1.5707963267948966  # of a turn, in radians


def _same_bits(start: Any, end: Any) -> Any:
    """A number of another type that has the same bits."""

    def cast(context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(end))

        return end(start), generate

    return intrinsic(cast)


bits, double = _same_bits(types.float64, types.int64), _same_bits(types.int64, types.float64)


@njit(inline="always")
def logarithm(x):  # type: ignore[no-untyped-def]
    """Of a normal double in (0, 1]: x = 2^k (1 + f) with f from sqrt(1/2) - 1 to sqrt(2) - 1."""
    raised = bits(x) + (0x3FF0000000000000 - 0x3FE6A09E00000000)
    k = float64((raised >> 52) - 1023)
    f = double((raised & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E00000000) - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = z * (LOG[0] + z * (LOG[1] + z * (LOG[2] + z * (LOG[3] + z * (LOG[4] + z * (LOG[5] + z * LOG[6]))))))
    half = 0.5 * f * f
    return k * LN2_HIGH - ((half - (s * (half + series) + k * LN2_LOW)) - f)


@njit(inline="always")
def pair_of_normals(seed, block, stream, draw, chain):  # type: ignore[no-untyped-def]
    """Numbers 2 * block and 2 * block + 1 of a stream."""
    a, b, c, d = inlined_philox(seed, block, stream, draw, chain)
    radius = (-2.0 * logarithm(1.0 - unit(a, b))) ** 0.5
    quarters = 4.0 * unit(c, d)
    q = int64(quarters + 0.5)
    x = (quarters - float64(q)) * QUARTER
    z = x * x
    sine = x + x * z * (SIN[0] + z * (SIN[1] + z * (SIN[2] + z * (SIN[3] + z * (SIN[4] + z * SIN[5])))))
    cosine = 1.0 - z * 0.5 + z * z * (COS[0] + z * (COS[1] + z * (COS[2] + z * (COS[3] + z * (COS[4] + z * COS[5])))))
    first, second = (sine, cosine) if q & 1 else (cosine, sine)
    return radius * (-first if (q + 1) & 2 else first), radius * (-second if q & 2 else second)


@njit(**HOW)
def normals(address, count, seed, stream, draw, chain):  # type: ignore[no-untyped-def]
    """The first `count` numbers of a stream, laid at an address; and up to SPILL more, so that the last vector is whole."""
    out = doubles(address)
    for i in range(8 * ((count + SPILL) >> 4)):
        out[2 * i], out[2 * i + 1] = pair_of_normals(seed, i, stream, draw, chain)
