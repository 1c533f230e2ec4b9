"""The signals that ask a run to end: Ctrl-C, the SIGTERM of a scheduler, the SIGHUP of a terminal that was closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def caught(handler: Callable[[int, FrameType | None], None]) -> Iterator[Mapping[int, Any]]:
    """Those signals come to `handler` while this lasts, which yields what they came to before.

    SIGHUP stays ignored where it is: that is what `nohup` does.
    """
    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def requests() -> Iterator[list[int]]:
    """The signals that asked this process to end, while they are caught; a second one ends it as the system does."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield received
        return

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[number])

    with caught(receive) as before:
        yield received
