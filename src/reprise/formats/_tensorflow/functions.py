"""Functions of TensorFlow's library as `Function`: values named by output argument become values named by number.

In a FunctionDef a value is written `argument`, or `node:output_argument:k`, where k counts within the output argument
(which may be a list). The number among all outputs of a node needs the order and the lengths of its output arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._tensorflow.tensors import dtype_name
from reprise.graph import Function, Node, Value
from reprise.operators import OPERATORS

MakeAttributes = Callable[[Any, str, Path], Mapping[str, Any]]


def functions(library: Iterable[Any], attributes: MakeAttributes, path: Path) -> dict[str, Function]:
    """The functions of a library of FunctionDefs by name.

    Raises:
        DamagedFile: A value that one reads does not exist.
    """
    return {proto.signature.name: _function(proto, attributes, path) for proto in library}


def _function(proto: Any, attributes: MakeAttributes, path: Path) -> Function:
    name = proto.signature.name
    arguments = {a.name: _argument(a, i) for i, a in enumerate(proto.signature.input_arg)}
    protos = {p.name: p for p in proto.node_def}
    made = {p.name: attributes(p.attr, p.name, path) for p in proto.node_def}

    def value(text: str) -> Value:
        owner, *where = text.split(":")
        if owner in arguments:
            return Value(owner)
        if owner not in protos or len(where) != 2 or not where[1].isdecimal() or len(where[1]) > 9:
            raise DamagedFile(f"{path}: function {name} reads {text!r}, which it does not have. The file was changed.")
        offset = _offset(protos[owner].op, made[owner], where[0])
        if offset is None:
            raise DamagedFile(
                f"{path}: function {name} reads {text!r}, no output of {protos[owner].op}. Copy it again."
            )
        return Value(owner, offset + int(where[1]))

    nodes = dict(arguments)
    for p in proto.node_def:
        inputs = tuple(value(text) for text in p.input if not text.startswith("^"))
        controls = tuple(text[1:] for text in p.input if text.startswith("^"))
        nodes[p.name] = Node(p.name, p.op, inputs, controls, made[p.name])
    returned = dict(proto.ret)
    results = tuple(value(returned.get(result.name, "")) for result in proto.signature.output_arg)
    return Function(name, tuple(arguments), results, nodes)


def _argument(proto: Any, number: int) -> Node:
    attributes: dict[str, Any] = {"index": number}
    if proto.type:
        attributes["T"] = dtype_name(proto.type)
    return Node(proto.name, "_Arg", attributes=attributes)


def _offset(op: str, attributes: Mapping[str, Any], argument: str) -> int | None:
    """The number of the first output of `argument` among all outputs of a node, None where it has no such argument.

    Of an operator that is not known nothing here looks at more than one output.
    """
    arguments = OPERATORS[op].outputs.split() if op in OPERATORS else []
    if len(arguments) < 2:
        return 0
    offset = 0
    for known in arguments:
        name, _, counted_by = known.partition("*")
        if name == argument:
            return offset
        count = attributes.get(counted_by, 1)
        offset += len(count) if isinstance(count, tuple) else int(count)
    return None
