"""Models of RTNeural: JSON that lists layers with their weights, in the order of the gates of Keras.

Source: RTNeural's python/model_utils.py and RTNeural/model_loader.h.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, LiftError
from reprise.files import first_bytes
from reprise.formats._base import Format, StoredModel
from reprise.formats._in_a_row import cell_layer, float_tensor, in_a_row, layout
from reprise.layers import Layers
from reprise.layers.kinds import Activation, ActivationFunction, Dense, Layer
from reprise.tensors import Array, Tensor

_HEAD = 4096
_LARGEST = 2**28
_BEGINS = re.compile(rb'^\s*\{\s*"(?:in_shape|layers)"\s*:')
_ACTIVATIONS = {"tanh", "relu", "sigmoid", "softmax", "elu"}


def sniff(path: Path) -> str | None:
    """Evidence of a model of RTNeural: JSON that begins with the shape of its input, or its layers."""
    head = first_bytes(path, _HEAD)
    return "it is JSON with layers and their weights" if _BEGINS.match(head) and b'"type"' in head else None


def read(path: Path) -> StoredModel:
    """The layers in a file."""
    try:
        if path.stat().st_size > _LARGEST:
            raise DamagedFile(f"{path}: has {path.stat().st_size} bytes; weights as JSON are read up to {_LARGEST}.")
        content = json.loads(path.read_bytes())
        stored = StoredModel(
            path=path,
            format=FORMAT.name,
            evidence=sniff(path) or "it is named so",
            graph=None,
            weights=dict(_weights(content)),
            files=(path,),
        )
        return replace(stored, layers=_model(content))
    except LiftError as obstacle:
        return replace(stored, obstacle=str(obstacle))
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DamagedFile(f"{path}: is not a complete model of RTNeural ({why}). Copy it again.") from error


def _model(content: Mapping[str, Any]) -> Layers:
    size = content["in_shape"][-1]
    layers = [one for k, entry in enumerate(content["layers"]) for one in _layer(f"layer{k}", entry)]
    return in_a_row("float32", (None, None, int(size)), layers)


def _layer(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Layer]]:
    """A layer and, where it has one, its activation."""
    kind = str(entry["type"])
    make = _KINDS.get(kind)
    if make is None and kind != "activation":
        raise LiftError(f"{name} is a {kind!r}, which is not read; {', '.join(_KINDS)} are.")
    if make is not None:
        yield f"{name}.{kind}", make([np.asarray(w, np.float32) for w in entry["weights"]])
    function = str(entry.get("activation") or "")
    if function and not kind.startswith(("lstm", "gru")):
        if function not in _ACTIVATIONS:
            raise LiftError(f"{name} has the activation {function!r}, which is not read.")
        yield f"{name}.{function}", Activation(ActivationFunction(function))


def _dense(weights: list[Array]) -> Layer:
    return Dense(float_tensor(weights[0]), float_tensor(weights[1]) if len(weights) > 1 else None)


def _lstm(weights: list[Array]) -> Layer:
    return cell_layer(layout("Keras LSTM"), *weights[:3])


def _gru(weights: list[Array]) -> Layer:
    """Keras' GRU that resets after its product, with a bias for the input and one for the state."""
    kernel, recurrent, biases = weights[:3]
    return cell_layer(layout("Keras GRU, reset_after=True"), kernel, recurrent, biases[0], biases[1])


_KINDS: Mapping[str, Callable[[list[Array]], Layer]] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "lstm": _lstm,
    "gru": _gru,
}


def _weights(content: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for k, entry in enumerate(content["layers"]):
        for i, numbers in enumerate(entry.get("weights", ())):
            yield f"layer{k}.{entry['type']}.{i}", float_tensor(numbers)


FORMAT = Format(name="RTNeural", spec="RTNeural/model_loader.h", sniff=sniff, read=read)
