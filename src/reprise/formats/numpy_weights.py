"""Weights that programs of NumPy save: `.npz` archives, and pickles of dicts, lists and tuples of arrays.

Arrays with PyTorch's names are a state dict of it. Others are a cell as `_numpy_cells` knows them; a table of symbols
among them, or beside the file, is the vocabulary. Pickles are read as data, also those within an `.npz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile
from reprise.files import first_bytes, read_whole
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._numpy_cells import UndecidedCellError, layers_of
from reprise.formats._torch.state import with_model
from reprise.tensors import Array, in_memory
from reprise.vocabulary import Vocabulary
from reprise.wire import archive, npy, pickle, torch
from reprise.wire.varint import Cut

_HEAD = 4096
_ZIP = b"PK\x03\x04"
_PICKLES = (b"\x80", b"(", b"cnumpy", b"ccollections", b"ccopy_reg")
_LARGEST = 2**28
_OF_TORCH = re.compile(r"(.*\.)?weight_ih(_l\d+)?")
#: How deep in lists and dicts arrays are looked for, and how many.
_DEEPEST, _MOST = 4, 4096


def sniff(path: Path) -> str | None:
    """Evidence of weights of NumPy: an archive that begins with an array, or a pickle that begins with one."""
    head = first_bytes(path, _HEAD)
    if head[:4] == _ZIP:
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return "it is an archive of NumPy arrays" if name.endswith(b".npy") else None
    if head.startswith(_PICKLES) and b"numpy" in head and not torch.is_legacy(path):
        return "it is a pickle with NumPy arrays"
    return None


def read(path: Path, *, cell: Mapping[str, Any] | None = None) -> StoredModel:
    """The weights in a file, and the model that their names and shapes, and the caller, decide.

    Args:
        path: The file.
        cell: What weights do not hold, such as `{"order": "ifoc"}`.
    """
    arrays, others = _content(path)
    tensors = {name: in_memory(array, f"{path.name}, {name}") for name, array in arrays.items()}
    held = _sidecars.within(others) or _alphabet(others, arrays)
    beside = _sidecars.Sidecar(held, "the file itself") if held else _sidecars.find(path.parent)
    stored = beside.model(path, FORMAT, weights=tensors)
    if any(map(_OF_TORCH.fullmatch, tensors)):
        return with_model(stored, tensors, cell=cell)
    try:
        layers, notes = layers_of(arrays, cell or {}, len(beside.vocabulary or ()))
    except UndecidedCellError as why:
        return replace(stored, obstacle=f"the arrays of the file do not tell how the model computes: {why}.")
    return replace(stored, layers=layers, notes=(*notes, *stored.notes))


def _alphabet(others: Mapping[str, Any], arrays: Mapping[str, Array]) -> Vocabulary | None:
    """Text that has every character once, and as many as a matrix has rows or columns: the symbols in order."""
    sizes = {size for array in arrays.values() if array.ndim == 2 for size in array.shape}
    texts = [v for v in others.values() if isinstance(v, str) and len(set(v)) == len(v) and len(v) in sizes]
    return Vocabulary(tuple(texts[0])) if len(texts) == 1 else None


def _content(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays of numbers of a file by name, and what else it holds.

    Raises:
        DamagedFile: It is no whole file of its kind.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(4) == _ZIP
        parts = dict(_of_archive(path)) if is_archive else dict(_of_pickle(path))
    except (OSError, ValueError, TypeError, Cut, RecursionError) as error:
        raise DamagedFile(f"{path}: is not a complete file of NumPy arrays ({error}). Copy it again.") from error
    arrays = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
    return arrays, {name: part for name, part in parts.items() if name not in arrays}


def _of_archive(path: Path) -> Iterator[tuple[str, Any]]:
    most = 100 * path.stat().st_size
    for name, content in archive.open_members(path).items():
        data = content(most)
        most -= len(data)
        if name.endswith(".npy"):
            yield from _named(_plain(npy.array_or_objects(bytes(data), name)), name.removesuffix(".npy"))


def _plain(part: Any) -> Any:
    """Arrays of numbers and plain data as they are, text as a list."""
    if not isinstance(part, np.ndarray) or part.dtype.kind in "fiub":
        return part
    if part.dtype.kind in "US":
        return part.tolist()
    raise ValueError(f"elements of the type {part.dtype}")


def _of_pickle(path: Path) -> Iterator[tuple[str, Any]]:
    found = pickle.load(read_whole(path, _LARGEST), arrays=True)
    yield from _named(found[0] if len(found) == 1 else found, "")


def _named(root: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What a value holds, by the keys and places that lead to it, and tables of symbols as a whole."""
    pending = [(name, root, _DEEPEST)]
    for _ in range(_MOST):
        if not pending:
            return
        name, part, depth = pending.pop()
        part = part.state if isinstance(part, pickle.Record) else part
        items = _items(part)
        if items and depth and any(isinstance(v, (np.ndarray, dict, pickle.Record, list, tuple)) for _, v in items):
            pending += [(f"{name}.{key}" if name else str(key), value, depth - 1) for key, value in reversed(items)]
        else:
            yield name, part


def _items(part: Any) -> list[tuple[Any, Any]]:
    if isinstance(part, dict):
        return list(part.items())
    return list(enumerate(part)) if isinstance(part, (list, tuple)) else []


FORMAT = Format(
    name="NumPy weights",
    spec="numpy/lib/format.py; min-char-rnn.py",
    sniff=sniff,
    read=read,
    choices=("cell",),
    limits=".npz, and pickles with arrays",
)
