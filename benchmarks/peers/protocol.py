"""What every peer's process is told, and what it leaves: a file of draws and one of figures. Imports nothing but numpy.

    python -m peers.NAME sample  MODEL DATA.npz OUT [--warmup N] [--draws N] [--chains N] [--seed N] [--method NAME ...]
    python -m peers.NAME density MODEL DATA.npz OUT --points POINTS.npz

`sample` writes OUT.json, {method: figures}, and OUT.METHOD.npz with the draws, site -> (chains, draws, *shape). `density` writes
OUT.npz with the log joint density at each of the points, site -> (points, *shape), without a Jacobian.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import STARTED

__all__ = ["Clock", "Figures", "Job", "main"]

Data = dict[str, np.ndarray]


@dataclass(frozen=True)
class Job:
    """What is to be sampled; `data` by the model's argument names."""

    model: str
    data: Data
    warmup: int
    draws: int
    chains: int
    seed: int


@dataclass
class Figures:
    """Of one run. Seconds are wall time.

    everything  from the user's function and the data to the last draw, the first time in this process
    sampling    of that what is not recording, tracing, translating or compiling; warm-up is part of it
    gradients   in `sampling` seconds, warm-up included
    note        what a reader of the table must know
    parts       of `everything`, where the sampler tells them
    imports     seconds before that
    """

    everything: float
    sampling: float
    gradients: int
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)
    imports: float = 0.0


class Clock:
    """Seconds since it was made or last asked."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def lap(self) -> float:
        before, self.last = self.last, time.perf_counter()
        return self.last - before


Draws = Mapping[str, np.ndarray]
Sampler = Callable[[Job, str], tuple[Draws, Figures]]
Density = Callable[[str, Data, Mapping[str, np.ndarray]], float]


def main(sample: Sampler, density: Density, methods: Sequence[str], versions: Mapping[str, str]) -> None:
    """A peer's command line. Called once its framework is imported: until now is what imports cost."""
    imports = time.perf_counter() - STARTED
    options = _parser(methods).parse_args()
    with np.load(options.data) as file:
        data = dict(file)
    if options.task == "density":
        with np.load(options.points) as file:
            points = dict(file)
        count = len(next(iter(points.values())))
        found = [density(options.model, data, {k: v[i] for k, v in points.items()}) for i in range(count)]
        np.savez(f"{options.out}.npz", density=np.array(found, dtype=float))
        return
    job = Job(options.model, data, options.warmup, options.draws, options.chains, options.seed)
    report: dict[str, Any] = {"versions": dict(versions), "methods": {}}
    for method in options.method or methods:
        draws, figures = sample(job, method)
        figures.imports = imports
        np.savez(f"{options.out}.{method}.npz", **{k: np.asarray(v, dtype=float) for k, v in draws.items()})
        report["methods"][method] = asdict(figures)
    Path(f"{options.out}.json").write_text(json.dumps(report))


def _parser(methods: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("sample", "density"))
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--method", action="append", choices=methods)
    for name, default in (("warmup", 1000), ("draws", 1000), ("chains", 4), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser
