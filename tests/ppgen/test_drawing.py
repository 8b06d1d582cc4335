"""Diagrams agree with the program: every variable once, inside its plates and outside of all others, every arrow where an edge is."""

import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pygraphviz
import pyro
import pyro.distributions as dist
import pytest
import torch

from ppgen.drawing import Diagram, diagram
from ppgen.errors import DataError, NameNotFoundError
from ppgen.graph import structure
from tests.tools import textbook

Box = tuple[float, float, float, float]


def laid_out(drawn: Diagram) -> pygraphviz.AGraph:
    graph = pygraphviz.AGraph(string=drawn.dot)
    graph.layout(prog="neato" if drawn.placed else "dot")
    return graph


def boxes(graph: pygraphviz.AGraph) -> tuple[dict[str, Box], dict[str, Box]]:
    """Of variables and of plates, in points: left, low, right, high."""
    variables, plates = {}, {}
    for node in graph.nodes():
        x, y = (float(v) for v in node.attr["pos"].rstrip("!").split(","))
        w, h = (36 * float(node.attr[k]) for k in ("width", "height"))
        kind = plates if node.startswith("plate:") else variables
        kind[str(node).removeprefix("plate:")] = (x - w, y - h, x + w, y + h)
    todo = list(graph.subgraphs())
    while todo:
        cluster = todo.pop()
        plates[cluster.name.rpartition("/")[2].removeprefix("cluster_")] = tuple(float(v) for v in cluster.graph_attr["bb"].split(","))
        todo += cluster.subgraphs()
    return variables, plates


def inside(a: Box, b: Box) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a[2] <= b[2] and a[3] <= b[3]


def apart(a: Box, b: Box) -> bool:
    return a[0] >= b[2] or a[2] <= b[0] or a[1] >= b[3] or a[3] <= b[1]


@pytest.mark.parametrize("name", textbook.CASES)
def test_variables_stand_inside_their_plates_and_outside_of_others(name: str) -> None:
    case = textbook.CASES[name]
    drawn = diagram(case.program, *case.args)
    layout = laid_out(drawn)
    variables, plates = boxes(layout)
    assert set(variables) == set(case.parents) | {p for parents in case.parents.values() for p in parents.split()}
    assert set(plates) == set(case.sizes)  # each once, never a clone
    for variable, box in variables.items():
        for plate, around in plates.items():
            if plate in case.plates.get(variable, "").split():
                assert inside(box, around), (variable, plate)
            else:
                assert apart(box, around), (variable, plate)
    assert {(str(u), str(v)) for u, v in layout.edges()} == {(p, c) for c, ps in case.parents.items() for p in ps.split()}
    overlapping = [(a, b) for (a, x), (b, y) in pairwise(sorted(variables.items(), key=lambda kv: kv[1])) if not apart(x, y)]
    assert not overlapping


def arrow(edge: pygraphviz.Edge) -> np.ndarray:
    """Points along an arrow without its head: Bezier curves, by de Casteljau's halving."""
    ends = [p for p in edge.attr["pos"].split() if p[0] not in "es"]
    control = np.array([[float(v) for v in p.split(",")] for p in ends])
    pieces = [control[i : i + 4] for i in range(0, len(control) - 3, 3)]
    for _ in range(5):
        halves = []
        for p in pieces:
            a, b = (p[:-1] + p[1:]) / 2, (p[:-2] + 2 * p[1:-1] + p[2:]) / 4
            middle = (b[:1] + b[1:]) / 2
            halves += [np.concatenate([p[:1], a[:1], b[:1], middle]), np.concatenate([middle, b[1:], a[2:], p[3:]])]
        pieces = halves
    return np.concatenate(pieces)


@pytest.mark.parametrize("name", textbook.CASES)
def test_arrows_go_through_no_variable_and_no_name(name: str) -> None:
    case = textbook.CASES[name]
    layout = laid_out(diagram(case.program, *case.args))
    variables, _ = boxes(layout)
    names = []
    todo = list(layout.subgraphs())
    while todo:
        look = todo[-1].graph_attr
        label, wide = look["label"], 36 * float(look["lwidth"])
        x, y = (float(v) for v in look["lp"].split(","))
        spare = len(label) - len(label.strip())  # spaces, about half as wide as letters
        shown = wide * (1 - spare / (spare + 2 * len(label.strip())))
        x += (wide - shown) * ((label != label.lstrip()) - (label != label.rstrip()))
        names.append((label, (x - shown, y - 4, x + shown, y + 4)))
        todo = todo[:-1] + todo[-1].subgraphs()
    for edge in layout.edges():
        points = arrow(edge)
        for other, (left, low, right, high) in variables.items():
            if other not in edge:
                centre, radius = np.array([left + right, low + high]) / 2, (right - left) / 2
                assert (np.hypot(*(points - centre).T) > radius).all(), (edge, other)
        for label, (left, low, right, high) in names:
            under = (points > (left, low)).all(1) & (points < (right, high)).all(1)
            assert not under.any(), (edge, label)


def test_marks_of_the_field() -> None:
    case = textbook.CASES["eight schools, non-centred"]
    layout = laid_out(diagram(case.program, *case.args))
    assert layout.get_node("y").attr["fillcolor"] == "#d0d0d0"
    assert layout.get_node("theta").attr["peripheries"] == "2"
    assert layout.get_node("sigma").attr["shape"] == "point"
    assert layout.get_node("mu").attr["label"] == "μ"
    assert not layout.get_node("mu").attr["fillcolor"]
    assert [c.graph_attr["label"] for c in layout.subgraphs()] == ["schools  8"]
    energy = textbook.CASES["energy"]
    layout = laid_out(diagram(energy.program))
    assert layout.get_node("energy").attr["shape"] == "square"
    vae = textbook.CASES["variational autoencoder"]
    layout = laid_out(diagram(vae.program, *vae.args))
    assert layout.get_node("decoder").attr["xlabel"] == r"decoder\n39 numbers"


def test_detail() -> None:
    case = textbook.CASES["eight schools, non-centred"]
    minimal = diagram(case.program, *case.args, detail="minimal").graph
    assert set(minimal) == {"mu", "tau", "eta", "y"}
    assert minimal.parents("y") == {"mu", "tau", "eta"}  # through the deterministic value that is left out
    full = diagram(case.program, *case.args, detail="full")
    assert "mu.scale" in full.graph
    assert "HalfCauchy(5)" in full.dot
    with pytest.raises(NameNotFoundError, match="detail is one of minimal, default, full; got 'all'"):
        diagram(case.program, *case.args, detail="all")  # type: ignore[arg-type]


def test_the_guide_is_dashed() -> None:
    from ppgen.models import GaussianMixture

    x = textbook.numbers(30, 2)
    family = GaussianMixture(2, like=x)
    layout = laid_out(diagram(family, x, guide=family.guide))
    style = {(str(u), str(v)): layout.get_edge(u, v).attr["style"] for u, v in layout.edges()}
    assert style["weights", "assignment"] == "solid"
    assert style["q", "loc"] == style["loc", "scale"] == "dashed"


def test_a_subsampled_plate_says_both_sizes() -> None:
    def program() -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 1000, subsample_size=50):
            pyro.sample("x", dist.Normal(loc, 1.0), obs=torch.zeros(50))

    assert "data  50 of 1,000" in diagram(program).dot


def test_names_are_escaped_everywhere() -> None:
    def program() -> None:
        a = pyro.sample('<script>alert("a")</script>', dist.Normal(0.0, 1.0))
        pyro.sample("b & c", dist.Normal(a, 1.0))

    drawn = diagram(program)
    root = ET.fromstring(drawn.svg)  # noqa: S314  well-formed, or this raises
    assert root.attrib["class"] == "ppgen"
    assert "<script" not in drawn.svg
    assert "<script" not in drawn.mermaid
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert '<script>alert("a")</script>' in texts


FORMATS = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "mmd": b"flowchart", "json": b"{"}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["Gaussian mixture", "matrix factorisation"])
def test_every_format(suffix: str, name: str, tmp_path: Path) -> None:
    case = textbook.CASES[name]
    path = diagram(case.program, *case.args).save(tmp_path / f"drawn.{suffix}")
    assert path.read_bytes().startswith(FORMATS[suffix])
    if suffix == "json":
        data = json.loads(path.read_text())
        assert {n["id"] for n in data["nodes"]} >= set(case.parents)


def test_what_cannot_be_drawn_says_so(tmp_path: Path) -> None:
    case = textbook.CASES["Gaussian mixture"]
    with pytest.raises(DataError, match=r"a diagram is saved as .svg, .*; not as '.bmp'"):
        diagram(case.program, *case.args).save(tmp_path / "a.bmp")

    def long_chain() -> None:
        x = torch.zeros(())
        for i in range(420):
            x = pyro.sample(f"x_{i}", dist.Normal(x, 1.0))

    with pytest.raises(DataError, match="420 nodes are more than can be drawn legibly"):
        diagram(long_chain)
    folded = diagram(structure(long_chain).folded())
    assert set(folded.graph) == {"x"}


def test_folded_slices_have_an_arrow_to_the_next() -> None:
    case = textbook.CASES["linear-Gaussian state space"]
    layout = laid_out(diagram(structure(case.program, *case.args).folded()))
    assert layout.get_edge("z", "z").attr["label"] == "  t-1"
    assert [c.graph_attr["label"] for c in layout.subgraphs()] == ["t  5"]
