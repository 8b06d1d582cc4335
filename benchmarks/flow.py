"""Flows on four small data sets, and beside zuko's own loop.

    python benchmarks/flow.py --out benchmarks/results

Writes flow.json and flow.md there. One thread; about five minutes. From the checkout, with PYTHONPATH=. (the moons are those of
tests/tools).

sets   every fifth row is held out; nats for each of them, in units of the training rows' sds, beside the normal, the best of four
       normal mixtures and a kernel density estimate. A flow of so few rows needs smoothing: its training rows are jittered, as much as is
       best for every fourth of them when it is fitted to the others
loop   one spline flow, trained on the same rows by the same optimiser: seconds and the loss that came of it
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_breast_cancer, load_wine
from torch import Tensor

from ppgen import datasets, learn
from ppgen.inference import SVI
from ppgen.models import NormalizingFlow
from tests.tools.toys import TOYS

# Of the same split: the normal of the training rows, the best of mixtures of 2, 3, 4 and 6 normals (full covariance, 1e-3 on its
# diagonal), and of kernel density estimates, each chosen on the test rows. Computed with scikit-learn 1.x, outside of ppgen.
KNOWN = {
    "faithful": (-2.142, -1.592, -1.536),
    "penguins": (-4.429, -3.375, -3.564),
    "wine": (-15.938, -14.673, -15.479),
    "breast cancer": (-7.037, -0.999, -24.088),
}
JITTERS, STEPS, COPIES = (0.05, 0.1, 0.2, 0.3), (300, 1000), 100
LOOP = {"rows": 5000, "batch": 500, "steps": 2000, "learning_rate": 2e-3}


# Data sets


def sets() -> Iterator[tuple[str, Tensor, Tensor]]:
    """Training and test rows."""
    penguins = datasets.load("penguins").table
    measured = [v for n, v in penguins.items() if n.endswith(("_mm", "_g"))]
    found = {
        "faithful": datasets.load("old-faithful").x,
        "penguins": torch.stack(measured, 1),
        "wine": torch.as_tensor(load_wine().data),
        "breast cancer": torch.as_tensor(load_breast_cancer().data),
    }
    for name, x in found.items():
        rows = x[~x.isnan().any(1)].double()
        held = torch.arange(len(rows)) % 5 == 0
        train = rows[~held]
        centre, spread = train.mean(0), train.std(0, correction=0)
        yield name, ((train - centre) / spread).float(), ((rows[held] - centre) / spread).float()


def smoothed(train: Tensor, jitter: float, steps: int) -> NormalizingFlow:
    torch.manual_seed(0)
    flow = NormalizingFlow(like=train, kind="maf", whiten=True, hidden=(32, 32))
    rows = train.repeat(COPIES, 1)
    engine = SVI(
        num_steps=steps,
        num_particles=1,
        num_samples=1,
        batch_size=200,
        optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.1),
        lowering="recorded",
        progress=False,
    )
    return learn(flow, rows + jitter * torch.randn_like(rows), engine=engine).fn  # type: ignore[no-any-return]


def nats(flow: NormalizingFlow, x: Tensor) -> float:
    with torch.no_grad():
        return float(flow.distribution().log_prob(x).double().mean())


def small_sets() -> list[dict[str, Any]]:
    rows = []
    for name, train, test in sets():
        begin = time.perf_counter()
        part = torch.arange(len(train)) % 4 == 0
        tried = {(j, s): nats(smoothed(train[~part], j, s), train[part]) for j in JITTERS for s in STEPS}
        jitter, steps = max(tried, key=lambda k: tried[k])
        flow = smoothed(train, jitter, steps)
        normal, mixture, kernel = KNOWN[name]
        row = {"set": name, "rows": len(train), "features": train.shape[1], "normal": normal, "mixture": mixture, "kernel": kernel}
        rows.append(row | {"flow": nats(flow, test), "jitter": jitter, "steps": steps, "seconds": time.perf_counter() - begin})
        print(rows[-1], flush=True)  # noqa: T201
    return rows


# Beside zuko


def loops() -> list[dict[str, Any]]:
    train = TOYS["moons"](LOOP["rows"], torch.Generator().manual_seed(0))
    test = TOYS["moons"](LOOP["rows"], torch.Generator().manual_seed(1))
    train, test = ((x - train.mean(0)) / train.std(0) for x in (train, test))
    return [by_ppgen(train, test), by_zuko(train, test)]


def by_ppgen(train: Tensor, test: Tensor) -> dict[str, Any]:
    torch.manual_seed(0)
    flow = NormalizingFlow(like=train, hidden=(64, 64))
    engine = SVI(
        num_steps=LOOP["steps"],
        num_particles=1,
        num_samples=1,
        batch_size=LOOP["batch"],
        optimizer=lambda p: torch.optim.Adam(p, lr=LOOP["learning_rate"]),
        progress=False,
    )
    begin = time.perf_counter()
    posterior = engine.run(flow, train)
    total, seconds = time.perf_counter() - begin, posterior.provenance["seconds"]
    fitted: Any = posterior.program.fn  # type: ignore[union-attr]
    return {
        "who": "ppgen, SVI",
        "total": total,
        "steps": seconds["sample"],
        "lowering": posterior.provenance["lowering"]["name"],
        "loss": -nats(fitted, test),
    }


def by_zuko(train: Tensor, test: Tensor) -> dict[str, Any]:
    import zuko

    torch.manual_seed(0)
    flow = zuko.flows.NSF(2, transforms=3, hidden_features=(64, 64), activation=torch.nn.Tanh)
    optimizer = torch.optim.Adam(flow.parameters(), lr=LOOP["learning_rate"])
    begin = time.perf_counter()
    order = torch.cat([torch.randperm(len(train)) for _ in range(LOOP["steps"] * LOOP["batch"] // len(train))])
    for rows in order.split(LOOP["batch"]):
        loss = -flow().log_prob(train[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    total = time.perf_counter() - begin
    with torch.no_grad():
        return {
            "who": "zuko, its own loop",
            "total": total,
            "steps": total,
            "lowering": "torch",
            "loss": float(-flow().log_prob(test).mean()),
        }


# Report


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def report(found: dict[str, Any]) -> str:
    few = [
        [f"{r['set']} ({r['rows']} x {r['features']})", *(f"{r[k]:.2f}" for k in ("normal", "flow", "mixture", "kernel")), f"{r['jitter']}"]
        for r in found["sets"]
    ]
    loop = [[r["who"], r["lowering"], f"{r['total']:.1f}", f"{r['steps']:.1f}", f"{r['loss']:.4f}"] for r in found["loop"]]
    return "\n\n".join(
        [
            "# Flows",
            f"torch {torch.__version__}, one thread of a machine with {found['cores']} cores that may have had other work.",
            "## Small data sets: nats for each held-out row",
            table(["", "normal", "flow", "best mixture", "best kernel", "jitter, sds"], few),
            "Mixture and kernel are the best on the test rows of several; the flow's jitter and steps are chosen on training rows alone.",
            "## Beside zuko's loop",
            f"A spline flow of 3 transforms, {LOOP['steps']} steps of Adam on {LOOP['batch']} of {LOOP['rows']} points of the moons.",
            table(["", "run by", "seconds, all", "seconds, steps", "nats for each new point"], loop) + "\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {"cores": os.cpu_count(), "sets": small_sets(), "loop": loops()}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "flow.json").write_text(json.dumps(found, indent=1) + "\n")
    (args.out / "flow.md").write_text(report(found))


if __name__ == "__main__":
    main()
