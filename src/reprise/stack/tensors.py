"""A stack as named arrays and plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reprise.stack.description import (
    ACTIVATIONS,
    GATES,
    STANDARD,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackLayer,
    StackOneHot,
    StackRecurrent,
    StatePart,
)
from reprise.tensors import Array

#: The arrays of each layer that has some.
_ARRAYS = {
    "embedding": ("table",),
    "recurrent": ("kernel", "recurrent", "bias", "recurrent_bias"),
    "dense": ("kernel", "bias"),
}


def to_tensors(stack: Stack) -> dict[str, Array]:
    """The weights by names such as `layers.1.kernel`; what they mean is in `to_json`."""
    held = {}
    for i, layer in enumerate(stack.layers):
        for name in _ARRAYS.get(_type(layer), ()):
            array = getattr(layer, name)
            if array is not None:
                held[f"layers.{i}.{name}"] = array
    return held


def to_json(stack: Stack) -> dict[str, Any]:
    """All but the weights, as plain data."""
    return {"layers": [_described(layer) for layer in stack.layers], "outputs": dict(stack.outputs)}


#: What files call the layers.
_TYPES: Mapping[type[StackLayer], str] = {
    StackEmbedding: "embedding",
    StackOneHot: "one-hot",
    StackFeatures: "features",
    StackRecurrent: "recurrent",
    StackDense: "dense",
    StackActivation: "activation",
}


def _type(layer: StackLayer) -> str:
    return _TYPES[type(layer)]


def _described(layer: StackLayer) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": _type(layer), "width": layer.width}
    match layer:
        case StackRecurrent():
            facts |= {"kind": layer.kind, "gates": GATES[layer.kind], "source": layer.source}
            facts |= {"activations": list(layer.activations), "reset_after": layer.reset_after}
            facts["parts"] = {k: {"state": p.state, "start": p.start} for k, p in layer.parts.items()}
        case StackDense():
            facts |= {"source": layer.source}
        case StackActivation():
            facts |= {"source": layer.source, "name": layer.name}
    return facts


def from_tensors(data: Any, arrays: Mapping[str, Array]) -> Stack:
    """The inverse of `to_json` and `to_tensors`, for data of any file.

    Raises:
        ValueError: It is not such data, or the sizes do not fit.
    """
    try:
        layers: list[StackLayer] = []
        for i, facts in enumerate(data["layers"]):
            own = {n: arrays.get(f"layers.{i}.{n}") for n in _ARRAYS.get(facts["type"], ())}
            layers.append(_layer(facts, own, layers))
        outputs = {str(name): _source(at, layers) for name, at in data["outputs"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its layers cannot be read ({error!r})") from error
    return Stack(tuple(layers), outputs)


def _source(at: Any, before: list[StackLayer]) -> int:
    if not isinstance(at, int) or not 0 <= at < len(before):
        raise ValueError(f"layer {at!r} is read before it exists")
    return at


def _layer(facts: Mapping[str, Any], own: Mapping[str, Array | None], before: list[StackLayer]) -> StackLayer:
    if (facts["type"] in ("embedding", "one-hot", "features")) != (not before):
        raise ValueError(f"a layer of type {facts['type']} is in the wrong position")
    if facts["type"] in ("one-hot", "features"):
        width = int(facts["width"])
        return StackOneHot(width) if facts["type"] == "one-hot" else StackFeatures(width)
    if facts["type"] == "embedding":
        return StackEmbedding(_sized(own["table"], (None, None)))
    source = _source(facts["source"], before)
    width = before[source].width
    if facts["type"] == "dense":
        kernel, bias = _sized(own["kernel"], (width, None)), own["bias"]
        return StackDense(source, kernel, bias if bias is None else _sized(bias, (kernel.shape[1],)))
    if facts["type"] == "activation" and facts["name"] in ACTIVATIONS:
        return StackActivation(source, facts["name"], width)
    return _recurrent(facts, own, source, width)


def _recurrent(facts: Mapping[str, Any], own: Mapping[str, Array | None], source: int, width: int) -> StackRecurrent:
    kind, units = facts["kind"], int(facts["width"])
    if facts["type"] != "recurrent" or facts["gates"] != GATES[kind]:
        raise ValueError(f"a layer of type {facts['type']} with gates {facts.get('gates')!r} is unknown")
    activations = tuple(str(a) for a in facts["activations"])
    parts = {str(k): StatePart(str(p["state"]), int(p["start"])) for k, p in facts["parts"].items()}
    if len(activations) != len(STANDARD[kind]) or list(parts) != (["h", "c"] if kind == "LSTM" else ["h"]):
        raise ValueError(f"a layer of kind {kind} has other activations or states")
    rows = len(GATES[kind]) * units
    kernel, recurrent = _sized(own["kernel"], (rows, width)), _sized(own["recurrent"], (rows, units))
    biases = _sized(own["bias"], (rows,)), _sized(own["recurrent_bias"], (rows,))
    return StackRecurrent(kind, source, kernel, recurrent, *biases, activations, parts, bool(facts["reset_after"]))


def _sized(array: Array | None, shape: tuple[int | None, ...]) -> Array:
    fits = array is not None and len(array.shape) == len(shape)
    if array is None or not fits or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"expected weights of shape {list(shape)}, found {array if array is None else array.shape}")
    if array.dtype != "float32":
        raise ValueError(f"expected weights of type float32, found {array.dtype}")
    return array
