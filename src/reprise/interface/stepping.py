"""Whether T single steps are the same as one run of T steps.

They are when every number at step t is made of the inputs at step t and of the state. Each value outside the loops is
one of four kinds: *still* (no input of a sequence reaches it), *rows* (it has the axis of time, and row t is made of
row t), *end* (made of what the last step left behind), or mixed, which is the obstacle. An operator that is not known
to keep rows apart mixes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from reprise.graph import Node, Value
from reprise.interface import memory, places
from reprise.interface.axes import Axes
from reprise.interface.encoders import still
from reprise.interface.facts import ELEMENTWISE
from reprise.interface.influence import SHAPE_ONLY, Influence, ancestors
from reprise.interface.recurrences import Recurrence
from reprise.interface.sizes import Dim
from reprise.interface.structure import Carried, Structure


class Kind(NamedTuple):
    """How a value depends on time; `why` says what mixes steps."""

    name: str
    why: str = ""


STILL, ROWS, END = Kind("still"), Kind("rows"), Kind("end")

_KEEP_ROWS = ELEMENTWISE | frozenset(
    "Identity StopGradient PreventGradient CheckNumerics Cast BiasAdd Select SelectV2 OneHot ExpandDims Squeeze "
    "Transpose Concat ConcatV2 Pack Unpack Split SplitV Sum Mean Max Min Prod All Any ArgMax ArgMin Fill Tile _Results "
    "Merge Switch FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 DynamicPartition DynamicStitch "
    "ParallelDynamicStitch Enter PlaceholderWithDefault ReadVariableOp Snapshot EnsureShape Pad PadV2 MirrorPad".split()
)
_PASS = frozenset("Identity StopGradient PreventGradient CheckNumerics Enter _Results Snapshot EnsureShape".split())
_PARTITIONS = frozenset({"DynamicPartition", "DynamicStitch", "ParallelDynamicStitch"})
_JOINS = frozenset({"Concat", "ConcatV2"})
_SLICES = frozenset({"StridedSlice", "Slice"})
_ARRAYS = ("TensorArray", "TensorList")


def obstacle(
    structure: Structure,
    used: tuple[Recurrence, ...],
    axes: Axes,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    before: tuple[Recurrence, ...] = (),
) -> str:
    """Why the model cannot be stepped, or an empty string where it can; `before` are loops that run before steps."""
    if not any(axes.time_axis(v) is not None for v in inputs):
        made = "no input has an axis of time: the graph makes the sequence itself from what it is given"
        return "" if _is_one_step(axes, used) else made
    kinds = _kinds(structure, used, before, axes, inputs, outputs)
    for recurrence in used:
        why = memory.obstacle(structure, recurrence, outputs)
        if why:
            return why
        fixed = [r.stacked for r in recurrence.reads if kinds.get(r.stacked.node, STILL) == STILL]
        placed = next((v for v in fixed if places.differ(structure, axes, v, lambda n: kinds.get(n) == ROWS)), None)
        if placed is not None:
            return f"loop {recurrence.loop.name!r} reads {placed}, numbers of places in the sequence, beside its input"
    crowded = next((v for v in outputs if _rows_of_a_step(axes, v) > 1), None)
    if crowded is not None:
        return f"{crowded} has {_rows_of_a_step(axes, crowded)} rows for each step"
    mixed = [k.why for v in outputs if (k := kinds.get(structure.result(v).node, STILL)).name == "mixed"]
    mixed += [k.why for r in used for read in r.reads if (k := kinds.get(read.stacked.node, STILL)).name == "mixed"]
    return mixed[0] if mixed else ""


def _rows_of_a_step(axes: Axes, value: Value) -> int:
    """How many rows along its axis of time a value has for each step of the sequence."""
    axis = axes.time_axis(value)
    return 1 if axis is None else (axes.facts.shape(value) or ())[axis].scale


def _is_one_step(axes: Axes, used: tuple[Recurrence, ...]) -> bool:
    """Whether the graph is that of a single step, whose inputs have no room for others."""
    stacked = [axes.facts.shape(read.stacked) for r in used for read in r.reads]
    return bool(stacked) and all(shape and shape[0] == Dim(1) for shape in stacked)


def _kinds(
    structure: Structure,
    used: tuple[Recurrence, ...],
    before: tuple[Recurrence, ...],
    axes: Axes,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
) -> dict[str, Kind]:
    kinds = {v.node: ROWS if axes.time_axis(v) is not None else STILL for v in inputs}
    by_exit = {c.final.node: (r, c) for r in used for c in r.loop.carried if c.final is not None}
    whole = {c.final.node: r for r in before for c in r.loop.carried if c.final is not None}
    wanted = ancestors(structure, [*outputs, *(c.final for r in used for c in r.states if c.final is not None)])
    for name in structure.order:
        if name not in wanted or name in kinds or structure.context(Value(name)):
            continue
        if name in by_exit:
            kinds[name] = _after_loop(structure, axes, kinds, *by_exit[name])
        elif name in whole:
            kinds[name] = _to_its_end(structure, axes, kinds, whole[name])
        else:
            kinds[name] = _of_node(structure, axes, structure.graph[name], kinds)
    return kinds


def _after_loop(
    structure: Structure, axes: Axes, kinds: dict[str, Kind], recurrence: Recurrence, carried: Carried
) -> Kind:
    """What a loop leaves behind: rows in its arrays, the end in its variables."""
    reads = [kinds.get(r.stacked.node, STILL) for r in recurrence.reads]
    others = [kinds.get(v.node, STILL) for v in _used_constants(structure, recurrence)]
    for kind in (*reads, *others):
        if kind.name == "mixed":
            return kind
    if any(k in (ROWS, END) for k in others):
        return Kind("mixed", f"every iteration of loop {recurrence.loop.name!r} looks at a whole sequence")
    return ROWS if any(w.carried == carried for w in recurrence.writes) else END


def _to_its_end(structure: Structure, axes: Axes, kinds: dict[str, Kind], recurrence: Recurrence) -> Kind:
    """What a loop leaves that runs before the steps or within each; no iteration may look at several steps."""
    seen = [r.stacked for r in recurrence.reads] + [c.initial for c in recurrence.states]
    fixed = [kinds.get(v.node, STILL) for v in _used_constants(structure, recurrence)]
    every = [kinds.get(v.node, STILL) for v in seen] + fixed
    mixed = next((k for k in every if k.name == "mixed"), None)
    if mixed is not None:
        return mixed
    if all(k == STILL for k in every):
        return STILL
    if (
        all(k in (STILL, ROWS) for k in every)
        and ROWS not in fixed
        and not any(0 in axes.timed(v) for v in seen[: len(recurrence.reads)])
    ):
        return ROWS
    return Kind("mixed", f"loop {recurrence.loop.name!r} looks at the whole sequence before the first step")


def _used_constants(structure: Structure, recurrence: Recurrence) -> list[Value]:
    """Values from outside whose numbers the body computes with, the sequences that it reads aside."""
    constants = still(structure, recurrence)
    influence = Influence(structure, tuple(constants), SHAPE_ONLY, within=recurrence.loop.name)
    results = [c.leaving for c in recurrence.loop.carried] + [w.element for w in recurrence.writes]
    used = {inner for v in results for inner in influence.of(v)}
    return [outer for inner, outer in constants.items() if inner in used]


def _of_node(structure: Structure, axes: Axes, node: Node, kinds: dict[str, Kind]) -> Kind:
    if node.op in SHAPE_ONLY:
        return STILL
    above = [kinds.get(structure.result(v).node, STILL) for v in node.inputs]
    mixed = next((k for k in above if k.name == "mixed"), None)
    if mixed is not None:
        return mixed
    if ROWS not in above:
        return END if END in above else STILL
    if node.op.startswith(_ARRAYS):
        return ROWS
    if END in above:
        return Kind("mixed", f"{node.op} {node.name!r} joins every step with the last one")
    return _placed(structure, axes, node, above, kinds) or _of_rows(structure, axes, node, above)


def _placed(structure: Structure, axes: Axes, node: Node, above: list[Kind], kinds: dict[str, Kind]) -> Kind | None:
    """The obstacle where rows meet what no step reaches and what is not the same at every step."""
    fixed = [v for v, kind in zip(node.inputs, above, strict=True) if kind == STILL and places.has_time(axes, v)]
    differ = (places.differ(structure, axes, v, lambda n: kinds.get(n) == ROWS) for v in fixed)
    if node.op in _PARTITIONS or node.op == "_Results" or not any(differ):
        return None
    return Kind("mixed", f"{node.op} {node.name!r} joins each step with numbers of its place in the sequence")


def _of_rows(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    keeps = places.has_time(axes, Value(node.name)) or _is_part(structure, axes, node)
    if len(axes.timed(Value(node.name))) > 1:  # each step beside each other
        return _mixed(node)
    if node.op != "Reshape" and (other := _other_steps(structure, axes, node, above)):
        return other
    rule = _RULES.get(node.op)
    if rule is not None:
        return rule(structure, axes, node, above)
    return ROWS if node.op in _PASS or (node.op in _KEEP_ROWS and keeps) else _mixed(node)


def _other_steps(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind | None:
    """The obstacle where a node makes more or fewer steps than it is given."""
    rows = [v for v, kind in zip(node.inputs, above, strict=True) if kind == ROWS]
    given = {size: v for v in rows for size in axes.facts.shape(v) or () if axes.holds_time(size)}
    made = {size for size in axes.facts.shape(Value(node.name)) or () if axes.holds_time(size)}
    if not given or made <= set(given):
        return None
    source = structure.result(next(iter(given.values())))
    instead = "; with inputs= (--input) its own rows are the steps" if node.op in _JOINS else ""
    return Kind("mixed", f"{node.op} {node.name!r} makes more or fewer steps than {source} has{instead}")


def _mixed(node: Node) -> Kind:
    return Kind("mixed", f"{node.op} {node.name!r} computes with several steps at once")


def _is_part(structure: Structure, axes: Axes, node: Node) -> bool:
    """Rows that DynamicPartition sorted, to be put back in order: the look-up in an embedding of several parts."""
    symbols = {s for d in axes.facts.shape(Value(node.name)) or () for s in d.symbols}
    makers = {s.removeprefix("?").rpartition(".")[0] for s in symbols}
    return any((made := structure.graph.nodes.get(m)) is not None and made.op in _PARTITIONS for m in makers)


def _sliced(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    keeps = places.has_time(axes, Value(node.name)) or _is_part(structure, axes, node)
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


def _gathered(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Rows of a table, one for each id; or, of a sequence, columns: its steps in another order are mixed."""
    if above[0] == ROWS:
        axis = axes.facts.content(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.int64)
        rank = len(axes.facts.shape(node.inputs[0]) or ())
        if axis is None or int(axis.ravel()[0]) % max(rank, 1) in axes.timed(node.inputs[0]):
            return _mixed(node)
    return ROWS if places.has_time(axes, Value(node.name)) else _mixed(node)


def _reshaped(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Flattened and taken apart again, time stays where it was among the numbers, or rows of steps are mixed."""
    before, after = (_places(axes, v) for v in (node.inputs[0], Value(node.name)))
    kept = places.has_time(axes, Value(node.name)) and (before is None or before == after)
    return ROWS if kept or _is_part(structure, axes, node) else _mixed(node)


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


def _matmul(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    return ROWS if above[1] == STILL and places.has_time(axes, Value(node.name)) else _mixed(node)


def _einsum(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """A letter that is in the result is the same step on both sides."""
    return ROWS if above.count(ROWS) == 1 and places.has_time(axes, Value(node.name)) else _mixed(node)


def _softmax(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    shape = axes.facts.shape(node.inputs[0])
    return _mixed(node) if not shape or axes.holds_time(shape[-1]) else ROWS


def _picture(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
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


def _chosen(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """GatherNd of the last valid step of each row, when its places come from the lengths."""
    behind = {structure.graph[n].op for n in ancestors(structure, node.inputs[1:])}
    from_lengths = above[1] == STILL and bool(behind & {"Placeholder", "PlaceholderWithDefault"}) and "Sub" in behind
    return END if from_lengths and not places.has_time(axes, Value(node.name)) else _mixed(node)


def _reversed(structure: Structure, axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Turned around along an axis that is not time, as the letters of each word are."""
    turned = node.attributes.get("seq_dim") if node.op == "ReverseSequence" else axes.facts.content(node.inputs[1])
    if turned is None or axes.facts.shape(node.inputs[0]) is None:
        return _mixed(node)
    rank = len(axes.facts.shape(node.inputs[0]) or ())
    places = {int(axis) % max(rank, 1) for axis in np.ravel(turned)}
    return _mixed(node) if places.intersection(axes.timed(node.inputs[0])) else ROWS


_RULES: dict[str, Callable[[Structure, Axes, Node, list[Kind]], Kind]] = {
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matmul),
    "Einsum": _einsum,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(
        ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D"), _picture
    ),
    **dict.fromkeys(_SLICES, _sliced),
    **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), _gathered),
    "Reshape": _reshaped,
    **dict.fromkeys(("ReverseV2", "ReverseSequence"), _reversed),
    "GatherNd": _chosen,
}
