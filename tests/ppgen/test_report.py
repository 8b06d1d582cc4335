"""The report is one page that stands alone: parsed here as HTML, and opened in Chromium where there is one."""

import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.comparison import Comparison, compare
from ppgen.family import Family
from ppgen.figures import contour_levels, predictive
from ppgen.posterior import Posterior
from ppgen.program import Program
from ppgen.report import page

NASTY = '<script>alert("site")</script>'
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, the text that is shown, and whether every tag is closed in its order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open, self.balanced = "", [], True
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.balanced = self.balanced and bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def plane(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(torch.zeros(2, dtype=torch.float64), 50.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 7.0).to_event(1), obs=x)


def line(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(torch.zeros((), dtype=torch.float64), 50.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 7.0), obs=x)


def counts(x: Tensor) -> None:
    rate = pyro.sample("rate", dist.Gamma(torch.tensor(2.0, dtype=torch.float64), 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Poisson(rate), obs=x)


def nasty(x: Tensor) -> None:
    loc = pyro.sample(NASTY, dist.Normal(torch.zeros((), dtype=torch.float64), 50.0))
    with pyro.plate("data", len(x)):
        pyro.sample(f"$x$ & {NASTY}", dist.Normal(loc, 7.0), obs=x)


def made(program, x: Tensor, *, site: str = "loc", loc: float = 0.0, sd: float = 0.5, **extra: Tensor) -> Comparison:
    """An exact-looking fit by chains and a narrower one by variational inference."""
    generator = torch.Generator().manual_seed(0)
    program = Program(program, x)
    event = program.sites[site].shape
    draws = {n: loc + s * sd * torch.randn(n, 500, *event, dtype=torch.float64, generator=generator) for n, s in ((4, 1), (1, 0.6))}
    seconds = {"record": 0.1, "sample": 2.0, "total": 2.1}
    notes = {"settings": {"seed": 0, "note": "<img src=http://example.org/x.png>"}, "seconds": seconds, "gradients": 4000}
    chains = Posterior(draws={site: draws[4]}, program=program, provenance=notes)
    fitted = Posterior(
        draws={site: draws[1]}, program=program, provenance=notes, log_weights=torch.zeros(1, 500), losses=torch.linspace(90, 10, 300)
    )
    for p, n in ((chains, 4), (fitted, 1)):
        p.draws.update({k: v.expand(n, 500, *v.shape[2:]) + 0.1 * draws[n].reshape(n, 500, -1)[..., :1] for k, v in extra.items()})
    return compare({"<b>svi</b>": fitted, "nuts": chains})


def normal(*shape: int, loc: float = 0.0) -> Tensor:
    return loc + 7.0 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def in_plane() -> str:
    return page(made(plane, normal(120, 2)))


@pytest.fixture(scope="module")
def hostile() -> str:
    return page(made(nasty, normal(60), site=NASTY))


def test_names_of_users_are_text_and_never_markup(hostile: str) -> None:
    parsed = Page(hostile)
    assert "img" not in {tag for tag, _ in parsed.tags}
    assert hostile.count("<script") == 1  # the page's own
    assert hostile.count("</script") == 1
    assert NASTY in parsed.text
    assert "<b>svi</b>" in parsed.text
    assert "<img src=http://example.org/x.png>" in parsed.text
    assert f"$x$ & {NASTY}" in parsed.text  # drawn as it is, not as mathematics


@pytest.mark.parametrize("which", ["in_plane", "hostile"])
def test_the_page_needs_nothing_from_elsewhere(which: str, request: pytest.FixtureRequest) -> None:
    parsed = Page(request.getfixturevalue(which))
    assert parsed.balanced
    assert parsed.open == []
    for tag, attributes in parsed.tags:
        assert tag != "script" or not attributes
        assert tag not in ("iframe", "object", "embed", "base", "img")
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
        assert not any(name.startswith("on") for name in attributes)
        assert not re.search(r"url\((?!#)", attributes.get("style") or "")


def test_ids_are_unique_and_every_reference_is_met(in_plane: str) -> None:
    ids = [a["id"] for _, a in Page(in_plane).tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', in_plane)) <= set(ids)


def test_every_section_and_picture_is_there_and_described(in_plane: str) -> None:
    parsed = Page(in_plane)
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", in_plane)
    assert headings == ["Verdict", "Marginals", "Engines", "Program", "Data and fit", "Densities and traces", "Where this comes from"]
    labels = [a.get("aria-label") for _, a in parsed.tags if a.get("role") == "img"]
    assert len(labels) == 5  # the program, the data, two components, one loss
    assert all(labels)
    assert "Graphical model of" in labels[0]
    assert "Scatter of 120 data" in labels[1]
    assert "prefers-color-scheme: dark" in in_plane
    assert "@media print" in in_plane


def test_colours_are_the_pages_own(in_plane: str) -> None:
    """A colour that stayed as matplotlib wrote it would not follow the dark scheme."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", in_plane, flags=re.DOTALL))
    assert re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", drawings) == []
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", drawings)) <= set(re.findall(r"(--[a-z0-9-]+):", in_plane))


def test_equal_comparisons_give_equal_bytes(in_plane: str) -> None:
    assert page(made(plane, normal(120, 2))) == in_plane


@pytest.mark.parametrize(
    ("program", "x", "site", "loc"),
    [
        (line, normal(200, loc=3.0), "loc", 3.0),
        (counts, torch.tensor([0.0, 1.0, 1.0, 2.0, 5.0, 3.0, 2.0, 1.0] * 5), "rate", 8.0),
    ],
    ids=["line", "counts"],
)
def test_other_data_are_drawn_too(program, x: Tensor, site: str, loc: float) -> None:
    text = page(made(program, x, site=site, loc=loc))
    assert f"Histograms of {len(x)} data (x)" in text


def test_many_components_stay_under_five_megabytes() -> None:
    wide = {f"w{i}": torch.zeros(1, 1, 30, dtype=torch.float64) for i in range(8)}
    text = page(made(plane, normal(400, 2), **wide))
    assert len(text.encode()) < 5e6
    assert "w0 has 30 components" in text


def test_a_program_that_is_not_there_leaves_only_the_data_out() -> None:
    draws = {"loc": normal(4, 500, 2)}
    text = page(compare({"loaded": Posterior(draws=draws)}))
    assert "Data and fit" not in text
    assert "Densities and traces" in text


class Mixture(Family):
    """Two unit squares' worth of data, with the hook that families have for reports."""

    def model(self, x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.zeros(2, 2, dtype=torch.float64), 50.0).to_event(2))
        with pyro.plate("data", len(x)):
            at = pyro.sample("at", dist.Categorical(torch.ones(2, dtype=torch.float64)))
            pyro.sample("x", dist.Normal(loc[at], 7.0).to_event(1), obs=x)

    def forward(self, x: Tensor) -> None:
        self.model(x)

    def guide(self, x: Tensor) -> None: ...

    def components(self, draws: dict[str, Tensor]) -> torch.distributions.MixtureSameFamily:
        each = torch.distributions.Independent(torch.distributions.Normal(draws["loc"], 7.0), 1)
        weights = torch.distributions.Categorical(torch.tensor([0.25, 0.75], dtype=torch.float64).expand(len(draws["loc"]), 2))
        return torch.distributions.MixtureSameFamily(weights, each)


def test_a_mixture_shows_its_components() -> None:
    """Each component has its own contours, that enclose 50 and 90 % of it: circles about loc, by the chi-square law."""
    far = torch.tensor([[-60.0, 0.0], [60.0, 0.0]], dtype=torch.float64)
    x = torch.cat([far[0] + normal(50, 2), far[1] + normal(150, 2)])
    posterior = Posterior(draws={"loc": far.expand(4, 500, 2, 2) + 0.01 * normal(4, 500, 2, 2)}, program=Program(Mixture(), x))
    fit = predictive(posterior, "x")
    grid = np.linspace(-100.0, 100.0, 201)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    parts = fit.components(points)
    assert parts.sum(0) == pytest.approx([0.25, 0.75], abs=1e-3)
    levels = contour_levels(parts[:, 1])
    radii = [math.sqrt(-2 * math.log(1 - mass)) * 7.0 for mass in (0.9, 0.5)]
    peak = 0.75 / (2 * math.pi * 49.0)
    assert levels == pytest.approx([peak * math.exp(-(r**2) / 98.0) for r in radii], rel=0.05)
    assert "contours of each component" in page(compare({"nuts": posterior}))


def opened(file: Path) -> tuple[str, list[str]]:
    """The page as Chromium has it in the end, and what its console says."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--enable-logging=stderr", "--dump-dom", file.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


IN_A_BROWSER = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here: the page is not opened in a browser")


@IN_A_BROWSER
@pytest.mark.parametrize("clicks", [1, 2])
def test_tables_sort(clicks: int, in_plane: str, tmp_path: Path) -> None:
    """By the means of the first engine, up and then down; what belongs to one component stays together."""
    click = f"for (let i = 0; i < {clicks}; i++) document.querySelectorAll('#marginals ~ div thead th')[3].firstChild.click()"
    report = tmp_path / "report.html"
    report.write_text(in_plane.replace("</body>", f"<script>{click}</script></body>"), encoding="utf-8")
    page_, messages = opened(report)
    table = page_[page_.index('id="marginals"') : page_.index('id="engines"')]
    names = re.findall(r'<th scope="rowgroup" rowspan="2">([^<]+)</th>', table)
    means = [float(m.replace(",", "")) for m in re.findall(r"</th><td class=\"name\">.*?</svg></td><td>([^<]+)</td>", table)]
    assert messages == []
    assert f'aria-sort="{("ascending", "descending")[clicks - 1]}"' in table
    assert sorted(names) == ["loc[0]", "loc[1]"]
    assert len(means) == 2
    assert means == sorted(means, reverse=clicks == 2)


@IN_A_BROWSER
@pytest.mark.parametrize("which", ["in_plane", "hostile"])
def test_chromium_has_nothing_to_say(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    report, planted = tmp_path / "report.html", tmp_path / "planted.html"
    report.write_text(request.getfixturevalue(which), encoding="utf-8")
    planted.write_text('<!DOCTYPE html><svg><path d="M 0 wrong"/></svg>', encoding="utf-8")
    assert len(opened(planted)[1]) == 1  # the check does see what is wrong
    assert opened(report)[1] == []
