"""ppgen: generative families as Pyro model/guide pairs, and one set of engines for all of them.

    from ppgen import compare, datasets
    from ppgen.models import GaussianMixture
    from ppgen.inference import NUTS, SVI

Names are imported when they are first used, so that `import ppgen` stays fast.
"""

from typing import TYPE_CHECKING

from .exports import on_demand

__version__ = "0.1.0"

# name -> the module that defines it; a module never has the name of what it exports
_EXPORTS = {
    "Comparison": "comparison",
    "Conditionals": "conditionals",
    "DiscreteChain": "chains",
    "Family": "family",
    "Gaps": "gaps",
    "LogDensity": "targets",
    "Posterior": "posterior",
    "PpgenError": "errors",
    "PpgenWarning": "errors",
    "Program": "program",
    "Score": "tasks",
    "Structure": "graph",
    "compare": "comparison",
    "diagram": "drawing",
    "formula": "factorisation",
    "infer": "tasks",
    "inference_gaps": "gaps",
    "learn": "tasks",
    "neutra": "preconditioning",
    "predict": "tasks",
    "sample": "tasks",
    "scan": "scanning",
    "score": "tasks",
    "structure": "graph",
}
_MODULES = ("datasets", "errors", "inference", "models")

__all__ = [*_EXPORTS, *_MODULES, "__version__"]

if TYPE_CHECKING:
    from . import datasets, errors, inference, models
    from .chains import DiscreteChain
    from .comparison import Comparison, compare
    from .conditionals import Conditionals
    from .drawing import diagram
    from .errors import PpgenError, PpgenWarning
    from .factorisation import formula
    from .family import Family
    from .gaps import Gaps, inference_gaps
    from .graph import Structure, structure
    from .posterior import Posterior
    from .preconditioning import neutra
    from .program import Program
    from .scanning import scan
    from .targets import LogDensity
    from .tasks import Score, infer, learn, predict, sample, score


__getattr__ = on_demand(__name__, {**_EXPORTS, **{module: module for module in _MODULES}})


def __dir__() -> list[str]:
    return sorted(__all__)
