"""Operators that carry values from step to step: LSTM, GRU, RNN, Scan and Loop, and what enters and leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reprise.foreign.program import Program
from reprise.wire import onnx


@dataclass(frozen=True, slots=True)
class CarriedSlot:
    """One value that a node carries from step to step.

    Attributes:
        node: The node.
        kind: `h` or `c` of a cell, `carried` of a loop.
        input: The position of its first value among the inputs of the node.
        output: The position of its last value among the outputs.
    """

    node: onnx.Message
    kind: str
    input: int
    output: int

    @property
    def initial(self) -> str:
        """The name of its first value, empty where the node begins with zeros."""
        return self.node.input[self.input] if self.input < len(self.node.input) else ""

    @property
    def final(self) -> str:
        """The name of its last value, empty where nobody asks for it."""
        return self.node.output[self.output] if self.output < len(self.node.output) else ""


#: Operator → kind, input and output of each value that it carries. Sources: the ONNX specification of LSTM, GRU and
#: RNN, and the operator documentation of com.microsoft.
_CELLS: Mapping[str, tuple[tuple[str, int, int], ...]] = {
    "LSTM": (("h", 5, 1), ("c", 6, 2)),
    "GRU": (("h", 5, 1),),
    "RNN": (("h", 5, 1),),
    "DynamicQuantizeLSTM": (("h", 5, 1), ("c", 6, 2)),
}


def slots(program: Program) -> list[CarriedSlot]:
    """What the nodes of a program carry, in the order of computation."""
    return [slot for node in program.nodes for slot in _slots(node, program)]


def _slots(node: onnx.Message, program: Program) -> Iterator[CarriedSlot]:
    if node.op_type in _CELLS:
        yield from (CarriedSlot(node, *facts) for facts in _CELLS[node.op_type])
    elif node.op_type == "Scan":
        first = 1 if opset_of(program) < 9 else 0
        scanned = onnx.attribute(node, "num_scan_inputs", 0)
        yield from (CarriedSlot(node, "carried", first + k, k) for k in range(len(node.input) - first - scanned))
    elif node.op_type == "Loop":
        yield from (CarriedSlot(node, "carried", 2 + k, k) for k in range(len(node.input) - 2))


def opset_of(program: Program) -> int:
    """The version of ONNX's own operators."""
    return next((version for domain, version in program.opsets if domain in ("", "ai.onnx")), 1)


def is_both_ways(node: onnx.Message) -> bool:
    """Whether a node reads its sequence from the end, alone or too."""
    if node.op_type == "Scan":
        return any(onnx.attribute(node, "scan_input_directions", []))
    return node.op_type in _CELLS and onnx.attribute(node, "direction", b"forward") != b"forward"


def sequence_lengths(nodes: Iterable[onnx.Message]) -> set[str]:
    """The names of what tells LSTM, GRU and RNN how long each sequence is."""
    return {node.input[4] for node in nodes if node.op_type in _CELLS and len(node.input) > 4 and node.input[4]}
