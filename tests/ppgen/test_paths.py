"""Sums over paths against every path written out, on 200 small chains; long ones against two recursions of another make."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor

from ppgen.lowering import differentiated, lower
from ppgen.path_tree import tree_log_sum, tree_walk
from ppgen.paths import _by_tree, best_path, best_path_value, draw_paths, path_log_sum, path_marginals, walk

DOUBLE = torch.float64


def chain(seed: int) -> tuple[Tensor, Tensor]:
    """pairs (S, K, K) and local (T, K): any scale, some pairs and states forbidden, the pairs the same at all times or not."""
    g = torch.Generator().manual_seed(seed)
    K, T = int(torch.randint(1, 5, (), generator=g)), int(torch.randint(1, 8 if seed % 4 else 5, (), generator=g))
    S = 1 if seed % 2 or T == 1 else T - 1
    pairs = torch.randn(S, K, K, generator=g, dtype=DOUBLE) * (300.0 if seed % 7 == 0 else 1.0)
    local = torch.randn(T, K, generator=g, dtype=DOUBLE) * (500.0 if seed % 5 == 0 else 2.0)
    if seed % 3 == 0:
        pairs[torch.rand(pairs.shape, generator=g) < 0.3] = -torch.inf
        local[torch.rand(local.shape, generator=g) < 0.1] = -torch.inf
    return pairs, local


def every_path(pairs: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
    """All paths (K^T, T) and their log weights (K^T,)."""
    T, K = local.shape
    paths = torch.tensor(list(itertools.product(range(K), repeat=T)))
    steps = pairs.expand(max(T - 1, 1), K, K)
    weights = local[torch.arange(T), paths].sum(1)
    for t in range(1, T):
        weights = weights + steps[t - 1, paths[:, t - 1], paths[:, t]]
    return paths, weights


def counted(paths: Tensor, weights: Tensor, pairs: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """Probabilities of states (T, K) and of pairs, by adding up paths."""
    p = (weights - weights.logsumexp(0)).exp()
    T = paths.shape[1]
    unary = torch.stack([torch.zeros(K, dtype=DOUBLE).index_add(0, paths[:, t], p) for t in range(T)])
    by_pairs = torch.zeros_like(pairs)
    for t in range(1, T):
        by_pairs[min(t - 1, len(pairs) - 1)].view(-1).index_add_(0, paths[:, t - 1] * K + paths[:, t], p)
    return unary, by_pairs


@pytest.mark.parametrize("block", range(4))
def test_200_chains_against_every_path(block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        pairs, local = chain(seed)
        paths, weights = every_path(pairs, local)
        want = weights.logsumexp(0)
        got = path_marginals(pairs, local)
        if want == -torch.inf:
            assert got.log_sum == -torch.inf
            assert not got.unary.any()
            assert not got.pairs.any()
            continue
        unary, by_pairs = counted(paths, weights, pairs, local.shape[1])
        torch.testing.assert_close(got.log_sum, want, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(got.unary, unary, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(got.pairs, by_pairs, rtol=1e-9, atol=1e-11)
        path, value = best_path(pairs, local)
        torch.testing.assert_close(value, weights.max(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(weights[(paths == path).all(1)][0], weights.max(), rtol=1e-12, atol=1e-12)
        assert best_path_value(pairs, local) == value


@pytest.mark.parametrize("seed", range(0, 200, 9))
def test_gradients_are_the_marginals_and_differentiate_again(seed: int) -> None:
    pairs, local = (t.requires_grad_() for t in chain(seed))
    value = path_log_sum(pairs, local)
    by_pairs, by_local = torch.autograd.grad(value, (pairs, local), allow_unused=True)
    want = path_marginals(pairs, local)
    torch.testing.assert_close(by_local, want.unary)
    if local.shape[0] > 1:
        torch.testing.assert_close(by_pairs, want.pairs)
    if value.isfinite() and local.shape[0] > 1 and seed % 5 and seed % 7:
        finite = torch.isfinite(pairs.detach())

        def f(x: Tensor, y: Tensor) -> Tensor:
            return path_log_sum(torch.where(finite, x, -torch.inf), y)

        assert torch.autograd.gradgradcheck(
            f, (pairs.detach().nan_to_num(neginf=0.0).requires_grad_(), local.detach().clamp(min=-5.0).requires_grad_())
        )


def test_a_batch_is_its_chains_one_by_one() -> None:
    local = torch.randn(3, 2, 6, 4, dtype=DOUBLE)
    for shape in ((1, 4, 4), (2, 1, 4, 4), (3, 1, 5, 4, 4), (3, 2, 5, 4, 4)):
        pairs = torch.randn(shape, dtype=DOUBLE).requires_grad_()
        wide = pairs.expand(3, 2, *shape[-3:])
        got = path_marginals(pairs, local)
        one = [[path_marginals(wide[i, j].detach(), local[i, j]) for j in range(2)] for i in range(3)]
        torch.testing.assert_close(got.log_sum, torch.stack([torch.stack([x.log_sum for x in row]) for row in one]))
        torch.testing.assert_close(got.unary, torch.stack([torch.stack([x.unary for x in row]) for row in one]))
        weights = torch.rand(3, 2, dtype=DOUBLE)  # each chain counts another amount
        (gradient,) = torch.autograd.grad((path_log_sum(pairs, local) * weights).sum(), pairs)
        each = torch.stack([torch.stack([x.pairs for x in row]) for row in one]) * weights[..., None, None, None]
        while each.dim() > len(shape):
            each = each.sum(0)
        over = [i for i, (a, b) in enumerate(zip(each.shape, shape, strict=True)) if a != b]
        torch.testing.assert_close(gradient, each.sum(over, keepdim=True) if over else each)


@pytest.mark.parametrize("which", ["both", "local", "pairs"])
def test_vmap(which: str) -> None:
    pairs, local = torch.randn(5, 1, 3, 3, dtype=DOUBLE), torch.randn(5, 2, 4, 3, dtype=DOUBLE)
    dims = {"both": (0, 0), "local": (None, 0), "pairs": (0, None)}[which]
    given = [t if d == 0 else t[0] for t, d in zip((pairs, local), dims, strict=True)]
    one = [[t[i] if d == 0 else t for t, d in zip(given, dims, strict=True)] for i in range(5)]
    for f in (path_log_sum, best_path_value):
        torch.testing.assert_close(torch.vmap(f, in_dims=dims)(*given), torch.stack([f(*x) for x in one]))
    given = [t.requires_grad_() for t in given]
    gradients = torch.autograd.grad(torch.vmap(path_log_sum, in_dims=dims)(*given).sum(), given)
    for d, g, i in zip(dims, gradients, (2, 1), strict=True):
        each = [path_marginals(*(t.detach() for t in x)) for x in one]
        each = torch.stack([m.pairs if i == 2 else m.unary for m in each])
        torch.testing.assert_close(g, each if d == 0 else each.sum(0))


@pytest.mark.parametrize("seed", range(1, 60, 7))
@pytest.mark.parametrize("scaled", [True, False])
def test_products_of_matrices_give_the_same(seed: int, scaled: bool) -> None:
    """What runs on other devices."""
    pairs, local = chain(seed)
    if local.shape[0] == 1 or (scaled and (seed % 3 == 0 or seed % 7 == 0)):
        pairs, local = torch.randn(1, 3, 3, dtype=DOUBLE), torch.randn(9, 3, dtype=DOUBLE)
    want = path_marginals(pairs, local)
    value, by_pairs, by_local = _by_tree(pairs[None], local[None], scaled)
    torch.testing.assert_close(value[0], want.log_sum, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_local[0], want.unary, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(by_pairs[0], want.pairs, rtol=1e-9, atol=1e-11)


def recursion_in_logs(pairs: Tensor, local: Tensor) -> float:
    """The textbook's, by NumPy."""
    logs, steps = local[0].numpy(), pairs[0].numpy()
    for x in local[1:].numpy():
        terms = logs[:, None] + steps
        top = terms.max(0)
        logs = top + np.log(np.exp(terms - top).sum(0)) + x
    return float(logsumexp(logs))


@pytest.mark.parametrize("forbidden", [False, True])
def test_long_chains(forbidden: bool) -> None:
    K, T = 4, 100_000
    pairs = (torch.randn(1, K, K, dtype=DOUBLE) * 2).log_softmax(-1)
    if forbidden:
        pairs[0, 0, 2] = pairs[0, 3, 1] = -torch.inf
    local = torch.randn(T, K, dtype=DOUBLE) * 4 - 3
    want = recursion_in_logs(pairs, local)
    got = path_marginals(pairs, local)
    assert float(got.log_sum) == pytest.approx(want, rel=1e-11)
    assert float(tree_log_sum(pairs[None], local[None], scaled=not forbidden)) == pytest.approx(want, rel=1e-11)
    torch.testing.assert_close(got.unary.sum(-1), torch.ones(T, dtype=DOUBLE))
    assert float(got.pairs.sum()) == pytest.approx(T - 1, rel=1e-9)
    assert torch.isfinite(path_log_sum(pairs.float(), local.float()))


def test_weights_that_scaling_would_lose() -> None:
    """Two paths that never meet: one is e^1000 times as good for 500 steps, then e^2000 times as bad."""
    pairs = torch.tensor([[[0.0, -torch.inf], [-torch.inf, 0.0]]], dtype=DOUBLE)
    local = torch.zeros(1000, 2, dtype=DOUBLE)
    local[:500, 0], local[500:, 0] = 2.0, -3.0
    assert float(path_log_sum(pairs, local)) == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(path_marginals(pairs, local).unary[0], torch.tensor([0.0, 1.0], dtype=DOUBLE))
    path = draw_paths(pairs, local, torch.rand(50, 1000, dtype=DOUBLE))
    assert bool((path == 1).all())


def test_nan_and_infinities_pass_through() -> None:
    local = torch.zeros(5, 2, dtype=DOUBLE)
    local[2, 1] = torch.nan
    assert path_log_sum(torch.zeros(1, 2, 2, dtype=DOUBLE), local).isnan()
    local[2] = -torch.inf
    pairs = torch.zeros(1, 2, 2, dtype=DOUBLE, requires_grad=True)
    value = path_log_sum(pairs, local)
    assert value == -torch.inf
    (gradient,) = torch.autograd.grad(value, pairs)
    assert not gradient.any()


def native_cases() -> Iterator[tuple[Tensor, Tensor]]:
    for seed in range(0, 60, 5):
        pairs, local = chain(seed)
        yield pairs[None], torch.stack([local, local.flip(0), local * 0.5])[: 1 + 2 * (seed % 2)]


def test_machine_code_inside_a_graph() -> None:
    for pairs, local in native_cases():
        size = pairs.numel()

        def f(q: Tensor, pairs: Tensor = pairs, local: Tensor = local, size: int = size) -> Tensor:
            value = path_log_sum(pairs + q[:size].reshape(pairs.shape), local + q[size:].reshape(local.shape))
            return torch.where(value == -torch.inf, 0.0, value).sum()

        position = torch.zeros(1, size + local.numel(), dtype=DOUBLE)
        graph = differentiated(f, position[0], {}, {})
        value, gradient = lower("native", graph, DOUBLE, "native").prepare([]).over(position)  # type: ignore[union-attr]
        want = path_marginals(pairs, local)
        torch.testing.assert_close(value[0], torch.where(want.log_sum == -torch.inf, 0.0, want.log_sum).sum(), rtol=1e-12, atol=1e-12)
        if local.shape[1] > 1:
            torch.testing.assert_close(gradient[0, :size].reshape(pairs.shape), want.pairs, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(gradient[0, size:].reshape(local.shape), want.unary, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("seed", [1, 3, 10])
def test_draws_have_the_joint_law(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    pairs, local = (
        torch.randn(1, 3, 3, generator=g, dtype=DOUBLE) * (400 if seed == 10 else 1),
        torch.randn(4, 3, generator=g, dtype=DOUBLE),
    )
    _, weights = every_path(pairs, local)
    drawn = draw_paths(pairs, local, torch.rand(20_000, 4, generator=g, dtype=DOUBLE))
    counts = np.bincount((drawn * 3 ** torch.arange(3, -1, -1)).sum(1).numpy(), minlength=81)
    expected = 20_000 * (weights - weights.logsumexp(0)).exp().numpy()
    likely = expected > 5
    pooled = [*counts[likely], counts[~likely].sum()], [*expected[likely], expected[~likely].sum()]
    keep = np.array(pooled[1]) > 1e-6
    assert counts[expected < 1e-9].sum() == 0
    if keep.sum() > 1:
        assert (
            stats.chisquare(np.array(pooled[0])[keep], np.array(pooled[1])[keep] * counts.sum() / np.array(pooled[1])[keep].sum()).pvalue
            > 1e-3
        )


def test_walks_by_steps_and_by_composed_maps_are_the_same() -> None:
    g = torch.Generator().manual_seed(5)
    u = torch.rand(40, 33, generator=g, dtype=DOUBLE)
    first = torch.tensor([0.0, 0.5, 0.5], dtype=DOUBLE)
    for steps in (torch.rand(1, 3, 3, generator=g, dtype=DOUBLE), torch.rand(33, 3, 3, generator=g, dtype=DOUBLE)):
        steps[..., 1, 2] = 0.0
        probs = steps / steps.sum(-1, keepdim=True)
        path = walk(first, probs, u)
        assert torch.equal(path, tree_walk(first[None], probs[None], u))
        assert bool((path[:, 0] > 0).all())
        assert not bool(((path[:, :-1] == 1) & (path[:, 1:] == 2)).any())
