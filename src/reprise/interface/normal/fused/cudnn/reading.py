"""What one operator of cuDNN computes, read from its attributes and the shapes of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.operators.rules.sizes import Dim, dim
from reprise.structure import InBranch

#: By the number of inputs: version 3 adds the lengths of the rows.
OPERATORS = {"CudnnRNN": 4, "CudnnRNNV2": 4, "CudnnRNNV3": 5}

#: How many gates a cell of each mode has.
GATES = {b"lstm": 4, b"gru": 3, b"rnn_tanh": 1, b"rnn_relu": 1}
_DIRECTIONS = {b"unidirectional": 1, b"bidirectional": 2}
_INPUT_MODES = (b"linear_input", b"skip_input", b"auto_select")


@dataclass(frozen=True, slots=True)
class CudnnStack:
    """Layers of one kind of cell, as one operator runs them.

    Attributes:
        node: The operator.
        mode: A key of `GATES`.
        layers: L.
        directions: 1, or 2 where every layer also runs from the end.
        inputs: D.
        hidden: H.
        skips: Whether the first layer adds its input to each gate as it is, without a matrix.
        time: The axis of time; that of the batch is the other of the first two.
        lengths: The number of steps of each row, None where all have as many as there are.
        dropout: The share of what one layer hands to the next that training leaves out.
        dtype: Of all its tensors.
    """

    node: Node
    mode: bytes
    layers: int
    directions: int
    inputs: int
    hidden: int
    skips: bool
    time: int
    lengths: Value | None
    dropout: float
    dtype: str

    def width(self, layer: int) -> int:
        """The size of what a layer reads at each step."""
        return self.directions * self.hidden if layer else self.inputs


@dataclass(frozen=True, slots=True)
class Unread:
    """Why an operator cannot be read."""

    reason: str


def read(facts: Facts, node: Node) -> CudnnStack | Unread:
    """The layers of one operator."""
    time = 0 if node.attributes.get("time_major", True) else 1
    sizes, why_not = _sizes(facts, node, time), _obstacle(facts, node)
    if why_not or sizes is None:
        unknown = "has an input or a state whose size is not in the file, so its parameters cannot be divided"
        return Unread(why_not or unknown)
    count, inputs, hidden = sizes
    mode, direction, input_mode = _modes(node)
    layers, left = divmod(count, _DIRECTIONS[direction])
    if left or not layers:
        return Unread(f"has {count} states, and each {direction.decode()} layer has {_DIRECTIONS[direction]}")
    skips = input_mode == b"skip_input" or (input_mode == b"auto_select" and inputs == hidden)
    if skips and inputs != hidden:
        return Unread(f"adds an input of size {inputs} to gates of size {hidden}")
    lengths = _lengths(facts, node, time) if len(node.inputs) > 4 else None
    dropout, dtype = float(node.attributes.get("dropout", 0.0)), str(node.attributes.get("T", "float32"))
    return CudnnStack(node, mode, layers, _DIRECTIONS[direction], inputs, hidden, skips, time, lengths, dropout, dtype)


def _modes(node: Node) -> tuple[bytes, bytes, bytes]:
    """The modes of the cell, of the direction and of the input; the defaults are those that TensorFlow registers."""
    given = node.attributes
    mode, direction = given.get("rnn_mode", b"lstm"), given.get("direction", b"unidirectional")
    return mode, direction, given.get("input_mode", b"linear_input")


def _obstacle(facts: Facts, node: Node) -> str | None:
    """What the operator does that is not known, None where all is."""
    mode, direction, input_mode = modes = _modes(node)
    if mode not in GATES or direction not in _DIRECTIONS or input_mode not in _INPUT_MODES:
        return f"has a mode that is not known ({', '.join(map(repr, modes))})"
    if node.attributes.get("num_proj"):
        return "projects its output, and where its vector of parameters holds the projection is not known"
    for around in facts.structure.context(Value(node.name)):
        if isinstance(around, InBranch):
            return f"runs only where {facts.structure.origin(around.predicate)} says so, which the data decide"
    return None


def _sizes(facts: Facts, node: Node, time: int) -> tuple[int, int, int] | None:
    """The number of states, the size of the input and the size of a state."""
    x, state = facts.shape(node.inputs[0]), facts.shape(node.inputs[1])
    if x is None or state is None or len(x) != 3 or len(state) != 3:
        return None
    count, inputs, hidden = state[time], x[2], state[2]
    return (count.scale, inputs.scale, hidden.scale) if count.known and inputs.known and hidden.known else None


def _lengths(facts: Facts, node: Node, time: int) -> Value | None:
    """The lengths of the rows, None where they are the number of steps, as TensorFlow fills them in."""
    lengths, shape = facts.structure.origin(node.inputs[4]), facts.shape(node.inputs[0])
    made = facts.structure.graph[lengths.node]
    filled = facts.of(made.inputs[1]).content if made.op == "Fill" else None
    if shape is None or filled is None or filled.size != 1:
        return node.inputs[4]
    one = filled.item()
    steps = facts.sizes.resolve(one if isinstance(one, Dim) else dim(int(one)))
    return None if steps == shape[time] else node.inputs[4]
