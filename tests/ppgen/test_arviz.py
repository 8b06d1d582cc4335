"""ArviZ's containers, tables, plots and files of what ppgen.arviz makes. The same tests run under ArviZ 0.23 and 1.x, so that
nothing here may import torch: test_arviz_1.py runs this file once more where ArviZ 1.x is found."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest

from ppgen.arviz import convert, from_netcdf, summary, to_netcdf
from ppgen.errors import DataError

ROOT = Path(__file__).parents[2]
ONE = not importlib.metadata.version("arviz").startswith("0.")
NAMES = {"feature": ["width", "length", "depth"], "rock": [1974, 1979]}
DIMS = {"loc": ("rock", "feature"), "x": ("rock_age", "feature"), "rate": ("rock",)}

mpl.use("Agg")


def normal(chains: int = 4, draws: int = 250) -> dict[str, dict[str, np.ndarray]]:
    """Draws from the exact posterior of a normal mean, data of known scale 200 in a flat prior, with passengers."""
    rng = np.random.default_rng(20)
    x = rng.normal(5000.0, 200.0, size=(30, 3))
    mean = x.mean() + 200.0 / np.sqrt(x.size) * rng.normal(size=(chains, draws))
    log_likelihood = -0.5 * ((x - mean[..., None, None]) / 200.0) ** 2 - np.log(200.0 * np.sqrt(2 * np.pi))
    return {
        "posterior": {
            "mean": mean,
            "loc": rng.normal(size=(chains, draws, 2, 3)).astype(np.float32),
            "kind": rng.integers(0, 3, size=(chains, draws, 2)),
            "rate": rng.gamma(2.0, size=(chains, draws, 2)),
        },
        "sample_stats": {"diverging": rng.random((chains, draws)) < 0.3, "lp": log_likelihood.sum((2, 3))},
        "log_likelihood": {"x": log_likelihood},
        "posterior_predictive": {"x": mean[..., None, None] + 200.0 * rng.normal(size=(chains, draws, 30, 3))},
        "prior": {"rate": rng.gamma(2.0, size=(1, 50, 2))},
        "prior_predictive": {"x": rng.normal(size=(1, 50, 30, 3))},
        "observed_data": {"x": x},
        "constant_data": {"hours": np.float64(12.5), "ages": np.arange(30)},
    }


def test_every_array_arrives_under_its_name_with_its_dims_and_labels():
    groups = normal()
    data = convert(groups, coords=NAMES, dims=DIMS)
    assert set(data.keys()) == set(groups)
    for group, variables in groups.items():
        assert set(data[group].data_vars) == set(variables)
        for name, values in variables.items():
            np.testing.assert_array_equal(data[group][name], values)
            assert data[group][name].dtype == values.dtype
    assert data.posterior["loc"].dims == ("chain", "draw", "rock", "feature")
    assert data.posterior["kind"].dims == ("chain", "draw", "kind_dim_0")
    assert data.observed_data["x"].dims == ("rock_age", "feature")
    assert data.constant_data["hours"].dims == ()
    np.testing.assert_array_equal(data.posterior["feature"], NAMES["feature"])
    np.testing.assert_array_equal(data.posterior["rock"], NAMES["rock"])
    np.testing.assert_array_equal(data.posterior["draw"], np.arange(250))
    np.testing.assert_array_equal(data.observed_data["rock_age"], np.arange(30))
    chosen = data.posterior["loc"].sel(rock=1979, feature="depth")
    np.testing.assert_array_equal(chosen, groups["posterior"]["loc"][..., 1, 2])


def test_the_container_is_that_of_the_installed_version():
    assert type(convert(normal())).__name__ == ("DataTree" if ONE else "InferenceData")


@pytest.mark.parametrize(("chains", "draws"), [(1, 1), (1, 7), (5, 1), (9, 3)])
def test_few_draws_and_more_chains_than_draws(chains, draws, tmp_path):
    data = convert(normal(chains, draws), coords=NAMES, dims=DIMS)
    to_netcdf(data, tmp_path / "few.nc")
    assert from_netcdf(tmp_path / "few.nc").posterior["loc"].shape == (chains, draws, 2, 3)


def test_a_log_likelihood_takes_the_first_dims_of_its_data():
    groups = {"observed_data": {"x": np.zeros((5, 3))}, "log_likelihood": {"x": np.zeros((2, 4, 5))}}
    data = convert(groups, dims={"x": ("row", "feature")})
    assert data.log_likelihood["x"].dims == ("chain", "draw", "row")


def test_too_few_dims_are_filled_up_by_number():
    data = convert({"posterior": {"cov": np.zeros((2, 4, 5, 3, 3))}}, dims={"cov": ("component",)})
    assert data.posterior["cov"].dims == ("chain", "draw", "component", "cov_dim_1", "cov_dim_2")


def test_slashes_become_dots(tmp_path):
    data = convert({"posterior": {"layer/w": np.ones((2, 4, 3))}}, coords={"in/put": [5, 6, 7]}, dims={"layer/w": ("in/put",)})
    to_netcdf(data, tmp_path / "slash.nc")
    read = from_netcdf(tmp_path / "slash.nc").posterior["layer.w"]
    assert read.dims == ("chain", "draw", "in.put")
    np.testing.assert_array_equal(read["in.put"], [5, 6, 7])


def test_empty_groups_are_left_out():
    assert set(convert({"posterior": {}, "observed_data": {"x": np.zeros(3)}}).keys()) == {"observed_data"}
    assert set(convert({}).keys()) == set()


def test_attributes_survive_the_file(tmp_path):
    given = {
        "settings": {"step_size": 0.1, "dense": True, "guide": None, "sizes": [1, 2]},
        "seed": 2**64 - 1,
        "count": 12,
        "seconds": 1.5,
        "name": "",
        "converged": True,
    }
    to_netcdf(convert(normal(), attrs=given), tmp_path / "attrs.nc")
    read = from_netcdf(tmp_path / "attrs.nc")
    for group in normal():
        found = read[group].attrs
        assert json.loads(found["settings"]) == given["settings"]
        assert (found["count"], found["seconds"], found["name"]) == (12, 1.5, "")
        assert (json.loads(found["seed"]), json.loads(found["converged"])) == (2**64 - 1, True)
        assert found["inference_library"] == "ppgen"


@pytest.mark.parametrize("own", [True, False], ids=["to_netcdf", "the container's own"])
def test_the_file_holds_everything(tmp_path, own):
    groups = normal()
    groups["observed_data"]["x"][3, 1] = np.nan  # a missing value
    data, path = convert(groups, coords=NAMES, dims=DIMS), tmp_path / "fit.nc"
    path.write_text("what was there before")
    if own:
        to_netcdf(data, path)
    else:
        data.to_netcdf(str(path))
    theirs = az.from_netcdf(str(path)).load()
    theirs.close()
    ours = from_netcdf(path)
    path.unlink()  # and nothing is read from it any more
    for read in (ours, theirs):
        for group, variables in groups.items():
            for name, values in variables.items():
                np.testing.assert_array_equal(read[group][name], values)
                assert read[group][name].dtype == values.dtype, name
                assert read[group][name].dims == data[group][name].dims
        np.testing.assert_array_equal(read.posterior["feature"], NAMES["feature"])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.nc"):
        from_netcdf(tmp_path / "nowhere.nc")
    (tmp_path / "text.nc").write_text("not a netCDF file")
    with pytest.raises(DataError, match=r"text\.nc"):
        from_netcdf(tmp_path / "text.nc")


DRAWS = np.zeros((2, 5, 3))


@pytest.mark.parametrize(
    ("groups", "names", "message"),
    [
        ({"posteriors": {"a": DRAWS}}, {}, r"no group 'posteriors'; the groups are posterior,"),
        ({"posterior": {"a": DRAWS[0, 0]}}, {}, r"posterior: 'a' has shape \(3,\); expected \(chains, draws"),
        ({"posterior": {"a": DRAWS, "b": DRAWS[:, 1:]}}, {}, r"'draw' has length 5 in 'a' and 4 in 'b'"),
        ({"posterior": {"a": DRAWS}}, {"dims": {"a": ("u", "v")}}, r"'a' has shape \(2, 5, 3\), too few axes for the dims \('u', 'v'\)"),
        ({"observed_data": {"a": DRAWS[0]}}, {"dims": {"a": ("u", "u")}}, r"each axis needs a name of its own"),
        ({"posterior": {"a": DRAWS}}, {"dims": {"a": ("draw",)}}, r"each axis needs a name of its own"),
        ({"posterior": {"a": DRAWS}}, {"dims": {"a": ("a",)}}, r"'a' names both a variable and a dimension"),
        ({"posterior": {"draw": DRAWS}}, {}, r"'draw' names both a variable and a dimension"),
        ({"posterior": {"a/b": DRAWS, "a.b": DRAWS}}, {}, r"two names become one"),
        ({"posterior": {"a": DRAWS}}, {"dims": {"a": ("u",)}, "coords": {"u": [1, 2]}}, r"'u' has length 3; coords .* shape \(2,\)"),
        ({"posterior": {"a": DRAWS}}, {"attrs": {"engine": object()}}, r"attribute 'engine' cannot be written as JSON"),
    ],
)
def test_what_does_not_fit_is_named(groups, names, message):
    with pytest.raises(DataError, match=message):
        convert(groups, **names)


# ArviZ's own functions take it


def test_its_summary_is_ours():
    groups = normal()
    groups["posterior"]["loc"] = groups["posterior"]["loc"].astype(float)  # ArviZ folds single precision in single precision
    data = convert(groups, coords=NAMES, dims=DIMS)
    ours = summary(groups["posterior"], coords=NAMES, dims=DIMS)
    theirs = az.summary(data, round_to="none").astype(float)
    assert list(ours.index) == list(theirs.index)
    assert "loc[1979, depth]" in ours.index
    assert "kind[1]" in ours.index
    assert list(ours.columns) == ["mean", "sd", "5%", "95%", "ess_bulk", "ess_tail", "r_hat", "mcse_mean"]
    for column in ("mean", "sd", "ess_bulk", "r_hat", "mcse_mean"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-9, err_msg=column)
    tail = az.ess(data, method="tail", prob=(0.05, 0.95))
    np.testing.assert_allclose(ours.loc["mean", "ess_tail"], tail["mean"], rtol=1e-9)


def test_loo_of_a_normal_mean():
    """Left-out values are Normal(mean of the others, 200 sqrt(1 + 1 / (n - 1))): a sum of closed forms."""
    groups = normal(4, 1000)
    x = groups["observed_data"]["x"].ravel()
    n, scale = len(x), 200.0 * np.sqrt(1 + 1 / (len(x) - 1))
    others = (x.sum() - x) / (n - 1)
    exact = (-0.5 * ((x - others) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))).sum()
    found = az.loo(convert(groups, coords=NAMES, dims=DIMS))
    assert found.n_data_points == n
    assert (found.elpd if ONE else found.elpd_loo) == pytest.approx(exact, abs=0.06)  # its sd over 20 seeds is 0.015


@pytest.mark.filterwarnings("ignore::matplotlib.MatplotlibDeprecationWarning")  # ArviZ 0.23 on matplotlib 3.11
def test_plots():
    data = convert(normal(2, 50), coords=NAMES, dims=DIMS)
    with mpl.rc_context():
        az.plot_trace(data, var_names=["loc"])
        (az.plot_dist if ONE else az.plot_posterior)(data, var_names=["mean"])
    figures = [mpl.pyplot.figure(i) for i in mpl.pyplot.get_fignums()]
    assert len(figures) == 2
    assert all(axes.has_data() for axes in figures[1].axes)
    mpl.pyplot.close("all")


def test_no_warning_leaks_and_nothing_is_imported_early(tmp_path):
    """In a new process where every warning is an error, on the first import of the day, when ArviZ 0.23 makes its announcement."""
    code = (
        "import sys, numpy; from ppgen import arviz as ours; assert 'arviz' not in sys.modules and 'torch' not in sys.modules\n"
        "ours.ess_and_rhat(numpy.random.default_rng(0).normal(size=(2, 20, 3))); assert 'arviz' not in sys.modules\n"
        "data = ours.convert({'posterior': {'a': numpy.zeros((2, 5))}}); data.to_netcdf(sys.argv[1])\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.nc")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
