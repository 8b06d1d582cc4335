"""Where the names of plates stand: in a corner that no arrow crosses, found by laying the drawing out."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .dot import CORNERS, clusters
from .graph import Structure

if TYPE_CHECKING:
    import pygraphviz

__all__ = ["legible"]

LARGE = 80  # nodes; laying out more of them several times takes long, and their plates are wide
PARTS = 12  # of a piece of an arrow, at whose ends it is looked whether it is under a name
CLEAR = 3.0  # points around a name
POINTS = 72.0  # to an inch

Box = tuple[float, float, float, float]  # left, low, right, high, in points


def legible(graph: Structure, full: bool) -> str:
    """DOT of plates that nest. A name under an arrow moves to the next corner of its plate, in the end of a wider one; where all are
    crossed, back to the first."""
    corner: dict[str, int] = {}
    text = clusters(graph, full, corner)
    for _ in CORNERS if len(graph) <= LARGE else ():
        crossed = _crossed(text)
        if not crossed:
            break
        for name in crossed:
            corner[name] = corner.get(name, 0) + 1
        text = clusters(graph, full, corner)
    return text


def _crossed(text: str) -> list[str]:
    """Plates, as DOT calls their clusters, whose names are under an arrow."""
    import pygraphviz

    drawn = pygraphviz.AGraph(string=text)
    drawn.layout(prog="dot")
    points = [p for edge in drawn.edges() for p in _along(edge.attr["pos"])]
    return [name for name, (left, low, right, high) in _names(drawn) if any(left < x < right and low < y < high for x, y in points)]


def _names(graph: "pygraphviz.AGraph") -> Iterator[tuple[str, Box]]:
    for cluster in graph.subgraphs():
        look = cluster.graph_attr
        x, y = (float(v) for v in look["lp"].split(","))
        wide, tall = (POINTS / 2 * float(look[k]) for k in ("lwidth", "lheight"))
        left, right = (2 * wide * s / _width(look["label"]) for s in _spaces(look["label"]))
        yield cluster.name, (x - wide + left - CLEAR, y - tall - CLEAR, x + wide - right + CLEAR, y + tall + CLEAR)
        yield from _names(cluster)


def _width(label: str) -> float:
    """In letters, of which a space is about half."""
    return len(label.strip()) + sum(_spaces(label))


def _spaces(label: str) -> tuple[float, float]:
    """Before and after the name, in letters."""
    return (len(label) - len(label.lstrip())) / 2, (len(label) - len(label.rstrip())) / 2


def _along(pos: str) -> Iterator[tuple[float, float]]:
    """Points of an arrow, whose splines Graphviz writes as `e,x,y` for its tip, and control points."""
    marked = [part.split(",") for part in pos.split()]
    points = [(float(x), float(y)) for x, y in (p[-2:] for p in marked if p[0] not in "es")]
    ends = [(float(p[1]), float(p[2])) for p in marked if p[0] == "e"]
    for i in range(0, len(points) - 3, 3):
        yield from (_bezier(points[i : i + 4], t / PARTS) for t in range(PARTS + 1))
    x, y = points[-1]
    for tip, end in ends:
        yield from ((x + (tip - x) * t / PARTS, y + (end - y) * t / PARTS) for t in range(PARTS + 1))


def _bezier(control: Sequence[tuple[float, float]], t: float) -> tuple[float, float]:
    weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    x, y = (sum(w * p[axis] for w, p in zip(weights, control, strict=True)) for axis in (0, 1))
    return x, y
