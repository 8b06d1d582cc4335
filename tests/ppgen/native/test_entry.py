"""Functions compiled once per machine and entered by their address."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from ppgen.native import cache, entry
from ppgen.native.calling import doubles, record

PAIR = np.dtype([("count", "i8"), ("factor", "f8"), ("numbers", "i8")])
pair = record(PAIR)


def scale(address, shift):  # type: ignore[no-untyped-def]
    """numbers = factor * numbers + shift"""
    job = pair(address)
    x = doubles(job.numbers)
    for i in range(job.count):
        x[i] = job.factor * x[i] + shift


def scaled(made: entry.Entry, numbers: np.ndarray, factor: float, shift: float) -> np.ndarray:
    x = numbers.copy()
    job = np.array([(len(x), factor, x.ctypes.data)], PAIR)
    made(job.ctypes.data, shift)
    return x


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ppgen" / "native"


def entries(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def test_it_does_what_the_function_does(folder: Path) -> None:
    made, x = entry.entry(int, float)(scale), np.linspace(-40.0, 70.0, 23)
    assert np.array_equal(scaled(made, x, 3.0, -5.0), 3.0 * x - 5.0)
    assert made.__doc__ == scale.__doc__
    assert len(entries(folder)) == 1


def test_the_next_process_compiles_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(5.0)
    scaled(entry.entry(int, float)(scale), x, 2.0, 1.0)

    def never(*_: object) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(entry.Entry, "_compiled", never)
    assert np.array_equal(scaled(entry.entry(int, float)(scale), x, 2.0, 1.0), 2.0 * x + 1.0)


def test_a_damaged_entry_is_made_again(folder: Path) -> None:
    x = np.arange(5.0)
    scaled(entry.entry(int, float)(scale), x, 2.0, 1.0)
    (place,) = entries(folder)
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2])
    assert np.array_equal(scaled(entry.entry(int, float)(scale), x, 2.0, 1.0), 2.0 * x + 1.0)
    assert hashlib.sha256(place.read_bytes()[cache.DIGEST :]).digest() == place.read_bytes()[: cache.DIGEST]


def test_an_edit_of_what_it_calls_makes_another(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "called.py"
    source.write_text("one = 1")
    module = type(entry)("called")
    module.__file__ = str(source)
    before = entry.entry(int, float, sources=(module,))(scale)
    assert before._identity() == entry.entry(int, float, sources=(module,))(scale)._identity()
    source.write_text("one = 2")
    assert entry.entry(int, float, sources=(module,))(scale)._identity() != before._identity()


def test_an_edit_after_the_import_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """Else the old code would be kept as that of the new sources."""
    source = tmp_path / "called.py"
    source.write_text("one = 1")
    module = type(entry)("called")
    module.__file__ = str(source)
    made = entry.entry(int, float, sources=(module,))(scale)
    before = made._identity()
    source.write_text("one = 2")
    assert made._identity() == before


def test_many_threads_enter_at_once(folder: Path) -> None:
    made, x = entry.entry(int, float)(scale), np.linspace(1.0, 2.0, 100_000)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda i=i: results.append(scaled(made, x, 2.0, float(i)) - i)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 8
    assert all(np.allclose(r, 2.0 * x, rtol=1e-15) for r in results)
