"""Sums over all paths of a chain, one step after the other, in machine code on the CPU.

    local   (B, T, K)       log weights of each state at each time, of B chains
    pairs   (P, S, K, K)    log weights of a state (row) and the next (column); P is B, or 1 for pairs that all chains share,
                            and S is T - 1, or 1 for pairs that are the same at all times

The recursions work on weights that are scaled at every step, K^2 multiplications and no exponential of a pair. A scaled weight can
be lost, below the smallest number that there is. Where every pair has a weight, what was lost could not have counted: some other
state reaches the same next one with more than FLOOR times the weight. Where pairs are forbidden, a step that would lose a weight
(TINY) sends the whole chain to logarithms, K^2 exponentials a step. Both agree to rounding.

Source: Rabiner, A tutorial on hidden Markov models, Proc. IEEE 77(2), 1989, section V.A (scaling).
"""

import math

import numpy as np
from numba import njit

from .native.calling import HOW

__all__ = ["DENSE", "FLOOR", "LOGS", "SPARSE", "best", "drawn", "filtered", "marginals", "sums", "walked"]

FLOOR = 1e-100  # pairs above it, relative to the largest of their step, count as having a weight
TINY = 1e-150  # a state's share of a step, or a step's weight, from which what follows is not trusted
DENSE, SPARSE, LOGS = 0, 1, 2  # every pair has a weight; some are forbidden; some have less weight than FLOOR


@njit(cache=True, **HOW)
def _step(before, pairs, weights, after):  # type: ignore[no-untyped-def]
    """after = (before @ pairs) * weights; returns its sum."""
    K = before.shape[0]
    after[:] = 0.0
    for i in range(K):
        x = before[i]
        for j in range(K):
            after[j] += x * pairs[i, j]
    total = 0.0
    for j in range(K):
        after[j] *= weights[j]
        total += after[j]
    return total


@njit(cache=True, **HOW)
def _loses(before, pairs, local, after, total):  # type: ignore[no-untyped-def]
    """Whether a weight that is there has become too small to be trusted."""
    K = before.shape[0]
    for j in range(K):
        if after[j] < TINY * total or total < TINY:
            if local[j] > -math.inf:
                for i in range(K):
                    if before[i] * pairs[i, j] > 0.0:
                        return True
    return False


@njit(cache=True, **HOW)
def _forward(weights, local, pairs, how, alpha):  # type: ignore[no-untyped-def]
    """Shares of the states given all up to each time, alpha (T or 2, K): of two rows only, when nobody will read the others.
    Returns the log of what they were scaled by, and whether a weight was lost."""
    T, K = weights.shape
    rows, last = alpha.shape[0], pairs.shape[0] - 1
    total, logs = 0.0, 0.0
    for j in range(K):
        alpha[0, j] = weights[0, j]
        total += weights[0, j]
    if how == SPARSE:
        for j in range(K):
            if local[0, j] > -math.inf and alpha[0, j] < TINY * total:
                return 0.0, True
    for j in range(K):
        alpha[0, j] = alpha[0, j] / total if total != 0.0 else 0.0
    logs = math.log(total)
    for t in range(1, T):
        before, after, pair = alpha[(t - 1) % rows], alpha[t % rows], pairs[min(t - 1, last)]
        total = _step(before, pair, weights[t], after)
        if how == SPARSE and _loses(before, pair, local[t], after, total):
            return 0.0, True
        scale = 1.0 / total if total != 0.0 else 0.0
        for j in range(K):
            after[j] *= scale
        logs += math.log(total)
    return logs, False


@njit(cache=True, **HOW)
def _log_sum(x):  # type: ignore[no-untyped-def]
    top = x.max()
    if math.isinf(top):
        return top
    total = 0.0
    for i in range(x.shape[0]):
        total += math.exp(x[i] - top)
    return top + math.log(total)


@njit(cache=True, **HOW)
def _forward_in_logs(local, pairs, alpha):  # type: ignore[no-untyped-def]
    """As `_forward`, in logarithms. Returns the log of the sum over all paths."""
    T, K = local.shape
    rows, last = alpha.shape[0], pairs.shape[0] - 1
    terms = np.empty(K)
    logs = 0.0
    for t in range(T):
        after = alpha[t % rows]
        for j in range(K):
            after[j] = local[t, j]
            if t > 0:
                for i in range(K):
                    terms[i] = alpha[(t - 1) % rows, i] + pairs[min(t - 1, last), i, j]
                after[j] += _log_sum(terms)
        total = _log_sum(after)
        logs += total
        for j in range(K):
            after[j] -= total if total != -math.inf else 0.0
    return logs


@njit(cache=True, **HOW)
def _backward(weights, pairs, alpha, unary, of_pairs):  # type: ignore[no-untyped-def]
    """Posterior shares of states, unary (T, K), and of pairs, added to of_pairs (S, K, K), from the shares going forward."""
    T, K = weights.shape
    last = pairs.shape[0] - 1
    beta, ahead, back = np.ones(K), np.empty(K), np.empty(K)
    unary[T - 1] = alpha[T - 1]
    turned = pairs[0].T.copy()
    counts = np.zeros((K, K))
    for t in range(T - 2, -1, -1):
        if last > 0:
            counts[:] = 0.0
            turned[:] = pairs[t].T
        for j in range(K):
            ahead[j] = weights[t + 1, j] * beta[j]
        back[:] = 0.0
        for j in range(K):
            x = ahead[j]
            for i in range(K):
                back[i] += x * turned[j, i]
        total = 0.0
        for i in range(K):
            total += alpha[t, i] * back[i]
        scale = 1.0 / total if total != 0.0 else 0.0
        for i in range(K):
            beta[i] = back[i] * scale if alpha[t, i] != 0.0 else 0.0
            unary[t, i] = alpha[t, i] * beta[i]
            x = alpha[t, i] * scale
            for j in range(K):
                counts[i, j] += x * ahead[j]
        if last > 0:
            for i in range(K):
                for j in range(K):
                    of_pairs[t, i, j] += counts[i, j] * pairs[t, i, j]
    if last == 0:
        for i in range(K):
            for j in range(K):
                of_pairs[0, i, j] += counts[i, j] * pairs[0, i, j]


@njit(cache=True, **HOW)
def _backward_in_logs(local, pairs, alpha, unary, of_pairs):  # type: ignore[no-untyped-def]
    T, K = local.shape
    last = pairs.shape[0] - 1
    beta, ahead, back, terms = np.zeros(K), np.empty(K), np.empty(K), np.empty(K)
    for j in range(K):
        unary[T - 1, j] = math.exp(alpha[T - 1, j])
    for t in range(T - 2, -1, -1):
        at = min(t, last)
        for j in range(K):
            ahead[j] = local[t + 1, j] + beta[j]
        for i in range(K):
            for j in range(K):
                terms[j] = pairs[at, i, j] + ahead[j]
            back[i] = _log_sum(terms)
        for i in range(K):
            terms[i] = alpha[t, i] + back[i]
        total = _log_sum(terms)
        if total == -math.inf:
            unary[: t + 1] = 0.0
            return
        for i in range(K):
            unary[t, i] = math.exp(terms[i] - total)
            beta[i] = back[i] - total if alpha[t, i] > -math.inf else -math.inf
            if alpha[t, i] > -math.inf:
                for j in range(K):
                    of_pairs[at, i, j] += math.exp(alpha[t, i] + pairs[at, i, j] + ahead[j] - total)


@njit(cache=True, **HOW)
def sums(weights, local, pairs, log_pairs, how, shift, out):  # type: ignore[no-untyped-def]
    """out (B,): the log sum over all paths.

    weights, pairs   exponentials of local and log_pairs, each step's largest taken out; shift (B,): the log of what was taken out
    how              (P,): DENSE, SPARSE or LOGS
    """
    B, _, K = local.shape
    alpha = np.empty((2, K))
    for b in range(B):
        p = min(b, pairs.shape[0] - 1)
        lost, logs = how[p] == LOGS, 0.0
        if not lost:
            logs, lost = _forward(weights[b], local[b], pairs[p], how[p], alpha)
        out[b] = _forward_in_logs(local[b], log_pairs[p], alpha) if lost else logs + shift[b]


@njit(cache=True, **HOW)
def marginals(weights, local, pairs, log_pairs, how, shift, out, unary, of_pairs):  # type: ignore[no-untyped-def]
    """`sums`, and their derivatives: the posterior probabilities of states, unary (B, T, K), and of pairs, of_pairs (B, S, K, K), where
    they are the same at all times summed over these. All are 0 where no path has a weight."""
    B, T, K = local.shape
    alpha = np.empty((T, K))
    of_pairs[:] = 0.0
    for b in range(B):
        p = min(b, pairs.shape[0] - 1)
        lost, logs = how[p] == LOGS, 0.0
        if not lost:
            logs, lost = _forward(weights[b], local[b], pairs[p], how[p], alpha)
        out[b] = _forward_in_logs(local[b], log_pairs[p], alpha) if lost else logs + shift[b]
        if out[b] == -math.inf:
            unary[b] = 0.0
        elif lost:
            _backward_in_logs(local[b], log_pairs[p], alpha, unary[b], of_pairs[b])
        else:
            _backward(weights[b], pairs[p], alpha, unary[b], of_pairs[b])


@njit(cache=True, **HOW)
def filtered(weights, local, pairs, log_pairs, how, alpha, in_logs):  # type: ignore[no-untyped-def]
    """alpha (B, T, K): shares of the states given all up to each time; their logarithms where in_logs (B,) is set."""
    for b in range(local.shape[0]):
        p = min(b, pairs.shape[0] - 1)
        lost = how[p] == LOGS
        if not lost:
            _, lost = _forward(weights[b], local[b], pairs[p], how[p], alpha[b])
        if lost:
            _forward_in_logs(local[b], log_pairs[p], alpha[b])
        in_logs[b] = lost


@njit(cache=True, **HOW)
def _chosen(shares, u):  # type: ignore[no-untyped-def]
    """The state at which the running sum of the shares passes u of their total; never one without a share."""
    total = 0.0
    for i in range(shares.shape[0]):
        total += shares[i]
    left, state = u * total, 0
    for i in range(shares.shape[0]):
        if shares[i] > 0.0:
            state = i
            left -= shares[i]
            if left < 0.0:
                break
    return state


@njit(cache=True, **HOW)
def walked(first, steps, uniforms, out):  # type: ignore[no-untyped-def]
    """out (B, T): paths forward, by uniforms; first (P, K) and steps (Q, S, K, K) are probabilities, entry t of steps leads to time t."""
    B, T = uniforms.shape
    for b in range(B):
        own, last = steps[min(b, steps.shape[0] - 1)], steps.shape[1] - 1
        for t in range(T):
            row = first[min(b, first.shape[0] - 1)] if t == 0 else own[min(t, last), out[b, t - 1]]
            out[b, t] = _chosen(row, uniforms[b, t])


@njit(cache=True, **HOW)
def drawn(alpha, in_logs, pairs, log_pairs, uniforms, out):  # type: ignore[no-untyped-def]
    """out (D, B, T): paths from their joint law, backwards, by uniforms (D, B, T) in [0, 1)."""
    D, B, T = uniforms.shape
    K = alpha.shape[2]
    shares = np.empty(K)
    for b in range(B):
        p, last = min(b, pairs.shape[0] - 1), pairs.shape[1] - 1
        for d in range(D):
            for t in range(T - 1, -1, -1):
                for i in range(K):
                    shares[i] = alpha[b, t, i]
                    if t < T - 1:
                        to = out[d, b, t + 1]
                        if in_logs[b]:
                            shares[i] += log_pairs[p, min(t, last), i, to]
                        else:
                            shares[i] *= pairs[p, min(t, last), i, to]
                if in_logs[b]:
                    shares[:] = np.exp(shares - shares.max())
                out[d, b, t] = _chosen(shares, uniforms[d, b, t])


@njit(cache=True, **HOW)
def best(local, log_pairs, out, paths):  # type: ignore[no-untyped-def]
    """paths (B, T): the most probable one, and its log weight, out (B,). Of equals, that with the lowest states from the end on."""
    B, T, K = local.shape
    last = log_pairs.shape[1] - 1
    delta = np.empty((T, K))
    for b in range(B):
        p = min(b, log_pairs.shape[0] - 1)
        delta[0] = local[b, 0]
        for t in range(1, T):
            pair, before, after = log_pairs[p, min(t - 1, last)], delta[t - 1], delta[t]
            after[:] = -math.inf
            for i in range(K):
                x = before[i]
                for j in range(K):
                    y = x + pair[i, j]
                    after[j] = y if y > after[j] else after[j]
            for j in range(K):
                after[j] += local[b, t, j]
        state = delta[T - 1].argmax()
        out[b] = delta[T - 1, state]
        paths[b, T - 1] = state
        for t in range(T - 2, -1, -1):
            pair = log_pairs[p, min(t, last)]
            top, at = -math.inf, 0
            for i in range(K):
                x = delta[t, i] + pair[i, state]
                if x > top:
                    top, at = x, i
            state = at
            paths[b, t] = state
