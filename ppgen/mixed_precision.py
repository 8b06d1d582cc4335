"""Mixed precision where it is safe: networks compute in few bits, and everything that is a density in the program's own dtype.

torch.autocast over a whole program would draw values and sum log densities in bfloat16, which has three digits. Here it covers the
networks that a program calls, each from its first layer to its last, and what leaves them is float32 again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_map_only

__all__ = ["networks_in"]


@contextmanager
def networks_in(dtype: torch.dtype | None, own: nn.Module | None) -> Iterator[None]:
    """Inside, networks compute in `dtype`, and their outputs are cast back; None changes nothing. `own`, the program's module, and
    modules of Pyro's, which may sample, are no networks themselves: those that they call are."""
    if dtype is None:
        yield
        return
    within: list[tuple[nn.Module, torch.autocast]] = []  # the network that is running

    def before(module: nn.Module, args: Any) -> None:
        if within or module is own or isinstance(module, PyroModule):
            return
        device = next((p.device.type for p in module.parameters()), "cpu")
        cast = torch.autocast(device, dtype, cache_enabled=False)
        within.append((module, cast))
        cast.__enter__()

    def after(module: nn.Module, args: Any, output: Any) -> Any:
        if not within or within[0][0] is not module:
            return None
        within.pop()[1].__exit__(None, None, None)
        return tree_map_only(Tensor, lambda t: t.float() if t.dtype == dtype else t, output)

    hooks = register_module_forward_pre_hook(before), register_module_forward_hook(after)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        if within:  # it failed
            within.pop()[1].__exit__(None, None, None)
