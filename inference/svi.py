"""Stochastic variational inference: a guide's parameters by gradient steps on the evidence lower bound.

    params <- optimiser(params, gradient of -ELBO),   ELBO = E_q[log p(x, z) - log q(z)]

Each step's noise and rows are read from the key, so a step can be taken again from a checkpoint. The gradient is unbiased
(reparameterised); enumerated sites are summed out exactly. Cost: one gradient of `num_particles` draws a step.
Sources: Hoffman et al., JMLR 14, 2013; Kingma & Welling, ICLR 2014; k-hat: Vehtari et al., JMLR 25, 2024.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from ..batches import Batches
from ..bounds import Unread
from ..engine import Nothing, Run, drive, require_positive
from ..errors import CostError, DataError, EliminationError, EngineError, GuideError, PpgenWarning
from ..guides import FlatGuide
from ..held_draws import held_draws
from ..keys import Key
from ..mode import Start
from ..objective import Objective
from ..pairing import subsampled
from ..posterior import Posterior, require_memory
from ..program import Program, constrained
from ..provenance import provenance
from ..stopwatch import Stopwatch
from ..training import Training
from ._autoguide import by_name
from ._descent import Descent, DescentEngine

if TYPE_CHECKING:
    from ..targets import LogDensity

__all__ = ["SVI", "Info", "State"]

HELP = "a smaller learning_rate, clip_norm or a guide that starts nearer may help"
FULL_UP_TO = 100  # dimensions; above, a full covariance has too many numbers to learn


class State(NamedTuple):
    descent: Descent
    buffers: dict[str, Tensor]  # those that modules write while they learn, such as the running mean of a batch norm


class Info(NamedTuple):
    losses: Tensor  # (1,) negative bound of the step, nats
    learning_rate: Tensor  # (1,)


@dataclass(frozen=True, kw_only=True)
class SVI(DescentEngine):
    """Fit a guide to a program, and the program's own learned parameters with it.

    guide          a program over the same sites; or normal, multivariate, delta (over the flat position); or a flow, or any other
                   FlatGuide; None is the family's own guide, or multivariate for other programs of up to 100 dimensions and normal above
    num_steps      gradient steps; num_samples: draws from the fitted guide, as one chain with log weights
    num_particles  draws of the guide per step
    optimizer      the name of a torch optimiser, or a callable of the parameters that makes one
    learning_rate  of the first half of the steps; over the second it falls geometrically to `final_learning_rate` of it (a
                   callable optimiser, and one with a scheduler, keeps its own). Guides by name begin at a mode, in units of its
                   sds: see ppgen/mode.py
    scheduler      a callable of the optimiser that makes a torch scheduler of learning rates, stepped after every step
    batch_size     rows per step, in epochs without replacement; None takes all, or what a DataLoader in the place of data gives
    clip_norm      gradients whose norm (over all parameters) is larger are scaled down to it
    ema_decay      d of the average p <- d' p + (1 - d') parameters after each step, d' = min(d, (1 + t) / (10 + t)): what is learned is
                   the average, of parameters and of modules' buffers; None learns the last ones
    beta           the weight of log q - log prior, rising in a line over the first `beta_warmup` steps. Higgins et al., ICLR 2017;
                   Sonderby et al., NeurIPS 2016
    objective      elbo; or iwae: log mean exp of `num_particles` importance weights, of each datum where all sites are in the data
                   plate, else of all data at once. Burda et al., ICLR 2016. Its gradient is the plain one
    autocast       torch.bfloat16: networks compute in it, and everything else in the program's dtype (ppgen/mixed_precision.py)

    provenance["loss"] says what the losses are. Modules learn in training mode: dropout is drawn, batch norm's buffers are learned; the
    posterior's program is in evaluation mode. The gradient of log q is that by the values drawn, where a guide's sites allow it
    (Roeder et al., NeurIPS 2017). A family's own `bound` is what its own guide is learned by, where no other is asked for; with keep=()
    the pair, which may be too large to be recorded, is then not drawn from.

    Discrete sites are drawn back at their exact conditional given the continuous ones, whatever the guide says of them; where they
    cannot be summed out and there is a bound, they are drawn from the guide, and provenance["draws"] says so.
    Errors: GuideError (sites that do not match), EngineError (settings), DataError (a loss that is not finite).
    """

    guide: str | FlatGuide | Callable[..., Any] | None = None
    num_samples: int = 1000
    num_particles: int = 8
    learning_rate: float = 0.02
    beta: float = 1.0
    beta_warmup: int = 0
    objective: str = "elbo"
    autocast: torch.dtype | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_samples", "num_particles")
        if not (self.beta >= 0 and self.beta_warmup >= 0):
            raise EngineError(f"SVI: beta and beta_warmup must not be negative, got {self.beta} and {self.beta_warmup}")
        if self.objective not in ("elbo", "iwae"):
            raise EngineError(f"SVI: objective must be elbo or iwae, got {self.objective!r}")
        if self.autocast not in (None, torch.bfloat16):
            raise EngineError(
                f"SVI: autocast must be torch.bfloat16, got {self.autocast!r}: gradients in float16 vanish where losses are not scaled"
            )
        if self.objective == "iwae" and self._weighted:
            raise EngineError("SVI: beta and beta_warmup weigh the divergence of an ELBO; importance samples have none")

    @property
    def _weighted(self) -> bool:
        return self.beta != 1.0 or self.beta_warmup > 0

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        watch = Stopwatch()
        program, batches = self.fed(program, args, kwargs)
        if batches is not None:
            program = program.streamed(batches.size)
        if self.autocast is not None and program.dtype != torch.float32:
            raise EngineError(
                f"autocast is from float32, and program {program.name!r} computes in {str(program.dtype).removeprefix('torch.')}"
            )
        require_memory(program, 1, self.num_samples, self.keep)
        plain = self.objective == "elbo" and not self._weighted
        bound = plain and self.guide is None and callable(getattr(program.family, "bound", None))
        target = self._objective(program, self.batch_size, batches=batches, bound=bound)
        watch.lap("record", target)
        return self._posterior(program, target, drive(self, target, watch=watch))

    def _objective(
        self,
        program: Program,
        batch_size: int | None,
        *,
        batches: Batches | None = None,
        start: Start | None = None,
        bound: bool = False,
        learned: Mapping[str, Tensor] | None = None,
    ) -> Objective:
        """learned: buffers, where the guide is one that has learned them."""
        guide = self.guide
        if guide is None and program.family is None:
            guide = "multivariate" if program.dim <= FULL_UP_TO else "normal"
        own = getattr(guide, "as_guide", None)  # a flow knows how to be one
        return Objective(
            program,
            by_name(guide) if isinstance(guide, str) else own() if callable(own) else guide,
            key=Key(self.seed),
            num_particles=self.num_particles,
            batch_size=batch_size,
            batches=batches,
            dtype=self.dtype,
            lowering=self.lowering,
            start=start,
            bound=bound,
            training=Training(self.autocast) if learned is None else None,
            drawing=learned is not None,
            buffers=learned,
            kind=self.objective if learned is None else "elbo",
            weighted=self._weighted and learned is None,
        )

    def init(self, target: Objective, key: Key) -> tuple[State, Nothing]:
        if not any(p.numel() for p in target.params.values()):
            raise GuideError("nothing to learn: neither the model nor the guide has parameters")
        descent = self.begun(target.params, {**target.params, **_floating(target.buffers)})
        return State(descent, target.buffers), Nothing()

    def step(self, target: Objective, state: State, tuning: Nothing, key: Key) -> tuple[State, Info]:
        at, inputs, buffers = state.descent, target.inputs(key, self._beta(key.draw)), state.buffers
        rate, before = self.rate(at, key.draw), {n: p.detach() for n, p in at.params.items()}

        def slope() -> tuple[Tensor, Mapping[str, Tensor]]:
            nonlocal buffers
            loss, gradient, buffers = target.evaluate(before, state.buffers, inputs)
            if not loss.isfinite():
                fault = target.fault(before, state.buffers, inputs)
                raise DataError(f"the loss is {float(loss)} at step {key.draw}: {fault}; {HELP}")
            return loss, gradient

        loss = self.descend(at, slope)
        self.average(at, {**at.params, **buffers}, key.draw)
        return state._replace(buffers=buffers), Info(loss[None], torch.tensor([rate]))

    def _beta(self, step: int) -> float:
        return self.beta * min(1.0, (step + 1) / self.beta_warmup) if self.beta_warmup else self.beta

    def collect(self, state: State) -> dict[str, Tensor]:
        return {}

    def note(self, stats: Mapping[str, Tensor]) -> str:
        return f"loss {float(stats['losses'].mean()):,.2f}, rate {float(stats['learning_rate'][0, -1]):.2g}"

    def _posterior(self, program: Program, target: Objective, run: Run) -> Posterior:
        """Draws from the guide with their log weights on all rows."""
        learned: Descent = run.state.descent
        params = {n: learned.average.get(n, p).detach() for n, p in learned.params.items()}
        buffers = {n: learned.average.get(n, b) for n, b in run.state.buffers.items()}
        program.set_params({n: p for n, p in params.items() if n in program.params})
        program.set_buffers(buffers)
        draws, log_weights, note = self._drawn(program, target, params, buffers)
        run.watch.lap("collect", target)
        made = provenance(self, target, run.watch, run.interrupted)
        made["loss"] = target.meaning
        return Posterior(
            draws=draws,
            program=program,
            params={n: p for n, p in params.items() if p.numel()},
            constrained=constrained({n: params[n] for n in target.pair.transforms}, target.pair.transforms),
            log_weights=None if log_weights is None else log_weights[None],
            losses=run.stats["losses"][0],
            provenance={**made, "draws": note} if note else made,
            guide=target.placed(params),
        )

    def _drawn(
        self, program: Program, target: Objective, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor | None, str]:
        """Draws of the pair (1, draws, *shape) and their log weights (draws,), and what is to be said of them. Discrete sites are
        drawn back; where they cannot be, a bound has learned the guide all the same, and they are drawn from it."""
        bounded, whole = isinstance(target.density, Unread), target
        if bounded and self.keep is not None and not self.keep:  # the pair may be too large to be recorded
            return {}, None, "none, as keep asks for none"
        try:
            if bounded or target.program.batch_size is not None or target.pair.learning:
                whole = self._objective(program, None, batches=target.batches, start=target.start, learned=buffers)
        except (EliminationError, CostError) as error:
            if not bounded:
                raise
            drawn, log_weights = held_draws(program, self.num_samples, self.seed)
            note = f"discrete sites as the guide has them, for they cannot be summed out: {error}"
            if log_weights is None:
                note = (
                    f"without log weights, and without the discrete sites that the guide leaves out, for they cannot be summed out: {error}"
                )
                warnings.warn(note, PpgenWarning, stacklevel=4)
            return {n: v[None] for n, v in drawn.items() if self.keep is None or n in self.keep}, log_weights, note
        key = Key(self.seed, self.num_steps, device=target.device)
        position, log_weights = whole.draws(params, key, self.num_samples)
        return self._draws(whole, params, position, key), log_weights, ""

    def _draws(self, whole: Objective, params: Mapping[str, Tensor], position: Tensor, key: Key) -> dict[str, Tensor]:
        """(1, draws, *shape) of the sites to keep; those of a plate of which the program shows but some rows are left out."""
        learned = {n: p for n, p in params.items() if n in whole.program.params}
        draws = cast("LogDensity", whole.density).bind(params=learned).latents(position[None], key)
        sites, some = whole.program.sites, subsampled(whole.program)
        names = [n for n in draws if not some & set(sites[n].plates)] if self.keep is None else self.keep
        return {n: draws[n] for n in names}


def _floating(buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: b for n, b in buffers.items() if b.is_floating_point()}
