"""Files appear under their names when they are whole, and not before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reprise.errors import SaveError


@contextmanager
def written_whole(place: Path) -> Iterator[Path]:
    """A path to write to; the file takes the name `place` when the block ends without an exception.

    Raises:
        SaveError: The system does not let it be written, or `place` is no file; what was there is untouched.
    """
    part = place.with_name(f".{place.name}.part")
    try:
        if place.exists() and not place.is_file():
            raise SaveError(f"{place}: expected the name of a file to write, found a folder or a device of this name")
        yield part
        part.replace(place)
    except OSError as error:
        why = error.strerror or error
        raise SaveError(f"{place}: cannot be written ({why}). What was there is untouched.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def force(path: Path) -> None:
    """Has the system write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
