"""LiteRT's operators in TensorFlow's, one rule each: what they compute, with what attributes.

What each operator computes: `tensorflow/lite/kernels/` and the operator set at
https://ai.google.dev/edge/litert/models/ops_compatibility. An operator without a rule keeps its own name, so that a
model that needs it is refused by that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._litert.recurrent import RECURRENT
from reprise.formats._litert.site import LiteSite
from reprise.formats._tensorflow.graphdef import node_attributes
from reprise.graph import FunctionName, Node, Value
from reprise.tensors import Shape, Tensor
from reprise.wire.flatbuffer import flex_strings
from reprise.wire.varint import Cut

Rule = Callable[[LiteSite], None]
_PADDINGS = {0: b"SAME", 1: b"VALID"}
_FLEX = "Flex"
_FLOATS = frozenset({"float16", "float32"})


def _same(op: str, site: LiteSite) -> None:
    """The operator of TensorFlow that takes the same inputs; where the answer is a flag, its type is theirs."""
    made = site.dtype(output=True)
    site.give(op, site.inputs(), T=site.dtype() if made == "bool" else made)


def _with_activation(op: str, site: LiteSite) -> None:
    site.give(op, site.inputs(), site.option(0), T=site.dtype())


def _fully_connected(site: LiteSite) -> None:
    """X · Wᵀ + b over the last axis, whose other axes are kept or made one."""
    x, kernel, kind = site.input(0), site.turned(1, (1, 0)), site.dtype()
    wide = site.rank(0) > 2
    if wide and not site.option(2, "?"):
        size = site.number("size", [-1, site.tensor(1).shape[1]])
        x, wide = site.make("rows", "Reshape", (x, size), T=kind, Tshape="int32"), False
    bias = site.has(2)
    product = ("BatchMatMulV2" if wide else "MatMul", (x, kernel))
    activation = site.option(0)
    if not bias:
        site.give(*product, activation, T=kind)
        return
    made = site.make("product", product[0], product[1], T=kind)
    site.give("BiasAdd" if not wide else "AddV2", (made, site.input(2)), activation, T=kind)


def _softmax(site: LiteSite) -> None:
    beta = site.option(0, "f", 1.0)
    x = site.input(0)
    if beta != 1:
        x = site.make("scaled", "Mul", (x, site.scalar("beta", beta)), T=site.dtype())
    site.give("Softmax", (x,), T=site.dtype())


def _reshape(site: LiteSite) -> None:
    """Converters write a transposition that only moves axes of one element as a Reshape; it is read as what it was."""
    order = _moved_units(site.tensor(0).shape, site.output().shape)
    if order is not None:
        site.give("Transpose", (site.input(0), site.number("perm", order)), T=site.dtype(), Tperm="int32")
        return
    sizes = () if site.node.options is None else site.node.options.integers(0)
    shape = site.input(1) if site.has(1) else site.number("shape", list(sizes))
    site.give("Reshape", (site.input(0), shape), T=site.dtype(), Tshape="int32")


def _moved_units(before: Shape, after: Shape) -> list[int] | None:
    """The order of axes that a Reshape which moves axes of one element gives, None for any other."""
    if (
        None in before
        or len(before) != len(after)
        or before == after
        or sorted(map(str, before)) != sorted(map(str, after))
    ):
        return None
    ones, others = ([k for k, n in enumerate(before) if (n == 1) is unit] for unit in (True, False))
    order = [ones.pop(0) if n == 1 else others.pop(0) for n in after]
    return order if [before[k] for k in order] == list(after) else None


def _squeeze(site: LiteSite) -> None:
    axes = () if site.node.options is None else site.node.options.integers(0)
    site.give("Squeeze", (site.input(0),), T=site.dtype(), squeeze_dims=axes)


def _concatenation(site: LiteSite) -> None:
    axis = site.number("axis", site.option(0, "i"))
    parts = site.inputs()
    site.give("ConcatV2", (*parts, axis), site.option(1), N=len(parts), T=site.dtype(), Tidx="int32")


def _split(site: LiteSite) -> None:
    site.give("Split", site.inputs(), num_split=site.option(0, "i"), T=site.dtype(1))


def _split_v(site: LiteSite) -> None:
    site.give("SplitV", site.inputs(), num_split=site.option(0, "i"), T=site.dtype(), Tlen=site.dtype(1))


def _pack(site: LiteSite) -> None:
    site.give("Pack", site.inputs(), N=len(site.node.inputs), axis=site.option(1, "i"), T=site.dtype())


def _unpack(site: LiteSite) -> None:
    site.give("Unpack", site.inputs(), num=len(site.node.outputs), axis=site.option(1, "i"), T=site.dtype())


def _strided_slice(site: LiteSite) -> None:
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    found = {mask: site.option(k, "i") for k, mask in enumerate(masks)}
    if site.option(5, "?"):  # the ends are counted from the beginnings
        end = site.make("end", "AddV2", (site.input(1), site.input(2)), T="int32")
        site.give("StridedSlice", (*site.inputs()[:2], end, site.input(3)), T=site.dtype(), Index="int32", **found)
    else:
        site.give("StridedSlice", site.inputs(), T=site.dtype(), Index=site.dtype(1), **found)


def _gather(site: LiteSite) -> None:
    axis = site.number("axis", site.option(0, "i"))
    batch = site.option(1, "i")
    inputs = (*site.inputs(), axis)
    site.give("GatherV2", inputs, Tparams=site.dtype(), Tindices=site.dtype(1), Taxis="int32", batch_dims=batch)


def _embedding(site: LiteSite) -> None:
    inputs = (site.input(1), site.input(0), site.number("axis", 0))
    site.give("GatherV2", inputs, Tparams=site.dtype(1), Tindices=site.dtype(), Taxis="int32", batch_dims=0)


def _convolution(site: LiteSite, *, depthwise: bool) -> None:
    """The kernel is kept as [out, height, width, in], or [1, height, width, in · multiplier]."""
    fused, dilated = (4, 5) if depthwise else (3, 4)
    kernel = _depthwise_kernel(site) if depthwise else site.turned(1, (1, 2, 3, 0))
    attributes = {
        "strides": (1, site.option(2, "i"), site.option(1, "i"), 1),
        "padding": _PADDINGS[site.option(0)],
        "dilations": (1, site.option(dilated + 1, "i", 1), site.option(dilated, "i", 1), 1),
        "data_format": b"NHWC",
        "T": site.dtype(),
    }
    op = "DepthwiseConv2dNative" if depthwise else "Conv2D"
    if not site.has(2):
        site.give(op, (site.input(0), kernel), site.option(fused), **attributes)
        return
    made = site.make("convolved", op, (site.input(0), kernel), **attributes)
    site.give("BiasAdd", (made, site.input(2)), site.option(fused), data_format=b"NHWC")


def _depthwise_kernel(site: LiteSite) -> Value:
    content = site.content(1)
    if content is None:
        raise DamagedFile(f"{site.name}: a depthwise convolution whose kernel is computed is not read.")
    _, height, width, out = content.shape
    multiplier = max(site.option(3, "i"), 1)
    shape = (height, width, out // multiplier, multiplier)
    tensor = Tensor(content.dtype, shape, lambda: content.load().reshape(shape), content.source)
    return site.make("kernel", "Const", dtype=content.dtype, value=tensor)


def _pool(op: str, site: LiteSite) -> None:
    site.give(
        op,
        (site.input(0),),
        site.option(5),
        ksize=(1, site.option(4, "i"), site.option(3, "i"), 1),
        strides=(1, site.option(2, "i"), site.option(1, "i"), 1),
        padding=_PADDINGS[site.option(0)],
        data_format=b"NHWC",
    )


def _reduced(op: str, site: LiteSite) -> None:
    site.give(op, site.inputs(), keep_dims=bool(site.option(0, "?")), T=site.dtype(), Tidx="int32")


def _chosen(op: str, site: LiteSite) -> None:
    site.give(op, site.inputs(), output_type=site.dtype(output=True), T=site.dtype())


def _one_hot(site: LiteSite) -> None:
    site.give("OneHot", site.inputs(), axis=site.option(0, "i"), T=site.dtype(output=True), TI=site.dtype())


def _typed(op: str, attribute: str, site: LiteSite) -> None:
    """An operator whose attribute names the type of its output."""
    types: dict[str, Any] = {attribute: site.dtype(output=True), "T": site.dtype()}
    site.give(op, site.inputs(), **types)


def _converted(site: LiteSite) -> None:
    """Between numbers and what they stand for, which is the same here; between widths of numbers."""
    have, want, content = site.dtype(), site.dtype(output=True), site.content(0)
    if content is not None and {have, want} <= _FLOATS:  # weights of 16 bits, which many operators read as one constant
        wide = Tensor(want, content.shape, lambda: content.load().astype(want), content.source)
        site.values.known[site.node.outputs[0]] = wide
    elif have == want:
        site.give("Identity", (site.input(0),))
    else:
        site.give("Cast", (site.input(0),), SrcT=have, DstT=want)


def _hard_swish(site: LiteSite) -> None:
    x, kind = site.input(0), site.dtype()
    moved = site.make("moved", "AddV2", (x, site.scalar("three", 3.0)), T=kind)
    part = site.make(
        "part", "Mul", (site.make("clipped", "Relu6", (moved,), T=kind), site.scalar("sixth", 1 / 6)), T=kind
    )
    site.give("Mul", (x, part))


def _prelu(site: LiteSite) -> None:
    x, kind, zero = site.input(0), site.dtype(), site.scalar("zero", 0.0)
    above = site.make("above", "Maximum", (x, zero), T=kind)
    below = site.make("below", "Mul", (site.make("negative", "Minimum", (x, zero), T=kind), site.input(1)), T=kind)
    site.give("AddV2", (above, below))


def _unit(site: LiteSite) -> None:
    site.activated(site.input(0), 2)


def _leaky(site: LiteSite) -> None:
    site.give("LeakyRelu", site.inputs(), alpha=site.option(0, "f"))


def _batch_product(site: LiteSite) -> None:
    site.give("BatchMatMulV2", site.inputs(), adj_x=bool(site.option(0, "?")), adj_y=bool(site.option(1, "?")))


def _mirrored(site: LiteSite) -> None:
    mode = {0: b"REFLECT", 1: b"SYMMETRIC"}[site.option(0)]
    site.give("MirrorPad", site.inputs(), mode=mode, T=site.dtype(), Tpaddings="int32")


def _cumulated(site: LiteSite) -> None:
    flags = {"exclusive": bool(site.option(0, "?")), "reverse": bool(site.option(1, "?"))}
    site.give("Cumsum", site.inputs(), T=site.dtype(), **flags)


def _backwards(site: LiteSite) -> None:
    site.give("ReverseSequence", site.inputs(), seq_dim=site.option(0, "i"), batch_dim=site.option(1, "i"))


def _while(site: LiteSite) -> None:
    condition, body = (FunctionName(f"subgraph_{site.option(k, 'i')}") for k in (0, 1))
    kinds = tuple(site.values.dtype(i) for i in site.node.inputs)
    site.give("While", site.inputs(), cond=condition, body=body, output_types=kinds)


def _if(site: LiteSite) -> None:
    then, otherwise = (FunctionName(f"subgraph_{site.option(k, 'i')}") for k in (0, 1))
    kinds = tuple(site.values.dtype(i) for i in site.node.outputs)
    site.give("If", site.inputs(), then_branch=then, else_branch=otherwise, output_types=kinds)


def _call(site: LiteSite) -> None:
    kinds = tuple(site.values.dtype(i) for i in site.node.outputs)
    name = FunctionName(f"subgraph_{site.option(0, 'I')}")
    site.give("PartitionedCall", site.inputs(), f=name, output_types=kinds)


def variable_of(site: LiteSite) -> str:
    """The name that a handle gives to its variable."""
    options = site.node.options
    return "" if options is None else f"{options.text(0)}/{options.text(1)}".strip("/")


def _handle(site: LiteSite) -> None:
    name = variable_of(site) or site.name
    site.values.nodes.setdefault(name, Node(name, "VarHandleOp"))
    site.bind([Value(name)])


def _variable(op: str, site: LiteSite) -> None:
    """A variable is read and assigned in the order of the file."""
    variable = site.input(0).node
    name = site.name if op == "ReadVariableOp" else f"{variable}/assign_{len(site.nodes)}"
    kind = site.dtype(output=True) if op == "ReadVariableOp" else site.dtype(1)
    before = site.values.last_use.get(variable)
    site.values.last_use[variable] = name
    site.add(Node(name, op, site.inputs(), (before,) if before else (), {"dtype": kind}))
    site.bind([Value(name)])


def _nothing(site: LiteSite) -> None:
    """What an operator does before the first call is read apart."""


def _custom(site: LiteSite) -> None:
    """A Flex operator is one of TensorFlow, described by its NodeDef; another custom operator keeps its name."""
    if not site.node.name.startswith(_FLEX):
        site.give(site.node.name, site.inputs())
        return
    try:
        name, definition, *_ = flex_strings(site.node.custom)
    except (Cut, ValueError) as error:
        raise DamagedFile(f"{site.name}: its description of {site.node.name} is not whole ({error}).") from error
    site.bind([Value(site.name, k) for k in range(len(site.node.outputs))])
    site.add(
        Node(
            site.name, name.decode("utf-8", "replace"), site.inputs(), (), node_attributes(definition, Path(site.name))
        )
    )


#: Operators that take the inputs of TensorFlow's of the same name, and those of another one's.
_SAME_INPUTS = (
    "ABS ADD_N BROADCAST_ARGS BROADCAST_TO CEIL COS ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD "
    "GATHER_ND GREATER GREATER_EQUAL LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOG_SOFTMAX MAXIMUM "
    "MINIMUM NEG NOT_EQUAL PAD POW RANGE RANK RELU RELU6 REVERSE_V2 ROUND RSQRT SCATTER_ND SIGN SIN SLICE SQRT "
    "SQUARE SQUARED_DIFFERENCE TANH TILE TRANSPOSE WHERE ZEROS_LIKE "
).split()
_SAME_AS = {"LOGISTIC": "Sigmoid", "PADV2": "PadV2", "TOPK_V2": "TopKV2"}

_ACTIVATED = {"ADD": "AddV2", "DIV": "RealDiv", "MUL": "Mul", "SUB": "Sub"}
_REDUCED = {
    "MEAN": "Mean", "REDUCE_ALL": "All", "REDUCE_ANY": "Any", "REDUCE_MAX": "Max", "REDUCE_MIN": "Min",
    "REDUCE_PROD": "Prod", "SUM": "Sum",
}  # fmt: skip

RULES: Mapping[str, Rule] = {
    **{name: partial(_same, name.title().replace("_", "")) for name in _SAME_INPUTS},
    **{name: partial(_same, op) for name, op in _SAME_AS.items()},
    **{name: partial(_with_activation, op) for name, op in _ACTIVATED.items()},
    **{name: partial(_reduced, op) for name, op in _REDUCED.items()},
    **{name: partial(_chosen, op) for name, op in (("ARG_MAX", "ArgMax"), ("ARG_MIN", "ArgMin"))},
    **dict.fromkeys(("DEQUANTIZE", "QUANTIZE", "CAST"), _converted),
    **{name: partial(_pool, op) for name, op in (("AVERAGE_POOL_2D", "AvgPool"), ("MAX_POOL_2D", "MaxPool"))},
    "BATCH_MATMUL": _batch_product,
    "CALL": _call,
    "CALL_ONCE": _nothing,
    "CONCATENATION": _concatenation,
    "CONV_2D": partial(_convolution, depthwise=False),
    "CUMSUM": _cumulated,
    "DEPTHWISE_CONV_2D": partial(_convolution, depthwise=True),
    "EMBEDDING_LOOKUP": _embedding,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "HARD_SWISH": _hard_swish,
    "IF": _if,
    "LEAKY_RELU": _leaky,
    "MIRROR_PAD": _mirrored,
    "MULTINOMIAL": partial(_typed, "Multinomial", "output_dtype"),
    "ONE_HOT": _one_hot,
    "PACK": _pack,
    "PRELU": _prelu,
    "RANDOM_STANDARD_NORMAL": partial(_typed, "RandomStandardNormal", "dtype"),
    "RANDOM_UNIFORM": partial(_typed, "RandomUniform", "dtype"),
    "READ_VARIABLE": partial(_variable, "ReadVariableOp"),
    "ASSIGN_VARIABLE": partial(_variable, "AssignVariableOp"),
    "RELU_N1_TO_1": _unit,
    "RESHAPE": _reshape,
    "REVERSE_SEQUENCE": _backwards,
    "SELECT": partial(_same, "Select"),
    "SELECT_V2": partial(_same, "SelectV2"),
    "SHAPE": partial(_typed, "Shape", "out_type"),
    "SOFTMAX": _softmax,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "UNPACK": _unpack,
    "VAR_HANDLE": _handle,
    "WHILE": _while,
    **RECURRENT,
}  # fmt: skip


def write(site: LiteSite) -> None:
    """Writes one operator."""
    if site.node.is_custom:
        _custom(site)
    elif site.node.name in RULES:
        RULES[site.node.name](site)
    else:
        site.give(site.node.name, site.inputs())
