"""The engine contract and the one driver.

An engine is a frozen dataclass whose fields are all of its settings. One-shot engines only have `run`. Engines that go step by
step say what one step is, and `drive` does the rest: blocks, warm-up, progress, checkpoints, Ctrl-C.
"""

import signal
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from .discovery import kebab
from .errors import EngineError, PpgenWarning
from .folder import Checkpoint
from .keys import Key
from .lowering import Lowering
from .posterior import Posterior
from .program import Program
from .progress import progress_bar
from .provenance import fingerprint, plain
from .stopwatch import Stopwatch
from .straightline import collector_paused

__all__ = ["Block", "Engine", "Nothing", "Run", "SteppingEngine", "Target", "drive", "require_all_rows", "require_positive"]

BLOCK = 0.5  # seconds that a block should take
SAVE_EVERY = 2.0  # seconds between checkpoints, at most
GROWTH = 8  # of a block's length over the one before, at most


class Target(Protocol):
    """What the driver asks of a target, whichever reading of a recording it is."""

    dtype: torch.dtype
    device: torch.device
    lowering: Lowering
    seconds: dict[str, float]  # record, check, compile
    evaluations: int  # gradients so far, one per chain or particle

    @property
    def fingerprint(self) -> str: ...


class Nothing(NamedTuple):
    """The tuning of an engine that tunes nothing."""


class Block(NamedTuple):
    """A number of draws made in one go. What was drawn is (chains, made, ...); `made` is what was asked, or less."""

    state: Any
    tuning: Any
    draws: dict[str, Tensor]
    stats: dict[str, Tensor]
    made: int
    finished: bool


Advance = Callable[[Any, Any, Any, Key, int, bool], Block]


@dataclass(frozen=True, kw_only=True)
class Engine(ABC):
    """Settings that every engine has.

    seed         of all randomness; the same program, data and settings give the same draws
    progress     show a bar where stderr is a terminal
    checkpoint   a folder that may exist and be empty; the same call resumes from it
    lowering     auto, or the one that must run: recorded, eager
    dtype        of the computation; None is float64 for samplers and the program's own for optimisers
    keep         names of the sites whose draws are kept; None keeps all
    """

    seed: int = 0
    progress: bool = True
    checkpoint: str | Path | None = None
    lowering: str = "auto"
    dtype: torch.dtype | None = None
    keep: Sequence[str] | None = None

    # Settings that cannot change a draw that is there already
    FREE: ClassVar[frozenset[str]] = frozenset({"progress", "checkpoint", "keep"})

    @abstractmethod
    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        """The posterior of a program given its arguments, which stay the user's own."""

    @property
    def name(self) -> str:
        return kebab(type(self).__name__)

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting, as JSON can hold it."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True, kw_only=True)
class SteppingEngine(Engine):
    """An engine that goes step by step. State, Tuning and Info are its own named tuples. It has `step`, or a `block` of its own.

    init(target, key)                         -> State, Tuning
    step(target, state, tuning, key)          -> State, Info    one draw, batched over chains; the key says which it is
    adapt(target, state, info, tuning, key)   -> Tuning         during warm-up only
    collect(state)                            -> raw tensors (chains, ...) of one draw
    done(state, info)                         -> True where the engine stops by itself
    block(target, stop)                       -> one call that does what the loop over `step` and `adapt` does, or None
    """

    @property
    @abstractmethod
    def chains(self) -> tuple[int, ...]: ...

    @property
    def warmup(self) -> int:
        """Draws that adapt and are not kept."""
        return 0

    @property
    @abstractmethod
    def total(self) -> int:
        """Draws in all, warm-up and those that thinning drops counted."""

    @abstractmethod
    def init(self, target: Any, key: Key) -> tuple[Any, Any]: ...

    def step(self, target: Any, state: Any, tuning: Any, key: Key) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} has neither step nor block")

    def adapt(self, target: Any, state: Any, info: Any, tuning: Any, key: Key) -> Any:
        return tuning

    def collect(self, state: Any) -> dict[str, Tensor]:
        return {}

    def done(self, state: Any, info: Any) -> bool:
        return False

    def block(self, target: Any, stop: "Interrupt") -> Advance | None:
        return None

    def kept(self, at: int) -> slice:
        """Which draws are kept of a block that begins with draw `at`, after warm-up."""
        return slice(None)

    def note(self, stats: Mapping[str, Tensor]) -> str:
        """What the progress bar says beside the count, of the block before."""
        return ""


@dataclass
class Run:
    """What the driver returns: kept draws and stats (chains, draws, ...), and all that is needed to go on."""

    draws: dict[str, Tensor]
    stats: dict[str, Tensor]
    state: Any
    tuning: Any
    at: int
    interrupted: bool
    watch: Stopwatch


class Interrupt:
    """The first Ctrl-C asks to stop between two draws; the second raises. Outside of the main thread it does nothing."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, np.int64)  # machine code can read it

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.flag[0]:
            raise KeyboardInterrupt
        self.flag[0] = 1

    def __bool__(self) -> bool:
        return bool(self.flag[0])

    def __enter__(self) -> Self:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)


def loop(engine: SteppingEngine, stop: Interrupt) -> Advance:
    """A block as a loop over `step` and `adapt`."""

    def advance(target: Any, state: Any, tuning: Any, key: Key, count: int, adapting: bool) -> Block:
        rows, infos, finished = [], [], False
        for i in range(count):
            here = key.at(key.draw + i)
            state, info = engine.step(target, state, tuning, here)
            if adapting:
                tuning = engine.adapt(target, state, info, tuning, here)
            rows.append(engine.collect(state))
            infos.append(info._asdict())
            finished = engine.done(state, info)
            if finished or stop:
                break
        return Block(state, tuning, _stack(rows), _stack(infos), len(rows), finished)

    return advance


class _Driver:
    """One run in progress."""

    def __init__(self, engine: SteppingEngine, target: Target, before: Run | None, watch: Stopwatch):
        self.engine, self.target, self.watch = engine, target, watch
        self.key = Key(engine.seed, 0, engine.chains, target.device)
        self.finished, self.at = False, 0
        self.kept: list[dict[str, Tensor]] = []  # chunks; what `pending` holds is not yet in the checkpoint
        self.pending: list[dict[str, Tensor]] = []
        if before is not None:
            self.state, self.tuning, self.at = before.state, before.tuning, before.at
            self.kept = [_flat(before.draws, before.stats)]
        else:
            with collector_paused():  # torch's optimisers are imported with half a million objects
                self.state, self.tuning = engine.init(target, self.key)
            watch.lap("start", target)

    def run(self) -> Run:
        engine = self.engine
        with (
            Interrupt() as stop,
            Checkpoint(engine.checkpoint, fingerprint(engine, self.target)) if engine.checkpoint else nullcontext() as checkpoint,
            progress_bar(type(engine).__name__, engine.total, engine.progress) as report,
        ):
            self._resume(checkpoint)
            advance = engine.block(self.target, stop) or loop(engine, stop)
            budget, saved = 1, time.perf_counter()
            while self._going(stop):
                begin = time.perf_counter()
                block = self._advance(advance, budget)
                if not (block.made or self.finished or stop):  # else it would go on for ever
                    raise EngineError(
                        f"{type(engine).__name__} made no draw when asked for {budget} at draw {self.at}, and was not told to stop"
                    )
                report(self.at, engine.total, engine.note(block.stats))
                took = time.perf_counter() - begin
                budget = max(1, min(GROWTH * budget, int(block.made * BLOCK / max(took, 1e-9))))
                last = not self._going(stop)
                if checkpoint is not None and (last or time.perf_counter() - saved >= SAVE_EVERY):
                    self._save(checkpoint)
                    saved = time.perf_counter()
            interrupted = bool(stop) and self.at < engine.total
        everything = _join(self.kept + self.pending)
        self.watch.lap("sample", self.target)
        return Run(*_parts(everything), self.state, self.tuning, self.at, interrupted, self.watch)

    def _going(self, stop: Interrupt) -> bool:
        return self.at < self.engine.total and not self.finished and not stop

    def _advance(self, advance: Advance, budget: int) -> Block:
        """One block; it never straddles the end of warm-up."""
        engine = self.engine
        adapting = self.at < engine.warmup
        count = min(budget, (engine.warmup if adapting else engine.total) - self.at)
        block = advance(self.target, self.state, self.tuning, self.key.at(self.at), count, adapting)
        if not adapting:
            kept = engine.kept(self.at)
            self.pending.append({k: v[:, kept] for k, v in _flat(block.draws, block.stats).items()})
        self.state, self.tuning, self.finished = block.state, block.tuning, block.finished
        self.at += block.made
        return block

    def _resume(self, checkpoint: Checkpoint | None) -> None:
        saved = checkpoint.load((self.state, self.tuning)) if checkpoint is not None else None
        if saved is not None:
            self.state, self.tuning, self.at, self.finished, self.kept = saved

    def _save(self, checkpoint: Checkpoint) -> None:
        chunk = _join(self.pending)
        checkpoint.save(self.state, self.tuning, self.at, self.finished, chunk)
        self.kept, self.pending = [*self.kept, chunk] if chunk else self.kept, []


def drive(engine: SteppingEngine, target: Target, before: Run | None = None, watch: Stopwatch | None = None) -> Run:
    """Run an engine on a target to its end, or on from where a run before it stood. watch: one that runs already.

    Draws do not depend on where blocks end, as the key holds the draw's index. Raises CheckpointError; KeyboardInterrupt
    where Ctrl-C came before the first draw that is kept.
    """
    watch = watch or (before.watch.again(target) if before is not None else Stopwatch(target))
    run = _Driver(engine, target, before, watch).run()
    if run.interrupted:
        if run.at <= engine.warmup:
            raise KeyboardInterrupt
        done = f"{type(engine).__name__} was interrupted after {run.at:,} of {engine.total:,} draws (warm-up counted)"
        how = "the same call resumes it" if engine.checkpoint else "with checkpoint= it could be resumed"
        warnings.warn(f"{done}; what is finished is kept, and {how}", PpgenWarning, stacklevel=3)
    return run


# Draws and stats as one flat dict, as chunks hold them


def _flat(draws: Mapping[str, Tensor], stats: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**{f"draws.{k}": v for k, v in draws.items()}, **{f"stats.{k}": v for k, v in stats.items()}}


def _parts(flat: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    draws = {k.removeprefix("draws."): v for k, v in flat.items() if k.startswith("draws.")}
    return draws, {k.removeprefix("stats."): v for k, v in flat.items() if k.startswith("stats.")}


def _join(chunks: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {k: torch.cat([c[k] for c in chunks], 1) for k in chunks[0]} if chunks else {}


def _stack(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {k: torch.stack([r[k] for r in rows], 1) for k in rows[0]}


def require_positive(engine: Engine, *names: str) -> None:
    """Raise EngineError unless these settings are whole numbers of at least 1."""
    for name in names:
        value = getattr(engine, name)
        if not (isinstance(value, int) and value >= 1):
            raise EngineError(f"{type(engine).__name__}: {name} must be a whole number of at least 1, got {value!r}")


def require_all_rows(engine: Engine, program: Program) -> None:
    """Raise EngineError for a program that shows some rows of a plate: what comes of the ones that it happens to show is no posterior."""
    for plate in program.plates.values():
        if plate.subsample_size < plate.size:
            raise EngineError(
                f"{type(engine).__name__} needs all rows at every step, and plate {plate.name!r} shows {plate.subsample_size} of "
                f"{plate.size}; leave subsample_size out of the plate, or take SVI, or Langevin with batch_size"
            )
