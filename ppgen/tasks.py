"""The tasks: what can be asked of any program, whatever its family and whichever engine answers.

    sample(mixture, 500)              data, drawn forward
    predict(mixture, size=500)        draws from the prior, and data for each of them
    infer(mixture, x)                 the Posterior of its latent sites
    learn(mixture, x)                 the program with what it learned
    score(posterior, x_new)           log p of each datum, and what kind of number that is

`size`, `num_samples`, `num_particles`, `method`, `engine` and `seed` are the tasks' own, all other arguments the program's. A
program that has an argument of such a name comes with its arguments, as Program(fn, ...).
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyro
import torch
from torch import Tensor

from .errors import EngineError, ProgramError
from .family import Family
from .keys import PREDICT, Key, nth
from .posterior import Posterior
from .program import Program
from .scoring import Score, score_with_draws
from .simulation import predict as predict_from
from .simulation import simulate

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Score", "infer", "learn", "predict", "sample", "score"]

CHOICE = nth(PREDICT, 2)  # stream of the key: which draws of a posterior are taken


def infer(program: Callable[..., Any] | Program, *args: Any, engine: "Engine | None" = None, **kwargs: Any) -> Posterior:
    """The posterior of a program's latent sites given its arguments, by NUTS unless told otherwise."""
    from .inference import NUTS

    return (engine or NUTS()).run(program, *args, **kwargs)


def learn(program: Callable[..., Any] | Program, *args: Any, engine: "Engine | None" = None, **kwargs: Any) -> Program:
    """A copy of the program with what it learned from its arguments, by SVI unless told otherwise; `.fn` is the module.

    What is learned are its parameters, those of a Family's guide among them. Where there are only priors, or the engine learns no
    parameter (EM of a Family), it is the maximum a posteriori of the continuous latent sites (of their constrained values), which the
    copy then holds fixed.
    """
    from .inference import SVI

    given = Program.of(program, *args, **kwargs)
    only_priors = given.family is None and not given.params
    posterior = (engine or SVI(guide="delta" if only_priors else None)).run(given)
    learned = _program_of(posterior)
    return _held(learned, posterior.draws) if only_priors or not posterior.params else learned


def _held(program: Program, draws: Mapping[str, Tensor]) -> Program:
    """The program with its continuous latent sites held at their draws, which must all be one point."""
    point = {s.name: draws[s.name][0, 0].to(s.value) for s in program.latent if s.continuous}
    for name, value in point.items():
        if not (draws[name] == draws[name][0, 0]).all():
            raise EngineError(
                f"this program has no parameters to learn, and the engine gives many draws of {name!r} and no point; use infer, or "
                f"engine=SVI(guide='delta') for the maximum a posteriori ({tuple(value.shape)} numbers)"
            )
    held = copy.copy(program)
    held.fn = pyro.poutine.condition(program.fn, data=point)
    return held.bind(*program.args, **program.kwargs)


def score(
    program: Callable[..., Any] | Program | Posterior,
    *args: Any,
    method: str | None = None,
    num_particles: int = 1000,
    seed: int = 0,
    **kwargs: Any,
) -> Score:
    """log p of each datum, (N,) nats, with its kind and standard error. What a program without a data plate observes (a graph, one
    sequence) is one datum, whose score is the log evidence: (1,).

    program   with latent sites outside the data plate: a Posterior, over whose draws p is averaged, or the program with these
              sites held by `pyro.poutine.condition` (the priors of held sites are not counted). A Posterior without arguments
              scores the data that it was fitted to; with arguments, others.
    method    exact; or where continuous latent sites stand inside the data plate elbo, iwae, importance or ais, with the family's
              guide (the model's own conditionals where there is none) and `num_particles` draws of it; None: exact where
              that is possible, else importance. ais takes about 1000 gradients a particle, and is the one that a guide far from
              the posterior does not spoil; like importance it is low on average, by half its squared standard error. Of one datum
              None is exact where the family knows the evidence, else elbo

    Raises ScoreError (why it cannot be scored, and what to do), RecordingError, GuideError, SupportError.
    """
    draws: Mapping[str, Tensor] = {}
    if isinstance(program, Posterior):
        draws, program = program.draws, _program_of(program)
    return score_with_draws(Program.of(program, *args, **kwargs), draws, method=method, num_particles=num_particles, seed=seed)


def predict(
    program: Callable[..., Any] | Program | Posterior, *args: Any, num_samples: int = 1000, seed: int = 0, **kwargs: Any
) -> dict[str, Tensor]:
    """Draws of every site, data included, before any data were seen: site -> (1, num_samples, *shape).

    Values that the program observes are not used, only their shapes: where a function must be given data, give any. Of a
    Posterior, what `Posterior.predict` gives. Raises ProgramError: a site that cannot be drawn.
    """
    if isinstance(program, Posterior):
        return program.predict(*args, **kwargs)
    return {n: v[None] for n, v in simulate(Program.of(program, *args, **kwargs), {}, num_samples, seed=seed).items()}


def sample(
    program: Callable[..., Any] | Program | Posterior,
    size: int,
    *args: Any,
    engine: "Engine | None" = None,
    seed: int = 0,
    **kwargs: Any,
) -> dict[str, Tensor]:
    """`size` samples.

    of a Family          one run of its story with `size` data: site -> (size, ...) inside the data plate, (...) outside
    of other programs    `size` runs: site -> (size, *shape)
    of a Posterior       one datum for each of `size` draws (of a Family); one set of data for each, where arguments are given
                         or the program is no Family: site -> (size, *shape)
    with an engine       its last draw of each of `size` chains: site -> (size, *shape). So are programs sampled that say
                         `normalised = False`, by NUTS, or Gibbs where all is discrete, unless told otherwise

    Raises ProgramError (a site that cannot be drawn), EngineError (an engine without chains).
    """
    if size < 1:
        raise ProgramError(f"size must be at least 1, got {size}")
    if isinstance(program, Posterior):
        return _sample_posterior(program, size, args, kwargs, seed)
    fn = program.fn if isinstance(program, Program) else program
    if engine is not None or not getattr(fn, "normalised", True):
        return _sample_chains(program, size, args, kwargs, engine, seed)
    if isinstance(fn, Family):
        return {n: v[0] for n, v in simulate(Program.of(program, *args, size=size, **kwargs), {}, 1, seed=seed).items()}
    return simulate(Program.of(program, *args, **kwargs), {}, size, seed=seed)


def _sample_posterior(posterior: Posterior, size: int, args: tuple[Any, ...], kwargs: dict[str, Any], seed: int) -> dict[str, Tensor]:
    fitted = _program_of(posterior)
    total = next((v.shape[:2].numel() for v in posterior.draws.values()), 1)
    chosen = torch.randint(total, (size,), generator=Key(seed).generator(CHOICE))
    draws = {n: v.flatten(0, 1)[chosen][None] for n, v in posterior.draws.items()}
    if not draws:
        raise ProgramError("this posterior has no draws; sample from its program instead")
    if args or kwargs:
        made = predict_from(fitted.bind(*args, **kwargs), draws, seed=seed, fitted=fitted)
    elif isinstance(fitted.fn, Family):
        made = predict_from(fitted.bind(size=1), draws, seed=seed, fitted=fitted)
        made = _one_datum(made, fitted, (), {})
    else:
        made = predict_from(fitted, draws, seed=seed)
    own = {s.name for s in fitted.latent if fitted.data_plate not in s.plates}
    return {n: v[0] for n, v in {**{n: v for n, v in draws.items() if n in own}, **made}.items()}


def _sample_chains(
    program: Callable[..., Any] | Program, size: int, args: tuple[Any, ...], kwargs: dict[str, Any], engine: "Engine | None", seed: int
) -> dict[str, Tensor]:
    from .inference import NUTS, Gibbs

    family = isinstance(program.fn if isinstance(program, Program) else program, Family)
    bound = Program.of(program, *args, **(kwargs | {"size": 1} if family else kwargs))
    engine = engine or (NUTS(seed=seed) if bound.dim else Gibbs(seed=seed))
    if not hasattr(engine, "num_chains"):
        raise EngineError(f"sample takes one draw from each of {size} chains, and {type(engine).__name__} makes none")
    draws = replace(engine, num_chains=size, num_samples=1).run(bound).draws  # type: ignore[call-arg]
    draws = _one_datum(draws, bound, args, kwargs) if family else draws
    return {n: v[:, -1] for n, v in draws.items()}


def _one_datum(values: Mapping[str, Tensor], program: Program, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    """Values (chains, draws, *shape) of a Family's run with size=1, without the dimensions that `size` governs."""
    one, two = (program.bind(*args, size=size, **kwargs) for size in (1, 2))
    out = {}
    for name, value in values.items():
        shapes = zip(one.sites[name].shape, two.sites[name].shape, strict=True)
        out[name] = value.squeeze([2 + i for i, (a, b) in enumerate(shapes) if a != b])
    return out


def _program_of(posterior: Posterior) -> Program:
    if posterior.program is None:
        raise ProgramError("this posterior was loaded without its program; Posterior.load(path, program=Program(fn, *args)) has it")
    return posterior.program
