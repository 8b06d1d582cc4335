"""Overdamped Langevin steps of 10^4 chains by ppgen and torchebm.

    python benchmarks/langevin.py --out benchmarks/results [--cache FOLDER]

Writes langevin.json and langevin.md there. The same energy, step size and number of steps in both, each in a process of its own on one
core, the best of three runs; nothing is written where the mean squares of what they draw differ.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from environments import Environment, _run
from peers.langevin import CHAINS, DIM, SIZE, STEPS

LIMIT = 300.0  # seconds that any process gets
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def measured(environments: dict[str, Environment]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        for name, environment in environments.items():
            wanted = Path(scratch) / f"{name}.json"
            variables = {**environment._variables(environment.folder / f"{name}.langevin"), **THREADS}
            _run([str(environment.python), "-m", "peers.langevin", name, str(wanted)], variables, LIMIT)
            found |= json.loads(wanted.read_text())
    squares = [f["mean square"] for f in found.values()]
    if max(squares) - min(squares) > 6 / math.sqrt(CHAINS * DIM):  # a mean square has an sd of less than 1
        raise RuntimeError(f"mean squares differ: {found}")
    return found


def report(found: dict[str, Any]) -> str:
    theirs = found["torchebm"]["seconds"]
    lines = ["# Langevin steps of many chains", ""]
    lines += [f"{CHAINS:,} chains of {STEPS:,} steps of {SIZE} in {DIM} double wells, on one core; from program to draws.", ""]
    lines += ["| | s | torchebm's time over it |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {f['seconds']:.3g} | {theirs / f['seconds']:.2f} |" for name, f in found.items()]
    losses = [f"- {name}: {theirs / f['seconds']:.2f} x" for name, f in found.items() if f["seconds"] > theirs]
    return "\n".join([*lines, "", "Losses:" if losses else "No losses.", *losses, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "peers")
    given = parser.parse_args()
    environments = {name: Environment(name, given.cache) for name in ("ppgen", "torchebm")}
    for environment in environments.values():
        environment.build()
    found = measured(environments)
    (given.out / "langevin.json").write_text(json.dumps(found, indent=1) + "\n")
    text = report(found)
    (given.out / "langevin.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
