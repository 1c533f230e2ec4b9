"""Rules of operators that compute: element by element, reductions, fused cells."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.interface.analysis.facts.inference import UNKNOWN, Fact, Inference, Rule, known_axis
from reprise.operators.rules.sizes import Dim, product
from reprise.tensors import Array


def _elementwise(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(inputs[0].shape)]


def _turned_around(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """ReverseSequence(x, lengths [N]): lengths that the file knows are those of so many steps."""
    shape, lengths = inputs[0].shape, inputs[1].shape
    if shape is None:
        return [UNKNOWN]
    time, batch = (node.integer(name, 0) for name in ("seq_dim", "batch_dim"))
    if lengths:
        facts.sizes.equate(shape[batch], lengths[0])
    if inputs[1].content is not None:
        facts.sizes.bake(shape[time])
    return [Fact(shape)]


def _binary(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(facts.broadcast(inputs[0].shape, inputs[1].shape), _symbolic(facts, node, inputs))]


def _symbolic(facts: Inference, node: Node, inputs: list[Fact]) -> Array | None:
    """Products of sizes, and sums with numbers; other arithmetic on free sizes is not followed."""
    a, b = inputs[0].content, inputs[1].content
    if a is None or b is None:
        return None
    if node.op == "Mul":
        return np.asarray(np.multiply(a.astype(object), b.astype(object)), object)
    if node.op not in ("Add", "AddV2", "Sub") or a.ndim or b.ndim:
        return None
    first, second = a.item(), b.item()
    if isinstance(first, Dim) and isinstance(second, int):
        return np.asarray(facts.sizes.plus(first, -second if node.op == "Sub" else second), object)
    if node.op != "Sub" and isinstance(first, int) and isinstance(second, Dim):
        return np.asarray(facts.sizes.plus(second, first), object)
    return None


def _all_agree(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.broadcast(shape, other.shape)
    return [Fact(shape)]


def _select(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = facts.equate(inputs[1].shape, inputs[2].shape)
    chosen = inputs[0].shape
    if node.op == "Select" and shape and chosen is not None and len(chosen) == 1:  # a flag for each row
        shape = (facts.sizes.equate(shape[0], chosen[0]), *shape[1:])
    elif shape is not None and chosen:
        shape = facts.broadcast(shape, chosen)
    return [Fact(shape)]


def _bias_add(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, bias = inputs[0].shape, inputs[1].shape
    if x is not None and bias is not None and node.attributes.get("data_format") != b"NCHW":
        return [Fact((*x[:-1], facts.sizes.equate(x[-1], bias[0])))]
    return [Fact(x)]


def _reduce(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, axes = inputs[0].shape, inputs[1].content
    if shape is None or axes is None or axes.dtype == object:
        return [UNKNOWN]
    content = inputs[0].content
    if node.op == "Prod" and content is not None and content.ndim == 1:
        return [Fact((), np.asarray(product(content.tolist()), object))]
    gone = {int(a) % max(len(shape), 1) for a in axes.ravel()}
    if node.attributes.get("keep_dims") or node.attributes.get("keepdims"):
        return [Fact(tuple(Dim(1) if i in gone else d for i, d in enumerate(shape)))]
    return [Fact(tuple(d for i, d in enumerate(shape) if i not in gone))]


def _arg_reduce(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    axis = None if shape is None else known_axis(inputs[1], len(shape))
    if shape is None or axis is None:
        return [UNKNOWN]
    return [Fact(tuple(d for i, d in enumerate(shape) if i != axis))]


def _block_cell(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """LSTMBlockCell and GRUBlockCell: every output is like the state that goes in."""
    x, state = inputs[0].shape, inputs[1].shape
    if x and state:
        facts.sizes.equate(x[0], state[0])
    return [Fact(state)] * 7


def _block_lstm(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """BlockLSTM(seq_len_max, x [T, N, D], cs_prev [N, H], …): every output is [T, N, H]."""
    x, state = inputs[1].shape, inputs[2].shape
    if x is None or state is None:
        return [UNKNOWN] * 7
    return [Fact((x[0], facts.sizes.equate(x[1], state[0]), state[1]))] * 7


def _cudnn(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """CudnnRNN(x [T, N, D], h [P, N, H], c, …): [T, N, H] or, of both directions, [T, N, 2H]; the states as given."""
    x, h = inputs[0].shape, inputs[1].shape
    if x is None or h is None or len(x) != 3 or len(h) != 3:
        return [UNKNOWN] * 3
    batch = 1 if node.attributes.get("time_major", True) else 0
    facts.sizes.equate(x[batch], h[batch])
    directions = 2 if node.attributes.get("direction") == b"bidirectional" else 1
    return [Fact((x[0], x[1], Dim(directions * h[2].scale, h[2].symbols))), Fact(h), Fact(inputs[2].shape)]


_OF_ONE = (
    "Sigmoid Tanh Relu Relu6 Elu Selu LeakyRelu Softplus Softsign Exp Expm1 Log Log1p Sqrt Rsqrt Square Neg Abs Sign "
    "Floor Ceil Round Rint Reciprocal Inv Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh LogicalNot "
    "ZerosLike OnesLike IsFinite IsNan IsInf ClipByValue Bucketize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars "
    "FakeQuantWithMinMaxVarsPerChannel StringToHashBucketFast StringToHashBucket StringToHashBucketStrong StringLower"
)
_OF_TWO = (
    "Add AddV2 Sub Mul Div RealDiv DivNoNan FloorDiv FloorMod Mod Maximum Minimum Pow SquaredDifference TruncateDiv "
    "TruncateMod Less LessEqual Greater GreaterEqual Equal NotEqual LogicalAnd LogicalOr BiasAddV1 MulNoNan Xdivy "
    "Xlogy Xlog1py Atan2 ApproximateEqual"
)
#: Operators that compute each element of what they make from those at the same place.
ELEMENTWISE = frozenset((*_OF_ONE.split(), *_OF_TWO.split(), "AddN"))
_OF_THE_SAME_SHAPE = "Softmax LogSoftmax Cumsum Cumprod ReverseV2 Reverse Roll Dequantize"

ARITHMETIC: dict[str, Rule] = {
    **dict.fromkeys((*_OF_ONE.split(), *_OF_THE_SAME_SHAPE.split()), _elementwise),
    **dict.fromkeys(_OF_TWO.split(), _binary),
    "ReverseSequence": _turned_around,
    "AddN": _all_agree,
    **dict.fromkeys(("Select", "SelectV2"), _select),
    "BiasAdd": _bias_add,
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_reduce),
    **dict.fromkeys(("LSTMBlockCell", "GRUBlockCell"), _block_cell),
    **dict.fromkeys(("BlockLSTM", "BlockLSTMV2"), _block_lstm),
    **dict.fromkeys(("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"), _cudnn),
}
