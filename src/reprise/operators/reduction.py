"""Sums, extremes, their indices, softmax and what else looks along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reprise.graph import Node
from reprise.operators.rules.asking import as_result
from reprise.operators.rules.attributes import ElementType, Flag, Integer
from reprise.operators.rules.block import computed_type, onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes, first_shape, known_axis
from reprise.operators.rules.site import OnnxRule, Site, is_real
from reprise.operators.rules.sizes import Dim, dim, product
from reprise.operators.rules.steps import STEPS, Kind, TimeAxes, keeps, mixed
from reprise.tensors import Array
from reprise.wire import onnx

_KEEP, _K, _INDEX_TYPE = Flag("keep_dims"), Integer("k"), ElementType("output_type", "int64")
_EXCLUSIVE, _REVERSE = Flag("exclusive"), Flag("reverse")


def _reduce_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, axes = inputs[0].shape, inputs[1].content
    if shape is None or axes is None or axes.dtype == object:
        return [UNKNOWN]
    content = inputs[0].content
    if node.op == "Prod" and content is not None and content.ndim == 1:
        return [Fact((), np.asarray(product(content.tolist()), object))]
    gone = {int(a) % max(len(shape), 1) for a in axes.ravel()}
    if _KEEP(node):
        return [Fact(tuple(Dim(1) if i in gone else d for i, d in enumerate(shape)))]
    return [Fact(tuple(d for i, d in enumerate(shape) if i not in gone))]


def _arg_reduce_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    axis = None if shape is None else known_axis(inputs[1], len(shape))
    if shape is None or axis is None:
        return [UNKNOWN]
    return [Fact(tuple(d for i, d in enumerate(shape) if i != axis))]


def _top_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """TopK(x, k) and TopKV2: the k greatest values along the last axis, and their indices."""
    shape = inputs[0].shape
    count = inputs[1].content if len(inputs) > 1 else np.asarray(_K(node))
    if not shape:
        return [UNKNOWN, UNKNOWN]
    return [Fact((*shape[:-1], facts.fresh(node, len(shape) - 1) if count is None else dim(count.item())))] * 2


def _reduce_fold(function: Callable[..., Any]) -> Callable[[Node, list[Array]], Any]:
    def apply(node: Node, inputs: list[Array]) -> Any:
        keep = _KEEP(node)
        axes = tuple(int(a) for a in inputs[1].ravel())
        return np.asarray(function(inputs[0], axis=axes, keepdims=keep)).astype(inputs[0].dtype)

    return apply


def _softmax_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    shape = axes.facts.shape(node.inputs[0])
    return mixed(node) if not shape or axes.holds_time(shape[-1]) else STEPS


def _reduced(site: Site, op: str, x: str) -> str:
    """`x`, of the shape of input 0, reduced over the axes of input 1."""
    if site.known(1) is None and _names_every_axis(site):
        return site.one(op, x, keepdims=int(_KEEP(site.node)))
    axes = site.must_know(1, "axes")
    numbers = [int(a) for a in axes.ravel()]
    if not numbers and axes.ndim:
        return x
    keep = int(_KEEP(site.node))
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


def _reduce_onnx(op: str) -> OnnxRule:
    return lambda site: _reduced(site, op, site.input(0))


def _mean_onnx(site: Site) -> str:
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


def _extreme(op: str) -> OnnxRule:
    """Max and Min: what is not a number wins, as in TensorFlow; ONNX Runtime passes over it."""

    def emit(site: Site) -> str:
        found, x = _reduced(site, op, site.input(0)), site.input(0)
        if not is_real(site):
            return found
        undefined = site.one("Where", site.one("IsNaN", x), x, site.constant(0, computed_type(site.dtype())))
        return site.one("Add", found, _reduced(site, "ReduceSum", undefined))

    return emit


def _reduce_flags(op: str) -> OnnxRule:
    """All and Any: the least and the greatest of the flags as numbers."""

    def emit(site: Site) -> str:
        numbers = site.one("Cast", site.input(0), to=onnx.INT32)
        return site.one("Cast", _reduced(site, op, numbers), to=onnx.BOOL)

    return emit


def _arg(op: str) -> OnnxRule:
    def emit(site: Site) -> str:
        found = site.one(op, site.input(0), axis=site.axis(1, 0), keepdims=0)
        wanted = _INDEX_TYPE(site.node)
        return found if wanted == "int64" else site.one("Cast", found, to=onnx_type(wanted))

    return emit


def _softmax(op: str) -> OnnxRule:
    return lambda site: site.one(op, site.input(0), axis=-1)


def _l2_loss_onnx(site: Site) -> str:
    x = site.input(0)
    return site.one("Mul", site.one("ReduceSumSquare", x, keepdims=0), site.constant(0.5, computed_type(site.dtype())))


def _cumsum_onnx(site: Site) -> str:
    axis = site.must_know(1, "axis")
    flags = {of.name: int(of(site.node)) for of in (_EXCLUSIVE, _REVERSE)}
    return site.one("CumSum", site.input(0), site.constant(axis, "int64"), **flags)


def _cumprod_onnx(site: Site) -> str:
    """Through logarithms it would lose signs and zeros; by steps it needs the size of the axis."""
    axis = site.axis(1, 0)
    shape = site.shape(0)
    if shape is None or not shape[axis].known:
        raise site.refusal("runs over an axis whose size is not in the file")
    size = shape[axis].scale
    exclusive, reverse = _EXCLUSIVE(site.node), _REVERSE(site.node)
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
    return site.one(
        "ConstantOfShape", site.one("Shape", name), value=onnx.tensor(np.ones(1, computed_type(site.dtype())))
    )


def _top_k_onnx(site: Site) -> tuple[str, str]:
    given = len(site.node.inputs) > 1
    k = site.one("Reshape", site.int64(1), site.block.ints(1)) if given else site.block.ints(_K(site.node))
    values, indices = site.block.add("TopK", [site.input(0), k], 2, site.node.name, axis=-1, largest=1, sorted=1)
    return values, site.one("Cast", indices, to=onnx.INT32)


OPERATORS = (
    Operator(
        "Sum",
        2,
        shape=_reduce_shape,
        fold=_reduce_fold(np.sum),
        steps=keeps,
        onnx=_reduce_onnx("ReduceSum"),
        lazy=(1,),
        attributes=(_KEEP,),
    ),
    Operator("Mean", 2, shape=_reduce_shape, steps=keeps, onnx=_mean_onnx, lazy=(1,), attributes=(_KEEP,)),
    Operator(
        "Max",
        2,
        shape=_reduce_shape,
        fold=_reduce_fold(np.max),
        steps=keeps,
        onnx=_extreme("ReduceMax"),
        lazy=(1,),
        attributes=(_KEEP,),
    ),
    Operator(
        "Min",
        2,
        shape=_reduce_shape,
        fold=_reduce_fold(np.min),
        steps=keeps,
        onnx=_extreme("ReduceMin"),
        lazy=(1,),
        attributes=(_KEEP,),
    ),
    Operator(
        "Prod",
        2,
        shape=_reduce_shape,
        fold=_reduce_fold(np.prod),
        steps=keeps,
        onnx=_reduce_onnx("ReduceProd"),
        lazy=(1,),
        attributes=(_KEEP,),
    ),
    Operator(
        "All",
        2,
        shape=_reduce_shape,
        steps=keeps,
        onnx=_reduce_flags("ReduceMin"),
        lazy=(1,),
        types=("bool",),
        attributes=(_KEEP,),
    ),
    Operator(
        "Any",
        2,
        shape=_reduce_shape,
        steps=keeps,
        onnx=_reduce_flags("ReduceMax"),
        lazy=(1,),
        types=("bool",),
        attributes=(_KEEP,),
    ),
    Operator(
        "ArgMax",
        2,
        shape=_arg_reduce_shape,
        steps=keeps,
        onnx=_arg("ArgMax"),
        lazy=(1,),
        types=(_INDEX_TYPE,),
        tags=(Tag.DISCRETE,),
        attributes=(_INDEX_TYPE,),
    ),
    Operator(
        "ArgMin",
        2,
        shape=_arg_reduce_shape,
        steps=keeps,
        onnx=_arg("ArgMin"),
        lazy=(1,),
        types=(_INDEX_TYPE,),
        tags=(Tag.DISCRETE,),
        attributes=(_INDEX_TYPE,),
    ),
    Operator("L2Loss", onnx=_l2_loss_onnx, tags=(Tag.LOSS,)),
    Operator("Softmax", shape=first_shape, steps=_softmax_steps, onnx=_softmax("Softmax"), asks=as_result),
    Operator("LogSoftmax", shape=first_shape, steps=_softmax_steps, onnx=_softmax("LogSoftmax"), asks=as_result),
    Operator("Cumsum", 2, shape=first_shape, onnx=_cumsum_onnx, lazy=(1,), attributes=(_EXCLUSIVE, _REVERSE)),
    Operator("Cumprod", 2, shape=first_shape, onnx=_cumprod_onnx, lazy=(1,), attributes=(_EXCLUSIVE, _REVERSE)),
    Operator(
        "TopK",
        shape=_top_shape,
        steps=_softmax_steps,
        onnx=_top_k_onnx,
        types=("", "int32"),
        tags=(Tag.RANKING,),
        attributes=(_K,),
        outputs="values indices",
    ),
    Operator(
        "TopKV2",
        2,
        shape=_top_shape,
        steps=_softmax_steps,
        onnx=_top_k_onnx,
        lazy=(1,),
        types=("", "int32"),
        tags=(Tag.RANKING,),
        outputs="values indices",
    ),
)
