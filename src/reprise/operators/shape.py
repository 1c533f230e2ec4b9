"""Sizes of tensors, and tensors whose axes are flattened together, taken apart, added or removed."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.rules.asking import Asking, Sizes, inserted, without
from reprise.operators.rules.attributes import ElementType, Integers
from reprise.operators.rules.block import onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, Shapes, known_axis
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim, dim, product
from reprise.operators.rules.steps import STEPS, Kind, TimeAxes, has_time, keeps, mixed
from reprise.tensors import Array

_TYPE, _GONE = ElementType("out_type", "int32"), Integers("squeeze_dims", ())


def _expand_dims_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    axis = None if shape is None else known_axis(inputs[1], len(shape) + 1)
    if shape is None or axis is None:
        return [UNKNOWN]
    content = inputs[0].content
    flat = content.reshape(1) if content is not None and content.ndim == 0 else None
    return [Fact((*shape[:axis], Dim(1), *shape[axis:]), flat)]


def _squeeze_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if shape is None:
        return [UNKNOWN]
    axes = {int(a) % len(shape) for a in _GONE(node)}
    sizes = [facts.sizes.resolve(d) for d in shape]
    gone = axes or {i for i, d in enumerate(sizes) if d == Dim(1)}
    content = inputs[0].content
    return [
        Fact(
            tuple(d for i, d in enumerate(sizes) if i not in gone),
            content.reshape(()) if content is not None and content.size == 1 and len(gone) == content.ndim else None,
        )
    ]


def _reshape_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Reshape(x, shape): the factors of the sizes of x, grouped as the target shape asks."""
    target = inputs[1].content
    if target is None:
        return [UNKNOWN]
    wanted = [d if isinstance(d, Dim) else Dim(int(d)) for d in target.ravel()]
    if inputs[0].shape is None:
        return [Fact(tuple(facts.fresh(node, i) if d == Dim(-1) else d for i, d in enumerate(wanted)))]
    content = inputs[0].content
    return [
        Fact(
            regroup(facts, node, [facts.sizes.resolve(d) for d in inputs[0].shape], wanted),
            content.reshape((-1,) * len(wanted))
            if content is not None and max(len(wanted), content.ndim) <= 1
            else None,
        )
    ]


def regroup(facts: Shapes, node: Node, have: list[Dim], wanted: list[Dim]) -> Dims:
    """The sizes after a reshape: the row-major factors of `have`, grouped as `wanted` asks.

    Grouping from both ends leaves -1 whatever remains, so `[N, T, H]` to `[-1, H]` gives `(N·T, H)`.
    """
    if sum(len(d.symbols) for d in have) == sum(len(d.symbols) for d in wanted) > 1 and Dim(-1) not in wanted:
        facts.sizes.equate(product(have), product(wanted))
    have, wanted = ([facts.sizes.resolve(d) for d in sizes] for sizes in (have, wanted))
    factors: list[Dim] = []
    for size in have:
        factors += [Dim(1, (f,)) if isinstance(f, str) else Dim(f) for f in size.factors if f != 1]
    front, back = _equal_ends(factors, wanted)
    if len(wanted) == 1:
        return (*front, product(factors), *back)
    if len(wanted) == len(factors) and all(
        w == f or (w.known and facts.sizes.nominal(f) == w.scale) for f, w in zip(factors, wanted, strict=True)
    ):
        return (*front, *factors, *back)
    open_at = wanted.index(Dim(-1)) if Dim(-1) in wanted else len(wanted)
    middle = [_take(facts, factors, size, 0) for size in wanted[:open_at]]
    after = [_take(facts, factors, size, -1) for size in reversed(wanted[open_at + 1 :])]
    failed = None in middle or None in after
    if open_at == len(wanted) and not failed:  # what is left over is one: `[N, V]` to `[1, 1, V]`
        facts.sizes.fix(product(factors))
    rest = [facts.fresh(node, len(front) + open_at) if failed else product(factors)] if open_at < len(wanted) else []
    found = [*middle, *rest, *reversed(after)]
    return (*front, *(w if f is None else f for f, w in zip(found, wanted, strict=True)), *back)


def _equal_ends(factors: list[Dim], wanted: list[Dim]) -> tuple[list[Dim], list[Dim]]:
    """Takes off both lists what is the same at their fronts and at their backs."""
    front: list[Dim] = []
    back: list[Dim] = []
    while factors and wanted and factors[-1] == wanted[-1]:
        back.insert(0, factors.pop())
        wanted.pop()
    while factors and wanted and factors[0] == wanted[0]:
        front.append(factors.pop(0))
        wanted.pop(0)
    return front, back


def _take(facts: Shapes, factors: list[Dim], wanted: Dim, end: int) -> Dim | None:
    """Removes factors worth `wanted` from one end of `factors`; None, and nothing removed, where none are.

    An axis of one is the one that the file bakes in, if that is the next of several: `[T·N, D]` to `[-1, 1, D]`.
    """
    if wanted == Dim(1) and len(factors) > 1 and not factors[end].known and facts.sizes.nominal(factors[end]) == 1:
        return factors.pop(end)
    before = list(factors)
    taken: list[Dim] = []
    target = facts.sizes.nominal(wanted)
    while True:
        value = product(taken if end == 0 else taken[::-1])
        if sorted(value.symbols) == sorted(wanted.symbols) and value.scale == wanted.scale:
            return value
        if taken and target is not None and facts.sizes.nominal(value) == target:
            return value
        if not factors or not _divide(facts, factors, taken, target, end):
            factors[:] = before
            return None


def _divide(facts: Shapes, factors: list[Dim], taken: list[Dim], target: int | None, end: int) -> bool:
    """Moves one factor over, or the part of a number that is still missing; False when nothing fits."""
    factor = factors[end]
    have = facts.sizes.nominal(product(taken))
    if factor.known and target is not None and have and (have * factor.scale) > target:
        missing, rest = divmod(target, have)
        if rest or factor.scale % missing:
            return False
        factors[end] = Dim(factor.scale // missing)
        taken.append(Dim(missing))
        return True
    taken.append(factors.pop(end))
    return True


def _shape_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [_shape_as_content(f.shape) for f in inputs]


def _shape_as_content(shape: Dims | None) -> Fact:
    if shape is None:
        return Fact(None)
    content = np.empty(len(shape), object)
    content[:] = shape
    if all(d.known for d in shape):
        content = np.asarray([d.scale for d in shape], np.int64)
    return Fact((Dim(len(shape)),), content)


def _rank_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    return [Fact((), None if shape is None else np.asarray(len(shape)))]


def _size_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if shape is None:
        return [Fact(())]
    count = product(shape)
    return [Fact((), np.asarray(count.scale if count.known else count))]


def _squeeze_fold(node: Node, inputs: list[Array]) -> Array:
    return np.squeeze(inputs[0], _GONE(node) or None)


def _expand_dims_fold(node: Node, inputs: list[Array]) -> Array:
    return np.expand_dims(inputs[0], int(inputs[1].item()))


def _reshape_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """Flattened and taken apart again, time stays where it was among the numbers, or rows of steps are mixed."""
    before, after = (_symbols_in_order(axes, v) for v in (node.inputs[0], Value(node.name)))
    kept = has_time(axes, Value(node.name)) and (before is None or before == after)
    return STEPS if kept or axes.is_partition(Value(node.name)) else mixed(node)


def _symbols_in_order(axes: TimeAxes, value: Value) -> list[tuple[int, str]] | None:
    """The free sizes of a shape in their order, each with the numbers that stand before it."""
    shape = axes.facts.shape(value)
    if shape is None:
        return None
    found, before = [], 1
    for size in shape:
        found += [(before, s) for s in size.symbols]
        before *= size.scale
    return found


def _shape_onnx(site: Site) -> tuple[str, ...]:
    wanted = _TYPE(site.node)
    shapes = [site.one("Shape", name) for name in site.inputs()]
    return tuple(s if wanted == "int64" else site.one("Cast", s, to=onnx_type(wanted)) for s in shapes)


def _rank_onnx(site: Site) -> str:
    return site.constant(site.rank(0), "int32")


def _size_onnx(site: Site) -> str:
    return site.one("Cast", site.one("Size", site.input(0)), to=onnx_type(_TYPE(site.node)))


def _reshape_onnx(site: Site) -> str:
    target = _free_target(site)
    return site.one("Reshape", site.input(0), target if target is not None else site.int64(1), allowzero=0)


def _free_target(site: Site) -> str | None:
    """The target shape with the sizes that were set free as -1, None where the graph's own computation must run.

    A file that was saved for one batch size and length has them as numbers in its reshapes; `Facts` knows which of
    those numbers are the batch or the time.
    """
    shape = site.result_shape()
    if shape is None:
        return None
    free = [i for i, d in enumerate(shape) if not d.known]
    if len(free) <= 1 and all(d.known or d.symbols for d in shape):
        return site.block.ints(*(d.scale if d.known else -1 for d in shape))
    content = site.emitter.facts.of(site.node.inputs[1]).content
    given = () if content is None else [dim(size) for size in content.flat]
    baked = any(size.known and size != Dim(-1) for size, d in zip(given, shape, strict=False) if not d.known)
    return _composed_target(site, shape) if baked else None


def _composed_target(site: Site, shape: tuple[Dim, ...]) -> str:
    """Several free sizes: each is read from the inputs, one may be left to what remains."""
    parts = [site.emitter.size(size, site.block) for size in shape]
    if parts.count(None) > 1:
        raise site.refusal("has several sizes that the file bakes in and that are not those of its inputs")
    return site.one("Concat", *(p if p is not None else site.block.ints(-1) for p in parts), axis=0)


def _expand_dims_onnx(site: Site) -> str:
    axis = site.axis(1, 0, extra=1)
    return site.one("Unsqueeze", site.input(0), site.block.ints(axis))


def _squeeze_onnx(site: Site) -> str:
    axes = _GONE(site.node)
    if axes:
        return site.one("Squeeze", site.input(0), site.block.ints(*axes))
    shape = site.shape(0)
    if shape is None:
        raise site.refusal("removes axes that are not known")
    gone = [i for i, d in enumerate(shape) if d == Dim(1)]
    return site.one("Squeeze", site.input(0), site.block.ints(*gone)) if gone else site.input(0)


def _reshape_asks(asking: Asking) -> Sizes | None:
    return None if asking.index else asking.layout(1)


def _expand_dims_asks(asking: Asking) -> Sizes | None:
    axis = asking.numbers(1)
    return None if asking.index or axis is None else without(asking.result(), axis[0])


def _squeeze_asks(asking: Asking) -> Sizes | None:
    axes = _GONE(asking.node)
    if not axes or min(axes) < 0:
        return None
    sizes = asking.result()
    for axis in sorted(axes):
        sizes = inserted(sizes, axis, 1)
    return sizes


OPERATORS = (
    Operator(
        "Shape", shape=_shape_shape, onnx=_shape_onnx, types=(_TYPE,), tags=(Tag.SHAPE_ONLY,), attributes=(_TYPE,)
    ),
    Operator(
        "ShapeN",
        shape=_shape_shape,
        onnx=_shape_onnx,
        types=(_TYPE,),
        tags=(Tag.SHAPE_ONLY,),
        attributes=(_TYPE,),
        outputs="output*N",
    ),
    Operator("VariableShape", shape=_shape_shape, onnx=_shape_onnx, types=(_TYPE,), attributes=(_TYPE,)),
    Operator(
        "Rank",
        shape=_rank_shape,
        fold=lambda node, inputs: np.asarray(inputs[0].ndim, np.int32),
        onnx=_rank_onnx,
        types=("int32",),
        tags=(Tag.SHAPE_ONLY,),
    ),
    Operator("Size", shape=_size_shape, onnx=_size_onnx, types=(_TYPE,), tags=(Tag.SHAPE_ONLY,), attributes=(_TYPE,)),
    Operator(
        "BroadcastArgs",
        2,
        fold=lambda node, inputs: np.asarray(np.broadcast_shapes(*map(tuple, inputs)), inputs[0].dtype),
    ),
    Operator(
        "Reshape",
        2,
        shape=_reshape_shape,
        fold=lambda node, inputs: inputs[0].reshape([int(n) for n in inputs[1]]),
        steps=_reshape_steps,
        onnx=_reshape_onnx,
        lazy=(1,),
        tags=(Tag.LAYOUT,),
        asks=_reshape_asks,
    ),
    Operator(
        "ExpandDims",
        2,
        shape=_expand_dims_shape,
        fold=_expand_dims_fold,
        steps=keeps,
        onnx=_expand_dims_onnx,
        lazy=(1,),
        tags=(Tag.LAYOUT,),
        asks=_expand_dims_asks,
    ),
    Operator(
        "Squeeze",
        shape=_squeeze_shape,
        fold=_squeeze_fold,
        steps=keeps,
        onnx=_squeeze_onnx,
        tags=(Tag.LAYOUT,),
        attributes=(_GONE,),
        asks=_squeeze_asks,
    ),
    Operator("BroadcastGradientArgs", 2, tags=(Tag.SHAPE_ONLY,), outputs="r0 r1"),
    Operator("ConcatOffset", 3, tags=(Tag.SHAPE_ONLY,), outputs="offset*N"),
)
