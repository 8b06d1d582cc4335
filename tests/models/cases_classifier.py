"""Gaussian classifiers for the contract suites: penguins in millimetres, whose species is known for all or for every other one."""

from typing import Any

import torch

from ppgen import datasets
from ppgen.models import GaussianClassifier
from tests.contracts.cases import Case

TABLE = datasets.load("penguins").table
ROWS = torch.stack([TABLE["bill_length_mm"], TABLE["flipper_length_mm"]], 1)  # (344, 2)
WHOLE = ROWS.isfinite().all(1)
PENGUINS = {"x": ROWS[WHOLE][::5].float(), "label": TABLE["species"][WHOLE][::5].float()}  # 69 of them
HALF = torch.arange(len(PENGUINS["label"])) % 2 == 0

HOLED = PENGUINS["x"].clone()
HOLED[3, 1] = torch.nan
BAD = (
    ({**PENGUINS, "x": HOLED}, "'x': NaN in the data at row 3"),
    ({**PENGUINS, "label": PENGUINS["label"] + (torch.arange(69) == 7) * 3.0}, "'label'.* row 7 .*support"),
    ({**PENGUINS, "label": torch.where(HALF, PENGUINS["label"], torch.nan)}, "'label': NaN in the data at row 1"),
    ({**PENGUINS, "label": PENGUINS["label"].long()}, r"label must hold floating-point numbers, got torch\.int64"),
    ({**PENGUINS, "label": PENGUINS["label"][1:]}, r"label must have shape \(69,\)"),
    ({**PENGUINS, "mask": HALF.float()}, "mask must hold booleans"),
    ({"x": PENGUINS["x"], "mask": HALF}, "a mask of labels and no label"),
    ({**PENGUINS, "species": HALF}, "x has 'species'"),
    ({"label": PENGUINS["label"]}, "x has no 'x'"),
    ({**PENGUINS, "x": PENGUINS["x"][:, :1]}, r"x must have shape \(N, 2\)"),
    (PENGUINS["x"][:0], "no rows"),
)


def _case(covariance: str, edges: str, plates: dict[str, str], **bad: Any) -> Case:
    family = GaussianClassifier(3, like=PENGUINS["x"], covariance=covariance, weight=0.5)  # type: ignore[arg-type]
    laws = family.exact(PENGUINS)["posterior"]
    moments = {n: (law.mean, law.variance.sqrt()) for n, law in laws.items()}
    return Case(family, PENGUINS, moments, edges, plates, guide=family.posterior_guide(PENGUINS), **bad)


CASES = {
    "tied": _case(
        "tied",
        "weights -> label -> x, precision -> slope -> loc -> x, precision -> loc, precision -> x, slope -> x",
        {"classes": "loc", "data": "label x"},
        bad=BAD,
    ),
    "full": _case(
        "full",
        "weights -> label -> x, precision -> slope -> loc -> x, precision -> loc, precision -> x, slope -> x",
        {"classes": "precision slope loc", "data": "label x"},
        bad=BAD,
    ),
    "diagonal": _case(
        "diagonal",
        "weights -> label -> x, precision -> loc -> x, precision -> x",
        {"classes": "precision loc", "data": "label x"},
        bad=BAD,
    ),
    "half of the labels": Case(GaussianClassifier(3, like=PENGUINS["x"]), {**PENGUINS, "mask": HALF}, bad=BAD),
    "no labels": Case(GaussianClassifier(3, like=PENGUINS["x"]), PENGUINS["x"], bad=BAD),
}
