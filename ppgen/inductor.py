"""A graph compiled by torch.compile: for the GPU, and for large batched graphs."""

import operator
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from .errors import LoweringError
from .straightline import Graph, Node, identity, item

__all__ = ["Inductor"]

LONGEST = 3000  # operations; torch.compile took 124 s for 2,500 and did not end for 15,000


class Inductor:
    """Raises LoweringError: a graph that is too long or whose compilation fails (there is no compiler, an operation has no rule)."""

    def __init__(self, graph: Graph):
        if len(graph.body) > LONGEST:
            most, times = Counter(str(n.target) for n in graph.body).most_common(1)[0]
            raise LoweringError(
                f"the graph has {len(graph.body):,} operations, {times:,} of them {most}, more than the {LONGEST:,} that torch.compile "
                "gets through in minutes; is it a Python loop unrolled? ppgen.scan keeps it one"
            )
        self.graph = graph
        # CUDA graphs take the place of one launch per kernel; on the CPU there is nothing to launch
        mode = "reduce-overhead" if any(n.value.is_cuda for n in graph.inputs) else "default"
        self.module = torch.compile(as_module(graph), fullgraph=True, dynamic=False, mode=mode)

    def prepare(self, slow: Sequence[Tensor]) -> "_Run":
        with torch.no_grad():
            run = _Run(self.module, self.graph.prepare(slow))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # torch.compile's own, of torch
                    run([n.value for n in self.graph.fast])  # compiles
            except torch._dynamo.exc.TorchDynamoException as error:
                cause = str(getattr(error, "inner_exception", error)).strip().splitlines()
                raise LoweringError(f"torch.compile fails: {cause[0] if cause else type(error).__name__}") from error
            return run


class _Run:
    def __init__(self, module: Any, prepared: Sequence[Any]):
        self.module, self.prepared = module, prepared

    def __call__(self, fast: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            outputs = self.module(*self.prepared, *fast)
            return [o.clone() for o in outputs] if outputs[0].is_cuda else outputs  # a CUDA graph writes to the same memory again


def as_module(graph: Graph) -> torch.fx.GraphModule:
    """The body of a graph, a function of (*handed, *fast), as torch.fx knows it."""
    new, constants = torch.fx.Graph(), torch.nn.Module()
    twin = {id(n): new.placeholder(f"x{i}") for i, n in enumerate((*graph.handed, *graph.fast))}

    def twin_of(n: Node) -> torch.fx.Node:
        if id(n) not in twin:  # a constant
            name = f"c{len(twin)}"
            constants.register_buffer(name, n.constant)
            twin[id(n)] = new.get_attr(name)
        return twin[id(n)]

    for n in graph.body:
        args, kwargs = tree_map_only(Node, twin_of, (n.args, dict(n.kwargs)))
        if n.target is identity:
            twin[id(n)] = args[0]
        else:
            twin[id(n)] = new.call_function(operator.getitem if n.target is item else n.target, args, kwargs)
    new.output(tuple(twin_of(o) for o in graph.outputs))
    return torch.fx.GraphModule(constants, new)
