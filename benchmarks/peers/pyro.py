"""Pyro's own NUTS, in ppgen's environment (it has Pyro already). One chain after another: what Pyro does by itself on two cores."""

import numpy as np
import pyro
import torch
from pyro import infer
from pyro.ops import integrator

from .protocol import Clock, Data, Draws, Figures, Job, main
from .pyro_models import MODELS


class Counter:
    """Counts gradients: Pyro does not tell them."""

    def __init__(self) -> None:
        self.count, self.gradient = 0, integrator.potential_grad

    def __call__(self, potential: object, z: object) -> object:
        self.count += 1
        return self.gradient(potential, z)


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    data = {k: torch.from_numpy(v) for k, v in job.data.items()}
    integrator.potential_grad = counter = Counter()
    clock, chains = Clock(), []
    for chain in range(job.chains):
        pyro.set_rng_seed(1000 * job.seed + chain)
        kernel = infer.NUTS(MODELS[job.model])
        mcmc = infer.MCMC(kernel, num_samples=job.draws, warmup_steps=job.warmup, disable_progbar=True)
        mcmc.run(**data)
        chains.append(mcmc.get_samples())
    everything = clock.lap()
    integrator.potential_grad = counter.gradient
    draws = {k: np.stack([c[k].numpy() for c in chains]) for k in chains[0]}
    return draws, Figures(everything, everything, counter.count)


def density(model: str, data: Data, point: dict) -> float:
    raise NotImplementedError("Pyro's programs are ppgen's")


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main(sample, density, ("default",), {"pyro-ppl": pyro.__version__, "torch": torch.__version__})
