"""Blocks of draws of continuous and discrete sites together: what _blocks.py is, with held elements."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import EngineError
from ..keys import Key
from ._blocks import DONE, GAMMA, Averaging, Drawn, Sampler, Workshop, _row, _Work
from ._held import HeldDensity
from ._joint_draws import Order
from ._metric import Metric
from ._sweep import GRADIENT, SWEEP, TABLES
from ._trajectory import HEAD, HERE, JOB, POSITION, VALUE

__all__ = ["ElementWorkshop", "HeldState"]

Array = NDArray[Any]
PROBES = 2  # gradients that tell the laws of continuous sites


class HeldState(NamedTuple):
    """Of each chain."""

    position: Tensor  # (chains, dim), unconstrained
    log_density: Tensor  # (chains,), nats, up to a constant
    gradient: Tensor  # (chains, dim)
    held: Tensor  # (chains, elements), whole numbers


class ElementWorkshop(Workshop):
    """Where chains draw elements and trajectories in turn.

    order    of joint draws; None: sweeps, so many between two trajectories
    still    continuous sites stay where they are; laws: from which they are drawn, where no trajectory is made
    """

    density: HeldDensity

    def __init__(
        self,
        density: HeldDensity,
        sampler: Sampler,
        flag: NDArray[np.int64],
        threads: int | None,
        order: Order | None,
        sweeps: int,
        still: bool = False,
    ):
        super().__init__(density, sampler, flag, threads)
        self.order, self.sweeps, self.still, self.laws = order, sweeps, still or density.dim == 0, None if still else density.laws
        self.plan = _plan(density, order)

    def compile(self) -> None:
        if self.kernel is not None:
            self.sampler.run.load()
            return
        job, sweep = np.zeros(1, JOB), np.zeros(1, SWEEP)
        next(self.sampler.chain(job.ctypes.data, sweep.ctypes.data, *self.sampler.settings), None)  # a block of no draws

    def draw(
        self,
        state: Any,
        step_size: Tensor,
        averaging: Averaging,
        metric: Metric,
        key: Key,
        count: int,
        aim: float = 0.0,
        gamma: float = GAMMA,
    ) -> Drawn:
        work = _Work(self.sampler, metric, key, count, aim, gamma)
        work.fill(state, step_size, averaging)
        work.stats.fill(0.0)  # nobody writes those of a trajectory that is not made
        self.elements = elements = _Elements(self, state.held.to("cpu"), count)
        work.jobs["count"], work.jobs["stop"] = 1, self.own.ctypes.data  # a draw that is begun is made
        work.jobs["n"] = elements.records["z"]
        before, everyone = self.density.evaluations, list(range(len(key.chains)))
        self._run(work, everyone)
        made = int(elements.records["made"].max())
        behind = [i for i in everyone if elements.records["made"][i] < made]
        if behind:  # told to stop: they catch up with the first
            elements.records["count"] = made - elements.records["made"]
            elements.records["stop"] = self.own.ctypes.data
            self._run(work, behind)
        if elements.records["apart"].any():
            raise EngineError(
                "the continuous sites given the discrete ones have not the laws that they had where Gibbs looked at the start; use "
                'continuous="trajectory"'
            )
        drawn = work.read(made)
        held = torch.from_numpy(elements.draws[:, :made])
        steps = int(drawn.stats["n_steps"].sum()) if "n_steps" in drawn.stats else 0
        self.density.evaluations = before + steps + made * len(everyone) * (1 if self.laws is None else PROBES + 1)
        end = HeldState(*drawn.state, torch.from_numpy(elements.z.copy()))
        return drawn._replace(state=end, others={"held": held})  # type: ignore[arg-type]

    def call(self, work: _Work, i: int) -> None:
        jobs, records = work.jobs, self.elements.records
        work.jobs["n"][i] = records["z"][i]
        addresses = jobs.ctypes.data + i * JOB.itemsize, records.ctypes.data + i * SWEEP.itemsize
        self.sampler.run(*addresses, *self.sampler.settings)

    def _batched(self, work: _Work, chains: list[int]) -> None:
        """By one call for all chains that ask the same, as each goes from request to request."""
        numbers, elements = torch.from_numpy(work.memory), self.elements
        chain, settings = self.sampler.chain, self.sampler.settings
        job, sweep = work.jobs.ctypes.data, elements.records.ctypes.data
        going = {i: chain(job + i * JOB.itemsize, sweep + i * SWEEP.itemsize, *settings) for i in chains}
        asked = _next(going)
        while asked:
            for request in set(asked.values()):
                self._answer(request, [i for i, r in asked.items() if r == request], numbers)
            asked = _next({i: going[i] for i in asked})

    def _answer(self, request: int, chains: list[int], numbers: Tensor) -> None:
        """A graph is compiled for a number of chains: those that did not ask are carried along, and hear nothing."""
        density, elements, dim = self.density, self.elements, self.density.dim
        rows = torch.tensor(chains)
        at = rows if density.lowering.name == "eager" else torch.arange(len(numbers))
        held = torch.from_numpy(elements.z)[at].to(density.device)
        position = _row(numbers, POSITION if request == GRADIENT else HERE, dim)[at].to(density.device, density.dtype)
        places = (at[:, None] == rows).nonzero()[:, 0]  # of those who asked, among the answers
        if request == GRADIENT:
            value, gradient = density.given(held).value_and_grad(position)
            answer = torch.cat([value[:, None], gradient], 1).to("cpu", torch.float64)
            numbers[rows, VALUE : HEAD + dim] = answer[places]
        elif request == TABLES:
            (answer,) = density.narrow([position])
            torch.from_numpy(elements.out)[rows] = answer.to("cpu", torch.float64)[places]
        else:
            (answer,) = density.wide([position, held])
            torch.from_numpy(elements.answer)[rows, 0] = answer.to("cpu", torch.float64)[places]


def _next(going: dict[int, Iterator[int]]) -> dict[int, int]:
    """What each chain asks for next, those that are done left out."""
    asked = {i: next(chain, DONE) for i, chain in going.items()}
    return {i: request for i, request in asked.items() if request is not DONE}  # type: ignore[misc]


def _plan(density: HeldDensity, order: Order | None) -> dict[str, Array]:
    """What all chains read, by the names of SWEEP."""
    t = density.tables
    met_first, met, met_stride = density.met()
    plan = {
        "sizes": t.sizes, "touched": t.touched.astype(np.int64), "pick": t.pick, "offset": t.offset, "first": t.first, "scope": t.scope,
        "stride": t.stride, "met_first": met_first, "met": met, "met_stride": met_stride,
    }  # fmt: skip
    if order is not None:
        plan |= {
            "element": order.element, "other_first": order.other_first, "others": order.others, "cell": order.cell,
            "message": order.message, "input_first": order.first, "base": order.base, "at": order.at, "input_stride": order.stride,
        }  # fmt: skip
    return {name: np.ascontiguousarray(array, np.int64) for name, array in plan.items()}


class _Elements:
    """The memory of a block: a record for each chain, and what the records point to."""

    def __init__(self, shop: ElementWorkshop, held: Tensor, count: int):
        density, order = shop.density, shop.order
        t = density.tables
        chains, elements = held.shape
        single, native = density.dtype == torch.float32, density.native is not None
        most = int(t.sizes.max(initial=1))
        self.z = held.to(torch.int64).contiguous().numpy().copy()
        self.draws = np.empty((chains, count, elements), np.int64)
        self.values = np.empty((chains, order.values if order else len(t.pick)))
        self.cells = np.empty((chains, order.cells if order else 0))
        self.logits, self.answer = np.empty((chains, 2 * most)), np.empty((chains, 1))
        self.digits = np.zeros((chains, elements), np.int64)
        size = density.table_values if density.narrow is not None else 0
        self.out = np.empty((chains, size), np.float32 if single and native else np.float64)
        self.records = records = np.zeros(chains, SWEEP)
        for name in ("z", "draws", "values", "cells", "logits", "answer", "digits", "out"):
            array = getattr(self, name)
            records[name] = array.ctypes.data + np.arange(chains) * (array[0].nbytes if len(array) else 0)
        for name, plan in shop.plan.items():
            records[name] = plan.ctypes.data
        records["elements"], records["known"], records["sweeps"], records["count"] = elements, len(t.pick), shop.sweeps, count
        records["most"] = most
        records["steps"] = len(order.element) if order else 0
        records["wide"], records["fixed"], records["still"] = bool(t.wide), density.fixed, shop.still
        records["stop"] = shop.flag.ctypes.data
        if (laws := shop.laws) is not None:
            records["direct"] = True
            records["link"], records["shift"], records["centre"] = (a.ctypes.data for a in (laws.link, laws.offset, laws.centre))
        self.workspaces: list[Any] = []
        if native:
            self._furnish(density)

    def _furnish(self, density: HeldDensity) -> None:
        """Machine code of both kinds of terms, with memory to work in for each chain."""
        for name, kernel in zip(("table", "wide"), density.kernels, strict=True):
            if kernel is None:
                continue
            self.records[f"{name}_code"] = kernel.address
            _, self.records[f"{name}_c"], self.records[f"{name}_k"] = kernel.pointers
            for record in self.records:
                w, m = kernel.workspace()
                self.workspaces.append((w, m))
                record[f"{name}_w"], record[f"{name}_m"] = w.ctypes.data, m.ctypes.data
