"""Every notebook runs from top to bottom, each cell's last expression is shown, and every family has one."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from ppgen.discovery import families

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.py"))


def cells(path: Path) -> Iterator[tuple[int, str]]:
    """The cells of code, with the line on which each begins."""
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        if "[markdown]" not in lines[start]:
            yield start + 1, "\n".join(lines[start + 1 : end])


def run(path: Path, line: int, code: str, scope: dict[str, Any]) -> Any:
    """What a notebook does with a cell: runs it, and hands back what its last expression gives."""
    tree = ast.parse("\n" * line + code, path.name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, path.name, "exec"), scope)  # noqa: S102
    return None if last is None else eval(compile(ast.Expression(last.value), path.name, "eval"), scope)  # noqa: S307


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context({"backend": "agg"}):
        scope: dict[str, Any] = {"__name__": name}
        found = list(cells(FOLDER / f"{name}.py"))
        assert len(found) > 2
        for line, code in found:
            shown = run(FOLDER / f"{name}.py", line, code, scope)
            for show in ("_repr_svg_", "_repr_html_", "__repr__"):
                if shown is not None and hasattr(shown, show):
                    assert getattr(shown, show)() != ""
        plt.close("all")


def test_every_family_has_one() -> None:
    assert {kind.__module__.rpartition(".")[2] for kind in families().values()} | {"tour"} <= set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_begins_with_a_title(name: str) -> None:
    first, title = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()[:2]
    assert first == "# %% [markdown]"
    assert title.startswith("# # ")
