"""10^4 chains of overdamped Langevin steps in two double wells, by a library in its own environment, on one core.

    python -m peers.langevin LIBRARY OUT

Every library runs twice and the second run counts, so that no compile time does; torchebm's chains begin where ppgen's do, anywhere.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CHAINS, STEPS, SIZE, DIM = 10_000, 1000, 0.01, 2
BARRIER = 2.0


def energy(x: Tensor) -> Tensor:
    return BARRIER * (x.square() - 1).square().sum(-1)


def torchebm() -> dict[str, Callable[[int], Tensor]]:
    from torchebm.core import DoubleWellModel
    from torchebm.samplers import LangevinDynamics

    sampler = LangevinDynamics(DoubleWellModel(barrier_height=BARRIER), step_size=SIZE)

    def run(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return sampler.sample(torch.rand(CHAINS, DIM) * 4 - 2, n_steps=STEPS)

    return {"torchebm": run}


def ppgen() -> dict[str, Callable[[int], Tensor]]:
    import pyro
    import pyro.distributions as dist

    from ppgen.inference.langevin import Langevin, Walkers
    from ppgen.keys import Key

    def wells() -> None:
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (DIM,)))
        pyro.factor("energy", -energy(x))

    def program(seed: int) -> Tensor:
        settings: dict[str, Any] = {"num_chains": CHAINS, "num_warmup": 0, "num_samples": 1, "steps_per_draw": STEPS, "threads": 1}
        return Langevin(step_size=SIZE, seed=seed, progress=False, **settings).run(wells).draws["x"][:, 0].float()

    def score(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(-energy(leaf).sum(), leaf)
        return slope

    def transition(seed: int) -> Tensor:
        key = Key(seed, 0, tuple(range(CHAINS)))
        return Langevin(step_size=SIZE).transition(score, Walkers(torch.rand(CHAINS, DIM) * 4 - 2), key, STEPS).position

    return {"ppgen": program, "ppgen, along a score": transition}


def main() -> None:
    library, out = sys.argv[1:]
    torch.set_num_threads(1)
    found = {}
    for name, run in {"torchebm": torchebm, "ppgen": ppgen}[library]().items():
        run(0)
        seconds = []
        for seed in (1, 2, 3):
            begin = time.perf_counter()
            x = run(seed)
            seconds.append(time.perf_counter() - begin)
        found[name] = {"seconds": min(seconds), "mean square": float(x.square().mean())}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
