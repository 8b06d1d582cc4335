"""How compiled Python calls machine code: by its address, over memory by its address.

Numba functions take addresses as whole numbers. So one compiled function, cached on disk, serves every program; an array
made from an address owns nothing, so nobody counts references to it (an array among a generator's variables costs 70 ns at
every step); and whoever made the memory must keep it alive until the call returns.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from llvmlite import ir
from numba import from_dtype, njit, types
from numba.core import cgutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.extending import intrinsic
from numba.np import arrayobj

from ..errors import PpgenWarning

__all__ = ["HOW", "call", "compiled", "doubles", "floats", "integers", "matrix", "record", "vector"]

# How samplers are compiled: sums may be reordered, nan and inf stay what they are; a division by zero is one of them
HOW: Mapping[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc", "arcp"}}


def _call(context: Any, code: Any, x: Any, n: Any, c: Any, k: Any, w: Any, m: Any, out: Any) -> Any:
    """Machine code `void f(const T *x, const i64 *n, const T *c, const i64 *k, T *w, i64 *m, T *out)`; all by address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte] * 7).as_pointer()
        code, *given = arguments
        builder.call(builder.inttoptr(code, kind), [builder.inttoptr(a, byte) for a in given])
        return context.get_dummy_value()

    return types.none(*[types.int64] * 8), generate


call: Any = intrinsic(_call)


def _pointer(kind: Any) -> Any:
    """pointer(address), to be indexed."""

    def pointer(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return intrinsic(pointer)


doubles, floats, integers = _pointer(types.float64), _pointer(types.float32), _pointer(types.int64)


def _array(dimensions: int) -> Any:
    """array(address, (length, ...)) of float64 that owns nothing; Numba's carray without its checks, which take 3 s to compile."""

    def array(context: Any, address: Any, shape: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = signature.return_type
            made = arrayobj.make_array(kind)(context, builder)
            lengths = cgutils.unpack_tuple(builder, arguments[1])
            size = context.get_constant(types.intp, 8)
            strides = [size] if dimensions == 1 else [builder.mul(lengths[1], size), size]
            data = builder.inttoptr(arguments[0], context.get_data_type(kind.dtype).as_pointer())
            arrayobj.populate_array(made, data, lengths, strides, size, meminfo=None)
            return made._getvalue()

        return types.Array(types.float64, dimensions, "C")(types.int64, types.UniTuple(types.intp, dimensions)), generate

    return intrinsic(array)


vector, matrix = _array(1), _array(2)


def record(layout: Any) -> Any:
    """record(address), a structure whose fields have names; layout: its NumPy dtype."""

    def at(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return from_dtype(layout)(types.int64), generate

    return intrinsic(at)


# Numba's cache on disk


def compiled(*sources: ModuleType) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: compiled as HOW says, and kept on disk.

    sources   modules whose compiled functions are called: Numba's own cache sees edits of the decorated function's file alone,
              and would go on using what it made of theirs
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = njit(**HOW)(function)
        files = [Path(function.__code__.co_filename), *(Path(str(m.__file__)) for m in sources)]
        with suppress(RuntimeError):  # no folder that can be written to: every process compiles anew
            dispatcher._cache = _Cache(function, files)
        return dispatcher

    return decorate


class _Locator:
    """Numba's place for a function's compiled code; what it was made of are several files."""

    def __init__(self, place: Any, files: list[Path]):
        self._place, self._files = place, files

    def get_source_stamp(self) -> str:
        return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in self._files)).hexdigest()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._place, name)


class _Cache(FunctionCache):
    """Of one function. An entry that cannot be read is made anew; a disk that is full costs the next process a compile, no more."""

    def __init__(self, function: Callable[..., Any], files: list[Path]):
        self._files = files
        super().__init__(function)

    def _impl_class(self, function: Callable[..., Any]) -> CompileResultCacheImpl:  # type: ignore[override]
        implementation = CompileResultCacheImpl(function)
        implementation._locator = _Locator(implementation.locator, self._files)
        return implementation

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception:  # noqa: BLE001 -- whatever Numba's reader raises at an entry half written, or of another version of this package
            self.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            super().save_overload(signature, data)
        except OSError as error:
            warnings.warn(f"what Numba compiled could not be kept, the next run compiles it again: {error}", PpgenWarning, stacklevel=2)
