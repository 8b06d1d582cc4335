"""`diagram`: a program drawn as the field draws graphical models.

circle               random variable; shaded where it is observed
double ring          deterministic value
small solid dot      learned parameter (a network with the count of its numbers) or fixed hyperparameter
square               factor
rectangle            plate, with its name and size; subsampled ones with both sizes
dashed               the guide, where it is asked for
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal, cast

import networkx as nx

from .dot import GUIDE, columns, crossing, mermaid
from .errors import DataError, NameNotFoundError
from .graph import Structure, structure
from .plate_labels import legible
from .program import Program

__all__ = ["Diagram", "diagram"]

Detail = Literal["minimal", "default", "full"]
DETAILS = ("minimal", "default", "full")
SUFFIXES = ("svg", "png", "pdf", "dot", "mmd", "json")
LARGE = 400  # nodes; above, dot takes long and nobody can read what it makes
STYLE = f"""<style>
.ppgen text {{ fill: #111; }}
.ppgen .guide text {{ fill: {GUIDE}; }}
@media (prefers-color-scheme: dark) {{
  .ppgen text {{ fill: #eee; }} .ppgen .plate path, .ppgen .ring ellipse, .ppgen .box polygon {{ stroke: #ccc; }}
  .ppgen .arrow path {{ stroke: #ccc; }} .ppgen .arrow polygon, .ppgen .dot ellipse {{ fill: #ccc; stroke: #ccc; }}
  .ppgen .observed ellipse {{ fill: #666; }} .ppgen .guide text {{ fill: #6bb8e6; }} .ppgen .guide path {{ stroke: #6bb8e6; }}
  .ppgen .guide polygon, .ppgen .guide ellipse {{ fill: #6bb8e6; stroke: #6bb8e6; }}
}}
</style>"""


@dataclass(frozen=True)
class Diagram:
    """A drawn program. A notebook shows it; `save` writes it."""

    graph: Structure
    dot: str
    placed: bool  # the text says where every node stands

    @property
    def svg(self) -> str:
        """A picture of its own, for light and dark pages."""
        return self.inline(STYLE)

    def inline(self, style: str) -> str:
        """The picture with a page's own style for the classes ring, observed, dot, box, plate, arrow and guide."""
        text = re.sub(r"<!--.*?-->\s*| id=\"[^\"]*\"", "", self._drawn("svg").decode(), flags=re.DOTALL)  # several may share a page
        head, _, body = text[text.index("<svg") :].partition(">")
        names = ", ".join(self.graph.of_kind("latent", "observed"))
        return f'{head} class="ppgen" role="img" aria-label="Graphical model of {escape(names)}">{style}{body}'

    @property
    def mermaid(self) -> str:
        return mermaid(self.graph)

    @property
    def json(self) -> str:
        """Nodes, edges and plates with all that is known of them."""
        return json.dumps(nx.node_link_data(self.graph, edges="edges"), default=str, indent=1)

    def save(self, path: str | Path) -> Path:
        """Write it; the suffix says how: .svg, .png, .pdf, .dot, .mmd (Mermaid) or .json. Raises DataError for another one."""
        path = Path(path)
        kind = path.suffix.removeprefix(".")
        if kind not in SUFFIXES:
            raise DataError(f"a diagram is saved as {', '.join('.' + s for s in SUFFIXES)}; not as {path.suffix or path.name!r}")
        texts = {"svg": lambda: self.svg, "dot": lambda: self.dot, "mmd": lambda: self.mermaid, "json": lambda: self.json}
        path.write_bytes(texts[kind]().encode() if kind in texts else self._drawn(kind))
        return path

    def _drawn(self, kind: str) -> bytes:
        import pygraphviz

        drawn = pygraphviz.AGraph(string=self.dot)
        drawn.layout(prog="neato" if self.placed else "dot")
        return cast("bytes", drawn.draw(format=kind))

    def _repr_svg_(self) -> str:
        return self.svg


def diagram(
    program: Callable[..., Any] | Program | Structure,
    *args: Any,
    guide: Callable[..., Any] | None = None,
    detail: Detail = "default",
    **kwargs: Any,
) -> Diagram:
    """The plate diagram of a program given its arguments, or of its structure.

    guide    drawn over it, dashed: a program over the same sites, such as `family.guide`
    detail   minimal: random variables and factors; default: also deterministic values, parameters and named hyperparameters;
             full: also fixed numbers, and every law

    Raises NameNotFoundError (detail), DataError (too many nodes to draw), and what `structure` raises.
    """
    if detail not in DETAILS:
        raise NameNotFoundError(f"detail is one of {', '.join(DETAILS)}; got {detail!r}")
    graph = program if isinstance(program, Structure) else structure(program, *args, **kwargs)
    shown = _reduced(graph, detail)
    if guide is not None:
        shown = _with_guide(shown, structure(guide, *args, **kwargs))
    if len(shown) > LARGE:
        kinds = ", ".join(f"{len(shown.of_kind(k))} {k}" for k in ("latent", "observed", "deterministic", "parameter", "constant"))
        raise DataError(
            f"{len(shown):,} nodes are more than can be drawn legibly ({kinds}); fold repeated slices with structure(...).folded(), take "
            'detail="minimal", or draw a part: structure(...).subgraph([...])'
        )
    placed = crossing(shown)
    return Diagram(shown, (columns if placed else legible)(shown, detail == "full"), placed)


def _reduced(graph: Structure, detail: Detail) -> Structure:
    """What is drawn at this level of detail. Where a deterministic value is left out, its parents take its place."""
    shown = graph.copy()
    if detail != "full":
        shown.remove_nodes_from([n for n, node in graph.nodes.items() if "value" in node])
    if detail == "minimal":
        shown.remove_nodes_from(shown.of_kind("constant", "parameter"))
        for name in shown.of_kind("deterministic"):
            shown.add_edges_from([(p, c) for p in shown.predecessors(name) for c in shown.successors(name)])
            shown.remove_node(name)
    return shown


def _with_guide(graph: Structure, guide: Structure) -> Structure:
    """The model's graph with the guide's edges and parameters, each marked as the guide's."""
    both = graph.copy()
    for name in guide.of_kind("parameter"):
        if name not in both:
            both.add_node(name, **guide.nodes[name], guide=True)
    for u, v in guide.edges:
        if u in both and v in both and not both.has_edge(u, v):
            both.add_edge(u, v, guide=True)
        elif u in both and v in both:
            both.edges[u, v]["both"] = True
    return both
