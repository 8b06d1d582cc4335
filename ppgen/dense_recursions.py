"""The recursions over a chain of which every pair has a weight, in machine code: shapes and sums as in recursions.py.

Numbers are scaled only where they leave what a double holds with room to spare, and shares are formed beside the recursion, not within
it: a step waits for one product, not for a sum and a division. Up to five states the loops over them are written out, as their number
is known to the compiler.

A weight that a step loses lies below the smallest double, 1e-308, so below 1e-158 of its step; some other state reaches the same next
one with more than FLOOR = 1e-100 of it, so it could not have counted.

Measured on one core at T = 100,000, forward and back: 0.6 and 0.6 ms at K = 2, 0.95 and 1.5 ms at K = 5, 5.1 and 8.3 ms at K = 20.
Scaling every step by its sum takes 9.1 and 18 ms, 9.5 and 11 ms, 12 and 17 ms.
"""

import math

import numpy as np
from numba import njit

from .native.calling import HOW

__all__ = ["backward", "forward", "product"]

FEW = 5  # states, up to which loops over them are written out
ROOM = 1e-50  # what a step's sum may come down to, or up to its inverse, before it is scaled


@njit(cache=True, **HOW)
def product(before, pairs, s, after):  # type: ignore[no-untyped-def]
    """after = before @ pairs[s]"""
    states = before.shape[0]
    for j in range(states):
        after[j] = 0.0
    for i in range(0, states - 3, 4):  # four rows at a time: what is added to is read and written a quarter as often
        x, y, z, u = before[i], before[i + 1], before[i + 2], before[i + 3]
        for j in range(states):
            after[j] += (x * pairs[s, i, j] + y * pairs[s, i + 1, j]) + (z * pairs[s, i + 2, j] + u * pairs[s, i + 3, j])
    for i in range(states - states % 4, states):
        x = before[i]
        for j in range(states):
            after[j] += x * pairs[s, i, j]


@njit(inline="always", **HOW)
def _come(before, pairs, s, after, states):  # type: ignore[no-untyped-def]
    """The same of few states, whose number the compiler knows."""
    for j in range(states):
        after[j] = 0.0
        for i in range(states):
            after[j] += before[i] * pairs[s, i, j]


@njit(inline="always", **HOW)
def _forward(weights, pairs, alpha, states):  # type: ignore[no-untyped-def]
    length, last = weights.shape[0], pairs.shape[0] - 1
    kept = alpha.shape[0] == length
    now, then = np.empty(states), np.empty(states)
    logs, total = 0.0, 0.0
    for j in range(states):
        now[j] = weights[0, j]
        total += now[j]
    for j in range(states):
        alpha[0, j] = now[j] / total if total != 0.0 else 0.0
    for t in range(1, length):
        s = min(t - 1, last)
        if states > FEW:
            product(now, pairs, s, then)
        else:
            _come(now, pairs, s, then, states)
        total = 0.0
        for j in range(states):
            then[j] *= weights[t, j]
            total += then[j]
        if not ROOM < total < 1 / ROOM:
            logs += math.log(total)
            scale = 1.0 / total if total != 0.0 else 0.0
            for j in range(states):
                then[j] *= scale
            total = 1.0
        scale = 1.0 / total
        for j in range(states):
            now[j] = then[j]
            if kept:
                alpha[t, j] = then[j] * scale
    return logs + math.log(total)


@njit(cache=True, **HOW)
def forward(weights, pairs, alpha):  # type: ignore[no-untyped-def]
    """Shares of the states given all up to each time, alpha (T, K), or of fewer rows, when nobody will read them. Returns the log of what
    they were scaled by."""
    states = weights.shape[1]
    if states == 2:
        return _forward(weights, pairs, alpha, 2)
    if states == 3:
        return _forward(weights, pairs, alpha, 3)
    if states == 4:
        return _forward(weights, pairs, alpha, 4)
    if states == 5:
        return _forward(weights, pairs, alpha, 5)
    return _forward(weights, pairs, alpha, states)


@njit(inline="always", **HOW)
def _backward(weights, pairs, alpha, unary, of_pairs, states):  # type: ignore[no-untyped-def]
    """Adds to of_pairs what the pairs are to be multiplied with."""
    length, last = weights.shape[0], pairs.shape[0] - 1
    beta, ahead = np.empty(states), np.empty(states)
    for i in range(states):
        beta[i] = 1.0
        unary[length - 1, i] = alpha[length - 1, i]
    for t in range(length - 2, -1, -1):
        s = min(t, last)
        for j in range(states):
            ahead[j] = weights[t + 1, j] * beta[j]
        total, top = 0.0, 0.0
        for i in range(states):
            follows = 0.0
            for j in range(states):
                follows += pairs[s, i, j] * ahead[j]
            beta[i] = follows
            total += alpha[t, i] * follows
            top = max(top, follows)
        scale = 1.0 / total if total != 0.0 else 0.0
        for i in range(states):
            share = alpha[t, i] * scale
            unary[t, i] = share * beta[i]
            for j in range(states):
                of_pairs[s, i, j] += share * ahead[j]
        if not ROOM < top < 1 / ROOM:
            for i in range(states):
                beta[i] /= top


@njit(cache=True, **HOW)
def backward(weights, pairs, alpha, unary, of_pairs):  # type: ignore[no-untyped-def]
    """Posterior shares of states, unary (T, K), and of pairs, of_pairs (S, K, K), which is 0 before, from the shares going forward."""
    states = weights.shape[1]
    if states == 2:
        _backward(weights, pairs, alpha, unary, of_pairs, 2)
    elif states == 3:
        _backward(weights, pairs, alpha, unary, of_pairs, 3)
    elif states == 4:
        _backward(weights, pairs, alpha, unary, of_pairs, 4)
    elif states == 5:
        _backward(weights, pairs, alpha, unary, of_pairs, 5)
    else:
        _backward(weights, pairs, alpha, unary, of_pairs, states)
    for s in range(pairs.shape[0]):
        for i in range(states):
            for j in range(states):
                of_pairs[s, i, j] *= pairs[s, i, j]
