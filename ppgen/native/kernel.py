"""A graph as machine code: translated, compiled and loaded once, bound to data, and called from Python or by its address."""

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from ..straightline import Graph
from . import ir, llvm, passes
from .cache import object_code
from .machine import Code
from .placement import Piece
from .translate import Translation, translate

__all__ = ["BoundKernel", "Kernel"]

LINE = 64  # bytes of a cache line: buffers begin at one, so that no vector lies across two

# The program at `count` points one after the other: x and out move on by so many bytes, all else stays.
ROWS = """\
define void @rows(ptr %f, i64 %count, i64 %next.x, i64 %next.out, ptr %x, ptr %n, ptr %c, ptr %k, ptr %w, ptr %m, ptr %out) nounwind {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %row, label %end
row:
  %i = phi i64 [ 0, %entry ], [ %j, %row ]
  %from = mul i64 %i, %next.x
  %to = mul i64 %i, %next.out
  %x.i = getelementptr i8, ptr %x, i64 %from
  %out.i = getelementptr i8, ptr %out, i64 %to
  call void %f(ptr %x.i, ptr %n, ptr %c, ptr %k, ptr %w, ptr %m, ptr %out.i)
  %j = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %j, %count
  br i1 %more, label %row, label %end
end:
  ret void
}
"""
NUMBER, POINTER = ctypes.c_int64, ctypes.c_void_p
Function = ctypes.CFUNCTYPE(None, *[POINTER] * len(ir.BUFFERS))  # lets go of the GIL while it runs
Rows = ctypes.CFUNCTYPE(None, POINTER, NUMBER, NUMBER, NUMBER, *[POINTER] * len(ir.BUFFERS))


class Kernel:
    """void f(const T *x, const int64 *n, const T *c, const int64 *k, T *w, int64 *m, T *out), for one graph of one shape.

    dtype     T: float64 or float32
    text      the program as Python
    llvm      the same as LLVM IR
    seconds   translate, passes, emit, compile, load; compile is the time to read where the object code was cached
    cached    whether it was
    address   of f; the code lives as long as the kernel or anything that was bound to it

    Raises LoweringError: an operation that has no translation, by its name.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype):
        self.dtype = dtype
        self.seconds: dict[str, float] = {}
        with self._timed("translate"):
            self.translation: Translation = translate(graph, dtype)
        with self._timed("passes"):
            self.program = passes.optimised(self.translation.program)
        with self._timed("emit"):
            self.llvm = llvm.function(self.program)
        with self._timed("compile"):
            objects, self.cached = object_code(self.llvm)
        with self._timed("load"):
            self.code = Code(objects, (self.program.name,))
        self.address = self.code.addresses[self.program.name]
        self.call = Function(self.address)
        self.handed, self.fast = [n.name or str(n.target) for n in graph.handed], [n.name or "input" for n in graph.fast]
        self.types = {b: torch.int64 if kind == "i" else dtype for b, kind in ir.BUFFERS.items()}
        self.inputs = {b: [(i, g.view) for i, g in enumerate(self.translation.inputs) if g.view.buffer == b] for b in ("x", "n")}
        self.outputs = self.translation.outputs

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - begin

    @property
    def text(self) -> str:
        return ir.text(self.program)

    def bind(self, prepared: Sequence[Tensor]) -> "BoundKernel":
        """With what `Graph.prepare` handed over, which is copied.

        Raises DataError: a whole number that is used as an index and is out of range.
        """
        for source, length in self.translation.indices:
            check_index(prepared[source], length, self.handed[source])
        return BoundKernel(self, *(self._packed(buffer, prepared) for buffer in ("c", "k")))

    def _packed(self, buffer: str, prepared: Sequence[Tensor]) -> Tensor:
        """Constants and handed values as a buffer."""
        pieces = [p for p in self.translation.pieces if p.buffer == buffer]
        if all(isinstance(p.source, Tensor) for p in pieces):
            return self._constant[buffer]
        return self._filled(buffer, pieces, prepared)

    @cached_property
    def _constant(self) -> dict[str, Tensor]:
        """Buffers without handed values: the same whatever the kernel is bound to."""
        pieces = {b: [p for p in self.translation.pieces if p.buffer == b] for b in ("c", "k")}
        return {b: self._filled(b, ps, ()) for b, ps in pieces.items() if all(isinstance(p.source, Tensor) for p in ps)}

    def _filled(self, buffer: str, pieces: Sequence[Piece], prepared: Sequence[Tensor]) -> Tensor:
        out = self.empty(buffer)
        for _, offset, size, source in pieces:
            value = prepared[source] if isinstance(source, int) else source
            out[offset : offset + size] = value.detach().reshape(-1)
        return out

    def empty(self, buffer: str) -> Tensor:
        """Memory for a buffer, with nothing in it yet."""
        dtype, size = self.types[buffer], self.program.sizes.get(buffer, 0)
        spare = LINE // dtype.itemsize
        memory = torch.empty(size + spare, dtype=dtype)
        start = -(memory.data_ptr() // dtype.itemsize) % spare
        return memory[start : start + size]


class _Workspace:
    """w and m of one call at a time."""

    def __init__(self, kernel: Kernel):
        self.w, self.m = kernel.empty("w"), kernel.empty("m")
        self.pointers = (self.w.data_ptr(), self.m.data_ptr())


class BoundKernel:
    """Machine code with its constants and data. Any number of threads may call.

    address, pointers   of the code; of n (none: 0), c and k, which live as long as this object

    Besides the code itself, which runs without the GIL, a call costs 7 us, and `over` 5 us.
    """

    def __init__(self, kernel: Kernel, c: Tensor, k: Tensor):
        self.kernel, self._constants = kernel, (c, k)
        self.address = kernel.address
        self.pointers = (0, c.data_ptr(), k.data_ptr())
        self._idle: list[_Workspace] = []  # those that no call is using

    def workspace(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """w and m, fresh: for whoever calls the address, a pair for each thread, to be kept alive while it does."""
        return self.kernel.empty("w").numpy(), self.kernel.empty("m").numpy()

    def __call__(self, fast: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The graph's outputs at its fast inputs, on the CPU. Raises DataError: an input of another shape."""
        kernel = self.kernel
        x, n = self._placed("x", fast), self._placed("n", fast)
        out = torch.empty(kernel.program.sizes["out"], dtype=kernel.dtype)
        work = self._work()
        kernel.call(x.data_ptr(), n.data_ptr(), *self.pointers[1:], *work.pointers, out.data_ptr())
        self._idle.append(work)
        return tuple(out.as_strided(v.shape, v.strides, v.offset).to(dtype) for v, dtype in kernel.outputs)

    def over(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of a density with its gradient: positions (chains, dim) -> values (chains,), gradients (chains, dim), views of one
        tensor. Raises DataError: a position of another size."""
        kernel = self.kernel
        dim, width = kernel.program.sizes["x"], kernel.dtype.itemsize
        if positions.dim() != 2 or positions.shape[1] != dim:
            raise DataError(f"positions must be (chains, {dim}), got {tuple(positions.shape)}")
        positions, count = plain(positions, kernel.dtype), len(positions)
        out = torch.empty(count, 1 + dim, dtype=kernel.dtype)
        work = self._work()
        steps = dim * width, (1 + dim) * width
        _rows()(self.address, count, *steps, positions.data_ptr(), *self.pointers, *work.pointers, out.data_ptr())
        self._idle.append(work)
        return out.select(1, 0), out.narrow(1, 1, dim)

    def _work(self) -> _Workspace:
        """A workspace that no other thread has; to be put back."""
        try:
            return self._idle.pop()
        except IndexError:
            return _Workspace(self.kernel)

    def _placed(self, buffer: str, fast: Sequence[Tensor]) -> Tensor:
        """The fast inputs that a buffer holds."""
        given, dtype = self.kernel.inputs[buffer], self.kernel.types[buffer]
        for i, view in given:
            if fast[i].shape != view.shape:
                raise DataError(f"{self.kernel.fast[i]} must be {view.shape}, got {tuple(fast[i].shape)}")
        if len(given) == 1:
            return plain(fast[given[0][0]], dtype)
        out = torch.empty(self.kernel.program.sizes[buffer], dtype=dtype)
        for i, view in given:
            out[view.offset : view.offset + view.size] = fast[i].detach().reshape(-1)
        return out


def plain(t: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor as code can read it: its elements of that dtype, one after the other."""
    if t.dtype == dtype and t.is_contiguous() and t.is_cpu:
        return t
    return t.detach().to("cpu", dtype).contiguous()


def check_index(index: Tensor, length: int, name: str) -> None:
    wrong = (index < -length) | (index >= length)
    if wrong.any():
        where = wrong.nonzero()[0].tolist()
        raise DataError(f"{name}{where} is {int(index[tuple(where)])}, but it indexes {length} elements")


@cache
def _rows() -> Any:
    """ROWS as a function of ctypes."""
    code = Code(object_code(ROWS)[0], ("rows",))
    function = Rows(code.addresses["rows"])
    function.code = code  # type: ignore[attr-defined]  # kept alive
    return function
