"""Bayesian networks for the contract suites: asia and a network of mixed variables, complete and not, with priors and without."""

from functools import cache

import networkx as nx
import pyro.distributions as dist
import torch
from torch import Tensor

from ppgen import datasets, sample
from ppgen.models import BayesianNetwork, LinearGaussian
from tests.contracts.cases import Case

ASIA = "asia -> tub -> either -> xray, smoke -> lung -> either -> dysp, smoke -> bronc -> dysp"


def asia(**settings: object) -> BayesianNetwork:
    return BayesianNetwork.from_bif(datasets.load("asia").x, **settings)  # type: ignore[arg-type]


@cache
def rows(size: int = 60) -> dict[str, Tensor]:
    """Of asia, with 2 in 5 visitors of Asia: variable -> (size,) states."""
    tilted = asia().with_tables({"asia": [0.4, 0.6], "smoke": [0.5, 0.5]})
    return sample(tilted, size, seed=3)


def sprinkler(prior: float | None = None) -> BayesianNetwork:
    """Grass is wet of rain or of a sprinkler, which is turned on when it does not rain."""
    graph = nx.DiGraph([("rain", "sprinkler"), ("rain", "wet"), ("sprinkler", "wet")])
    tables = {
        "rain": [0.8, 0.2],
        "sprinkler": [[0.6, 0.4], [0.99, 0.01]],
        "wet": [[[0.95, 0.05], [0.1, 0.9]], [[0.2, 0.8], [0.01, 0.99]]],
    }
    return BayesianNetwork(graph, tables, states=dict.fromkeys(tables, ("no", "yes")), prior=prior)


def _conjugate() -> Case:
    family, x = sprinkler(prior=5.0), sample(sprinkler(), 80, seed=1)
    tables = family.exact(x)["posterior"]
    moments = {n: (law.mean, law.variance.sqrt()) for n, law in tables.items()}
    edges = "rain_table -> rain -> sprinkler -> wet, sprinkler_table -> sprinkler, rain -> wet, wet_table -> wet"
    wrong = [
        ({**x, "snow": x["rain"]}, "'snow'"),
        ({**x, "rain": x["rain"][:5]}, "rain has 5"),
        ({**x, "wet": x["wet"] + 7}, "'wet'"),
        ({**x, "wet": x["wet"][:, None]}, "'wet'.*shape"),
        ({**x, "wet": x["wet"] + 0.5}, "'wet'.*row 0"),
        ({**x, "wet": ["damp"] * 80}, "'damp'"),
        (x["wet"], "dict"),
        ({}, "no variable"),
    ]
    return Case(family, x, moments, edges=edges, plates={"data": "rain sprinkler wet"}, bad=wrong)


def mixed() -> BayesianNetwork:
    """A dose in grams and a disease; the temperature depends on both, an alarm on the temperature."""
    graph = nx.DiGraph([("disease", "temperature"), ("dose", "temperature"), ("temperature", "alarm")])
    laws = {
        "disease": [0.7, 0.3],
        "dose": LinearGaussian(40.0, scale=15.0),
        "temperature": LinearGaussian([36.8, 39.0], {"dose": [0.0, -0.02]}, [0.3, 0.7]),
        "alarm": lambda temperature: dist.Bernoulli(logits=4 * (temperature - 38.0)),
    }
    return BayesianNetwork(graph, laws, states={"disease": ["no", "yes"], "alarm": ["off", "on"]})


def _with_holes() -> dict[str, Tensor]:
    """Neither lung nor either is ever seen; a third of smoke and some of the signs are not."""
    x = {n: v for n, v in rows().items() if n not in ("lung", "either")}
    x["smoke"] = torch.where(torch.arange(60) % 3 == 0, -1, x["smoke"])
    x["xray"] = torch.where(torch.arange(60) % 7 == 2, torch.nan, x["xray"].double())
    return x


def _bad(x: dict[str, Tensor]) -> list[tuple[dict[str, Tensor], str]]:
    return [({**x, "tub": x["tub"] + 2}, "'tub'"), ({"ribs": x["tub"]}, "'ribs'")]


def _mixed_rows() -> dict[str, Tensor]:
    x = sample(mixed(), 40, seed=2)
    return {n: x[n] for n in ("dose", "temperature", "alarm")}


CASES = {
    "sprinkler, tables with priors": _conjugate(),
    "asia, cells missing": Case(asia(), _with_holes(), bad=_bad(rows())),
    "asia, tables learned": Case(asia(learned=True), _with_holes(), bad=_bad(rows())),
    "mixed, disease hidden": Case(mixed(), _mixed_rows(), bad=[({"dose": torch.tensor([[1.0]])}, "'dose'.*shape")]),
}
