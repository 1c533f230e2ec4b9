"""The numbers of values that follow from the files alone, weights included."""

from __future__ import annotations

from collections.abc import Callable

from reprise import bounds
from reprise.graph import VARIABLES, Node, Value
from reprise.operators import fold, is_foldable
from reprise.structure import Structure
from reprise.tensors import Array, Tensor

#: Weights are parts, joins and transpositions of variables; a longer way to them is not followed.
_DEPTH = 24


class KnownNumbers:
    """Works out values on demand, and keeps them while a loop is looked at."""

    def __init__(
        self, structure: Structure, known: Callable[[Value], Array | None], variable: Callable[[Node], Tensor | None]
    ) -> None:
        """`known` gives the content of small values, `variable` the stored tensor of a variable node."""
        self._structure = structure
        self._known = known
        self._variable = variable
        self._left = bounds.WORKED_OUT
        self._held: dict[Value, Array | None] = {}

    def of(self, value: Value, depth: int = 0) -> Array | None:
        """The numbers of `value`, None where they depend on an input or a state."""
        value = self._structure.origin(value)
        if value not in self._held:
            self._held[value] = None if depth > _DEPTH else self._computed(value, depth)
        return self._held[value]

    def _computed(self, value: Value, depth: int) -> Array | None:
        node = self._structure.graph.nodes.get(value.node)
        if node is None:
            return None
        if node.op in VARIABLES:
            stored = self._variable(node)
            return None if stored is None else stored.load()
        if node.op == "ReadVariableOp":
            return self.of(node.inputs[0], depth + 1)
        if node.op == "Const":
            return node.tensor("value").load()
        return self._folded(node, value.index, depth)

    def _folded(self, node: Node, index: int, depth: int) -> Array | None:
        if not is_foldable(node.op):
            return self._known(Value(node.name, index))
        inputs = []
        for part in node.inputs:
            numbers = self.of(part, depth + 1)
            if numbers is None:
                return None
            inputs.append(numbers)
        made = fold(node, inputs)
        self._left -= sum(array.nbytes for array in made or ())
        if self._left < 0:
            return None
        return None if made is None else made[index]
