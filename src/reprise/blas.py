"""How many threads NumPy's products use: OpenBLAS knows one number for the whole process, and NumPy does not ask.

NumPy's wheels bring OpenBLAS for all systems but macOS on Apple's processors, where Accelerate decides by itself.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

#: What the functions are called in the builds of OpenBLAS that NumPy is linked with; {} is `get` or `set`.
_NAMES = (
    "scipy_openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
)


@dataclass(frozen=True, slots=True)
class _Number:
    """The functions of OpenBLAS that tell and set the number of threads."""

    get: Callable[[], int]
    set: Callable[[int], None]


class Limit:
    """Inside, products use at most so many threads, also where other threads of Python compute with another limit.

    The number is the least that one of the running calls may use; when the last has ended, it is as it was before.
    Nothing changes where the number cannot be set.
    """

    _lock: ClassVar = threading.Lock()
    _running: ClassVar = 0
    _before: ClassVar = 0

    def __init__(self, threads: int) -> None:
        """`threads` is at least 1."""
        self._threads = threads
        self._number = _number()

    def __enter__(self) -> None:
        """The first to enter notes how many threads there were; others may only lower them."""
        number = self._number
        if number is None:
            return
        with Limit._lock:
            current = number.get()
            if not Limit._running:
                Limit._before = current
            if self._threads < current or (not Limit._running and self._threads != current):
                number.set(self._threads)
            Limit._running += 1

    def __exit__(self, *_: object) -> None:
        number = self._number
        if number is None:
            return
        with Limit._lock:
            Limit._running -= 1
            if not Limit._running and number.get() != Limit._before:
                number.set(Limit._before)


def settable() -> bool:
    """Whether the number of threads can be set."""
    return _number() is not None


@lru_cache(maxsize=1)
def _number() -> _Number | None:
    """The functions of the library that NumPy's own module is linked with; None where it is another than OpenBLAS."""
    core = getattr(np, "_core", None) or np.core  # the latter before NumPy 2
    try:
        library = ctypes.CDLL(core._multiarray_umath.__file__)
    except (OSError, AttributeError):
        return None
    for name in _NAMES:
        get, put = (getattr(library, name.format(verb), None) for verb in ("get", "set"))
        if get is not None and put is not None:
            get.argtypes, get.restype = [], ctypes.c_int
            put.argtypes, put.restype = [ctypes.c_int], None
            return _Number(get, put)
    return None
