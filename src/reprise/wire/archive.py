"""Zip archives as members that are read whole, each bounded before it is unpacked; knows no model.

The format is PKWARE's APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from reprise.errors import DamagedFile, MissingFile

#: Gives the content of a member that has at most so many bytes, or (None) as many as the archive lets it have.
Member = Callable[[int | None], memoryview]

_SIGNATURE, _ENTRY = b"PK\x03\x04", b"PK\x01\x02"
_DIRECTORY, _MOST_MEMBERS = 2**16, 100_000
#: How many times the size of the archive a member may have; weights hardly shrink.
_MOST_RATIO = 100


def names(path: Path, wanted: Collection[str]) -> frozenset[str]:
    """Those of the wanted names that stand in the directory at the end of an archive; none where it is no archive."""
    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return frozenset()
            file.seek(max(0, file.seek(0, 2) - _DIRECTORY))
            end = file.read()
    except OSError:
        return frozenset()
    listed = set(_listed(end))
    return frozenset(name for name in wanted if name.encode() in listed)


def _listed(directory: bytes) -> Iterator[bytes]:
    """The names in a directory of members: each stands 46 bytes after the mark of its entry, its length at byte 28."""
    at = directory.find(_ENTRY)
    while at >= 0:
        length = int.from_bytes(directory[at + 28 : at + 30], "little")
        yield directory[at + 46 : at + 46 + length]
        at = directory.find(_ENTRY, at + 4)


def open_members(path: Path) -> Mapping[str, Member]:
    """The members of an archive by name.

    Raises:
        MissingFile: It cannot be read.
        DamagedFile: It is no whole archive, or has a member twice.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}).") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DamagedFile(
            f"{path}: is not a complete zip archive ({error}). It is cut or changed; copy it again."
        ) from error
    if len(infos) > _MOST_MEMBERS or len({i.filename for i in infos}) != len(infos):
        raise DamagedFile(f"{path}: has {len(infos)} members, or one twice. Save the model again.")
    return {info.filename: _member(path, info, size) for info in infos}


def _member(path: Path, info: zipfile.ZipInfo, size: int) -> Member:
    def content(most: int | None) -> memoryview:
        bound = _MOST_RATIO * size if most is None else most
        if info.file_size > bound or info.flag_bits & 1:
            raise DamagedFile(
                f"{path}: its member {info.filename!r} has {info.file_size} bytes, at most {bound} are read"
            )
        try:
            with zipfile.ZipFile(path) as archive, archive.open(info) as file:
                found = file.read(bound + 1)
        except (
            OSError,
            zipfile.BadZipFile,
            ValueError,
            NotImplementedError,
            EOFError,
            RuntimeError,
            zlib.error,
        ) as error:
            raise DamagedFile(
                f"{path}: its member {info.filename!r} cannot be read ({error}). Copy it again."
            ) from error
        if len(found) != info.file_size:
            raise DamagedFile(f"{path}: its member {info.filename!r} has another size than stated. Copy it again.")
        return memoryview(found)

    return content
