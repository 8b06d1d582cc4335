"""How long jax has traced, lowered and compiled, by its own account."""

import time
from typing import Self

import jax

__all__ = ["Compiling"]

EVENTS = "/jax/core/compile/"


class Compiling:
    """Collects what jax tells within a `with`. Events nest, so their times are united and not added."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        jax.monitoring.register_event_duration_secs_listener(self)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.clear_event_listeners()

    def __call__(self, event: str, seconds: float, **_: object) -> None:
        if event.startswith(EVENTS):
            now = time.perf_counter()
            self.spans.append((now - seconds, now))

    @property
    def seconds(self) -> float:
        total, until = 0.0, float("-inf")
        for begin, end in sorted(self.spans):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return total
