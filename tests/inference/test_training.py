"""Modules that are being learned: dropout and batch norm in training mode, what they write as state, evaluation mode afterwards."""

import copy
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

from ppgen.errors import ProgramError
from ppgen.family import Family
from ppgen.guides import FlatGuide
from ppgen.inference import SVI
from ppgen.inference._autoguide import by_name
from ppgen.keys import Key
from ppgen.objective import Objective
from ppgen.posterior import Posterior
from ppgen.program import Program

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
    return Objective(program.copy(), guide, key=Key(0), dtype=torch.float64, lowering="recorded", learns=True, **settings)


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
    assert not target.pair.trained
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
