"""The report's figures: marginals with traces, losses, and the data with what the posteriors predict.

Densities are binned kernel estimates, reflected at the ends of the range (Silverman, Density Estimation, 1986, 2.10, 3.4.2).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from .canvas import MUTED, drawn, ink, paint
from .errors import PpgenError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .comparison import Comparison
    from .posterior import Posterior

__all__ = ["Drawing", "Fit", "contour_levels", "data_drawings", "density", "loss_drawing", "marginal_drawing", "predictive"]

CELLS = 96  # of a grid along each axis
POINTS = 1500  # drawn per trace panel or scatter, at most
DRAWS = 200  # of a posterior, for predictive densities
COLUMNS = 6  # of the data, at most
MASS = (0.9, 0.5)  # enclosed by contours


@dataclass(frozen=True)
class Drawing:
    """A figure: its caption in words (escaped by whoever prints it), what a blind reader hears, and the SVG."""

    caption: str
    alt: str
    svg: str


def colour(comparison: "Comparison", engine: str) -> int:
    """Which of the colours and dashes an engine has: the reference always the first."""
    order = sorted(comparison.posteriors, key=lambda name: name != comparison.reference)
    return order.index(engine)


# Marginals


def marginal_drawing(comparison: "Comparison", site: str, component: str, index: int) -> Drawing:
    """Densities of one component under every engine, above the traces of the Markov chains."""
    draws = {name: _component(p, site, index) for name, p in comparison.posteriors.items()}
    chains = [name for name in draws if comparison.engines.loc[name, "is_mcmc"]]
    every = np.concatenate([d.ravel() for d in draws.values()])
    low, high = np.quantile(every, [0.002, 0.998])
    margin = 0.08 * (high - low) or max(abs(low), 1.0) * 0.1
    with drawn(3.4, 2.7 if chains else 1.6) as canvas:
        axes = canvas.figure.subplots(2, 1, height_ratios=[3, 2]) if chains else [canvas.figure.subplots()]
        for name, values in draws.items():
            i = colour(comparison, name)
            if values.std() > 0:
                x, y = density(values.ravel(), low - margin, high + margin)
                axes[0].plot(x, y, lw=1.6, **ink(i))
                axes[0].fill_between(x, y, color=paint(i), alpha=0.12, lw=0)
            else:  # a point estimate
                axes[0].axvline(values.flat[0], lw=1.6, **ink(i))
        axes[0].set(xlim=(low - margin, high + margin), yticks=[], ylim=(0, None))
        axes[0].spines["left"].set_visible(False)
        axes[0].locator_params(axis="x", nbins=5)
        if chains:
            _trace(axes[1], {name: draws[name] for name in chains}, comparison, (low - margin, high + margin))
    rows = comparison.by_component[site, component].to_dict("index")
    alt = "; ".join(f"{name}: mean {rows[name]['mean']:.4g}, sd {rows[name]['sd']:.3g}" for name in draws)
    return Drawing(f"{site}[{component}]" if component else site, f"Density and trace. {alt}", canvas.svg)


def _trace(axes: "Axes", draws: Mapping[str, np.ndarray], comparison: "Comparison", limits: tuple[float, float]) -> None:
    for name, values in draws.items():
        step = max(1, values.size // POINTS)
        for c, chain in enumerate(values):
            alpha = 0.85 - 0.5 * c / max(len(values) - 1, 1)
            shade = paint(colour(comparison, name))
            axes.plot(np.arange(0, len(chain), step), chain[::step], lw=0.5, color=shade, alpha=alpha)
    axes.set(xlim=(0, max(v.shape[1] for v in draws.values())), ylim=limits)
    axes.locator_params(nbins=4)


def _component(posterior: "Posterior", site: str, index: int) -> np.ndarray:
    values = posterior.draws[site].detach().double().cpu()
    return values.reshape(*values.shape[:2], -1)[..., index].numpy()


def loss_drawing(comparison: "Comparison", name: str) -> Drawing | None:
    """The loss of an engine that optimised, smoothed over a hundredth of the run."""
    losses = comparison.posteriors[name].losses
    if losses is None or losses.numel() < 2:
        return None
    values = losses.detach().double().cpu().reshape(-1).numpy()
    width = max(1, len(values) // 100)
    smooth = np.convolve(np.pad(values, (width - 1, 0), mode="edge"), np.ones(width) / width, mode="valid")
    step = max(1, len(values) // POINTS)
    with drawn(8.4, 1.9) as canvas:
        axes = canvas.figure.subplots()
        i = colour(comparison, name)
        axes.plot(np.arange(0, len(values), step), values[::step], lw=0.5, color=paint(i), alpha=0.3)
        axes.plot(np.arange(0, len(values), step), smooth[::step], lw=1.5, color=paint(i))
        late = values[len(values) // 10 :]
        low, high = np.nanquantile(late, [0.005, 0.995])
        axes.set(xlabel="step", ylabel="loss (nats)", xlim=(0, len(values)))
        if high > low:
            axes.set_ylim(low - 0.1 * (high - low), high + 0.6 * (high - low))
    alt = f"Loss of {name} over {len(values):,} steps, from {values[0]:,.1f} to {smooth[-1]:,.1f} nats."
    return Drawing(f"Loss of {name}", alt, canvas.svg)


# Data and what the fitted programs say about them


def data_drawings(comparison: "Comparison") -> Iterator[Drawing]:
    """Each observed site with the posterior predictive densities, and a mixture's components where a family has them."""
    programs = [p.program for p in comparison.posteriors.values() if p.program is not None]
    for site in programs[0].observed if programs else []:
        rows = _rows(site.value)
        if len(rows) < 2:
            continue
        fits = {name: f for name, p in comparison.posteriors.items() if (f := predictive(p, site.name)) is not None}
        names = _column_names(comparison, site.name, rows.shape[1])
        if rows.shape[1] == 2:
            yield _plane(comparison, rows, names, fits)
        else:
            yield _columns(comparison, rows[:, :COLUMNS], names[:COLUMNS], fits)


def _rows(value: object) -> np.ndarray:
    """Observed data as complete rows, (N, columns)."""
    data = torch.as_tensor(value).detach().double().cpu()
    rows = data.reshape(len(data) if data.dim() else 1, -1).numpy()
    return rows[np.isfinite(rows).all(1)]


@dataclass(frozen=True)
class Fit:
    """What one engine's posterior says a datum is like.

    rows      (M, columns) of the posterior predictive distribution
    mixture   where the family knows it, the distribution of a datum under each of a few draws, batch shape (draws,)
    """

    rows: np.ndarray
    mixture: torch.distributions.MixtureSameFamily | None

    def components(self, points: np.ndarray) -> np.ndarray:
        """Density at points (P, columns) of each component times its weight, averaged over draws: (P, K)."""
        if self.mixture is None:
            return np.empty((len(points), 0))
        event = self.mixture.event_shape
        at = torch.as_tensor(points).reshape(len(points), 1, 1, *event)
        with torch.no_grad():
            each = self.mixture.component_distribution.log_prob(at).exp()  # (P, draws, K)
            return (each * self.mixture.mixture_distribution.probs).mean(1).numpy()


def predictive(posterior: "Posterior", site: str) -> Fit | None:
    """None where the program cannot be simulated: the report then shows the data alone."""
    few = replace(posterior, draws={k: _thin(v) for k, v in posterior.draws.items()})
    try:
        values = few.predict()[site].detach().double().cpu()  # (chains, draws, N, *columns)
    except PpgenError:
        return None
    rows = values.reshape(values.shape[:3].numel(), -1).numpy()
    family = posterior.program.family if posterior.program is not None else None
    draws = {k: v.flatten(0, 1).double() if v.is_floating_point() else v.flatten(0, 1) for k, v in few.draws.items()}
    return Fit(rows, family.components(draws) if family is not None else None)


def _thin(draws: torch.Tensor) -> torch.Tensor:
    """About DRAWS of the draws, evenly spaced."""
    return draws[:, :: max(1, draws.shape[0] * draws.shape[1] // DRAWS)]


def _column_names(comparison: "Comparison", site: str, count: int) -> list[str]:
    names = list(comparison.dataset.columns) if comparison.dataset is not None else []
    if len(names) == count:
        return names
    return [site] if count == 1 else [f"{site}[{j}]" for j in range(count)]


def _plane(comparison: "Comparison", rows: np.ndarray, names: list[str], fits: Mapping[str, Fit]) -> Drawing:
    """Data of two columns: a scatter with contours, and each column's histogram along its edge."""
    x, y = (_axis(rows[:, j]) for j in (0, 1))
    points = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    with drawn(8.4, 5.0) as canvas:
        axes = canvas.figure.subplots(2, 2, width_ratios=[5, 1], height_ratios=[1, 5], sharex="col", sharey="row")
        main, top, right, corner = axes[1, 0], axes[0, 0], axes[1, 1], axes[0, 1]
        shown = rows[:: max(1, len(rows) // POINTS)]
        main.scatter(shown[:, 0], shown[:, 1], s=9, color=MUTED, alpha=0.55, linewidths=0)
        top.hist(rows[:, 0], _bins(rows[:, 0]), density=True, color=MUTED, alpha=0.3)
        right.hist(rows[:, 1], _bins(rows[:, 1]), density=True, color=MUTED, alpha=0.3, orientation="horizontal")
        for name, fit in fits.items():
            i = colour(comparison, name)
            parts = fit.components(points).T.reshape(-1, len(x), len(y))
            whole = parts.sum(0) if len(parts) else density_in_plane(fit.rows, x, y)
            for part in parts if len(parts) else [whole]:
                _contours(main, x, y, part, i)
            top.plot(x, whole.sum(1) * (y[1] - y[0]), lw=1.4, **ink(i))
            right.plot(whole.sum(0) * (x[1] - x[0]), y, lw=1.4, **ink(i))
            corner.plot([], [], lw=1.6, label=name, **ink(i))
        corner.legend(loc="center")
        for edge in (top, right, corner):
            edge.set_axis_off()
        main.set(xlabel=names[0], ylabel=names[1], xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    what = "each component" if any(f.mixture is not None for f in fits.values()) else "the posterior predictive density"
    alt = f"Scatter of {len(rows):,} data, {names[0]} against {names[1]}, with contours of {what} by {', '.join(fits)}."
    caption = f"Contours enclose 50 and 90 % of {what}; along the edges, histograms and predictive densities."
    return Drawing(caption, alt, canvas.svg)


def _contours(axes: "Axes", x: np.ndarray, y: np.ndarray, values: np.ndarray, i: int) -> None:
    """Regions of highest density that hold MASS of what is on the grid."""
    levels = contour_levels(values)
    if i == 0:
        for level in levels:
            axes.contourf(x, y, values.T, [level, np.inf], colors=[paint(i)], alpha=0.1)
    axes.contour(x, y, values.T, levels, colors=[paint(i)], linewidths=1.4, linestyles=[ink(i)["linestyle"]], zorder=3 + i)


def contour_levels(values: np.ndarray) -> np.ndarray:
    """The densities above which MASS of a density on an even grid lies, lowest first."""
    down = np.sort(values.ravel())[::-1]
    share = np.cumsum(down) / down.sum()
    return np.unique([down[np.searchsorted(share, mass)] for mass in MASS])


def _columns(comparison: "Comparison", rows: np.ndarray, names: list[str], fits: Mapping[str, Fit]) -> Drawing:
    """Each column's histogram with the predictive densities."""
    count = rows.shape[1]
    wide = min(count, 3)
    with drawn(8.4, 3.1 if count == 1 else 2.1 * -(-count // wide)) as canvas:
        panels = canvas.figure.subplots(-(-count // wide), wide, squeeze=False).ravel()
        for panel in panels[count:]:
            panel.set_axis_off()
        for j, name in enumerate(names):
            _column(panels[j], comparison, rows[:, j], j, fits if count == 1 else {k: replace(f, mixture=None) for k, f in fits.items()})
            panels[j].set(xlabel=name, yticks=[], ylim=(0, None))
            panels[j].spines["left"].set_visible(False)
        panels[0].legend()
    alt = f"Histograms of {len(rows):,} data ({', '.join(names)}) with the predictive densities by {', '.join(fits)}."
    return Drawing("The data and the posterior predictive density.", alt, canvas.svg)


def _column(axes: "Axes", comparison: "Comparison", values: np.ndarray, j: int, fits: Mapping[str, Fit]) -> None:
    counts = _is_count(values)
    if counts:
        at, n = np.unique(values, return_counts=True)
        axes.bar(at, n / n.sum(), width=0.8, color=MUTED, alpha=0.3)
    else:
        axes.hist(values, _bins(values), density=True, color=MUTED, alpha=0.3)
    x = _axis(values)
    for name, fit in fits.items():
        i = colour(comparison, name)
        if counts:
            at, n = np.unique(fit.rows[:, j], return_counts=True)
            inside = (at >= x[0]) & (at <= x[-1])
            axes.plot(at[inside], n[inside] / n.sum(), marker="o", ms=3.5, lw=1.0, label=name, **ink(i))
            continue
        parts = fit.components(x[:, None])
        for part in parts.T:
            axes.fill_between(x, part, color=paint(i), alpha=0.12, lw=0)
        whole = parts.sum(1) if parts.shape[1] else density(fit.rows[:, j], x[0], x[-1], at=x)[1]
        axes.plot(x, whole, lw=1.6, label=name, **ink(i))
    axes.set_xlim(x[0], x[-1])


def _is_count(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all()) and len(np.unique(values)) <= 30


def _axis(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    margin = 0.15 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, CELLS)


def _bins(values: np.ndarray) -> int:
    """Freedman & Diaconis, 1981, and at least the square root of the count: several modes make their rule too wide."""
    low, q1, q3, high = np.quantile(values, [0, 0.25, 0.75, 1])
    width = 2 * (q3 - q1) / len(values) ** (1 / 3)
    return int(np.clip(max((high - low) / width if width > 0 else 0, len(values) ** 0.5), 5, 60))


# Densities


def density(values: np.ndarray, low: float, high: float, at: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Kernel density of the values on a grid of their own range, cut to (low, high); or at the points `at`."""
    from scipy.ndimage import gaussian_filter1d

    inside = values[(values >= low) & (values <= high)]
    if len(inside) < 2 or inside.min() == inside.max():
        x = np.linspace(low, high, 3) if at is None else at
        return x, np.zeros_like(x)
    y, edges = np.histogram(inside, 512)
    cell = edges[1] - edges[0]
    y = gaussian_filter1d(y.astype(float), _bandwidth(inside) / cell, mode="reflect") / (len(values) * cell)
    x = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    y = np.concatenate([[0.0], y, [0.0]])
    return (x, y) if at is None else (at, np.interp(at, x, y, left=0.0, right=0.0))


def density_in_plane(rows: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kernel density (len(x), len(y)) of rows (M, 2) on the grid of x and y."""
    from scipy.ndimage import gaussian_filter

    cells = (x[1] - x[0], y[1] - y[0])
    edges = [np.append(v - c / 2, v[-1] + c / 2) for v, c in zip((x, y), cells, strict=True)]
    count = np.histogramdd(rows, edges)[0]
    smooth = [_bandwidth(rows[:, j]) / cells[j] * len(rows) ** (1 / 5 - 1 / 6) for j in (0, 1)]
    return gaussian_filter(count, smooth) / (len(rows) * cells[0] * cells[1])


def _bandwidth(values: np.ndarray) -> float:
    q1, q3 = np.quantile(values, [0.25, 0.75])
    spread = min(values.std(), (q3 - q1) / 1.349) or values.std()
    return float(1.06 * spread * len(values) ** -0.2)
