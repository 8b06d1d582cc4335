"""BlackJAX's NUTS after its window adaptation, on NumPyro's density, as its manual does it; all chains under one vmap."""

from collections.abc import Callable
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.infer.util import initialize_model

from .jax_densities import density
from .jax_models import MODELS
from .protocol import Clock, Draws, Figures, Job, main


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    data = {k: jnp.asarray(v) for k, v in job.data.items()}
    clock = Clock()
    keys = jax.random.split(jax.random.PRNGKey(job.seed), job.chains)
    sampler = jax.jit(jax.vmap(chain(job, data))).lower(keys).compile()
    compiling = clock.lap()
    found, gradients = sampler(keys)
    draws = {k: np.asarray(v) for k, v in found.items()}
    sampling = clock.lap()
    return draws, Figures(compiling + sampling, sampling, int(gradients.sum()))


def chain(job: Job, data: dict[str, jax.Array]) -> Callable[[jax.Array], tuple[dict[str, jax.Array], jax.Array]]:
    """One chain from its key: constrained draws (draws, *shape), and the count of gradients."""
    info = initialize_model(jax.random.PRNGKey(job.seed), MODELS[job.model], model_kwargs=data, dynamic_args=False)

    def log_density(position: dict[str, jax.Array]) -> jax.Array:
        return -info.potential_fn(position)

    def one(key: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        begin, warm, go = jax.random.split(key, 3)
        leaves, tree = jax.tree.flatten(info.param_info.z)
        keys = jax.random.split(begin, len(leaves))
        places = [jax.random.uniform(k, z.shape, z.dtype, -2.0, 2.0) for k, z in zip(keys, leaves, strict=True)]
        adaptation = blackjax.window_adaptation(blackjax.nuts, log_density)
        (state, parameters), warmed = adaptation.run(warm, jax.tree.unflatten(tree, places), num_steps=job.warmup)
        step = blackjax.nuts(log_density, **parameters).step

        def draw(state: Any, key: jax.Array) -> tuple[Any, tuple[Any, jax.Array]]:
            state, drawn = step(key, state)
            return state, (state.position, drawn.num_integration_steps)

        _, (positions, steps) = jax.lax.scan(draw, state, jax.random.split(go, job.draws))
        return jax.vmap(info.postprocess_fn)(positions), steps.sum() + warmed.info.num_integration_steps.sum()

    return one


if __name__ == "__main__":
    numpyro.enable_x64()
    jax.devices()
    main(sample, density, ("vectorized",), {"blackjax": blackjax.__version__, "jax": jax.__version__, "numpyro": numpyro.__version__})
