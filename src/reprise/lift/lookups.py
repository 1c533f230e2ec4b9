"""TensorFlow operators → ONNX: rows by their places, and places by what stands there."""

from __future__ import annotations

import numpy as np

from reprise.lift.emitter import Operator, Site
from reprise.lift.operators import choice
from reprise.operators.rules.block import computed, onnx_type
from reprise.wire import onnx


def _gather(site: Site) -> str:
    axis = site.axis(2, 0) if len(site.node.inputs) > 2 else 0
    places = from_the_front(site, site.input(1), site.dtype(1))
    together = site.node.integer("batch_dims", 0)
    if together:
        return _gather_together(site, places, axis, together + site.rank(1) if together < 0 else together)
    return site.one("Gather", site.input(0), places, axis=axis)


def _gather_together(site: Site, places: str, axis: int, together: int) -> str:
    """The first axes belong together: places of one row of them are places in the same row of the table."""
    rank, own = site.rank(0), site.rank(1) - together
    table, order = site.input(0), [*range(together), axis, *(i for i in range(together, rank) if i != axis)]
    table = table if axis == together else site.one("Transpose", table, perm=order)
    tuples = site.one("Unsqueeze", places if site.dtype(1) == "int64" else _wide(site, places), site.block.ints(-1))
    found = site.one("GatherND", table, tuples, batch_dims=together)
    # The result has the axes of the places after the common ones; TensorFlow leaves them where the axis was.
    before, end = axis - together, together + own
    back = [*range(together), *range(end, end + before), *range(together, end), *range(end + before, rank + own - 1)]
    return found if not before else site.one("Transpose", found, perm=back)


def _wide(site: Site, places: str) -> str:
    return site.one("Cast", places, to=onnx_type("int64"))


def _gather_nd(site: Site) -> str:
    return site.one("GatherND", site.input(0), from_the_front(site, site.int64(1), "int64"))


def from_the_front(site: Site, places: str, kind: str, index: int = 1) -> str:
    """ONNX counts negative places from the end, TensorFlow refuses them: they become places that no table has."""
    made = site.emitter.structure.graph[site.emitter.structure.origin(site.node.inputs[index]).node]
    if site.known(index) is not None or made.op in ("ArgMax", "ArgMin", "Range"):
        return places
    nowhere = site.constant(np.iinfo(np.int32).max, kind)
    return site.one("Where", site.one("Less", places, site.constant(0, kind)), nowhere, places)


def _one_hot(site: Site) -> str:
    depth = site.one("Reshape", site.int64(1), site.block.ints())
    ids, axis = site.int64(0), site.node.integer("axis", -1)
    # ONNX counts negative ids from the end; TensorFlow leaves their rows empty, as those of ids beyond the depth.
    ids = site.one("Where", site.one("Less", ids, site.constant(0, "int64")), depth, ids)
    if site.shape(0) or (axis != -1 and site.rank(0)):
        return _spread(site, ids, depth, axis)
    # It may be an id alone, which ONNX does not take.
    return site.one(
        "Squeeze", _spread(site, site.one("Unsqueeze", ids, site.block.ints(-1)), depth, -1), site.block.ints(-2)
    )


def _spread(site: Site, ids: str, depth: str, axis: int) -> str:
    if computed(site.dtype(2)) == "float32":
        off, on = (site.one("Reshape", site.input(i), site.block.ints(1)) for i in (3, 2))
        return site.one("OneHot", ids, depth, site.one("Concat", off, on, axis=0), axis=axis)
    hot = site.one("Cast", site.one("OneHot", ids, depth, site.block.ints(0, 1), axis=axis), to=onnx_type("bool"))
    return choice(site, hot, site.input(2), site.input(3), site.dtype(2))


def _where(site: Site) -> str:
    """The places of what is not zero, one row for each."""
    flags = site.input(0) if site.dtype() == "bool" else site.one("Cast", site.input(0), to=onnx.BOOL)
    return site.one("Transpose", site.one("NonZero", flags), perm=[1, 0])


def _unique(site: Site) -> tuple[str, ...]:
    """Each number once, in the order of their first places, and for each place which of them it holds."""
    kind, index = onnx_type(site.dtype()), onnx_type(site.node.dtype("out_idx", "int32"))
    whole = site.dtype().startswith("int")  # ONNX Runtime knows int64 alone
    x = site.int64(0) if whole else site.input(0)
    values, _, places, counts = site.block.add("Unique", [x], 4, site.node.name, sorted=0)
    values = site.one("Cast", values, to=kind) if whole else values
    found = values, site.one("Cast", places, to=index), site.one("Cast", counts, to=index)
    return found if site.node.op == "UniqueWithCounts" else found[:2]


def _in_top(site: Site) -> str:
    """Whether fewer than k numbers are greater than that at the place given, all of them being numbers."""
    scores = site.input(0)
    places = site.one("Unsqueeze", site.int64(1), site.block.ints(1))
    own = site.one("GatherElements", scores, places, axis=1)
    k = site.int64(2) if len(site.node.inputs) > 2 else site.constant(site.node.integer("k"), "int64")
    greater = site.one("Cast", site.one("Greater", scores, own), to=onnx_type("int64"))
    few = site.one("Less", site.one("ReduceSum", greater, site.block.ints(1), keepdims=0), k)
    undefined = site.one("Or", site.one("IsNaN", scores), site.one("IsInf", scores))
    some = site.one("ReduceMax", site.one("Cast", undefined, to=onnx.INT32), axes=[1], keepdims=0)
    return site.one("And", few, site.one("Not", site.one("Cast", some, to=onnx.BOOL)))


LOOKUPS: dict[str, Operator] = {
    **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), Operator(_gather, lazy=(2,))),
    **dict.fromkeys(("GatherNd", "ResourceGatherNd"), Operator(_gather_nd)),
    "OneHot": Operator(_one_hot, lazy=(1,)),
    "Where": Operator(_where),
    **dict.fromkeys(("Unique", "UniqueWithCounts"), Operator(_unique)),
    **dict.fromkeys(("InTopK", "InTopKV2"), Operator(_in_top)),
}
