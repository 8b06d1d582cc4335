"""`compare` against closed forms: draws are the quantiles of known normals in random order, so tables can be computed by hand."""

import json
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from ppgen.comparison import compare
from ppgen.errors import ProgramError
from ppgen.posterior import Posterior
from ppgen.program import Program

CHAINS, DRAWS = 4, 1000
DATA = torch.linspace(-30.0, 50.0, 40, dtype=torch.float64)


def two_sites(x: Tensor) -> None:
    pyro.sample("loc", dist.Normal(torch.zeros(2, dtype=torch.float64), 100.0).to_event(1))
    scale = pyro.sample("scale", dist.LogNormal(torch.tensor(3.0, dtype=torch.float64), 1.0))
    with pyro.plate("data", len(x)):
        label = pyro.sample("label", dist.Categorical(torch.ones(2, dtype=torch.float64)))
        pyro.sample("x", dist.Normal(20.0 * label, scale), obs=x)


def other_program(x: Tensor) -> None:
    two_sites(x)


def normal(loc: float, sd: float, chains: int, draws: int, seed: int) -> Tensor:
    """The midpoint quantiles of a normal, in an order that no chain can be told from another by."""
    n = chains * draws
    quantiles = torch.as_tensor(norm.ppf((torch.arange(n, dtype=torch.float64) + 0.5) / n, loc, sd))
    return quantiles[torch.randperm(n, generator=torch.Generator().manual_seed(seed))].reshape(chains, draws)


def posterior(
    locs: tuple[float, float] = (-12.0, 30.0),
    sds: tuple[float, float] = (2.0, 0.05),
    *,
    scale: float = 20.0,
    scale_sd: float = 3.0,
    chains: int = CHAINS,
    program: Program | None = None,
    seed: int = 0,
    **rest: object,
) -> Posterior:
    loc = torch.stack([normal(locs[i], sds[i], chains, DRAWS, seed + i) for i in (0, 1)], -1)
    draws = {
        "loc": loc,
        "scale": normal(scale, scale_sd, chains, DRAWS, seed + 2),
        "label": torch.zeros(chains, DRAWS, len(DATA), dtype=torch.long),
    }
    provenance = {"engine": "stated", "seconds": {"total": 2.5}, "gradients": 5000}
    return Posterior(draws=draws, program=program or Program(two_sites, DATA), provenance=provenance, **rest)


def mcmc(**changes: object) -> Posterior:
    return posterior(stats={"diverging": torch.zeros(CHAINS, DRAWS, dtype=torch.bool)}, **changes)


def vi(khat_of: str = "small", **changes: object) -> Posterior:
    """One chain with log weights: almost equal ones, or dominated by a few."""
    spread = {"small": 0.05, "large": 12.0}[khat_of]
    weights = spread * torch.randn(1, DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    return posterior(chains=1, log_weights=weights, losses=torch.linspace(500.0, 100.0, 50), seed=10, **changes)


def w1_of_normals(loc: float, sd: float, other_loc: float, other_sd: float) -> float:
    """W1 = int |F^-1 - G^-1| = E|a + b Z|: the mean of a folded normal."""
    a, b = loc - other_loc, abs(sd - other_sd)
    if b == 0:
        return abs(a)
    return float(b * math.sqrt(2 / math.pi) * math.exp(-(a**2) / (2 * b**2)) + a * (1 - 2 * norm.cdf(-a / b)))


@pytest.mark.parametrize(("loc", "sd"), [(-12.0, 1.0), (-11.0, 2.0), (-13.5, 3.0), (-12.0, 2.0)])
def test_distances_are_those_of_two_normals(loc: float, sd: float) -> None:
    row = compare({"vi": vi(locs=(loc, 30.0), sds=(sd, 0.05)), "mcmc": mcmc()}).table.loc[("loc", "0", "vi")]
    assert row["sd_ratio"] == pytest.approx(sd / 2.0, rel=5e-3)
    assert row["mean_shift"] == pytest.approx((loc + 12.0) / 2.0, abs=5e-3)
    assert row["w1"] == pytest.approx(w1_of_normals(loc, sd, -12.0, 2.0), abs=0.01)
    assert row["w1_sd"] == pytest.approx(row["w1"] / 2.0, rel=5e-3)


def test_own_columns() -> None:
    comparison = compare({"vi": vi(), "mcmc": mcmc()})
    row = comparison.table.loc[("loc", "0", "mcmc")]
    assert (row["mean"], row["sd"]) == (pytest.approx(-12.0, abs=1e-6), pytest.approx(2.0, rel=2e-3))
    assert row["5%"] == pytest.approx(-12.0 - 1.645 * 2.0, abs=0.01)
    assert row["95%"] == pytest.approx(-12.0 + 1.645 * 2.0, abs=0.01)
    assert 0.8 * CHAINS * DRAWS < row["ess"] < 1.25 * CHAINS * DRAWS  # independent draws
    assert 0.999 < row["rhat"] < 1.01
    assert row["seconds"] == 2.5
    assert row["gradients_per_second"] == 2000.0
    assert row[["mean_shift", "sd_ratio", "w1", "w1_sd", "khat"]].isna().all()  # of the reference itself
    assert math.isnan(comparison.table.loc[("loc", "0", "vi"), "rhat"])  # one chain has none
    assert comparison.engines.loc["vi", "importance_ess"] > 0.95 * DRAWS
    assert list(comparison.table.index.unique("site")) == ["loc", "scale"]


def test_a_good_approximation_is_trusted_by_the_site() -> None:
    comparison = compare({"vi": vi(), "mcmc": mcmc()})
    assert comparison.reference == "mcmc"
    assert [(f.engine, f.site, f.level) for f in comparison.findings] == [
        ("mcmc", None, "trust"),
        ("vi", None, "trust"),
        ("vi", "loc", "trust"),
        ("vi", "scale", "trust"),
    ]


def test_a_bad_site_is_named_with_its_component() -> None:
    comparison = compare({"vi": vi(locs=(-12.0, 30.02), sds=(1.1, 0.05)), "mcmc": mcmc()})
    levels = {f.site: f.level for f in comparison.findings if f.engine == "vi"}
    assert levels == {None: "care", "loc": "doubt", "scale": "trust"}
    told = next(f.text for f in comparison.findings if f.site == "loc")
    assert "the mean of loc[1] is 0.40 sd too high" in told
    assert "the sd of loc[0] is 0.55 times that of mcmc, so intervals are too narrow" in told
    assert "can be trusted for scale, not for loc" in comparison.verdict


def test_a_shape_that_mean_and_sd_do_not_show() -> None:
    two_humps = vi()
    two_humps.draws["scale"] = 20.0 + 3.0 * torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(DRAWS // 2)[None]
    finding = next(f for f in compare({"vi": two_humps, "mcmc": mcmc()}).findings if f.site == "scale")
    assert finding.level == "doubt"
    assert "the shape of scale differs" in finding.text


def test_large_khat_warns_of_the_whole_although_each_marginal_agrees() -> None:
    comparison = compare({"vi": vi("large"), "mcmc": mcmc()})
    assert comparison.engines.loc["vi", "khat"] > 0.7
    own = next(f for f in comparison.findings if f.engine == "vi" and f.site is None)
    assert own.level == "care"
    assert "above 0.7" in own.text
    assert "not statements about several sites at once" in own.text


def test_monte_carlo_error_alone_is_no_finding() -> None:
    """200 independent components of one law, 1000 draws against 4000: none is called different."""
    generator = torch.Generator().manual_seed(3)
    program = Program(two_sites, DATA)
    draws = {n: 1e3 * torch.randn(c, DRAWS, 200, dtype=torch.float64, generator=generator) for n, c in (("vi", 1), ("mcmc", 4))}
    comparison = compare(
        {
            "vi": Posterior(draws={"w": draws["vi"]}, program=program, log_weights=torch.zeros(1, DRAWS)),
            "mcmc": Posterior(draws={"w": draws["mcmc"]}, program=program),
        }
    )
    assert next(f.level for f in comparison.findings if f.site == "w") == "trust"


def test_chains_that_do_not_mix_are_no_reference_to_trust() -> None:
    stuck = mcmc()
    stuck.draws["scale"] = stuck.draws["scale"] + torch.tensor([[0.0], [0.0], [0.0], [9.0]], dtype=torch.float64)
    findings = compare({"vi": vi(), "mcmc": stuck}).findings
    assert [f.level for f in findings] == ["doubt", "unknown"]  # nothing is said site by site
    assert "R-hat is" in findings[0].text
    assert "at scale" in findings[0].text
    assert "cannot be trusted itself" in findings[1].text


def test_divergences_are_told() -> None:
    some = mcmc()
    some.stats["diverging"][2, :7] = True
    finding = compare({"mcmc": some}).findings[0]
    assert finding.level == "care"
    assert "7 of 4,000 draws diverged" in finding.text


def test_the_reference_has_the_most_effective_draws_of_several_chains() -> None:
    slow = mcmc()
    slow.draws["loc"] = slow.draws["loc"].sort(1).values  # one long sweep per chain
    assert compare({"slow": slow, "vi": vi(), "mcmc": mcmc()}).reference == "mcmc"
    assert compare({"vi": vi(), "alone": posterior(chains=1)}).reference == "alone"
    assert compare({"vi": vi()}).reference is None


def test_local_and_discrete_sites_are_left_out_with_a_note() -> None:
    comparison = compare({"mcmc": mcmc()})
    assert "label" not in comparison.table.index.unique("site")
    assert any("label" in note for note in comparison.notes)


def test_components_that_never_vary_are_left_out_with_a_note() -> None:
    one, other = mcmc(), vi()
    for p in (one, other):
        corner = torch.zeros_like(p.draws["loc"][..., :1])
        p.draws["tril"] = torch.cat([p.draws["loc"], corner, p.draws["loc"][..., :1]], -1).unflatten(-1, (2, 2))
    comparison = compare({"vi": other, "mcmc": one})
    assert list(comparison.table.loc["tril"].index.unique("component")) == ["0, 0", "0, 1", "1, 1"]
    assert any("tril[1, 0]" in note for note in comparison.notes)


def test_coords_name_the_components() -> None:
    names = {"coords": {"side": ["left", "right"]}, "dims": {"loc": ["side"]}}
    table = compare({"vi": vi(**names), "mcmc": mcmc(**names)}).table
    assert list(table.loc["loc"].index.unique("component")) == ["left", "right"]


def test_posteriors_of_different_programs_are_refused_by_name() -> None:
    missing, wider = mcmc(), mcmc()
    del missing.draws["scale"]
    wider.draws["loc"] = torch.cat([wider.draws["loc"]] * 2, -1)
    with pytest.raises(ProgramError, match="'scale' is missing from short"):
        compare({"vi": vi(), "short": missing})
    with pytest.raises(ProgramError, match=r"'loc' has shape \(2,\) in vi and \(4,\) in wide"):
        compare({"vi": vi(), "wide": wider})
    with pytest.raises(ProgramError, match="vi fitted 'two_sites', mcmc 'other_program'"):
        compare({"vi": vi(), "mcmc": mcmc(program=Program(other_program, DATA))})
    with pytest.raises(ProgramError, match="vi and mcmc did not see the same data: 'x'"):
        compare({"vi": vi(), "mcmc": mcmc(program=Program(two_sites, DATA + 1e-3))})
    with pytest.raises(ProgramError, match="no posterior"):
        compare({})


def test_text_fits_its_width_and_keeps_what_matters() -> None:
    comparison = compare({"vi": vi(), "mcmc": mcmc()})
    for width in (60, 80, 110):
        text = comparison.to_text(width=width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert "sd ratio" in text
        assert "loc[1]" in text
    assert "W1/sd" in comparison.to_text()


def test_save_writes_report_posteriors_and_settings(tmp_path) -> None:
    import xarray

    comparison = compare({"vi": vi(), "mcmc": mcmc()})
    report = comparison.save(tmp_path / "new" / "folder")
    assert report == tmp_path / "new" / "folder" / "report.html"
    assert sorted(p.name for p in report.parent.iterdir()) == ["mcmc.nc", "report.html", "settings.json", "vi.nc"]
    settings = json.loads((report.parent / "settings.json").read_text())
    assert settings["reference"] == "mcmc"
    assert settings["engines"]["vi"]["gradients"] == 5000
    with xarray.open_dataset(report.parent / "mcmc.nc", group="posterior") as stored:
        assert stored["loc"].shape == (CHAINS, DRAWS, 2)
