"""`DiscreteChain`: a Markov chain of states as one distribution over a plate of time.

    with pyro.plate("sequences", N, dim=-2), pyro.plate("time", T, dim=-1):
        state = pyro.sample("state", DiscreteChain(initial, transition))    # (N, T) whole numbers
        pyro.sample("x", dist.Normal(loc[state], scale), obs=x)

The plate makes its entries no more independent than the chain is: entry t of its log probability is that of the state at t given the
one before. Where it is latent, all paths are summed out, drawn and maximised over exactly, at a cost of O(T K^2) (paths.py).
"""

from typing import Any, ClassVar

import numpy as np
import torch
from pyro.distributions import TorchDistribution, constraints
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.ops.indexing import Vindex
from torch import Tensor

from .errors import ProgramError
from .paths import walk

__all__ = ["DiscreteChain", "chain_of"]

ROW_SUM = 1e-5  # how far from 1 the sum of a row may be


class DiscreteChain(TorchDistribution):
    """The law of a chain's states at times 0, ..., T - 1; batch shape (*batch, T), event shape ().

    initial      (K,), or (*batch, 1, K): probabilities of the first state
    transition   (K, K): probabilities of the next state (column) given this one (row); or (*batch, T or 1, K, K). Where it differs from
                 time to time, entry t is the step from t - 1 to t, and entry 0 is not used
    initial_logits, transition_logits   instead of these: log probabilities up to a constant of each row
    length       T, where neither a plate nor the transitions tell; then transitions may also be (*batch, T - 1, K, K), without the
                 unused entry

    The batch dimensions of both stand where those of any distribution's parameters do, with time as the last one. A mask over a
    latent chain's steps makes it rest there: the state stays what it was, with probability 1, so that steps beyond a sequence's end
    count for nothing. (A mask over what is observed is all that missing values and ragged sequences need.)
    """

    has_enumerate_support = False  # a plain enumeration would take its steps for independent

    def __init__(
        self,
        initial: Tensor | None = None,
        transition: Tensor | None = None,
        *,
        initial_logits: Tensor | None = None,
        transition_logits: Tensor | None = None,
        length: int | None = None,
        validate_args: bool | None = None,
    ):
        self._given = {
            **_one_of("initial", initial, initial_logits),
            **_one_of("transition", transition, transition_logits),
        }
        for name, value in self._given.items():
            self.__dict__[name] = value
        first, steps = self._given.values()
        self.num_states = first.shape[-1]
        _check_shapes(first, steps)
        self._length = length
        batch = torch.Size(np.broadcast_shapes((1,), first.shape[:-1], _padded(steps, length).shape[:-2], *([(length,)] if length else [])))
        if torch.distributions.Distribution._validate_args if validate_args is None else validate_args:
            _check_rows(self._given)
        super().__init__(batch, torch.Size(), validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """Of what it was given. Rows were checked already, with messages of their own."""
        real = constraints.independent(constraints.real, 1)
        return {name: constraints.dependent if not name.endswith("logits") else real for name in self._given}

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.num_states - 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiscreteChain":
        """Over more chains, or over time."""
        new = self._get_checked_instance(DiscreteChain, _instance)
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        np.broadcast_shapes(self.batch_shape, new._batch_shape)
        return new

    # Log probabilities

    @property
    def first(self) -> Tensor:
        """log probabilities of the first state, (*batch, 1, K)."""
        given = self._given.get("initial")
        logs = _log(given) if given is not None else self._given["initial_logits"].log_softmax(-1)
        return logs if logs.dim() > 1 else logs[None]

    @property
    def steps(self) -> Tensor:
        """log probabilities of each step, (*batch, T or 1, K, K)."""
        given = self._given.get("transition")
        logs = _log(given) if given is not None else self._given["transition_logits"].log_softmax(-1)
        logs = _padded(logs, self._length)
        return logs if logs.dim() > 2 else logs[None]

    @property
    def pairs(self) -> Tensor:
        """log probability of a state (last dimension) given the one before, (*batch, T or 1, K + 1, K): before the first, which has
        none, row K stands."""
        first, steps = self.first, self.steps
        batch = np.broadcast_shapes(first.shape[:-1], steps.shape[:-2])
        states = self.num_states
        return torch.cat([steps.expand(*batch, states, states), first.unsqueeze(-2).expand(*batch, 1, states)], -2)

    def before(self, value: Tensor) -> Tensor:
        """The state before each: K before the first."""
        return torch.cat([torch.full_like(value[..., :1], self.num_states), value[..., :-1]], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch, T): of each state given the one before."""
        if self._validate_args:
            self._validate_sample(value)
        value = value.expand(np.broadcast_shapes(value.shape, self.batch_shape)).long()
        return Vindex(self.pairs)[..., self.before(value), value]

    def resting(self, log_prob: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Log probabilities where a mask makes the chain rest; its first state always counts."""
        value = value.expand(log_prob.shape).long()
        return _rest(log_prob, mask, self._is_first(), value == self.before(value))

    def resting_pairs(self, mask: Tensor) -> Tensor:
        """`pairs` where a mask makes the chain rest, (*batch, T, K + 1, K)."""
        same = torch.eye(self.num_states + 1, self.num_states, dtype=torch.bool, device=self.pairs.device)
        return _rest(self.pairs, mask[..., None, None], self._is_first()[:, None, None], same)

    def _is_first(self) -> Tensor:
        return torch.arange(self.batch_shape[-1], device=self._given[next(iter(self._given))].device) == 0

    # Samples

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """(*sample_shape, *batch, T)"""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.batch_shape
            first, steps = self.first.squeeze(-2).exp(), self.steps.exp()
            return walk(first, steps, torch.rand(shape, device=first.device, dtype=first.dtype))

    def states(self) -> "_States":
        """What its states at one time may be, for enumeration."""
        return _States(self.num_states, self.batch_shape, self.first.device)


class _States(TorchDistribution):
    """A law that has nothing but a support: the states 0, ..., K - 1."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, num_states: int, batch_shape: torch.Size, device: torch.device):
        self.values = torch.arange(num_states, device=device)
        super().__init__(batch_shape, torch.Size(), validate_args=False)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = self.values.reshape(-1, *[1] * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values


def chain_of(fn: Any) -> DiscreteChain | None:
    """The chain that a site's distribution is, under a mask too; None for any other distribution."""
    while isinstance(fn, TorchDistributionMixin):
        if isinstance(fn, DiscreteChain):
            return fn
        fn = getattr(fn, "base_dist", None)
    return None


def _rest(log_prob: Tensor, mask: Tensor, is_first: Tensor, same: Tensor) -> Tensor:
    stays = torch.where(same, 0.0, -torch.inf).to(log_prob.dtype)
    return torch.where(mask | is_first, log_prob, stays)


def _log(probs: Tensor) -> Tensor:
    """log whose gradient at 0 is 0 and not infinite: what is forbidden stays so."""
    none = probs <= 0
    return torch.where(none, -torch.inf, torch.where(none, 1.0, probs).log())


def _padded(steps: Tensor, length: int | None) -> Tensor:
    """With an entry for time 0 where it was left out."""
    if length is None or steps.dim() < 3 or steps.shape[-3] != length - 1 or length == 2:
        return steps
    return torch.cat([steps[..., :1, :, :], steps], -3)


# What is wrong with arguments


def _one_of(name: str, probs: Tensor | None, logits: Tensor | None) -> dict[str, Tensor]:
    if (probs is None) == (logits is None):
        raise ProgramError(f"DiscreteChain: give either {name} or {name}_logits")
    given = {name: probs} if logits is None else {f"{name}_logits": logits}
    return {n: t if isinstance(t, Tensor) else torch.as_tensor(t) for n, t in given.items()}


def _check_shapes(first: Tensor, steps: Tensor) -> None:
    if not first.dim() or not first.shape[-1]:
        raise ProgramError(f"DiscreteChain: initial has shape {tuple(first.shape)}; it needs a probability for each of K states, (K,)")
    states = first.shape[-1]
    if steps.shape[-2:] != (states, states):
        raise ProgramError(
            f"DiscreteChain: transition has shape {tuple(steps.shape)}; for {states} states it needs (..., {states}, {states})"
        )
    if first.dim() > 1 and first.shape[-2] != 1:
        raise ProgramError(
            f"DiscreteChain: initial has shape {tuple(first.shape)}; the dimension before the states is that of time and has size 1: "
            f"(*batch, 1, {states}), so initial[..., None, :] for one row per chain"
        )


def _check_rows(given: dict[str, Tensor]) -> None:
    for name, value in given.items():
        if name.endswith("logits"):
            wrong = (value.isnan() | (value == torch.inf)).any(-1) | (value == -torch.inf).all(-1)
            rule = "needs a finite entry and neither nan nor inf"
        else:
            wrong = ~((value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < ROW_SUM))
            rule = "must be probabilities that sum to 1"
        if wrong.any():
            at = wrong.nonzero()[0].tolist()
            row = f"row {at[-1]}" + (f" of entry {tuple(at[:-1])}" if len(at) > 1 else "") if at else "the only row"
            raise ProgramError(f"DiscreteChain: {name}, {row}: {[round(x, 6) for x in value[tuple(at)].tolist()]} {rule}")
