"""Tensors joined along an axis, and taken apart."""

from __future__ import annotations

from functools import reduce

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.rules.asking import Asking, Sizes, both, inserted, without
from reprise.operators.rules.attributes import Integer
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes, known_axis
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array

_AXIS, _COUNT, _PARTS = Integer("axis", 0), Integer("num"), Integer("num_split")


def _concat_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Concat(axis, parts…) and ConcatV2(parts…, axis): sizes agree but along the axis, where they add up."""
    parts, axis_fact = (inputs[1:], inputs[0]) if node.op == "Concat" else (inputs[:-1], inputs[-1])
    shapes = [p.shape for p in parts]
    known = next((s for s in shapes if s is not None), None)
    axis = None if known is None else known_axis(axis_fact, len(known))
    if known is None or axis is None or axis >= len(known):
        return [UNKNOWN]
    joined = list(known)
    for shape in shapes:
        if shape is not None and len(shape) == len(known):
            joined = [d if i == axis else facts.sizes.equate(d, shape[i]) for i, d in enumerate(joined)]
    content = _joined_content(parts, axis)
    if any(s is None for s in shapes):
        joined[axis] = facts.fresh(node, axis)
    else:
        sizes = [facts.sizes.resolve(s[axis]) for s in shapes if s is not None]
        joined[axis] = _joined_size(facts, node, axis, sizes)
    return [Fact(tuple(joined), content)]


def _joined_size(facts: Shapes, node: Node, axis: int, sizes: list[Dim]) -> Dim:
    if all(d.known for d in sizes):
        return Dim(sum(d.scale for d in sizes))
    if len(set(sizes)) == 1:  # equal pieces, as when the steps of an unrolled recurrence are put together
        return Dim(len(sizes)) * sizes[0]
    unknown = [d for d in sizes if not d.known]
    if len(unknown) == 1:
        return facts.sizes.plus(unknown[0], sum(d.scale for d in sizes if d.known))
    return facts.fresh(node, axis)


def _joined_content(parts: list[Fact], axis: int) -> Array | None:
    contents = [p.content for p in parts]
    if any(c is None for c in contents) or axis != 0:
        return None
    return np.concatenate([c.astype(object) for c in contents if c is not None])


def _pack_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.equate(shape, other.shape)
    if shape is None:
        return [UNKNOWN]
    axis = _AXIS(node) % (len(shape) + 1)
    contents = [f.content for f in inputs]
    content = None
    if shape == () and (all(c is not None for c in contents) or _is_whole_number(facts, node)):
        content = np.empty(len(inputs), object)
        content[:] = [(facts.unknown(v) if c is None else c).item() for c, v in zip(contents, node.inputs, strict=True)]
        if not any(isinstance(c, Dim) for c in content):
            content = np.asarray(list(content))
    return [Fact((*shape[:axis], Dim(len(inputs)), *shape[axis:]), content)]


def _is_whole_number(facts: Shapes, node: Node) -> bool:
    return facts.dtype(Value(node.name)) in ("int32", "int64")


def _unpack_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, count = inputs[0].shape, _COUNT(node)
    content = inputs[0].content
    if content is not None and content.ndim == 1 and len(content) == count:
        return [Fact((), np.asarray(c, object if isinstance(c, Dim) else None)) for c in content]
    if shape is None:
        return [UNKNOWN] * count
    axis = _AXIS(node) % len(shape)
    facts.sizes.bake(shape[axis], count)
    return [Fact((*shape[:axis], *shape[axis + 1 :]))] * count


def _split_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    axis_fact, value = (inputs[0], inputs[1]) if node.op == "Split" else (inputs[2], inputs[0])
    count = _PARTS(node)
    axis = None if value.shape is None else known_axis(axis_fact, len(value.shape))
    if value.shape is None or axis is None:
        return [UNKNOWN] * count
    sizes = _split_sizes(facts, node, inputs, value.shape[axis], count)
    return [Fact((*value.shape[:axis], n, *value.shape[axis + 1 :])) for n in sizes]


def _split_sizes(facts: Shapes, node: Node, inputs: list[Fact], whole: Dim, count: int) -> list[Dim]:
    if node.op == "SplitV" and inputs[1].content is not None and inputs[1].content.dtype != object:
        facts.sizes.bake(whole)
        return [Dim(int(n)) if n >= 0 else facts.fresh(node, i) for i, n in enumerate(inputs[1].content)]
    whole = facts.sizes.resolve(whole)
    nominal = facts.sizes.nominal(whole)
    if whole.scale % count == 0:
        return [Dim(whole.scale // count, whole.symbols)] * count
    if nominal is not None and nominal % count == 0:
        facts.sizes.fix(whole)
        return [Dim(nominal // count)] * count
    return [facts.fresh(node, "part")] * count


def _split_fold(node: Node, inputs: list[Array]) -> list[Array]:
    axis, whole = inputs
    return np.split(whole, _PARTS(node), int(axis.item()))


def _split_v_fold(node: Node, inputs: list[Array]) -> list[Array]:
    whole, sizes, axis = inputs
    along = int(axis.item())
    left = whole.shape[along] - int(sizes[sizes >= 0].sum())
    sizes = np.where(sizes < 0, left, sizes)
    if left < 0 or int(sizes.sum()) != whole.shape[along]:
        raise ValueError("sizes")
    return np.split(whole, np.cumsum(sizes)[:-1], along)


def _canonical_to_params_fold(node: Node, inputs: list[Array]) -> Array:
    """The one vector of cuDNN: all matrices, then all biases, each in the order in which the operator is given them."""
    return np.concatenate([part.ravel() for part in inputs[3:]])


def _concat_onnx(site: Site) -> str:
    first = site.node.op == "Concat"
    count = len(site.node.inputs)
    parts = range(1, count) if first else range(count - 1)
    axis = int(site.must_know(0 if first else count - 1, "axis").ravel()[0])
    names = [site.input(i) for i in parts]
    return names[0] if len(names) == 1 else site.one("Concat", *names, axis=axis)


def _pack_onnx(site: Site) -> str:
    axis = _AXIS(site.node)
    axes = site.block.ints(axis)
    raised = [site.one("Unsqueeze", site.input(i), axes) for i in range(len(site.node.inputs))]
    return raised[0] if len(raised) == 1 else site.one("Concat", *raised, axis=axis)


def _unpack_onnx(site: Site) -> tuple[str, ...]:
    count, axis = _COUNT(site.node), _AXIS(site.node)
    parts = _split_into(site, site.input(0), axis, count)
    axes = site.block.ints(axis)
    return tuple(site.one("Squeeze", p, axes) for p in parts)


def _split_into(site: Site, name: str, axis: int, count: int) -> tuple[str, ...]:
    if count == 1:
        return (name,)
    return site.block.add("Split", [name], count, site.node.name, axis=axis)


def _split_onnx(site: Site) -> tuple[str, ...]:
    return _split_into(site, site.input(1), site.axis(0, 1), _PARTS(site.node))


def _split_v_onnx(site: Site) -> tuple[str, ...]:
    count = _PARTS(site.node)
    axis = site.axis(2, 0)
    sizes = site.must_know(1, "sizes").astype(np.int64)
    name = site.input(0)
    whole = _axis_size(site, name, axis)
    left = None if whole is None else whole - int(sizes[sizes >= 0].sum())
    if (sizes < 0).any():
        if left is None:
            raise site.refusal("splits an axis whose size is not in the file")
        sizes[sizes < 0] = left
    elif left:
        parts = f"divides {whole} numbers into {count} parts of {sizes.sum()} in all"
        raise site.refusal(f"{parts}: the weights are of another graph, or laid out in another way")
    return site.block.add("Split", [name, site.block.ints(*sizes.tolist())], count, site.node.name, axis=axis)


def _axis_size(site: Site, name: str, axis: int) -> int | None:
    """How long the first input is along an axis, as a weight or by what is known of its shape."""
    held = site.block.names.initializers.get(name)
    if held is not None:
        return int(held.shape[axis])
    shape = site.shape(0)
    return shape[axis].scale if shape is not None and shape[axis].known else None


def _canonical_to_params_onnx(site: Site) -> str:
    """The vector of a layer of cuDNN: all matrices, then all biases, in the order in which they are given."""
    flat = [site.one("Reshape", site.input(i), site.block.ints(-1)) for i in range(3, len(site.node.inputs))]
    return site.one("Concat", *flat, axis=0)


def _concat_asks(asking: Asking) -> Sizes | None:
    """As the other parts, but for the axis along which they are joined."""
    at = 0 if asking.node.op == "Concat" else len(asking.node.inputs) - 1
    axis, result = asking.numbers(at), asking.result()
    if axis is None or asking.index == at:
        return None
    others = [asking.shape(k) for k in range(len(asking.node.inputs)) if k not in (at, asking.index)]
    apart = reduce(both, (without(sizes, axis[0]) for sizes in (result, *others)), None)
    widths = [sizes[axis[0]] if apart is not None and sizes is not None else None for sizes in (result, *others)]
    known = [width for width in widths if width is not None]
    return inserted(apart, axis[0], known[0] - sum(known[1:]) if len(known) == len(widths) else None)


def _pack_asks(asking: Asking) -> Sizes | None:
    others = (asking.shape(k) for k in range(len(asking.node.inputs)) if k != asking.index)
    return reduce(both, others, without(asking.result(), _AXIS(asking.node)))


def _unpack_asks(asking: Asking) -> Sizes | None:
    return inserted(asking.result(), _AXIS(asking.node), _COUNT(asking.node))


def _split_asks(asking: Asking) -> Sizes | None:
    """Along the axis as long as the parts together; parts of one row are laid out without the axis."""
    value, at = (1, 0) if asking.node.op == "Split" else (0, 2)
    axis, part = asking.numbers(at), asking.result()
    if asking.index != value or axis is None or part is None:
        return None
    alike = _PARTS(asking.node) if asking.node.op == "Split" else None
    if all(node.op == "Reshape" for node in asking.readers()):
        return inserted(part, axis[0], alike)
    size = part[axis[0]] if -len(part) <= axis[0] < len(part) else None
    return inserted(without(part, axis[0]), axis[0], size * alike if size and alike else None)


OPERATORS = (
    Operator(
        "Concat",
        3,
        shape=_concat_shape,
        fold=lambda node, inputs: np.concatenate(inputs[1:], int(inputs[0].item())),
        steps=keeps,
        onnx=_concat_onnx,
        lazy=(0,),
        tags=(Tag.JOIN,),
        asks=_concat_asks,
    ),
    Operator(
        "ConcatV2",
        3,
        shape=_concat_shape,
        fold=lambda node, inputs: np.concatenate(inputs[:-1], int(inputs[-1].item())),
        steps=keeps,
        onnx=_concat_onnx,
        tags=(Tag.JOIN,),
        asks=_concat_asks,
    ),
    Operator(
        "Pack",
        shape=_pack_shape,
        fold=lambda node, inputs: np.stack(inputs, _AXIS(node)),
        steps=keeps,
        onnx=_pack_onnx,
        attributes=(_AXIS,),
        asks=_pack_asks,
    ),
    Operator(
        "Unpack",
        shape=_unpack_shape,
        steps=keeps,
        onnx=_unpack_onnx,
        attributes=(_COUNT, _AXIS),
        outputs="output*num",
        asks=_unpack_asks,
    ),
    Operator(
        "Split",
        2,
        shape=_split_shape,
        fold=_split_fold,
        steps=keeps,
        onnx=_split_onnx,
        lazy=(0,),
        attributes=(_PARTS,),
        outputs="output*num_split",
        asks=_split_asks,
    ),
    Operator(
        "SplitV",
        3,
        shape=_split_shape,
        fold=_split_v_fold,
        steps=keeps,
        onnx=_split_v_onnx,
        lazy=(1, 2),
        attributes=(_PARTS,),
        outputs="output*num_split",
        asks=_split_asks,
    ),
    Operator(
        "CudnnRNNCanonicalToParams CudnnRNNCanonicalToParamsV2",
        5,
        fold=_canonical_to_params_fold,
        onnx=_canonical_to_params_onnx,
        lazy=(0, 1, 2),
    ),
)
