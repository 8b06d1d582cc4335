"""A structure as text that others draw: DOT, for Graphviz, and Mermaid.

Where plates nest, Graphviz's dot lays them out as clusters. Plates that cross are no clusters: variables stand in columns then, one
for each set of plates, in an order in which the columns of every plate follow each other, so that every plate is one rectangle.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import combinations, permutations
from typing import Any

import networkx as nx

from .errors import DataError
from .graph import Structure

__all__ = ["CORNERS", "GUIDE", "clusters", "columns", "crossing", "mermaid"]

# Of a plate, in Graphviz's words; in the last ones the plate is wider than its name by so many spaces
CORNERS = (*((edge, side, 0) for edge in "bt" for side in "rl"), *(("b", side, spaces) for spaces in (8, 16, 24, 40) for side in "lr"))
COLUMN, ROW, MARGIN = 1.3, 1.0, 0.45  # inches between variables in columns, between layers, and around a plate's variables
NAMES = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
GREEK = dict(zip(NAMES.split(), "αβγδεζηθικλμνξπρστυφχψω", strict=True))
# Okabe and Ito's blue, which is told from black by everyone and darker than the shade of observed variables in print
GUIDE, SHADE = "#0072B2", "#d0d0d0"


def crossing(graph: Structure) -> bool:
    """Whether plates overlap of which neither holds the other."""
    return any(_cross(graph, a, b) for a, b in combinations(graph.plates, 2))


# Nodes and edges


def _node(graph: Structure, name: str, full: bool) -> dict[str, str]:
    node = graph.nodes[name]
    kind, label = node["kind"], _label(name)
    title = _title(name, node)
    if kind in ("parameter", "constant"):
        count = f"\\n{node['count']:,} numbers" if node.get("count", 0) > 1 else ""
        return {
            "shape": "point", "width": "0.11", "label": "", "xlabel": label + count, "tooltip": title,
            "class": "dot guide" if node.get("guide") else "dot", **({"color": GUIDE, "fontcolor": GUIDE} if node.get("guide") else {}),
        }  # fmt: skip
    if kind == "factor":
        return {
            "shape": "square",
            "width": "0.18",
            "style": "filled",
            "fillcolor": "black",
            "label": "",
            "xlabel": label,
            "tooltip": title,
            "class": "box",
        }
    if full and node.get("distribution"):
        label += f"\\n{node['distribution']}({', '.join(node['arguments'].values())})"
    look = {"shape": "ellipse" if full else "circle", "label": label, "tooltip": title, "class": "ring", "width": "0.6"}
    if kind in ("observed", "conditioned"):
        look |= {"style": "filled", "fillcolor": SHADE, "class": "ring observed"}
    if kind == "deterministic":
        look["peripheries"] = "2"
    return look


def _edge(data: Mapping[str, Any]) -> dict[str, str]:
    if data.get("guide"):
        return {"style": "dashed", "color": GUIDE, "class": "arrow guide", "constraint": "false"}
    look = {"style": "dotted" if data.get("control") else "solid", "class": "arrow"}
    return {**look, "label": f"  t-{data['lag']}", "fontsize": "10"} if data.get("lag") else look


def _title(name: str, node: Mapping[str, Any]) -> str:
    law = f" ~ {node['distribution']}({', '.join(f'{k}={v}' for k, v in node['arguments'].items())})" if node.get("distribution") else ""
    value = f" = {node['value']}" if "value" in node else ""
    return f"{name}{law}{value}, {node['kind']}, shape {tuple(node['shape'])}"


def _label(name: str) -> str:
    stem, _, rest = name.partition("_")
    return GREEK.get(stem, stem) + (f"_{rest}" if rest else "")


def _plate_label(name: str, plate: Mapping[str, int]) -> str:
    size, part = plate["size"], plate["subsample_size"]
    return f"{name}  {part:,} of {size:,}" if part < size else f"{name}  {size:,}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _attributes(values: Mapping[str, str]) -> str:
    return "[" + ", ".join(f"{k}={_quoted(v)}" for k, v in values.items()) + "]"


def _head() -> list[str]:
    return [
        "digraph program {",
        '  graph [fontname="Helvetica", bgcolor="transparent", rankdir=TB, forcelabels=true];',
        '  node [fontname="Helvetica", fontsize=13, fixedsize=false, margin="0.04"];',
        "  edge [arrowsize=0.7];",
    ]


def _edges(graph: Structure) -> list[str]:
    return [f"  {_quoted(u)} -> {_quoted(v)} {_attributes(_edge(d))};" for u, v, d in graph.edges(data=True)]


# Plates that nest


def clusters(graph: Structure, full: bool, corner: Mapping[str, int]) -> str:
    """DOT in which every plate is a cluster, inside the cluster of the plate around it. corner: of CORNERS, in which a cluster's name
    stands; the first where nothing is said."""

    def node(name: str) -> str:
        return f"{_quoted(name)} {_attributes(_node(graph, name, full))};"

    def plate(path: tuple[str, ...]) -> tuple[list[str], str]:
        label = _plate_label(path[-1], graph.plates[path[-1]])
        name = f"cluster_{'/'.join(path)}"
        edge, side, spaces = CORNERS[corner.get(name, 0) % len(CORNERS)]
        label = label + " " * spaces if side == "l" else " " * spaces + label
        look = {"label": label, "labelloc": edge, "labeljust": side, "style": "rounded", "class": "plate"}
        return [f"subgraph {_quoted(name)} {{", *(f"  {k}={_quoted(v)};" for k, v in look.items())], "}"

    return "\n".join([*_head(), *_nested(graph, node, plate), *_edges(graph), "}"])


def _nested(graph: Structure, node: Callable[[str], str], plate: Callable[[tuple[str, ...]], tuple[list[str], str]]) -> list[str]:
    """Lines for every node, and around those of a plate, outermost first, the plate's first lines and its last."""
    paths = {name: _path(graph, name) for name in graph}

    def inside(path: tuple[str, ...]) -> Iterator[str]:
        depth = len(path)
        yield from (node(name) for name, p in paths.items() if p == path)
        for inner in dict.fromkeys(p[: depth + 1] for p in paths.values() if p[:depth] == path and len(p) > depth):
            first, last = plate(inner)
            yield from (*first, *(f"  {line}" for line in inside(inner)), last)

    return [f"  {line}" for line in inside(())]


def _path(graph: Structure, name: str) -> tuple[str, ...]:
    """The plates around a node, those with more members outside."""
    return tuple(sorted(graph.nodes[name]["plates"], key=lambda p: (-len(_members(graph, p)), list(graph.plates).index(p))))


def _members(graph: Structure, plate: str) -> set[str]:
    return {n for n, d in graph.nodes.items() if plate in d["plates"]}


def _cross(graph: Structure, a: str, b: str) -> bool:
    """Whether two plates overlap and neither holds the other."""
    x, y = _members(graph, a), _members(graph, b)
    return bool(x & y) and bool(x - y) and bool(y - x)


# Plates that cross


def columns(graph: Structure, full: bool) -> str:
    """DOT in which every node has a place, and every plate is a rectangle around its columns and rows."""
    place = _places(graph)
    lines = _head()
    for plate in sorted(graph.plates, key=lambda p: -len(_members(graph, p))):
        members = _members(graph, plate)
        if members:
            points = [place[n] for n in members]
            side = r"\l" if min(points) == min(place[n] for n in graph if graph.nodes[n]["plates"]) else r"\r"
            lines.append(f"  {_quoted('plate:' + plate)} {_attributes(_rectangle(plate, graph, points, side))};")
    for name in graph:
        x, y = place[name]
        lines.append(f"  {_quoted(name)} {_attributes({**_node(graph, name, full), 'pos': f'{x:.2f},{y:.2f}!'})};")
    return "\n".join([*lines, *_edges(graph), "}"])


def _rectangle(plate: str, graph: Structure, points: Sequence[tuple[float, float]], side: str) -> dict[str, str]:
    """side: of the name, for Graphviz: the one at which the plate reaches beyond others."""
    depth = list(graph.plates).index(plate)  # rectangles of plates that share an edge would hide each other
    left, right = min(x for x, _ in points) - MARGIN, max(x for x, _ in points) + MARGIN
    low, high = min(y for _, y in points) - MARGIN - 0.28 * (depth + 1), max(y for _, y in points) + MARGIN + 0.08 * depth
    label = f"  {_plate_label(plate, graph.plates[plate])}  {side}"
    return {
        "shape": "box", "style": "rounded", "label": label, "labelloc": "b", "fixedsize": "true",
        "width": f"{right - left:.2f}", "height": f"{high - low:.2f}", "class": "plate", "tooltip": f"plate {plate}",
        "pos": f"{(left + right) / 2:.2f},{(low + high) / 2:.2f}!",
    }  # fmt: skip


def _places(graph: Structure) -> dict[str, tuple[float, float]]:
    """x by the column of a node's plates, y by its layer; nodes of one column and layer stand side by side."""
    model = nx.DiGraph([(u, v) for u, v, d in graph.edges(data=True) if not (d.get("guide") or d.get("lag"))])
    model.add_nodes_from(graph)
    layer = {n: i for i, names in enumerate(nx.topological_generations(model)) for n in names}
    for name in reversed(list(nx.topological_sort(model))):  # a root stands right above its first child
        if model.in_degree(name) == 0 and model.out_degree(name):
            layer[name] = min(layer[c] for c in model.successors(name)) - 1
    place: dict[str, tuple[float, float]] = {}
    start = 0.0
    abreast: dict[frozenset[str], list[list[str]]] = {}
    for column in _ordered([frozenset(graph.nodes[n]["plates"]) for n in graph]):
        names = [n for n in graph if frozenset(graph.nodes[n]["plates"]) == column]
        abreast[column] = [[n for n in names if layer[n] == y] for y in sorted({layer[n] for n in names})]
    height = ROW * (1 + 0.4 * (max(len(row) for rows in abreast.values() for row in rows) - 1))  # arrows pass below the next variable
    for rows in abreast.values():
        width = max(map(len, rows))
        for row in rows:
            for i, name in enumerate(row):
                place[name] = (start + COLUMN * (i + (width - len(row)) / 2), -height * layer[name])
        start += COLUMN * width
    return place


def _ordered(columns: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """The columns in an order in which those of every plate follow each other; raises DataError where there is none."""
    distinct = list(dict.fromkeys(columns))
    plates = set().union(*distinct)
    free = [c for c in distinct if not c]
    inside = [c for c in distinct if c]
    for order in permutations(inside) if len(inside) <= 8 else ():
        if all(_together([p in c for c in order]) for p in plates):
            return [*free, *order]
    raise DataError(
        f"plates {', '.join(sorted(plates))} cross in a way that no rectangles show; draw a part: structure(...).subgraph([...])"
    )


def _together(flags: Sequence[bool]) -> bool:
    first, last = flags.index(True), len(flags) - 1 - flags[::-1].index(True)
    return all(flags[first : last + 1])


# Mermaid


def mermaid(graph: Structure) -> str:
    """Mermaid, which has no plates that cross: of two such, one is drawn inside the other."""
    number = {n: f"n{i}" for i, n in enumerate(graph)}
    shapes = {"parameter": "[/{}/]", "constant": "[/{}/]", "factor": "[{}]", "deterministic": "((({})))"}

    def node(name: str) -> str:
        label = '"' + escape(_label(name)) + '"'
        return number[name] + shapes.get(graph.nodes[name]["kind"], "(({}))").format(label)

    def plate(path: tuple[str, ...]) -> tuple[list[str], str]:
        return [f'subgraph p{"_".join(path)}["{escape(_plate_label(path[-1], graph.plates[path[-1]]))}"]'], "end"

    edges = [f"  {number[u]} {'-.->' if d.get('guide') else '-->'} {number[v]}" for u, v, d in graph.edges(data=True)]
    shaded = [f"  style {number[n]} fill:{SHADE}" for n in graph.of_kind("observed", "conditioned")]
    return "\n".join(["flowchart TB", *_nested(graph, node, plate), *edges, *shaded])
