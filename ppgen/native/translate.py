"""A recorded graph as loops.

    program, pieces, indices, inputs, outputs = translate(graph, torch.float64)

Every operation of the graph has a rule, found by its name: elementwise ones are formulas (pointwise.py), the others say which
elements go where (movement.py, indexing.py, sorting.py), what is summed (reductions.py), which loops of linear algebra run (linear.py),
what is repeated (looping.py) and which paths of a chain are summed over (paths.py).
placement.py decides what is fused.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import LoweringError
from ..loops import Scan
from ..paths import PathSum
from ..straightline import Graph, Node, collector_paused, identity, item, mapped
from . import indexing, linear, looping, movement, paths, reductions, sorting
from .ir import Program, View
from .placement import Checked, Nests, Piece, Ref, kind_of
from .pointwise import FORMULAS
from .reductions import Rule

__all__ = ["Checked", "Given", "Piece", "Translation", "translate"]

REALS = {torch.float64: False, torch.float32: True}  # dtypes of programs; is it single precision?


class Given(NamedTuple):
    """An input or an output: where it stands, contiguous, and the dtype that torch gives it."""

    view: View
    dtype: torch.dtype


class Translation(NamedTuple):
    """A program and what it needs around it.

    pieces    what is laid into c and k when it is bound
    indices   handed whole numbers that must be checked then
    inputs    the graph's fast inputs in x and n; outputs in `out`
    """

    program: Program
    pieces: tuple[Piece, ...]
    indices: tuple[Checked, ...]
    inputs: tuple[Given, ...]
    outputs: tuple[Given, ...]


@collector_paused()
def translate(graph: Graph, dtype: torch.dtype) -> Translation:
    """A graph whose reals are of one dtype, float64 or float32, as a program.

    Raises LoweringError: an operation without a rule, or one that its rule refuses; the message names it.
    """
    if dtype not in REALS:
        raise LoweringError(f"programs compute in float64 or float32, not in {dtype}")
    return _Translator(dtype, Nests()).whole(graph)


def _literal_of(t: Tensor) -> float | int | bool | None:
    """The number that a constant is full of, if it is."""
    if not t.numel() or t.is_complex():
        return None
    first = t[(0,) * t.dim()]
    uniform = t.numel() == 1 or bool((t == first).all()) or bool(t.isnan().all())
    number: float | int | bool = first.item()
    return number if uniform else None


class _Translator:
    """One pass over nodes in order, into nests.

    known    id of a node -> its tensor, or what its outputs are
    """

    def __init__(self, dtype: torch.dtype, nests: Nests, known: dict[int, Any] | None = None):
        self.dtype, self.nests, self.known = dtype, nests, known or {}
        self.storages: dict[Any, Ref] = {}  # of constants

    def whole(self, graph: Graph) -> Translation:
        nests = self.nests
        inputs = tuple(self._input(n) for n in graph.fast)
        for i, node in enumerate(graph.handed):
            self._handed(i, node)
        results = [nests.result(tuple(n.value.shape)) for n in graph.outputs]
        self.run(graph.body, {id(n): r for n, r in zip(graph.outputs, results, strict=True)})
        outputs = tuple(self._output(n, r) for n, r in zip(graph.outputs, results, strict=True))
        program = Program(nests.body(), nests.sizes, single=REALS[self.dtype])
        return Translation(program, tuple(nests.pieces), tuple(nests.checked), inputs, outputs)

    def run(self, nodes: Sequence[Node], destinations: Mapping[int, Ref] = {}) -> None:
        """Operations in order; destinations: by the id of a node, where its result may be left."""
        for node in nodes:
            self.nests.destination = destinations.get(id(node))
            self.known[id(node)] = self._node(node)
        self.nests.destination = None

    def _repeated(self, scan: Scan, groups: Sequence[Sequence[Ref]]) -> list[Ref]:
        def step(nests: Nests, inputs: Sequence[Ref]) -> list[Ref]:
            inner = _Translator(self.dtype, nests, {id(n): r for n, r in zip(scan.step.inputs, inputs, strict=True)})
            inner.run([n for n in scan.step.nodes if n.constant is None])
            return [inner._ref(n) for n in scan.step.outputs]

        return looping.repeated(self.nests, scan, step, *groups)

    # What is there before the first operation

    def _input(self, node: Node) -> Given:
        _refuse_complex(node.value)
        buffer = "n" if kind_of(node.value.dtype) == "i" else "x"
        ref = self.known[id(node)] = self.nests.given(buffer, node.value)
        return Given(View(buffer, ref.shape, ref.strides, ref.base.offset), node.value.dtype)

    def _handed(self, number: int, node: Node) -> None:
        """A view of another handed value is one here too: memory is walked once for both."""
        if isinstance(node.value, Tensor):
            _refuse_complex(node.value)
            self.known[id(node)] = self._view(node) or self.nests.laid(number, node.value)

    def _view(self, node: Node) -> Ref | None:
        """A handed value as a view of another one, where it is."""
        source = self.known.get(id(node.args[0])) if node.args else None
        if source is None or _name(node.target) not in movement.VIEWS:
            return None
        return movement.strided(source, lambda t: node.target(t, *node.args[1:], **node.kwargs))

    def _constant(self, t: Tensor) -> Ref:
        _refuse_complex(t)
        if (number := _literal_of(t)) is not None:
            return self.nests.literal(number, tuple(t.shape), kind_of(t.dtype))
        size = t.untyped_storage().nbytes() // t.element_size()
        if size > 2 * t.numel():  # a small part of something large
            return self.nests.laid(t, t)
        flat = t.as_strided((size,), (1,), 0)  # laid once for all constants that are views of the same memory
        whole = self.storages.setdefault((t.untyped_storage()._cdata, t.dtype), self.nests.laid(flat, flat))
        return Ref(whole.base, tuple(t.shape), t.stride(), int(t.storage_offset()))

    # Operations

    def _ref(self, node: Node) -> Any:
        """The tensor of a node."""
        ref = self.known.get(id(node))
        if ref is None:
            if node.constant is None:
                raise LoweringError(f"{node.target} gives no tensor")
            ref = self.known[id(node)] = self._constant(node.constant)
        return ref

    def _node(self, node: Node) -> Any:
        if node.target is item:
            out = self.known[id(node.args[0])][node.args[1]]
            return out if isinstance(out, Ref) else out()
        if node.target is identity:
            return self._ref(node.args[0])
        if node.random:
            raise LoweringError(f"{node.target} draws random numbers")
        args, settings = mapped([*node.args], Node, self._ref), mapped(dict(node.kwargs), Node, self._ref)
        if isinstance(node.target, Scan):
            return self._repeated(node.target, args)
        if isinstance(node.target, PathSum):
            return paths.path_sum(self.nests, args[0], args[1], node.target.marginals, REALS[self.dtype])
        try:
            self._refuse(node)
            name = _name(node.target)
            if name in movement.LAYOUT:
                args[0] = movement.laid_out(self.nests, args[0], node.args[0].value)
            out = self._result(name, node.value, args, settings)
        except (LoweringError, TypeError) as error:  # TypeError: an argument that the rule does not know
            raise LoweringError(f"{node.target}: {error}") from error
        if isinstance(out, Ref) and out.shape != tuple(node.value.shape):
            raise LoweringError(f"{node.target}: shape {out.shape} where torch has {tuple(node.value.shape)}")
        return out

    def _result(self, name: str, like: Any, args: list[Any], settings: Mapping[str, Any]) -> Any:
        if (formula := FORMULAS.get(name)) is not None:
            return self._pointwise(formula, like, args, settings)
        if (rule := RULES.get(name)) is not None:
            return rule(self.nests, like, *args, **settings)
        raise LoweringError("this operation has no rule")

    def _refuse(self, node: Node) -> None:
        """Reals of less precision than the program's, but for those that hold nothing but whole numbers or truth values. More
        precision than the program's is what single precision was asked for to do without."""
        like = node.value
        if not isinstance(like, Tensor):
            return
        _refuse_complex(like)
        if like.is_floating_point() and like.dtype not in (self.dtype, torch.float64):
            first = node.parents[0].value if node.parents else like
            if not isinstance(first, Tensor) or first.is_floating_point():
                raise LoweringError(f"it computes in {like.dtype} inside of a program in {self.dtype}")

    def _pointwise(self, formula: Callable[..., Any], like: Tensor, args: list[Any], settings: Mapping[str, Any]) -> Ref:
        """Tensors and numbers become operands, everything else stays an argument of the formula."""
        named = {k: v for k, v in settings.items() if k not in IGNORED}
        slots = [*args, *named.values()]
        moving = [i for i, a in enumerate(slots) if isinstance(a, OPERANDS)]

        def filled(*values: Any) -> Any:
            full = list(slots)
            for i, v in zip(moving, values, strict=True):
                full[i] = v
            return formula(*full[: len(args)], **dict(zip(named, full[len(args) :], strict=True)))

        return self.nests.pointwise(filled, *(slots[i] for i in moving), kind=kind_of(like.dtype))

    # Results

    def _output(self, node: Node, place: Ref) -> Given:
        ref = self._ref(node)
        if ref.base is not place.base:  # else it was made there
            self.nests.write(ref, place)
        return Given(View("out", place.shape, place.strides, place.base.offset), node.value.dtype)


IGNORED = frozenset(("dtype", "layout", "device", "pin_memory", "memory_format", "out"))
OPERANDS = (Ref, float, int, bool)
RULES: Mapping[str, Rule] = {**movement.RULES, **indexing.RULES, **reductions.RULES, **linear.RULES, **sorting.RULES}


def _refuse_complex(t: Any) -> None:
    if isinstance(t, Tensor) and t.is_complex():
        raise LoweringError("complex numbers")


@lru_cache(maxsize=1024)
def _name(target: Any) -> str:
    """`add` of aten::add.Tensor."""
    return target.overloadpacket.__name__ if hasattr(target, "overloadpacket") else str(getattr(target, "__name__", target))
