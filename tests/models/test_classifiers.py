"""Classifiers against scikit-learn where priors are flat, scipy where they are not, and the rules of probability."""

import numpy as np
import pyro
import pytest
import torch
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB
from torch import Tensor

from ppgen import datasets
from ppgen.errors import DataError, NameNotFoundError, ProgramError
from ppgen.inference import NUTS, SVI
from ppgen.models import GaussianClassifier, NaiveBayes
from tests.models.cases_classifier import HALF, PENGUINS

TABLE = datasets.load("penguins").table
NUMBERS = torch.stack([TABLE[n] for n in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")], 1)
WHOLE = NUMBERS.isfinite().all(1)
X, LABEL = NUMBERS[WHOLE], TABLE["species"][WHOLE]


def test_there_are_as_many_penguins_of_each_species_as_were_published() -> None:
    """Gorman, Williams & Fraser (2014): 152 Adelie, 68 chinstrap, 124 gentoo; masses in grams."""
    data = datasets.load("penguins")
    assert data.states["species"] == ("Adelie", "Chinstrap", "Gentoo")
    assert torch.bincount(data.table["species"].long()).tolist() == [152, 68, 124]
    assert data.label == "species"
    assert float(data.table["body_mass_g"].nanmean()) == pytest.approx(4201.754, abs=1e-3)


def priors(label: Tensor) -> list[float]:
    return (torch.bincount(label.long()) / len(label)).tolist()


@pytest.mark.parametrize(
    ("covariance", "sklearn"),
    [
        ("tied", LinearDiscriminantAnalysis(solver="lsqr")),
        ("full", QuadraticDiscriminantAnalysis()),
        ("diagonal", GaussianNB(var_smoothing=0.0)),
    ],
)
def test_the_predictive_law_of_many_data_is_sklearns_plug_in(covariance, sklearn) -> None:
    """Every penguin 300 times: the posterior is all but a point, and the priors are forgotten."""
    many, labels = X.repeat(300, 1), LABEL.repeat(300)
    family = GaussianClassifier(3, like=X, covariance=covariance)
    reference = sklearn.fit(many.numpy(), labels.numpy())
    found = family.predictive(X, {"x": many, "label": labels})
    np.testing.assert_allclose(found, reference.predict_proba(X.numpy()), atol=2e-3)


@pytest.mark.parametrize("covariance", ["tied", "full", "diagonal"])
def test_the_evidence_is_the_product_of_what_is_predicted(covariance) -> None:
    """Datum after datum: p(label | before) p(x | label, before), with Student's t of scipy."""
    rows, labels = X[::9], LABEL[::9]
    family = GaussianClassifier(3, like=X, covariance=covariance, concentration=1.5, weight=0.3, strength=2.0).double()
    total = 0.0
    spread, d = X.std(0, correction=0), X.shape[1]
    for n in range(len(rows)):
        k = int(labels[n])
        before, of = rows[:n], labels[:n]
        total += float(torch.log((1.5 + (of == k).sum()) / (4.5 + n)))
        groups = range(3) if covariance == "tied" else [k]
        scatter, df = torch.diag(2.0 * spread**2), 3.0 + (1 if covariance == "diagonal" else d)
        for g in groups:
            mine = before[of == g]
            df += len(mine)
            if len(mine):
                shift = mine.mean(0) - X.mean(0)
                scatter = scatter + (mine - mine.mean(0)).T @ (mine - mine.mean(0))
                scatter = scatter + 0.3 * len(mine) / (0.3 + len(mine)) * torch.outer(shift, shift)
        mine = before[of == k]
        weight = 0.3 + len(mine)
        loc = (0.3 * X.mean(0) + mine.sum(0)) / weight
        factor = (weight + 1) / weight
        if covariance == "diagonal":
            scale = (torch.diag(scatter) * factor / df).sqrt()
            total += stats.t(df, loc, scale).logpdf(rows[n]).sum()
        else:
            total += stats.multivariate_t(loc, scatter * factor / (df - d + 1), df - d + 1).logpdf(rows[n])
    assert float(family.exact({"x": rows, "label": labels})["log_evidence"]) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("covariance", ["tied", "full", "diagonal"])
def test_the_predictive_law_is_the_mean_over_the_posterior(covariance) -> None:
    """The probability of a label by joint densities averaged over exact draws of the parameters, by the exact posterior as a guide."""
    family = GaussianClassifier(3, like=X, covariance=covariance, weight=0.5)
    data, new = {"x": X[::9], "label": LABEL[::9]}, X[1::60]
    guide = family.posterior_guide(data)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        traces = [pyro.poutine.trace(guide).get_trace().nodes for _ in range(2000)]
    values = {n: torch.stack([t[n]["value"].double() for t in traces]) for n in family.exact(data)["posterior"]}
    if "slope" in traces[0]:
        values["slope"] = torch.stack([t["slope"]["value"].double() for t in traces])
    values = {n: v.reshape(2000, *v.shape[-d:]) for n, v in values.items() for d in [family_dim(n, covariance)]}
    densities = family._log_joint(new, values).exp()  # (draws, N, K)
    expected = densities.mean(0)
    error = 5 * densities.std(0) / 2000**0.5 / expected.sum(-1, keepdim=True)
    gap = (family.predictive(new, data) - expected / expected.sum(-1, keepdim=True)).abs()
    assert (gap <= error + 1e-6).all()


def family_dim(site: str, covariance: str) -> int:
    return 1 if site == "weights" or (covariance == "tied" and site != "loc") else 2


def test_labels_of_a_few_are_enough() -> None:
    """One penguin in ten has a label; by the others the classes are learned better than by these alone."""
    known = torch.arange(len(X)) % 10 == 0
    family = GaussianClassifier(3, like=X)
    posterior = NUTS(num_samples=200, num_chains=2, progress=False).run(family, {"x": X, "label": LABEL, "mask": known})
    values = {n: posterior.draws[n].flatten(0, 1) for n in ("weights", "precision", "slope", "loc")}
    guess = family.probabilities(X, values).mean(0).argmax(-1)
    assert (guess == LABEL)[~known].double().mean() > 0.97
    drawn = posterior.draws["label_unobserved"].double()
    assert (drawn.mean((0, 1)).round() == LABEL)[~known].double().mean() > 0.97


def test_with_some_labels_unknown_there_is_no_evidence_in_closed_form() -> None:
    family = GaussianClassifier(3, like=PENGUINS["x"])
    assert set(family.exact({**PENGUINS, "mask": HALF})) == {"log_likelihood", "probabilities"}
    with pytest.raises(DataError, match="the label in row 1 is unknown"):
        family.posterior_guide({**PENGUINS, "mask": HALF})
    with pytest.raises(DataError, match="no label is known"):
        family.predictive(PENGUINS["x"], PENGUINS["x"])


def test_the_guide_reaches_the_exact_posterior() -> None:
    family = GaussianClassifier(3, like=PENGUINS["x"], covariance="full", weight=0.5)
    posterior = SVI(num_steps=1500, progress=False).run(family, PENGUINS)
    assert posterior.khat < 0.5
    assert posterior.log_evidence == pytest.approx(float(family.exact(PENGUINS)["log_evidence"]), abs=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ({"num_features": 0}, "num_features must be at least 1"),
        ({}, "or give data as like="),
        ({"num_features": 2, "covariance": "round"}, "no covariance 'round'; there are tied, full, diagonal"),
        ({"num_features": 2, "strength": -1.0}, "strength must be positive, got -1.0"),
        ({"num_features": 3, "like": torch.ones(4, 2)}, r"like must have shape \(N, 3\)"),
        ({"like": torch.tensor([[1.0, 2.0], [1.0, 3.0]])}, "column 0 of like is constant"),
    ],
)
def test_wrong_settings_of_a_gaussian_classifier(settings, message) -> None:
    with pytest.raises((ProgramError, NameNotFoundError, DataError), match=message):
        GaussianClassifier(**settings)


# Naive Bayes


def test_categories_are_sklearns_to_the_digit() -> None:
    """Posterior means are its smoothed frequencies, and the predictive law is exactly what it predicts."""
    known = ~TABLE["sex"].isnan()
    features = {"island": 3, "sex": 2}
    data = {n: TABLE[n][known] for n in features} | {"label": TABLE["species"][known]}
    family = NaiveBayes(3, features, concentration=0.7)
    columns = torch.stack([data[n] for n in features], 1).long().numpy()
    prior = ((torch.bincount(data["label"].long()) + 0.7) / (len(data["label"]) + 2.1)).tolist()
    reference = CategoricalNB(alpha=0.7, class_prior=prior).fit(columns, data["label"].numpy())
    np.testing.assert_allclose(family.predictive(data, data), reference.predict_proba(columns), rtol=1e-6)


def test_bernoullis_are_sklearns_to_the_digit() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(3, (200,), generator=generator)
    chance = torch.tensor([[0.9, 0.2, 0.5], [0.4, 0.7, 0.1], [0.3, 0.3, 0.8]])
    bits = (torch.rand(200, 3, generator=generator) < chance[label]).double()
    data = {f"bit{j}": bits[:, j] for j in range(3)} | {"label": label.double()}
    family = NaiveBayes(3, dict.fromkeys(["bit0", "bit1", "bit2"], "bernoulli"), concentration=1.5)
    prior = ((torch.bincount(label) + 1.5) / (200 + 4.5)).tolist()
    reference = BernoulliNB(alpha=1.5, class_prior=prior).fit(bits.numpy(), label.numpy())
    np.testing.assert_allclose(family.predictive(data, data), reference.predict_proba(bits.numpy()), rtol=1e-6)


def test_numbers_are_the_diagonal_classifiers() -> None:
    """The same model in other words: precision of Gamma(3 / 2, spread^2 / 2) in both."""
    names = ["bill_length_mm", "body_mass_g"]
    rows = torch.stack([TABLE[n][WHOLE] for n in names], 1)
    data = {n: TABLE[n][WHOLE] for n in names} | {"label": LABEL}
    naive = NaiveBayes(3, dict.fromkeys(names, "normal"), like=data, shape=1.5).double()
    gaussian = GaussianClassifier(3, like=rows, covariance="diagonal", strength=1.0).double()
    for feature in naive.features.values():  # shape 3/2 with rate spread^2 / 2, not 3/2 spread^2
        feature.spread = feature.spread / 3**0.5
    mine, other = naive.exact(data), gaussian.exact({"x": rows, "label": LABEL})
    assert float(mine["log_evidence"]) == pytest.approx(float(other["log_evidence"]), rel=1e-8)
    np.testing.assert_allclose(naive.predictive(data, data), gaussian.predictive(rows, {"x": rows, "label": LABEL}), atol=1e-9)


def test_a_missing_feature_says_nothing() -> None:
    """What is predicted without a feature is what a classifier without it predicts."""
    features = {"island": 3, "body_mass_g": "normal"}
    data = {n: TABLE[n][WHOLE] for n in features} | {"label": LABEL}
    both, one = NaiveBayes(3, features, like=data), NaiveBayes(3, {"island": 3})
    alone = {n: data[n] for n in ("island", "label")}
    holed = {**data, "body_mass_g": torch.full_like(LABEL, torch.nan)}
    np.testing.assert_allclose(both.predictive(holed, data), one.predictive(alone, alone), rtol=1e-9)
    assert float(both.exact(holed)["log_evidence"]) == pytest.approx(float(one.exact(alone)["log_evidence"]), rel=1e-9)


@pytest.mark.parametrize(
    ("num_classes", "features", "message"),
    [
        (1, {"a": 2}, "num_classes must be at least 2, got 1"),
        (2, {}, "features must name at least one"),
        (2, {"label": 2}, "a feature cannot be named 'label'"),
        (2, {"a": "poisson"}, "feature 'a' is 'poisson'"),
        (2, {"a": 1}, "feature 'a' is 1; .* 2 or more"),
    ],
)
def test_wrong_settings_of_naive_bayes(num_classes, features, message) -> None:
    with pytest.raises((ProgramError, NameNotFoundError), match=message):
        NaiveBayes(num_classes, features)


def test_numbers_need_a_scale() -> None:
    with pytest.raises(DataError, match="feature 'a' of like is constant"):
        NaiveBayes(2, {"a": "normal"}, like={"a": torch.ones(4)})
    with pytest.raises(DataError, match="like has no feature 'a'"):
        NaiveBayes(2, {"a": "normal"}, like={"b": torch.ones(4)})
