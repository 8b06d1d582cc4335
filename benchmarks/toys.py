"""Four laws in the plane, learned by a flow, a diffusion and an energy model, beside data of their own: one table.

    python benchmarks/toys.py --out benchmarks/results

Writes toys.json and toys.md there. One core; from the checkout, with PYTHONPATH=. (the laws and the two-sample tests are those of
tests/tools); about ten minutes. Each family learns from 5,000 points and draws 2,000, which are told from 2,000 new points, as 2,000
other points of the law itself are. Nothing is chosen law by law.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgen import learn, sample
from ppgen.inference import SVI, ContrastiveDivergence, Langevin
from ppgen.models import Diffusion, EnergyModel, NormalizingFlow, ProbabilityFlow
from tests.tools.toys import TOYS, modes_held
from tests.tools.two_samples import accuracy, mmd, mmd_floor

TRAIN, SIZE = 5000, 2000


def flow(x: Tensor) -> Tensor:
    model = NormalizingFlow(like=x, transforms=4, hidden=(64, 64), bins=16)
    engine = SVI(num_steps=3000, num_particles=1, batch_size=500, learning_rate=5e-3, num_samples=1, progress=False)
    return sample(learn(model, x, engine=engine), SIZE)["x"]


def diffusion(x: Tensor) -> Tensor:
    model = Diffusion(like=x, weighting="simple", predict="velocity")
    engine = SVI(num_steps=6000, num_particles=1, batch_size=256, learning_rate=2e-3, ema_decay=0.995, keep=(), progress=False)
    learned: Any = learn(model, x, engine=engine).fn
    return learned.draw(SIZE, ProbabilityFlow())  # type: ignore[no-any-return]


def energy(x: Tensor) -> Tensor:
    """Its draws are a grid's points by their weights: how well it learns, and not how well chains move."""
    model = EnergyModel(like=x, hidden=(128, 128))
    engine = ContrastiveDivergence(
        k=10,
        num_chains=200,
        inverse_temperatures=[0.05 ** (i / 4) for i in range(5)],
        batch_size=1000,
        num_steps=3000,
        learning_rate=1e-2,
        ema_decay=0.998,
        negative=Langevin(kind="underdamped", step_size=0.05),
        progress=False,
    )
    learned: Any = engine.run(model, x).program.fn  # type: ignore[union-attr]
    grid = learned.grid()
    weights = (grid.log_weights - learned._energy(grid.points.float()).detach()).softmax(0)
    return grid.points[torch.multinomial(weights, SIZE, replacement=True)].float()  # type: ignore[no-any-return]


FAMILIES: dict[str, Callable[[Tensor], Tensor]] = {"flow (spline)": flow, "diffusion": diffusion, "energy": energy}


def told(law: str, who: str, drawn: Tensor, fresh: Tensor, seconds: float) -> dict[str, Any]:
    apart = accuracy(drawn, fresh)
    figures = {"mmd": mmd(drawn, fresh), "floor": mmd_floor(fresh), "accuracy": apart.value, "z": apart.z}
    return {"law": law, "who": who, **figures, "poorest mode": modes_held(law, drawn), "seconds": seconds}


def measured() -> list[dict[str, Any]]:
    rows = []
    for law, draw in TOYS.items():
        generator = torch.Generator().manual_seed(0)
        train, fresh, other = draw(TRAIN, generator), draw(SIZE, generator), draw(SIZE, generator)
        rows.append(told(law, "data", other, fresh, 0.0))
        for who, learned in FAMILIES.items():
            torch.manual_seed(0)
            begin = time.perf_counter()
            drawn = learned(train)
            rows.append(told(law, who, drawn, fresh, time.perf_counter() - begin))
            print(rows[-1], flush=True)  # noqa: T201
    return rows


def report(found: dict[str, Any]) -> str:
    lines = [
        "# Four laws in the plane",
        "",
        f"torch {torch.__version__}, one thread of a machine with {found['cores']} cores that may have had other work.",
        "",
    ]
    lines += ["| law | learned by | MMD^2, 1e-4 | floor (1 %) | accuracy | z | poorest mode | s |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for r in found["toys"]:
        figures = f"{1e4 * r['mmd']:.1f} | {1e4 * r['floor']:.1f} | {r['accuracy']:.3f} | {r['z']:.1f} | {r['poorest mode']:.2f}"
        lines.append(f"| {r['law']} | {r['who']} | {figures} | {r['seconds']:.0f} |")
    lines += [
        "",
        "Floor: what the MMD of data against data stays below in 99 of 100 splits. Accuracy of a classifier that tells draws from",
    ]
    lines += [
        "data, 0.5 where it cannot; z: its standard errors above that. Poorest mode: its share of its due, 0 for one that was dropped."
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {"cores": os.cpu_count(), "toys": measured()}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "toys.json").write_text(json.dumps(found, indent=1) + "\n")
    text = report(found)
    (args.out / "toys.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
