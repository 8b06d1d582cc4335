"""What the contract suites run over: every family, every engine, found by walking the packages.

A family's instances for these suites stand in tests/models/cases_<module>.py as CASES; a family without any fails a test.
"""

import importlib
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

from torch import Tensor

from ppgen.discovery import engines, families
from ppgen.engine import Engine
from ppgen.family import Family

__all__ = ["Case", "cases", "quick"]

# Small runs. Each setting goes to the engines that have it.
QUICK = {"num_warmup": 250, "num_samples": 250, "num_chains": 4, "num_steps": 1000, "num_proposals": 20_000, "progress": False}


class Case(NamedTuple):
    """A family with data.

    posterior   site -> exact mean and sd, where they are known; engines are held to them
    """

    family: Family
    x: Any
    posterior: dict[str, tuple[Tensor, Tensor]]


@cache
def cases() -> dict[str, Case]:
    """`module/name` -> case, for every family that there is. Raises ImportError for a module without cases."""
    found = {}
    for module in sorted({kind.__module__.rpartition(".")[2] for kind in families().values()}):
        own = importlib.import_module(f"tests.models.cases_{module}").CASES
        found.update({f"{module}/{name}": case for name, case in own.items()})
    return found


def quick(name: str, **settings: Any) -> Engine:
    """An engine by its name, with settings that take seconds."""
    kind = engines()[name]
    own = {f.name for f in fields(kind)}
    return kind(**{k: v for k, v in {**QUICK, **settings}.items() if k in own})
