"""Exact joint draws of elements from tables: one element after the other is summed out, and they are drawn in reverse.

Sums over one element need a table over all that it still meets; the plan takes the element with the smallest one next. A chain costs
O(T K^2) so, and its draws are forward filtering, backward sampling; elements that meet nobody cost their own values.
"""

import heapq
import math
from dataclasses import dataclass

import numpy as np

from ._tables import Numbers, Tables

__all__ = ["ALL_PRODUCTS", "Order", "order_of"]

ALL_PRODUCTS = 2.0**24  # numbers that the steps of one joint draw leave behind, at most


@dataclass(frozen=True)
class Order:
    """One step for each element, in the order in which they are summed out.

    element   (steps,); others: those that it then meets, from other_first[step] on, the last one's values side by side
    cell      (steps,) where a step's products begin: for each assignment of the others, one for each value; cells: how many in all
    message   (steps,) where its sums begin among the values, after the tables; values: how many in all
    first     (steps + 1,) its inputs: base (inputs,) where each begins among the values, at (inputs,) where its strides begin:
              along the element, then along the others
    """

    element: Numbers
    other_first: Numbers
    others: Numbers
    cell: Numbers
    message: Numbers
    first: Numbers
    base: Numbers
    at: Numbers
    stride: Numbers
    cells: int
    values: int


class _Planner:
    def __init__(self, tables: Tables):
        self.sizes = [int(k) for k in tables.sizes]
        self.logs = [math.log2(max(k, 1)) for k in self.sizes]
        elements, bounds = tables.scope.tolist(), tables.first.tolist()
        strides, offsets = tables.stride.tolist(), tables.offset.tolist()
        self.meets: list[set[int]] = [set() for _ in self.sizes]
        self.inputs: list[set[int]] = [set() for _ in self.sizes]
        self.scopes: list[dict[int, int]] = []  # of tables, then of messages: element -> stride
        self.bases: list[int] = []
        for i in range(tables.entries):
            some = slice(bounds[i], bounds[i + 1])
            self._add(dict(zip(elements[some], strides[some], strict=True)), offsets[i])
        self.end = offsets[-1]

    def _add(self, scope: dict[int, int], base: int) -> None:
        for e in scope:
            self.inputs[e].add(len(self.scopes))
            self.meets[e].update(scope)
            self.meets[e].discard(e)
        self.scopes.append(scope)
        self.bases.append(base)

    def cost(self, e: int) -> float:
        return self.logs[e] + sum(self.logs[o] for o in self.meets[e])

    def run(self, most: float) -> Order | None:
        """None where the products would be more than `most`."""
        costs = [self.cost(e) for e in range(len(self.sizes))]
        heap = [(c, e) for e, c in enumerate(costs)]
        heapq.heapify(heap)
        steps: list[tuple[int, list[int], int, int, list[int]]] = []
        cells = 0
        while heap:
            cost, e = heapq.heappop(heap)
            if cost != costs[e]:
                continue
            costs[e] = -1.0
            if cells + 2.0**cost > most:
                return None
            others, inputs = sorted(self.meets[e]), sorted(self.inputs[e])
            steps.append((e, others, cells, self.end, inputs))
            cells += round(2.0**cost)
            self._sum_out(e, others, inputs)
            for o in others:
                costs[o] = self.cost(o)
                heapq.heappush(heap, (costs[o], o))
        return self._order(steps, cells)

    def _sum_out(self, e: int, others: list[int], inputs: list[int]) -> None:
        for o in others:
            self.meets[o].discard(e)
            self.inputs[o].difference_update(inputs)
        if others:
            scope, step = {}, 1
            for o in reversed(others):
                scope[o], step = step, step * self.sizes[o]
            self._add(scope, self.end)
            self.end += step

    def _order(self, steps: list[tuple[int, list[int], int, int, list[int]]], cells: int) -> Order:
        element, others, cell, message, inputs = zip(*steps, strict=True)
        strides = [[self.scopes[i].get(o, 0) for o in (e, *os)] for e, os, *_, each in steps for i in each]
        return Order(
            _numbers(element), _bounds(others), _numbers([o for os in others for o in os]), _numbers(cell), _numbers(message),
            _bounds(inputs), _numbers([self.bases[i] for each in inputs for i in each]), _bounds(strides)[:-1],
            _numbers([s for each in strides for s in each]), cells, self.end,
        )  # fmt: skip


def order_of(tables: Tables, most: float) -> Order | None:
    """The plan, or None: a term has no table, a support no end, or more than `most` products would have to be made."""
    if tables.wide or (tables.sizes == 0).any():
        return None
    return _Planner(tables).run(most)


def _numbers(x: object) -> Numbers:
    return np.asarray(x, np.int64)


def _bounds(lists: object) -> Numbers:
    return np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)  # type: ignore[attr-defined]
