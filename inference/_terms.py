"""The log joint density of a program with held sites as a sum of small terms, each with the few elements that it depends on.

    log p = sum over terms t, entries i of coefficient_t * value_t[i],     scope(t, i): the elements that entry i depends on

A site's factor is one term, or several where it ends in sums: `factor(beta * (s[1:] * s[:-1]).sum())` has an entry for each pair.
What depends on no held element is left out: it changes no conditional.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from ..readings import RecordedReading
from ..scopes import Scope, scopes
from ..straightline import Graph, Node, identity

if TYPE_CHECKING:
    from ..recording import Recording

__all__ = ["Term", "Terms"]

SHAPES = frozenset(
    ["view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "permute", "transpose", "t", "clone", "alias"]
)  # every entry stays what it is


class Term(NamedTuple):
    """The sum of a node's entries times a number; coefficients: nodes of one entry that it is multiplied with."""

    node: Node
    number: float
    coefficients: tuple[Node, ...]


class Terms:
    """Of a recording in which every discrete site is held.

    terms    those with an entry that depends on a held element; scopes: (entries, elements) of each
    """

    def __init__(self, reading: RecordedReading):
        self.reading = reading
        self.recording: Recording = reading.recording
        source = self.recording.tape.inputs["held"]
        outputs = [o.log_prob for o in self.recording.outputs.values()]
        found = scopes(outputs, source)
        split = [t for o in self.recording.outputs.values() for t in _split(Term(o.log_prob, 1.0, (o.scale,)), found)]
        self.terms = [t for t in split if id(t.node) in found and found[id(t.node)].nnz]
        self.scopes: list[Scope] = [found[id(t.node)] for t in self.terms]

    def function(self, which: Sequence[int]) -> Callable[..., list[Tensor]]:
        """position (dim,), held (elements,), others -> the entries of terms, flat, one tensor for each."""
        chosen = [self.terms[i] for i in which]
        nodes = list({id(n): n for t in chosen for n in (t.node, *t.coefficients)}.values())
        graph: Graph = self.recording.cut(self.recording.point, nodes, self.reading.dtype)
        place = {id(n): i for i, n in enumerate(nodes)}

        def entries(*inputs: Tensor) -> list[Tensor]:
            outputs = graph(*inputs)
            values = []
            for term in chosen:
                value = outputs[place[id(term.node)]] * term.number
                for c in term.coefficients:
                    value = value * outputs[place[id(c)]].reshape(())
                values.append(value.reshape(-1))
            return values

        return entries


def _split(term: Term, found: dict[int, Scope]) -> list[Term]:
    """A term whose node ends in sums, differences and multiples as the terms that it is made of."""
    node = term.node
    name = getattr(node.target, "_opname", "")
    if node.target is identity or (name in SHAPES and node.parents) or (name == "sum" and node.parents[0].value.is_floating_point()):
        return _split(term._replace(node=node.parents[0]), found)
    if name == "mean" and node.value.numel():
        share = node.value.numel() / max(node.parents[0].value.numel(), 1)
        return _split(term._replace(node=node.parents[0], number=term.number * share), found)
    if name == "neg":
        return _split(term._replace(node=node.parents[0], number=-term.number), found)
    if name in ("add", "sub") and not node.kwargs:
        return _sum(term, found, -1.0 if name == "sub" else 1.0)
    if name in ("mul", "div") and not node.kwargs:
        return _multiple(term, found, name)
    return [term]


def _sum(term: Term, found: dict[int, Scope], sign: float) -> list[Term]:
    """Of parts that depend on held elements, none of which is repeated to be added; the others are left out."""
    first, second = term.node.args[:2]
    parts = [(p, s) for p, s in ((first, 1.0), (second, sign)) if isinstance(p, Node) and id(p) in found]
    if any(p.value.shape.numel() != term.node.value.shape.numel() for p, _ in parts):
        return [term]
    return [t for p, s in parts for t in _split(term._replace(node=p, number=term.number * s), found)]


def _multiple(term: Term, found: dict[int, Scope], name: str) -> list[Term]:
    """Of what depends on held elements by one number that does not."""
    node, (first, second) = term.node, term.node.args[:2]
    if isinstance(second, (int, float)):
        number = term.number * (second if name == "mul" else 1 / second)
        return _split(term._replace(node=first, number=number), found) if math.isfinite(number) else [term]
    for kept, by in ((first, second), (second, first)):
        single = isinstance(by, Node) and by.value.numel() == 1 and id(by) not in found and by.value.is_floating_point()
        if name == "mul" and single and isinstance(kept, Node) and kept.value.numel() == node.value.numel():
            return _split(term._replace(node=kept, coefficients=(*term.coefficients, by)), found)
    return [term]
