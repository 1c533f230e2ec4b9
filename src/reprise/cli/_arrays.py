"""Arrays by name in `.npz` files, which commands read and write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, MissingFile


def read(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file; never Python objects, never more than the file holds.

    Raises:
        MissingFile: There is no such file.
        DamagedFile: It is no `.npz` file, or it holds less than it says.
    """
    import zipfile
    import zlib

    from reprise.wire import npy
    from reprise.wire.varint import Cut

    # What is raised for an archive, or an array in it, that is damaged; RuntimeError where it is encrypted.
    faults = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, MemoryError, OSError, Cut)
    if not path.is_file():
        raise MissingFile(f"{path}: no such file; expected an .npz file with the inputs")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            return {info.filename.removesuffix(".npy"): npy.array(archive.read(info), info.filename) for info in infos}
    except faults as error:
        raise DamagedFile(f"{path}: expected an .npz file with plain arrays, found another ({error})") from error


def write(path: Path, arrays: Mapping[str, Any]) -> None:
    """The arrays as an `.npz` file, whole or not at all.

    Raises:
        SaveError: It cannot be written.
    """
    import numpy as np

    from reprise.files import written_whole

    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)
