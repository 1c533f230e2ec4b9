"""States that a program keeps to itself, opened: each becomes an input, and its next value an output.

A recurrent operator whose first value is absent, or is computed from no number that the caller gives, begins anew at
every call. Given from outside, the same value carries on where the call before ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reprise.foreign.program import Entry, Program, with_nodes
from reprise.foreign.recurrent_nodes import CarriedSlot, slots
from reprise.tensors import Array
from reprise.wire import onnx


@dataclass(frozen=True, slots=True)
class Opened:
    """A state that a program kept to itself.

    Attributes:
        name: Such as `layer0.h`.
        slot: Where it is carried.
        taken: The name of the new input.
        given: The name of its last value.
        first: What it begins with at every call, None where that is not said: zeros.
    """

    name: str
    slot: CarriedSlot
    taken: str
    given: str
    first: Array | None


def hidden_slots(program: Program) -> list[CarriedSlot]:
    """What begins at every call with a value of its own: nothing of it depends on a number that the caller gives."""
    given = {i.name for i in program.inputs}
    floats = [s for s in slots(program) if s.kind != "carried" or _is_state(program, s)]
    return [s for s in floats if not s.initial or not given & program.data_ancestors([s.initial])]


def _is_state(program: Program, slot: CarriedSlot) -> bool:
    """Whether what a loop carries is computed from what it carried before, and is not merely counted or checked."""
    body = onnx.attribute(slot.node, "body")
    first = slot.output if slot.node.op_type == "Scan" else slot.output + 2
    last = slot.output if slot.node.op_type == "Scan" else slot.output + 1
    entering = body.input[first]
    is_real = onnx.element_name(entering.type.tensor_type.elem_type) in ("", "float32", "float64", "float16")
    inside = Program(tuple(body.node), tuple(body.initializer), {}, (), (), program.opsets)
    return is_real and entering.name in inside.data_ancestors([body.output[last].name])


def with_opened_slots(
    program: Program, hidden: Sequence[CarriedSlot], firsts: Mapping[str, Array]
) -> tuple[Program, tuple[Opened, ...]]:
    """`program` with each of the `hidden` slots as an input and an output of its own.

    Args:
        program: The program.
        hidden: Of its slots, those to open.
        firsts: What they begin with, by the name of the value; a cell may begin with nothing, which is zeros.
    """
    states = tuple(_opened(slot, number, firsts) for number, slot in _numbered(hidden))
    nodes = [_with_slots(node, [s for s in states if s.slot.node is node]) for node in program.nodes]
    inputs = tuple(_entry(program, state) for state in states)
    outputs = tuple(Entry(s.given, e.dtype, ()) for s, e in zip(states, inputs, strict=True))
    open_program = with_nodes(program, nodes)
    return replace(open_program, inputs=(*program.inputs, *inputs), outputs=(*program.outputs, *outputs)), states


def _numbered(hidden: Sequence[CarriedSlot]) -> list[tuple[int, CarriedSlot]]:
    """Each slot with the number of its layer: nodes are counted in the order of computation."""
    layers: list[onnx.Message] = []
    for slot in hidden:
        if not any(slot.node is known for known in layers):
            layers.append(slot.node)
    return [(next(k for k, known in enumerate(layers) if known is slot.node), slot) for slot in hidden]


def _opened(slot: CarriedSlot, layer: int, firsts: Mapping[str, Array]) -> Opened:
    kind = slot.kind if slot.kind != "carried" else f"carried{slot.output}"
    name = f"layer{layer}.{kind}"
    return Opened(name, slot, f"{name}.entering", slot.final or f"{name}.leaving", firsts.get(slot.initial))


def _with_slots(node: onnx.Message, states: Sequence[Opened]) -> onnx.Message:
    if not states:
        return node
    copy = onnx.empty("NodeProto")
    copy.CopyFrom(node)
    for state in states:
        copy.input.extend([""] * (state.slot.input + 1 - len(copy.input)))
        copy.output.extend([""] * (state.slot.output + 1 - len(copy.output)))
        copy.input[state.slot.input] = state.taken
        copy.output[state.slot.output] = state.given
    return copy


def _entry(program: Program, state: Opened) -> Entry:
    """The new input: of a cell [direction, batch, unit], of a loop as its first value in a run of two rows."""
    node = state.slot.node
    if state.slot.kind == "carried" and state.first is not None:
        return Entry(state.taken, state.first.dtype.name, tuple(None if n == 2 else n for n in state.first.shape))
    units: int = onnx.attribute(node, "hidden_size", 0)
    sizes = ("rows", 1, units) if onnx.attribute(node, "layout", 0) else (1, "rows", units)
    return Entry(state.taken, _weight_type(program, node.input[1]), sizes)


def _weight_type(program: Program, name: str) -> str:
    if name in program.weights:
        return program.weights[name].dtype.name
    tensor = program.constants.get(name)
    found = onnx.element_name(tensor.data_type) if tensor is not None else ""
    return found if found.startswith("float") else "float32"
