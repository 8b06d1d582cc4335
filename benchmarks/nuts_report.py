"""The tables of benchmarks/results/nuts.md, from what nuts.py has found."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from problems import PROBLEMS

__all__ = ["markdown", "ratios"]

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]  # problem -> row -> figures

OURS, FIRST, LOW_RANK, PYRO = "ppgen", "ppgen, first use", "nutpie, low rank", "Pyro"
MEASURES = {"sampling alone": "ess_per_second", "everything": "ess_per_second_everything"}
GOALS = (
    # what, measure, of the ratios to whom, how they become one, at least
    ("geometric mean to the best peer, sampling alone", "sampling alone", "best", "mean", 5.0),
    ("geometric mean to the best peer, everything", "everything", "best", "mean", 20.0),
    ("geometric mean to Pyro, everything", "everything", PYRO, "mean", 1000.0),
    ("worst model to the best peer, sampling alone", "sampling alone", "best", "least", 1.2),
    ("worst model to the best peer, everything", "everything", "best", "least", 1.2),
)
SUSPICIOUS = 1e-3  # p of an agreement that the report points at: ten models and six rows have one such in fifteen runs


def ratios(results: Results) -> dict[str, Any]:
    """Measure -> peer -> problem -> ESS/s of ppgen over the peer's. `best` is the best of the peers with their defaults,
    `best or low rank` of these and nutpie's low-rank metric."""
    found: dict[str, Any] = {}
    for measure, key in MEASURES.items():
        table: dict[str, dict[str, float]] = {}
        for problem, rows in results.items():
            speeds = {row: f[key] for row, f in rows.items() if key in f and not row.startswith(OURS)}
            if OURS not in rows or key not in rows[OURS] or not speeds:
                continue
            defaults = {r: s for r, s in speeds.items() if r != LOW_RANK}
            speeds |= {"best or low rank": max(speeds.values())} | ({"best": max(defaults.values())} if defaults else {})
            for peer, speed in speeds.items():
                table.setdefault(peer, {})[problem] = rows[OURS][key] / speed
        found[measure] = table
    return found


def markdown(report: Mapping[str, Any]) -> str:
    results = report["results"]
    parts = [_head(report), _goals(report["ratios"])]
    parts += [_overview(results, title, key) for title, key in MEASURES.items()]
    parts += [_losses(report["ratios"]), _ratio_table(report["ratios"])]
    parts += ["## Every model", *(_problem(name, rows, report["draws"]) for name, rows in results.items())]
    parts += [_parts(results), _agreement(results), _densities(report["differences"])]
    return "\n\n".join(parts) + "\n"


def _head(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    rows = [f for problem in report["results"].values() for f in problem.values() if "versions" in f]
    versions = {k: v for f in rows for k, v in f["versions"].items()}
    busiest = max((f["load"] for f in rows), default=0.0)
    return "\n".join([
        "# NUTS beside its peers",
        "",
        f"{report['chains']} chains x ({report['draws']:,} + {report['draws']:,}), double precision, every sampler with its defaults;",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']};",
        f"{', '.join(f'{k} {v}' for k, v in versions.items())}.",
        f"The highest load average at the start of a run was {busiest:.1f}. How this was made and what is timed: benchmarks/README.md.",
    ])  # fmt: skip


def _goals(found: Mapping[str, Any]) -> str:
    lines = []
    for what, measure, peer, how, goal in GOALS:
        values = list(found[measure].get(peer, {}).values())
        if values:
            value = _geometric_mean(values) if how == "mean" else min(values)
            lines.append([what, f"{_short(value)} x", f"{_short(goal)} x", "reached" if value >= goal else "missed"])
    return "## ESS/s of ppgen over its peers'\n\n" + _table(["", "found", "goal", ""], lines)


def _overview(results: Results, title: str, key: str) -> str:
    rows = _rows_of(results)
    lines = [[row, *(_cell(figures.get(row, {}), key) for figures in results.values())] for row in rows]
    titles = [PROBLEMS[name].title for name in results]
    return f"## Min bulk ESS/s, {title}\n\n" + _table(["", *titles], lines)


def _cell(figures: Mapping[str, Any], key: str) -> str:
    if key in figures:
        return _short(figures[key])
    return "failed" if "failed" in figures else ""


def _losses(found: Mapping[str, Any]) -> str:
    lost = [
        f"- {PROBLEMS[problem].title}, {measure}: {_short(1 / ratio)} x slower than {peer}"
        for measure, table in found.items()
        for peer, per in table.items()
        if not peer.startswith("best")
        for problem, ratio in per.items()
        if ratio < 1
    ]
    return "## Losses\n\n" + ("\n".join(lost) or "None.")


def _ratio_table(found: Mapping[str, Any]) -> str:
    peers = dict.fromkeys(p for table in found.values() for p in table)
    lines = []
    for peer in peers:
        cells = [peer]
        for table in found.values():
            values = list(table.get(peer, {}).values())
            cells += [_short(_geometric_mean(values)), _short(min(values))] if values else ["", ""]
        lines.append(cells)
    head = ["ppgen over", *(f"{measure}: {what}" for measure in found for what in ("geometric mean", "least"))]
    return "## Peer by peer\n\n" + _table(head, lines)


def _problem(name: str, rows: Mapping[str, Mapping[str, Any]], draws: int) -> str:
    head = [
        "",
        "everything, s",
        "sampling, s",
        "imports, s",
        "gradients",
        "gradients/s",
        "min ESS",
        "of",
        "R-hat",
        "ESS/s",
        "ESS/s, everything",
    ]
    lines, notes = [], []
    for row, f in rows.items():
        if "failed" in f:
            notes.append(f"{row}: {f['failed']}")
            continue
        seconds = [_seconds(f[k]) for k in ("everything", "sampling", "imports")]
        speeds = [_short(f[k]) for k in ("gradients", "gradients_per_second", "min_bulk_ess")]
        ends = [f["worst"], f"{f['max_rhat']:.3f}", _short(f["ess_per_second"]), _short(f["ess_per_second_everything"])]
        mark = "" if f["draws"] == draws else " *"
        lines.append([row + mark, *seconds, *speeds, *ends])
        if mark:
            notes.append(f"\\* {row}: {f['draws']} + {f['draws']} draws a chain, scaled to {draws:,} + {draws:,}")
        if f["note"]:
            notes.append(f"{row}: {f['note']}")
    return f"### {PROBLEMS[name].title}\n\n" + _table(head, lines) + "".join(f"\n\n{n}" for n in notes)


def _parts(results: Results) -> str:
    """Where ppgen's time goes, model by model."""
    lines, steps = [], []
    for name, rows in results.items():
        for row in (OURS, FIRST):
            parts = rows.get(row, {}).get("parts")
            if parts:
                steps = [k for k in parts if k != "total"]
                rest = rows[row]["everything"] - sum(parts[k] for k in steps)
                lines.append([PROBLEMS[name].title, "" if row == OURS else "first use", *(f"{parts[k]:.3f}" for k in steps), f"{rest:.3f}"])
    return "## Where ppgen's time goes, s\n\n" + _table(["", "", *steps, "rest"], lines)


def _agreement(results: Results) -> str:
    head = ["largest z of a mean (rms of all)", *(PROBLEMS[name].title for name in results)]
    lines, doubts = [], []
    for row in _rows_of(results):
        cells = []
        for name, rows in results.items():
            found = rows.get(row, {}).get("agreement")
            cells.append("" if not found else f"{found['largest']:.1f} ({found['rms']:.2f})")
            if found and not found["p"] >= SUSPICIOUS:
                doubts.append(f"- {PROBLEMS[name].title}, {row}: {found['where']} differs by {found['largest']:.1f} standard errors")
        if any(cells):
            lines.append([row, *cells])
    counts = [str(next((f["agreement"]["components"] for f in rows.values() if f.get("agreement")), "")) for rows in results.values()]
    text = "Differences of posterior means between ppgen and each peer, in standard errors of the difference."
    verdict = "\n".join(doubts) or f"No difference is larger than chance allows (p < {SUSPICIOUS} for the largest of all components)."
    return f"## Do they agree?\n\n{text}\n\n{_table(head, [['components', *counts], *lines])}\n\n{verdict}"


def _densities(found: Mapping[str, Mapping[str, float]]) -> str:
    largest: dict[str, float] = {}
    for differences in found.values():
        for peer, value in differences.items():
            largest[peer] = max(largest.get(peer, 0.0), value)
    lines = [[peer, str(sum(peer in d for d in found.values())), f"{value:.1e}"] for peer, value in largest.items()]
    text = "Log joint densities at four draws of the prior, against the Pyro program's; each less its value at the first."
    return f"## Are the models equal?\n\n{text}\n\n" + _table(["", "models", "largest relative difference"], lines)


# Text


def _rows_of(results: Results) -> list[str]:
    return list(dict.fromkeys(row for rows in results.values() for row in rows))


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(_lines(head, lines))


def _lines(head: list[str], lines: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for cells in lines:
        yield f"| {' | '.join(cells)} |"


def _geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def _short(value: float) -> str:
    """Three digits."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.3f}"
