"""PyMC's ten models, sampled by nutpie with its defaults and with its low-rank metric."""

from typing import Any

import numba
import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt

from .protocol import Clock, Data, Draws, Figures, Job, main


def small(x: np.ndarray) -> None:
    pm.Normal("x", pm.Normal("m", 0, 1), 1, observed=x)


def eight_schools(y: np.ndarray, sigma: np.ndarray) -> None:
    mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
    effect = pm.Normal("effect", 0, 1, shape=len(y))
    pm.Normal("y", mu + tau * effect, sigma, observed=y)


def logistic(x: np.ndarray, y: np.ndarray) -> None:
    a, b = pm.Normal("a", 0, 5), pm.Normal("b", 0, 1, shape=x.shape[1])
    pm.Bernoulli("y", logit_p=a + x @ b, observed=y)


def mixture(x: np.ndarray) -> None:
    w, m, sd = pm.Beta("w", 5, 5), pm.Normal("m", 0, 2, shape=2), pm.HalfNormal("sd", 2, shape=2)
    means = pt.stack([m[0], m[0] + pt.exp(m[1])])
    pm.Mixture("x", w=pt.stack([w, 1 - w]), comp_dists=pm.Normal.dist(means, sd), observed=x)


def radon(county: np.ndarray, floor: np.ndarray, y: np.ndarray) -> None:
    mu, tau, b, s = pm.Normal("mu", 0, 5), pm.HalfNormal("tau", 1), pm.Normal("b", 0, 5), pm.HalfNormal("s", 1)
    effect = pm.Normal("effect", 0, 1, shape=40)
    pm.Normal("y", (mu + tau * effect)[county] + b * floor, s, observed=y)


def gaussian_process(x: np.ndarray, y: np.ndarray) -> None:
    r, a, s = pm.LogNormal("r", 0, 1), pm.HalfNormal("a", 1), pm.HalfNormal("s", 1)
    gaps = (x[:, None] - x) ** 2
    covariance = a**2 * pt.exp(-0.5 * gaps / r**2) + (s**2 + 1e-6) * pt.eye(len(x))
    pm.MvNormal("y", np.zeros(len(x)), cov=covariance, observed=y)


def negative_binomial(x: np.ndarray, y: np.ndarray) -> None:
    a, b, phi = pm.Normal("a", 0, 5), pm.Normal("b", 0, 1, shape=x.shape[1]), pm.Exponential("phi", 0.2)
    pm.NegativeBinomial("y", mu=pt.exp(a + x @ b), alpha=phi, observed=y.astype(int))


def autoregression(y: np.ndarray) -> None:
    c, b, s = pm.Normal("c", 0, 1), pm.Normal("b", 0, 0.5, shape=5), pm.HalfNormal("s", 1)
    lagged = np.stack([y[4 - k : len(y) - 1 - k] for k in range(5)], -1)
    pm.Normal("y", c + lagged @ b, s, observed=y[5:])


def horseshoe(x: np.ndarray, y: np.ndarray) -> None:
    columns = x.shape[1]
    overall, local = pm.HalfCauchy("overall", 1), pm.HalfCauchy("local", 1, shape=columns)
    z, s = pm.Normal("z", 0, 1, shape=columns), pm.HalfNormal("s", 2)
    pm.Normal("y", x @ (overall * local * z), s, observed=y)


def ordinal(x: np.ndarray, y: np.ndarray) -> None:
    b, first, gaps = pm.Normal("b", 0, 1, shape=x.shape[1]), pm.Normal("first", 0, 3), pm.Exponential("gaps", 1, shape=3)
    cuts = pt.concatenate([first[None], first + pt.cumsum(gaps)])
    pm.OrderedLogistic("y", eta=x @ b, cutpoints=cuts, compute_p=False, observed=y)


def stochastic_volatility(y: np.ndarray) -> None:
    mu, step, nu = pm.Normal("mu", 0, 2), pm.Exponential("step", 10), pm.Exponential("nu", 0.1)
    z = pm.Normal("z", 0, 1, shape=len(y))
    log_variance = mu + step * pt.cumsum(z)
    pm.StudentT("y", nu=nu, mu=0, sigma=pt.exp(log_variance / 2), observed=y)


MODELS = {
    f.__name__.replace("_", "-"): f
    for f in (
        small, eight_schools, logistic, mixture, radon, gaussian_process,
        negative_binomial, autoregression, horseshoe, ordinal, stochastic_volatility,
    )
}  # fmt: skip
METHODS = {"nutpie": False, "nutpie-low-rank": True}  # whether the metric is of low rank


def built(name: str, data: Data) -> pm.Model:
    with pm.Model() as model:
        MODELS[name](**data)
    return model


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    program, compiling = compiled(job)
    clock = Clock()
    trace = nutpie.sample(
        program, draws=job.draws, tune=job.warmup, chains=job.chains, seed=job.seed, progress_bar=False,
        low_rank_modified_mass_matrix=METHODS[method],
    )  # fmt: skip
    sampling = clock.lap()
    names = [v.name for v in built(job.model, job.data).free_RVs]
    gradients = sum(int(group["n_steps"].sum()) for group in (trace.warmup_sample_stats, trace.sample_stats))
    return {k: trace.posterior[k].values for k in names}, Figures(compiling + sampling, sampling, gradients)


COMPILED: dict[str, tuple[Any, float]] = {}


def compiled(job: Job) -> tuple[Any, float]:
    """The compiled model, and the seconds that took: once for both metrics, counted for each."""
    if job.model not in COMPILED:
        clock = Clock()
        COMPILED[job.model] = nutpie.compile_pymc_model(built(job.model, job.data)), clock.lap()
    return COMPILED[job.model]


def density(name: str, data: Data, point: dict) -> float:
    model = built(name, data)
    values = {}
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = pt.as_tensor(np.asarray(point[variable.name], dtype=float))
        inside = value if transform is None else transform.forward(value, *variable.owner.inputs)
        values[model.rvs_to_values[variable].name] = inside.eval()
    return float(model.compile_logp(jacobian=False)(values))


if __name__ == "__main__":
    main(sample, density, tuple(METHODS), {"pymc": pm.__version__, "nutpie": nutpie.__version__, "numba": numba.__version__})
