"""Queries of a discrete network by one of three libraries: `python -m peers.networks PEER task.json answers.json`.

The task: a BIF file, rows of evidence (all on the same variables), and the names of targets. Each library is used as its documentation
says, with what it offers to be kept from one query to the next. Times are seconds, the median of as many calls as fit into LIMIT.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

LIMIT = 1.0  # seconds for each figure
CALLS = 200

Evidence = Mapping[str, str]
Probabilities = dict[str, list[float]]


class Peer(Protocol):
    def one(self, target: str, evidence: Evidence) -> list[float]: ...

    def all(self, targets: Sequence[str], evidence: Evidence) -> Probabilities: ...

    def rows(self, targets: Sequence[str], evidence: Sequence[Evidence]) -> Sequence[Probabilities]: ...


class Ppgen:
    def __init__(self, bif: str):
        import torch

        from ppgen.models import BayesianNetwork

        torch.set_num_threads(1)
        self.network = BayesianNetwork.from_bif(bif)

    def one(self, target: str, evidence: Evidence) -> list[float]:
        return list(self.network.query(target, evidence)[target].values())

    def all(self, targets: Sequence[str], evidence: Evidence) -> Probabilities:
        return {n: list(p.values()) for n, p in self.network.query(targets, evidence).items()}

    def rows(self, targets: Sequence[str], evidence: Sequence[Evidence]) -> Sequence[Probabilities]:
        found = self.network.query(targets, {n: [e[n] for e in evidence] for n in evidence[0]})
        lists = {n: p.tolist() for n, p in found.items()}
        return [{n: p[i] for n, p in lists.items()} for i in range(len(evidence))]


class Pgmpy:
    """Variable elimination, a query for each target: it has no other way to the marginals of many that is faster on these networks."""

    def __init__(self, bif: str):
        from pgmpy.inference import VariableElimination
        from pgmpy.readwrite import BIFReader

        self.model = BIFReader(bif).get_model()
        self.engine = VariableElimination(self.model)

    def one(self, target: str, evidence: Evidence) -> list[float]:
        found = self.engine.query([target], evidence=dict(evidence), show_progress=False)
        states = self.model.get_cpds(target).state_names[target]
        order = [found.state_names[target].index(s) for s in states]
        return [float(found.values[i]) for i in order]

    def all(self, targets: Sequence[str], evidence: Evidence) -> Probabilities:
        return {n: self.one(n, evidence) for n in targets}

    def rows(self, targets: Sequence[str], evidence: Sequence[Evidence]) -> Sequence[Probabilities]:
        return [self.all(targets, e) for e in evidence]


class Pyagrum:
    """Lazy propagation, told which targets will be asked for; the engine is kept, and only evidence changes."""

    def __init__(self, bif: str):
        import pyagrum

        self.gum, self.network = pyagrum, pyagrum.loadBN(bif)
        self.engines: dict[Sequence[str], Any] = {}

    def one(self, target: str, evidence: Evidence) -> list[float]:
        return self.all((target,), evidence)[target]

    def all(self, targets: Sequence[str], evidence: Evidence) -> Probabilities:
        engine = self.engines.get(tuple(targets))
        if engine is None:
            engine = self.engines[tuple(targets)] = self.gum.LazyPropagation(self.network)
            engine.setNumberOfThreads(1)
            engine.setTargets(set(targets))
            engine.setEvidence(dict(evidence))
        else:
            for name, state in evidence.items():
                engine.chgEvidence(name, state)
        engine.makeInference()
        return {n: engine.posterior(n).tolist() for n in targets}

    def rows(self, targets: Sequence[str], evidence: Sequence[Evidence]) -> Sequence[Probabilities]:
        return [self.all(targets, e) for e in evidence]


PEERS: dict[str, Callable[[str], Peer]] = {"ppgen": Ppgen, "pgmpy": Pgmpy, "pyagrum": Pyagrum}


def timed(call: Callable[[int], Any]) -> float:
    """call(i) for i = 0, 1, ..., after one that does not count."""
    call(0)
    seconds: list[float] = []
    end = time.perf_counter() + LIMIT
    while len(seconds) < CALLS and (not seconds or time.perf_counter() < end):
        begin = time.perf_counter()
        call(len(seconds))
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def answers(peer: Callable[[str], Peer], task: Mapping[str, Any]) -> dict[str, Any]:
    evidence, targets, target = task["evidence"], tuple(task["targets"]), task["target"]
    begin = time.perf_counter()
    library = peer(task["bif"])
    first = library.all(targets, evidence[0])
    out: dict[str, Any] = {"from file to first answer": time.perf_counter() - begin, "answers": [first]}
    out["answers"] += [library.all(targets, e) for e in evidence[1:3]]
    out["one"] = timed(lambda i: library.one(target, evidence[i % len(evidence)]))
    out["all"] = timed(lambda i: library.all(targets, evidence[i % len(evidence)]))
    few = len(evidence) if task["all rows"] else max(1, min(len(evidence), int(LIMIT / max(out["all"], 1e-6))))
    many = len(evidence) if task["all rows"] else max(1, min(len(evidence), int(LIMIT / max(out["one"], 1e-6))))
    out["rows, one"] = timed(lambda i: library.rows((target,), evidence[:many])) * len(evidence) / many
    out["rows, all"] = timed(lambda i: library.rows(targets, evidence[:few])) * len(evidence) / few
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name, given, wanted = sys.argv[1:]
    result = answers(PEERS[name], json.loads(Path(given).read_text()))
    Path(wanted).write_text(json.dumps(result))
