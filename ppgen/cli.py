"""The command line: `ppgen compare`, `fit`, `diagram`, `structure`, `list`, `warmup`.

A PpgenError is one line on stderr and exit code 2; Ctrl-C is exit code 130. Only click is imported before a command runs, so
that `--help` answers at once.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .discovery import engines, families, one_line
from .errors import PpgenError, PpgenWarning, ProgramError
from .invocation import Asked, asked_engines, asked_program

if TYPE_CHECKING:
    from rich.console import Console

    from .datasets import Dataset
    from .engine import Engine
    from .posterior import Posterior

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
    TARGET  a family, such as gaussian-mixture, a callable in a file: my_file.py:my_model, or a network of tables: my_file.bif
    DATA    a data set by name, such as old-faithful, or a file: .csv, .npz, .npy, .parquet, .gml or .bif

    `ppgen list` shows what there is.
    """


# Options that commands share. Each setting goes to the engines that have it.


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--data", required=True, metavar="DATA", help="A data set's name or a file."),
        click.option("--label", metavar="COLUMN", help="Of a table, which classifiers tell from the others."),
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
    from .comparison import compare as compare_posteriors

    posteriors, dataset = _fitted([name.strip() for name in names.split(",") if name.strip()], **options)
    comparison = compare_posteriors(posteriors, dataset=dataset)
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
    posteriors, dataset = _fitted([name], **options)
    (posterior,) = posteriors.values()
    posterior.save(out)
    _show(_told(posteriors, dataset), "Posterior", out)


def _told(posteriors: "dict[str, Posterior]", dataset: "Dataset") -> Any:
    """What the terminal says of one posterior: its table, or where that has nothing to hold what its discrete sites are like."""
    from .comparison import compare as compare_posteriors

    try:
        return compare_posteriors(posteriors, dataset=dataset)
    except ProgramError:
        (posterior,) = posteriors.values()
        return posterior.summary().to_string() if posterior.draws else "Nothing is latent, so there are no draws."


def _fitted(
    names: list[str], *, target: str, data: str, label: str | None, params: tuple[str, ...], **settings: Any
) -> "tuple[dict[str, Posterior], Dataset]":
    """Runs the engines one after the other. Whatever is wrong with the command is found before the first one starts."""
    runs = asked_engines(names, settings)
    dataset = _load(data, label)
    program, args, keywords = asked_program(target, params, dataset)
    return {name: engine.run(program, *args, **keywords) for name, engine in runs.items()}, dataset


def _show(found: Any, what: str, where: str | Path) -> None:
    console = _console()
    console.print(found)
    console.print(f"\n{what}: {where}", markup=False, highlight=False, soft_wrap=True)


def _program_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="An argument of TARGET; repeatable.")(command)
    command = click.option("--label", metavar="COLUMN", help="Of a table, which classifiers tell from the others.")(command)
    return click.option("--data", metavar="DATA", help="A data set's name or a file; none for a TARGET that takes none.")(command)


@main.command()
@click.argument("target")
@click.option("--out", type=click.Path(dir_okay=False), help="File to write; its suffix says how.  [default: TARGET's name]")
@click.option("--format", "kind", type=click.Choice(["svg", "png", "pdf", "dot", "mmd", "json"]), default="svg", show_default=True)
@click.option("--detail", type=click.Choice(["minimal", "default", "full"]), default="default", show_default=True)
@click.option("--guide", is_flag=True, help="Draw a family's guide over it, dashed.")
@_program_options
def diagram(target: str, out: str | None, kind: str, detail: Any, guide: bool, **asked: Any) -> None:
    """Draw the plate diagram of TARGET."""
    from .drawing import diagram as drawn

    program, arguments, keywords = _called(target, **asked)
    if guide and not hasattr(program, "guide"):
        raise ProgramError(f"{target} has no guide; --guide is for families")
    picture = drawn(program, *arguments, detail=detail, guide=program.guide if guide else None, **keywords)  # type: ignore[attr-defined]
    name = target.rpartition(":")[2]
    _console().print(f"Diagram: {picture.save(out or f'{name}.{kind}')}", markup=False, highlight=False, soft_wrap=True)


@main.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Nodes, edges and plates with all that is known of them.")
@_program_options
def structure(target: str, as_json: bool, **asked: Any) -> None:
    """Print TARGET's factorisation and generative story, or its graph."""
    from .drawing import diagram as drawn
    from .factorisation import formula
    from .graph import structure as read

    program, arguments, keywords = _called(target, **asked)
    graph = read(program, *arguments, **keywords)
    click.echo(drawn(graph, detail="full").json if as_json else str(formula(graph)))


def _called(target: str, *, data: str | None, label: str | None, params: tuple[str, ...]) -> Asked:
    """The program with its arguments."""
    return asked_program(target, params, None if data is None else _load(data, label))


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
    engine = kind(**{k: v for k, v in few.items() if k in known})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PpgenWarning)
        for program in (_two_normals, _normal_of_two):
            try:
                engine.run(program)
                return
            except PpgenError:  # one of discrete sites alone, or one that learns, for which there is nothing here to learn
                continue


def _two_normals() -> None:
    import pyro
    import pyro.distributions as dist

    pyro.sample("x", dist.Normal(pyro.sample("loc", dist.Normal(0.0, 1.0)), 1.0))


def _normal_of_two() -> None:
    import pyro
    import pyro.distributions as dist
    import torch

    which = pyro.sample("which", dist.Categorical(torch.ones(2)))
    pyro.sample("x", dist.Normal(torch.arange(2.0)[which], 1.0), obs=torch.tensor(0.5))


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _load(data: str, label: str | None) -> "Dataset":
    from . import datasets

    found = datasets.load(data)
    return found if label is None else dataclasses.replace(found, label=label)
