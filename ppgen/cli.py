"""The command line: `ppgen compare`, `fit`, `diagram`, `structure`, `list`, `warmup`.

A PpgenError is one line on stderr and exit code 2; Ctrl-C is exit code 130. Only click is imported before a command runs, so
that `--help` answers at once.
"""

import dataclasses
import importlib.util
import inspect
import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import click

from .discovery import closest, engines, families, kebab, one_line, pick
from .errors import DataError, EngineError, NameNotFoundError, PpgenError, PpgenWarning, ProgramError

if TYPE_CHECKING:
    from rich.console import Console

    from .comparison import Comparison
    from .datasets import Dataset
    from .engine import Engine

__all__ = ["main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _OneLine(click.ClickException):
    """What a user is told: one line."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"ppgen: {' '.join(self.message.split())}", file=file, err=True)


class _Commands(click.Group):
    """A group whose commands end in one line where something is the matter, and warn in one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                return super().invoke(ctx)
        except PpgenError as error:
            raise _OneLine(str(error)) from error
        except KeyboardInterrupt:
            click.echo("ppgen: interrupted", err=True)
            ctx.exit(INTERRUPTED)


def _warn(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None) -> None:
    """What ppgen warns of concerns results and not a line of code; other warnings keep theirs."""
    ours = issubclass(category, PpgenWarning)
    click.echo(f"ppgen: {message}" if ours else warnings.formatwarning(message, category, filename, lineno, line).rstrip(), err=True)


def _version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        from . import __version__

        click.echo(f"ppgen {__version__}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version.")
def main() -> None:
    """Fit generative programs by several engines and compare what they find.

    \b
    TARGET  a family, such as gaussian-mixture, or a callable in a file: my_file.py:my_model
    DATA    a data set by name, such as old-faithful, or a .csv, .npz or .npy file

    `ppgen list` shows what there is.
    """


# Options that commands share. Each setting goes to the engines that have it.


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--data", required=True, metavar="DATA", help="A data set's name or a .csv, .npz or .npy file."),
        click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="An argument of TARGET; repeatable."),
        click.option("--seed", type=int, help="Of all randomness.  [default: 0]"),
        click.option("--num-warmup", type=int, help="Draws per chain that adapt the sampler and are not kept."),
        click.option("--num-samples", type=int, help="Draws kept, per chain."),
        click.option("--num-chains", type=int, help="Markov chains."),
        click.option("--num-steps", type=int, help="Gradient steps of an optimiser."),
        click.option("--batch-size", type=int, help="Rows of a minibatch."),
        click.option("--guide", help="Of variational inference, by name."),
        click.option("--learning-rate", type=float, help="Of an optimiser."),
        click.option("--checkpoint", type=click.Path(file_okay=False), help="Folder to resume from and write to."),
        click.option("--set", "special", multiple=True, metavar="[ENGINE.]KEY=VALUE", help="Any other setting; repeatable."),
        click.option("--quiet", is_flag=True, help="No progress bars."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument("target")
@click.option("--engines", "names", default="svi,nuts", show_default=True, metavar="NAMES", help="Separated by commas.")
@click.option("--out", type=click.Path(file_okay=False), default="report", show_default=True, help="Folder for the report.")
@_run_options
def compare(names: str, out: str, **options: Any) -> None:
    """Fit TARGET to DATA by several engines; print and save how they compare.

    Writes report.html, one netCDF file per engine for ArviZ, and settings.json.
    """
    comparison = _compare([name.strip() for name in names.split(",") if name.strip()], **options)
    _show(comparison, "Report", comparison.save(out))


@main.command()
@click.argument("target")
@click.option("--engine", "name", default="nuts", show_default=True, metavar="NAME", help="See `ppgen list`.")
@click.option("--out", type=click.Path(file_okay=False), default="fit", show_default=True, help="Folder for the posterior.")
@_run_options
def fit(name: str, out: str, **options: Any) -> None:
    """Fit TARGET to DATA by one engine; print a summary and save the posterior.

    The folder is read again by `ppgen.Posterior.load`.
    """
    comparison = _compare([name], **options)
    for posterior in comparison.posteriors.values():
        posterior.save(out)
    _show(comparison, "Posterior", out)


def _compare(names: list[str], *, target: str, data: str, params: tuple[str, ...], **settings: Any) -> "Comparison":
    """Runs the engines one after the other. Whatever is wrong with the command is found before the first one starts."""
    from .comparison import compare as compare_posteriors

    runs = _engines(names, settings)
    dataset = _load(data)
    program, keywords = _program(target, _assignments(params, "--param"), dataset)
    posteriors = {name: engine.run(program, dataset.x, **keywords) for name, engine in runs.items()}
    return compare_posteriors(posteriors, dataset=dataset)


def _show(comparison: "Comparison", what: str, where: str | Path) -> None:
    console = _console()
    console.print(comparison)
    console.print(f"\n{what}: {where}", markup=False, highlight=False, soft_wrap=True)


def _program_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="An argument of TARGET; repeatable.")(command)
    return click.option("--data", metavar="DATA", help="A data set's name or a file; none for a TARGET that takes none.")(command)


@main.command()
@click.argument("target")
@click.option("--out", type=click.Path(dir_okay=False), help="File to write; its suffix says how.  [default: TARGET's name]")
@click.option("--format", "kind", type=click.Choice(["svg", "png", "pdf", "dot", "mmd", "json"]), default="svg", show_default=True)
@click.option("--detail", type=click.Choice(["minimal", "default", "full"]), default="default", show_default=True)
@click.option("--guide", is_flag=True, help="Draw a family's guide over it, dashed.")
@_program_options
def diagram(target: str, out: str | None, kind: str, detail: Any, guide: bool, data: str | None, params: tuple[str, ...]) -> None:
    """Draw the plate diagram of TARGET."""
    from .drawing import diagram as drawn

    program, arguments, keywords = _called(target, data, params)
    if guide and not hasattr(program, "guide"):
        raise ProgramError(f"{target} has no guide; --guide is for families")
    picture = drawn(program, *arguments, detail=detail, guide=program.guide if guide else None, **keywords)  # type: ignore[attr-defined]
    name = target.rpartition(":")[2]
    _console().print(f"Diagram: {picture.save(out or f'{name}.{kind}')}", markup=False, highlight=False, soft_wrap=True)


@main.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Nodes, edges and plates with all that is known of them.")
@_program_options
def structure(target: str, as_json: bool, data: str | None, params: tuple[str, ...]) -> None:
    """Print TARGET's factorisation and generative story, or its graph."""
    from .drawing import diagram as drawn
    from .factorisation import formula
    from .graph import structure as read

    program, arguments, keywords = _called(target, data, params)
    graph = read(program, *arguments, **keywords)
    click.echo(drawn(graph, detail="full").json if as_json else str(formula(graph)))


def _called(target: str, data: str | None, params: tuple[str, ...]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The program with its arguments."""
    dataset = None if data is None else _load(data)
    program, keywords = _program(target, _assignments(params, "--param"), dataset)
    return program, () if dataset is None else (dataset.x,), keywords


@main.command("list")
def list_() -> None:
    """Show the families, engines and data sets that there are."""
    from rich.table import Table
    from rich.text import Text

    from . import datasets

    kinds: dict[str, dict[str, str]] = {
        "Families": {name: one_line(kind) for name, kind in families().items()},
        "Engines": {name: one_line(kind) for name, kind in engines().items()},
        "Data sets": datasets.available(),
    }
    console = _console()
    width = max((len(name) for names in kinds.values() for name in names), default=0)
    for title, entries in kinds.items():
        table = Table(title=Text(title, style="bold"), title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(min_width=width)
        for name, line in entries.items():
            table.add_row(Text(name), Text(line, style="dim"))
        console.print(table)


@main.command()
def warmup() -> None:
    """Compile the engines' machine code, once per machine.

    A run does it by itself where it has not been done; this does it ahead, at install time.
    """
    console = _console()
    for name, kind in engines().items():
        with console.status(f"{name} ..."):
            begin = time.perf_counter()
            _run_small(kind)
        console.print(f"{name:<24}{time.perf_counter() - begin:6.1f} s", highlight=False)


def _run_small(kind: "type[Engine]") -> None:
    """An engine on next to nothing, for what it leaves behind in the caches."""
    few: dict[str, Any] = {"num_warmup": 20, "num_samples": 5, "num_chains": 1, "num_steps": 2, "progress": False}
    known = {f.name for f in dataclasses.fields(kind)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PpgenWarning)
        kind(**{k: v for k, v in few.items() if k in known}).run(_two_normals)


def _two_normals() -> None:
    import pyro
    import pyro.distributions as dist

    pyro.sample("x", dist.Normal(pyro.sample("loc", dist.Normal(0.0, 1.0)), 1.0))


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _load(data: str) -> "Dataset":
    from . import datasets

    return datasets.load(data)


# Settings


def _engines(names: list[str], settings: Mapping[str, Any]) -> dict[str, "Engine"]:
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
        expected = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
        raise EngineError(f"{setting} must be {expected}, not {value!r}")
    return value


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


def _assignments(texts: tuple[str, ...], option: str) -> dict[str, Any]:
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


# Targets


def _program(target: str, params: dict[str, Any], dataset: "Dataset | None") -> tuple[Callable[..., Any], dict[str, Any]]:
    """The callable that engines run and its keywords: a class is made with the params, a function is called with them."""
    path, _, name = target.rpartition(":")
    if target.endswith(".py"):
        raise NameNotFoundError(f"{target} is a file; name the callable in it too, as {target}:my_model")
    thing: Any = _from_file(Path(path), name) if path.endswith(".py") else pick("family", target, families())
    if not callable(thing):
        raise ProgramError(f"{target} is not callable, but {type(thing).__name__}; name a function or a Family")
    parameters = list(inspect.signature(thing).parameters.values())
    if not inspect.isclass(thing) and dataset is None:
        _check_keywords(target, parameters, params)
        return thing, params
    if not inspect.isclass(thing):
        if not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
            raise ProgramError(f"{target} takes no argument for the data, a tensor of rows; write def {name}(x, ...)")
        _check_keywords(target, parameters[1:], params)
        return thing, params
    if dataset is not None and any(p.name == "like" for p in parameters):
        params = {"like": dataset.x, **params}
    _check_keywords(target, parameters, params)
    family: Any = thing(**params)
    return family, {}


def _check_keywords(target: str, parameters: Sequence[Parameter], params: Mapping[str, Any]) -> None:
    """Every keyword is one that the callable takes, and none that it needs is missing."""
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    unknown = [key for key in params if key not in named]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise NameNotFoundError(f"{target} has no argument {unknown[0]!r}{closest(unknown[0], named)}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in params]
    if missing:
        raise ProgramError(f"{target} needs {', '.join(missing)}; give --param {missing[0]}=VALUE")


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
