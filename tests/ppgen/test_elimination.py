"""Summing out and drawing back, on random factor graphs with plates, against every assignment."""

import itertools
import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen.elimination import LARGEST, Elimination, Factor
from ppgen.errors import CostError, EliminationError
from ppgen.steps import log_sum_exp

SIZES = {"p": 2, "q": 2, "a": 2, "b": 3, "c": 2, "d": 2, "e": 2}
LEVELS = {"": frozenset(), "p": frozenset("p"), "pq": frozenset("pq")}
INSIDE = {"a": LEVELS[""], "b": LEVELS[""], "c": LEVELS["p"], "d": LEVELS["p"], "e": LEVELS["pq"]}
Assignment = Mapping[str, Mapping[tuple[int, ...], int]]  # site -> index of its plates (by name) -> value


def graph(seed: int) -> tuple[list[Factor], dict[str, frozenset[str]], list[Tensor]]:
    """Random factors over nested plates p and q: each holds some of the sites that live in its plates, and its plates as
    dimensions or not (then it counts once for each index)."""
    generator = torch.Generator().manual_seed(seed)
    chance = lambda p: bool(torch.rand((), generator=generator) < p)  # noqa: E731
    factors, tensors = [], []
    used: set[str] = set()
    for plates in [LEVELS[k] for k in ("", "", "p", "p", "pq", "pq")]:
        names: list[str | None] = [s for s, own in INSIDE.items() if own <= plates and chance(0.5)]
        needed = frozenset().union(*[INSIDE[s] for s in names if s])
        names += [p for p in sorted(plates) if p in needed or chance(0.7)] + [None] * chance(0.3)
        order = torch.randperm(len(names), generator=generator).tolist()
        dims = tuple(names[i] for i in order)
        used |= {d for d in dims if d in INSIDE}
        factors.append(Factor(dims, plates))
        shape = [SIZES[d] if d is not None else 1 for d in dims]
        tensors.append(torch.randn(shape, generator=generator, dtype=torch.float64))
    return factors, {s: INSIDE[s] for s in sorted(used)}, tensors


def indices(plates: frozenset[str]) -> list[tuple[int, ...]]:
    return list(itertools.product(*[range(SIZES[p]) for p in sorted(plates)]))


def assignments(inside: Mapping[str, frozenset[str]]) -> list[Assignment]:
    places = [(s, i) for s, plates in inside.items() for i in indices(plates)]
    out = []
    for values in itertools.product(*[range(SIZES[s]) for s, _ in places]):
        chosen: dict[str, dict[tuple[int, ...], int]] = {s: {} for s in inside}
        for (s, i), v in zip(places, values, strict=True):
            chosen[s][i] = v
        out.append(chosen)
    return out


def log_weight(factors: Sequence[Factor], tensors: Sequence[Tensor], inside: Mapping[str, frozenset[str]], at: Assignment) -> float:
    """Of one assignment: every factor, read at every index of its plates."""
    total = 0.0
    for factor, t in zip(factors, tensors, strict=True):
        for index in indices(factor.plates):
            place = dict(zip(sorted(factor.plates), index, strict=True))
            entry = []
            for d in factor.dims:
                if d in inside:
                    entry.append(at[d][tuple(place[p] for p in sorted(inside[d]))])
                else:
                    entry.append(place[d] if d is not None else 0)
            total += float(t[tuple(entry)])
    return total


@pytest.mark.parametrize("seed", range(24))
def test_log_sums_are_those_of_every_assignment(seed: int) -> None:
    factors, inside, tensors = graph(seed)
    plan = Elimination(factors, inside, SIZES)
    value = plan.run(tensors)
    weights = [log_weight(factors, tensors, inside, at) for at in assignments(inside)]
    want = float(torch.tensor(weights, dtype=torch.float64).logsumexp(0))
    assert float(value) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 6, 7])
def test_draws_back_have_the_exact_probabilities(seed: int) -> None:
    """Marginals of every entry, and the joint law of two, of 40,000 draws: chi-square against the sum over assignments."""
    count = 40_000
    factors, inside, tensors = graph(seed)
    plan = Elimination(factors, inside, SIZES)
    generator = torch.Generator().manual_seed(100 + seed)

    def gumbel(site: str, shape: Sequence[int]) -> Tensor:
        return -(-torch.rand(tuple(shape), generator=generator, dtype=torch.float64).log()).log()

    drawn = plan.assign(plan.sums([t[None] for t in tensors]), count, gumbel)
    every = assignments(inside)
    logits = torch.tensor([log_weight(factors, tensors, inside, at) for at in every], dtype=torch.float64)
    probability = logits.softmax(0)
    entries = [(s, i) for s, plates in inside.items() for i in indices(plates)]
    pvalues = []
    for one, two in itertools.pairwise([*entries, entries[0]]):
        width = SIZES[two[0]]
        cell = torch.tensor([at[one[0]][one[1]] * width + at[two[0]][two[1]] for at in every])
        exact = torch.zeros(SIZES[one[0]] * width, dtype=torch.float64).index_add_(0, cell, probability)
        got = entry(drawn, one, inside) * width + entry(drawn, two, inside)
        observed = torch.bincount(got, minlength=len(exact))
        expected = exact * count
        keep = expected > 5
        assert not observed[exact == 0].any()
        folded = [*observed[keep].tolist(), int(observed[~keep].sum())], [*expected[keep].tolist(), float(expected[~keep].sum())]
        cells = [(o, e) for o, e in zip(*folded, strict=True) if e > 0]
        if len(cells) > 1:
            pvalues.append(stats.chisquare(*map(list, zip(*cells, strict=True))).pvalue)
    assert min(pvalues) > 1e-3 / len(pvalues)


def entry(drawn: Mapping[str, tuple[Tensor, list[str]]], at: tuple[str, tuple[int, ...]], inside: Mapping[str, frozenset[str]]) -> Tensor:
    """Draws (count,) of one entry of a site."""
    index, plates = drawn[at[0]]
    assert plates == sorted(inside[at[0]])
    return index[(slice(None), *at[1])]


@pytest.mark.parametrize("seed", range(6))
def test_kept_plates_give_a_value_for_each_index(seed: int) -> None:
    """With p kept, entry i is the log sum over what hangs on index i alone."""
    generator = torch.Generator().manual_seed(seed)
    inside = {s: INSIDE[s] for s in ("c", "d", "e")}
    factors = [Factor(("c", "p"), LEVELS["p"]), Factor(("p", "c", "d"), LEVELS["p"]), Factor(("e", "d", "p", "q"), LEVELS["pq"])]
    tensors = [torch.randn([SIZES[d] for d in f.dims], generator=generator, dtype=torch.float64) for f in factors]
    value = Elimination(factors, inside, SIZES, keep=["p"]).run(tensors)
    first, pair, local = tensors
    want = (first.T[:, :, None] + pair + local.logsumexp(0).sum(-1).T[:, None, :]).logsumexp((1, 2))
    torch.testing.assert_close(value, want, rtol=1e-12, atol=0)


def test_a_long_chain_costs_what_one_step_costs() -> None:
    """Fifty states in a row, as the forward algorithm of a hidden Markov model has it."""
    names = [f"z{i:02d}" for i in range(50)]
    factors = [Factor((names[0],), frozenset())] + [Factor(pair, frozenset()) for pair in itertools.pairwise(names)]
    generator = torch.Generator().manual_seed(0)
    start, steps = torch.randn(10, generator=generator), torch.randn(49, 10, 10, generator=generator)
    plan = Elimination(factors, dict.fromkeys(names, frozenset()), dict.fromkeys(names, 10))
    value = plan.run([start, *steps])
    forward = start
    for step in steps:
        forward = (forward[:, None] + step).logsumexp(0)
    assert plan.largest == 100
    assert float(value) == pytest.approx(float(forward.logsumexp(0)), rel=1e-5)


def test_cost_is_refused_with_its_figure_before_any_work() -> None:
    """Eight sites of 100 values in one factor: 100^8 numbers of 8 bytes are 74.5 million GiB."""
    names = [f"z{i}" for i in range(8)]
    with pytest.raises(CostError, match=rf"z0, z1.*{100**8 * 8 / 2**30:.1f} GiB, more than {LARGEST / 2**30:.0f} GiB"):
        Elimination([Factor(tuple(names), frozenset())], dict.fromkeys(names, frozenset()), dict.fromkeys(names, 100))
    fits = Elimination([Factor(("z0", "z1"), frozenset())], dict.fromkeys(["z0", "z1"], frozenset()), {"z0": 100, "z1": 100})
    assert fits.bytes == 100 * 100 * 8
    with pytest.raises(CostError, match="GiB"):  # the same for a million chains at once
        Elimination(fits.factors, fits.inside, fits.sizes, copies=10**6)


def test_sibling_plates_and_outside_factors_are_refused_by_name() -> None:
    rows, columns = frozenset(["rows"]), frozenset(["columns"])
    sizes = {"rows": 2, "columns": 2, "h": 2, "v": 2}
    inside = {"h": rows, "v": columns}
    both = Factor(("h", "v", "rows", "columns"), rows | columns)
    with pytest.raises(EliminationError, match="h, v of different plates meet inside columns, rows"):
        Elimination([both, Factor(("h", "rows"), rows), Factor(("v", "columns"), columns)], inside, sizes)
    with pytest.raises(EliminationError, match="outside plate rows uses the enumerated site 'h'"):
        Elimination([Factor(("h",), frozenset())], {"h": rows}, sizes)


def test_impossible_assignments_have_a_gradient() -> None:
    """All -inf: the value is -inf and its gradient 0, not nan; some -inf: as softmax has it."""
    t = torch.tensor([[-math.inf, -math.inf], [1.0, -math.inf], [2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    value = log_sum_exp(t, 1)
    torch.testing.assert_close(value, t.detach().logsumexp(1))
    (gradient,) = torch.autograd.grad(value[1:].sum() + torch.where(value[0] > 0, value[0], 0.0), t)
    torch.testing.assert_close(gradient, torch.stack([torch.zeros(2), *t.detach()[1:].softmax(1)]).double())
