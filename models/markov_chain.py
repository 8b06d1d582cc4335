"""Markov chains: sequences of states that are observed, each drawn given the one before."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import pyro
import torch
from torch import Tensor

from ..chains import DiscreteChain
from ..errors import NameNotFoundError
from ._letters import Letters, Table, whole
from ._sequences import Sequences, alive

__all__ = ["MarkovChain"]

Initial = Literal["free", "given"]


class MarkovChain(Letters):
    """
        initial       ~ Dirichlet(concentration, ..., concentration)     free; given: the first states are not explained
        transition_k  ~ Dirichlet(concentration, ..., concentration)     k = 1..K
        x_n1          ~ Categorical(initial)                             n = 1..N
        x_nt          ~ Categorical(transition of x_n,t-1)               t = 2..T

    num_states     K; None: as many as `like` shows
    initial        free or given. Given, the first state of a sequence counts for nothing, and is any with equal probability in draws
    like           data that tell num_states and length
    concentration  pseudo-transitions for each pair of states
    length         steps of a sequence that is drawn; None is that of `like`, or 100

    Data are one sequence (T,) of whole numbers from 0, as floating point; several (N, T); or a dict of x with lengths (N,). A sequence
    is one datum.
    Exact: the posterior, Dirichlet with the counts of the transitions, and the evidence.
    Source: Markov, Bulletin of the Imperial Academy of Sciences of St. Petersburg 7, 1913, translated in Science in Context 19, 2006.
    """

    def __init__(
        self,
        num_states: int | None = None,
        *,
        initial: Initial = "free",
        like: Any = None,
        concentration: float = 1.0,
        length: int | None = None,
    ):
        super().__init__(num_states, like, concentration, length)
        if initial not in get_args(Initial):
            raise NameNotFoundError(f"no initial {initial!r}; there are {', '.join(get_args(Initial))}")
        self.free = initial == "free"
        self._learn({**({"initial": Table(None, 1)} if self.free else {}), "transition": Table("states", self.num_states)})

    def model(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes sequences, or draws `size` of them, (size, length)."""
        data = self._data(x, context, size)
        prior = self.concentration
        tables = self._rows({"initial": prior, "transition": prior})
        initial = tables["initial"] if self.free else torch.full_like(prior, 1 / self.num_states)
        plates = pyro.plate("sequences", data.size, dim=-2), pyro.plate("time", data.steps, dim=-1)
        with plates[0], plates[1], pyro.poutine.mask(mask=self._counts(data)):
            return pyro.sample("x", DiscreteChain(initial, tables["transition"]), obs=data.values)

    def _counts(self, data: Sequences) -> Any:
        """(N, T): the steps that are explained."""
        going = None if data.lengths is None else alive(data.lengths, data.steps)
        if self.free:
            return True if going is None else going
        later = torch.arange(data.steps, device=self.concentration.device) > 0
        return later if going is None else going & later

    # What is known in closed form

    def counts(self, x: Any) -> dict[str, Tensor]:
        """How often sequences begin with each state, (K,), and how often each follows each, (K, K)."""
        first, pairs, explained = self._seen(x)
        states = self.num_states
        seen = pairs[explained[:, 1:]].bincount(minlength=states**2).reshape(states, states).double()
        return {**({"initial": first.bincount(minlength=states).double()} if self.free else {}), "transition": seen}

    def log_likelihood(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """log p(sequence | tables), nats, values (*lead, *shape) by site: (*lead, N)."""
        first, pairs, explained = self._seen(x)
        each = values["transition"].flatten(-2).log()[..., pairs]  # (*lead, N, T - 1)
        total = torch.where(explained[:, 1:], each, 0.0).sum(-1)
        return total + values["initial"].log()[..., first] if self.free else total

    def _seen(self, x: Any) -> tuple[Tensor, Tensor, Tensor]:
        """First states (N,), pairs that follow each other as numbers (N, T - 1), and the steps that are explained (N, T)."""
        data = self._data(x, None)
        states = whole(data)
        return (
            states[:, 0],
            states[:, :-1] * self.num_states + states[:, 1:],
            torch.ones_like(states, dtype=torch.bool) & self._counts(data),
        )
