"""Hidden Markov models for the contract suites. With one state the posterior is known, by conjugacy."""

import pyro.distributions as dist
import torch
from torch import Tensor

from ppgen import datasets
from ppgen.models import HiddenMarkov
from tests.contracts.cases import Case

COUNTS = datasets.load("earthquakes").x.float()
LINES = {n: v[:6] for n, v in datasets.load("coriolanus").x.items()}
VOWELS = torch.tensor([float(c in "aeiou") for c in datasets.load("coriolanus").states["letter"]])
LETTERS = {**LINES, "x": VOWELS[LINES["x"].long()]}  # 1 where a letter is a vowel

THIRD = torch.arange(len(COUNTS)) == 3
BAD = (
    (torch.where(THIRD, -1.0, COUNTS), r"'x'.* 3.*support"),
    (torch.where(THIRD, 2.5, COUNTS), r"'x'.* 3.*support"),
    (torch.full_like(COUNTS, torch.nan), "sequence 0 of x has no step that is observed"),
    (COUNTS.long(), r"floating-point numbers.*got torch\.int64"),
    (COUNTS[:0], "x holds an empty sequence"),
    (COUNTS[None, None], r"x must have shape \(T,\), one sequence, or \(N, T\)"),
    (COUNTS[None][:0], "x holds no sequence"),
    ({"x": COUNTS, "lengths": torch.tensor([108])}, "lengths: sequence 0 has length 108 and is longer than the 107 steps"),
    ({"x": COUNTS, "lengths": torch.tensor([0])}, "lengths: sequence 0 has length 0 and is empty"),
    ({"x": COUNTS, "lengths": torch.tensor([9.0])}, r"lengths must be whole numbers.*got torch\.float32"),
    ({"x": COUNTS, "mask": THIRD[1:]}, r"mask must hold booleans.*of shape \(106,\)"),
    ({"y": COUNTS}, "a dict of sequences has x.*this one has 'y'"),
    ([1.0, 2.0], "x must be a torch tensor.*got list"),
)


def _one_state() -> Case:
    """rate ~ Gamma(2, 2 / mean), so rate | x ~ Gamma(2 + sum x, 2 / mean + T), of the steps that are observed."""
    family = HiddenMarkov(1, "poisson", like=COUNTS)
    x = {"x": torch.where(THIRD, torch.nan, COUNTS)[None].repeat(2, 1), "lengths": torch.tensor([40, 11])}
    seen = torch.cat([COUNTS[:3], COUNTS[4:40], COUNTS[:3], COUNTS[4:11]])
    shape, rate = 2 + seen.sum(), 2 / COUNTS.mean() + len(seen)
    return Case(family, x, {"rate": ((shape / rate)[None], (shape.sqrt() / rate)[None])}, bad=BAD)


def _earthquakes() -> Case:
    return Case(
        HiddenMarkov(2, "poisson", initial="stationary", like=COUNTS),
        COUNTS,
        edges="transition -> initial -> state -> state -> x, transition -> state, rate -> x",
        plates={"states": "transition rate", "sequences": "state x", "time": "state x"},
        bad=BAD,
    )


def _letters() -> Case:
    bad = (({**LETTERS, "x": LETTERS["x"] + 1}, r"'x'.*support"), (LETTERS["x"].long(), "floating-point"))
    return Case(
        HiddenMarkov(2, "categorical", like=LETTERS),
        LETTERS,
        edges="initial -> state -> state -> x, transition -> state, probs -> x",
        plates={"states": "transition probs", "sequences": "state x", "time": "state x"},
        bad=bad,
    )


def _eruptions() -> Case:
    """Two features, taken as three sequences, a few of their steps missing."""
    x = datasets.load("old-faithful").x[:90].reshape(3, 30, 2).float().clone()
    x[1, 4:7] = torch.nan
    return Case(HiddenMarkov(2, "multivariate_normal", num_features=2, like=x), x, bad=((x[..., 0, 0], r"x must have shape \(T, 2\)"),))


def _own() -> Case:
    """A law of one's own, with a parameter that the states share."""

    def law(df: Tensor, loc: Tensor, scale: Tensor) -> dist.StudentT:
        return dist.StudentT(df, loc, scale)

    priors = {"loc": dist.Normal(3.5, 2.0), "df": dist.Gamma(4.0, 0.5), "scale": dist.LogNormal(-1.0, 1.0)}
    x = datasets.load("old-faithful").x[:40, 0].float()
    return Case(HiddenMarkov(2, law, priors, shared=("df", "scale"), length=12), x, bad=((x[:, None, None], "x must have shape"),))


CASES = {
    "poisson, one state": _one_state(),
    "earthquakes": _earthquakes(),
    "letters": _letters(),
    "eruptions": _eruptions(),
    "own law": _own(),
}
