"""Names are found by walking packages: a planted package shows what counts, the real ones that nothing is missed."""

import ast
import inspect
from pathlib import Path

import pytest

import ppgen.inference
import ppgen.models
from ppgen.discovery import concrete, engines, families, kebab, one_line, pick
from ppgen.engine import Engine
from ppgen.errors import NameNotFoundError
from ppgen.family import Family

PLANTED = {
    "__init__.py": "",
    "good.py": '''
"""A module of two.

More about it."""
import abc
from planted.base import Base
__all__ = ["Good", "ABCThing", "Abstract", "helper"]
class Good(Base):
    """x ~ Normal(0, 1)"""
class ABCThing(Base):
    """The second one.

    More."""
class Abstract(Base, abc.ABC):
    @abc.abstractmethod
    def step(self): ...
class Unlisted(Base): ...
class Other: ...
def helper(): ...
''',
    "base.py": "__all__ = ['Base']\nclass Base: ...\n",
    "_private.py": "from planted.base import Base\n__all__ = ['Private']\nclass Private(Base): ...\n",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("GaussianMixture", "gaussian-mixture"), ("NUTS", "nuts"), ("SVI", "svi"), ("MAPEstimate", "map-estimate"), ("PCA2", "pca2")],
)
def test_kebab(name: str, expected: str) -> None:
    assert kebab(name) == expected
    assert kebab(expected) == expected


def test_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "planted"
    folder.mkdir()
    for name, text in PLANTED.items():
        (folder / name).write_text(text.lstrip())
    monkeypatch.syspath_prepend(tmp_path)
    import planted.base

    found = concrete("planted", planted.base.Base)
    assert list(found) == ["abc-thing", "good"]  # not abstract, not unlisted, not private, not the base
    assert one_line(found["good"]) == "A module of two."  # its own docstring opens with the story
    assert one_line(found["abc-thing"]) == "The second one."


@pytest.mark.parametrize(("package", "found", "base"), [(ppgen.models, families, Family), (ppgen.inference, engines, Engine)])
def test_every_public_module_is_represented(package, found, base: type) -> None:
    """Each file of the two packages defines at least one class of the kind, by its source and not by import."""
    known = found()
    modules = {kind.__module__ for kind in known.values()}
    for file in sorted(Path(package.__path__[0]).glob("[!_]*.py")):
        classes = [n.name for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.ClassDef)]
        assert f"{package.__name__}.{file.stem}" in modules, f"{file.name} has {classes}, none of them in __all__ and concrete"
    for name, kind in known.items():
        assert issubclass(kind, base)
        assert not inspect.isabstract(kind)
        assert kebab(kind.__name__) == name
        assert one_line(kind)


def test_wrong_names_are_told_with_what_comes_close() -> None:
    known = {"gaussian-mixture": 1, "hidden-markov": 2}
    assert pick("family", "Gaussian_Mixture", known) == 1
    with pytest.raises(NameNotFoundError, match="no family 'gausian-mixture'; did you mean 'gaussian-mixture'"):
        pick("family", "gausian-mixture", known)
    with pytest.raises(NameNotFoundError, match="there are gaussian-mixture, hidden-markov"):
        pick("family", "zzz", known)
