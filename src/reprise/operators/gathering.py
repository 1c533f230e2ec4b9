"""Rows by their indices, and indices by what stands there."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.elementwise import select
from reprise.operators.rules.asking import Asking, Sizes, without
from reprise.operators.rules.attributes import ElementType, Integer
from reprise.operators.rules.block import computed_type, onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, Shapes, known_axis
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.rules.steps import END, STEPS, STILL, Kind, TimeAxes, has_time, keeps, mixed
from reprise.tensors import Array
from reprise.wire import onnx

_AXIS, _BATCH_DIMS, _K = Integer("axis", -1), Integer("batch_dims", 0), Integer("k")
_INDEX_TYPE = ElementType("out_idx", "int32")


def _gather_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    table, ids = inputs[0], inputs[1]
    axis = known_axis(inputs[2], len(table.shape or ())) if len(inputs) > 2 else 0
    together = _BATCH_DIMS(node)
    if axis == 0 and not together and (taken := _gathered_content(table.content, ids.content)) is not None:
        return [Fact(tuple(dim(n) for n in taken.shape), taken)]
    if table.shape is None or ids.shape is None or axis is None:
        return [UNKNOWN]
    _fix_flattened(facts, table.shape[axis : axis + 1])
    facts.bake_indices(table.shape[axis : axis + 1], node.inputs[1])
    together += len(ids.shape) if together < 0 else 0
    for a, b in zip(table.shape[:together], ids.shape[:together], strict=False):
        facts.sizes.equate(a, b)
    return [Fact((*table.shape[:axis], *ids.shape[together:], *table.shape[axis + 1 :]))]


def _fix_flattened(facts: Shapes, looked_up: Dims) -> None:
    """Indices among rows that were joined with others count those others, as many as the file says.

    A batch of one does not have any.
    """
    for size in map(facts.sizes.resolve, looked_up):
        if not size.known and (size.scale > 1 or len(size.symbols) > 1):
            facts.sizes.fix_ones(size)
            facts.sizes.bake(Dim(1, facts.sizes.resolve(size).symbols[1:]))


def _gathered_content(table: Array | None, ids: Array | None) -> Array | None:
    if table is None or ids is None or ids.dtype == object:
        return None
    return np.asarray(table[ids], table.dtype)


def _resource_gather_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    return _gather_shape(facts, node, inputs[:2])


def _gather_nd_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Each row of indices names so many axes of the table."""
    table, indices = inputs[0].shape, inputs[1].shape
    if table is None or not indices or not facts.sizes.resolve(indices[-1]).known:
        return [UNKNOWN]
    depth = facts.sizes.resolve(indices[-1]).scale
    _fix_flattened(facts, table[:depth])
    facts.bake_indices(table[:depth], node.inputs[1])
    return [Fact((*indices[:-1], *table[depth:]))]


def _one_hot_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, depth = inputs[0].shape, inputs[1].content
    if shape is None:
        return [UNKNOWN]
    axis = _AXIS(node) % (len(shape) + 1)
    width = facts.fresh(node, axis) if depth is None else dim(depth.item())
    return [Fact((*shape[:axis], width, *shape[axis:]))]


def _where_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    return [Fact(None if shape is None else (facts.fresh(node, 0), dim(len(shape))))]


def _unique_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    found = (facts.fresh(node, 0),)
    return [Fact(found), Fact(inputs[0].shape), Fact(found)]


def _in_top_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(facts.equate(inputs[1].shape, (inputs[0].shape or ())[:1] or None))]


def _list_diff_fold(node: Node, inputs: list[Array]) -> list[Array]:
    kept = [i for i, n in enumerate(inputs[0]) if n not in inputs[1]]
    return [inputs[0][kept], np.asarray(kept, np.int32)]


def _gather_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """Rows of a table, one for each id; or, of a sequence, columns: its steps in another order are mixed."""
    if above[0] == STEPS:
        axis = axes.facts.content(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.int64)
        rank = len(axes.facts.shape(node.inputs[0]) or ())
        if axis is None or int(axis.ravel()[0]) % max(rank, 1) in axes.timed(node.inputs[0]):
            return mixed(node)
    return STEPS if has_time(axes, Value(node.name)) else mixed(node)


def _gather_nd_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """GatherNd of the last valid step of each row, when its indices come from the lengths."""
    behind = axes.operators_behind(node.inputs[1:])
    from_lengths = above[1] == STILL and bool(behind & {"Placeholder", "PlaceholderWithDefault"}) and "Sub" in behind
    return END if from_lengths and not has_time(axes, Value(node.name)) else mixed(node)


def _gather_onnx(site: Site) -> str:
    axis = site.axis(2, 0) if len(site.node.inputs) > 2 else 0
    indices = refusing_negative(site, site.input(1), site.dtype(1))
    together = _BATCH_DIMS(site.node)
    if together:
        return _batched_gather(site, indices, axis, together + site.rank(1) if together < 0 else together)
    return site.one("Gather", site.input(0), indices, axis=axis)


def _batched_gather(site: Site, indices: str, axis: int, together: int) -> str:
    """The first axes belong together: indices of one row of them are indices in the same row of the table."""
    rank, own = site.rank(0), site.rank(1) - together
    table, order = site.input(0), [*range(together), axis, *(i for i in range(together, rank) if i != axis)]
    table = table if axis == together else site.one("Transpose", table, perm=order)
    tuples = site.one(
        "Unsqueeze", indices if site.dtype(1) == "int64" else _as_int64(site, indices), site.block.ints(-1)
    )
    found = site.one("GatherND", table, tuples, batch_dims=together)
    # The result has the axes of the indices after the common ones; TensorFlow leaves them where the axis was.
    before, end = axis - together, together + own
    back = [*range(together), *range(end, end + before), *range(together, end), *range(end + before, rank + own - 1)]
    return found if not before else site.one("Transpose", found, perm=back)


def _as_int64(site: Site, indices: str) -> str:
    return site.one("Cast", indices, to=onnx_type("int64"))


def _gather_nd_onnx(site: Site) -> str:
    return site.one("GatherND", site.input(0), refusing_negative(site, site.int64(1), "int64"))


def refusing_negative(site: Site, indices: str, kind: str, index: int = 1) -> str:
    """ONNX counts negative indices from the end, TensorFlow refuses them: they become indices that no table has."""
    made = site.emitter.structure.graph[site.emitter.structure.origin(site.node.inputs[index]).node]
    if site.known(index) is not None or made.op in ("ArgMax", "ArgMin", "Range"):
        return indices
    nowhere = site.constant(np.iinfo(np.int32).max, kind)
    return site.one("Where", site.one("Less", indices, site.constant(0, kind)), nowhere, indices)


def _one_hot_onnx(site: Site) -> str:
    depth = site.one("Reshape", site.int64(1), site.block.ints())
    ids, axis = site.int64(0), _AXIS(site.node)
    # ONNX counts negative ids from the end; TensorFlow leaves their rows empty, as those of ids beyond the depth.
    ids = site.one("Where", site.one("Less", ids, site.constant(0, "int64")), depth, ids)
    if site.shape(0) or (axis != -1 and site.rank(0)):
        return _hot_rows(site, ids, depth, axis)
    # It may be an id alone, which ONNX does not take.
    return site.one(
        "Squeeze", _hot_rows(site, site.one("Unsqueeze", ids, site.block.ints(-1)), depth, -1), site.block.ints(-2)
    )


def _hot_rows(site: Site, ids: str, depth: str, axis: int) -> str:
    if computed_type(site.dtype(2)) == "float32":
        off, on = (site.one("Reshape", site.input(i), site.block.ints(1)) for i in (3, 2))
        return site.one("OneHot", ids, depth, site.one("Concat", off, on, axis=0), axis=axis)
    hot = site.one("Cast", site.one("OneHot", ids, depth, site.block.ints(0, 1), axis=axis), to=onnx_type("bool"))
    return select(site, hot, site.input(2), site.input(3), site.dtype(2))


def _where_onnx(site: Site) -> str:
    """The indices of what is not zero, one row for each."""
    flags = site.input(0) if site.dtype() == "bool" else site.one("Cast", site.input(0), to=onnx.BOOL)
    return site.one("Transpose", site.one("NonZero", flags), perm=[1, 0])


def _unique_onnx(site: Site) -> tuple[str, ...]:
    """Each number once, in the order of their first indices, and for each index which of them it holds."""
    kind, index = onnx_type(site.dtype()), onnx_type(_INDEX_TYPE(site.node))
    whole = site.dtype().startswith("int")  # ONNX Runtime knows int64 alone
    x = site.int64(0) if whole else site.input(0)
    values, _, indices, counts = site.block.add("Unique", [x], 4, site.node.name, sorted=0)
    values = site.one("Cast", values, to=kind) if whole else values
    found = values, site.one("Cast", indices, to=index), site.one("Cast", counts, to=index)
    return found if site.node.op == "UniqueWithCounts" else found[:2]


def _in_top_onnx(site: Site) -> str:
    """Whether fewer than k numbers are greater than that at the index given, all of them being numbers."""
    scores = site.input(0)
    indices = site.one("Unsqueeze", site.int64(1), site.block.ints(1))
    own = site.one("GatherElements", scores, indices, axis=1)
    k = site.int64(2) if len(site.node.inputs) > 2 else site.constant(_K(site.node), "int64")
    greater = site.one("Cast", site.one("Greater", scores, own), to=onnx_type("int64"))
    few = site.one("Less", site.one("ReduceSum", greater, site.block.ints(1), keepdims=0), k)
    undefined = site.one("Or", site.one("IsNaN", scores), site.one("IsInf", scores))
    some = site.one("ReduceMax", site.one("Cast", undefined, to=onnx.INT32), axes=[1], keepdims=0)
    return site.one("And", few, site.one("Not", site.one("Cast", some, to=onnx.BOOL)))


def _gather_asks(asking: Asking) -> Sizes | None:
    """Indices have the axes of the result that are not those of a row of the table."""
    table, result = asking.shape(0), asking.result()
    if asking.index != 1 or table is None or result is None or (asking.numbers(2) or [0]) != [0]:
        return None
    return result[: max(0, len(result) - len(table) + 1)]


def _one_hot_asks(asking: Asking) -> Sizes | None:
    return without(asking.result(), _AXIS(asking.node)) if asking.index == 0 else None


OPERATORS = (
    Operator(
        "Gather",
        2,
        shape=_gather_shape,
        steps=_gather_steps,
        onnx=_gather_onnx,
        lazy=(2,),
        tags=(Tag.LOOKUP,),
        asks=_gather_asks,
    ),
    Operator(
        "GatherV2",
        3,
        shape=_gather_shape,
        steps=_gather_steps,
        onnx=_gather_onnx,
        lazy=(2,),
        tags=(Tag.LOOKUP,),
        attributes=(_BATCH_DIMS,),
        asks=_gather_asks,
    ),
    Operator(
        "ResourceGather",
        2,
        shape=_resource_gather_shape,
        steps=_gather_steps,
        onnx=_gather_onnx,
        lazy=(2,),
        tags=(Tag.LOOKUP,),
        attributes=(_BATCH_DIMS,),
        asks=_gather_asks,
    ),
    Operator("GatherNd", 2, shape=_gather_nd_shape, steps=_gather_nd_steps, onnx=_gather_nd_onnx),
    Operator("ResourceGatherNd", 2, shape=_gather_nd_shape, onnx=_gather_nd_onnx),
    Operator(
        "OneHot",
        4,
        shape=_one_hot_shape,
        steps=keeps,
        onnx=_one_hot_onnx,
        lazy=(1,),
        attributes=(_AXIS,),
        asks=_one_hot_asks,
    ),
    Operator("Where", shape=_where_shape, onnx=_where_onnx, types=("int64",)),
    Operator(
        "Unique",
        shape=_unique_shape,
        onnx=_unique_onnx,
        types=("", _INDEX_TYPE),
        attributes=(_INDEX_TYPE,),
        outputs="y idx",
    ),
    Operator(
        "UniqueWithCounts",
        shape=_unique_shape,
        onnx=_unique_onnx,
        types=("", _INDEX_TYPE),
        attributes=(_INDEX_TYPE,),
        outputs="y idx count",
    ),
    Operator(
        "InTopK",
        2,
        shape=_in_top_shape,
        onnx=_in_top_onnx,
        types=("bool",),
        tags=(Tag.DISCRETE, Tag.LOSS),
        attributes=(_K,),
    ),
    Operator("InTopKV2", 3, shape=_in_top_shape, onnx=_in_top_onnx, types=("bool",), tags=(Tag.DISCRETE, Tag.LOSS)),
    Operator("ListDiff", 2, fold=_list_diff_fold, outputs="out idx"),
    Operator("UniqueV2", 2, types=("", _INDEX_TYPE), attributes=(_INDEX_TYPE,), outputs="y idx"),
    Operator("UniqueWithCountsV2", 2, types=("", _INDEX_TYPE), attributes=(_INDEX_TYPE,), outputs="y idx count"),
)
