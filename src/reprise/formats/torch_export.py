"""Archives of `torch.export.save` (`.pt2`): graphs of ATen's operators, brought to ONNX; without PyTorch."""

from __future__ import annotations

from pathlib import Path

from reprise.errors import DamagedFile, UnknownFormat
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.aten.values import RefusedError
from reprise.formats._torch.export_graph import translate
from reprise.wire import torch_export


def sniff(path: Path) -> str | None:
    """Evidence of an export: the names of its members."""
    return "its archive has the members that torch.export.save writes" if torch_export.is_export(path) else None


def read(path: Path) -> StoredModel:
    """The model of the program; tensors that it changes in its modules are states."""
    program = torch_export.read(path)
    try:
        model, memory, notes = translate(program)
    except RefusedError as why:
        raise UnknownFormat(
            f"{path}: its program {why} (in {why.place or 'its inputs and outputs'}). Export the model as ONNX, or "
            "save its state dict."
        ) from None
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise DamagedFile(f"{path}: its graph is not valid ({error!r}). Copy the file again.") from error
    beside = _sidecars.find(path.parent)
    return beside.model(path, FORMAT, notes=notes, metadata=dict(program.metadata), foreign=model, memory=memory)


FORMAT = Format(
    name="torch.export",
    spec="torch/_export/serde/schema.py",
    sniff=sniff,
    read=read,
)
