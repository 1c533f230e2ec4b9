"""TensorFlow operators → ONNX: rows put to the places that stand beside them, and summed up there."""

from __future__ import annotations

from reprise.lift.emitter import Emit, Operator, Site
from reprise.lift.lookups import from_the_front
from reprise.operators.rules.block import computed


def _zeros(site: Site, index: int, shape: str) -> str:
    return site.one("Expand", site.constant(0, computed(site.dtype(index))), shape)


def _partition(site: Site) -> tuple[str, ...]:
    """DynamicPartition: rows of the data by the number that stands beside each."""
    if site.rank(1) != 1:
        raise site.refusal("divides by numbers of more than one axis")
    data, numbers = site.inputs()
    kind = site.dtype(1)
    return tuple(
        site.one("Compress", data, site.one("Equal", numbers, site.constant(i, kind)), axis=0)
        for i in range(site.node.integer("num_partitions"))
    )


def _stitch(site: Site) -> str:
    """DynamicStitch: rows put to the places that stand beside them."""
    half = len(site.node.inputs) // 2
    places = [site.one("Reshape", site.int64(i), site.block.ints(-1)) for i in range(half)]
    rows = [_flat_rows(site, half + i, site.rank(i)) for i in range(half)]
    place = site.one("Concat", *places, axis=0) if half > 1 else places[0]
    data = site.one("Concat", *rows, axis=0) if half > 1 else rows[0]
    count = site.one("Add", site.one("ReduceMax", place, keepdims=1), site.block.ints(1))
    empty = _zeros(site, half, site.one("Concat", count, site.one("Shape", data, start=1), axis=0))
    return site.one("ScatterND", empty, site.one("Unsqueeze", place, site.block.ints(1)), data)


def _flat_rows(site: Site, index: int, axes: int) -> str:
    """An input with its first `axes` axes as one."""
    if axes == 1:
        return site.input(index)
    inner = site.one("Shape", site.input(index), start=axes)
    return site.one("Reshape", site.input(index), site.one("Concat", site.block.ints(-1), inner, axis=0))


def _scatter(site: Site) -> str:
    """ScatterNd: zeros with rows added at their places."""
    places = from_the_front(site, site.int64(0), "int64", 0)
    return site.one("ScatterND", _zeros(site, 1, site.int64(2)), places, site.input(1), reduction="add")


def _scattered_into(reduction: str) -> Emit:
    """TensorScatterUpdate and its like: rows put into, or added to, those of a tensor."""

    def emit(site: Site) -> str:
        places, rows = from_the_front(site, site.int64(1), "int64"), site.input(2)
        rows = site.one("Neg", rows) if site.node.op == "TensorScatterSub" else rows
        return site.one("ScatterND", site.input(0), places, rows, reduction=reduction)

    return emit


def _sparse_to_dense(site: Site) -> str:
    """Values at places, one default everywhere else."""
    places = from_the_front(site, site.int64(0), "int64", 0)
    if site.rank(0) < 2:
        places = site.one("Reshape", places, site.block.ints(-1, 1))
    values = site.one("Expand", site.input(2), site.one("Shape", places, start=0, end=1))
    return site.one("ScatterND", site.one("Expand", site.input(3), site.int64(1)), places, values)


def _segment(reduction: str, start: int) -> Emit:
    """SegmentSum and UnsortedSegmentSum: rows of equal number together; the ends of what has none are `start`."""

    def emit(site: Site) -> str:
        places = site.one("Reshape", site.int64(1), site.block.ints(-1))
        rows, count = _flat_rows(site, 0, site.rank(1)), _segments(site, places)
        return _together(site, rows, places, count, reduction, start)

    return emit


def _segments(site: Site, places: str) -> str:
    """How many segments there are, int64 [1]."""
    if site.node.op.startswith("Unsorted"):
        return site.one("Reshape", site.int64(2), site.block.ints(1))
    return site.one("Add", site.one("ReduceMax", places, keepdims=1), site.block.ints(1))


def _together(site: Site, rows: str, places: str, count: str, reduction: str, start: int) -> str:
    # TensorFlow leaves out rows with a negative number: they go to a segment beyond the last, which is cut off.
    places = site.one("Where", site.one("Less", places, site.constant(0, "int64")), count, places)
    sizes = site.one("Concat", site.one("Add", count, site.block.ints(1)), site.one("Shape", rows, start=1), axis=0)
    empty = site.one("Expand", site.constant(start, computed(site.dtype())), sizes)
    all_of_them = site.one("Unsqueeze", places, site.block.ints(1))
    made = site.one("ScatterND", empty, all_of_them, rows, reduction=reduction)
    return site.one("Slice", made, site.block.ints(0), count, site.block.ints(0))


def _segment_mean(site: Site) -> str:
    places = site.one("Reshape", site.int64(1), site.block.ints(-1))
    return _shared_out(site, _flat_rows(site, 0, site.rank(1)), places, root=False)


def _sparse_segment(site: Site) -> str:
    """Rows of a table, looked up and summed up, as `embedding_lookup_sparse` does."""
    rows = site.one("Gather", site.input(0), from_the_front(site, site.int64(1), "int64"), axis=0)
    places = site.int64(2)
    if site.node.op == "SparseSegmentSum":
        return _together(site, rows, places, _segments(site, places), "add", 0)
    return _shared_out(site, rows, places, root=site.node.op == "SparseSegmentSqrtN")


def _shared_out(site: Site, rows: str, places: str, *, root: bool) -> str:
    """The sum of the rows of each segment, divided by their number or by its root."""
    count, one = _segments(site, places), site.constant(1, computed(site.dtype()))
    beside = [site.block.ints(1)] * (site.rank(0) - 1)
    each = site.one("Expand", one, site.one("Concat", site.one("Shape", rows, start=0, end=1), *beside, axis=0))
    number = site.one("Max", _together(site, each, places, count, "add", 0), one)
    total = _together(site, rows, places, count, "add", 0)
    return site.one("Div", total, site.one("Sqrt", number) if root else number)


SCATTERING: dict[str, Operator] = {
    "DynamicPartition": Operator(_partition),
    **dict.fromkeys(("DynamicStitch", "ParallelDynamicStitch"), Operator(_stitch)),
    "ScatterNd": Operator(_scatter),
    "TensorScatterUpdate": Operator(_scattered_into("none")),
    **dict.fromkeys(("TensorScatterAdd", "TensorScatterSub"), Operator(_scattered_into("add"))),
    "SparseToDense": Operator(_sparse_to_dense),
    **dict.fromkeys(("SegmentSum", "UnsortedSegmentSum"), Operator(_segment("add", 0))),
    **dict.fromkeys(("SegmentProd", "UnsortedSegmentProd"), Operator(_segment("mul", 1))),
    "SegmentMean": Operator(_segment_mean),
    **dict.fromkeys(("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"), Operator(_sparse_segment)),
}
