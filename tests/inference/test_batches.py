"""A DataLoader in the place of data: the posterior of all rows, the same runs to the bit, and errors that name the batch."""

import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from ppgen.batches import Batches
from ppgen.errors import DataError, EngineError, PpgenWarning, ProgramError, RecordingError, SupportError
from ppgen.inference import NUTS, SVI, ContrastiveDivergence, ScoreMatching
from ppgen.models import EnergyModel, VariationalAutoencoder
from ppgen.posterior import Posterior

N = 60
X = 40.0 + 5.0 * torch.randn(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
QUICK: dict[str, Any] = {"progress": False, "num_samples": 500}


def loader(*tensors: Tensor, **settings: Any) -> DataLoader:
    return DataLoader(TensorDataset(*tensors), **{"batch_size": 12, "shuffle": True, "drop_last": True, **settings})


def normal(x: Tensor, scale: float = 5.0) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, scale), obs=x)


def exact() -> tuple[float, float, float]:
    """Mean and sd of `loc`, and the log evidence."""
    precision = 1 / 400 + N / 25
    marginal = torch.distributions.MultivariateNormal(torch.full((N,), 30.0).double(), 25.0 * torch.eye(N).double() + 400.0)
    return float((30 / 400 + X.sum() / 25) / precision), precision**-0.5, float(marginal.log_prob(X))


def equal(a: Posterior, b: Posterior) -> bool:
    return torch.equal(a.losses, b.losses) and all(torch.equal(a.draws[n], b.draws[n]) for n in a.draws)


@pytest.mark.parametrize("lowering", ["auto", "recorded"])
def test_the_posterior_of_all_rows(lowering: str) -> None:
    """Sites in the plate count for the rows of the data set, or the sd would be sqrt(5) times as large; so do the weights."""
    engine = SVI(guide="normal", num_steps=1500, learning_rate=0.1, final_learning_rate=1e-3, lowering=lowering, **QUICK)
    posterior = engine.run(normal, loader(X))
    mean, sd, evidence = exact()
    assert posterior.provenance["lowering"]["name"] == ("native" if lowering == "auto" else lowering)
    assert float(posterior.draws["loc"].mean()) == pytest.approx(mean, abs=0.35 * sd)
    assert float(posterior.draws["loc"].std()) == pytest.approx(sd, rel=0.15)
    assert posterior.log_evidence == pytest.approx(evidence, abs=0.1)
    assert posterior.program.plates["data"][2:] == (N, 12)


def test_one_batch_of_all_rows_is_the_data() -> None:
    """In their order: the same losses as without a loader."""
    engine = SVI(guide="normal", num_steps=50, **QUICK)
    with_loader = engine.run(normal, loader(X, batch_size=N, shuffle=False))
    assert torch.allclose(with_loader.losses, engine.run(normal, X).losses, rtol=1e-9)


def test_another_precision_and_what_is_made_of_the_posterior(tmp_path: Path) -> None:
    """Data and program in float32, the computation in float64; ArviZ and the folder take what comes of it."""
    engine = SVI(guide="normal", num_steps=400, learning_rate=0.1, dtype=torch.float64, **QUICK)
    posterior = engine.run(normal, loader(X.float()))
    mean, sd, evidence = exact()
    assert posterior.draws["loc"].dtype == torch.float64
    assert float(posterior.draws["loc"].mean()) == pytest.approx(mean, abs=0.5 * sd)
    assert posterior.log_evidence == pytest.approx(evidence, abs=0.2)
    assert set(posterior.to_arviz()["posterior"].data_vars) == {"loc"}
    assert torch.equal(Posterior.load(posterior.save(tmp_path / "fit")).draws["loc"], posterior.draws["loc"])
    bound = posterior.program.bind(X.float())  # all data after all
    assert bound.plates["data"][2:] == (N, N)
    assert NUTS(num_warmup=200, num_samples=100, num_chains=2, progress=False).run(bound).draws["loc"].shape == (2, 100)


def test_batches_by_place_and_by_name() -> None:
    """Tuples, dictionaries, bare tensors and one that is named say the same."""

    class Named(Dataset):
        def __len__(self) -> int:
            return N

        def __getitem__(self, i: int) -> dict[str, Tensor]:
            return {"x": X[i], "scale": torch.tensor(4.0, dtype=torch.float64)}

    engine = SVI(guide="normal", num_steps=20, **QUICK)
    ways = [((loader(X),), {}), ((DataLoader(X, 12, shuffle=True),), {}), ((), {"x": loader(X)})]
    runs = [engine.run(normal, *args, **kwargs) for args, kwargs in ways]
    assert all(equal(run, runs[0]) for run in runs[1:])
    by_name = engine.run(normal, DataLoader(Named(), 12, shuffle=True))
    assert torch.allclose(by_name.losses, engine.run(normal, loader(X), 4.0).losses, rtol=1e-6)


def test_each_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    batches = Batches(normal, given := loader(X), (given,), {}, seed=3)
    epochs = [torch.cat([batches.at(5 * e + i)["data:0"] for i in range(5)]) for e in range(2)]
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, X.sort().values)
    assert not torch.equal(epochs[0], epochs[1])


class Augmented(Dataset):
    """Each datum with noise of its own, from each of the generators that there are; Ctrl-C at the `cut`-th of all."""

    def __init__(self, cut: int | None = None):
        self.seen, self.cut = 0, cut

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Tensor:
        self.seen += 1
        if self.seen == self.cut:
            signal.raise_signal(signal.SIGINT)
        return X[i] + 0.1 * torch.randn(())


def test_a_run_goes_on_where_it_stood_whatever_the_loader_drew(tmp_path: Path) -> None:
    engine = SVI(guide="normal", num_steps=40, **QUICK)
    of = lambda data, **more: DataLoader(data, 12, shuffle=True, drop_last=True, **more)  # noqa: E731
    whole = engine.run(normal, of(Augmented()))
    used = of(Augmented(), generator=torch.Generator().manual_seed(9))
    next(iter(used))
    assert equal(engine.run(normal, used), whole) is False  # a generator of its own: another order
    assert equal(engine.run(normal, used), engine.run(normal, of(Augmented(), generator=torch.Generator().manual_seed(77))))
    resumed = SVI(guide="normal", num_steps=40, checkpoint=tmp_path, **QUICK)
    with pytest.warns(PpgenWarning, match="interrupted after"):
        assert 0 < len(resumed.run(normal, of(Augmented(cut=200))).losses) < 40
    assert equal(resumed.run(normal, of(Augmented())), whole)


def test_workers_load_the_same_batches() -> None:
    engine = SVI(guide="normal", num_steps=12, **QUICK)
    workers = loader(X, num_workers=2)
    assert equal(engine.run(normal, workers), engine.run(normal, workers))


def test_an_autoencoder_learns_as_from_data_in_memory() -> None:
    """Local sites, network weights and a context; draws of the batch's rows, which are not all, are left out."""
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(600, 12, generator=generator) < torch.rand(2, 12, generator=generator)[torch.arange(600) % 2]).float()
    torch.manual_seed(0)
    family = VariationalAutoencoder(12, latent=2, likelihood="bernoulli", hidden=[16])
    settings: dict[str, Any] = {"num_steps": 400, "num_particles": 1, "num_samples": 5, "learning_rate": 0.01, "progress": False}
    streamed = SVI(**settings).run(family, loader(x, batch_size=100))
    memory = SVI(batch_size=100, **settings).run(family, x)
    ends = [float(p.losses[-60:].mean()) / 600 for p in (streamed, memory)]
    assert ends[0] == pytest.approx(ends[1], abs=0.05)
    assert float(streamed.losses[:10].mean()) / 600 > ends[0] + 0.3
    assert not streamed.draws
    assert streamed.log_weights is None


@pytest.mark.parametrize("engine", [ScoreMatching(kind="implicit"), ContrastiveDivergence(num_chains=64)], ids=lambda e: e.name)
def test_energies_learn_from_batches(engine: Any) -> None:
    """A normal density: its learned mean is the data's."""
    x = (50.0 + 8.0 * torch.randn(300, 1, generator=torch.Generator().manual_seed(2))).double()

    class Quadratic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.tensor(46.0).double())

        def forward(self, x: Tensor) -> Tensor:
            return 0.5 * ((x - self.loc) / 8.0).square().sum(-1)

    family = EnergyModel(1, Quadratic())
    run = replace(engine, num_steps=600, learning_rate=0.1, progress=False, keep=()).run(family, loader(x, batch_size=50))
    (loc,) = run.params.values()
    assert float(loc) == pytest.approx(float(x.mean()), abs=4 * 8.0 / math.sqrt(300))


def test_refusals_name_the_batch() -> None:
    engine = SVI(guide="normal", num_steps=20, **QUICK)
    broken = X.clone()
    broken[29] = math.nan
    with pytest.raises(DataError, match="batch 2 of the loader: site 'x': NaN in the data at row 5"):
        engine.run(normal, loader(broken, shuffle=False))

    def positive(x: Tensor) -> None:
        rate = pyro.sample("rate", dist.Gamma(x.new_tensor(2.0), 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Exponential(rate), obs=x)

    broken[29] = -3.0
    with pytest.raises(SupportError, match=r"batch 2 of the loader: .*'x'"):
        engine.run(positive, loader(broken, shuffle=False))
    with pytest.raises(EngineError, match=r"last batch of an epoch would have 4 rows and others 7; .*drop_last=True"):
        engine.run(normal, loader(X, batch_size=7, drop_last=False))
    with pytest.raises(EngineError, match="no batch: its data set has 60 rows"):
        engine.run(normal, loader(X, batch_size=100))
    with pytest.raises(EngineError, match="batch_size is the loader's own"):
        SVI(batch_size=12, **QUICK).run(normal, loader(X))
    with pytest.raises(EngineError, match="2 of the program's arguments are loaders"):
        engine.run(normal, loader(X), loader(X))
    with pytest.raises(DataError, match="batch of the loader holds str"):
        engine.run(normal, DataLoader([(1.0, "a")] * 24, 12))
    with pytest.raises(DataError, match="'x' is a loader whose batches have 2 parts"):
        engine.run(normal, x=loader(X, X))
    with pytest.raises(ProgramError, match="is given a DataLoader"):
        NUTS(progress=False).run(normal, loader(X))

    class Endless(IterableDataset):
        def __iter__(self) -> Any:
            return iter(X)

    with pytest.raises(EngineError, match="does not say how many rows"):
        engine.run(normal, DataLoader(Endless(), 12))


def test_unequal_batches_are_refused() -> None:
    lengths = DataLoader(TensorDataset(X), batch_sampler=[list(range(12)), list(range(12, 24)), list(range(24, 30))])
    with pytest.raises(DataError, match=r"batch 2 of epoch 0 has float64 \(6,\), and the first one float64 \(12,\)"):
        SVI(guide="normal", num_steps=20, **QUICK).run(normal, lengths)


def test_a_batch_that_steers_the_program_is_run_by_pyro() -> None:
    """A branch on the batch's numbers cannot be a graph, as another batch may take the other one."""

    def steered(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
        scale = 5.0 if x.mean() > 40.0 else 5.5
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, scale), obs=x)

    engine = SVI(guide="normal", num_steps=4, num_particles=2, progress=False, num_samples=10)
    posterior = engine.run(steered, loader(X))
    assert posterior.provenance["lowering"]["name"] == "eager"
    assert "steer" in posterior.provenance["lowering"]["reason"]
    with pytest.raises(RecordingError, match="steer"):
        SVI(guide="normal", num_steps=4, lowering="recorded", **QUICK).run(steered, loader(X))
