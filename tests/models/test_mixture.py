"""Mixtures against scikit-learn, published log likelihoods, brute-force enumeration, quadrature and closed forms."""

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy.special import gammaln
from sklearn import mixture as sklearn_mixture
from sklearn.cluster import KMeans
from torch import Tensor
from torch.distributions import biject_to

from ppgen import datasets, inference, models
from ppgen.discovery import engines, families
from ppgen.errors import DataError, NameNotFoundError, ProgramError
from ppgen.models import GaussianMixture, MixtureOf
from ppgen.program import Program
from ppgen.targets import LogDensity

SKLEARN = {"full": "full", "tied": "tied", "diagonal": "diag"}


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def fitted(x: Tensor, num_components: int, covariance: str) -> tuple[sklearn_mixture.GaussianMixture, dict[str, Tensor]]:
    """EM by scikit-learn, the best of 6 starts, and its parameters as values of the family's sites."""
    rows = x.reshape(len(x), -1).numpy()
    fit = sklearn_mixture.GaussianMixture(
        num_components, covariance_type=SKLEARN[covariance], n_init=6, tol=1e-8, max_iter=2000, reg_covar=1e-9, random_state=0
    ).fit(rows)
    cov = torch.as_tensor(fit.covariances_)
    scale = cov.sqrt() if covariance == "diagonal" else cov.diagonal(dim1=-2, dim2=-1).sqrt()
    values = {"weights": torch.as_tensor(fit.weights_), "loc": torch.as_tensor(fit.means_), "scale": scale}
    if x.dim() == 1:
        return fit, {**values, "loc": values["loc"][..., 0], "scale": scale[..., 0]}
    if covariance != "diagonal":
        values["correlation"] = torch.linalg.cholesky(cov / (scale[..., None] * scale[..., None, :]))
    return fit, values


def sites_of(program, *args, **kwargs) -> dict[str, dict]:
    trace = pyro.poutine.trace(program).get_trace(*args, **kwargs)
    trace.compute_log_prob()
    return {n: s for n, s in trace.nodes.items() if s["type"] == "sample" and n not in ("components", "data")}


# Likelihood


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("name", "num_components", "covariance", "expected"),
    [
        ("old-faithful", 1, "full", -1289.797),
        ("old-faithful", 2, "full", -1130.264),
        ("old-faithful", 2, "tied", -1140.187),
        ("old-faithful", 3, "tied", -1126.316),
        ("old-faithful", 3, "diagonal", None),
        ("galaxies", 1, "full", -240.338),
        ("galaxies", 2, "full", -220.058),
        ("galaxies", 3, "full", -203.179),
        ("galaxies", 2, "tied", -230.352),
        ("galaxies", 3, "tied", -212.352),
        ("galaxies", 4, "tied", -207.722),
    ],
)
def test_log_likelihood_at_the_parameters_of_em(name: str, num_components: int, covariance: str, expected: float | None) -> None:
    """Figures: mclust's and recomputed ones for faithful, Roeder's galaxies in thousands of km/s."""
    x = datasets.load(name).x
    fit, values = fitted(x, num_components, covariance)
    exact = GaussianMixture(num_components, like=x, covariance=covariance).exact(x)
    rows = x.reshape(len(x), -1).numpy()
    np.testing.assert_allclose(exact["log_likelihood"](values), fit.score_samples(rows), rtol=1e-9)
    np.testing.assert_allclose(exact["responsibilities"](values), fit.predict_proba(rows), rtol=1e-6, atol=1e-9)
    if expected is not None:
        assert float(exact["log_likelihood"](values).sum()) == pytest.approx(expected, abs=1.5e-3)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("weights", "loc", "scale", "expected"),
    [
        ([1.0], [0.64470], [0.01905], -2979.059),
        ([0.4528, 0.5472], [0.63262, 0.65469], [0.01862, 0.01248], -2952.696),
    ],
)
def test_grouped_likelihood_of_pearsons_crabs(weights: list, loc: list, scale: list, expected: float) -> None:
    """29 classes of width 0.004, the outer ones open: the mass of each by the mixture's distribution function."""
    x = datasets.load("crabs-1894").x
    values = {"weights": torch.tensor(weights), "loc": torch.tensor(loc), "scale": torch.tensor(scale)}
    mixture = GaussianMixture(len(weights), like=x).components(values)
    middle, count = x.unique(return_counts=True)
    below, above = mixture.cdf(middle - 0.002), mixture.cdf(middle + 0.002)
    below[0], above[-1] = 0.0, 1.0
    assert float((count * (above - below).log()).sum()) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conditioned_program_scores_old_faithful(dtype: torch.dtype) -> None:
    """EM's parameters held by `condition`, through Pyro, in the default float32 with data of either dtype."""
    x = datasets.load("old-faithful").x
    _, values = fitted(x, 2, "full")
    mixture = pyro.condition(GaussianMixture(2, like=x), {n: v.float() for n, v in values.items()})
    total = 0.0
    for k in (0, 1):  # the posterior of assignments cancels: p(x) = sum_k p(x, k), row by row
        held = sites_of(pyro.condition(mixture, {"assignment": torch.full((len(x),), k)}), x.to(dtype))
        each = (held["assignment"]["log_prob"] + held["x"]["log_prob"]).double()
        total = each if k == 0 else torch.logaddexp(total, each)
    assert float(total.sum()) == pytest.approx(-1130.264, abs=1e-3)


# The density

BERNOULLI = partial(
    MixtureOf,
    2,
    lambda probs: dist.Bernoulli(probs).to_event(1),
    {"probs": dist.Beta(torch.tensor(2.0).double(), torch.tensor(3.0).double()).expand([4]).to_event(1)},
)
STUDENT = partial(
    MixtureOf,
    3,
    lambda loc, df: dist.StudentT(df, loc, 2.0),
    {"loc": dist.Normal(torch.tensor(50.0).double(), 20.0), "df": dist.Gamma(torch.tensor(4.0).double(), 0.5)},
    shared=["df"],
)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("make", "x"),
    [
        *[
            (partial(GaussianMixture, 2, num_features=2, covariance=c, loc_spread=60.0), [[3.6, 79.0], [1.8, 54.0], [2.3, 62.0]])
            for c in ("full", "tied", "diagonal")
        ],
        (partial(GaussianMixture, 2, loc_spread=30.0), [9.2, 26.7, 20.0]),
        (BERNOULLI, [[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]]),
        (STUDENT, [43.0, 62.0, 51.0]),
    ],
    ids=["full", "tied", "diagonal", "numbers", "bernoulli", "student"],
)
def test_assignments_are_summed_out(make, x: list) -> None:
    """LogDensity against the sum over all K^3 assignments of Pyro's own joint density, plus the transforms' Jacobians."""
    mixture, data = make(), torch.tensor(x)
    density = LogDensity(Program(mixture, data))
    positions = 0.5 * torch.randn(3, density.dim)
    value, gradient = density.value_and_grad(positions)
    assert gradient.isfinite().all()
    for position, got in zip(positions, value, strict=True):
        values = density.constrain(position)
        joint = []
        for assignment in itertools.product(range(mixture.num_components), repeat=3):
            held = pyro.condition(mixture, {**values, "assignment": torch.tensor(assignment)})
            joint.append(sum(s["log_prob"].sum() for s in sites_of(held, data).values()))
        jacobian = 0.0
        for n, s in sites_of(mixture, data).items():
            if n in values:
                to_site = biject_to(s["fn"].support)
                jacobian += to_site.log_abs_det_jacobian(to_site.inv(values[n]), values[n]).sum()
        assert float(got) == pytest.approx(float(torch.stack(joint).logsumexp(0) + jacobian), rel=1e-10)


@pytest.mark.usefixtures("double")
def test_one_component_has_the_evidence_of_the_conjugate_pair() -> None:
    """Gamma-Poisson by quadrature over the only coordinate, log rate, against the closed form."""
    shape, rate, x = 2.0, 0.1, torch.tensor([12.0, 17.0, 9.0, 21.0])
    mixture = MixtureOf(1, dist.Poisson, {"rate": dist.Gamma(shape, rate)})
    density = LogDensity(Program(mixture, x))
    assert density.dim == 1
    grid = torch.linspace(1.0, 4.5, 2001)
    quadrature = torch.trapezoid(density.value_and_grad(grid[:, None])[0].exp(), grid).log()
    total, n = float(x.sum()), len(x)
    closed = gammaln(shape + total) - gammaln(shape) + shape * math.log(rate) - (shape + total) * math.log(rate + n)
    assert float(quadrature) == pytest.approx(float(closed - gammaln(x.numpy() + 1).sum()), abs=1e-9)


@pytest.mark.usefixtures("double")
def test_exact_posterior_in_the_guide_gives_the_evidence_on_every_draw() -> None:
    x, noise, prior = torch.tensor([61.0, 64.5, 58.0]), 3.0, (50.0, 20.0)
    mixture = MixtureOf(1, lambda loc: dist.Normal(loc, noise), {"loc": dist.Normal(*map(torch.tensor, prior))})
    precision = prior[1] ** -2 + len(x) * noise**-2
    mean = (prior[0] * prior[1] ** -2 + float(x.sum()) * noise**-2) / precision
    with torch.no_grad():
        mixture.q.loc.copy_((mean - mixture.q.centre) / mixture.q.unit)
        mixture.q.log_scale.copy_((precision**-0.5 / mixture.q.unit).log())
    covariance = noise**2 * torch.eye(3) + prior[1] ** 2
    evidence = dist.MultivariateNormal(torch.full((3,), prior[0]), covariance).log_prob(x)
    for _ in range(5):
        q = pyro.poutine.trace(mixture.guide).get_trace(x)
        p = pyro.poutine.trace(pyro.poutine.replay(mixture, trace=q)).get_trace(x)
        assert float((p.log_prob_sum() - q.log_prob_sum()).detach()) == pytest.approx(float(evidence), abs=1e-9)


# The guide


def every_variant(x: Tensor) -> Iterator[GaussianMixture]:
    for covariance in ("full", "diagonal", "tied"):
        for num_components in (1, 3):
            yield GaussianMixture(num_components, like=x, covariance=covariance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(40,), (40, 1), (40, 3)])
def test_pair_has_the_same_sites_and_draws_data(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = (torch.randn(shape) * 7 + 80).to(dtype)
    for mixture in every_variant(x):
        model, guide = sites_of(mixture, x), sites_of(mixture.guide, x)
        assert set(guide) == set(model) - {"assignment", "x"}
        for name, site in guide.items():
            assert site["value"].shape == model[name]["value"].shape
            assert model[name]["fn"].support.check(site["value"]).all()
            assert model[name]["value"].dtype == site["value"].dtype == torch.get_default_dtype()
        assert mixture(size=7).shape == (7, *shape[1:])
        density = LogDensity(Program(mixture, x))
        assert density.lowering.name == "native"
        assert density.value_and_grad(torch.zeros(2, density.dim, dtype=torch.float64))[0].isfinite().all()


def normal_of(mixture: GaussianMixture) -> dist.MultivariateNormal:
    """The guide's normal in unconstrained space, from its definition: d = B d + C e, u = centre + unit (loc + scale d)."""
    q = mixture.q
    dim = len(q.loc)
    block = torch.cat([torch.full((s.numel(),), float(i)) for i, s in enumerate(q.shapes.values())])
    same = block[:, None] == block
    lower = q.coupling.tril(-1)
    spread = torch.linalg.solve(torch.eye(dim) - torch.where(same, 0.0, lower), torch.eye(dim) + torch.where(same, lower, 0.0))
    root = (q.unit * q.log_scale.exp())[:, None] * spread
    return dist.MultivariateNormal(q.centre + q.unit * q.loc, root @ root.T)


def free(name: str, value: Tensor) -> Tensor:
    """The numbers of a value that density counts: a simplex without its last, a Cholesky factor's strict lower triangle."""
    if name == "weights":
        return value[:-1]
    if name == "correlation":
        rows, columns = torch.tril_indices(*value.shape[-2:], -1)
        return value[..., rows, columns].reshape(-1)
    return value.reshape(-1)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal"])
def test_guide_is_a_normal_in_unconstrained_space(covariance: str) -> None:
    """Its log density against that normal's, divided by the Jacobian determinant that autograd gives."""
    x = datasets.load("old-faithful").x
    mixture = GaussianMixture(2, like=x, covariance=covariance)
    with torch.no_grad():
        for p in mixture.q.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    sites = sites_of(mixture.guide, x)
    transforms = {n: biject_to(s["fn"].support) for n, s in sites_of(mixture, x).items() if n in sites}
    parts = [transforms[n].inv(s["value"]).detach() for n, s in sites.items()]
    u = torch.cat([p.reshape(-1) for p in parts])

    def values(u: Tensor) -> Tensor:
        split = u.split([p.numel() for p in parts])
        return torch.cat([free(n, transforms[n](v.reshape(p.shape))) for n, v, p in zip(sites, split, parts, strict=True)])

    jacobian = torch.autograd.functional.jacobian(values, u)
    expected = normal_of(mixture).log_prob(u) - torch.linalg.slogdet(jacobian).logabsdet
    assert float(sum(s["log_prob"].sum().detach() for s in sites.values())) == pytest.approx(float(expected.detach()), rel=1e-9)


def test_guide_of_many_numbers_is_independent() -> None:
    mixture = GaussianMixture(8, num_features=4)
    assert mixture.q.coupling is None
    sites = sites_of(mixture.guide)
    assert set(sites) == {"weights", "loc", "scale", "correlation"}
    loc = dist.Normal(mixture.q.centre[7:39].reshape(8, 4), 0.1 * mixture.q.unit[7:39].reshape(8, 4))
    value = sites["loc"]["value"].detach()
    assert float(sites["loc"]["log_prob"].detach()) == pytest.approx(float(loc.log_prob(value).sum()), rel=1e-5)


@pytest.mark.parametrize("num_components", [2, 3, 5])
def test_guide_begins_at_clusters(num_components: int) -> None:
    """As tight, within 3 %, as the best that scikit-learn finds from 20 starts."""
    x = datasets.load("old-faithful").x
    mixture = GaussianMixture(num_components, like=x)
    with torch.no_grad():
        mixture.q.log_scale.fill_(-12.0)  # a point, for all that can be seen of it
        begin = {n: s["value"] for n, s in sites_of(mixture.guide).items()}
    z, means = (x - x.mean(0)) / x.std(0, correction=0), (begin["loc"] - x.mean(0)) / x.std(0, correction=0)
    best = KMeans(num_components, n_init=20, random_state=0).fit(z.numpy()).inertia_
    assert best * (1 - 1e-4) < float(torch.cdist(z, means).min(-1).values.square().sum()) < best * 1.03
    torch.testing.assert_close(begin["weights"], torch.full((num_components,), 1 / num_components), atol=1e-3, rtol=0)
    torch.testing.assert_close(begin["correlation"], torch.eye(2).expand(num_components, 2, 2), atol=1e-3, rtol=0)


def test_priors_follow_like_and_not_the_data_of_a_call() -> None:
    x = datasets.load("old-faithful").x
    mixture = GaussianMixture(2, like=x)
    values = {n: s["value"] for n, s in sites_of(mixture, x).items() if n in ("weights", "loc", "scale", "correlation")}
    held = pyro.condition(mixture, values)
    whole, part = sites_of(held, x), sites_of(held, x[:10] * 3)
    for name in values:
        assert torch.equal(whole[name]["log_prob"], part[name]["log_prob"])
    np.testing.assert_allclose(mixture.centre, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(mixture.spread, x.numpy().std(0), rtol=1e-6)


def test_construction_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    GaussianMixture(2, like=datasets.load("old-faithful").x)
    assert torch.equal(before, torch.get_rng_state())


# Drawing and labels


@pytest.mark.usefixtures("double")
def test_data_drawn_have_the_moments_of_the_mixture() -> None:
    x = datasets.load("old-faithful").x
    _, values = fitted(x, 2, "full")
    size = 40_000
    drawn = pyro.condition(GaussianMixture(2, like=x), values)(size=size)
    assert drawn.shape == (size, 2)
    # the maximum likelihood fit of a mixture keeps the data's mean and covariance
    error = x.std(0) / math.sqrt(size)
    assert ((drawn.mean(0) - x.mean(0)).abs() < 4 * error).all()
    np.testing.assert_allclose(torch.cov(drawn.T), np.cov(x.T, bias=True), rtol=0.04)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal"])
@pytest.mark.parametrize("shape", [(30, 2), (30,)])
def test_relabelling_orders_components_and_changes_nothing_else(covariance: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape) * 5 + 20
    mixture = GaussianMixture(3, like=x, covariance=covariance)
    draws = [sites_of(mixture, x) for _ in range(8)]
    lead = {n: torch.stack([d[n]["value"] for d in draws]).reshape(2, 4, *draws[0][n]["value"].shape) for n in draws[0] if n != "x"}
    lead["other"] = torch.randn(2, 4)
    out = mixture.relabel(lead)
    first = out["loc"].reshape(2, 4, 3, -1)[..., 0]
    assert (first.diff(dim=-1) > 0).all()
    assert (lead["loc"].reshape(2, 4, 3, -1)[..., 0].diff(dim=-1) < 0).any()  # or there was nothing to do
    torch.testing.assert_close(mixture.log_likelihood(x, out), mixture.log_likelihood(x, lead))
    assert torch.equal(out["other"], lead["other"])
    for name in ("weights", "loc"):  # what a datum's own component says stays with the datum

        def own(d: dict[str, Tensor], name: str = name) -> Tensor:
            v = d[name].reshape(2, 4, 3, -1)
            return v.take_along_dim(d["assignment"][..., None], 2)

        assert torch.equal(own(out), own(lead))
    assert out["assignment"].dtype == lead["assignment"].dtype
    held = {n: v for n, v in lead.items() if n != "weights"}
    assert all(torch.equal(v, held[n]) for n, v in mixture.relabel(held).items())


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal"])
def test_components_are_the_distribution_of_a_datum(covariance: str) -> None:
    x = torch.randn(30, 2) * 5 + 20
    mixture = GaussianMixture(3, like=x, covariance=covariance)
    draws = [sites_of(mixture, x) for _ in range(4)]
    values = {n: torch.stack([d[n]["value"] for d in draws]) for n in draws[0] if n not in ("x", "assignment")}
    components = mixture.components(values)
    assert components.batch_shape == (4,)
    assert components.event_shape == (2,)
    pointwise = mixture.log_likelihood(x, values)  # (4, 30)
    torch.testing.assert_close(components.log_prob(x[:, None]).T, pointwise)
    torch.testing.assert_close(mixture.responsibilities(x, values).sum(-1), torch.ones(4, 30))
    del values["scale"]
    assert mixture.components(values) is None
    with pytest.raises(NameNotFoundError, match="no value for scale; given are"):
        mixture.log_likelihood(x, values)


# What is refused

ROWS = torch.tensor([[1.0, 2.0], [3.0, 5.0], [4.0, 4.0]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GaussianMixture(2, like=torch.tensor([[1.0, 2.0], [3.0, math.nan]])), DataError, "not finite in row 1"),
        (lambda: GaussianMixture(2, like=torch.tensor([1.0, math.inf, 2.0])), DataError, "not finite in row 1"),
        (lambda: GaussianMixture(2, like=ROWS[:, :, None]), DataError, r"like must have shape \(N,\), one datum a row; got \(3, 2, 1\)"),
        (lambda: GaussianMixture(2, 3, like=ROWS), DataError, r"like must have shape \(N, 3\), one datum a row; got \(3, 2\)"),
        (lambda: GaussianMixture(2, like=ROWS.numpy()), DataError, "like must be a torch tensor, got ndarray"),
        (lambda: GaussianMixture(2, like=[1.0, 2.0, 3.0]), DataError, "like must be a torch tensor, got list"),
        (lambda: GaussianMixture(2, like=ROWS.long()), DataError, "floating-point numbers, got torch.int64"),
        (lambda: GaussianMixture(2, like=ROWS[:0]), DataError, "like has no rows"),
        (lambda: GaussianMixture(4, like=ROWS), DataError, "like has 3 rows, fewer than the 4 components"),
        (lambda: GaussianMixture(2, like=torch.tensor([[0.1, 2.0]] * 2 + [[0.1, 3.0]])), DataError, "column 0 of like is constant"),
        (lambda: GaussianMixture(1, like=torch.tensor([0.3])), DataError, "^like is constant"),
        (lambda: GaussianMixture(0), ProgramError, "num_components must be at least 1, got 0"),
        (lambda: GaussianMixture(2, 0), ProgramError, "num_features must be at least 1, got 0"),
        (lambda: GaussianMixture(2, covariance="spherical"), NameNotFoundError, "there are full, diagonal, tied"),
        (lambda: GaussianMixture(2, concentration=0.0), ProgramError, "concentration must be positive, got 0.0"),
        (lambda: GaussianMixture(2, loc_spread=math.nan), ProgramError, "loc_spread must be positive, got nan"),
        (lambda: GaussianMixture(2, 2, like=ROWS)(ROWS, ROWS), ProgramError, "GaussianMixture takes no context"),
        (lambda: GaussianMixture(2, 2)(ROWS[:, 0]), DataError, r"x must have shape \(N, 2\), one datum a row; got \(3,\)"),
        (lambda: GaussianMixture(2)(ROWS[:, :1]), DataError, r"x must have shape \(N,\), one datum a row; got \(3, 1\)"),
        (lambda: GaussianMixture(2)(None), ProgramError, "give data x to observe, or size"),
        (lambda: GaussianMixture(2)(size=0), ProgramError, "size must be at least 1"),
        (lambda: GaussianMixture(2, 2)(ROWS, size=4), ProgramError, "x has 3 rows and size is 4"),
        (lambda: Program(GaussianMixture(2, 2), ROWS / 0 * 0), DataError, "site 'x': NaN in the data at row 0"),
        (lambda: MixtureOf(2, dist.Poisson, {"rate": dist.Gamma(torch.ones(3), 1.0)}), ProgramError, "'rate' has batch shape"),
        (lambda: MixtureOf(2, dist.Poisson, {"rate": dist.Poisson(3.0)}), ProgramError, "'rate' is discrete"),
        (lambda: MixtureOf(2, dist.Poisson, {"rate": dist.Gamma(1.0, 1.0)}, shared=["rte"]), NameNotFoundError, "no prior for rte"),
        (lambda: MixtureOf(2, dist.Poisson, {"rate": dist.Gamma(1.0, 1.0)}, shared=["rate"]), ProgramError, "of their own"),
    ],
)
def test_refusals_name_the_culprit(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# The packages


@pytest.mark.parametrize(("package", "found"), [(models, families), (inference, engines)])
def test_packages_export_what_their_files_define(package, found) -> None:
    """The names are listed for readers and type checkers; a file that is not listed fails here."""
    assert {kind.__name__ for kind in found().values()} <= set(package.__all__)
    assert all(getattr(package, kind.__name__) is kind for kind in found().values())
    assert all(callable(getattr(package, name)) for name in package.__all__)
