"""Progress bars: shown where a person is watching, and never a second library for them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Report", "progress_bar", "said_if_slow"]

PATIENCE = 1.0  # seconds


class Report(Protocol):
    """Told after every block how many draws (or steps) there are, of how many, and what else is worth saying."""

    def __call__(self, at: int, total: int, note: str) -> None: ...


def _silent(at: int, total: int, note: str) -> None:
    pass


@contextmanager
def progress_bar(title: str, total: int, shown: bool) -> Iterator[Report]:
    """A bar on stderr while the block runs, if that is a terminal or a notebook."""
    if not shown:
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield _silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(title, total=total, note="")

        def report(at: int, total: int, note: str) -> None:
            bars.update(bar, completed=at, total=total, note=note)

        yield report


@contextmanager
def said_if_slow(text: str, shown: bool) -> Iterator[None]:
    """One line on stderr, if that is a terminal, where what is done inside takes more than a second."""
    if not (shown and sys.stderr.isatty()):
        yield
        return
    timer = threading.Timer(PATIENCE, lambda: sys.stderr.write(text + "\n"))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
