"""NumPyro's NUTS with its defaults, in double precision, chains vectorised or one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.infer import MCMC, NUTS

from .jax_densities import density
from .jax_models import MODELS
from .protocol import Clock, Draws, Figures, Job, main


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    """The run twice: compiled, and as it is compiled already. Then its warm-up once more, to count gradients there."""
    data = {k: jnp.asarray(v) for k, v in job.data.items()}
    clock = Clock()
    mcmc = MCMC(
        NUTS(MODELS[job.model]), num_warmup=job.warmup, num_samples=job.draws, num_chains=job.chains, chain_method=method, progress_bar=False
    )  # fmt: skip
    run(mcmc, job.seed, data)
    everything = clock.lap()
    run(mcmc, job.seed + 1, data)
    sampling = clock.lap()
    draws = {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
    gradients = int(mcmc.get_extra_fields()["num_steps"].sum())
    mcmc.warmup(jax.random.PRNGKey(job.seed + 1), extra_fields=("num_steps",), collect_warmup=True, **data)
    gradients += int(mcmc.get_extra_fields()["num_steps"].sum())
    return draws, Figures(everything, sampling, gradients)


def run(mcmc: MCMC, seed: int, data: dict[str, jax.Array]) -> None:
    mcmc.run(jax.random.PRNGKey(seed), extra_fields=("num_steps",), **data)
    jax.block_until_ready(mcmc.get_samples())


if __name__ == "__main__":
    numpyro.enable_x64()
    jax.devices()
    main(sample, density, ("vectorized", "sequential"), {"numpyro": numpyro.__version__, "jax": jax.__version__})
