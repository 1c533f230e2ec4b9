"""Recurrent cells that stored tensors may be, by their shapes and the scopes that they share.

TensorFlow's cells (`tensorflow/python/ops/rnn_cell_impl.py`) with D inputs, H units and P outputs have

| kind | tensors |
|---|---|
| lstm | [D + P, 4H] and [4H]; perhaps a projection [H, P] and peepholes 3 times [H]; P is H without a projection |
| gru  | gates [D + H, 2H] and [2H], candidate [D + H, H] and [H] |
| rnn  | [D + H, H] and [H] |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reprise.weights.own import Shapes, nearest, scope

#: The names that TensorFlow's cells give to their peepholes; nothing else tells the three apart.
PEEPHOLES = ("w_i_diag", "w_f_diag", "w_o_diag")


@dataclass(frozen=True, slots=True)
class CandidateCell:
    """Tensors that can be one cell.

    Attributes:
        scope: Where they lie.
        inputs: The width of what it reads.
        outputs: The width of what it gives to the next layer and, but for c, to itself.
        units: The width of its gates.
        tensors: Role → stored name.
    """

    scope: str
    inputs: int
    outputs: int
    units: int
    tensors: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """What two cells that can change places have in common."""
        return self.inputs, self.outputs, self.units


def candidate_cells(kind: str, shapes: Shapes) -> tuple[CandidateCell, ...]:
    """Every cell of a kind that tensors of these shapes can be."""
    return tuple(cell for cell in _FINDERS[kind](shapes) if cell.inputs > 0)


def _with_bias(shapes: Shapes) -> Iterator[tuple[str, str, int, int]]:
    """Matrices with the only vector of as many columns in their scope: both names, rows and columns."""
    for name, shape in shapes.items():
        if len(shape) == 2:
            near = [v for v, s in shapes.items() if s == shape[1:] and scope(v) == scope(name)]
            if len(near) == 1:
                yield name, near[0], *shape


def _lstm(shapes: Shapes) -> Iterator[CandidateCell]:
    for kernel, bias, rows, columns in _with_bias(shapes):
        units = columns // 4
        if columns % 4 or not units:
            continue
        held = {"kernel": kernel, "bias": bias, **_peepholes(scope(kernel), units, shapes)}
        inside = [
            n
            for n, s in shapes.items()
            if len(s) == 2 and s[0] == units and n != kernel and n.startswith(scope(kernel) + "/") and scope(kernel)
        ]
        if not inside:
            yield CandidateCell(scope(kernel), rows - units, units, units, held)
        elif len(inside) == 1:
            out = shapes[inside[0]][1]
            yield CandidateCell(scope(kernel), rows - out, out, units, {**held, "projection": inside[0]})


def _peepholes(inside: str, units: int, shapes: Shapes) -> dict[str, str]:
    found = {role: f"{inside}/{role}" if inside else role for role in PEEPHOLES}
    return found if all(shapes.get(name) == (units,) for name in found.values()) else {}


def _gru(shapes: Shapes) -> Iterator[CandidateCell]:
    joined = {kernel: (bias, rows, columns) for kernel, bias, rows, columns in _with_bias(shapes)}
    for gates, (gates_bias, rows, columns) in joined.items():
        fitting = [k for k, (_, r, c) in joined.items() if r == rows and 2 * c == columns]
        near = nearest(gates, fitting)
        if len(near) == 1:
            candidate, units = near[0], columns // 2
            held = {"gates": gates, "gates_bias": gates_bias}
            held |= {"candidate": candidate, "candidate_bias": joined[candidate][0]}
            shared = scope(gates) if scope(gates) == scope(candidate) else scope(scope(gates))
            yield CandidateCell(shared, rows - units, units, units, held)


def _rnn(shapes: Shapes) -> Iterator[CandidateCell]:
    for kernel, bias, rows, columns in _with_bias(shapes):
        yield CandidateCell(scope(kernel), rows - columns, columns, columns, {"kernel": kernel, "bias": bias})


_FINDERS: Mapping[str, Callable[[Shapes], Iterator[CandidateCell]]] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
