"""Sums over all paths of a chain as loops, with their derivatives: what recursions.py does, where it is part of a graph.

The scaled recursion runs first. Where it may have lost a weight, which is known at the end, the logarithms are taken: an `if` is a
loop of one iteration or none.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .ir import View
from .placement import Nests, Ref
from .writer import Coordinate, Writer

__all__ = ["path_sum"]

LIMITS = {False: (1e-100, 1e-150), True: (1e-12, 1e-18)}  # of single precision or not: FLOOR and TINY of recursions.py


def path_sum(nests: Nests, pairs: Ref, local: Ref, marginals: bool, single: bool) -> tuple[Ref, ...]:
    """The log sum, and the derivatives by local and pairs where they are wanted; single: of single precision."""
    chains = local.shape[0]
    shapes = [(chains,), local.shape, (chains, *pairs.shape[1:])]
    results = [nests.memory(shape, "f") for shape in (shapes if marginals else shapes[:1])]
    nests.computed(lambda w, *views: _Recursions(w, *LIMITS[single], *views).write(), [pairs, local], results)
    return tuple(results)


@dataclass
class _Recursions:
    """pairs (P, S, K, K), local (B, T, K) -> out (B,), unary (B, T, K), of_pairs (B, S, K, K)."""

    w: Writer
    floor: float
    tiny: float
    pairs: View
    local: View
    out: View
    unary: View | None = None
    of_pairs: View | None = None

    def write(self) -> None:
        w, (chains, length, states) = self.w, self.local.shape
        shared = self.pairs.shape[0] == 1
        self.scaled, self.tops = w.new(self.pairs.shape), w.new(self.pairs.shape[:2])
        self.weights, self.alpha = w.new((length, states)), w.new((length, states))
        self.beta, self.ahead, self.back = w.new((states,)), w.new((states,)), w.new((states,))
        sparse = faint = ""
        if shared:
            sparse, faint = self._scale_pairs(0)
        with w.loop(chains) as b:
            p: Coordinate = 0 if shared else b
            if not shared:
                sparse, faint = self._scale_pairs(p)
            logs, lost = self._forward(b, p)
            wrong = w.truth("or", w.truth("gt", faint, 0.0), w.truth("gt", w.real("mul", sparse, lost), 0.0))
            w.store(self.out, (b,), logs)
            with self._when(wrong):
                self._forward_in_logs(b, p)
            if self.unary is not None:
                self._clear(b)
                with self._when(w.truth("not", wrong)):
                    self._backward(b, p)
                with self._when(wrong):
                    self._backward_in_logs(b, p)

    @contextmanager
    def _when(self, condition: str) -> Iterator[None]:
        with self.w.loop(self.w.whole("where", condition, 1, 0)):
            yield

    def _steps(self, view: View) -> View:
        """Of pairs: entry t is the step to time t, from t = 1."""
        stride = view.strides[1] if view.shape[1] > 1 else 0
        shape = (view.shape[0], self.local.shape[1], *view.shape[2:])
        return view._replace(shape=shape, strides=(view.strides[0], stride, *view.strides[2:]), offset=view.offset - stride)

    def _sum(self, count: int, term: Callable[[Coordinate], str], how: str = "add") -> str:
        total = self.w.variable(0.0 if how == "add" else -math.inf)
        with self.w.loop(count) as i:
            self.w.update(total, term(i), how)  # type: ignore[arg-type]
        return total

    def _finite(self, x: str) -> str:
        return self.w.real("where", self.w.truth("eq", x, -math.inf), 0.0, x)

    def _inverse(self, total: str) -> str:
        w = self.w
        return w.real("where", w.truth("eq", total, 0.0), 0.0, w.real("div", 1.0, total))

    # Scaled

    def _scale_pairs(self, p: Coordinate) -> tuple[str, str]:
        """Weights of pairs; whether some are forbidden, and whether some are faint."""
        w, (_, steps, states, _) = self.w, self.pairs.shape
        sparse, faint = w.variable(0.0), w.variable(0.0)
        with w.loop(steps) as s:
            top = w.variable(-math.inf)
            with w.loops((states, states)) as at:
                w.update(top, w.load(self.pairs, p, s, *at), "max")
            top = self._finite(top)
            w.store(self.tops, (p, s), top)
            with w.loops((states, states)) as at:
                x = w.load(self.pairs, p, s, *at)
                weight = w.real("exp", w.real("sub", x, top))
                w.store(self.scaled, (p, s, *at), weight)
                small = w.truth("lt", weight, self.floor)
                w.update(sparse, w.real("where", small, 1.0, 0.0), "max")
                w.update(faint, w.real("where", w.truth("and", small, w.truth("gt", x, -math.inf)), 1.0, 0.0), "max")
        return sparse, faint

    def _forward(self, b: Coordinate, p: Coordinate) -> tuple[str, str]:
        """alpha; the log of the sum, and whether a weight was lost."""
        w, (_, length, states) = self.w, self.local.shape
        logs, lost = w.variable(0.0), w.variable(0.0)
        with w.loop(states) as j:
            w.store(self.ahead, (j,), 1.0)
        self._next(b, 0, logs, lost)
        pairs, tops = self._steps(self.scaled), self._steps(self.tops)
        before = self.alpha._replace(offset=self.alpha.offset - self.alpha.strides[0])
        if length > 1:
            with w.loop(length, 1) as t:
                with w.loop(states) as j:
                    w.store(self.ahead, (j,), 0.0)
                with w.loop(states) as i:
                    x = w.load(before, t, i)
                    with w.loop(states) as j:
                        w.store(self.ahead, (j,), w.real("mul", x, w.load(pairs, p, t, i, j)), "add")
                w.update(logs, w.load(tops, p, t), "add")
                self._next(b, t, logs, lost)
        return logs, lost

    def _next(self, b: Coordinate, t: Coordinate, logs: str, lost: str) -> None:
        """What stands in `ahead`, times the weights of a time, as shares in alpha."""
        w, states = self.w, self.local.shape[2]
        top = self._finite(self._sum(states, lambda j: w.load(self.local, b, t, j), "max"))
        total = w.variable(0.0)
        with w.loop(states) as j:
            weight = w.real("exp", w.real("sub", w.load(self.local, b, t, j), top))
            w.store(self.weights, (t, j), weight)
            share = w.real("mul", w.load(self.ahead, j), weight)
            w.store(self.alpha, (t, j), share)
            w.update(total, share, "add")
        limit = w.real("where", w.truth("lt", total, self.tiny), math.inf, w.real("mul", total, self.tiny))
        scale = self._inverse(total)
        with w.loop(states) as j:
            share = w.load(self.alpha, t, j)
            there = w.truth("and", w.truth("gt", w.load(self.local, b, t, j), -math.inf), w.truth("gt", w.load(self.ahead, j), 0.0))
            w.update(lost, w.real("where", w.truth("and", w.truth("lt", share, limit), there), 1.0, 0.0), "max")
            w.store(self.alpha, (t, j), w.real("mul", share, scale))
        w.update(logs, w.real("add", top, w.real("log", total)), "add")

    def _clear(self, b: Coordinate) -> None:
        assert self.of_pairs is not None  # noqa: S101  both or none
        with self.w.loops(self.of_pairs.shape[1:]) as at:
            self.w.store(self.of_pairs, (b, *at), 0.0)

    def _backward(self, b: Coordinate, p: Coordinate) -> None:
        assert self.unary is not None and self.of_pairs is not None  # noqa: S101, PT018
        w, (_, length, states) = self.w, self.local.shape
        pairs, counts = self._steps(self.scaled), self._steps(self.of_pairs)
        before, earlier = (v._replace(offset=v.offset - v.strides[-2]) for v in (self.alpha, self.unary))
        with w.loop(states) as j:
            w.store(self.unary, (b, length - 1, j), w.load(self.alpha, length - 1, j))
            w.store(self.beta, (j,), 1.0)
        if length > 1:
            with w.loop(length, 1, reverse=True) as t:
                with w.loop(states) as j:
                    w.store(self.ahead, (j,), w.real("mul", w.load(self.weights, t, j), w.load(self.beta, j)))
                with w.loop(states) as i:
                    w.store(
                        self.back,
                        (i,),
                        self._sum(states, lambda j: w.real("mul", w.load(pairs, p, t, i, j), w.load(self.ahead, j))),
                    )
                scale = self._inverse(self._sum(states, lambda i: w.real("mul", w.load(before, t, i), w.load(self.back, i))))
                with w.loop(states) as i:
                    share = w.load(before, t, i)
                    beta = w.real("where", w.truth("eq", share, 0.0), 0.0, w.real("mul", w.load(self.back, i), scale))
                    w.store(self.beta, (i,), beta)
                    w.store(earlier, (b, t, i), w.real("mul", share, beta))
                    x = w.real("mul", share, scale)
                    with w.loop(states) as j:
                        w.store(counts, (b, t, i, j), w.real("mul", x, w.load(self.ahead, j)), "add")
        with w.loops(self.of_pairs.shape[1:]) as at:
            w.store(self.of_pairs, (b, *at), w.real("mul", w.load(self.of_pairs, b, *at), w.load(self.scaled, p, *at)))

    # In logarithms

    def _log_sum(self, term: Callable[[Coordinate], str]) -> str:
        w, states = self.w, self.local.shape[2]
        top = self._finite(self._sum(states, term, "max"))
        return w.real("add", top, w.real("log", self._sum(states, lambda i: w.real("exp", w.real("sub", term(i), top)))))

    def _forward_in_logs(self, b: Coordinate, p: Coordinate) -> None:
        w, (_, length, states) = self.w, self.local.shape
        logs = w.variable(0.0)
        pairs = self._steps(self.pairs)
        before = self.alpha._replace(offset=self.alpha.offset - self.alpha.strides[0])

        def finish(t: Coordinate) -> None:
            total = self._log_sum(lambda j: w.load(self.ahead, j))
            w.update(logs, total, "add")
            with w.loop(states) as j:
                w.store(self.alpha, (t, j), w.real("sub", w.load(self.ahead, j), self._finite(total)))

        with w.loop(states) as j:
            w.store(self.ahead, (j,), w.load(self.local, b, 0, j))
        finish(0)
        if length > 1:
            with w.loop(length, 1) as t:
                with w.loop(states) as j:
                    come = self._log_sum(lambda i: w.real("add", w.load(before, t, i), w.load(pairs, p, t, i, j)))
                    w.store(self.ahead, (j,), w.real("add", come, w.load(self.local, b, t, j)))
                finish(t)
        w.store(self.out, (b,), logs)

    def _backward_in_logs(self, b: Coordinate, p: Coordinate) -> None:
        assert self.unary is not None and self.of_pairs is not None  # noqa: S101, PT018
        w, (_, length, states) = self.w, self.local.shape
        pairs, counts = self._steps(self.pairs), self._steps(self.of_pairs)
        before, earlier = (v._replace(offset=v.offset - v.strides[-2]) for v in (self.alpha, self.unary))
        possible = w.truth("gt", w.load(self.out, b), -math.inf)

        def probability(x: str) -> str:
            return w.real("where", possible, w.real("exp", x), 0.0)

        with w.loop(states) as j:
            w.store(self.unary, (b, length - 1, j), probability(w.load(self.alpha, length - 1, j)))
            w.store(self.beta, (j,), 0.0)
        if length > 1:
            with w.loop(length, 1, reverse=True) as t:
                with w.loop(states) as j:
                    w.store(self.ahead, (j,), w.real("add", w.load(self.local, b, t, j), w.load(self.beta, j)))
                with w.loop(states) as i:
                    go = self._log_sum(lambda j: w.real("add", w.load(pairs, p, t, i, j), w.load(self.ahead, j)))
                    w.store(self.back, (i,), go)
                total = self._finite(self._log_sum(lambda i: w.real("add", w.load(before, t, i), w.load(self.back, i))))
                with w.loop(states) as i:
                    share, back = w.load(before, t, i), w.load(self.back, i)
                    w.store(earlier, (b, t, i), probability(w.real("sub", w.real("add", share, back), total)))
                    unreached = w.truth("eq", share, -math.inf)
                    w.store(self.beta, (i,), w.real("where", unreached, -math.inf, w.real("sub", back, total)))
                    with w.loop(states) as j:
                        x = w.real("add", w.real("add", share, w.load(pairs, p, t, i, j)), w.real("sub", w.load(self.ahead, j), total))
                        w.store(counts, (b, t, i, j), probability(x), "add")
