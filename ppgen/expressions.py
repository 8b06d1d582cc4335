"""Recorded operations as formulas: `Normal(loc[assignment], scale)` from the nodes of its arguments.

What only changes a shape is not shown; a stretch of operations that uses the parameters of one network is that network,
applied to what enters it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .straightline import Node, above, identity

__all__ = ["Expressions", "module_of"]

LONGEST = 72  # characters; a longer formula becomes f(what it depends on)
PRODUCT, SUM, ATOM = 2, 1, 9  # how tightly an operation binds

# By the name of an operation, whatever its overload
HIDDEN = {
    "expand", "view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "clone", "_to_copy", "alias", "lift_fresh", "detach", "contiguous",
    "permute", "broadcast_to",
}  # fmt: skip
INFIX = {"add": (" + ", SUM), "sub": (" - ", SUM), "mul": (" * ", PRODUCT), "div": (" / ", PRODUCT), "mm": (" @ ", PRODUCT),
         "mv": (" @ ", PRODUCT), "bmm": (" @ ", PRODUCT), "dot": (" @ ", PRODUCT), "matmul": (" @ ", PRODUCT),
         "lt": (" < ", 0), "le": (" <= ", 0), "gt": (" > ", 0), "ge": (" >= ", 0), "eq": (" == ", 0), "ne": (" != ", 0)}  # fmt: skip
# A formula, how tightly it binds, and which arguments stand in it, each as an operand of something that binds so tightly
PATTERNS: Mapping[str, tuple[Any, ...]] = {
    "t": ("{}.T", ATOM, (0, ATOM)),
    "transpose": ("{}.T", ATOM, (0, ATOM)),
    "rsub": ("{} - {}", SUM, (1, SUM), (0, PRODUCT)),
    "neg": ("-{}", SUM, (0, PRODUCT)),
    "reciprocal": ("1 / {}", PRODUCT, (0, ATOM)),
    "pow": ("{}^{}", ATOM - 1, (0, ATOM), (1, ATOM)),
    "addmm": ("{} @ {} + {}", SUM, (1, PRODUCT), (2, ATOM), (0, SUM)),
    "baddbmm": ("{} @ {} + {}", SUM, (1, PRODUCT), (2, ATOM), (0, SUM)),
}


def module_of(parameter: str) -> str | None:
    """The network that a parameter belongs to, by its name; None for a parameter of its own."""
    for separator in ("$$$", "."):
        head, found, _ = parameter.partition(separator)
        if found:
            return head
    return None


class Expressions:
    """Formulas of nodes.

    names   of inputs, of marks and of constants: id of a node -> its name
    """

    def __init__(self, names: Mapping[int, str], constant_name: Callable[[Tensor], str | None]):
        self.names, self.constant_name = names, constant_name

        self._known: dict[int, tuple[str, int]] = {}  # formulas, and how tightly they bind
        self._owners: dict[int, frozenset[str]] = {}  # networks whose parameters are above a node
        self._entering: dict[int, dict[str, None]] = {}  # of a node of one network: formulas of what enters it

    def of(self, node: Node) -> str:
        for n in above([node], self._named):  # from the leaves on, so that long programs are no deep recursion
            if id(n) not in self._owners:
                self._owners[id(n)] = self._owners_of(n)
                text, binding = self._formula(n)
                self._known[id(n)] = text[: LONGEST + 1], binding  # what holds a formula that is too long is too long
        text, _ = self._known[id(node)]
        return text if len(text) <= LONGEST else f"f({', '.join(self.leaves(node))})"

    def leaves(self, node: Node) -> list[str]:
        """Names of what a node depends on, in the order in which they are met; a network's parameters are the network."""
        names = [self.names[id(n)] for n in above([node], self._named) if self._named(n)]
        return list(dict.fromkeys(module_of(name) or name for name in names))

    def _named(self, node: Node) -> bool:
        return id(node) in self.names

    def _owners_of(self, node: Node) -> frozenset[str]:
        """None above a mark."""
        if not self._named(node):
            return frozenset().union(*[self._owners[id(p)] for p in node.parents])
        owner = module_of(self.names[id(node)]) if node.is_input else None
        return frozenset() if owner is None else frozenset([owner])

    def _of(self, x: Any) -> tuple[str, int]:
        """A formula and how tightly it binds, of a node whose formula is known or of a number."""
        return self._known[id(x)] if isinstance(x, Node) else (_number(x), ATOM)

    def _formula(self, node: Node) -> tuple[str, int]:
        if self._named(node):
            return self.names[id(node)], ATOM
        if node.constant is not None:
            return self._constant(node.constant), ATOM
        if (network := self._network(node)) is not None:
            return network, ATOM
        return self._operation(node, str(getattr(node.target, "_opname", getattr(node.target, "__name__", node.target))))

    def _operation(self, node: Node, name: str) -> tuple[str, int]:
        if node.target is identity or name in HIDDEN:
            return self._of(node.args[0])
        if name in INFIX:
            return self._infix(node, *INFIX[name])
        if name in ("index", "gather", "index_select", "select", "slice"):
            return self._indexed(node, name), ATOM
        if name in PATTERNS:
            pattern, binding, *operands = PATTERNS[name]
            return pattern.format(*[self._inside(node.args[i], tightness) for i, tightness in operands]), binding
        return f"{name.strip('_')}({', '.join(self._of(a)[0] for a in _operands(node))})", ATOM

    def _inside(self, node: Any, binding: int) -> str:
        """A formula as an operand of one that binds this tightly."""
        text, own = self._of(node)
        return text if own >= binding else f"({text})"

    def _infix(self, node: Node, sign: str, binding: int) -> tuple[str, int]:
        left, right = node.args[0], node.args[1]
        alone = {" + ": 0.0, " - ": 0.0, " * ": 1.0, " / ": 1.0}.get(sign)
        if alone is not None and _uniform(right) == alone:
            return self._of(left)
        if sign in (" + ", " * ") and _uniform(left) == alone:
            return self._of(right)
        if sign == " / " and _total_of(right, left):  # a law normalises its probabilities by itself
            return self._of(left)
        strictly = binding + 1 if sign in (" - ", " / ") else binding
        return f"{self._inside(left, binding)}{sign}{self._inside(right, strictly)}", binding

    def _indexed(self, node: Node, name: str) -> str:
        base = self._inside(node.args[0], ATOM)
        shape = node.args[0].value.shape
        if name == "index":
            at = [":" if i is None or _counts(i, n) else self._of(i)[0] for i, n in zip(node.args[1], shape, strict=False)]
            while at and at[-1] == ":":
                at.pop()
            return f"{base}[{', '.join(at)}]" if at else base
        if name in ("gather", "index_select"):
            return f"{base}[{self._of(node.args[2])[0]}]"
        dim = (node.args[1] if len(node.args) > 1 else 0) % max(len(shape), 1)
        if name == "select":
            index = node.args[2] % shape[dim]
            return f"{base}[{':, ' * dim}{index}]" if dim < 2 else f"{base}[..., {index}]"
        start = node.args[2] if len(node.args) > 2 and node.args[2] is not None else 0
        stop = node.args[3] if len(node.args) > 3 and node.args[3] is not None else shape[dim]
        whole = start == 0 and stop >= shape[dim]
        return base if whole else f"{base}[{':, ' * dim}{start or ''}:{'' if stop >= shape[dim] else stop}]"

    def _constant(self, t: Tensor) -> str:
        value = _uniform(t)
        return self.constant_name(t) or ("constant" if value is None else _number(value))

    def _network(self, node: Node) -> str | None:
        """`decoder(z)` where a node is computed from z by operations that use parameters of `decoder` and of no other network."""
        if len(self._owners[id(node)]) != 1:
            return None
        (owner,) = self._owners[id(node)]
        entering = self._entering[id(node)] = self._entering_by(node.parents, owner)
        if not self._heavy(node):
            return None
        return f"{owner}({', '.join(entering)})" if entering else owner

    def _entering_by(self, parents: Sequence[Node], owner: str) -> dict[str, None]:
        """Formulas of what enters a network by these nodes, which are inside of it or what enters."""
        found: dict[str, None] = {}
        for n in parents:
            if owner in self._owners[id(n)]:
                found |= self._entering.get(id(n), {})  # nothing enters by a parameter
            elif n.constant is None:
                found[self._of(n)[0]] = None
        return found

    def _heavy(self, node: Node) -> bool:
        """Whether the last operation is more than a change of shape, which is looked through."""
        name = str(getattr(node.target, "_opname", ""))
        return name not in HIDDEN and node.target is not identity


def _operands(node: Node) -> Sequence[Any]:
    found: list[Any] = []
    for a in node.args:
        found += [x for x in a if isinstance(x, Node)] if isinstance(a, (list, tuple)) else [a] if isinstance(a, Node) else []
    return found


def _uniform(x: Any) -> float | None:
    """The number that a value is everywhere; None where there is none."""
    if isinstance(x, Node):
        x = x.constant
    if isinstance(x, (int, float)):
        return float(x)
    if not isinstance(x, Tensor) or not x.numel() or x.is_complex():
        return None
    first = x.reshape(-1)[0]
    return float(first) if bool((x == first).all()) else None


def _total_of(x: Any, parts: Any) -> bool:
    """Whether x is the sum of `parts`, whatever its shape."""
    while isinstance(x, Node) and str(getattr(x.target, "_opname", "")) in HIDDEN:
        x = x.args[0]
    return isinstance(x, Node) and getattr(x.target, "_opname", "") == "sum" and x.args[0] is parts


def _number(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def _counts(i: Any, size: int) -> bool:
    """Whether an index is 0, 1, ..., size - 1: the place of a row in its own plate."""
    t = i.constant if isinstance(i, Node) else None
    return t is not None and t.numel() == size and bool((t.reshape(-1) == torch.arange(size)).all())
