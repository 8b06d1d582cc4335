"""Importance sampling where a discrete site stands above a continuous one: it is summed out of the joint and of the prior."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from ppgen.inference import ImportanceSampling

X = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1], dtype=torch.float64)


def places(x: Tensor) -> None:
    """One label for all moves the mean; a label of each row widens it."""
    which = pyro.sample("which", dist.Categorical(x.new_tensor([0.3, 0.7])))
    loc = pyro.sample("loc", dist.Normal(x.new_tensor([36.0, 44.0])[which], 3.0))
    with pyro.plate("data", len(x)):
        far = pyro.sample("far", dist.Bernoulli(x.new_tensor(0.2)))
        pyro.sample("x", dist.Normal(loc, 4.0 + 8.0 * far), obs=x)


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_a_label_above_a_continuous_site(lowering: str) -> None:
    """By a grid over loc: the evidence, P(which | x) and P(far | x)."""
    grid = np.linspace(10, 70, 6001)
    each = np.stack([np.log(w) + stats.norm(grid[:, None], s).logpdf(X.numpy()) for w, s in ((0.8, 4.0), (0.2, 12.0))], -1)
    likelihood = special.logsumexp(each, -1).sum(1)
    prior = np.stack([np.log(w) + stats.norm(m, 3).logpdf(grid) for w, m in ((0.3, 36.0), (0.7, 44.0))], -1)
    joint = np.exp(prior + likelihood[:, None]) * (grid[1] - grid[0])
    count = 20_000 if lowering == "recorded" else 400
    posterior = ImportanceSampling(num_proposals=count, num_samples=4000, lowering=lowering, progress=False).run(places, X)
    assert posterior.provenance["lowering"]["name"] == lowering
    weights = posterior.log_weights[0].exp()
    error = float(weights.std() / weights.mean()) / math.sqrt(count)
    assert error < 0.15
    assert posterior.log_evidence == pytest.approx(math.log(joint.sum()), abs=4 * error)
    if lowering == "eager":
        return
    p_which = joint[:, 1].sum() / joint.sum()
    p_far = (np.exp(each[..., 1] - special.logsumexp(each, -1)) * joint.sum(1, keepdims=True)).sum(0) / joint.sum()
    slack = 4 * math.sqrt(0.25 / 4000) + 0.02  # of the draws, and of the proposals that they are chosen from
    assert float(posterior.draws["which"].double().mean()) == pytest.approx(p_which, abs=slack)
    np.testing.assert_allclose(posterior.draws["far"].double().mean((0, 1)).numpy(), p_far, atol=slack)
