"""Checkpoints of Lua Torch (`.t7`): those of char-rnn and of torch-rnn, their vocabulary inside.

Ids start from 1, as Lua counts. Which of the two programs wrote a file is told by what its table holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, UnknownFormat
from reprise.files import first_bytes
from reprise.formats import _char_rnn
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch import rnn
from reprise.wire import torch7

#: What a table of each program holds, and the reader of it: what it decides of the model, and its vocabulary.
_PROGRAMS: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "protos": _char_rnn.graph_of_checkpoint,
    "model": rnn.layers_of_checkpoint,
}


def sniff(path: Path) -> str | None:
    """Evidence of a file of Lua Torch: it begins as a table or an object in binary form, and names a module."""
    head = first_bytes(path, 4096)
    return "it begins as Lua Torch's binary files do" if torch7.begins(head) and b"V 1" in head else None


def read(path: Path) -> StoredModel:
    """The language model in a checkpoint."""
    root = torch7.read(path)
    held = root if isinstance(root, dict) else {"model": root}
    reader = next((reader for key, reader in _PROGRAMS.items() if key in held), None)
    if reader is None:
        raise UnknownFormat(
            f"{path}: is a Lua Torch file without a model of char-rnn or torch-rnn in it; only those are read."
        )
    stored = StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        files=(path,),
        notes=("ids start from 1, as Lua counts: 0 is no symbol",),
    )
    try:
        parts = reader(held)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError, RecursionError, OverflowError) as error:
        raise DamagedFile(
            f"{path}: its modules are not those of char-rnn or torch-rnn ({error}). Copy it again."
        ) from error
    source = "the file itself" if parts.get("vocabulary") else ""
    return replace(stored, **parts, vocabulary_source=source)


FORMAT = Format(
    name="Lua Torch",
    spec="torch7/File.lua; char-rnn/model; torch-rnn/LanguageModel.lua",
    sniff=sniff,
    read=read,
    limits="checkpoints of char-rnn and torch-rnn",
)
