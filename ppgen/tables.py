"""What a comparison's tables say, cell by cell: the same words on the terminal and in the report."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .comparison import Comparison

__all__ = ["component_name", "engine_cells", "left_out", "show", "site_cells", "terminal_engines", "terminal_sites"]

SITE_HEADS = ("mean", "sd", "5 %", "95 %", "ESS", "R-hat", "shift", "sd ratio", "W1", "W1/sd")
ENGINE_HEADS = ("draws", "k-hat", "max R-hat", "min ESS", "diverging", "seconds", "gradients", "gradients/s", "min ESS/s")
DISPENSABLE = ("W1", "shift", "gradients", "min ESS/s", "5 %", "95 %", "seconds", "R-hat", "ESS", "gradients/s")  # where it is narrow
SHOWN = 12  # components of one site; the ones that differ most


class Cells(NamedTuple):
    """One row of the table of sites; `cells` follow SITE_HEADS."""

    site: str
    component: str
    engine: str
    cells: tuple[str, ...]


def site_cells(comparison: "Comparison") -> Iterator[Cells]:
    """A row per site, component and engine, at most SHOWN components of each site."""
    for site, component in _shown(comparison):
        rows = comparison.by_component[site, component]
        for engine, row in rows.iterrows():
            sd = row["sd"]
            against = [_fixed(row[k], 2) for k in ("mean_shift", "sd_ratio")] + [show(row["w1"]), _fixed(row["w1_sd"], 2)]
            own = [show(row[k], sd) for k in ("mean", "sd", "5%", "95%")] + [_fixed(row["ess"], 0), _fixed(row["rhat"], 3)]
            yield Cells(site, component, str(engine), (*own, *against))


def engine_cells(comparison: "Comparison") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each engine's name and its cells, by ENGINE_HEADS."""
    for name, row in comparison.engines.iterrows():
        draws = f"{int(row['chains'])} x {int(row['draws'] // row['chains']):,}"
        chains = [_fixed(row["max_rhat"], 3), _fixed(row["min_ess"], 0), f"{int(row['divergences']):,}"]
        cost = [show(row["seconds"]), _fixed(row["gradients"], 0), _fixed(row["gradients_per_second"], 0)]
        per_second = _fixed(row["min_ess"] / row["seconds"], 0)
        own = chains if row["is_mcmc"] else ["-", "-", "-"]
        yield str(name), (draws, _fixed(row["khat"], 2), *own, *cost, per_second if row["is_mcmc"] else "-")


def _shown(comparison: "Comparison") -> list[tuple[str, str]]:
    """The components to print, in the table's order: of each site the ones that differ most, or mix worst."""
    table = comparison.table
    telling = table["w1_sd"].fillna(table["rhat"]).fillna(0.0).groupby(level=["site", "component"], sort=False).max()
    ranks = telling.groupby(level="site", sort=False).rank(ascending=False, method="first")
    return [(str(site), str(component)) for (site, component), rank in zip(ranks.index, ranks, strict=True) if rank <= SHOWN]


def left_out(comparison: "Comparison") -> list[str]:
    """A note for each site of which the printed table holds only a part."""
    counts = comparison.table.groupby(level="site", sort=False).size() // len(comparison.engines)
    return [
        f"{site} has {count:,} components; the {SHOWN} that differ most are printed, `table` has all."
        for site, count in counts.items()
        if count > SHOWN
    ]


def show(value: float, sd: float = math.nan) -> str:
    """A number to two significant digits of its standard deviation; three digits where there is none."""
    if not math.isfinite(value):
        return "-"
    if not (math.isfinite(sd) and sd > 0):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    decimals = max(0, 1 - math.floor(math.log10(sd)))
    return f"{value:,.{decimals}f}" if decimals <= 6 and abs(value) < 1e9 else f"{value:.4g}"


def _fixed(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "-"


def component_name(site: str, component: str) -> str:
    """loc[0, 1], or the bare site where it is a scalar."""
    return f"{site}[{component}]" if component else site


def terminal_sites(comparison: "Comparison", console: "Console", width: int) -> "Table":
    """The table of sites for a terminal, without those of DISPENSABLE that `width` has no room for."""
    rows, before = [], None
    for site, component, engine, cells in site_cells(comparison):
        name = component_name(site, component) if (site, component) != before else ""
        before = (site, component)
        rows.append((name, engine, *cells))
    return _terminal(f"{comparison.title}: marginals", ("", "engine", *SITE_HEADS), rows, console, width)


def terminal_engines(comparison: "Comparison", console: "Console", width: int) -> "Table":
    """The table of engines for a terminal, likewise."""
    rows = [(name, *cells) for name, cells in engine_cells(comparison)]
    return _terminal("Engines", ("engine", *ENGINE_HEADS), rows, console, width)


def _terminal(title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]], console: "Console", width: int) -> "Table":
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    dropped: set[str] = set()
    for head in (*DISPENSABLE, ""):
        kept = [i for i, h in enumerate(heads) if h not in dropped]
        name = Text(title, style="bold", overflow="fold")
        table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
        for i in kept:
            table.add_column(heads[i], justify="left" if heads[i] in ("", "engine") else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(row[i]) for i in kept))
        if Measurement.get(console, console.options.update(width=10_000), table).maximum <= width:
            break
        dropped.add(head)
    return table
