"""Recurrent layers: a `while` frame over the axis of time, with the cells in its body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reprise.errors import DamagedFile
from reprise.frame import Frame
from reprise.graph import Value
from reprise.layers.kinds import ConvolutionalCell, Recurrent, RecurrentCell
from reprise.layers.writing import convolutional, equations
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.ops import Inside, TypedValue
from reprise.tensors import Shape


class BodyCell(Protocol):
    """A cell in the body of a loop."""

    def next(self, x: Value, states: Sequence[Value]) -> tuple[Value, ...]:
        """The next states; the first is the output."""


@dataclass(frozen=True, slots=True)
class _State:
    """A state: its name, its sizes without the batch, and its value as the body sees it at the start of a step."""

    name: str
    shape: Shape
    entering: Value


def recurrent(site: LayerSite, layer: Recurrent) -> tuple[TypedValue, ...]:
    """The sequence of outputs, or the last one; and the last states."""
    return _Loop(site, layer).outputs()


class _Loop:
    """A recurrent layer under construction."""

    def __init__(self, site: LayerSite, layer: Recurrent) -> None:
        self._site, self._layer, self._ops = site, layer, site.ops
        stacked = self._time_first(site.numbers(), site.x)
        self._stacked = self._in_order(stacked)
        self._rows = self._ops.size(self._stacked, 0)
        self._batch = self._ops.size(self._stacked, 1)
        self._frame = Frame(f"{self._ops.scope.name}/loop", self._rows, self._ops.scope.nodes)
        self._masked: Value | None = None

    def _time_first(self, value: Value, of: TypedValue) -> Value:
        axes = (1, 0, *range(2, of.rank))
        return value if self._layer.time_major else self._ops.transposed(value, axes, self._type(of))

    def _type(self, of: TypedValue) -> str:
        return "bool" if of.dtype == "bool" else self._ops.dtype

    def _in_order(self, stacked: Value, dtype: str = "") -> Value:
        if not self._layer.backward:
            return stacked
        return self._ops.op("ReverseV2", stacked, self._ops.whole([0]), T=dtype or self._ops.dtype, Tidx="int32")

    def outputs(self) -> tuple[TypedValue, ...]:
        """Everything that the layer gives."""
        frame, dtype, mask = self._frame, self._ops.dtype, self._site.mask
        if mask is not None:
            self._masked = frame.read("mask", self._in_order(self._time_first(mask.value, mask), "bool"), "bool")
        x = frame.read("x", self._stacked, dtype)
        sizes = self._site.x.shape[2:]
        finals: list[TypedValue] = []
        initial = list(self._site.initial)
        for number, _ in enumerate(self._layer.cells):
            cell, states = self._cell(number, sizes, initial)
            after = cell.next(x, [s.entering for s in states])
            kept = [self._unless_masked(new, s.entering) for new, s in zip(after, states, strict=True)]
            last = [frame.leave(s.entering, new) for s, new in zip(states, kept, strict=True)]
            finals += [
                TypedValue(v, (self._site.x.shape[0], *s.shape), dtype) for v, s in zip(last, states, strict=True)
            ]
            x, sizes, first = after[0], states[0].shape, finals[-len(states)]
        return (self._result(x, sizes, first), *finals)

    def _result(self, x: Value, sizes: Shape, last: TypedValue) -> TypedValue:
        """The sequence of the outputs `x`, or the last of them; without a mask that is the last state."""
        frame, dtype = self._frame, self._ops.dtype
        if self._masked is not None:
            before = frame.carry(self._zeros(sizes), dtype, called=f"{self._ops.scope.name}.output")
            x = self._unless_masked(x, self._hidden(x) if self._layer.zeros_where_masked else before)
            last = TypedValue(frame.leave(before, x), last.shape, dtype)
        if not self._layer.sequences:
            return last
        batch, time = (self._site.x.shape[i] for i in ((1, 0) if self._layer.time_major else (0, 1)))
        stacked = frame.write("outputs", x, dtype)
        if self._layer.time_major:
            return TypedValue(stacked, (time, batch, *sizes), dtype)
        turned = self._ops.transposed(stacked, (1, 0, *range(2, 2 + len(sizes))))
        return TypedValue(turned, (batch, time, *sizes), dtype)

    def _hidden(self, x: Value) -> Value:
        return self._frame.make("hidden", "ZerosLike", (x,), T=self._ops.dtype)

    def _unless_masked(self, new: Value, old: Value) -> Value:
        if self._masked is None:
            return new
        return Inside(self._frame, "unless_masked", self._ops.dtype).op("Select", self._masked, new, old)

    def _cell(self, number: int, sizes: Shape, initial: list[TypedValue]) -> tuple[BodyCell, list[_State]]:
        """A cell and its states; those that are given are taken off `initial`."""
        cell = self._layer.cells[number]
        several = len(self._layer.cells) > 1
        prefix = f"cell_{number}/" if several else ""
        inside = Inside(self._frame, f"cell_{number}", self._ops.dtype)
        letters: tuple[str, ...]
        if isinstance(cell, ConvolutionalCell):
            step: BodyCell = convolutional.convolution_step(cell, self._ops, inside, prefix)
            letters, shapes = ("h", "c"), [convolutional.state_sizes(cell, sizes)] * 2
        else:
            step = equations.cell_step(cell, self._ops, inside, prefix)
            letters = equations.STATES[cell.kind.name]
            shapes = [_units(cell, letter) for letter in letters]
        scope = f"{self._ops.scope.name}.{number}" if several else self._ops.scope.name
        sized = list(zip(letters, shapes, strict=True))
        if self._layer.cell_state_first:
            sized.reverse()
        states = {letter: self._state(f"{scope}.{letter}", shape, initial) for letter, shape in sized}
        return step, [states[letter] for letter in letters]

    def _state(self, name: str, shape: Shape, initial: list[TypedValue]) -> _State:
        given = initial.pop(0) if initial else None
        start = self._zeros(shape) if given is None else self._ops.cast(given)
        return _State(name, shape, self._frame.carry(start, self._ops.dtype, called=name))

    def _zeros(self, shape: Shape) -> Value:
        """Zeros [N, …]."""
        ops = self._ops
        if None in shape:
            raise DamagedFile(
                f"layer {ops.scope.name!r}: the file does not say which size its states have: {list(shape)}"
            )
        sizes = [self._batch, *(ops.whole(n) for n in shape if n is not None)]
        return ops.op("Fill", ops.op("Pack", *sizes, N=len(sizes), T="int32"), ops.number(0.0), index_type="int32")


def _units(cell: RecurrentCell, letter: str) -> Shape:
    block = cell.blocks[0]
    outputs = block.recurrent.shape[1 if block.transposed else 0]
    if letter == "h":
        return (outputs,)
    return (block.kernel.shape[0 if block.transposed else 1] // len(block.order),)
