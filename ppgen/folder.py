"""The versioned folder: saved fits and checkpoints. JSON, safetensors and netCDF; nothing is pickled.

A manifest is the commit: everything that it names is on disk before it is renamed into place, so that a kill at any moment
leaves the manifest before it whole. Draws are written once, as chunks; only the state is written anew.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import CheckpointError

__all__ = ["Checkpoint", "Saved", "decode", "encode", "read_json", "read_tensors", "write_json", "write_tensors"]

VERSION = 1
MANIFEST = "manifest.json"


# Nests of tensors as JSON beside a flat dict of tensors


def encode(x: Any, tensors: dict[str, Tensor], path: str = "state") -> Any:
    """Any nest of tensors, numbers, strings, None, dicts, lists and tuples as JSON; tensors go to `tensors` by their path."""
    if isinstance(x, Tensor):
        tensors[path] = x
        return {"tensor": path}
    if hasattr(x, "state_dict"):  # an optimiser
        return {"object": encode(x.state_dict(), tensors, path)}
    if isinstance(x, Mapping):  # pairs, as JSON would turn whole numbers among the keys into strings
        return {"dict": [[k, encode(v, tensors, f"{path}.{k}")] for k, v in x.items()]}
    if isinstance(x, (list, tuple)):
        kind = "tuple" if isinstance(x, tuple) else "list"
        return {kind: [encode(v, tensors, f"{path}.{i}") for i, v in enumerate(x)]}
    if x is None or isinstance(x, (bool, int, float, str)):
        return {"plain": x}
    raise CheckpointError(f"{path} holds a {type(x).__name__}, which cannot be written to a checkpoint")


def decode(code: Any, tensors: Mapping[str, Tensor], like: Any = None) -> Any:
    """What `encode` was given. `like`, of the same nest, has the types that JSON has not: named tuples, optimisers, leaves
    that an optimiser holds, which are written to in place."""
    ((kind, value),) = code.items()
    if kind == "plain":
        return value
    if kind == "tensor":
        return _restored(tensors[value], like)
    if kind == "object":
        like.load_state_dict(decode(value, tensors))
        return like
    if kind == "dict":
        return {k: decode(v, tensors, like[k] if like is not None else None) for k, v in value}
    items = [decode(v, tensors, like[i] if like is not None else None) for i, v in enumerate(value)]
    if kind == "list":
        return items
    return type(like)(*items) if hasattr(like, "_fields") else tuple(items)


def _restored(t: Tensor, like: Any) -> Tensor:
    if not isinstance(like, Tensor):
        return t
    if not like.requires_grad:
        return t.to(like.device)
    with torch.no_grad():
        like.copy_(t)
    return like


# Files


def write_json(path: Path, value: Any) -> None:
    _durable(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8"))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    own = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}  # no shared storage
    _durable(path, lambda p: save_file(own, p))


def read_json(path: Path) -> Any:
    """Raises CheckpointError where the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} has no {path.name}: it is no saved fit, or a part of it is gone") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Raises CheckpointError where the file is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} has no {path.name}: a part of it is gone") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _durable(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a neighbour, then rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def checked(manifest: Any, kind: str, path: Path) -> dict[str, Any]:
    """A manifest of that kind and of a version that can be read."""
    if not isinstance(manifest, dict) or manifest.get("format") != f"ppgen {kind}":
        raise CheckpointError(f"{path} holds no {kind}; its {MANIFEST} says {str(manifest)[:60]!r}")
    if manifest.get("version") != VERSION:
        raise CheckpointError(f"{path} has version {manifest.get('version')} of the folder format; this ppgen reads version {VERSION}")
    return manifest


# Checkpoints


class Saved(NamedTuple):
    """Where a run stood: `at` draws were made, warm-up counted; chunks hold those that are kept."""

    state: Any
    tuning: Any
    at: int
    finished: bool
    chunks: list[dict[str, Tensor]]


class Checkpoint:
    """One run's folder, held by one process at a time.

        with Checkpoint(path, fingerprint) as checkpoint: ...

    fingerprint   part -> digest, of what the draws depend on; another one is another run
    Raises CheckpointError: another run, in use, damaged.
    """

    def __init__(self, path: str | Path, fingerprint: Mapping[str, str]):
        self.path, self.fingerprint = Path(path), dict(fingerprint)
        self.names: list[str] = []
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"checkpoint {self.path} is a file; name a folder")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / ".lock")

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise CheckpointError(f"checkpoint {self.path} is in use by another process") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def load(self, like: Any) -> Saved | None:
        """Where the run stood; None in an empty folder. `like`: (state, tuning) of a fresh start."""
        if not (self.path / MANIFEST).exists():
            return None
        manifest = checked(read_json(self.path / MANIFEST), "checkpoint", self.path)
        differing = [k for k, v in self.fingerprint.items() if manifest["fingerprint"].get(k) != v]
        if differing:
            raise CheckpointError(
                f"checkpoint {self.path} is of another run: {', '.join(differing)} differ; name an empty folder, or run with what it "
                "was made with"
            )
        state, tuning = decode(manifest["state"], read_tensors(self.path / manifest["tensors"]), like)
        self.names = manifest["chunks"]
        chunks = [read_tensors(self.path / name) for name in self.names]
        return Saved(state, tuning, manifest["at"], manifest["finished"], chunks)

    def save(self, state: Any, tuning: Any, at: int, finished: bool, chunk: Mapping[str, Tensor]) -> None:
        if chunk:
            name = f"draws-{len(self.names):06d}.safetensors"
            write_tensors(self.path / name, chunk)
            self.names = [*self.names, name]
        tensors: dict[str, Tensor] = {}
        code = encode((state, tuning), tensors)
        name = f"state-{at:012d}.safetensors"
        write_tensors(self.path / name, tensors)
        manifest = {
            "format": "ppgen checkpoint",
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "at": at,
            "finished": finished,
            "state": code,
            "tensors": name,
            "chunks": self.names,
        }
        write_json(self.path / MANIFEST, manifest)
        _sync(self.path)
        _remove(old for old in self.path.glob("state-*.safetensors") if old.name != name)


def _sync(folder: Path) -> None:
    """The names in a folder reach the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink()
