"""LSTM models of Neural Amp Modeler (`.nam`): JSON with the sizes and one flat list of weights.

For each layer the list holds [4H, D + H] (for input and hidden state together, gates i, f, g, o), the bias [4H], and
the first hidden and cell state [H] each; then the head, [outputs, H] and its biases, of one output where none is named.
A container (from version 0.7 on) holds models of several sizes; the last, the whole one, is what its program begins
with. Source: NeuralAmpModelerCore, NAM/lstm.cpp and NAM/container.cpp.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, UnknownFormat
from reprise.files import first_bytes
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.modules import Matrix, ModuleChain, RecurrentModule
from reprise.formats._torch.onnx import model_of
from reprise.tensors import Array, Tensor
from reprise.wire import json_object

_HEAD = 65536
_LARGEST = 2**26


def sniff(path: Path) -> str | None:
    """Evidence of a model of Neural Amp Modeler: JSON that names an architecture and, at its end, a sample rate."""
    head = first_bytes(path, _HEAD)
    named = b'"architecture"' in head and b'"weights"' in head and b'"config"' in head
    return "it is JSON with an architecture, its config and weights" if named and head.lstrip()[:1] == b"{" else None


def read(path: Path) -> StoredModel:
    """The LSTM in a file; it begins from the state that the file holds."""
    try:
        content, notes = _whole(json_object.read(path, _LARGEST))
        if content.get("architecture") != "LSTM":
            raise UnknownFormat(
                f"{path}: is a Neural Amp Modeler file of the architecture {content.get('architecture')!r}, which is "
                "not recurrent; only LSTM is read."
            )
        chain, first = _chain(path, content["config"], np.asarray(content["weights"], np.float32))
    except (KeyError, TypeError, ValueError, OverflowError, IndexError, AttributeError) as error:
        raise DamagedFile(f"{path}: its config or weights cannot be read ({error}). Copy it again.") from error
    rate = content.get("sample_rate")
    rate = rate if isinstance(rate, (int, float)) and rate > 0 else None
    weights = {f"{m.name}.{n}": t for m in chain.recurrent for n, t in m.weights.items()}
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        weights=weights | {m.name: m.weight for m in chain.heads},
        files=(path,),
        notes=(*notes, *([] if rate is None else [f"made for {rate:g} samples a second"])),
        metadata={"sample_rate": rate},
        foreign=model_of(chain, first=first),
    )


def _whole(content: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The model in a file, of several in a container the whole one, and what is to be said of that."""
    if content.get("architecture") != "SlimmableContainer":
        return content, ()
    models = content["config"]["submodels"]
    whole = {"sample_rate": content.get("sample_rate"), **models[-1]["model"]}
    return whole, (f"of {len(models)} models of several sizes the whole one, the last, is taken",)


def _chain(path: Path, config: dict[str, Any], flat: Array) -> tuple[ModuleChain, dict[str, Array]]:
    """The layers and the head, and the first states [layers, 1, H] of the layers together."""
    inputs, units, layers = (int(config[k]) for k in ("input_size", "hidden_size", "num_layers"))
    outputs = int(config.get("out_channels", 1))
    first_layer, other = (4 * units * (n + units) + 6 * units for n in (inputs, units))
    wanted = first_layer + (layers - 1) * other + outputs * (units + 1)
    if int(config.get("in_channels", inputs)) != inputs:
        raise ValueError(f"{config['in_channels']} channels for {inputs} inputs")
    if min(inputs, units, layers, outputs) < 1 or flat.ndim != 1 or flat.size != wanted:
        raise ValueError(
            f"{flat.size} weights, where {layers} layers of {units} units on {inputs} inputs have {wanted}"
        )
    at = 0

    def pieces(*shape: int) -> Array:
        nonlocal at
        at += math.prod(shape)
        return flat[at - math.prod(shape) : at].reshape(shape)

    held: dict[str, Tensor] = {}
    first: dict[str, list[Array]] = {"h": [], "c": []}
    for layer in range(layers):
        width = inputs if layer == 0 else units
        both = pieces(4 * units, width + units)
        held[f"weight_ih_l{layer}"] = _tensor(path, both[:, :width])
        held[f"weight_hh_l{layer}"] = _tensor(path, both[:, width:])
        held[f"bias_ih_l{layer}"] = _tensor(path, pieces(4 * units))
        first["h"].append(pieces(1, units))
        first["c"].append(pieces(1, units))
    module = RecurrentModule("lstm", "LSTM", inputs, units, layers, 1, is_cell=False, relu=False, weights=held)
    head = Matrix("head", _tensor(path, pieces(outputs, units)), _tensor(path, pieces(outputs)))
    return ModuleChain(None, (module,), (head,), ()), {f"lstm.{kind}": np.stack(rows) for kind, rows in first.items()}


def _tensor(path: Path, array: Array) -> Tensor:
    return Tensor("float32", array.shape, lambda: array, path.name)


FORMAT = Format(
    name="Neural Amp Modeler",
    spec="NeuralAmpModelerCore, NAM/lstm.cpp",
    sniff=sniff,
    read=read,
)
