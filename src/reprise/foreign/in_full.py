"""Cells that cut their inputs to int8 anew at every call, as cells that do not: on these, axes are looked for.

By how much such a cell rounds depends on all numbers of a call, so a run of several rows or steps differs from single
ones by that, and no bound of that difference tells it from a mistake. Source: DynamicQuantizeLSTM in the operator
documentation of com.microsoft; weights are [directions, D, 4H], scales [directions] or [directions, 4H].
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reprise.foreign.program import Program, with_nodes
from reprise.wire import onnx

_CELL = "DynamicQuantizeLSTM"
#: The inputs of a cell: weights, their scales and zero points.
_WEIGHTS = {1: (8, 9), 2: (10, 11)}
_SHAPE, _FLOAT = "scales of one direction", 1


def in_full(program: Program) -> Program:
    """`program` with the cells that multiply the same weights with numbers as they are; itself where it has none."""
    if not any(_is_cut(node) for node in program.nodes):
        return program
    nodes = [made for node in program.nodes for made in (_cell(node) if _is_cut(node) else [node])]
    shape = onnx.tensor(np.array([1, 1, -1]), _SHAPE)
    return replace(with_nodes(program, nodes), small=(*program.small, shape))


def _is_cut(node: onnx.Message) -> bool:
    """Whether it is such a cell of one direction; of two it cannot be stepped."""
    return bool(node.op_type == _CELL and onnx.attribute(node, "direction", b"forward") != b"bidirectional")


def _cell(node: onnx.Message) -> list[onnx.Message]:
    """An LSTM, after the nodes that give its weights."""
    taken, made = [*node.input[:8]], []
    for place, (scale, zero) in _WEIGHTS.items():
        name = f"{node.output[0]}.in full.{place}"
        made += [
            onnx.node("Cast", [node.input[place]], [f"{name}.stored"], to=_FLOAT),
            onnx.node("Cast", [node.input[zero]], [f"{name}.zero"], to=_FLOAT),
            onnx.node("Reshape", [f"{name}.zero", _SHAPE], [f"{name}.zeros"]),
            onnx.node("Sub", [f"{name}.stored", f"{name}.zeros"], [f"{name}.whole"]),
            onnx.node("Reshape", [node.input[scale], _SHAPE], [f"{name}.scales"]),
            onnx.node("Mul", [f"{name}.whole", f"{name}.scales"], [f"{name}.input first"]),
            onnx.node("Transpose", [f"{name}.input first"], [name], perm=[0, 2, 1]),
        ]
        taken[place] = name
    while not taken[-1]:
        taken.pop()
    cell = onnx.node("LSTM", taken, list(node.output))
    cell.attribute.extend(node.attribute)
    return [*made, cell]
