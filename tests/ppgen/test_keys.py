"""Philox against its published answers, by Numba and by torch, and what keys promise."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from ppgen.errors import EngineError
from ppgen.keys import Key, nth
from ppgen.philox import philox, philox_torch, uniform

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, words
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    seed = key[0] | key[1] << 32
    assert tuple(int(w) for w in philox(np.uint64(seed), *counter)) == words
    block, stream, draw, chain = counter
    got = philox_torch(seed, torch.tensor([block]), stream, draw, torch.tensor([chain]))
    assert tuple(int(w) for w in got) == words


def test_numba_and_torch_agree_in_every_word() -> None:
    for seed in (0, 1, 2**32, 2**64 - 1, 0xDEADBEEF12345678):
        blocks = torch.arange(50)
        words = torch.stack(philox_torch(seed, blocks, 17, 9, torch.tensor(3)))
        want = [[int(w) for w in philox(np.uint64(seed), b, 17, 9, 3)] for b in range(50)]
        assert words.T.tolist() == want


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("start", [0, 5])
def test_other_devices_make_the_same_numbers(kind: str, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The branch of other devices, run by torch on the CPU: uniforms equal in their bits, normals to the rounding of sin."""
    key = Key(seed=2**40 + 5, draw=12, chains=(0, 3))
    want = getattr(key, kind)(7, (2, 9), start)

    class Elsewhere:
        type = "elsewhere"

    tensors = {name: getattr(torch, name) for name in ("arange", "tensor")}
    for name, make in tensors.items():
        monkeypatch.setattr(torch, name, lambda *a, make=make, device=None, **k: make(*a, **k))
    got = getattr(replace(key, device=Elsewhere()), kind)(7, (2, 9), start)
    if kind == "uniform":
        assert torch.equal(got, want)
    else:
        torch.testing.assert_close(got, want, rtol=0, atol=1e-14)


def test_any_number_can_be_had_alone() -> None:
    key = Key(seed=3, draw=4, chains=(2,))
    whole = key.uniform(1, (1, 40))
    for start in (0, 1, 7, 38):
        assert torch.equal(key.uniform(1, (1, 2), start), whole[:, start : start + 2])
    assert uniform(np.uint64(3), 1, 4, 2, 39) == whole[0, 39]


@pytest.mark.parametrize("kind", ["uniform", "normal", "gumbel"])
def test_a_chain_does_not_depend_on_how_many_there_are(kind: str) -> None:
    alone = getattr(Key(seed=5, draw=6, chains=(0,)), kind)(2, (1, 11))
    among = getattr(Key(seed=5, draw=6, chains=(0, 1, 2, 3)), kind)(2, (4, 11))
    assert torch.equal(alone[0], among[0])
    assert len({tuple(row.tolist()) for row in among}) == 4
    later = getattr(Key(seed=5, draw=6, chains=(3,)), kind)(2, (1, 11))
    assert torch.equal(later[0], among[3])


def test_seeds_draws_and_streams_differ() -> None:
    keys = [Key(seed=0), Key(seed=1), Key(seed=2**32), Key(seed=0).at(1)]
    numbers = [k.uniform(s, (1, 8)) for k in keys for s in (0, 1, nth(1, 1), nth(1, 2))]
    assert len({tuple(n.flatten().tolist()) for n in numbers}) == len(numbers)


def test_laws() -> None:
    """Kolmogorov-Smirnov against the law itself, 100,000 numbers each."""
    key = Key(seed=11, chains=tuple(range(10)))
    shape = (10, 10_000)
    for numbers, law in [
        (key.uniform(0, shape), stats.uniform),
        (key.normal(1, shape), stats.norm),
        (key.gumbel(2, shape), stats.gumbel_r),
    ]:
        assert stats.kstest(numbers.flatten().numpy(), law.cdf).pvalue > 1e-3
    pairs = key.normal(1, shape).reshape(-1, 2)  # the two halves of Box-Muller are independent
    assert abs(float((pairs[:, 0] * pairs[:, 1]).mean())) < 4 / math.sqrt(len(pairs))


def test_gumbels_are_finite_at_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The uniform 0 and the largest below 1 give finite Gumbels: -log(53 log 2) and 53 log 2, near enough."""
    ends = torch.tensor([[0.0, 1 - 2.0**-53]], dtype=torch.float64)
    monkeypatch.setattr(Key, "uniform", lambda *_: ends)
    low, high = Key(seed=0).gumbel(0, (1, 2))[0].tolist()
    assert low == pytest.approx(-math.log(53 * math.log(2)), rel=1e-12)
    assert high == pytest.approx(53 * math.log(2), rel=1e-12)


def test_permutations_are_shared_by_chains_and_uniform() -> None:
    assert torch.equal(Key(seed=1, chains=(0, 1)).permutation(3, 20), Key(seed=1, chains=(4,)).permutation(3, 20))
    counts: dict[tuple[int, ...], int] = {}
    for draw in range(6000):
        order = tuple(Key(seed=2, draw=draw).permutation(0, 3).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_generators_are_seeded_from_the_key() -> None:
    def numbers(key: Key, stream: int) -> list[float]:
        return torch.rand(3, generator=key.generator(stream)).tolist()

    assert numbers(Key(seed=4, draw=2), 1) == numbers(Key(seed=4, draw=2), 1)
    different = [numbers(k, s) for k in (Key(seed=4), Key(seed=5), Key(seed=4, draw=1), Key(seed=4, chains=(1,))) for s in (0, 1)]
    assert len({tuple(n) for n in different}) == 8


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "0", True])
def test_refused_seeds(seed: object) -> None:
    with pytest.raises(EngineError, match="a seed is a whole number from 0"):
        Key(seed=seed)
