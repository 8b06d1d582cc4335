"""What is said while something takes its time."""

import io
import sys
import time

import pytest

from ppgen import progress
from ppgen.progress import said_if_slow


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "shown", "terminal", "said"),
    [(0.2, True, True, "slow\n"), (0.0, True, True, ""), (0.2, False, True, ""), (0.2, True, False, "")],
)
def test_a_line_where_it_is_slow(monkeypatch: pytest.MonkeyPatch, seconds: float, shown: bool, terminal: bool, said: str) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    with said_if_slow("slow", shown):
        time.sleep(seconds)
    time.sleep(0.1)
    assert stderr.getvalue() == said
