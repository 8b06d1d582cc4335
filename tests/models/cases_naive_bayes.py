"""Naive Bayes for the contract suites: penguins of all kinds of features, some of them missing."""

import torch

from ppgen import datasets
from ppgen.models import NaiveBayes
from tests.contracts.cases import Case

TABLE = datasets.load("penguins").table
FEATURES = {"island": 3, "flipper_length_mm": "normal", "sex": "bernoulli"}
PENGUINS = {name: TABLE[name][::5].float() for name in FEATURES} | {"label": TABLE["species"][::5].float()}
PENGUINS["flipper_length_mm"][7] = torch.nan
HALF = torch.arange(len(PENGUINS["label"])) % 2 == 0

SECOND = torch.arange(len(HALF)) == 2
BAD = (
    ({**PENGUINS, "island": PENGUINS["island"] + 3.0 * SECOND}, "'island'.* row 2 .*support"),
    ({**PENGUINS, "sex": PENGUINS["sex"].nan_to_num() + 0.5 * SECOND}, "'sex'.* row 2 .*support"),
    ({**PENGUINS, "label": PENGUINS["label"] - 3.0 * SECOND}, "'label'.* row 2 .*support"),
    ({**PENGUINS, "label": torch.where(SECOND, torch.nan, PENGUINS["label"])}, "'label': NaN in the data at row 2"),
    ({n: v for n, v in PENGUINS.items() if n != "sex"}, "x has no 'sex'"),
    ({**PENGUINS, "island": PENGUINS["island"].long()}, r"feature 'island' must hold floating-point numbers.*got torch\.int64"),
    ({**PENGUINS, "sex": PENGUINS["sex"][:-1]}, r"feature 'sex' must have shape \(69,\)"),
    ({**PENGUINS, "year": HALF}, "x has 'year'"),
    (torch.ones(69, 3), "x must be a dict of island, flipper_length_mm, sex"),
)


def _family() -> NaiveBayes:
    return NaiveBayes(3, FEATURES, like=PENGUINS, concentration=2.0, weight=0.5, shape=2.0)


def _whole() -> Case:
    family = _family()
    laws = family.exact(PENGUINS)["posterior"]
    return Case(
        family,
        PENGUINS,
        {n: (law.mean, law.variance.sqrt()) for n, law in laws.items()},
        "weights -> label -> island, label -> flipper_length_mm, label -> sex, island_probs -> island, sex_prob -> sex, "
        "flipper_length_mm_precision -> flipper_length_mm_loc -> flipper_length_mm, flipper_length_mm_precision -> flipper_length_mm",
        {
            "classes": "island_probs flipper_length_mm_precision flipper_length_mm_loc sex_prob",
            "data": "label island flipper_length_mm sex",
        },
        BAD,
        family.posterior_guide(PENGUINS),
    )


CASES = {
    "penguins": _whole(),
    "half of the labels": Case(_family(), {**PENGUINS, "mask": HALF}, bad=BAD),
}
