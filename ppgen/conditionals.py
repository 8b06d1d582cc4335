"""What engines of discrete structure see: `Conditionals`, the law of the discrete sites given the observed and the continuous ones.

    log p(x | theta),   p(z | x, theta) site by site and factor by factor,   draws of z,   the z of highest probability

all exact, by elimination over the recorded factors. A leading dimension n is any number of points theta.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .assignments import Assignments
from .drawing_back import Drawing
from .elimination import draw_back
from .errors import NameNotFoundError
from .keys import Key
from .lowering import Lowering, over_batch
from .program import Program
from .targets import LogDensity

__all__ = ["Conditionals"]


class Conditionals:
    """The discrete sites of a program given everything else.

    dtype      of values and results; None is float64. lowering as LogDensity has it
    density    the LogDensity of the same recording: discrete sites summed out
    sites      of a run in which discrete sites are enumerated; joint: their elimination; support: their values (K, *event)

    Values are those of the continuous latent sites, (n, *shape); `count` is n where there are none. An observation that is impossible
    has log evidence -inf and weights of 0. Raises what LogDensity raises.
    """

    def __init__(self, program: Program, *, dtype: torch.dtype | None = None, lowering: str = "auto"):
        self.density = LogDensity(program, dtype=dtype or torch.float64, lowering=lowering)
        self.program, reading = program, self.density.reading
        self.sites, self.joint, self.support = reading.sites, reading.joint, reading.support
        self.assignments = Assignments(program, self.joint, self.support)

    # What the driver asks

    @property
    def dtype(self) -> torch.dtype:
        return self.density.dtype

    @property
    def device(self) -> torch.device:
        return self.density.device

    @property
    def lowering(self) -> Lowering:
        return self.density.lowering

    @property
    def seconds(self) -> dict[str, float]:
        return self.density.seconds

    @property
    def evaluations(self) -> int:
        return self.density.evaluations

    @property
    def fingerprint(self) -> str:
        return self.density.fingerprint

    # Factors and their sum

    def factors(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """Site -> its log probabilities (n, *dims as `sites` has them), unscaled."""
        return self.density.reading.factors(values, count)

    def log_evidence(self, values: Mapping[str, Tensor], count: int) -> Tensor:
        """(n,): log p(observed, continuous values), nats, without Jacobians; discrete sites are summed out."""
        factors, scales = self.factors(values, count), self._scales
        total = self._plain(factors, count)
        for names, plan in self.joint.components:
            given = [factors[n] for n in names]
            total = total + over_batch(lambda *t, plan=plan: (plan.run(t)[0],), given, count)[0] * scales[names[0]]
        return total

    @property
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
        factors = self.factors(values, count)
        out = {n: torch.ones_like(t) for n, t in factors.items()}
        for names, plan in self.joint.components:
            leaves = [factors[n].detach().clone().requires_grad_() for n in names]
            with torch.enable_grad():
                total = torch.vmap(lambda *t, plan=plan: plan.run(t)[0])(*leaves).sum()
            out |= dict(zip(names, torch.autograd.grad(total, leaves), strict=True))
        return {n: out[n] for n in self.sites}

    def marginals(self, values: Mapping[str, Tensor], count: int, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Discrete site -> posterior probabilities of the values of its support, (n, *batch, K). `names`: of these sites only."""
        if unknown := sorted(set(names or ()) - set(self.support)):
            raise NameNotFoundError(f"no discrete site named {', '.join(unknown)}; there are {', '.join(self.support) or 'none'}")
        weights = self.weights(values, count)
        return {n: self._marginal(n, weights[n]) for n in (self.support if names is None else names)}

    def _marginal(self, name: str, weight: Tensor) -> Tensor:
        """From the weights of the site's own factor."""
        dims, size = self.sites[name].dims, len(self.support[name])
        plates = self.assignments.outermost_first(self.joint.inside[name])
        kept = [i for i, d in enumerate(dims) if d == name or d in plates]
        rest = [1 + i for i in range(len(dims)) if i not in kept]
        marginal = weight.sum(rest) if rest else weight
        here = [dims[i] for i in kept]
        order = [*(p for p in plates if p in here), name]
        marginal = marginal.permute(0, *[1 + here.index(d) for d in order])
        marginal = marginal[(slice(None), *[slice(None) if p in here else None for p in plates])]
        marginal = marginal.expand(-1, *[self.joint.sizes[p] for p in plates], -1)
        total = marginal.sum(-1, keepdim=True)  # a plate that the factor lacks counts it many times
        marginal = torch.where(total > 0, marginal / total, marginal)
        site = self.program.sites[name]
        return marginal.reshape(len(marginal), *site.shape[: len(site.shape) - site.event_dim], size)

    # Assignments

    def draw(self, values: Mapping[str, Tensor], key: Key, count: int) -> dict[str, Tensor]:
        """Discrete site -> draws from their joint law, (n, *shape). n is a number of draws for each chain of the key, chain by chain;
        draw i of a chain reads its own numbers."""
        if not self.support:
            return {}
        chains = len(key.chains)
        return Drawing(self.program, self.density.reading, key).discrete(values, chains, 0, count)

    def mode(self, values: Mapping[str, Tensor], count: int) -> tuple[dict[str, Tensor], Tensor]:
        """Discrete site -> its value in the most probable joint assignment, (n, *shape), and log p(observed, assignment, continuous
        values), (n,). Of equally probable ones that of the lowest indices, the sites taken in the order of the elimination."""
        factors = self.factors(values, count)
        total, out = self._plain(factors, count), {}
        for names, plan in self.joint.components:
            given = [factors[n] for n in names]
            value, *products = over_batch(lambda *t, plan=plan: _best(plan, t), given, count)
            total = total + value * self._scales[names[0]]
            found = draw_back(plan, products, count, None)
            out |= {n: self.assignments.values(n, a) for n, a in found.items()}
        return {n: out[n] for n in self.support}, total


def _best(plan, tensors):
    value, products = plan.run(tensors, best=True)
    return value, *products
