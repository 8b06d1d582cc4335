"""Structures: the graphs of the literature, questions to them, folding, and programs that cannot be recorded."""

from collections.abc import Iterator

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.errors import NameNotFoundError
from ppgen.factorisation import formula
from ppgen.graph import Structure, structure
from tests import posteriors
from tests.tools import textbook


def named(graph: Structure) -> set[str]:
    """Nodes other than fixed numbers without a name."""
    return {n for n, d in graph.nodes.items() if not (d["kind"] == "constant" and "value" in d)}


@pytest.mark.parametrize("name", textbook.CASES)
def test_the_graph_is_the_textbooks(name: str) -> None:
    case = textbook.CASES[name]
    graph = structure(case.program, *case.args)
    assert graph.graph["recorded"], graph.graph["reason"]
    assert named(graph) == set(case.parents) | {p for parents in case.parents.values() for p in parents.split()}
    found = {n: graph.parents(n) & named(graph) for n in named(graph)}
    assert found == {n: set(case.parents.get(n, "").split()) for n in named(graph)}
    assert {n: set(graph.nodes[n]["plates"]) for n in named(graph)} == {n: set(case.plates.get(n, "").split()) for n in named(graph)}
    assert {n: p["size"] for n, p in graph.plates.items()} == case.sizes
    assert {n: graph.nodes[n]["kind"] for n in named(graph)} == {n: case.kinds.get(n, "latent") for n in named(graph)}


@pytest.mark.parametrize("name", ["hidden Markov model", "linear-Gaussian state space", "deep Markov model", "stochastic volatility"])
def test_slices_fold_into_one(name: str) -> None:
    case = textbook.CASES[name]
    graph = structure(case.program, *case.args).folded()
    state = "h" if name == "stochastic volatility" else "z"
    seen = "y" if name == "stochastic volatility" else "x"
    assert not [n for n in graph if str(n)[-1].isdigit()]
    assert graph.edges[state, state]["lag"] == 1
    assert state in graph.parents(seen)
    assert "lag" not in graph.edges[state, seen]
    assert "t" in graph.nodes[state]["plates"]
    assert "t" in graph.nodes[seen]["plates"]


def test_an_order_of_two_folds_with_two_edges() -> None:
    def program(x: Tensor) -> None:
        before = [torch.tensor(0.0), torch.tensor(0.0)]
        for t in range(len(x)):
            before.append(pyro.sample(f"z[{t}]", dist.Normal(0.5 * before[-1] - 0.3 * before[-2], 1.0)))
            pyro.sample(f"x[{t}]", dist.Normal(before[-1], 2.0), obs=x[t])

    graph = structure(program, textbook.numbers(6)).folded()
    assert graph.graph["slices"]["z"] == [f"z[{t}]" for t in range(6)]
    assert graph.parents("x") & {"z"} == {"z"}
    assert set(graph.parents("z")) & {"z"} == {"z"}


def test_questions_to_the_sprinkler() -> None:
    """Pearl's standard answers: a fork blocks when its root is known, a collider opens when it (or a child) is known."""
    graph = structure(textbook.sprinkler)
    assert not graph.d_separated("sprinkler", "rain")
    assert graph.d_separated("sprinkler", "rain", ["cloudy"])
    assert not graph.d_separated("sprinkler", "rain", ["cloudy", "wet"])
    assert graph.do("sprinkler").d_separated("sprinkler", "rain")
    variables = {"cloudy", "sprinkler", "rain", "wet"}
    assert graph.markov_blanket("sprinkler") & variables == {"cloudy", "rain", "wet"}
    assert graph.ancestors("wet") & variables == {"cloudy", "sprinkler", "rain"}
    with pytest.raises(NameNotFoundError, match="no node named 'snow'; there are cloudy"):
        graph.d_separated("snow", "rain")


def test_questions_to_a_folded_chain_are_asked_of_all_slices() -> None:
    case = textbook.CASES["linear-Gaussian state space"]
    graph = structure(case.program, *case.args)
    assert graph.d_separated("z_0", "z_4", ["z_2", "a", "q"])
    assert not graph.d_separated("z_0", "z_4", ["x_2", "a", "q"])
    assert graph.folded().d_separated("x", "q", ["z", "r"])
    assert not graph.folded().d_separated("x", "q", ["r"])


def test_what_cannot_be_recorded_is_run() -> None:
    def program(x: Tensor) -> None:
        a, b, c = (pyro.sample(n, dist.Normal(0.0, 1.0)) for n in "abc")
        loc = torch.from_numpy(a.reshape(1).numpy() * 2.0)  # leaves torch
        if float(b) > 0.0:
            pyro.sample("extra", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc + 0 * c, 1.0), obs=x)

    graph = structure(program, textbook.numbers(5))
    assert not graph.graph["recorded"]
    assert "numpy" in graph.graph["reason"]
    assert graph.parents("x") == {"a"}
    control = [(u, v) for u, v, d in graph.edges(data=True) if d["control"]]
    assert control in ([], [("b", "extra")])  # a site that the first run did not meet is no node
    assert not graph.parents("c")


def test_a_familys_model_and_guide() -> None:
    from ppgen.models import GaussianMixture

    x = textbook.numbers(30, 2)
    family = GaussianMixture(2, like=x)
    model, guide = structure(family, x), structure(family.guide, x)
    assert model.parents("x") == {"loc", "scale", "correlation", "assignment"}
    assert model.parents("assignment") == {"weights"}
    assert model.nodes["assignment"]["discrete"]
    assert model.nodes["assignment"]["local"]
    assert not model.nodes["loc"]["local"]
    assert guide.parents("correlation") == {"q", "weights", "loc", "scale"}  # one joint normal, site after site
    assert guide.nodes["q"]["kind"] == "parameter"


def test_formulas_of_arguments() -> None:
    case = textbook.CASES["Gaussian mixture"]
    graph = structure(case.program, *case.args)
    assert graph.nodes["x"]["arguments"] == {"loc": "loc[z]", "scale": "scale[z]"}
    assert graph.nodes["z"]["arguments"] == {"probs": "w"}
    schools = textbook.CASES["eight schools, non-centred"]
    assert structure(schools.program, *schools.args).nodes["theta"]["arguments"] == {"value": "mu + tau * eta"}
    vae = textbook.CASES["variational autoencoder"]
    assert structure(vae.program, *vae.args).nodes["x"]["arguments"] == {"logits": "decoder(z)"}


# Written from the mathematics
FORMULAS = {
    "mixture of Bernoullis": "p(pi | alpha) prod_k p(mu_k | a, b) prod_i p(z_i | pi) p(x_i | mu, z_i)",
    "Gaussian mixture": "p(w) prod_k p(loc_k) p(scale_k) prod_i p(z_i | w) p(x_i | loc, scale, z_i)",
    "matrix factorisation": "prod_i p(u_i) prod_c p(v_c) prod_{i, c} p(r_i,c | u_i, v_c)",
    "sprinkler": "p(cloudy) p(sprinkler | cloudy) p(rain | cloudy) p(wet | sprinkler, rain)",
}


@pytest.mark.parametrize("name", FORMULAS)
def test_factorisations(name: str) -> None:
    case = textbook.CASES[name]
    assert formula(case.program, *case.args).text == FORMULAS[name]


def test_a_story_and_a_bound() -> None:
    from ppgen.models import GaussianMixture

    case = textbook.CASES["hidden Markov model"]
    story = formula(structure(case.program, *case.args).folded()).story
    assert "z_t ~ Categorical(row[z[t-1]])    for t = 1..4" in story
    x = textbook.numbers(20, 2)
    family = GaussianMixture(2, like=x)
    both = formula(family, x, guide=family.guide)
    assert both.elbo is not None
    assert both.elbo.startswith("log p(x) >= E_q[log p(x, weights")
    assert both.guide is not None
    assert both.guide.text.startswith("q(weights | q)")
    assert both.latex.startswith(r"p(\mathrm{weights}")


@pytest.mark.parametrize("name", list(textbook.CASES))
def test_formulas_are_latex(name: str) -> None:
    """As matplotlib reads it: no symbol has two subscripts, nothing of Python is left."""
    from matplotlib.mathtext import MathTextParser

    case = textbook.CASES[name]
    written = formula(case.program, *case.args)
    assert len(written.latex_story) == len(written.story)
    for line in (written.latex, *written.latex_story):
        MathTextParser("agg").parse(f"${line}$")


def test_a_story_in_latex() -> None:
    def program() -> None:
        with pyro.plate("old_rows", 3):
            pyro.sample("old_mu", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 4):
            z = pyro.sample("z", dist.Categorical(torch.ones(3) / 3))
            rate = pyro.sample("rate", dist.Beta(2.0, 3.0))
            pyro.sample("x", dist.Normal(rate**2 + z, 1.0), obs=torch.ones(4))

    story = formula(program).latex_story
    assert story[0] == r"\mathrm{old}_{\mathrm{mu},o} \sim \mathrm{Normal}(0,\ 1)\qquad o = 1, \ldots, 3"
    assert story[2] == r"\mathrm{rate}_{i} \sim \mathrm{Beta}(2,\ 3)\qquad i = 1, \ldots, 4"
    assert story[3].startswith(r"x_{i} \sim \mathrm{Normal}(\mathrm{rate}_{i}^{2} + z_{i},\ 1)")


def test_what_was_set_from_outside_has_no_factor() -> None:
    """The truncated factorisation (Pearl, Causality, 2009, 3.2)."""

    def sprinkler() -> None:
        rain = pyro.sample("rain", dist.Bernoulli(0.2))
        wet = pyro.sample("sprinkler", dist.Bernoulli(0.4 - 0.39 * rain))
        pyro.sample("grass", dist.Bernoulli(0.05 + 0.4 * rain + 0.5 * wet))

    written = formula(structure(sprinkler).do("sprinkler"))
    assert written.text == "p(rain) p(grass | rain, do(sprinkler))"
    assert r"\mathrm{do}(\mathrm{sprinkler})" in written.latex
    assert "do(sprinkler)" in written.story


ARGUMENTS = {
    "Beta(a, 3)": lambda a: dist.Beta(a, 3.0),
    "BetaBinomial(a, 2, 10)": lambda a: dist.BetaBinomial(a, 2.0, 10),
    "Weibull(a, 2)": lambda a: dist.Weibull(a, 2.0),
    "HalfCauchy(a)": dist.HalfCauchy,
    "LogNormal(0, a)": lambda a: dist.LogNormal(0.0, a),
    "ZeroInflatedPoisson(a, 0.5)": lambda a: dist.ZeroInflatedPoisson(a, gate=torch.tensor(0.5)),
    "StudentT(4, 0, a)": lambda a: dist.StudentT(4.0, 0.0, a),
}


@pytest.mark.parametrize("text", list(ARGUMENTS))
def test_arguments_as_the_user_gave_them(text: str) -> None:
    """In a plate too, where a law is expanded."""

    def program() -> None:
        a = pyro.sample("a", dist.Gamma(2.0, 1.0))
        with pyro.plate("data", 4):
            pyro.sample("x", ARGUMENTS[text](a), obs=torch.full((4,), 0.5) if text.startswith("Beta(") else torch.ones(4))

    assert f"x_i ~ {text}    for i = 1..4" in formula(program).story


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", posteriors.NAMES)
def test_posteriors_of_the_literature_have_a_structure(double: None, name: str) -> None:
    """Every unknown reaches the data: none of these priors stands alone."""
    case = posteriors.load(name)
    graph = structure(case.model, **case.kwargs)
    assert graph.graph["recorded"], graph.graph["reason"]
    reached = set().union(*(graph.ancestors(n) for n in graph.of_kind("observed", "factor")))
    assert set(graph.of_kind("latent")) <= reached


def test_a_recursion_through_written_memory(double: None) -> None:
    """y_t ~ Normal(mu, sigma_t), sigma_t^2 = alpha0 + alpha1 (y_{t-1} - mu)^2 + beta1 sigma_{t-1}^2, over 200 steps."""
    case = posteriors.load("garch-garch11")
    graph = structure(case.model, **case.kwargs)
    assert graph.parents("y") & set(graph.of_kind("latent")) == {"mu", "alpha0", "alpha1", "beta1"}
    assert graph.nodes["y"]["arguments"]["loc"] == "mu"
    assert graph.nodes["y"]["arguments"]["scale"].startswith("f(")


def test_formulas_of_long_programs() -> None:
    """A thousand operations are no deep recursion, and what stands twice in each of them is written once."""

    def program(y: Tensor) -> None:
        x = a = pyro.sample("a", dist.Normal(0.0, 1.0))
        for _ in range(1000):
            x = 0.5 * x + 0.25 * (x * x).sin() + 0.5 * a
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    graph = structure(program, torch.tensor(1.0))
    assert graph.nodes["y"]["arguments"] == {"loc": "f(a)", "scale": "1"}
    assert "a" in graph.parents("y")
