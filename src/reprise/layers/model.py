"""A model as a graph of layers."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.graph import Value
from reprise.layers.kinds import Layer


@dataclass(frozen=True, slots=True)
class Call:
    """A layer applied to values. A layer that is shared is the same object in several calls.

    Attributes:
        name: Unique in the model; what the file calls the layer, in a nested model `outer/inner`.
        layer: What is computed.
        inputs: What it reads: output k of the call of that name.
        mask: Which steps of its first input count, or None for all.
        initial: The first values of a recurrent layer's states, none where they are zeros.
        other_mask: Attention: which steps of the value count.
    """

    name: str
    layer: Layer
    inputs: tuple[Value, ...] = ()
    mask: Value | None = None
    initial: tuple[Value, ...] = ()
    other_mask: Value | None = None


@dataclass(frozen=True, slots=True)
class Layers:
    """A model.

    Attributes:
        calls: Each after those whose outputs it reads.
        outputs: What the model gives, in order.
        notes: What is to be said of how it was read, for the evidence.
    """

    calls: tuple[Call, ...]
    outputs: tuple[Value, ...]
    notes: tuple[str, ...] = ()
