"""NUTS beside Pyro's own, in one run: eight schools, non-centred, 4 chains x (1000 + 1000), one core, everything included.

    python benchmarks/nuts_vs_pyro.py [--draws 1000] [--out benchmarks/results/nuts_vs_pyro.json]

Both get the same Pyro function. Seconds are wall time from the call to the draws: recording, checks, warm-up, sampling. The
figure is the least bulk ESS over mu, tau and the eight theta, per second.
"""

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro import infer
from torch import Tensor

import ppgen
from ppgen.diagnostics import ess_and_rhat
from ppgen.inference import NUTS

Y = torch.tensor([28.0, 8, -3, 7, -1, 1, 18, 12])
SIGMA = torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18])
MEANS = {"mu": 4.396820713833059, "tau": 3.5977054840967604}  # by quadrature: tests/reference/posteriordb


def eight_schools(y: Tensor, sigma: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(torch.tensor(5.0)))
    with pyro.plate("schools", len(y)):
        effect = pyro.sample("effect", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * effect, sigma), obs=y)


def by_ppgen(draws: int, seed: int) -> dict[str, Tensor]:
    engine = NUTS(num_warmup=draws, num_samples=draws, num_chains=4, seed=seed, lowering="recorded", progress=False)
    return engine.run(eight_schools, Y, SIGMA).draws


def by_pyro(draws: int, seed: int) -> dict[str, Tensor]:
    """Chain after chain: on one core its worker processes gain nothing."""
    chains = []
    for chain in range(4):
        pyro.set_rng_seed(1000 * seed + chain)
        mcmc = infer.MCMC(infer.NUTS(eight_schools), num_samples=draws, warmup_steps=draws, disable_progbar=True)
        mcmc.run(Y, SIGMA)
        chains.append(mcmc.get_samples())
    return {k: torch.stack([c[k] for c in chains]) for k in chains[0]}


def measured(sampler: Callable[[int, int], dict[str, Tensor]], draws: int, seed: int) -> dict[str, float]:
    begin = time.perf_counter()
    found = sampler(draws, seed)
    seconds = time.perf_counter() - begin
    mu, tau = found["mu"].double(), found["tau"].double()
    theta = mu[..., None] + tau[..., None] * found["effect"].double()
    ess, rhat = ess_and_rhat(torch.cat([mu[..., None], tau[..., None], theta], -1).numpy())
    errors = {n: float((v.mean() - MEANS[n]) / (v.std() / np.sqrt(ess[i]))) for i, (n, v) in enumerate((("mu", mu), ("tau", tau)))}
    return {
        "seconds": seconds,
        "min_bulk_ess": float(ess.min()),
        "max_rhat": float(rhat.max()),
        "ess_per_second": float(ess.min()) / seconds,
        **{f"standard_errors_off_{n}": z for n, z in errors.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="warm-up draws, and draws kept, per chain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    by_ppgen(20, 1)  # Numba's cache is filled once per machine
    result = {name: measured(run, options.draws, options.seed) for name, run in (("ppgen", by_ppgen), ("pyro", by_pyro))}
    ratio = result["ppgen"]["ess_per_second"] / result["pyro"]["ess_per_second"]
    versions = {"ppgen": ppgen.__version__, "pyro": pyro.__version__, "torch": torch.__version__, "python": platform.python_version()}
    report = {"model": "eight schools, non-centred", "draws": options.draws, "seed": options.seed}
    report |= {**result, "ratio": ratio, "versions": versions}
    text = json.dumps(report, indent=1)
    print(text)  # noqa: T201
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
