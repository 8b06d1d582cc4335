"""What random operations are made of: normals, uniforms and permutations that come from outside.

While an objective is recorded, each operation named here is replaced by arithmetic on a noise input of the tape, so that the
noise of a step is read from a key and a recorded run can be repeated number by number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["RECIPES", "arguments_of", "draw_noise"]

Draw = Callable[[str, Tensor], Tensor]  # (kind, like) -> a noise input of the shape of `like`
Recipe = Callable[[Draw, Tensor, Mapping[str, Any]], Any]  # and the operation's arguments by name -> its result


def draw_noise(kind: str, shape: Sequence[int], dtype: torch.dtype, device: Any, generator: Any) -> Tensor:
    """One noise input: standard normals, uniforms in [0, 1), or a permutation of `shape[0]` numbers."""
    if kind == "permutation":
        return torch.randperm(shape[0], generator=generator, device=device)
    fill = torch.randn if kind == "normal" else torch.rand
    floating = dtype if dtype.is_floating_point else torch.get_default_dtype()
    return fill(tuple(shape), dtype=floating, device=device, generator=generator)


def arguments_of(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by the names of its schema, defaults included."""
    given = dict(zip((a.name for a in func._schema.arguments), args, strict=False))
    defaults = {a.name: a.default_value for a in func._schema.arguments if a.has_default_value()}
    return {**defaults, **given, **kwargs}


def _normal(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    return draw("normal", like) * a.get("std", 1.0) + a.get("mean", 0.0)


def _uniform(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    low, high = a.get("from", 0.0), a.get("to", 1.0)
    return draw("uniform", like) * (high - low) + low


def _bernoulli(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    return (draw("uniform", like) < a.get("p", a["self"])).to(like.dtype)


def _integers(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    low, high = a.get("low", 0), a["high"]
    return (draw("uniform", like) * (high - low)).floor().to(like.dtype) + low


def _exponential(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    return -torch.log1p(-draw("uniform", like)) / a["lambd"]


def _cauchy(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    return a["median"] + a["sigma"] * torch.tan(math.pi * (draw("uniform", like) - 0.5))


def _log_normal(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    return (draw("normal", like) * a["std"] + a["mean"]).exp()


def _dropout(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """-> result, mask"""
    keep = 1.0 - a["p"] if a["train"] in (None, True) else 1.0
    mask = draw("uniform", like) < keep
    return like * mask * (1.0 / keep if keep else 0.0), mask


def _permutation(draw: Draw, like: Tensor, a: Mapping[str, Any]) -> Tensor:
    return draw("permutation", like)


# By the name of the operation; gamma, Poisson, Dirichlet and the rest have no such recipe
RECIPES: dict[str, Recipe] = {
    "randn": _normal,
    "randn_like": _normal,
    "normal": _normal,
    "normal_": _normal,
    "rand": _uniform,
    "rand_like": _uniform,
    "uniform_": _uniform,
    "bernoulli": _bernoulli,
    "bernoulli_": _bernoulli,
    "native_dropout": _dropout,
    "randint": _integers,
    "randint_like": _integers,
    "randperm": _permutation,
    "exponential_": _exponential,
    "cauchy_": _cauchy,
    "log_normal_": _log_normal,
}
