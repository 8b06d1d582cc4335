"""What every engine returns: draws of every latent site, how they came about, and what can be asked of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .discovery import closest
from .errors import CheckpointError, CostError, EliminationError, EngineError, NameNotFoundError, PpgenError, ProgramError
from .folder import VERSION, checked, read_json, read_tensors, write_json, write_tensors
from .program import Program
from .targets import LogDensity, PointwiseLogLikelihood

if TYPE_CHECKING:
    import pandas as pd

    from .preconditioning import PlacedGuide

__all__ = ["Posterior", "require_memory"]

LARGEST = 4 * 2**30  # bytes of draws
POINTWISE = 2**28  # bytes of pointwise log likelihood that `to_arviz` computes unasked
GROUPS = ("draws", "stats", "params", "constrained")  # of tensors by name
NETCDF, TENSORS = "posterior.nc", "posterior.safetensors"


@dataclass(eq=False)
class Posterior:
    """Draws of a program's latent sites.

    draws        site -> (chains, draws, *shape), constrained: continuous, drawn-back discrete and deterministic sites
    program      the learned copy; None after loading without one
    params       learned parameters, unconstrained, by name; constrained: the same as programs have them, as `pyro.param` gives them
    log_weights  (chains, n) log target - log proposal, nats: of the draws, or of the proposals that they were resampled from;
                 None for Markov chains
    losses       (steps,) where something was optimised, nats
    stats        (chains, draws) by ArviZ's names: diverging, acceptance_rate, step_size, tree_depth, n_steps, energy, lp
    provenance   engine, settings, lowering and why, seconds, gradients, versions; JSON-able
    guide        the fitted distribution over the flat position, where draws came from one; not saved
    coords, dims names of dimensions and of the places along them, as ArviZ has them; from the program's plates where not given
    """

    draws: dict[str, Tensor]
    program: Program | None = None
    params: dict[str, Tensor] = field(default_factory=dict)
    log_weights: Tensor | None = None
    losses: Tensor | None = None
    stats: dict[str, Tensor] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    coords: dict[str, Sequence[Any]] = field(default_factory=dict)
    dims: dict[str, Sequence[str]] = field(default_factory=dict)
    guide: "PlacedGuide | None" = field(default=None, repr=False)
    constrained: dict[str, Tensor] = field(default_factory=dict, repr=False)
    resume: Callable[[int], "Posterior"] | None = field(default=None, repr=False)  # what `continue_` calls

    def __post_init__(self) -> None:
        self.constrained = {**self.params, **self.constrained}
        if self.program is not None:
            self.constrained |= {n: p for n, p in self.program.constrained().items() if n in self.params}
            self.coords = {**self.program.coords, **self.coords}
            named = {n: _dims(self.program, n) for n in self.program.sites}
            self.dims = {**{n: d for n, d in named.items() if d is not None}, **self.program.dims, **self.dims}

    def __repr__(self) -> str:
        engine = self.provenance.get("engine", "unknown engine")
        sizes = {n: tuple(v.shape) for n, v in self.draws.items()}
        return f"Posterior({engine}, {sizes})"

    # What it is worth

    @property
    def khat(self) -> float | None:
        """Shape of the Pareto tail of the importance weights: below 0.5 good, above 0.7 useless; None without weights.

        Source: Vehtari, Simpson, Gelman, Yao & Gabry, JMLR 25(72), 2024.
        """
        return None if self.log_weights is None else self._smoothed[1]

    @property
    def smoothed_log_weights(self) -> Tensor | None:
        """(n,) Pareto-smoothed and normalised; None without weights."""
        return None if self.log_weights is None else torch.as_tensor(self._smoothed[0])

    @cached_property
    def _smoothed(self) -> tuple[np.ndarray, float]:
        from .diagnostics import smooth

        return smooth(self._present("log_weights").detach().double().cpu().reshape(-1).numpy())

    @property
    def log_evidence(self) -> float:
        """log of the mean weight, nats: an estimate of log p(data). Raises EngineError without weights."""
        weights = self._present("log_weights").double().reshape(-1)
        return float(weights.logsumexp(0)) - math.log(len(weights))

    def _present(self, name: str) -> Tensor:
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise EngineError(f"this posterior has no {name}; {self.provenance.get('engine', 'its engine')} gives none")
        return value

    def identified(self) -> "Posterior":
        """The same with label switching resolved, where the family knows how; tables and reports show this."""
        family = self.program.family if self.program is not None else None
        return self if family is None else replace(self, draws=family.relabel(self.draws))

    def summary(self) -> "pd.DataFrame":
        """mean, sd, 5% and 95% quantiles, bulk and tail ESS, R-hat (nan for one chain) and MCSE of every component.

        Raises ProgramError for a program without latent sites.
        """
        from .diagnostics import summary

        if not self.draws:
            raise ProgramError("the program has no latent site, so there is nothing to summarise; look at params and losses")
        return summary(_numpy(self.draws), coords=self.coords, dims=self.dims)

    # What follows from it

    @cached_property
    def density(self) -> LogDensity:
        """The program's log density at the learned parameters."""
        return LogDensity(self._program)

    @property
    def _program(self) -> Program:
        if self.program is None:
            raise ProgramError("this posterior was loaded without its program; Posterior.load(path, program=Program(fn, *args)) has it")
        return self.program

    def log_likelihood(self) -> PointwiseLogLikelihood:
        """Of each datum at each draw, nats. Where discrete sites cannot be summed out all of them are held at their draws, so the kind is
        `conditional` where one of them is inside the data plate. Raises ProgramError (no program), RecordingError, and where these sites
        have no draws EliminationError, CostError."""
        try:
            return self.density.log_likelihood(self.draws)
        except (EliminationError, CostError):
            held = self._program.discrete
            if not set(held) <= set(self.draws):
                raise
        return LogDensity(self._program, held=held, compiled=False).log_likelihood(self.draws)

    def predict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """New data, one set for each draw: site -> (chains, draws, *shape).

        Without arguments, replicates of the data that were observed. With arguments, those of the program: a function's own,
        or size= of a Family; latent sites inside the data plate are then drawn anew, the others keep their draws.
        """
        from .simulation import predict

        fitted = self._program
        if not (args or kwargs):
            return predict(fitted, self.draws, seed=self._seed)
        return predict(fitted.bind(*args, **kwargs), self.draws, seed=self._seed, fitted=fitted)

    @property
    def _seed(self) -> int:
        return int(self.provenance.get("settings", {}).get("seed", 0))

    def continue_(self, num_samples: int) -> "Posterior":
        """The same run with that many more draws per chain; equal to the bit to one run of both lengths."""
        if self.resume is None:
            raise EngineError("this posterior cannot be continued: it was loaded, or its engine does not make chains of draws")
        return self.resume(num_samples)

    # ArviZ

    def to_arviz(self, *, log_likelihood: bool | None = None, predictive: bool = False, prior: int = 0) -> Any:
        """An InferenceData (ArviZ 0.23) or a DataTree (1.x), for az.plot_*, az.summary, az.loo.

        log_likelihood   pointwise; None: where the program is there and it takes less than 256 MiB
        predictive       posterior predictive draws of the observed sites
        prior            that many draws from the prior and of its predictions
        """
        from .arviz import convert

        groups = {"posterior": _numpy(self.draws), "sample_stats": self._stats()}
        if self.program is not None:
            groups |= self._program_groups(log_likelihood, predictive, prior)
        attrs = {"provenance": self.provenance, "program": self.program.name if self.program is not None else ""}
        return convert({k: v for k, v in groups.items() if v}, coords=self.coords, dims=self.dims, attrs=attrs)

    def _stats(self) -> dict[str, np.ndarray]:
        stats = _numpy(self.stats)
        shape = next(iter(self.draws.values())).shape[:2] if self.draws else None
        if self.log_weights is not None and self.log_weights.shape == shape:
            stats["log_weight"] = self.log_weights.detach().cpu().numpy()
        return stats

    def _program_groups(self, log_likelihood: bool | None, predictive: bool, prior: int) -> dict[str, dict[str, np.ndarray]]:
        from .simulation import predict, prior_draws

        program = self._program
        observed = {s.name for s in program.observed}
        missing = {n: program.missing_rows(n) for n in observed}
        groups = {"observed_data": _numpy({s.name: _without(torch.as_tensor(s.value), missing[s.name], 0) for s in program.observed})}
        pointwise = self._pointwise(log_likelihood)
        if pointwise is not None:
            values = pointwise.values
            if len(observed) == 1:  # ArviZ looks for a datum and its log likelihood under one name
                values = {n: _without(v, missing[n], 2) for n, v in zip(observed, values.values(), strict=True)}
            groups["log_likelihood"] = _numpy(values)
        if predictive:
            groups["posterior_predictive"] = _numpy({k: v for k, v in self.predict().items() if k in observed})
        if prior:
            latent = prior_draws(program, prior, seed=self._seed)
            predicted = predict(program, latent, seed=self._seed)
            groups["prior"] = _numpy({k: v for k, v in latent.items() if k in self.draws})
            groups["prior_predictive"] = _numpy({k: v for k, v in predicted.items() if k in observed})
        return groups

    def _pointwise(self, wanted: bool | None) -> PointwiseLogLikelihood | None:
        """The pointwise log likelihood; None where it is not wanted, or unasked where it cannot be had or is too big."""
        program = self._program
        if wanted is False or not program.observed or not self.draws:
            return None
        if wanted:
            return self.log_likelihood()
        chains, draws = next(iter(self.draws.values())).shape[:2]
        size = sum(math.prod(s.shape[: len(s.shape) - s.event_dim]) for s in program.observed)
        if chains * draws * size * 8 > POINTWISE:
            return None
        try:
            return self.log_likelihood()
        except PpgenError:
            return None

    # The folder

    def save(self, path: str | Path) -> Path:
        """Writes one folder: manifest.json, tensors, and ArviZ's netCDF file. The program is not saved: code never is."""
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise CheckpointError(f"{folder} is a file; name a folder")
        folder.mkdir(parents=True, exist_ok=True)
        groups: dict[str, Mapping[str, Tensor]] = {n: getattr(self, n) for n in GROUPS}
        tensors = {f"{g}/{k}": v for g, values in groups.items() for k, v in values.items()}
        tensors |= {k: v for k in ("log_weights", "losses") if (v := getattr(self, k)) is not None}
        write_tensors(folder / TENSORS, tensors)
        if self.draws:
            self.to_arviz().to_netcdf(str(folder / NETCDF))
        manifest = {
            "format": "ppgen posterior",
            "version": VERSION,
            "program": self.program.name if self.program is not None else None,
            "names": {g: list(values) for g, values in groups.items()},
            "coords": {k: np.asarray(v).tolist() for k, v in self.coords.items()},
            "dims": {k: list(v) for k, v in self.dims.items()},
            "provenance": self.provenance,
        }
        write_json(folder / "manifest.json", manifest)
        return folder

    @classmethod
    def load(cls, path: str | Path, program: Program | Callable[..., Any] | None = None) -> "Posterior":
        """What `save` wrote. `program` (with its arguments: Program(fn, *args)) is needed for `predict` and `log_likelihood`.

        Raises CheckpointError where the folder holds no posterior or is damaged, ProgramError where sites differ.
        """
        folder = Path(path)
        manifest = checked(read_json(folder / "manifest.json"), "posterior", folder)
        tensors = read_tensors(folder / TENSORS)
        draws, stats, params, constrained = ({k: tensors[f"{g}/{k}"] for k in manifest["names"].get(g, ())} for g in GROUPS)
        own = None if program is None else Program.of(program).copy()
        if own is not None:
            _same_sites(own, draws, folder)
            own.set_params({k: v for k, v in params.items() if k in own.params})
        return cls(
            draws=draws,
            program=own,
            params=params,
            constrained=constrained,
            log_weights=tensors.get("log_weights"),
            losses=tensors.get("losses"),
            stats=stats,
            provenance=manifest["provenance"],
            coords=manifest["coords"],
            dims=manifest["dims"],
        )


def _same_sites(program: Program, draws: Mapping[str, Tensor], folder: Path) -> None:
    for name, value in draws.items():
        site = program.sites.get(name)
        expected = None if site is None else tuple(site.shape)
        if expected != tuple(value.shape[2:]):
            raise ProgramError(f"{folder} has site {name!r} of shape {tuple(value.shape[2:])}; the program {program.name} has {expected}")


def _dims(program: Program, name: str) -> list[str] | None:
    """A name for each dimension of a site's value: its plate, or site_dim_i as ArviZ has it."""
    site = program.sites[name]
    batch = len(site.shape) - site.event_dim
    plates = {program.plates[p].dim + batch: p for p in site.plates if p in program.plates}
    return [plates.get(i, f"{name}_dim_{i}") if site.shape[i] > 1 else f"{name}_dim_{i}" for i in range(len(site.shape))]


def _without(values: Tensor, rows: Tensor | None, lead: int) -> Tensor:
    """Values (*lead, *batch, *event) with nan in the missing rows of a plate: nobody observed them."""
    if rows is None or values.dim() <= lead:
        return values
    out = values.clone() if values.is_floating_point() else values.double()
    out[(slice(None),) * lead + (rows.to(out.device),)] = torch.nan
    return out


def _numpy(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {k: v.detach().cpu().numpy() for k, v in values.items()}


def require_memory(program: Program, chains: int, draws: int, keep: Sequence[str] | None) -> None:
    """Raise CostError, with the figure, where the draws of the sites to keep would not fit; NameNotFoundError for a site to
    keep that is not there."""
    known = [s.name for s in program.sites.values() if s.kind in ("latent", "deterministic")]
    if unknown := sorted(set(keep or ()) - set(known)):
        raise NameNotFoundError(f"keep names {', '.join(unknown)}, which the program {program.name!r} has not{closest(unknown[0], known)}")
    sizes = {s.name: math.prod(s.shape) * 8 * chains * draws for s in program.latent if keep is None or s.name in keep}
    total = sum(sizes.values())
    if total > LARGEST:
        biggest = max(sizes, key=lambda n: sizes[n])
        raise CostError(
            f"{chains} x {draws:,} draws take {total / 2**30:.1f} GiB, {sizes[biggest] / 2**30:.1f} GiB of them for site {biggest!r}; "
            f"name the sites to keep (keep=...) or draw fewer"
        )
