"""Where the wall time of a run went."""

import copy
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from .engine import Target

__all__ = ["Stopwatch"]

PARTS = ("record", "check", "compile", "start", "sample", "collect")


class Stopwatch:
    """Seconds by part. A lap is all that went by since the one before, less what the target has counted for itself meanwhile
    (recording, checks, compiling): every moment belongs to one part, and together they are the wall time.

    A target that is there when the watch starts brings what it has counted before.
    """

    def __init__(self, target: "Target | None" = None):
        self._laps: dict[str, float] = {}
        self._start(target)

    def _start(self, target: "Target | None") -> None:
        self._last, self._counted = time.perf_counter(), sum(target.seconds.values()) if target is not None else 0.0

    def lap(self, part: str, target: "Target") -> None:
        last, counted = self._last, self._counted
        self._start(target)
        self._laps[part] = self._laps.get(part, 0.0) + (self._last - last) - (self._counted - counted)

    def again(self, target: "Target") -> Self:
        """A copy that goes on from now, for a run that goes on."""
        other = copy.copy(self)
        other._laps = dict(self._laps)
        other._start(target)
        return other

    def seconds(self, target: "Target") -> dict[str, float]:
        """Of PARTS, and their total, up to the last lap."""
        parts = {p: target.seconds.get(p, 0.0) + self._laps.get(p, 0.0) for p in PARTS}
        return {**parts, "total": sum(parts.values())}
