"""`formula`: a program as a factorisation and as a generative story, in plain text and in LaTeX.

    p(w) prod_k p(mu_k) p(sigma_k) prod_i p(z_i | w) p(x_i | mu, sigma, z_i)

A variable has an index for each plate it is in; among what it is given, variables of the same plate are those of its own row, and
those of other plates stand for all of their rows.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from .graph import Structure, structure
from .program import Program

__all__ = ["Formula", "formula"]

LETTERS = "ijklmnrstuvabcdefghopqwxyz"
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau",
    "phi", "chi", "psi", "omega",
}  # fmt: skip
VARIABLES = ("latent", "observed", "conditioned")
PYTHON = {"*": r"\,", "{": r"\{", "}": r"\}", "~": r"\sim ", "\\": r"\backslash "}


class Words(NamedTuple):
    """What stories are written with, by the % of strings."""

    done: str  # a variable that was set from outside
    factor: str
    drawn: str  # a variable, its law, the law's arguments
    comma: str
    where: str
    all_of: str  # an index, its last value


IN_TEXT = Words("do(%s)", "factor %s", "%s ~ %s(%s)", ", ", "    for ", "%s = 1..%s")
IN_LATEX = Words(r"\mathrm{do}(%s)", r"\mathrm{factor}\ %s", r"%s \sim \mathrm{%s}(%s)", r",\ ", r"\qquad ", r"%s = 1, \ldots, %s")


@dataclass(frozen=True)
class Formula:
    """A factorisation and the story line by line, in text and in LaTeX. Prints as text, and as LaTeX in a notebook.

    guide, elbo   the same of the guide, and the bound that results; None without a guide
    """

    text: str
    latex: str
    story: tuple[str, ...]
    latex_story: tuple[str, ...] = ()
    guide: "Formula | None" = None
    elbo: str | None = None

    def __str__(self) -> str:
        parts = [self.text, *[f"    {line}" for line in self.story]]
        if self.guide is not None:
            parts += ["", str(self.guide), "", str(self.elbo)]
        return "\n".join(parts)

    def _repr_latex_(self) -> str:
        return "\n\n".join(f"$${line}$$" for line in (self.latex, *self.latex_story))


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
    return replace(model, guide=q, elbo=elbo)


class _Writing:
    """One structure, written down."""

    def __init__(self, graph: Structure, density: str):
        self.graph, self.density = graph, density
        self.letters = _letters(graph)

    def formula(self) -> Formula:
        names = [n for n in self.graph if self._shown(n)]  # in program order, in which nothing comes before what it depends on
        factors = [n for n in names if self.graph.nodes[n]["kind"] in (*VARIABLES, "factor") and not self._done(n)]
        groups = [(plates, list(members)) for plates, members in groupby(factors, key=lambda n: self.graph.nodes[n]["plates"])]
        text = " ".join(self._product(plates, members, latex=False) for plates, members in groups)
        latex = r"\,".join(self._product(plates, members, latex=True) for plates, members in groups)
        story, latex_story = (tuple(self._line(n, latex=way) for n in names) for way in (False, True))
        return Formula(text, latex, story, latex_story)

    def _done(self, name: str) -> bool:
        """Whether it was set from outside."""
        return "done" in self.graph.nodes[name]

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
        symbol = _symbol(name, indices) if latex else f"{name}_{','.join(indices)}" if indices else name
        if not (parent and self._done(name)):
            return symbol
        return (IN_LATEX if latex else IN_TEXT).done % symbol

    def _line(self, name: str, latex: bool) -> str:
        node, words = self.graph.nodes[name], IN_LATEX if latex else IN_TEXT
        write = self._typeset if latex else self._indexed
        arguments = [write(a, name) for a in node["arguments"].values()]
        left = self._variable(name, name, latex)
        if self._done(name):
            line = words.done % left
        elif node["kind"] == "deterministic":
            line = f"{left} = {arguments[0] if arguments else '...'}"
        elif node["kind"] == "factor":
            line = words.factor % left
        else:
            law = _escaped(node["distribution"]) if latex else node["distribution"]
            line = words.drawn % (left, law, words.comma.join(arguments))
        where = words.comma.join(words.all_of % (self.letters[p], self.graph.plates[p]["size"]) for p in node["plates"])
        return f"{line}{words.where}{where}" if where else line

    def _typeset(self, argument: str, name: str) -> str:
        """A formula of Python in LaTeX: names as symbols, an index below what it picks from."""
        known = {n: self._variable(n, name, latex=True) for n in self.graph.predecessors(name) if n in argument}
        longest = sorted(map(re.escape, known), key=len, reverse=True)
        words = re.compile(
            "|".join([*(rf"(?<![\w.]){n}(?![\w.(])" for n in longest), r"[A-Za-z_][\w.]*", r"\^-?[\d.]+", r"[\[\]*{}#%&$~\\]"])
        )
        open_, before = list[str](), ""

        def written(word: re.Match[str]) -> str:
            nonlocal before
            if word[0] == "[":  # a symbol has one subscript; what has one already keeps the brackets
                open_.append("[" if "_" in before or not before or argument[: word.start()].endswith(" ") else "_{")
                text = open_[-1]
            elif word[0] == "]":
                text = "}" if open_ and open_.pop() == "_{" else "]"
            elif word[0][0] == "^":
                text = f"^{{{word[0][1:]}}}"
            else:
                text = known.get(word[0]) or PYTHON.get(word[0]) or rf"\mathrm{{{_escaped(word[0])}}}"
            before = text if word[0][0].isalpha() else ""
            return text

        return words.sub(written, argument)

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


def _symbol(name: str, indices: Sequence[str] = ()) -> str:
    r"""A name in LaTeX, all of its indices in one subscript: \mu, \mathrm{weights}, z_{\mathrm{old},i}."""
    stem, _, rest = name.partition("_")
    symbol = "\\" + stem if stem in GREEK else stem if len(stem) == 1 else rf"\mathrm{{{_escaped(stem)}}}"
    below = ",".join([*([rf"\mathrm{{{rest.replace('_', ',')}}}"] if rest else []), *indices])
    return f"{symbol}_{{{below}}}" if below else symbol


def _escaped(word: str) -> str:
    return re.sub(r"([_#%&$])", r"\\\1", word)
