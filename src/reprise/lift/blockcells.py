"""TensorFlow's fused one-step cells → plain ONNX operators.

Source: tensorflow/core/ops/rnn_ops.cc (LSTMBlockCell, GRUBlockCell) and contrib/rnn/python/ops/{lstm,gru}_ops.py.
"""

from __future__ import annotations

from reprise.lift.emitter import Operator, Site
from reprise.operators.rules.block import computed


def _lstm_block_cell(site: Site) -> tuple[str, ...]:
    """x, cs_prev, h_prev, w, wci, wcf, wco, b → i, cs, f, o, ci, co, h; gate order i, ci, f, o."""
    x, c, h, kernel, wci, wcf, wco, bias = site.inputs()
    kind = computed(site.dtype())
    together = site.one("Concat", x, h, axis=1)
    gates = site.one("Add", site.one("MatMul", together, kernel), bias)
    i, ci, f, o = site.block.add("Split", [gates], 4, site.node.name, axis=1)
    forget = site.node.number("forget_bias", 1.0)
    f = site.one("Add", f, site.constant(forget, kind))
    peephole = site.node.flag("use_peephole")
    if peephole:
        i = site.one("Add", i, site.one("Mul", c, wci))
        f = site.one("Add", f, site.one("Mul", c, wcf))
    i, f, ci = site.one("Sigmoid", i), site.one("Sigmoid", f), site.one("Tanh", ci)
    cs = site.one("Add", site.one("Mul", ci, i), site.one("Mul", c, f))
    clip = site.node.number("cell_clip", 3.0)
    if clip > 0:
        cs = site.one("Min", site.one("Max", cs, site.constant(-clip, kind)), site.constant(clip, kind))
    if peephole:
        o = site.one("Add", o, site.one("Mul", cs, wco))
    o, co = site.one("Sigmoid", o), site.one("Tanh", cs)
    return i, cs, f, o, ci, co, site.one("Mul", co, o)


def _gru_block_cell(site: Site) -> tuple[str, ...]:
    """x, h_prev, w_ru, w_c, b_ru, b_c → r, u, c, h; h = u ⊙ h_prev + (1 − u) ⊙ c, reset before the product."""
    x, h, w_ru, w_c, b_ru, b_c = site.inputs()
    gates = site.one("Add", site.one("MatMul", site.one("Concat", x, h, axis=1), w_ru), b_ru)
    r, u = site.block.add("Split", [site.one("Sigmoid", gates)], 2, site.node.name, axis=1)
    reset = site.one("Concat", x, site.one("Mul", r, h), axis=1)
    c = site.one("Tanh", site.one("Add", site.one("MatMul", reset, w_c), b_c))
    keep = site.one("Mul", u, h)
    rest = site.one("Mul", site.one("Sub", site.constant(1, computed(site.dtype())), u), c)
    return r, u, c, site.one("Add", keep, rest)


BLOCK_CELLS: dict[str, Operator] = {
    "LSTMBlockCell": Operator(_lstm_block_cell),
    "GRUBlockCell": Operator(_gru_block_cell),
}
