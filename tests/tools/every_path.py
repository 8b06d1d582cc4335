"""A hidden Markov model by writing out all of its paths: no recursion, no scan. torch, so that derivatives come with it."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["EveryPath"]


@dataclass(frozen=True)
class EveryPath:
    """One sequence.

    initial     (K,)
    transition  (K, K)
    local       (T, K) log p(x_t | state); 0 where x_t is missing
    """

    initial: Tensor
    transition: Tensor
    local: Tensor

    @property
    def paths(self) -> Tensor:
        """(P, T)"""
        steps, states = self.local.shape
        return torch.tensor(list(itertools.product(range(states), repeat=steps)))

    @property
    def weights(self) -> Tensor:
        """log p(path, x), (P,)."""
        paths = self.paths
        total = self.initial.log()[paths[:, 0]]
        for t in range(paths.shape[1]):
            total = total + self.local[t, paths[:, t]]
            if t:
                total = total + self.transition.log()[paths[:, t - 1], paths[:, t]]
        return total

    @property
    def log_likelihood(self) -> Tensor:
        return self.weights.logsumexp(0)

    @property
    def smoothed(self) -> Tensor:
        """(T, K)"""
        p = self.weights.softmax(0)
        return torch.einsum("p,ptk->tk", p, torch.nn.functional.one_hot(self.paths, self.local.shape[1]).to(p))

    @property
    def filtered(self) -> Tensor:
        """(T, K): of what is left when the rest is cut off."""
        cuts = [EveryPath(self.initial, self.transition, self.local[: t + 1]) for t in range(len(self.local))]
        return torch.stack([cut.smoothed[-1] for cut in cuts])
