"""LLVM IR text -> object code -> an address. All that knows llvmlite.

Vectors are as wide as LLVM likes them on the CPU: on Zen 5 those of 512 bits, where 256 took a fifth to a third longer for the
logistic regression of 1000 rows and for the mixture of 500.

Object code is position independent and laid out by JITLink in one piece, so calls and constants are near; `Code` frees its memory
when nobody holds it. Every compilation has an LLVM context of its own and may run in any thread.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import NewPassManager

from ..errors import LoweringError

__all__ = ["Code", "Host", "assembly", "compiled", "emitted", "host", "optimised"]

# Characters of IR above which statements are not packed into vectors (SLP), which took 0.1 s for 3,500 statements in one block and
# 80 s for 56,000, and registers are given out in half the time, for code that was as fast
LARGE = 500_000
NONE: Mapping[str, int] = MappingProxyType({})


class Host(NamedTuple):
    """What object code depends on besides its text."""

    triple: str
    cpu: str
    features: str
    llvmlite: str


@cache
def host() -> Host:
    """This machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return Host(llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvmlite.__version__)


def compiled(text: str) -> bytes:
    """Object code of a module for this machine. Raises LoweringError: text that LLVM does not take, with what it says."""
    with _optimised(text) as (module, target):
        return target.emit_object(module)


def emitted(text: str) -> bytes:
    """Object code of a module that has been through passes already."""
    with closing(llvm.create_context()) as context, closing(llvm.parse_assembly(text, context)) as module, closing(_target()) as target:
        return target.emit_object(module)


def assembly(text: str) -> str:
    """The same, to be read."""
    with _optimised(text) as (module, target):
        return target.emit_assembly(module)


def optimised(text: str) -> str:
    """The module after the passes, to be read."""
    with _optimised(text) as (module, _):
        return str(module)


@contextmanager
def _optimised(text: str) -> Iterator[tuple[Any, Any]]:
    """A module after verification and the passes of -O2, and the machine to emit it for. Those of -O3 took up to twice as long, for
    code that was no faster."""
    large = len(text) > LARGE
    target = _target(1 if large else 3)
    context = llvm.create_context()
    try:
        module = llvm.parse_assembly(text, context)
        module.verify()
    except RuntimeError as error:
        raise LoweringError(f"LLVM does not take the module: {str(error).strip()}") from error
    options = llvm.create_pipeline_tuning_options(2)
    options.loop_vectorization = options.loop_unrolling = options.loop_interleaving = True
    options.slp_vectorization = not large
    builder = llvm.create_pass_builder(target, options)
    passes = builder.getModulePassManager()
    try:
        passes.run(module, builder)
        yield module, target
    finally:
        # a ModulePassManager's own `close` frees nothing: the empty method of another base class comes first
        NewPassManager._dispose(passes)
        passes.detach()
        for x in (builder, options, module, context, target):
            x.close()


def _target(level: int = 3) -> Any:
    here = host()
    kind = llvm.Target.from_triple(here.triple)
    return kind.create_target_machine(cpu=here.cpu, features=here.features, opt=level, reloc="pic", codemodel="default", jit=True)


class Code:
    """Object code in memory, with the addresses of its functions; freed when the last reference goes.

    imports    addresses of functions that it calls and this process does not show by name
    Raises LoweringError: code that cannot be linked, a function that it calls and nobody has.
    """

    def __init__(self, objects: bytes, names: tuple[str, ...], imports: Mapping[str, int] = NONE):
        self._jit = llvm.create_lljit_compiler(_target(), use_jit_link=True)
        library = llvm.JITLibraryBuilder().add_object_img(objects).add_current_process()
        for name in names:
            library.export_symbol(name)
        for name, address in imports.items():
            library.import_symbol(name, address)
        try:
            self._tracker = library.link(self._jit, "ppgen")
        except RuntimeError as error:
            raise LoweringError(f"machine code cannot be linked: {str(error).strip()}") from error
        self.addresses: dict[str, int] = {name: self._tracker[name] for name in names}
