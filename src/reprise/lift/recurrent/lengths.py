"""Rows of a batch that end before the others: TensorFlow computes on, but keeps their states and writes zeros.

`dynamic_rnn(sequence_length=…)` selects, by `step >= lengths`, the last state instead of the next, and zeros instead of
the output. Where every state and every output is so protected, ONNX's `sequence_lens` says the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reprise.graph import Value
from reprise.operators import Tag, named
from reprise.structure import Carried, Loop, Structure

_SELECTS = named(Tag.SELECT)


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """What a loop writes at each step.

    Attributes:
        value: It, while a row of the batch goes on.
        after: What is written after the end of a row, a value that no step changes; None where rows do not end.
    """

    value: Value
    after: Value | None = None


class Lengths:
    """Reads the selections of one loop."""

    def __init__(self, structure: Structure, loop: Loop, numbers: Collection[Value]) -> None:
        """`numbers` are values that hold the number of the iteration."""
        self._structure = structure
        self._loop = loop
        self._numbers = numbers

    def next_state(self, carried: Carried) -> tuple[Value, Value | None]:
        """The next value of a variable, and the lengths after which it stays (None where it never does)."""
        chosen = self._selected(carried.leaving)
        if chosen is None or self._structure.source(chosen[1]) != carried.entering:
            return carried.leaving, None
        return chosen[2], chosen[0]

    def row(self, value: Value, lengths: Value | None) -> WrittenRow | None:
        """What is written, None where it is not protected by `lengths` as it must be."""
        if lengths is None:
            return WrittenRow(value)
        chosen = self._selected(value)
        if chosen is None or chosen[0] != lengths or not self._is_outside(chosen[1]):
            return None
        return WrittenRow(chosen[2], chosen[1])

    def _selected(self, value: Value) -> tuple[Value, Value, Value] | None:
        """(lengths, after the end, before it) of a selection by lengths."""
        node = self._structure.graph[self._structure.source(value).node]
        if node.op not in _SELECTS:
            return None
        flag = self._structure.graph[self._structure.source(node.inputs[0]).node]
        if flag.op != "GreaterEqual" or self._structure.source(flag.inputs[0]) not in self._numbers:
            return None
        if not self._is_outside(flag.inputs[1]):
            return None
        return self._structure.origin(flag.inputs[1]), node.inputs[1], node.inputs[2]

    def _is_outside(self, value: Value) -> bool:
        value = self._structure.source(value)
        return value in self._loop.constants or not self._structure.is_inside(value, self._loop)
