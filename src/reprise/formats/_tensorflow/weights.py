"""The weights in a checkpoint of TensorFlow 2, under the names of Keras' layers, where objects are layers.

Its object graph (`tensorflow/core/protobuf/trackable_object_graph.proto`) has an object for each layer of a model:
`layer-0`, `layer-1` and so on in Keras 2, `0`, `1` in the list `_operations` in Keras 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.tensors import Tensor
from reprise.weights.keras import KerasFacts
from reprise.wire import messages

_LAYER = re.compile(r"layer-(\d{1,6})")
_LISTS = ("_operations", "layers", "_layers")
#: Children of the root that are no part of the model.
_OTHERS = frozenset({"optimizer", "_optimizer", "save_counter", "step", "global_step"})
_CELL = re.compile(r"/(lstm|gru|simple_rnn)_cell(_\d+)?/")


@dataclass(frozen=True, slots=True)
class ObjectWeights:
    """Weights by name, in the order of the layers, and what the objects say besides them."""

    weights: Mapping[str, Tensor]
    facts: KerasFacts


def of_objects(objects: Tensor, tensors: Mapping[str, Tensor], index: Path) -> ObjectWeights:
    """The weights of the model that a checkpoint holds; what its optimizer keeps is left out.

    Raises:
        DamagedFile: An object refers to one that is not there.
    """
    graph = _Objects(messages.parse("TrackableObjectGraph", objects.load().item(), index).nodes, tensors, index)
    layers = graph.layers()
    if layers is None:
        return ObjectWeights(graph.named([0]), KerasFacts(sigmoid=False, ordered=False, silent=(None,)))
    held = {number: graph.named([number]) for number in layers}
    silent = [None for place, number in enumerate(layers) if not held[number] and place]
    weights = {name: tensor for one in held.values() for name, tensor in one.items()}
    sigmoid = any(_CELL.search(f"/{name}") for name in weights)  # since TensorFlow 2.2; before, a hard one may be meant
    return ObjectWeights(weights, KerasFacts(sigmoid=sigmoid, ordered=True, silent=tuple(silent)))


class _Objects:
    """The objects of a checkpoint by number."""

    def __init__(self, nodes: Sequence[Any], tensors: Mapping[str, Tensor], index: Path) -> None:
        self._nodes, self._tensors, self._index = nodes, tensors, index

    def layers(self) -> list[int] | None:
        """The layers of the first model that is found, in their order; None where no object is a list of layers."""
        for number in self._reached([0]):
            children = self._children(number)
            counted = {int(m[1]): child for name, child in children.items() if (m := _LAYER.fullmatch(name))}
            if not counted:
                lists = [self._children(children[name]) for name in _LISTS if name in children]
                numbered = next((one for one in lists if one and all(n.isdecimal() for n in one)), {})
                counted = {int(name[:9]): child for name, child in numbered.items()}
            if counted:
                return [counted[i] for i in sorted(counted)]
        return None

    def named(self, roots: Sequence[int]) -> dict[str, Tensor]:
        """The tensors below some objects, by the names that their variables had, by their paths where these repeat."""
        held = [one for number in self._reached(roots) for one in self._nodes[number].attributes]
        held = [one for one in held if one.checkpoint_key in self._tensors]
        apart = len({one.full_name for one in held}) == len(held) and all("/" in one.full_name for one in held)
        return {
            one.full_name if apart else one.checkpoint_key.partition("/.ATTRIBUTES")[0]: self._tensors[
                one.checkpoint_key
            ]
            for one in held
        }

    def _reached(self, roots: Sequence[int]) -> Iterator[int]:
        """Objects below some others, nearest first, each once."""
        pending, seen = list(roots), set(roots)
        while pending:
            number = pending.pop(0)
            yield number
            below = [child for name, child in self._children(number).items() if number or name not in _OTHERS]
            new = [child for child in dict.fromkeys(below) if child not in seen]
            seen.update(new)
            pending += new

    def _children(self, number: int) -> dict[str, int]:
        """An object's children by name.

        Raises:
            DamagedFile: There is no such object.
        """
        if not 0 <= number < len(self._nodes):
            raise DamagedFile(
                f"{self._index}: an object refers to number {number} of {len(self._nodes)}; it is damaged."
            )
        return {child.local_name: child.node_id for child in self._nodes[number].children}
