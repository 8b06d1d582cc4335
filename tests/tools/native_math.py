"""Measures the functions of ppgen/native/math.py: their largest errors, and their cost in a loop. Prints the table of its docstring:

    python tests/tools/native_math.py [names ...]

Truth is found in two steps: NumPy (in long double) or SciPy say where the errors are likely to be largest, and mpmath in 40 digits
says what they are at the worst of these points and at random ones.
"""

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy import special

from ppgen.native import math as native

Array = NDArray[Any]
LONG = np.longdouble

LOOP = """
define void @loop({parameters}, ptr noalias %out, i64 %n) {{
entry:
  br label %body
body:
  %i = phi i64 [0, %entry], [%next, %body]
{loads}
  %value = call {real} @{symbol}({arguments})
  %place = getelementptr {real}, ptr %out, i64 %i
  store {real} %value, ptr %place
  %next = add nuw nsw i64 %i, 1
  %done = icmp eq i64 %next, %n
  br i1 %done, label %exit, label %body
exit:
  ret void
}}
"""


@dataclass
class Loop:
    """out[i] = function(x[i], ...) as machine code."""

    ir: str  # after optimisation
    single: bool
    engine: llvm.ExecutionEngine
    function: Callable[..., None]

    def __call__(self, *arguments: Array | float) -> Array:
        real = np.float32 if self.single else np.float64
        arrays = [np.ascontiguousarray(a, real) for a in np.broadcast_arrays(*arguments)]
        out = np.empty_like(arrays[0])
        self.function(*[a.ctypes.data for a in arrays], out.ctypes.data, out.size)
        return out

    def nanoseconds(self, *arguments: Array, size: int = 4096, times: int = 20) -> float:
        """Per element, the least of 15 tries, operands in the first-level cache or the second."""
        real = np.float32 if self.single else np.float64
        arrays = [np.resize(a, size).astype(real) for a in arguments]
        out = np.empty_like(arrays[0])
        pointers = [a.ctypes.data for a in (*arrays, out)]
        best = np.inf
        for _ in range(15):
            start = time.perf_counter()
            for _ in range(times):
                self.function(*pointers, size)
            best = min(best, time.perf_counter() - start)
        return best / times / size * 1e9


def operands(name: str) -> int:
    return 2 if name in {"pow", "atan2"} else 1


def compiled(name: str, single: bool = False, cpu: str | None = None) -> Loop:
    """The loop for this machine, or for a plainer one."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    real = "float" if single else "double"
    count = range(operands(name))
    text = native.functions([name], single) + LOOP.format(
        real=real,
        symbol=native.symbol(name, single),
        parameters=", ".join(f"ptr noalias %x{k}" for k in count),
        arguments=", ".join(f"{real} %v{k}" for k in count),
        loads="\n".join(f"  %p{k} = getelementptr {real}, ptr %x{k}, i64 %i\n  %v{k} = load {real}, ptr %p{k}" for k in count),
    )
    module = llvm.parse_assembly(text)
    module.verify()
    features = "" if cpu else llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu or llvm.get_host_cpu_name(), features=features, opt=3)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    ir = str(module)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(count) + 1), ctypes.c_int64)
    return Loop(ir, single, engine, prototype(engine.get_function_address("loop")))


# Points


def spread(low: float, high: float) -> Callable[[np.random.Generator, int], Array]:
    """Half of them on a grid, half anywhere between."""
    return lambda rng, n: np.concatenate([np.linspace(low, high, n // 2), rng.uniform(low, high, n - n // 2)])


def scales(low: float, high: float, signs: tuple[int, ...] = (1,)) -> Callable[[np.random.Generator, int], Array]:
    """Every order of magnitude alike."""
    return lambda rng, n: np.exp(rng.uniform(np.log(low), np.log(high), n)) * rng.choice(signs, n)


def turns(rng: np.random.Generator, n: int) -> Array:
    """Next to multiples of pi / 2, where the reduction cancels most."""
    return np.rint(rng.uniform(-1, 1, n) * 2.0 ** rng.integers(1, 39, n)) * (np.pi / 2)


def edge(rng: np.random.Generator, n: int) -> Array:
    """Next to -1 and 1."""
    return (1.0 - scales(1e-15, 1.0)(rng, n)) * rng.choice((-1, 1), n)


BOTH = (-1, 1)
Points = Callable[[np.random.Generator, int], Array]


class Measure(NamedTuple):
    """How a function's error is found.

    like, exactly    by NumPy or SciPy, by mpmath
    where            kinds of points, each an operand or a tuple of them
    typical          points of the timing
    floor            an absolute error below which a relative one says nothing
    """

    like: Callable[..., Array]
    exactly: Callable[..., Any]
    where: tuple[tuple[Points, ...], ...]
    typical: tuple[Points, ...]
    floor: float = 0.0


def _long(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *x: function(*(np.asarray(v, LONG) for v in x))


def _reflected_trigamma(x: Array) -> Array:
    return (np.pi / np.sin(np.pi * (x - np.rint(x)))) ** 2 - special.polygamma(1, 1 - x)


def _exactly_reflected_trigamma(x: Any) -> Any:
    return (mpmath.pi / mpmath.sin(mpmath.pi * x)) ** 2 - mpmath.polygamma(1, 1 - x)


def _lgamma(x: Any) -> Any:
    return mpmath.loggamma(x) if x > 0 else mpmath.log(abs(mpmath.gamma(x)))


def _erfcx(x: Any) -> Any:
    if x > 1e4:
        return (1 - 1 / (2 * x * x) + 3 / (4 * x**4)) / x / mpmath.sqrt(mpmath.pi)
    return mpmath.exp(x * x) * mpmath.erfc(x)


def _besseli(order: int, scaled: bool) -> Callable[[Any], Any]:
    return lambda x: mpmath.besseli(order, x) * (mpmath.exp(-abs(x)) if scaled else 1)


def _elementary(name: str, *where: tuple[Points, ...], typical: tuple[Points, ...]) -> Measure:
    function = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "pow": "power"}.get(name, name)
    return Measure(_long(getattr(np, function)), getattr(mpmath, {"pow": "power"}.get(name, name)), where, typical)


WHOLE = scales(1e-300, 1e300, BOTH)
SMALL = scales(1e-300, 1.0, BOTH)
RIGHT = ((scales(1e-150, 1e300),), (spread(1e-3, 10),), (spread(0.9, 2.1),))
LEFT = ((spread(-30, -1e-9),), (scales(1e-150, 1, (-1,)),))
CIRCLE = ((spread(-10, 10),), (scales(1e-300, 1e5, BOTH),), (scales(1e5, 1e12, BOTH),), (turns,))
MEASURES = {
    "exp": _elementary("exp", (spread(-745, 709.7),), (spread(-2, 2),), (SMALL,), typical=(spread(-20, 20),)),
    "expm1": _elementary("expm1", (spread(-40, 709.7),), (spread(-2, 2),), (SMALL,), typical=(spread(-20, 20),)),
    "log": _elementary("log", (scales(1e-320, 1e308),), (spread(0.5, 2),), (spread(0.99, 1.01),), typical=(spread(0.001, 20),)),
    "log1p": _elementary("log1p", (scales(1e-300, 1e308),), (spread(-0.9999, 2),), (SMALL,), typical=(spread(-0.9, 20),)),
    "pow": _elementary(
        "pow", (scales(1e-3, 1e3), spread(-40, 40)), (spread(0.999, 1.001), spread(-5e5, 5e5)), (scales(1e-300, 1e300), spread(-1, 1)),
        typical=(spread(0.1, 20), spread(-5, 5)),
    ),
    "sinh": _elementary("sinh", (spread(-710.4, 710.4),), (spread(-2, 2),), (SMALL,), typical=(spread(-20, 20),)),
    "cosh": _elementary("cosh", (spread(-710.4, 710.4),), (spread(-2, 2),), typical=(spread(-20, 20),)),
    "tanh": _elementary("tanh", (spread(-20, 20),), (spread(-1, 1),), (SMALL,), typical=(spread(-20, 20),)),
    "sin": _elementary("sin", *CIRCLE, typical=(spread(-20, 20),)),
    "cos": _elementary("cos", *CIRCLE, typical=(spread(-20, 20),)),
    "tan": _elementary("tan", *CIRCLE, typical=(spread(-20, 20),)),
    "asin": _elementary("asin", (spread(-1, 1),), (SMALL,), (edge,), typical=(spread(-1, 1),)),
    "acos": _elementary("acos", (spread(-1, 1),), (SMALL,), (edge,), typical=(spread(-1, 1),)),
    "atan": _elementary("atan", (spread(-10, 10),), (WHOLE,), typical=(spread(-10, 10),)),
    "atan2": _elementary("atan2", (spread(-3, 3), spread(-5, 2)), (WHOLE, WHOLE), typical=(spread(-3, 3), spread(-5, 2))),
    "lgamma": Measure(special.gammaln, _lgamma, RIGHT, (spread(1e-3, 50),)),
    "digamma": Measure(special.psi, mpmath.digamma, RIGHT, (spread(1e-3, 50),)),
    "trigamma": Measure(lambda x: special.polygamma(1, x), lambda x: mpmath.polygamma(1, x), RIGHT, (spread(1e-3, 50),)),
    "lgamma, x < 0": Measure(special.gammaln, _lgamma, LEFT, (spread(-30, -0.01),), 3e-15),
    "digamma, x < 0": Measure(special.psi, mpmath.digamma, LEFT, (spread(-30, -0.01),), 3e-15),
    "trigamma, x < 0": Measure(_reflected_trigamma, _exactly_reflected_trigamma, LEFT, (spread(-30, -0.01),)),
    "erf": Measure(special.erf, mpmath.erf, ((spread(-6, 6),), (SMALL,), (spread(0.9, 1.1),)), (spread(-4, 4),)),
    "erfc": Measure(special.erfc, mpmath.erfc, ((spread(-6, 26.5),), (SMALL,), (spread(0.4, 1.1),)), (spread(-4, 4),)),
    "erfcx": Measure(special.erfcx, _erfcx, ((spread(-26, 50),), (spread(-1, 2),), (scales(1e-300, 1e300),)), (spread(-4, 4),)),
    "erfinv": Measure(special.erfinv, mpmath.erfinv, ((spread(-0.9999, 0.9999),), (SMALL,), (edge,)), (spread(-0.9999, 0.9999),)),
    "i0": Measure(special.i0, _besseli(0, False), ((spread(-20, 20),), (scales(1e-10, 713),)), (spread(-20, 20),)),
    "i0e": Measure(special.i0e, _besseli(0, True), ((spread(-20, 20),), (scales(1e-10, 1e5),)), (spread(-20, 20),)),
    "i1": Measure(special.i1, _besseli(1, False), ((spread(-20, 20),), (scales(1e-300, 713),)), (spread(-20, 20),)),
    "i1e": Measure(special.i1e, _besseli(1, True), ((spread(-20, 20),), (scales(1e-300, 1e5),)), (spread(-20, 20),)),
}  # fmt: skip


class Error(NamedTuple):
    ulp: float
    absolute: float
    at: tuple[float, ...]  # the largest in ulp


def in_ulp(found: Array, truth: Array, floor: float = 0.0) -> Array:
    """|found - truth|, less the floor, in units in the last place of the truth."""
    unit = np.spacing(np.abs(truth.astype(found.dtype))).astype(LONG)
    return np.maximum(np.abs(found.astype(LONG) - truth) - floor, 0) / unit


def error(key: str, points: int, checked: int, single: bool = False, seed: int = 20250) -> Error:
    """The largest over about so many points of each kind together, of which so many by mpmath."""
    measure, loop, rng = MEASURES[key], compiled(key.partition(",")[0], single), np.random.default_rng(seed)
    each, worst = points // len(measure.where), Error(0.0, 0.0, ())
    for kind in measure.where:
        with np.errstate(all="ignore"):
            arguments = [p(rng, each).astype(np.float32 if single else np.float64) for p in kind]
            found = loop(*arguments)
            like = measure.like(*(a.astype(np.float64) for a in arguments)).astype(LONG)
            usual = np.isfinite(like.astype(found.dtype)) & (np.abs(like) >= np.finfo(found.dtype).tiny)
            rough = np.where(usual, in_ulp(found, like, measure.floor), 0)
        places = np.union1d(np.argsort(-rough)[:checked], rng.choice(np.flatnonzero(usual), checked))
        places = places[usual[places]]
        with mpmath.workdps(40):
            exact = [mpmath.mpf(measure.exactly(*(mpmath.mpf(float(a[i])) for a in arguments))) for i in places]
            truth = np.array([LONG(mpmath.nstr(v, 25)) for v in exact])
        ulp = in_ulp(found[places], truth, measure.floor)
        k = int(np.argmax(ulp))
        absolute = float(np.abs(found[places] - truth).max())
        here = Error(float(ulp[k]), absolute, tuple(float(a[places[k]]) for a in arguments))
        worst = max(worst, here, key=lambda e: e.ulp)
    return worst


def main() -> None:
    sys.stdout.write("                     ulp  single     ns  single   largest absolute error, worst point\n")
    for key in sys.argv[1:] or MEASURES:
        rng = np.random.default_rng(1)
        typical = [rng.permutation(p(rng, 4096)) for p in MEASURES[key].typical]
        cost, costs = (compiled(key.partition(",")[0], single).nanoseconds(*typical) for single in (False, True))
        worst, rounded = error(key, 1_000_000, 1000), error(key, 200_000, 100, single=True)
        at = ", ".join(f"{x:.6g}" for x in worst.at)
        sys.stdout.write(f"{key:16s} {worst.ulp:7.2f} {rounded.ulp:7.2f} {cost:6.2f} {costs:7.2f}   {worst.absolute:.1e} {at}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
