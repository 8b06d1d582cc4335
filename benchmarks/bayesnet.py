"""Exact queries of discrete Bayesian networks by ppgen, pgmpy and pyAgrum.

    python benchmarks/bayesnet.py --out benchmarks/results [--networks FOLDER] [--cache FOLDER]

Writes bayesnet.json and bayesnet.md there. Networks are the two of ppgen's data sets, those of tests/reference/bif and the .bif and
.bif.gz files of FOLDER. A third of a network's variables, drawn once, are observed, in 1000 rows drawn from the network itself. Each
library answers in a process of its own, on one core, with the caches of the run before; nothing is written where their answers differ
by more than 1e-6. Where 1000 rows take too long, fewer are timed and the rest is reckoned.
"""

import argparse
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from environments import LIMIT, Environment, FailedError, _run

from ppgen import datasets, sample
from ppgen.models import BayesianNetwork

PEERS = ("ppgen", "pgmpy", "pyagrum")
ROWS = 1000
TOLERANCE = 1e-6  # tables are rounded in the files, and not all libraries divide their rows by their sums
FIGURES = {
    "one": "one target",
    "all": "all hidden variables",
    "rows, one": f"one target, {ROWS} rows",
    "rows, all": f"all hidden variables, {ROWS} rows",
    "from file to first answer": "from the file to the first answer",
}
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def networks(more: Path | None) -> Iterator[Path]:
    """In order of size."""
    own = [datasets.load("asia").x, datasets.load("alarm").x]
    files = [*own, *(Path(__file__).parents[1] / "tests" / "reference" / "bif").glob("*.bif")]
    files += [] if more is None else [*more.glob("*.bif"), *more.glob("*.bif.gz")]
    found = {file.name.partition(".")[0]: file for file in reversed(files)}
    yield from sorted(found.values(), key=lambda f: len(gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes()))


def task(file: Path, folder: Path) -> dict[str, Any]:
    """What is asked of a network."""
    network = BayesianNetwork.from_bif(file)
    plain = network.to_bif(folder / f"{file.name.partition('.')[0]}.bif")
    generator = np.random.default_rng(0)
    observed = sorted(generator.choice(list(network.order), max(1, len(network.order) // 3), replace=False).tolist())
    drawn = sample(network, ROWS, seed=0)
    evidence = [{n: network.states[n][int(drawn[n][i])] for n in observed} for i in range(ROWS)]
    hidden = [n for n in network.order if n not in observed]
    return {"bif": str(plain), "evidence": evidence, "target": hidden[len(hidden) // 2], "targets": hidden, "variables": len(network.order)}


def compared(file: Path, environments: dict[str, Environment]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        asked = task(file, folder)
        found: dict[str, Any] = {}
        for name, environment in environments.items():
            given, wanted = folder / "task.json", folder / f"{name}.json"
            given.write_text(json.dumps({**asked, "all rows": name == "ppgen"}))
            try:
                command = [str(environment.python), "-m", "peers.networks", name, str(given), str(wanted)]
                _run(command, {**environment._variables(environment.folder / f"{name}.networks"), **THREADS}, LIMIT)
                found[name] = json.loads(wanted.read_text())
            except FailedError as error:
                found[name] = {"failed": str(error)}
    answers = {n: f.pop("answers") for n, f in found.items() if "answers" in f}
    for name, answer in answers.items():
        apart = max(
            float(np.abs(np.subtract(a[v], b[v])).max()) for a, b in zip(answer, answers["ppgen"], strict=True) for v in asked["targets"]
        )
        if not apart < TOLERANCE:
            raise RuntimeError(f"{file.name}: {name} and ppgen differ by {apart:.1e}")
    return {"variables": asked["variables"], "observed": len(asked["evidence"][0]), **found}


def report(results: dict[str, Any]) -> str:
    lines = ["# Exact queries of discrete Bayesian networks", ""]
    lines += ["Milliseconds, warm unless said otherwise; in brackets how many times as long as ppgen takes. Above 1 ppgen is faster.", ""]
    for key, title in FIGURES.items():
        lines += [f"## {title[0].upper()}{title[1:]}", "", "| network | variables | observed | ppgen | pgmpy | pyAgrum |"]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
        for name, result in results.items():
            ours = result["ppgen"][key]
            cells = [f"{1e3 * ours:.3g}"]
            for peer in PEERS[1:]:
                theirs = result[peer].get(key)
                cells.append(result[peer]["failed"][:60] if theirs is None else f"{1e3 * theirs:.3g} ({theirs / ours:.3g})")
            lines.append(f"| {name} | {result['variables']} | {result['observed']} | {' | '.join(cells)} |")
        lines.append("")
    lines += losses(results)
    return "\n".join(lines) + "\n"


def losses(results: dict[str, Any]) -> list[str]:
    """Where the goals are missed: 10 times pgmpy, and with many rows faster than either."""
    out = []
    for name, result in results.items():
        for key, title in FIGURES.items():
            for peer, goal in (("pgmpy", 10.0), ("pyagrum", 1.0)):
                theirs = result[peer].get(key)
                if theirs is not None and theirs < goal * result["ppgen"][key]:
                    out.append(f"- {name}, {title}: {theirs / result['ppgen'][key]:.2g} times {peer}'s speed, short of {goal:g}")
    return ["## Short of the goals (10 times pgmpy, faster than pyAgrum)", "", *(out or ["None."])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=Path, default=None)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ppgen-benchmarks")
    settings = parser.parse_args()
    environments = {name: Environment(name, settings.cache) for name in PEERS}
    for environment in environments.values():
        environment.build()
    results = {}
    for file in networks(settings.networks):
        results[file.name.partition(".")[0]] = compared(file, environments)
        print(file.name, {n: r for n, r in results[file.name.partition(".")[0]].items() if n in PEERS}, flush=True)  # noqa: T201
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "bayesnet.json").write_text(json.dumps(results, indent=1))
    (settings.out / "bayesnet.md").write_text(report(results))


if __name__ == "__main__":
    main()
