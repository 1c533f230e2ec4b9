"""Ends calls of ONNX Runtime that take too long: a loop that a file holds may never end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime

#: How often running calls are looked at, and for how long the thread that does it outlives the last of them.
_PERIOD_S, _IDLE_S = 0.1, 2.0


class Deadlines:
    """The calls that run, each with the time at which it is ended; many threads may share it.

    A thread looks at them while there are any. To start a timer for each call would cost more than a step takes.
    """

    def __init__(self) -> None:
        self._running: dict[int, tuple[float, onnxruntime.RunOptions]] = {}
        self._lock = threading.Lock()
        self._watched = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[onnxruntime.RunOptions]:
        """Options for one call, which ends it when it takes longer."""
        options = onnxruntime.RunOptions()
        with self._lock:
            self._running[id(options)] = time.monotonic() + seconds, options
            begin, self._watched = not self._watched, True
        if begin:
            threading.Thread(target=self._watch, name="reprise deadlines", daemon=True).start()
        try:
            yield options
        finally:
            with self._lock:
                del self._running[id(options)]

    def _watch(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(_PERIOD_S)
            now = time.monotonic()
            with self._lock:
                for deadline, options in self._running.values():
                    if now > deadline:
                        options.terminate = True
                last = now if self._running else last
                if now - last > _IDLE_S:
                    self._watched = False
                    return
