"""Object code on disk: compiled once per machine, read back in milliseconds.

    $XDG_CACHE_HOME/ppgen/native/<2 hex digits>/<62 hex digits>      (~/.cache where it is not set)

An entry's name is the SHA-256 of what it was made from: the text, the CPU and its features, the versions of llvmlite and ppgen. So
an entry of another CPU or version is not found rather than refused. An entry begins with the SHA-256 of what follows: one that is
damaged is compiled again and replaced. Entries are written beside their place and renamed, so processes may share the folder
without locks. When all of them are larger than LIMIT, those that were not used for longest go.

The samplers, which Numba compiles, are entries as well (entry.py). What Numba compiles for Python to call is cached by Numba: in
$NUMBA_CACHE_DIR, or else beside the sources; see calling.py.
"""

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import __version__
from ..errors import PpgenWarning
from .machine import Host, compiled, host

__all__ = ["LIMIT", "Cache", "folder", "kept", "object_code"]

LIMIT = 256 * 2**20  # bytes; an entry has 5 to 50 kB
LOOK = 64  # entries written by this process between two looks at how large the folder is
DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """Where entries are. A relative $XDG_CACHE_HOME is ignored, as its specification says."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not home.is_absolute():
        try:
            home = Path.home() / ".cache"
        except RuntimeError:  # a user without a home, as in some containers
            home = Path(os.devnull)  # where nothing can be written, which is said
    return home / "ppgen" / "native"


def key(text: str, machine: Host) -> str:
    """What object code depends on, as 64 hex digits."""
    return hashlib.sha256("\0".join([__version__, *machine, text]).encode()).hexdigest()


class Cache:
    """A folder of entries, at most `limit` bytes large but for what was written since the last look.

    A folder that cannot be read or written is said once, by a PpgenWarning, and then left alone.
    """

    def __init__(self, path: Path, limit: int = LIMIT):
        self.path, self.limit = path, limit
        self._usable = True
        self._written = 0

    def get(self, key: str, make: Callable[[], bytes]) -> tuple[bytes, bool]:
        """An entry, made if it is not there or damaged; and whether it was there."""
        if (found := self._read(key)) is not None:
            return found, True
        made = make()
        self._write(key, made)
        return made, False

    def _place(self, key: str) -> Path:
        return self.path / key[:2] / key[2:]

    def _read(self, key: str) -> bytes | None:
        place = self._place(key)
        try:
            entry = place.read_bytes()
        except OSError:  # not there, or not for us: writing will tell
            return None
        if hashlib.sha256(entry[DIGEST:]).digest() != entry[:DIGEST]:
            return None
        with contextlib.suppress(OSError):
            os.utime(place)  # used just now
        return entry[DIGEST:]

    def _write(self, key: str, content: bytes) -> None:
        if not self._usable:
            return
        place = self._place(key)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write_at_once(place, hashlib.sha256(content).digest() + content)
            if self._written % LOOK == 0:
                self._shrink()
        except OSError as error:
            self._usable = False
            warnings.warn(
                f"compiled programs are not kept: {self.path} cannot be written to ({error}); "
                "every process compiles anew until there is room, or $XDG_CACHE_HOME names another folder",
                PpgenWarning,
                stacklevel=2,
            )
        self._written += 1

    def _shrink(self) -> None:
        """Remove what was used longest ago until a tenth of the limit is free; also what a killed process left half written."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        if total <= self.limit:
            return
        for _, size, path in entries:
            if total <= 0.9 * self.limit:
                break
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                Path(path).unlink()
            total -= size

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """(last use, bytes, path) of every file."""
        for part in _listed(self.path):
            for entry in _listed(part):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat()
                    yield status.st_mtime, status.st_size, entry.path


def _listed(path: "Path | os.DirEntry[str]") -> list["os.DirEntry[str]"]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        return list(entries)
    return []


def _write_at_once(place: Path, content: bytes) -> None:
    """A file that is there as a whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


_caches: dict[Path, Cache] = {}


def object_code(text: str) -> tuple[bytes, bool]:
    """Object code of a module of LLVM IR for this machine, and whether it came from the cache."""
    return kept(text, lambda: compiled(text))


def kept(source: str, make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """What `make` makes of a source for this machine, or made before; and whether it came from the cache."""
    path = folder()
    cache = _caches.setdefault(path, Cache(path))
    return cache.get(key(source, host()), make)
