"""Record what a piece of Python does to tensors, as a graph without Python in it.

A `Tape` is a dispatch mode over real tensors. An operation that depends on an input becomes a node; everything else runs
and is a constant by itself, so constant folding costs nothing. `cut` takes the part of a recording between given nodes and
outputs; `Graph` runs such a part as straight-line code.
"""

import contextlib
import itertools
import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

from .errors import RecordingError

__all__ = ["Graph", "Node", "Steered", "Tape", "Watch", "cut"]

aten = torch.ops.aten
IDENTITIES = {aten.alias.default, aten.lift_fresh.default, aten.lift_fresh_copy.default}
# A failed Cholesky is nan for one chain, never an error for all of them.
DROPPED = {aten._linalg_check_errors.default}
RESHAPES = {"squeeze_", "unsqueeze_", "t_", "transpose_", "swapdims_", "swapaxes_"}
LIBRARIES = tuple(os.path.dirname(path) + os.sep for path in (torch.__file__, pyro.__file__, __file__))


class Steered(Exception):
    """Data were read into Python (a size, a branch): the recording holds for these data only."""

    def __init__(self, names: Iterable[str]):
        super().__init__(f"read into Python: {sorted(names)}")
        self.names = frozenset(names)


class Node:
    """One value of a recording: an input, a constant, or an operation on other nodes.

    target   the operation (None for inputs and constants)
    value    the tensor that was there while recording; for shape and dtype (None for an operation with several outputs)
    name     of an input; mark: the site whose value this node holds
    """

    __slots__ = ("args", "constant", "kwargs", "mark", "name", "parents", "random", "target", "value")

    def __init__(self, target: Callable | None = None, args: tuple = (), kwargs: Mapping = {}, value: Any = None):
        self.target, self.args, self.kwargs, self.value = target, args, kwargs, value
        self.parents: list[Node] = [a for a in tree_leaves((args, dict(kwargs))) if isinstance(a, Node)]
        self.name: str | None = None
        self.mark: str | None = None
        self.constant: Tensor | None = None
        self.random = False

    @property
    def is_input(self) -> bool:
        return self.target is None and self.constant is None


def identity(x: Tensor) -> Tensor:
    """The operation of a mark: the node that holds a site's value, where the graph can be cut."""
    return x


def item(sequence: Sequence, i: int) -> Any:
    """Output number i of an operation that returns several."""
    return sequence[i]


def _storage(t: Tensor) -> int:
    return t.untyped_storage()._cdata


def _places(t: Tensor) -> Tensor:
    """Where each element of t stands in its storage, in elements."""
    count = t.untyped_storage().nbytes() // t.element_size()
    places = torch.arange(count, device=t.device)
    return torch.as_strided(places, t.shape, t.stride(), t.storage_offset())


def _order(t: Tensor) -> list[int]:
    """Dimensions from the slowest in memory to the fastest."""
    return sorted(range(t.dim()), key=lambda d: -t.stride(d))


def _dense(t: Tensor) -> Tensor:
    """t with its dimensions as they stand in memory."""
    with _disable_current_modes():
        return t.detach().permute(_order(t))


def users_line() -> str:
    """The innermost line of the stack that is neither torch's, Pyro's nor ours: what an error message points at."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith((*LIBRARIES, "<ppgen", "<frozen")) and frame.filename != contextlib.__file__:
            return f"{os.path.basename(frame.filename)}, line {frame.lineno}, in {frame.name}: {frame.line}"
    return "an unknown line"


class Tape(TorchDispatchMode):
    """Records the operations that depend on the inputs it was given.

    differentiated   what runs is autograd itself (its `detach`es are identities). Otherwise a detach is a node of its
                     own: taken for an identity, the gradient of a program that detaches would be wrong.
    noise            None: random numbers are refused. Else a generator of torch: normals, uniforms, integers and
                     permutations become inputs named noise:0, noise:1, ...; the rest (gamma, Poisson) stay random nodes.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # otherwise the first use imports torch._dynamo (1 s)
        return False

    def __init__(self, *, differentiated: bool = False, noise: torch.Generator | None = None):
        super().__init__()
        self.identities = IDENTITIES | ({aten.detach.default} if differentiated else set())
        self.noise = noise
        self.nodes: list[Node] = []
        self.inputs: dict[str, Node] = {}
        self.noises: dict[str, str] = {}  # noise input -> its kind
        self._node: dict[int, Node] = {}  # id of a tensor -> its node
        self._flat: dict[int, Node] = {}  # storage that was written to -> the node of all its elements
        self._constants: dict[int, Node] = {}
        self._kept: list[Tensor] = []  # tensors stay alive so that their ids stay theirs

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

    def _add(self, target: Callable, args: tuple, kwargs: Mapping, value: Any) -> Node:
        node = Node(target, args, kwargs, value)
        self.nodes.append(node)
        return node

    def _bind(self, t: Tensor, node: Node) -> Node:
        self._node[id(t)] = node
        self._kept.append(t)
        return node

    def _constant(self, t: Tensor) -> Node:
        if id(t) not in self._constants:
            with _disable_current_modes():
                node = Node(value=t)
                node.constant = t.detach()
            self.nodes.append(node)
            self._constants[id(t)] = node
            self._kept.append(t)
        return self._constants[id(t)]

    # What an operation does

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Mapping | None = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if torch.Tag.nondeterministic_seeded in func.tags:
            return self._random(func, args, kwargs)
        if not any(self.live(t) for t in tensors):
            if func._schema.is_mutable:
                self._protect(tensors)
            return func(*args, **kwargs)
        self._refuse_reads(func, args, tensors)
        if func in DROPPED:
            return func(*args, **kwargs)
        if func in self.identities:
            out = func(*args, **kwargs)
            self._bind(out, self.node(args[0]))
            return out
        if func._schema.is_mutable:
            if func.name().split("::")[1].split(".")[0] in RESHAPES:
                return self._reshape(func, args)
            return self._write(func, args, kwargs)
        return self._record(func, args, kwargs)

    def _record(self, func: Any, args: tuple, kwargs: Mapping) -> Any:
        node_args, node_kwargs = tree_map_only(Tensor, self.node, (args, dict(kwargs)))
        out = func(*args, **kwargs)
        node = self._add(func, node_args, node_kwargs, out if isinstance(out, Tensor) else None)
        if isinstance(out, Tensor):
            self._bind(out, node)
        else:
            for i, o in enumerate(out):
                if isinstance(o, Tensor):
                    self._bind(o, self._add(item, (node, i), {}, o))
        return out

    def _refuse_reads(self, func: Any, args: tuple, tensors: list[Tensor]) -> None:
        if func is aten._local_scalar_dense.default:
            self.refuse("a value read into Python", tensors)
        if torch.Tag.dynamic_output_shape in func.tags:
            candidates = tensors
            if func is aten.index.Tensor:  # only a boolean index makes the shape depend on values
                candidates = [i for i in args[1] if isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8)]
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
        names = ", ".join(sorted(n.removeprefix("param:") for n in other)) or "the inputs"
        raise RecordingError(f"{what} depends on {names}: {users_line()}")

    def _sources(self, tensors: list[Tensor]) -> set[str]:
        """Names of the marks and inputs that tensors depend on; a mark hides what lies above it, unless it is data."""
        names, seen, todo = set(), set(), [self.node(t) for t in tensors if self.live(t)]
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.mark is not None and not node.mark.startswith("observed:"):
                names.add(node.mark)
                continue
            if node.is_input and node.name is not None:
                names.add(node.name)
            todo += node.parents
        return names

    # Writes

    def _reshape(self, func: Any, args: tuple) -> Any:
        """An in-place change of shape writes no element: its functional twin is a view."""
        before = self.node(args[0])
        twin = getattr(getattr(aten, func.name().split("::")[1].split(".")[0].rstrip("_")), func._overloadname)
        with _disable_current_modes(), torch.no_grad():
            func(*args)
            value = args[0].detach()
        self._bind(args[0], self._add(twin, (before, *args[1:]), {}, value))
        return args[0]

    def _protect(self, tensors: list[Tensor]) -> None:
        """A constant that is written to after it was used keeps its old value in the graph."""
        storages = {_storage(t) for t in tensors}
        for key, node in list(self._constants.items()):
            if _storage(node.value) in storages:
                with _disable_current_modes():
                    node.constant = node.constant.clone()  # type: ignore[union-attr]
                del self._constants[key]

    def _write(self, func: Any, args: tuple, kwargs: Mapping) -> Any:
        """An in-place operation, or one with out=: its functional twin is recorded, then written to the flat storage."""
        written = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if len(written) != 1:
            raise RecordingError(f"{func} writes to several tensors at once: {users_line()}")
        target = kwargs[written[0]] if written[0] in kwargs else args[0]
        name = func.name().split("::")[1].split(".")[0]
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
            func(*args, **kwargs)
        self._scatter(target, node, before)
        return target

    def _scatter(self, t: Tensor, node: Node, before: Tensor) -> None:
        """t now holds node's value; every other tensor of the same storage is read back from the flat one."""
        key = _storage(t)
        flat = self._flat.get(key)
        if flat is None:
            owner = next((k for k in self._kept if id(k) in self._node and _storage(k) == key), None)
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
        for k in self._kept:
            if _storage(k) == key:
                self._node.pop(id(k), None)
        self._bind(t, node)

    # Random numbers

    def _random(self, func: Any, args: tuple, kwargs: Mapping) -> Any:
        if self.noise is None:
            raise RecordingError(f"random numbers inside the program ({func}) and not at a sample site: {users_line()}")
        name = func.name().split("::")[1].split(".")[0]
        recipe = RANDOM.get(name)
        if recipe is None:  # gamma, Dirichlet, Poisson: a node that is drawn anew at every run of the graph
            out = self._record(func, args, kwargs)
            self.nodes[-1].random = True
            return out
        with _disable_current_modes():
            like = func(*(a.clone() if isinstance(a, Tensor) else a for a in args), **kwargs)
        kind, combine = recipe
        with self:
            value = combine(self, like, *args, **{k: v for k, v in kwargs.items() if k in ("p", "low", "high", "mean", "std", "from", "to")})
            if name.endswith("_"):
                return args[0].copy_(value)
        return value

    def draw(self, kind: str, like: Tensor, count: int | None = None) -> Tensor:
        """A noise input of the shape of `like`: kind is normal, uniform or permutation."""
        with _disable_current_modes():
            t = draw_noise(kind, like.shape, like.dtype, like.device, self.noise)
            name = f"noise:{len(self.noises)}"
            self.noises[name] = kind
            self.input(t, name)
        return t


def draw_noise(kind: str, shape: Sequence[int], dtype: torch.dtype, device: Any, generator: Any) -> Tensor:
    """One noise input: standard normals, uniforms in [0, 1), or a permutation of `shape[0]` numbers."""
    if kind == "permutation":
        return torch.randperm(shape[0], generator=generator, device=device)
    fill = torch.randn if kind == "normal" else torch.rand
    floating = dtype if dtype.is_floating_point else torch.get_default_dtype()
    return fill(tuple(shape), dtype=floating, device=device, generator=generator)


def _normal(tape: Tape, like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    mean, std = kwargs.get("mean", 0.0), kwargs.get("std", 1.0)
    return tape.draw("normal", like) * std + mean


def _randn(tape: Tape, like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return tape.draw("normal", like)


def _normal_call(tape: Tape, like: Tensor, mean: Any = 0.0, std: Any = 1.0, *args: Any, **kwargs: Any) -> Tensor:
    return tape.draw("normal", like) * kwargs.get("std", std) + kwargs.get("mean", mean)


def _normal_fill(tape: Tape, like: Tensor, target: Tensor, mean: float = 0.0, std: float = 1.0, **kwargs: Any) -> Tensor:
    return tape.draw("normal", like) * kwargs.get("std", std) + kwargs.get("mean", mean)


def _rand(tape: Tape, like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return tape.draw("uniform", like)


def _uniform_fill(tape: Tape, like: Tensor, target: Tensor, low: float = 0.0, high: float = 1.0, **kwargs: Any) -> Tensor:
    low, high = kwargs.get("from", low), kwargs.get("to", high)
    return tape.draw("uniform", like) * (high - low) + low


def _bernoulli(tape: Tape, like: Tensor, p: Any, *args: Any, **kwargs: Any) -> Tensor:
    return (tape.draw("uniform", like) < p).to(like.dtype)


def _bernoulli_fill(tape: Tape, like: Tensor, target: Tensor, p: Any = 0.5, **kwargs: Any) -> Tensor:
    return (tape.draw("uniform", like) < kwargs.get("p", p)).to(like.dtype)


def _integers(tape: Tape, like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    low, high = (args[0], args[1]) if len(args) > 1 and isinstance(args[1], int) else (0, args[0])
    return (tape.draw("uniform", like) * (high - low)).floor().to(like.dtype) + low


def _permutation(tape: Tape, like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return tape.draw("permutation", like)


RANDOM: dict[str, tuple[str, Callable]] = {
    "randn": ("normal", _randn),
    "randn_like": ("normal", _randn),
    "normal": ("normal", _normal_call),
    "normal_": ("normal", _normal_fill),
    "rand": ("uniform", _rand),
    "rand_like": ("uniform", _rand),
    "uniform_": ("uniform", _uniform_fill),
    "bernoulli": ("uniform", _bernoulli),
    "bernoulli_": ("uniform", _bernoulli_fill),
    "randint": ("uniform", _integers),
    "randperm": ("permutation", _permutation),
}


class Watch(TorchFunctionMode):
    """What the dispatcher never shows: conversions to Python that copy raw memory, and errors raised before dispatch.

    They are refused with the user's line; whatever slips past still meets the recording's checks.
    """

    READS = frozenset(
        (
            torch.Tensor.numpy,
            torch.Tensor.tolist,
            torch.Tensor.__array__,
            torch.Tensor.__bool__,
            torch.Tensor.item,
            torch.Tensor.__float__,
            torch.Tensor.__int__,
            torch.Tensor.__index__,
            torch.tensor,
            torch.as_tensor,
        )
    )

    def __init__(self, tape: Tape):
        super().__init__()
        self.tape = tape

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Mapping | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.nn.functional.one_hot:  # reads its input, only to validate it
            classes = kwargs.get("num_classes", args[1] if len(args) > 1 else -1)
            if classes > 0:
                return (args[0].unsqueeze(-1) == torch.arange(classes, device=args[0].device)).to(torch.long)
        if func in self.READS and not (func is torch.as_tensor and isinstance(args[0], Tensor)):
            live = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and self.tape.live(t)]
            if live:
                self.tape.refuse(f"what {getattr(func, '__name__', func)} reads into Python", live)
        return func(*args, **kwargs)


class Graph:
    """A part of a recording: inputs, operations in order, outputs. Run by torch as straight-line code.

    `slow` inputs change rarely (data, parameters): what depends on them alone is computed once per `prepare`.
    """

    def __init__(self, inputs: list[Node], nodes: list[Node], outputs: list[Node], slow: Iterable[int] = ()):
        self.inputs, self.nodes, self.outputs = inputs, nodes, outputs
        self.slow = sorted(slow)
        self.random = any(n.random for n in nodes)
        self._compile()

    def _compile(self) -> None:
        fast_inputs = [n for i, n in enumerate(self.inputs) if i not in self.slow]
        slow_inputs = [self.inputs[i] for i in self.slow]
        known = {id(n) for n in slow_inputs} | {id(n) for n in self.nodes if n.constant is not None}
        early: list[Node] = []
        late: list[Node] = []
        for node in self.nodes:
            if node.constant is not None:
                continue
            if not node.random and node.parents and all(id(p) in known for p in node.parents):
                known.add(id(node))
                early.append(node)
            else:
                late.append(node)
        used = {id(p) for n in late for p in n.parents} | {id(n) for n in self.outputs}
        handed = [n for n in (*slow_inputs, *early) if id(n) in used]
        self._prelude = _function("prelude", [slow_inputs], early, handed)
        self._body = _function("body", [handed, fast_inputs], late, self.outputs)
        self._prepared: tuple | None = None if self.slow else self._prelude(())

    def prepare(self, slow: Sequence[Tensor]) -> tuple:
        """What depends on the slow inputs alone, for `run`."""
        return self._prelude(tuple(slow))

    def run(self, prepared: tuple, fast: Sequence[Tensor]) -> tuple:
        return self._body(prepared, fast)

    def __call__(self, *inputs: Tensor) -> tuple:
        """Run with all inputs, in the order of `self.inputs`."""
        if self._prepared is not None:
            return self._body(self._prepared, inputs)
        slow = set(self.slow)
        return self.run(self.prepare([inputs[i] for i in self.slow]), [x for i, x in enumerate(inputs) if i not in slow])

    def text(self) -> str:
        """The graph as text with its shapes: what a fingerprint is made of, and what a reader can read."""
        names = {id(n): f"v{i}" for i, n in enumerate((*self.inputs, *self.nodes))}
        lines = []
        for n in (*self.inputs, *self.nodes):
            shape = f"{tuple(n.value.shape)} {n.value.dtype}" if isinstance(n.value, Tensor) else ""
            if n.target is None:
                lines.append(f"{names[id(n)]} = {'input' if n.is_input else 'constant'} {shape}")
            else:
                args, kwargs = tree_map_only(Node, lambda m: names[id(m)], (n.args, dict(n.kwargs)))
                lines.append(f"{names[id(n)]} = {n.target}({args}, {kwargs}) {shape}")
        return "\n".join([*lines, "return " + ", ".join(names[id(o)] for o in self.outputs)])

    def constants(self) -> list[Tensor]:
        return [n.constant for n in self.nodes if n.constant is not None]


def _function(name: str, groups: list[list[Node]], nodes: list[Node], outputs: list[Node]) -> Callable:
    """Straight-line Python for nodes; a value is dropped after its last use."""
    scope: dict[str, Any] = {}
    names: dict[int, str] = {}
    counter = itertools.count()

    def bound(x: Any, prefix: str) -> str:
        key = f"{prefix}{next(counter)}"
        scope[key] = x
        return key

    def source(x: Any) -> str:
        if isinstance(x, Node):
            if id(x) not in names:
                names[id(x)] = bound(x.constant, "c")
            return names[id(x)]
        if isinstance(x, (list, tuple)):
            inside = ", ".join(source(i) for i in x) + ("," if isinstance(x, tuple) and len(x) == 1 else "")
            return f"[{inside}]" if isinstance(x, list) else f"({inside})"
        if x is None or type(x) in (bool, int, str):
            return repr(x)
        return bound(x, "k")

    lines = []
    for i, group in enumerate(groups):
        for j, n in enumerate(group):
            names[id(n)] = f"x{i}_{j}"
        if group:
            lines.append(", ".join(names[id(n)] for n in group) + f", = x{i}")
    last = {id(p): k for k, n in enumerate(nodes) for p in n.parents}
    kept = {id(o) for o in outputs}
    for k, n in enumerate(nodes):
        call = getattr(n.target, "_op", n.target)  # the builtin itself: one Python call less per operation
        arguments = [source(a) for a in n.args] + [f"{key}={source(v)}" for key, v in n.kwargs.items()]
        if n.target is item:
            expression = f"{arguments[0]}[{arguments[1]}]"
        elif n.target is identity:
            expression = arguments[0]
        else:
            expression = f"{bound(call, 'f')}({', '.join(arguments)})"
        names[id(n)] = f"v{k}"
        lines.append(f"v{k} = {expression}")
        dead = {names[id(p)] for p in n.parents if last[id(p)] == k and id(p) not in kept and p.constant is None}
        if dead:
            lines.append("del " + ", ".join(sorted(dead)))
    result = ", ".join(source(o) for o in outputs)
    body = "\n    ".join([*lines, f"return ({result}{',' if outputs else ''})"])
    parameters = ", ".join(f"x{i}" for i in range(len(groups)))
    exec(compile(f"def {name}({parameters}):\n    {body}\n", f"<ppgen {name}>", "exec"), scope)
    return scope[name]


def cut(
    tape: Tape,
    given: Sequence[Node],
    outputs: Sequence[Node],
    *,
    slow: Iterable[int] = (),
    retype: tuple[torch.dtype, torch.dtype] | None = None,
) -> Graph:
    """The part of a recording from `given` nodes to `outputs`: what depends on none of the given is folded, equal
    operations are merged (random ones never).

    slow     positions in `given` that change rarely
    retype   (from, to): constants and dtype arguments of dtype `from` become `to`

    Folding is needed although constants fold by themselves: a mark over an enumerated support is live while recording and
    constant wherever that mark is not cut.
    """
    given_ids = {id(n) for n in given}
    needed: set[int] = set()
    todo = list(outputs)
    while todo:
        node = todo.pop()
        if id(node) in needed:
            continue
        needed.add(id(node))
        if id(node) in given_ids:
            continue
        if node.is_input:
            raise RecordingError(f"this reading also needs {node.name}")
        todo += node.parents
    new: dict[int, Node] = {}
    inputs = []
    for g in given:
        copy = Node(value=g.value)
        copy.name = g.name or g.mark
        new[id(g)] = copy
        inputs.append(copy)
    nodes: list[Node] = []
    seen: dict[Any, Node] = {}
    for node in tape.nodes:
        if id(node) not in needed or id(node) in new:
            continue
        made = _rebuild(node, new, seen, retype)
        if made is not None and made.target is not None:
            nodes.append(made)
    constants: dict[int, Node] = {}
    outs = [new[id(o)] for o in outputs]
    for n in [p for m in nodes for p in m.parents] + outs:
        if n.constant is not None:
            constants[id(n)] = n
    return Graph(inputs, [*constants.values(), *nodes], outs, slow)


def _rebuild(node: Node, new: dict[int, Node], seen: dict, retype: tuple[torch.dtype, torch.dtype] | None) -> Node | None:
    """The twin of a recorded node in a cut graph; None where an equal one is there already or a mark is passed through."""
    if node.constant is not None:
        copy = Node(value=node.value)
        copy.constant = _retyped(node.constant, retype)
        new[id(node)] = copy
        return None
    args, kwargs = tree_map_only(Node, lambda m: new[id(m)], (node.args, dict(node.kwargs)))
    if node.target is identity:
        new[id(node)] = args[0]
        return None
    if retype is not None:
        args, kwargs = tree_map_only(torch.dtype, lambda d: retype[1] if d == retype[0] else d, (args, kwargs))
    parents = [a for a in tree_leaves((args, kwargs)) if isinstance(a, Node)]
    if not node.random and all(p.constant is not None for p in parents):
        plain_args, plain_kwargs = tree_map_only(Node, lambda m: m.constant, (args, kwargs))
        result = node.target(*plain_args, **plain_kwargs)  # type: ignore[misc]
        folded = Node(value=node.value)
        folded.constant = result
        new[id(node)] = folded
        return None
    key = None if node.random else (node.target, *tree_map_only(Node, id, (repr_key(args), repr_key(kwargs))))
    if key is not None and key in seen:
        new[id(node)] = seen[key]
        return None
    made = Node(node.target, args, kwargs, node.value)
    made.random = node.random
    new[id(node)] = made
    if key is not None:
        seen[key] = made
    return made


def _retyped(t: Tensor, retype: tuple[torch.dtype, torch.dtype] | None) -> Tensor:
    return t.to(retype[1]) if retype is not None and t.dtype == retype[0] else t


def repr_key(x: Any) -> Any:
    """Arguments as something that can be compared and hashed: nodes by identity, numbers with their type."""
    if isinstance(x, Node):
        return ("node", id(x))
    if isinstance(x, (list, tuple)):
        return tuple(repr_key(i) for i in x)
    if isinstance(x, dict):
        return tuple((k, repr_key(v)) for k, v in x.items())
    return (type(x).__name__, repr(x))
