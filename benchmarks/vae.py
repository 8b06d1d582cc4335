"""A variational autoencoder by ppgen's SVI, by a loop of PyTorch written by hand, and by Pyro's own SVI.

    python benchmarks/vae.py --out benchmarks/results [--threads 2]

Writes vae.json and vae.md there. One model, 784 - 200 - 200 - (20 latent) - 200 - 200 - 784 with a Bernoulli likelihood, the same 8,000
rows of images made from a fixed seed, the same parameters at the start, minibatches of 100 and 256, Adam with one learning rate, one
draw a step. The loop by hand takes its loss as one would write it: cross-entropy and the normal divergence in closed form ("hand"), and
as ppgen and Pyro have it, log p - log q at the draw ("hand, at the draw"). Pyro runs Trace_ELBO without its JIT. All four take turns
in one process, a few hundred steps each, and the medians of their turns are compared; recording and compiling are in a column of
their own. The losses of the last turns are printed: the mean over rows, nats, of runs that saw the same rows in other orders.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import infer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ppgen.inference import SVI
from ppgen.inference.svi import Info
from ppgen.keys import Key
from ppgen.models import VariationalAutoencoder
from ppgen.program import Program

LATENT, HIDDEN, PIXELS, ROWS, RATE = 20, (200, 200), 784, 8000, 1e-3
GOAL = 0.95  # of the loop by hand's steps a second
Turn = Callable[[int], float]  # takes so many steps and gives the mean loss of the last 50, nats a row


def images() -> Tensor:
    """Binary images of a smooth random field of few directions: (ROWS, PIXELS)."""
    draw = torch.Generator().manual_seed(0)
    code = torch.randn(ROWS, 8, generator=draw)
    at = torch.linspace(0, 6, PIXELS)
    waves = torch.stack([torch.sin((k + 1) * at + k * k) for k in range(8)])
    return (code @ waves + 0.3 * torch.randn(ROWS, PIXELS, generator=draw) > 1.0).float()


def family() -> VariationalAutoencoder:
    torch.manual_seed(1)
    return VariationalAutoencoder(PIXELS, latent=LATENT, hidden=HIDDEN, likelihood="bernoulli")


def ours(x: Tensor, batch: int) -> tuple[Turn, dict[str, Any]]:
    begin = time.perf_counter()
    engine = SVI(num_particles=1, batch_size=batch, optimizer="Adam", learning_rate=RATE, final_learning_rate=1.0, progress=False)
    target = engine._objective(Program.of(family(), x).copy(), batch)
    key = Key(0)
    state, tuning = engine.init(target, key)
    done = 0

    def turn(steps: int) -> float:
        nonlocal state, done
        losses = []
        for _ in range(steps):
            state, info = engine.step(target, state, tuning, key.at(done))
            losses.append(info)
            done += 1
        return float(torch.cat([_loss(i) for i in losses[-50:]]).mean()) / ROWS

    turn(1)
    return turn, {"lowering": target.lowering.name, "seconds before": time.perf_counter() - begin}


def _loss(info: Info) -> Tensor:
    return info.losses


def by_hand(x: Tensor, batch: int, closed: bool) -> tuple[Turn, dict[str, Any]]:
    begin = time.perf_counter()
    made = family()
    encoder, decoder = made.encoder, made.decoder
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE)
    draw = torch.Generator().manual_seed(2)
    rows = _rows(batch, draw)
    normal = torch.distributions.Normal

    def step() -> Tensor:
        at = x[next(rows)]
        loc, raw = encoder(at).chunk(2, -1)
        scale = softplus(raw)
        z = loc + scale * torch.randn(loc.shape, generator=draw)
        missed = binary_cross_entropy_with_logits(decoder(z), at, reduction="sum")
        if closed:
            divergence = 0.5 * (loc.square() + scale.square() - 1).sum() - scale.log().sum()
        else:
            divergence = (normal(loc, scale, validate_args=False).log_prob(z) + 0.5 * z.square() + 0.9189385).sum()
        loss = missed + divergence
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return _turning(step, batch), {"seconds before": time.perf_counter() - begin}


def by_pyro(x: Tensor, batch: int) -> tuple[Turn, dict[str, Any]]:
    begin = time.perf_counter()
    pyro.clear_param_store()
    made = family()
    encoder, decoder = made.encoder, made.decoder

    def model(at: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(at)):
            z = pyro.sample("z", dist.Normal(at.new_zeros(len(at), LATENT), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=at)

    def guide(at: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(at)):
            loc, raw = encoder(at).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, softplus(raw)).to_event(1))

    engine = infer.SVI(model, guide, pyro.optim.Adam({"lr": RATE}), infer.Trace_ELBO())
    rows = _rows(batch, torch.Generator().manual_seed(2))
    torch.manual_seed(3)

    def step() -> Tensor:
        return torch.tensor(engine.step(x[next(rows)]))

    with pyro.validation_enabled(False):
        step()
    return _turning(step, batch), {"seconds before": time.perf_counter() - begin}


def _turning(step: Callable[[], Tensor], batch: int) -> Turn:
    def turn(steps: int) -> float:
        with pyro.validation_enabled(False):
            losses = [step() for _ in range(steps)]
        return float(torch.stack(losses[-50:]).mean()) / batch

    return turn


def _rows(batch: int, draw: torch.Generator) -> Any:
    """Endless epochs without replacement."""
    while True:
        order = torch.randperm(ROWS, generator=draw)
        yield from order[: ROWS - ROWS % batch].split(batch)


def compared(batch: int, steps: int, turns: int) -> dict[str, Any]:
    x = images()
    made = {
        "ppgen": ours(x, batch),
        "hand": by_hand(x, batch, closed=True),
        "hand, at the draw": by_hand(x, batch, closed=False),
        "Pyro": by_pyro(x, batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in made}
    losses = {}
    for _ in range(turns):
        for name, (turn, _) in made.items():
            begin = time.perf_counter()
            losses[name] = turn(steps)
            seconds[name].append((time.perf_counter() - begin) / steps)
    return {
        name: {**facts, "steps per second": 1 / statistics.median(seconds[name]), "loss": losses[name]} for name, (_, facts) in made.items()
    }


def report(results: dict[str, Any], threads: int) -> str:
    lines = ["# A variational autoencoder", ""]
    lines += [f"{platform.machine()}, {threads} threads, torch {torch.__version__}, float32. Steps a second; in brackets ppgen's over it."]
    lines += ["", "| batch | ppgen | hand | hand, at the draw | Pyro | ppgen: lowering, seconds before the first step |"]
    lines += ["| ---: | ---: | ---: | ---: | ---: | --- |"]
    for batch, found in results.items():
        ours = found["ppgen"]["steps per second"]
        cells = [f"{f['steps per second']:.0f} ({ours / f['steps per second']:.2f})" for n, f in found.items() if n != "ppgen"]
        before = f"{found['ppgen']['lowering']}, {found['ppgen']['seconds before']:.1f}"
        lines.append(f"| {batch} | {ours:.0f} | " + " | ".join(cells) + f" | {before} |")
    lines += ["", "Loss at the end, nats a row:", ""]
    lines += [f"- batch {b}: " + ", ".join(f"{n} {f['loss']:.2f}" for n, f in found.items()) for b, found in results.items()]
    worst = min(f["ppgen"]["steps per second"] / f["hand"]["steps per second"] for f in results.values())
    lines += [
        "",
        f"Goal: {GOAL} of the steps a second of the loop by hand. {'Reached' if worst >= GOAL else 'Missed'}: {worst:.2f} at the least.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    results = {batch: compared(batch, given.steps, given.turns) for batch in (100, 256)}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "vae.json").write_text(
        json.dumps({"threads": given.threads, "torch": torch.__version__, "batches": results}, indent=1) + "\n"
    )
    text = report(results, given.threads)
    (given.out / "vae.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
