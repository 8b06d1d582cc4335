"""Which elements of an input each entry of a recorded value depends on: its scope.

A pass over the recording, operation by operation. Of those that move entries about, the operation itself moves labels; of elementwise
ones, reductions, gathers and products of matrices the rule is known; of any other every entry is taken to depend on all that any of
its inputs does. So scopes err on one side only: they may be too large.

Scopes are sparse matrices of whole numbers, (entries, elements), 1 where an entry depends on an element.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from .noise import arguments_of
from .straightline import Node, above, identity, item, leaves, mapped

__all__ = ["Scope", "scopes"]

Scope: TypeAlias = csr_matrix

MOVES = frozenset(
    [
        "view",
        "reshape",
        "_unsafe_view",
        "_reshape_alias",
        "expand",
        "permute",
        "transpose",
        "t",
        "squeeze",
        "unsqueeze",
        "slice",
        "select",
        "as_strided",
        "diagonal",
        "unfold",
        "flip",
        "roll",
        "repeat",
        "cat",
        "stack",
        "unbind",
        "split",
        "split_with_sizes",
        "chunk",
        "clone",
        "alias",
        "detach",
        "index",
        "index_select",
        "gather",
        "take",
        "index_put",
        "scatter",
        "slice_scatter",
        "select_scatter",
        "diagonal_scatter",
        "diag_embed",
        "tril",
        "triu",
        "constant_pad_nd",
    ]
)  # where no index depends on the input
DATA = ("self", "tensors", "values", "src", "value")  # what is moved, by the names of torch's schemas
ELEMENTWISE = frozenset(
    ["_to_copy", "to", "floor_divide", "binary_cross_entropy_with_logits", "masked_fill", "contiguous", "lift_fresh"]
)  # not tagged so
SHAPED = frozenset(
    ["new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like"]
)  # no value is read
REDUCTIONS = frozenset(["sum", "mean", "logsumexp", "amax", "amin", "prod", "any", "all", "var", "std", "norm", "nansum"])
ALONG = frozenset(["_softmax", "_log_softmax", "softmax", "log_softmax", "cumsum", "cumprod", "logcumsumexp"])


def scopes(outputs: Sequence[Node], source: Node) -> dict[int, Scope]:
    """Of every node between a source, (elements,), and the outputs that depends on it: by its id, for those that give one tensor."""
    size = source.value.numel()
    found: dict[int, Scope] = {id(source): _identity(size)}
    several: dict[int, _Rule] = {}  # of operations with several outputs
    for node in above(outputs, lambda n: n is source):
        if node is source or not any(id(p) in found or id(p) in several for p in node.parents):
            continue
        if getattr(node.target, "_opname", "") in SHAPED:
            continue
        if node.target is item:
            found[id(node)] = several[id(node.args[0])].output(node.args[1], node.value.numel())
        elif isinstance(node.value, Tensor):
            found[id(node)] = _Rule(node, found, size).one()
        else:
            several[id(node)] = _Rule(node, found, size)
    return found


class _Rule:
    """The scope of what one operation computes."""

    def __init__(self, node: Node, found: Mapping[int, Scope], elements: int):
        self.node, self.found, self.elements = node, found, elements
        self.name = getattr(node.target, "_opname", "identity" if node.target is identity else "")
        self.given: dict[str, Any] = {} if node.target is identity or not self.name else arguments_of(node.target, node.args, node.kwargs)

    def output(self, i: int, entries: int) -> Scope:
        """Output number i of several."""
        return self._moved(lambda outputs: outputs[i]) if self.name in MOVES and self._moves() else self.whole(entries)

    def one(self) -> Scope:
        node, shape = self.node, tuple(self.node.value.shape)
        if self.name == "identity":
            return self.found[id(node.args[0])]
        if self.name in MOVES and self._moves():
            return self._moved(lambda output: output)
        rule = RULES.get(self.name)
        if rule is not None and (scope := rule(self)) is not None:
            return scope
        if torch.Tag.pointwise in getattr(node.target, "tags", ()) or (self.name in ELEMENTWISE and self.given.get("reduction", 0) == 0):
            return _union([self.spread(p, lambda t: t.expand(shape)) for p in self.live])
        return self.whole(node.value.numel())

    @property
    def live(self) -> list[Node]:
        """The inputs that depend on the source."""
        return [p for p in self.node.parents if self.found.get(id(p)) is not None]

    def whole(self, entries: int) -> Scope:
        """Every entry depends on all that any input does."""
        total = _union([csr_matrix(self.found[id(p)].sum(0)) for p in self.live])
        return total[np.zeros(entries, np.int64)]

    def spread(self, node: Node, move: Callable[[Tensor], Tensor]) -> Scope:
        """The scope of a node whose entries are moved (and repeated) as `move` moves their labels."""
        labels = torch.arange(node.value.numel()).reshape(node.value.shape)
        return self.found[id(node)][move(labels).reshape(-1).numpy()]

    def reduced(self, node: Node, dims: Sequence[int]) -> Scope:
        """The scope of a node over some dimensions, which keep size 1."""
        shape = [1 if d in dims else n for d, n in enumerate(node.value.shape)]
        to = torch.arange(math.prod(shape)).reshape(shape).expand(node.value.shape).reshape(-1).numpy()
        gathering = csr_matrix((np.ones(len(to), np.int32), (to, np.arange(len(to)))), shape=(math.prod(shape), len(to)))
        return _ones(gathering @ self.found[id(node)])

    # Operations that move entries about

    def _moves(self) -> bool:
        """Whether no index depends on the source."""
        others = [v for k, v in self.given.items() if k not in DATA]
        return not any(id(n) in self.found for n in leaves(others, Node)) and not self.given.get("accumulate")

    def _moved(self, pick: Callable[[Any], Tensor]) -> Scope:
        """By the operation itself, on labels: 0 where an entry depends on nothing."""
        blocks, start = [csr_matrix((1, self.elements), dtype=np.int32)], 1
        labels: dict[int, Tensor] = {}
        for p in leaves([self.given.get(k) for k in DATA], Node):
            if id(p) in self.found:
                labels[id(p)] = torch.arange(start, start + p.value.numel()).reshape(p.value.shape)
                blocks.append(self.found[id(p)])
                start += p.value.numel()
            else:
                labels[id(p)] = torch.zeros(p.value.shape, dtype=torch.int64)
        named = {k: 0 if k == "value" and not isinstance(v, Node) else v for k, v in self.given.items()}
        schema = self.node.target._schema.arguments
        args = [named[a.name] for a in schema if not a.kwarg_only and a.name in named]
        settings = {a.name: named[a.name] for a in schema if a.kwarg_only and a.name in named}
        args, settings = mapped((args, settings), Node, lambda n: labels.get(id(n), n.value))
        moved = pick(self.node.target(*args, **settings))
        return vstack(blocks, format="csr")[moved.reshape(-1).numpy()]


def _reduction(rule: _Rule) -> Scope | None:
    (node,) = rule.live[:1]
    if len(rule.live) > 1:
        return None
    return rule.reduced(node, _dims(rule, node))


def _along(rule: _Rule) -> Scope | None:
    (node,) = rule.live[:1]
    shape, dims = node.value.shape, _dims(rule, node)
    kept = [1 if d in dims else n for d, n in enumerate(shape)]
    labels = torch.arange(math.prod(kept)).reshape(kept).expand(shape).reshape(-1).numpy()
    return rule.reduced(node, dims)[labels]


def _dims(rule: _Rule, node: Node) -> list[int]:
    count, dim = node.value.dim(), rule.given.get("dim")
    if dim is None or dim == []:
        return list(range(count))
    return [d % count for d in (dim if isinstance(dim, (list, tuple)) else [dim])] if count else []


def _index(rule: _Rule) -> Scope | None:
    """self[indices]: an entry depends on its indices; where self depends on the source too, on what stands anywhere along them."""
    node, source = rule.node, rule.node.args[0]
    indices = [(d, i) for d, i in enumerate(node.args[1]) if i is not None]
    if any(i.value.dtype in (torch.bool, torch.uint8) for _, i in indices):
        return None
    dims = [d for d, _ in indices]
    shape = torch.broadcast_shapes(*[i.value.shape for _, i in indices])
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    first = dims[0] if adjacent else 0  # where the indices' own dimensions stand in the result
    after = node.value.dim() - first - len(shape)

    def place(t: Tensor) -> Tensor:
        return t.expand(shape).reshape((*shape, *[1] * after)).expand(node.value.shape)

    found = [rule.spread(i, place) for _, i in indices if id(i) in rule.found]
    if id(source) in rule.found:
        rest = [n for d, n in enumerate(source.value.shape) if d not in dims]
        own = rule.reduced(source, dims)
        labels = torch.arange(math.prod(rest)).reshape((*rest[:first], *[1] * len(shape), *rest[first:]))
        found.append(own[labels.expand(node.value.shape).reshape(-1).numpy()])
    return _union(found)


def _gather(rule: _Rule) -> Scope | None:
    source, index = rule.given["self"], rule.given["index"]
    shape, found = index.value.shape, []
    if id(index) in rule.found:
        found.append(rule.found[id(index)])
    if id(source) in rule.found and source.value.dim():
        dim = rule.given["dim"] % source.value.dim()
        kept = [1 if d == dim else n for d, n in enumerate(source.value.shape)]
        labels = torch.arange(math.prod(kept)).reshape(kept)
        labels = labels[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(shape))].expand(shape)
        found.append(rule.reduced(source, [dim])[labels.reshape(-1).numpy()])
    return _union(found)


def _embedding(rule: _Rule) -> Scope | None:
    index = rule.given["indices"]
    if rule.live != [index]:
        return None
    return rule.spread(index, lambda t: t[..., None].expand(rule.node.value.shape))


def _product(rule: _Rule) -> Scope | None:
    """Matrices, or batches of them: entry (i, j) depends on row i and column j."""
    left, right = (rule.given[k] for k in (("mat1", "mat2") if rule.name == "addmm" else ("self", "mat2")))
    shape, found = tuple(rule.node.value.shape), []
    for node, from_end in ((left, 1), (right, 2)):
        if id(node) in rule.found:
            dim = node.value.dim() - from_end
            kept = [1 if d == dim else n for d, n in enumerate(node.value.shape)]
            labels = torch.arange(math.prod(kept)).reshape(kept).expand(shape)
            found.append(rule.reduced(node, [dim])[labels.reshape(-1).numpy()])
    if rule.name == "addmm" and id(rule.given["self"]) in rule.found:
        found.append(rule.spread(rule.given["self"], lambda t: t.expand(shape)))
    return _union(found)


def _times_vector(rule: _Rule) -> Scope | None:
    """Entry i of a matrix times a vector depends on row i and on the whole vector."""
    matrix, found = rule.given["self"], []
    if id(matrix) in rule.found:
        found.append(rule.reduced(matrix, [1]))
    if id(rule.given["vec"]) in rule.found:
        found.append(rule.reduced(rule.given["vec"], [0])[np.zeros(len(rule.node.value), np.int64)])
    return _union(found)


def _scattered(rule: _Rule) -> Scope | None:
    """Into a row of self (along `dim`) goes what the indices and sources of that row say."""
    source, index = rule.given["self"], rule.given["index"]
    dim, shape = rule.given["dim"] % max(source.value.dim(), 1), source.value.shape
    if index.value.dim() != len(shape) or any(index.value.shape[d] != shape[d] for d in range(len(shape)) if d != dim):
        return None
    kept = [1 if d == dim else n for d, n in enumerate(shape)]
    labels = torch.arange(math.prod(kept)).reshape(kept).expand(shape).reshape(-1).numpy()
    found = [rule.found[id(source)]] if id(source) in rule.found else []
    for node in (index, rule.given.get("src")):
        if isinstance(node, Node) and id(node) in rule.found:
            if node.value.shape != index.value.shape:
                return None
            found.append(rule.reduced(node, [dim])[labels])
    return _union(found)


RULES: Mapping[str, Callable[[_Rule], Scope | None]] = {
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(ALONG, _along),
    **dict.fromkeys(("mm", "bmm", "addmm"), _product),
    **dict.fromkeys(("scatter", "scatter_add"), _scattered),
    "index": _index,
    "gather": _gather,
    "embedding": _embedding,
    "mv": _times_vector,
}


def _union(parts: Sequence[Scope]) -> Scope:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return _ones(total)


def _ones(scope: Any) -> Scope:
    scope = csr_matrix(scope, dtype=np.int32)
    scope.data[:] = 1
    return scope


def _identity(size: int) -> Scope:
    return csr_matrix((np.ones(size, np.int32), np.arange(size), np.arange(size + 1)), shape=(size, size))
