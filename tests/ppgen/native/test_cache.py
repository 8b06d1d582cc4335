"""The cache of object code: hits, damage, disks that are full, processes side by side."""

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from ppgen.errors import PpgenWarning
from ppgen.native import cache, machine
from ppgen.native.cache import Cache

TEXT = "define i64 @answer() {\n  ret i64 42\n}\n"
KEY = "0123456789abcdef" * 4


class Maker:
    """Counts how often it is asked."""

    def __init__(self, made: bytes = b"object code"):
        self.made, self.times = made, 0

    def __call__(self) -> bytes:
        self.times += 1
        return self.made


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def test_made_once(tmp_path: Path) -> None:
    make = Maker()
    assert Cache(tmp_path / "a" / "b").get(KEY, make) == (b"object code", False)
    assert Cache(tmp_path / "a" / "b").get(KEY, make) == (b"object code", True)
    assert make.times == 1
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:10], lambda b: b"", lambda b: b[:40] + b"x" + b[41:]])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: object) -> None:
    kept, make = Cache(tmp_path), Maker()
    kept.get(KEY, make)
    [entry] = files(tmp_path)
    entry.write_bytes(damage(entry.read_bytes()))  # type: ignore[operator]
    assert kept.get(KEY, make) == (b"object code", False)
    assert kept.get(KEY, make) == (b"object code", True)
    assert make.times == 2


def test_what_is_used_stays_and_the_oldest_go(tmp_path: Path) -> None:
    kept = Cache(tmp_path, limit=10_000)
    names = [f"{i:02x}" * 32 for i in range(20)]
    for i, name in enumerate(names):
        kept.get(name, Maker(bytes(968)))  # 1000 with the checksum
        os.utime(kept._place(name), (i, i))
    kept.get(names[0], Maker())  # used again
    Cache(tmp_path, limit=10_000).get("ff" * 32, Maker(bytes(968)))  # the first that a process writes makes it look
    left = {p.parent.name + p.name for p in files(tmp_path)}
    assert left == {names[0], *names[-7:], "ff" * 32}


def test_a_full_disk_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    kept, make = Cache(tmp_path), Maker()
    with pytest.warns(PpgenWarning, match=r"compiled programs are not kept: .*No space left.*XDG_CACHE_HOME"):
        assert kept.get(KEY, make) == (b"object code", False)
    assert kept.get(KEY, make) == (b"object code", False)  # a second warning would be an error
    assert not files(tmp_path)


def test_a_disk_that_fills_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.warns(PpgenWarning, match="No space left"):
        assert Cache(tmp_path).get(KEY, Maker()) == (b"object code", False)
    assert not files(tmp_path)


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "ppgen").write_text("a file")
    with pytest.warns(PpgenWarning, match="not kept"):
        assert Cache(tmp_path / "ppgen" / "native").get(KEY, Maker()) == (b"object code", False)


def test_the_folder_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert cache.folder() == tmp_path / "elsewhere" / "ppgen" / "native"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.folder() == tmp_path / ".cache" / "ppgen" / "native"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == tmp_path / ".cache" / "ppgen" / "native"


def test_a_user_without_a_home_compiles_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setattr(cache, "_caches", {})
    with pytest.warns(PpgenWarning, match="not kept"):
        assert cache.object_code(TEXT)[1] is False


def test_another_machine_or_version_has_entries_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = machine.host()
    assert [cache.object_code(TEXT)[1] for _ in range(2)] == [False, True]
    for other in (
        here._replace(cpu="znver1"),
        here._replace(features="-avx"),
        here._replace(llvmlite="0.1"),
        here._replace(triple="aarch64"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(cache, "host", lambda other=other: other)
            assert [cache.object_code(TEXT)[1] for _ in range(2)] == [False, True]
    with monkeypatch.context() as changed:
        changed.setattr(cache, "__version__", "0.0.1")
        assert cache.object_code(TEXT)[1] is False
    assert cache.object_code(TEXT.replace("42", "43"))[1] is False
    assert cache.object_code(TEXT)[1] is True


PROCESS = """
import ctypes, sys, time
from ppgen.native import cache, machine
while time.time() < float(sys.argv[1]):
    pass
total = 0
for i in range(12):
    objects, _ = cache.object_code(f"define i64 @f() {{\\n  ret i64 {i}\\n}}\\n")
    code = machine.Code(objects, ("f",))
    total += ctypes.CFUNCTYPE(ctypes.c_int64)(code.addresses["f"])()
print(total)
"""


def test_eight_processes_share_a_cold_cache(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(cache.__file__).parents[2])}
    at = str(time.time() + 4)
    started = [subprocess.Popen([sys.executable, "-W", "error", "-c", PROCESS, at], env=env, stdout=subprocess.PIPE) for _ in range(8)]
    assert [p.communicate(timeout=120)[0].strip() for p in started] == [b"66"] * 8
    assert len(files(tmp_path)) == 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(Cache(tmp_path / "ppgen" / "native").get(p.parent.name + p.name, Maker())[1] for p in files(tmp_path))
