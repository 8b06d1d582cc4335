"""Modules that are being learned: dropout and batch norm in training mode, what they write as state, evaluation mode afterwards."""

import copy
import math
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

from ppgen.errors import DataError, EngineError, GuideError, ProgramError
from ppgen.family import Family
from ppgen.guides import FlatGuide
from ppgen.inference import SVI
from ppgen.inference._autoguide import by_name
from ppgen.keys import Key
from ppgen.objective import Objective
from ppgen.posterior import Posterior
from ppgen.program import Program
from ppgen.training import Training

X = 40.0 + 9.0 * torch.randn(24, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
QUICK: dict[str, Any] = {"progress": False, "num_samples": 50, "num_steps": 6, "num_particles": 3}


class Autoencoder(Family):
    """
    z_n ~ Normal(0, 1)             of 2 dimensions, n = 1..N
    x_n ~ Normal(decoder(z_n), 3)
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def model(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> Any:
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2, dtype=torch.float64), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(self.decoder(z), 3.0).to_event(1), obs=x)

    def guide(self, x: Tensor | None = None, context: Any = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            loc, log_scale = self.encoder(x / 40.0).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


def network(inside: int, outside: int, *layers: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(inside, 8), *copy.deepcopy(layers), nn.Tanh(), nn.Linear(8, outside)).double()


def family(*, encoder: list[nn.Module] | None = None, decoder: list[nn.Module] | None = None) -> Autoencoder:
    return Autoencoder(network(5, 4, *(encoder or [])), network(2, 5, *(decoder or [])))


def of(program: Program, guide: Any = None, **settings: Any) -> Objective:
    """In training, as SVI makes it; the constructor itself compares the graph with Pyro, noise replayed."""
    return Objective(program.copy(), guide, key=Key(0), dtype=torch.float64, lowering="recorded", training=Training(), **settings)


DROPOUT = [nn.Dropout(0.4)]
NORM = [nn.BatchNorm1d(8)]


# Dropout


@pytest.mark.parametrize("where", ["encoder", "decoder", "both"])
def test_dropout_is_drawn_from_the_key(where: str) -> None:
    layers = {k: DROPOUT for k in ("encoder", "decoder") if where in (k, "both")}
    target = of(Program(family(**layers), X), num_particles=2)
    kinds = [q.kind for q in target.pair.noises.values()]
    assert kinds.count("uniform") == len(layers)
    assert kinds.count("normal") == 1
    key = Key(1)
    first, again = (target.value_and_grad(target.params, target.inputs(key))[0] for _ in range(2))
    assert float(first) == float(again)
    inputs = target.inputs(key)
    masks = {n: torch.rand_like(t) if target.pair.noises[n].kind == "uniform" else t for n, t in inputs.noise.items()}
    assert float(target.value_and_grad(target.params, inputs._replace(noise=masks))[0]) != float(first)


def test_dropout_of_all_and_of_nothing() -> None:
    """By hand: uniforms of 0 keep every unit and scale it by 1 / (1 - p); uniforms near 1 drop them all."""
    module = family(encoder=[nn.Dropout(0.4)])
    target = of(Program(module, X))
    inputs = target.inputs(Key(0))
    (mask,) = [n for n, q in target.pair.noises.items() if q.kind == "uniform"]
    (eps,) = [n for n, q in target.pair.noises.items() if q.kind == "normal"]
    for u, factor in ((0.0, 1 / 0.6), (0.99, 0.0)):
        given = {n: torch.full_like(t, u) if n == mask else t for n, t in inputs.noise.items()}
        loss, _ = target.value_and_grad(target.params, inputs._replace(noise=given))
        first, _, tanh, last = module.encoder  # type: ignore[misc]
        with torch.no_grad():
            loc, log_scale = last(tanh(first(X / 40.0) * factor)).chunk(2, -1)
            z = loc + log_scale.exp() * inputs.noise[eps][0]
            log_p = dist.Normal(0.0, 1.0).log_prob(z).sum() + dist.Normal(module.decoder(z), 3.0).log_prob(X).sum()
            log_q = dist.Normal(loc, log_scale.exp()).log_prob(z).sum()
        assert float(loss) == pytest.approx(float(log_q - log_p), rel=1e-12)


# Batch norm


def by_hand(module: Autoencoder, noise: Tensor, steps: int = 1) -> dict[str, Tensor]:
    """Buffers of a copy that runs in training mode as PyTorch has it, one particle."""
    twin = copy.deepcopy(module).train()
    with torch.no_grad():
        for _ in range(steps):
            loc, log_scale = twin.encoder(X / 40.0).chunk(2, -1)
            twin.decoder(loc + log_scale.exp() * noise)
    return dict(twin.named_buffers())


@pytest.mark.parametrize("momentum", [0.1, 0.6])
def test_batch_norm_is_state(momentum: float) -> None:
    module = family(encoder=[nn.BatchNorm1d(8, momentum=momentum)], decoder=[nn.BatchNorm1d(8, momentum=momentum)])
    target = of(Program(module, X))
    assert set(target.buffers) == {n for n, _ in module.named_buffers()}
    (eps,) = target.pair.noises
    buffers, inputs = target.buffers, target.inputs(Key(0))
    for _ in range(3):
        buffers = target.evaluate(target.params, buffers, inputs).buffers
    for n, b in by_hand(module, inputs.noise[eps][0], 3).items():
        torch.testing.assert_close(buffers[n], b, rtol=1e-9, atol=1e-12)
        assert not torch.equal(buffers[n], dict(module.named_buffers())[n])


def test_particles_leave_the_mean_of_their_buffers() -> None:
    module = family(decoder=[nn.BatchNorm1d(8)])
    target = of(Program(module, X), num_particles=3)
    inputs = target.inputs(Key(0))
    (eps,) = target.pair.noises
    each = [by_hand(module, noise) for noise in inputs.noise[eps]]
    buffers = target.evaluate(target.params, target.buffers, inputs).buffers
    for n in ("decoder.1.running_mean", "decoder.1.running_var"):
        torch.testing.assert_close(buffers[n], torch.stack([b[n] for b in each]).mean(0), rtol=1e-9, atol=1e-12)
    assert int(buffers["decoder.1.num_batches_tracked"]) == 1


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_the_learned_copy_has_the_buffers_and_the_users_module_does_not(lowering: str) -> None:
    module = family(encoder=NORM, decoder=[*DROPOUT, nn.BatchNorm1d(8)])
    before = {n: t.clone() for n, t in module.state_dict().items()}
    posterior = SVI(**QUICK, lowering=lowering, dtype=torch.float64).run(module, X)
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert module.training
    learned = posterior.program.module
    assert not any(m.training for m in learned.modules())  # type: ignore[union-attr]
    for n, b in learned.named_buffers():  # type: ignore[union-attr]
        assert int(b) == 6 if n.endswith("tracked") else not torch.equal(b, before[n])
    guide = learned.encoder(X / 40.0).chunk(2, -1)  # type: ignore[union-attr, operator]
    draws = posterior.draws["z"][0]  # of the encoder in evaluation mode: by running means, nothing dropped
    assert ((draws.mean(0) - guide[0]).abs() < 5 * guide[1].exp() / 50**0.5).all()


def test_learned_to_the_bit_over_a_kill(tmp_path: Path) -> None:
    """Stopped after 3 of 6 steps by another engine of the same settings, resumed from the folder."""
    module = family(encoder=[*DROPOUT, nn.BatchNorm1d(8)], decoder=NORM)
    whole = SVI(**QUICK).run(module, X)
    engine = SVI(**QUICK, checkpoint=tmp_path / "run")
    _stop_after(engine, 3, module)
    resumed = engine.run(module, X)
    same(whole, resumed)


def _stop_after(engine: SVI, steps: int, module: nn.Module) -> None:
    import warnings

    from ppgen import engine as driver

    class Stops(driver._Driver):
        def _going(self, stop: Any) -> bool:
            return self.at < steps

    before = driver._Driver
    driver._Driver = Stops  # type: ignore[misc]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            engine.run(module, X)
    finally:
        driver._Driver = before  # type: ignore[misc]


def same(a: Posterior, b: Posterior) -> None:
    for n, t in a.program.module.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(t, b.program.module.state_dict()[n]), n  # type: ignore[union-attr]
    assert torch.equal(a.losses, b.losses)  # type: ignore[arg-type]
    assert torch.equal(a.draws["z"], b.draws["z"])


def test_batch_norm_with_minibatches() -> None:
    """The running mean is that of batches, and all rows are drawn in evaluation mode."""
    module = family(encoder=NORM)
    posterior = SVI(**{**QUICK, "num_steps": 40}, batch_size=8).run(module, X)
    assert posterior.draws["z"].shape == (1, 50, 24, 2)
    learned = posterior.program.module
    assert int(learned.encoder[1].num_batches_tracked) == 40  # type: ignore[union-attr, index]


# Guides of the user's own, and by name


class Encoder(PyroModule):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.network = network(5, 4, *layers)

    def forward(self, x: Tensor, context: Any = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            loc, log_scale = self.network(x / 40.0).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


def test_a_guide_module_of_the_users_own() -> None:
    guide, module = Encoder(nn.BatchNorm1d(8), nn.Dropout(0.3)), family(decoder=NORM)
    target = of(Program(module, X), guide)
    assert set(target.buffers) == {f"{p}1.{b}" for p in ("guide.network.", "decoder.") for b in dict(NORM[0].named_buffers())}
    posterior = SVI(**QUICK, guide=guide).run(module, X)
    assert int(guide.network[1].num_batches_tracked) == 0  # type: ignore[index]
    assert posterior.log_weights is not None
    assert posterior.log_weights.isfinite().all()


@pytest.mark.parametrize("name", ["normal", "delta"])
def test_a_guide_over_the_position(name: str) -> None:
    module = family(decoder=[*DROPOUT, nn.BatchNorm1d(8)])
    guide = by_name(name)
    assert isinstance(guide, FlatGuide)
    target = of(Program(module, X), guide, num_particles=2)
    assert [q.kind for q in target.pair.noises.values()].count("uniform") == 1
    assert set(target.buffers) == {f"decoder.2.{b}" for b in dict(NORM[0].named_buffers())}


# What changes nothing, and what is refused


def test_one_recording_where_modes_do_not_differ() -> None:
    target = of(Program(family(), X))
    assert not target.pair.learning
    assert not target.buffers
    assert target.pair.model.recording is target.density.recording  # type: ignore[attr-defined]


class ActNorm(nn.Module):
    """Initialised by the first batch that it sees in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("initialised", torch.tensor(False))
        self.register_buffer("loc", torch.zeros(8, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.initialised:
            self.loc.copy_(x.mean(0))
            self.initialised.fill_(True)
        return x - self.loc


def test_initialised_by_the_first_batch_is_done_before_learning() -> None:
    module = family(encoder=[ActNorm()])
    with pytest.raises(ProgramError, match=r"'encoder.1.initialised'.*call the module once in training mode"):
        SVI(**QUICK).run(module, X)
    with torch.no_grad():
        module.encoder(X / 40.0)
    posterior = SVI(**QUICK).run(module, X)
    assert torch.equal(posterior.program.module.encoder[1].loc, module.encoder[1].loc)  # type: ignore[union-attr, index]


def test_batch_norm_that_counts_in_python() -> None:
    with pytest.raises(ProgramError, match=r"'encoder.1.num_batches_tracked'.*momentum"):
        SVI(**QUICK).run(family(encoder=[nn.BatchNorm1d(8, momentum=None)]), X)


# Settings


def linear(x: Tensor) -> None:
    """z_n ~ Normal(40, 3), x_n ~ Normal(z_n, 4): the evidence is that of Normal(40, 5)."""
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.full_like(x, 40.0), 3.0))
        pyro.sample("x", dist.Normal(z, 4.0), obs=x)


def wide_guide(x: Tensor) -> None:
    """The exact posterior has slope 9 / 25 and sd 2.4."""
    slope, log_sd = pyro.param("slope", x.new_tensor(0.2)), pyro.param("log_sd", x.new_tensor(1.2))
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(40.0 + slope * (x - 40.0), log_sd.exp()))


ROW = X[:, 0].contiguous()


def importance_bound(x: Tensor, eps: Tensor, slope: float = 0.2, log_sd: float = 1.2) -> tuple[float, float]:
    """By hand for noise (K, N): the bound of each datum, summed, and of all data at once."""
    z = 40.0 + slope * (x - 40.0) + torch.tensor(log_sd, dtype=torch.float64).exp() * eps
    log_w = dist.Normal(40.0, 3.0).log_prob(z) + dist.Normal(z, 4.0).log_prob(x)
    log_w = log_w - dist.Normal(40.0 + slope * (x - 40.0), torch.tensor(log_sd, dtype=torch.float64).exp()).log_prob(z)
    count = torch.tensor(len(eps), dtype=torch.float64).log()
    return float((log_w.logsumexp(0) - count).sum()), float(log_w.sum(1).logsumexp(0) - count)


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_importance_weights_of_each_datum(lowering: str) -> None:
    target = Objective(Program(linear, ROW), wide_guide, key=Key(0), num_particles=5, kind="iwae", dtype=torch.float64, lowering="recorded")
    assert target.datum == "data"
    inputs = target.inputs(Key(4))
    (eps,) = inputs.noise.values()
    assert float(target.value_and_grad(target.params, inputs)[0]) == pytest.approx(-importance_bound(ROW, eps)[0], rel=1e-7)
    eager = Objective(Program(linear, ROW), wide_guide, key=Key(0), num_particles=5, kind="iwae", lowering=lowering)
    assert eager.value_and_grad(eager.params, eager.inputs(Key(4)))[0].isfinite()


def test_importance_weights_of_a_minibatch_are_scaled_outside_of_the_logarithm() -> None:
    target = Objective(Program(linear, ROW), wide_guide, key=Key(0), num_particles=5, kind="iwae", batch_size=6, dtype=torch.float64)
    inputs = target.inputs(Key(4))
    (eps,), (rows,) = inputs.noise.values(), inputs.rows.values()
    assert float(target.value_and_grad(target.params, inputs)[0]) == pytest.approx(-4 * importance_bound(ROW[rows], eps)[0], rel=1e-7)


def test_importance_weights_of_all_data_where_something_is_global() -> None:
    def model(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 5.0), obs=x)

    def guide(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(x.mean() + pyro.param("off", x.new_tensor(1.0)), 2.0))

    target = Objective(Program(model, ROW), guide, key=Key(0), num_particles=4, kind="iwae", dtype=torch.float64)
    assert target.datum is None
    assert "all data at once" in target.meaning
    inputs = target.inputs(Key(4))
    loc = ROW.mean() + 1.0 + 2.0 * next(iter(inputs.noise.values()))
    log_w = dist.Normal(30.0, 20.0).log_prob(loc) + dist.Normal(loc[:, None], 5.0).log_prob(ROW).sum(1)
    log_w = log_w - dist.Normal(ROW.mean() + 1.0, 2.0).log_prob(loc)
    assert float(target.value_and_grad(target.params, inputs)[0]) == pytest.approx(-float(log_w.logsumexp(0)) + math.log(4), rel=1e-7)


def test_importance_bounds_tighten() -> None:
    """ELBO < IWAE with more and more samples < log evidence; each within its standard error of 4 runs."""
    evidence = float(dist.Normal(40.0, 5.0).log_prob(ROW).sum())
    bounds = []
    for count in (1, 8, 64, 512):
        target = Objective(Program(linear, ROW), wide_guide, key=Key(0), num_particles=count, kind="iwae", dtype=torch.float64)
        losses = [float(target.value_and_grad(target.params, target.inputs(Key(1).at(i)))[0]) for i in range(30)]
        bounds.append(-sum(losses) / 30)
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3] < evidence + 0.1
    assert bounds[3] == pytest.approx(evidence, abs=0.2)


@pytest.mark.parametrize("guide", [wide_guide, by_name("normal")])
@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_beta_weighs_the_divergence(guide: Any, lowering: str) -> None:
    """At beta 0 the log likelihood alone, at 1 the ELBO, and a line between them; by hand for a guide whose noise is known."""
    target = Objective(Program(linear, ROW), guide, key=Key(0), weighted=True, dtype=torch.float64, lowering=lowering)
    inputs = target.inputs(Key(4))
    at = [float(target.value_and_grad(target.params, inputs._replace(beta=b))[0]) for b in (0.0, 0.5, 1.0)]
    assert at[1] == pytest.approx((at[0] + at[2]) / 2, rel=1e-9)
    assert at[2] - at[0] > 0.1
    if guide is wide_guide and lowering == "recorded":
        (eps,) = inputs.noise.values()
        z = 40.0 + 0.2 * (ROW - 40.0) + torch.tensor(1.2, dtype=torch.float64).exp() * eps[0]
        assert at[0] == pytest.approx(-float(dist.Normal(z, 4.0).log_prob(ROW).sum()), rel=1e-10)


def test_beta_shrinks_and_warms_up() -> None:
    """The best normal guide under beta has precision 1 / 9 + 1 / (16 beta), by completing the square."""
    settings: dict[str, Any] = {
        "num_steps": 600,
        "num_particles": 8,
        "learning_rate": 0.05,
        "final_learning_rate": 1e-3,
        "guide": wide_guide,
    }
    posterior = SVI(progress=False, num_samples=20, beta=4.0, beta_warmup=100, **settings).run(linear, ROW)
    precision = 1 / 9 + 1 / 64
    assert float(posterior.params["log_sd"].exp()) == pytest.approx(precision**-0.5, rel=0.03)
    assert float(posterior.params["slope"]) == pytest.approx(1 / 64 / precision, abs=0.03)
    assert "beta" in posterior.provenance["loss"]
    engine = SVI(beta=4.0, beta_warmup=100)
    assert [engine._beta(t) for t in (0, 49, 99, 500)] == [0.04, 2.0, 4.0, 4.0]


def test_clipped_gradients_move_a_step_of_that_length() -> None:
    settings: dict[str, Any] = {"num_steps": 1, "num_particles": 1, "optimizer": lambda p: torch.optim.SGD(p, lr=1.0), "guide": wide_guide}
    free, clipped = (SVI(progress=False, num_samples=5, clip_norm=c, **settings).run(linear, ROW).params for c in (None, 0.01))
    begin = {"slope": 0.2, "log_sd": 1.2}
    moved = [sum(float(p[n] - b) ** 2 for n, b in begin.items()) ** 0.5 for p in (free, clipped)]
    assert moved[0] > 0.1
    assert moved[1] == pytest.approx(0.01, rel=1e-4)


def test_averaged_parameters_by_hand() -> None:
    """The path of the parameters is that without an average; what is learned is their average with a growing decay."""
    settings: dict[str, Any] = {"num_particles": 1, "optimizer": lambda p: torch.optim.SGD(p, lr=1e-3), "guide": wide_guide}
    path = [SVI(progress=False, num_samples=5, num_steps=k, **settings).run(linear, ROW).params["slope"] for k in range(1, 5)]
    average = torch.tensor(0.2, dtype=torch.float64)
    for t, p in enumerate(path):
        decay = min(0.3, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * p
    learned = SVI(progress=False, num_samples=5, num_steps=4, ema_decay=0.3, **settings).run(linear, ROW)
    assert float(learned.params["slope"]) == pytest.approx(float(average), rel=1e-9)
    module = family(encoder=NORM)
    last, averaged = (SVI(**QUICK, ema_decay=d).run(module, X).program.module for d in (None, 0.5))
    name = "encoder.1.running_mean"
    assert not torch.equal(last.get_buffer(name), averaged.get_buffer(name))  # type: ignore[union-attr]


def test_schedulers_set_the_rate() -> None:
    def halving(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)

    def plateau(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e9, factor=0.1)

    for scheduler, expected in ((halving, [0.02, 0.02, 0.01, 0.01]), (plateau, [0.02, 0.002, 2e-4, 2e-5])):
        engine = SVI(**{**QUICK, "num_steps": 4}, guide=wide_guide, scheduler=scheduler)
        rates: list[float] = []
        object.__setattr__(engine, "note", lambda stats, rates=rates: rates.extend(stats["learning_rate"][0].tolist()) or "")
        engine.run(linear, ROW)
        assert rates == pytest.approx(expected)
    note = SVI().note({"losses": torch.tensor([[1234.5]]), "learning_rate": torch.tensor([[0.0125]])})
    assert note == "loss 1,234.50, rate 0.013"


def one_cycle(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)


def test_everything_is_resumed_to_the_bit(tmp_path: Path) -> None:
    module = family(encoder=[*DROPOUT, nn.BatchNorm1d(8)], decoder=NORM)
    settings: dict[str, Any] = {**QUICK, "ema_decay": 0.5, "clip_norm": 1.0, "scheduler": one_cycle, "beta_warmup": 4, "batch_size": 10}
    whole = SVI(**settings).run(module, X)
    engine = SVI(**settings, checkpoint=tmp_path / "run")
    _stop_after(engine, 3, module)
    same(whole, engine.run(module, X))


def test_settings_that_cannot_be() -> None:
    for wrong in ({"clip_norm": 0.0}, {"ema_decay": 1.0}, {"beta": -1.0}, {"objective": "elbow"}, {"beta": 2.0, "objective": "iwae"}):
        with pytest.raises(EngineError, match=next(iter(wrong))):
            SVI(**wrong)  # type: ignore[arg-type]
    with pytest.raises(GuideError, match="has no importance weights"):
        SVI(**QUICK, objective="iwae", guide="delta").run(linear, ROW)


def test_a_loss_that_is_not_finite_names_rows() -> None:
    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(x), 1.0))
            weight = torch.where(x > 1000.0, (z + 3.0).log(), 0.0)
            pyro.factor("odd", weight)
            pyro.sample("x", dist.Normal(z, 400.0), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-30.0, dtype=torch.float64)), 1.0))

    x = ROW.clone()
    x[[4, 17]] = 2000.0
    with pytest.raises(DataError, match=r"step 0: site 'odd' has log probability nan in rows 4, 17 of the data"):
        SVI(**QUICK, guide=guide, lowering="recorded").run(model, x)
