"""Summing out and drawing back, on random factor graphs with plates, against every assignment."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen.elimination import LARGEST, Elimination, Factor, align
from ppgen.errors import CostError, EliminationError
from ppgen.steps import log_sum_exp, scaled_of

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


class Every:
    """The joint table of a factor graph with one dimension for each entry of each site."""

    def __init__(self, factors: Sequence[Factor], tensors: Sequence[Tensor], inside: Mapping[str, frozenset[str]]):
        self.factors, self.inside = factors, inside
        self.places = [(s, i) for s, plates in inside.items() for i in indices(plates)]
        self.shape = [SIZES[s] for s, _ in self.places]
        self.joint = torch.zeros(self.shape, dtype=torch.float64)
        for factor, t in zip(factors, tensors, strict=True):
            for index in indices(factor.plates):
                entry, at = self._read(factor, index)
                self.joint = self.joint + self._spread(t[entry], at)

    def _read(self, factor: Factor, index: tuple[int, ...]) -> tuple[tuple[Any, ...], list[int]]:
        """How a factor is read at one index of its plates, and the dimensions of the joint table that it then has."""
        place = dict(zip(sorted(factor.plates), index, strict=True))
        entry = tuple(slice(None) if d in self.inside else place.get(d, 0) if d is not None else 0 for d in factor.dims)
        sites = [d for d in factor.dims if d in self.inside]
        return entry, [self.places.index((d, tuple(place[p] for p in sorted(self.inside[d])))) for d in sites]

    def _spread(self, t: Tensor, at: list[int]) -> Tensor:
        order = sorted(range(len(at)), key=lambda i: at[i])
        return t.permute(order).reshape([k if i in at else 1 for i, k in enumerate(self.shape)])

    @property
    def log_sum(self) -> Tensor:
        return self.joint.logsumexp(list(range(len(self.shape))))

    def weights(self) -> list[Tensor]:
        """Of each factor, the derivative of the log sum by each of its cells."""
        posterior = (self.joint - self.log_sum).exp()
        out = []
        for factor in self.factors:
            weight = torch.zeros([SIZES[d] if d is not None else 1 for d in factor.dims], dtype=torch.float64)
            for index in indices(factor.plates):
                entry, at = self._read(factor, index)
                gone = [i for i in range(len(self.shape)) if i not in at]
                marginal = posterior.sum(gone) if gone else posterior
                weight[entry] += marginal.permute([sorted(at).index(i) for i in at])
            out.append(weight)
        return out

    def marginal(self, site: str) -> Tensor:
        """(K, *plates by name)"""
        posterior = (self.joint - self.log_sum).exp()
        each = [posterior.sum([j for j in range(len(self.shape)) if j != i]) for i, (s, _) in enumerate(self.places) if s == site]
        return torch.stack(each, -1).reshape(SIZES[site], *[SIZES[p] for p in sorted(self.inside[site])])


def forbidden(seed: int, tensors: Sequence[Tensor], share: float = 0.2) -> list[Tensor]:
    """The same with some cells impossible, never those of the zeroth values."""
    generator = torch.Generator().manual_seed(1000 + seed)
    out = []
    for t in tensors:
        gone = torch.rand(t.shape, generator=generator) < share
        gone[(slice(0, 1),) * t.dim()] = False
        out.append(torch.where(gone, -torch.inf, t))
    return out


def possible(factors: Sequence[Factor], tensors: Sequence[Tensor], inside: Mapping[str, frozenset[str]]) -> list[Tensor]:
    """Cells at zeroth values of all sites are made possible, whatever the plates."""
    out = []
    for factor, t in zip(factors, tensors, strict=True):
        first = tuple(0 if d in inside else slice(None) for d in factor.dims)
        mended = t.clone()
        mended[first] = torch.where(mended[first].isinf(), -0.7, mended[first])
        out.append(mended)
    return out


def cases(seed: int) -> tuple[list[Factor], dict[str, frozenset[str]], list[Tensor]]:
    factors, inside, tensors = graph(seed)
    return factors, inside, possible(factors, forbidden(seed, tensors), inside) if seed % 2 else tensors


@pytest.mark.parametrize("seed", range(200))
def test_sums_derivatives_and_maxima_are_those_of_every_assignment(seed: int) -> None:
    """By logarithms, and by products of scaled probabilities; half of the graphs have impossible cells."""
    factors, inside, tensors = cases(seed)
    if not inside:
        return
    every = Every(factors, tensors, inside)
    plan = Elimination(factors, inside, SIZES)
    for run in (plan.run, plan.run_scaled):
        leaves = [t[None].clone().requires_grad_() for t in tensors]
        value = run(leaves)
        torch.testing.assert_close(value.detach(), every.log_sum[None], rtol=1e-12, atol=1e-12)
        slopes = torch.autograd.grad(value.sum(), leaves)
        for slope, weight in zip(slopes, every.weights(), strict=True):
            torch.testing.assert_close(slope[0], weight, rtol=1e-9, atol=1e-12)
    slots = plan.maxima([t[None] for t in tensors])
    torch.testing.assert_close(plan.total(slots), every.joint.max()[None], rtol=1e-12, atol=1e-12)
    found = plan.assign(slots, 1)
    at = tuple(int(entry(found, place, inside)[0]) for place in every.places)
    assert float(every.joint[at]) == pytest.approx(float(every.joint.max()), rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_probes_have_marginals_as_derivatives(seed: int) -> None:
    """Of rows of evidence that share most of their tables: those have a batch dimension of size 1."""
    factors, inside, tensors = cases(seed)
    if not inside:
        return
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(3, *tensors[-1].shape, generator=generator, dtype=torch.float64)
    probes = [Factor((s, *sorted(plates)), plates) for s, plates in inside.items()]
    plan = Elimination([*factors, *probes], inside, SIZES)
    zeros = [torch.zeros(3, *[SIZES[d] for d in f.dims if d], dtype=torch.float64, requires_grad=True) for f in probes]
    value = plan.run_scaled([*(t[None] for t in tensors[:-1]), rows, *zeros])
    slopes = torch.autograd.grad(value.sum(), zeros)
    value = value.detach()
    for i, row in enumerate(rows):
        every = Every(factors, [*tensors[:-1], row], inside)
        assert float(value[i]) == pytest.approx(float(every.log_sum), rel=1e-12)
        for s, slope in zip(inside, slopes, strict=True):
            torch.testing.assert_close(slope[i], every.marginal(s), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 6, 7])
def test_draws_back_have_the_exact_probabilities(seed: int) -> None:
    """Marginals of every entry, and the joint law of two, of 40,000 draws: chi-square against the sum over assignments."""
    count = 40_000
    factors, inside, tensors = cases(seed)
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


def two(size: int = 2) -> Elimination:
    """a - s - b, of which s is summed out first."""
    none = frozenset[str]()
    sizes = {"a": size, "s": size, "b": size}
    return Elimination(
        [Factor(("a", "s"), none), Factor(("s", "b"), none), Factor(("a",), none), Factor(("b",), none)], dict.fromkeys("asb", none), sizes
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_weights_that_products_would_lose_are_kept_by_logarithms(dtype: torch.dtype) -> None:
    """exp(-1000) is 0 in any dtype; here it is all there is."""
    far = torch.tensor([-1000.0, 0.0], dtype=dtype)
    tensors = [far.expand(2, 2), far.flip(0)[:, None].expand(2, 2), torch.zeros(2, dtype=dtype), torch.zeros(2, dtype=dtype)]
    leaves = [t[None].clone().requires_grad_() for t in tensors]
    value = two().run_scaled(leaves)
    assert float(value.detach()) == pytest.approx(-1000 + math.log(8), rel=1e-6)
    slopes = torch.autograd.grad(value.sum(), leaves)
    torch.testing.assert_close(slopes[0][0], torch.full((2, 2), 0.25, dtype=dtype))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_long_products_are_scaled_on_the_way(dtype: torch.dtype, error: float) -> None:
    """A chain of 2000 steps whose sum is exp(-6971): each step is one of products, and the largest is divided out before it is lost."""
    none = frozenset[str]()
    names = [f"z{i:04d}" for i in range(2000)]
    factors = [Factor((names[0],), none)] + [Factor(pair, none) for pair in itertools.pairwise(names)]
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(1, *[3] * len(f.dims), generator=generator, dtype=torch.float64) - 5 for f in factors]
    plan = Elimination(factors, dict.fromkeys(names, none), dict.fromkeys(names, 3))
    want = plan.run(tensors)
    assert float(want) < -6900
    slots = [scaled_of(t.to(dtype), range(-t.dim() + 1, 0)) for t in tensors]
    for step in plan.steps:
        slots.append(step.scaled(slots))  # would raise LostWeightError
    assert float(slots[-1].log()) == pytest.approx(float(want), rel=error)


def test_evidence_that_cannot_be() -> None:
    """-inf, and derivatives 0, never nan: of the row that it is, not of the others."""
    never = torch.tensor([[-math.inf, -math.inf], [0.0, -math.inf]], dtype=torch.float64)
    tensors = [
        torch.randn(1, 2, 2, dtype=torch.float64),
        torch.randn(1, 2, 2, dtype=torch.float64),
        torch.zeros(1, 2, dtype=torch.float64),
        never,
    ]
    for run in (two().run, two().run_scaled):
        leaves = [t.expand(2, *t.shape[1:]).clone().requires_grad_() for t in tensors]
        value = run(leaves)
        assert value[0] == -math.inf
        assert value[1].isfinite()
        for slope in torch.autograd.grad(value.sum(), leaves):
            assert not slope[0].any()
            assert float(slope[1].sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(60))
def test_sites_that_nothing_observed_depends_on_are_left_out(seed: int) -> None:
    """Random networks of tables with zeros: the same sum by fewer steps, and draws of what was left out from its law."""
    generator = torch.Generator().manual_seed(seed)
    names, none = [f"v{i}" for i in range(7)], frozenset[str]()
    sizes = {n: 2 + i % 2 for i, n in enumerate(names)}
    factors, tensors = [], []
    for i, name in enumerate(names):
        parents = [p for p in names[:i] if torch.rand((), generator=generator) < 0.4][-3:]
        table = torch.rand([sizes[p] for p in parents] + [sizes[name]], generator=generator, dtype=torch.float64)
        table[..., 0] += 0.1
        table = (
            torch.where(torch.rand(table.shape, generator=generator) < 0.2, 0.0, table)
            + torch.eye(1, sizes[name], dtype=torch.float64)[0] * 1e-3
        )
        factors.append(Factor((*parents, name), none))
        tensors.append((table / table.sum(-1, keepdim=True)).log())
    factors.append(Factor(("v3",), none))  # what was observed
    tensors.append(torch.randn(sizes["v3"], generator=generator, dtype=torch.float64))
    inside, laws = dict.fromkeys(names, none), {n: i for i, n in enumerate(names)}
    whole, pruned = Elimination(factors, inside, sizes), Elimination(factors, inside, sizes, laws=laws)
    assert float(pruned.run(tensors)) == pytest.approx(float(whole.run(tensors)), rel=1e-12)
    assert {"v4", "v5", "v6"} <= {step.site for step in pruned.alone}
    assert len(pruned.steps) + len(pruned.alone) == len(whole.steps)
    count = 4000
    numbers = lambda _, shape: -(-torch.rand(tuple(shape), generator=generator, dtype=torch.float64).log()).log()  # noqa: E731
    drawn = {n: index for n, (index, _) in pruned.assign(pruned.sums([t[None] for t in tensors]), count, numbers).items()}
    joint = torch.zeros([sizes[n] for n in names], dtype=torch.float64)
    for factor, t in zip(factors, tensors, strict=True):
        joint = joint + align(t, factor.dims, names)
    posterior = joint.flatten().softmax(0).reshape(joint.shape)
    for a, b in itertools.combinations(range(7), 2):
        pair = posterior.sum([i for i in range(7) if i not in (a, b)])
        seen = (
            torch.zeros_like(pair).index_put_((drawn[names[a]], drawn[names[b]]), torch.ones((), dtype=torch.float64), accumulate=True)
            / count
        )
        assert not seen[pair == 0].any()
        assert ((seen - pair).abs() < 5 * (pair * (1 - pair).clamp(min=0) / count).sqrt() + 1e-3).all()


def test_evidence_without_sites_that_matter_costs_nothing() -> None:
    none = frozenset[str]()
    table = torch.tensor([[0.2, 0.8], [0.5, 0.5]]).log()
    plan = Elimination([Factor(("a",), none), Factor(("a", "b"), none)], {"a": none, "b": none}, {"a": 2, "b": 2}, laws={"a": 0, "b": 1})
    assert not plan.steps
    assert plan.largest == 0
    assert plan.run([table[0], table]) == 0
    assert torch.equal(plan.run_scaled([table[:1], table.expand(3, 2, 2)]), torch.zeros(1))
