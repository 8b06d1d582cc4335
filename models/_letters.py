"""What Markov chains and n-grams have in common: tables whose rows are Dirichlet, and counts of what follows what."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor, nn
from torch.distributions import Distribution

from ..errors import DataError, ProgramError, SupportError
from ..family import Family
from ._mixture import positive
from ._sequences import Sequences, alive, observed_rows, sequences_of

__all__ = ["Letters", "LettersInContext", "Table", "whole"]

BEGIN = 50.0  # letters that the guide begins as if it had seen, per row
STEPS = 100  # of a sequence that is drawn, where nothing else says how many
PLAIN = torch.Size()


class Table(NamedTuple):
    """A site of probabilities: one row, or `rows` of them inside a plate."""

    plate: str | None
    rows: int


class Letters(Family):
    """Sequences of K states that are all observed. A subclass says what its tables are, counts for them, and observes.

    tables   site -> Table
    """

    concentration: Tensor  # (K,)
    tables: Mapping[str, Table]

    def __init__(self, num_states: int | None, like: Any, concentration: float, length: int | None):
        super().__init__()
        if num_states is None:
            if like is None:
                raise ProgramError(f"{type(self).__name__} needs num_states, or data as like")
            num_states = int(observed_rows(like, PLAIN).max()) + 1
        if num_states < 2:
            raise ProgramError(f"num_states must be at least 2, got {num_states}")
        if length is not None and length < 1:
            raise ProgramError(f"length must be at least 1, got {length}")
        self.num_states = num_states
        self.register_buffer("concentration", torch.full((num_states,), positive("concentration", concentration)))
        x = like["x"] if isinstance(like, Mapping) else like
        self.length = length or (STEPS if x is None else x.shape[-1])

    def _learn(self, tables: Mapping[str, Table]) -> None:
        """Makes the guide's numbers: counts may grow by any factor, so their logarithms are learned."""
        self.tables = tables
        begin = (self.concentration + BEGIN / self.num_states).log()
        for name, table in tables.items():
            shape = (self.num_states,) if table.plate is None else (table.rows, self.num_states)
            setattr(self, f"log_{name}", nn.Parameter(begin.expand(shape).clone()))

    def counts(self, x: Any) -> dict[str, Tensor]:
        """How often each state follows what a row of a table stands for: site -> (K,) or (rows, K), float64."""
        raise NotImplementedError

    # The pair, but for what is observed

    def _rows(self, counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Samples the tables from the Dirichlet laws with these counts."""
        out = {}
        for name, table in self.tables.items():
            if table.plate is None:
                out[name] = pyro.sample(name, dist.Dirichlet(counts[name]))  # (K,)
            else:
                with pyro.plate(table.plate, table.rows):
                    out[name] = pyro.sample(name, dist.Dirichlet(counts[name]))  # (rows, K)
        return out

    def guide(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Dirichlet rows, independent of each other. It contains the exact posterior: any error left is the optimiser's."""
        self._rows({name: getattr(self, f"log_{name}").exp() for name in self.tables})

    def _data(self, x: Any, context: Any, size: int | None = None) -> Sequences:
        """Raises DataError where a state is not known."""
        if context is not None:
            raise ProgramError(f"{type(self).__name__} takes no context")
        data = sequences_of(x, size, PLAIN, self.length)
        if data.values is None or data.seen is None:
            return data
        going = torch.ones_like(data.seen) if data.lengths is None else alive(data.lengths, data.steps)
        if Distribution._validate_args:
            self._check(data.values, data.seen, going)
        return data._replace(values=torch.where(going, data.values, data.values.new_zeros(())))

    def _check(self, values: Tensor, seen: Tensor, going: Tensor) -> None:
        missing, whole = going & ~seen, (values >= 0) & (values < self.num_states) & (values == values.round())
        if missing.any():
            n, t = missing.nonzero()[0].tolist()
            raise DataError(f"sequence {n} of x has no state at step {t} (NaN or masked); HiddenMarkov takes sequences with missing ones")
        if (wrong := going & ~whole).any():
            n, t = wrong.nonzero()[0].tolist()
            raise SupportError(
                f"sequence {n} of x has {values[n, t].item():g} at step {t}, and states are whole numbers from 0 to {self.num_states - 1}"
            )

    # What is known in closed form

    def exact(self, x: Any, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence, nats; posterior by site; log_likelihood of each sequence, a function of values by site."""
        prior = self.concentration.double()
        counts = {name: prior + seen.to(prior.device) for name, seen in self.counts(x).items()}
        evidence = torch.stack([(_log_beta(after) - _log_beta(prior)).sum() for after in counts.values()]).sum()
        posterior = {name: dist.Dirichlet(after) for name, after in counts.items()}
        return {"log_evidence": evidence, "posterior": posterior, "log_likelihood": partial(self.log_likelihood, x)}

    def log_likelihood(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """log p(sequence | tables), nats, values (*lead, *shape) by site: (*lead, N)."""
        raise NotImplementedError


class LettersInContext(TorchDistribution):
    """The law of a sequence, each letter given up to `order` before it: an event (T,) of whole numbers.

    table    (rows, K): of every context up to that order, or only of the K^order whole ones: then the first letters have no law
    lengths  (N,): letters behind the end count for nothing
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"table": constraints.simplex}

    def __init__(self, table: Tensor, order: int, steps: int, lengths: Tensor | None = None, validate_args: bool | None = None):
        self.table, self.order, self.lengths = table, order, lengths
        self.free = len(table) > table.shape[-1] ** order
        super().__init__(torch.Size() if lengths is None else lengths.shape, torch.Size([steps]), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.independent(constraints.integer_interval(0, self.table.shape[-1] - 1), 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LettersInContext":
        new = self._get_checked_instance(LettersInContext, _instance)
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        return new

    @property
    def explained(self) -> Tensor:
        """(T,) or (N, T): the letters that count."""
        time = torch.arange(self.event_shape[0], device=self.table.device)
        found = time >= (0 if self.free else self.order)
        return found if self.lengths is None else found & (time < self.lengths[:, None])

    def contexts(self, value: Tensor) -> Tensor:
        """The row of each letter's context, (..., T): numbers with the latest letter as their last digit, shorter contexts first."""
        states, time = self.table.shape[-1], value.shape[-1]
        sizes = torch.tensor([0, *(states**i for i in range(self.order))], device=value.device).cumsum(0)
        out = sizes[torch.arange(time, device=value.device).clamp(max=self.order)] if self.free else value.new_zeros(time)
        for i in range(1, min(self.order, time - 1) + 1):
            out = out + torch.nn.functional.pad(value[..., :-i], (i, 0)) * states ** (i - 1)
        return out.expand(value.shape)

    def cells(self, value: Tensor) -> Tensor:
        """Where each letter stands in the flat table, (..., T)."""
        value = value.long()
        return self.contexts(value) * self.table.shape[-1] + value

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        table = self.table.clamp(min=torch.finfo(self.table.dtype).tiny).log()
        each = table.reshape(-1)[self.cells(value)]
        return torch.where(self.explained, each, each.new_zeros(())).sum(-1)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """One letter after the other, all sequences at once."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            uniforms = torch.rand(shape, device=self.table.device, dtype=self.table.dtype)
            running, last = self.table.cumsum(-1), self.table.shape[-1] - 1
            drawn = [(uniforms[..., 0] * (last + 1)).long()]
            for t in range(shape[-1]):
                before = torch.stack([*drawn[1:], drawn[0]], -1)  # the last one stands for the letter to come
                row = running[self.contexts(before)[..., -1]]
                letter = (uniforms[..., t, None] >= row).sum(-1).clamp(max=last)
                even = (uniforms[..., t] * (last + 1)).long()
                drawn.append(letter if self.free or t >= self.order else even)
            return torch.stack(drawn[1:], -1)


def whole(data: Sequences) -> Tensor:
    """States as whole numbers (N, T). Raises DataError."""
    if data.values is None:
        raise DataError("give data x; there is none")
    return data.values.long()


def _log_beta(counts: Tensor) -> Tensor:
    return counts.lgamma().sum(-1) - counts.sum(-1).lgamma()
