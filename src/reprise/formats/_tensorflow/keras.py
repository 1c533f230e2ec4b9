"""Models of Keras 2 in SavedModels without functions (`save_traces=False`): their configuration, and weights by object.

The configuration of every object stands as JSON in `keras_metadata.pb`, that of the model as `root`. In the checkpoint
the layers that have weights are `layer_with_weights-0` and so on, in the order of the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._keras import models
from reprise.layers import Layers
from reprise.layers.keras import LayerWeights, Spec, Tree, in_a_tree, translate
from reprise.tensors import Tensor
from reprise.wire import messages

_METADATA, _ROOT = "keras_metadata.pb", "root"
_TENSOR = "/.ATTRIBUTES/VARIABLE_VALUE"
_LAYER = re.compile(r"layer_with_weights-(\d{1,6})")


def layers(folder: Path, tensors: Mapping[str, Tensor], custom: Mapping[str, Any]) -> Layers | None:
    """The layers of the model in a folder with the tensors of its checkpoint; None where no configuration is there.

    Raises:
        DamagedFile: The configuration contradicts itself, or the weights are those of another model.
        LiftError: A layer has no translation.
    """
    file = folder / _METADATA
    if not file.is_file():
        return None
    objects = messages.parse("KerasMetadata", models.read_text(file), file).nodes
    described = next((one.metadata for one in objects if one.node_path == _ROOT), None)
    if described is None:
        raise DamagedFile(f"{file}: does not describe the model; expected an object at {_ROOT!r}. Copy it again.")
    found = models.configuration(described, str(file), hook=_plain)
    tree = _tree({name.removesuffix(_TENSOR): t for name, t in tensors.items() if name.endswith(_TENSOR)})

    def stored(spec: Spec, _: Sequence[str]) -> LayerWeights:
        return _weights(str(folder), spec, tree)

    return translate(found.content, found.version, stored, custom)


def _plain(held: dict[str, Any]) -> Any:
    """A list where the JSON has a tuple by name."""
    return held["items"] if held.get("class_name") == "__tuple__" and isinstance(held.get("items"), list) else held


def _tree(tensors: Mapping[str, Tensor]) -> Tree:
    """Objects by the paths of their tensors."""
    own = {path: tensor for path, tensor in tensors.items() if "/" not in path}
    inner: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        name, slash, rest = path.partition("/")
        if slash:
            inner.setdefault(name, {})[rest] = tensor
    return Tree(own, {name: _tree(held) for name, held in inner.items()})


def _weights(place: str, spec: Spec, tree: Tree) -> LayerWeights:
    """The weights of a layer, or of a model whose layers are numbered."""
    numbers = {int(match[1]): name for name in tree.inner if (match := _LAYER.fullmatch(name))}
    if not numbers:
        return in_a_tree(place, spec, tree)
    wanted = [key for key, one in spec.inner.items() if one.size]
    if len(wanted) != len(numbers):
        raise DamagedFile(
            f"{place}: {len(wanted)} layers have weights by the configuration, and {len(numbers)} do in the "
            "checkpoint; they belong to another model"
        )
    held = [(numbers[n], tree.inner[numbers[n]]) for n in sorted(numbers)]
    pairs = zip(wanted, held, strict=True)
    return LayerWeights(
        place, {}, {key: _weights(f"{place}/{name}", spec.inner[key], one) for key, (name, one) in pairs}
    )
