"""The folder format: what comes back, what a kill leaves behind, and what is refused."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from ppgen.errors import CheckpointError
from ppgen.folder import Checkpoint, decode, encode


class Inner(NamedTuple):
    values: torch.Tensor
    count: int


class State(NamedTuple):
    params: dict[str, torch.Tensor]
    inner: Inner
    pairs: tuple


def state(scale: float = 1.0) -> State:
    params = {"a": scale * torch.arange(3.0), "b.c/d": scale * torch.ones(2, 2, dtype=torch.float64).T}
    return State(params, Inner(torch.tensor([True, False]), 7), ({1: torch.zeros(()), "x": None}, [1.5, "text"]))


PRINT = {"program": "one", "setting seed": "two"}


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def test_a_nest_comes_back_as_it_was() -> None:
    tensors: dict[str, torch.Tensor] = {}
    code = json.loads(json.dumps(encode(state(), tensors)))
    assert same(decode(code, tensors, state(0.0)), state())


def test_what_cannot_be_written_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"state\.b\.0 holds a set"):
        encode({"a": 1, "b": [{1, 2}]}, {})


@pytest.mark.parametrize("name", ["Adam", "SGD", "LBFGS", "AdamW", "RMSprop", "Adagrad"])
def test_an_optimiser_goes_on_to_the_bit(name: str) -> None:
    """Its moments and counts come back, and so do the leaves that it writes to."""

    def begin(value: float) -> tuple[dict[str, torch.Tensor], torch.optim.Optimizer]:
        leaf = torch.full((3,), value, dtype=torch.float64, requires_grad=True)
        options = {"momentum": 0.9} if name == "SGD" else {}
        return {"leaf": leaf}, getattr(torch.optim, name)([leaf], lr=0.1, **options)

    def step(leaves: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (leaves["leaf"] ** 4 / 7).sum()
            loss.backward()
            return loss

        optimizer.step(closure)

    one, other = begin(2.0), begin(5.0)
    for _ in range(5):
        step(*one)
    tensors: dict[str, torch.Tensor] = {}
    code = json.loads(json.dumps(encode(one, tensors)))
    restored = decode(code, {k: v.detach().clone() for k, v in tensors.items()}, other)
    assert restored[0]["leaf"] is other[0]["leaf"]
    for _ in range(5):
        step(*one)
        step(*restored)
    assert torch.equal(one[0]["leaf"], restored[0]["leaf"])


def test_a_checkpoint_comes_back_with_its_chunks(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "run", PRINT) as checkpoint:
        assert checkpoint.load((state(0.0), ())) is None
        checkpoint.save(state(1.0), (), 10, False, {})
        checkpoint.save(state(2.0), (), 20, False, {"draws.x": torch.arange(6.0).reshape(2, 3)})
        checkpoint.save(state(3.0), (), 30, True, {"draws.x": torch.arange(4.0).reshape(2, 2)})
    with Checkpoint(tmp_path / "run", PRINT) as checkpoint:
        saved = checkpoint.load((state(0.0), ()))
    assert saved is not None
    assert same(saved.state, state(3.0))
    assert (saved.at, saved.finished) == (30, True)
    assert [c["draws.x"].shape for c in saved.chunks] == [(2, 3), (2, 2)]
    assert len(list((tmp_path / "run").glob("state-*"))) == 1  # only the last one is kept


def test_a_kill_before_the_manifest_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was written for the next commit is overwritten by the run that resumes."""
    with Checkpoint(tmp_path, PRINT) as checkpoint:
        checkpoint.save(state(1.0), (), 10, False, {"draws.x": torch.zeros(1, 2)})

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("ppgen.folder.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(state(2.0), (), 20, False, {"draws.x": torch.ones(1, 2)})
        monkeypatch.undo()
    with Checkpoint(tmp_path, PRINT) as checkpoint:
        saved = checkpoint.load((state(0.0), ()))
        assert saved is not None
        assert (saved.at, len(saved.chunks)) == (10, 1)
        checkpoint.save(state(2.0), (), 20, False, {"draws.x": torch.full((1, 2), 5.0)})
    with Checkpoint(tmp_path, PRINT) as checkpoint:
        saved = checkpoint.load((state(0.0), ()))
    assert saved is not None
    assert [float(c["draws.x"].sum()) for c in saved.chunks] == [0.0, 10.0]


def test_another_run_is_refused_and_what_differs_is_named(tmp_path: Path) -> None:
    with Checkpoint(tmp_path, PRINT) as checkpoint:
        checkpoint.save(state(), (), 1, False, {})
    with (
        Checkpoint(tmp_path, {**PRINT, "setting seed": "three"}) as checkpoint,
        pytest.raises(CheckpointError, match="seed differ"),
    ):
        checkpoint.load((state(), ()))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Checkpoint(tmp_path, PRINT), pytest.raises(CheckpointError, match="in use"), Checkpoint(tmp_path, PRINT):
        pass


@pytest.mark.parametrize("damage", ["cut", "gone", "no json", "other format", "other version"])
def test_damage_is_told_by_file(tmp_path: Path, damage: str) -> None:
    with Checkpoint(tmp_path, PRINT) as checkpoint:
        checkpoint.save(state(), (), 1, False, {})
    manifest, tensors = tmp_path / "manifest.json", next(tmp_path.glob("state-*"))
    content = json.loads(manifest.read_text())
    if damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:50])
    elif damage == "gone":
        tensors.unlink()
    elif damage == "no json":
        manifest.write_text("{")
    elif damage == "other format":
        manifest.write_text(json.dumps({**content, "format": "something else"}))
    else:
        manifest.write_text(json.dumps({**content, "version": 99}))
    with Checkpoint(tmp_path, PRINT) as checkpoint, pytest.raises(CheckpointError) as error:
        checkpoint.load((state(), ()))
    assert str(tmp_path) in str(error.value)


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a file"):
        Checkpoint(tmp_path / "file", PRINT)
