"""Families and engines by name, found by walking `ppgen.models` and `ppgen.inference`: a new file there is all it takes.

A name is the class's own in kebab case: GaussianMixture is `gaussian-mixture`, NUTS is `nuts`. A module offers what its
`__all__` lists; modules whose name begins with `_` are private. Modules are imported here and not before.
"""

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TypeVar

from .errors import NameNotFoundError

__all__ = ["closest", "concrete", "engines", "families", "kebab", "one_line", "pick"]

Thing = TypeVar("Thing")

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def kebab(name: str) -> str:
    """GaussianMixture -> gaussian-mixture, NUTS -> nuts, MAPEstimate -> map-estimate."""
    return _WORD.sub("-", name).replace("_", "-").lower()


@cache
def families() -> dict[str, type]:
    """Every concrete Family of `ppgen.models`, by kebab-case name, in alphabetical order."""
    from .family import Family

    return concrete("ppgen.models", Family)


@cache
def engines() -> dict[str, type]:
    """Every concrete Engine of `ppgen.inference`, by kebab-case name, in alphabetical order."""
    from .engine import Engine

    return concrete("ppgen.inference", Engine)


def concrete(package: str, base: type) -> dict[str, type]:
    """The concrete subclasses of `base` that the public modules of a package list in `__all__`, by name."""
    found = {}
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        if info.name.rpartition(".")[2].startswith("_"):
            continue
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) and issubclass(thing, base) and thing is not base and not inspect.isabstract(thing):
                found[kebab(name)] = thing
    return dict(sorted(found.items()))


def pick(kind: str, name: str, known: Mapping[str, Thing]) -> Thing:
    """`known[name]`, however the name is written (NUTS, nuts, gaussian_mixture).

    Raises NameNotFoundError with the names that come close and all that exist.
    """
    by_name = {kebab(key): value for key, value in known.items()}
    if kebab(name) not in by_name:
        raise NameNotFoundError(f"there is no {kind} {name!r}{closest(kebab(name), known)}")
    return by_name[kebab(name)]


def closest(name: str, known: Iterable[str]) -> str:
    """The second half of a message about a wrong name: what was probably meant, and what there is."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{meant} there {'are' if len(names) != 1 else 'is'} {', '.join(names) or 'none'}"


def one_line(thing: type) -> str:
    """What a class is, in one line: the first of its own docstring, or of its module's where the class has none of its own
    or opens with its generative story."""
    own = (vars(thing).get("__doc__") or "").strip()
    module = (getattr(inspect.getmodule(thing), "__doc__", None) or "").strip()
    story = not own or own.startswith(thing.__name__ + "(") or "~" in own.splitlines()[0]  # a dataclass makes itself one
    return ((module or own) if story else own).split("\n", 1)[0].strip()
