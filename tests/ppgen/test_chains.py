"""Programs with chains against all of their assignments written out: 200 random ones with masks, sequences, several chains, mixtures
among the emissions, regimes above; and what a DiscreteChain is by itself."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen import DiscreteChain
from ppgen.conditionals import Conditionals
from ppgen.errors import EliminationError, GuideError, ProgramError
from ppgen.inference import NUTS, SVI
from ppgen.keys import Key
from ppgen.program import FromValues, Program
from ppgen.simulation import simulate
from ppgen.targets import LogDensity

DOUBLE = torch.float64


@dataclass(frozen=True)
class World:
    """A random program. `second`: none; factorial (both chains enter x); coupled (its steps depend on the first one's state); separate
    (with emissions of its own). K states of the first chain, 2 of the second; M components of each emission; R regimes."""

    seed: int

    @cached_property
    def draw(self) -> Any:
        return np.random.default_rng(self.seed)

    def __post_init__(self) -> None:
        d = self.draw
        self.__dict__.update(
            K=int(d.integers(2, 5)),
            second=str(d.choice(["none", "none", "factorial", "coupled", "separate"])),
            M=int(d.integers(1, 3)),
            R=int(d.integers(1, 3)),
            varying=bool(d.integers(2)),
            forbidden=bool(d.integers(2)),
            sequences=int(d.integers(0, 4)),  # 0: none, no plate either
            rests=bool(d.integers(4) == 0),
        )
        cells = self.K * (1 if self.second == "none" else 2) * self.M
        self.__dict__["T"] = int(d.integers(1, max(2, min(7, int(np.log(2500) / np.log(cells))) + 1)))
        shape = (max(self.sequences, 1), self.T)
        self.__dict__["x"] = torch.tensor(d.normal(size=shape) * 3 + 1)
        self.__dict__["y"] = torch.tensor(d.normal(size=shape))
        self.__dict__["mask"] = torch.tensor(d.random(shape) < 0.7)
        self.__dict__["alive"] = torch.arange(self.T) < torch.tensor(d.integers(1, self.T + 1, size=(shape[0], 1)))
        closed = torch.tensor(d.random((self.K, self.K)) < 0.4) & ~torch.eye(self.K, dtype=torch.bool)
        self.__dict__["closed"] = torch.where(closed & torch.tensor(self.forbidden), -torch.inf, 0.0).double()
        self.__dict__["drift"] = torch.tensor(d.normal(size=(self.T, 1, 1))) * (1.0 if self.varying else 0.0)

    def model(self, x: Tensor) -> None:
        K, M, R = self.K, self.M, self.R
        steps = pyro.sample("steps", dist.Normal(torch.zeros(R, K, K, dtype=DOUBLE), 1.0).to_event(3))
        loc = pyro.sample("loc", dist.Normal(torch.zeros(K, M, dtype=DOUBLE), 3.0).to_event(2))
        shares = pyro.sample("shares", dist.Normal(torch.zeros(K, M, dtype=DOUBLE), 1.0).to_event(2))
        regime: Any = pyro.sample("regime", dist.Categorical(logits=torch.arange(R, dtype=DOUBLE))) if R > 1 else torch.tensor(0)
        logits = steps[regime] + self.closed
        if self.varying:
            logits = logits + self.drift * torch.arange(K, dtype=DOUBLE)
        first = torch.arange(K, dtype=DOUBLE)
        outer = [pyro.plate("sequences", self.sequences, dim=-2)] if self.sequences else []
        x = x if self.sequences else x[0]
        mask, alive, y = (t if self.sequences else t[0] for t in (self.mask, self.alive, self.y))
        for plate in outer:
            plate.__enter__()
        with pyro.plate("time", self.T, dim=-1):
            with pyro.poutine.mask(mask=alive if self.rests else torch.tensor(True)):
                z = pyro.sample("z", DiscreteChain(initial_logits=first, transition_logits=logits))
                shift: Any = 0.0
                if self.second != "none":
                    turn = torch.tensor([[0.7, 0.3], [0.1, 0.9]], dtype=DOUBLE)
                    pull = torch.stack([turn, turn.flip(0), turn, turn.flip(0)])[z] if self.second == "coupled" else turn
                    v = pyro.sample("v", DiscreteChain(torch.tensor([0.4, 0.6], dtype=DOUBLE), pull))
                    if self.second == "separate":
                        pyro.sample("y", dist.Normal(v * 1.5, 1.0), obs=y)
                    else:
                        shift = 2.0 * v
            with pyro.poutine.mask(mask=mask & alive):
                c: Any = pyro.sample("c", dist.Categorical(logits=shares[z])) if M > 1 else torch.tensor(0)
                pyro.sample("x", dist.Normal(loc[z, c] + shift, 1.3), obs=x)
        for plate in outer:
            plate.__exit__(None, None, None)

    @property
    def program(self) -> Program:
        return Program(self.model, self.x)

    # All assignments of one sequence

    @cached_property
    def paths(self) -> Tensor:
        """(P, T, 3): of z, v and c."""
        cells = list(itertools.product(range(self.K), range(1 if self.second == "none" else 2), range(self.M)))
        return torch.tensor(list(itertools.product(cells, repeat=self.T)))

    def weights(self, values: dict[str, Tensor]) -> Tensor:
        """log p(regime, paths of a sequence, x), (R, sequences, P), but for the prior of the regime."""
        z, v, c = self.paths.unbind(-1)
        rows = []
        for r in range(self.R):
            logits = (values["steps"][r] + self.closed).expand(self.T, self.K, self.K)
            if self.varying:
                logits = logits + self.drift * torch.arange(self.K, dtype=DOUBLE)
            steps = logits.log_softmax(-1)
            rows.append(torch.stack([self._weight(n, steps, values, z, v, c) for n in range(len(self.x))]))
        return torch.stack(rows)

    def _weight(self, n: int, steps: Tensor, values: dict[str, Tensor], z: Tensor, v: Tensor, c: Tensor) -> Tensor:
        turn = torch.tensor([[0.7, 0.3], [0.1, 0.9]], dtype=DOUBLE).log()
        total = torch.arange(self.K, dtype=DOUBLE).log_softmax(-1)[z[:, 0]]
        for t in range(self.T):
            lives = not self.rests or bool(self.alive[n, t])
            if t:
                stays = torch.where(z[:, t] == z[:, t - 1], 0.0, -torch.inf).double()
                total = total + (steps[t, z[:, t - 1], z[:, t]] if lives else stays)
            if self.second != "none":
                flipped = (z[:, t] % 2 == 1) & torch.tensor(self.second == "coupled")
                if t:
                    stays = torch.where(v[:, t] == v[:, t - 1], 0.0, -torch.inf).double()
                    own = torch.where(flipped, turn.flip(0)[v[:, t - 1], v[:, t]], turn[v[:, t - 1], v[:, t]])
                    total = total + (own if lives else stays)
                else:
                    total = total + torch.tensor([0.4, 0.6], dtype=DOUBLE).log()[v[:, 0]]
                if self.second == "separate" and lives:
                    total = total + dist.Normal(v[:, t].double() * 1.5, 1.0).log_prob(self.y[n, t])
            if self.mask[n, t] and self.alive[n, t]:
                if self.M > 1:
                    total = total + values["shares"].log_softmax(-1)[z[:, t], c[:, t]]
                shift = 0.0 if self.second in ("none", "separate") else 2.0 * v[:, t].double()
                total = total + dist.Normal(values["loc"][z[:, t], c[:, t]] + shift, 1.3).log_prob(self.x[n, t])
        return total

    def evidence(self, values: dict[str, Tensor]) -> Tensor:
        """log p(x, values): the priors of the continuous sites too."""
        regimes = torch.arange(self.R, dtype=DOUBLE).log_softmax(-1)
        total = (regimes + self.weights(values).logsumexp(-1).sum(-1)).logsumexp(0)
        scales = {"steps": 1.0, "loc": 3.0, "shares": 1.0}
        laws = {n: dist.Normal(torch.zeros((), dtype=DOUBLE), s) for n, s in scales.items()}
        return total + torch.stack([law.log_prob(values[n]).sum() for n, law in laws.items()]).sum()


def check(seed: int, lowering: str) -> None:
    world = World(seed)
    try:
        density = LogDensity(world.program, lowering=lowering)
    except EliminationError as error:
        raise AssertionError(f"world {seed}: {world.__dict__}") from error
    point = torch.randn(2, density.dim, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    value, gradient = density.value_and_grad(point)
    for i in range(2):
        at = point[i].clone().requires_grad_()
        shapes = {s.name: (s.slice, s.shape) for s in density.sites}
        want = world.evidence({n: at[part].reshape(shape) for n, (part, shape) in shapes.items()})
        (slope,) = torch.autograd.grad(want, at)
        torch.testing.assert_close(value[i], want, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(gradient[i], slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("block", [pytest.param(b, marks=[pytest.mark.slow] if b > 1 else []) for b in range(10)])
def test_densities_of_200_programs(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        check(seed, "recorded")


@pytest.mark.parametrize("seed", range(0, 40, 8))
@pytest.mark.parametrize("lowering", ["native", "eager"])
def test_lowerings_agree(seed: int, lowering: str) -> None:
    check(seed, lowering)


def posterior(world: World, values: dict[str, Tensor]) -> Tensor:
    """p(regime, path of a sequence | x), (R, sequences, P)."""
    weights = world.weights(values)
    each = weights.logsumexp(-1)
    regimes = (torch.arange(world.R, dtype=DOUBLE).log_softmax(-1) + each.sum(-1)).log_softmax(0)
    return (weights - each[..., None] + regimes[:, None, None]).exp()


@pytest.mark.parametrize("block", [pytest.param(b, marks=[pytest.mark.slow] if b else []) for b in range(4)])
def test_marginals_weights_and_modes(block: int) -> None:
    for seed in range(12 * block, 12 * block + 12):
        world = World(seed)
        conditionals = Conditionals(world.program, lowering="recorded")
        g = torch.Generator().manual_seed(seed)
        shapes = {"steps": (world.R, world.K, world.K), "loc": (world.K, world.M), "shares": (world.K, world.M)}
        values = {n: torch.randn(s, generator=g, dtype=DOUBLE) for n, s in shapes.items()}
        batch = {n: v[None].expand(2, *v.shape) for n, v in values.items()}
        torch.testing.assert_close(conditionals.log_evidence(batch, 2)[1], world.evidence(values), rtol=1e-10, atol=1e-10)
        p = posterior(world, values).sum(0)  # (sequences, P)
        states = torch.nn.functional.one_hot(world.paths[..., 0], world.K).double()  # (P, T, K)
        got = conditionals.marginals(batch, 2)["z"][0].reshape(len(world.x), world.T, world.K)
        torch.testing.assert_close(got, torch.einsum("np,ptk->ntk", p, states), rtol=1e-8, atol=1e-10)
        steps = torch.einsum("np,pti,ptj->ij", p, states[:, :-1], states[:, 1:])
        weights = conditionals.weights(batch, 2)["z"][1]
        dims = conditionals.sites["z"].dims
        now, past = dims.index("z"), dims.index("z@previous")
        weights = weights.movedim((past, now), (0, 1)).flatten(2).sum(-1)
        torch.testing.assert_close(weights[:-1], steps, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(weights[-1], torch.einsum("np,pk->k", p, states[:, 0]), rtol=1e-8, atol=1e-9)
        modes, log_p = conditionals.mode(batch, 2)
        best = world.weights(values).amax(-1).sum(-1) + torch.arange(world.R, dtype=DOUBLE).log_softmax(-1)
        prior = world.evidence(values) - (
            torch.arange(world.R, dtype=DOUBLE).log_softmax(-1) + world.weights(values).logsumexp(-1).sum(-1)
        ).logsumexp(0)
        hidden = int((~(world.mask & world.alive)).sum()) * np.log(world.M)  # components that nothing was seen of count once for each value
        assert float(log_p[0]) == pytest.approx(float(best.amax() + prior), rel=1e-9, abs=1e-9 + hidden)
        run = world.program.run(FromValues, values={**values, **{n: v[0] for n, v in modes.items()}})
        total = sum(s.log_prob.sum() for s in run.sites.values())
        assert float(total) == pytest.approx(float(log_p[0]), rel=1e-9)


@pytest.mark.parametrize("seed", [0, 5, 11])
def test_draws_have_the_joint_law(seed: int) -> None:
    world, count = World(seed), 4000
    density = LogDensity(world.program, lowering="recorded")
    point = torch.randn(density.dim, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE) * 0.5
    values = {n: v[0] for n, v in density.constrain(point[None]).items()}
    drawn = density.latents(point.expand(1, count, density.dim), Key(3))["z"].reshape(count, len(world.x), world.T)
    p = posterior(world, values).sum(0)
    for n in range(len(world.x)):
        codes = (world.paths[..., 0] * world.K ** torch.arange(world.T)).sum(-1)
        size = world.K**world.T
        want = torch.zeros(size, dtype=DOUBLE).index_add(0, codes, p[n]).numpy() * count
        seen = np.bincount((drawn[:, n] * world.K ** torch.arange(world.T)).sum(-1).numpy(), minlength=size)
        assert seen[want < 1e-9].sum() == 0
        often = want > 5
        cells = np.array([*seen[often], seen[~often].sum()]), np.array([*want[often], want[~often].sum()])
        if often.sum() > 1 and cells[1][-1] > 1e-3:
            assert stats.chisquare(cells[0], cells[1] * count / cells[1].sum()).pvalue > 1e-4


# A DiscreteChain by itself


def test_log_prob_of_a_path() -> None:
    first, steps = torch.tensor([0.2, 0.8]), torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    fn = DiscreteChain(first, steps, length=3)
    path = torch.tensor([1, 0, 1])
    torch.testing.assert_close(fn.log_prob(path), torch.tensor([0.8, 0.9, 0.5]).log())
    assert fn.batch_shape == (3,)
    varying = torch.stack([steps, steps.flip(0)])
    for given in (varying, torch.cat([varying[:1], varying])):
        torch.testing.assert_close(DiscreteChain(first, given, length=3).log_prob(path), torch.tensor([0.8, 0.9, 0.1]).log())
    logits = DiscreteChain(initial_logits=first.log() + 3, transition_logits=steps.log() - 1, length=3)
    torch.testing.assert_close(logits.log_prob(path), fn.log_prob(path))
    wide = fn.expand([5, 3])
    assert wide.log_prob(path.expand(5, 3)).shape == (5, 3)
    assert wide.sample().shape == (5, 3)


def test_samples_have_the_law_of_the_chain() -> None:
    first, steps = torch.tensor([0.2, 0.8, 0.0]), torch.tensor([[0.5, 0.5, 0.0], [0.3, 0.1, 0.6], [0.0, 1.0, 0.0]])
    drawn = DiscreteChain(first, steps, length=4).sample((8000,))
    law = first.numpy()
    for t in range(4):
        seen = np.bincount(drawn[:, t], minlength=3) / 8000
        assert np.abs(seen - law).max() < 4 * 0.5 / np.sqrt(8000)
        law = law @ steps.numpy()
    pairs = np.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9).reshape(3, 3) / 8000
    assert np.abs(pairs - (first[:, None] * steps).numpy()).max() < 4 * 0.5 / np.sqrt(8000)


def test_each_draw_of_a_simulation_is_its_own() -> None:
    def model(size: int) -> None:
        stay = pyro.sample("stay", dist.Uniform(0.0, 1.0))
        steps = torch.stack([torch.stack([stay, 1 - stay]), torch.stack([1 - stay, stay])])
        with pyro.plate("sequences", size, dim=-2), pyro.plate("time", 20, dim=-1):
            z = pyro.sample("z", DiscreteChain(torch.tensor([0.5, 0.5]), steps))
            pyro.sample("x", dist.Normal(z.float(), 0.1))

    drawn = simulate(Program(model, 3), {}, 500, seed=0)
    assert drawn["z"].shape == drawn["x"].shape == (500, 3, 20)
    stayed = (drawn["z"][..., 1:] == drawn["z"][..., :-1]).float().mean((1, 2))
    assert torch.corrcoef(torch.stack([stayed, drawn["stay"]]))[0, 1] > 0.95
    assert (drawn["x"] - drawn["z"]).abs().max() < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial": [0.5, 0.5], "transition": [[0.5, 0.5], [0.9, 0.2]]}, r"transition, row 1: \[0.9, 0.2\] must be probabilities"),
        ({"initial": [0.5, 0.6], "transition": [[0.5, 0.5], [0.9, 0.1]]}, "initial, the only row"),
        ({"initial": [0.5, 0.5], "transition": [[1.0]]}, r"transition has shape \(1, 1\); for 2 states"),
        ({"initial": [[0.5, 0.5], [0.5, 0.5]], "transition": [[0.5, 0.5], [0.9, 0.1]]}, "the dimension before the states is that of time"),
        ({"initial": [0.5, 0.5]}, "either transition or transition_logits"),
        ({"initial": [0.5, 0.5], "transition_logits": [[0.0, float("nan")], [0.0, 0.0]]}, "transition_logits, row 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        DiscreteChain(**{n: torch.tensor(v) for n, v in arguments.items()})


# Refusals

FIRST, STEPS = torch.tensor([0.5, 0.5]), torch.tensor([[0.9, 0.1], [0.2, 0.8]])


def mixed_over_time() -> None:
    with pyro.plate("time", 4, dim=-1):
        z = pyro.sample("z", DiscreteChain(FIRST, STEPS))
    visits = torch.nn.functional.one_hot(z, 2).sum(-2)
    pyro.sample("x", dist.Normal(visits.float(), 1.0).to_event(1), obs=torch.tensor([3.0, 1.0]))


def shifted() -> None:
    with pyro.plate("time", 4, dim=-1):
        z = pyro.sample("z", DiscreteChain(FIRST, STEPS))
        late = z.roll(1, -1) if z.dim() else z
        pyro.sample("x", dist.Normal(late.float(), 1.0), obs=torch.tensor([3.0, 1.0, 0.0, 0.0]))


def without_time() -> None:
    z = pyro.sample("z", DiscreteChain(FIRST, STEPS, length=4))
    pyro.sample("x", dist.Normal(z.float(), 1.0).to_event(1), obs=torch.zeros(4))


def as_an_event() -> None:
    with pyro.plate("sequences", 2, dim=-1):
        z = pyro.sample("z", DiscreteChain(FIRST, STEPS, length=4).expand([2, 4]).to_event(1))
        pyro.sample("x", dist.Normal(z.float(), 1.0).to_event(1), obs=torch.zeros(2, 4))


def unequal_scales() -> None:
    with pyro.plate("time", 4, dim=-1):
        z = pyro.sample("z", DiscreteChain(FIRST, STEPS))
        with pyro.poutine.scale(scale=2.0):
            pyro.sample("x", dist.Normal(z.float(), 1.0), obs=torch.zeros(4))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (mixed_over_time, "'x'.*mixes the enumerated z across a plate"),
        (shifted, "'x'.*mixes the enumerated z across a plate"),
        (without_time, "site 'z' is a DiscreteChain outside of a plate over time"),
        (as_an_event, "site 'z' is a DiscreteChain outside of a plate over time"),
        (unequal_scales, "sites z, x hang together .* different scales"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(model: Any, message: str) -> None:
    with pytest.raises(EliminationError, match=message):
        LogDensity(Program(model, data_plate=None).bind(), lowering="recorded")


def test_enumeration_by_others_is_refused() -> None:
    with pytest.raises(NotImplementedError):
        DiscreteChain(FIRST, STEPS, length=3).enumerate_support()


# Engines


def hidden(x: Tensor) -> None:
    low, gap = pyro.sample("low", dist.Normal(0.0, 3.0)), pyro.sample("gap", dist.LogNormal(1.0, 1.0))
    loc = pyro.deterministic("loc", torch.stack([low, low + gap]))
    with pyro.plate("rows", 2, dim=-1):
        steps = pyro.sample("steps", dist.Dirichlet(torch.tensor([2.0, 2.0])))
    with pyro.plate("sequences", x.shape[0], dim=-2), pyro.plate("time", x.shape[1], dim=-1):
        z = pyro.sample("z", DiscreteChain(FIRST, steps))
        pyro.sample("x", dist.Normal(loc[z], 1.5), obs=x)


def test_nuts_and_svi_agree_on_a_hidden_chain() -> None:
    path = DiscreteChain(FIRST, STEPS, length=60).expand([3, 60]).sample()
    x = torch.tensor([-1.0, 4.0])[path] + 1.5 * torch.randn(3, 60)
    fit = NUTS(num_warmup=300, num_samples=500, num_chains=4, seed=1).run(hidden, x)
    draws = fit.draws["loc"].double()
    assert fit.draws["z"].shape[-2:] == (3, 60)
    guess = fit.draws["z"].double().mean((0, 1)).round()
    assert float((guess == path).double().mean()) > 0.9
    by_svi = SVI(num_steps=1500, num_samples=1000, seed=1).run(hidden, x)
    mean, sd = draws.mean((0, 1)), draws.std((0, 1))
    assert ((by_svi.draws["loc"].double().mean((0, 1)) - mean).abs() < 0.3 * sd + 0.02).all()


# Handlers and edges


def one_path(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(torch.tensor([-1.0, 4.0]), 1.0).to_event(1))
    with pyro.plate("time", len(x), dim=-1):
        z = pyro.sample("z", DiscreteChain(FIRST, STEPS))
        pyro.sample("x", dist.Normal(loc[z], 1.5), obs=x)


def test_a_chain_that_nothing_observes_sums_to_one() -> None:
    """Its pairs, the same at all steps, are the only factor that there is."""

    def prior() -> None:
        stay = pyro.sample("stay", dist.Beta(3.0, 1.0))
        step = torch.stack([torch.stack([stay, 1 - stay]), torch.stack([1 - stay, stay])])
        with pyro.plate("sequences", 2, dim=-2), pyro.plate("time", 5, dim=-1):
            pyro.sample("z", DiscreteChain(step[0], step, length=5).expand([2, 5]))

    density = LogDensity(Program.of(prior))
    u = torch.linspace(-2.0, 2.0, 7, dtype=DOUBLE)[:, None]
    p = u.sigmoid()
    exact = dist.Beta(3.0, 1.0).log_prob(p.float()).double() + (p * (1 - p)).log()
    torch.testing.assert_close(density.value_and_grad(u)[0], exact[:, 0], rtol=1e-5, atol=1e-5)


def test_time_is_no_data_plate_where_a_latent_chain_runs_over_it() -> None:
    assert Program(one_path, torch.zeros(4)).data_plate is None
    assert Program(hidden, torch.zeros(2, 4)).data_plate == "sequences"
    given = pyro.poutine.condition(one_path, {"z": torch.tensor([0, 1, 1, 0])})
    assert Program(given, torch.zeros(4)).data_plate == "time"


def test_pointwise_log_likelihood_by_sequence() -> None:
    x = torch.tensor([-1.0, 4.0])[torch.randint(2, (3, 5))] + torch.randn(3, 5)
    density = LogDensity(Program(hidden, x), lowering="recorded")
    values = density.latents(torch.randn(2, 4, density.dim, dtype=DOUBLE) * 0.3, Key(0, chains=(0, 1)))
    by_sequence = density.log_likelihood(values).values["sequences"]
    assert by_sequence.shape == (2, 4, 3)
    loc, steps = values["loc"][1, 2], values["steps"][1, 2]
    local = dist.Normal(loc, torch.tensor(1.5, dtype=DOUBLE)).log_prob(x[1, :, None].double())
    _, weights = every_weight(FIRST.double().log(), steps.log(), local)
    torch.testing.assert_close(by_sequence[1, 2, 1], weights.logsumexp(0))


def every_weight(first: Tensor, steps: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
    paths = torch.tensor(list(itertools.product(range(len(first)), repeat=len(local))))
    weights = first[paths[:, 0]] + local[torch.arange(len(local)), paths].sum(1)
    return paths, weights + steps[paths[:, :-1], paths[:, 1:]].sum(1)


@pytest.mark.parametrize("held", [True, False])
def test_a_path_that_is_held_has_its_own_density(held: bool) -> None:
    path, x = torch.tensor([0, 1, 1, 0]), torch.tensor([-1.0, 3.0, 5.0, 0.0])
    program = pyro.poutine.condition(one_path, {"z": path}) if held else one_path
    density = LogDensity(Program(program, x), lowering="recorded")
    at = torch.tensor([[-0.5, 3.5]], dtype=DOUBLE)
    local = dist.Normal(at[0], torch.tensor(1.5, dtype=DOUBLE)).log_prob(x[:, None].double())
    paths, weights = every_weight(FIRST.double().log(), STEPS.double().log(), local)
    want = weights[(paths == path).all(1)][0] if held else weights.logsumexp(0)
    prior = dist.Normal(torch.tensor([-1.0, 4.0], dtype=DOUBLE), 1.0).log_prob(at[0]).sum()
    torch.testing.assert_close(density.value_and_grad(at)[0][0], want + prior, rtol=1e-6, atol=1e-6)  # its constants are in float32


def test_scaled_sequences_count_so_many_times() -> None:
    x = torch.tensor([-1.0, 3.0, 5.0, 0.0])
    plain, at = LogDensity(Program(one_path, x), lowering="recorded"), torch.tensor([[-0.5, 3.5]], dtype=DOUBLE)
    twice = LogDensity(Program(pyro.poutine.scale(one_path, scale=2.0), x), lowering="recorded")
    torch.testing.assert_close(twice.value_and_grad(at)[0], 2 * plain.value_and_grad(at)[0])


def test_steps_at_which_a_chain_rests_count_for_nothing() -> None:
    def ragged(x: Tensor, alive: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.tensor([-1.0, 4.0]), 1.0).to_event(1))
        with pyro.plate("sequences", len(x), dim=-2), pyro.plate("time", x.shape[1], dim=-1), pyro.poutine.mask(mask=alive):
            z = pyro.sample("z", DiscreteChain(FIRST, STEPS))
            pyro.sample("x", dist.Normal(loc[z], 1.5), obs=x)

    x, at = torch.tensor([[-1.0, 3.0, 5.0, 0.0], [4.0, 5.0, 99.0, torch.nan]]), torch.tensor([[-0.5, 3.5]], dtype=DOUBLE)
    alive = torch.tensor([[True] * 4, [True, True, False, False]])
    both = LogDensity(Program(ragged, x, alive), lowering="recorded")
    alone = [LogDensity(Program(one_path, row), lowering="recorded") for row in (x[0], x[1, :2])]
    prior = dist.Normal(torch.tensor([-1.0, 4.0], dtype=DOUBLE), 1.0).log_prob(at[0]).sum()
    got, want = both.value_and_grad(at), [d.value_and_grad(at) for d in alone]
    torch.testing.assert_close(got[0][0], sum(w[0][0] for w in want) - prior)
    drawn = both.latents(at[None].expand(1, 200, 2), Key(1))["z"]
    assert bool((drawn[0, :, 1, 2:] == drawn[0, :, 1, 1:2]).all())


@pytest.mark.parametrize("lowering", ["native", "recorded", "eager"])
@pytest.mark.parametrize(("states", "length"), [(1, 1), (1, 4), (3, 1)])
def test_one_state_and_one_step(states: int, length: int, lowering: str) -> None:
    def model(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.zeros(states, dtype=DOUBLE), 1.0).to_event(1))
        uniform = torch.full((states,), 1 / states, dtype=DOUBLE)
        with pyro.plate("time", length, dim=-1):
            z = pyro.sample("z", DiscreteChain(uniform, uniform.expand(states, states)))
            pyro.sample("x", dist.Normal(loc[z], 1.0), obs=x)

    x = torch.linspace(0.0, 2.0, length, dtype=DOUBLE)
    at = torch.linspace(-1.0, 1.0, states, dtype=DOUBLE)[None]
    value, gradient = LogDensity(Program(model, x), lowering=lowering).value_and_grad(at)
    leaf = at[0].clone().requires_grad_()
    unit = torch.ones((), dtype=DOUBLE)
    each = dist.Normal(leaf, unit).log_prob(x[:, None]) - np.log(states)
    want = each.logsumexp(-1).sum() + dist.Normal(0 * unit, unit).log_prob(leaf).sum()
    torch.testing.assert_close(value[0], want.detach())
    torch.testing.assert_close(gradient[0], torch.autograd.grad(want, leaf)[0])


def test_states_that_are_known_enter_by_a_factor() -> None:
    known, value = torch.tensor([False, True, False, True]), torch.tensor([0, 1, 0, 0])

    def apart(x: Tensor) -> None:
        with pyro.plate("time", len(x), dim=-1):
            z = pyro.sample("z", DiscreteChain(FIRST, STEPS), obs=value, obs_mask=known)
            pyro.sample("x", dist.Normal(z.float(), 1.0), obs=x)

    with pytest.raises(ProgramError, match="site 'z': obs_mask would take a DiscreteChain apart"):
        LogDensity(Program(apart, torch.zeros(4)))

    def whole(x: Tensor) -> None:
        with pyro.plate("time", len(x), dim=-1):
            z = pyro.sample("z", DiscreteChain(FIRST, STEPS))
            pyro.factor("known", torch.where(known & (z != value), -torch.inf, 0.0))
            pyro.sample("x", dist.Normal(z.float(), 1.0), obs=x)

    x = torch.linspace(-1.0, 2.0, 4)
    conditionals = Conditionals(Program(whole, x), lowering="recorded")
    paths, weights = every_weight(FIRST.log(), STEPS.log(), dist.Normal(torch.tensor([0.0, 1.0]), 1.0).log_prob(x[:, None]))
    weights = weights[(paths[:, known] == value[known]).all(1)]
    assert float(conditionals.log_evidence({}, 1)) == pytest.approx(float(weights.logsumexp(0)), rel=1e-5)
    assert torch.equal(conditionals.marginals({}, 1)["z"][0, 1], torch.tensor([0.0, 1.0], dtype=DOUBLE))


def test_a_guide_leaves_the_chain_out() -> None:
    def guide(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(pyro.param("at", torch.tensor([-1.0, 4.0])), 1.0).to_event(1))
        with pyro.plate("time", len(x), dim=-1):
            pyro.sample("z", dist.Categorical(torch.tensor([0.5, 0.5])))

    with pytest.raises(GuideError, match="the guide samples the chain z"):
        SVI(num_steps=5, guide=guide).run(one_path, torch.zeros(4))
