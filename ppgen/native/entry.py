"""Functions that Numba compiles once per machine, kept as object code and entered by their address.

What Numba's own cache gives back is a function of Python objects, and before it does so it fills the registries of all that it
can compile: 0.09 s in every process, half of the time from a program to its draws where the program is small. Object code needs
none of that. Arguments are whole numbers and reals; what is larger is given by its address.
"""

import ctypes
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numba
from numba import njit, types

from .cache import kept
from .calling import HOW
from .machine import Code, emitted

__all__ = ["Entry", "entry"]

BARE: Mapping[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
KINDS = {int: (types.int64, ctypes.c_int64), float: (types.float64, ctypes.c_double)}
ABORT = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value or 0
DESTRUCTOR = "NRT_MemInfo_call_dtor"  # of arrays that Numba counts references to; there are none, and nobody calls it


class Entry:
    """A compiled function of numbers, which returns nothing and runs without the interpreter's lock.

    kinds     int or float, of each argument
    sources   modules whose compiled functions it calls: an edit of one of them makes another entry
    """

    def __init__(self, function: Callable[..., None], kinds: tuple[type, ...], sources: tuple[ModuleType, ...]):
        self.function, self.kinds = function, kinds
        # Read while they are imported: what this process runs, whatever becomes of the files until it compiles
        files = [Path(function.__code__.co_filename), *(Path(str(m.__file__)) for m in sources)]
        self.digests = [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
        self._lock = Lock()
        self._call: Any = None
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: float) -> None:
        if self._call is None:
            self.load()
        returned, raised = ctypes.c_void_p(), ctypes.c_void_p()  # nothing, and nothing
        self._call(ctypes.byref(returned), ctypes.byref(raised), *arguments)

    def load(self) -> None:
        """Compile it, unless that has been done on this machine."""
        with self._lock:
            if self._call is not None:
                return
            content, _ = kept(self._identity(), self._compiled)
            first, _, objects = content.partition(b"\0")
            name = first.decode()
            self._code = Code(objects, (name,), {DESTRUCTOR: ABORT})
            arguments: Any = [ctypes.c_void_p, ctypes.c_void_p, *(KINDS[k][1] for k in self.kinds)]
            self._call = ctypes.CFUNCTYPE(ctypes.c_int32, *arguments)(self._code.addresses[name])

    def _identity(self) -> str:
        return "\0".join([numba.__version__, self.function.__module__, self.function.__qualname__, *self.digests])

    def _compiled(self) -> bytes:
        dispatcher: Any = njit(**HOW, **BARE)(self.function)
        signature = tuple(KINDS[k][0] for k in self.kinds)
        dispatcher.compile(signature)
        made = dispatcher.overloads[signature]
        return made.fndesc.llvm_func_name.encode() + b"\0" + emitted(str(made.library._final_module))


def entry(*kinds: type, sources: tuple[ModuleType, ...] = ()) -> Callable[[Callable[..., None]], Entry]:
    """A decorator: see Entry."""
    return lambda function: Entry(function, kinds, sources)
