"""The subgraphs of a LiteRT model as graphs in TensorFlow's operators: the main ones, and those that loops call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reprise.errors import DamagedFile
from reprise.formats._base import Signature
from reprise.formats._litert.operators import variable_of, write
from reprise.formats._litert.schema import LiteModel, LiteSignature, Subgraph
from reprise.formats._litert.site import LiteSite, Values, is_quantized
from reprise.graph import Function, Graph, Node, ShapeAttribute, Value
from reprise.tensors import Tensor
from reprise.wire.varint import Cut


@dataclass(frozen=True, slots=True)
class LiteContent:
    """What a model holds; the fields are those of `StoredModel`."""

    entries: Mapping[str, Graph]
    weights: Mapping[str, Tensor]
    signatures: tuple[Signature, ...]
    notes: tuple[str, ...]


def content(model: LiteModel, path: Path) -> LiteContent:
    """The signatures of a model as graphs, or its first subgraph where it has none.

    Raises:
        DamagedFile: It contradicts itself.
    """
    functions = {f"subgraph_{k}": _function(f"subgraph_{k}", s, path) for k, s in enumerate(model.subgraphs)}
    weights = dict(_initial(model))
    called = model.signatures or (LiteSignature("main", 0, {}, {}),)
    entries = {}
    for signature in called:
        values = _nodes_of(model.subgraphs[signature.subgraph], "Placeholder", path)
        weights.update(values.stored)
        if absent := [n for n in values.subgraph.outputs if values.of(n).node not in values.nodes]:
            names = ", ".join(values.names[n] for n in absent)
            raise DamagedFile(f"{path}: no operator computes the output {names}. The file is changed; copy it again.")
        entries[signature.key] = _graph(values, weights, functions)
    signatures = tuple(_signature(s, model.subgraphs[s.subgraph]) for s in model.signatures)
    return LiteContent(entries, weights, signatures, tuple(_notes(model)))


def _nodes_of(subgraph: Subgraph, argument: str, path: Path) -> Values:
    """The nodes of a subgraph, whose inputs are operators of the kind `argument`."""
    values = Values(subgraph)
    for k, number in enumerate(subgraph.inputs):
        name = values.names[number]
        attributes = {"dtype": values.dtype(number), "T": values.dtype(number), "index": k}
        attributes |= {"shape": ShapeAttribute(subgraph.tensors[number].shape)}
        values.nodes[name] = Node(name, argument, attributes=attributes)
    for operator in subgraph.operators:
        try:
            write(LiteSite(operator, values))
        except (Cut, IndexError, KeyError, ValueError, TypeError) as error:
            raise DamagedFile(
                f"{path}: operator {operator.name} of subgraph {subgraph.name!r} is not as the schema has it "
                f"({error}). The file is changed; copy it again."
            ) from error
    return values


def _function(name: str, subgraph: Subgraph, path: Path) -> Function:
    values = _nodes_of(subgraph, "_Arg", path)
    arguments = tuple(values.names[i] for i in subgraph.inputs)
    return Function(name, arguments, tuple(values.of(i) for i in subgraph.outputs), values.nodes)


def _graph(values: Values, weights: Mapping[str, Tensor], functions: Mapping[str, Function]) -> Graph:
    """The graph of a subgraph that callers call, with a node of its own for each result."""
    results = []
    for number in values.subgraph.outputs:
        name, value = values.names[number], values.of(number)
        if value != Value(name) or values.nodes[name].op != "Identity":
            _rename(values, name, value)
        results.append(Value(name))
    for name, tensor in weights.items():
        if name in values.nodes:
            attributes = {"dtype": tensor.dtype, "shape": ShapeAttribute(tensor.shape)}
            values.nodes[name] = Node(name, "VarHandleOp", attributes=attributes)
    return Graph(values.nodes, functions, tuple(results))


def _rename(values: Values, name: str, value: Value) -> None:
    """Gives a result its name; what makes it gets another."""
    inner = f"{name}/made"
    if value.node == name:
        made = values.nodes.pop(name)
        values.nodes[inner] = Node(inner, made.op, made.inputs, made.controls, made.attributes)
        moved = Value(inner, value.index)
        for other, node in list(values.nodes.items()):
            inputs = tuple(Value(inner, v.index) if v.node == name else v for v in node.inputs)
            controls = tuple(inner if c == name else c for c in node.controls)
            values.nodes[other] = Node(other, node.op, inputs, controls, node.attributes)
        value = moved
    values.nodes[name] = Node(name, "Identity", (value,))


def _initial(model: LiteModel) -> Iterator[tuple[str, Tensor]]:
    """What variables hold before the first call: what a subgraph that runs once assigns to them."""
    for graph in model.subgraphs:
        handles = {}
        for operator in graph.operators:
            site = LiteSite(operator, Values(graph))
            if operator.name == "VAR_HANDLE":
                handles[operator.outputs[0]] = variable_of(site) or site.name
            elif operator.name == "ASSIGN_VARIABLE" and operator.inputs[0] in handles:
                held = site.content(1)
                if held is not None:
                    yield handles[operator.inputs[0]], held


def _signature(signature: LiteSignature, subgraph: Subgraph) -> Signature:
    inputs, outputs = (
        {name: subgraph.tensors[k].name for k, name in sorted(part.items()) if k < len(subgraph.tensors)}
        for part in (signature.inputs, signature.outputs)
    )
    return Signature(signature.key, inputs, outputs)


def _notes(model: LiteModel) -> Iterator[str]:
    tensors = [t for graph in model.subgraphs for t in graph.tensors if is_quantized(t)]
    kinds = ", ".join(sorted({t.dtype for t in tensors}))
    if any(t.content is None for t in tensors):
        yield (
            f"its numbers are quantised ({kinds}); they are computed in float32 as what they stand for, where the "
            "interpreter rounds the result of every operator"
        )
    elif tensors:
        yield (
            f"its weights are quantised ({kinds}); the products with them are computed in float32, where the "
            "interpreter rounds what they are multiplied with to 8 bits"
        )
