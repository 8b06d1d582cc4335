"""Which metric, which windows, how long a warm-up: effective draws per gradient, warm-up left out and counted.

    PYTHONPATH=. python benchmarks/warmup.py [--seeds 4] [--models radon rats] [--out benchmarks/results/warmup]

Writes warmup.json and warmup.md; models that are there already stay unless they are asked for. Four chains, 1,000 draws
kept; the figure is the least bulk ESS over all unconstrained coordinates per 1,000 gradients, median over the seeds; starting
points and step-size searches are counted too. Gradients, not seconds: what the machine does besides is no matter.
"""

import argparse
import itertools
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from peers.ppgen import tensors
from peers.pyro_models import MODELS
from problems import PROBLEMS

from ppgen import LogDensity, Program
from ppgen.diagnostics import ess_and_rhat
from ppgen.engine import Interrupt
from ppgen.inference import NUTS, _metric
from ppgen.keys import Key
from tests import posteriors

Windows = tuple[range, ...]
LEAST = 1e-12  # sd of a coordinate over its largest value, below which it is constant


# Windows


def stan(num_warmup: int, last: int = 50) -> Windows:
    """75 draws that adapt the step size alone, windows of 25, 50, 100, ..., and `last` draws for the last step size."""
    windows, start, size = [], 75, 25
    while start + 3 * size <= num_warmup - last:
        windows.append(range(start, start + size))
        start, size = start + size, 2 * size
    return (*windows, range(start, num_warmup - last))


def early(num_warmup: int) -> Windows:
    """The same, and windows in the first 75 draws."""
    ends = (0, 10, 20, 40, 75)
    return (*(range(a, b) for a, b in itertools.pairwise(ends)), *stan(num_warmup))


def halves(num_warmup: int, last: int = 80, growth: float = 1.5) -> Windows:
    """A new metric after 10, 15, 22, ... draws, each from the newer half of all draws so far."""
    ends, end = [], 10.0
    while end * growth**0.5 < num_warmup - last:
        ends.append(int(end))
        end *= growth
    return tuple(range(e - (e + 1) // 2, e) for e in (*ends, num_warmup - last))


@dataclass(frozen=True, kw_only=True)
class Trial(NUTS):
    """NUTS with windows of any kind."""

    plan: Windows = ()

    @property
    def windows(self) -> Windows:
        return self.plan


class Row(NamedTuple):
    """A way to warm up: an engine, and an estimator where it is not the one of that name."""

    name: str
    metric: str
    windows: Windows
    num_warmup: int
    estimator: _metric.MetricEstimator | None = None
    pooled: bool = False


LOW = _metric.LowRankFisher
BASE = "variance, Stan's windows, 1000"
ROWS = [
    Row(BASE, "variance", stan(1000), 1000),
    Row("variance, Stan's windows, 300", "variance", stan(300), 300),
    Row("variance, halves, 400", "variance", halves(400), 400),
    Row("covariance, halves, 400", "covariance", halves(400), 400),
    Row("diagonal, halves, 400", "diagonal", halves(400), 400),
    Row("dense, halves, 400", "dense", halves(400), 400),
    Row("low rank, Stan's windows, 1000", "low_rank", stan(1000), 1000),
    Row("low rank, early windows, 400", "low_rank", early(400), 400),
    Row("low rank, halves, 300", "low_rank", halves(300), 300),
    Row("low rank, halves, 400", "low_rank", halves(400), 400),
    Row("low rank, halves, 500", "low_rank", halves(500), 500),
    Row("low rank, halves, 600", "low_rank", halves(600), 600),
    Row("low rank, halves, 400, last 50", "low_rank", halves(400, last=50), 400),
    Row("low rank, halves, 400, last 120", "low_rank", halves(400, last=120), 400),
    Row("low rank, halves, 400, cutoff 1.2", "low_rank", halves(400), 400, LOW(cutoff=1.2)),
    Row("low rank, halves, 400, cutoff 2", "low_rank", halves(400), 400, LOW(cutoff=2.0)),
    Row("low rank, halves, 400, cutoff 3", "low_rank", halves(400), 400, LOW(cutoff=3.0)),
    Row("low rank, halves, 400, rank 10", "low_rank", halves(400), 400, LOW(rank=10)),
    Row("low rank, halves, 400, no shrinkage", "low_rank", halves(400), 400, LOW(shrinkage=0.0)),
    Row("low rank, halves, 400, pooled", "low_rank", halves(400), 400, pooled=True),
]


# Targets


def correlated(dim: int = 100) -> torch.Tensor:
    """A covariance with random correlations and standard deviations exp(Normal(0, 1))."""
    rng = np.random.default_rng(3)
    factors = torch.from_numpy(rng.normal(size=(dim, dim + 20)))
    matrix = factors @ factors.T
    scale = torch.from_numpy(np.exp(rng.normal(size=dim))) / matrix.diagonal().sqrt()
    return matrix * scale * scale[:, None]


def gaussian() -> None:
    pyro.sample("x", dist.MultivariateNormal(torch.zeros(100), correlated()))


def programs() -> dict[str, Callable[[], Program]]:
    found: dict[str, Callable[[], Program]] = {"gaussian": lambda: Program.of(gaussian)}
    for name, problem in PROBLEMS.items():
        found[name] = lambda name=name, problem=problem: Program.of(MODELS[name], **tensors(problem.data()))
    for name in posteriors.NAMES:
        found[name] = lambda name=name: Program.of(posteriors.load(name).model, **posteriors.load(name).kwargs)
    return found


# Runs


@dataclass
class Measured:
    """Of one run: gradients of all chains, in warm-up and after; least bulk ESS; largest R-hat; divergences; kept directions."""

    warm: float = 0.0
    kept: float = 0.0
    ess: float = 0.0
    rhat: float = 0.0
    diverging: int = 0
    rank: float = 0.0
    acceptance: float = 0.0
    positions: list[torch.Tensor] = field(default_factory=list, repr=False)


def measure(density: LogDensity, row: Row, seed: int) -> Measured:
    engine = Trial(metric=row.metric, plan=row.windows, num_warmup=row.num_warmup, pooled=row.pooled, seed=seed, progress=False, threads=1)
    estimator = row.estimator or _metric.METRICS[row.metric]
    before, found = density.evaluations, Measured()
    with mock.patch.dict(_metric.METRICS, {row.metric: estimator}):  # type: ignore[arg-type]
        for block, at in blocks(engine, density):
            if at < engine.num_warmup:
                continue
            found.kept += float(block.stats["n_steps"].sum())
            found.diverging += int(block.stats["diverging"].sum())
            found.positions.append(block.draws["position"])
    found.warm = density.evaluations - before - found.kept
    found.acceptance = float(block.stats["acceptance_rate"].mean())
    found.rank = float((block.tuning.metric.values != 1).sum(1).double().mean())
    draws = torch.cat(found.positions, 1)
    varies = draws.std((0, 1)) > LEAST * draws.abs().amax((0, 1))
    ess, rhat = ess_and_rhat(draws[..., varies].numpy())
    found.ess, found.rhat = float(ess.min()), float(rhat.max())
    found.positions.clear()
    return found


def blocks(engine: Trial, density: LogDensity) -> Iterator[tuple[Any, int]]:
    """All blocks of a run, warm-up included, and where each began."""
    key, at = Key(engine.seed, 0, engine.chains), 0
    state, tuning = engine.init(density, key)
    with Interrupt() as stop:
        advance = engine.block(density, stop)
        while at < engine.total:
            adapting = at < engine.num_warmup
            count = (engine.num_warmup if adapting else engine.total) - at
            block = advance(density, state, tuning, key.at(at), count, adapting)
            state, tuning = block.state, block.tuning
            yield block, at
            at += block.made


def summarise(runs: list[Measured]) -> dict[str, float]:
    def median(of: Callable[[Measured], float]) -> float:
        return statistics.median(of(r) for r in runs)

    return {
        "after": median(lambda r: r.ess / r.kept * 1e3),
        "whole": median(lambda r: r.ess / (r.kept + r.warm) * 1e3),
        "worst": min(r.ess / (r.kept + r.warm) * 1e3 for r in runs),
        "warm": median(lambda r: r.warm / 4),
        "steps": median(lambda r: r.kept / 4000),
        "rank": median(lambda r: r.rank),
        "acceptance": median(lambda r: r.acceptance),
        "diverging": sum(r.diverging for r in runs),
        "rhat": max(r.rhat for r in runs),
    }


# Tables

Results = dict[str, dict[str, dict[str, float]]]  # model -> row -> figures


def geometric(ratios: list[float]) -> float:
    return statistics.geometric_mean(max(r, 1e-9) for r in ratios)


def overview(everything: Results) -> list[str]:
    """Over the models that have every row."""
    names = {name for rows in everything.values() for name in rows}
    results = {model: rows for model, rows in everything.items() if set(rows) == names}
    partly = ", ".join(sorted(set(everything) - set(results))) or "none"
    lines = [
        f"Against `{BASE}`, geometric mean over {len(results)} models; in brackets the model that gains least.",
        f"Not among them, since only some of the warm-ups were tried there: {partly} (below).",
        "",
        "| warm-up | whole run | after warm-up | worst R-hat | diverging |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in next(iter(results.values())):
        ratios = {m: r[name]["whole"] / r[BASE]["whole"] for m, r in results.items()}
        after = geometric([r[name]["after"] / r[BASE]["after"] for r in results.values()])
        least = min(ratios, key=lambda m: ratios[m])
        rhat, diverging = max(r[name]["rhat"] for r in results.values()), sum(r[name]["diverging"] for r in results.values())
        whole = f"{geometric(list(ratios.values())):.2f} ({least} {ratios[least]:.2f})"
        lines.append(f"| {name} | {whole} | {after:.2f} | {rhat:.2f} | {diverging:,.0f} |")
    return lines


def details(results: Results) -> list[str]:
    heads = (
        "whole run",
        "least of the seeds",
        "after",
        "warm-up gradients",
        "steps a draw",
        "directions",
        "acceptance",
        "R-hat",
        "diverging",
    )
    lines: list[str] = []
    for model, rows in results.items():
        lines += ["", f"### {model}", "", f"| warm-up | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
        for name, r in rows.items():
            cells = [name, f"{r['whole']:.1f}", f"{r['worst']:.1f}", f"{r['after']:.1f}", f"{r['warm']:,.0f}", f"{r['steps']:.1f}"]
            cells += [f"{r['rank']:.0f}", f"{r['acceptance']:.2f}", f"{r['rhat']:.3f}", f"{r['diverging']:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = programs()
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--models", nargs="*", choices=known, default=list(known), metavar="MODEL")
    parser.add_argument("--rows", nargs="*", choices=[r.name for r in ROWS], default=[r.name for r in ROWS], metavar="ROW")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    file = options.out and options.out.with_suffix(".json")
    results: Results = json.loads(file.read_text())["results"] if file and file.exists() else {}
    for model in options.models:
        begin = time.perf_counter()
        density = LogDensity(known[model]())
        results[model] = {}
        for row in ROWS:
            if row.name in options.rows or row.name == BASE:
                found = results[model][row.name] = summarise([measure(density, row, seed) for seed in range(options.seeds)])
                print(f"{model:45s} {row.name:40s} " + "  ".join(f"{k} {v:.4g}" for k, v in found.items()), flush=True)  # noqa: T201
        print(f"{model}: {time.perf_counter() - begin:.0f} s", flush=True)  # noqa: T201
        if file:
            file.write_text(json.dumps({"seeds": options.seeds, "results": results}, indent=1) + "\n")
    head = ["Least bulk ESS per 1,000 gradients, median over seeds 0 to " + f"{options.seeds - 1}; made by benchmarks/warmup.py.", ""]
    text = "\n".join(["# Warm-up", "", *head, *overview(results), "", "## Model by model", *details(results), ""])
    if options.out:
        options.out.with_suffix(".md").write_text(text)
    else:
        print(text)  # noqa: T201


if __name__ == "__main__":
    main()
