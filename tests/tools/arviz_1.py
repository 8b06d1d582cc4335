"""The tests of ppgen.arviz and ppgen.diagnostics under ArviZ 1.x, which needs Python 3.12 or newer. They need no torch.

From the root of the repository

    python -m tests.tools.arviz_1 [interpreter]

makes build/arviz-1 with that interpreter (the newest on the PATH unless given), installs ArviZ 1.x and what the tests use,
and runs them; once it is there, tests/ppgen/test_arviz_1.py runs them too. Any other environment will do as well: name its
interpreter in PPGEN_ARVIZ_1.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "arviz-1"
TESTS = ("tests/ppgen/test_arviz.py", "tests/ppgen/test_diagnostics.py")
NEEDS = ("arviz>=1,<2", "h5netcdf", "h5py", "matplotlib", "pytest>=8")
PYTHONS = ("python3.14", "python3.13", "python3.12")
HAS_ARVIZ_1 = "import importlib.metadata as m, pytest, sys; sys.exit(not m.version('arviz').startswith('1.'))"


def find() -> Path | None:
    """An interpreter that has ArviZ 1.x and pytest: PPGEN_ARVIZ_1, build/arviz-1, or one on the PATH."""
    places = [os.environ.get("PPGEN_ARVIZ_1"), str(ENVIRONMENT / "bin" / "python"), *map(shutil.which, PYTHONS)]
    return next((Path(p) for p in places if p is not None and _says_yes(p, HAS_ARVIZ_1)), None)


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """That interpreter with those arguments in this checkout, its output kept."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(python), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def run_tests(python: Path) -> subprocess.CompletedProcess[str]:
    """The tests of TESTS, warnings as errors; without conftest.py, which imports torch."""
    options = ("-q", "--noconftest", "-p", "no:cacheprovider", "-W", "error", "-o", "addopts=")
    return run(python, "-m", "pytest", *options, *TESTS)


def make(base: str) -> Path:
    """The environment build/arviz-1."""
    python = ENVIRONMENT / "bin" / "python"
    subprocess.run([base, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDS], check=True)
    return python


def _says_yes(python: str, code: str) -> bool:
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main(given: list[str]) -> int:
    python = None if given else find()
    if python is None:
        newer = "import sys; sys.exit(sys.version_info < (3, 12))"
        base = next((p for p in given or map(shutil.which, PYTHONS) if p and _says_yes(p, newer)), None)
        if base is None:
            sys.stderr.write(f"ArviZ 1.x needs Python 3.12 or newer; none of these is: {', '.join(given or PYTHONS)}\n")
            return 2
        python = make(base)
    done = run_tests(python)
    sys.stdout.write(f"{python}\n{done.stdout}{done.stderr}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
