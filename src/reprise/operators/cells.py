"""Fused recurrent cells: one step (LSTMBlockCell, GRUBlockCell) and whole sequences.

Source: tensorflow/core/ops/rnn_ops.cc (LSTMBlockCell, GRUBlockCell) and contrib/rnn/python/ops/{lstm,gru}_ops.py.
"""

from __future__ import annotations

from reprise.graph import Node
from reprise.operators.rules.asking import of_ranks
from reprise.operators.rules.attributes import Flag, Number, Text
from reprise.operators.rules.block import computed_type
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim

_TIME_MAJOR, _DIRECTION = Flag("time_major", default=True), Text("direction", "unidirectional")
_FORGET_BIAS, _CELL_CLIP, _PEEPHOLE = Number("forget_bias", 1.0), Number("cell_clip", 3.0), Flag("use_peephole")


def _block_cell_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """LSTMBlockCell and GRUBlockCell: every output is like the state that goes in."""
    x, state = inputs[0].shape, inputs[1].shape
    if x and state:
        facts.sizes.equate(x[0], state[0])
    return [Fact(state)] * 7


def _block_lstm_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """BlockLSTM(seq_len_max, x [T, N, D], cs_prev [N, H], …): every output is [T, N, H]."""
    x, state = inputs[1].shape, inputs[2].shape
    if x is None or state is None:
        return [UNKNOWN] * 7
    return [Fact((x[0], facts.sizes.equate(x[1], state[0]), state[1]))] * 7


def _cudnn_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """CudnnRNN(x [T, N, D], h [P, N, H], c, …): [T, N, H] or, of both directions, [T, N, 2H]; the states as given."""
    x, h = inputs[0].shape, inputs[1].shape
    if x is None or h is None or len(x) != 3 or len(h) != 3:
        return [UNKNOWN] * 3
    batch = 1 if _TIME_MAJOR(node) else 0
    facts.sizes.equate(x[batch], h[batch])
    directions = 2 if _DIRECTION(node) == "bidirectional" else 1
    return [Fact((x[0], x[1], Dim(directions * h[2].scale, h[2].symbols))), Fact(h), Fact(inputs[2].shape)]


def _lstm_block_cell_onnx(site: Site) -> tuple[str, ...]:
    """x, cs_prev, h_prev, w, wci, wcf, wco, b → i, cs, f, o, ci, co, h; gate order i, ci, f, o."""
    x, c, h, kernel, wci, wcf, wco, bias = site.inputs()
    kind = computed_type(site.dtype())
    together = site.one("Concat", x, h, axis=1)
    gates = site.one("Add", site.one("MatMul", together, kernel), bias)
    i, ci, f, o = site.block.add("Split", [gates], 4, site.node.name, axis=1)
    forget = _FORGET_BIAS(site.node)
    f = site.one("Add", f, site.constant(forget, kind))
    peephole = _PEEPHOLE(site.node)
    if peephole:
        i = site.one("Add", i, site.one("Mul", c, wci))
        f = site.one("Add", f, site.one("Mul", c, wcf))
    i, f, ci = site.one("Sigmoid", i), site.one("Sigmoid", f), site.one("Tanh", ci)
    cs = site.one("Add", site.one("Mul", ci, i), site.one("Mul", c, f))
    clip = _CELL_CLIP(site.node)
    if clip > 0:
        cs = site.one("Min", site.one("Max", cs, site.constant(-clip, kind)), site.constant(clip, kind))
    if peephole:
        o = site.one("Add", o, site.one("Mul", cs, wco))
    o, co = site.one("Sigmoid", o), site.one("Tanh", cs)
    return i, cs, f, o, ci, co, site.one("Mul", co, o)


def _gru_block_cell_onnx(site: Site) -> tuple[str, ...]:
    """x, h_prev, w_ru, w_c, b_ru, b_c → r, u, c, h; h = u ⊙ h_prev + (1 − u) ⊙ c, reset before the product."""
    x, h, w_ru, w_c, b_ru, b_c = site.inputs()
    gates = site.one("Add", site.one("MatMul", site.one("Concat", x, h, axis=1), w_ru), b_ru)
    r, u = site.block.add("Split", [site.one("Sigmoid", gates)], 2, site.node.name, axis=1)
    reset = site.one("Concat", x, site.one("Mul", r, h), axis=1)
    c = site.one("Tanh", site.one("Add", site.one("MatMul", reset, w_c), b_c))
    keep = site.one("Mul", u, h)
    rest = site.one("Mul", site.one("Sub", site.constant(1, computed_type(site.dtype())), u), c)
    return r, u, c, site.one("Add", keep, rest)


OPERATORS = (
    Operator(
        "LSTMBlockCell",
        8,
        shape=_block_cell_shape,
        onnx=_lstm_block_cell_onnx,
        attributes=(_FORGET_BIAS, _CELL_CLIP, _PEEPHOLE),
        outputs="i cs f o ci co h",
        asks=of_ranks(2, 2, 2),
    ),
    Operator(
        "GRUBlockCell", 6, shape=_block_cell_shape, onnx=_gru_block_cell_onnx, outputs="r u c h", asks=of_ranks(2, 2)
    ),
    Operator(
        "BlockLSTM BlockLSTMV2", 9, shape=_block_lstm_shape, outputs="i cs f o ci co h", asks=of_ranks(0, 3, 2, 2)
    ),
    Operator(
        "CudnnRNN",
        4,
        shape=_cudnn_shape,
        attributes=(_DIRECTION,),
        outputs="output output_h output_c reserve_space",
        asks=of_ranks(3, 3, 3),
    ),
    Operator(
        "CudnnRNNV2",
        4,
        shape=_cudnn_shape,
        attributes=(_DIRECTION,),
        outputs="output output_h output_c reserve_space host_reserved",
        asks=of_ranks(3, 3, 3),
    ),
    Operator(
        "CudnnRNNV3",
        5,
        shape=_cudnn_shape,
        attributes=(_TIME_MAJOR, _DIRECTION),
        outputs="output output_h output_c reserve_space host_reserved",
        asks=of_ranks(3, 3, 3),
    ),
    Operator("CudnnRNNParamsToCanonical", 4, outputs="weights*num_params biases*num_params"),
    Operator("CudnnRNNParamsToCanonicalV2", 4, outputs="weights*num_params_weights biases*num_params_biases"),
)
