"""Layers as a graph: one writer for every reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass

from reprise.errors import DamagedFile
from reprise.frame import Scope
from reprise.graph import Graph, Node, Value
from reprise.layers import arranging, kinds
from reprise.layers.kinds import Layer
from reprise.layers.model import Call, Layers
from reprise.layers.writing import attention, basic, convolutional, normalisation, shaping
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.ops import Outside, TypedValue, Variables
from reprise.layers.writing.recurrent import recurrent
from reprise.tensors import Tensor

_WRITERS: Mapping[type, Callable[..., tuple[TypedValue, ...]]] = {
    kinds.Input: basic.input_placeholder,
    kinds.Embedding: basic.embedding,
    kinds.OneHot: basic.one_hot,
    kinds.Dense: basic.dense,
    kinds.Activation: basic.activation,
    kinds.ParametricRelu: basic.parametric_relu,
    kinds.Affine: basic.affine,
    arranging.Cast: basic.cast,
    arranging.Like: basic.like,
    kinds.Mask: basic.mask,
    kinds.Masked: basic.masked,
    kinds.Both: basic.combine_masks,
    kinds.Recurrent: recurrent,
    kinds.Convolution: convolutional.convolution,
    kinds.Pooling: convolutional.pooling,
    kinds.GlobalPooling: convolutional.global_pooling,
    kinds.BatchNormalisation: normalisation.batch,
    kinds.LayerNormalisation: normalisation.layer,
    kinds.UnitNormalisation: normalisation.unit,
    kinds.Attention: attention.attention,
    kinds.MultiHeadAttention: attention.multi_head,
    **shaping.WRITERS,
}
_FLOATS = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class WrittenGraph:
    """The graph of a model of layers.

    Attributes:
        graph: Its nodes are called `layer/operator`, its variables `layer/role`, its placeholders as the input layers.
        tensors: Variable node → its tensor.
        outputs: The tensors that the model gives, in its order, each called as the layer that makes it; none where
            the graph is a file's own, which does not say.
    """

    graph: Graph
    tensors: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ()


def write_graph(model: Layers) -> WrittenGraph:
    """The graph that computes what the layers do.

    Raises:
        DamagedFile: A layer cannot read what it is given.
    """
    root = Scope("")
    variables = Variables(root)
    made: dict[str, tuple[TypedValue, ...]] = {}
    for call in model.calls:
        made[call.name] = _call(call, root, variables, made)
    outputs = tuple(_named_output(root, value, made) for value in model.outputs)
    return WrittenGraph(Graph(root.nodes), variables.tensors, outputs)


def _call(
    call: Call, root: Scope, variables: Variables, made: Mapping[str, tuple[TypedValue, ...]]
) -> tuple[TypedValue, ...]:
    def read(value: Value | None) -> TypedValue | None:
        return None if value is None else made[value.node][value.index]

    inputs = tuple(made[v.node][v.index] for v in call.inputs)
    initial = tuple(made[v.node][v.index] for v in call.initial)
    scope = Scope(call.name, root.nodes)
    ops = Outside(scope, variables, _dtype(call.layer, inputs))
    site = LayerSite(ops, inputs, read(call.mask), initial, read(call.other_mask))
    try:
        return _WRITERS[type(call.layer)](site, call.layer)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        shapes = ", ".join(str(list(x.shape)) for x in inputs)
        raise DamagedFile(
            f"layer {call.name!r} ({type(call.layer).__name__}): cannot read inputs of the sizes {shapes} ({error}). "
            "The file is damaged, or its weights belong to another model."
        ) from error


def _dtype(layer: Layer, inputs: tuple[TypedValue, ...]) -> str:
    """The type that a layer computes in: that of its weights, else that of its inputs."""
    found = [t.dtype for t in _tensors(layer)] + [x.dtype for x in inputs]
    return next((dtype for dtype in found if dtype in _FLOATS), "float32")


def _tensors(part: object) -> list[Tensor]:
    """All tensors in a layer, in the order of its fields."""
    if isinstance(part, Tensor):
        return [part]
    if isinstance(part, Mapping):
        return [t for value in part.values() for t in _tensors(value)]
    if isinstance(part, tuple):
        return [t for value in part for t in _tensors(value)]
    if is_dataclass(part) and not isinstance(part, type):
        return [t for f in fields(part) for t in _tensors(getattr(part, f.name))]
    return []


def _named_output(root: Scope, value: Value, made: Mapping[str, tuple[TypedValue, ...]]) -> str:
    """An output under the name of its layer, with a number where the layer has several."""
    output = made[value.node][value.index]
    name = value.node if value.index == 0 else f"{value.node}/{value.index}"
    if name in root.nodes:
        name = f"{name}/output"
    root.nodes.setdefault(name, Node(name, "Identity", (output.value,), (), {"T": output.dtype}))
    return f"{name}:0"
