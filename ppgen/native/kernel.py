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
        self.inputs = {b: [(i, g) for i, g in enumerate(self.translation.inputs) if g.view.buffer == b] for b in ("x", "n")}
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


class BoundKernel:
    """Machine code with its constants and data. Any number of threads may call.

    address, pointers   of the code; of n (none: 0), c and k, which live as long as this object
    """

    def __init__(self, kernel: Kernel, c: Tensor, k: Tensor):
        self.kernel, self._constants = kernel, (c, k)
        self.address = kernel.address
        self.pointers = (0, c.data_ptr(), k.data_ptr())
        self._idle: list[tuple[Tensor, Tensor]] = []  # workspaces that no call is using

    def workspace(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """w and m, fresh: for whoever calls the address, a pair for each thread, to be kept alive while it does."""
        return self.kernel.empty("w").numpy(), self.kernel.empty("m").numpy()

    def __call__(self, fast: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The graph's outputs at its fast inputs, on the CPU. Raises DataError: an input of another shape."""
        kernel = self.kernel
        x, n, out = self._placed("x", fast), self._placed("n", fast), kernel.empty("out")
        with self._working() as (w, m):
            kernel.call(x.data_ptr(), n.data_ptr(), *self.pointers[1:], w.data_ptr(), m.data_ptr(), out.data_ptr())
        return tuple(out.as_strided(o.view.shape, o.view.strides, out.storage_offset() + o.view.offset).to(o.dtype) for o in kernel.outputs)

    def over(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of a density with its gradient: positions (chains, dim) -> values (chains,), gradients (chains, dim), views of one
        tensor. Raises DataError: a position of another size."""
        kernel, dtype = self.kernel, self.kernel.dtype
        dim = kernel.program.sizes["x"]
        if positions.dim() != 2 or positions.shape[1] != dim:
            raise DataError(f"positions must be (chains, {dim}), got {tuple(positions.shape)}")
        positions = positions.detach().to("cpu", dtype).contiguous()
        out = torch.empty(len(positions), 1 + dim, dtype=dtype)
        width = dtype.itemsize
        with self._working() as (w, m):
            _rows()(
                self.address, len(positions), dim * width, (1 + dim) * width,
                positions.data_ptr(), *self.pointers, w.data_ptr(), m.data_ptr(), out.data_ptr(),
            )  # fmt: skip
        return out[:, 0], out[:, 1:]

    @contextmanager
    def _working(self) -> Iterator[tuple[Tensor, Tensor]]:
        """A workspace that no other thread has meanwhile."""
        try:
            pair = self._idle.pop()
        except IndexError:
            pair = self.kernel.empty("w"), self.kernel.empty("m")
        yield pair
        self._idle.append(pair)

    def _placed(self, buffer: str, fast: Sequence[Tensor]) -> Tensor:
        """The fast inputs that a buffer holds."""
        given = self.kernel.inputs[buffer]
        for i, g in given:
            if tuple(fast[i].shape) != g.view.shape:
                raise DataError(f"{self.kernel.fast[i]} must be {g.view.shape}, got {tuple(fast[i].shape)}")
        if len(given) == 1:
            return fast[given[0][0]].detach().to("cpu", self.kernel.types[buffer]).contiguous()
        out = self.kernel.empty(buffer)
        for i, g in given:
            out[g.view.offset : g.view.offset + g.view.size] = fast[i].detach().reshape(-1)
        return out


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
