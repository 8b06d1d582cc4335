"""Loops taken apart: what does not go from one step to the next is done for all steps at once.

The carries of a step fall into strongly connected components. Of one after the other,

    a carry that no component holds: c' = f(x)         is f(x) one step later
    a carry that only sums:          c' = c + f(x)     is a cumulative sum
    every other component                              is a loop, with nothing in it but what lies on a way from carry to carry

and every other operation of the step runs once, over the dimension of time. Source: loop distribution, Kennedy & Allen, Optimizing
Compilers for Modern Architectures (2001), section 2.5.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from .loops import Scan, repeat
from .simplify import simplify
from .straightline import Node, cut, item, mapped

__all__ = ["distributed"]

aten = torch.ops.aten
SIGNED: Mapping[Any, Callable[..., Tensor]] = {aten.add.Tensor: operator.add, aten.sub.Tensor: operator.sub}
VIEWS = {aten.reshape.default, aten.view.default, aten.unsqueeze.default, aten.expand.default, aten.permute.default, aten.t.default}
NO_BATCHING_RULE = (RuntimeError, NotImplementedError)


def distributed(scan: Scan, initial: Sequence[Tensor], xs: Sequence[Tensor], fixed: Sequence[Tensor]) -> list[Tensor]:
    """What a scan gives, by as little loop as it takes."""
    if scan.step.random or scan.sums or any(isinstance(n.value, Tensor) and scan.is_large(n.value) for n in _changing(scan)):
        return repeat(scan, initial, xs, fixed)
    try:
        return _Distribution(scan, initial, xs, fixed).results()
    except NO_BATCHING_RULE:
        return repeat(scan, initial, xs, fixed)


class Known(NamedTuple):
    """The value of a node of the step: at all times, (length, *shape), or one that is the same at all times."""

    value: Any  # a tensor, or the several outputs of an operation
    timed: bool


class _Distribution:
    """One scan with its arguments."""

    def __init__(self, scan: Scan, initial: Sequence[Tensor], xs: Sequence[Tensor], fixed: Sequence[Tensor]):
        self.scan, self.initial = scan, initial
        self.step = scan.step
        self.outs = self.step.outputs[: scan.carries]
        self.ins = self.step.inputs[: scan.carries]
        rest = self.step.inputs[scan.carries :]
        self.known = {id(n): Known(t, i < scan.elements) for i, (n, t) in enumerate(zip(rest, [*xs, *fixed], strict=True))}
        self.known |= {id(n): Known(n.constant, False) for n in self.step.nodes if n.constant is not None}
        self.masks = _masks(self.ins, self.step.nodes)

    def results(self) -> list[Tensor]:
        paths: dict[int, Tensor] = {}
        for component in self._components():
            paths |= self._paths(component)
        ys = [self._timed(n) for n in self.step.outputs[self.scan.carries :]]
        return [*(paths[i] for i in range(self.scan.carries)), *ys]

    def _components(self) -> list[list[int]]:
        """Carries that depend on each other, each group after those that it depends on."""
        above = [self._mask(o) for o in self.outs]  # carry -> the carries that its next value depends on
        for k in range(len(above)):
            above = [m | above[k] if m >> k & 1 else m for m in above]
        groups: dict[int, list[int]] = {}
        for i, mask in enumerate(above):
            mates = [j for j in range(len(above)) if mask >> j & 1 and above[j] >> i & 1]
            groups.setdefault(min([i, *mates]), []).append(i)
        return sorted(groups.values(), key=lambda g: (above[g[0]] | 1 << g[0]).bit_count())

    def _mask(self, node: Node) -> int:
        return self.masks.get(id(node), 0)

    def _paths(self, component: list[int]) -> dict[int, Tensor]:
        """The paths of a component's carries; their values before and after each step become known."""
        i = component[0]
        if len(component) > 1 or self._mask(self.outs[i]) >> i & 1:
            terms = self._terms(i) if len(component) == 1 else []
            paths = {i: self._summed(i, terms)} if terms else self._repeated(component)
        else:
            ends = [self._timed(self.outs[i]), self.initial[i][None]]
            paths = {i: torch.cat(ends if self.scan.reverse else ends[::-1])}
        for j, path in paths.items():
            self.known[id(self.ins[j])] = Known(self.scan.before(path), True)
            self.known.setdefault(id(self.outs[j]), Known(self.scan.after(path), True))
        return paths

    def _terms(self, i: int) -> list[tuple[Callable[..., Tensor], Node]]:
        """Of a carry that only sums, c' = c + a - b: what is added or subtracted. None where it does anything else."""
        at, carry, terms = self.outs[i], self.ins[i], []
        while at is not carry:
            if at.target not in SIGNED or at.kwargs or len(at.parents) != 2:
                return []
            x, y = at.args if self._mask(at.parents[0]) >> i & 1 else at.args[::-1]
            swapped = x is at.args[1] and at.target is aten.sub.Tensor
            if swapped or self._mask(y) >> i & 1 or (y.value.shape, y.value.dtype) != (carry.value.shape, carry.value.dtype):
                return []
            terms.append((SIGNED[at.target], y))
            at = x
        return terms

    def _summed(self, i: int, terms: Sequence[tuple[Callable[..., Tensor], Node]]) -> Tensor:
        steps = torch.zeros((), dtype=self.initial[i].dtype, device=self.initial[i].device)
        for sign, term in reversed(terms):
            steps = sign(steps, self._timed(term))
        if self.scan.reverse:
            return torch.cat([steps, self.initial[i][None]]).flip(0).cumsum(0).flip(0)
        return torch.cat([self.initial[i][None], steps]).cumsum(0)

    def _repeated(self, component: list[int]) -> dict[int, Tensor]:
        """A loop over what lies on a way from the component's carries to themselves."""
        inside = self._inside(component)
        members = {id(n) for n in inside}
        carries = [self.ins[i] for i in component]
        around = {id(p): p for n in [*inside, *(self.outs[i] for i in component)] for p in [*n.parents, *self._outside(n, members)]}
        around = {k: p for k, p in around.items() if k not in members and p.constant is None and all(p is not c for c in carries)}
        values = {k: self._value(p) for k, p in around.items()}
        elements = [p for k, p in around.items() if values[k].timed]
        fixed = [p for k, p in around.items() if not values[k].timed]
        ends = [self.outs[i] for i in component]
        read = self._read_outside(inside, members)
        step = simplify(cut(self.step, [*carries, *elements, *fixed], [*ends, *read]))
        loop = Scan(step, len(component), len(elements), self.scan.length, self.scan.reverse)
        start = [self.initial[i] for i in component]
        results = repeat(loop, start, [values[id(p)].value for p in elements], [values[id(p)].value for p in fixed])
        self.known |= {id(n): Known(t, True) for n, t in zip(read, results[len(component) :], strict=True)}
        return dict(zip(component, results, strict=False))

    def _outside(self, out: Node, members: set[int]) -> list[Node]:
        """A carry's next value that is nothing computed in the loop: an input of the step."""
        return [out] if id(out) not in members else []

    def _inside(self, component: list[int]) -> list[Node]:
        mine = sum(1 << i for i in component)
        todo, found = [self.outs[i] for i in component], set()
        while todo:
            n = todo.pop()
            if n.target is not None and id(n) not in found and self._mask(n) & mine:
                found.add(id(n))
                todo += n.parents
        return [n for n in self.step.nodes if id(n) in found]

    def _read_outside(self, inside: Sequence[Node], members: set[int]) -> list[Node]:
        """Values of the loop that are read outside of it, but for the carries' own, which are on the paths."""
        read = {id(p) for n in self.step.nodes if id(n) not in members for p in n.parents}
        read |= {id(n) for n in self.step.outputs}
        for n in reversed(inside):
            if n.target in VIEWS and id(n) in read:  # the same view of what it is of is had outside
                read = (read - {id(n)}) | {id(n.args[0])}
        ends = {id(o) for o in self.outs}
        return [n for n in inside if id(n) in read - ends and isinstance(n.value, Tensor)]

    # Values

    def _timed(self, node: Node) -> Tensor:
        """(length, *shape)"""
        known = self._value(node)
        return known.value if known.timed else known.value.expand(self.scan.length, *known.value.shape)

    def _value(self, node: Node) -> Known:
        todo = [node]
        while todo:
            n = todo[-1]
            missing = [p for p in n.parents if id(p) not in self.known]
            if id(n) in self.known or missing:
                todo = todo[:-1] if id(n) in self.known else [*todo, *missing]
            else:
                self.known[id(n)] = self._applied(n)
        return self.known[id(node)]

    def _applied(self, n: Node) -> Known:
        parents = [self.known[id(p)] for p in n.parents]
        if n.target is item:
            return Known(parents[0].value[n.args[1]], parents[0].timed)
        timed = [k.value for k in parents if k.timed]

        def at_once(*values: Tensor) -> Any:
            moving = iter(values)
            taken = iter(next(moving) if k.timed else k.value for k in parents)
            args = mapped(n.args, Node, lambda _: next(taken))
            return n.target(*args, **mapped(dict(n.kwargs), Node, lambda _: next(taken)))

        return Known(vmap(at_once)(*timed) if timed else at_once(), bool(timed))


def _changing(scan: Scan) -> list[Node]:
    """What the step computes anew at every time."""
    masks = _masks(scan.step.inputs[: scan.carries + scan.elements], scan.step.nodes)
    return [n for n in scan.step.nodes if id(n) in masks]


def _masks(carries: Sequence[Node], nodes: Sequence[Node]) -> dict[int, int]:
    """Of each node: the given nodes (carries) that it depends on, as bits."""
    masks = {id(c): 1 << i for i, c in enumerate(carries)}
    for n in nodes:
        mask = 0
        for p in n.parents:
            mask |= masks.get(id(p), 0)
        if mask:
            masks[id(n)] = mask
    return masks
