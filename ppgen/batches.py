"""Data that come a batch at a time: a DataLoader among a program's arguments.

The tensors of a batch stand where the loader stood: those of a tuple or list one after the other, those of a dictionary by name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten
from torch.utils.data import DataLoader

from .errors import DataError, EngineError, PpgenError
from .keys import BATCHES, Key, nth
from .program import Program
from .recording import seeded

__all__ = ["Batches", "loader_among"]

KEPT = 2  # batches: the first one is looked at again after the second


class Batches:
    """The batches of a loader in the place of a program's arguments, one for each step.

    size     rows of the data set, of which each batch has equally many
    program  given the first batch

    Step t has batch t mod len(loader) of epoch t div len(loader). Order, augmentation and the workers' seeds follow from the seed and
    the step alone, whatever the loader did before: its generators are seeded anew at each epoch. In the first epoch each batch is
    looked at as arguments are. Raises EngineError (a loader of unequal batches, or of no known size), DataError, and what Program raises.
    """

    def __init__(
        self,
        program: Callable[..., Any] | Program,
        loader: DataLoader[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seed: int,
    ):
        """loader: the one among args and kwargs."""
        self.loader, self._args, self._kwargs = loader, args, kwargs
        self.size, self._length = _sizes(self.loader)
        self._key = Key(seed)
        self._device = _device_of(program)
        self._kept: dict[int, list[Any]] = {}
        self._batches: Iterator[Any] = iter(())
        self._next = -1  # the step whose batch comes next
        first = self._drawn(0)
        args, kwargs = self._placed(first)
        self.program = Program.of(program, *args, **kwargs)
        own = {id(t) for t in tree_flatten(first)[0]}
        self._streamed = [i for i, leaf in enumerate(self.program.leaves) if id(leaf) in own]
        self._kept[0] = [self.program.leaves[i] for i in self._streamed]
        self._looked_at = 1

    def __len__(self) -> int:
        """Steps of an epoch."""
        return self._length

    @property
    def names(self) -> frozenset[str]:
        """Data that change from step to step, as a program's `data` has them."""
        return frozenset(f"data:{i}" for i in self._streamed)

    def at(self, step: int) -> dict[str, Tensor]:
        """What a step sees, by those names."""
        if self._looked_at <= step < len(self):
            self.bound(step)
            self._looked_at = step + 1
        return {f"data:{i}": t for i, t in zip(self._streamed, self._shown(step), strict=True)}

    def bound(self, step: int) -> Program:
        """The program given the batch of a step, which is looked at as arguments are. Raises what Program raises, with the batch."""
        leaves = list(self.program.leaves)
        for i, t in zip(self._streamed, self._shown(step), strict=True):
            leaves[i] = t
        args, kwargs = tree_unflatten(leaves, self.program.tree)
        try:
            return self.program.bind(*args, **kwargs)
        except PpgenError as error:
            raise type(error)(f"batch {step % len(self)} of the loader: {error}") from error

    def _shown(self, step: int) -> list[Tensor]:
        if step not in self._kept:
            batch = self._leaves(step)
            self._kept = {**dict(list(self._kept.items())[1 - KEPT :]), step: batch}
        return self._kept[step]

    def _leaves(self, step: int) -> list[Tensor]:
        leaves = tree_flatten(self._placed(self._drawn(step)))[0]
        found = [leaves[i] for i in self._streamed] if len(leaves) == len(self.program.leaves) else leaves
        first = [self.program.leaves[i] for i in self._streamed]
        if _form(found) != _form(first):
            raise DataError(
                f"batch {step % len(self)} of epoch {step // len(self)} has {_form(found)}, and the first one {_form(first)}; all have to "
                "be alike"
            )
        return found

    def _drawn(self, step: int) -> Any:
        """The loader's own batch of a step, on the program's device."""
        epoch, place = divmod(step, len(self))
        if step != self._next or place == 0:
            self._begin(epoch)
            for i in range(place):
                self._take(epoch * len(self) + i)
        self._next = step + 1
        return tree_map_only(Tensor, lambda t: t.to(self._device), self._take(step))

    def _begin(self, epoch: int) -> None:
        seed = self._seed(epoch, 0)
        for generator in {self.loader.generator, getattr(self.loader.sampler, "generator", None)} - {None}:
            generator.manual_seed(seed)
        with seeded(seed):
            self._batches = iter(self.loader)

    def _take(self, step: int) -> Any:
        with seeded(self._seed(step, 1)):
            try:
                return next(self._batches)
            except StopIteration:
                raise DataError(f"the loader ends before batch {step % len(self)} of {len(self)}") from None

    def _seed(self, at: int, stream: int) -> int:
        return int(self._key.at(at).uniform(nth(BATCHES, stream), (1, 1)) * 2.0**32)

    def _placed(self, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with a batch in the loader's place."""
        if other := {type(x).__name__ for x in tree_flatten(batch)[0] if not isinstance(x, Tensor)}:
            raise DataError(f"a batch of the loader holds {', '.join(sorted(other))}; it may hold tensors alone (collate_fn makes them)")
        parts = dict(batch) if isinstance(batch, Mapping) else list(batch) if isinstance(batch, (list, tuple)) else [batch]
        args, kwargs = list(self._args), dict(self._kwargs)
        name = next((n for n, x in kwargs.items() if x is self.loader), None)
        if name is not None:
            if len(parts) != 1:
                raise DataError(f"argument {name!r} is a loader whose batches have {len(parts)} parts; give it by place, not by name")
            kwargs[name] = next(iter(parts.values() if isinstance(parts, dict) else parts))
            return tuple(args), kwargs
        at = next(i for i, x in enumerate(args) if x is self.loader)
        if isinstance(parts, dict):
            if both := sorted(parts.keys() & kwargs.keys()):
                raise DataError(f"{', '.join(map(repr, both))} are given by name, and by the loader's batches too")
            return tuple(args[:at] + args[at + 1 :]), {**kwargs, **parts}
        return (*args[:at], *parts, *args[at + 1 :]), kwargs


def loader_among(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> DataLoader[Any] | None:
    """Raises EngineError: there are several."""
    found = [x for x in (*args, *kwargs.values()) if isinstance(x, DataLoader)]
    if len(found) > 1:
        raise EngineError(f"{len(found)} of the program's arguments are loaders; give one whose batches hold all that changes")
    return found[0] if found else None


def _sizes(loader: DataLoader[Any]) -> tuple[int, int]:
    """Rows of the data set, and batches of an epoch."""
    try:
        size, length = len(loader.dataset), len(loader)  # type: ignore[arg-type]
    except TypeError:
        raise EngineError("the loader's data set does not say how many rows it has; give it a __len__: sites are scaled by it") from None
    if loader.batch_size is not None and size % loader.batch_size and not loader.drop_last:
        raise EngineError(
            f"the last batch of an epoch would have {size % loader.batch_size} rows and others {loader.batch_size}; make the loader with "
            "drop_last=True"
        )
    if not length:
        raise EngineError(f"the loader has no batch: its data set has {size} rows")
    return size, length


def _device_of(program: Callable[..., Any] | Program) -> torch.device:
    fn = program.fn if isinstance(program, Program) else program
    own = [*fn.parameters(), *fn.buffers()] if isinstance(fn, torch.nn.Module) else []
    return own[0].device if own else torch.empty(0).device


def _form(tensors: list[Tensor]) -> str:
    return ", ".join(f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in tensors)
