"""README.md says what is true: its Python runs, its commands exist."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ppgen.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 4
    scope: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)  # noqa: S102
    assert sorted(p.name for p in Path("report").iterdir()) == ["nuts.nc", "report.html", "settings.json", "svi.nc"]
    assert sorted(p.name for p in Path("fit").iterdir()) == ["manifest.json", "posterior.nc", "posterior.safetensors"]


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {"demo", "test", "slow", "lint"} <= set(re.findall(r"\bmake ([a-z]+)", README)) <= targets


def test_the_demo_is_the_command_that_it_shows() -> None:
    shown = re.search(r"ppgen (compare gaussian-mixture .*)", README)
    assert shown is not None
    assert f"$(BIN)/ppgen {shown[1]}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["compare", "fit", "list", "diagram", "structure"])
def test_its_options_exist(command: str) -> None:
    helped = CliRunner().invoke(main, [command, "--help"]).output
    lines = re.findall(rf"^    ppgen {command} .*", README, flags=re.MULTILINE)
    for option in {option for line in lines for option in re.findall(r"--[a-z-]+", line)}:
        assert option in helped


def test_its_links_and_versions_are_real() -> None:
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README) + re.findall(r'src="([^"]+)"', README):
        assert (ROOT / link).is_file(), link
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line)
    assert f"torch {pins['torch']}, Pyro {pins['pyro-ppl']}, ArviZ {pins['arviz']}" in README
