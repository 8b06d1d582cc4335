"""What is installed is what the checkout holds: packages, data files, dependencies, versions; by wheel, by sdist and in place."""

import ast
import configparser
import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

import ppgen

ROOT = Path(__file__).parents[2]
MAPPED = {"ppgen.inference": "inference", "ppgen.models": "models"}
BY_NAME = {"h5netcdf", "h5py"}  # what other libraries open for us, by their names


def _pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def _folders() -> dict[str, Path]:
    """Every package of the checkout by its installed name."""
    found = {}
    for name, top in {"ppgen": "ppgen", **MAPPED}.items():
        for init in (ROOT / top).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / top)
            if not any((ROOT / top / part).is_symlink() for part in inside.parts[:1]):
                found[".".join((name, *inside.parts))] = init.parent
    return found


def _sources() -> set[str]:
    """The files that an installation must have, by their installed paths."""
    kinds = {"*.py", "py.typed", "*.bif", "*.csv", "*.gml", "*.json", "*.npz"}
    return {f"{name.replace('.', '/')}/{file.name}" for name, folder in _folders().items() for kind in kinds for file in folder.glob(kind)}


def test_setup_cfg_lists_the_folders() -> None:
    assert set(_setup_cfg()["options"]["packages"].split()) == set(_folders())


@pytest.mark.parametrize(("package", "folder"), MAPPED.items())
def test_the_two_folders_are_mapped_and_linked(package: str, folder: str) -> None:
    assert f"{package} = {folder}" in _setup_cfg()["options"]["package_dir"].splitlines()
    link = ROOT / package.replace(".", "/")
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{folder}"


def test_one_version() -> None:
    assert _pyproject()["project"]["dynamic"] == ["version"]
    assert f"\nversion: {ppgen.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {ppgen.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(requirements: list[str]) -> set[str]:
    return {_plain(re.split(r"[\[<>=!;~ ]", requirement)[0]) for requirement in requirements}


def _imported() -> set[str]:
    """The distributions whose modules the sources import."""
    distributions = importlib.metadata.packages_distributions()
    modules = set()
    for folder in _folders().values():
        for file in folder.glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules.add(str(node.module).partition(".")[0])
    return {_plain(distributions.get(module, [module])[0]) for module in modules - sys.stdlib_module_names - {"ppgen"}}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = _pyproject()["project"]
    needed = _declared(project["dependencies"])
    assert needed <= _imported() | BY_NAME <= needed | _declared(project["optional-dependencies"]["structure"])


def test_constraints_pin_whatever_is_declared() -> None:
    project = _pyproject()["project"]
    wanted = _declared(project["dependencies"] + project["optional-dependencies"]["dev"] + project["optional-dependencies"]["parquet"])
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert wanted - {"ppgen"} <= {_plain(name) for name in pins}
    assert pins["torch"] == "2.13.0"


# Installations


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, so that building leaves nothing behind in this one."""
    copy = tmp_path_factory.mktemp("packaging") / "checkout"
    copy.mkdir()
    for name in ("ppgen", "models", "inference", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


def _build(source: Path, kind: str, into: Path) -> Path:
    """Builds a wheel or an sdist of `source` with the setuptools of this environment."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    into.mkdir(exist_ok=True)
    shown = subprocess.run([sys.executable, "-c", code, str(into)], cwd=source, check=True, capture_output=True, text=True)
    return into / shown.stdout.splitlines()[-1]


def _names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.slow
def test_a_wheel_holds_every_file_and_no_other(checkout: Path, tmp_path: Path) -> None:
    assert _names(_build(checkout, "wheel", tmp_path)) == _sources()


@pytest.mark.slow
def test_a_wheel_needs_no_links(checkout: Path, tmp_path: Path) -> None:
    """As where git writes links as small text files."""
    source = shutil.copytree(checkout, tmp_path / "checkout", symlinks=True)
    for package, folder in MAPPED.items():
        link = source / package.replace(".", "/")
        link.unlink()
        link.write_text(f"../{folder}")
    assert _names(_build(source, "wheel", tmp_path)) == _sources()


CHECK = """
import importlib.util, pathlib, sys
import ppgen, ppgen.inference, ppgen.models
from ppgen import datasets
from ppgen.inference import nuts
from ppgen.models import GaussianMixture
assert datasets.load("old-faithful").x.shape == (272, 2)
assert importlib.util.find_spec("models") is None and importlib.util.find_spec("inference") is None
assert (pathlib.Path(ppgen.__file__).parent / "py.typed").is_file()
print(ppgen.__file__)
print(GaussianMixture.__module__, ppgen.models.__file__, nuts.__file__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_installation_works_outside_the_checkout(checkout: Path, tmp_path: Path, kind: str) -> None:
    """In an environment of its own, whose other packages are this environment's."""
    what = ["--editable", str(checkout)] if kind == "editable" else [str(_build(checkout, kind, tmp_path / "dist"))]
    environment = tmp_path / "environment"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
    python = environment / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", *offline, *what], check=True, cwd=tmp_path)

    shown = subprocess.run([python, "-c", CHECK], check=True, cwd=tmp_path, capture_output=True, text=True)
    home = checkout if kind == "editable" else site
    places = [word for word in shown.stdout.split() if word.startswith("/")]
    assert len(places) == 3
    assert all(Path(place).is_relative_to(home) for place in places)
    version = subprocess.run([environment / "bin" / "ppgen", "--version"], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert version.stdout == f"ppgen {ppgen.__version__}\n"
