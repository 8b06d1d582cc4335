"""What every engine returns: predictions, pointwise log likelihood, importance weights, ArviZ, the folder."""

import json
import math
from pathlib import Path

import arviz as az
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen.arviz import from_netcdf
from ppgen.errors import CheckpointError, CostError, EngineError, ProgramError
from ppgen.inference import NUTS
from ppgen.models import GaussianMixture
from ppgen.posterior import Posterior, require_memory
from ppgen.program import Program

X = torch.tensor([[41.0, 3.0], [55.0, -8.0], [47.5, 1.0]])
DRAWS = 400


def two_columns(x: Tensor, shift: float = 0.0) -> None:
    """mu_j ~ N(20, 30^2); x_nj ~ N(mu_j + shift, 4^2)."""
    with pyro.plate("columns", 2):
        mu = pyro.sample("mu", dist.Normal(20.0, 30.0))
        pyro.deterministic("double", 2 * mu)
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(mu + shift, 4.0).to_event(1), obs=x)


def exact_posterior() -> torch.distributions.Normal:
    precision = 1 / 30.0**2 + len(X) / 4.0**2
    return torch.distributions.Normal((20 / 30.0**2 + X.sum(0) / 4.0**2) / precision, torch.full((2,), precision**-0.5))


@pytest.fixture
def posterior() -> Posterior:
    """By independent draws from the exact one."""
    mu = exact_posterior().sample((2, DRAWS)).double()
    return Posterior(
        draws={"mu": mu, "double": 2 * mu},
        program=Program(two_columns, X),
        stats={"diverging": torch.zeros(2, DRAWS, dtype=torch.bool), "lp": -mu.square().sum(-1)},
        provenance={"engine": "exact", "settings": {"seed": 7}, "seconds": {"total": 0.5}},
    )


# What follows from it


def test_replicates_have_the_law_of_the_posterior_predictive(posterior: Posterior) -> None:
    made = posterior.predict()
    assert set(made) == {"x", "double"}
    assert made["x"].shape == (2, DRAWS, 3, 2)
    residual = (made["x"] - posterior.draws["mu"][:, :, None]).flatten().numpy()
    assert stats.kstest(residual / 4.0, "norm").pvalue > 0.001
    assert torch.equal(posterior.predict()["x"], made["x"])


def test_new_arguments_are_those_of_the_program(posterior: Posterior) -> None:
    made = posterior.predict(torch.zeros(6, 2), shift=1000.0)["x"]
    assert made.shape == (2, DRAWS, 6, 2)
    expected = exact_posterior().mean + 1000
    error = math.sqrt((16 + float(exact_posterior().variance[0])) / (2 * DRAWS))
    assert ((made[:, :, 0].mean((0, 1)) - expected).abs() < 4 * error).all()


def test_new_data_of_a_family_are_asked_for_by_size() -> None:
    """Assignments are drawn anew, though as many are asked for as were fitted."""
    mixture = GaussianMixture(2, like=X)
    draws = {
        "weights": torch.tensor([0.01, 0.99]).expand(1, DRAWS, 2),
        "loc": torch.tensor([[-900.0, 0.0], [500.0, 0.0]]).expand(1, DRAWS, 2, 2),
        "scale": torch.ones(1, DRAWS, 2, 2),
        "correlation": torch.eye(2).expand(1, DRAWS, 2, 2, 2),
        "assignment": torch.zeros(1, DRAWS, 3),
    }
    posterior = Posterior(draws, Program(mixture, X))
    assert (posterior.predict()["x"][..., 0] < -800).all()
    new = posterior.predict(size=3)
    assert set(new) == {"assignment", "x"}
    assert abs(float(new["assignment"].double().mean()) - 0.99) < 4 * math.sqrt(0.01 * 0.99 / (3 * DRAWS))
    assert torch.equal(new["x"][..., 0] > 0, new["assignment"] == 1)


def test_a_site_that_was_not_kept_is_named(posterior: Posterior) -> None:
    del posterior.draws["mu"]
    for call in (posterior.predict, lambda: posterior.predict(torch.zeros(6, 2))):
        with pytest.raises(ProgramError, match=r"no draws of the latent site 'mu'.*keep="):
            call()


def test_the_pointwise_log_likelihood_is_that_of_each_row(posterior: Posterior) -> None:
    found = posterior.log_likelihood()
    expected = dist.Normal(posterior.draws["mu"][:, :, None], 4.0).log_prob(X.double()).sum(-1)
    assert (found.plate, found.kind) == ("data", "marginal")
    torch.testing.assert_close(found.values["data"], expected)


def test_without_its_program_only_draws_remain(posterior: Posterior) -> None:
    posterior.program = None
    for call in (posterior.predict, posterior.log_likelihood):
        with pytest.raises(ProgramError, match=r"loaded without its program; Posterior.load\(path, program=Program\(fn, \*args\)\)"):
            call()
    assert set(posterior.to_arviz().groups()) == {"posterior", "sample_stats"}
    with pytest.raises(EngineError, match="cannot be continued"):
        posterior.continue_(10)


def test_nothing_latent_is_nothing_to_summarise() -> None:
    with pytest.raises(ProgramError, match="no latent site, so there is nothing to summarise"):
        Posterior({}).summary()


def test_a_summary_of_draws_whose_moments_are_known(posterior: Posterior) -> None:
    table = posterior.summary()
    exact = exact_posterior()
    assert len(table) == 4
    for j in range(2):
        row = table.iloc[j]
        assert abs(row["mean"] - float(exact.mean[j])) < 4 * float(exact.stddev[j]) / math.sqrt(2 * DRAWS)
        assert row["sd"] == pytest.approx(float(exact.stddev[j]), rel=4 / math.sqrt(4 * DRAWS))


# Importance weights


def weighted(spread: float) -> Posterior:
    """Draws of N(0, spread^2) as proposals for 3 N(0, 1): the evidence is 3."""
    z = spread * torch.randn(1, 4000, dtype=torch.float64)
    log_weights = math.log(3.0) + dist.Normal(0.0, 1.0).log_prob(z) - dist.Normal(0.0, spread).log_prob(z)
    return Posterior({"z": z}, log_weights=log_weights, provenance={"engine": "importance"})


def test_the_mean_weight_is_the_evidence_and_khat_tells_whether_to_believe_it() -> None:
    wide, narrow = weighted(2.0), weighted(0.4)
    assert wide.log_evidence == pytest.approx(math.log(3.0), abs=0.05)
    assert wide.khat < 0.5
    assert narrow.khat > 0.7
    assert float(wide.smoothed_log_weights.exp().sum()) == pytest.approx(1.0)


def test_without_weights_there_is_no_evidence(posterior: Posterior) -> None:
    assert posterior.khat is None
    assert posterior.smoothed_log_weights is None
    with pytest.raises(EngineError, match="this posterior has no log_weights; exact gives none"):
        _ = posterior.log_evidence


# ArviZ


def test_arviz_gets_every_group_with_the_plates_as_dimensions(posterior: Posterior) -> None:
    data = posterior.to_arviz(predictive=True, prior=50)
    assert set(data.groups()) == {
        "posterior",
        "posterior_predictive",
        "log_likelihood",
        "sample_stats",
        "prior",
        "prior_predictive",
        "observed_data",
    }
    assert data.posterior["mu"].dims == ("chain", "draw", "columns")
    assert data.posterior_predictive["x"].dims[:3] == ("chain", "draw", "data")
    assert data.log_likelihood["x"].dims == ("chain", "draw", "data")
    assert data.prior["mu"].shape == (1, 50, 2)
    assert data.prior_predictive["x"].shape == (1, 50, 3, 2)
    np.testing.assert_array_equal(data.observed_data["x"], X)
    assert json.loads(data.posterior.attrs["provenance"])["engine"] == "exact"


def test_arviz_computes_loo_from_it(posterior: Posterior) -> None:
    """Leave-one-out in closed form: each row against the posterior of the others. PSIS has its own error, far below 0.3."""
    expected = 0.0
    for i in range(3):
        rest = torch.cat([X[:i], X[i + 1 :]])
        precision = 1 / 30.0**2 + len(rest) / 4.0**2
        mean = (20 / 30.0**2 + rest.sum(0) / 4.0**2) / precision
        expected += float(dist.Normal(mean, (1 / precision + 16) ** 0.5).log_prob(X[i]).sum())
    with pytest.warns(UserWarning, match="shape parameter"):
        found = az.loo(posterior.to_arviz())
    assert float(found.elpd_loo) == pytest.approx(expected, abs=0.6)


def test_two_observed_sites_share_one_log_likelihood() -> None:
    def program(x: Tensor, y: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 50.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mu, 4.0), obs=x)
            pyro.sample("y", dist.Normal(-mu, 4.0), obs=y)

    data = Posterior({"mu": torch.randn(1, 20)}, Program(program, X[:, 0], X[:, 1])).to_arviz()
    assert [v.shape for v in data.log_likelihood.values()] == [(1, 20, 3)]
    assert set(data.observed_data) == {"x", "y"}


# The folder


def test_what_is_saved_is_loaded_to_the_bit(posterior: Posterior, tmp_path: Path) -> None:
    posterior.params = {"loc": torch.tensor([3.5])}
    posterior.losses = torch.tensor([9.0, 4.0])
    posterior.log_weights = torch.randn(2, DRAWS, dtype=torch.float64)
    folder = posterior.save(tmp_path / "fit")
    loaded = Posterior.load(folder)
    for name in ("draws", "params", "stats"):
        before, after = getattr(posterior, name), getattr(loaded, name)
        assert list(before) == list(after)
        assert all(torch.equal(before[k], after[k]) and before[k].dtype == after[k].dtype for k in before)
    assert torch.equal(loaded.log_weights, posterior.log_weights)
    assert torch.equal(loaded.losses, posterior.losses)
    assert (loaded.provenance, loaded.program) == (posterior.provenance, None)
    assert loaded.dims["mu"] == ["columns"]
    assert not [f for f in folder.rglob("*") if f.suffix in (".pkl", ".pt")]
    np.testing.assert_array_equal(from_netcdf(folder / "posterior.nc").posterior["mu"], posterior.draws["mu"])


def test_with_its_program_a_loaded_posterior_predicts_the_same(posterior: Posterior, tmp_path: Path) -> None:
    folder = posterior.save(tmp_path / "fit")
    loaded = Posterior.load(folder, program=Program(two_columns, X))
    assert torch.equal(loaded.predict()["x"], posterior.predict()["x"])
    assert torch.equal(loaded.log_likelihood().values["data"], posterior.log_likelihood().values["data"])


def test_learned_parameters_come_back_into_the_program(tmp_path: Path) -> None:
    def program(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.001), obs=x)

    learned = Program(program, X[:, 0]).copy()
    learned.set_params({"loc": torch.tensor(70.0)})
    folder = Posterior({}, learned, params={n: p.detach() for n, p in learned.params.items()}).save(tmp_path / "fit")
    loaded = Posterior.load(folder, program=Program(program, X[:, 0]))
    torch.testing.assert_close(loaded.predict()["x"], torch.full((1, 1, 3), 70.0), atol=0.01, rtol=0)


def test_another_program_is_refused_by_the_site(posterior: Posterior, tmp_path: Path) -> None:
    def other(x: Tensor) -> None:
        with pyro.plate("columns", 3):
            pyro.sample("mu", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(x, 1.0))

    folder = posterior.save(tmp_path / "fit")
    with pytest.raises(ProgramError, match=r"has site 'mu' of shape \(2,\); the program other has \(3,\)"):
        Posterior.load(folder, program=Program(other, X))


def test_what_is_no_posterior_is_refused(posterior: Posterior, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        Posterior.load(tmp_path)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(CheckpointError, match=r"file is a file; name a folder"):
        posterior.save(file)
    folder = posterior.save(tmp_path / "fit")
    (folder / "posterior.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(CheckpointError):
        Posterior.load(folder)


# Memory


def test_draws_that_would_not_fit_are_refused_with_the_figure() -> None:
    program = Program(two_columns, X)
    require_memory(program, 4, 1000, None)
    with pytest.raises(CostError, match=r"4 x 100,000,000 draws take 6\.0 GiB, 6\.0 GiB of them for site 'mu'"):
        require_memory(program, 4, 10**8, None)
    require_memory(program, 4, 10**8, ["double"])


def test_missing_rows_reach_arviz_as_missing() -> None:
    """They are nan among the data, and no row of the log likelihood, so that LOO counts what was observed."""
    x = torch.tensor([40.0, 41.0, float("nan"), 44.0, 39.0, float("nan"), 42.0])

    def model(x: Tensor, seen: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 2.0), obs=x, obs_mask=seen)

    posterior = NUTS(num_warmup=150, num_samples=150, progress=False).run(model, x, ~x.isnan())
    converted = posterior.to_arviz(predictive=True)
    data, pointwise = converted["observed_data"]["x_observed"], converted["log_likelihood"]["x_observed"]
    assert data.isnull().values.tolist() == x.isnan().tolist()
    assert pointwise["data"].values.tolist() == [0, 1, 3, 4, 6]
    expected = torch.distributions.Normal(posterior.draws["loc"][..., None], 2.0).log_prob(x[~x.isnan()].double())
    assert pointwise.values == pytest.approx(expected.numpy(), abs=1e-6)
    drawn = posterior.draws["x_unobserved"][..., x.isnan()].flatten(0, 1)
    gap = drawn.mean() - posterior.draws["loc"].mean()
    assert abs(float(gap)) < 4 * 2.0 / drawn.numel() ** 0.5
