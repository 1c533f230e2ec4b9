"""Graph models of TensorFlow.js: a GraphDef as JSON in `model.json`, its constants in raw files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from reprise.errors import DamagedFile
from reprise.formats import _sidecars
from reprise.formats._base import Format, Signature, StoredModel
from reprise.formats._tensorflow import graphdef, metagraph, tfjs
from reprise.graph import Function, Graph, Node, Value
from reprise.tensors import Tensor
from reprise.wire import messages

_FUSED = {"_FusedMatMul": "MatMul", "FusedMatMul": "MatMul", "_FusedConv2D": "Conv2D", "FusedConv2D": "Conv2D"}
_FUSED |= {"FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
_THEN = ("Relu", "Relu6", "Elu", "Sigmoid", "Tanh", "LeakyRelu")
_BIAS = "BiasAdd"


def sniff(path: Path) -> str | None:
    """Evidence of such a model: how its `model.json` begins."""
    return tfjs.sniff(path, graph=True)


def read(path: Path) -> StoredModel:
    """The graph in a `model.json`, or in a folder with one."""
    found = tfjs.content(path)
    file = found.files[0]
    definition = _message("GraphDef", found.topology, file)
    graph = graphdef.graph(definition, file)
    graph = Graph(
        _parted(_filled(graph.nodes, found.weights)),
        {name: _function(function, found.weights) for name, function in graph.functions.items()},
    )
    beside = _sidecars.find(file.parent)
    return beside.model(
        path, FORMAT, graph=graph, weights=found.weights, signatures=_signatures(found.whole, file), files=found.files
    )


def _message(name: str, content: Any, file: Path) -> Any:
    try:
        return json_format.ParseDict(content, messages.message_class(name)(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, RecursionError, AttributeError) as error:
        raise DamagedFile(f"{file}: expected a {name} as JSON ({error!s:.200}). Copy it again.") from error


def _signatures(whole: Mapping[str, Any], file: Path) -> tuple[Signature, ...]:
    """What the model is called with, where the file says that."""
    more = whole.get("userDefinedMetadata")
    signature = whole.get("signature") or (more.get("signature") if isinstance(more, dict) else None)
    if not isinstance(signature, dict):
        return ()
    holder = messages.message_class("MetaGraphDef")()
    holder.signature_def["serving_default"].CopyFrom(_message("SignatureDef", signature, file))
    return tuple(replace(one, method="tensorflow/serving/predict") for one in metagraph.signatures(holder))


def _function(function: Function, weights: Mapping[str, Tensor]) -> Function:
    return replace(function, nodes=_parted(_filled(function.nodes, weights)))


def _filled(nodes: Mapping[str, Node], weights: Mapping[str, Tensor]) -> dict[str, Node]:
    """The nodes, with the constants of the files in the place of empty ones."""
    return {
        name: replace(node, attributes={"dtype": weights[name].dtype, "value": weights[name]})
        if node.op == "Const" and name in weights
        else node
        for name, node in nodes.items()
    }


def _parted(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The nodes, with the parts of operators that the converter fused; the last part keeps the name."""
    return {part.name: part for node in nodes.values() for part in _parts(node)}


def _parts(node: Node) -> Iterator[Node]:
    """A product, what is added to it, and an activation; a node that holds other operators stays."""
    plain = _FUSED.get(node.op)
    fused = node.attributes.get("fused_ops") or ()
    then = [op.decode("utf-8", "replace") for op in fused if isinstance(op, bytes)] if isinstance(fused, tuple) else []
    known = then[:1] == [_BIAS] and len(then) <= 2 and all(op in _THEN for op in then[1:]) and len(node.inputs) == 3
    if plain is None or not known:
        yield node
        return
    kind = {"T": node.attributes.get("T", "float32")}
    product, added = f"{node.name}/{plain}", f"{node.name}/{_BIAS}" if len(then) == 2 else node.name
    own = {k: v for k, v in node.attributes.items() if k not in ("fused_ops", "num_args", "epsilon", "leakyrelu_alpha")}
    layout = {"data_format": own["data_format"]} if "data_format" in own else {}
    yield Node(product, plain, node.inputs[:2], node.controls, own)
    yield Node(added, _BIAS, (Value(product), node.inputs[2]), (), {**kind, **layout})
    if len(then) == 2:
        slope = {"alpha": node.attributes.get("leakyrelu_alpha", 0.2)} if then[1] == "LeakyRelu" else {}
        yield Node(node.name, then[1], (Value(added),), (), {**kind, **slope})


FORMAT = Format(
    name="TensorFlow.js graph",
    spec="tfjs-converter's tf_saved_model_conversion_v2.py and graph.proto as JSON",
    sniff=sniff,
    read=read,
)
