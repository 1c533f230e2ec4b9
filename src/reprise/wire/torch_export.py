"""Archives of `torch.export.save` as data: the graph as JSON, and its tensors.

Up to 2.7 they hold `serialized_exported_program.json` beside two files of `torch.save`; since 2.8 `models/NAME.json`
and one member for each tensor. Sources: torch/export/__init__.py, torch/export/pt2_archive,
torch/_export/serde/schema.py (2.13; SCHEMA_VERSION 8.20).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, UnknownFormat
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire import torch
from reprise.wire.archive import Member, open_members

_OLD_PROGRAM = "serialized_exported_program.json"
_OLD_TENSORS = ("serialized_state_dict.pt", "serialized_constants.pt")
_FORMAT = "archive_format"
#: The first and the last version of the form of the graph that is read.
_FIRST, _LAST = 5, 8
#: Element types by the number that they have in such a file.
ELEMENT_TYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}


@dataclass(frozen=True, slots=True)
class ExportedProgram:
    """What an archive holds.

    Attributes:
        module: `graph_module` of the schema: the graph, its signature, and how it is called.
        tensors: Parameters, buffers and constants by the names that the signature gives them.
        metadata: Versions.
    """

    module: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]


def is_export(path: Path) -> bool:
    """Whether a file is an archive of `torch.export`; nothing but the names of its members is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False
    return _OLD_PROGRAM in names or any(n.count("/") == 1 and n.endswith(f"/{_FORMAT}") for n in names)


def read(path: Path) -> ExportedProgram:
    """The program of an archive.

    Raises:
        DamagedFile: It is not whole.
        UnknownFormat: It holds no one graph that is read: compiled code, several programs, another version.
    """
    members = open_members(path)
    if _OLD_PROGRAM in members:
        program = _json(path, members, _OLD_PROGRAM)
        tensors = _old_tensors(path, members)
    else:
        folder = next(n for n in members if n.endswith(f"/{_FORMAT}")).removesuffix(_FORMAT)
        name = _model(path, members, folder)
        program = _json(path, members, f"{folder}models/{name}.json")
        tensors = {}
        for kind in ("weights", "constants"):
            tensors |= _tensors(path, members, f"{folder}data/{kind}/", f"{name}_{kind}_config.json")
    return _checked(path, program, tensors)


def _checked(path: Path, program: Any, tensors: Mapping[str, Tensor]) -> ExportedProgram:
    module = program.get("graph_module") if isinstance(program, dict) else None
    if not isinstance(module, dict):
        raise DamagedFile(f"{path}: its program has no graph. Copy the file again.")
    version = program.get("schema_version") or {}
    major = version.get("major") if isinstance(version, dict) else None
    if not isinstance(major, int) or not _FIRST <= major <= _LAST:
        raise UnknownFormat(
            f"{path}: its graph has version {major} of the form that torch.export writes; {_FIRST} to {_LAST} are "
            "read. Export the model again with PyTorch 2.13, or as ONNX."
        )
    written = {"torch": str(program["torch_version"])} if "torch_version" in program else {}
    return ExportedProgram(module, tensors, {"schema": f"{major}.{version.get('minor', 0)}", **written})


def _model(path: Path, members: Mapping[str, Member], folder: str) -> str:
    """The name of the one program in a folder of an archive."""
    start = f"{folder}models/"
    names = [
        n.removeprefix(start).removesuffix(".json") for n in members if n.startswith(start) and n.endswith(".json")
    ]
    if not names:
        raise UnknownFormat(
            f"{path}: holds compiled code and no graph (AOTInductor). Save the program itself: "
            "torch.export.save(exported_program, file)."
        )
    if len(names) > 1:
        raise UnknownFormat(f"{path}: holds several programs ({', '.join(names)}). Save the wanted one alone.")
    return names[0]


def _json(path: Path, members: Mapping[str, Member], name: str) -> Any:
    if name not in members:
        raise DamagedFile(f"{path}: its member {name} is missing. Copy the file again.")
    try:
        return json.loads(bytes(members[name](None)))
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: its member {name} is not JSON ({error}). Copy the file again.") from error


def _tensors(path: Path, members: Mapping[str, Member], folder: str, config: str) -> dict[str, Tensor]:
    """The tensors of a folder of an archive, as its table says."""
    if folder + config not in members:
        return {}
    table = _json(path, members, folder + config)
    try:
        held = {n: e for n, e in table["config"].items() if e.get("tensor_meta") is not None}
        return {name: _tensor(path, members, folder + entry["path_name"], entry) for name, entry in held.items()}
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DamagedFile(f"{path}: its member {folder}{config} is not a table of tensors ({error!r}).") from error


def _tensor(path: Path, members: Mapping[str, Member], member: str, entry: Mapping[str, Any]) -> Tensor:
    meta = entry["tensor_meta"]
    dtype = ELEMENT_TYPES.get(meta["dtype"])
    if dtype is None or entry.get("use_pickle"):
        raise ValueError(f"{member} is of a kind of tensor that is not read")
    sizes, steps = (tuple(int(n["as_int"]) for n in meta[key]) for key in ("sizes", "strides"))
    offset = int((meta.get("storage_offset") or {"as_int": 0})["as_int"])

    def numbers() -> Array:
        content = members[member](None)
        return np.frombuffer(content, DTYPES[dtype].newbyteorder("<"))

    return torch.strided(dtype, sizes, steps, offset, numbers, f"{path.name}, {member}")


def _old_tensors(path: Path, members: Mapping[str, Member]) -> dict[str, Tensor]:
    """The tensors of the files of `torch.save` in an archive of the older kind."""
    found: dict[str, Tensor] = {}
    for name in _OLD_TENSORS:
        content = members[name](None) if name in members else memoryview(b"")
        root = torch.read_within(content, f"{path.name}, {name}").root if content else {}
        found |= {k: t for k, t in root.items() if isinstance(t, Tensor)} if isinstance(root, dict) else {}
    return found
