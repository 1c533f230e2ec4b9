"""Which states of a loop are those of an LSTM, a GRU or a plain RNN: by their equations, never by names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reprise import cells
from reprise.cells import Weights
from reprise.graph import Value
from reprise.lift.recurrent.affine import AffineSum, Gate, GateReader, OnnxActivation
from reprise.lift.recurrent.slots import StateSlot
from reprise.tensors import Array


@dataclass(frozen=True, slots=True, eq=False)
class MatchedCell:
    """A recognised cell.

    Attributes:
        cell: Which one; its gates name the weights.
        output: The value of its next h, inside the loop.
        h: The state that is its output.
        c: An LSTM's cell state, else None.
        factors: What its input is made of, joined.
        weights: Gate → numbers; the rows of a kernel are those of `factors`.
        activations: Of the gates, of the candidate, and of an LSTM's output.
    """

    cell: cells.Cell
    output: Value
    h: StateSlot
    c: StateSlot | None
    factors: tuple[Value, ...]
    weights: Weights
    activations: tuple[OnnxActivation, ...]


def match(reader: GateReader, states: Sequence[StateSlot]) -> list[MatchedCell] | StateSlot:
    """The cells that `states` belong to, or a state that belongs to none."""
    found: list[MatchedCell] = []
    for h in states:
        rules = (rule(reader, h, states) for rule in _RULES)
        cell = next((c for c in rules if c is not None), None)
        if cell is not None:
            found.append(cell)
    owned = [s for cell in found for s in (cell.h, cell.c) if s is not None]
    stray = [s for s in states if owned.count(s) != 1]
    return stray[0] if stray else found


def _lstm(reader: GateReader, h: StateSlot, states: Sequence[StateSlot]) -> MatchedCell | None:
    """`c' = f ⊙ c + i ⊙ g`, `h' = o ⊙ act(c')`."""
    for gate, squashed in reader.operands(h.leaving, "Mul"):
        output = reader.activation(squashed)
        c = None if output is None else _state_of(reader, output[1], states)
        o = reader.gate(gate)
        if output is None or c is None or o is None:
            continue
        for f, i, g in _cell_state(reader, c):
            found = _lstm_of(reader, h, c, {"i": i, "f": f, "o": o, "c": g}, output[0])
            if found is not None:
                return found
    return None


def _state_of(reader: GateReader, value: Value, states: Sequence[StateSlot]) -> StateSlot | None:
    return next((s for s in states if reader.structure.source(s.leaving) == value), None)


def _cell_state(reader: GateReader, c: StateSlot) -> Iterator[tuple[Gate, Gate, Gate]]:
    """Readings of `c' = f ⊙ c + i ⊙ g` as (f, i, g)."""
    for kept, added in reader.operands(c.leaving, "Add", "AddV2"):
        forget = [reader.gate(f) for f, last in reader.operands(kept, "Mul") if last == c.entering]
        for i, g in reader.operands(added, "Mul"):
            gates = [*forget, reader.gate(i), reader.gate(g)]
            if len(gates) == 3 and gates[0] and gates[1] and gates[2]:
                yield gates[0], gates[1], gates[2]


def _lstm_of(
    reader: GateReader, h: StateSlot, c: StateSlot, gates: Mapping[str, Gate], output: OnnxActivation
) -> MatchedCell | None:
    outer = gates["f"].activation
    if gates["i"].activation != outer or gates["o"].activation != outer:
        return None
    after = reader.structure.source(c.leaving)
    watched = {"i": c.entering, "f": c.entering, "o": after}
    peephole = {}
    for letter, gate in gates.items():
        for factor, vector in gate.sum.peepholes.items():
            if watched.get(letter) != factor:
                return None
            peephole[letter] = vector
    read = _weights(h, {k: g.sum for k, g in gates.items()}, peephole)
    if read is None:
        return None
    activations = (outer, gates["c"].activation, output)
    return MatchedCell(cells.LSTM, reader.structure.source(h.leaving), h, c, *read, activations)


def _gru(reader: GateReader, h: StateSlot, states: Sequence[StateSlot]) -> MatchedCell | None:
    """`h' = z ⊙ h + (1 − z) ⊙ c`."""
    for kept, added in reader.operands(h.leaving, "Add", "AddV2"):
        for keep, last in reader.operands(kept, "Mul"):
            for add, candidate in reader.operands(added, "Mul"):
                z = _update(reader, keep, add) if last == h.entering else None
                found = None if z is None else _gru_of(reader, h, z, candidate)
                if found is not None:
                    return found
    return None


def _update(reader: GateReader, keep: Value, add: Value) -> Gate | None:
    """The gate z of `z ⊙ h + (1 − z) ⊙ c`; where the file has it the other way round, 1 − σ(a) = σ(−a)."""
    if _is_rest(reader, add, keep):
        return reader.gate(keep)
    gate = reader.gate(add) if _is_rest(reader, keep, add) else None
    return Gate(gate.activation, -gate.sum) if gate is not None and gate.activation == _SIGMOID else None


def _is_rest(reader: GateReader, value: Value, of: Value) -> bool:
    """Whether `value` is `1 − of`."""
    node = reader.node(value)
    if node.op != "Sub" or reader.structure.source(node.inputs[1]) != of:
        return False
    one = reader.numbers.of(node.inputs[0])
    return one is not None and bool((one == 1).all())


def _gru_of(reader: GateReader, h: StateSlot, z: Gate, candidate: Value) -> MatchedCell | None:
    squashed = reader.activation(candidate)
    if squashed is None:
        return None
    before = reader.sum(squashed[1])
    for cell, reset, inner in (*_reset_before(reader, h, before), *_reset_after(reader, h, before)):
        r = reader.gate(reset)
        if r is None or r.activation != z.activation or r.sum.peepholes or z.sum.peepholes:
            continue
        after = cell is cells.GRU_RESET_AFTER
        read = _weights(h, {"z": z.sum, "r": r.sum, "c": inner[0]}, {}, inner[1] if after else None)
        if read is not None:
            return MatchedCell(cell, reader.structure.source(h.leaving), h, None, *read, (z.activation, squashed[0]))
    return None


_Reset = tuple[cells.Cell, Value, tuple[AffineSum, Array]]


def _reset_before(reader: GateReader, h: StateSlot, before: AffineSum) -> Iterator[_Reset]:
    """The candidate reads `r ⊙ h`: in its sum that product stands where h would."""
    for factor, matrix in before.products.items():
        for reset, last in reader.operands(factor, "Mul"):
            if last == h.entering and h.entering not in before.products and not before.peepholes:
                rest = {k: v for k, v in before.products.items() if k != factor}
                as_h = AffineSum({**rest, h.entering: matrix}, {}, before.bias, before.rest)
                yield cells.GRU, reset, (as_h, np.zeros((), np.float32))


def _reset_after(reader: GateReader, h: StateSlot, before: AffineSum) -> Iterator[_Reset]:
    """The candidate reads `r ⊙ (h · R + b)`."""
    if len(before.rest) != 1 or h.entering in before.products or before.peepholes:
        return
    for reset, product in reader.operands(before.rest[0], "Mul"):
        inner = reader.sum(product)
        if set(inner.products) == {h.entering} and not inner.rest and not inner.peepholes:
            yield (
                cells.GRU_RESET_AFTER,
                reset,
                (AffineSum({**before.products, **inner.products}, {}, before.bias), inner.bias),
            )


def _rnn(reader: GateReader, h: StateSlot, states: Sequence[StateSlot]) -> MatchedCell | None:
    """`h' = act(x · W + h · R + b)`."""
    gate = reader.gate(h.leaving)
    if gate is None or h.entering not in gate.sum.products or gate.sum.peepholes:
        return None
    read = _weights(h, {"c": gate.sum}, {})
    return (
        None
        if read is None
        else MatchedCell(cells.RNN, reader.structure.source(h.leaving), h, None, *read, (gate.activation,))
    )


def _weights(
    h: StateSlot, sums: Mapping[str, AffineSum], peephole: Mapping[str, Array], inner_bias: Array | None = None
) -> tuple[tuple[Value, ...], Weights] | None:
    """The factors of the input, and the weights by gate; None where a sum has other terms than a cell's."""
    matrices = [(factor, matrix) for each in sums.values() for factor, matrix in each.products.items()]
    widths = {factor: len(matrix) for factor, matrix in matrices}
    hidden = matrices[-1][1].shape[1] if matrices else 0
    recurrent = {g: s.products.get(h.entering, np.zeros((hidden, hidden), np.float32)) for g, s in sums.items()}
    factors = tuple(f for f in widths if f != h.entering)
    if (
        not factors
        or any(s.rest for s in sums.values())
        or any(matrix.shape != (widths[factor], hidden) for factor, matrix in matrices)
        or widths.get(h.entering, hidden) != hidden
    ):
        return None
    kernel = {}
    for gate, each in sums.items():
        parts = [each.products.get(f, np.zeros((widths[f], hidden), np.float32)) for f in factors]
        kernel[gate] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    biases = {g: np.broadcast_to(s.bias, (hidden,)) for g, s in sums.items()}
    inner = {} if inner_bias is None else {"c": np.broadcast_to(inner_bias, (hidden,))}
    return factors, Weights(kernel, recurrent, biases, inner, peephole)


def _lstm_block(reader: GateReader, h: StateSlot, states: Sequence[StateSlot]) -> MatchedCell | None:
    """LSTMBlockCell: x, c, h, kernel, wci, wcf, wco, bias → i, c', f, o, ci, co, h'; gate order i, c, f, o."""
    output = reader.structure.source(h.leaving)
    node = reader.node(h.leaving)
    if node.op != "LSTMBlockCell" or output.index != 6 or node.number("cell_clip", 3.0) > 0:
        return None
    c = _state_of(reader, Value(node.name, 1), states)
    x, last_c, last_h = (reader.structure.source(v) for v in node.inputs[:3])
    kernel, wci, wcf, wco, bias = (reader.numbers.of(v) for v in node.inputs[3:8])
    if c is None or (last_c, last_h) != (c.entering, h.entering) or kernel is None or bias is None:
        return None
    peephole = {"i": wci, "f": wcf, "o": wco} if node.flag("use_peephole") else {}
    if any(vector is None for vector in peephole.values()):
        return None
    parts, biases = _divided(kernel, bias.size // 4, "icfo"), cells.divide_gates(bias, "icfo")
    biases["f"] = biases["f"] + np.float32(node.number("forget_bias", 1.0))
    known = {letter: vector for letter, vector in peephole.items() if vector is not None}
    weights = Weights(*parts, biases, {}, known)
    return MatchedCell(cells.LSTM, output, h, c, (x,), weights, (_SIGMOID, _TANH, _TANH))


def _gru_block(reader: GateReader, h: StateSlot, states: Sequence[StateSlot]) -> MatchedCell | None:
    """GRUBlockCell: x, h, w_ru, w_c, b_ru, b_c → r, u, c, h'; the reset gate before the product."""
    output = reader.structure.source(h.leaving)
    node = reader.node(h.leaving)
    if node.op != "GRUBlockCell" or output.index != 3:
        return None
    x, last = (reader.structure.source(v) for v in node.inputs[:2])
    w_ru, w_c, b_ru, b_c = (reader.numbers.of(v) for v in node.inputs[2:6])
    if last != h.entering or w_ru is None or w_c is None or b_ru is None or b_c is None:
        return None
    hidden = b_c.shape[-1]
    gates, candidate = _divided(w_ru, hidden, "rz"), _divided(w_c, hidden, "c")
    kernel, recurrent = ({**g, **c} for g, c in zip(gates, candidate, strict=True))
    weights = Weights(kernel, recurrent, {**cells.divide_gates(b_ru, "rz"), "c": b_c})
    return MatchedCell(cells.GRU, output, h, None, (x,), weights, (_SIGMOID, _TANH))


def _divided(kernel: Array, hidden: int, order: str) -> tuple[dict[str, Array], dict[str, Array]]:
    """A kernel of joined input and output as (kernel, recurrent kernel) by gate."""
    return cells.divide_gates(kernel[:-hidden], order), cells.divide_gates(kernel[-hidden:], order)


_SIGMOID, _TANH = OnnxActivation("Sigmoid"), OnnxActivation("Tanh")

_Rule = Callable[[GateReader, StateSlot, Sequence[StateSlot]], MatchedCell | None]

_RULES: tuple[_Rule, ...] = (_lstm_block, _gru_block, _lstm, _gru, _rnn)
