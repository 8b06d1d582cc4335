"""`compare`: the posteriors that several engines found for one program, side by side, judged in plain words.

The reference is a posterior of Markov chains: draws that need no weights, from several chains where there are any. Every
other one is measured against it, marginal by marginal, by the shift of its mean (in the reference's standard deviations), by
the ratio of standard deviations and by the Wasserstein-1 distance W1 = int |F - G|, in the site's units and in the
reference's standard deviations.

Sources: Vehtari, Gelman, Simpson, Carpenter & Buerkner, Bayesian Analysis 16(2), 2021 (R-hat, bulk ESS); Vehtari, Simpson,
Gelman, Yao & Gabry, JMLR 25(72), 2024 (k-hat); Yao, Vehtari, Simpson & Gelman, ICML 2018 (k-hat of variational inference).
"""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .errors import ProgramError
from .tables import left_out, terminal_engines, terminal_sites
from .verdict import Finding, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderResult

    from .datasets import Dataset
    from .posterior import Posterior

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    table       one row per (site, component, engine): mean, sd, 5%, 95%, ess (bulk), rhat, khat; against the reference
                mean_shift and w1_sd (in its sds), sd_ratio, w1 (in the site's units); seconds, gradients_per_second
    engines     one row per engine: chains, draws, divergences, the worst of its diagnostics, khat, importance_ess, seconds
                (wall time), gradients, gradients_per_second
    findings    what follows from them, engine by engine and site by site
    reference   the engine that the others are measured against; None where there are no Markov chains
    notes       what is not in the table, and why
    posteriors  with label switching resolved
    places      where each (site, component) of the table stands in its site's flattened draws
    dataset     where the data come from, if the caller said so
    """

    table: "pd.DataFrame"
    engines: "pd.DataFrame"
    findings: tuple[Finding, ...]
    reference: str | None
    notes: tuple[str, ...]
    posteriors: "dict[str, Posterior]"
    places: dict[tuple[str, str], int]
    dataset: "Dataset | None" = None

    @property
    def verdict(self) -> str:
        """In plain words, one finding a line: the engines first, then their sites."""
        return "\n".join(f.sentence for f in self.findings)

    @cached_property
    def title(self) -> str:
        """The program's name, and the data's where it is known."""
        programs = [p.program for p in self.posteriors.values() if p.program is not None]
        name = programs[0].name if programs else "A saved program"
        return f"{name} on {self.dataset.name}" if self.dataset is not None else name

    @cached_property
    def by_component(self) -> "dict[tuple[str, str], pd.DataFrame]":
        """The table's rows of each (site, component), in its order, indexed by engine."""
        groups = self.table.groupby(level=["site", "component"], sort=False)
        return {(str(site), str(name)): rows.droplevel([0, 1]) for (site, name), rows in groups}

    def to_text(self, width: int = 110) -> str:
        """The verdict and both tables as plain text of `width` characters."""
        from rich.console import Console

        console = Console(width=width, no_color=True, force_terminal=False, highlight=False)
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        styles = {"trust": "green", "care": "yellow", "doubt": "red", "unknown": "dim"}
        yield terminal_sites(self, console, options.max_width)
        yield terminal_engines(self, console, options.max_width)
        yield from (Text(f"{f.mark} {f.sentence}", style=styles[f.level]) for f in self.findings)
        yield from (Text(note, style="dim") for note in (*self.notes, *left_out(self)))

    def save(self, folder: str | Path) -> Path:
        """Writes report.html, one ArviZ netCDF file per engine and settings.json; returns the report's path."""
        from .report import page

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, posterior in self.posteriors.items():
            posterior.to_arviz().to_netcdf(str(folder / f"{file_name(name)}.nc"))
        (folder / "settings.json").write_text(json.dumps(self.settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        report = folder / "report.html"
        report.write_text(page(self), encoding="utf-8")
        return report

    @property
    def settings(self) -> dict[str, Any]:
        """How each posterior came about, what it was judged to be, and the data's source; JSON-able."""
        data = self.dataset
        return {
            "data": None if data is None else {k: str(getattr(data, k)) for k in ("name", "source", "licence")},
            "engines": {name: p.provenance for name, p in self.posteriors.items()},
            "program": self.title,
            "reference": self.reference,
            "verdict": self.verdict.splitlines(),
        }


def compare(posteriors: "Mapping[str, Posterior]", *, dataset: "Dataset | None" = None) -> Comparison:
    """Compares what engines found for ONE program; keys are the names that the table shows.

    Label switching is resolved first (`Posterior.identified`). Discrete sites and sites inside the data plate are left out
    and named in `notes`. `dataset` gives the report its source and column names.

    Raises ProgramError where the posteriors are of different programs, data or sites.
    """
    if not posteriors:
        raise ProgramError("there is no posterior to compare; give a dict such as {'svi': ..., 'nuts': ...}")
    found = {str(name): p.identified() for name, p in posteriors.items()}
    _same_data(found)
    sites, notes = _comparable(found)
    _same_sites(found, sites)
    parts = {name: _components(p, sites) for name, p in found.items()}
    labels, constant = _labels(next(iter(found.values())), sites, parts)
    if constant:
        notes.append(f"Fixed by the support, so left out: {', '.join(constant)}.")
    summaries = {name: _summary(part, labels) for name, part in parts.items()}
    engines = _engine_table(found, summaries)
    reference = _reference(found, engines)
    table = _table(parts, summaries, engines, labels, reference)
    findings = judge(table, engines, reference)
    places = {(site, name): i for site, names in labels.items() for i, name in names.items()}
    return Comparison(table, engines, findings, reference, tuple(notes), found, places, dataset)


# Which sites, and are they the same


def _comparable(found: "Mapping[str, Posterior]") -> tuple[list[str], list[str]]:
    """The sites that tables can hold, and a note for each kind that they cannot."""
    names = list(dict.fromkeys(name for p in found.values() for name in p.draws))
    local = [n for n in names if any(_local(p, n) for p in found.values())]
    discrete = [n for n in names if n not in local and any(_discrete(p, n) for p in found.values())]
    rest = [n for n in names if n not in local and n not in discrete]
    notes = []
    if local:
        notes.append(f"One value per datum, so not in the table: {', '.join(local)}.")
    if discrete:
        notes.append(f"Discrete, so without a mean and a density: {', '.join(discrete)}.")
    if not rest:
        raise ProgramError("the posteriors have no continuous site outside the data plate, so there is nothing to compare")
    return rest, notes


def _local(posterior: "Posterior", name: str) -> bool:
    program = posterior.program
    return program is not None and name in program.sites and program.data_plate in program.sites[name].plates


def _discrete(posterior: "Posterior", name: str) -> bool:
    return name in posterior.draws and not posterior.draws[name].dtype.is_floating_point


def _same_sites(found: "Mapping[str, Posterior]", sites: list[str]) -> None:
    wrong = []
    for site in sites:
        missing = [name for name, p in found.items() if site not in p.draws]
        shapes = {name: tuple(p.draws[site].shape[2:]) for name, p in found.items() if site in p.draws}
        if missing:
            wrong.append(f"site {site!r} is missing from {', '.join(missing)}")
        elif len(set(shapes.values())) > 1:
            wrong.append(f"site {site!r} has shape " + " and ".join(f"{s} in {n}" for n, s in shapes.items()))
    if wrong:
        raise ProgramError("the posteriors are not of one program: " + "; ".join(wrong))


def _same_data(found: "Mapping[str, Posterior]") -> None:
    programs = {name: p.program for name, p in found.items() if p.program is not None}
    for name, program in programs.items():
        first, other = next(iter(programs.items()))
        if program.name != other.name:
            raise ProgramError(f"the posteriors are not of one program: {first} fitted {other.name!r}, {name} {program.name!r}")
        theirs = {s.name: s for s in other.observed}
        differing = {s.name for s in program.observed} ^ set(theirs)
        differing |= {s.name for s in program.observed if s.name in theirs and not _equal(s.value, theirs[s.name].value)}
        if differing:
            raise ProgramError(f"{first} and {name} did not see the same data: {', '.join(map(repr, sorted(differing)))} differ")


def _equal(a: Any, b: Any) -> bool:
    a, b = torch.as_tensor(a).double().cpu(), torch.as_tensor(b).double().cpu()
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=0.0, equal_nan=True)


# Numbers


def _components(posterior: "Posterior", sites: list[str]) -> dict[str, np.ndarray]:
    """Each site's draws as (chains, draws, components)."""
    values = {s: posterior.draws[s].detach().double().cpu() for s in sites}
    return {s: v.reshape(*v.shape[:2], -1).numpy() for s, v in values.items()}


def _labels(
    posterior: "Posterior", sites: list[str], parts: dict[str, dict[str, np.ndarray]]
) -> tuple[dict[str, dict[int, str]], list[str]]:
    """For each site the components that vary, by flat index, with the label that tables show; and those that never vary
    (the corner of a Cholesky factor), site by site."""
    labels: dict[str, dict[int, str]] = {}
    constant = []
    for site in sites:
        every = np.concatenate([part[site].reshape(-1, part[site].shape[-1]) for part in parts.values()])
        names = _component_names(posterior, site)
        fixed = (every == every[:1]).all(0)
        labels[site] = {i: name for i, name in enumerate(names) if not fixed[i]}
        constant += [f"{site}[{names[i]}]" if names[i] else site for i in np.flatnonzero(fixed)]
    if not any(labels.values()):  # point estimates: nothing varies, and everything is of interest
        return {site: dict(enumerate(_component_names(posterior, site))) for site in sites}, []
    return {site: names for site, names in labels.items() if names}, constant


def _component_names(posterior: "Posterior", site: str) -> list[str]:
    """'0, 1' for element [0, 1], with the names of coords in place of numbers where there are any; '' for a scalar."""
    shape = tuple(posterior.draws[site].shape[2:])
    dims = list(posterior.dims.get(site, ()))
    axes = []
    for i, size in enumerate(shape):
        names = posterior.coords.get(dims[i]) if len(dims) == len(shape) else None
        axes.append([str(c) for c in names] if names is not None and len(names) == size else [str(j) for j in range(size)])
    return [", ".join(axes[d][j] for d, j in enumerate(at)) for at in np.ndindex(shape)]


def _summary(part: dict[str, np.ndarray], labels: dict[str, dict[int, str]]) -> "pd.DataFrame":
    """Mean, sd, 90 % interval, bulk ESS and R-hat of every component of one posterior."""
    import pandas as pd

    from .diagnostics import ess_and_rhat

    rows = {}
    for site, names in labels.items():
        values = part[site][..., list(names)]  # (chains, draws, components)
        flat = values.reshape(-1, len(names))
        low, high = np.quantile(flat, [0.05, 0.95], axis=0)
        ess, rhat = ess_and_rhat(values)
        sd = flat.std(0, ddof=1) if len(flat) > 1 else np.full(len(names), np.nan)
        each = zip(flat.mean(0), sd, low, high, ess, rhat, strict=True)
        rows.update({(site, name): row for name, row in zip(names.values(), each, strict=True)})
    index = pd.MultiIndex.from_tuples(list(rows), names=["site", "component"])
    return pd.DataFrame(list(rows.values()), index=index, columns=["mean", "sd", "5%", "95%", "ess", "rhat"])


def _engine_table(found: "Mapping[str, Posterior]", summaries: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame":
    """What is said once per engine. Markov chains are draws that carry no weights and were not optimised for."""
    import pandas as pd

    rows = []
    for name, posterior in found.items():
        chains, draws = next(iter(posterior.draws.values())).shape[:2]
        is_mcmc = posterior.log_weights is None and posterior.losses is None and draws > 1
        seconds = float(posterior.provenance.get("seconds", {}).get("total", math.nan))
        gradients = float(posterior.provenance.get("gradients", math.nan))
        diverging = posterior.stats.get("diverging")
        rows.append(
            {
                "engine": name,
                "is_mcmc": is_mcmc,
                "chains": chains,
                "draws": chains * draws,
                "divergences": int(diverging.sum()) if diverging is not None else 0,
                "min_ess": summaries[name]["ess"].min(),
                "max_rhat": summaries[name]["rhat"].max(),
                "khat": math.nan if posterior.khat is None else float(posterior.khat),
                "importance_ess": _importance_ess(posterior.log_weights),
                "seconds": seconds,
                "gradients": gradients,
                "gradients_per_second": gradients / seconds if seconds > 0 else math.nan,
            }
        )
    return pd.DataFrame(rows).set_index("engine")


def _importance_ess(log_weights: torch.Tensor | None) -> float:
    """(sum w)^2 / sum w^2: how many draws of the posterior the weighted ones are worth (Kong, 1992)."""
    if log_weights is None:
        return math.nan
    weights = log_weights.double().flatten().softmax(0)
    return float(1 / weights.square().sum())


def _reference(found: "Mapping[str, Posterior]", engines: "pd.DataFrame") -> str | None:
    """Of the Markov chains the ones that can be checked (several), then the ones with the most effective draws."""
    chains = engines[engines["is_mcmc"]]
    if chains.empty:
        return None
    several = chains[chains["chains"] > 1]
    best = several if not several.empty else chains
    return str(best["min_ess"].fillna(0.0).idxmax())


def _table(
    parts: dict[str, dict[str, np.ndarray]],
    summaries: "dict[str, pd.DataFrame]",
    engines: "pd.DataFrame",
    labels: dict[str, dict[int, str]],
    reference: str | None,
) -> "pd.DataFrame":
    """Every engine's summary with its distances from the reference, ordered by site, component and engine."""
    import pandas as pd

    tables = []
    once: Any = engines.to_dict("index")
    for name, summary in summaries.items():
        table = summary.copy()
        table["khat"] = once[name]["khat"]
        table[["mean_shift", "sd_ratio", "w1", "w1_sd"]] = math.nan
        if reference is not None and reference != name:
            against = summaries[reference]
            table["mean_shift"] = (table["mean"] - against["mean"]) / against["sd"]
            table["sd_ratio"] = table["sd"] / against["sd"]
            table["w1"] = _distances(parts[name], parts[reference], labels)
            table["w1_sd"] = table["w1"] / against["sd"]
        table["seconds"] = once[name]["seconds"]
        table["gradients_per_second"] = once[name]["gradients_per_second"]
        tables.append(table)
    together = pd.concat(tables, keys=list(summaries), names=["engine"]).reorder_levels(["site", "component", "engine"])
    return together.loc[[(*key, name) for key in tables[0].index for name in summaries]]


def _distances(part: dict[str, np.ndarray], other: dict[str, np.ndarray], labels: dict[str, dict[int, str]]) -> list[float]:
    from scipy.stats import wasserstein_distance

    pairs = [(part[site][..., i].ravel(), other[site][..., i].ravel()) for site, names in labels.items() for i in names]
    return [float(wasserstein_distance(a, b)) for a, b in pairs]


def file_name(name: str) -> str:
    """A name that can be a file's."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).lstrip(".") or "engine"
