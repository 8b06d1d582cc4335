"""NumPyro's NUTS with its defaults, in double precision, chains vectorised or one after the other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.infer import MCMC, NUTS
from numpyro.infer.hmc import HMCState

from .compiling import Compiling
from .jax_densities import density
from .jax_models import MODELS
from .protocol import Clock, Draws, Figures, Job, main


class Counting(NUTS):
    """NUTS whose `num_steps` is a running total: warm-up's would be lost otherwise."""

    def sample(self, state: HMCState, model_args: Any, model_kwargs: Any) -> HMCState:
        after = super().sample(state, model_args, model_kwargs)
        return after._replace(num_steps=after.num_steps + state.num_steps)


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    """One run. A second one compiles again (NumPyro 0.22), so what compiling took is what jax tells of it."""
    data = {k: jnp.asarray(v) for k, v in job.data.items()}
    with Compiling() as compiling:
        clock = Clock()
        mcmc = MCMC(
            Counting(MODELS[job.model]), num_warmup=job.warmup, num_samples=job.draws, num_chains=job.chains, chain_method=method,
            progress_bar=False,
        )  # fmt: skip
        mcmc.run(jax.random.PRNGKey(job.seed), **data)
        draws = {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
        everything = clock.lap()
    gradients = int(mcmc.last_state.num_steps.sum())
    return draws, Figures(everything, everything - compiling.seconds, gradients)


if __name__ == "__main__":
    numpyro.enable_x64()
    jax.devices()
    main(sample, density, ("vectorized", "sequential"), {"numpyro": numpyro.__version__, "jax": jax.__version__})
