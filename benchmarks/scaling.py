"""What one gradient costs against rows, dimension and chains, with the memory's bandwidth drawn in.

    python benchmarks/scaling.py --out benchmarks/results

Writes scaling.json there, and scaling-rows.svg, scaling-dimension.svg, scaling-chains.svg. One thread throughout.

rows        a logistic regression on 20 columns, 10^2 to 10^6 rows
dimension   that many means with one observation each, non-centred under one scale; and a regression of 1,000 rows on that many columns
chains      1 to 1,000 points at a time, by machine code and by torch: eight schools and the logistic regression on 1,000 rows
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from machinery import nanoseconds, native
from matplotlib import pyplot as plt
from peers.ppgen import tensors
from peers.pyro_models import MODELS
from problems import PROBLEMS, logistic
from torch import Tensor

import ppgen

ROWS = [10**2, 10**3, 10**4, 10**5, 10**6]
DIMENSIONS = [10, 30, 100, 300, 1000, 3000, 10**4]
CHAINS = [1, 3, 10, 30, 100, 300, 1000]
COLUMNS, SEVERAL = 20, 1000  # columns of the regression in `rows`, rows of the one in `dimension`
BIG = 2**25  # doubles of an array that no cache holds: 256 MiB

Curves = dict[str, dict[str, list[float]]]  # name -> {"x": ..., "nanoseconds": ..., "bytes": ...}


def many_means(y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfNormal(1.0))
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([len(y)]).to_event(1))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mu + tau * z, 1.0), obs=y)


def regression(x: Tensor, y: Tensor) -> None:
    b = pyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    s = pyro.sample("s", dist.HalfNormal(1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(x @ b, s), obs=y)


def bandwidth() -> float:
    """Bytes a second of a copy from memory to memory, as STREAM counts them: each once read, once written."""
    source, target = np.ones(BIG), np.zeros(BIG)
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - begin)
    return 16.0 * BIG / min(times)


def along(sizes: list[int], model: Callable[..., Any], data: Callable[[int], dict[str, np.ndarray]]) -> dict[str, list[float]]:
    """A curve of machine code: nanoseconds of a gradient, and the bytes of data that it must read."""
    curve: dict[str, list[float]] = {"x": [], "nanoseconds": [], "bytes": []}
    for size in sizes:
        arrays = data(size)
        code, density = native(model, tensors(arrays))
        position = np.random.default_rng(0).uniform(-0.1, 0.1, density.dim)
        curve["x"].append(size)
        curve["nanoseconds"].append(nanoseconds(code, position))
        curve["bytes"].append(sum(v.nbytes for v in arrays.values()))
    return curve


def over_chains(problem: str, lowering: str) -> dict[str, list[float]]:
    """Nanoseconds of a gradient of one chain, where many are asked for together."""
    program = ppgen.Program(MODELS[problem], **tensors(PROBLEMS[problem].data()))
    density = ppgen.LogDensity(program, lowering=lowering)
    curve: dict[str, list[float]] = {"x": [], "nanoseconds": []}
    for chains in CHAINS:
        positions = torch.rand(chains, density.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
        density.value_and_grad(positions)
        times, until = [], time.perf_counter() + 0.5
        while len(times) < 3 or time.perf_counter() < until:
            begin = time.perf_counter()
            density.value_and_grad(positions)
            times.append(time.perf_counter() - begin)
        curve["x"].append(chains)
        curve["nanoseconds"].append(1e9 * min(times) / chains)
    return curve


def means_data(size: int) -> dict[str, np.ndarray]:
    return {"y": np.random.default_rng(0).normal(3.0, 1.5, size)}


def regression_data(columns: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(SEVERAL, columns)), "y": rng.normal(2.0, 1.0, SEVERAL)}


def measured() -> dict[str, Curves]:
    rows = {f"logistic regression, {COLUMNS} columns": along(ROWS, MODELS["logistic"], lambda n: logistic(n, COLUMNS))}
    dimension = {"means, one observation each": along(DIMENSIONS, many_means, means_data)}
    dimension[f"regression, {SEVERAL:,} rows"] = along(DIMENSIONS, regression, regression_data)
    chains = {f"{PROBLEMS[p].title}, {how}": over_chains(p, how) for p in ("eight-schools", "logistic") for how in ("native", "recorded")}
    return {"rows": rows, "dimension": dimension, "chains": chains}


def draw(name: str, curves: Curves, speed: float, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for i, (label, curve) in enumerate(curves.items()):
        axes.plot(curve["x"], curve["nanoseconds"], "o-", color=f"C{i}", label=label)
        if "bytes" in curve:
            reading = [1e9 * b / speed for b in curve["bytes"]]
            axes.plot(curve["x"], reading, "--", color=f"C{i}", alpha=0.6, label=f"its data read once at {speed / 1e9:.1f} GB/s")
    axes.set(xscale="log", yscale="log", xlabel=name, ylabel="ns per gradient" + (" and chain" if name == "chains" else ""))
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    out = parser.parse_args().out
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ppgen"  # the same figures give the same file
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    speed = bandwidth()
    found = measured()
    out.mkdir(parents=True, exist_ok=True)
    (out / "scaling.json").write_text(json.dumps({"copy_bytes_per_second": speed, **found}, indent=1) + "\n")
    for name, curves in found.items():
        draw(name, curves, speed, out / f"scaling-{name}.svg")


if __name__ == "__main__":
    main()
