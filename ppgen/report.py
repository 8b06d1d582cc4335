"""A comparison as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

What comes from users (names of sites, engines, data, settings) is escaped wherever it is printed. The page's own script only sorts
tables; without it everything is there.
"""

from collections.abc import Iterator, Mapping
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any

from .canvas import variable
from .drawing import diagram
from .errors import DataError
from .factorisation import formula
from .figures import Drawing, colour, data_drawings, loss_drawing, marginal_drawing
from .graph import structure
from .tables import ENGINE_HEADS, SITE_HEADS, component_name, engine_cells, left_out, site_cells

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison

__all__ = ["page"]

PANELS = 48  # marginal drawings, at most: the page stays small
WORDS = {"trust": "Trust", "care": "Care", "doubt": "Doubt", "unknown": "Open"}

CSS = """
:root { color-scheme: light dark;
  --ground: #f7f6f2; --surface: #ffffff; --ink: #1b1d22; --muted: #5f656e; --rule: #dcdee3;
  --engine-0: #0072b2; --engine-1: #d55e00; --engine-2: #009e73; --engine-3: #b55f8f; --engine-4: #b37b00; --engine-5: #2a8fc7;
  --trust: #00785a; --care: #8a5a00; --doubt: #b3261e; --unknown: #5f656e; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #121418; --surface: #1a1d23; --ink: #e9eaee; --muted: #a0a7b3; --rule: #343943;
  --engine-0: #56b4e9; --engine-1: #ff8f4a; --engine-2: #2fc59b; --engine-3: #e39bc4; --engine-4: #f0b73a; --engine-5: #9ad4f5;
  --trust: #3fd0a6; --care: #f0b73a; --doubt: #ff8a80; --unknown: #a0a7b3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Noto Sans", sans-serif; }
main { max-width: 74rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.015em; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3.2rem 0 .8rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
.small, figcaption, .notes { color: var(--muted); font-size: .875rem; }
.card { background: var(--surface); border: 1px solid var(--rule); border-radius: .6rem; padding: 1.1rem 1.3rem; }
.verdict { display: grid; gap: .9rem; }
.verdict .card { border-left: .3rem solid var(--level); }
.verdict h3 { margin: 0 0 .25rem; display: flex; gap: .7rem; align-items: center; }
.verdict p { margin: 0; max-width: 54rem; }
.verdict ul { list-style: none; margin: .9rem 0 0; padding: .3rem 0 0; border-top: 1px solid var(--rule); }
.verdict li { display: grid; grid-template-columns: 5.2rem 9rem 1fr; gap: .6rem; padding: .3rem 0; align-items: baseline; }
.verdict li b { overflow-wrap: anywhere; }
.pill { color: var(--level); border: 1px solid currentColor; border-radius: 1rem; padding: 0 .6rem; font-size: .78rem;
  font-weight: 600; white-space: nowrap; justify-self: start; }
.trust { --level: var(--trust); } .care { --level: var(--care); } .doubt { --level: var(--doubt); }
.unknown { --level: var(--unknown); }
.scroll { overflow-x: auto; padding: .4rem .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .26rem .55rem; text-align: right; white-space: nowrap; }
thead th { color: var(--muted); font-weight: 600; border-bottom: 1px solid var(--rule); vertical-align: bottom; }
th.name, td.name { text-align: left; }
tbody th { font-weight: 600; text-align: left; vertical-align: top; }
tbody + tbody tr:first-child > * { border-top: 1px solid var(--rule); }
td svg { display: block; width: 9rem; height: 1rem; overflow: visible; }
.swatch { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; background: var(--paint); }
figure { margin: 0; } figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: inherit; }
figcaption { margin-top: .4rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .9rem; }
.panels .card { padding: .8rem .9rem .5rem; } .panels figcaption { margin: 0 0 .3rem; color: var(--ink); font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; font-size: .875rem; margin-top: 1.2rem; }
nav a { color: var(--muted); text-underline-offset: .2em; }
.program { display: grid; grid-template-columns: minmax(12rem, 26rem) 1fr; gap: 1.5rem; align-items: center; }
.program svg { max-width: 100%; height: auto; } .story { overflow-x: auto; } .story ol { list-style: none; padding: 0; margin: 0; }
code { font-size: .82rem; white-space: pre-wrap; }
.runs { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: .9rem; align-items: start; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .15rem 1.2rem; margin: .6rem 0 0; font-size: .875rem; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; font-weight: 600; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--engine-0); outline-offset: 2px; }
th[aria-sort] button::after { content: " \\2191"; } th[aria-sort="descending"] button::after { content: " \\2193"; }
.ppgen text { fill: var(--ink); } .ppgen .guide text { fill: var(--engine-0); }
.ppgen :is(.plate, .arrow) path, .ppgen .ring ellipse { stroke: var(--ink); }
.ppgen .arrow polygon, .ppgen .dot ellipse, .ppgen .box polygon { fill: var(--ink); stroke: var(--ink); }
.ppgen .observed ellipse { fill: var(--rule); }
@media (max-width: 40rem) { .program { grid-template-columns: 1fr; }
  .verdict li { grid-template-columns: 5.2rem 1fr; } .verdict li span:last-child { grid-column: 2; } }
@media print { nav { display: none; } body { background: none; font-size: 10.5pt; } main { max-width: none; padding: 0; }
  .card, tbody, li { break-inside: avoid; } h2, h3 { break-after: avoid; } .scroll { overflow: visible; }
  table { font-size: 7.5pt; } th, td { padding: .15rem .3rem; } td svg { width: 5rem; } }
"""

# A head is a button; rows that belong together (a component's, one for each engine) move together, by the first of them.
SCRIPT = """
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  const groups = table.tBodies.length > 1 ? [...table.tBodies] : [...table.tBodies[0].rows];
  const place = groups[0].parentNode;
  const value = (group, column) => {
    const text = (group.rows ? group.rows[0] : group).cells[column].textContent.trim();
    const number = parseFloat(text.replaceAll(",", ""));
    return [text === "-" ? 2 : isNaN(number) ? 1 : 0, number, text];
  };
  heads.forEach((head, column) => {
    if (head.querySelector("[aria-hidden]")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = groups.map((group, i) => [value(group, column), i, group]);
      keyed.sort(([[a, x, s], i], [[b, y, t], j]) => {
        const order = a || b ? a - b || s.localeCompare(t, "en", { numeric: true }) : x - y;
        return (a === 2 || b === 2 ? order : down ? -order : order) || i - j;
      });
      keyed.forEach(([, , group]) => place.append(group));
    });
  });
}
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$css</style>
</head>
<body>
<main>
<header><h1>$title</h1><p>$lede</p></header>
<nav aria-label="Sections">$nav</nav>
<section aria-labelledby="verdict"><h2 id="verdict">Verdict</h2>$verdict</section>
<section aria-labelledby="marginals"><h2 id="marginals">Marginals</h2>$marginals</section>
<section aria-labelledby="engines"><h2 id="engines">Engines</h2>$engines</section>
$program
$data
<section aria-labelledby="traces"><h2 id="traces">Densities and traces</h2>$traces</section>
<section aria-labelledby="origin"><h2 id="origin">Where this comes from</h2>$origin</section>
</main>
<script>$script</script>
</body>
</html>
""")


def page(comparison: "Comparison") -> str:
    """The whole report. Equal comparisons give equal bytes."""
    sections = {
        "verdict": "Verdict",
        "marginals": "Marginals",
        "engines": "Engines",
        "program": "Program",
        "data": "Data and fit",
        "traces": "Densities and traces",
        "origin": "Where this comes from",
    }
    program, data = _program(comparison), _data(comparison)
    absent = {name for name, text in (("program", program), ("data", data)) if not text}
    return PAGE.substitute(
        css=CSS,
        script=SCRIPT,
        nav="".join(f'<a href="#{name}">{title}</a>' for name, title in sections.items() if name not in absent),
        program=program,
        title=escape(comparison.title),
        lede=_lede(comparison),
        verdict=_verdict(comparison),
        marginals=_marginals(comparison),
        engines=_engines(comparison),
        data=data,
        traces=_traces(comparison),
        origin=_origin(comparison),
    )


def _lede(comparison: "Comparison") -> str:
    names = [_engine(comparison, name) for name in comparison.posteriors]
    several = len(names) > 1
    text = f"What {', '.join(names[:-1]) + ' and ' if several else ''}{names[-1]} found for the same program and data."
    if comparison.reference is not None and several:
        text += f" {_engine(comparison, comparison.reference)} is the reference."
    return text


def _verdict(comparison: "Comparison") -> str:
    cards = []
    for finding in (f for f in comparison.findings if f.site is None):
        sites = [f for f in comparison.findings if f.engine == finding.engine and f.site is not None]
        items = "".join(
            f'<li class="{f.level}">{_pill(f.level, f.mark)}<b>{escape(str(f.site))}</b><span>{_sentence(f.text)}</span></li>'
            for f in sites
        )
        head = f"<h3>{_engine(comparison, finding.engine)} {_pill(finding.level, finding.mark)}</h3>"
        text = f"<p>{_sentence(finding.text)}</p>"
        cards.append(f'<article class="card {finding.level}">{head}{text}{f"<ul>{items}</ul>" if items else ""}</article>')
    return f'<div class="verdict">{"".join(cards)}</div>'


def _sentence(text: str) -> str:
    """Escaped, with a capital, and unbroken where a line may end."""
    return escape(text[:1].upper() + text[1:]).replace("k-hat", "k&#8209;hat")


def _pill(level: str, mark: str) -> str:
    return f'<span class="pill">{mark} {WORDS[level]}</span>'


def _engine(comparison: "Comparison", name: str) -> str:
    return f'<span><i class="swatch" style="--paint: {_paint(comparison, name)}"></i>{escape(name)}</span>'


def _paint(comparison: "Comparison", name: str) -> str:
    return variable(colour(comparison, name))


# Tables


def _marginals(comparison: "Comparison") -> str:
    heads = "".join(f'<th scope="col">{escape(h)}</th>' for h in SITE_HEADS)
    bodies: dict[tuple[str, str], list[str]] = {}
    for site, component, engine, cells in site_cells(comparison):
        rows = bodies.setdefault((site, component), [])
        name = f'<th scope="rowgroup" rowspan="{len(comparison.engines)}">{escape(component_name(site, component))}</th>'
        picture = _interval(comparison, comparison.by_component[site, component], engine)
        values = "".join(f"<td>{escape(c)}</td>" for c in cells)
        rows.append(f'<tr>{"" if rows else name}<td class="name">{_engine(comparison, engine)}</td><td>{picture}</td>{values}</tr>')
    body = "".join(f"<tbody>{''.join(rows)}</tbody>" for rows in bodies.values())
    notes = "".join(f"<p>{escape(note)}</p>" for note in (*comparison.notes, *left_out(comparison)))
    return (
        '<div class="card scroll"><table class="sorts"><thead><tr><th class="name" scope="col">site</th>'
        '<th class="name" scope="col">engine</th>'
        f'<th scope="col"><span aria-hidden="true">5 to 95 %</span></th>{heads}</tr></thead>{body}</table></div>'
        f'<div class="notes">{_legend(comparison)}{notes}</div>'
    )


def _legend(comparison: "Comparison") -> str:
    text = "ESS is the bulk effective sample size. Site by site, mean and sd are of the posterior and the interval holds 90 % of it. "
    if comparison.reference is not None and len(comparison.engines) > 1:
        name = escape(comparison.reference)
        text += (
            f"Shift is the difference of means in standard deviations of {name}; sd ratio the standard deviation over that of {name}; "
            f"W1 the Wasserstein-1 distance from {name}, in units of the site and in its standard deviations."
        )
    return f"<p>{text}</p>"


def _interval(comparison: "Comparison", rows: "pd.DataFrame", engine: str) -> str:
    """The row's 90 % interval and mean on an axis that the engines of one component share."""
    low, high = float(rows["5%"].min()), float(rows["95%"].max())
    if not high > low:
        return ""
    row: Any = rows.loc[engine]
    left, at, right = (2 + 140 * (float(row[k]) - low) / (high - low) for k in ("5%", "mean", "95%"))
    paint = _paint(comparison, engine)
    return (
        '<svg viewBox="0 0 144 16" aria-hidden="true">'
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="8" y2="8" style="stroke: {paint}" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{at:.1f}" cy="8" r="4.5" style="fill: {paint}; stroke: var(--surface)" stroke-width="1.5"/></svg>'
    )


def _engines(comparison: "Comparison") -> str:
    heads = "".join(f'<th scope="col">{escape(h)}</th>' for h in ENGINE_HEADS)
    body = "".join(
        f'<tr><th scope="row">{_engine(comparison, name)}</th>{"".join(f"<td>{escape(c)}</td>" for c in cells)}</tr>'
        for name, cells in engine_cells(comparison)
    )
    text = "Seconds are wall time with everything in it: recording, checks, compiling, warm-up, sampling, collecting."
    return (
        f'<div class="card scroll"><table class="sorts"><thead><tr><th class="name" scope="col">engine</th>{heads}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="notes">{text}</p>'
    )


# The program


def _program(comparison: "Comparison") -> str:
    """Its plate diagram, factorisation and story, read off the program; nothing where the draws came without one."""
    program = next((p.program for p in comparison.posteriors.values() if p.program is not None), None)
    if program is None:
        return ""
    try:
        graph = structure(program)
        drawn, written = diagram(graph).inline(""), formula(graph)
    except DataError as error:  # too large to draw
        return f'<section aria-labelledby="program"><h2 id="program">Program</h2><p>{escape(str(error))}</p></section>'
    story = "".join(f"<li><code>{escape(line)}</code></li>" for line in written.story)
    words = f'<div class="story"><p><code>{escape(written.text)}</code></p><ol>{story}</ol></div>'
    return (
        '<section aria-labelledby="program"><h2 id="program">Program</h2>'
        f'<div class="card program"><figure>{drawn}</figure>{words}</div></section>'
    )


# Figures


def _data(comparison: "Comparison") -> str:
    figures = "".join(f'<div class="card">{_figure(d, below=True)}</div>' for d in data_drawings(comparison))
    return f'<section aria-labelledby="data"><h2 id="data">Data and fit</h2>{figures}</section>' if figures else ""


def _traces(comparison: "Comparison") -> str:
    keys = list(dict.fromkeys((row.site, row.component) for row in site_cells(comparison)))
    panels = "".join(
        f'<div class="card">{_figure(marginal_drawing(comparison, *key, comparison.places[key]))}</div>' for key in keys[:PANELS]
    )
    more = f'<p class="notes">The first {PANELS} of {len(keys)} are drawn.</p>' if len(keys) > PANELS else ""
    losses = [d for name in comparison.posteriors if (d := loss_drawing(comparison, name)) is not None]
    below = "".join(f'<h3>{escape(d.caption)}</h3><div class="card">{_figure(d, caption=False)}</div>' for d in losses)
    return f'<div class="panels">{panels}</div>{more}{below}'


def _figure(drawing: Drawing, *, below: bool = False, caption: bool = True) -> str:
    words = f"<figcaption>{escape(drawing.caption)}</figcaption>" if caption else ""
    picture = f'<div role="img" aria-label="{escape(drawing.alt)}">{drawing.svg}</div>'
    return f"<figure>{picture}{words}</figure>" if below else f"<figure>{words}{picture}</figure>"


# Provenance


def _origin(comparison: "Comparison") -> str:
    data = comparison.dataset
    source = ""
    if data is not None:
        facts = {"data": data.name, "rows": str(data.size), "columns": ", ".join(data.columns)}
        source = _facts(facts | {"source": str(data.source or "-"), "licence": str(data.licence or "-")})
    runs = "".join(
        f'<details class="card" open><summary>{_engine(comparison, name)}</summary>{_facts(dict(_flat(p.provenance)))}</details>'
        for name, p in comparison.posteriors.items()
    )
    return f'{source}<h3>How each posterior was made</h3><div class="runs">{runs}</div>'


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as rows: `seconds / record`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} / ")
        else:
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in facts.items())}</dl>"
