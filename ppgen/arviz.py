"""ArviZ: arrays to its container and its file. The only module that knows which of ArviZ's two generations is installed.

ArviZ 0.23 (Python 3.11) holds results in an InferenceData, 1.x (Python >= 3.12) in xarray's DataTree. Both are groups of xarray
datasets by the same names, so the datasets are built here once, on arrays alone, and only the outermost container differs. The
numbers that ArviZ gives by these names are those of `diagnostics`: the same under both, and without importing ArviZ.
"""

import importlib.metadata
import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import __version__
from .diagnostics import ess_and_rhat, mcse_mean, smooth, summary
from .errors import DataError

if TYPE_CHECKING:
    import arviz as az
    import xarray

__all__ = ["convert", "ess_and_rhat", "from_netcdf", "mcse_mean", "smooth", "summary", "to_netcdf"]

NOTHING: Mapping[str, Any] = MappingProxyType({})
ENGINE: Final = "h5netcdf"
SAMPLED = ("chain", "draw")
LEADING: dict[str, tuple[str, ...]] = {  # the dimensions that every variable of a group begins with
    "posterior": SAMPLED,
    "sample_stats": SAMPLED,
    "log_likelihood": SAMPLED,
    "posterior_predictive": SAMPLED,
    "prior": SAMPLED,
    "prior_predictive": SAMPLED,
    "observed_data": (),
    "constant_data": (),
}


def convert(
    groups: Mapping[str, Mapping[str, np.ndarray]],
    *,
    coords: Mapping[str, Sequence[Any]] = NOTHING,
    dims: Mapping[str, Sequence[str]] = NOTHING,
    attrs: Mapping[str, Any] = NOTHING,
) -> "az.InferenceData | xarray.DataTree":
    """What az.plot_*, az.summary and az.loo take: an InferenceData (ArviZ 0.23) or a DataTree (1.x).

    groups   posterior, sample_stats, log_likelihood, posterior_predictive, prior, prior_predictive: name -> (chains, draws,
             *shape); observed_data, constant_data: name -> (*shape). Arrays are not copied; empty groups are left out
    coords   dimension -> a label for each place along it; without one, places count from 0
    dims     name -> its dimensions after chain and draw (all of them for data); where there are none or too few, the i-th is
             called name_dim_i. A log likelihood has fewer than the data of its name: it takes the first of them; places where it
             is nan in every draw (missing data) are left out with their labels
    attrs    goes to every group: text and numbers as they are, anything else that is JSON-able as JSON text, because netCDF
             holds no dicts, no booleans and no None

    A slash in a name becomes a dot: in netCDF it would begin another group.

    Raises DataError for a group that ArviZ does not have, for shapes within a group that disagree, for names and labels that
    do not fit the array, and for attributes that JSON cannot hold.
    """
    named = {**_attributes(attrs), "inference_library": "ppgen", "inference_library_version": __version__}
    datasets = {}
    for group, variables in groups.items():
        if group not in LEADING:
            raise DataError(f"ArviZ has no group {group!r}; the groups are {', '.join(LEADING)}")
        if variables:
            datasets[group] = _dataset(group, variables, coords, dims, named)
    if (pointwise := datasets.get("log_likelihood")) is not None:
        for dim in set(pointwise.dims) - set(SAMPLED):
            datasets["log_likelihood"] = datasets["log_likelihood"].dropna(dim, how="all")
    return _container(datasets)


def to_netcdf(data: "az.InferenceData | xarray.DataTree", path: str | Path) -> None:
    """Writes the netCDF file (HDF5 inside) that `from_netcdf`, az.from_netcdf and xarray read; replaces what is there."""
    data.to_netcdf(str(path), engine=ENGINE)


def from_netcdf(path: str | Path) -> "az.InferenceData | xarray.DataTree":
    """What `to_netcdf` wrote, under this or the other version of ArviZ; in memory, the file closed.

    Raises DataError where there is no such file or it is not netCDF.
    """
    import xarray

    try:
        tree = xarray.open_datatree(str(path), engine=ENGINE)
    except OSError as error:
        raise DataError(f"{path} cannot be read as netCDF: {error}") from error
    with closing(tree):
        return _container({name: group.to_dataset().load() for name, group in tree.children.items()})


def _container(datasets: "dict[str, xarray.Dataset]") -> "az.InferenceData | xarray.DataTree":
    import xarray

    if int(importlib.metadata.version("arviz").partition(".")[0]) >= 1:
        return xarray.DataTree.from_dict(datasets)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)  # announces 1.x on import
        import arviz as az
    groups: dict[str, Any] = datasets  # beside groups its signature has options
    return az.InferenceData(**groups)


# One group


def _dataset(
    group: str,
    variables: Mapping[str, np.ndarray],
    coords: Mapping[str, Sequence[Any]],
    dims: Mapping[str, Sequence[str]],
    attrs: Mapping[str, Any],
) -> "xarray.Dataset":
    import xarray

    arrays = {name: np.asarray(values) for name, values in variables.items()}
    axes = {name: _axes(group, name, values, dims.get(name, ())) for name, values in arrays.items()}
    lengths = _lengths(group, arrays, axes)
    clash = [name for name in arrays if name in lengths]
    if clash:
        raise DataError(f"{group}: {clash[0]!r} names both a variable and a dimension, and ArviZ keeps one of them; rename either")
    plain = {name: name.replace("/", ".") for name in (*arrays, *lengths)}
    if len(set(plain.values())) < len(plain):
        raise DataError(f"{group}: with dots for slashes two names become one among {', '.join(map(repr, plain))}; rename one")
    places = {plain[dim]: _labels(group, dim, length, coords.get(dim)) for dim, length in lengths.items()}
    values = {plain[name]: ([plain[dim] for dim in axes[name]], array) for name, array in arrays.items()}
    return xarray.Dataset(values, places, attrs)


def _axes(group: str, name: str, values: np.ndarray, given: Sequence[str]) -> tuple[str, ...]:
    """The name of every axis of one variable."""
    leading = LEADING[group]
    own = values.ndim - len(leading)
    if own < 0:
        raise DataError(f"{group}: {name!r} has shape {values.shape}; expected (chains, draws, ...)")
    if len(given) > own and group != "log_likelihood":
        raise DataError(f"{group}: {name!r} has shape {values.shape}, too few axes for the dims {tuple(given)} after {leading}")
    names = (*leading, *given[:own], *(f"{name}_dim_{i}" for i in range(len(given), own)))
    if len(set(names)) < len(names):
        raise DataError(f"{group}: {name!r} has the dims {names}; each axis needs a name of its own")
    return names


def _lengths(group: str, arrays: Mapping[str, np.ndarray], axes: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How long each dimension of a group is; every variable must agree."""
    lengths: dict[str, int] = {}
    first: dict[str, str] = {}
    for name, values in arrays.items():
        for dim, length in zip(axes[name], values.shape, strict=True):
            if lengths.setdefault(dim, length) != length:
                raise DataError(f"{group}: dimension {dim!r} has length {lengths[dim]} in {first[dim]!r} and {length} in {name!r}")
            first.setdefault(dim, name)
    return lengths


def _labels(group: str, dim: str, length: int, given: Sequence[Any] | None) -> np.ndarray:
    if given is None:
        return np.arange(length)
    labels = np.asarray(given)
    if labels.shape != (length,):
        raise DataError(f"{group}: dimension {dim!r} has length {length}; coords has labels of shape {labels.shape} for it")
    return labels.astype(str) if labels.dtype == object else labels


def _attributes(attrs: Mapping[str, Any]) -> dict[str, str | int | float]:
    return {name: _attribute(name, value) for name, value in attrs.items()}


def _attribute(name: str, value: Any) -> str | int | float:
    integer = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str | float) or (integer and -(2**63) <= value < 2**63):  # netCDF's integers have 64 bits
        return value
    try:
        return json.dumps(value)
    except TypeError as error:
        raise DataError(f"attribute {name!r} cannot be written as JSON: {error}") from error
