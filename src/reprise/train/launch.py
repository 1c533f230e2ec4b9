"""Starts the workers of a run on this machine, one process each, and ends them together."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO

from reprise.errors import TrainingError
from reprise.train.interrupts import caught
from reprise.train.lock import existing_folder
from reprise.train.meeting import SHARES_PORT

#: Seconds that the other workers have to save and leave when one has left.
_GRACE_S = 60.0
#: Seconds between two looks at whether one has.
_LOOK_S = 0.05
#: Where a worker finds its end of a pipe that nobody writes to: it closes with the process that launched the worker.
LIFELINE = "REPRISE_LIFELINE"


def launch(arguments: Sequence[str], workers: int, folder: Path) -> int:
    """Runs `reprise ARGUMENTS` in several connected processes, and gives the exit code of the first.

    The first speaks for all; what the others say goes to `worker-K.log` in the run folder. The processor's cores are
    shared out, as two processes that both use all of them wait for each other.

    Raises:
        TrainingError: A worker was lost; the others were ended.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with existing_folder(folder), _passing_on(processes) as passed, ExitStack() as stack:
        lifeline = stack.enter_context(_pipe())
        addresses = [f"127.0.0.1:{port}" for port in stack.enter_context(reserved_ports(workers))]
        shared = {**os.environ, SHARES_PORT: "1", LIFELINE: str(lifeline)}
        for worker in range(workers):
            errors = None if worker == 0 else stack.enter_context(_log(folder, worker))
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": worker}}
            process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-m", "reprise", *arguments],
                env={**shared, "TF_CONFIG": json.dumps(task)},
                pass_fds=[lifeline],
                stdout=errors,
                stderr=errors,
                process_group=0,  # or Ctrl-C would reach a worker twice: from the terminal and from here
            )
            _share(process.pid, worker, workers)
            processes.append(process)
        return _judged(_ended(processes, passed), passed, folder)


def follow() -> None:
    """Has this process end, by SIGTERM, when the one that launched it is gone, even if that was killed."""
    if lifeline := os.environ.get(LIFELINE):
        Thread(target=_end_after, args=(int(lifeline),), daemon=True).start()


def _end_after(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _pipe() -> Iterator[int]:
    """The reading end of a pipe whose writing end only this process holds."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def _passing_on(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """The signals that came while this lasts and asked to end. Living processes get them, and stop as this one does."""
    passed: list[int] = []

    def send(number: int) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        passed.append(number)
        send(number)

    def stop(_number: int, _frame: FrameType | None) -> None:
        send(signal.SIGSTOP)
        signal.raise_signal(signal.SIGSTOP)
        send(signal.SIGCONT)  # as this one, which goes on here

    before = signal.signal(signal.SIGTSTP, stop)
    try:
        with caught(pass_on):
            yield passed
    finally:
        signal.signal(signal.SIGTSTP, before)


@contextmanager
def _log(folder: Path, worker: int) -> Iterator[IO[str]]:
    """A file for what a worker says; it stays if a worker was lost, or the run came to a checkpoint."""
    path = folder / f"worker-{worker}.log"
    with path.open("w") as file:
        yield file
    if not path.stat().st_size or not _has_checkpoint(folder):
        path.unlink()


def _ended(processes: Sequence[subprocess.Popen[bytes]], passed: list[int]) -> dict[int, int]:
    """Waits for all; one that leaves takes the others with it. Worker → exit code, in the order in which they left.

    Those that were asked to end by `passed` leave by themselves; a signal that is sent from here is added to it.
    """
    codes: dict[int, int] = {}
    end = math.inf
    try:
        while len(codes) < len(processes) and time.monotonic() < end:
            time.sleep(_LOOK_S)
            codes |= {k: p.returncode for k, p in enumerate(processes) if k not in codes and p.poll() is not None}
            if codes and end == math.inf:
                end = time.monotonic() + _GRACE_S
                if any(codes.values()) and not passed:
                    passed.append(signal.SIGTERM)
                    for process in processes:
                        process.terminate()
    finally:
        for process in processes:
            process.kill()
    return codes | {k: process.wait() for k, process in enumerate(processes) if k not in codes}


def _judged(codes: Mapping[int, int], passed: Sequence[int], folder: Path) -> int:
    """The exit code of the first worker, unless another one was lost, by a signal not of `passed`, or ended it."""
    lost = {worker: f"was lost (signal {-code})" for worker, code in codes.items() if code < 0 and -code not in passed}
    if codes[0] < 0:  # it was ended, and had nothing to say
        lost |= {worker: f"ended with an error (exit code {code})" for worker, code in codes.items() if 0 < code < 128}
    if not lost:
        return codes[0] if codes[0] >= 0 else 128 - codes[0]
    advice = "It came to no checkpoint: start it again."
    if _has_checkpoint(folder):
        advice = "Its last checkpoint is whole: go on by --resume, with the same --workers or another."
    worker, how = next(iter(lost.items()))
    raise TrainingError(
        f"worker {worker} {how} and the run ended. {advice} What the workers said is in {folder}/worker-*.log."
    )


def _has_checkpoint(folder: Path) -> bool:
    return any(folder.glob("model.ckpt-*.meta"))


@contextmanager
def reserved_ports(count: int) -> Iterator[list[int]]:
    """Ports of this machine that nobody else is given while this lasts, for servers that share theirs."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in sockets]


def _share(process: int, worker: int, workers: int) -> None:
    """Gives a worker its part of the cores, where the system can and there are enough."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[worker::workers]
        if cores:
            os.sched_setaffinity(process, cores)
