"""Loops in a graph: `Scan`, an operation that repeats one step, and how it is run, batched and differentiated.

The reverse of a loop is a loop. distribution.py takes both apart while they are recorded, so that only what truly goes from one
step to the next is left in them.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._python_dispatch import _disable_current_modes

from .simplify import simplify
from .straightline import Composite, Graph, cut
from .tape import Tape, current_tape

__all__ = ["Scan", "graph_of", "repeat"]

Flags = tuple[bool, ...]
LARGEST = 2**24  # elements that one value of all steps may have


class Scan(Composite):
    """path[0] = initial; path[t + 1], y[t] = step(path[t], x[t], fixed) for t = 0, ..., length - 1.

    step       (*carries, *elements of the xs, *fixed) -> (*carries, *ys, *terms)
    carries    how many there are; elements: how many xs; sums: how many terms, which are not kept but added up
    reverse    from the last element to the first: path[length] = initial; path[t], y[t] = step(path[t + 1], x[t], fixed)

    Called with three lists: initial carries, xs (length, *shape), fixed values. Gives the paths, (length + 1, *shape), then the ys,
    (length, *shape), then the sums, (*shape).
    """

    __name__ = "scan"

    def __init__(self, step: Graph, carries: int, elements: int, length: int, reverse: bool = False, sums: int = 0):
        self.step, self.carries, self.elements, self.sums = step, carries, elements, sums
        self.length, self.reverse = length, reverse
        self._batched: dict[Any, Scan] = {}
        self._adjoints: dict[Any, Scan] = {}

    @property
    def ys(self) -> int:
        return len(self.step.outputs) - self.carries - self.sums

    def with_step(self, step: Graph) -> "Scan":
        return Scan(step, self.carries, self.elements, self.length, self.reverse, self.sums)

    def is_large(self, value: Tensor) -> bool:
        """Would one such value for every step take much memory?"""
        return self.length * value.numel() > LARGEST

    def retyped(self, old: torch.dtype, new: torch.dtype) -> "Scan":
        return self.with_step(cut(self.step, self.step.inputs, self.step.outputs, retype=(old, new)))

    def constants(self) -> list[Tensor]:
        return self.step.constants()

    @cached_property
    def _text(self) -> str:
        return self.step.text().replace("\n", "\n    ")

    def __str__(self) -> str:
        how = "reversed " if self.reverse else ""
        counts = f"{self.carries} carries, {self.elements} elements, {self.sums} sums"
        return f"scan of {self.length} {how}steps with {counts}\n    {self._text}\n"

    def __call__(self, initial: Sequence[Tensor], xs: Sequence[Tensor], fixed: Sequence[Tensor]) -> list[Tensor]:
        from .distribution import distributed  # it makes scans of its own

        return distributed(self, initial, xs, fixed)

    def run(self, initial: Sequence[Tensor], xs: Sequence[Tensor], fixed: Sequence[Tensor]) -> list[Tensor]:
        """By torch, one step after the other."""
        paths = [[c] for c in initial]
        ys: list[list[Tensor]] = [[] for _ in range(self.ys)]
        rows: Any = list(zip(*[x.unbind(0) for x in xs], strict=True)) if xs else [()] * self.length
        carries, step, kept = tuple(initial), self.step, self.carries + self.ys
        sums: list[Tensor] = []
        for row in reversed(rows) if self.reverse else rows:
            results = step(*carries, *row, *fixed)
            carries = results[: self.carries]
            for into, result in zip((*paths, *ys), results, strict=False):
                into.append(result)
            if self.sums:
                sums = [a + b for a, b in zip(sums, results[kept:], strict=True)] if sums else list(results[kept:])
        columns = [c[::-1] for c in (*paths, *ys)] if self.reverse else [*paths, *ys]
        return [*map(torch.stack, columns), *sums]

    # Which end of a path is which

    def before(self, path: Tensor) -> Tensor:
        """What each step begins with, (length, *shape)."""
        return path[1:] if self.reverse else path[:-1]

    def after(self, path: Tensor) -> Tensor:
        """What each step ends with, (length, *shape)."""
        return path[:-1] if self.reverse else path[1:]

    def first(self, path: Tensor) -> Tensor:
        return path[self.length if self.reverse else 0]

    def last(self, path: Tensor) -> Tensor:
        return path[0 if self.reverse else self.length]

    # Other scans from this one

    def batched(self, flags: Flags, size: int) -> "Scan":
        """Over a leading dimension of the arguments that are flagged, `size` long; all carries have it."""
        if (flags, size) not in self._batched:
            values = [n.value for n in self.step.inputs]
            examples = [v.expand(size, *v.shape) if flag else v for v, flag in zip(values, flags, strict=True)]
            step = graph_of(vmap(self.step.__call__, in_dims=tuple(0 if f else None for f in flags)), examples)
            self._batched[flags, size] = self.with_step(step)
        return self._batched[flags, size]

    def adjoint(self, wanted: Flags, on_paths: Flags, on_ys: Flags) -> "Scan":
        """The loop that goes back. Carries: the gradient of each carry. Elements: the carries before each step, the xs, and the
        gradients that come from outside, of paths and ys. Its ys: gradients of the xs and fixed values that are wanted, those of
        fixed values one for each step; those of large ones are its sums.

        wanted    of xs and fixed values; on_paths, on_ys: those that have a gradient from outside
        """
        key = (wanted, on_paths, on_ys)
        if key not in self._adjoints:
            self._adjoints[key] = self._adjoint(*key)
        return self._adjoints[key]

    def _adjoint(self, wanted: Flags, on_paths: Flags, on_ys: Flags) -> "Scan":
        c, e = self.carries, self.elements
        values = [n.value for n in self.step.inputs]
        outer = [*_chosen(values[:c], on_paths), *_chosen([n.value for n in self.step.outputs[c:]], on_ys)]
        examples = [*values[:c], *values[: c + e], *outer, *values[c + e :]]
        elements = c + e + len(outer)
        large = self.large(wanted)
        order = [i for i, is_large in enumerate(large) if not is_large] + [i for i, is_large in enumerate(large) if is_large]

        def back(*arguments: Tensor) -> list[Tensor]:
            later, rest = arguments[:c], arguments[c:]
            inner, outer, fixed = rest[: c + e], list(rest[c + e : elements]), rest[elements:]
            from_path = [outer.pop(0) if given else None for given in on_paths]
            with torch.enable_grad():
                at = [t.detach().requires_grad_() if t.is_floating_point() else t for t in (*inner, *fixed)]
                results = self.step(*at)
                full = _pulled_back([*results[:c], *_chosen(results[c:], on_ys)], [*later, *outer], [*at[:c], *_chosen(at[c:], wanted)])
            by_carries = [g if p is None else g + p for g, p in zip(full[:c], from_path, strict=True)]
            return [*by_carries, *(full[c + i] for i in order)]

        return Scan(graph_of(back, examples), c, elements, self.length, not self.reverse, sum(large))

    def large(self, wanted: Flags) -> list[bool]:
        """Of the wanted xs and fixed values: fixed ones of which a gradient for each step would take much memory."""
        inputs = _chosen(self.step.inputs[self.carries :], wanted)
        return [i >= sum(wanted[: self.elements]) and self.is_large(n.value) for i, n in enumerate(inputs)]


def _chosen(values: Sequence[Any], flags: Flags) -> list[Any]:
    return [v for v, flag in zip(values, flags, strict=True) if flag]


def _pulled_back(results: Sequence[Tensor], gradients: Sequence[Tensor], at: Sequence[Tensor]) -> list[Tensor]:
    """Gradients by `at`, zero where nothing depends on it. (With grad_outputs, autograd.grad would import sympy: two seconds.)"""
    products = [(r * g).sum() for r, g in zip(results, gradients, strict=True) if r.requires_grad]
    free = [t for t in at if t.requires_grad]
    found = iter(torch.autograd.grad(torch.stack(products).sum(), free, allow_unused=True) if products and free else ())
    grads = [next(found, None) if t.requires_grad else None for t in at]
    return [torch.zeros_like(t) if g is None else g for t, g in zip(at, grads, strict=True)]


def graph_of(f: Callable[..., Sequence[Tensor]], examples: Sequence[Tensor]) -> Graph:
    """A function as a graph, recorded at examples."""
    with _disable_current_modes():
        tape = Tape(differentiated=True)
        inputs = [e.detach().clone() for e in examples]
        given = [tape.input(t, f"x{i}") for i, t in enumerate(inputs)]
        with torch.no_grad(), tape:
            outputs = f(*inputs)
        return simplify(cut(tape, given, [tape.node(o) for o in outputs]))


def repeat(scan: Scan, initial: Sequence[Tensor], xs: Sequence[Tensor], fixed: Sequence[Tensor]) -> list[Tensor]:
    """A scan as it is, recorded as one node."""
    return list(_Repeat.apply(scan, *initial, *xs, *fixed))


class _Repeat(torch.autograd.Function):
    """What autograd and vmap see of a scan."""

    @staticmethod
    def forward(scan: Scan, *arguments: Tensor) -> tuple[Tensor, ...]:
        groups = _grouped(scan, arguments)
        tape = current_tape()
        with _disable_current_modes():
            outputs = scan.run(*groups)
        if tape is not None and any(tape.live(t) for t in arguments):
            tape.call(scan, groups, outputs)
        return tuple(outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        scan, *arguments = inputs
        ctx.scan = scan
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*arguments[scan.carries :], *output[: scan.carries])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        scan: Scan = ctx.scan
        c, e = scan.carries, scan.elements
        saved = list(ctx.saved_tensors)
        paths, xs, fixed = saved[len(saved) - c :], saved[:e], saved[e : len(saved) - c]
        wanted = tuple(ctx.needs_input_grad[1 + c :])
        of_paths, of_ys = gradients[:c], gradients[c:]
        adjoint = scan.adjoint(wanted, tuple(g is not None for g in of_paths), tuple(g is not None for g in of_ys))
        begin = [torch.zeros_like(scan.last(p)) if g is None else scan.last(g) for p, g in zip(paths, of_paths, strict=True)]
        outer = [*(scan.before(g) for g in of_paths if g is not None), *(g for g in of_ys if g is not None)]
        results = adjoint(begin, [*map(scan.before, paths), *xs, *outer], fixed)
        each, sums = iter(results[c : len(results) - adjoint.sums]), iter(results[len(results) - adjoint.sums :])
        found = iter([next(sums) if is_large else next(each) for is_large in scan.large(wanted)])
        by_xs = [next(found) if w else None for w in wanted[:e]]
        by_fixed = [_total(next(found), n.value) if w else None for n, w in zip(scan.step.inputs[c + e :], wanted[e:], strict=True)]
        return None, *(scan.first(p) for p in results[:c]), *by_xs, *by_fixed

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], scan: Scan, *arguments: Tensor) -> tuple[Any, Any]:
        size, dims = info.batch_size, in_dims[1:]
        flags = tuple(i < scan.carries or d is not None for i, d in enumerate(dims))
        moved = []
        for i, (t, d) in enumerate(zip(arguments, dims, strict=True)):
            timed = scan.carries <= i < scan.carries + scan.elements  # time stays in front
            if d is not None:
                moved.append(t.movedim(d, 1 if timed else 0))
            else:
                moved.append(t.expand(size, *t.shape) if i < scan.carries else t)
        outputs = repeat(scan.batched(flags, size), *_grouped(scan, moved))
        return tuple(outputs), (1,) * len(outputs)


def _total(gradient: Tensor, of: Tensor) -> Tensor:
    """The gradient of a fixed value, from that of each step unless it is summed."""
    return gradient.sum(0) if gradient.dim() > of.dim() else gradient


def _grouped(scan: Scan, arguments: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    c, e = scan.carries, scan.carries + scan.elements
    return list(arguments[:c]), list(arguments[c:e]), list(arguments[e:])
