"""Every moment of a run belongs to one of its parts, on a clock that goes by the test."""

from types import SimpleNamespace

import pytest

from ppgen import stopwatch
from ppgen.stopwatch import Stopwatch


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


def test_a_target_counts_part_of_a_lap_for_itself(clock: Clock) -> None:
    watch = Stopwatch()
    clock.now += 5.0
    target = SimpleNamespace(seconds={"record": 1.5, "check": 0.5})
    watch.lap("record", target)
    clock.now += 7.0
    target.seconds["compile"] = 4.0
    watch.lap("sample", target)
    clock.now += 1.0
    watch.lap("sample", target)
    clock.now += 1000.0  # after the run
    expected = {"record": 4.5, "check": 0.5, "compile": 4.0, "start": 0.0, "sample": 4.0, "collect": 0.0, "total": 13.0}
    assert watch.seconds(target) == expected


def test_a_run_that_goes_on_leaves_out_what_lay_between(clock: Clock) -> None:
    target = SimpleNamespace(seconds={"record": 2.0})
    first = Stopwatch(target)
    clock.now += 3.0
    first.lap("sample", target)
    clock.now += 1000.0
    target.seconds["check"] = 0.25  # of something else that was asked of it
    second = first.again(target)
    clock.now += 6.0
    second.lap("sample", target)
    assert (first.seconds(target)["sample"], second.seconds(target)["sample"]) == (3.0, 9.0)
    assert second.seconds(target)["total"] == 2.0 + 0.25 + 9.0
