"""The log joint densities of the NumPyro programs, for comparison with the other frameworks'."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from numpyro.infer.util import log_density

from .jax_models import MODELS

__all__ = ["density"]


def density(model: str, data: dict[str, np.ndarray], point: Mapping[str, np.ndarray]) -> float:
    arrays = {k: jnp.asarray(v) for k, v in data.items()}
    return float(log_density(MODELS[model], (), arrays, {k: jnp.asarray(v) for k, v in point.items()})[0])
