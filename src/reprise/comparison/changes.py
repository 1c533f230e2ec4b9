"""Which weights of two saved models differ, by layer and gate, and what else of them does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reprise import stack
from reprise.comparison.tables import table, vocabularies
from reprise.interface import Interface
from reprise.model import RecurrentModel
from reprise.stack import GATES, Stack, StackDense, StackEmbedding, StackRecurrent
from reprise.tensors import Array

GATE_NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "o": "output gate",
    "c": "candidate",
    "z": "update gate",
    "r": "reset gate",
}


@dataclass(frozen=True, slots=True)
class WeightsChange:
    """Weights that differ.

    Attributes:
        layer: The layer, such as `1 LSTM 512`; empty where the models are no stacks of layers.
        weights: Which of its weights, such as `forget gate, recurrent kernel`; or the name of a tensor.
        largest: The largest |a − b|; infinite where the shapes differ.
        relative: The root mean square of a − b by that of a.
        shapes: Both shapes, in words.
    """

    layer: str
    weights: str
    largest: float
    relative: float
    shapes: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two models. Printed, it is a report.

    Attributes:
        weights: The weights that differ, the most different first.
        compared: How many groups of weights were compared.
        layers: The layers of both, where they differ, or why they are not known.
        interface: What of the interface differs, a line each.
        vocabulary: How the vocabularies differ; empty where they do not.
        settings: What settings differ, a line each.
    """

    weights: tuple[WeightsChange, ...]
    compared: int
    layers: tuple[str, ...]
    interface: tuple[str, ...]
    vocabulary: str
    settings: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.weights or self.layers or self.interface or self.vocabulary or self.settings)

    def to_json(self) -> dict[str, Any]:
        """The same facts as plain data."""
        return {**asdict(self), "same": self.same}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        equal = self.compared - len(self.weights)
        yield f"weights: {equal} of {self.compared} are the same"
        rows = [(c.layer, c.weights, f"{c.largest:.3g}", f"{c.relative:.3g}", c.shapes) for c in self.weights]
        if rows:
            yield from table(("layer", "weights", "largest", "relative", "shape"), rows)
        for title in ("layers", "interface", "settings"):
            lines = getattr(self, title)
            yield f"{title}: {'the same' if not lines else ''}".rstrip()
            yield from (f"  {line}" for line in lines)
        yield f"vocabulary: {self.vocabulary or 'the same'}"


def diff(a: RecurrentModel, b: RecurrentModel) -> Changes:
    """What differs between two models: weights by layer and gate, layers, interface, vocabulary and settings.

    Models that are no stacks of standard layers are compared tensor by tensor: by their names, and where these
    differ, by their numbers.
    """
    stacks = [stack.recognise(m.lifted) for m in (a, b)]
    one, other = stacks
    by_layer = isinstance(one, Stack) and isinstance(other, Stack) and _kinds(one) == _kinds(other)
    if isinstance(one, Stack) and isinstance(other, Stack) and by_layer:
        pairs = [(layer, name, x, y) for (layer, name, x), (_, _, y) in zip(_parts(one), _parts(other), strict=True)]
    else:
        pairs = list(_by_name(a.lifted.numbers(), b.lifted.numbers()))
    found = [change for pair in pairs if (change := _change(*pair)) is not None]
    return Changes(
        tuple(sorted(found, key=lambda c: (-c.relative, c.layer, c.weights))),
        len(pairs),
        tuple(_layers(a, b, stacks)),
        tuple(_ports(a.interface, b.interface)),
        _vocabulary(a, b),
        tuple(_settings(a.interface, b.interface)),
    )


def _kinds(layers: Stack) -> list[tuple[str, ...]]:
    """What must agree for layers to be compared one by one: what they are, not how wide."""
    return [
        (
            type(x).__name__,
            getattr(x, "kind", ""),
            str(getattr(x, "reset_after", "")),
            str(getattr(x, "bias", 0) is None),
        )
        for x in layers.layers
    ]


def _parts(layers: Stack) -> Iterator[tuple[str, str, Array]]:
    """The weights of each layer, in groups that mean something."""
    for i, layer in enumerate(layers.layers):
        title = f"{i} {layer}"
        match layer:
            case StackEmbedding():
                yield title, "table", layer.table
            case StackDense():
                yield title, "kernel", layer.kernel
                if layer.bias is not None:
                    yield title, "bias", layer.bias
            case StackRecurrent():
                yield from ((title, name, array) for name, array in _gates(layer))


def _gates(layer: StackRecurrent) -> Iterator[tuple[str, Array]]:
    """Kernels and biases gate by gate. Where both biases are added to the same sum, only that sum means something."""
    for k, gate in enumerate(GATES[layer.kind]):
        rows = slice(k * layer.width, (k + 1) * layer.width)
        name = GATE_NAMES[gate] + ", " if len(GATES[layer.kind]) > 1 else ""
        yield f"{name}kernel", layer.kernel[rows]
        yield f"{name}recurrent kernel", layer.recurrent[rows]
        if layer.reset_after and gate == "c":
            yield f"{name}bias", layer.bias[rows]
            yield f"{name}recurrent bias", layer.recurrent_bias[rows]
        else:
            yield f"{name}bias", layer.bias[rows] + layer.recurrent_bias[rows]


def _by_name(a: Mapping[str, Array], b: Mapping[str, Array]) -> Iterator[tuple[str, str, Array, Array]]:
    """Tensors of the same name, and those of other names that hold the same numbers; then what only one has."""
    first, second = ({n: x for n, x in held.items() if x.ndim and x.dtype.kind not in "biuO"} for held in (a, b))
    yield from (("", name, first[name], second[name]) for name in first if name in second)
    left = {n: x for n, x in first.items() if n not in second}
    right = {n: x for n, x in second.items() if n not in first}
    for name, array in left.items():
        twin = next((n for n, x in right.items() if x.shape == array.shape and np.array_equal(x, array)), None)
        yield "", name, array, right.pop(twin) if twin is not None else _NONE
    yield from (("", name, _NONE, array) for name, array in right.items())


_NONE = np.zeros(0, np.float32)


def _change(layer: str, weights: str, a: Array, b: Array) -> WeightsChange | None:
    if a.shape != b.shape:
        words = " and ".join("none" if x is _NONE else "×".join(map(str, x.shape)) for x in (a, b))
        return WeightsChange(layer, weights, np.inf, np.inf, words)
    if np.array_equal(a, b, equal_nan=True):
        return None
    wide = a.astype(np.float64)
    apart = np.abs(wide - b)
    own = float(np.sqrt(np.mean(wide**2)))
    relative = float(np.sqrt(np.mean(apart**2))) / own if own else np.inf
    return WeightsChange(layer, weights, float(apart.max()), relative, "×".join(map(str, a.shape)))


def _layers(a: RecurrentModel, b: RecurrentModel, stacks: list[Stack | stack.NotAStack]) -> Iterator[str]:
    """The layers of both, where they differ."""
    lines = [str(x) if isinstance(x, Stack) else f"no stack of standard layers ({x.reason})" for x in stacks]
    if lines[0] != lines[1] and (any(isinstance(x, Stack) for x in stacks) or a.lifted.fast != b.lifted.fast):
        yield f"first: {lines[0]}"
        yield f"second: {lines[1]}"


def _ports(a: Interface, b: Interface) -> Iterator[str]:
    for kind in ("inputs", "outputs", "states"):
        one, other = ({p.name: _words(p) for p in getattr(face, kind)} for face in (a, b))
        for name in dict.fromkeys((*one, *other)):
            if one.get(name) != other.get(name):
                yield f"{kind[:-1]} {name}: {one.get(name, 'absent')}; {other.get(name, 'absent')}"
    if a.steppable != b.steppable:
        yield f"only the {'first' if a.steppable else 'second'} can be stepped"


def _words(port: Any) -> str:
    """What of a port a caller meets."""
    letters = {getattr(port, "time_axis", None): "T", port.batch_axis: "N"}
    sizes = ", ".join(str(n) if n is not None else letters.get(k, "?") for k, n in enumerate(port.shape))
    meaning = getattr(port, "role", "") or f"starts from {port.initial}"
    return f"{port.dtype}[{sizes}] {meaning}"


def _vocabulary(a: RecurrentModel, b: RecurrentModel) -> str:
    if (a.vocabulary is None) != (b.vocabulary is None):
        return f"only the {'second' if a.vocabulary is None else 'first'} has one"
    return vocabularies(a.vocabulary, b.vocabulary)


def _settings(a: Interface, b: Interface) -> Iterator[str]:
    one, other = ({s.name: s.value for s in face.settings} for face in (a, b))
    for name in dict.fromkeys((*one, *other)):
        values = [str(held[name]) if name in held else "absent" for held in (one, other)]
        if values[0] != values[1]:
            yield f"{name}: {values[0]}; {values[1]}"
