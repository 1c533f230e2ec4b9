"""What lies at a path that no reader claims, or where a part of a saved model should be: only for messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from reprise.files import opened

_HEAD = 512
#: How many files of a folder are looked at.
_MOST = 256
_PART = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


class Stranger(NamedTuple):
    """What something is, as the end of a sentence, and a sentence that says what to do, empty where nothing helps."""

    what: str
    step: str = ""


_UNPACK = "Unpack it, and name what is inside."
_HTML = Stranger("HTML or XML, perhaps an error page saved by a download", "Download the file itself again.")
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|html|head|body|\?xml)", re.IGNORECASE)

#: First bytes of what lies where a file should be: its container, or its place-holder.
_INSTEAD = (
    (b"version https://git-lfs", Stranger("a Git LFS pointer, not the file itself", "Run `git lfs pull` beside it.")),
    (b"\x1f\x8b", Stranger("a gzip archive", "Unpack it with `tar xf` or `gunzip`, and name what is inside.")),
    (b"BZh", Stranger("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\0", Stranger("an xz archive", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", Stranger("a zstd archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Stranger("a 7z archive", _UNPACK)),
    (b"Rar!", Stranger("a RAR archive", _UNPACK)),
)
_TAR = Stranger("a tar archive", "Unpack it with `tar xf`, and name what is inside.")
_EMPTY = Stranger("an empty file", "Copy or download it again.")
_ZIP = Stranger("a zip archive", "Unpack it, and name what is inside.")

#: First bytes of other files that people save models in.
_STARTS = (
    (b"\x08\x01\x12", Stranger("the file of a SavedModel", "Name it saved_model.pb, with variables/ beside it.")),
    *((bytes([0x80, protocol]), Stranger("a pickle, as PyTorch and scikit-learn save")) for protocol in (2, 3, 4, 5)),
    (b"\x93NUMPY", Stranger("a NumPy array")),
    (b"{", Stranger("JSON text")),
)

_LUA_TORCH = re.compile(rb"[\x01-\x08]\0\0\0.{0,64}(V \d|torch\.)", re.DOTALL)


def describe(path: Path) -> Stranger:
    """What `path` seems to be."""
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        return Stranger(f"something that cannot be read ({error.strerror})", "Check its permissions.")


def instead(path: Path) -> tuple[Path, Stranger] | None:
    """Of the files that make up a saved model, the first that is something else altogether."""
    for file in islice(_parts(path), _MOST):
        try:
            found = _in_its_place(_head(file))
        except OSError:
            continue
        if found:
            return file, found
    return None


def nearest(path: Path) -> str:
    """What is there where nothing is called `path`, as a sentence; empty where nothing is like it."""
    folder = next((parent for parent in path.parents if parent.is_dir()), None)
    if folder is None:
        return ""
    wanted = path.relative_to(folder).parts[0]
    try:
        there = [file.name for file in islice(folder.iterdir(), 4096)]
    except OSError:
        return ""
    like = _like(wanted, there)
    if like:
        return f"The nearest in {folder}: {', '.join(like)}."
    return "" if folder == path.parent else f"There is no {folder / wanted}."


def _like(wanted: str, there: Iterable[str]) -> list[str]:
    """Names like the wanted one: first the prefixes that only have a step more, the highest first."""
    prefixes = {_PART.sub("", name) for name in there}
    steps = {name: int(name[len(wanted) + 1 :]) for name in prefixes if re.fullmatch(rf"{re.escape(wanted)}-\d+", name)}
    return sorted(steps, key=steps.__getitem__, reverse=True)[:3] or get_close_matches(wanted, sorted(prefixes), 3, 0.6)


def _parts(path: Path) -> Iterator[Path]:
    """The file at `path`; in a folder, or of a prefix, those that may be parts of a saved model."""
    if path.is_file():
        yield path
    folders = (path, path / "variables") if path.is_dir() else (path.parent,)
    stem = "" if path.is_dir() else _PART.sub("", path.name)
    for folder in folders:
        names = sorted(folder.iterdir()) if folder.is_dir() else ()
        yield from (f for f in names if f.name.startswith(stem) and _is_part(f))


def _is_part(file: Path) -> bool:
    return file.is_file() and (bool(_PART.search(file.name)) or file.suffix in (".pb", ".pbtxt"))


def _folder(path: Path) -> Stranger:
    if (path / "keras_metadata.pb").is_file():
        return Stranger("a Keras SavedModel without its saved_model.pb", "Copy that too.")
    names = sorted(p.name for p in path.iterdir())
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return Stranger(f"a folder with {listed}" if names else "an empty folder", "Name the folder or file of a model.")


def _file(path: Path) -> Stranger:
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        return _ZIP
    return _in_its_place(head) or next((what for start, what in _STARTS if head.startswith(start)), _by_layout(head))


def _head(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(_HEAD)


def _in_its_place(head: bytes) -> Stranger | None:
    if not head:
        return _EMPTY
    if head[257:262] == b"ustar":
        return _TAR
    if _MARKUP.match(head):
        return _HTML
    return next((what for start, what in _INSTEAD if head.startswith(start)), None)


def _by_layout(head: bytes) -> Stranger:
    if head[8:10] == b'{"' and head[4:8] == bytes(4):
        return Stranger("a safetensors file, which holds weights only")
    if _LUA_TORCH.match(head):
        return Stranger("a file of Lua Torch (.t7)")
    if b"brain.Event:" in head[:64]:
        return Stranger("a log for TensorBoard", "Name the checkpoint, which lies beside it as a rule.")
    if not re.search(rb"[\x00-\x08\x0e-\x1a]", head):
        return Stranger("text", "Name the file or folder of a saved model.")
    return Stranger(f"of an unknown kind; it begins {head[:8].hex(' ')}", "Name the file or folder of a saved model.")
