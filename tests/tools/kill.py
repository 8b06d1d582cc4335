"""Kill a run with SIGKILL and resume it: what comes out must be what an unbroken run gives, to the bit.

    python -m tests.tools.kill ENGINE SETTINGS-AS-JSON CHECKPOINT OUT    is the child: it runs `program` and writes OUT

A child is killed after it has written the checkpoint anew, so that a kill falls into the run and not into the start of Python.
It saves twenty times a second instead of every two seconds, so that kills fall into the writing too.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ppgen import engine as driver
from ppgen.discovery import engines, pick

__all__ = ["killed", "random_moments", "unbroken"]

DATA = 40.0 + 5.0 * torch.randn(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROOT = Path(__file__).parents[2]
MANIFEST = "manifest.json"


def program(x: Tensor) -> None:
    """Unknown mean and scale, and a label for each row: continuous and discrete sites."""
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
    scale = pyro.sample("scale", dist.LogNormal(x.new_tensor(1.0), 1.0))
    with pyro.plate("data", len(x)):
        far = pyro.sample("far", dist.Bernoulli(x.new_tensor(0.1)))
        pyro.sample("x", dist.Normal(loc, scale * (1 + 3 * far)), obs=x)


def run(name: str, settings: dict[str, Any], checkpoint: Path | None) -> dict[str, Tensor]:
    """Everything that a run gives, flat."""
    posterior = pick("engine", name, engines())(**settings, checkpoint=checkpoint, progress=False).run(program, DATA)
    out = {f"draws/{k}": v for k, v in posterior.draws.items()} | {f"params/{k}": v for k, v in posterior.params.items()}
    out |= {f"stats/{k}": v for k, v in posterior.stats.items()}
    out |= {k: v for k in ("losses", "log_weights") if (v := getattr(posterior, k)) is not None}
    return {k: v.contiguous() for k, v in out.items()}


def unbroken(name: str, settings: dict[str, Any]) -> dict[str, Tensor]:
    return run(name, settings, None)


def killed(name: str, settings: dict[str, Any], folder: Path, moments: Sequence[float]) -> tuple[dict[str, Tensor], int]:
    """The run, started again and killed `moments` seconds after it wrote its checkpoint, once for each, and then left to
    finish. Returns what it gives, and how many kills met a run that had not ended."""
    out, checkpoint, kills = folder / "out.safetensors", folder / "checkpoint", 0
    for moment in moments:
        child = _start(name, settings, checkpoint, out)
        _until_it_moves(child, checkpoint)
        time.sleep(moment)
        child.kill()
        child.communicate()
        kills += child.returncode == -signal.SIGKILL
    child = _start(name, settings, checkpoint, out)
    _, complaint = child.communicate(timeout=120)
    if child.returncode:
        raise RuntimeError(f"the resumed run failed: {complaint}")
    return load_file(out), kills


def _start(name: str, settings: dict[str, Any], checkpoint: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.tools.kill", name, json.dumps(settings), str(checkpoint), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _until_it_moves(child: subprocess.Popen[str], checkpoint: Path) -> None:
    """Wait until this child has written the checkpoint anew, or ended."""
    manifest = checkpoint / MANIFEST
    before = manifest.stat().st_mtime_ns if manifest.exists() else 0
    while child.poll() is None:
        if manifest.exists() and manifest.stat().st_mtime_ns != before:
            return
        time.sleep(0.01)


def random_moments(count: int, seed: int = 0) -> list[float]:
    """Seconds after a checkpoint, before and after the next ones."""
    draw = random.Random(seed)  # noqa: S311
    return [draw.uniform(0.0, 0.2) for _ in range(count)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    driver.BLOCK, driver.SAVE_EVERY = 0.02, 0.05
    kind, code, where, result = sys.argv[1:]
    save_file(run(kind, json.loads(code), Path(where)), result)
