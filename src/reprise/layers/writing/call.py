"""One call of a layer while its operators are written."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.graph import Value
from reprise.layers.writing.ops import Outside, TypedValue
from reprise.tensors import Shape


@dataclass(frozen=True, slots=True)
class LayerSite:
    """Where a layer is written.

    Attributes:
        ops: Writes operators.
        inputs: What it reads.
        mask: Which steps of the first input count, or None for all.
        initial: The first values of states, none where they are zeros.
        other_mask: Which steps of an attention's values count.
    """

    ops: Outside
    inputs: tuple[TypedValue, ...]
    mask: TypedValue | None
    initial: tuple[TypedValue, ...]
    other_mask: TypedValue | None

    @property
    def x(self) -> TypedValue:
        """The first input."""
        return self.inputs[0]

    def numbers(self, index: int = 0) -> Value:
        """An input in the type of the numbers."""
        return self.ops.cast(self.inputs[index])

    def output(self, value: Value, shape: Shape, dtype: str = "") -> tuple[TypedValue, ...]:
        """The only output of a layer."""
        return (TypedValue(value, shape, dtype or self.ops.dtype),)
