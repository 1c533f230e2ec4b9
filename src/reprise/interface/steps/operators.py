"""What becomes of the steps of a sequence in one operator: whether row t of its result is made of row t alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import ELEMENTWISE
from reprise.interface.analysis.influence import ancestors
from reprise.interface.steps import indices as places
from reprise.interface.steps.axes import Axes


class Kind(NamedTuple):
    """How a value depends on time; `why` says what mixes steps."""

    name: str
    why: str = ""


STILL, COUNT, ROWS, END = Kind("still"), Kind("count"), Kind("rows"), Kind("end")

_KEEP_ROWS = ELEMENTWISE | frozenset(
    "Cast BiasAdd Select SelectV2 OneHot ExpandDims Squeeze "
    "Transpose Concat ConcatV2 Pack Unpack Split SplitV Sum Mean Max Min Prod All Any ArgMax ArgMin Fill Tile "
    "Merge Switch FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 DynamicPartition DynamicStitch "
    "ParallelDynamicStitch PlaceholderWithDefault ReadVariableOp Pad PadV2 MirrorPad LookupTableFind "
    "LookupTableFindV2".split()
)
_PASS = frozenset(
    "Identity StopGradient PreventGradient CheckNumerics CheckNumericsV2 Enter _Results Snapshot EnsureShape Print "
    "GuaranteeConst".split()
)
PARTITIONS = frozenset({"DynamicPartition", "DynamicStitch", "ParallelDynamicStitch"})
_JOINS = frozenset({"Concat", "ConcatV2"})
_SLICES = frozenset({"StridedSlice", "Slice"})


def of_rows(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """The kind of the result of a node, some of whose inputs are rows; `above` are the kinds of all its inputs."""
    keeps = places.has_time(axes, Value(node.name)) or _is_part(axes, node)
    if len(axes.timed(Value(node.name))) > 1:  # each step beside each other
        return _mixed(node)
    if node.op != "Reshape" and (other := _other_steps(axes, node, above)):
        return other
    rule = _RULES.get(node.op)
    if rule is not None:
        return rule(axes, node, above)
    return ROWS if node.op in _PASS or (node.op in _KEEP_ROWS and keeps) else _mixed(node)


def _other_steps(axes: Axes, node: Node, above: list[Kind]) -> Kind | None:
    """The obstacle where a node makes more or fewer steps than it is given."""
    rows = [v for v, kind in zip(node.inputs, above, strict=True) if kind == ROWS]
    given = {size: v for v in rows for size in axes.facts.shape(v) or () if axes.holds_time(size)}
    made = {size for size in axes.facts.shape(Value(node.name)) or () if axes.holds_time(size)}
    if not given or made <= set(given):
        return None
    source = axes.structure.result(next(iter(given.values())))
    instead = "; with inputs= (--input) its own rows are the steps" if node.op in _JOINS else ""
    return Kind("mixed", f"{node.op} {node.name!r} makes more or fewer steps than {source} has{instead}")


def _mixed(node: Node) -> Kind:
    return Kind("mixed", f"{node.op} {node.name!r} computes with several steps at once")


def _is_part(axes: Axes, node: Node) -> bool:
    """Rows that DynamicPartition sorted, to be put back in order: the look-up in an embedding of several parts."""
    symbols = {s for d in axes.facts.shape(Value(node.name)) or () for s in d.symbols}
    makers = {s.removeprefix("?").rpartition(".")[0] for s in symbols}
    return any((made := axes.structure.graph.nodes.get(m)) is not None and made.op in PARTITIONS for m in makers)


def _sliced(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    keeps = places.has_time(axes, Value(node.name)) or _is_part(axes, node)
    if node.op == "Slice":
        return ROWS if keeps else _mixed(node)
    strides, timed = axes.facts.content(node.inputs[3]), axes.timed(node.inputs[0])
    moved = bool(node.attributes.get("ellipsis_mask") or node.attributes.get("new_axis_mask"))
    if strides is None or any(s != 1 and (moved or i in timed) for i, s in enumerate(strides)):
        return _mixed(node)
    return ROWS if keeps else _taken(axes, node, timed)


def _taken(axes: Axes, node: Node, timed: list[int]) -> Kind:
    """One row of a sequence: the last is what a step leaves; another is not."""
    begin = axes.facts.content(node.inputs[1])
    if begin is None or not timed or timed[0] >= len(begin) or begin[timed[0]] != -1:
        return _mixed(node)
    to_the_end = int(node.attributes.get("shrink_axis_mask", 0)) | int(node.attributes.get("end_mask", 0))
    return END if to_the_end >> timed[0] & 1 else _mixed(node)


def _gathered(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Rows of a table, one for each id; or, of a sequence, columns: its steps in another order are mixed."""
    if above[0] == ROWS:
        axis = axes.facts.content(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.int64)
        rank = len(axes.facts.shape(node.inputs[0]) or ())
        if axis is None or int(axis.ravel()[0]) % max(rank, 1) in axes.timed(node.inputs[0]):
            return _mixed(node)
    return ROWS if places.has_time(axes, Value(node.name)) else _mixed(node)


def _reshaped(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Flattened and taken apart again, time stays where it was among the numbers, or rows of steps are mixed."""
    before, after = (_places(axes, v) for v in (node.inputs[0], Value(node.name)))
    kept = places.has_time(axes, Value(node.name)) and (before is None or before == after)
    return ROWS if kept or _is_part(axes, node) else _mixed(node)


def _places(axes: Axes, value: Value) -> list[tuple[int, str]] | None:
    """The free sizes of a shape in their order, each with the numbers that stand before it."""
    shape = axes.facts.shape(value)
    if shape is None:
        return None
    found, before = [], 1
    for size in shape:
        found += [(before, s) for s in size.symbols]
        before *= size.scale
    return found


def _matmul(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    return ROWS if above[1] == STILL and places.has_time(axes, Value(node.name)) else _mixed(node)


def _einsum(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """A letter that is in the result is the same step on both sides."""
    return ROWS if above.count(ROWS) == 1 and places.has_time(axes, Value(node.name)) else _mixed(node)


def _softmax(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    shape = axes.facts.shape(node.inputs[0])
    return _mixed(node) if not shape or axes.holds_time(shape[-1]) else ROWS


def _picture(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """A window one step wide sees each step alone; time may also be among the pictures, each seen alone too."""
    shape = axes.facts.shape(node.inputs[0])
    if not shape or STILL in above[:1] or ROWS in above[1:] or not places.has_time(axes, Value(node.name)):
        return _mixed(node)
    first = 2 if node.attributes.get("data_format") in (b"NCHW", b"NCDHW") else 1
    windows, moves = _windows(axes, node, len(shape) - 2), node.attributes.get("strides") or (1,) * len(shape)
    if len(windows) != len(shape) - 2:
        return _mixed(node)
    single = [first + i for i, size in enumerate(windows) if size == 1 and int(moves[first + i]) == 1]
    return ROWS if set(axes.timed(node.inputs[0])) <= {0, *single} else _mixed(node)


def _windows(axes: Axes, node: Node, rank: int) -> list[int | None]:
    """The sizes of the window that moves over a picture of `rank` axes."""
    sizes = node.attributes.get("ksize")
    if isinstance(sizes, tuple):
        first = 2 if node.attributes.get("data_format") in (b"NCHW", b"NCDHW") else 1
        return [int(n) for n in sizes[first : first + rank]]
    kernel = axes.facts.shape(node.inputs[1]) or ()
    return [d.scale if d.known else None for d in kernel[:rank]]


def _chosen(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """GatherNd of the last valid step of each row, when its places come from the lengths."""
    behind = {axes.structure.graph[n].op for n in ancestors(axes.structure, node.inputs[1:])}
    from_lengths = above[1] == STILL and bool(behind & {"Placeholder", "PlaceholderWithDefault"}) and "Sub" in behind
    return END if from_lengths and not places.has_time(axes, Value(node.name)) else _mixed(node)


def _reversed(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Turned around along an axis that is not time, as the letters of each word are."""
    turned = node.attributes.get("seq_dim") if node.op == "ReverseSequence" else axes.facts.content(node.inputs[1])
    if turned is None or axes.facts.shape(node.inputs[0]) is None:
        return _mixed(node)
    rank = len(axes.facts.shape(node.inputs[0]) or ())
    places = {int(axis) % max(rank, 1) for axis in np.ravel(turned)}
    return _mixed(node) if places.intersection(axes.timed(node.inputs[0])) else ROWS


_RULES: dict[str, Callable[[Axes, Node, list[Kind]], Kind]] = {
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matmul),
    "Einsum": _einsum,
    **dict.fromkeys(("Softmax", "LogSoftmax", "TopK", "TopKV2"), _softmax),
    **dict.fromkeys(
        ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D"), _picture
    ),
    **dict.fromkeys(_SLICES, _sliced),
    **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), _gathered),
    "Reshape": _reshaped,
    **dict.fromkeys(("ReverseV2", "ReverseSequence"), _reversed),
    "GatherNd": _chosen,
}
