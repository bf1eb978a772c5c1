"""Compiled loops: one pass over memory, where NumPy makes one for each operation.

numba, an optional package, compiles the loops. A loop is plain Python, which can be read and tested without numba. It
states the same formula as the NumPy code that runs without it, and computes the same bits.

Conventions: the arrays of one call have one dtype and are C-contiguous.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from .messages import warn_user

Loop: TypeAlias = Callable[..., None]

ARGUMENTS: dict[Loop, str] = {}  # of each loop that `takes` has declared


def takes(arguments: str) -> Callable[[Loop], Loop]:
    """Declare the arguments of a loop: w for an array that it writes to, r for one that it reads, i int, f float."""

    def declare(loop: Loop) -> Loop:
        ARGUMENTS[loop] = arguments
        return loop

    return declare


IMPORT_AFTER = 3.0  # seconds of training: importing numba takes 0.5 s, which loops save in 2.5 s of a default fit


class Wait:
    """How long the trainings of this process have waited for compiled loops."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def is_over(self) -> bool:
        """Return whether trainings have taken `IMPORT_AFTER` seconds, or numba is imported already."""
        return "numba" in sys.modules or self.seconds >= IMPORT_AFTER


WAIT = Wait()


class Compiler:
    """numba, and how many loops it has compiled in this process."""

    def __init__(self, numba: Any) -> None:
        self.numba, self.n_compiled = numba, 0

    def compile(self, loop: Loop, arguments: str, dtype: np.dtype[Any], n_axes: int) -> Loop:
        """Compile a loop, or load it from the cache on disk: beside the loop's file, or in the user's folder."""
        types, number = self.numba.types, self.numba.from_dtype(dtype)
        kinds = {
            "w": types.Array(number, n_axes, "C"),
            "r": types.Array(number, n_axes, "C", readonly=True),
            "i": types.int64,
            "f": types.float64,
        }
        signature = types.void(*(kinds[kind] for kind in arguments))
        # with nogil, threads run loops in parallel; with NumPy's rules for division, loops are vectorized
        fast = self.numba.njit(signature, nogil=True, cache=True, error_model="numpy")(loop)
        self.n_compiled += sum(fast.stats.cache_misses.values())
        return fast


def import_numba() -> Any:
    """Return the module numba."""
    import numba

    return numba


@cache
def find_compiler() -> Compiler | None:
    """Import numba; return None if it is missing, switched off by NUMBA_DISABLE_JIT, or broken."""
    try:
        if find_spec("numba") is None or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
            return None
        # Ctrl-C interrupts the main thread alone; an import that is cut short would leave half of numba behind
        with ThreadPoolExecutor(1) as thread:
            numba = thread.submit(import_numba).result()
        return None if numba.config.DISABLE_JIT else Compiler(numba)
    except Exception as error:
        warn_of(f"{type(error).__name__}: {error}")
        return None


@cache
def compiled(loop: Loop, dtype: np.dtype[Any], n_axes: int) -> Loop | None:
    """Return a loop compiled for arrays of a dtype and a number of axes, or None without numba."""
    compiler, arguments = find_compiler(), ARGUMENTS[loop]
    if compiler is None or dtype not in (np.float32, np.float64):
        return None
    try:
        return compiler.compile(loop, arguments, dtype, n_axes)
    except Exception as error:  # no cache folder can be written to, or this numba does not fit this NumPy
        warn_of(f"{type(error).__name__}: {error}".splitlines()[0])
        return None


def is_loaded() -> bool:
    """Say whether a fit in this process has imported numba. Predictions do not: the import takes half a second."""
    return find_compiler.cache_info().currsize > 0 and find_compiler() is not None


def count_compiled() -> int:
    """Return how many loops have been compiled in this process, and not loaded from the cache on disk."""
    compiler = find_compiler()
    return 0 if compiler is None else compiler.n_compiled


@cache
def warn_of(problem: str) -> None:
    """Warn once that numba does not work."""
    text = f"numba is installed but does not work here ({problem}). Training uses NumPy alone, which takes longer."
    warn_user(text, RuntimeWarning)
