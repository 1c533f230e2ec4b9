"""What a LiteRT file holds: subgraphs of tensors and operators, as data.

The format is `tensorflow/compiler/mlir/lite/schema/schema.fbs`; fields are called by their number there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from reprise.errors import DamagedFile
from reprise.formats._litert.names import ELEMENT_TYPES, OPERATORS
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire.flatbuffer import Table
from reprise.wire.varint import Cut

_MOST = 1_000_000  # elements of one list of tensors, operators or subgraphs
_CUSTOM = "CUSTOM"


@dataclass(frozen=True, slots=True)
class Quantization:
    """What whole numbers stand for: `scale` × (number - `zero`), one of each for all or for each row of an axis."""

    scale: Array
    zero: Array
    axis: int


@dataclass(frozen=True, slots=True)
class LiteTensor:
    """A tensor of a subgraph.

    Attributes:
        name: Its name, which others may have too.
        dtype: The element type that it is kept as.
        shape: Its sizes, None where free.
        content: Its numbers where the file holds them.
        quantization: What its numbers stand for, None where they are what they are.
        is_variable: Whether it keeps its content from call to call.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    content: Tensor | None
    quantization: Quantization | None
    is_variable: bool


@dataclass(frozen=True, slots=True)
class LiteOperator:
    """An operator of a subgraph; -1 among its inputs is one that is left out.

    Attributes:
        name: Its name in the schema, or that of a custom operator.
        is_custom: Whether it is none of the schema's.
        inputs: Numbers of tensors.
        outputs: Numbers of tensors.
        options: Its options, None where it has none.
        custom: The options of a custom operator.
    """

    name: str
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    custom: memoryview


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Tensors and operators, with the numbers of those tensors that are given and made."""

    name: str
    tensors: tuple[LiteTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[LiteOperator, ...]


@dataclass(frozen=True, slots=True)
class LiteSignature:
    """What a caller may call: the subgraph, and the names of its inputs and outputs by their tensors."""

    key: str
    subgraph: int
    inputs: Mapping[int, str]
    outputs: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class LiteModel:
    """The content of a file."""

    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[LiteSignature, ...]


def read(data: memoryview, path: Path) -> LiteModel:
    """The model in the bytes of a file; the numbers of tensors stay there.

    Raises:
        DamagedFile: It is not a complete one.
    """
    try:
        return _Reader(data, path).model()
    except Cut as error:
        raise DamagedFile(
            f"{path}: is not a complete LiteRT model ({error}). It is cut or changed; copy it again."
        ) from error


class _Reader:
    def __init__(self, data: memoryview, path: Path) -> None:
        self._data, self._path = data, path
        self._root = Table.root(data)
        self._codes = [_operator_name(code) for code in self._many(1)]
        self._buffers = self._many(4)

    def _many(self, field: int, table: Table | None = None) -> list[Table]:
        found = (table or self._root).tables(field)
        if len(found) > _MOST:
            raise Cut(f"{len(found)} elements where at most {_MOST} are expected")
        return found

    def model(self) -> LiteModel:
        graphs = tuple(self._subgraph(table) for table in self._many(2))
        signatures = tuple(_signature(table) for table in self._many(7))
        if not graphs or any(s.subgraph >= len(graphs) for s in signatures):
            raise Cut("it has no subgraph, or fewer than it names")
        return LiteModel(self._root.text(3), graphs, signatures)

    def _subgraph(self, table: Table) -> Subgraph:
        tensors = tuple(self._tensor(t) for t in self._many(0, table))
        operators = tuple(self._operator(o) for o in self._many(3, table))
        inputs, outputs = table.integers(1), table.integers(2)
        used = {i for o in operators for i in (*o.inputs, *o.outputs)}
        if any(not -1 <= i < len(tensors) for i in used) or any(not 0 <= i < len(tensors) for i in (*inputs, *outputs)):
            raise Cut(f"an operator uses a tensor that is not among {len(tensors)}")
        return Subgraph(table.text(4), tensors, inputs, outputs, operators)

    def _operator(self, table: Table) -> LiteOperator:
        code = table.number(0, "I")
        if code >= len(self._codes):
            raise Cut(f"operator code {code} is not among {len(self._codes)}")
        name, is_custom = self._codes[code]
        options = table.table(4) if table.number(3, "B") else None
        return LiteOperator(name, is_custom, table.integers(1), table.integers(2), options, table.content(5))

    def _tensor(self, table: Table) -> LiteTensor:
        name, kind = table.text(3), table.number(1, "b")
        dtype = ELEMENT_TYPES.get(kind, f"type {kind}")
        sizes, signature = table.integers(0), table.integers(7)
        free = signature if len(signature) == len(sizes) else sizes
        shape = tuple(None if n < 0 else n for n in free)
        content = self._content(table.number(2, "I"), name, dtype, sizes)
        return LiteTensor(name, dtype, shape, content, _quantization(table.table(4)), table.flag(5))

    def _content(self, number: int, name: str, dtype: str, shape: tuple[int, ...]) -> Tensor | None:
        if number >= len(self._buffers):
            raise Cut(f"buffer {number} is not among {len(self._buffers)}")
        buffer = self._buffers[number]
        offset, size = buffer.number(1, "Q"), buffer.number(2, "Q")
        data = self._data[offset : offset + size] if offset > 1 else buffer.content(0)
        if not len(data):
            return None
        source = f"{self._path}: tensor {name}"
        if dtype not in DTYPES or dtype == "string":
            return Tensor(dtype, shape, partial(_unread, source, dtype), source)
        if min(shape, default=0) < 0 or math.prod(shape) * DTYPES[dtype].itemsize != len(data):
            raise Cut(f"tensor {name!r} of {dtype} {list(shape)} has {len(data)} bytes")
        array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
        return Tensor(dtype, shape, lambda: array, source)


def _unread(source: str, dtype: str) -> Array:
    raise DamagedFile(f"{source}: is of type {dtype}, whose numbers are not read.")


def _operator_name(table: Table) -> tuple[str, bool]:
    """The name of an operator code, and whether it is custom; old files have a small number in another field."""
    code = max(table.number(3, "i"), table.number(0, "b"))
    name = OPERATORS[code] if 0 <= code < len(OPERATORS) else f"operator {code}"
    return (table.text(1), True) if name == _CUSTOM else (name, False)


def _quantization(table: Table | None) -> Quantization | None:
    scale = None if table is None else table.numbers(2, "<f4")
    if table is None or scale is None or not scale.size:
        return None
    zero = table.numbers(3, "<i8")
    return Quantization(scale, np.zeros(scale.size, np.int64) if zero is None else zero, table.number(6, "i"))


def _signature(table: Table) -> LiteSignature:
    inputs, outputs = ({t.number(1, "I"): t.text(0) for t in table.tables(field)} for field in (0, 1))
    return LiteSignature(table.text(2), table.number(4, "I"), inputs, outputs)
