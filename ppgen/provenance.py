"""How a posterior came about, and what must be the same for a run to be the same run."""

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyro
import torch
from torch import Tensor

from . import __version__

if TYPE_CHECKING:
    from .engine import Engine, Target
    from .stopwatch import Stopwatch

__all__ = ["fingerprint", "plain", "provenance", "versions"]


def fingerprint(engine: "Engine", target: "Target") -> dict[str, str]:
    """What draws depend on, part by part: what a checkpoint must agree with."""
    settings = {k: v for k, v in engine.settings.items() if k not in engine.FREE}
    parts = {"engine": engine.name, "program, data or parameters": target.fingerprint, "lowering": target.lowering.name}
    parts |= {f"setting {k}": repr(v) for k, v in settings.items() if k != "lowering"}
    parts |= {f"version of {k}": v for k, v in versions().items()}
    return {k: hashlib.sha256(v.encode()).hexdigest()[:16] for k, v in {**parts, "processor": _processor()}.items()}


def versions() -> dict[str, str]:
    return {
        "ppgen": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyro": pyro.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def _processor() -> str:
    return f"{platform.machine()} {platform.processor()} {torch.backends.cpu.get_cpu_capability()}"


def provenance(engine: "Engine", target: "Target", watch: "Stopwatch", interrupted: bool = False) -> dict[str, Any]:
    """How a posterior came about; JSON-able."""
    return {
        "engine": engine.name,
        "settings": engine.settings,
        "lowering": target.lowering._asdict(),
        "device": str(target.device),
        "dtype": str(target.dtype).removeprefix("torch."),
        "seconds": watch.seconds(target),
        "gradients": int(target.evaluations),
        "interrupted": interrupted,
        "versions": versions(),
        "processor": _processor(),
    }


def plain(value: Any) -> Any:
    """A setting as JSON can hold it: callables by their name, tensors by their values."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, (Path, torch.dtype, torch.device)):
        return str(value).removeprefix("torch.")
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
