"""A hidden Markov model with normal emissions by one of three libraries: `python -m peers.sequences PEER task.npz answers.json WHAT ...`.

The task: initial (K,), transition (K, K), loc and scale (K,), x (T,), float64. Each library is used as its documentation says, compiled
where it compiles, and warm. Times are seconds, the least of as many calls as fit into LIMIT, two at least.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

LIMIT = 2.0  # seconds for each figure
CALLS = 30

Task = dict[str, np.ndarray]


class Peer(Protocol):
    def log_likelihood(self) -> float: ...

    def marginals(self) -> np.ndarray:
        """(T, K), with the log likelihood."""
        ...

    def viterbi(self) -> np.ndarray:
        """(T,)"""
        ...

    def em(self) -> Any:
        """One pass: new parameters."""
        ...


class Ppgen:
    def __init__(self, task: Task):
        import torch

        from ppgen.models import HiddenMarkov

        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        self.values = {n: torch.as_tensor(task[n]) for n in ("initial", "transition", "loc", "scale")}
        self.x = torch.as_tensor(task["x"])
        self.family = HiddenMarkov(len(task["initial"]))

    def log_likelihood(self) -> float:
        return float(self.family.log_likelihood(self.x, self.values))

    def marginals(self) -> np.ndarray:
        return self.family.smoothed(self.x, self.values)[0].numpy()

    def viterbi(self) -> np.ndarray:
        return self.family.viterbi(self.x, self.values)[0][0].numpy()

    def em(self) -> Any:
        """A step of the engine, which is told nothing of normals: its M step is Newton's method."""
        if not hasattr(self, "step"):
            from ppgen.completion import Completion
            from ppgen.inference import EM
            from ppgen.keys import Key
            from ppgen.program import Program

            engine = EM(priors=False, num_starts=1, accelerate=False, start=self.values, progress=False)
            target = Completion(Program(self.family, self.x), points=1, priors=False)
            state, tuning = engine.init(target, Key(0, 0, (0,)))
            self.step = lambda: engine.step(target, state, tuning, Key(0, 1, (0,)))
        return self.step()


class Hmmlearn:
    """By scaling, the faster of its two ways."""

    def __init__(self, task: Task):
        from hmmlearn import hmm

        states = len(task["initial"])
        self.x = task["x"][:, None]

        def model() -> Any:
            made = hmm.GaussianHMM(
                states, "diag", implementation="scaling", init_params="", n_iter=1, tol=-np.inf, covars_prior=0.0, min_covar=0.0
            )
            made.startprob_, made.transmat_, made.means_ = task["initial"], task["transition"], task["loc"][:, None]
            made.covars_ = task["scale"][:, None] ** 2
            return made

        self.fresh, self.model = model, model()

    def log_likelihood(self) -> float:
        return float(self.model.score(self.x))

    def marginals(self) -> np.ndarray:
        return np.asarray(self.model.score_samples(self.x)[1])

    def viterbi(self) -> np.ndarray:
        return np.asarray(self.model.decode(self.x)[1])

    def em(self) -> Any:
        return self.fresh().fit(self.x)


class Dynamax:
    def __init__(self, task: Task):
        import jax

        jax.config.update("jax_enable_x64", True)
        import jax.numpy as jnp
        from dynamax.hidden_markov_model import DiagonalGaussianHMM

        model = DiagonalGaussianHMM(len(task["initial"]), 1)
        self.x = jnp.asarray(task["x"])[:, None]
        given = {"initial_probs": "initial", "transition_matrix": "transition"}
        self.params, props = model.initialize(
            **{k: jnp.asarray(task[v]) for k, v in given.items()},
            emission_means=jnp.asarray(task["loc"])[:, None],
            emission_scale_diags=jnp.asarray(task["scale"])[:, None],
        )

        def em(params: Any, x: Any) -> Any:
            stats, _ = model.e_step(params, x)
            batched = jax.tree_util.tree_map(lambda t: t[None], stats)
            return model.m_step(params, props, batched, model.initialize_m_step_state(params, props))[0]

        self.jitted = {
            "log_likelihood": jax.jit(model.marginal_log_prob),
            "marginals": jax.jit(lambda p, x: model.smoother(p, x).smoothed_probs),
            "viterbi": jax.jit(model.most_likely_states),
            "em": jax.jit(em),
        }
        self.ready = jax.block_until_ready

    def _run(self, what: str) -> Any:
        return self.ready(self.jitted[what](self.params, self.x))

    def log_likelihood(self) -> float:
        return float(self._run("log_likelihood"))

    def marginals(self) -> np.ndarray:
        return np.asarray(self._run("marginals"))

    def viterbi(self) -> np.ndarray:
        return np.asarray(self._run("viterbi"))

    def em(self) -> Any:
        return self._run("em")


PEERS: dict[str, Callable[[Task], Peer]] = {"ppgen": Ppgen, "hmmlearn": Hmmlearn, "dynamax": Dynamax}


def least(call: Callable[[], Any]) -> float:
    times: list[float] = []
    while len(times) < 2 or (sum(times) < LIMIT and len(times) < CALLS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> None:
    name, given, wanted, *asked = sys.argv[1:]
    warnings.simplefilter("ignore")
    with np.load(given) as file:
        task = dict(file)
    peer = PEERS[name](task)
    figures: dict[str, float] = {}
    for what in asked:
        call = getattr(peer, what)
        call()
        figures[what] = least(call)
    Path(wanted).write_text(json.dumps({"answers": answers(peer, task), **figures}))


def answers(peer: Peer, task: Task) -> dict[str, Any]:
    """What libraries must agree in; of the best path its log probability, as equally good ones may differ."""
    path = peer.viterbi()
    log_p = -0.5 * ((task["x"] - task["loc"][path]) / task["scale"][path]) ** 2 - np.log(task["scale"][path]) - 0.5 * np.log(2 * np.pi)
    steps = np.log(task["transition"])[path[:-1], path[1:]]
    return {
        "log_likelihood": peer.log_likelihood(),
        "marginals": peer.marginals()[:: max(1, len(task["x"]) // 50)].tolist(),
        "viterbi": float(log_p.sum() + steps.sum() + np.log(task["initial"])[path[0]]),
    }


if __name__ == "__main__":
    main()
