"""TensorFlow's GraphDef as a `Graph`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, DiscoveryError
from reprise.formats._tensorflow import functions
from reprise.formats._tensorflow.tensors import dtype_name, lazy_tensor, shape_attribute
from reprise.graph import FunctionName, Graph, LazyAttributes, Node, Value
from reprise.graph_check import check_edges
from reprise.tensors import Tensor
from reprise.wire import messages


def graph(definition: Any, path: Path, constants: Mapping[int, Tensor] | None = None) -> Graph:
    """The graph of a GraphDef message, with its function library.

    Args:
        definition: The message.
        path: The file, for messages.
        constants: The `value` of the i-th node, where it was left out of the message.

    Raises:
        DamagedFile: Two nodes have one name.
    """
    nodes: dict[str, Node] = {}
    for i, proto in enumerate(definition.node):
        known = {"value": constants[i]} if constants and i in constants else None
        nodes[proto.name] = _node(proto, path, known)
    if len(nodes) < len(definition.node) or "" in nodes:
        raise DamagedFile(f"{path}: two nodes have one name, or one has none. The file was changed; copy it again.")
    try:
        check_edges(nodes)  # what binds variables to tensors relies on it
    except DiscoveryError as error:
        raise DamagedFile(f"{path}: {error}") from error
    return Graph(nodes, functions.functions(definition.library.function, Attributes, path))


def _node(proto: Any, path: Path, known: dict[str, Any] | None) -> Node:
    inputs, controls = [], []
    for text in proto.input:
        if text.startswith("^"):
            controls.append(text[1:])
        else:
            inputs.append(Value.parse(text))
    return Node(proto.name, proto.op, tuple(inputs), tuple(controls), Attributes(proto.attr, proto.name, path, known))


def node_attributes(definition: bytes, path: Path) -> Mapping[str, Any]:
    """The attributes in the bytes of a NodeDef.

    Raises:
        DamagedFile: They are none.
    """
    proto = messages.parse("NodeDef", definition, path)
    return Attributes(proto.attr, proto.name or proto.op, path)


class Attributes(LazyAttributes):
    """The attributes of a node, each converted when it is first asked for: most never are.

    One that waits for the caller of its function is None.
    """

    __slots__ = ("_known", "_owner", "_path", "_protos")

    def __init__(self, protos: Any, owner: str, path: Path, known: dict[str, Any] | None = None) -> None:
        self._protos = protos
        self._owner = owner
        self._path = path
        self._known = known

    def __getitem__(self, name: str) -> Any:
        if self._known is None:
            self._known = {}
        if name not in self._known:
            if name not in self._protos:
                raise KeyError(name)
            self._known[name] = _attribute(self._protos[name], f"node {self._owner}", self._path)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._protos

    def __iter__(self) -> Iterator[str]:
        return iter(self._protos)

    def __len__(self) -> int:
        return len(self._protos)

    def __repr__(self) -> str:
        return repr(dict(self))


def _attribute(proto: Any, what: str, path: Path) -> Any:
    kind = proto.WhichOneof("value")
    if kind == "list":
        return _list(proto.list, what, path)
    if kind is None or kind == "placeholder":
        return None
    return _ONE[kind](getattr(proto, kind), what, path)


def _list(proto: Any, what: str, path: Path) -> tuple[Any, ...]:
    for field, values in proto.ListFields():
        return tuple(_ONE[field.name](value, what, path) for value in values)
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
    "tensor": lazy_tensor,
    "func": lambda value, _what, _path: FunctionName(value.name),
}
