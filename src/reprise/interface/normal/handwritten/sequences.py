"""A loop that is under reconstruction: sequences that it reads and writes in the order of its iterations."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.frame import Frame
from reprise.graph import Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.normal.handwritten.counting import Counting, LoopCount, of_size
from reprise.operators.rules.sizes import Dim
from reprise.structure import Loop, Structure


@dataclass(frozen=True, slots=True)
class RewrittenLoop:
    """One loop that is rewritten.

    Attributes:
        structure: The graph.
        facts: Its shapes.
        loop: The loop.
        counting: Its counters.
        trips: How many iterations it has, None where several limits end it.
        frame: Where new nodes go.
    """

    structure: Structure
    facts: Facts
    loop: Loop
    counting: Counting
    trips: LoopCount | None
    frame: Frame

    def in_order(self, name: str, stacked: Value, size: Dim, index: LoopCount, dtype: str) -> Value | None:
        """The sequence whose row k is row `index` of `stacked`, which has `size` rows; None where that is not known."""
        frame, first = self.frame, index.first()
        if index.each == 1 and first == LoopCount():
            return stacked
        if index.each == 1:
            start = frame.make(f"{name}/start", "Pack", (self.counting.emit(first, frame, f"{name}/first"),), T="int32")
            bounds = (start, frame.number(f"{name}/end", [0]), frame.number(f"{name}/strides", [1]))
            return frame.make(f"{name}/rest", "StridedSlice", (stacked, *bounds), end_mask=1, T=dtype)
        last = of_size(size).plus(LoopCount(constant=-1))
        if index.each != -1 or first != last or self.trips != first.plus(LoopCount(constant=1)):
            return None
        return self.backwards(name, stacked, dtype)

    def backwards(self, name: str, rows: Value, dtype: str) -> Value:
        """A sequence from its last row to its first."""
        return self.frame.make(
            f"{name}/backwards", "ReverseV2", (rows, self.frame.number(f"{name}/axis", [0])), T=dtype
        )

    def moved(self, name: str, value: Value, order: list[int], dtype: str) -> Value:
        """`value` with its axes in another order."""
        if order == sorted(order):
            return value
        return self.frame.make(
            f"{name}/transpose", "Transpose", (value, self.frame.number(f"{name}/perm", order)), T=dtype
        )
