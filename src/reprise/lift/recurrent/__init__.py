"""The fast path: a loop all of whose states belong to known cells becomes LSTM, GRU and RNN operators of ONNX.

They run over the whole sequence at once. What lies between the cells (residuals, projections, gates of a highway) is
computed for all steps at once too, or the loop stays a loop: there are no half measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reprise import cells
from reprise.cells import join_gates
from reprise.graph import Value
from reprise.lift.emitter import Emitter
from reprise.lift.numbers import KnownNumbers
from reprise.lift.recurrent.affine import GateReader
from reprise.lift.recurrent.lengths import Lengths, WrittenRow
from reprise.lift.recurrent.matching import MatchedCell, match
from reprise.lift.recurrent.sequences import NoSequencePlan, SequencePlan, Walk
from reprise.lift.recurrent.slots import StateSlot, slots
from reprise.operators.arrays import stacked_into
from reprise.operators.rules.block import INLINE, Block, computed_type
from reprise.operators.rules.sizes import dim
from reprise.operators.types import dtype as value_dtype
from reprise.structure import Carried, Loop
from reprise.tensors import Array
from reprise.wire import onnx

__all__ = ["Body", "NoSequencePlan", "emit"]


@dataclass(frozen=True, slots=True)
class Body:
    """What of a loop is wanted.

    Attributes:
        loop: The loop.
        numbers: Variables that hold the number of the iteration.
        carried: Variables that are carried, and their initial values by ONNX name.
        initial: See `carried`.
        still: Variables that no step changes → their ONNX name.
        rows: What the loop writes at each step, one value for each array.
        bounds: The loop runs while its number is below all of these; empty where that is not known.
    """

    loop: Loop
    numbers: Sequence[Carried]
    carried: Sequence[Carried]
    initial: Sequence[str]
    still: Mapping[Value, str]
    rows: Sequence[Value]
    bounds: Sequence[Value]


def emit(emitter: Emitter, block: Block, body: Body) -> list[str] | NoSequencePlan:
    """Emits the loop into `block`; gives the final values of `carried`, and the whole arrays, by ONNX name.

    Nothing is emitted when it gives a `NoSequencePlan`.
    """
    strange = next((c for c in body.carried if _type(emitter, c) != "float32"), None)
    if strange is not None:
        return NoSequencePlan(
            f"state {strange.entering} is {_type(emitter, strange)}, and ONNX Runtime has these cells in float32"
        )
    if not body.bounds or not body.carried:
        return NoSequencePlan("its condition is more than a number of steps")
    numbers = {c.entering for c in body.numbers}
    reading = Lengths(emitter.structure, body.loop, numbers)
    following = [reading.next_state(c) for c in body.carried]
    lengths = following[0][1]
    rows = [reading.row(v, lengths) for v in body.rows]
    if any(own != lengths for _, own in following) or None in rows:
        return NoSequencePlan("some rows of the batch end before others, but not all states and outputs stop with them")
    if lengths is not None and len(emitter.facts.shape(lengths) or ()) != 1:
        return NoSequencePlan("the batch ends as a whole before the sequence does")
    found = _cells(emitter, {c: leaving for c, (leaving, _) in zip(body.carried, following, strict=True)})
    if isinstance(found, NoSequencePlan):
        return found
    plan = Walk(emitter, body.loop, numbers, found).plan([r for r in rows if r is not None], lengths)
    return plan if isinstance(plan, NoSequencePlan) else _Emission(emitter, block, body, found, plan).result()


def _cells(emitter: Emitter, leaving: Mapping[Carried, Value]) -> list[MatchedCell] | NoSequencePlan:
    reader = GateReader(
        emitter.structure, emitter.facts, KnownNumbers(emitter.structure, emitter.known, emitter.stored)
    )
    try:
        found = match(reader, [s for c, value in leaving.items() for s in slots(reader, c, value)])
    except (ValueError, IndexError) as error:
        return NoSequencePlan(f"the sizes of its weights contradict each other ({error})")
    return (
        NoSequencePlan(f"state {found.entering} belongs to no cell that is known")
        if isinstance(found, StateSlot)
        else found
    )


def _type(emitter: Emitter, carried: Carried) -> str:
    return computed_type(value_dtype(emitter.structure, carried.entering))


class _Emission:
    """The loop as whole sequences: every value of the body has a name of shape [T, …] in a block of its own."""

    def __init__(
        self, emitter: Emitter, block: Block, body: Body, found: Sequence[MatchedCell], plan: SequencePlan
    ) -> None:
        self._emitter = emitter
        self._outer = block
        self._body = body
        self._plan = plan
        self._cells = {c.output: c for c in found}
        self._initial = dict(zip(body.carried, body.initial, strict=True))
        self._final: dict[StateSlot, str] = {}
        self._steps = ""
        self._row_lengths: tuple[str, str] | None = None
        self._sequences = Block(block.names, body.loop.context, block)
        self._sequences.nodes = block.nodes
        self._sequences.values.update(body.still)

    def result(self) -> list[str]:
        for value in self._plan.order:
            if value in self._cells:
                self._sequences.values[value] = self._cell(self._cells[value])
            elif value in self._plan.reads:
                self._sequences.values[value] = self._read_sequence(self._plan.reads[value])
            else:
                self._emitter.name(value, self._sequences)
        rows = [self._row(r) for r in self._plan.rows]
        return [*(self._joined(c) for c in self._body.carried), *rows]

    def _row(self, row: WrittenRow) -> str:
        """What is written, for all steps."""
        source = self._emitter.structure.source(row.value)
        name = self._emitter.name(source, self._sequences)
        if row.after is None or (source in self._cells and self._is_zero(row.after)):
            return name
        block, rank = self._outer, len(self._emitter.facts.shape(source) or ())
        steps = block.one(
            "Range", self._number(0), block.one("Squeeze", self._steps_of(name), block.ints(0)), self._number(1)
        )
        over = block.one("GreaterOrEqual", block.one("Unsqueeze", steps, block.ints(1)), self._lengths(name)[1])
        flag = block.one("Unsqueeze", over, block.ints(*range(2, rank + 1))) if rank > 1 else over
        return block.one("Where", flag, self._emitter.name(row.after, self._sequences), name)

    def _number(self, value: int) -> str:
        return self._outer.names.constant(np.asarray(value, np.int64))

    def _is_zero(self, value: Value) -> bool:
        structure = self._emitter.structure
        node = structure.graph[structure.origin(value).node]
        content = self._emitter.known(node.inputs[1] if node.op == "Fill" else Value(node.name))
        return node.op == "ZerosLike" or (content is not None and not content.any())

    def _steps_of(self, sequence: str) -> str:
        """The number of steps of a sequence, int64 [1]."""
        return self._outer.one("Slice", self._outer.one("Shape", sequence), self._outer.ints(0), self._outer.ints(1))

    def _lengths(self, sequence: str) -> tuple[str, str]:
        """The lengths of the rows as int32 and int64 [N], at most as many steps as there are."""
        if self._row_lengths is None and self._plan.lengths is not None:
            block = self._outer
            given = block.one("Cast", self._emitter.name(self._plan.lengths, block), to=onnx.INT64)
            long = block.one("Max", block.one("Min", given, self._steps_of(sequence)), block.ints(0))
            self._row_lengths = block.one("Cast", long, to=onnx.INT32), long
        return self._row_lengths or ("", "")

    def _joined(self, carried: Carried) -> str:
        """The final value of a variable, of the states that it holds."""
        parts = sorted((s for s in self._final if s.carried == carried), key=lambda s: s.columns or (0, 0))
        names = [self._final[s] for s in parts]
        return names[0] if len(names) == 1 else self._outer.one("Concat", *names, axis=1)

    def _first(self, state: StateSlot) -> str:
        """The initial value of a state, [N, H]."""
        block, whole = self._outer, self._initial[state.carried]
        if state.columns is not None:
            start, stop = state.columns
            whole = block.one("Slice", whole, block.ints(start), block.ints(stop), block.ints(1))
        return whole

    def _last(self, state: StateSlot, last: str, sequence: str) -> str:
        """The final value of a state, [N, H]: where a row has no step at all, its initial one."""
        block = self._outer
        final = block.one("Squeeze", last, block.ints(0))
        if self._plan.lengths is None:
            return final
        none = block.one("Equal", self._lengths(sequence)[1], block.ints(0))
        return block.one("Where", block.one("Unsqueeze", none, block.ints(1)), self._first(state), final)

    def _read_sequence(self, filled: Value) -> str:
        """A sequence that is read: as many rows of it as the loop has steps."""
        rows = self._emitter.name(filled, self._outer)
        if self._has_all_rows(filled):
            return rows
        return self._outer.one("Slice", rows, self._outer.ints(0), self._number_of_steps(), self._outer.ints(0))

    def _has_all_rows(self, filled: Value) -> bool:
        """Whether the loop ends with the last row: its only bound is the number of rows."""
        facts = self._emitter.facts
        stacked = stacked_into(self._emitter.structure.graph[filled.node])
        shape = None if stacked is None else facts.shape(stacked)
        sizes = [facts.of(b).content for b in self._body.bounds]
        return shape is not None and all(
            s is not None and s.size == 1 and facts.sizes.resolve(dim(s.item())) == shape[0] for s in sizes
        )

    def _number_of_steps(self) -> str:
        if not self._steps:
            names = [self._emitter.name(b, self._outer) for b in self._body.bounds]
            least = names[0] if len(names) == 1 else self._outer.one("Min", *names)
            count = self._outer.one("Reshape", self._outer.one("Cast", least, to=onnx.INT64), self._outer.ints(1))
            self._steps = self._outer.one("Max", count, self._outer.ints(0))  # a negative end would count from the last
        return self._steps

    def _cell(self, cell: MatchedCell) -> str:
        """Emits one operator; gives its outputs [T, N, H]."""
        factors = [self._sequences.values[self._emitter.structure.source(f)] for f in cell.factors]
        block = self._outer
        x = factors[0] if len(factors) == 1 else block.one("Concat", *factors, axis=2)
        states = [cell.h] if cell.c is None else [cell.h, cell.c]
        lengths = "" if self._plan.lengths is None else self._lengths(x)[0]
        initial = [block.one("Unsqueeze", self._first(s), block.ints(0)) for s in states]
        inputs = [x, *self._weights(cell), lengths, *initial]
        if cell.weights.peephole:
            zero = np.zeros(_hidden(cell), np.float32)
            inputs.append(
                self._constant(join_gates({g: cell.weights.peephole.get(g, zero) for g in "iof"}, "iof"), cell, "P")
            )
        name = cell.cell.name
        made = block.add(name, inputs, 1 + len(states), f"{cell.output.node}/{name}", **_attributes(cell))
        self._emitter.fast.append(name)
        for state, last in zip(states, made[1:], strict=True):
            self._final[state] = self._last(state, last, x)
        return block.one("Squeeze", made[0], block.ints(1))

    def _weights(self, cell: MatchedCell) -> list[str]:
        """W [1, gates · H, D], R [1, gates · H, H] and B [1, 2 · gates · H] in ONNX's order."""
        order, weights = cell.cell.gates, cell.weights
        zero = np.zeros(_hidden(cell), np.float32)
        biases = [join_gates({g: b.get(g, zero) for g in order}, order) for b in (weights.bias, weights.recurrent_bias)]
        return [
            self._kernel(weights.kernel, cell, "W"),
            self._kernel(weights.recurrent, cell, "R"),
            self._constant(np.concatenate(biases), cell, "B"),
        ]

    def _kernel(self, parts: Mapping[str, Array], cell: MatchedCell, letter: str) -> str:
        def make() -> Array:
            return _stacked(parts, cell.cell.gates)[None].astype(np.float32, copy=False)

        if sum(part.size for part in parts.values()) <= INLINE:
            return self._outer.names.constant(make(), f"{cell.output.node}/{letter}")
        return self._outer.names.later(make, f"{cell.output.node}/{letter}")

    def _constant(self, array: Array, cell: MatchedCell, letter: str) -> str:
        return self._outer.names.constant(array[None].astype(np.float32, copy=False), f"{cell.output.node}/{letter}")


def _stacked(parts: Mapping[str, Array], order: str) -> Array:
    """Kernels [D, H] by gate as one of [gates · H, D], with a single copy."""
    return np.concatenate([parts[gate].T for gate in order])


def _hidden(cell: MatchedCell) -> int:
    return int(next(iter(cell.weights.recurrent.values())).shape[0])


def _attributes(cell: MatchedCell) -> dict[str, object]:
    attributes: dict[str, object] = {
        "hidden_size": _hidden(cell),
        "activations": [a.name for a in cell.activations],
    }
    for name in ("alpha", "beta"):
        numbers = [n for a in cell.activations if (n := getattr(a, name)) is not None]
        if numbers:
            attributes[f"activation_{name}"] = numbers
    if cell.cell is cells.GRU_RESET_AFTER:
        attributes["linear_before_reset"] = 1
    return attributes
