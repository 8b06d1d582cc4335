"""What is known of discrete sites given the rest, against every assignment of them run through Pyro itself."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen import Conditionals, Program
from ppgen.errors import NameNotFoundError
from ppgen.keys import Key

DOUBLE = torch.float64
X = torch.tensor([3.1, -1.4, 7.9, 0.6], dtype=DOUBLE)
LEVELS = torch.tensor([0.0, 2.5, 6.0], dtype=DOUBLE)


def table(*rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=DOUBLE)


def mixture(x: Tensor) -> None:
    """A local site, a continuous global one."""
    loc = pyro.sample("loc", dist.Normal(torch.zeros(3, dtype=DOUBLE), 5.0).to_event(1))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(table(0.2, 0.3, 0.5)))
        pyro.sample("x", dist.Normal(loc[z], 1.5), obs=x)


def levels(x: Tensor) -> None:
    """A global site above local ones; two components."""
    level = pyro.sample("level", dist.Categorical(table(0.5, 0.2, 0.3)))
    pyro.sample("idle", dist.Bernoulli(table(0.3)[0]))
    with pyro.plate("data", len(x)):
        up = pyro.sample("up", dist.Bernoulli(0.2 + 0.2 * level))
        pyro.sample("x", dist.Normal(LEVELS[level] + 4.0 * up, 2.0), obs=x)


def impossible_cells(x: Tensor) -> None:
    """A loop a - b - c with zeros in its tables, and a site that is conditioned."""
    zero = -math.inf
    a = pyro.sample("a", dist.Categorical(logits=table(0.3, -0.2, 0.9)))
    b = pyro.sample("b", dist.Categorical(logits=table([0.0, zero], [1.0, 0.0], [zero, 0.0])[a]))
    c = pyro.sample(
        "c", dist.Categorical(logits=table([[0.0, 0.0, zero], [zero, 0.0, 1.0], [0.5, zero, zero]], [[zero, 0.0, 0.0]] * 3)[b, a])
    )
    pyro.sample("d", dist.Categorical(logits=table([0.0, zero, -1.0], [0.0, 1.0, zero], [zero, 0.0, 0.0])[c]))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(LEVELS[a] - b, 3.0), obs=x)


def plates(x: Tensor) -> None:
    """Nested plates with sites in each, and a plate beside them."""
    top = pyro.sample("top", dist.Categorical(table(0.7, 0.3)))
    with pyro.plate("groups", 2, dim=-2):
        group = pyro.sample("group", dist.Categorical(table([0.6, 0.4], [0.1, 0.9])[top]))
        with pyro.plate("members", 2, dim=-1):
            member = pyro.sample("member", dist.Bernoulli(0.1 + 0.3 * (top + group)))
            pyro.sample("x", dist.Normal(group * 3.0 + member, 1.0), obs=x.reshape(2, 2))
    with pyro.plate("aside", 2, dim=-1):
        pyro.sample("other", dist.Categorical(table([0.2, 0.8], [0.5, 0.5])[top]))


def missing(x: Tensor) -> None:
    """Discrete data of which rows are missing, and a coin above them."""
    coin = pyro.sample("coin", dist.Bernoulli(table(0.4)[0]))
    seen = torch.tensor([True, False, True, False])
    with pyro.plate("data", len(x)):
        y = pyro.sample(
            "y", dist.Categorical(table([0.5, 0.3, 0.2], [0.1, 0.1, 0.8])[coin.long()]), obs=torch.tensor([0, 0, 2, 0]), obs_mask=seen
        )
        pyro.sample("x", dist.Normal(LEVELS[y], 2.0), obs=x)


def masked(x: Tensor) -> None:
    """Sites under a mask, whose factors do not sum to 1."""
    with pyro.plate("data", len(x)), pyro.poutine.mask(mask=torch.tensor([True, True, False, True])):
        z = pyro.sample("z", dist.Categorical(table(0.2, 0.3, 0.5)))
        pyro.sample("w", dist.Categorical(table([0.9, 0.1], [0.4, 0.6], [0.5, 0.5])[z]))
        pyro.sample("x", dist.Normal(LEVELS[z], 2.0), obs=x)


def unusual_values(x: Tensor) -> None:
    """Supports that are no numbers from 0, vectors among them; a bare batch dimension."""
    hot = pyro.sample("hot", dist.OneHotCategorical(table(0.3, 0.3, 0.4)))
    pair = pyro.sample("pair", dist.Binomial(2, table(0.3, 0.6)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal((hot * LEVELS).sum(-1), 3.0), obs=x)
    pyro.sample("y", dist.Normal(pair, 1.0), obs=table(0.5, 1.7))


def conditioned(x: Tensor) -> None:
    pyro.poutine.condition(levels, data={"level": torch.tensor(1)})(x)


PROGRAMS = [mixture, levels, impossible_cells, plates, missing, masked, unusual_values, conditioned]
VALUES = {mixture: {"loc": table([0.0, 3.0, 6.0], [-1.0, 1.0, 2.0])}}


class Truth:
    """Every assignment of the discrete sites, and the log joint of each by Pyro's own trace."""

    def __init__(self, fn: Callable[..., None], values: dict[str, Tensor]):
        program = Program(fn, X)
        self.names = program.discrete
        self.sites = {n: program.sites[n] for n in self.names}
        self.shapes = {n: s.shape[: len(s.shape) - s.event_dim] for n, s in self.sites.items()}
        support = {n: _support(fn, n) for n in self.names}
        entries = [(n, i) for n in self.names for i in range(self.shapes[n].numel()) if _varies(fn, n, i)]
        self.indices, logs = [], []
        for chosen in itertools.product(*[range(len(support[n])) for n, _ in entries]):
            index = {n: torch.zeros(self.shapes[n].numel(), dtype=torch.long) for n in self.names}
            for (n, i), k in zip(entries, chosen, strict=True):
                index[n][i] = k
            assigned = {n: support[n][index[n].reshape(self.shapes[n])].reshape(self.sites[n].shape) for n in self.names}
            with pyro.poutine.block(), pyro.validation_enabled(False):
                trace = pyro.poutine.trace(pyro.poutine.condition(fn, data={**values, **assigned})).get_trace(X)
            logs.append(trace.log_prob_sum())
            self.indices.append(index)
        self.logs, self.support = torch.stack(logs), support

    @property
    def log_evidence(self) -> float:
        return float(self.logs.logsumexp(0))

    def marginal(self, name: str) -> Tensor:
        """(entries, K)"""
        posterior = self.logs.softmax(0)
        index = torch.stack([i[name] for i in self.indices])  # (assignments, entries)
        return torch.stack([(posterior[:, None] * (index == k)).sum(0) for k in range(len(self.support[name]))], -1)


def _support(fn: Callable[..., None], name: str) -> Tensor:
    law = pyro.poutine.trace(fn).get_trace(X).nodes[name]["fn"]
    base = law
    while hasattr(base, "base_dist"):
        base = base.base_dist
    values = base.enumerate_support(expand=False)
    return values.reshape(len(values), -1, *base.event_shape)[:, 0]


def _varies(fn: Callable[..., None], name: str, entry: int) -> bool:
    """Rows that were observed are no unknowns."""
    return not name.endswith("_unobserved") or entry in (1, 3)


@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("lowering", ["auto", "eager"])
def test_everything_is_what_all_assignments_give(fn: Callable[..., None], lowering: str) -> None:
    conditionals = Conditionals(Program(fn, X), lowering=lowering)
    values = VALUES.get(fn, {})
    count = 2
    evidence, marginals = conditionals.log_evidence(values, count), conditionals.marginals(values, count)
    mode, log_p = conditionals.mode(values, count)
    for i in range(count):
        truth = Truth(fn, {n: v[i] for n, v in values.items()})
        assert float(evidence[i]) == pytest.approx(truth.log_evidence, rel=1e-6, abs=1e-6)
        assert float(log_p[i]) == pytest.approx(float(truth.logs.max()), rel=1e-6, abs=1e-6)
        for n in truth.names:
            got = marginals[n][i].reshape(-1, len(truth.support[n]))
            want = truth.marginal(n)
            torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)
            best = truth.support[n][truth.indices[int(truth.logs.argmax())][n].reshape(truth.shapes[n])]
            assert torch.equal(mode[n][i], best.reshape(mode[n][i].shape).to(mode[n]))


@pytest.mark.parametrize("fn", [levels, impossible_cells, plates, missing, unusual_values], ids=lambda f: f.__name__)
def test_draws_have_the_joint_law(fn: Callable[..., None]) -> None:
    """Of whole assignments, by chi-square."""
    truth, count = Truth(fn, {}), 20_000
    drawn = Conditionals(Program(fn, X)).draw({}, Key(7), count)
    code = torch.zeros(count, dtype=torch.long)
    codes = torch.zeros(len(truth.indices), dtype=torch.long)
    for n in truth.names:
        support = truth.support[n]
        flat = drawn[n].reshape(count, truth.shapes[n].numel(), 1, -1)
        index = (flat == support.reshape(len(support), -1)).all(-1).int().argmax(-1)
        for j in range(index.shape[1]):
            code = code * len(support) + index[:, j]
            codes = codes * len(support) + torch.stack([i[n][j] for i in truth.indices])
    expected = truth.logs.softmax(0) * count
    at = {int(c): k for k, c in enumerate(codes)}
    seen = torch.bincount(torch.tensor([at[int(c)] for c in code]), minlength=len(expected))
    assert not seen[expected == 0].any()
    often = expected > 5
    cells = [*zip(seen[often].tolist(), expected[often].tolist(), strict=True), (int(seen[~often].sum()), float(expected[~often].sum()))]
    observed, wanted = zip(*[(o, e) for o, e in cells if e > 1e-9], strict=True)
    assert stats.chisquare(observed, wanted).pvalue > 1e-4


def test_weights_are_posterior_probabilities_of_cells() -> None:
    """Of each factor, laid out as the factor is; their sums over other sites are the marginals; of what no discrete site enters, 1."""
    conditionals = Conditionals(Program(levels, X))
    truth, weights = Truth(levels, {}), conditionals.weights({}, 3)
    factors = conditionals.factors({}, 3)
    assert {n: t.shape for n, t in weights.items()} == {n: t.shape for n, t in factors.items()}
    posterior = truth.logs.softmax(0)
    level, up = (torch.stack([i[n] for i in truth.indices]) for n in ("level", "up"))
    for k, u, i in itertools.product(range(3), range(2), range(len(X))):
        want = float((posterior * (level[:, 0] == k) * (up[:, i] == u)).sum())
        place = {"level": k, "up": u, "data": i}
        for n in ("up", "x"):
            at = tuple(place.get(d, 0) for d in conditionals.sites[n].dims)
            assert float(weights[n][(2, *at)]) == pytest.approx(want, abs=1e-7)


def test_continuous_sites_have_the_gradient_of_the_evidence() -> None:
    """By Fisher's identity, the mean over the weights of the factors' gradient is that of the log evidence."""
    conditionals = Conditionals(Program(mixture, X))
    values = VALUES[mixture]["loc"]
    weights = conditionals.weights({"loc": values}, 2)
    step, slope = 1e-5, torch.zeros(2, 3, dtype=DOUBLE)
    by_factors = torch.zeros(2, 3, dtype=DOUBLE)
    for j in range(3):
        ends = [values + sign * step * torch.eye(3, dtype=DOUBLE)[j] for sign in (1, -1)]
        up, down = (conditionals.log_evidence({"loc": v}, 2) for v in ends)
        slope[:, j] = (up - down) / (2 * step)
        ups, downs = (conditionals.factors({"loc": v}, 2) for v in ends)
        terms = [(weights[n] * (ups[n] - downs[n])).reshape(2, -1).sum(1) for n in weights]
        by_factors[:, j] = sum(terms, torch.zeros(2, dtype=DOUBLE)) / (2 * step)
    torch.testing.assert_close(by_factors, slope, rtol=1e-6, atol=1e-7)
    density = conditionals.density.value_and_grad(values)
    torch.testing.assert_close(density[1], slope, rtol=1e-6, atol=1e-6)


def test_scales_multiply_what_hangs_together() -> None:
    scaled = pyro.poutine.scale(levels, scale=3.0)
    once, thrice = (Conditionals(Program(f, X)) for f in (levels, scaled))
    torch.testing.assert_close(thrice.log_evidence({}, 1), 3 * once.log_evidence({}, 1))
    torch.testing.assert_close(thrice.marginals({}, 1)["up"], once.marginals({}, 1)["up"])


def test_single_precision() -> None:
    single, double = (Conditionals(Program(plates, X), dtype=d) for d in (torch.float32, DOUBLE))
    assert single.log_evidence({}, 1).dtype == torch.float32
    torch.testing.assert_close(single.log_evidence({}, 1).double(), double.log_evidence({}, 1), rtol=1e-5, atol=1e-5)
    for n, p in single.marginals({}, 1).items():
        assert p.dtype == torch.float32
        torch.testing.assert_close(p.double(), double.marginals({}, 1)[n], rtol=1e-4, atol=1e-5)


def test_programs_without_discrete_sites() -> None:
    def plain(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.zeros((), dtype=DOUBLE), 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 2.0), obs=x)

    conditionals, values = Conditionals(Program(plain, X)), {"loc": table(0.3, 1.8)}
    want = stats.norm(0, 5).logpdf([0.3, 1.8]) + stats.norm([[0.3], [1.8]], 2).logpdf(X.numpy()).sum(1)
    torch.testing.assert_close(conditionals.log_evidence(values, 2), torch.tensor(want))
    assert conditionals.marginals(values, 2) == {}
    assert conditionals.draw(values, Key(0), 2) == {}
    assert (conditionals.weights(values, 2)["x"] == 1).all()
    torch.testing.assert_close(conditionals.mode(values, 2)[1], torch.tensor(want))


def test_only_what_is_asked_for_is_worked_for() -> None:
    conditionals = Conditionals(Program(plates, X))
    torch.testing.assert_close(conditionals.marginals({}, 1, ["group"])["group"], conditionals.marginals({}, 1)["group"])
    assert list(conditionals.marginals({}, 1, ["other"])) == ["other"]
    (_, everything), (_, needed) = conditionals.joint.components[0], conditionals.pruned[0]
    assert len(needed.steps) < len(everything.steps)
    with pytest.raises(NameNotFoundError, match="nowhere; there are top, group"):
        conditionals.marginals({}, 1, ["nowhere"])


def test_draws_of_a_chain_do_not_depend_on_the_others() -> None:
    conditionals = Conditionals(Program(levels, X))
    both = conditionals.draw({}, Key(3, chains=(0, 1)), 200)
    one = conditionals.draw({}, Key(3, chains=(1,)), 100)
    assert all(torch.equal(both[n][100:], v) for n, v in one.items())


def test_held_sites_are_given() -> None:
    """The others are known given them."""
    conditionals = Conditionals(Program(levels, X), held=["level"])
    other = Conditionals(Program(conditioned, X))
    values = {"level": torch.tensor([1, 1])}
    torch.testing.assert_close(conditionals.log_evidence(values, 2), other.log_evidence({}, 2))
    torch.testing.assert_close(conditionals.marginals(values, 2)["up"], other.marginals({}, 2)["up"])
    assert set(conditionals.support) == {"idle", "up"}


def test_many_points_are_taken_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    conditionals = Conditionals(Program(mixture, X))
    values = {"loc": torch.randn(11, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)) * 4}

    def everything() -> list[Tensor]:
        mode, log_p = conditionals.mode(values, 11)
        weights, marginals = conditionals.weights(values, 11), conditionals.marginals(values, 11)
        return [conditionals.log_evidence(values, 11), log_p, mode["z"], weights["x"], weights["loc"], marginals["z"]]

    whole = everything()
    monkeypatch.setattr("ppgen.conditionals.CHUNK", 4 * 12)  # cells of four points
    for a, b in zip(everything(), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
