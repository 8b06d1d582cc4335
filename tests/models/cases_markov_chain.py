"""Markov chains for the contract suites: their posteriors are known."""

import torch

from ppgen import datasets
from ppgen.models import MarkovChain
from tests.contracts.cases import Case

CORIOLANUS = datasets.load("coriolanus")
VOWELS = torch.tensor([1.0 if c in "aeiou" else 2.0 if c == "_" else 0.0 for c in CORIOLANUS.states["letter"]])
LINES = {n: v[:8] for n, v in CORIOLANUS.x.items()}
SOUNDS = {**LINES, "x": VOWELS[LINES["x"].long()]}  # consonants, vowels, breaks
PAIRS = datasets.load("onegin").x[::40].float()

SECOND = torch.arange(len(PAIRS))[:, None] == 2
BAD = (
    (PAIRS + 2 * SECOND, "sequence 2 of x has 2 at step 0, and states are whole numbers from 0 to 1"),
    (torch.where(SECOND, torch.nan, PAIRS), r"sequence 2 of x has no (state at step 0|step that is observed)"),
    (PAIRS + 0.5 * SECOND, "sequence 2 of x has 0.5 at step 0"),
    (PAIRS.long(), "floating-point"),
    (PAIRS[..., None], r"x must have shape \(T,\)"),
    ({"x": PAIRS, "lengths": torch.full((len(PAIRS),), 3)}, "lengths: sequence 0 has length 3"),
    ({"x": PAIRS, "mask": torch.arange(2).expand(len(PAIRS), 2) == 0}, "sequence 0 of x has no state at step 1"),
)


def _case(family: MarkovChain, x: object, **diagram: object) -> Case:
    laws = family.exact(x)["posterior"]
    return Case(family, x, {n: (law.mean, law.variance.sqrt()) for n, law in laws.items()}, **diagram)  # type: ignore[arg-type]


CASES = {
    "lines": _case(
        MarkovChain(like=SOUNDS, concentration=5.0),
        SOUNDS,
        edges="initial -> x, transition -> x -> x",
        plates={"states": "transition", "sequences": "x", "time": "x"},
        bad=(({**SOUNDS, "x": SOUNDS["x"] + 1}, "has 3 at step .* from 0 to 2"), *BAD[3:5]),
    ),
    "pairs": _case(MarkovChain(2, initial="given", concentration=3.0), PAIRS, bad=BAD),
}
