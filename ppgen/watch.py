"""What the dispatcher never shows while a program is recorded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from .straightline import leaves

if TYPE_CHECKING:
    from .tape import Tape

__all__ = ["Watch"]


class Watch(TorchFunctionMode):
    """Stands above a tape: conversions to Python that copy raw memory, and errors raised before dispatch.

    They are refused with the user's line; whatever slips past still meets the recording's checks.
    """

    READS = frozenset(
        (
            torch.Tensor.numpy,
            torch.Tensor.tolist,
            torch.Tensor.__array__,
            torch.Tensor.__bool__,
            torch.Tensor.item,
            torch.Tensor.__float__,
            torch.Tensor.__int__,
            torch.Tensor.__index__,
            torch.Tensor.__complex__,
            torch.Tensor.__dlpack__,
            torch.Tensor.apply_,
            torch.Tensor.map_,
            torch.Tensor.new_tensor,
            torch.tensor,
            torch.as_tensor,
        )
    )

    def __init__(self, tape: "Tape"):
        super().__init__()
        self.tape = tape

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.one_hot:  # reads its input, only to validate it
            classes = kwargs.get("num_classes", args[1] if len(args) > 1 else -1)
            if classes > 0:
                return (args[0].unsqueeze(-1) == torch.arange(classes, device=args[0].device)).to(torch.long)
        if func is torch.Tensor.__deepcopy__ and self.tape.live(args[0]):
            return args[0].clone()
        if func is torch.Tensor.__format__:  # a print to look at
            with _disable_current_modes():
                return func(*args, **kwargs)
        if func in self.READS and not (func is torch.as_tensor and isinstance(args[0], Tensor)):
            read = args[1:] if func is torch.Tensor.new_tensor else args  # its tensor only lends its dtype and device
            live = [t for t in leaves((read, dict(kwargs)), Tensor) if self.tape.live(t)]
            if live:
                self.tape.refuse(f"what {getattr(func, '__name__', func)} reads into Python", live)
        return func(*args, **kwargs)
