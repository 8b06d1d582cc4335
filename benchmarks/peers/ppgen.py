"""ppgen's NUTS, in the environment that runs the benchmark. A method is a setting that is not the default."""

import pyro
import torch

import ppgen
from ppgen.inference import NUTS

from .protocol import Clock, Data, Draws, Figures, Job, main
from .pyro_models import MODELS

METHODS: dict[str, dict[str, str]] = {"default": {}, "low-rank": {"metric": "low_rank"}, "recorded": {"lowering": "recorded"}}
BEFORE = ("record", "check", "compile")  # what is done before sampling


def tensors(data: Data) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(v) for k, v in data.items()}


def sample(job: Job, method: str) -> tuple[Draws, Figures]:
    """The run twice: from nothing, and when what it loads has been loaded. Both give the same draws."""
    engine = NUTS(
        num_warmup=job.warmup, num_samples=job.draws, num_chains=job.chains, seed=job.seed, progress=False, **METHODS[method]
    )  # fmt: skip
    clock = Clock()
    posterior = engine.run(MODELS[job.model], **tensors(job.data))
    everything = clock.lap()
    again = engine.run(MODELS[job.model], **tensors(job.data))
    sampling = clock.lap() - sum(again.provenance["seconds"][k] for k in BEFORE)
    told = posterior.provenance
    figures = Figures(everything, sampling, told["gradients"], told["lowering"]["name"], told["seconds"])
    return {k: v.numpy() for k, v in posterior.draws.items()}, figures


def density(model: str, data: Data, point: dict) -> float:
    conditioned = pyro.condition(MODELS[model], data=tensors(point))
    trace = pyro.poutine.trace(conditioned).get_trace(**tensors(data))
    return float(trace.log_prob_sum())


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main(sample, density, tuple(METHODS), {"ppgen": ppgen.__version__, "torch": torch.__version__})
