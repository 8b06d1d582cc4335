"""What a command line asks for: engines with their settings, and a program with its data. Whatever is wrong raises before any work."""

import dataclasses
import importlib.util
import inspect
import json
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from .discovery import closest, engines, families, kebab, pick
from .errors import DataError, EngineError, NameNotFoundError, ProgramError

if TYPE_CHECKING:
    from .datasets import Dataset
    from .engine import Engine

__all__ = ["Asked", "asked_engines", "asked_program"]

PLAIN = (bool, int, float, str, NoneType)  # what a key=value can be checked against


class Asked(typing.NamedTuple):
    """A program, its data where it has any, and its keywords."""

    program: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any]


# Engines


def asked_engines(names: Sequence[str], settings: Mapping[str, Any]) -> dict[str, "Engine"]:
    """The engines by name, each with the settings that it has; one that none of them has is an error."""
    if not names:
        raise NameNotFoundError(f"--engines names none{closest('', engines())}")
    kinds = {kebab(name): pick("engine", name, engines()) for name in names}
    types = {name: {f.name: f.type for f in dataclasses.fields(kind) if f.init} for name, kind in kinds.items()}
    chosen: dict[str, dict[str, Any]] = {name: {"progress": not settings["quiet"]} for name in kinds}
    given = {k: v for k, v in settings.items() if k not in ("quiet", "special", "checkpoint") and v is not None}
    for key, value in {**given, **_assignments(settings["special"], "--set")}.items():
        _assign(chosen, types, key, value)
    if settings["checkpoint"] is not None:
        for name, mine in chosen.items():
            mine["checkpoint"] = Path(settings["checkpoint"]) / name if len(chosen) > 1 else settings["checkpoint"]
    return {name: kind(**chosen[name]) for name, kind in kinds.items()}


def _assign(chosen: Mapping[str, dict[str, Any]], types: Mapping[str, Mapping[str, Any]], key: str, value: Any) -> None:
    """`nuts.step_size` goes to that engine, `step_size` to every engine that has it."""
    owner, _, setting = key.rpartition(".")
    setting = setting.replace("-", "_")
    owners = [pick("engine", owner, {name: name for name in chosen})] if owner else list(chosen)
    having = [name for name in owners if setting in types[name]]
    if not having:
        known = sorted(set().union(*(types[name] for name in owners)))
        raise NameNotFoundError(f"{' and '.join(owners)} has no setting {setting!r}{closest(setting, known)}")
    for name in having:
        chosen[name][setting] = _as(types[name][setting], value, f"{name}.{setting}")


def _as(kind: Any, value: Any, setting: str) -> Any:
    """The value of a setting that is annotated with `kind`; a dtype is given by its name."""
    import torch

    dtype = getattr(torch, value, None) if isinstance(value, str) else None
    if isinstance(dtype, torch.dtype) and _fits(dtype, kind):
        return dtype
    if not _fits(value, kind):
        raise EngineError(f"{setting} must be {_name(kind)}, not {value!r}")
    return value


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type."""
    origin, options = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in options
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in options)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else origin or kind)


def _assignments(texts: Sequence[str], option: str) -> dict[str, Any]:
    """key=value, the value read as JSON (2, 0.5, true, null, [1, 2]) and otherwise as text."""
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.strip()):
            raise DataError(f"{option} takes key=value, not {text!r}")
        try:
            values[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            values[key.strip()] = value
    return values


# Programs


def asked_program(target: str, params: Sequence[str], dataset: "Dataset | None") -> Asked:
    """A family is made with the params, as it suits the data; a function is called with the data and the params."""
    settings = _assignments(params, "--param")
    if target.endswith(".bif"):
        return _network(target, settings, dataset)
    thing = _target(target)
    parameters = list(inspect.signature(thing).parameters.values())
    if inspect.isclass(thing):
        from .family import Family

        if dataset is not None and issubclass(thing, Family):
            _check_keywords(target, thing, parameters, settings, missing=False)
            family, x = thing.for_data(dataset, settings)
            return Asked(family, (x,), {})
        _check_keywords(target, thing, parameters, settings)
        made: Any = thing(**settings)
        return Asked(made, () if dataset is None else (dataset.x,), {})
    if dataset is None:
        _check_keywords(target, thing, parameters, settings)
        return Asked(thing, (), settings)
    if not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        raise ProgramError(f"{target} takes no argument for the data, a tensor of rows; write def {target.rpartition(':')[2]}(x, ...)")
    _check_keywords(target, thing, parameters[1:], settings)
    return Asked(thing, (dataset.x,), settings)


def _network(target: str, settings: dict[str, Any], dataset: "Dataset | None") -> Asked:
    """A file of tables: the network, with the rows of a table where one is given."""
    from . import datasets
    from .models import BayesianNetwork

    file = datasets.load(target)
    parameters = list(inspect.signature(BayesianNetwork.from_bif).parameters.values())
    _check_keywords(target, BayesianNetwork.from_bif, parameters, settings, missing=False)
    made = BayesianNetwork.for_data(file, settings) if dataset is None else BayesianNetwork.for_data(dataset, {**settings, "bif": file.x})
    return Asked(made[0], (made[1],), {})


def _target(target: str) -> Any:
    path, _, name = target.rpartition(":")
    if target.endswith(".py"):
        raise NameNotFoundError(f"{target} is a file; name the callable in it too, as {target}:my_model")
    thing: Any = _from_file(Path(path), name) if path.endswith(".py") else pick("family", target, families())
    if not callable(thing):
        raise ProgramError(f"{target} is not callable, but {type(thing).__name__}; name a function or a Family")
    return thing


def _check_keywords(target: str, thing: Any, parameters: Sequence[Parameter], params: Mapping[str, Any], missing: bool = True) -> None:
    """Every keyword is one that the callable takes, of the type that it says; none that it needs is missing."""
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    unknown = [key for key in params if key not in named]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise NameNotFoundError(f"{target} has no argument {unknown[0]!r}{closest(unknown[0], named)}")
    hints = _hints(thing.__init__ if inspect.isclass(thing) else thing)
    for key, value in params.items():
        if _is_plain(hints.get(key)) and not _fits(value, hints[key]):
            raise ProgramError(f"{target}: {key} must be {_name(hints[key])}, not {value!r}")
    needed = [name for name, p in named.items() if p.default is p.empty and name not in params]
    if missing and needed:
        raise ProgramError(f"{target} needs {', '.join(needed)}; give --param {needed[0]}=VALUE")


def _hints(thing: Any) -> dict[str, Any]:
    """Annotations that can be made sense of; those of a user's file may name what is not there."""
    try:
        return typing.get_type_hints(thing)
    except (NameError, TypeError, AttributeError):
        return {}


def _is_plain(kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return all(map(_is_plain, get_args(kind)))
    return kind in PLAIN or get_origin(kind) is Literal


def _from_file(path: Path, name: str) -> Any:
    """What `name` is in that Python file."""
    if not path.is_file():
        raise NameNotFoundError(f"there is no file {str(path)!r}")
    module = _import(path)
    if not hasattr(module, name):
        own = [n for n, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
        raise NameNotFoundError(f"{path} has no {name!r}{closest(name, own)}")
    return getattr(module, name)


def _import(path: Path) -> ModuleType:
    """The file as a module; as with `python file.py`, its neighbours can be imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ProgramError(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ProgramError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module
