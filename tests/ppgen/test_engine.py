"""The driver, on a small engine of its own: what draws may not depend on, and what is kept when a run is cut short."""

import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ppgen import engine as engine_module
from ppgen.engine import Block, Nothing, Run, SteppingEngine, drive
from ppgen.errors import CheckpointError, EngineError, PpgenWarning
from ppgen.keys import Key
from ppgen.lowering import Lowering
from ppgen.provenance import fingerprint


@dataclass
class Walk:
    """A target of no depth: the driver asks nothing of it but this."""

    fingerprint: str = "a walk"
    seconds: dict = field(default_factory=lambda: {"record": 0.0})
    evaluations: int = 0
    dtype = torch.float64
    device = torch.device("cpu")
    lowering = Lowering("recorded", "for the test")


class State(NamedTuple):
    position: Tensor  # (chains, 1)


class Tuning(NamedTuple):
    scale: Tensor  # (chains,)


class Info(NamedTuple):
    lp: Tensor


@dataclass(frozen=True, kw_only=True)
class Walker(SteppingEngine):
    """A random walk whose scale grows in warm-up and then stays."""

    num: int = 40
    num_warmup: int = 10
    num_chains: int = 3
    thinning: int = 1
    pause: float = 0.0
    stop_after: int | None = None
    progress: bool = False

    FREE = SteppingEngine.FREE | {"num", "pause"}

    chains = property(lambda self: tuple(range(self.num_chains)))
    warmup = property(lambda self: self.num_warmup)
    total = property(lambda self: self.num_warmup + self.num * self.thinning)

    def run(self, program, *args, **kwargs):
        raise NotImplementedError

    def kept(self, at: int) -> slice:
        return slice((self.num_warmup - at - 1) % self.thinning, None, self.thinning)

    def init(self, target: Walk, key: Key) -> tuple[State, Tuning]:
        return State(key.normal(0, (self.num_chains, 1))), Tuning(torch.ones(self.num_chains, dtype=torch.float64))

    def step(self, target: Walk, state: State, tuning: Tuning, key: Key) -> tuple[State, Info]:
        time.sleep(self.pause)
        position = state.position + tuning.scale[:, None] * key.normal(1, (self.num_chains, 1))
        return State(position), Info(position[:, 0] * 2)

    def adapt(self, target, state, info, tuning: Tuning, key: Key) -> Tuning:
        return Tuning(tuning.scale + 0.1 * (key.draw + 1))

    def collect(self, state: State) -> dict[str, Tensor]:
        return {"position": state.position}

    def done(self, state: State, info: Info) -> bool:
        return self.stop_after is not None and bool(info.lp.abs().max() > self.stop_after)


def equal(a: Run, b: Run) -> bool:
    return torch.equal(a.draws["position"], b.draws["position"]) and torch.equal(a.stats["lp"], b.stats["lp"])


def test_draws_by_hand() -> None:
    """Every draw is the one before plus the scale after warm-up times the key's normal."""
    run = drive(Walker(), Walk())
    assert run.draws["position"].shape == (3, 40, 1)
    scale = 1 + 0.1 * sum(range(1, 11))
    steps = run.draws["position"][:, 1:] - run.draws["position"][:, :-1]
    for i in (0, 20, 38):
        expected = scale * Key(0, 11 + i, (0, 1, 2)).normal(1, (3, 1))
        assert torch.allclose(steps[:, i], expected, atol=1e-12)
    assert torch.equal(run.stats["lp"], 2 * run.draws["position"][..., 0])


@pytest.mark.parametrize(("seconds", "growth"), [(1e-9, 8), (0.5, 8), (10.0, 1000)])
def test_draws_do_not_depend_on_where_blocks_end(monkeypatch: pytest.MonkeyPatch, seconds: float, growth: int) -> None:
    whole = drive(Walker(), Walk())
    monkeypatch.setattr(engine_module, "BLOCK", seconds)
    monkeypatch.setattr(engine_module, "GROWTH", growth)
    assert equal(drive(Walker(), Walk()), whole)


def test_chain_0_does_not_depend_on_how_many_chains_there_are() -> None:
    one, three = drive(Walker(num_chains=1), Walk()), drive(Walker(num_chains=3), Walk())
    assert torch.equal(one.draws["position"], three.draws["position"][:1])


def test_seeds_differ() -> None:
    assert not equal(drive(Walker(seed=1), Walk()), drive(Walker(seed=2), Walk()))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0"])
def test_a_seed_that_is_none(seed: object) -> None:
    with pytest.raises(EngineError, match="seed"):
        drive(Walker(seed=seed), Walk())


def test_thinning_keeps_every_third() -> None:
    every, third = drive(Walker(num=39), Walk()), drive(Walker(num=13, thinning=3), Walk())
    assert torch.equal(third.draws["position"], every.draws["position"][:, 2::3])


def test_going_on_equals_one_long_run() -> None:
    long, short = drive(Walker(num=100), Walk()), drive(Walker(num=40), Walk())
    assert equal(drive(Walker(num=100), Walk(), short), long)


def test_an_engine_that_stops_by_itself() -> None:
    run = drive(Walker(stop_after=60, num=10_000), Walk())
    assert run.at < 1000
    assert run.stats["lp"].abs().max() > 60
    assert run.stats["lp"][:, :-1].abs().max() <= 60


def test_a_block_of_the_engines_own_replaces_the_loop() -> None:
    """What a block returns is what is kept, and it is asked for no draw beyond the end of warm-up."""

    @dataclass(frozen=True, kw_only=True)
    class InBlocks(Walker):
        def block(self, target, stop):
            def advance(target, state, tuning, key, count, adapting):
                assert not (key.draw < 10 < key.draw + count)
                made = min(count, 7)
                index = torch.arange(key.draw, key.draw + made).expand(3, made).double()
                return Block(state, tuning, {"position": index}, {"lp": index}, made, False)

            return advance

    assert torch.equal(drive(InBlocks(), Walk()).draws["position"][0], torch.arange(10.0, 50.0, dtype=torch.float64))


def test_a_block_of_nothing_is_an_error() -> None:
    """Machine code of another version once did nothing at all, and the run went on for ever."""

    @dataclass(frozen=True, kw_only=True)
    class Idle(Walker):
        def block(self, target, stop):
            return lambda target, state, tuning, key, count, adapting: Block(state, tuning, {}, {}, 0, False)

    with pytest.raises(EngineError, match="Idle made no draw"):
        drive(Idle(), Walk())


class KillingError(Exception):
    pass


@pytest.mark.parametrize("at", [1, 7, 10, 11, 30, 49])
def test_a_run_cut_short_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    whole = drive(Walker(), Walk())
    monkeypatch.setattr(engine_module, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(engine_module, "BLOCK", 1e-9)  # one draw a block
    step = Walker.step

    def dying(self, target, state, tuning, key):
        if key.draw == at:
            raise KillingError
        return step(self, target, state, tuning, key)

    monkeypatch.setattr(Walker, "step", dying)
    with pytest.raises(KillingError):
        drive(Walker(checkpoint=tmp_path), Walk())
    monkeypatch.setattr(Walker, "step", step)
    assert equal(drive(Walker(checkpoint=tmp_path), Walk()), whole)
    assert equal(drive(Walker(checkpoint=tmp_path), Walk()), whole)  # a finished run is read, not made again


def test_a_longer_run_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    drive(Walker(num=20, checkpoint=tmp_path), Walk())
    assert equal(drive(Walker(num=60, checkpoint=tmp_path), Walk()), drive(Walker(num=60), Walk()))


@pytest.mark.parametrize(
    ("other", "target", "part"),
    [
        ({"seed": 5}, Walk(), "setting seed"),
        ({"num_chains": 2}, Walk(), "setting num_chains"),
        ({}, Walk("another walk"), "data"),
    ],
)
def test_a_checkpoint_of_another_run(tmp_path: Path, other: dict, target: Walk, part: str) -> None:
    drive(Walker(checkpoint=tmp_path), Walk())
    with pytest.raises(CheckpointError, match=part):
        drive(Walker(checkpoint=tmp_path, **other), target)


def test_what_cannot_change_a_draw_does_not_count_as_another_run() -> None:
    base = fingerprint(Walker(), Walk())
    assert fingerprint(Walker(progress=True, checkpoint="x", num=7, pause=0.1, keep=["a"]), Walk()) == base
    assert fingerprint(Walker(num_warmup=11), Walk()) != base


def test_ctrl_c_keeps_every_finished_draw(tmp_path: Path) -> None:
    """Once: it ends at a draw. The same call resumes."""
    timer = Walker(pause=0.01, num=100, checkpoint=tmp_path)
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.warns(PpgenWarning, match="interrupted after"):
        run = drive(timer, Walk())
    assert run.interrupted
    kept = run.draws["position"].shape[1]
    assert 5 < kept < 60
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = drive(replace(timer, pause=0.0, checkpoint=None), Walk())
    assert torch.equal(run.draws["position"], whole.draws["position"][:, :kept])
    assert equal(drive(replace(timer, pause=0.0), Walk()), whole)


def test_ctrl_c_in_warm_up_raises(tmp_path: Path) -> None:
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        drive(Walker(pause=0.01, num_warmup=200, checkpoint=tmp_path), Walk())
    assert (tmp_path / "manifest.json").exists()


def test_ctrl_c_twice_raises_at_once() -> None:
    def twice(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGALRM, twice)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        drive(Walker(pause=0.01, num=1000), Walk())
    assert time.perf_counter() - begin < 2


def test_settings_are_json() -> None:
    import json

    made = Walker(dtype=torch.float64, checkpoint=Path("here"), keep=("a", "b"))
    stored = json.loads(json.dumps(made.settings))
    assert (stored["dtype"], stored["checkpoint"], stored["keep"], stored["seed"]) == ("float64", "here", ["a", "b"], 0)
    assert Nothing() == ()
