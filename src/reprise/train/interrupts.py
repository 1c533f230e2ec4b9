"""The signals that ask a run to end: Ctrl-C, what schedulers and preemptible machines send, a terminal that closes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: Schedulers choose among the three in the middle; the last is that of a terminal that was closed.
_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
#: Seconds in which a signal that comes again is the same request: `timeout`, schedulers that tell a launcher and its
#: workers, and shells whose terminal closes send one more than once.
_SAME_S = 1.0


@contextmanager
def caught(handler: Callable[[int, FrameType | None], None]) -> Iterator[Mapping[int, Any]]:
    """Those signals come to `handler` while this lasts, which yields what they came to before.

    SIGHUP stays ignored where it is: that is what `nohup` does.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _ASKING}
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
    """The signals that asked this process to end, while they are caught.

    One that asks again later does what it did before, which is to end the process at once as a rule.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield received
        return
    asked_at: dict[int, float] = {}

    def receive(number: int, _frame: FrameType | None) -> None:
        first = asked_at.setdefault(number, time.monotonic())
        if number not in received:
            received.append(number)
        elif time.monotonic() - first > _SAME_S:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    with caught(receive) as before:
        yield received


@contextmanager
def deferred() -> Iterator[None]:
    """Those signals wait until this is over, and then do what they did before."""
    with requests() as received:
        yield
    for number in received:
        signal.raise_signal(number)
