"""Scans as loops, run by the interpreter, against numpy and torch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ppgen.native import scans
from ppgen.native.ir import Array, Program, View, run
from ppgen.native.writer import Writer

SHAPES = [(0,), (1,), (7,), (3, 4), (2, 0, 3), (2, 3, 4)]
NUMPY = {scans.cumsum: np.cumsum, scans.cumprod: np.cumprod, scans.logcumsumexp: np.logaddexp.accumulate}


def scanned(write: Callable[..., None], a: Array, dim: int, across: bool, reverse: bool) -> Array:
    """By the interpreter, from memory with its dimensions in order or turned around."""
    w = Writer()
    given = a.T if across else a
    held, out = w.new(given.shape, "c"), w.new(a.shape, "out")
    view = View("c", held.shape[::-1], held.strides[::-1]) if across else held
    write(w, view, out, dim, reverse=reverse)
    return run(Program(w.body, w.sizes), {"c": given.reshape(-1)}).reshape(a.shape)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("write", NUMPY, ids=lambda f: f.__name__)
def test_sums_products_and_logarithms_of_sums(write: Callable[..., None], shape: tuple[int, ...], across: bool, reverse: bool) -> None:
    a = 3 * np.random.default_rng(0).normal(size=shape)
    for dim in range(-len(shape), len(shape)):
        expected = np.flip(NUMPY[write](np.flip(a, dim), axis=dim), dim) if reverse else NUMPY[write](a, axis=dim)
        np.testing.assert_allclose(scanned(write, a, dim, across, reverse), expected, rtol=1e-12)


def test_logcumsumexp_of_extremes() -> None:
    inf, nan = np.inf, np.nan
    a = np.array([[-inf, -inf, 700.0, 800.0], [-800.0, -800.0, inf, inf], [inf, -inf, 0.0, 1.0], [1.0, nan, 2.0, inf]])
    expected = torch.logcumsumexp(torch.tensor(a), -1).numpy()
    np.testing.assert_allclose(scanned(scans.logcumsumexp, a, -1, False, False), expected, rtol=1e-14)


@pytest.mark.parametrize(("write", "torchs"), [(scans.cummax, torch.cummax), (scans.cummin, torch.cummin)], ids=["cummax", "cummin"])
@pytest.mark.parametrize("dim", [0, -1])
def test_extremes_and_where_they_stand(write: Callable[..., None], torchs: Callable[..., tuple[torch.Tensor, ...]], dim: int) -> None:
    a = np.random.default_rng(1).integers(-3, 3, size=(5, 8)).astype(float)
    a[2, 3] = a[4, 5] = np.nan
    a[0, 0], a[1, 1] = -np.inf, np.inf
    w = Writer()
    view, values, indices = w.new(a.shape, "c"), w.new(a.shape, "out"), w.new(a.shape, "m")
    write(w, view, values, indices, dim)
    where = w.new(a.shape, "out")
    with w.loops(a.shape) as at:
        w.store(where, at, w.real("real", w.load(indices, *at)))
    found = run(Program(w.body, w.sizes), {"c": a.reshape(-1)}).reshape(2, *a.shape)
    for mine, theirs in zip(found, torchs(torch.tensor(a), dim), strict=True):
        np.testing.assert_array_equal(mine, theirs.numpy())
