"""What engines of discrete structure see: `Conditionals`, the law of the discrete sites given the observed and the continuous ones.

    log p(x | theta),   p(z | x, theta) site by site and factor by factor,   draws of z,   the z of highest probability

all exact, by elimination over the recorded factors. A leading dimension n is any number of points theta.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from .assignments import Assignments, once
from .drawing_back import CHUNK, Drawing
from .elimination import Elimination
from .errors import NameNotFoundError
from .keys import Key
from .program import Program
from .targets import LogDensity

__all__ = ["Conditionals"]


class Conditionals:
    """The discrete sites of a program given everything else.

    dtype      of values and results; None is float64. lowering as LogDensity has it
    held       discrete sites that count as given; all others are summed out
    density    the LogDensity of the same recording: discrete sites summed out
    sites      of a run in which discrete sites are enumerated; joint: their elimination; support: their values (K, *event)

    Values are those of the continuous latent sites and of held ones, (n, *shape); `count` is n where there are none. An observation
    that is impossible has log evidence -inf and weights of 0. Raises what LogDensity raises.
    """

    def __init__(self, program: Program, *, dtype: torch.dtype | None = None, lowering: str = "auto", held: Collection[str] = ()):
        self.density = LogDensity(program, dtype=dtype or torch.float64, lowering=lowering, held=held)
        self.program, reading = program, self.density.reading
        self.dtype, self.device, self.lowering = self.density.dtype, self.density.device, self.density.lowering
        self.seconds, self.evaluations = self.density.seconds, 0
        self.sites, self.joint, self.support = reading.sites, reading.joint, reading.support
        self.assignments = Assignments(program, self.joint, self.support)
        self._plans: dict[tuple[str, ...], list[tuple[list[str], list[str], Elimination]]] = {}

    @property
    def fingerprint(self) -> str:
        return self.density.fingerprint

    # Factors and their sum

    def factors(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """Site -> its log probabilities (n, *dims as `sites` has them), unscaled."""
        return {n: t.to(self.dtype) for n, t in self.density.reading.factors(values, count).items()}

    def log_evidence(self, values: Mapping[str, Tensor], count: int) -> Tensor:
        """(n,): log p(observed, continuous values), nats, without Jacobians; discrete sites are summed out."""
        parts = [self.log_evidence_of(self.factors(some, n), n) for some, n in self._parts(values, count)]
        return torch.cat(parts)

    def log_evidence_of(self, factors: Mapping[str, Tensor], count: int) -> Tensor:
        """(n,): of factors as `factors` gives them, or changed since."""
        total: Tensor | float = 0.0
        with torch.no_grad():
            for names, plan in self.pruned:
                total = total + plan.run_scaled([once(factors[n]) for n in names]) * self._scales[names[0]]
        return self._plain(factors, count) + total

    def _parts(self, values: Mapping[str, Tensor], count: int) -> Iterator[tuple[Mapping[str, Tensor], int]]:
        """So many points at a time as their largest tables allow."""
        largest = max((plan.largest for _, plan in self.joint.components), default=1)
        size = max(1, CHUNK // max(1, largest)) if values else count
        for start in range(0, count, size):
            yield {n: v[start : start + size] for n, v in values.items()}, min(size, count - start)

    @cached_property
    def _scales(self) -> dict[str, float]:
        return {n: float(s.scale) if isinstance(s.scale, Tensor) else s.scale for n, s in self.sites.items()}

    def _plain(self, factors: Mapping[str, Tensor], count: int) -> Tensor:
        """Sum of the factors that no discrete site enters, (n,)."""
        total = torch.zeros(count, dtype=self.dtype, device=self.device)
        for n in self.joint.plain:
            total = total + factors[n].reshape(count, -1).sum(-1) * self._scales[n]
        return total

    # Posterior probabilities

    def weights(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """Site -> the posterior probability of each cell of its factor, like the factor: (n, *dims). 1 where no discrete site enters.

        These are the derivatives of the log evidence by the factors.
        """
        return _joined([self._weights(some, n) for some, n in self._parts(values, count)])

    def _weights(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        factors = self.factors(values, count)
        out = {n: torch.ones_like(t) for n, t in factors.items()}
        for names, plan in self.joint.components:
            shared = all(len(once(factors[n])) == 1 for n in names)
            given = [once(factors[n]) if shared else factors[n] for n in names]
            weights = _slopes(plan.run_scaled, given, range(len(names)))
            out |= {n: w.expand(count, *w.shape[1:]) for n, w in zip(names, weights, strict=True)}
        return {n: out[n] for n in self.sites}

    def marginals(self, values: Mapping[str, Tensor], count: int, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Discrete site -> posterior probabilities of the values of its support, (n, *batch, K). `names`: of these sites only, which
        spares those that neither they nor anything observed depend on."""
        if unknown := sorted(set(names or ()) - set(self.support)):
            raise NameNotFoundError(f"no discrete site named {', '.join(unknown)}; there are {', '.join(self.support) or 'none'}")
        asked = tuple(self.support if names is None else names)
        return _joined([self._marginals(some, n, asked) for some, n in self._parts(values, count)])

    def _marginals(self, values: Mapping[str, Tensor], count: int, asked: tuple[str, ...]) -> dict[str, Tensor]:
        factors = self.factors(values, count)
        out: dict[str, Tensor] = {}
        for sites, probed, plan in self._probed(asked):
            given = [once(factors[n]) for n in sites]
            rows = max(map(len, given))
            probes = [given[0].new_zeros(rows, *[self.joint.sizes[d] for d in self.joint.probe_dims(n)]) for n in probed]
            slopes = _slopes(plan.run_scaled, [*given, *probes], range(len(sites), len(sites) + len(probes)))
            out |= {n: self._in_batch(n, p).expand(count, *self._batch(n), -1) for n, p in zip(probed, slopes, strict=True)}
        return {n: out[n] for n in asked}

    @cached_property
    def pruned(self) -> list[tuple[list[str], Elimination]]:
        """Names of sites that hang together, and the elimination over their factors, without sites that nothing observed depends on."""
        return [(names, self.joint.plan(names, pruned=True)) for names, _ in self.joint.components]

    def _probed(self, asked: tuple[str, ...]) -> list[tuple[list[str], list[str], Elimination]]:
        """Each component that holds some of the sites asked for, these, and the plan."""
        if asked not in self._plans:
            parts = [(names, [n for n in names if n in asked]) for names, _ in self.joint.components]
            self._plans[asked] = [(names, probed, self.joint.plan(names, probes=probed, pruned=True)) for names, probed in parts if probed]
        return self._plans[asked]

    def _batch(self, name: str) -> torch.Size:
        site = self.program.sites[name]
        return site.shape[: len(site.shape) - site.event_dim]

    def _in_batch(self, name: str, probe: Tensor) -> Tensor:
        """(n, K, *plates by name) -> (n, *batch, K), of probabilities that sum to 1 but for rounding."""
        plates = list(self.joint.probe_dims(name)[1:])
        order = [2 + plates.index(p) for p in self.assignments.outermost_first(plates)]
        probability = probe.permute(0, *order, 1).reshape(len(probe), *self._batch(name), -1)
        total = probability.sum(-1, keepdim=True)
        return torch.where(total > 0, probability / total, probability)

    # Assignments

    def draw(self, values: Mapping[str, Tensor], key: Key, count: int) -> dict[str, Tensor]:
        """Discrete site -> draws from their joint law, (n, *shape). n is a number of draws for each chain of the key, chain by chain;
        draw i of a chain reads its own numbers."""
        if not self.support:
            return {}
        chains = len(key.chains)
        return Drawing(self.program, self.density.reading, key, self.pruned).discrete(values, chains, 0, count)

    def mode(self, values: Mapping[str, Tensor], count: int) -> tuple[dict[str, Tensor], Tensor]:
        """Discrete site -> its value in the most probable joint assignment, (n, *shape), and log p(observed, assignment, continuous
        values), (n,). Of equally probable ones that of the lowest indices, the sites taken in the order of the elimination."""
        parts = [self._mode(some, n) for some, n in self._parts(values, count)]
        return _joined([values for values, _ in parts]), torch.cat([log_p for _, log_p in parts])

    def _mode(self, values: Mapping[str, Tensor], count: int) -> tuple[dict[str, Tensor], Tensor]:
        factors = self.factors(values, count)
        total = self._plain(factors, count)
        out: dict[str, Tensor] = {}
        for names, plan in self.joint.components:
            slots = plan.maxima([once(factors[n]) for n in names])
            total = total + plan.total(slots) * self._scales[names[0]]
            out |= {n: self.assignments.values(n, a) for n, a in plan.assign(slots, count).items()}
        return {n: out[n] for n in self.support}, total


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return parts[0] if len(parts) == 1 else {n: torch.cat([p[n] for p in parts]) for n in parts[0]}


def _slopes(f: Callable[[list[Tensor]], Tensor], tensors: Sequence[Tensor], wanted: Sequence[int]) -> tuple[Tensor, ...]:
    """Derivatives of f, row by row, by some of its tensors."""
    given = [t.detach() for t in tensors]
    leaves = [given[i].requires_grad_() for i in wanted]
    with torch.enable_grad():
        total = f(given).sum()
    return torch.autograd.grad(total, leaves)
