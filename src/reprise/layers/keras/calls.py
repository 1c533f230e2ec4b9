"""Where one layer of Keras is translated, and what it reads and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reprise.errors import DamagedFile
from reprise.graph import Value
from reprise.layers import kinds
from reprise.layers.keras.options import Options
from reprise.layers.keras.weights import LayerWeights
from reprise.layers.kinds import Layer
from reprise.layers.model import Call


@dataclass(frozen=True, slots=True)
class Symbol:
    """A value between layers: what makes it, its mask, and how many axes it has where that is known."""

    value: Value
    mask: Value | None = None


class LayerCalls:
    """The calls of a model under construction, each under a name of its own."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._names: set[str] = set()

    def add(self, name: str, layer: Layer, inputs: Sequence[Value] = (), **others: Any) -> Value:
        """A call; gives its first output."""
        unique, number = name, 1
        while unique in self._names:
            number += 1
            unique = f"{name}/call_{number}"
        self._names.add(unique)
        self.calls.append(Call(unique, layer, tuple(inputs), **others))
        return Value(unique)

    def layer_of(self, value: Value) -> Layer:
        """The layer that makes a value."""
        return next(call.layer for call in self.calls if call.name == value.node)

    def become(self, value: Value, layer: Layer) -> None:
        """Puts another layer in the place of the one that makes a value."""
        self.calls = [replace(c, layer=layer) if c.name == value.node else c for c in self.calls]

    def alike(self, a: Value, b: Value) -> bool:
        """Whether two values are one, or of equal layers that read the same."""
        made = {call.name: (call.layer, call.inputs) for call in self.calls}
        return a == b or (a.index == b.index and made[a.node] == made[b.node])


@dataclass(frozen=True, slots=True)
class KerasCall:
    """One layer of Keras, applied to something.

    Attributes:
        name: Its name; in a nested model `outer/inner`.
        kind: Its class.
        options: Its configuration.
        weights: Its weights.
        inputs: What it reads.
        named: What it is given by name, such as `initial_state`.
        calls: Where its translation goes.
        translated: Layers that were translated before, by what of Keras they are: so that one that is shared stays one.
    """

    name: str
    kind: str
    options: Options
    weights: LayerWeights
    inputs: tuple[Symbol, ...]
    named: Mapping[str, Any]
    calls: LayerCalls
    translated: dict[Any, tuple[Any, Layer]]

    @property
    def x(self) -> Symbol:
        """The first input.

        Raises:
            DamagedFile: There is none.
        """
        if not self.inputs:
            raise DamagedFile(f"{self.options.where}: it reads nothing; expected an input")
        return self.inputs[0]

    def put(self, layer: Layer, end: str = "", *, inputs: Sequence[Symbol] | None = None, **others: Any) -> Value:
        """A call of a layer on the inputs; `end` tells it apart where the translation has several."""
        content = self.options.content  # kept, so that no other has its id
        _, shared = self.translated.setdefault((id(content), end), (content, layer))
        read = self.inputs if inputs is None else inputs
        return self.calls.add(f"{self.name}{end}", shared, [s.value for s in read], **others)

    def plain(self, layer: Layer, *, mask: bool = True) -> tuple[Symbol, ...]:
        """One call on the first input; the mask goes on, unless told otherwise."""
        return (Symbol(self.put(layer, inputs=(self.x,)), self.x.mask if mask else None),)

    def inside(self, name: str, kind: str, options: Options, weights: LayerWeights) -> KerasCall:
        """The same place for a layer inside."""
        return replace(self, name=name, kind=kind, options=options, weights=weights, named={})


NOTHING = kinds.Activation(kinds.LINEAR)
