"""Posteriors with known answers: Pyro translations of the mathematical statements in tests/reference/posteriordb.

    case = load("eight_schools-eight_schools_noncentered")
    posterior = NUTS().run(case.model, **case.kwargs)
    draws = case.parameters(posterior.draws)                # {"theta[1]": (chains, draws), ..., "tau": (chains, draws)}
    case.reference["reference"]["tau"]                      # mean, sd, mean_sq, q (5 quantiles), ess

Data are float64, so run under `torch.set_default_dtype(torch.float64)`.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import hierarchies, processes, regressions

__all__ = ["NAMES", "PosteriorCase", "load"]

FOLDER = Path(__file__).parent.parent / "reference" / "posteriordb"

MODELS: dict[str, Callable] = {
    "GLM_Poisson_Data-GLM_Poisson_model": regressions.glm_poisson,
    "arK-arK": processes.ar,
    "bball_drive_event_0-hmm_drive_0": processes.hmm_drive_0,
    "dogs-dogs": regressions.dogs,
    "earnings-earn_height": regressions.earn_height,
    "earnings-logearn_interaction_z": regressions.logearn_interaction_z,
    "eight_schools-eight_schools_centered": hierarchies.eight_schools_centered,
    "eight_schools-eight_schools_noncentered": hierarchies.eight_schools_noncentered,
    "garch-garch11": processes.garch11,
    "gp_pois_regr-gp_regr": processes.gp_regr,
    "hmm_example-hmm_example": processes.hmm_example,
    "hudson_lynx_hare-lotka_volterra": processes.lotka_volterra,
    "kidiq-kidscore_momhsiq": regressions.kidscore_momhsiq,
    "kidiq_with_mom_work-kidscore_mom_work": regressions.kidscore_mom_work,
    "kilpisjarvi_mod-kilpisjarvi": regressions.kilpisjarvi,
    "low_dim_gauss_mix-low_dim_gauss_mix": processes.low_dim_gauss_mix,
    "mesquite-logmesquite_logvash": regressions.logmesquite_logvash,
    "mesquite-mesquite": regressions.mesquite,
    "nes1972-nes": regressions.nes,
    "nes_logit_data-nes_logit_model": regressions.nes_logit,
    "radon_mn-radon_hierarchical_intercept_noncentered": hierarchies.radon_noncentered,
    "rats_data-rats_model": hierarchies.rats,
    "sblri-blr": regressions.blr,
    "surgical_data-surgical_model": hierarchies.surgical,
    "wells_data-wells_dae_inter_model": regressions.wells,
}
NAMES = tuple(MODELS)


class PosteriorCase(NamedTuple):
    """One posterior.

    model       a Pyro function; kwargs: its data, all that it is called with
    reference   the file: `reference` (parameter -> mean, sd, mean_sq, q, ess), `quantile_probs`, `logdensity_check`, ...
    """

    model: Callable
    kwargs: dict[str, Any]
    reference: dict[str, Any]

    def parameters(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Draws by site, (chains, draws, *shape), to the reference's parameters, (chains, draws) each."""
        return {name: _entry(draws, name) for name in self.reference["parameters"]}


def _entry(draws: Mapping[str, Tensor], name: str) -> Tensor:
    """beta[2] is entry 1 of site beta; alpha is a site of one number."""
    site, _, index = name.partition("[")
    values = draws[site]
    return values[..., int(index.rstrip("]")) - 1] if index else values.reshape(values.shape[:2])


def load(name: str) -> PosteriorCase:
    """A posterior by the name of its file."""
    reference = json.loads((FOLDER / f"{name}.json").read_text())
    model = MODELS[name]
    data = {k: _number(reference["data"][k]) for k in inspect.signature(model).parameters}
    return PosteriorCase(model, data, reference)


def _number(x: Any) -> Any:
    return torch.tensor(x, dtype=torch.float64) if isinstance(x, list) else x
