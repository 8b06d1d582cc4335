"""Hidden Markov models by ppgen, hmmlearn and dynamax, T up to 10^5 and K up to 50.

    python benchmarks/hmm.py --out benchmarks/results [--cache FOLDER]

Writes hmm.json and hmm.md there. One sequence with normal emissions, parameters given: the log-likelihood, the probabilities of the
states at each time, the most probable path, and one pass of EM, from data and parameters on, emissions included. Each library runs in a
process of its own on one core, one after the other for each size; a size is left out where their answers differ. What is known is
written after every size, and no more are begun after BUDGET seconds. hmmlearn's recursions are C++, dynamax's are compiled by XLA, and
neither's compile time counts, nor ppgen's.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from environments import Environment, FailedError, _run

LIMIT = 60.0  # seconds that any process gets
BUDGET = 330.0  # seconds for all sizes: what comes after is not begun
PEERS = ("ppgen", "hmmlearn", "dynamax")
GOAL = (100_000, 20)  # T, K
SIZES = [GOAL, (1000, 2), (1000, 20), (10_000, 5), (10_000, 50), (100_000, 2), (100_000, 50)]
FIGURES = {"log_likelihood": "log-likelihood", "marginals": "marginals", "viterbi": "best path", "em": "one pass of EM"}
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
THREADS["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def task(steps: int, states: int) -> dict[str, np.ndarray]:
    """A chain that stays for a while, with states that overlap."""
    draw = np.random.default_rng(steps + states)
    rows = draw.dirichlet(np.ones(states), states + 1)
    transition = 0.8 * np.eye(states) + 0.2 * rows[1:]
    loc, scale = draw.normal(0, 10, states), draw.uniform(1, 4, states)
    running, z = transition.cumsum(1), [0]
    for u in draw.random(steps - 1):
        z.append(min(int((u >= running[z[-1]]).sum()), states - 1))
    x = loc[z] + scale[z] * draw.normal(size=steps)
    return {"initial": rows[0], "transition": transition, "loc": loc, "scale": scale, "x": x}


def compared(steps: int, states: int, environments: dict[str, Environment]) -> dict[str, Any]:
    """Raises RuntimeError where answers differ."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        given = Path(scratch) / "task.npz"
        np.savez(given, **task(steps, states))
        for name, environment in environments.items():
            found[name] = {}
            for asked in (list(FIGURES)[:-1], ["em"]):  # EM in a process of its own: it is the one that may not be done
                wanted = Path(scratch) / f"{name}.json"
                try:
                    command = [str(environment.python), "-m", "peers.sequences", name, str(given), str(wanted), *asked]
                    _run(command, {**environment._variables(environment.folder / f"{name}.sequences"), **THREADS}, LIMIT)
                    found[name] |= json.loads(wanted.read_text())
                except FailedError as error:
                    found[name] |= {f"{what} failed": str(error) for what in asked}
    answers = {n: f.pop("answers") for n, f in found.items() if "answers" in f}
    if "ppgen" not in answers:
        return found
    ours = answers["ppgen"]
    for name, theirs in answers.items():
        same = [np.isclose(theirs[k], ours[k], rtol=1e-8, atol=0.0) for k in ("log_likelihood", "viterbi")]
        if not all(same) or not np.allclose(theirs["marginals"], ours["marginals"], rtol=1e-5, atol=1e-8):
            raise RuntimeError(f"T = {steps}, K = {states}: {name} and ppgen differ")
    return found


def report(results: dict[str, Any], left_out: list[str]) -> str:
    lines = ["# Hidden Markov models", ""]
    lines += ["Milliseconds on one core; in brackets how many times as long as ppgen takes. Above 1 ppgen is faster.", ""]
    losses = []
    for key, title in FIGURES.items():
        lines += [f"## {title[0].upper()}{title[1:]}", "", "| T | K | ppgen | hmmlearn | dynamax |", "| ---: | ---: | ---: | ---: | ---: |"]
        for size, result in sorted(results.items(), key=lambda item: [int(n) for n in item[0].split(" x ")]):
            ours, cells = result["ppgen"].get(key), []
            if ours is None:
                losses.append(f"- {title}, {size}: ppgen: {result['ppgen'][f'{key} failed']}")
            for peer in PEERS[1:]:
                theirs = result[peer].get(key)
                if theirs is None or ours is None:
                    cells.append(result[peer][f"{key} failed"][:60] if theirs is None else f"{1e3 * theirs:.4g}")
                    continue
                cells.append(f"{1e3 * theirs:.4g} ({theirs / ours:.3g})")
                if theirs < ours:
                    losses.append(f"- {title}, {size}: {theirs / ours:.2g} times {peer}'s speed")
            lines.append(f"| {' | '.join(size.split(' x '))} | {'-' if ours is None else f'{1e3 * ours:.4g}'} | {' | '.join(cells)} |")
        lines.append("")
    goal = f"the goal is at least 1 x the better at T = {GOAL[0]:,}, K = {GOAL[1]}"
    lines += [f"## Slower than a peer ({goal})", "", *(losses or ["None."])]
    return "\n".join([*lines, *(["", "## Left out", "", *left_out] if left_out else [])]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ppgen-benchmarks")
    parser.add_argument("--largest", type=int, default=SIZES[-1][0], help="no sequence is longer")
    settings = parser.parse_args()
    environments = {name: Environment(name, settings.cache) for name in PEERS}
    for environment in environments.values():
        environment.build()
    settings.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    left_out: list[str] = []
    begin = time.monotonic()
    for steps, states in (s for s in SIZES if s[0] <= settings.largest):
        size = f"{steps} x {states}"
        if time.monotonic() - begin > BUDGET:
            left_out.append(f"- {size}: not begun, {BUDGET:.0f} s were over")
            continue
        try:
            results[size] = compared(steps, states, environments)
        except RuntimeError as error:
            left_out.append(f"- {error}")
        print(size, results.get(size), flush=True)  # noqa: T201
        (settings.out / "hmm.json").write_text(json.dumps(results, indent=1))
        (settings.out / "hmm.md").write_text(report(results, left_out))
    (settings.out / "hmm.md").write_text(report(results, left_out))
    if left_out:
        raise SystemExit("\n".join(left_out))


if __name__ == "__main__":
    main()
