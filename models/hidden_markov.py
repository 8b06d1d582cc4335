"""Hidden Markov models: a chain of states that is not observed, of which each gives off an observation."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Literal, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from ..chains import DiscreteChain
from ..errors import NameNotFoundError, ProgramError
from ..family import Family
from ..paths import best_path, draw_paths, path_filtered, path_log_sum, path_marginals
from ._emissions import emission_of
from ._joint_normal import JointNormal
from ._label_switching import order_of, ordered, renamed
from ._mixture import positive
from ._priors import checked, prior_draws
from ._sequences import Sequences, alive, sequences_of

__all__ = ["HiddenMarkov"]

Initial = Literal["free", "stationary"]
STEPS = 100  # of a sequence that is drawn, where nothing else says how many
BLOCK = 2**16  # emissions that are computed at once: what a cache holds
STAY = 0.5  # the guide begins at transitions that stay with this probability, and go anywhere with the rest


class HiddenMarkov(Family):
    """
        initial       ~ Dirichlet(concentration, ..., concentration)     free; stationary: the law that the transitions keep
        transition_k  ~ Dirichlet(concentration, ..., concentration)     k = 1..K
        parameter_k   ~ priors[parameter]                                k = 1..K, in the order of `priors`
        state_n1      ~ Categorical(initial)                             n = 1..N
        state_nt      ~ Categorical(transition of state_n,t-1)           t = 2..T
        x_nt          ~ emission(parameters of state_nt)

    num_states     K
    emission       normal (of D features, independent given the state, or of plain numbers), multivariate_normal, poisson, categorical,
                   or parameters by name, each (*batch, *shape) -> the law of an observation with that batch shape
    priors         parameter -> prior for one state: proper, continuous, batch shape (); needed for a law of one's own, and for others
                   it takes the place of what they have
    initial        free or stationary
    num_features   D of normal emissions; None: x is plain numbers. num_values: of categorical ones; None: as many as `like` shows
    like           data from which priors take location and scale once, in the data's units, and from which the guide begins
    shared         parameters that all states have in common
    concentration  pseudo-transitions for each pair of states
    start          parameter -> values (K, *shape) near which the guide begins; transition too
    length         steps of a sequence that is drawn; None is that of `like`, or 100

    Data are one sequence (T, *event), several (N, T, *event), or a dict of x with lengths (N,), mask (N, T), or both. A step of which
    any number is NaN, or that is masked, is missing as a whole; PpgenWarning where it had others. A sequence is one datum.
    Exact, given the parameters: see the methods. O(T K^2) each.
    The number of states is chosen by `AIS().evidence(family, x)`: earthquakes have -351.7, -347.2 and -349.0 nats with two, three and
    four Poisson states (standard errors of 0.1, 3 to 5 s each). LOO (az.loo of `Posterior.to_arviz`) leaves
    out whole sequences, which are exchangeable as the steps of one are not, and needs many of them.
    Sources: Baum, Petrie, Soules & Weiss, Ann. Math. Stat. 41, 1970; Rabiner, Proc. IEEE 77(2), 1989; Zucchini & MacDonald, Hidden
    Markov Models for Time Series (2009).
    """

    concentration: Tensor  # (K,)
    possible: Tensor  # (*event) an observation: stands where one is missing

    def __init__(
        self,
        num_states: int = 2,
        emission: str | Callable[..., TorchDistributionMixin] = "normal",
        priors: Mapping[str, TorchDistributionMixin] | None = None,
        *,
        initial: Initial = "free",
        num_features: int | None = None,
        num_values: int | None = None,
        like: Any = None,
        shared: Collection[str] = (),
        concentration: float = 1.0,
        start: Mapping[str, Tensor] | None = None,
        length: int | None = None,
    ):
        super().__init__()
        if num_states < 1:
            raise ProgramError(f"num_states must be at least 1, got {num_states}")
        if initial not in get_args(Initial):
            raise NameNotFoundError(f"no initial {initial!r}; there are {', '.join(get_args(Initial))}")
        if length is not None and length < 1:
            raise ProgramError(f"length must be at least 1, got {length}")
        self.num_states, self.initial, self.shared = num_states, initial, tuple(shared)
        self.register_buffer("concentration", torch.full((num_states,), positive("concentration", concentration)))
        self.emission: Any = emission_of(emission, num_states, num_features, num_values, like)
        start = {**self.emission.start, **(start or {})}
        self._priors = dict(priors or {})
        checked(self.priors(), shared, set(start) - {"transition"})
        self._begin(start)
        x = like["x"] if isinstance(like, Mapping) else like
        self.length = length or (STEPS if x is None else x.shape[x.dim() - len(self.event_shape) - 1])

    def priors(self) -> dict[str, TorchDistributionMixin]:
        """Of the parameters of one state, in the order of sampling."""
        return {**self.emission.priors(), **self._priors}

    def _begin(self, start: Mapping[str, Tensor]) -> None:
        """Make the guide: it begins at `start`, or at draws from the priors, in units of the priors' own scales."""
        states, row = self.num_states, dist.Dirichlet(self.concentration)
        self._names = tuple(self.priors())
        draws = prior_draws({**self.priors(), "initial": row, "transition": row})
        device = next(iter(draws.values())).device
        draws = {n: v.to(device) for n, v in draws.items()}
        self.concentration = self.concentration.to(device)
        law = self.emission.law(**{n: draws[n][0] for n in self.priors()})
        self.event_shape = law.event_shape
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(0)
            self.register_buffer("possible", law.sample().to(self.concentration.dtype))
        values = {n: v[:states] for n, v in draws.items()}
        values["initial"] = torch.full_like(values["initial"][0], 1 / states)
        values["transition"] = STAY * torch.eye(states, device=device) + (1 - STAY) / states
        values |= start
        values |= {n: values[n].mean(0) if n in start else draws[n][0] for n in self.shared}
        self.q = JointNormal.about(values, draws, {n: p.support for n, p in self._continuous().items()})

    def _continuous(self) -> dict[str, TorchDistributionMixin]:
        """The priors of all continuous sites."""
        row = dist.Dirichlet(self.concentration)
        return {**({"initial": row} if self.initial == "free" else {}), "transition": row, **self.priors()}

    # The pair

    def model(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes sequences, or draws `size` of them, (size, length, *event)."""
        if context is not None:
            raise ProgramError("HiddenMarkov takes no context")
        data = self._data(x, size)
        initial, transition, common, own = self._unknowns()
        going: Any = True if data.lengths is None else alive(data.lengths, data.steps)
        seen: Any = True if data.seen is None else data.seen
        with pyro.plate("sequences", data.size, dim=-2), pyro.plate("time", data.steps, dim=-1):
            with pyro.poutine.mask(mask=going):
                state = pyro.sample("state", DiscreteChain(initial, transition))  # (N, T)
            with pyro.poutine.mask(mask=seen):
                law = self.emission.law(**common, **{n: v[state] for n, v in own.items()})
                return pyro.sample("x", law, obs=data.values)

    def _unknowns(self) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Samples initial (K,), transition (K, K), parameters that states share, and their own (K, *shape)."""
        priors, row = self.priors(), dist.Dirichlet(self.concentration)
        first = pyro.sample("initial", row) if self.initial == "free" else None
        common = {n: pyro.sample(n, priors[n]) for n in self.shared}
        with pyro.plate("states", self.num_states):
            transition = pyro.sample("transition", row)
            own = {n: pyro.sample(n, p) for n, p in priors.items() if n not in self.shared}
        if first is None:
            first = pyro.deterministic("initial", stationary(transition), event_dim=1)
        return first, transition, common, own

    def guide(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """A normal over the unconstrained values of all continuous sites, with any covariance (up to 100 numbers; above,
        independent ones): one of the equal modes, correlations, no skew. Paths are left to be summed out exactly."""
        self.q.sample({n: p.support for n, p in self._continuous().items()})

    def _data(self, x: Any, size: int | None = None) -> Sequences:
        """Values that are missing, or behind the end, are filled with what can be."""
        data = sequences_of(x, size, self.event_shape, self.length)
        if data.values is None or data.seen is None:
            return data
        seen = data.seen.reshape(*data.seen.shape, *[1] * len(self.event_shape))
        return data._replace(values=torch.where(seen, data.values, self.possible.to(data.values)))

    # What is known in closed form, given values (*lead, *shape) by site

    def exact(self, x: Any, context: Tensor | None = None) -> dict[str, Any]:
        """The methods below as functions of values by site."""
        methods = (self.log_likelihood, self.smoothed, self.filtered, self.viterbi, self.paths, self.forecast)
        return {method.__name__: partial(method, x) for method in methods}

    def log_likelihood(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """log p(sequence | parameters), nats, (*lead, N): all paths summed out."""
        pairs, local = self._weights(self._data(x), values)
        with torch.set_grad_enabled(pairs.requires_grad or local.requires_grad):  # else the backward pass would be made for nobody
            return path_log_sum(pairs, local)

    def smoothed(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """p(state | sequence, parameters), (*lead, N, T, K); behind the end of a sequence, of the states that would follow."""
        return path_marginals(*self._weights(self._data(x), values)).unary

    def filtered(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """p(state | the sequence up to its step, parameters), (*lead, N, T, K)."""
        return path_filtered(*self._weights(self._data(x), values))

    def viterbi(self, x: Any, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The most probable path, (*lead, N, T), and log p(sequence, path | parameters), (*lead, N). Behind the end of a sequence the
        path rests."""
        data = self._data(x)
        pairs, local = self._weights(data, values)
        if data.lengths is not None:
            same = torch.eye(self.num_states, dtype=torch.bool, device=pairs.device)
            going = alive(data.lengths, data.steps)[:, 1:, None, None]
            pairs = torch.where(going, pairs, torch.where(same, 0.0, -torch.inf).to(pairs))
        return best_path(pairs, local)

    def paths(self, x: Any, values: Mapping[str, Tensor], count: int = 1, seed: int = 0) -> Tensor:
        """Draws of the path given the sequence, (count, *lead, N, T)."""
        pairs, local = self._weights(self._data(x), values)
        uniforms = torch.rand(count, *local.shape[:-1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return draw_paths(pairs, local, uniforms.to(local.device))

    def forecast(self, x: Any, values: Mapping[str, Tensor], steps: int = 1) -> torch.distributions.MixtureSameFamily:
        """The law of each of the next `steps` observations given the sequence, batch shape (*lead, N, steps)."""
        if steps < 1:
            raise ProgramError(f"forecast: steps must be at least 1, got {steps}")
        data = self._data(x)
        pairs, local = self._weights(data, values)
        local = torch.cat([local, local.new_zeros(*local.shape[:-2], steps, self.num_states)], -2)
        ends = torch.full((data.size,), data.steps, device=local.device) if data.lengths is None else data.lengths
        at = (ends[:, None] + torch.arange(steps, device=local.device))[..., None]  # (N, steps, 1)
        state = path_marginals(pairs, local).unary
        state = state.take_along_dim(at.expand(*state.shape[:-2], steps, 1), -2)
        return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(state), self._law(values))

    def _law(self, values: Mapping[str, Tensor]) -> Any:
        """Of observations, batch shape (*lead, 1, 1, K). Raises NameNotFoundError where a site has no value."""
        needed = {"transition", *self._names, *(["initial"] if self.initial == "free" else [])}
        if missing := sorted(needed - set(values)):
            raise NameNotFoundError(f"no value for {', '.join(missing)}; given are {', '.join(sorted(values))}")
        lead = values["transition"].dim() - 2
        wide = {n: values[n].unsqueeze(lead) if n in self.shared else values[n] for n in self._names}
        return self.emission.law(**{n: v.unsqueeze(lead).unsqueeze(lead) for n, v in wide.items()})

    def _weights(self, data: Sequences, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Log weights of pairs (*lead, 1, 1, K, K) and of states (*lead, N, T, K), as paths.py has them."""
        law, transition = self._law(values), values["transition"]
        if data.values is None or data.seen is None:
            raise ProgramError("give data x; there is none")
        steps = max(1, BLOCK // (law.batch_shape.numel() * data.size))
        local = _joined((law.log_prob(block.unsqueeze(2)) for block in data.values.split(steps, 1)), data.steps)
        if not data.seen.all():
            local = torch.where(data.seen[..., None], local, local.new_zeros(()))
        first = values["initial"] if self.initial == "free" else stationary(transition)
        local[..., 0, :] += first.log().unsqueeze(-2)
        return transition.log()[..., None, None, :, :], local

    # Label switching

    def relabel(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """States in the order of the first number of their first parameter, in every draw (*lead, K, *shape).

        Draws stay as they are where a site of the states has none: with one held fixed the labels have a meaning.
        """
        own = {n: p.event_dim for n, p in self.priors().items() if n not in self.shared}
        if not {*own, *self._continuous()} <= set(draws):
            return dict(draws)
        events = {**own, "transition": 1, **({"initial": 0} if "initial" in draws else {})}
        first = next(iter(own))
        order = order_of(draws[first], own[first], draws["transition"].dim() - 2)  # (*lead, K)
        out = {**draws, **ordered(draws, events, order)}
        out["transition"] = out["transition"].take_along_dim(order.unsqueeze(-2), -1)
        if "state" in draws:
            out["state"] = renamed(draws["state"], order)
        return out


def _joined(blocks: Iterator[Tensor], length: int) -> Tensor:
    """Blocks of time, (*lead, steps, K), as one: without gradients each is let go at once, and its memory serves the next."""
    first = next(blocks)
    if first.requires_grad:
        return torch.cat([first, *blocks], -2)
    out, end = first.new_empty(*first.shape[:-2], length, first.shape[-1]), first.shape[-2]
    out[..., :end, :] = first
    for block in blocks:
        out[..., end : end + block.shape[-2], :] = block
        end += block.shape[-2]
    return out


def stationary(transition: Tensor) -> Tensor:
    """The law (*lead, K) that transitions (*lead, K, K) keep: of several, none is found. Source: Zucchini & MacDonald, section 1.3."""
    states = transition.shape[-1]
    matrix = torch.eye(states).to(transition) - transition + 1.0
    found: Tensor = torch.linalg.solve(matrix.transpose(-2, -1), transition.new_ones(*transition.shape[:-2], states))
    return found.clamp(min=0.0)  # rounding may leave less
