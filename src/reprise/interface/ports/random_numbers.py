"""Random numbers that a program adds to what its recurrence computed: a draw, not a result."""

from __future__ import annotations

from collections.abc import Collection

from reprise.graph import Value
from reprise.interface.analysis.influence import SHAPE_ONLY, Influence
from reprise.interface.analysis.settings import RANDOM
from reprise.structure import Structure

#: What dropout makes of random numbers before it multiplies with them.
_MASKS = frozenset("Floor Greater GreaterEqual Less LessEqual".split())


class RandomDraws:
    """Which values are draws: random numbers were added to them, and not by way of the recurrence."""

    def __init__(self, structure: Structure, leaving: Collection[Value]) -> None:
        """`leaving` are the values that the recurrences give."""
        drawn = [Value(n.name) for n in structure.graph if n.op in RANDOM]
        self._influence = Influence(structure, drawn, SHAPE_ONLY | _MASKS)
        self._before = 0
        for value in leaving:
            self._before |= self._influence.mask(value)

    def __contains__(self, value: Value) -> bool:
        """Whether `value` is a draw."""
        return bool(self._influence.mask(value) & ~self._before)
