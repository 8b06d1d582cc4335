"""Inline SVG for the report: the same bytes for the same drawing, readable in light and in dark.

Matplotlib draws without pyplot and its global state. Colours are those of Okabe & Ito (Color Universal Design, 2008), which
stay apart for colour-blind eyes, and line styles differ too; in the SVG each becomes a CSS variable of the page.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MUTED", "Canvas", "drawn", "ink", "paint", "variable"]

# What matplotlib paints -> the page's variable
INK, MUTED, RULE, SURFACE = "#1b1d22", "#6b7078", "#d9dce1", "#fefdfb"
ENGINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", SURFACE: "--surface"} | {
    colour: f"--engine-{i}" for i, colour in enumerate(ENGINES)
}
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.5, 1.2, 1.5)))

STYLE: dict[Any, Any] = {
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "legend.frameon": False,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "ppgen",  # ids from content alone
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 8,
}
_PLACES = re.compile(r"-?\d+\.\d+")


def paint(i: int) -> str:
    """Colour of the i-th engine."""
    return ENGINES[i % len(ENGINES)]


def variable(i: int) -> str:
    """The same as the page's CSS has it."""
    return f"var({VARIABLES[paint(i)]})"


def ink(i: int) -> dict[str, Any]:
    """Paint of the i-th engine; dashes lie above the reference's solid line, so that both show where they agree."""
    return {"color": paint(i), "linestyle": DASHES[i % len(DASHES)], "zorder": 3 + i}


class Canvas:
    """A matplotlib figure, and its SVG once it is drawn."""

    def __init__(self, figure: "Figure"):
        self.figure, self.svg = figure, ""


@contextmanager
def drawn(width: float, height: float) -> Iterator[Canvas]:
    """A figure of that size in inches, drawn with our style when the block ends."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        canvas = Canvas(Figure((width, height), layout="constrained"))
        yield canvas
        text = io.StringIO()
        canvas.figure.savefig(text, format="svg", metadata={"Creator": None, "Date": None, "Format": None, "Type": None})
        canvas.svg = _inline(text.getvalue())


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}"


def _inline(svg: str) -> str:
    """For a place inside HTML: no prologue, no names that would clash, no size of its own, the page's colours and font."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:xlink)?="[^"]*"|\sversion="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r' d="([^"]*)"', lambda m: f' d="{_PLACES.sub(_rounded, m[1])}"', svg)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    salt = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{m[1]}-{salt}"' if m[1] in used else "", svg)
    svg = re.sub(r'(href="|url\()#([^")]+)', rf"\1#\2-{salt}", svg)
    svg = re.sub(r"(stroke|fill): (#[0-9a-f]{6})", lambda m: f"{m[1]}: var({VARIABLES[m[2]]})" if m[2] in VARIABLES else m[0], svg)
    return re.sub(r"font(-family)?: ([^;\"]*)'DejaVu Sans'[^;\"]*", lambda m: f"font{m[1] or ''}: {m[2]}inherit", svg)
