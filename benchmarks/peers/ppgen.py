"""ppgen's NUTS, in the environment that runs the benchmark. A method is a setting that is not the default."""

import pyro
import torch

import ppgen
from ppgen.inference import NUTS

from .protocol import Clock, Data, Draws, Figures, Job, main
from .pyro_models import MODELS

METHODS: dict[str, dict[str, str]] = {"default": {}, "low-rank": {"metric": "low_rank"}, "recorded": {"lowering": "recorded"}}


def tensors(data: Data) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(v) for k, v in data.items()}


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    engine = NUTS(
        num_warmup=job.warmup, num_samples=job.draws, num_chains=job.chains, seed=job.seed, progress=False, **METHODS[method]
    )  # fmt: skip
    clock = Clock()
    posterior = engine.run(MODELS[job.model], **tensors(job.data))
    everything = clock.lap()
    parts = posterior.provenance["seconds"]
    sampling = everything - sum(parts[k] for k in ("record", "check", "compile"))
    lowering = posterior.provenance["lowering"]
    note = "; ".join(f"{k} {parts[k]:.3f} s" for k in ("record", "check", "compile", "start", "sample", "collect") if k in parts)
    figures = Figures(everything, sampling, posterior.provenance["gradients"], f"{lowering['name']}: {note}")
    return {k: v.numpy() for k, v in posterior.draws.items()}, figures


def density(model: str, data: Data, point: dict) -> float:
    conditioned = pyro.condition(MODELS[model], data=tensors(point))
    trace = pyro.poutine.trace(conditioned).get_trace(**tensors(data))
    return float(trace.log_prob_sum())


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main(sample, density, tuple(METHODS), {"ppgen": ppgen.__version__, "torch": torch.__version__})
