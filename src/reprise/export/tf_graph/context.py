"""What the rule of an operator is given, and what goes wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.errors import SaveError
from reprise.tensors import Array
from reprise.wire import onnx

#: Values by their names in ONNX.
Values = Mapping[str, tf.Tensor]
#: The values that a graph of ONNX makes from those around it.
Run = Callable[[onnx.Message, Values], dict[str, tf.Tensor]]


@dataclass(frozen=True, slots=True)
class TensorFlowSite:
    """A node where it is computed.

    Attributes:
        node: The node.
        values: Every value around it.
        run: Computes a graph inside of it: a branch, the body of a loop.
    """

    node: onnx.Message
    values: Values
    run: Run

    def __len__(self) -> int:
        return len(self.node.input)

    def has(self, index: int) -> bool:
        """Whether the node has an input at this place."""
        return index < len(self.node.input) and self.node.input[index] != ""

    def __getitem__(self, index: int) -> tf.Tensor:
        return self.values[self.node.input[index]]

    def inputs(self) -> list[tf.Tensor]:
        """All inputs that are there."""
        return [self.values[name] for name in self.node.input if name]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as Python has it, text as str."""
        value = onnx.attribute(self.node, name, default)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self, index: int, attribute: str = "") -> Array | None:
        """An input whose numbers are known when the graph is made, or the attribute that held them before."""
        if self.has(index):
            found = tf.get_static_value(self[index])
            return None if found is None else np.asarray(found)
        held = self.attribute(attribute) if attribute else None
        return None if held is None else np.asarray(held)

    def refusal(self, why: str) -> SaveError:
        """The error for what has no counterpart."""
        name = self.node.name or (self.node.output[0] if self.node.output else "")
        return SaveError(f"{self.node.op_type} {name!r} {why}, so the model cannot be written for TensorFlow.")


#: The rule of an operator: its outputs, or its one output.
Rule = Callable[[TensorFlowSite], "tf.Tensor | Sequence[tf.Tensor]"]
