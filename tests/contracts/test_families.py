"""What every family promises, whichever it is."""

import copy
import json
from pathlib import Path

import pytest
import torch

from ppgen import sample, score
from ppgen.discovery import families
from ppgen.errors import DataError, GuideError, PpgenError
from ppgen.inference import SVI
from ppgen.keys import Key
from ppgen.objective import Objective
from ppgen.posterior import Posterior
from ppgen.program import Program
from ppgen.targets import LogDensity

from .cases import cases

EVERY = pytest.mark.parametrize("name", list(cases()))


def test_every_family_has_a_case() -> None:
    have = {type(case.family) for case in cases().values()}
    assert set(families().values()) <= have


@EVERY
def test_model_and_guide_share_their_sites(name: str) -> None:
    """The guide samples every continuous latent site of the model, in its shape, and nothing that the model has not: what the
    objective asks of it, of which the next test sees that it is asked."""
    case = cases()[name]
    program = Program(case.family, case.x)
    Objective(program.copy(), None, key=Key(0))


@EVERY
def test_a_site_missing_from_the_guide_is_named(name: str) -> None:
    case = cases()[name]

    class Broken(type(case.family)):  # type: ignore[misc]
        def guide(self, x=None, context=None, *, size=None) -> None:
            pass

    broken = copy.deepcopy(case.family)
    broken.__class__ = Broken
    first = next(s.name for s in Program(case.family, case.x).latent if s.continuous)
    with pytest.raises(GuideError, match=repr(first)):
        SVI(num_steps=1, progress=False).run(broken, case.x)


@EVERY
def test_data_are_drawn_and_scored(name: str) -> None:
    """Forward draws have the data's shape, are the seed's alone, and lie in the support of the model."""
    case = cases()[name]
    drawn, again, other = (sample(case.family, 7, seed=s) for s in (3, 3, 4))
    observed = Program(case.family, case.x).observed
    for site in observed:
        assert drawn[site.name].shape[1:] == site.value.shape[1:]
        assert len(drawn[site.name]) == 7
        assert torch.equal(drawn[site.name], again[site.name])
        assert not torch.equal(drawn[site.name], other[site.name])
        assert site.support.check(drawn[site.name]).all()


@EVERY
def test_scores_at_fixed_values_are_the_familys_own(name: str) -> None:
    """By enumeration over the recorded factors, and by the family's closed form."""
    case = cases()[name]
    program = Program(case.family, case.x)
    exact = case.family.exact(case.x)
    density = LogDensity(program)
    position = density.initial(Key(5, 0, (0, 1, 2)))
    draws = density.latents(position[:, None], Key(6, 0, (0, 1, 2)))
    pointwise = density.log_likelihood(draws)
    values = {n: v[:, 0] for n, v in draws.items()}
    expected = exact["log_likelihood"]({n: v.double() for n, v in values.items()})
    (got,) = pointwise.values.values()
    assert got[:, 0] == pytest.approx(expected.double(), rel=1e-5, abs=1e-5)
    held = {s.name: values[s.name][0].to(s.value) for s in program.latent if s.continuous}
    scored = score(condition(case.family, held), case.x)
    assert scored.kind == "exact"
    assert scored.value.double() == pytest.approx(expected[0].double(), rel=1e-4, abs=1e-4)


def condition(family, values):
    import pyro

    return pyro.poutine.condition(family, data=values)


@EVERY
def test_bad_data_raise_early_and_say_where(name: str) -> None:
    case = cases()[name]
    for x in (case.x.clone(), case.x.to(torch.int64)):
        if x.is_floating_point():
            x.reshape(-1)[3] = float("nan")
        with pytest.raises(DataError) as error:
            Program(case.family, x)
        assert str(error.value)
    with pytest.raises(PpgenError):
        Program(case.family, case.x[..., None, None])
    with pytest.raises(PpgenError):
        Program(case.family).bind()


@EVERY
def test_a_run_leaves_the_users_module_as_it_was_and_comes_back_from_its_folder(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    before = {k: v.clone() for k, v in case.family.state_dict().items()}
    posterior = SVI(num_steps=30, num_samples=50, progress=False).run(case.family, case.x)
    assert all(torch.equal(v, before[k]) for k, v in case.family.state_dict().items())
    learned = posterior.program.fn.state_dict()
    assert any(not torch.equal(v, before[k]) for k, v in learned.items())
    loaded = Posterior.load(posterior.save(tmp_path / "fit"), Program(case.family, case.x))
    assert loaded.summary().equals(posterior.summary())
    assert all(torch.equal(loaded.program.fn.state_dict()[k], v) for k, v in learned.items())
    for site, values in posterior.predict().items():
        assert torch.equal(loaded.predict()[site], values)
    assert json.loads(json.dumps(posterior.provenance)) == loaded.provenance
