"""What every family promises, whichever it is."""

import copy
import inspect
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from ppgen import Score, sample, score, structure
from ppgen.cli import main
from ppgen.discovery import engines, families, one_line
from ppgen.errors import EliminationError, GuideError, PpgenError, ScoreError
from ppgen.family import Family
from ppgen.held_draws import held_draws
from ppgen.inference import SVI
from ppgen.keys import Key
from ppgen.objective import Objective
from ppgen.posterior import Posterior
from ppgen.program import Program
from ppgen.targets import LogDensity

from .cases import Case, cases, settled

EVERY = pytest.mark.parametrize("name", list(cases()))
EXACT = {"log_evidence", "posterior", "marginals"}  # and functions of values by site


# All of them


def test_every_family_has_a_case() -> None:
    have = {type(case.family) for case in cases().values()}
    assert set(families().values()) <= have


def test_every_family_has_a_diagram_drawn_by_hand() -> None:
    have = {type(case.family) for case in cases().values() if case.edges}
    assert set(families().values()) <= have


def test_every_family_has_a_card() -> None:
    """One line of `ppgen list`: what it is, in a sentence."""
    listed = CliRunner().invoke(main, ["list"], env={"COLUMNS": "400"}).output.splitlines()
    for name, kind in families().items():
        (card,) = (line for line in listed if line.split()[:1] == [name])
        assert card.split(maxsplit=1)[1].strip() == one_line(kind)
        assert len(one_line(kind).split()) > 3
        assert "~" not in one_line(kind)


# The pair


def continuous(program: Program) -> list[str]:
    return [s.name for s in program.latent if s.continuous]


@EVERY
def test_model_and_guide_share_their_sites(name: str) -> None:
    """The guide samples every continuous latent site of the model, in its shape, and nothing that the model has not: what the
    objective asks of it, of which the next test sees that it is asked."""
    case = cases()[name]
    program = Program(case.family, case.x)
    if continuous(program):
        Objective(program.copy(), None, key=Key(0), bound=has_bound(case.family))
    else:
        case.family.guide(case.x)


@EVERY
def test_a_site_missing_from_the_guide_is_named(name: str) -> None:
    case = cases()[name]

    class Broken(type(case.family)):  # type: ignore[misc]
        def guide(self, x: Any = None, context: Any = None, *, size: int | None = None) -> None:
            pass

    broken = copy.deepcopy(case.family)
    broken.__class__ = Broken
    for first in continuous(Program(case.family, case.x))[:1]:
        with pytest.raises(GuideError, match=repr(first)):
            SVI(num_steps=1, progress=False).run(broken, case.x)


@EVERY
def test_the_diagram_is_the_one_drawn_by_hand(name: str) -> None:
    case = cases()[name]
    if case.edges is None:
        return
    graph = structure(case.family, case.x)
    sites = set(graph.of_kind("latent", "observed", "conditioned", "deterministic", "factor"))
    assert {(a, b) for a, b in graph.edges if {a, b} <= sites} == case.pairs
    drawn = {plate: {n for n in sites if plate in graph.nodes[n]["plates"]} for plate in graph.plates}
    assert {plate: inside for plate, inside in drawn.items() if inside} == {p: set(inside.split()) for p, inside in case.plates.items()}


# The tasks


@EVERY
def test_data_are_drawn(name: str) -> None:
    """Forward draws have the data's shape, are the seed's alone, and lie in the support of the model."""
    case = cases()[name]
    program = Program(case.family, case.x)
    drawn, again, other = (sample(case.family, 7, seed=s) for s in (3, 3, 4))
    data = [s for s in program.observed if s.name in drawn]
    assert data or set(drawn) - {s.name for s in program.latent}
    for site in data:
        assert len(drawn[site.name]) == 7 or program.data_plate not in site.plates
        if site.plates in ((), (program.data_plate,)):
            assert drawn[site.name].shape[1:] == site.value.shape[1:]
        assert site.support.check(drawn[site.name]).all()
    assert all(torch.equal(drawn[n], again[n]) for n in drawn)
    assert any(not torch.equal(drawn[n], other[n]) for n in drawn)


def condition(family: Family, values: Mapping[str, Tensor]) -> Any:
    return pyro.poutine.condition(family, data=values)


@EVERY
def test_scores_at_fixed_values_are_the_familys_own(name: str) -> None:
    """By enumeration over the recorded factors, and by the family's closed form: datum by datum where data have scores of
    their own, and in sum."""
    case = cases()[name]
    program = Program(case.family, case.x)
    exact = case.family.exact(case.x)
    if "log_likelihood" not in exact:
        assert "log_evidence" in exact
        return
    values = some_values(program)
    expected = exact["log_likelihood"]({n: v.double() for n, v in values.items()}).double()  # (3, N)
    for i in range(len(expected)):
        held = {n: values[n][i].to(program.sites[n].value) for n in continuous(program)}
        given = Program(condition(case.family, held), case.x)
        priors = sum(float(given.sites[n].log_prob.detach().sum()) for n in held)
        total = float(LogDensity(given).log_density(torch.zeros(1, 0, dtype=torch.float64))) - priors
        assert total == pytest.approx(float(expected[i].sum()), rel=1e-5, abs=1e-3)
        if (scored := scored_or_not(given)) is not None:
            assert scored.kind == "exact"
            assert scored.value.double() == pytest.approx(expected[i], rel=1e-4, abs=1e-4)


def scored_or_not(program: Program) -> Score | None:
    """None where a datum has no score of its own."""
    try:
        return score(program)
    except ScoreError:
        return None


def some_values(program: Program) -> dict[str, Tensor]:
    """Of the continuous latent sites, at three positions."""
    density = LogDensity(program)
    if not density.dim:
        return {}
    return density.constrain(density.initial(Key(5, 0, (0, 1, 2))))


@EVERY
def test_what_is_known_in_closed_form(name: str) -> None:
    """With the exact posterior in the guide the ELBO is the log evidence, whatever the guide drew."""
    case = cases()[name]
    exact = case.family.exact(case.x)
    assert exact
    assert all(key in EXACT or callable(value) for key, value in exact.items())
    if "log_evidence" not in exact:
        return
    program = Program(case.family, case.x)
    if not summed_out(program):
        assert float(bound_of(program)) < float(exact["log_evidence"])
        return
    if continuous(program):
        objective = Objective(program.copy(), guide_of(case, exact), key=Key(0), dtype=torch.float64)
        _, got = objective.draws(objective.params, Key(0), 16)
    else:
        got = LogDensity(program).log_density(torch.zeros(1, 0, dtype=torch.float64))
    assert got is not None
    for value in got.tolist():
        assert value == pytest.approx(float(exact["log_evidence"]), rel=1e-6, abs=2e-3)


def has_bound(family: Family) -> bool:
    return callable(getattr(family, "bound", None))


def bound_of(program: Program, num_particles: int = 1, repeats: int = 1) -> Tensor:
    """The family's own bound at its parameters, means over noise (repeats,)."""
    objective = Objective(program.copy(), None, key=Key(0), num_particles=num_particles, dtype=torch.float64, bound=True)
    return torch.stack([-objective.value_and_grad(objective.params, objective.inputs(Key(0, 1 + i)))[0] for i in range(repeats)])


def summed_out(program: Program) -> bool:
    """Whether the discrete sites can be."""
    try:
        LogDensity(program)
    except EliminationError:
        return False
    return True


@EVERY
def test_a_familys_bound_is_the_lower_bound_of_the_pair(name: str) -> None:
    """Its mean over noise, against the mean of log p - log q over draws of the pair."""
    case = cases()[name]
    if not has_bound(case.family):
        return
    program, count = Program(case.family, case.x), 20_000
    if summed_out(program):
        pair = Objective(program.copy(), None, key=Key(0), num_particles=count, dtype=torch.float64)
        _, weights = pair.draws(pair.params, Key(0), count)
    else:
        _, weights = held_draws(program, count, 0)
    assert weights is not None
    found = bound_of(program, 400, repeats=10)
    error = math.hypot(float(weights.double().std()) / count**0.5, float(found.std()) / len(found) ** 0.5)
    assert float(weights.double().mean()) == pytest.approx(float(found.mean()), abs=5 * error + 1e-3)


def guide_of(case: Case, exact: Mapping[str, Any]) -> Any:
    """The case's own, or the sites independently of each other at their posteriors."""

    def guide(x: Any = None, context: Any = None, *, size: int | None = None) -> None:
        for site, law in exact["posterior"].items():
            pyro.sample(site, law.to_event(len(law.batch_shape)))

    return case.guide or guide


# Mistakes


@EVERY
def test_bad_data_raise_early_and_say_what_is_wrong(name: str) -> None:
    case = cases()[name]
    assert case.refused
    for x, pattern in case.refused:
        with pytest.raises(PpgenError, match=pattern):
            Program(case.family, x)
    with pytest.raises(PpgenError):
        Program(case.family).bind()


@EVERY
def test_no_method_has_arguments_that_travel(name: str) -> None:
    family = cases()[name].family
    for method in (family.model, family.guide, family.exact):
        kinds = {p.kind for p in inspect.signature(method).parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


# A run


@EVERY
def test_a_run_leaves_the_users_module_as_it_was_and_comes_back_from_its_folder(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    before = {k: v.clone() for k, v in case.family.state_dict().items()}
    short = {"num_steps": 30, "num_samples": 50, "num_warmup": 50}
    runs = (settled(engine, case.family, case.x, settings=short) for engine in sorted(engines(), key=lambda e: e != "svi"))
    posterior = next(run for run in runs if isinstance(run, Posterior))
    assert all(torch.equal(v, before[k]) for k, v in case.family.state_dict().items())
    learned = posterior.program.fn.state_dict()
    assert posterior.losses is None or any(not torch.equal(v, before[k]) for k, v in learned.items())
    loaded = Posterior.load(posterior.save(tmp_path / "fit"), Program(case.family, case.x))
    assert not posterior.draws or loaded.summary().equals(posterior.summary())
    assert all(torch.equal(loaded.program.fn.state_dict()[k], v) for k, v in learned.items())
    for site, values in posterior.predict().items():
        assert torch.equal(loaded.predict()[site], values)
    assert json.loads(json.dumps(posterior.provenance)) == loaded.provenance
