"""A generative family: a model that tells how data arise and a guide that tells how its unknowns are recovered.

A family writes the pair and nothing else. Engines, scores, tables and reports are derived from it.
"""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import torch
from pyro.nn import PyroModule
from torch import Tensor

from .errors import DataError, ProgramError

if TYPE_CHECKING:
    from .datasets import Dataset

__all__ = ["Family", "check_finite", "check_rows", "count_rows"]

SHOWN = 8  # numbers of a row, at most, that a message holds


class Family(PyroModule):
    """The pair, as one module: numbers to be learned are its parameters, fixed tensors its buffers.

    Two more methods where they exist:

        exact(x, context=None) -> dict                what is known in closed form, among the keys log_evidence, posterior,
                                                      marginals, or functions of the parameters: the oracle of the tests
        bound(x, context=None, *, size=None)          a program of `pyro.factor`s alone that sum to a cheaper unbiased estimate of
                                                      the pair's evidence lower bound than one trace gives, its noise from
                                                      torch.randn, rand or randint; SVI learns the family's own guide by it

    normalised   False where running the model forward is not sampling it (an energy); `sample` then runs an engine
    """

    normalised = True

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Any:
        """Observes x inside the data plate; draws `size` data where x is None. Returns the data."""
        raise NotImplementedError

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Any:
        """Samples every continuous latent site of the model; may leave out discrete ones, which are then enumerated."""
        raise NotImplementedError

    def forward(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Any:
        return self.model(x, context, size=size)

    @classmethod
    def for_data(cls, data: "Dataset", settings: Mapping[str, Any]) -> tuple[Self, Any]:
        """The family as it suits a data set, and what it takes of it: how the command line makes one.

        settings   arguments of the class that are given; `like`, where the class has it, is the data otherwise
        """
        like = {"like": data.x} if "like" in inspect.signature(cls).parameters else {}
        return cls(**{**like, **settings}), data.x

    def relabel(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Draws (*lead, *shape) by site with label switching resolved; tables and reports show these."""
        return dict(draws)

    def components(self, values: Mapping[str, Tensor]) -> torch.distributions.MixtureSameFamily | None:
        """The distribution of a datum given values (*lead, *shape) by site, batch shape lead; None where it is no mixture."""
        return None


def check_rows(x: Any, event_shape: torch.Size, name: str = "x") -> None:
    """Raise DataError unless x is a floating tensor of rows, (N, *event_shape). Never reads a value of x, so that a program
    which calls it can be recorded with x as an input."""
    if not isinstance(x, Tensor):
        raise DataError(f"{name} must be a torch tensor, got {type(x).__name__}; use torch.as_tensor({name})")
    if not x.is_floating_point():
        raise DataError(f"{name} must hold floating-point numbers, got {x.dtype}; use {name}.double()")
    if x.dim() != 1 + len(event_shape) or x.shape[1:] != event_shape:
        expected = ", ".join(["N", *map(str, event_shape)])
        raise DataError(f"{name} must have shape ({expected}{',' * (not event_shape)}), one datum a row; got {tuple(x.shape)}")
    if not len(x):
        raise DataError(f"{name} has no rows")


def check_finite(x: Tensor, name: str = "x") -> None:
    """Raise DataError at the first row that holds a NaN or an infinity. Reads values: call it once, outside of programs."""
    bad = ~x.isfinite().reshape(len(x), -1).all(-1)  # (N,)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        more = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
        place = tuple((~x[row].isfinite()).nonzero()[0].tolist())
        what = x[row].tolist() if x[row].numel() <= SHOWN else f"{float(x[row][place])} at {list(place)}"
        raise DataError(f"{name} has a value that is not finite in row {row}{more}: {what}; drop such rows")


def count_rows(x: Tensor | None, size: int | None) -> int:
    """The size of the data plate: the rows of x, or `size` where data are to be drawn. Raises ProgramError."""
    if x is not None:
        if size is not None and size != len(x):
            raise ProgramError(f"x has {len(x)} rows and size is {size}; give one of them")
        return len(x)
    if size is None:
        raise ProgramError("give data x to observe, or size, the number of data to draw")
    if size < 1:
        raise ProgramError(f"size must be at least 1, got {size}")
    return size
