"""The frames of a stack: one for each layer and direction, each reading what those of the layer before made."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.frame import Frame, Scope
from reprise.graph import Node, Value
from reprise.interface.normal.fused.cudnn.cells import CudnnCell
from reprise.interface.normal.fused.cudnn.parameters import CudnnWeights, divide_parameters
from reprise.interface.normal.fused.cudnn.reading import CudnnStack
from reprise.structure import RESULTS

_H, _C = 1, 2  # which input, and which output, of the operator the states are
_OUTPUTS = 5
_HELD_BACK = "_CudnnRNNReserve"  # makes what only gradients read, which nothing here computes


def write(stack: CudnnStack, nodes: dict[str, Node]) -> None:
    """Puts the frames of a stack in the place of its operator, whose name passes on what they make."""
    _Writer(stack, nodes).write()


@dataclass(frozen=True, slots=True)
class _LayerResult:
    """What one layer made in one direction: its output at every step, and its last states."""

    output: Value
    h: Value
    c: Value | None


class _Writer:
    def __init__(self, stack: CudnnStack, nodes: dict[str, Node]) -> None:
        self._stack = stack
        self._scope = Scope(f"fused/{stack.node.name}", nodes)
        self._x = self._time_first("x", stack.node.inputs[0])
        self._rows = self._scope.rows(self._x)

    def write(self) -> None:
        """Adds all nodes, that of the operator's name with them."""
        stack, x = self._stack, self._x
        weights = divide_parameters(stack, self._scope)
        ran: list[_LayerResult] = []
        for first in range(0, len(weights), stack.directions):
            ran += [self._layer(k, x, weights[k], backwards=k > first) for k in range(first, first + stack.directions)]
            x = self._concatenated(first, [r.output for r in ran[first:]])
        cells = [r.c for r in ran if r.c is not None]
        last_c = self._packed(_C, cells) if cells else stack.node.inputs[_C]
        results = (self._time_first("output", x), self._packed(_H, [r.h for r in ran]), last_c)
        held_back = self._scope.make("held_back", _HELD_BACK)
        gradients = (Value(held_back.node, i) for i in range(len(results), _OUTPUTS))
        self._scope.add(Node(stack.node.name, RESULTS, (*results, *gradients)))

    def _layer(self, index: int, x: Value, weights: CudnnWeights, *, backwards: bool) -> _LayerResult:
        """Writes the frame of one layer in one direction, number `index` of all; gives its outputs and last states.

        `x` is the sequence that it reads with its `weights`, time first; with `backwards` from the end.
        """
        stack, dtype = self._stack, self._stack.dtype
        frame = Frame(f"{self._scope.name}/{index}", self._rows, self._scope.nodes)
        first_h = self._initial(index, _H)
        h = frame.carry(first_h, dtype)
        c = frame.carry(self._initial(index, _C), dtype) if stack.mode == b"lstm" else None
        row = frame.read("x", self._reversed(f"{index}/x/reversed", x) if backwards else x, dtype)
        next_h, next_c = CudnnCell(frame, stack.mode, dtype, weights).step(row, h, c)
        over = None if stack.lengths is None else frame.over(stack.lengths)
        zeros = frame.constant(frame.make("zeros", "ZerosLike", (first_h,), T=dtype))
        output = frame.write("out", frame.until(over, next_h, zeros, "out/row", dtype), dtype)
        last_h = frame.leave(h, frame.until(over, next_h, h, "h_last", dtype))
        last_c = None
        if c is not None and next_c is not None:
            last_c = frame.leave(c, frame.until(over, next_c, c, "c_last", dtype))
        return _LayerResult(self._reversed(f"{index}/out/reversed", output) if backwards else output, last_h, last_c)

    def _op(self, name: str, op: str, *inputs: Value, **attributes: object) -> Value:
        return self._scope.make(name, op, inputs, T=self._stack.dtype, **attributes)

    def _initial(self, index: int, which: int) -> Value:
        """The first state of one layer and direction: a row of what the operator is given for all of them."""
        name, axis, whole = f"initial{which}/{index}", self._stack.time, self._stack.node.inputs[which]
        begin, end, everything = [0] * axis + [index], [0] * axis + [index + 1], (1 << axis) - 1
        masks = {"begin_mask": everything, "end_mask": everything, "shrink_axis_mask": 1 << axis}
        return self._scope.part(name, whole, begin, end, **masks, T=self._stack.dtype, _whole=whole)

    def _packed(self, which: int, states: list[Value]) -> Value:
        whole = Value(self._stack.node.name, which)
        return self._op(f"final{which}", "Pack", *states, axis=self._stack.time, N=len(states), _whole=whole)

    def _concatenated(self, layer: int, outputs: list[Value]) -> Value:
        if len(outputs) == 1:
            return outputs[0]
        axis = self._scope.number(f"joined{layer}/axis", 2)
        return self._op(f"joined{layer}", "ConcatV2", *outputs, axis, N=len(outputs))

    def _time_first(self, name: str, value: Value) -> Value:
        """Time before batch, or back."""
        if self._stack.time == 0:
            return value
        return self._op(name, "Transpose", value, self._scope.number(f"{name}/perm", [1, 0, 2]), Tperm="int32")

    def _reversed(self, name: str, value: Value) -> Value:
        """From the end of each row."""
        if self._stack.lengths is None:
            return self._op(name, "ReverseV2", value, self._scope.number(f"{name}/axis", [0]))
        return self._op(name, "ReverseSequence", value, self._stack.lengths, seq_dim=0, batch_dim=1, Tlen="int32")
