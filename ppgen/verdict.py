"""What a comparison means, in plain words: which engine can be trusted, for which sites, and why not for the others.

Markov chains are judged by themselves: R-hat below 1.01, bulk ESS of at least 400, no divergences (Vehtari et al., Bayesian
Analysis 16(2), 2021). What carries weights is judged by k-hat: below 0.5 the weights have a finite variance, up to 0.7
Pareto-smoothed weights still work, above it they do not (Vehtari et al., JMLR 25(72), 2024). A marginal is judged against
the reference: the shift of its mean, the ratio of standard deviations, and W1 for what those two do not see. Differences
that Monte Carlo error explains (two standard errors) do not count.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "judge"]

RHAT, RHAT_DOUBT = 1.01, 1.05
ESS, ESS_DOUBT = 400, 100
KHAT, KHAT_DOUBT = 0.5, 0.7
SHIFT, SHIFT_DOUBT = 0.1, 0.3  # of the mean, in sds of the reference; also for W1
RATIO, RATIO_DOUBT = -math.log(0.9), -math.log(0.75)  # |log sd ratio|: 0.9 to 1.11, 0.75 to 1.33

LEVELS = ("trust", "care", "doubt")
MARKS = {"trust": "✓", "care": "!", "doubt": "✗", "unknown": "?"}


@dataclass(frozen=True)
class Finding:
    """One sentence of a verdict, about an engine (site None) or about one of its sites.

    level   trust, care, doubt or unknown
    """

    engine: str
    site: str | None
    level: str
    text: str

    @property
    def mark(self) -> str:
        return MARKS[self.level]

    @property
    def sentence(self) -> str:
        return f"{self.engine} {self.text}" if self.site is None else f"{self.engine}, {self.site}: {self.text}"


def judge(table: "pd.DataFrame", engines: "pd.DataFrame", reference: str | None) -> tuple[Finding, ...]:
    """The findings on a comparison's tables: the reference first, then each other engine with its sites."""
    own = {str(name): _alone(str(name), row, table) for name, row in engines.iterrows()}
    if reference is None:
        return tuple(own.values())
    findings = [own.pop(reference)]
    usable = findings[0].level != "doubt"
    for name, finding in own.items():
        sites = _sites(name, reference, table, engines) if usable else []
        findings += [_overall(finding, sites, reference), *sites]
    return tuple(findings)


# An engine by itself


def _alone(name: str, row: "pd.Series", table: "pd.DataFrame") -> Finding:
    mine: Any = table.xs(name, level="engine")
    if row["is_mcmc"]:
        return _chains(name, row, mine)
    if (mine["sd"].fillna(0.0) == 0.0).all():
        return Finding(name, None, "doubt", "is a point estimate: it has no spread, so no interval and no probability.")
    return _weights(name, row["khat"])


def _chains(name: str, row: "pd.Series", mine: "pd.DataFrame") -> Finding:
    rhat, ess, divergences = row["max_rhat"], row["min_ess"], int(row["divergences"])
    one = row["chains"] == 1
    wrong, level = [], 0
    if one:
        wrong.append("one chain alone cannot show that it mixes (set num_chains=4)")
    elif not rhat < RHAT:
        wrong.append(f"R-hat is {rhat:.3f} at {_where(mine['rhat'].idxmax())}, where less than {RHAT} is needed")
    if not ess >= ESS:
        wrong.append(f"bulk ESS is {ess:,.0f} at {_where(mine['ess'].idxmin())}, where at least {ESS} is needed")
    if divergences:
        wrong.append(f"{divergences:,} of {int(row['draws']):,} draws diverged, so parts of the posterior may be missing")
    if not wrong:
        text = f"can be trusted: R-hat is at most {rhat:.3f}, bulk ESS at least {ess:,.0f}, and no draw diverged."
        return Finding(name, None, "trust", text)
    level = 2 if (not one and not rhat < RHAT_DOUBT) or not ess >= ESS_DOUBT else 1
    advice = "write the program in other coordinates" if divergences else "run longer (num_warmup, num_samples)"
    start = ("is to be read with care", "cannot be trusted yet")[level - 1]
    return Finding(name, None, LEVELS[level], f"{start}: {_and(wrong)}; {advice}.")


def _weights(name: str, khat: float) -> Finding:
    if math.isnan(khat):
        return Finding(name, None, "unknown", "has no k-hat, so nothing says how close it is to the posterior.")
    if khat < KHAT:
        return Finding(name, None, "trust", f"has k-hat {khat:.2f}, below {KHAT}: importance weights mend what is off.")
    if khat < KHAT_DOUBT:
        return Finding(name, None, "care", f"has k-hat {khat:.2f}, between {KHAT} and {KHAT_DOUBT}: importance weights mend most of it.")
    text = f"has k-hat {khat:.2f}, above {KHAT_DOUBT}: it misses part of the posterior, and weights cannot mend that."
    return Finding(name, None, "doubt", text)


# An engine against the reference


def _overall(own: Finding, sites: list[Finding], reference: str) -> Finding:
    """One engine in one breath: for which sites, and what its own diagnostics add."""
    if not sites:
        text = f"{own.text[:-1]}; {reference}, which it should be compared with, cannot be trusted itself."
        return Finding(own.engine, None, "doubt" if own.level == "doubt" else "unknown", text)
    by_level = {level: [str(f.site) for f in sites if f.level == level] for level in LEVELS}
    words = {"trust": "can be trusted for {}", "care": "with care for {}", "doubt": "not for {}"}
    first = {"trust": "can be trusted for {}", "care": "can be used with care for {}", "doubt": "cannot be trusted for {}"}
    said: list[str] = []
    for level, names in by_level.items():
        if names:
            said.append((words if said else first)[level].format(_and(names)))
    text = f"{', '.join(said)}, site by site. It {own.text}"
    alike = not by_level["care"] and not by_level["doubt"]
    if alike and own.level == "doubt":
        text += " Trust means and intervals of single sites, not statements about several sites at once."
    worst = "doubt" if not by_level["trust"] and not by_level["care"] else "trust" if alike and own.level == "trust" else "care"
    return Finding(own.engine, None, worst, text)


def _sites(name: str, reference: str, table: "pd.DataFrame", engines: "pd.DataFrame") -> list[Finding]:
    mine, other = table.xs(name, level="engine"), table.xs(reference, level="engine")
    draws = engines["draws"].to_dict()
    worth = [1 / t["ess"].fillna(draws[n]).clip(lower=1.0) for n, t in ((name, mine), (reference, other))]
    mine = mine.assign(error=np.sqrt(worth[0] + worth[1]))  # standard error of a shift, in sds
    return [_site(name, str(site), rows, reference) for site, rows in mine.groupby(level="site", sort=False)]


def _site(name: str, site: str, rows: "pd.DataFrame", reference: str) -> Finding:
    log_ratio = np.log(rows["sd_ratio"].clip(lower=1e-12))
    excess = {
        "shift": rows["mean_shift"].abs() - 2 * rows["error"],
        "ratio": log_ratio.abs() - math.sqrt(2) * rows["error"],  # the standard error of a log sd is that of a mean / sqrt 2
        "w1": rows["w1_sd"] - 2.2 * rows["error"],  # 1.44 is W1's mean between two samples of one normal, 0.4 its sd
    }
    bounds = {"shift": (SHIFT, SHIFT_DOUBT), "ratio": (RATIO, RATIO_DOUBT), "w1": (SHIFT, SHIFT_DOUBT)}
    grades = {k: sum(not e.max() <= bound for bound in bounds[k]) for k, e in excess.items()}
    grade = max(grades.values())
    if grade == 0:
        low, high = rows["sd_ratio"].min(), rows["sd_ratio"].max()
        sds = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
        text = f"agrees with {reference}: means within {rows['mean_shift'].abs().max():.2f} sd, sds {sds} times as wide."
        return Finding(name, site, "trust", text)
    parts = []
    if grades["shift"]:
        at = excess["shift"].idxmax()
        shift = rows.loc[at, "mean_shift"]
        parts.append(f"the mean of {_where(at)} is {abs(shift):.2f} sd too {'high' if shift > 0 else 'low'}")
    if grades["ratio"]:
        at = excess["ratio"].idxmax()
        ratio = rows.loc[at, "sd_ratio"]
        parts.append(f"the sd of {_where(at)} is {ratio:.2f} times that of {reference}, so intervals are too {_wide(ratio)}")
    if not parts:
        at = excess["w1"].idxmax()
        parts.append(f"the shape of {_where(at)} differs: W1 is {rows.loc[at, 'w1_sd']:.2f} sd with mean and sd alike")
    return Finding(name, site, LEVELS[grade], f"{_and(parts)}.")


def _wide(ratio: float) -> str:
    return "wide" if ratio > 1 else "narrow"


# Words


def _where(key: Any) -> str:
    site, component = key
    return f"{site}[{component}]" if component else str(site)


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
