"""One trainer in a run folder: a lock of the system, which ends with the process that holds it, however that ends."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from reprise.errors import CallError, MissingDependency, SaveError

try:
    import fcntl
except ModuleNotFoundError as error:
    raise MissingDependency("training needs Linux or macOS, whose locks it uses; on Windows that is WSL") from error

LOCK = ".lock"
#: What is unfinished until it is renamed; where no trainer lives it was left by one that was killed.
_UNFINISHED = (".writing-*", ".corpus-*")


@contextmanager
def existing_folder(folder: Path) -> Iterator[None]:
    """A folder exists while this lasts; if it had to be made and stays empty, it is removed, as are its parents.

    Raises:
        SaveError: It cannot be made.
    """
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{folder}: no folder can be made there ({error.strerror}); give another --out") from error
    try:
        yield
    finally:
        with suppress(OSError):
            for path in absent:
                path.rmdir()


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """The folder is this process's own while this lasts, cleared of what a killed trainer left unfinished.

    Where the file system knows no locks there is none, and standard error says so.

    Raises:
        CallError: A living process holds it; the message names the process.
        SaveError: The folder cannot be written to.
    """
    with _opened(folder) as file:
        if not _locked(file):
            raise CallError(
                f"{folder}: another trainer works in this folder ({_holder(file)}). Wait until it ends, or give "
                "another --out."
            )
        with suppress(OSError):  # a full disk is no reason yet: what comes next may be small, or says it better
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        _clear(folder)
        yield


def _opened(folder: Path) -> IO[str]:
    try:
        return (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise SaveError(
            f"{folder}: nothing can be written in this folder ({error.strerror}). Give another --out; to go on with a "
            "run, copy its folder first."
        ) from error


def _locked(file: IO[str]) -> bool:
    """Whether the lock is ours now, or the file system has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        sys.stderr.write(
            f"{file.name}: this file system has no locks ({error.strerror}). Nothing keeps a second trainer out of the "
            "folder: take care that none is started.\n"
        )
        return True
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except FileNotFoundError:  # a run that failed at its start removed it after we had opened it
        return False


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read() or "it has just begun"


def _clear(folder: Path) -> None:
    for pattern in _UNFINISHED:
        for left in folder.glob(pattern):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
