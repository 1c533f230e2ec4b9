"""ONNX messages, as one table, and the few functions that make and read them.

The `onnx` package costs a tenth of a second to import, which is a fifth of the time from a command to its first
character; nothing of it is needed to write a graph. Field numbers are those of `onnx/onnx.proto` (IR version 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from reprise.tensors import DTYPES, Array
from reprise.wire.schema import Schema

_MESSAGES = """
AttributeProto
  1 name string
  2 f float
  3 i int64
  4 s bytes
  5 t TensorProto
  6 g GraphProto
  7 floats float*
  8 ints int64*
  9 strings bytes*
  10 tensors TensorProto*
  11 graphs GraphProto*
  20 type AttributeType
  21 ref_attr_name string
NodeProto
  1 input string*
  2 output string*
  3 name string
  4 op_type string
  5 attribute AttributeProto*
  7 domain string
TensorProto
  1 dims int64*
  2 data_type int32
  4 float_data float*
  5 int32_data int32*
  6 string_data bytes*
  7 int64_data int64*
  8 name string
  9 raw_data bytes
  10 double_data double*
  11 uint64_data uint64*
  13 external_data StringStringEntryProto*
  14 data_location DataLocation
StringStringEntryProto
  1 key string
  2 value string
Dimension
  1 dim_value int64|
  2 dim_param string|
TensorShapeProto
  1 dim Dimension*
TensorTypeProto
  1 elem_type int32
  2 shape TensorShapeProto
TypeProto
  1 tensor_type TensorTypeProto
ValueInfoProto
  1 name string
  2 type TypeProto
GraphProto
  1 node NodeProto*
  2 name string
  5 initializer TensorProto*
  11 input ValueInfoProto*
  12 output ValueInfoProto*
  13 value_info ValueInfoProto*
OperatorSetIdProto
  1 domain string
  2 version int64
ModelProto
  1 ir_version int64
  2 producer_name string
  3 producer_version string
  7 graph GraphProto
  8 opset_import OperatorSetIdProto*
  14 metadata_props StringStringEntryProto*
  25 functions FunctionProto*
FunctionProto
  1 name string
  4 input string*
  5 output string*
  6 attribute string*
  7 node NodeProto*
  9 opset_import OperatorSetIdProto*
  10 domain string
  11 attribute_proto AttributeProto*
"""

#: Kinds of attributes, by the number that ONNX gives them.
ATTRIBUTE_TYPES = {
    "UNDEFINED": 0,
    "FLOAT": 1,
    "INT": 2,
    "STRING": 3,
    "TENSOR": 4,
    "GRAPH": 5,
    "FLOATS": 6,
    "INTS": 7,
    "STRINGS": 8,
    "TENSORS": 9,
    "GRAPHS": 10,
}
_LOCATIONS = {"DEFAULT": 0, "EXTERNAL": 1}
EXTERNAL = _LOCATIONS["EXTERNAL"]
GRAPH = ATTRIBUTE_TYPES["GRAPH"]

#: Element types, by the number that ONNX gives them.
ELEMENT_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
}

SCHEMA = Schema(
    "reprise.wire.onnx", _MESSAGES, {"AttributeType": ATTRIBUTE_TYPES, "DataLocation": _LOCATIONS}, syntax="proto2"
)

INT32, INT64, BOOL = (ELEMENT_TYPES[name] for name in ("int32", "int64", "bool"))

Message = Any  # generated classes have no static type


def empty(name: str) -> Message:
    """An empty message, such as `ModelProto`."""
    return SCHEMA.message(name)()


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: object) -> Message:
    """A node; operators that every runtime has are of no domain."""
    made = SCHEMA.message("NodeProto")(op_type=op, input=inputs, output=outputs, domain=domain)
    for name, value in attributes.items():
        _set(made.attribute.add(name=name), value)
    return made


def _set(attribute: Message, value: object) -> None:
    """Stores a value in the field of its kind."""
    kind, field = _kind(value)
    attribute.type = ATTRIBUTE_TYPES[kind]
    if kind in ("TENSOR", "GRAPH"):
        getattr(attribute, field).CopyFrom(value)
    elif kind in ("FLOATS", "INTS", "STRINGS") and isinstance(value, Iterable):
        getattr(attribute, field).extend(map(_bytes, value))
    else:
        setattr(attribute, field, _bytes(value))


def _bytes(value: object) -> object:
    return value.encode() if isinstance(value, str) else value


def _kind(value: object) -> tuple[str, str]:
    if isinstance(value, (bool, int, np.integer)):
        return "INT", "i"
    if isinstance(value, (float, np.floating)):
        return "FLOAT", "f"
    if isinstance(value, (str, bytes)):
        return "STRING", "s"
    if isinstance(value, SCHEMA.message("TensorProto")):
        return "TENSOR", "t"
    if isinstance(value, SCHEMA.message("GraphProto")):
        return "GRAPH", "g"
    first = next(iter(value), 0) if isinstance(value, Iterable) else None
    kinds = {"INT": ("INTS", "ints"), "FLOAT": ("FLOATS", "floats"), "STRING": ("STRINGS", "strings")}
    return kinds[_kind(first)[0]]


def graph(
    nodes: Iterable[Message],
    name: str,
    inputs: Iterable[Message],
    outputs: Iterable[Message],
    initializers: Iterable[Message] = (),
) -> Message:
    """A graph."""
    made = SCHEMA.message("GraphProto")(name=name)
    made.node.extend(nodes)
    made.input.extend(inputs)
    made.output.extend(outputs)
    made.initializer.extend(initializers)
    return made


def value_info(name: str, element_type: int | None = None, sizes: Sequence[int | str] | None = None) -> Message:
    """The name of a value with its type; a size that is a word is a free one."""
    made = SCHEMA.message("ValueInfoProto")(name=name)
    if element_type is not None:
        made.type.tensor_type.elem_type = element_type
    if sizes is not None:
        made.type.tensor_type.shape.SetInParent()
    for size in sizes or ():
        dimension = made.type.tensor_type.shape.dim.add()
        if isinstance(size, str):
            dimension.dim_param = size
        else:
            dimension.dim_value = size
    return made


def tensor(array: Array, name: str = "") -> Message:
    """An array as a tensor, its numbers as raw little-endian bytes."""
    made = SCHEMA.message("TensorProto")(name=name, dims=array.shape, data_type=element_type(array))
    if array.dtype == object:
        made.string_data.extend(s if isinstance(s, bytes) else str(s).encode() for s in array.ravel())
    else:
        made.raw_data = np.asarray(array, array.dtype.newbyteorder("<"), order="C").tobytes()
    return made


def element_type(array: Array) -> int:
    """The number of an array's element type."""
    return ELEMENT_TYPES["string" if array.dtype == object else array.dtype.name]


def array_of(message: Message) -> Array:
    """The array of a tensor whose numbers are in the message.

    Raises:
        ValueError: Its numbers are not as many as its shape says, or their type is unknown.
    """
    kind = element_name(message.data_type)
    if kind == "string":
        return np.asarray(list(message.string_data), object).reshape(tuple(message.dims))
    if not kind:
        raise ValueError(f"tensor {message.name!r} has the unknown element type {message.data_type}")
    field = typed_field(kind)
    if message.HasField("raw_data") or not len(getattr(message, field)):
        flat = np.frombuffer(message.raw_data, DTYPES[kind].newbyteorder("<"))
    else:
        flat = _from_field(np.asarray(getattr(message, field)), kind)
    return flat.reshape(tuple(message.dims))


def typed_field(kind: str) -> str:
    """Which field has the numbers of an element type, where they are not raw bytes."""
    return "string_data" if kind == "string" else _TYPED_FIELDS.get(kind, "int32_data")


def _from_field(numbers: Array, kind: str) -> Array:
    """The numbers of a typed field; half precision is kept there as the bits of whole numbers."""
    if kind in ("float16", "bfloat16"):
        return numbers.astype(np.uint16).view(DTYPES[kind])
    return numbers.astype(DTYPES[kind])


#: The field of each element type that is not kept in `int32_data`.
_TYPED_FIELDS = {
    "float32": "float_data",
    "float64": "double_data",
    "int64": "int64_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
}


def element_name(number: int) -> str:
    """The name of an element type, empty for one that no tensor here has."""
    return next((name for name, known in ELEMENT_TYPES.items() if known == number), "")


def subgraphs(node: Message) -> list[Message]:
    """The graphs inside a node: the branches of If, the bodies of Loop and Scan."""
    return [g for a in node.attribute for g in (*([a.g] if a.HasField("g") else []), *a.graphs)]


def read_by(node: Message) -> list[str]:
    """The names that a node reads, those that its subgraphs take from around it among them."""
    names = [name for name in node.input if name]
    for graph in subgraphs(node):
        names += free_names(graph)
    return names


def free_names(graph: Message) -> Iterator[str]:
    """The names that a graph reads and does not make."""
    own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in read_by(node) if name not in own)
    yield from (o.name for o in graph.output if o.name not in own)


def attribute(node: Message, name: str, default: Any = None) -> Any:
    """The value of an attribute that is a number, a string or a list of these, as Python has them."""
    for found in node.attribute:
        if found.name == name:
            kind = _FIELD_OF_TYPE.get(found.type, "i")
            value = getattr(found, kind)
            return list(value) if kind in ("floats", "ints", "strings") else value
    return default


_FIELD_OF_TYPE = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}
