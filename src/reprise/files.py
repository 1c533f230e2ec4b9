"""Files appear under their names when they are whole, and not before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
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


@contextmanager
def folder_written_whole(place: Path, replaced: Collection[str] = ()) -> Iterator[Path]:
    """A new folder to write into; it takes the name `place` when the block ends without an exception.

    Args:
        place: A name that is free, or a folder that is empty or has a file or folder of a name in `replaced`, by which
            it is known to be of the same kind; it is replaced whole.
        replaced: Such names.

    Raises:
        SaveError: The system does not let it be written, or something else is there; that is untouched.
    """
    part, old = place.with_name(f".{place.name}.part"), place.with_name(f".{place.name}.old")
    try:
        _check_replaceable(place, replaced)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        yield part
        if place.exists():
            place.rename(old)
        part.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not place.exists():
            old.rename(place)
        why = error.strerror or error
        raise SaveError(f"{place}: cannot be written ({why}). What was there is untouched.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_replaceable(place: Path, replaced: Collection[str]) -> None:
    if not place.exists():
        return
    names = {entry.name for entry in place.iterdir()} if place.is_dir() else {place.name}
    if names and not (place.is_dir() and names.intersection(replaced)):
        raise SaveError(
            f"{place}: expected a name that is free, an empty folder, or one with {' or '.join(sorted(replaced))}, "
            f"which would be replaced; found {', '.join(sorted(names)[:3])}"
        )


def force(path: Path) -> None:
    """Has the system write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
