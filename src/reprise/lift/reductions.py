"""TensorFlow operators → ONNX: sums, extremes, places, softmax and what else looks along an axis."""

from __future__ import annotations

import numpy as np

from reprise.lift.emitter import Emit, Operator, Site
from reprise.lift.functions import is_real
from reprise.operators.rules.block import computed, onnx_type
from reprise.wire import onnx


def _reduced(site: Site, op: str, x: str) -> str:
    """`x`, of the shape of input 0, reduced over the axes of input 1."""
    if site.known(1) is None and _names_every_axis(site):
        return site.one(op, x, keepdims=int(site.node.flag("keep_dims")))
    axes = site.must_know(1, "axes")
    numbers = [int(a) for a in axes.ravel()]
    if not numbers and axes.ndim:
        return x
    keep = int(site.node.flag("keep_dims"))
    if op == "ReduceSum":
        return site.one(op, x, site.block.ints(*numbers), keepdims=keep)
    return site.one(op, x, axes=numbers, keepdims=keep)


def _names_every_axis(site: Site) -> bool:
    """Whether the axes are `range(rank(x))`, as TensorFlow writes them where it does not know how many there are."""
    structure = site.emitter.structure
    axes = structure.graph[structure.source(site.node.inputs[1]).node]
    if axes.op != "Range" or structure.number(axes.inputs[0]) != 0 or structure.number(axes.inputs[2]) != 1:
        return False
    rank = structure.graph[structure.source(axes.inputs[1]).node]
    return rank.op == "Rank" and structure.source(rank.inputs[0]) == structure.source(site.node.inputs[0])


def _reduce(op: str) -> Emit:
    return lambda site: _reduced(site, op, site.input(0))


def _mean(site: Site) -> str:
    """The mean of no numbers is none, as in TensorFlow; ONNX Runtime makes it 0."""
    if site.known(1) is None:
        return _reduced(site, "ReduceMean", site.input(0))
    axes = [int(a) for a in site.must_know(1, "axes").ravel()]
    shape = site.shape(0)
    some = shape is not None and all(shape[a].known and shape[a].scale for a in axes)
    if some or not axes or not is_real(site):
        return _reduced(site, "ReduceMean", site.input(0))
    total = _reduced(site, "ReduceSum", site.input(0))
    sizes = site.one("Gather", site.one("Shape", site.input(0)), site.block.ints(*axes), axis=0)
    count = site.one("ReduceProd", sizes, keepdims=0)
    return site.one("Div", total, site.one("Cast", count, to=onnx_type(site.dtype())))


def _extreme(op: str) -> Emit:
    """Max and Min: what is not a number wins, as in TensorFlow; ONNX Runtime passes over it."""

    def emit(site: Site) -> str:
        found, x = _reduced(site, op, site.input(0)), site.input(0)
        if not is_real(site):
            return found
        undefined = site.one("Where", site.one("IsNaN", x), x, site.constant(0, computed(site.dtype())))
        return site.one("Add", found, _reduced(site, "ReduceSum", undefined))

    return emit


def _reduce_flags(op: str) -> Emit:
    """All and Any: the least and the greatest of the flags as numbers."""

    def emit(site: Site) -> str:
        numbers = site.one("Cast", site.input(0), to=onnx.INT32)
        return site.one("Cast", _reduced(site, op, numbers), to=onnx.BOOL)

    return emit


def _arg(op: str) -> Emit:
    def emit(site: Site) -> str:
        found = site.one(op, site.input(0), axis=site.axis(1, 0), keepdims=0)
        wanted = site.node.dtype("output_type", "int64")
        return found if wanted == "int64" else site.one("Cast", found, to=onnx_type(wanted))

    return emit


def _softmax(op: str) -> Emit:
    return lambda site: site.one(op, site.input(0), axis=-1)


def _l2_loss(site: Site) -> str:
    x = site.input(0)
    return site.one("Mul", site.one("ReduceSumSquare", x, keepdims=0), site.constant(0.5, computed(site.dtype())))


def _cumulate(site: Site) -> str:
    axis = site.must_know(1, "axis")
    flags = {k: int(site.node.flag(k)) for k in ("exclusive", "reverse")}
    return site.one("CumSum", site.input(0), site.constant(axis, "int64"), **flags)


def _cumulative_product(site: Site) -> str:
    """Through logarithms it would lose signs and zeros; by steps it needs the size of the axis."""
    axis = site.axis(1, 0)
    shape = site.shape(0)
    if shape is None or not shape[axis].known:
        raise site.refusal("runs over an axis whose size is not in the file")
    size = shape[axis].scale
    exclusive, reverse = site.node.flag("exclusive"), site.node.flag("reverse")
    parts = (
        list(site.block.add("Split", [site.input(0)], size, site.node.name, axis=axis)) if size > 1 else [site.input(0)]
    )
    running, products = "", []
    for part in parts[::-1] if reverse else parts:
        following = site.one("Mul", running, part) if running else part
        products.append((running or _one_like(site, part)) if exclusive else following)
        running = following
    return site.one("Concat", *(products[::-1] if reverse else products), axis=axis)


def _one_like(site: Site, name: str) -> str:
    return site.one("ConstantOfShape", site.one("Shape", name), value=onnx.tensor(np.ones(1, computed(site.dtype()))))


def _top_k(site: Site) -> tuple[str, str]:
    given = len(site.node.inputs) > 1
    k = site.one("Reshape", site.int64(1), site.block.ints(1)) if given else site.block.ints(site.node.integer("k"))
    values, places = site.block.add("TopK", [site.input(0), k], 2, site.node.name, axis=-1, largest=1, sorted=1)
    return values, site.one("Cast", places, to=onnx.INT32)


REDUCTIONS: dict[str, Operator] = {
    "Sum": Operator(_reduce("ReduceSum"), lazy=(1,)),
    "Mean": Operator(_mean, lazy=(1,)),
    "Max": Operator(_extreme("ReduceMax"), lazy=(1,)),
    "Min": Operator(_extreme("ReduceMin"), lazy=(1,)),
    "Prod": Operator(_reduce("ReduceProd"), lazy=(1,)),
    "All": Operator(_reduce_flags("ReduceMin"), lazy=(1,)),
    "Any": Operator(_reduce_flags("ReduceMax"), lazy=(1,)),
    "ArgMax": Operator(_arg("ArgMax"), lazy=(1,)),
    "ArgMin": Operator(_arg("ArgMin"), lazy=(1,)),
    "Softmax": Operator(_softmax("Softmax")),
    "LogSoftmax": Operator(_softmax("LogSoftmax")),
    "L2Loss": Operator(_l2_loss),
    "Cumsum": Operator(_cumulate, lazy=(1,)),
    "Cumprod": Operator(_cumulative_product, lazy=(1,)),
    "TopKV2": Operator(_top_k, lazy=(1,)),
    "TopK": Operator(_top_k),
}
