"""N-grams for the contract suites: their posteriors are known."""

import torch

from ppgen.models import NGram
from tests.contracts.cases import Case

from .cases_markov_chain import PAIRS, SOUNDS

SECOND = torch.arange(len(PAIRS))[:, None] == 2
BAD = (
    (PAIRS + 2 * SECOND, "sequence 2 of x has 2 at step 0"),
    (torch.where(SECOND, torch.nan, PAIRS), "sequence 2 of x has no (state at step 0|step that is observed)"),
    (PAIRS.long(), "floating-point"),
    (PAIRS[:, :0], "x holds an empty sequence"),
)


def _case(family: NGram, x: object, **diagram: object) -> Case:
    laws = family.exact(x)["posterior"]
    return Case(family, x, {n: (law.mean, law.variance.sqrt()) for n, law in laws.items()}, **diagram)  # type: ignore[arg-type]


CASES = {
    "bigrams": _case(
        NGram(order=1, like=SOUNDS, concentration=8.0),
        SOUNDS,
        edges="next -> x",
        plates={"contexts": "next", "sequences": "x"},
        bad=BAD[2:3],
    ),
    "independent": _case(NGram(2, order=0, concentration=3.0, length=2), PAIRS[::8], bad=BAD),
}
