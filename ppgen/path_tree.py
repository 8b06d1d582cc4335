"""Sums over all paths of a chain by products of matrices, two neighbours at a time: log2(T) steps for T times.

What runs where there are more threads than chains, what the second derivative is made of, and what the recursions are tested
against. Shapes as in recursions.py. It keeps T K^2 numbers.

Source: Särkkä & García-Fernández, Temporal parallelization of Bayesian smoothers, IEEE Trans. Automatic Control 66(1), 2021.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["tree_log_sum", "tree_walk"]


def tree_log_sum(pairs: Tensor, local: Tensor, scaled: bool) -> Tensor:
    """(P, S, K, K), (B, T, K) -> (B,), differentiable any number of times.

    scaled   products of weights, scaled by each matrix's largest; else in logarithms, K^3 exponentials for each pair of neighbours.
             Scaled ones are exact where every pair has a weight (recursions.py)
    """
    steps = pairs + local[:, 1:, None, :]  # (B, T - 1, K, K)
    join = _scaled if scaled else _in_logs
    while steps.shape[1] > 1:
        even = steps.shape[1] // 2 * 2
        steps = torch.cat([join(steps[:, 0:even:2], steps[:, 1:even:2]), steps[:, even:]], 1)
    paths = local[:, 0, :, None] + steps[:, 0] if steps.shape[1] else local[:, 0]
    return _summed(paths.flatten(1), lambda x: x.exp().sum(1), 1)


def tree_walk(first: Tensor, steps: Tensor, uniforms: Tensor) -> Tensor:
    """first (P, K), steps (Q, S, K, K) of probabilities, uniforms (B, T) -> states (B, T): the next state for every state that may
    come before, then maps composed with those that are 1, 2, 4, ... times earlier."""
    length = uniforms.shape[1]
    to = torch.stack([_next(steps[..., k, :], uniforms) for k in range(first.shape[-1])], -1)  # (B, T, K)
    to[:, 0] = _next(first[:, None], uniforms[:, :1])
    lag = 1
    while lag < length:
        to = torch.cat([to[:, :lag], to[:, lag:].gather(-1, to[:, :-lag])], 1)
        lag *= 2
    return to[..., 0]


def _next(probs: Tensor, uniforms: Tensor) -> Tensor:
    """(B or 1, T or 1, K), (B, T) -> the state at which the running sum of the probabilities passes the uniform."""
    running = probs.cumsum(-1)
    passed = (uniforms[..., None] * running[..., -1:] >= running).sum(-1)
    last = probs.shape[-1] - 1 - (probs.flip(-1) > 0).to(torch.int8).argmax(-1)  # rounding must not reach a state without probability
    return torch.minimum(passed, last)


def _scaled(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) @ exp(b))"""
    top_a, top_b = _top(a.detach().amax((-2, -1), keepdim=True)), _top(b.detach().amax((-2, -1), keepdim=True))
    return _log((a - top_a).exp() @ (b - top_b).exp()) + top_a + top_b


def _in_logs(a: Tensor, b: Tensor) -> Tensor:
    states = a.shape[-1]
    terms = [(a[..., k, None], b[..., k, None, :]) for k in range(states)]  # one after the other: all K would take K times the memory
    with torch.no_grad():
        top = a.new_full(a.shape, -torch.inf)
        for x, y in terms:
            top = torch.maximum(top, x + y)
        top = _top(top)
    total = torch.zeros_like(top)
    for x, y in terms:
        total = total + (x + y - top).exp()
    return _log(total) + top


def _summed(x: Tensor, total: Callable[[Tensor], Tensor], dim: int) -> Tensor:
    top = _top(x.detach().amax(dim, keepdim=True))
    return _log(total(x - top)) + top.squeeze(dim)


def _top(x: Tensor) -> Tensor:
    return torch.where(x == -torch.inf, torch.zeros_like(x), x)


def _log(x: Tensor) -> Tensor:
    """log whose gradient at 0 is 0 and not nan."""
    nothing = x == 0
    return torch.where(nothing, x.new_full((), -torch.inf), torch.where(nothing, torch.ones_like(x), x).log())
