"""A diffusion's steps of learning by ppgen's SVI, by a loop of PyTorch written by hand, and by diffusers' scheduler in such a loop.

    python benchmarks/diffusion.py --out benchmarks/results

Writes diffusion.json and diffusion.md there. One core; from the checkout, with PYTHONPATH=.; about two minutes. One network
(three layers of 128 for two numbers), the same 4,000 rows, 1000 levels of noise, minibatches of 256, Adam with one learning rate, the
squared error of the noise. All take turns of 1,000 steps, and the medians of their turns are compared; recording
and compiling are in a column of their own. Losses are the mean of the last 200 steps, per number, of runs that saw the same rows in
other orders: they may differ by their own noise. Then the seconds that 1,000 draws take by each sampler, with the network learned.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from environments import Environment, FailedError, _run
from peers.denoising import RATE, ROWS, Network, moons
from torch import Tensor, nn

from ppgen import learn
from ppgen.inference import SVI, Langevin
from ppgen.keys import Key
from ppgen.models import DDIM, Ancestral, Diffusion, PredictorCorrector, ProbabilityFlow
from ppgen.program import Program

BATCH, STEPS, TURNS, SIZE = 256, 1000, 5, 1000
GOAL = 1.0  # of each loop's steps a second
SAMPLERS = {
    "ancestral, 1000 steps": Ancestral(),
    "DDIM, 50 steps": DDIM(50),
    "DDIM, 50 steps, eta 1": DDIM(50, eta=1.0),
    "probability flow, 25 steps of 4": ProbabilityFlow(25),
    "predictor and corrector, 200 levels": PredictorCorrector(Langevin(progress=False), num_steps=200),
}


def family(x: Tensor) -> Diffusion:
    torch.manual_seed(1)
    return Diffusion(like=x, network=Network(), weighting="simple")


class Ours:
    """SVI's steps, in turns."""

    def __init__(self, x: Tensor):
        begin = time.perf_counter()
        self.engine = SVI(num_particles=1, batch_size=BATCH, learning_rate=RATE, final_learning_rate=1.0, progress=False)
        self.target = self.engine._objective(Program.of(family(x), x).copy(), BATCH, bound=True)
        self.state, self.tuning = self.engine.init(self.target, Key(0))
        self.done = 0
        self.turn(1)
        self.before = time.perf_counter() - begin

    def turn(self, steps: int) -> float:
        losses = []
        for _ in range(steps):
            self.state, info = self.engine.step(self.target, self.state, self.tuning, Key(0, self.done))
            losses.append(info.losses)
            self.done += 1
        return float(torch.cat(losses[-200:]).mean()) / ROWS  # half a squared error of two numbers


class ByHand:
    """What one would write."""

    def __init__(self, x: Tensor):
        torch.manual_seed(1)
        self.x, self.network, self.before = x, Network(), 0.0
        beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        kept = torch.cumprod(1 - beta, 0)
        self.alpha, self.sigma, self.log_snr = kept.sqrt().float(), (1 - kept).sqrt().float(), (kept / (1 - kept)).log().float()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE)

    def turn(self, steps: int) -> float:
        losses = []
        for _ in range(steps):
            rows = self.x[torch.randint(ROWS, (BATCH,))]
            noise, t = torch.randn_like(rows), torch.randint(1000, (BATCH,))
            noisy = self.alpha[t, None] * rows + self.sigma[t, None] * noise
            loss = nn.functional.mse_loss(self.network(noisy, self.log_snr[t]), noise)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return float(torch.stack(losses[-200:]).mean())


def learning(peer: Environment) -> list[dict[str, Any]]:
    x = moons()
    runs = {"ppgen": Ours(x), "by hand": ByHand(x)}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    loss = dict.fromkeys(runs, 0.0)
    for _ in range(TURNS):
        for name, run in runs.items():
            begin = time.perf_counter()
            loss[name] = run.turn(STEPS)
            seconds[name].append(time.perf_counter() - begin)
    rows = [{"who": n, "before": r.before, "loss": loss[n], "seconds": statistics.median(seconds[n])} for n, r in runs.items()]
    return rows + by_diffusers(peer)


def by_diffusers(peer: Environment) -> list[dict[str, Any]]:
    try:
        peer.build()
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            out = Path(scratch) / "found.json"
            variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
            _run([str(peer.python), "-m", "peers.denoising", str(out), *map(str, (BATCH, STEPS, TURNS))], variables, 600)
            found = json.loads(out.read_text())
    except FailedError as error:
        print(f"diffusers: {error}")  # noqa: T201
        return []
    seconds = statistics.median(f["seconds"] for f in found)
    return [{"who": "diffusers' scheduler", "before": 0.0, "loss": found[-1]["loss"], "seconds": seconds}]


def learned(x: Tensor) -> Diffusion:
    torch.manual_seed(0)
    engine = SVI(num_steps=5000, num_particles=1, batch_size=BATCH, learning_rate=RATE, ema_decay=0.99, keep=(), progress=False)
    return learn(Diffusion(like=x, weighting="simple", predict="velocity"), x, engine=engine).fn  # type: ignore[no-any-return]


def sampling() -> list[dict[str, Any]]:
    x = moons()
    fitted, rows = learned(x), []
    for name, sampler in SAMPLERS.items():
        begin = time.perf_counter()
        drawn = fitted.draw(SIZE, sampler)
        seconds = time.perf_counter() - begin
        rows.append({"sampler": name, "seconds": seconds, "mean": drawn.mean(0).tolist(), "sd": drawn.std(0).tolist()})
    return rows


def report(found: dict[str, Any]) -> str:
    ours = found["learning"][0]["seconds"]
    lines = ["# Diffusion", "", f"On one core of {platform.processor() or platform.machine()}; {STEPS:,} steps of {BATCH} rows.", ""]
    lines += ["| | s | its time over ppgen's | before the first step, s | loss |", "| --- | ---: | ---: | ---: | ---: |"]
    for r in found["learning"]:
        lines.append(f"| {r['who']} | {r['seconds']:.2f} | {r['seconds'] / ours:.2f} | {r['before']:.1f} | {r['loss']:.3f} |")
    losses = [r for r in found["learning"] if r["seconds"] < GOAL * ours]
    lines += ["", "Losses:" if losses else "No losses.", *(f"- {r['who']}: {r['seconds'] / ours:.2f} x" for r in losses)]
    lines += ["", f"{SIZE:,} draws of two numbers:", "", "| sampler | s |", "| --- | ---: |"]
    lines += [f"| {r['sampler']} | {r['seconds']:.2f} |" for r in found["sampling"]]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "peers")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"learning": learning(Environment("diffusers", given.cache)), "sampling": sampling()}
    (given.out / "diffusion.json").write_text(json.dumps(found, indent=1) + "\n")
    text = report(found)
    (given.out / "diffusion.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
