"""Hamiltonian bridges: particles of one density are led to another by trajectories under what lies between.

A density may fall into groups that do not meet, such as the data of a program: each group's trajectory is then accepted or not by
itself, and its weights are its own. Step sizes and units at every inverse temperature come from a pilot run of other particles, so the
weights stay unbiased. Discrete elements that are held are drawn one after the other, each given all others.

Source: Duane, Kennedy, Pendleton & Roweth, Physics Letters B 195, 1987.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyro
import torch
from torch import Tensor

from .annealing import anneal
from .keys import MANY, Key
from .program import Program

__all__ = ["Between", "HamiltonianBridge", "Place", "prior_of"]

MOMENTA, JITTER, ACCEPT, ELEMENT = 7, 8, 9, 10  # streams of the key
PILOT = 2**31  # the first of the pilot's particles, whose numbers are nobody else's
PILOTS = 64
TARGET = 0.8  # acceptance rate
LONGEST = math.pi / 2  # a trajectory's time, in units of the particles' sds
SPREAD = 0.2  # of step sizes, to both sides: a trajectory of fixed length can be a period


class Place(NamedTuple):
    """Particles, and what is known there.

    position      (count, dim), unconstrained; held: (count, elements), whole numbers of discrete elements
    base, ratio   (count, groups): log base, and log target less it; slopes: (count, dim), of both
    """

    position: Tensor
    held: Tensor
    base: Tensor
    ratio: Tensor
    base_slope: Tensor
    ratio_slope: Tensor

    def log_density(self, level: float) -> Tensor:
        """(count, groups) at an inverse temperature; -inf where it is no number."""
        value = self.base + level * self.ratio
        return torch.where(value.isnan(), -torch.inf, value)

    def slope(self, level: float) -> Tensor:
        return self.base_slope + level * self.ratio_slope


class Between(NamedTuple):
    """What a bridge stands on.

    draw      (count, key) -> positions and held elements drawn from the base
    at        (positions, held elements) -> Place
    groups    (dim,): the group of each coordinate, of `number`
    sizes     how many values each held element may have
    sweep     (place, inverse temperature, key, back) -> held elements drawn once each; None draws them by `at`, one after the other
    """

    draw: Callable[[int, Key], tuple[Tensor, Tensor]]
    at: Callable[[Tensor, Tensor], Place]
    groups: Tensor
    number: int = 1
    sizes: Sequence[int] = ()
    sweep: Callable[[Place, float, Key, bool], Tensor] | None = None


class Move(NamedTuple):
    """At one inverse temperature: step sizes (groups,) in units (dim,)."""

    step_size: Tensor
    unit: Tensor


class HamiltonianBridge:
    """The Bridge of two densities. num_steps: leapfrog steps of a trajectory. Its moves are found by `tune`, for a row of levels."""

    def __init__(self, between: Between, num_steps: int):
        self.between, self.num_steps = between, num_steps
        self.moves: dict[float, Move] = {}

    def tune(self, levels: Sequence[float], key: Key) -> None:
        """By particles of its own, which go the same way."""
        pilot = Key(key.seed, 0, tuple(range(PILOT, PILOT + PILOTS)), key.device)
        anneal(_Pilot(self), levels, PILOTS, pilot)

    def begin(self, count: int, key: Key) -> Place:
        return self.between.at(*self.between.draw(count, key))

    def log_ratio(self, state: Place) -> Tensor:
        """(count,), or (count, groups) where there are several."""
        return state.ratio if self.between.number > 1 else state.ratio[:, 0]

    def move(self, state: Place, inverse_temperature: float, key: Key, back: bool = False) -> Place:
        if back:
            return self._trajectory(self._swept(state, inverse_temperature, key, True), inverse_temperature, key)
        return self._swept(self._trajectory(state, inverse_temperature, key), inverse_temperature, key, False)

    def _trajectory(self, here: Place, level: float, key: Key) -> Place:
        return self.trajectory(here, level, self.moves[level], key)[0] if here.position.shape[1] else here

    def trajectory(self, here: Place, level: float, move: Move, key: Key) -> tuple[Place, Tensor]:
        """One trajectory, and its acceptance rates (count, groups)."""
        groups, position = self.between.groups, here.position
        jitter = 1 + SPREAD * (2 * key.uniform(JITTER, (len(position), 1)).to(position) - 1)
        step = (move.step_size[groups] * jitter) * torch.ones_like(position)
        momentum = key.normal(MOMENTA, position.shape).to(position)
        start = here.log_density(level) - self._kinetic(momentum)
        there = here
        for _ in range(self.num_steps):
            momentum = momentum + 0.5 * step * move.unit * there.slope(level)
            there = self.between.at(there.position + step * move.unit * momentum, here.held)
            momentum = momentum + 0.5 * step * move.unit * there.slope(level)
        change = there.log_density(level) - self._kinetic(momentum) - start
        rate = change.clamp(max=0.0).exp().nan_to_num(0.0)
        accepted = key.uniform(ACCEPT, rate.shape).to(rate) < rate
        return _chosen(accepted, accepted[:, groups], there, here), rate

    def _kinetic(self, momentum: Tensor) -> Tensor:
        """(count, groups)"""
        zero = momentum.new_zeros(len(momentum), self.between.number)
        return zero.index_add(1, self.between.groups, 0.5 * momentum.square())

    def _swept(self, here: Place, level: float, key: Key, back: bool) -> Place:
        """Every held element once, given all others."""
        if self.between.sweep is not None:
            return self.between.at(here.position, self.between.sweep(here, level, key, back))
        elements = range(len(self.between.sizes))
        for e in reversed(elements) if back else elements:
            size = self.between.sizes[e]
            tried = here.held.repeat(size, 1)
            tried[:, e] = torch.arange(size, device=tried.device).repeat_interleave(len(here.held))
            values = self.between.at(here.position.repeat(size, 1), tried).log_density(level).reshape(size, -1)
            noise = key.gumbel(ELEMENT + MANY * e, (len(here.held), size)).to(values)
            held = here.held.clone()
            held[:, e] = (values.mT + noise).argmax(1)
            here = here._replace(held=held)
        return self.between.at(here.position, here.held) if elements else here


class _Pilot:
    """The bridge on which step sizes are found: each level's come from the particles' spread and acceptance there."""

    def __init__(self, bridge: HamiltonianBridge):
        self.bridge = bridge
        groups = bridge.between.groups
        self.step_size = torch.full((bridge.between.number,), LONGEST / bridge.num_steps, dtype=torch.float64, device=groups.device)

    def begin(self, count: int, key: Key) -> Place:
        return self.bridge.begin(count, key)

    def log_ratio(self, state: Place) -> Tensor:
        return self.bridge.log_ratio(state)

    def move(self, state: Place, inverse_temperature: float, key: Key, back: bool = False) -> Place:
        bridge = self.bridge
        if state.position.shape[1]:
            sd = state.position.std(0)
            move = Move(self.step_size.to(sd), torch.where(sd > 0, sd, 1.0))
            state, rate = bridge.trajectory(state, inverse_temperature, move, key)
            bridge.moves[inverse_temperature] = move
            adapted = self.step_size * (rate.mean(0).double() - TARGET).exp()
            self.step_size = adapted.clamp(max=LONGEST / bridge.num_steps)
        return bridge._swept(state, inverse_temperature, key, False)


def prior_of(program: Program, data_plate: str | None = None) -> Program:
    """The program without what it observes and without factors; data_plate: what its data plate then is."""
    hidden = [s.name for s in program.sites.values() if s.kind in ("observed", "conditioned", "factor")]
    prior = copy.copy(program)
    prior.fn, prior._data_plate = pyro.poutine.block(program.fn, hide=hidden), data_plate
    return prior.bind(*program.args, **program.kwargs)


def _chosen(groups: Tensor, coordinates: Tensor, there: Place, here: Place) -> Place:
    """There where accepted, (count, groups) and (count, dim), else here."""
    by = (coordinates, None, groups, groups, coordinates, coordinates)
    return Place(*(b if c is None else torch.where(c, a, b) for c, a, b in zip(by, there, here, strict=True)))
