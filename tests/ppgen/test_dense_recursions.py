"""The recursions of small numbers of states against logarithms, where weights leave the range of a double and where they do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ppgen import recursions

Floats = NDArray[np.float64]


def chain(states: int, length: int, spread: float, same: bool) -> tuple[Floats, Floats]:
    """Log weights of pairs (1, S, K, K) and of states (1, T, K): none is below FLOOR, or above 0, relative to the largest."""
    draw = np.random.default_rng(states + length)
    pairs = draw.uniform(-spread, 0.0, (1, 1 if same else length - 1, states, states))
    local = 3.0 * draw.normal(size=(1, length, states)) * spread
    return pairs - pairs.max((2, 3), keepdims=True), local - local.max(2, keepdims=True)


def marginals(pairs: Floats, local: Floats, how: int) -> tuple[Floats, Floats, Floats]:
    results = np.empty(1), np.empty(local.shape), np.empty(pairs.shape)
    recursions.marginals(np.exp(local), local, np.exp(pairs), pairs, np.array([how]), np.zeros(1), *results)
    return results


@pytest.mark.parametrize("states", [1, 2, 3, 4, 5, 6, 21])
@pytest.mark.parametrize(("spread", "same"), [(2.0, True), (2.0, False), (220.0, True), (220.0, False)])
def test_as_in_logarithms(states: int, spread: float, same: bool) -> None:
    pairs, local = chain(states, 60, spread, same)
    assert pairs.min() > np.log(recursions.FLOOR)
    log_sum, unary, of_pairs = marginals(pairs, local, recursions.DENSE)
    want = marginals(pairs, local, recursions.LOGS)
    np.testing.assert_allclose(log_sum, want[0], rtol=1e-12)
    np.testing.assert_allclose(unary, want[1], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(of_pairs, want[2], rtol=1e-8, atol=1e-12)
    out = np.empty(1)
    recursions.sums(np.exp(local), local, np.exp(pairs), pairs, np.array([recursions.DENSE]), np.zeros(1), out)
    np.testing.assert_allclose(out, log_sum, rtol=1e-14)


@pytest.mark.parametrize("states", [2, 7])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_a_step_without_a_weight_leaves_no_path(states: int, at: int) -> None:
    pairs, local = chain(states, 10, 2.0, True)
    local[0, at] = -np.inf
    log_sum, unary, of_pairs = marginals(pairs, local, recursions.DENSE)
    assert log_sum[0] == -np.inf
    assert not unary.any()
    assert not of_pairs.any()
