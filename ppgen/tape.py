"""Record what a piece of Python does to tensors, as a graph without Python in it.

A `Tape` is a dispatch mode over real tensors. An operation that depends on an input becomes a node; everything else runs
and is a constant by itself, so constant folding costs nothing. `Watch` stands above it and sees what the dispatcher does not.
"""

import contextlib
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyro
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, _get_current_dispatch_mode

from .errors import ProgramError, RecordingError
from .noise import RECIPES, arguments_of, draw_noise
from .straightline import Graph, Node, above, collector_paused, cut, identity, item, leaves, mapped
from .watch import Watch

__all__ = ["Graph", "Node", "Steered", "Tape", "ValueRead", "Watch", "current_tape", "cut"]

aten = torch.ops.aten
IDENTITIES = {aten.alias.default, aten.lift_fresh.default, aten.lift_fresh_copy.default}
READS = {aten._local_scalar_dense.default, aten.equal.default, aten.allclose.default}
# A failed Cholesky is nan for one chain, never an error for all of them.
DROPPED = {aten._linalg_check_errors.default}
BATCH_NORMS = {aten.native_batch_norm.default, aten.cudnn_batch_norm.default}  # alike in their arguments
BOOLEAN = (torch.bool, torch.uint8)  # dtypes of an index that is a mask
RESHAPES = {"squeeze_", "unsqueeze_", "t_", "transpose_", "swapdims_", "swapaxes_"}
UNWRITABLE = {"set_", "resize_", "resize_as_"}
OURS = Path(__file__).parent
LIBRARIES = (Path(torch.__file__).parent, Path(pyro.__file__).parent)


def current_tape() -> "Tape | None":
    """The tape that records what happens now."""
    mode = _get_current_dispatch_mode()
    return mode if isinstance(mode, Tape) else None


class Steered(Exception):  # noqa: N818  a signal, never an error that a user sees
    """Data were read into Python (a size, a branch): the recording holds for these data only."""

    def __init__(self, names: Iterable[str]):
        super().__init__(f"read into Python: {sorted(names)}")
        self.names = frozenset(names)


class ValueRead(RecordingError):  # noqa: N818  named for what happened
    """A value that depends on latent sites or parameters was read into Python."""

    def __init__(self, message: str, names: Iterable[str]):
        super().__init__(message)
        self.names = frozenset(names)


class Traits(NamedTuple):
    """Of an operation: does it draw random numbers, write to its arguments, read values or have a shape that depends on them?"""

    random: bool
    writes: bool
    reads: bool


@cache
def _traits(func: Any) -> Traits:
    tags = func.tags
    reads = func in READS or torch.Tag.dynamic_output_shape in tags
    return Traits(torch.Tag.nondeterministic_seeded in tags, func._schema.is_mutable, reads)


def _storage(t: Tensor) -> int:
    return t.untyped_storage()._cdata


def _places(t: Tensor) -> Tensor:
    """Where each element of t stands in its storage, in elements."""
    count = t.untyped_storage().nbytes() // t.element_size()
    places = torch.arange(count, device=t.device)
    return torch.as_strided(places, t.shape, t.stride(), t.storage_offset())


def _order(t: Tensor) -> list[int]:
    """Dimensions from the slowest in memory to the fastest."""
    return sorted(range(t.dim()), key=t.stride().__getitem__, reverse=True)


def _dense(t: Tensor) -> Tensor:
    """t with its dimensions as they stand in memory."""
    with _disable_current_modes():
        return t.detach().permute(_order(t))


def _name(func: Any) -> str:
    """`add_` of aten::add_.Tensor."""
    return func.name().split("::")[1].split(".")[0]


def users_line(stack: Sequence[traceback.FrameSummary] | None = None) -> str:
    """The innermost line of a stack (of the current one) that is neither torch's, Pyro's nor ours: what a message points at."""
    for frame in reversed(traceback.extract_stack() if stack is None else stack):
        path = Path(frame.filename)
        inside = path.parent == OURS or any(p in path.parents for p in LIBRARIES) or frame.filename == contextlib.__file__
        if not inside and not frame.filename.startswith(("<ppgen", "<frozen")):
            return f"{path.name}, line {frame.lineno}, in {frame.name}: {frame.line}"
    return "an unknown line"


class Tape(TorchDispatchMode):
    """Records the operations that depend on the inputs it was given.

    differentiated   what runs is autograd itself (its `detach`es are identities). Otherwise a detach is a node of its
                     own: taken for an identity, the gradient of a program that detaches would be wrong.
    noise            None: random numbers are refused. Else a generator of torch: normals, uniforms, integers and
                     permutations become inputs named noise:0, noise:1, ...; the rest (gamma, Poisson) stay random nodes.
    guard            called with the tensors of every operation that is about to be recorded
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # otherwise the first use imports torch._dynamo (1 s)
        return False

    def __init__(
        self,
        *,
        differentiated: bool = False,
        noise: torch.Generator | None = None,
        guard: Callable[[Sequence[Tensor]], None] | None = None,
    ):
        super().__init__()
        self.guard = guard
        self.identities = IDENTITIES | ({aten.detach.default} if differentiated else set())
        self.noise = noise
        self.nodes: list[Node] = []
        self.inputs: dict[str, Node] = {}
        self.noises: dict[str, str] = {}  # noise input -> its kind
        self._node: dict[int, Node] = {}  # id of a tensor -> its node
        self._flat: dict[int, Node] = {}  # storage that was written to -> the node of all its elements
        self._constants: dict[int, Node] = {}
        self._constants_in: dict[int, list[int]] = {}  # their ids by storage
        self._kept: dict[int, list[Tensor]] = {}  # by storage; tensors stay alive so that their ids stay theirs
        self._pauses: list[AbstractContextManager[None]] = []

    def __enter__(self) -> Self:
        pause = collector_paused()
        pause.__enter__()
        self._pauses.append(pause)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._pauses.pop().__exit__(None, None, None)

    # What a tensor is

    def live(self, t: Tensor) -> bool:
        return id(t) in self._node or _storage(t) in self._flat

    def input(self, t: Tensor, name: str) -> Node:
        """Name an input. It is the very object that the program will touch: a Parameter, an argument."""
        node = Node(value=t)
        node.name = name
        self.nodes.append(node)
        self.inputs[name] = node
        return self._bind(t, node)

    def mark(self, t: Tensor, name: str) -> Tensor:
        """A copy of t whose node can be cut; a constant (an enumerated support) becomes live by it."""
        with _disable_current_modes():
            copy = t.detach().clone()
            for attribute in vars(t):  # Pyro's fast path for categorical supports
                setattr(copy, attribute, getattr(t, attribute))
            node = self._add(identity, (self.node(t),), {}, copy)
        node.mark = name
        self._bind(copy, node)
        return copy

    def node(self, t: Tensor) -> Node:
        """The node that holds t: live or constant."""
        if id(t) in self._node:
            return self._node[id(t)]
        if _storage(t) in self._flat:
            flat = self._flat[_storage(t)]
            if flat.value.dtype != t.dtype:
                raise RecordingError(f"a view with another dtype onto memory that was written to, at {users_line()}")
            with _disable_current_modes():
                places = _places(t)
            return self._bind(t, self._add(aten.index.Tensor, (flat, [self._constant(places)]), {}, t))
        return self._constant(t)

    def call(self, target: Any, args: tuple[Any, ...], outputs: Sequence[Tensor]) -> None:
        """Note an operation of several outputs that is not torch's and has been done."""
        node = self._add(target, mapped(args, Tensor, self.node), {}, None)
        for i, o in enumerate(outputs):
            self._bind(o, self._add(item, (node, i), {}, o))

    def _add(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], value: Any) -> Node:
        node = Node(target, args, kwargs, value)
        self.nodes.append(node)
        return node

    def _bind(self, t: Tensor, node: Node) -> Node:
        self._node[id(t)] = node
        self._keep(t)
        return node

    def _keep(self, t: Tensor) -> None:
        self._kept.setdefault(_storage(t), []).append(t)

    def _constant(self, t: Tensor) -> Node:
        if id(t) not in self._constants:
            with _disable_current_modes():
                node = Node(value=t)
                node.constant = t.detach()
            self.nodes.append(node)
            self._constants[id(t)] = node
            self._constants_in.setdefault(_storage(t), []).append(id(t))
            self._keep(t)
        return self._constants[id(t)]

    # What an operation does

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = leaves(args, Tensor)
        if kwargs:
            tensors += leaves(kwargs, Tensor)
        traits = _traits(func)
        if traits.random:
            return self._random(func, args, kwargs)
        if not any(self.live(t) for t in tensors):
            if traits.writes:
                self._protect(tensors)
            return func(*args, **kwargs)
        if traits.reads:
            self._refuse_reads(func, args, tensors)
        if self.guard is not None:
            self.guard(tensors)
        if func in DROPPED:
            return None
        if func in self.identities:
            out = func(*args, **kwargs)
            self._bind(out, self.node(args[0]))
            return out
        if traits.writes:
            return self._reshape(func, args) if _name(func) in RESHAPES else self._write(func, args, kwargs)
        return self._record(func, args, kwargs)

    def _record(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if func is aten.index_put.default and (masks := [i for i in args[1] if i is not None and i.dtype in BOOLEAN and self.live(i)]):
            return self._masked(args, kwargs, masks)
        if func in BATCH_NORMS and args[5] and args[3] is not None:
            return self._batch_norm(*args)
        node_args, node_kwargs = mapped(args, Tensor, self.node), mapped(dict(kwargs), Tensor, self.node)
        out = func(*args, **kwargs)
        node = self._add(func, node_args, node_kwargs, out if isinstance(out, Tensor) else None)
        if isinstance(out, Tensor):
            self._bind(out, node)
        else:
            for i, o in enumerate(out):
                if isinstance(o, Tensor):
                    self._bind(o, self._add(item, (node, i), {}, o))
        return out

    def _batch_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, training: bool, momentum: float, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """In training mode it writes, without saying so, to a running mean and variance that it does not read: they are written here."""
        with self:
            out, middle, inverse = aten.native_batch_norm.default(x, weight, bias, None, None, True, momentum, eps)
            count = x.numel() // x.shape[1]
            spread = (inverse.pow(-2) - eps) * (count / max(count - 1, 1))
            mean.copy_(torch.lerp(mean, middle.to(mean), momentum))
            variance.copy_(torch.lerp(variance, spread.to(variance), momentum))
        return out, middle, inverse

    def _masked(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], masks: list[Tensor]) -> Tensor:
        """`x[mask] = number` by a mask that is no constant: how many elements are written depends on the data, as does the shape
        of the derivative, but where each element comes from does not."""
        x, indices, value = args[:3]
        if len(indices) > 1 or value.numel() > 1 or (args[3] if len(args) > 3 else kwargs.get("accumulate", False)):
            self.refuse("how many elements a mask writes", masks)
        with self:
            mask = masks[0].reshape(masks[0].shape + (1,) * (x.dim() - masks[0].dim()))
            return torch.where(mask.bool(), value.reshape(()).to(x), x)

    def _refuse_reads(self, func: Any, args: tuple[Any, ...], tensors: list[Tensor]) -> None:
        if func in READS:
            self.refuse("a value read into Python", tensors)
        candidates = tensors
        if func is aten.index.Tensor:  # only a boolean index makes the shape depend on values
            candidates = [i for i in args[1] if isinstance(i, Tensor) and i.dtype in BOOLEAN]
        steering = [t for t in candidates if self.live(t)]
        if steering:
            self.refuse(f"the shape of the result of {func}", steering)

    def refuse(self, what: str, tensors: list[Tensor]) -> None:
        """Raise: `Steered` where only data are read (recorded again with those constant), RecordingError otherwise."""
        sources = self._sources(tensors)
        data = {n for n in sources if n.startswith("data:")}
        other = {n for n in sources if not n.startswith(("data:", "observed:"))}
        if data and not other:
            raise Steered(data)
        if state := sorted(n.removeprefix("buffer:") for n in other if n.startswith("buffer:")):
            raise ProgramError(
                f"{what} depends on {', '.join(map(repr, state))}, which the module writes while it learns: {users_line()}. What its first "
                "batch initialises has to be before: call the module once in training mode; and a batch norm needs a momentum"
            )
        names = ", ".join(sorted(n.removeprefix("param:") for n in other)) or "the inputs"
        raise ValueRead(f"{what} depends on {names}: {users_line()}", other)

    def _sources(self, tensors: list[Tensor]) -> set[str]:
        """Names of the marks and inputs that tensors depend on; a mark hides what lies above it, unless it is data."""

        def hides(n: Node) -> bool:
            return n.mark is not None and not n.mark.startswith("observed:")

        reached = above([self.node(t) for t in tensors if self.live(t)], hides)
        names = (n.mark if hides(n) else n.name for n in reached if hides(n) or n.is_input)
        return {name for name in names if name is not None}

    # Writes

    def _reshape(self, func: Any, args: tuple[Any, ...]) -> Any:
        """An in-place change of shape writes no element: its functional twin is a view."""
        before = self.node(args[0])
        twin = getattr(aten, _name(func).rstrip("_"))
        twin = getattr(twin, func._overloadname if func._overloadname in twin.overloads() else "int")
        with _disable_current_modes(), torch.no_grad():
            before.value = args[0].detach()  # it keeps its shape
            func(*args)
            value = args[0].detach()
        self._bind(args[0], self._add(twin, (before, *args[1:]), {}, value))
        return args[0]

    def _protect(self, tensors: list[Tensor]) -> None:
        """A constant that is written to after it was used keeps its old value in the graph."""
        for storage in {_storage(t) for t in tensors}:
            for key in self._constants_in.pop(storage, ()):
                node = self._constants.pop(key)
                with _disable_current_modes():
                    node.constant = node.constant.clone()  # type: ignore[union-attr]

    def _write(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """An in-place operation, or one with out=: its functional twin is recorded, then written to the flat storage."""
        written = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        name = _name(func)
        target = kwargs.get(written[0], args[0])
        if len(written) != 1 or not isinstance(target, Tensor) or name in UNWRITABLE:
            raise RecordingError(f"{func} writes to memory in a way that cannot be recorded: {users_line()}")
        plain = {k: v for k, v in kwargs.items() if k not in written}
        with _disable_current_modes():
            storage = torch.empty(0, dtype=target.dtype, device=target.device).set_(target.untyped_storage())
            before = storage.clone()
        with self:
            if name == "copy_":
                value = args[1].to(target).expand(target.shape).clone()
            elif name == "zero_":
                value = torch.zeros_like(target)
            elif name == "fill_":
                value = torch.as_tensor(args[1]).to(target).expand(target.shape).clone()
            else:
                twin = name if written[0] in kwargs else name.rstrip("_")
                value = getattr(aten, twin)(*args, **plain).to(target.dtype)
        node = self.node(value)
        self._protect([target])
        with _disable_current_modes(), torch.no_grad():
            if written[0] in kwargs:  # out= may be resized
                func(*args, **kwargs)
            else:
                target.copy_(value)
        self._scatter(target, node, before)
        return target

    def _scatter(self, t: Tensor, node: Node, before: Tensor) -> None:
        """t now holds node's value; every other tensor of the same storage is read back from the flat one."""
        key = _storage(t)
        flat = self._flat.get(key)
        if t.is_contiguous() and t.numel() == before.numel():  # nothing of the old value is left
            self._flat[key] = self._add(aten.reshape.default, (node, [-1]), {}, before)
            for k in self._kept.get(key, []):
                self._node.pop(id(k), None)
            self._bind(t, node)
            return
        if flat is None:
            owner = next((k for k in self._kept.get(key, []) if id(k) in self._node), None)
            if owner is None:
                flat = self._constant(before)
            elif _dense(owner).is_contiguous() and owner.numel() == before.numel() and owner.dtype == t.dtype:
                inside_out = self._add(aten.permute.default, (self._node[id(owner)], _order(owner)), {}, _dense(owner))
                flat = self._add(aten.reshape.default, (inside_out, [-1]), {}, before)
            else:
                raise RecordingError(f"an in-place write through a strided view of a recorded value: {users_line()}")
        with _disable_current_modes():
            places = self._constant(_places(t))
        self._flat[key] = self._add(aten.index_put.default, (flat, [places], node), {}, before)
        for k in self._kept.get(key, []):
            self._node.pop(id(k), None)
        self._bind(t, node)

    # Random numbers

    def _random(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self.noise is None:
            raise ProgramError(
                f"random numbers inside the program ({func}) and not at a sample site: {users_line()}. A density must not depend on them: "
                "make them a sample site, or put a module into evaluation mode"
            )
        name = _name(func)
        recipe = RECIPES.get(name)
        if recipe is None:  # gamma, Dirichlet, Poisson: a node that is drawn anew at every run of the graph
            if func._schema.is_mutable:
                return self._write(func, args, kwargs)
            out = self._record(func, args, kwargs)
            self.nodes[-1].random = True
            return out
        arguments = arguments_of(func, args, kwargs)
        target = args[0] if name.endswith("_") else arguments.pop("out", None)
        with _disable_current_modes():
            like = target if target is not None else func(*args, **kwargs)
        if not isinstance(like, Tensor):  # dropout gives its mask too
            like = args[0]
        with self:
            value = recipe(self.draw, like, arguments)
            return value if target is None else target.copy_(value)

    def draw(self, kind: str, like: Tensor) -> Tensor:
        """A noise input of the shape of `like`: kind is normal, uniform or permutation."""
        with _disable_current_modes():
            t = draw_noise(kind, like.shape, like.dtype, like.device, self.noise)
            name = f"noise:{len(self.noises)}"
            self.noises[name] = kind
            self.input(t, name)
        return t
