"""Search by beams: the sequences of a search by beams, read from the last step back to the first.

Source: tensorflow/contrib/seq2seq/kernels/beam_search_ops.cc (TensorFlow 1.15.5).
"""

from __future__ import annotations

from reprise.operators.rules.block import Block, onnx_type
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import first_shape
from reprise.operators.rules.site import Site
from reprise.wire import onnx


def _gather_tree_onnx(site: Site) -> str:
    """GatherTree(ids [T, N, W], parents [T, N, W], lengths [N], end): the ids of the ancestors of each last beam."""
    steps = site.one("Gather", site.one("Shape", site.input(0)), site.constant(0, "int64"))
    row = site.one("Shape", site.input(0), start=1)
    width = site.one("Gather", row, site.constant(1, "int64"))
    beams = site.one("Range", site.constant(0, "int64"), width, site.constant(1, "int64"))
    _, backwards = site.block.add(
        "Loop", [steps, "", site.one("Expand", beams, row)], 2, site.node.name, body=_one_step_back(site, steps)
    )
    reverse = [site.block.ints(-1), site.block.ints(-(2**31)), site.block.ints(0), site.block.ints(-1)]
    return _ended(site, site.one("Slice", backwards, *reverse))


def _one_step_back(site: Site, steps: str) -> onnx.Message:
    """The body of a loop over `steps`: which beams were chosen at a step, and from which of the step before."""
    names, kind = site.block.names, site.dtype()
    body = Block(names, site.block.context, site.block)
    counter, going, beams = (names.fresh(f"{site.node.name}/{word}") for word in ("i", "going", "beams"))
    step = body.one("Sub", body.one("Sub", steps, counter), site.constant(1, "int64"))
    ids, parents = (
        body.one("GatherElements", body.one("Gather", site.input(k), step, axis=0), beams, axis=1) for k in (0, 1)
    )
    inside = body.one("Less", step, site.int64(2))
    inside = body.one("Unsqueeze", inside, body.ints(1))
    chosen = body.one("Where", inside, ids, site.input(3))
    before = body.one("Where", inside, body.one("Cast", parents, to=onnx_type("int64")), beams)
    inputs = [
        onnx.value_info(counter, onnx.INT64, []),
        onnx.value_info(going, onnx.BOOL, []),
        onnx.value_info(beams, onnx.INT64, None),
    ]
    again = body.one("Identity", going)
    outputs = [onnx.value_info(again), onnx.value_info(before), onnx.value_info(chosen, onnx_type(kind), None)]
    return onnx.graph(body.nodes, site.node.name, inputs, outputs)


def _ended(site: Site, ids: str) -> str:
    """What stands behind the first end mark is one too."""
    ends = site.one("Cast", site.one("Equal", ids, site.input(3)), to=onnx_type("int32"))
    before = site.one("CumSum", ends, site.constant(0, "int64"), exclusive=1)
    return site.one("Where", site.one("Greater", before, site.constant(0, "int32")), site.input(3), ids)


OPERATORS = (Operator("GatherTree", shape=first_shape, onnx=_gather_tree_onnx),)
