"""Machine code called by its address, and Numba's cache kept honest."""

import importlib
import importlib.util
import sys
import uuid
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numba import cfunc, njit, types

from ppgen.errors import PpgenWarning
from ppgen.native.calling import call, compiled, doubles, floats, integers, matrix, vector


@pytest.mark.parametrize(("kind", "real"), [(np.float64, types.float64), (np.float32, types.float32)])
def test_machine_code_gets_its_seven_buffers_in_order(kind: type, real: types.Type) -> None:
    r, i = types.CPointer(real), types.CPointer(types.int64)

    @cfunc(types.void(r, i, r, i, r, i, r))
    def code(x, n, c, k, w, m, out):
        w[0] = x[0] + c[0]
        m[0] = n[0] * k[0]
        out[0] = w[0] * m[0]

    @njit
    def run(*given):
        call(*given)

    buffers = [np.array([v], kind if j % 2 == 0 else np.int64) for j, v in enumerate((1.5, 3, 2.5, 7, 0, 0))] + [np.zeros(1, kind)]
    run(code.address, *(b.ctypes.data for b in buffers))
    assert [float(b[0]) for b in buffers] == [1.5, 3.0, 2.5, 7.0, 4.0, 21.0, 84.0]


def test_memory_by_its_address() -> None:
    @njit
    def look(a, b, c):
        rows = matrix(a, (2, 3))
        rows[1, 2] += 0.5
        line = vector(a, (6,))
        return doubles(a)[1], floats(b)[1], integers(c)[1], rows[1, 0], rows.shape, len(line), line.sum()

    a, b, c = np.arange(6.0), np.array([0.5, 1.5], np.float32), np.array([3, -4])
    assert look(a.ctypes.data, b.ctypes.data, c.ctypes.data) == (1.0, 1.5, -4, 3.0, (2, 3), 6, 15.5)
    assert a[5] == 5.5


# The cache


def module(folder: Path, name: str, text: str) -> ModuleType:
    """A module from a file, made anew: what another process would see."""
    path = folder / f"{name}.py"
    path.write_text(text)
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


INNER = "from numba import njit\n\n@njit\ndef inner(x):\n    return x + {}\n"
OUTER = """
import sys
from ppgen.native.calling import compiled
inner = sys.modules["{0}"].inner

@compiled(sys.modules["{0}"])
def outer(x):
    return inner(x)
"""


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes an edit within one second and of equal length for no edit."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture
def names() -> tuple[str, str]:
    return f"inner_{uuid.uuid4().hex}", f"outer_{uuid.uuid4().hex}"


def outer(folder: Path, names: tuple[str, str], added: float) -> object:
    module(folder, names[0], INNER.format(added))
    return module(folder, names[1], OUTER.format(names[0])).outer


def hits(function: object) -> int:
    return sum(function.stats.cache_hits.values())


def test_the_cache_sees_an_edit_in_another_file(tmp_path: Path, names: tuple[str, str]) -> None:
    first = outer(tmp_path, names, 1.0)
    assert first(2.0) == 3.0
    again = outer(tmp_path, names, 1.0)
    assert again(2.0) == 3.0
    assert (hits(first), hits(again)) == (0, 1)
    edited = outer(tmp_path, names, 5.0)
    assert edited(2.0) == 7.0
    assert hits(edited) == 0


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\x80\x05cnowhere\nnothing\n."])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, names: tuple[str, str], ending: str, text: bytes) -> None:
    first = outer(tmp_path, names, 1.0)
    assert first(2.0) == 3.0
    (entry,) = Path(first._cache.cache_path).glob(f"{names[1]}*.{ending}")
    entry.write_bytes(text)
    assert outer(tmp_path, names, 1.0)(2.0) == 3.0
    whole = outer(tmp_path, names, 1.0)
    assert whole(2.0) == 3.0
    assert hits(whole) == 1


def test_a_full_disk_is_a_warning(tmp_path: Path, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    function = outer(tmp_path, names, 1.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(function._cache._cache_file, "save", full)
    with pytest.warns(PpgenWarning, match="No space left"):
        assert function(2.0) == 3.0


def test_without_a_folder_to_write_to_functions_compile_all_the_same() -> None:
    namespace: dict[str, object] = {}
    exec(compile("def f(x):\n    return x + 1.0\n", "<nowhere>", "exec"), namespace)  # noqa: S102
    assert compiled()(namespace["f"])(2.0) == 3.0
