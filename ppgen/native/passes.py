"""What is done to a program before it becomes machine code: each pass takes a program and returns another that computes the same."""

from .forwarding import forwarded, swept
from .fusion import merged, strips
from .ir import Program
from .jamming import jammed
from .registers import registered
from .unrolling import unrolled

__all__ = ["forwarded", "jammed", "merged", "optimised", "registered", "strips", "swept", "unrolled"]


def optimised(program: Program) -> Program:
    """All passes. Results are equal to the last bit: no pass changes the order of operations on any value."""
    return registered(unrolled(swept(forwarded(jammed(merged(strips(program)))))))
