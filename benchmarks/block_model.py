"""Block models on real graphs, on planted communities beside spectral clustering, and on a graph of 10^5 edges.

    python benchmarks/block_model.py --out benchmarks/results

Writes block_model.json and block_model.md there, and block-model-planted.svg. Two threads at most; about three minutes.

figures   profile log likelihood of the communities found, against that of the known ones and the best that annealing found
number    evidence lower bound and ICL by number of communities, each with the log of the number of equal modes: of the ways to name
          the communities, of which the guide holds one
planted   overlap with planted communities against how far the graph shows them: 1 is the threshold below which no method can
mixing    Gibbs from 8 random starts on the karate club: how far the chains agree on who shares a community with whom
large     seconds and memory of one fit, in a process of its own
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import networkx as nx
import numpy as np
import torch
from matplotlib import pyplot as plt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import SpectralClustering
from torch import Tensor

from ppgen import datasets
from ppgen.diagnostics import ess_and_rhat
from ppgen.errors import PpgenWarning
from ppgen.inference import SVI, Gibbs
from ppgen.models import StochasticBlockModel
from ppgen.models._block_graph import BlockGraph, Pairs

# Best found by annealing and Kernighan-Lin restarts, outside of ppgen
BEST = {("karate", False): -233.526, ("karate", True): -739.388}
GRAPHS = ("karate", "les-miserables", "dolphins", "c-elegans")
NUMBERS = range(1, 11)
NODES, REPEATS = 2000, 5
PLANTED = {(2, 5.0): "2 communities, mean degree 5", (4, 16.0): "4 communities, mean degree 16"}
SIGNAL = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)
WHO = {"ppgen": "ppgen, SVI", "spectral": "scikit-learn, spectral"}
CHAINS, DRAWS = 8, 10_000
LARGE = {"nodes": 20_000, "communities": 10, "within": 7.0, "between": 3.0}  # degrees within a node's community and to others


def fit(family: StochasticBlockModel, graph: Any, steps: int = 500, **settings: Any) -> tuple[StochasticBlockModel, float]:
    """The learned family, and its evidence lower bound."""
    engine = SVI(num_steps=steps, num_samples=10, learning_rate=0.1, progress=False, **settings)
    posterior = engine.run(family, graph)
    return posterior.program.fn, -float(posterior.losses[-1])  # type: ignore[union-attr,index]


# Figures


def figures() -> list[dict[str, Any]]:
    rows = []
    graph = datasets.load("karate").x
    club = torch.tensor([int(graph.nodes[n]["club"] != "Mr. Hi") for n in graph])
    for corrected in (False, True):
        family = StochasticBlockModel(2, like=graph, degree_corrected=corrected)
        learned, bound = fit(family, graph)
        wrong = int((learned.communities != club).sum())
        rows.append(
            {
                "graph": "karate",
                "degree_corrected": corrected,
                "at_the_clubs": float(family.profile(graph, club)),
                "best_known": BEST["karate", corrected],
                "found": float(family.profile(graph, learned.communities)),
                "bound": bound,
                "misplaced": min(wrong, len(club) - wrong),
                "sizes": torch.bincount(learned.communities).tolist(),
            }
        )
    return rows


def numbers() -> list[dict[str, Any]]:
    rows = []
    for name in GRAPHS:
        graph = datasets.load(name).x
        directed = isinstance(graph, nx.DiGraph)
        for corrected in (False, True):
            row: dict[str, Any] = {
                "graph": name,
                "degree_corrected": corrected,
                "directed": directed,
                "bound": [],
                "icl": [],
                "profile": [],
            }
            for k in NUMBERS:
                family = StochasticBlockModel(k, like=graph, degree_corrected=corrected, directed=directed)
                learned, bound = fit(family, graph)
                row["bound"].append(bound + log_modes(learned.communities, k))
                row["icl"].append(float(learned.collapsed(graph, learned.communities)) + log_modes(learned.communities, k))
                row["profile"].append(float(learned.profile(graph, learned.communities)))
            rows.append(row)
    return rows


def log_modes(labels: Tensor, k: int) -> float:
    """Of the number of ways to name the communities found; empty ones have no names."""
    return math.lgamma(k + 1) - math.lgamma(k - len(labels.unique()) + 1)


# Planted communities


def planted(nodes: int, k: int, within: float, between: float, seed: int) -> tuple[Tensor, Tensor]:
    """Labels, equal sizes, and edges of a graph whose nodes have `within` and `between` neighbours in the mean."""
    torch.manual_seed(seed)
    labels, ones = torch.arange(nodes) % k, torch.ones(nodes)
    pairs = Pairs(k, False, ones, ones)
    rate = torch.where(pairs.rows == pairs.columns, within * k / nodes, between * k / (k - 1) / nodes)
    return labels, BlockGraph(labels, rate, pairs, multiple=False).sample()


def overlap(a: Tensor, b: Tensor, k: int) -> float:
    """Share of nodes named alike, at the best naming, above chance: 0 to 1. Source: Decelle et al., Physical Review E 84, 2011."""
    table = torch.zeros(k, k).index_put_((a, b), torch.ones(len(a)), accumulate=True).numpy()
    at = linear_sum_assignment(table, maximize=True)
    return float((table[at].sum() / len(a) - 1 / k) / (1 - 1 / k))


def spectral(edges: Tensor, nodes: int, k: int) -> Tensor:
    """Of the largest component, as eigenvectors are spent on the others elsewhere; their nodes are put in cluster 0."""
    both = torch.cat([edges, edges.flip(1)]).numpy()
    adjacency = csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(nodes, nodes))
    component = connected_components(adjacency)[1]
    inside = (component == np.bincount(component).argmax()).nonzero()[0]
    adjacency = adjacency[inside][:, inside]
    adjacency.indices, adjacency.indptr = adjacency.indices.astype(np.int32), adjacency.indptr.astype(np.int32)
    found = torch.zeros(nodes, dtype=torch.long)
    found[torch.from_numpy(inside)] = torch.from_numpy(
        SpectralClustering(k, affinity="precomputed", random_state=0).fit_predict(adjacency)
    ).long()
    return found


def curves() -> list[dict[str, Any]]:
    """c_in - c_out = signal * K sqrt(c), the degree c being the mean."""
    out = []
    for (k, c), title in PLANTED.items():
        points = []
        for signal in SIGNAL:
            apart = signal * k * math.sqrt(c)
            within, between = (c + (k - 1) * apart / k) / k, (k - 1) * (c - apart / k) / k
            found = []
            for seed in range(REPEATS):
                labels, edges = planted(NODES, k, within, between, seed)
                learned, _ = fit(StochasticBlockModel(k, like=edges, num_nodes=NODES), edges, 200)
                found.append((overlap(labels, learned.communities, k), overlap(labels, spectral(edges, NODES, k), k)))
            ours, theirs = zip(*found, strict=True)
            points.append({"signal": signal, "apart": apart, "ppgen": list(ours), "spectral": list(theirs)})
        out.append({"title": title, "communities": k, "degree": c, "points": points})
    return out


def draw(found: list[dict[str, Any]], path: Path) -> None:
    mpl.use("svg")
    figure, axes = plt.subplots(1, len(found), figsize=(9, 3.4), sharey=True, layout="constrained")
    for axis, curve in zip(axes, found, strict=True):
        x = [p["apart"] for p in curve["points"]]
        for (who, name), colour in zip(WHO.items(), ("tab:blue", "tab:orange"), strict=True):
            axis.plot(x, [statistics.mean(p[who]) for p in curve["points"]], color=colour, label=name)
            axis.scatter(
                [a for a, p in zip(x, curve["points"], strict=True) for _ in p[who]],
                [v for p in curve["points"] for v in p[who]],
                8,
                colour,
            )
        axis.axvline(curve["communities"] * math.sqrt(curve["degree"]), color="0.6", linestyle=":")
        axis.set(title=curve["title"], xlabel="c_in - c_out; dotted: the threshold of detection")
    axes[0].set(ylabel=f"overlap, {NODES:,} nodes")
    axes[0].legend(frameon=False)
    figure.savefig(path)


# Mixing


def mixing() -> list[dict[str, Any]]:
    """Names of communities are free, so chains are compared by what does not depend on them."""
    graph, rows = datasets.load("karate").x, []
    first, second = torch.triu_indices(len(graph), len(graph), 1)
    for corrected in (False, True):
        for k in (2, 3, 4):
            family = StochasticBlockModel(k, like=graph, degree_corrected=corrected)
            engine = Gibbs(num_warmup=500, num_samples=DRAWS, num_chains=CHAINS, threads=2, progress=False)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PpgenWarning)
                posterior = engine.run(family, graph)
            community = posterior.draws["community"]
            shared = community[..., first] == community[..., second]  # (chains, draws, pairs)
            share = shared.double().mean((0, 1))
            ess, rhat = ess_and_rhat(shared[..., (share > 0.02) & (share < 0.98)].double().numpy())
            seconds = posterior.provenance["seconds"]["sample"]
            rows.append(
                {
                    "degree_corrected": corrected,
                    "communities": k,
                    "seconds": seconds,
                    "microseconds_a_draw": 1e6 * seconds / (CHAINS * (DRAWS + 500)),
                    "least_ess": float(ess.min()),
                    "largest_rhat": float(rhat.max()),
                    "best": float(family.collapsed(graph, community).max()),
                }
            )
    return rows


# A large graph


def large() -> dict[str, Any]:
    """Run in a process of its own, whose peak of memory is this fit's."""
    n, k = int(LARGE["nodes"]), int(LARGE["communities"])
    labels, edges = planted(n, k, LARGE["within"], LARGE["between"], 0)
    memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # noqa: E731  MiB on Linux
    before, begin = memory(), time.perf_counter()
    family = StochasticBlockModel(k, like=edges, num_nodes=n)
    started = time.perf_counter()
    learned, bound = fit(family, edges, 200)
    end = time.perf_counter()
    return {
        "edges": len(edges),
        "nodes": n,
        "communities": k,
        "seconds_start": started - begin,
        "seconds_svi": end - started,
        "mebibytes_before": before,
        "mebibytes_peak": memory(),
        "mebibytes_of_a_matrix": n * n * 4 / 2**20,
        "bound": bound,
        "overlap": overlap(labels, learned.communities, k),
    }


def in_a_process() -> dict[str, Any]:
    out = subprocess.run([sys.executable, __file__, "--large"], check=True, capture_output=True, text=True).stdout  # noqa: S603
    return dict(json.loads(out.splitlines()[-1]))


# The report


def report(results: dict[str, Any]) -> str:
    """In Markdown."""
    lines = ["## Communities of the karate club", ""]
    lines += table(["model", "at the clubs", "best known", "found", "misplaced", "sizes"], [figure_row(r) for r in results["figures"]])
    lines += [
        "",
        "## Number of communities",
        "",
        "Evidence lower bound, ICL and profile log likelihood; the highest of the first two is bold.",
        "",
    ]
    lines += table(["graph", "model", "", *map(str, NUMBERS)], [r for row in results["numbers"] for r in number_rows(row)])
    for curve in results["planted"]:
        rows = [[f"{p['signal']:.1f}", f"{p['apart']:.2f}", *(f"{statistics.mean(p[w]):.3f}" for w in WHO)] for p in curve["points"]]
        lines += ["", f"## Planted: {curve['title']}", "", f"Overlap, mean of {REPEATS} graphs of {NODES:,} nodes.", ""]
        lines += table(["signal", "c_in - c_out", *WHO.values()], rows)
    lines += [
        "",
        "## Mixing",
        "",
        f"Gibbs on the karate club, {CHAINS} chains of {DRAWS:,} draws from anywhere: which two share a community.",
    ]
    lines += [
        "",
        *table(["model", "K", "s", "us a draw", "least ESS", "largest R-hat", "best ICL"], [mixing_row(r) for r in results["mixing"]]),
    ]
    rows = [[k.replace("_", " "), f"{v:,.2f}" if isinstance(v, float) else f"{v:,}"] for k, v in results["large"].items()]
    return "\n".join([*lines, "", "## A large graph", "", *table(["", ""], rows), ""])


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows]]


def model_of(row: dict[str, Any]) -> str:
    return "degree-corrected" if row["degree_corrected"] else "plain"


def figure_row(r: dict[str, Any]) -> list[str]:
    return [model_of(r), *(f"{r[k]:.3f}" for k in ("at_the_clubs", "best_known", "found")), str(r["misplaced"]), str(r["sizes"])]


def number_rows(row: dict[str, Any]) -> list[list[str]]:
    rows = []
    for what in ("bound", "icl", "profile"):
        top = max(row[what]) if what != "profile" else math.inf
        rows.append([row["graph"], model_of(row), what, *(f"**{v:.1f}**" if v == top else f"{v:.1f}" for v in row[what])])
    return rows


def mixing_row(r: dict[str, Any]) -> list[str]:
    numbers = (
        f"{r['seconds']:.1f}",
        f"{r['microseconds_a_draw']:.0f}",
        f"{r['least_ess']:,.0f}",
        f"{r['largest_rhat']:.3f}",
        f"{r['best']:.2f}",
    )
    return [model_of(r), str(r["communities"]), *numbers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--large", action="store_true", help="the large graph alone, in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.large:
        sys.stdout.write(json.dumps(large()) + "\n")
        return
    results = {"large": in_a_process(), "figures": figures(), "numbers": numbers(), "planted": curves(), "mixing": mixing()}
    sys.stdout.write(report(results))
    if arguments.out is not None:
        (arguments.out / "block_model.md").write_text(report(results))
        (arguments.out / "block_model.json").write_text(json.dumps(results, indent=1) + "\n")
        draw(results["planted"], arguments.out / "block-model-planted.svg")


if __name__ == "__main__":
    main()
