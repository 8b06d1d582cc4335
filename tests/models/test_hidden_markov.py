"""Hidden Markov models against all of their paths written out, published figures, hmmlearn's numbers, and other engines."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen import datasets, sample, score
from ppgen.diagnostics import ess_and_rhat
from ppgen.errors import DataError, NameNotFoundError, PpgenWarning, ProgramError
from ppgen.inference import AIS, EM, NUTS, SVI, Enumeration, Gibbs
from ppgen.inference.ais import Evidence
from ppgen.models import HiddenMarkov
from ppgen.models.hidden_markov import stationary
from ppgen.program import Program
from ppgen.targets import LogDensity
from tests.tools.every_path import EveryPath
from tests.tools.long_chains import KINDS as LONG
from tests.tools.long_chains import problem

EARTHQUAKES = datasets.load("earthquakes").x
HMMLEARN = json.loads((Path(__file__).parents[1] / "reference" / "hmmlearn.json").read_text(encoding="utf-8"))["figures"]
KINDS = ("normal", "multivariate_normal", "poisson", "categorical", "own")


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# All paths


@dataclass(frozen=True)
class World:
    """A random model with random data: ragged or not, values missing here and there by NaN, by a mask, or not at all."""

    seed: int

    @cached_property
    def draw(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def family(self) -> HiddenMarkov:
        kind, initial = KINDS[self.seed % 5], ("free", "stationary")[self.seed // 5 % 2]
        states = int(self.draw.integers(1, 5))
        if kind == "own":
            law = lambda rate, shape: dist.Gamma(shape, rate)  # noqa: E731
            priors = {"rate": dist.Gamma(2.0, 1.0), "shape": dist.Gamma(3.0, 1.0)}
            return HiddenMarkov(states, law, priors, shared=("shape",), initial=initial)
        given = {"multivariate_normal": {"num_features": 2}, "categorical": {"num_values": 3}}.get(kind, {})
        return HiddenMarkov(states, kind, initial=initial, **given)

    @cached_property
    def values(self) -> dict[str, Tensor]:
        """One of each, but for Dirichlet rows from the priors."""
        f, states = self.family, self.family.num_states
        rows = torch.as_tensor(self.draw.dirichlet(np.ones(states), states + 1))
        out = {"initial": rows[0], "transition": rows[1:]}
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for name, prior in f.priors().items():
                out[name] = prior.expand([states]).sample() if name not in f.shared else prior.sample()
        if f.initial == "stationary":
            power = torch.linalg.matrix_power(out["transition"], 2000)
            out["initial"] = power.mean(0)
        return out

    @cached_property
    def x(self) -> Any:
        f, d = self.family, self.draw
        states = f.num_states
        steps = int(d.integers(1, {1: 7, 2: 8, 3: 7, 4: 6}[states]))
        count = int(d.integers(1, 4))
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            z = torch.as_tensor(d.integers(states, size=(count, steps)))
            own = {n: v if n in f.shared else v[z] for n, v in self.values.items() if n in f.priors()}
            x = f.emission.law(**own).sample().double()
        mask = torch.as_tensor(d.random((count, steps)) < 0.7)
        mask[:, 0] = True
        how, ragged = int(d.integers(3)), bool(d.integers(2))
        if how == 1:
            x = torch.where(mask.reshape(*mask.shape, *[1] * len(f.event_shape)), x, torch.nan)
        lengths = torch.as_tensor(d.integers(1, steps + 1, size=count))
        out = {"x": x, **({"mask": mask} if how == 2 else {}), **({"lengths": lengths} if ragged else {})}
        if len(out) > 1:
            return out
        return x[0] if count == 1 and not f.event_shape else x

    @cached_property
    def sequences(self) -> list[Tensor]:
        """log p(x_t | state) of each sequence up to its end, (length, K), by scipy."""
        data = self.x if isinstance(self.x, dict) else {"x": self.x}
        x = data["x"] if data["x"].dim() > 1 + len(self.family.event_shape) else data["x"][None]
        mask = data.get("mask", torch.ones(x.shape[:2], dtype=torch.bool))
        lengths = data.get("lengths", torch.full((len(x),), x.shape[1]))
        out = []
        for n in range(len(x)):
            local = torch.zeros(int(lengths[n]), self.family.num_states, dtype=torch.float64)
            for t in range(len(local)):
                if mask[n, t] and not x[n, t].isnan().any():
                    for k in range(self.family.num_states):
                        local[t, k] = self.log_prob(x[n, t].numpy(), k)
            out.append(local)
        return out

    def log_prob(self, x: np.ndarray, k: int) -> float:
        kind, v = KINDS[self.seed % 5], {n: t.double().numpy() for n, t in self.values.items()}
        if kind == "normal":
            return float(stats.norm(v["loc"][k], v["scale"][k]).logpdf(x))
        if kind == "multivariate_normal":
            root = v["scale"][k][:, None] * v["correlation"][k]
            return float(stats.multivariate_normal(v["loc"][k], root @ root.T).logpdf(x))
        if kind == "poisson":
            return float(stats.poisson(v["rate"][k]).logpmf(x))
        if kind == "categorical":
            return float(np.log(v["probs"][k][int(x)]))
        return float(stats.gamma(v["shape"], scale=1 / v["rate"][k]).logpdf(x))

    def every(self) -> list[EveryPath]:
        return [EveryPath(self.values["initial"], self.values["transition"], local) for local in self.sequences]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("block", range(5))
def test_200_models_against_every_path(block: int) -> None:
    """Log-likelihood, probabilities of states, the best path, what comes next."""
    for seed in range(40 * block, 40 * block + 40):
        world = World(seed)
        f, x, v = world.family, world.x, world.values
        every = world.every()
        torch.testing.assert_close(f.log_likelihood(x, v), torch.stack([e.log_likelihood for e in every]), rtol=1e-9, atol=1e-9)
        smoothed, filtered, (paths, best) = f.smoothed(x, v), f.filtered(x, v), f.viterbi(x, v)
        ahead = f.forecast(x, v, 2).mixture_distribution.probs
        for n, e in enumerate(every):
            steps = len(e.local)
            torch.testing.assert_close(smoothed[n, :steps], e.smoothed, rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(filtered[n, :steps], e.filtered, rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(best[n], e.weights.amax(), rtol=1e-9, atol=1e-9)
            number = (paths[n, :steps] * f.num_states ** torch.arange(steps).flip(0)).sum()
            torch.testing.assert_close(e.weights[number], best[n], rtol=1e-9, atol=1e-9)
            last = e.smoothed[-1] @ e.transition
            torch.testing.assert_close(ahead[n], torch.stack([last, last @ e.transition]), rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("double")
def test_gradients_against_every_path() -> None:
    """By every parameter, all paths differentiated by torch."""
    for seed in range(60):
        world = World(seed)
        f = world.family
        names = [n for n in f._continuous() if n not in f.priors()]
        given = {n: world.values[n].clone().requires_grad_() for n in names}
        values = {**world.values, **given}
        got = torch.autograd.grad(f.log_likelihood(world.x, values).sum(), list(given.values()), allow_unused=True)
        first = values["initial"] if f.initial == "free" else stationary(values["transition"])
        total = torch.stack([EveryPath(first, values["transition"], local).log_likelihood for local in world.sequences]).sum()
        want = torch.autograd.grad(total, list(given.values()), allow_unused=True)
        for name, *both in zip(names, got, want, strict=True):  # None: a single step has no transition
            a, b = (torch.zeros_like(given[name]) if g is None else g for g in both)
            a, b = (g - g.mean(-1, keepdim=True) for g in (a, b))  # along the simplex: rows sum to 1
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, msg=f"{name} of world {seed}: {a} {b}")


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("seed", [3, 6, 7, 15, 16])
def test_gradients_of_programs_against_differences(seed: int) -> None:
    """Of the density that engines see, whose value the contract suite compares with the closed form."""
    world = World(seed)
    density = LogDensity(Program(world.family, world.x), lowering="recorded")
    position = density.unconstrain({s.name: world.values[s.name][None] for s in density.sites})
    _, gradient = density.value_and_grad(position)
    step = 1e-5 * torch.eye(density.dim)
    slope = (density.log_density(position + step) - density.log_density(position - step)) / 2e-5
    torch.testing.assert_close(gradient[0], slope, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("seed", [4, 5, 18])
def test_path_draws_have_the_joint_law(seed: int) -> None:
    """Every path as often as its posterior probability says, by chi-square over those expected more than 5 times."""
    world, count = World(seed), 20_000
    drawn = world.family.paths(world.x, world.values, count, seed=1)
    for n, every in enumerate(world.every()):
        steps, states = every.local.shape
        number = (drawn[:, n, :steps] * states ** torch.arange(steps).flip(0)).sum(-1)
        seen = np.bincount(number.numpy(), minlength=states**steps)
        want = every.weights.softmax(0).numpy() * count
        often = want > 5
        assert seen[want < 1e-9].sum() == 0
        cells, expected = np.array([*seen[often], seen[~often].sum()]), np.array([*want[often], want[~often].sum()])
        keep = expected > 1e-3
        if keep.sum() > 1:
            assert stats.chisquare(cells[keep], expected[keep] * count / expected[keep].sum()).pvalue > 1e-3


# Published figures


@pytest.mark.parametrize(
    ("states", "expected", "bic", "rates"),
    [
        (1, -391.9189, 788.5107, [19.364]),
        (2, -342.3183, 703.3278, [15.472, 26.125]),
        (3, -329.4603, 700.976, [13.146, 19.721, 29.714]),
        pytest.param(
            4, -327.8316, 730.4284, [11.283, 13.853, 19.695, 29.700], marks=pytest.mark.slow
        ),  # ten starts, of which some end elsewhere
    ],
)
def test_earthquakes(states: int, expected: float, bic: float, rates: list[float]) -> None:
    """Zucchini & MacDonald (2009), table 3.1, by EM: three states are best by BIC."""
    family = HiddenMarkov(states, "poisson", initial="stationary", like=EARTHQUAKES)
    found = EM(priors=False, num_starts=10 if states > 3 else 3, progress=False).run(family, EARTHQUAKES)
    assert -float(found.losses[-1]) == pytest.approx(expected, abs=1e-4)
    assert 2 * float(found.losses[-1]) + states**2 * math.log(107) == pytest.approx(bic, abs=2e-3)
    values = family.relabel({n: t[0, 0] for n, t in found.draws.items()})
    assert values["rate"].tolist() == pytest.approx(rates, abs=2e-3)
    assert float(family.log_likelihood(EARTHQUAKES, values)) == pytest.approx(expected, abs=1e-4)


def test_earthquakes_with_a_free_start() -> None:
    """The first state certain, as maximum likelihood has it: -341.8787 with two states."""
    family = HiddenMarkov(2, "poisson", like=EARTHQUAKES)
    found = EM(priors=False, num_starts=3, progress=False).run(family, EARTHQUAKES)
    assert -float(found.losses[-1]) == pytest.approx(-341.8787, abs=1e-4)
    assert float(found.draws["initial"].max()) == pytest.approx(1.0, abs=1e-5)


def test_stationary_law_of_three_earthquake_states() -> None:
    """The book's transition matrix and its stationary law, to the digits printed."""
    table = torch.tensor([[0.9546, 0.0244, 0.0210], [0.0498, 0.8994, 0.0508], [0.0, 0.1966, 0.8034]])
    assert stationary(table).tolist() == pytest.approx([0.4436, 0.4045, 0.1519], abs=5e-4)


# hmmlearn


def long(kind: str) -> tuple[HiddenMarkov, Tensor, dict[str, Tensor]]:
    given = {n: torch.as_tensor(v) for n, v in problem(kind).items()}
    settings = {"multivariate_normal": {"num_features": 3}, "categorical": {"num_values": 12}}.get(kind, {})
    if (covariance := given.pop("covariance", None)) is not None:
        given["scale"] = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        given["correlation"] = torch.linalg.cholesky(covariance / (given["scale"][..., None] * given["scale"][..., None, :]))
    x = given.pop("x")
    return HiddenMarkov(len(given["initial"]), kind, **settings), x, given


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", list(LONG))
def test_long_sequences_as_hmmlearn_has_them(kind: str) -> None:
    """To 1e-6 relative and better, for sequences of 5,000 to 20,000 steps."""
    (family, x, values), stored = long(kind), HMMLEARN[kind]
    assert float(family.log_likelihood(x, values)) == pytest.approx(stored["log_likelihood"], rel=1e-9)
    smoothed = family.smoothed(x, values)[0]
    assert smoothed.sum(0).tolist() == pytest.approx(stored["smoothed_sum"], rel=1e-7)
    for t, row in stored["smoothed_at"].items():
        assert smoothed[int(t)].tolist() == pytest.approx(row, rel=1e-6, abs=1e-9)
    paths, best = family.viterbi(x, values)
    assert float(best) == pytest.approx(stored["viterbi_log_probability"], rel=1e-9)
    assert paths[0].bincount(minlength=family.num_states).tolist() == stored["viterbi_counts"]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", ["poisson", pytest.param("multivariate_normal", marks=pytest.mark.slow)])
def test_a_step_of_em_as_hmmlearn_takes_it(kind: str) -> None:
    (family, x, values), stored = long(kind), HMMLEARN[kind]
    engine = EM(priors=False, num_starts=1, num_steps=1, accelerate=False, start=values, lowering="recorded", progress=False)
    with pytest.warns(PpgenWarning, match="before it converged"):
        found = engine.run(family, x)
    assert -float(found.losses[0]) == pytest.approx(stored["log_likelihood_after_one_step_of_em"], rel=1e-6)
    assert found.draws["transition"][0, 0].numpy() == pytest.approx(np.array(stored["transition_after"]), rel=1e-3, abs=1e-6)


# Programs and engines


def test_engines_agree() -> None:
    """NUTS, paths summed out, and Gibbs, paths drawn, within Monte Carlo error; the normal of SVI within a third of a sd."""
    family = HiddenMarkov(2, "poisson", like=EARTHQUAKES)
    nuts = NUTS(num_chains=4, num_warmup=500, num_samples=1000, progress=False).run(family, EARTHQUAKES)
    gibbs = Gibbs(num_chains=4, num_warmup=200, num_samples=6000, progress=False).run(family, EARTHQUAKES)
    svi = SVI(num_steps=3000, num_samples=2000, progress=False).run(family, EARTHQUAKES)
    a, b, c = (family.relabel(p.draws) for p in (nuts, gibbs, svi))
    for site in ("rate", "transition", "state"):
        x, y, z = (t[site].double().flatten(2).numpy() for t in (a, b, c))
        moves = x.std((0, 1)) > 0.02
        ess = [ess_and_rhat(t)[0][moves] for t in (x, y)]
        assert min(e.min() for e in ess) > 200
        error = np.sqrt(sum(t.var((0, 1))[moves] / e for t, e in zip((x, y), ess, strict=True)))
        assert (np.abs(x.mean((0, 1)) - y.mean((0, 1)))[moves] < 5 * error).all(), site
        assert (np.abs(x.mean((0, 1)) - z.mean((0, 1))) < 0.34 * x.std((0, 1)) + 0.02).all(), site


def test_paths_of_programs_are_the_familys_own() -> None:
    """By the engine for discrete sites: marginals and best path at fixed parameters, ragged and with missing steps."""
    family = HiddenMarkov(2, "poisson", like=EARTHQUAKES)
    x = {"x": torch.where(torch.arange(107) % 9 == 4, torch.nan, EARTHQUAKES).repeat(2, 1), "lengths": torch.tensor([107, 30])}
    values = {"initial": torch.tensor([0.3, 0.7]), "transition": torch.tensor([[0.9, 0.1], [0.2, 0.8]]), "rate": torch.tensor([15.0, 26.0])}
    program = pyro.condition(family, values)
    found = Enumeration(num_samples=2000, progress=False).run(program, x)
    smoothed = family.smoothed(x, values)
    share = found.draws["state"][0].double().mean(0)
    inside = torch.arange(107) < x["lengths"][:, None]
    p = smoothed[..., 1].double()
    assert ((share - p).abs() < 5 * (p * (1 - p) / 2000).sqrt() + 2e-3)[inside].all()
    assert float(score(program, x).value.sum()) == pytest.approx(float(family.log_likelihood(x, values).sum()), rel=1e-6)


def test_relabelled_states_are_the_same_model() -> None:
    family = HiddenMarkov(3, "poisson", like=EARTHQUAKES)
    shapes = {"initial": (5, 3), "transition": (5, 3, 3)}
    draws = {n: torch.distributions.Dirichlet(torch.ones(s)).sample().double() for n, s in shapes.items()}
    draws |= {"rate": torch.rand(5, 3).double() * 30 + 1, "state": torch.randint(3, (5, 1, 107))}
    again = family.relabel(draws)
    assert (again["rate"].diff(dim=-1) > 0).all()
    torch.testing.assert_close(family.log_likelihood(EARTHQUAKES, again), family.log_likelihood(EARTHQUAKES, draws))
    rates = [d["rate"].take_along_dim(d["state"][:, 0], -1) for d in (draws, again)]
    torch.testing.assert_close(*rates)
    assert family.relabel({"rate": draws["rate"]})["rate"] is draws["rate"]


def evidence(states: int) -> Evidence:
    family = HiddenMarkov(states, "poisson", like=EARTHQUAKES)
    return AIS(num_temperatures=200, num_particles=200, seed=1).evidence(family, EARTHQUAKES)


def test_the_evidence_of_one_state_is_that_of_counts_alike() -> None:
    """Gamma and Poisson: in closed form."""
    prior = HiddenMarkov(1, "poisson", like=EARTHQUAKES).priors()["rate"]
    a, b, n, total = float(prior.concentration), float(prior.rate), len(EARTHQUAKES), float(EARTHQUAKES.sum())
    constant = a * math.log(b) - math.lgamma(a) - float((EARTHQUAKES + 1).lgamma().sum())
    exact = constant + math.lgamma(a + total) - (a + total) * math.log(b + n)
    found = evidence(1)
    assert found.log_evidence == pytest.approx(exact, abs=4 * found.standard_error)
    assert found.standard_error < 0.1
    assert found.lower < exact


@pytest.mark.slow
def test_how_many_states_by_annealing() -> None:
    """Two states as 400,000 draws of the prior have them, -351.63; three are best, as they are by BIC (Zucchini & MacDonald, 2009)."""
    found = {states: evidence(states) for states in (2, 3, 4)}
    assert found[2].log_evidence == pytest.approx(-351.63, abs=4 * found[2].standard_error + 0.1)
    assert max(found, key=lambda states: found[states].log_evidence) == 3
    assert max(e.standard_error for e in found.values()) < 0.15


def test_how_many_states_by_their_evidence() -> None:
    """By the lower bound of SVI, two and three are far better than one, as by BIC."""
    bounds = []
    for states in (1, 2, 3):
        family = HiddenMarkov(states, "poisson", initial="stationary", like=EARTHQUAKES)
        found = SVI(num_steps=1500, progress=False).run(family, EARTHQUAKES)
        bounds.append(-float(found.losses[-100:].mean()))
    assert bounds[1] > bounds[0] + 30
    assert bounds[2] > bounds[0] + 30


def test_draws_of_data_come_back() -> None:
    """Sequences drawn by the model have the mean that the stationary law says."""
    values = {"transition": torch.tensor([[0.9, 0.1], [0.3, 0.7]]), "rate": torch.tensor([5.0, 50.0])}
    family = HiddenMarkov(2, "poisson", initial="stationary", length=200)
    drawn = sample(lambda: pyro.condition(family, values)(size=1), 300, seed=2)["x"]
    assert drawn.shape == (300, 1, 200)
    each = drawn.double().mean((1, 2))
    assert float(each.mean()) == pytest.approx(0.75 * 5 + 0.25 * 50, abs=5 * float(each.std()) / 300**0.5)


# Mistakes


def test_settings() -> None:
    with pytest.raises(ProgramError, match="num_states must be at least 1, got 0"):
        HiddenMarkov(0)
    with pytest.raises(NameNotFoundError, match="no emission 'gamma'; there are normal, multivariate_normal, poisson, categorical"):
        HiddenMarkov(2, "gamma")
    with pytest.raises(NameNotFoundError, match="no initial 'fixed'; there are free, stationary"):
        HiddenMarkov(2, initial="fixed")  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="categorical emissions need num_values"):
        HiddenMarkov(2, "categorical")
    with pytest.raises(ProgramError, match="at least one parameter of their own"):
        HiddenMarkov(2, dist.Poisson)
    with pytest.raises(NameNotFoundError, match="no prior for spread; there are rate"):
        HiddenMarkov(2, "poisson", shared=["spread"])
    with pytest.raises(ProgramError, match="concentration must be positive"):
        HiddenMarkov(2, concentration=0.0)
    with pytest.raises(DataError, match="sequence 0 of x has no step that is observed"):
        HiddenMarkov(2, like=torch.full((5,), torch.nan))
    with pytest.raises(DataError, match="like has 2 rows, fewer than the 3"):
        HiddenMarkov(3, like=torch.tensor([1.0, 2.0]))
    with pytest.raises(NameNotFoundError, match=r"no value for rate; given are initial, transition"):
        HiddenMarkov(1, "poisson").smoothed(EARTHQUAKES, {"initial": torch.ones(1), "transition": torch.ones(1, 1)})


@pytest.mark.slow
def test_how_many_states_by_leaving_out_sequences() -> None:
    """Thirty sequences of two states far apart: each is a datum, and two states are far better than one."""
    arviz = pytest.importorskip("arviz")
    draw = np.random.default_rng(0)
    state, rows = draw.integers(0, 2, 30), []
    for _ in range(25):
        state = (draw.random(30) < np.where(state == 0, 0.1, 0.8)).astype(int)
        rows.append(np.where(state == 0, 50.0, 80.0) + 8.0 * draw.normal(size=30))
    x = torch.as_tensor(np.stack(rows, 1), dtype=torch.float32)
    found = []
    for states in (1, 2):
        posterior = NUTS(num_samples=300, seed=0, progress=False).run(HiddenMarkov(states, "normal", like=x), x)
        found.append(arviz.loo(posterior.to_arviz(), pointwise=True))
    assert [f.n_data_points for f in found] == [30, 30]
    assert max(float(f.pareto_k.max()) for f in found) < 0.7
    gain = (found[1].loo_i - found[0].loo_i).to_numpy()
    assert gain.sum() > 5 * gain.std() * math.sqrt(30)


def test_a_step_that_lacks_some_numbers_is_missing() -> None:
    x = datasets.load("old-faithful").x[:30].double().clone()
    family = HiddenMarkov(2, "normal", num_features=2)
    values = {
        "initial": torch.tensor([0.3, 0.7]).double(),
        "transition": torch.tensor([[0.1, 0.9], [0.6, 0.4]]).double(),
        "loc": torch.tensor([[2.0, 55.0], [4.3, 80.0]]).double(),
        "scale": torch.tensor([[0.4, 6.0], [0.5, 7.0]]).double(),
    }
    x[4, 1] = torch.nan
    with pytest.warns(PpgenWarning, match="1 steps of x lack some of their numbers, the first is step 4 of sequence 0"):
        partly = family.log_likelihood(x, values)
    x[4] = torch.nan
    torch.testing.assert_close(partly, family.log_likelihood(x, values), rtol=0, atol=0)
