"""Makes docs/gallery: diagrams of programs from the literature, and docs/gallery.md, which shows them with their factorisations.

python docs/gallery.py        from the checkout, with PYTHONPATH=.: the programs are those of tests/tools/textbook.py
"""

from pathlib import Path

from ppgen import diagram, formula, structure
from tests.tools import textbook

DOCS = Path(__file__).parent
FOLDED = ("hidden Markov model", "factorial hidden Markov model", "deep Markov model")
SHOWN = (
    "mixture of Bernoullis",
    "latent Dirichlet allocation",
    "matrix factorisation",
    "hidden Markov model",
    "factorial hidden Markov model",
    "eight schools, centred",
    "item response",
    "deep Markov model",
    "variational autoencoder",
    "stochastic block model",
    "sprinkler",
)


def main() -> None:
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    lines = ["# Programs and their diagrams", "", "Read off the programs of tests/tools/textbook.py by docs/gallery.py.", ""]
    for name in SHOWN:
        case = textbook.CASES[name]
        graph = structure(case.program, *case.args)
        graph = graph.folded() if name in FOLDED else graph
        file = f"{name.replace(',', '').replace(' ', '-')}.svg".lower()
        diagram(graph).save(folder / file)
        lines += [f"## {name[0].upper()}{name[1:]}", "", f"![{name}](gallery/{file})", "", f"    {formula(graph).text}", ""]
    (DOCS / "gallery.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
