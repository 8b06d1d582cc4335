"""Peers' environments, and fresh processes in them whose caches hold nothing of the model to come."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Environment", "FailedError"]

HERE = Path(__file__).parent
OURS = ("ppgen", "pyro")  # run in the environment that runs this file
LIMIT = 900.0  # seconds that any process gets


class FailedError(Exception):
    """A process that did not do what it was asked; the message is the last line that it wrote."""


@dataclass(frozen=True)
class Environment:
    """peer   a module of peers/
    folder    where environments and prepared caches are kept
    """

    peer: str
    folder: Path

    @property
    def ours(self) -> bool:
        return self.peer in OURS

    @property
    def python(self) -> Path:
        return Path(sys.executable) if self.ours else self.folder / self.peer / "bin" / "python"

    @property
    def caches(self) -> Path:
        """What a machine has cached that ran the peer before, on another program."""
        return self.folder / f"{self.peer}.caches"

    def build(self) -> None:
        """Install the versions in peers/NAME.txt, by uv where there is one. Raises FailedError."""
        if self.ours:
            return
        wanted, home = HERE / "peers" / f"{self.peer}.txt", self.folder / self.peer
        built = home / "built"
        if built.exists() and built.read_text() == wanted.read_text():
            return
        print(f"building {home}", flush=True)  # noqa: T201
        if not self.python.exists():
            venv.create(home, with_pip=True)
        uv = shutil.which("uv")
        pip = [uv, "pip", "install", "--python", str(self.python)] if uv else [str(self.python), "-m", "pip", "install"]
        _run([*pip, "-q", "-r", str(wanted)], dict(os.environ), LIMIT)
        built.write_text(wanted.read_text())

    def prepare(self, data: Path) -> None:
        """Fill the caches with all that does not depend on the model: `ppgen warmup`, and for the others a run of a model that
        is none of the ten. ppgen's are filled each time, since its sources change; Pyro has none. Raises FailedError."""
        if self.caches.exists() and self.peer != "ppgen":
            return
        shutil.rmtree(self.caches, ignore_errors=True)
        self.caches.mkdir(parents=True)
        small = self._task("sample", "small", data, self.caches / "small", ["--warmup", "50", "--draws", "50"])
        task = {"ppgen": ["-m", "ppgen", "warmup"], "pyro": ["-c", "pass"]}.get(self.peer, small)
        _run([str(self.python), *task], self._variables(self.caches), LIMIT)

    def run(self, task: str, model: str, data: Path, out: Path, *options: str, warm: bool = True, limit: float = LIMIT) -> float:
        """Seconds of a process from its start to its end, on a copy of the prepared caches or, not `warm`, on empty ones."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            caches = Path(scratch) / "caches"
            if warm:
                shutil.copytree(self.caches, caches)
            command = [str(self.python), *self._task(task, model, data, out, list(options))]
            begin = time.perf_counter()
            _run(command, self._variables(caches), limit)
            return time.perf_counter() - begin

    def _task(self, task: str, model: str, data: Path, out: Path, options: list[str]) -> list[str]:
        return ["-m", f"peers.{self.peer}", task, model, str(data), str(out), *options]

    def _variables(self, caches: Path) -> dict[str, str]:
        """Each cache that a peer keeps on disk, in a folder of the process's own."""
        own = {
            "XDG_CACHE_HOME": str(caches / "xdg"),
            "NUMBA_CACHE_DIR": str(caches / "numba"),
            "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
            "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": str(HERE.parent) if self.ours else "",
            "PYTHONDONTWRITEBYTECODE": "",  # a checkout is then compiled once, as what pip installs is
        }
        return {**os.environ, **own}


def _run(command: list[str], variables: dict[str, str], limit: float) -> None:
    try:
        subprocess.run(command, env=variables, cwd=HERE, capture_output=True, text=True, timeout=limit, check=True)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"not done in {limit:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise FailedError((error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]) from error
