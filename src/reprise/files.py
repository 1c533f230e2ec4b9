"""Files appear under their names when they are whole, and not before; what is read are files, and no devices."""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reprise.errors import DamagedFile, SaveError

if sys.platform != "win32":
    import fcntl

#: What protobuf can hold in one message; no file that is read as a whole is larger.
LARGEST = 2**31 - 1
#: What is larger stays on the disk, mapped into memory, until it is used.
MAPPED = 2**26
_ENDING = ".part"


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A path to write to; the file takes the name `target` when the block ends without an exception.

    Each writer has a file of its own, so the last of several wins, and all of them leave whole files. The bytes are on
    the disk before the file has its name. What a writer left that was killed is removed by the next one.

    Raises:
        SaveError: The system does not let it be written, or `target` is no file; what was there is untouched.
    """
    part, lock = None, None
    try:
        if target.exists() and not target.is_file():
            raise SaveError(f"{target}: expected the name of a file to write, found a folder or a device of this name")
        _remove_leftovers(target)
        part, lock = _own_part(target)
        yield part
        force(part)
        part.replace(target)
        force(target.parent)
    except OSError as error:
        why = error.strerror or error
        raise SaveError(f"{target}: cannot be written ({why}). What was there is untouched.") from error
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def folder_written_whole(target: Path, replaced: Collection[str] = ()) -> Iterator[Path]:
    """A new folder to write into; it takes the name `target` when the block ends without an exception.

    Args:
        target: A name that is free, or a folder that is empty or has a file or folder of a name in `replaced`, by which
            it is known to be of the same kind; it is replaced whole.
        replaced: Such names.

    Raises:
        SaveError: The system does not let it be written, or something else is there; that is untouched.
    """
    own = f"{_beginning(target)}{secrets.token_hex(8)}"
    part, old = target.with_name(f"{own}{_ENDING}"), target.with_name(f"{own}.old")
    try:
        _check_replaceable(target, replaced)
        part.mkdir()
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        why = error.strerror or error
        raise SaveError(f"{target}: cannot be written ({why}). What was there is untouched.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_replaceable(target: Path, replaced: Collection[str]) -> None:
    if not target.exists():
        return
    names = {entry.name for entry in target.iterdir()} if target.is_dir() else {target.name}
    if names and not (target.is_dir() and names.intersection(replaced)):
        raise SaveError(
            f"{target}: expected a name that is free, an empty folder, or one with {' or '.join(sorted(replaced))}, "
            f"which would be replaced; found {', '.join(sorted(names)[:3])}"
        )


def _beginning(target: Path) -> str:
    return f".{target.name[:40]}."  # a name must not grow beyond what the file system takes


def _own_part(target: Path) -> tuple[Path, int]:
    """A new file beside `target`, and a descriptor that holds its lock for as long as its writer lives."""
    while True:  # until no other writer has taken the new file for a left-over before it was locked
        part = target.with_name(f"{_beginning(target)}{secrets.token_hex(8)}{_ENDING}")
        lock = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _locked(lock) and part.exists():
            return part, lock
        os.close(lock)


def _locked(descriptor: int) -> bool:
    """Whether the lock of a file is ours now; where the system has none, it always is."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this file system has none
        return True
    return True


def _remove_leftovers(target: Path) -> None:
    """Removes the files of writers that are dead: nobody holds their locks any more."""
    if sys.platform == "win32":  # there nobody can remove a file that is open
        return
    for left in target.parent.iterdir():
        if left.name.startswith(_beginning(target)) and left.name.endswith(_ENDING):
            with suppress(OSError):
                descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()
                finally:
                    os.close(descriptor)


def force(path: Path) -> None:
    """Has the system write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def can_be(path: Path) -> bool:
    """Whether a file may have this name: a system looks for none that is too long, or holds a null character."""
    try:
        path.exists()
    except OSError:
        return False
    return "\0" not in str(path)


def is_file(path: Path) -> bool:
    """Whether a file is at a path that another file names, which may be one that no file has."""
    return can_be(path) and path.is_file()


def opened(path: Path) -> BinaryIO:
    """A file, opened to be read.

    Raises:
        OSError: It cannot be; or it is a device or a pipe, which could be endless, or make the program wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a folder, a device or a pipe; expected a file", str(path))
    return open(descriptor, "rb")


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, by which formats tell it; none where it cannot be read."""
    try:
        with opened(path) as file:
            return file.read(count)
    except OSError:
        return b""


def read_whole(path: Path, most: int = LARGEST) -> bytes:
    """The bytes of a file of at most `most` bytes.

    Raises:
        OSError: As `opened`.
        DamagedFile: It is larger.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise DamagedFile(f"{path}: has {size} bytes, and files that are read as a whole have at most {most}.")
        return file.read(size)


def view(path: Path) -> bytes | memoryview:
    """The bytes of a file: read where they are few, else mapped, so that memory holds what is used of them.

    Raises:
        OSError: As `opened`.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= MAPPED:
            return file.read(size)
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it was when it was read, to see later whether it is still the same."""

    path: Path
    stamp: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path) -> Original:
        """The file as it is now.

        Raises:
            OSError: It is not there.
        """
        found = path.stat()
        return cls(path, (found.st_ino, found.st_size, found.st_mtime_ns))

    @property
    def is_mapped(self) -> bool:
        """Whether parts of it may be read later than the file as a whole."""
        return self.stamp[1] > MAPPED

    def check(self) -> None:
        """Holds that nothing was written to the file, and that no other has its name.

        Raises:
            DamagedFile: It has changed.
        """
        with suppress(OSError):
            if Original.of(self.path) == self:
                return
        raise DamagedFile(
            f"{self.path}: has changed since the model was restored, so its numbers may be of two models. Restore it "
            "again; a program that writes a model should give the new file its name when it is whole."
        )
