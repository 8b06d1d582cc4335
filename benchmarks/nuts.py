"""NUTS beside its peers: ten models, 4 chains x (1000 + 1000), in one run on one machine.

    python benchmarks/nuts.py --out benchmarks/results

Writes nuts.json and nuts.md there. Each run is a process of its own, and the peers' environments are built on first use. What is
finished is kept, and an interrupted benchmark goes on where it stood; --fresh begins again. README.md says what is timed.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import nuts_report
from environments import Environment, FailedError
from judging import agreement, worth
from problems import PROBLEMS, Problem

CHAINS, DRAWS = 4, 1000  # and as many of warm-up


@dataclass(frozen=True)
class Contestant:
    """A process to start: a peer by some of its methods, each a row of the tables.

    rows   method -> the row's name
    warm   on caches that hold the sampler but not the model; otherwise on empty ones
    """

    peer: str
    rows: Mapping[str, str]
    warm: bool = True

    @property
    def key(self) -> str:
        return "-".join((self.peer, *(() if self.warm else ("first",)), *self.rows))


CONTESTANTS = (
    Contestant("ppgen", {"default": "ppgen"}),
    Contestant("ppgen", {"low-rank": "ppgen, low rank"}),
    Contestant("ppgen", {"default": "ppgen, first use"}, warm=False),
    Contestant("pymc", {"nutpie": "nutpie", "nutpie-low-rank": "nutpie, low rank"}),
    Contestant("numpyro", {"vectorized": "NumPyro, vectorised"}),
    Contestant("numpyro", {"sequential": "NumPyro, sequential"}),
    Contestant("blackjax", {"vectorized": "BlackJAX"}),
    Contestant("pyro", {"default": "Pyro"}),
)


class Benchmark:
    """The runs in a working folder, one JSON file each beside its draws."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.runs: Path = options.cache / "runs" / f"{options.draws}-{options.seed}"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.missing: dict[str, str] = {}  # peer -> why it cannot be had here

    def data(self, name: str) -> Path:
        path = self.runs / f"{name}.data.npz"
        arrays = {"x": np.arange(5.0)} if name == "small" else PROBLEMS[name].data()
        np.savez(path, **arrays)
        return path

    def prepare(self) -> None:
        """Environments and caches of all peers that are asked for."""
        for peer in {c.peer: None for c in self.contestants}:
            environment = Environment(peer, self.options.cache)
            try:
                environment.build()
                environment.prepare(self.data("small"))
            except FailedError as error:
                self.missing[peer] = f"cannot be had here: {error}"
                _say(f"{peer} {self.missing[peer]}")

    @property
    def contestants(self) -> list[Contestant]:
        return [c for c in CONTESTANTS if c.key.startswith(tuple(self.options.only or [""]))]

    def run(self) -> None:
        for name in self.options.model or PROBLEMS:
            for contestant in self.contestants:
                record = self.record(name, contestant)
                if self.options.fresh or not finished(record):
                    _say(f"{name}: {contestant.key} ", end="")
                    begin = time.perf_counter()
                    record.write_text(json.dumps(self.sample(name, contestant), indent=1))
                    _say(f"{time.perf_counter() - begin:.1f} s")
            for peer in sorted({c.peer for c in self.contestants} & {"numpyro", "pymc"} - set(self.missing)):  # BlackJAX has NumPyro's
                difference = self.runs / f"{name}.{peer}.difference.json"
                if self.options.fresh or not difference.exists():
                    difference.write_text(json.dumps(self.difference(name, peer)))

    def record(self, name: str, contestant: Contestant) -> Path:
        return self.runs / f"{name}.{contestant.key}.json"

    def sample(self, name: str, contestant: Contestant) -> dict[str, Any]:
        """What a contestant's process reports, or why there is none."""
        if contestant.peer in self.missing:
            return {"failed": self.missing[contestant.peer]}
        environment, out = Environment(contestant.peer, self.options.cache), self.record(name, contestant).with_suffix(".run")
        draws = min(PROBLEMS[name].few.get(contestant.peer, DRAWS), self.options.draws)
        arguments = ["--warmup", draws, "--draws", draws, "--chains", CHAINS, "--seed", self.options.seed]
        arguments += [word for method in contestant.rows for word in ("--method", method)]
        busy = os.getloadavg()[0]
        try:
            seconds = environment.run(
                "sample", name, self.data(name), out, *map(str, arguments), warm=contestant.warm, limit=self.options.limit
            )  # fmt: skip
        except FailedError as error:
            return {"failed": str(error)}
        report = json.loads(Path(f"{out}.json").read_text())
        return {**report, "draws": draws, "process": seconds, "load": busy}

    def difference(self, name: str, peer: str) -> float:
        """The largest relative difference between a peer's log joint density and ppgen's, each less its value at the first point."""
        import densities

        points, ours = densities.prior_points(name, dict(np.load(self.data(name))))
        file, out = self.runs / f"{name}.points.npz", self.runs / f"{name}.{peer}.density"
        np.savez(file, **points)
        Environment(peer, self.options.cache).run("density", name, self.data(name), out, "--points", str(file))
        return densities.difference(ours, np.load(f"{out}.npz")["density"])

    # The report

    def results(self) -> dict[str, Any]:
        """Everything that is finished: problem -> row -> figures."""
        return {name: rows for name in PROBLEMS if (rows := dict(self._rows(name, PROBLEMS[name])))}

    def differences(self) -> dict[str, dict[str, float]]:
        """Problem -> peer -> how far its density is from ppgen's."""
        found: dict[str, dict[str, float]] = {}
        for path in sorted(self.runs.glob("*.difference.json")):
            name, peer = path.name.split(".")[:2]
            found.setdefault(name, {})[peer] = json.loads(path.read_text())
        return found

    def _rows(self, name: str, problem: Problem) -> Iterator[tuple[str, dict[str, Any]]]:
        reference = None
        for contestant in CONTESTANTS:
            record = self.record(name, contestant)
            if not record.exists():
                continue
            report = json.loads(record.read_text())
            for method, row in contestant.rows.items():
                if "failed" in report:
                    yield row, {"failed": report["failed"]}
                    continue
                with np.load(record.with_suffix(f".run.{method}.npz")) as file:
                    draws = dict(file)
                if reference is None and contestant.peer == "ppgen":
                    reference = draws
                compared = reference is not None and contestant.peer != "ppgen"
                same = asdict(agreement(reference, draws, problem.heavy)) if compared else None
                yield row, figures(report, report["methods"][method], asdict(worth(draws)), self.options.draws) | {"agreement": same}


def finished(record: Path) -> bool:
    """Whether a run was made; one that failed is tried again."""
    return record.exists() and "failed" not in json.loads(record.read_text())


def figures(report: Mapping[str, Any], run: Mapping[str, Any], judged: Mapping[str, Any], draws: int) -> dict[str, Any]:
    """One row. Where a run had fewer draws than that, its sampling and its ESS are scaled to a whole one's; compiling is not."""
    scale = draws / report["draws"]
    ess, sampling = judged["min_bulk_ess"] * scale, run["sampling"] * scale
    everything = run["everything"] - run["sampling"] + sampling
    return {
        **judged,
        "draws": report["draws"],
        "imports": run["imports"],
        "everything": everything,
        "sampling": sampling,
        "gradients": run["gradients"] * scale,
        "gradients_per_second": run["gradients"] / run["sampling"],
        "min_bulk_ess": ess,
        "ess_per_second": ess / sampling,
        "ess_per_second_everything": ess / everything,
        "note": run["note"],
        "parts": run["parts"],
        "load": report["load"],
        "versions": report["versions"],
    }


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)  # noqa: T201


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--cache", type=Path, default=home / "ppgen-benchmarks", help="for environments and runs [%(default)s]")
    parser.add_argument("--model", action="append", choices=PROBLEMS, help="only these; repeatable")
    keys = ", ".join(c.key for c in CONTESTANTS)
    parser.add_argument("--only", action="append", metavar="NAME", help=f"contestants whose names begin so, of {keys}; repeatable")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws kept, and of warm-up, per chain [%(default)s]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that any process gets [%(default)s]")
    parser.add_argument("--fresh", action="store_true", help="run again what is finished")
    parser.add_argument("--report", action="store_true", help="run nothing; write the report of what is finished")
    options = parser.parse_args()
    options.cache = options.cache.absolute()
    benchmark = Benchmark(options)
    if not options.report:
        benchmark.prepare()
        benchmark.run()
    options.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "chains": CHAINS, "draws": options.draws, "seed": options.seed}
    report |= {"differences": benchmark.differences(), "results": benchmark.results()}
    report |= {"ratios": nuts_report.ratios(report["results"])}
    (options.out / "nuts.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "nuts.md").write_text(nuts_report.markdown(report))
    _say(nuts_report.markdown(report))


if __name__ == "__main__":
    main()
