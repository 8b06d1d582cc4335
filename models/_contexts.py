"""Contexts: what each datum is given, (N, C) numbers, where a family is conditional."""

import torch
from torch import Tensor

from ..errors import DataError, ProgramError
from ..family import check_rows

__all__ = ["contexts"]


def contexts(context: Tensor | None, expected: int, count: int, dtype: torch.dtype) -> Tensor | None:
    """(count, expected) in a dtype; None where none are expected. Raises ProgramError, DataError."""
    if not expected:
        if context is not None:
            raise ProgramError("this family takes no context; make it with context=, the numbers that each datum is given")
        return None
    if context is None:
        raise ProgramError(f"this family needs a context of shape ({count}, {expected}), a row for each datum")
    check_rows(context, torch.Size((expected,)), "context")
    if len(context) != count:
        raise DataError(f"context has {len(context)} rows for {count} data; give each datum one")
    return context.to(dtype)
