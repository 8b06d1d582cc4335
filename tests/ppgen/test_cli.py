"""The command line, run as a user does: what it prints, what it leaves behind, and how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ppgen.cli import main
from ppgen.discovery import engines

MODEL = """
import pyro
import pyro.distributions as dist
import torch

def my_model(x, *, prior_scale=1.0):
    loc = pyro.sample("loc", dist.Normal(0.0, prior_scale))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)

def needs_more(x, *, width):
    my_model(x, prior_scale=width)

def takes_nothing():
    pyro.sample("loc", dist.Normal(0.0, 1.0))

number = 3
"""
CHAINS = ["--num-warmup", "150", "--num-samples", "200", "--num-chains", "2", "--quiet"]
SMALL = [*CHAINS, "--num-steps", "200"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model, good data and four kinds of bad data."""
    (tmp_path / "my_file.py").write_text(MODEL)
    (tmp_path / "broken.py").write_text("import pyro\nthis is not python\n")
    (tmp_path / "my.csv").write_text("depth\n" + "\n".join(str(40.0 + 5.0 * ((7 * i) % 11 - 5)) for i in range(33)) + "\n")
    (tmp_path / "nan.csv").write_text("depth\n1.5\nnan\n2.5\n")
    (tmp_path / "text.csv").write_text("depth\n1.5\ndeep\n2.5\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "ragged.csv").write_text("depth,width\n1.5,2\n2.5\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_compare_a_users_own_function(folder: Path) -> None:
    """The posterior of a normal mean is known: n = 33, sum x / 25, prior N(0, 100^2)."""
    result = run("compare", "my_file.py:my_model", "--data", "my.csv", "--out", "out", "--param", "prior_scale=100", *SMALL)
    assert result.exit_code == 0, result.output
    assert "can be trusted" in result.output or "read with care" in result.output
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["nuts.nc", "report.html", "settings.json", "svi.nc"]
    assert "depth" in (folder / "out" / "report.html").read_text(encoding="utf-8")
    settings = json.loads((folder / "out" / "settings.json").read_text())
    assert settings["engines"]["nuts"]["settings"]["num_samples"] == 200
    import xarray

    data = [40.0 + 5.0 * ((7 * i) % 11 - 5) for i in range(33)]
    precision = 33 / 25 + 1e-4
    for name in ("nuts", "svi"):
        with xarray.open_dataset(folder / "out" / f"{name}.nc", group="posterior") as stored:
            loc = stored["loc"].values
        assert abs(loc.mean() - sum(data) / 25 / precision) < 0.35 * precision**-0.5
        assert 0.75 < loc.std() * precision**0.5 < 1.3


@pytest.mark.filterwarnings("ignore::ppgen.errors.PpgenWarning")  # so short a run need not be trusted
def test_compare_a_family_by_name(folder: Path) -> None:
    arguments = ["--engines", "SVI,nuts", "--out", "report", "--seed", "1", "--param", "covariance=diagonal", "--set", "max_tree_depth=5"]
    result = run("compare", "gaussian-mixture", "--data", "old-faithful", *arguments, *SMALL)
    assert result.exit_code == 0, result.output
    assert "GaussianMixture on old-faithful" in result.output
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "contours of each component" in page
    assert "waiting" in page


@pytest.mark.filterwarnings("always::ppgen.errors.PpgenWarning")
def test_a_classifier_takes_a_table_with_words(folder: Path) -> None:
    """Penguins without measurements are left out, which is said in one line; the classes are the states of the label."""
    result = run("fit", "gaussian-classifier", "--data", "penguins", "--out", "fit", "--param", "covariance=diagonal", *CHAINS)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "ppgen: 2 of 344 rows of penguins lack a number and are left out"
    from ppgen.posterior import Posterior

    assert Posterior.load(folder / "fit").draws["loc"].shape == (2, 200, 3, 4)


def test_naive_bayes_takes_every_column_as_what_it_is(folder: Path) -> None:
    result = run("structure", "naive-bayes", "--data", "penguins", "--label", "sex")
    assert result.exit_code == 0, result.output
    assert "species_probs" in result.output
    assert "island_probs" in result.output
    assert "body_mass_g_precision" in result.output


@pytest.mark.filterwarnings("ignore::ppgen.errors.PpgenWarning")  # so short a run need not be trusted
@pytest.mark.parametrize(
    ("target", "data", "params", "title"),
    [
        ("hidden-markov", "earthquakes", ["emission=poisson", "initial=stationary"], "HiddenMarkov on earthquakes"),
        ("markov-chain", "onegin", ["initial=given"], "MarkovChain on onegin"),
        ("n-gram", "coriolanus", ["order=0"], "NGram on coriolanus"),
    ],
)
def test_series_are_data_too(folder: Path, target: str, data: str, params: list[str], title: str) -> None:
    """One series, pairs, and sequences of unequal length."""
    given = [word for param in params for word in ("--param", param)]
    result = run("compare", target, "--data", data, *given, "--engines", "svi", "--num-steps", "100", "--quiet", "--out", "report")
    assert result.exit_code == 0, result.output
    assert title in result.output
    assert (folder / "report" / "report.html").is_file()


def test_a_network_of_tables_is_data_and_target(folder: Path) -> None:
    """What is known of a patient before anything is asked: published as 0.45 for bronchitis, whose `yes` comes first."""
    from ppgen import datasets
    from ppgen.posterior import Posterior

    result = run("fit", "bayesian-network", "--data", "asia", "--engine", "enumeration", "--out", "fit", "--num-samples", "4000")
    assert result.exit_code == 0, result.output
    assert "bronc" in result.output
    assert float((Posterior.load(folder / "fit").draws["bronc"] == 0).double().mean()) == pytest.approx(0.45, abs=0.04)
    (folder / "asia.bif").write_text(datasets.load("asia").x.read_text(encoding="utf-8"))
    (folder / "rows.csv").write_text("dysp,smoke\nyes,no\nno,yes\nyes,\n")
    result = run("fit", "asia.bif", "--data", "rows.csv", "--engine", "enumeration", "--out", "rows", "--num-samples", "100")
    assert result.exit_code == 0, result.output
    assert Posterior.load(folder / "rows").draws["bronc"].shape == (1, 100, 3)


@pytest.mark.filterwarnings("ignore::ppgen.errors.PpgenWarning")  # so short a run need not be trusted
def test_a_graph_is_data_too(folder: Path) -> None:
    (folder / "ring.gml").write_text("graph [\n" + "".join(f'node [ id {i} label "{i}" ]\n' for i in range(8)) + "".join(
        f"edge [ source {i} target {(i + 1) % 8} ]\n" for i in range(8)) + "]\n")  # fmt: skip
    result = run("fit", "stochastic-block-model", "--data", "ring.gml", "--engine", "svi", "--out", "fit", "--num-steps", "50", "--quiet")
    assert result.exit_code == 0, result.output
    assert (folder / "fit" / "manifest.json").is_file()


def test_fit_saves_a_posterior_that_loads(folder: Path) -> None:
    from ppgen.posterior import Posterior

    result = run("fit", "my_file.py:my_model", "--data", "my.csv", "--engine", "nuts", "--out", "fit", *CHAINS)
    assert result.exit_code == 0, result.output
    assert Posterior.load(folder / "fit").draws["loc"].shape == (2, 200)


def test_settings_reach_the_engines_that_have_them(folder: Path) -> None:
    result = run(
        *("compare", "my_file.py:my_model", "--data", "my.csv", "--out", "out", *SMALL),
        *("--set", "nuts.target_accept_prob=0.9", "--set", "learning-rate=0.05"),
    )
    assert result.exit_code == 0, result.output
    stored = json.loads((folder / "out" / "settings.json").read_text())["engines"]
    assert stored["nuts"]["settings"]["target_accept_prob"] == 0.9
    assert stored["svi"]["settings"]["learning_rate"] == 0.05
    assert stored["svi"]["settings"]["num_steps"] == 200


def test_list_shows_what_there_is() -> None:
    result = run("list")
    assert result.exit_code == 0
    for name in ("gaussian-mixture", "nuts", "svi", "old-faithful", "galaxies", "crabs-1894"):
        assert name in result.output


DATA = ("--data", "my.csv")


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("compare", "gausian-mixture", "--data", "old-faithful"), "gaussian-mixture"),
        (("compare", "my_file.py:my_model", *DATA, "--engines", "svi,nutz"), "nutz"),
        (("compare", "my_file.py:my_model", "--data", "old-faithfull"), "old-faithful"),
        (("compare", "my_file.py:my_model", "--data", "none.csv"), "none.csv"),
        (("compare", "my_file.py:my_model", "--data", "nan.csv"), "NaN"),
        (("compare", "my_file.py:my_model", "--data", "text.csv"), "deep"),
        (("compare", "my_file.py:my_model", "--data", "empty.csv"), "empty.csv"),
        (("compare", "my_file.py:my_modell", *DATA), "my_model"),
        (("compare", "nowhere.py:my_model", *DATA), "nowhere.py"),
        (("compare", "broken.py:my_model", *DATA), "broken.py"),
        (("compare", "my_file.py:number", *DATA), "not callable"),
        (("compare", "my_file.py:my_model", *DATA, "--param", "prior_scal=2"), "prior_scale"),
        (("compare", "my_file.py:my_model", *DATA, "--param", "prior_scale"), "key=value"),
        (("compare", "my_file.py:needs_more", *DATA), "width"),
        (("compare", "my_file.py:my_model", *DATA, "--engines", "nuts", "--num-steps", "9"), "num_steps"),
        (("compare", "my_file.py:my_model", *DATA, "--set", "svi.num_step=9"), "num_steps"),
        (("compare", "my_file.py:my_model", *DATA, "--engines", ","), "--engines"),
        (("fit", "my_file.py:my_model", *DATA, "--engine", "gibs"), "gibs"),
        (("fit", "my_file.py", *DATA), "my_file.py:my_model"),
        (("fit", "my_file.py:takes_nothing", *DATA), "takes_nothing"),
        (("fit", "my_file.py:my_model", *DATA, "--num-samples", "0"), "num_samples"),
        (("fit", "my_file.py:my_model", *DATA, "--set", "step_size=small"), "nuts.step_size"),
        (("fit", "my_file.py:my_model", *DATA, "--set", "pooled=1"), "nuts.pooled"),
        (("fit", "my_file.py:my_model", *DATA, "--set", "metric=euclidean"), "diagonal, dense, low_rank; got 'euclidean'"),
        (("fit", "my_file.py:my_model", *DATA, "--set", "dtype=float23"), "float23"),
        (("fit", "my_file.py:my_model", *DATA, "--set", "hmc.step_size=1"), "hmc"),
        (("fit", "my_file.py:my_model", "--data", "ragged.csv"), "line 3"),
        (("fit", "gaussian-classifier", "--data", "old-faithful"), "eruptions, waiting; give --label COLUMN"),
        (("fit", "gaussian-classifier", "--data", "penguins", "--label", "specie"), "no column 'specie'"),
        (("fit", "gaussian-classifier", "--data", "penguins", "--param", "strength=much"), "strength must be float, not 'much'"),
        (("fit", "gaussian-mixture", "--data", "old-faithful", "--param", "num_components=two"), "num_components must be int, not 'two'"),
        (("fit", "naive-bayes", "--data", "my.csv", "--label", "width"), "no column 'width'"),
        (("fit", "stochastic-block-model", "--data", "old-faithful"), "ppgen:"),
        (("fit", "asia.bif", "--data", "my.csv"), "asia.bif"),
        (("fit", "bayesian-network", "--data", "asia", "--param", "learned=perhaps"), "learned must be bool, not 'perhaps'"),
        (("fit", "hidden-markov", "--data", "earthquakes", "--param", "emission=poison"), "poisson"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_is_one_line_that_names_the_culprit(folder: Path, arguments: tuple[str, ...], culprit: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert culprit in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line(folder: Path) -> None:
    """It concerns the result: no file name, no line of source."""
    (folder / "warns.py").write_text(
        "import warnings\nfrom ppgen import PpgenWarning\nwarnings.warn('read with care', PpgenWarning)\ndef model(x): pass\n"
    )
    result = run("fit", "warns.py:model", "--data", "my.csv", "--quiet")
    assert result.stderr.splitlines()[0] == "ppgen: read with care"


def test_a_checkpoint_of_another_run_is_refused(folder: Path) -> None:
    fit = ("fit", "my_file.py:my_model", *DATA, "--out", "fit", "--checkpoint", "ckpt", *CHAINS)
    assert run(*fit).exit_code == 0
    result = run(*fit, "--seed", "5")
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "ckpt" in result.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_help_answers_at_once() -> None:
    """Best of five, against an interpreter that does nothing: only click may come on top."""
    best = {}
    for name, command in (("help", ["-m", "ppgen", "--help"]), ("python", ["-c", "pass"])):
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True, env=_environment())
            times.append(time.perf_counter() - begin)
        best[name] = min(times)
    assert best["help"] - best["python"] < 0.3


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "pyro", "numpy", "pandas", "matplotlib", "arviz", "rich"}
    code = f"import sys, ppgen.cli; print(sorted(set(sys.modules) & {heavy!r}))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_environment())
    assert shown.stdout.strip() == "[]"


def test_version() -> None:
    from ppgen import __version__

    assert run("--version").output.strip() == f"ppgen {__version__}"


def test_interrupt_is_130(folder: Path) -> None:
    """Ctrl-C while nothing has been drawn yet: one line, no traceback."""
    (folder / "slow.py").write_text("import time\ndef model(x):\n    print('started', flush=True)\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "ppgen", "fit", "slow.py:model", "--data", "my.csv", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "started"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.strip() == "ppgen: interrupted"


def test_warmup_runs_every_engine() -> None:
    result = run("warmup")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines() if line.strip().endswith("s")] == sorted(engines())
