"""Energies whose constant is known: a restricted Boltzmann machine learned by chains and by exact gradients, and the Ising model.

    python benchmarks/energy.py --out benchmarks/results

Writes energy.json, energy.md and energy-learning.svg there. One core; about three minutes. Langevin steps of many chains stand in
langevin.py, draws of laws in the plane in toys.py.

learning   8 x 8 digits of two levels, 64 units and 16 hidden ones: the exact log likelihood, by enumeration, as steps go on. Persistent
           contrastive divergence by ppgen, the same by a loop of PyTorch written by hand, and gradients with the exact expectation
constant   log Z of the machine that was learned and of the Ising model on tori at the critical point: annealed importance sampling, with
           the upper bound where there are exact draws, beside the exact value; the mean energy by Gibbs sampling beside the exact one
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import networkx as nx
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from torch import Tensor

from ppgen.diagnostics import mcse_mean
from ppgen.inference import AIS, ContrastiveDivergence, Gibbs
from ppgen.models import BoltzmannMachine, Ising

HIDDEN, CHAINS, BATCH, RATE, K = 16, 500, 200, 0.1, 1
STEPS = (100, 200, 400, 800, 1600, 3200)
CRITICAL = 0.4406867935097715  # log(1 + sqrt 2) / 2


def digits() -> Tensor:
    return torch.as_tensor(load_digits().data > 7).float()


def machine(x: Tensor) -> BoltzmannMachine:
    torch.manual_seed(0)
    return BoltzmannMachine(like=x, num_hidden=HIDDEN)


def nats(learned: BoltzmannMachine, x: Tensor) -> float:
    """Exact, a datum."""
    with torch.no_grad():
        return float(learned.log_prob(x).double().mean())


# Learning


def by_ppgen(x: Tensor) -> dict[str, Any]:
    found, seconds = [], []
    for steps in STEPS:
        engine = ContrastiveDivergence(
            k=K,
            num_chains=CHAINS,
            batch_size=BATCH,
            num_steps=steps,
            optimizer="SGD",
            learning_rate=RATE,
            final_learning_rate=1.0,
            progress=False,
        )
        posterior = engine.run(machine(x), x)
        found.append(nats(posterior.program.fn, x))  # type: ignore[union-attr, arg-type]
        seconds.append(posterior.provenance["seconds"])
    return {
        "who": "ppgen",
        "nats": found,
        "per step": seconds[-1]["sample"] / STEPS[-1],
        "before": seconds[-1]["record"] + seconds[-1]["compile"],
    }


def by_hand(x: Tensor) -> dict[str, Any]:
    """What one would write: two layers in turns, the positive phase from a minibatch."""
    made, found, begin = machine(x), [], time.perf_counter()
    weight, visible, hidden = made.weight.data, made.visible_bias.data, made.hidden_bias.data
    chains = x[torch.randint(len(x), (CHAINS,))]
    for step in range(1, STEPS[-1] + 1):
        rows = x[torch.randint(len(x), (BATCH,))]
        on = (rows @ weight + hidden).sigmoid()
        for _ in range(K):
            h = torch.bernoulli((chains @ weight + hidden).sigmoid())
            chains = torch.bernoulli((h @ weight.mT + visible).sigmoid())
        free = (chains @ weight + hidden).sigmoid()
        weight += RATE * (rows.mT @ on / BATCH - chains.mT @ free / CHAINS)
        visible += RATE * (rows.mean(0) - chains.mean(0))
        hidden += RATE * (on.mean(0) - free.mean(0))
        if step in STEPS:
            found.append(nats(made, x))
    return {"who": "by hand", "nats": found, "per step": (time.perf_counter() - begin) / STEPS[-1], "before": 0.0}


def exactly(x: Tensor) -> dict[str, Any]:
    """All rows, and the expectation by enumeration."""
    made, found, begin = machine(x), [], time.perf_counter()
    optimizer = torch.optim.SGD(made.parameters(), lr=RATE)
    for step in range(1, STEPS[-1] + 1):
        optimizer.zero_grad()
        (-made.log_prob(x).mean()).backward()
        optimizer.step()
        if step in STEPS:
            found.append(nats(made, x))
    return {"who": "exact gradients", "nats": found, "per step": (time.perf_counter() - begin) / STEPS[-1], "before": 0.0}


# Constants


def bracketed(name: str, model: Any, exact: Mapping[str, Tensor] | None, truth: float) -> dict[str, Any]:
    begin = time.perf_counter()
    found = AIS(num_temperatures=1000, num_particles=200).evidence(model, size=1, exact=exact)
    seconds = time.perf_counter() - begin
    figures = {"exact": truth, "found": found.log_evidence, "error": found.standard_error, "lower": found.lower, "upper": found.upper}
    return {"model": name, **figures, "seconds": seconds}


def torus(side: int) -> Ising:
    return Ising(nx.grid_2d_graph(side, side, periodic=True), inverse_temperature=CRITICAL)


def constants(learned: BoltzmannMachine) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    rows = [bracketed(f"digits, {HIDDEN} hidden units", learned, learned.draws(200, generator), float(learned.log_partition().detach()))]
    for side in (4, 8):
        model = torus(side)
        exact = model.draws(200, generator) if side == 4 else None  # of 2^64 configurations none can be drawn exactly
        rows.append(bracketed(f"Ising, {side} x {side}", model, exact, float(model.log_partition())))
    return rows


def energies() -> list[dict[str, Any]]:
    rows = []
    for side in (4, 8):
        model = torus(side)
        begin = time.perf_counter()
        draws = Gibbs(discrete="sweep", num_warmup=1000, num_samples=20_000, progress=False).run(model, size=1).draws["x"]
        seconds = time.perf_counter() - begin
        energy = model.energy(draws[:, :, 0].float()).detach().double() / side**2
        figures = {"exact": float(model.mean_energy()) / side**2, "found": float(energy.mean())}
        rows.append({"side": side, **figures, "error": float(mcse_mean(energy[..., None].numpy())[0]), "seconds": seconds})
    return rows


# Report


def picture(learning: list[dict[str, Any]], out: Path) -> None:
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for r, style in zip(learning, ("-o", "--s", ":^"), strict=True):
        axes.plot(STEPS, r["nats"], style, label=r["who"], markersize=4)
    axes.set(xscale="log", xlabel="steps", ylabel="log likelihood, nats a digit, exact")
    axes.legend()
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)


def report(found: dict[str, Any]) -> str:
    lines = ["# Energies", "", f"torch {torch.__version__}, one thread of a machine with {found['cores']} cores.", "", "## Learning", ""]
    lines += [f"| log likelihood, nats a digit, after so many steps | {' | '.join(map(str, STEPS))} | ms a step | s before |"]
    lines += ["| --- |" + " ---: |" * (len(STEPS) + 2)]
    for r in found["learning"]:
        lines.append(f"| {r['who']} | {' | '.join(f'{v:.2f}' for v in r['nats'])} | {1e3 * r['per step']:.2f} | {r['before']:.1f} |")
    ours, hand = (r["per step"] for r in found["learning"][:2])
    lines += ["", f"A step by hand takes {hand / ours:.2f} x ppgen's.", "", "## log Z", ""]
    lines += ["| | exact | found | standard error | lower | upper | s |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for r in found["constants"]:
        figures = " | ".join("-" if r[k] is None else f"{r[k]:.3f}" for k in ("exact", "found", "error", "lower", "upper"))
        lines.append(f"| {r['model']} | {figures} | {r['seconds']:.1f} |")
    lines += [
        "",
        "## Energy of a spin at the critical point",
        "",
        "| torus | exact | Gibbs | standard error | s |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r['side']} x {r['side']} | {r['exact']:.5f} | {r['found']:.5f} | {r['error']:.5f} | {r['seconds']:.1f} |"
        for r in found["energies"]
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    mpl.use("svg")
    torch.set_num_threads(1)
    x = digits()
    learning = [by_ppgen(x), by_hand(x), exactly(x)]
    engine = ContrastiveDivergence(k=K, num_chains=CHAINS, batch_size=BATCH, num_steps=STEPS[-1], learning_rate=0.01, progress=False)
    learned: Any = engine.run(machine(x), x).program.fn  # type: ignore[union-attr]
    found = {"cores": os.cpu_count(), "learning": learning, "constants": constants(learned), "energies": energies()}
    args.out.mkdir(parents=True, exist_ok=True)
    picture(learning, args.out / "energy-learning.svg")
    (args.out / "energy.json").write_text(json.dumps(found, indent=1) + "\n")
    text = report(found)
    (args.out / "energy.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
