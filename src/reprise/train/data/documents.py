"""Files, folders and standard input as documents: named, readable more than once, decoded block by block."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from reprise.encodings import is_damaged_utf_8, likely
from reprise.errors import CallError, MissingFile, ReadError

BLOCK_BYTES = 1 << 20

Source = str | os.PathLike[str]

#: What text begins with where its encoding is marked; the mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: So many bytes tell an encoding without those before them.
_ENOUGH = 1 << 12


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        name: What the user called it.
        path: A file that can be read more than once.
    """

    name: str
    path: Path


def find_documents(
    sources: Source | Iterable[Source], spool: Path, without: Path | None = None
) -> tuple[Document, ...]:
    """The documents of `sources` in order; a folder means its files, sorted by path, hidden ones left out.

    Args:
        sources: Files, folders, pipes, and `-` for standard input.
        spool: A folder for copies of what can be read only once.
        without: A folder to pass over, such as that of the run, when it lies in a folder of `sources`.

    Raises:
        MissingFile: A source does not exist, or there is nothing to read in all of them.
    """
    listed = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    found = tuple(chain.from_iterable(_documents(source, spool, without) for source in listed))
    if not found:
        names = ", ".join(map(str, listed)) or "no source"
        raise MissingFile(
            f"corpus: {names} contains no file to read. Name a file, a folder with files, or - for standard input."
        )
    return found


def _documents(source: Source, spool: Path, without: Path | None) -> Iterator[Document]:
    path = Path(source)
    if str(source) == "-":
        yield _spooled("standard input", None, spool)
    elif not str(source):  # which a path takes for the folder at hand; it is a shell's variable that was never set
        raise MissingFile("a source has an empty name. Name a file, a folder, or - for standard input.")
    elif path.is_dir():
        yield from (Document(str(file), file) for file in _files_of(path, without))
    elif path.is_file():
        yield Document(str(path), path)
    elif path.exists():  # a named pipe, or what a shell writes for <(command)
        yield _spooled(str(path), path, spool)
    else:
        raise MissingFile(f"{path}: no such file or folder. Name a file, a folder, or - for standard input.")


def _files_of(folder: Path, without: Path | None) -> list[Path]:
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if without is None or Path(parent).resolve() != without.resolve():
            files += [Path(parent, name) for name in names if not name.startswith(".")]
        else:
            folders.clear()
    return sorted((file for file in files if file.is_file()), key=lambda file: file.relative_to(folder).parts)


def _spooled(name: str, path: Path | None, spool: Path) -> Document:
    """A copy in the folder `spool` of what can be read only once, such as standard input (no `path`) or a pipe."""
    copy = spool / f"{len(list(spool.iterdir()))}"
    with copy.open("xb") as target:
        if path is None:
            if sys.stdin is None:
                raise MissingFile("standard input is closed. Name a file, a folder, or - where something is piped in.")
            shutil.copyfileobj(sys.stdin.buffer, target, BLOCK_BYTES)
        else:
            with path.open("rb") as file:
                shutil.copyfileobj(file, target, BLOCK_BYTES)
    return Document(name, copy)


def blocks(document: Document) -> Iterator[bytes]:
    """The document's bytes, at most `BLOCK_BYTES` at a time.

    Raises:
        ReadError: The system does not let it be read.
    """
    try:
        with document.path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except OSError as error:
        raise ReadError(f"{document.name}: {error.strerror}") from error


def decoded(raw: Iterable[bytes], name: str, encoding: str) -> Iterator[str]:
    """The text of the blocks `raw`; characters that lie across blocks stay whole.

    Raises:
        ReadError: Bytes are not text in `encoding`; the message has their offset.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, mark, before = 0, b"", b""
    for block in chain(raw, [b""]):
        mark = mark or block[:4]
        try:
            text = decoder.decode(block, not block)
        except UnicodeError as error:
            raise ReadError(_undecodable(name, offset + len(block), error, mark, encoding, before)) from error
        offset, before = offset + len(block), block
        if text:
            yield text


def _undecodable(name: str, read: int, error: UnicodeError, mark: bytes, encoding: str, before: bytes) -> str:
    """What is wrong after so many bytes of a file that begins with `mark`, and what to do about it.

    `before` is the block before the one with the error.
    """
    if isinstance(error, UnicodeDecodeError):
        offset = read - len(error.object) + error.start
        found = f"0x{error.object[error.start]:02x} is not {encoding.removesuffix('-sig')} ({error.reason})"
    else:  # UTF-16 and UTF-32 without their mark
        offset, found = 0, f"not {encoding} ({error})"
    marked = next((known for start, known in _MARKS.items() if mark.startswith(start)), None)
    if marked == encoding:
        advice = "It begins with the mark of that encoding and is damaged there: repair it"
    elif marked:
        advice = f"Say how it was written with --encoding {marked}: it begins with the mark of that encoding"
    else:
        advice = _advice(error, encoding, before)
    return f"{name} at byte {offset}: {found}. {advice}; what is no text trains as bytes (reprise train --level bytes)."


def _advice(error: UnicodeError, encoding: str, before: bytes) -> str:
    """What to do about a file whose encoding nothing marks."""
    if isinstance(error, UnicodeDecodeError):
        data = error.object if len(error.object) > _ENOUGH else before.removesuffix(error.object) + error.object
        if encoding.startswith("utf-8") and is_damaged_utf_8(data):
            return "Nearly all of it is, so it is damaged there: repair it"
        if fitting := likely(data, len(data) - len(error.object) + error.start):
            return f"Say how it was written with --encoding {fitting[0]}, in which it reads “{fitting[1]}”"
    return "Say how it was written with --encoding, such as cp1252 (old western text) or gb18030 (Chinese)"


def text_encoding(name: str) -> str:
    """The encoding that `name` means; a byte order mark before UTF-8 is a signature, not text.

    Raises:
        CallError: Python knows no such encoding of text.
    """
    try:
        "a".encode(name)  # refuses what is not an encoding of text, such as base64
        codecs.getincrementaldecoder(name)
        known = codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise CallError(
            f"--encoding {name!r}: no such text encoding. Use one such as utf-8, utf-16, cp1252 or gb18030."
        ) from error
    return "utf-8-sig" if known == "utf-8" else known
