"""TensorFlow's GraphDef as a `Graph`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats import _tf_functions
from reprise.formats._tf_tensors import dtype_name, shape_attribute, tensor
from reprise.graph import FunctionName, Graph, Node, Value


def graph(definition: Any, path: Path) -> Graph:
    """The graph of a GraphDef message, with its function library.

    Raises:
        DamagedFile: Two nodes have one name, an input does not exist, or an attribute contradicts itself.
    """
    nodes = by_name((node(proto, path) for proto in definition.node), path)
    functions = {f.signature.name: _tf_functions.function(f, node, path) for f in definition.library.function}
    return Graph(check_inputs(nodes, "the graph", path), functions)


def by_name(nodes: Iterable[Node], path: Path) -> dict[str, Node]:
    """The nodes by name, which must differ.

    Raises:
        DamagedFile: They do not.
    """
    found: dict[str, Node] = {}
    for one in nodes:
        if one.name in found or not one.name or not one.op:
            raise DamagedFile(
                f"{path}: node {one.name!r} ({one.op!r}) is there twice or without a name. Copy the file again."
            )
        found[one.name] = one
    return found


def check_inputs(nodes: Mapping[str, Node], where: str, path: Path) -> Mapping[str, Node]:
    """The same nodes, once it is certain that everything they read exists.

    Raises:
        DamagedFile: It does not.
    """
    for one in nodes.values():
        for name in (*(v.node for v in one.inputs), *one.controls):
            if name not in nodes:
                raise DamagedFile(
                    f"{path}: node {one.name} reads {name}, which {where} does not have. The file is cut or changed."
                )
    return nodes


def node(proto: Any, path: Path) -> Node:
    """A NodeDef of a graph, its inputs in the form `node:k` and `^node`."""
    inputs, controls = [], []
    for text in proto.input:
        if text.startswith("^"):
            controls.append(text[1:])
        else:
            inputs.append(Value.parse(text))
    return Node(proto.name, proto.op, tuple(inputs), tuple(controls), attributes(proto.attr, proto.name, path))


def attributes(protos: Mapping[str, Any], owner: str, path: Path) -> dict[str, Any]:
    """Attributes in the types of `Node`; those that wait for a function's caller are left out."""
    found = {}
    for name, proto in protos.items():
        kind = proto.WhichOneof("value")
        if kind == "list":
            found[name] = _list(proto.list, owner, path)
        elif kind is not None and kind != "placeholder":
            found[name] = _ONE[kind](getattr(proto, kind), f"node {owner}", path)
    return found


def _list(proto: Any, owner: str, path: Path) -> tuple[Any, ...]:
    for field, values in proto.ListFields():
        return tuple(_ONE[field.name](value, f"node {owner}", path) for value in values)
    return ()


def _itself(value: Any, _what: str, _path: Path) -> Any:
    return value


#: How one value becomes an attribute, by the field of AttrValue that holds it.
_ONE: Mapping[str, Callable[[Any, str, Path], Any]] = {
    "s": _itself,
    "i": _itself,
    "f": _itself,
    "b": _itself,
    "type": lambda value, _what, _path: dtype_name(value),
    "shape": lambda value, _what, _path: shape_attribute(value),
    "tensor": tensor,
    "func": lambda value, _what, _path: FunctionName(value.name),
}
