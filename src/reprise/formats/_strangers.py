"""What a file seems to be that no reader claims: only for messages."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD = 512
_DIRECTORY = 2**16

#: First bytes of files that people save models in.
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves in .h5"),
    (b"\x08\x01\x12", "the file of a SavedModel, which must be named saved_model.pb"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    *((bytes([0x80, protocol]), "a pickle, as PyTorch and scikit-learn save") for protocol in (2, 3, 4, 5)),
    (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull` where it comes from"),
    (b"{", "JSON text"),
    (b"<", "HTML or XML, perhaps an error page saved by a download"),
)

#: Files in archives that people save models in.
_MEMBERS = (
    (b"model.weights.h5", "a Keras 3 model (.keras)"),
    (b"data.pkl", "a PyTorch file"),
    (b".npy", "an archive of NumPy arrays (.npz)"),
)


def describe(path: Path) -> str:
    """What `path` seems to be, as the end of a sentence."""
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        return f"something that cannot be read ({error.strerror})"


def _folder(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return "a TensorFlow 2 SavedModel (it has an object graph)"
    if (path / "keras_metadata.pb").is_file():
        return "a Keras SavedModel without its saved_model.pb"
    nested = [p.parent.name for p in sorted(path.glob("*/saved_model.pb*"))]
    if nested:
        return f"a folder with SavedModels in it: name one of {', '.join(nested[:8])}"
    names = sorted(p.name for p in path.iterdir())
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"a folder with {listed}" if names else "an empty folder"


def _file(path: Path) -> str:
    if path.name == "saved_model.pb":
        return _folder(path.parent)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    known = next((what for start, what in _STARTS if head.startswith(start)), None)
    return known or _by_layout(head)


def _by_layout(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[8:10] == b'{"' and head[4:8] == bytes(4):
        return "a safetensors file, which holds weights only"
    return (
        "text"
        if not re.search(rb"[\x00-\x08\x0e-\x1a]", head)
        else f"of an unknown kind; it begins {head[:8].hex(' ')}"
    )


def _archive(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _DIRECTORY))
        names = file.read()  # a zip archive lists its files at its end
    return next((what for name, what in _MEMBERS if name in names), "a zip archive; unpack it first")
