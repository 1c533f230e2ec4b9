"""The layers of a stack, and what they are called in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reprise.tensors import Array

#: The gates of each kind of recurrent layer, in ONNX's order, which is that of the weights in a stack.
GATES = {"LSTM": "iofc", "GRU": "zrc", "RNN": "c"}


@dataclass(frozen=True, slots=True)
class NotAStack:
    """Why a model is not a stack of standard layers."""

    reason: str


@dataclass(frozen=True, slots=True)
class StackEmbedding:
    """Ids → rows of a table [V, E]."""

    table: Array

    @property
    def width(self) -> int:
        """E."""
        return int(self.table.shape[1])

    def __str__(self) -> str:
        return f"embedding {self.table.shape[0]}×{self.width}"


@dataclass(frozen=True, slots=True)
class StackOneHot:
    """Ids → vectors with a one at the id; zeros alone for an id that is beyond."""

    width: int

    def __str__(self) -> str:
        return f"one-hot {self.width}"


@dataclass(frozen=True, slots=True)
class StackFeatures:
    """Vectors as they are given."""

    width: int

    def __str__(self) -> str:
        return f"features {self.width}"


@dataclass(frozen=True, slots=True)
class StatePart:
    """Where a layer's h or c lies: columns `start` to `start + H` of each row of the state `state`.

    A row of a state is what belongs to one row of the batch, as a vector: its axes but that of the batch, in order.
    """

    state: str
    start: int


@dataclass(frozen=True, slots=True)
class StackRecurrent:
    """A recurrent layer, over all steps.

    Attributes:
        kind: `LSTM`, `GRU` or `RNN`.
        source: Which layer it reads.
        kernel: [gates · H, D], with the gates in the order of `GATES`.
        recurrent: [gates · H, H].
        bias: [gates · H], of the input.
        recurrent_bias: [gates · H].
        activations: Those of the gates, the candidate, and the LSTM's output, as ONNX calls them.
        parts: Where h lies, and c of an LSTM.
        reset_after: Whether a GRU applies its reset gate after the recurrent product.
    """

    kind: str
    source: int
    kernel: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array
    activations: tuple[str, ...]
    parts: Mapping[str, StatePart]
    reset_after: bool = False

    @property
    def width(self) -> int:
        """H."""
        return int(self.recurrent.shape[1])

    @property
    def standard(self) -> bool:
        """Whether its activations are those that every framework has unless told otherwise."""
        return self.activations == STANDARD[self.kind]

    def __str__(self) -> str:
        return f"{self.kind} {self.width}" + ("" if self.standard else f" ({', '.join(self.activations).lower()})")


@dataclass(frozen=True, slots=True)
class StackDense:
    """x · kernel [D, O] + bias [O]."""

    source: int
    kernel: Array
    bias: Array | None

    @property
    def width(self) -> int:
        """O."""
        return int(self.kernel.shape[1])

    def __str__(self) -> str:
        return f"dense {self.width}"


@dataclass(frozen=True, slots=True)
class StackActivation:
    """One of `ACTIVATIONS`, of each number, or over the last axis."""

    source: int
    name: str
    width: int

    def __str__(self) -> str:
        return self.name.lower()


StackLayer = StackEmbedding | StackOneHot | StackFeatures | StackRecurrent | StackDense | StackActivation

#: Activations that may stand for themselves; those of a recurrent layer are the first three.
ACTIVATIONS = ("Sigmoid", "Tanh", "Relu", "Softmax", "LogSoftmax")
STANDARD = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers, each of which reads one before it. Printed, it is one line.

    Attributes:
        layers: The first is what the input enters by.
        outputs: Output port → which layer it is, in the order of the interface.
    """

    layers: tuple[StackLayer, ...]
    outputs: Mapping[str, int]

    def recurrent(self) -> Iterator[tuple[int, StackRecurrent]]:
        """The recurrent layers, each with its number."""
        return ((i, layer) for i, layer in enumerate(self.layers) if isinstance(layer, StackRecurrent))

    @property
    def weights(self) -> int:
        """How many numbers the recurrent layers have: those that every step reads."""
        return sum(int(layer.kernel.size + layer.recurrent.size) for _, layer in self.recurrent())

    def __str__(self) -> str:
        return " → ".join(self._words())

    def _words(self) -> Iterator[str]:
        for i, layer in enumerate(self.layers):
            source = getattr(layer, "source", i - 1)
            yield str(layer) + (f" (of {self.layers[source]})" if source != i - 1 else "")
