"""`scan`: a step that a program repeats, recorded once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from .errors import PpgenError, ProgramError, RecordingError
from .loops import Scan
from .straightline import Graph, Node, cut
from .tape import Steered, Tape, Watch, current_tape, users_line

__all__ = ["scan"]

Step = Callable[[Any, Any], Any]


def scan(step: Step, carry: Any, xs: Any = None, *, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """Repeat `carry, y = step(carry, x)` over the leading dimension of xs -> the last carry, the ys stacked.

        def step(variance, shock):
            variance = alpha0 + alpha1 * shock**2 + beta1 * variance
            return variance, variance

        _, variances = scan(step, variance, y - mu)     # (T,), of the times after the first

    carry     tensors (numbers become tensors) in tuples, lists and dicts as deep as one likes; its structure, shapes and dtypes stay
              the same from step to step, but a shape that the first step broadcasts may grow
    xs        tensors (length, *shape), likewise nested; None: every step sees None
    length    needed where xs is None
    reverse   from the last element to the first; ys[t] still belongs to xs[t]

    To Pyro this is a Python loop. A recording holds the step once, so a program compiles in a time that does not depend on `length`.
    The step may use whatever stands around it but must not count its own calls or write to tensors from outside; sites stand outside:
    sample innovations in a plate or as a vector and give them as xs, return what observed sites need and observe it after the scan.
    Raises ProgramError: a site in the step, xs of unequal lengths, a carry that changes its structure, shape or dtype.
    """
    leaves, of_carry = _taken_apart(carry)
    carries = [_tensor(c) for c in leaves]
    columns, of_x = _taken_apart(xs)
    loop = _Loop(step, of_carry, of_x, _length(columns, length), reverse)
    with _NoSites():
        tape = current_tape()
        if tape is not None and torch._C._functorch.peek_interpreter_stack() is None:  # under somebody's vmap a step is no graph
            try:
                return loop.recorded(tape, carries, columns)
            except (PpgenError, Steered):  # what cannot be one step may still be many
                pass
        return loop.unrolled(carries, columns)


def _length(columns: Sequence[Any], length: int | None) -> int:
    """Steps; the same for all."""
    for x in columns:
        if not isinstance(x, Tensor) or not x.dim():
            raise ProgramError(f"scan goes over the leading dimension of tensors; among xs is {x!r}: {users_line()}")
    lengths = {len(x) for x in columns} | ({length} if length is not None else set())
    if len(lengths) != 1 or min(lengths) < 1:
        found = ", ".join(map(str, sorted(lengths))) or "neither xs nor length"
        raise ProgramError(f"scan takes xs of one length, of at least one step; got {found}: {users_line()}")
    return lengths.pop()


class _NoSites(Messenger):
    """A site in a step would be recorded once for all steps."""

    def _pyro_sample(self, msg: Any) -> None:
        if not isinstance(msg["fn"], _Subsample):
            raise ProgramError(
                f"site {msg['name']!r} stands inside a step of scan: sample before it and give the values as xs, or return what the site "
                "needs and observe it after the scan"
            )


class _Structure(NamedTuple):
    """Of nested tuples, lists and dicts; None may stand in the place of a tensor."""

    spec: TreeSpec
    present: tuple[bool, ...]

    def filled(self, leaves: Iterable[Any]) -> Any:
        if self is ONE:
            return next(iter(leaves))
        given = iter(leaves)
        return tree_unflatten([next(given) if p else None for p in self.present], self.spec)


ONE = _Structure(tree_flatten(0)[1], (True,))


def _taken_apart(x: Any) -> tuple[list[Any], _Structure]:
    if isinstance(x, Tensor):  # by far the most usual, and this is called once or twice a step
        return [x], ONE
    leaves, spec = tree_flatten(x)
    return [leaf for leaf in leaves if leaf is not None], _Structure(spec, tuple(leaf is not None for leaf in leaves))


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.as_tensor(x)


class _Loop:
    """One call of `scan`."""

    def __init__(self, step: Step, of_carry: _Structure, of_x: _Structure, length: int, reverse: bool):
        self.step, self.of_carry, self.of_x, self.length, self.reverse = step, of_carry, of_x, length, reverse

    def unrolled(self, carries: list[Tensor], columns: Sequence[Tensor]) -> tuple[Any, Any]:
        """A plain loop."""
        ys: list[list[Tensor]] = []
        rows = [x.unbind() for x in columns]
        times = reversed(range(self.length)) if self.reverse else range(self.length)
        for t in times:
            before = carries
            carries, y, of_y = self._once(carries, [row[t] for row in rows])
            self._must_fit(before, carries, grown=not ys)
            ys.append(y)
        order = ys[::-1] if self.reverse else ys
        stacked = [torch.stack(column) for column in zip(*order, strict=True)]
        return self.of_carry.filled(carries), of_y.filled(stacked)

    def _once(self, carries: Sequence[Tensor], x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], _Structure]:
        """One step -> carries, ys, the structure of the ys."""
        result = self.step(self.of_carry.filled(carries), self.of_x.filled(x))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ProgramError(f"a step of scan returns (carry, y), y may be None; got {type(result).__name__}: {users_line()}")
        leaves, of_carry = _taken_apart(result[0])
        if of_carry != self.of_carry:
            raise ProgramError(
                f"a step of scan returns a carry of another structure than it takes: {of_carry.spec} from {self.of_carry.spec}"
            )
        ys, of_y = _taken_apart(result[1])
        return [_tensor(c) for c in leaves], [_tensor(y) for y in ys], of_y

    def _must_fit(self, before: Sequence[Tensor], after: Sequence[Tensor], *, grown: bool) -> None:
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            if a.shape == b.shape and a.dtype == b.dtype:
                continue
            if a.dtype != b.dtype or not (grown and _broadcasts(a.shape, b.shape)):
                raise ProgramError(
                    f"carry {i} of scan changes from {tuple(a.shape)} of {a.dtype} to {tuple(b.shape)} of {b.dtype} in a step; give it the "
                    "shape and dtype that it keeps"
                )

    def recorded(self, tape: Tape, carries: list[Tensor], columns: Sequence[Tensor]) -> tuple[Any, Any]:
        """One operation of the tape: the step, recorded at the first element, in a loop. Raises what stands in the way."""
        traced = _Traced(self, tape, carries, columns)
        wide = [torch.broadcast_to(c, o.shape) if c.shape != o.shape else c for c, o in zip(carries, traced.outputs, strict=False)]
        if any(a.shape != b.shape for a, b in zip(carries, wide, strict=True)):
            traced = _Traced(self, tape, wide, columns)
        scan = Scan(traced.graph, len(wide), len(columns), self.length, self.reverse)
        groups = (wide, list(columns), traced.captured)
        with _disable_current_modes():
            outputs = scan.run(*groups)
        tape.call(scan, groups, outputs)
        last = [scan.last(p) for p in outputs[: len(wide)]]
        return self.of_carry.filled(last), traced.of_y.filled(outputs[len(wide) :])


def _broadcasts(shape: torch.Size, wider: torch.Size) -> bool:
    return len(shape) <= len(wider) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(wider), strict=False))


class _Traced:
    """A step as a graph.

    captured   what the step uses of the tape around it, in the order of the graph's last inputs
    outputs    of the step at its first element, carries before ys
    """

    def __init__(self, loop: _Loop, tape: Tape, carries: Sequence[Tensor], columns: Sequence[Tensor]):
        inner = _StepTape(tape)
        with _disable_current_modes():
            first = [(x[-1] if loop.reverse else x[0]).detach().clone() for x in columns]
            begin = [c.detach().clone() for c in carries]
            for name, outside, inside in zip("cx", (carries, columns), (begin, first), strict=True):
                for k, (t, copy) in enumerate(zip(outside, inside, strict=True)):
                    inner.stands_for(t, copy, f"{name}{k}")
            with Watch(inner), inner:
                after, ys, self.of_y = loop._once(begin, first)
            loop._must_fit(carries, after, grown=True)
            self.outputs = [*after, *ys]
            nodes = [inner.node(t) for t in self.outputs]
        self.captured = inner.captured
        self.graph: Graph = cut(inner, [*inner.inputs.values()], nodes)


class _StepTape(Tape):
    """Records a step inside a program that another tape records: what is live there is an input here."""

    def __init__(self, outer: Tape):
        super().__init__()
        self.outer = outer
        self.captured: list[Tensor] = []
        self._outside: dict[str, Tensor] = {}  # input -> the tensor of the outer tape that it stands for

    def stands_for(self, outside: Tensor, inside: Tensor, name: str) -> Node:
        self._outside[name] = outside
        return self.input(inside, name)

    def live(self, t: Tensor) -> bool:
        return super().live(t) or self.outer.live(t)

    def node(self, t: Tensor) -> Node:
        if super().live(t) or not self.outer.live(t):
            return super().node(t)
        self.captured.append(t)
        return self.stands_for(t, t, f"fixed{len(self.captured)}")

    def _sources(self, tensors: list[Tensor]) -> set[str]:
        inner = super()._sources([t for t in tensors if super(_StepTape, self).live(t)])
        outside = [self._outside[n] for n in inner] + [t for t in tensors if not super(_StepTape, self).live(t)]
        return self.outer._sources(outside)

    def _write(self, func: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        target = kwargs.get("out", args[0])
        if isinstance(target, Tensor) and self.outer.live(target):
            raise RecordingError(f"a step of scan writes to a tensor from outside of it: {users_line()}")
        return super()._write(func, args, kwargs)
