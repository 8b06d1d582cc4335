"""What the contract suites run over: every family, every engine, found by walking the packages.

A family's instances for these suites stand in tests/models/cases_<module>.py as CASES; a family without any fails a test.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ppgen.discovery import engines, families
from ppgen.engine import Engine
from ppgen.errors import PpgenError, PpgenWarning
from ppgen.family import Family
from ppgen.posterior import Posterior

__all__ = ["Case", "cases", "quick", "settled"]

# Small runs. Each setting goes to the engines that have it.
QUICK = {
    "num_warmup": 250,
    "num_samples": 250,
    "num_chains": 4,
    "num_steps": 1000,
    "num_proposals": 20_000,
    "num_temperatures": 100,
    "progress": False,
}


class Case(NamedTuple):
    """A family with data: a tensor, a dict from site to tensor, or what the family is about.

    posterior   site -> exact mean and sd, where they are known; engines are held to them
    edges       of the diagram between sites, written by hand: "weights -> assignment -> x, loc -> x"; plates: name -> its
                sites: {"data": "assignment x"}. One case of every family has both
    bad         data that the family refuses, with a pattern that the message matches; data that are no tensor need some, for a
                tensor of numbers there are some anyway
    guide       the exact posterior as a guide, where it is not the product of `exact(x)["posterior"]`
    """

    family: Family
    x: Any
    posterior: Mapping[str, tuple[Tensor, Tensor]] = MappingProxyType({})
    edges: str | None = None
    plates: Mapping[str, str] = MappingProxyType({})
    bad: Sequence[tuple[Any, str]] | None = None
    guide: Callable[..., Any] | None = None

    @property
    def refused(self) -> Sequence[tuple[Any, str]]:
        """`bad`, or what any family of complete rows refuses: NaN, whole numbers, dimensions too many."""
        if self.bad is not None or not isinstance(self.x, Tensor):
            return self.bad or ()
        holed = self.x.clone()
        holed.reshape(-1)[3] = torch.nan
        return [(holed, "NaN"), (self.x.to(torch.int64), "floating-point"), (self.x[..., None, None], "shape")]

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """The edges one by one."""
        chains = [[site.strip() for site in chain.split("->")] for chain in (self.edges or "").split(",") if chain.strip()]
        return {pair for chain in chains for pair in pairwise(chain)}


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


def settled(engine: str, program: Callable[..., Any], *args: Any, settings: Mapping[str, Any] | None = None) -> Any:
    """What comes of a run: a Posterior, or the PpgenError or PpgenWarning that says why there is none to be relied on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PpgenWarning)
            posterior = quick(engine, **(settings or {})).run(program, *args)
    except (PpgenError, PpgenWarning) as reason:
        return reason
    assert isinstance(posterior, Posterior)
    return posterior
