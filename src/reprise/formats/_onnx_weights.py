"""The numbers of an ONNX model: inside the file, or in files beside it that it names."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire import onnx


def weights_of(path: Path, model: onnx.Message) -> dict[str, Tensor]:
    """The initializers of the graph by name; those beside the file are mapped when they are asked for.

    Raises:
        DamagedFile: A tensor names a file outside of the folder, or other numbers than its shape has; or a tensor
            inside of a node or a subgraph lies outside of the file.
        MissingFile: A file that is named is not there.
    """
    _check_inner_tensors(path, model)
    return {t.name: _tensor(path, t) for t in model.graph.initializer}


def _tensor(path: Path, message: onnx.Message) -> Tensor:
    dtype, shape = onnx.element_name(message.data_type), tuple(message.dims)
    if dtype not in DTYPES or min(shape, default=0) < 0:
        raise DamagedFile(
            f"{path}: tensor {message.name!r} has the element type {message.data_type} and shape {shape}."
        )
    if message.data_location == onnx.EXTERNAL:
        return _beside(path, message, dtype, shape)

    def load() -> Array:
        try:
            return onnx.array_of(message)
        except ValueError as error:
            raise DamagedFile(f"{path}: tensor {message.name!r} does not hold its numbers ({error}).") from error

    return Tensor(dtype, shape, load, f"{path.name}, initializer {message.name}")


def _beside(path: Path, message: onnx.Message, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor in a file beside the model: its numbers are mapped, nothing is read before they are used."""
    facts = {entry.key: entry.value for entry in message.external_data}
    file = _inside_folder(path, message.name, facts.get("location", ""))
    size = math.prod(shape) * DTYPES[dtype].itemsize
    offset = _number(path, message.name, facts.get("offset", "0"))
    length = _number(path, message.name, facts.get("length", str(size)))
    if length != size or offset + length > file.stat().st_size or dtype == "string":
        raise DamagedFile(
            f"{path}: tensor {message.name!r} has {size} bytes; the model names {length} at {offset} of {file.name}, "
            f"which has {file.stat().st_size}. The files do not belong together; copy both again."
        )

    def load() -> Array:
        if not size:
            return np.zeros(shape, DTYPES[dtype])
        return np.memmap(file, DTYPES[dtype].newbyteorder("<"), "r", offset, shape)

    return Tensor(dtype, shape, load, f"{file.name} at byte {offset}")


def _number(path: Path, name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise DamagedFile(f"{path}: tensor {name!r} lies at {text!r} of another file, which is no number of bytes.")
    return int(text)


def _inside_folder(path: Path, name: str, location: str) -> Path:
    """The regular file that a tensor names, in the folder of the model and nowhere else."""
    parts = PurePosixPath(location).parts
    file = path.parent.joinpath(*parts)
    folder = path.parent.resolve()
    if not parts or ".." in parts or PurePosixPath(location).is_absolute() or folder not in file.resolve().parents:
        raise DamagedFile(
            f"{path}: tensor {name!r} lies in {location!r}, which is not in the folder of the model; only that is read."
        )
    if not file.exists():
        raise MissingFile(f"{path}: keeps the numbers of {name!r} in {location!r}, which is not there. Copy it too.")
    if not stat.S_ISREG(file.stat().st_mode):
        raise DamagedFile(f"{path}: tensor {name!r} lies in {location!r}, which is not a regular file.")
    return file


def _check_inner_tensors(path: Path, model: onnx.Message) -> None:
    for tensor in _inner_tensors([*model.graph.node, *(n for f in model.functions for n in f.node)]):
        if tensor.data_location == onnx.EXTERNAL:
            raise DamagedFile(
                f"{path}: the tensor {tensor.name!r} of a node lies in another file, which is not read. Save the model "
                "with its numbers inside."
            )


def _inner_tensors(nodes: Iterable[onnx.Message]) -> Iterator[onnx.Message]:
    """The tensors in attributes of nodes, and all of their subgraphs."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
        for graph in onnx.subgraphs(node):
            yield from graph.initializer
            pending += graph.node
