"""`formula`: a program as a factorisation and as a generative story, in plain text and in LaTeX.

    p(w) prod_k p(mu_k) p(sigma_k) prod_i p(z_i | w) p(x_i | mu, sigma, z_i)

A variable has an index for each plate it is in; among what it is given, variables of the same plate are those of its own row, and
those of other plates stand for all of their rows.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .graph import Structure, structure
from .program import Program

__all__ = ["Formula", "formula"]

LETTERS = "ijklmnrstuvabcdefghopqwxyz"
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau",
    "phi", "chi", "psi", "omega",
}  # fmt: skip
VARIABLES = ("latent", "observed", "conditioned")


@dataclass(frozen=True)
class Formula:
    """A factorisation in text and in LaTeX, and the story line by line. Prints as text, and as LaTeX in a notebook.

    guide, elbo   the same of the guide, and the bound that results; None without a guide
    """

    text: str
    latex: str
    story: tuple[str, ...]
    guide: "Formula | None" = None
    elbo: str | None = None

    def __str__(self) -> str:
        parts = [self.text, *[f"    {line}" for line in self.story]]
        if self.guide is not None:
            parts += ["", str(self.guide), "", str(self.elbo)]
        return "\n".join(parts)

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"


def formula(
    program: Callable[..., Any] | Program | Structure, *args: Any, guide: Callable[..., Any] | None = None, **kwargs: Any
) -> Formula:
    """The factorisation of a program (or of its structure); with `guide=`, that of the guide and the evidence lower bound too.

    Raises what `structure` raises.
    """
    graph = program if isinstance(program, Structure) else structure(program, *args, **kwargs)
    model = _Writing(graph, "p").formula()
    if guide is None:
        return model
    q = _Writing(structure(guide, *args, **kwargs), "q").formula()
    observed = ", ".join(graph.of_kind("observed", "conditioned"))
    latent = ", ".join(graph.of_kind("latent"))
    elbo = f"log p({observed}) >= E_q[log p({observed}, {latent}) - log q({latent})]"
    return Formula(model.text, model.latex, model.story, q, elbo)


class _Writing:
    """One structure, written down."""

    def __init__(self, graph: Structure, density: str):
        self.graph, self.density = graph, density
        self.letters = _letters(graph)

    def formula(self) -> Formula:
        names = [n for n in self.graph if self._shown(n)]  # in program order, in which nothing comes before what it depends on
        factors = [n for n in names if self.graph.nodes[n]["kind"] in (*VARIABLES, "factor")]
        groups = [(plates, list(members)) for plates, members in groupby(factors, key=lambda n: self.graph.nodes[n]["plates"])]
        text = " ".join(self._product(plates, members, latex=False) for plates, members in groups)
        latex = r"\,".join(self._product(plates, members, latex=True) for plates, members in groups)
        return Formula(text, latex, tuple(self._line(n) for n in names))

    def _shown(self, name: str) -> bool:
        return self.graph.nodes[name]["kind"] in (*VARIABLES, "deterministic", "factor")

    def _product(self, plates: Sequence[str], members: Iterable[str], latex: bool) -> str:
        indices = ("," if latex else ", ").join(self.letters[p] for p in plates)
        factors = (r"\," if latex else " ").join(self._factor(n, latex) for n in members)
        if not plates:
            return factors
        return rf"\prod_{{{indices}}} {factors}" if latex else f"prod_{indices if len(plates) == 1 else '{' + indices + '}'} {factors}"

    def _factor(self, name: str, latex: bool) -> str:
        order = list(self.graph)
        parents = sorted(filter(self._named, self.graph.parents(name)), key=order.index)
        given = [self._variable(p, name, latex, parent=True) for p in parents]
        bar = rf" \mid {', '.join(given)}" if latex and given else f" | {', '.join(given)}" if given else ""
        if self.graph.nodes[name]["kind"] == "factor":
            return f"{_symbol(name) if latex else name}({', '.join(given)})"
        return f"{self.density}({self._variable(name, name, latex)}{bar})"

    def _named(self, name: str) -> bool:
        """Fixed numbers without a name are no variables."""
        return "value" not in self.graph.nodes[name]

    def _variable(self, name: str, seen_from: str, latex: bool, parent: bool = False) -> str:
        """A variable with the indices of the plates that it shares with the one it is seen from."""
        here = self.graph.nodes[seen_from]["plates"]
        edge = self.graph.edges[name, seen_from] if self.graph.has_edge(name, seen_from) and parent else {}
        lags = {edge["over"]: f"-{edge['lag']}"} if edge.get("lag") else {}
        indices = [self.letters[p] + lags.get(p, "") for p in self.graph.nodes[name]["plates"] if p in here]
        symbol = _symbol(name) if latex else name
        if not indices:
            return symbol
        return f"{symbol}_{{{','.join(indices)}}}" if latex else f"{symbol}_{','.join(indices)}"

    def _line(self, name: str) -> str:
        node = self.graph.nodes[name]
        arguments = [self._indexed(a, name) for a in node["arguments"].values()]
        where = ", ".join(f"{self.letters[p]} = 1..{self.graph.plates[p]['size']}" for p in node["plates"])
        left = self._variable(name, name, latex=False)
        if node["kind"] == "deterministic":
            line = f"{left} = {arguments[0] if arguments else '...'}"
        elif node["kind"] == "factor":
            line = f"factor {left}"
        else:
            line = f"{left} ~ {node['distribution']}({', '.join(arguments)})"
        return f"{line}    for {where}" if where else line

    def _indexed(self, argument: str, name: str) -> str:
        """A formula with the names of variables indexed as the site sees them."""
        known = [n for n in self.graph.predecessors(name) if re.search(rf"(?<![\w.]){re.escape(n)}(?![\w.])", argument)]
        for n in sorted(known, key=len, reverse=True):
            argument = re.sub(rf"(?<![\w.]){re.escape(n)}(?![\w.(]|\[t)", self._variable(n, name, latex=False), argument)
        return argument


def _letters(graph: Structure) -> dict[str, str]:
    """An index for each plate: its initial where that is free, i for data, k for components; then the next letter."""
    usual = {"data": "i", "components": "k", "time": "t", "rows": "r", "columns": "c"}
    taken = {n for n in graph if len(n) == 1}
    letters: dict[str, str] = {}
    for plate in graph.plates:
        wished = [usual.get(plate, ""), plate[0].lower(), *LETTERS]
        letters[plate] = next(c for c in wished if c and c not in taken)
        taken.add(letters[plate])
    return letters


def _symbol(name: str) -> str:
    r"""A name in LaTeX: \mu, \mathrm{weights}, z."""
    stem, _, rest = name.partition("_")
    symbol = "\\" + stem if stem in GREEK else stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    return f"{symbol}_{{\\mathrm{{{rest.replace('_', ',')}}}}}" if rest else symbol
