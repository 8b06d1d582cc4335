"""ESS, R-hat, k-hat and the table of draws against ArviZ's public functions, closed forms and counting."""

import math

import arviz as az
import numpy as np
import pytest
from scipy.stats import rankdata

from ppgen.arviz import ess_and_rhat, mcse_mean, smooth, summary
from ppgen.diagnostics import _pareto, _ranks
from ppgen.errors import DataError


def ar1(rng: np.random.Generator, rho: float, shape: tuple[int, int, int]) -> np.ndarray:
    """Stationary chains of variance 1 with autocorrelation rho^t, (chains, draws, n)."""
    x = rng.normal(size=shape)
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + math.sqrt(1 - rho**2) * x[:, t]
    return x


# Draws


@pytest.mark.parametrize(("chains", "draws"), [(1, 4), (2, 4), (2, 5), (3, 7), (1, 100), (2, 101), (4, 250), (8, 64)])
def test_every_diagnostic_is_that_of_arviz(chains, draws):
    rng = np.random.default_rng(chains * 1000 + draws)
    slow = 4000.0 + 7.0 * ar1(rng, 0.8, (chains, draws, 3))
    apart = ar1(rng, 0.3, (chains, draws, 2)) * np.arange(1, chains + 1)[:, None, None] + np.arange(chains)[:, None, None]
    ties = np.round(slow[..., :2])
    values = np.concatenate([slow, apart, ties, np.exp(9 * apart)], axis=2)
    ess, rhat = ess_and_rhat(values)
    table = summary({"v": values})
    for i in range(values.shape[2]):
        one = values[..., i]
        np.testing.assert_allclose(ess[i], az.ess(one, method="bulk"), rtol=1e-9)
        np.testing.assert_allclose(rhat[i], az.rhat(one) if chains > 1 else np.nan, rtol=1e-9)
        np.testing.assert_allclose(mcse_mean(values)[i], az.mcse(one, method="mean"), rtol=1e-9)
        np.testing.assert_allclose(table["ess_tail"].iloc[i], az.ess(one, method="tail", prob=(0.05, 0.95)), rtol=1e-9)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.6, 0.9])
def test_ess_of_autoregressive_chains(rho):
    """n (1 - rho) / (1 + rho), averaged over 100 components; the estimator's own bias is below 3 % here."""
    values = 300.0 + 20.0 * ar1(np.random.default_rng(1), rho, (4, 1000, 100))
    exact = 4000 * (1 - rho) / (1 + rho)
    ess, rhat = ess_and_rhat(values)
    error = ess.std() / 10
    assert abs(ess.mean() - exact) < 4 * error + 0.03 * exact
    time = (1 + rho) / (1 - rho)  # B / W of 8 half chains of 500 draws is time / 500 on average
    assert rhat.mean() == pytest.approx(math.sqrt(1 + (time - 1) / 500), abs=0.004)
    true_error = 20.0 / math.sqrt(exact)
    assert mcse_mean(values).mean() == pytest.approx(true_error, rel=0.05)
    assert values.mean((0, 1)).std() == pytest.approx(true_error, rel=0.3)  # 100 means have sd known to 7 %


def test_rhat_sees_chains_that_differ_in_place_or_in_spread_only():
    rng = np.random.default_rng(2)
    same = rng.normal(size=(4, 500, 1))
    place = same + np.array([0, 0, 0, 1.0])[:, None, None]
    spread = same * np.array([1, 1, 1, 3.0])[:, None, None]
    drift = same + np.linspace(0, 1, 500)[:, None]
    _, rhat = ess_and_rhat(np.concatenate([same, place, spread, drift], axis=2))
    assert rhat[0] < 1.01
    assert (rhat[1:] > 1.03).all()


def test_ess_and_rhat_of_the_bulk_do_not_change_under_monotone_maps_and_units():
    values = ar1(np.random.default_rng(3), 0.5, (2, 200, 5))
    for other in (np.exp(values), 1e-30 * values, 1e30 + 1e20 * values):
        np.testing.assert_allclose(ess_and_rhat(other)[0], ess_and_rhat(values)[0], rtol=1e-12)
    np.testing.assert_allclose(ess_and_rhat(1e-30 * values)[1], ess_and_rhat(values)[1], rtol=1e-12)
    np.testing.assert_allclose(mcse_mean(1e-30 * values), 1e-30 * mcse_mean(values), rtol=1e-9)


def test_what_has_no_diagnostics_is_nan_and_leaves_the_others_alone():
    values = np.random.default_rng(4).normal(size=(2, 50, 5))
    before = ess_and_rhat(values)
    values[..., 1], values[0, 3, 2], values[1, 0, 3] = 0.1, np.nan, np.inf
    ess, rhat = ess_and_rhat(values)
    for after, old in ((ess, before[0]), (rhat, before[1]), (mcse_mean(values), mcse_mean(values[..., [0, 0, 0, 0, 4]]))):
        assert np.isnan(after).tolist() == [False, True, True, True, False]
        np.testing.assert_array_equal(after[[0, 4]], old[[0, 4]])


@pytest.mark.parametrize(("shape", "has_ess"), [((1, 1, 2), False), ((4, 3, 2), False), ((1, 4, 2), True), ((4, 0, 2), False)])
def test_short_and_single_chains(shape, has_ess):
    ess, rhat = ess_and_rhat(np.random.default_rng(5).normal(size=shape))
    assert np.isfinite(ess).tolist() == [has_ess] * 2
    assert np.isnan(rhat).all()


def test_no_components():
    assert [x.shape for x in ess_and_rhat(np.zeros((4, 100, 0)))] == [(0,), (0,)]
    assert mcse_mean(np.zeros((4, 100, 0))).shape == (0,)


def test_chains_that_stand_still_at_places_of_their_own():
    values = np.broadcast_to(np.array([1.0, 2.0, 3.0])[:, None, None], (3, 100, 1))
    ess, rhat = ess_and_rhat(values)
    assert rhat[0] == math.inf
    assert ess[0] < 3 * 2  # as many as there are half chains, at most


def test_a_coin_has_rhat():
    """Folded around its median a fair +-1 is constant; the bulk alone speaks."""
    values = np.random.default_rng(6).permutation(np.repeat([-1.0, 1.0], 1000)).reshape(4, 500, 1)
    assert 0.99 < ess_and_rhat(values)[1][0] < 1.02


def test_blocks_do_not_show():
    values = ar1(np.random.default_rng(7), 0.5, (2, 300, 400))
    ess, rhat = ess_and_rhat(values)
    for i in (0, 108, 109, 110, 399):
        one = ess_and_rhat(values[..., i : i + 1])
        assert (ess[i], rhat[i]) == (one[0][0], one[1][0])


def test_ranks_with_ties_are_scipys():
    rng = np.random.default_rng(8)
    values = np.stack([rng.normal(size=60), rng.integers(0, 4, 60), np.full(60, 2.0), np.repeat([1.0, 0.0], 30)])
    np.testing.assert_array_equal(_ranks(values), rankdata(values, axis=1))


def test_draws_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"shape \(4, 100\); expected \(chains, draws, components\)"):
        ess_and_rhat(np.zeros((4, 100)))


# Tables


def test_summary_of_known_numbers():
    values = np.arange(1.0, 101.0).reshape(4, 25)  # 1..100: mean 50.5, variance 100 * 101 / 12
    table = summary({"a": values, "b": np.stack([values, -values], axis=2)})
    assert list(table.index) == ["a", "b[0]", "b[1]"]
    assert table.loc["a", ["mean", "sd", "5%", "95%"]].tolist() == pytest.approx([50.5, math.sqrt(100 * 101 / 12), 5.95, 95.05])
    assert table.loc["b[1]", ["mean", "5%", "95%"]].tolist() == pytest.approx([-50.5, -95.05, -5.95])


def test_summary_names_rows_by_the_labels_that_there_are():
    draws = {"loc": np.zeros((1, 1, 2, 2)), "w": np.zeros((1, 1, 3)), "u": np.zeros((1, 1, 2))}
    dims, coords = {"loc": ("k", "other"), "w": ("k",), "u": ("k", "k")}, {"k": ["a", "b"]}
    rows = ["loc[a, 0]", "loc[a, 1]", "loc[b, 0]", "loc[b, 1]", "w[0]", "w[1]", "w[2]", "u[0]", "u[1]"]
    assert list(summary(draws, coords=coords, dims=dims).index) == rows


def test_summary_of_one_draw_of_nothing_and_of_whole_numbers():
    table = summary({"n": np.full((1, 1), 7), "none": np.zeros((1, 1, 0))})
    assert list(table.index) == ["n"]
    assert table.loc["n", "mean"] == 7
    assert table.loc["n", ["sd", "ess_bulk", "ess_tail", "r_hat", "mcse_mean"]].isna().all()
    assert list(summary({}).columns) == list(table.columns)
    with pytest.raises(DataError, match=r"'n' has shape \(4, 0\)"):
        summary({"n": np.zeros((4, 0))})


def test_tail_ess_of_a_rare_event_is_that_of_its_indicator():
    rare = (np.random.default_rng(9).random((4, 500)) < 0.02).astype(float)
    table = summary({"rare": rare})
    assert 1000 < table.loc["rare", "ess_tail"] < 2000 * math.log10(2000)


# Weights


@pytest.mark.parametrize("rate", [1.25, 2.0, 5.0])
def test_khat_of_weights_that_are_exactly_pareto(rate):
    """Exp(1) over Exp(rate) under Exp(rate) is Pareto with k = 1 - 1 / rate, above any cut exactly generalised Pareto."""
    k, draws = 1 - 1 / rate, 10_000
    tail = 3 * math.sqrt(draws)
    x = np.random.default_rng(10).exponential(1 / rate, size=(60, draws))
    found = np.array([smooth((rate - 1) * row)[1] for row in x])
    drawn_in = (tail * k + 5) / (tail + 10)
    error = (1 + k) / math.sqrt(tail)  # of one fit, asymptotically
    assert abs(found.mean() - drawn_in) < 4 * error / math.sqrt(60)
    assert found.std() == pytest.approx(error, rel=0.3)


@pytest.mark.parametrize("k", [-0.5, 0.0, 0.4, 1.2])
def test_the_fit_finds_shape_and_scale(k):
    survival = (np.arange(2000, 0, -1) - 0.5) / 2000
    excess = 3.0 * (-np.log(survival) if k == 0 else (survival**-k - 1) / k)  # the exact quantiles, scale 3
    found, scale = _pareto(excess)
    assert found == pytest.approx((2000 * k + 5) / 2010, abs=0.01)
    assert scale == pytest.approx(3.0, rel=0.02)


def test_smoothed_weights_estimate_better_than_raw_ones():
    """The mean of an Exp(1) is 1; weights from Exp(2.5) have k = 0.6 and infinite variance."""
    rng, rate = np.random.default_rng(11), 2.5
    raw, mended = [], []
    for _ in range(200):
        x = rng.exponential(1 / rate, size=1000)
        logs = (rate - 1) * x
        raw.append(np.exp(logs - np.logaddexp.reduce(logs)) @ x)
        mended.append(np.exp(smooth(logs)[0]) @ x)
    errors = [np.sqrt(np.mean(np.square(np.array(values) - 1.0))) for values in (raw, mended)]
    assert errors[1] < 0.9 * errors[0]  # 0.60 to 0.79 over 6 seeds


@pytest.mark.parametrize("draws", [100, 900])
def test_smoothing_is_that_of_arviz(draws):
    """Where both take the same tail: ArviZ 1.x rounds its length down, 0.23 up, as here; 100 / 5 and 3 sqrt(900) are whole."""
    logs = np.random.default_rng(12).normal(700.0, 2.0, size=draws)
    smoothed, khat = smooth(logs)
    if hasattr(az, "psislw"):
        theirs, their_khat = az.psislw(logs.copy())
    else:
        from arviz_stats.base import array_stats

        theirs, their_khat = array_stats.psislw(-logs)
    assert khat == pytest.approx(float(their_khat), rel=1e-9)
    np.testing.assert_allclose(smoothed, theirs, rtol=0, atol=1e-9)


def test_smoothing_keeps_order_body_and_sum_and_not_the_unit():
    rng = np.random.default_rng(13)
    logs = rng.standard_t(3, size=2000)
    logs[:100] = -math.inf
    before = logs.copy()
    smoothed, khat = smooth(logs)
    np.testing.assert_array_equal(logs, before)
    assert np.exp(smoothed).sum() == pytest.approx(1.0, abs=1e-12)
    assert (smoothed[:100] == -math.inf).all()
    order = logs.argsort(kind="stable")
    assert (np.diff(smoothed[order[100:]]) >= -1e-12).all()
    body = order[100 : -math.ceil(3 * math.sqrt(2000))]
    first = order[100 + len(body)]  # of the tail
    assert abs((smoothed[first] - logs[first]) - (smoothed[body[0]] - logs[body[0]])) > 1e-6
    np.testing.assert_allclose(np.diff(smoothed[body]), np.diff(logs[body]), atol=1e-12)
    shifted, same = smooth(logs - 5000.0)
    np.testing.assert_allclose(shifted, smoothed, atol=1e-9)
    assert same == pytest.approx(khat, abs=1e-9)


@pytest.mark.parametrize("draws", [1, 24, 25, 1000])
def test_equal_weights(draws):
    smoothed, khat = smooth(np.full(draws, -12.5))
    np.testing.assert_allclose(smoothed, -math.log(draws), atol=1e-12)
    assert khat == 0.0 if draws >= 25 else math.isnan(khat)


def test_weights_equal_but_for_rounding_raise_no_alarm():
    logs = -1234.5 + 1e-13 * np.random.default_rng(14).normal(size=1000)
    smoothed, khat = smooth(logs)
    np.testing.assert_allclose(smoothed, -math.log(1000), atol=1e-9)
    assert khat < 0.5


def test_few_weights_that_count():
    logs = np.full(1000, -math.inf)
    logs[[3, 500]] = 1.0, 2.0
    smoothed, khat = smooth(logs)
    assert khat == math.inf
    np.testing.assert_allclose(np.exp(smoothed[[3, 500]]), [1 / (1 + math.e), math.e / (1 + math.e)])
    logs[:] = np.linspace(0, 1e6, 1000)  # each a thousand nats above the next
    assert smooth(logs)[1] == math.inf
    logs = np.random.default_rng(16).normal(-735.0, 1.0, size=1000)  # beside the first, less than the smallest normal number
    logs[0] = 0.0
    assert smooth(logs)[1] == math.inf


def test_few_draws_are_only_normalised():
    logs = np.random.default_rng(15).normal(size=24)
    smoothed, khat = smooth(logs)
    np.testing.assert_allclose(smoothed, logs - np.logaddexp.reduce(logs), atol=1e-14)
    assert math.isnan(khat)
    assert math.isfinite(smooth(np.append(logs, 0.3))[1])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.0, np.nan, 1.0, np.inf], r"2 of 4 log weights are nan or \+inf, the first at draw 1 \(nan\)"),
        ([-np.inf] * 30, r"all 30 log weights are -inf"),
        ([], r"shape \(0,\); expected \(draws,\)"),
        ([[0.0, 1.0]], r"shape \(1, 2\); expected \(draws,\)"),
    ],
)
def test_weights_that_cannot_be_used_are_named(weights, message):
    with pytest.raises(DataError, match=message):
        smooth(np.array(weights))
