"""LogDensity on 25 posteriors with known log densities: what the flat position, supports and Jacobians must get right."""

from collections.abc import Iterator, Mapping

import pytest
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions import biject_to

from ppgen.keys import Key
from ppgen.program import Program
from ppgen.targets import LogDensity
from tests.posteriors import NAMES, PosteriorCase, load

# Sampled as (theta - loc) / scale where the reference states its density in theta
NONCENTRED = {
    "eight_schools-eight_schools_noncentered": ("e", "theta", "mu", "tau"),
    "radon_mn-radon_hierarchical_intercept_noncentered": ("e", "alpha", "mu_alpha", "sigma_alpha"),
}


@pytest.fixture(scope="module", autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> tuple[str, PosteriorCase, LogDensity]:
    case = load(request.param)
    return request.param, case, LogDensity(Program(case.model, **case.kwargs), lowering="recorded")


def check_points(name: str, case: PosteriorCase, density: LogDensity) -> tuple[dict[str, Tensor], Tensor]:
    """The stored points as values of the sites, (4, *shape), and what to add to their log density (4,): a density in theta is
    one in (theta - loc) / scale less the log of the scale."""
    points = case.reference["logdensity_check"]["points"]
    values = {k: torch.tensor([p[k] for p in points]) for k in points[0]}
    change = torch.zeros(len(points))
    if name in NONCENTRED:
        site, theta, loc, scale = NONCENTRED[name]
        values[site] = (values[theta] - values[loc][:, None]) / values[scale][:, None]
        change = -values[site].shape[1] * values[scale].log()
    return {s.name: values[s.name].reshape(len(points), *s.shape) for s in density.sites}, change


def log_jacobian(density: LogDensity, values: Mapping[str, Tensor]) -> Tensor:
    """Of the map from the unconstrained to the listed coordinates, (4,), by torch's own transforms."""
    total = torch.zeros(len(next(iter(values.values()))))
    for s in density.sites:
        support = s.support
        if s.name == "beta1" and "alpha1" in values:  # garch: the support of one point is not that of another
            support = constraints.interval(torch.zeros(()), 1 - values["alpha1"])
        transform = biject_to(support)
        u = transform.inv(values[s.name])
        total = total + transform.log_abs_det_jacobian(u, values[s.name]).reshape(len(total), -1).sum(-1)
    return total


def test_log_density_differences(case: tuple[str, PosteriorCase, LogDensity]) -> None:
    name, reference, density = case
    values, change = check_points(name, reference, density)
    value, _ = density.value_and_grad(density.unconstrain(values))
    found = value - log_jacobian(density, values) + change
    stored = torch.tensor(reference.reference["logdensity_check"]["logdensity"])
    assert ((found - found[0]) - (stored - stored[0])).abs().max() < 1e-6


def test_round_trip(case: tuple[str, PosteriorCase, LogDensity]) -> None:
    name, reference, density = case
    values, _ = check_points(name, reference, density)
    back = density.constrain(density.unconstrain(values))
    assert density.dim == sum(s.unconstrained_shape.numel() for s in density.sites)
    for n, v in values.items():
        assert torch.allclose(back[n], v, rtol=1e-12, atol=1e-13), n


def test_gradient_against_finite_differences(case: tuple[str, PosteriorCase, LogDensity]) -> None:
    name, reference, density = case
    values, _ = check_points(name, reference, density)
    position = density.unconstrain(values)
    gradient = density.value_and_grad(position)[1]
    for i in torch.arange(density.dim)[:: max(1, density.dim // 12)]:
        step = 1e-5 * position[:, i].abs().clamp(min=1)
        move = torch.zeros_like(position)
        move[:, i] = step
        slope = (density.log_density(position + move) - density.log_density(position - move)) / (2 * step)
        assert ((slope - gradient[:, i]).abs() <= 2e-6 * (1 + gradient[:, i].abs())).all(), (i, slope, gradient[:, i])


def test_parameters_have_the_names_of_the_reference(case: tuple[str, PosteriorCase, LogDensity]) -> None:
    """Draws of all sites, deterministic ones included, give back the stored points under the reference's names."""
    name, reference, density = case
    values, _ = check_points(name, reference, density)
    draws = density.latents(density.unconstrain(values)[None], Key(0))
    found = reference.parameters(draws)
    points = reference.reference["logdensity_check"]["points"]
    assert list(found) == reference.reference["parameters"]
    for parameter, v in found.items():
        site, _, index = parameter.partition("[")
        stored = [p[site][int(index[:-1]) - 1] if index else p[site] for p in points]
        assert torch.allclose(v, torch.tensor(stored)[None], rtol=1e-11, atol=1e-12), parameter
