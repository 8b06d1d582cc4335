"""N-grams: sequences of letters, each drawn given the few before it."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import pyro
import torch
from torch import Tensor

from ..errors import CostError, NameNotFoundError, ProgramError
from ._letters import Letters, LettersInContext, Table, whole

__all__ = ["NGram"]

Initial = Literal["free", "given"]
LARGEST = 2**27  # numbers in the table


class NGram(Letters):
    """
        next_c  ~ Dirichlet(concentration, ..., concentration)      for each context c
        x_nt    ~ Categorical(next of the letters before x_nt)      n = 1..N, t = 1..T

    A context is the `order` letters before, or at the beginning of a sequence the fewer that there are: 1 + K + ... + K^order of them,
    in this order and then by number, the latest letter last.

    num_states     K letters; None: as many as `like` shows
    order          letters that the next depends on: 0 are independent ones, 1 is a Markov chain, 2 a trigram
    initial        free or given. Given, the first `order` letters of a sequence count for nothing, and are any with equal probability
                   in draws; contexts are then the K^order whole ones
    like           data that tell num_states and length
    concentration  pseudo-letters for each context and letter
    length         letters of a sequence that is drawn; None is that of `like`, or 100

    Data are one sequence (T,) of whole numbers from 0, as floating point; several (N, T); or a dict of x with lengths (N,). A sequence
    is one datum.
    Exact: the posterior, Dirichlet with the counts, and the evidence. Raises CostError for a table that does not fit.
    Sources: Shannon, Bell System Technical Journal 27, 1948; MacKay & Bauman Peto, Natural Language Engineering 1, 1995 (the prior).
    """

    def __init__(
        self,
        num_states: int | None = None,
        order: int = 1,
        *,
        initial: Initial = "free",
        like: Any = None,
        concentration: float = 1.0,
        length: int | None = None,
    ):
        super().__init__(num_states, like, concentration, length)
        if initial not in get_args(Initial):
            raise NameNotFoundError(f"no initial {initial!r}; there are {', '.join(get_args(Initial))}")
        if order < 0:
            raise ProgramError(f"order must be at least 0, got {order}")
        self.order, self.free = order, initial == "free"
        sizes = [self.num_states**i for i in range(order + 1)] if self.free else [self.num_states**order]
        if (cells := sum(sizes) * self.num_states) > LARGEST:
            raise CostError(
                f"the table of {sum(sizes):,} contexts of up to {order} of {self.num_states} letters would take {8 * cells / 2**30:,.1f} "
                "GiB; take a lower order",
                8 * cells,
            )
        self._learn({"next": Table("contexts", sum(sizes))})

    def model(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes sequences, or draws `size` of them, (size, length)."""
        data = self._data(x, context, size)
        table = self._rows({"next": self.concentration})["next"]
        with pyro.plate("sequences", data.size):
            return pyro.sample("x", LettersInContext(table, self.order, data.steps, data.lengths), obs=data.values)

    # What is known in closed form

    def counts(self, x: Any) -> dict[str, Tensor]:
        """How often each letter follows each context, (contexts, K)."""
        cells, explained = self._cells(x)
        table = self.tables["next"]
        seen = cells[explained].bincount(minlength=table.rows * self.num_states)
        return {"next": seen.reshape(table.rows, self.num_states).double()}

    def log_likelihood(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """log p(sequence | tables), nats, values (*lead, *shape) by site: (*lead, N)."""
        cells, explained = self._cells(x)
        return torch.where(explained, values["next"].flatten(-2).log()[..., cells], 0.0).sum(-1)

    def _cells(self, x: Any) -> tuple[Tensor, Tensor]:
        """Where each letter stands in the table, (N, T), and whether it is explained."""
        data = self._data(x, None)
        states = whole(data)
        table = torch.ones(self.tables["next"].rows, self.num_states, device=states.device)
        law = LettersInContext(table, self.order, data.steps, data.lengths, validate_args=False)
        return law.cells(states), law.explained.expand(states.shape)
