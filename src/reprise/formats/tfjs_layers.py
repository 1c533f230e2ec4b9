"""Layers models of TensorFlow.js: a configuration of Keras in `model.json`, its weights in raw files beside it.

TensorFlow.js computes as Keras 2 does; where it saved the model itself, all weights that are trained come first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._keras import models
from reprise.formats._tensorflow import tfjs
from reprise.layers.keras import LayerWeights, Spec, translate, weight_paths, weights_in_order
from reprise.tensors import Tensor

#: What TensorFlow.js calls its own version, and the Keras that it computes as.
_OWN, _ITS_KERAS = "tfjs-layers", "2.2.4"
_COUNTED = re.compile(r"_\d+$")


def sniff(path: Path) -> str | None:
    """Evidence of such a model: how its `model.json` begins."""
    return tfjs.sniff(path, graph=False)


def read(path: Path, *, custom: Mapping[str, Any] | None = None) -> StoredModel:
    """The layers in a `model.json`, or in a folder with one."""
    found = tfjs.content(path)
    file, topology = found.files[0], found.topology
    converted = isinstance(topology.get("model_config"), dict)
    version = topology.get("keras_version")
    own = not isinstance(version, str) or version.startswith(_OWN)
    description = topology["model_config"] if converted else topology
    config = models.configuration(json.dumps(description), str(file), _ITS_KERAS if own else version)
    bind = _by_layer(file, found.weights) if converted else _in_all(file, found.weights)
    beside = _sidecars.find(file.parent)
    made = translate(config.content, config.version, bind, models.custom_layers(custom))
    return beside.model(
        path,
        FORMAT,
        notes=made.notes,
        layers=made,
        weights=found.weights,
        files=found.files,
        metadata={"keras_version": version} if isinstance(version, str) else {},
    )


def _in_all(file: Path, weights: Mapping[str, Tensor]) -> Callable[[Spec, Sequence[str]], LayerWeights]:
    """Those of a model that TensorFlow.js saved itself."""

    def bind(spec: Spec, _names: Sequence[str]) -> LayerWeights:
        return _row(str(file), spec, list(weights.items()))

    return bind


def _by_layer(file: Path, weights: Mapping[str, Tensor]) -> Callable[[Spec, Sequence[str]], LayerWeights]:
    """Those of a model of Keras: layer after layer; those that begin with the name of one are its own."""

    def bind(spec: Spec, names: Sequence[str]) -> LayerWeights:
        wanted = {key: name for key, name in zip(spec.inner, names, strict=True) if spec.inner[key].size}
        held: dict[str, list[tuple[str, Tensor]]] = {}
        for name, tensor in weights.items():
            held.setdefault(name.partition("/")[0], []).append((name, tensor))
        named = {key: held.pop(name) for key, name in wanted.items() if len(held.get(name, ())) == spec.inner[key].size}
        left = [pair for row in held.values() for pair in row]
        rest = sum(spec.inner[key].size for key in wanted if key not in named)
        if rest != len(left):
            raise DamagedFile(
                f"{file}: lists {len(left)} weights that no layer is named for, and {rest} are missing by the "
                f"configuration ({', '.join(name for name, _ in left[:4]) or 'none'}); they belong to another model"
            )
        rows = {key: named.get(key) or _pop_first(left, spec.inner[key].size) for key in wanted}
        inner = {key: _row(f"layer {wanted[key]!r}", spec.inner[key], row) for key, row in rows.items()}
        return LayerWeights(str(file), {}, inner)

    return bind


def _pop_first(left: list[tuple[str, Tensor]], count: int) -> list[tuple[str, Tensor]]:
    row, left[:] = left[:count], left[count:]
    return row


def _row(place: str, spec: Spec, weights: Sequence[tuple[str, Tensor]]) -> LayerWeights:
    """Weights in Keras' order, whose names must not say that they have other roles.

    Raises:
        DamagedFile: They do, or there are more or fewer.
    """
    made = weights_in_order(place, spec, [tensor for _, tensor in weights])
    roles = [path[-1] for path in weight_paths(spec)]
    for role, (name, _) in zip(roles, weights, strict=True):
        stated = _COUNTED.sub("", name.rpartition("/")[2])
        if stated != role and stated in roles:
            raise DamagedFile(f"{place}: expected its {role}, found {name!r}; the weights are in another order")
    return made


FORMAT = Format(
    name="TensorFlow.js layers",
    spec="tfjs-layers/src/models.ts and tfjs-converter's write_weights.py",
    sniff=sniff,
    read=read,
    choices=("custom",),
)
