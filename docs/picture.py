"""Makes README's pictures: docs/mixture.svg, the diagram of its family, and docs/comparison.svg, the data drawing of its comparison.

python docs/picture.py
"""

import re
from pathlib import Path

from ppgen import compare, datasets, diagram
from ppgen.canvas import VARIABLES
from ppgen.figures import data_drawings
from ppgen.inference import NUTS, SVI
from ppgen.models import GaussianMixture

DOCS = Path(__file__).parent
GROUND = "#fefdfb"


def main() -> None:
    data = datasets.load("old-faithful")
    mixture = GaussianMixture(num_components=2, like=data.x)
    diagram(mixture, data.x).save(DOCS / "mixture.svg")
    engines = {"svi": SVI(num_steps=2000, seed=0), "nuts": NUTS(num_samples=1000, num_chains=4, seed=0)}
    drawing = next(data_drawings(compare({n: e.run(mixture, data.x) for n, e in engines.items()}, dataset=data)))
    colours = {variable: colour for colour, variable in VARIABLES.items()}
    svg = re.sub(r"var\((--[a-z0-9-]+)\)", lambda m: colours[m[1]], drawing.svg)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" style="background: {GROUND}"'
    (DOCS / "comparison.svg").write_text(svg.replace("<svg", head, 1), encoding="utf-8")


if __name__ == "__main__":
    main()
