"""ppgen.arviz under ArviZ 1.x beside the version that runs here, where an interpreter with it is found."""

from pathlib import Path

import arviz as az
import numpy as np
import pytest

from ppgen.arviz import convert, from_netcdf, to_netcdf
from tests.tools.arviz_1 import find, run, run_tests

WRITE_BACK = """
import sys, arviz, numpy as np
from ppgen.arviz import from_netcdf, to_netcdf
for read in (arviz.from_netcdf(sys.argv[1]), from_netcdf(sys.argv[1])):
    assert type(read).__name__ == "DataTree", type(read)
    assert read.posterior["loc"].dims == ("chain", "draw", "feature"), read
    assert list(read.posterior["feature"].values) == ["width", "length"], read
    assert read.sample_stats["diverging"].dtype == bool, read
    to_netcdf(read, sys.argv[2])
"""


@pytest.fixture(scope="module")
def other() -> Path:
    python = None if az.__version__.startswith("1.") else find()
    if python is None:
        pytest.skip("not run: ppgen.arviz under ArviZ 1.x. It takes Python 3.12 or newer: python -m tests.tools.arviz_1 makes one")
    return python


def test_the_same_tests_pass_under_arviz_1(other):
    done = run_tests(other)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_each_version_reads_the_others_file(other, tmp_path):
    rng = np.random.default_rng(0)
    groups = {"posterior": {"loc": rng.normal(size=(2, 30, 2))}, "sample_stats": {"diverging": rng.random((2, 30)) < 0.5}}
    data = convert(groups, coords={"feature": ["width", "length"]}, dims={"loc": ("feature",)}, attrs={"settings": {"seed": 3}})
    to_netcdf(data, tmp_path / "ours.nc")
    done = run(other, "-W", "error", "-c", WRITE_BACK, str(tmp_path / "ours.nc"), str(tmp_path / "theirs.nc"))
    assert (done.returncode, done.stderr) == (0, "")
    read = from_netcdf(tmp_path / "theirs.nc")
    for group in groups:
        assert read[group].identical(data[group])
