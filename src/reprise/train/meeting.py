"""Workers wait for one another here before TensorFlow connects them, which waits for an hour without a word."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from reprise.errors import CallError

#: With this in the environment TensorFlow's server takes a port that another process of this user holds for it.
SHARES_PORT = "TF_GRPC_REUSE_PORT"
_ROUND_S, _ANSWER_S = 0.2, 2.0
#: Seconds until those that are missing are named, and between that and the next time.
_PATIENCE_S, _AGAIN_S = 5.0, 60.0


def meet(addresses: Sequence[str], index: int) -> None:
    """Returns when all other workers listen, this one too; while some do not, it says so on standard error.

    Args:
        addresses: `host:port` of every worker.
        index: Which of them is this one.

    Raises:
        CallError: An address is none, or this worker cannot listen at its own.
    """
    hosts = [_parsed(address) for address in addresses]
    others = {worker: host for worker, host in enumerate(hosts) if worker != index}
    speak_at = time.monotonic() + _PATIENCE_S
    with _listening(addresses[index], hosts[index][1]) as here:
        while missing := [worker for worker, host in others.items() if not _answers(host)]:
            if time.monotonic() > speak_at:
                named = ", ".join(f"{worker} ({addresses[worker]})" for worker in missing)
                sys.stderr.write(f"waiting for worker {named}: nothing listens there yet. Ctrl-C ends this one.\n")
                speak_at = time.monotonic() + _AGAIN_S
            _greet(here)
            time.sleep(_ROUND_S)


def _parsed(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise CallError(f"TF_CONFIG: {address!r} is not the address of a worker; expected host:port")
    return host.strip("[]"), int(port)


def _listening(address: str, port: int) -> socket.socket:
    """A socket that takes connections at a port of this machine."""
    both = socket.has_dualstack_ipv6()
    try:
        here = socket.create_server(
            ("", port),
            family=socket.AF_INET6 if both else socket.AF_INET,
            dualstack_ipv6=both,
            backlog=128,
            reuse_port=SHARES_PORT in os.environ,
        )
    except OSError as error:
        raise CallError(
            f"TF_CONFIG: this worker is at {address}, and cannot listen there ({error.strerror}); name a free port"
        ) from error
    here.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return here


def _answers(host: tuple[str, int]) -> bool:
    try:
        socket.create_connection(host, _ANSWER_S).close()
    except (OSError, UnicodeError):  # the latter for what cannot be the name of a machine
        return False
    return True


def _greet(here: socket.socket) -> None:
    """Takes and ends the connections that wait, so that there is room for more."""
    with suppress(BlockingIOError):
        while True:
            here.accept()[0].close()
