"""Random programs of tensors: a list of instructions, each a few numbers, that any list of numbers is.

Values stay moderate and smooth where they can, so that a difference between two ways to run a program is an error and not
rounding.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["DATA", "DIM", "Instruction", "instructions", "run"]

from hypothesis import strategies as st

Instruction: TypeAlias = tuple[int, int, int, int]
DIM = 12  # of the position
DATA = {
    "table": torch.tensor([[0.5, -2.0, 1.5], [3.0, 0.25, -1.0]], dtype=torch.float64),
    "where": torch.tensor([2, -1, 0, 1]),  # whole numbers: an index of data, negative ones among them
    "mask": torch.tensor([True, False, True]),
}


def instructions() -> st.SearchStrategy[list[Instruction]]:
    number = st.integers(0, 11)
    return st.lists(st.tuples(st.integers(0, len(OPERATIONS) - 1), number, number, number), min_size=1, max_size=14)


def run(program: Sequence[Instruction], position: Tensor, table: Tensor, where: Tensor, mask: Tensor) -> Tensor:
    """A number that every tensor of the program enters."""
    tensors = [position[:3], position[3:9].reshape(2, 3), position[9], table, position[10:].unsqueeze(-1)]
    for operation, a, b, c in program:
        new = OPERATIONS[operation](Pick(tensors, a, b, c, where, mask))
        if new is not None and new.numel() <= 64:
            tensors.append(new)
    return sum((t.sin().mean() for t in tensors if t.numel()), position.sum() * 0)


class Pick:
    """What an instruction works on: tensors x and y, and a number."""

    def __init__(self, tensors: list[Tensor], a: int, b: int, c: int, where: Tensor, mask: Tensor):
        self.x, self.y, self.number = tensors[-1 - a % len(tensors)], tensors[-1 - b % len(tensors)], c
        self.where, self.mask = where, mask

    @property
    def dim(self) -> int:
        return self.number % max(self.x.dim(), 1)

    def size(self, dim: int) -> int:
        return self.x.shape[dim] if self.x.dim() else 1


def together(f: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Pick], Tensor | None]:
    """An operation on two tensors, where they broadcast."""

    def operation(p: Pick) -> Tensor | None:
        try:
            torch.broadcast_shapes(p.x.shape, p.y.shape)
        except RuntimeError:
            return None
        return f(p.x, p.y)

    return operation


def shaped(f: Callable[[Pick], Tensor]) -> Callable[[Pick], Tensor | None]:
    """An operation on a tensor that has dimensions and elements."""
    return lambda p: f(p) if p.x.dim() and p.x.numel() else None


def matrices(f: Callable[[Tensor], Tensor]) -> Callable[[Pick], Tensor | None]:
    """An operation on a positive definite matrix that is made of x."""

    def operation(p: Pick) -> Tensor | None:
        if p.x.dim() < 2 or not p.x.numel():
            return None
        m = p.x.tanh()
        return f(m @ m.mT + torch.eye(m.shape[-2], dtype=m.dtype))

    return operation


def _product(p: Pick) -> Tensor | None:
    x, y = p.x.tanh(), p.y.tanh()
    if not x.dim() or not y.dim() or x.shape[-1] != y.shape[-1]:
        return None
    return x @ (y.mT if y.dim() > 1 else y) if x.dim() <= 2 and y.dim() <= 2 else None


def _joined(p: Pick) -> Tensor | None:
    same = (
        p.x.dim()
        and p.x.dim() == p.y.dim()
        and all(i == p.dim or a == b for i, (a, b) in enumerate(zip(p.x.shape, p.y.shape, strict=True)))
    )
    return torch.cat([p.x, p.y], p.dim) if same else None


def _stacked(p: Pick) -> Tensor | None:
    return torch.stack([p.x, p.y, p.x * 2], p.number % (p.x.dim() + 1)) if p.x.shape == p.y.shape else None


def _written(p: Pick) -> Tensor:
    """A part of a copy is written to, and read back."""
    copy = p.x.clone()
    part = copy.select(p.dim, p.number % p.size(p.dim))
    part.mul_(0.5).add_(1.0)
    copy.select(p.dim, 0).copy_(part)
    return copy


def _assigned(p: Pick) -> Tensor:
    copy = (p.x * 1.5).contiguous()
    flat = copy.view(-1)
    flat[::2] = p.y.sum().tanh()
    copy[p.x > 0.3] = 0.25
    return copy


def _by_data(p: Pick) -> Tensor | None:
    """An index that is data, along a dimension of size 3."""
    return p.x.index_select(p.dim, p.where.remainder(3)) + p.x.movedim(p.dim, 0)[p.where].movedim(0, p.dim) if p.size(p.dim) == 3 else None


def _by_value(p: Pick) -> Tensor:
    """An index that is computed."""
    index = (p.x.abs() * 7).long() % p.size(p.dim)
    return p.x.gather(p.dim, index)


def _scattered(p: Pick) -> Tensor:
    index = torch.arange(p.size(p.dim)).flip(0) // 2
    return torch.zeros_like(p.x).index_add(p.dim, index, p.x)


def _masked(p: Pick) -> Tensor | None:
    return torch.where(p.mask, p.x, p.x.exp().log1p()).masked_fill(~p.mask, 0.5) if p.x.shape[-1:] == (3,) else None


OPERATIONS: Sequence[Callable[[Pick], Tensor | None]] = (
    lambda p: p.x.tanh(),
    lambda p: p.x.clamp(-2, 2).exp(),
    lambda p: torch.nn.functional.softplus(p.x) - p.x.sigmoid(),
    lambda p: p.x.square().log1p() * p.x.abs(),
    lambda p: (1 + p.x.square()).pow(-1.5),
    lambda p: (1.1 + p.x.square()).lgamma() + torch.special.i0e(p.x) + p.x.erf(),
    together(lambda x, y: x.sin() * y),
    together(lambda x, y: x / (2 + y.square()) - y),
    together(lambda x, y: torch.where(x > y, x.cos(), y)),
    together(lambda x, y: torch.maximum(x, y) + torch.minimum(x, y * 0.5)),
    together(lambda x, y: torch.logaddexp(x, y) + torch.special.xlogy(x.square(), y.square() + 1)),
    together(lambda x, y: ((x > 0) & ~(y < 0.5)).to(x) * 2 + (x.floor().long() % 3)),
    shaped(lambda p: p.x.transpose(0, p.dim)),
    shaped(lambda p: p.x.flip(p.dim)),
    shaped(lambda p: p.x.roll(1, p.dim)),
    shaped(lambda p: p.x.reshape(-1)),
    shaped(lambda p: p.x.select(p.dim, p.number % p.size(p.dim))),
    shaped(lambda p: p.x.narrow(p.dim, 0, max(p.size(p.dim) - 1, 1))),
    shaped(lambda p: p.x[::2]),
    lambda p: p.x.unsqueeze(p.number % (p.x.dim() + 1)),
    lambda p: p.x.squeeze(),
    lambda p: p.x.expand(2, *p.x.shape),
    shaped(lambda p: p.x[..., None] + torch.zeros(2, dtype=p.x.dtype)),
    shaped(lambda p: p.x.narrow(p.dim, 0, 0)),
    lambda p: torch.nn.functional.pad(p.x, (1, 2), value=0.75) if p.x.dim() else None,
    lambda p: p.x.tril(p.number % 3 - 1) if p.x.dim() > 1 else None,
    lambda p: p.x.diagonal(dim1=0, dim2=1) if p.x.dim() > 1 else None,
    lambda p: torch.diag_embed(p.x) if p.x.dim() else None,
    shaped(lambda p: p.x.sum(p.dim, keepdim=p.number > 5)),
    shaped(lambda p: p.x.mean(p.dim)),
    shaped(lambda p: p.x.amax(p.dim)),
    shaped(lambda p: p.x.logsumexp(p.dim, keepdim=p.number > 5)),
    shaped(lambda p: p.x.softmax(p.dim)),
    shaped(lambda p: p.x.log_softmax(p.dim)),
    shaped(lambda p: p.x.cos().cumsum(p.dim)),
    shaped(lambda p: (1 + 0.1 * p.x.sin()).cumprod(p.dim)),
    shaped(lambda p: p.x.sin().prod(p.dim)),
    shaped(lambda p: p.x.var(p.dim) if p.size(p.dim) > 1 else p.x),
    shaped(lambda p: p.x.sort(p.dim).values),
    shaped(lambda p: p.x.tanh().norm()),
    lambda p: p.x.sum().tanh() + (p.x > 0).any().to(p.x),
    _product,
    _joined,
    _stacked,
    shaped(_written),
    shaped(_assigned),
    shaped(_by_data),
    shaped(_by_value),
    shaped(_scattered),
    _masked,
    matrices(torch.linalg.cholesky),
    matrices(torch.linalg.inv),
    matrices(torch.logdet),
    matrices(lambda m: torch.linalg.solve_triangular(m.tril(), m[..., :1], upper=False)),
)
