"""Archives of `torch.jit.save`: programs, scripted or traced, read as data and brought to ONNX; without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, UnknownFormat
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.aten.values import RefusedError
from reprise.formats._torch.script.model import translate
from reprise.formats._torch.script.source import parsed
from reprise.wire import torch
from reprise.wire.pickle import Record


def sniff(path: Path) -> str | None:
    """Evidence of a TorchScript archive: the names of its members."""
    return "its archive has the members that torch.jit.save writes" if torch.is_program(path) else None


def read(path: Path) -> StoredModel:
    """The model that the program's `forward` computes; tensors that it changes in its modules are states."""
    archive = torch.read(path)
    if not isinstance(archive.root, Record):
        raise DamagedFile(f"{path}: is a TorchScript archive without a module.")
    source = parsed(str(path), archive.code)
    methods = source.methods(archive.root.name)
    if "forward" not in methods:
        raise UnknownFormat(
            f"{path}: its module {archive.root.name} has no forward to be read "
            f"(it has: {', '.join(methods) or 'none'})."
        )
    try:
        model, memory, notes = translate(source, archive.root, archive.constants)
    except RefusedError as why:
        raise UnknownFormat(
            f"{path}: its program {why} (in {why.place or archive.root.name}). Export the model as ONNX, or save its "
            "state dict."
        ) from None
    beside = _sidecars.find(path.parent)
    return beside.model(path, FORMAT, notes=notes, metadata=_metadata(archive.root), foreign=model, memory=memory)


def _metadata(root: Record) -> dict[str, Any]:
    return {"module": root.name}


FORMAT = Format(
    name="TorchScript",
    spec="torch/csrc/jit/serialization/python_print.cpp",
    sniff=sniff,
    read=read,
)
