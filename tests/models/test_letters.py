"""Markov chains and n-grams: Markov's own figures, counting letter by letter, and what observed chains are under a mask."""

import itertools
import math
from collections import Counter

import numpy as np
import pyro
import pytest
import torch
from scipy.special import gammaln
from torch import Tensor

from ppgen import DiscreteChain, datasets, sample, score
from ppgen.errors import CostError, NameNotFoundError, ProgramError
from ppgen.models import MarkovChain, NGram
from ppgen.models._letters import LettersInContext
from ppgen.program import Program
from ppgen.targets import LogDensity

ONEGIN = datasets.load("onegin").x
RAGGED = {"x": torch.tensor([[0.0, 2, 1, 1, 0], [1, 1, 0, 0, 0], [2, 0, 0, 0, 0]]), "lengths": torch.tensor([5, 3, 1])}
LISTS = [[0, 2, 1, 1, 0], [1, 1, 0], [2]]


def shares(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True)


# Onegin


def test_onegin_by_markov() -> None:
    """p(vowel) = .432, p(vowel | vowel) = .128, p(vowel | consonant) = .663, as Markov printed them."""
    table = shares(MarkovChain(like=ONEGIN, initial="given").counts(ONEGIN)["transition"])
    assert table[:, 0].tolist() == pytest.approx([0.128, 0.663], abs=5e-4)
    letters = ONEGIN[:, 0]
    assert shares(NGram(2, order=0).counts(letters)["next"])[0, 0] == pytest.approx(0.432, abs=5e-4)


def test_onegin_log_likelihoods() -> None:
    """Of independent letters -13676.861, of a chain -10560.678, recomputed from Markov's counts."""
    letters = ONEGIN[:, 0]
    independent, chain = NGram(2, order=0), MarkovChain(2, initial="given")
    table = {"next": shares(independent.counts(letters)["next"])}
    assert float(independent.log_likelihood(letters, table)[0]) == pytest.approx(-13676.861, abs=1e-3)
    pairs = {"transition": shares(chain.counts(ONEGIN)["transition"])}
    assert float(chain.log_likelihood(ONEGIN, pairs).sum()) == pytest.approx(-10560.678, abs=1e-3)
    bigrams = NGram(2, order=1, initial="given")
    assert float(bigrams.log_likelihood(ONEGIN, {"next": pairs["transition"]}).sum()) == pytest.approx(-10560.678, abs=1e-3)


# Counting


@pytest.mark.parametrize("order", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("initial", ["free", "given"])
def test_counts_letter_by_letter(order: int, initial: str) -> None:
    seen: Counter[tuple[tuple[int, ...], int]] = Counter()
    for letters in LISTS:
        for t, letter in enumerate(letters):
            if initial == "free" or t >= order:
                seen[tuple(letters[max(0, t - order) : t]), letter] += 1
    shortest = 0 if initial == "free" else order
    contexts = [c for n in range(shortest, order + 1) for c in itertools.product(range(3), repeat=n)]
    got = NGram(3, order=order, initial=initial).counts(RAGGED)["next"]
    assert got.shape == (len(contexts), 3)
    for row, context in zip(got.tolist(), contexts, strict=True):
        assert row == [seen[context, letter] for letter in range(3)]


def test_evidence_is_the_product_of_predictions() -> None:
    """Letter by letter, each by its share among what was seen before: no Beta function."""
    for order in (0, 1, 2):
        seen: Counter[tuple[tuple[int, ...], int]] = Counter()
        total = 0.0
        for letters in LISTS:
            for t, letter in enumerate(letters):
                context = tuple(letters[max(0, t - order) : t])
                total += math.log((seen[context, letter] + 0.7) / (sum(seen[context, k] for k in range(3)) + 2.1))
                seen[context, letter] += 1
        assert float(NGram(3, order=order, concentration=0.7).exact(RAGGED)["log_evidence"]) == pytest.approx(total, abs=1e-6)
        if order == 1:
            assert float(MarkovChain(3, concentration=0.7).exact(RAGGED)["log_evidence"]) == pytest.approx(total, abs=1e-6)


def test_a_chain_is_a_bigram() -> None:
    chain, bigrams = MarkovChain(3), NGram(3, order=1)
    tables = {"initial": torch.tensor([0.2, 0.5, 0.3]), "transition": torch.tensor([[0.1, 0.6, 0.3], [0.4, 0.4, 0.2], [0.8, 0.1, 0.1]])}
    whole = {"next": torch.cat([tables["initial"][None], tables["transition"]])}
    got = chain.log_likelihood(RAGGED, tables)
    torch.testing.assert_close(got, bigrams.log_likelihood(RAGGED, whole))
    expected = [math.log(0.2) + math.log(0.3 * 0.1 * 0.4 * 0.4), math.log(0.5 * 0.4 * 0.4), math.log(0.3)]
    assert got.tolist() == pytest.approx(expected, abs=1e-5)
    assert score(pyro.condition(chain, tables), RAGGED).value.tolist() == pytest.approx(expected, abs=1e-5)
    assert score(pyro.condition(bigrams, whole), RAGGED).value.tolist() == pytest.approx(expected, abs=1e-5)


def test_letters_are_told_apart_by_what_precedes_them() -> None:
    """Coriolanus, 4,723 letters: one letter before tells more than none; the evidence says that three are too many for so few."""
    lines = datasets.load("coriolanus").x
    each = [float(NGram(order=n, like=lines).exact(lines)["log_evidence"]) / 4723 for n in range(4)]
    assert each == pytest.approx([-2.862, -2.453, -2.543, -2.779], abs=1e-3)


# Programs


def test_a_mask_over_an_observed_chain_hides_no_state_from_the_next() -> None:
    """p(x_t | x_t-1) is read at x_t-1 whether or not that counts itself."""
    steps = torch.tensor([[0.2, 0.8], [0.7, 0.3]])
    path = torch.tensor([1.0, 0.0, 0.0, 1.0])
    seen = torch.tensor([False, True, True, False])

    def model() -> None:
        with pyro.plate("time", 4), pyro.poutine.mask(mask=seen):
            pyro.sample("z", DiscreteChain(torch.tensor([0.5, 0.5]), steps), obs=path)

    expected = math.log(0.7 * 0.2)
    assert float(LogDensity(Program(model)).log_density(torch.zeros(1, 0))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_draws_have_the_law(order: int) -> None:
    """Frequencies of all sequences of three letters, and their shares by the chain rule."""
    family = NGram(2, order=order, length=3)
    rows = family.tables["next"].rows
    table = torch.distributions.Dirichlet(torch.ones(rows, 2)).sample()
    drawn = LettersInContext(table, order, 3).expand([20_000]).sample()
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    p = family.log_likelihood(every, {"next": table}).exp().numpy()
    assert p.sum() == pytest.approx(1.0, abs=1e-5)
    seen = np.bincount((drawn @ torch.tensor([4, 2, 1])).numpy(), minlength=8) / len(drawn)
    assert (np.abs(seen - p) < 4.5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-4).all()


def test_given_letters_are_drawn_evenly() -> None:
    drawn = sample(NGram(2, order=1, initial="given", length=3), 4000, seed=1)["x"]
    assert drawn.shape == (4000, 3)
    assert float(drawn[:, 0].double().mean()) == pytest.approx(0.5, abs=4.5 * 0.5 / 4000**0.5)


def test_float64_and_log_beta() -> None:
    """scipy's gammaln, on the scale of Onegin's counts."""
    counts = MarkovChain(2, initial="given", concentration=2.0).counts(ONEGIN)["transition"].numpy() + 2.0
    expected = (gammaln(counts).sum() - gammaln(counts.sum(1)).sum()) - 2 * (2 * gammaln(2.0) - gammaln(4.0))
    assert float(MarkovChain(2, initial="given", concentration=2.0).exact(ONEGIN)["log_evidence"]) == pytest.approx(expected, rel=1e-12)


# Mistakes


def test_settings() -> None:
    with pytest.raises(ProgramError, match="MarkovChain needs num_states"):
        MarkovChain()
    with pytest.raises(ProgramError, match="num_states must be at least 2, got 1"):
        NGram(1)
    with pytest.raises(ProgramError, match="order must be at least 0, got -1"):
        NGram(2, order=-1)
    with pytest.raises(ProgramError, match="length must be at least 1, got 0"):
        MarkovChain(2, length=0)
    with pytest.raises(NameNotFoundError, match="no initial 'stationary'; there are free, given"):
        MarkovChain(2, initial="stationary")  # type: ignore[arg-type]
    with pytest.raises(CostError, match=r"contexts of up to 8 of 30 letters would take 151,706\.7 GiB; take a lower order"):
        NGram(30, order=8)
