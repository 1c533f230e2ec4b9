"""The numbers of an ONNX model: inside the file, or in files beside it that it names."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.files import can_be
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire import onnx


def initializers_of(path: Path, model: onnx.Message) -> dict[str, Tensor]:
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
    _check_numbers(path, message)
    return Tensor(dtype, shape, lambda: onnx.array_of(message), f"{path.name}, initializer {message.name}")


def _check_numbers(path: Path, message: onnx.Message) -> None:
    """Refuses a tensor of a known type that does not hold as many numbers as its shape has."""
    dtype, shape = onnx.element_name(message.data_type), tuple(message.dims)
    if dtype not in DTYPES:
        return
    numbers = len(getattr(message, onnx.typed_field(dtype)))
    held, each = (len(message.raw_data), DTYPES[dtype].itemsize) if message.HasField("raw_data") else (numbers, 1)
    if min(shape, default=0) < 0 or held != math.prod(shape) * each:
        raise DamagedFile(
            f"{path}: tensor {message.name!r} does not hold its numbers: its shape is {list(shape)}, and it has {held} "
            f"{'numbers' if each == 1 else 'bytes'} of type {dtype}. Copy it again."
        )


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
        raise DamagedFile(f"{path}: tensor {name!r} lies at {text!r} of another file, which is not a number of bytes.")
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
    if not (can_be(file) and file.exists()):
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
        _check_numbers(path, tensor)


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
