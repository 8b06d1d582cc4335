"""Diffusion: data from noise, by small steps that a network learns from data with noise added to them."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast, get_args

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions.transforms import ReshapeTransform

from ..errors import NameNotFoundError, ProgramError
from ..family import Family, check_finite, check_rows, count_rows
from ..keys import PREDICT, Key, nth
from ..scoring import Score
from ._contexts import contexts
from ._denoisers import denoiser_for
from ._gaussian_score import GaussianScore, path_law
from ._noising import Denoising, Mean, Noising, log_normal, wide
from ._probability_flow import log_density
from ._samplers import DDIM, Ancestral, Corrector, Denoised, Level, PredictorCorrector, ProbabilityFlow, Sampler
from ._schedules import Predict, Schedule, ScheduleName, Variance
from ._units import shape_of, units_of

__all__ = ["DDIM", "Ancestral", "Corrector", "Diffusion", "GaussianScore", "PredictorCorrector", "ProbabilityFlow"]

Weighting = Literal["elbo", "simple"]
SMALL = 600  # numbers of a path whose joint normal is still taken apart
ROWS = 2**15  # of a network, at most, in one call of a score
GROUPS = 10  # of particles
NOISE, TIMES = (nth(PREDICT, i) for i in (1, 2))  # streams of the key


class Diffusion(Family):
    """Noise becomes data in T steps.

        u_T     ~ Normal(0, I)
        u_{t-1} ~ Normal(mean(u_t, t), sd_t)           t = T..2, as a network tells
        x       ~ Normal(mean(u_1, 1), sd_1)           in units of the data

    of each datum, with u_1..u_T as one site, `path`, (N, T, *shape). The guide adds the noise, and has nothing to learn: u_t is
    alpha_t u_0 + sigma_t noise for u_0 = (x - centre) / spread.

    features    D, or the shape of a datum, (channels, height, width); None is that of `like`
    like        data (N, *shape) whose mean and sds are taken once (buffers): each number's own, of images one sd for all
    network     a module called with u_t (N, *shape), the log of signal to noise, (N,), and with a context contexts (N, C), that gives
                (N, *shape); None: a U-Net for images, dense layers of the widths `hidden` otherwise
    num_steps   T; schedule: linear or cosine
    predict     what the network gives: the noise in u_t, the data, or the velocity alpha_t noise - sigma_t u_0
    variance    sd_t^2 is that of u_{t-1} given u_t and u_0 (posterior), right for a single datum, or beta_t (forward), for normal data
    weighting   of the bound by which it is learned. elbo: the pair's evidence lower bound, nats. simple: the squared error of what the
                network gives, every level alike, which is no bound, and gives better samples
    context     C: data are conditioned on contexts (N, C); 0 takes none. unconditional: the share of data whose context the bound
                hides (a learned vector stands in its place), so that `draw` can be guided; above 0 the bound is a mixture's

    A path has T (size of a datum) numbers, which are too many to infer where T is large: give SVI `keep=()`, which asks for none.
    Exact for normal data: `of_normal`, whose network is the best one.
    Sources: Sohl-Dickstein et al., ICML 2015; Ho, Jain & Abbeel, NeurIPS 2020; Salimans & Ho, ICLR 2022 (velocity); Ho & Salimans,
    2022 (guidance).
    """

    centre: Tensor  # (*shape)
    spread: Tensor  # (*shape)

    def __init__(
        self,
        features: int | Sequence[int] | None = None,
        network: nn.Module | None = None,
        *,
        like: Tensor | None = None,
        num_steps: int = 1000,
        schedule: ScheduleName = "linear",
        predict: Predict = "noise",
        variance: Variance = "posterior",
        weighting: Weighting = "elbo",
        context: int = 0,
        unconditional: float = 0.0,
        hidden: Sequence[int] | None = None,
    ):
        super().__init__()
        for name, value, kind in (("predict", predict, Predict), ("weighting", weighting, Weighting)):
            if value not in get_args(kind):
                raise NameNotFoundError(f"no {name} {value!r}; there are {', '.join(get_args(kind))}")
        if context < 0 or not 0 <= unconditional < 1 or (unconditional and not context):
            raise ProgramError(
                f"context must be at least 0, and unconditional a share below 1 of data that have one; got {context} and {unconditional}"
            )
        self.event_shape = shape_of(features, like)
        self.predict, self.weighting = predict, weighting
        self.context, self.unconditional = context, unconditional
        self.schedule = Schedule(num_steps, schedule, variance)
        centre, spread = units_of(self.event_shape, like)
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        self.network = denoiser_for(self.event_shape, context, hidden) if network is None else network
        if unconditional:
            self.hidden_context = nn.Parameter(torch.zeros(context))

    @classmethod
    def of_normal(
        cls,
        loc: Tensor,
        covariance: Tensor,
        *,
        num_steps: int = 1000,
        schedule: ScheduleName = "linear",
        predict: Predict = "noise",
        variance: Variance = "posterior",
    ) -> "Diffusion":
        """The diffusion that has learned all of data ~ Normal(loc (D,), covariance (D, D))."""
        sd = covariance.detach().diagonal().sqrt()
        network = GaussianScore(torch.zeros_like(loc), covariance / sd / sd[:, None], predict)
        out = cls(len(loc), network, num_steps=num_steps, schedule=schedule, predict=predict, variance=variance)
        out.centre.copy_(loc)
        out.spread.copy_(sd)
        return out

    # The pair

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N, *shape), or draws `size` data; given contexts (N, C), one datum for each."""
        rows = None if x is None else self._rows(x)
        count = count_rows(rows, len(context) if size is None and rows is None and isinstance(context, Tensor) else size)
        given = contexts(context, self.context, count, self.centre.dtype)
        with pyro.plate("data", count):
            path = pyro.sample("path", Denoising(partial(self._mean, given), self.schedule, count, self.event_shape))
            first = path[:, 0].to(self.centre.dtype)
            mean = self._mean(given, 1)(first, torch.zeros(count, dtype=torch.int64, device=first.device))
            law = dist.Normal(self.centre + self.spread * mean, self.spread * self.schedule.sd[0])
            return pyro.sample("x", law.to_event(len(self.event_shape)), obs=rows)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Noise added to the data. It knows nothing of the network: what the bound lacks of the evidence falls with more steps."""
        if x is None:
            raise ProgramError("the guide tells the noisy path of data; give it x")
        rows = self._rows(x)
        with pyro.plate("data", count_rows(rows, size)):
            pyro.sample("path", Noising(self._in_units(rows), self.schedule))

    def bound(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """One step of each datum's path, in closed form given the datum and one noise, T times; and what needs no network. Each
        datum's step is uniform, and those of all data are evenly apart, which takes most of the noise off their sum (Kingma et al.,
        Variational diffusion models, NeurIPS 2021)."""
        if x is None:
            raise ProgramError("the bound is that of data; give it x")
        rows = self._rows(x)
        count = count_rows(rows, size)
        given = self._hide(contexts(context, self.context, count, rows.dtype))
        u, s = self._in_units(rows), self.schedule
        place = (torch.rand((), device=u.device) + torch.arange(count, device=u.device) / count) % 1.0  # (N,)
        step = (place * s.steps).long().clamp(max=s.steps - 1)
        noise = torch.randn_like(u)
        with pyro.plate("data", count):
            if self.weighting == "simple":
                pyro.factor("error", -0.5 * self._error(u, step, noise, given))
            else:
                pyro.factor("ends", self._known(u))
                pyro.factor("step", s.steps * self._term(u, step, noise, given))

    def _error(self, u: Tensor, step: Tensor, noise: Tensor, given: Tensor | None) -> Tensor:
        """The squared error of what the network gives at a step, 0..T-1, of each row: (M,)."""
        s, dims = self.schedule, len(self.event_shape)
        alpha, sigma = wide(s.alpha[step], dims), wide(s.sigma[step], dims)
        right = {"noise": noise, "data": u, "velocity": alpha * noise - sigma * u}[self.predict]
        return (self._output(alpha * u + sigma * noise, s.log_snr[step], given) - right).flatten(1).square().sum(1)

    def _term(self, u: Tensor, step: Tensor, noise: Tensor, given: Tensor | None) -> Tensor:
        """What a step, 0..T-1, adds to the evidence lower bound of each row, but for its constant: (M,), nats.

        Of the squared error of the noise, alpha^4 |noise|^2 is what the best network leaves of standard normal data; its mean is known,
        and its chance is taken off, which leaves the mean over noise as it is.
        """
        s, numbers = self.schedule, self.event_shape.numel()
        chance = s.alpha[step] ** 4 * (noise.flatten(1).square().sum(1) - numbers)
        error = s.weight_of(self.predict)[step] * self._error(u, step, noise, given)
        return -0.5 * (error - s.weight_of("noise")[step] * chance)

    def _known(self, u: Tensor) -> Tensor:
        """What of the evidence lower bound needs no network: -KL(q(u_T | u_0) | Normal(0, I)), and constants. (N,), nats."""
        s, numbers = self.schedule, self.event_shape.numel()
        kept, noise = s.alpha[-1].square(), s.sigma[-1].square()
        last = 0.5 * (kept * u.flatten(1).square().sum(1) + numbers * (noise - 1 - noise.log()))
        return -last - numbers * s.surplus.sum() - self._log_units

    @property
    def _log_units(self) -> Tensor:
        return self.spread.log().expand(self.event_shape).sum()

    def _hide(self, given: Tensor | None) -> Tensor | None:
        """Some contexts replaced by the learned one that stands for none."""
        if given is None or not self.unconditional:
            return given
        hidden = torch.rand(len(given), 1, dtype=given.dtype, device=given.device) < self.unconditional
        return torch.where(hidden, self.hidden_context.to(given.dtype), given)

    # The network

    def _output(self, u: Tensor, log_snr: Tensor, given: Tensor | None) -> Tensor:
        out: Tensor = self.network(u, log_snr) if given is None else self.network(u, log_snr, given)
        if out.shape != u.shape:
            raise ProgramError(f"the network gives {tuple(out.shape)} for data of shape {tuple(u.shape)}; it must give the same shape")
        return out

    def _data(self, u: Tensor, output: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """u_0 by what the network gives."""
        if self.predict == "data":
            return output
        return (u - sigma * output) / alpha if self.predict == "noise" else alpha * u - sigma * output

    def _mean(self, given: Tensor | None, repeats: int) -> Mean:
        """Of the step before, for `repeats` rows of each datum."""
        s, dims = self.schedule, len(self.event_shape)
        context = None if given is None else given.repeat_interleave(repeats, 0)

        def mean(u: Tensor, step: Tensor) -> Tensor:
            alpha, sigma = wide(s.alpha[step], dims), wide(s.sigma[step], dims)
            data = self._data(u, self._output(u, s.log_snr[step], context), alpha, sigma)
            return wide(s.of_data[step], dims) * data + wide(s.of_here[step], dims) * u

        return mean

    def _denoised(self, given: Tensor | None, guidance: float) -> Denoised:
        """Data and noise in u at a level (), with the context's part of the network's output `guidance` times as large."""
        if guidance != 1.0 and not self.unconditional:
            raise ProgramError(
                f"guidance {guidance} needs a network that has learned without contexts too; make the diffusion with context= and "
                "unconditional=0.1, and learn it"
            )

        def denoised(u: Tensor, level: Level) -> tuple[Tensor, Tensor]:
            log_snr = level.log_snr.to(u).expand(len(u))
            output = self._output(u, log_snr, given)
            if guidance != 1.0:
                without = self._output(u, log_snr, self.hidden_context.expand(len(u), -1))
                output = without + guidance * (output - without)
            data = self._data(u, output, level.alpha, level.sigma)
            return data, (u - level.alpha * data) / level.sigma if self.predict != "noise" else output

        return denoised

    # What can be asked of it

    @torch.no_grad()
    def draw(
        self,
        size: int | None = None,
        sampler: Sampler | None = None,
        *,
        context: Tensor | None = None,
        guidance: float = 1.0,
        seed: int = 0,
    ) -> Tensor:
        """Data (size, *shape), or one for each context (N, C), by a sampler: Ancestral (the model itself), DDIM, ProbabilityFlow or
        PredictorCorrector.

        guidance   1 is the model's own; above 1 data belong more to their context, at the price of variety. Needs `unconditional`
        """
        count = count_rows(None, len(context) if size is None and isinstance(context, Tensor) else size)
        given = contexts(context, self.context, count, self.centre.dtype)
        key = Key(seed, chains=tuple(range(count)), device=self.centre.device)
        u = key.normal(NOISE, (count, *self.event_shape)).to(self.centre)
        u = (sampler or Ancestral())(self._denoised(given, guidance), self.schedule, u, key)
        return self.centre + self.spread * u

    @torch.no_grad()
    def score_at(self, x: Tensor, step: int, context: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """The gradient of log p_t at noisy data x, (N, *shape), by x: p_t is the density of centre + spread u_t, t = 1..T."""
        if not 1 <= step <= self.schedule.steps:
            raise ProgramError(f"levels of noise are 1 to {self.schedule.steps}; got {step}")
        rows = self._rows(x)
        given = contexts(context, self.context, len(rows), rows.dtype)
        level = Level.at(self.schedule.log_snr[step - 1])
        _, noise = self._denoised(given, guidance)(self._in_units(rows), level)
        return -noise / level.sigma / self.spread

    @torch.no_grad()
    def elbo(self, x: Tensor, context: Tensor | None = None, *, num_particles: int = 1000, seed: int = 0) -> Score:
        """The evidence lower bound of each datum, by so many steps of its path, in ten groups of which each goes evenly through all
        levels of noise; their spread is the standard error."""
        rows = self._rows(x)
        check_finite(rows)
        if num_particles < 2 * GROUPS:
            raise ProgramError(f"num_particles must be at least {2 * GROUPS}, got {num_particles}")
        given = contexts(context, self.context, len(rows), rows.dtype)
        u, key = self._in_units(rows), Key(seed, device=rows.device)
        groups = torch.stack([self._steps(u, given, num_particles // GROUPS, key.at(g)) for g in range(GROUPS)])
        return Score(groups.mean(0) + self._known(u).double(), "lower bound", groups.std(0) / math.sqrt(GROUPS))

    def _steps(self, u: Tensor, given: Tensor | None, count: int, key: Key) -> Tensor:
        """The mean of `count` steps of each row, T times, evenly apart and shifted together: (N,), nats, in double."""
        s, rows = self.schedule, len(u)
        place = (torch.arange(count, device=u.device)[:, None] + key.uniform(TIMES, (1, rows))) / count
        step = (place * s.steps).long().clamp(max=s.steps - 1).reshape(-1)  # (count * N,)
        datum = torch.arange(rows, device=u.device).repeat(count)
        noise = key.normal(NOISE, (1, len(step), *self.event_shape))[0].to(u)
        parts = [
            self._term(u[d], t, e, None if given is None else given[d])
            for d, t, e in zip(datum.split(ROWS), step.split(ROWS), noise.split(ROWS), strict=True)
        ]
        return s.steps * torch.cat(parts).double().reshape(count, rows).mean(0)

    @torch.no_grad()
    def log_likelihood(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        num_steps: int = 50,
        num_probes: int = 10,
        log_snr: float | None = None,
        seed: int = 0,
    ) -> Score:
        """log p of each datum along the probability-flow equation, from the data to normal noise.

        num_steps    of Runge-Kutta's method of order 4, four calls of the network each; their error is not in the standard error
        num_probes   random directions in which the trace of the network's slope is measured; up to 16 numbers a datum it is exact
        log_snr      the level at which x stands; None: that of step 1, since a network knows nothing of levels with less noise

        Source: Song et al., ICLR 2021.
        """
        rows = self._rows(x)
        check_finite(rows)
        given = contexts(context, self.context, len(rows), rows.dtype)
        begin = self.schedule.log_snr[0] if log_snr is None else torch.as_tensor(log_snr).to(rows)
        ends = torch.stack([begin, self.schedule.log_snr[-1]])
        key = Key(seed, chains=tuple(range(len(rows))), device=rows.device)
        value, error = log_density(self._denoised(given, 1.0), self._in_units(rows), ends, num_steps, num_probes, key)
        return Score(value - self._log_units.double(), "estimate", error)

    # What is known

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_likelihood, a function of values by site: path (*lead, N, T, *shape) -> log p(x | path) (*lead, N), nats.

        With a GaussianScore as network also functions of a step t: marginal(t), the law of centre + spread u_t, and score(x, t), its
        gradient, (N, D); and for short paths log_evidence, nats, and the posterior of the path: both of the pair, with its T steps.
        """
        rows = self._rows(x)
        given = contexts(context, self.context, len(rows), rows.dtype)
        known: dict[str, Any] = {"log_likelihood": partial(self._given_path, rows, given)}
        if isinstance(self.network, GaussianScore):
            known |= {"marginal": self._marginal, "score": self._score}
            if (self.schedule.steps + 1) * self.event_shape.numel() <= SMALL:
                known |= self._joint(self._in_units(rows).double())
        return known

    @torch.no_grad()
    def _given_path(self, rows: Tensor, given: Tensor | None, values: Mapping[str, Tensor]) -> Tensor:
        path = values["path"].to(rows)
        first = path.select(path.dim() - 1 - len(self.event_shape), 0).reshape(-1, *rows.shape)
        step = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        sd, mean = self.spread * self.schedule.sd[0], self._mean(given, 1)
        each = [log_normal(rows, self.centre + self.spread * mean(u, step), sd).flatten(1).sum(1) for u in first]
        return torch.stack(each).reshape(path.shape[: path.dim() - 1 - len(self.event_shape)])

    @property
    def _known_score(self) -> GaussianScore:
        return cast("GaussianScore", self.network)

    def _marginal(self, step: int) -> dist.MultivariateNormal:
        network: Any = self.network
        loc, covariance = network.marginal(self.schedule.log_snr[step - 1])
        centre, spread = self.centre.double(), self.spread.double()
        covariance = spread * covariance * spread[:, None]
        return dist.MultivariateNormal(centre + spread * loc, 0.5 * (covariance + covariance.mT))

    def _score(self, x: Tensor, step: int) -> Tensor:
        law = self._marginal(step)
        return -torch.linalg.solve(law.covariance_matrix, (x.double() - law.loc).mT).mT

    def _joint(self, u: Tensor) -> dict[str, Any]:
        """By conditioning the normal law of the whole path on its end."""
        law, size = path_law(self._known_score, self.schedule), self.event_shape.numel()
        covariance, across = law.covariance_matrix[:size, :size], law.covariance_matrix[size:, :size]
        gain = torch.linalg.solve(covariance, across.mT).mT
        rest = law.covariance_matrix[size:, size:] - gain @ across.mT
        loc = law.loc[size:] + (u - law.loc[:size]) @ gain.mT
        flat = dist.MultivariateNormal(loc, 0.5 * (rest + rest.mT))
        posterior = dist.TransformedDistribution(
            flat, [ReshapeTransform(loc.shape[-1:], torch.Size([self.schedule.steps, *self.event_shape]))]
        )
        evidence = dist.MultivariateNormal(law.loc[:size], covariance).log_prob(u).sum() - len(u) * self._log_units.double()
        return {"log_evidence": evidence, "posterior": {"path": posterior}}

    # What comes in

    def _rows(self, x: Tensor) -> Tensor:
        """Data in the network's own dtype. Raises DataError."""
        check_rows(x, self.event_shape)
        return x.to(self.centre.dtype)

    def _in_units(self, rows: Tensor) -> Tensor:
        return (rows - self.centre) / self.spread
