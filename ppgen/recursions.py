"""Sums over all paths of a chain, one step after the other, in machine code on the CPU.

    local   (B, T, K)       log weights of each state at each time, of B chains
    pairs   (P, S, K, K)    log weights of a state (row) and the next (column); P is B, or 1 for pairs that all chains share,
                            and S is T - 1, or 1 for pairs that are the same at all times

The recursions work on scaled weights, K^2 multiplications a step and no exponential of a pair. A scaled weight can be lost, below the
smallest number that there is. Where every pair has a weight (dense_recursions.py), what was lost could not have counted: some other
state reaches the same next one with more than FLOOR times the weight. Where pairs are forbidden, every step is scaled by its sum, and
one that would lose a weight (TINY) sends the whole chain to logarithms, K^2 exponentials a step. All agree to rounding.

Source: Rabiner, A tutorial on hidden Markov models, Proc. IEEE 77(2), 1989, section V.A (scaling).
"""

import math

import numpy as np
from numba import njit

from .dense_recursions import backward, forward, product
from .native.calling import HOW

__all__ = ["DENSE", "FLOOR", "LOGS", "SPARSE", "best", "drawn", "filtered", "marginals", "sums", "walked"]

FLOOR = 1e-100  # pairs above it, relative to the largest of their step, count as having a weight
TINY = 1e-150  # a state's share of a step, or a step's weight, from which what follows is not trusted
MANY = 1e-100  # what a product of sums of steps may come down to, before it is turned into a logarithm
DENSE, SPARSE, LOGS = 0, 1, 2  # every pair has a weight; some are forbidden; some have less weight than FLOOR


@njit(cache=True, **HOW)
def _step(before, pairs, s, weights, after):  # type: ignore[no-untyped-def]
    """after = (before @ pairs[s]) * weights; returns its sum."""
    states = before.shape[0]
    product(before, pairs, s, after)
    total = 0.0
    for j in range(states):
        after[j] *= weights[j]
        total += after[j]
    return total


@njit(cache=True, **HOW)
def _loses(before, pairs, local, after, total):  # type: ignore[no-untyped-def]
    """Whether a weight that is there has become too small to be trusted."""
    states = before.shape[0]
    for j in range(states):
        if (after[j] < TINY * total or total < TINY) and local[j] > -math.inf:
            for i in range(states):
                if before[i] * pairs[i, j] > 0.0:
                    return True
    return False


@njit(cache=True, **HOW)
def _forward(weights, local, pairs, how, alpha):  # type: ignore[no-untyped-def]
    """Shares of the states given all up to each time, alpha (T or 2, K): of two rows only, when nobody will read the others.
    Returns the log of what they were scaled by, and whether a weight was lost."""
    if how == DENSE:
        return forward(weights, pairs, alpha), False
    length, states = weights.shape
    rows, last = alpha.shape[0], pairs.shape[0] - 1
    total, logs, product = 0.0, 0.0, 1.0
    for j in range(states):
        alpha[0, j] = weights[0, j]
        total += weights[0, j]
    for j in range(states):
        if local[0, j] > -math.inf and alpha[0, j] < TINY * total:
            return 0.0, True
    for j in range(states):
        alpha[0, j] = alpha[0, j] / total if total != 0.0 else 0.0
    logs = math.log(total)
    for t in range(1, length):
        before, after, s = alpha[(t - 1) % rows], alpha[t % rows], min(t - 1, last)
        total = _step(before, pairs, s, weights[t], after)
        if _loses(before, pairs[s], local[t], after, total):
            return 0.0, True
        scale = 1.0 / total if total != 0.0 else 0.0
        for j in range(states):
            after[j] *= scale
        product *= total
        if not MANY < product < 1 / MANY:  # a logarithm takes as long as a step of few states
            logs += math.log(product)
            product = 1.0
    return logs + math.log(product), False


@njit(cache=True, **HOW)
def _log_sum(x):  # type: ignore[no-untyped-def]
    top = -math.inf
    for i in range(x.shape[0]):
        top = max(top, x[i])
    if math.isinf(top):
        return top
    total = 0.0
    for i in range(x.shape[0]):
        total += math.exp(x[i] - top)
    return top + math.log(total)


@njit(cache=True, **HOW)
def _forward_in_logs(local, pairs, alpha):  # type: ignore[no-untyped-def]
    """As `_forward`, in logarithms. Returns the log of the sum over all paths."""
    length, states = local.shape
    rows, last = alpha.shape[0], pairs.shape[0] - 1
    terms = np.empty(states)
    logs = 0.0
    for t in range(length):
        after = alpha[t % rows]
        for j in range(states):
            after[j] = local[t, j]
            if t > 0:
                for i in range(states):
                    terms[i] = alpha[(t - 1) % rows, i] + pairs[min(t - 1, last), i, j]
                after[j] += _log_sum(terms)
        total = _log_sum(after)
        logs += total
        for j in range(states):
            after[j] -= total if total != -math.inf else 0.0
    return logs


@njit(cache=True, **HOW)
def _step_back(alpha, turned, ahead, beta, unary, counts):  # type: ignore[no-untyped-def]
    """One step earlier: alpha are the shares there, ahead the weights of the next time with what follows; turned are the pairs, (1,
    next, this). Writes beta and the posterior shares, adds to counts what the pairs are to be multiplied with."""
    states = alpha.shape[0]
    product(ahead, turned, 0, beta)
    total = 0.0
    for i in range(states):
        total += alpha[i] * beta[i]
    scale = 1.0 / total if total != 0.0 else 0.0
    for i in range(states):
        beta[i] = beta[i] * scale if alpha[i] != 0.0 else 0.0
        unary[i] = alpha[i] * beta[i]
        x = alpha[i] * scale
        for j in range(states):
            counts[i, j] += x * ahead[j]


@njit(cache=True, **HOW)
def _turn(pairs, turned):  # type: ignore[no-untyped-def]
    for i in range(pairs.shape[0]):
        for j in range(pairs.shape[0]):
            turned[j, i] = pairs[i, j]


@njit(cache=True, **HOW)
def _backward(weights, pairs, alpha, unary, of_pairs):  # type: ignore[no-untyped-def]
    """Posterior shares of states, unary (T, K), and of pairs, of_pairs (S, K, K), which is 0 before, from the shares going forward."""
    length, states = weights.shape
    last = pairs.shape[0] - 1
    beta, ahead, turned = np.empty(states), np.empty(states), np.empty((1, states, states))
    for i in range(states):
        beta[i] = 1.0
        unary[length - 1, i] = alpha[length - 1, i]
    _turn(pairs[0], turned[0])
    for t in range(length - 2, -1, -1):
        if last > 0:
            _turn(pairs[t], turned[0])
        for j in range(states):
            ahead[j] = weights[t + 1, j] * beta[j]
        _step_back(alpha[t], turned, ahead, beta, unary[t], of_pairs[min(t, last)])
    for s in range(last + 1):
        for i in range(states):
            for j in range(states):
                of_pairs[s, i, j] *= pairs[s, i, j]


@njit(cache=True, **HOW)
def _step_back_in_logs(alpha, pairs, ahead, beta, unary, of_pairs):  # type: ignore[no-untyped-def]
    """As `_step_back`, in logarithms; adds the posterior shares of the pairs themselves. Only where some path has a weight."""
    states = alpha.shape[0]
    terms = np.empty(states)
    for i in range(states):
        for j in range(states):
            terms[j] = pairs[i, j] + ahead[j]
        beta[i] = _log_sum(terms)
    for i in range(states):
        terms[i] = alpha[i] + beta[i]
    total = _log_sum(terms)
    for i in range(states):
        unary[i] = math.exp(terms[i] - total)
        beta[i] = beta[i] - total if alpha[i] > -math.inf else -math.inf
        for j in range(states):
            of_pairs[i, j] += math.exp(alpha[i] + pairs[i, j] + ahead[j] - total)


@njit(cache=True, **HOW)
def _backward_in_logs(local, pairs, alpha, unary, of_pairs):  # type: ignore[no-untyped-def]
    length, states = local.shape
    last = pairs.shape[0] - 1
    beta, ahead = np.empty(states), np.empty(states)
    for i in range(states):
        beta[i] = 0.0
        unary[length - 1, i] = math.exp(alpha[length - 1, i])
    for t in range(length - 2, -1, -1):
        for j in range(states):
            ahead[j] = local[t + 1, j] + beta[j]
        at = min(t, last)
        _step_back_in_logs(alpha[t], pairs[at], ahead, beta, unary[t], of_pairs[at])


@njit(cache=True, **HOW)
def sums(weights, local, pairs, log_pairs, how, shift, out):  # type: ignore[no-untyped-def]
    """out (B,): the log sum over all paths.

    weights, pairs   exponentials of local and log_pairs, each step's largest taken out; shift (B,): the log of what was taken out
    how              (P,): DENSE, SPARSE or LOGS
    """
    chains, _, states = local.shape
    alpha = np.empty((2, states))
    for b in range(chains):
        p = min(b, pairs.shape[0] - 1)
        lost, logs = how[p] == LOGS, 0.0
        if not lost:
            logs, lost = _forward(weights[b], local[b], pairs[p], how[p], alpha)
        out[b] = _forward_in_logs(local[b], log_pairs[p], alpha) if lost else logs + shift[b]


@njit(cache=True, **HOW)
def _clear(of_pairs):  # type: ignore[no-untyped-def]
    for s in range(of_pairs.shape[0]):
        for i in range(of_pairs.shape[1]):
            for j in range(of_pairs.shape[1]):
                of_pairs[s, i, j] = 0.0


@njit(cache=True, **HOW)
def marginals(weights, local, pairs, log_pairs, how, shift, out, unary, of_pairs):  # type: ignore[no-untyped-def]
    """`sums`, and their derivatives: the posterior probabilities of states, unary (B, T, K), and of pairs, of_pairs (B, S, K, K), where
    they are the same at all times summed over these. All are 0 where no path has a weight."""
    chains, length, states = local.shape
    alpha = np.empty((length, states))
    for b in range(chains):
        _clear(of_pairs[b])
        p = min(b, pairs.shape[0] - 1)
        lost, logs = how[p] == LOGS, 0.0
        if not lost:
            logs, lost = _forward(weights[b], local[b], pairs[p], how[p], alpha)
        out[b] = _forward_in_logs(local[b], log_pairs[p], alpha) if lost else logs + shift[b]
        if out[b] == -math.inf:
            for t in range(length):
                for i in range(states):
                    unary[b, t, i] = 0.0
        elif lost:
            _backward_in_logs(local[b], log_pairs[p], alpha, unary[b], of_pairs[b])
        elif how[p] == DENSE:
            backward(weights[b], pairs[p], alpha, unary[b], of_pairs[b])
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
    chains, length = uniforms.shape
    for b in range(chains):
        own, last = steps[min(b, steps.shape[0] - 1)], steps.shape[1] - 1
        for t in range(length):
            row = first[min(b, first.shape[0] - 1)] if t == 0 else own[min(t, last), out[b, t - 1]]
            out[b, t] = _chosen(row, uniforms[b, t])


@njit(cache=True, **HOW)
def drawn(alpha, in_logs, pairs, log_pairs, uniforms, out):  # type: ignore[no-untyped-def]
    """out (D, B, T): paths from their joint law, backwards, by uniforms (D, B, T) in [0, 1)."""
    draws, chains, length = uniforms.shape
    states = alpha.shape[2]
    shares = np.empty(states)
    for b in range(chains):
        p, last = min(b, pairs.shape[0] - 1), pairs.shape[1] - 1
        for d in range(draws):
            for t in range(length - 1, -1, -1):
                for i in range(states):
                    shares[i] = alpha[b, t, i]
                    if t < length - 1:
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
    chains, length, states = local.shape
    last = log_pairs.shape[1] - 1
    delta = np.empty((length, states))
    for b in range(chains):
        p = min(b, log_pairs.shape[0] - 1)
        delta[0] = local[b, 0]
        for t in range(1, length):
            pair, before, after = log_pairs[p, min(t - 1, last)], delta[t - 1], delta[t]
            after[:] = -math.inf
            for i in range(states):
                x = before[i]
                for j in range(states):
                    y = x + pair[i, j]
                    after[j] = y if y > after[j] else after[j]  # noqa: FURB136  Numba's max looks for nan
            for j in range(states):
                after[j] += local[b, t, j]
        state = delta[length - 1].argmax()
        out[b] = delta[length - 1, state]
        paths[b, length - 1] = state
        for t in range(length - 2, -1, -1):
            pair = log_pairs[p, min(t, last)]
            top, at = -math.inf, 0
            for i in range(states):
                x = delta[t, i] + pair[i, state]
                if x > top:
                    top, at = x, i
            state = at
            paths[b, t] = state
