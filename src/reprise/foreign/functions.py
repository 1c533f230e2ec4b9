"""Functions of an ONNX model, opened: each call becomes the nodes of the function's body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from reprise.errors import DiscoveryError
from reprise.foreign.program import renamed
from reprise.wire import onnx

#: How deep functions may call each other; ONNX forbids recursion.
_DEEPEST = 32


def without_functions(model: onnx.Message) -> onnx.Message:
    """`model` without functions of its own; the model itself where it has none.

    Source: FunctionProto in onnx.proto: a function has no state, its attributes are given by the node that calls it.

    Raises:
        DiscoveryError: Functions call each other without end.
    """
    functions = {(f.domain, f.name): f for f in model.functions}
    if not functions:
        return model
    copy = onnx.empty("ModelProto")
    copy.CopyFrom(model)
    copy.ClearField("functions")
    fresh = count()
    _open_in(copy.graph, functions, fresh, 0)
    known = {o.domain for o in copy.opset_import}
    copy.opset_import.extend(o for f in model.functions for o in f.opset_import if o.domain not in known)
    return copy


_Functions = Mapping[tuple[str, str], onnx.Message]


def _open_in(graph: onnx.Message, functions: _Functions, fresh: Iterator[int], depth: int) -> None:
    """Opens the calls among the nodes of `graph`, in place."""
    nodes = list(_without_calls(graph.node, functions, fresh, depth))
    del graph.node[:]
    graph.node.extend(nodes)


def _without_calls(
    nodes: Iterable[onnx.Message], functions: _Functions, fresh: Iterator[int], depth: int
) -> Iterator[onnx.Message]:
    if depth > _DEEPEST:
        raise DiscoveryError("the functions of this ONNX model call each other without end; export the model again.")
    for node in nodes:
        function = functions.get((node.domain, node.op_type))
        if function is None:
            for graph in onnx.subgraphs(node):
                _open_in(graph, functions, fresh, depth)
            yield node
        else:
            yield from _without_calls(_body(node, function, next(fresh)), functions, fresh, depth + 1)


def _body(call: onnx.Message, function: onnx.Message, number: int) -> list[onnx.Message]:
    """The nodes of a function in place of a call: its values renamed, its attributes those of the call."""
    inside = {name for node in function.node for name in node.output}
    names = {name: f"{name}.{function.name}.{number}" for name in inside if name}
    given = [*call.input, *[""] * len(function.input)]
    names |= dict(zip(function.input, given, strict=False))
    results = dict(zip(function.output, call.output, strict=False))
    passed_on = [onnx.node("Identity", [names[o]], [r]) for o, r in results.items() if o in function.input and r]
    names |= {o: r for o, r in results.items() if r and o not in function.input}
    attributes = {a.name: a for a in (*function.attribute_proto, *call.attribute)}
    body = renamed(function.node, names)
    for node in body:
        _fill_in(node, attributes)
    return [*body, *passed_on]


def _fill_in(node: onnx.Message, given: Mapping[str, onnx.Message]) -> None:
    """Puts the attributes of the call where the body refers to them, in place; one that is not given is left out."""
    kept = []
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            kept.append(attribute)
        elif attribute.ref_attr_name in given:
            copy = onnx.empty("AttributeProto")
            copy.CopyFrom(given[attribute.ref_attr_name])
            copy.name = attribute.name
            kept.append(copy)
    copies = [onnx.empty("AttributeProto") for _ in kept]
    for copy, attribute in zip(copies, kept, strict=True):
        copy.CopyFrom(attribute)
    del node.attribute[:]
    node.attribute.extend(copies)
    for graph in onnx.subgraphs(node):
        for inner in graph.node:
            _fill_in(inner, given)
