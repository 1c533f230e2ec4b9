"""One trainer in a run folder: a lock of the system, which ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from reprise.errors import CallError

LOCK = ".lock"
#: What is unfinished until it is renamed; where no trainer lives it was left by one that was killed.
_UNFINISHED = (".writing-*", ".corpus-*")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder is this process's own while this lasts, cleared of what a killed trainer left unfinished.

    Where the file system knows no locks there is none.

    Raises:
        CallError: A living process holds it; the message names the process.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CallError(
                f"{folder}: another trainer works in this folder ({_holder(file)}). Wait until it ends, or give "
                "another --out."
            ) from error
        except OSError:  # no locks here
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        _clear(folder)
        yield


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read() or "it has just begun"


def _clear(folder: Path) -> None:
    for pattern in _UNFINISHED:
        for left in folder.glob(pattern):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
