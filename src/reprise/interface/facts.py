"""What can be known of values without running the graph: symbolic shapes, and the content of small tensors.

The content matters because TensorFlow computes shapes and permutations inside the graph; the shapes matter because they
say which axis is time, which is batch, and whether a size that the file baked in can be set free. Rules exist for the
operators of inference graphs. An operator without a rule gives unknown shapes and fixes the baked sizes that it touches:
whether it depends on them is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.graph import Node, ShapeAttribute, Value
from reprise.interface.fold import FOLDABLE, fold
from reprise.interface.sizes import Dim, Equalities, dim, product
from reprise.interface.structure import Carried, Structure, is_loop_merge
from reprise.tensors import Array, Tensor

Dims = tuple[Dim, ...]

#: Content is followed for tensors of at most so many elements: shapes, permutations, axes; never weights.
SMALL = 256


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one value.

    Attributes:
        shape: Its sizes, or None where even the rank is unknown.
        content: Its elements, numbers or `Dim`s (an object array), or None.
    """

    shape: Dims | None = None
    content: Array | None = None


UNKNOWN = Fact()


class Facts:
    """Facts of the values of one graph, worked out on demand and kept.

    Attributes:
        sizes: Which symbols are equal to what.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.sizes = Equalities()
        self._known: dict[Value, Fact] = {}

    def give(self, value: Value, shape: Dims | None) -> None:
        """States the shape of a value that is cut off from its source: an input, or a state that enters."""
        self._known[value] = Fact(shape)

    def know(self, value: Value, content: Array) -> None:
        """States the numbers of a value: a setting that is built in. Before anything is asked."""
        self._known[value] = Fact(tuple(Dim(n) for n in content.shape), content)

    def shape(self, value: Value) -> Dims | None:
        """The sizes of `value` in terms of what is known by now."""
        found = self.of(value).shape
        return None if found is None else tuple(self.sizes.resolve(d) for d in found)

    def content(self, value: Value) -> Array | None:
        """The elements of `value` if all of them are plain numbers, else None."""
        found = self.of(value).content
        if found is None or found.dtype != object:
            return found
        resolved = [self.sizes.resolve(d) if isinstance(d, Dim) else d for d in found.ravel()]
        if any(isinstance(d, Dim) and not d.known for d in resolved):
            return None
        numbers = [d.scale if isinstance(d, Dim) else int(d) for d in resolved]
        return np.asarray(numbers, np.int64).reshape(found.shape)

    def of(self, value: Value) -> Fact:
        """What is known of `value`."""
        if value in self._known:
            return self._known[value]
        pending = [value]
        while pending:
            top = pending[-1]
            if top in self._known:
                pending.pop()
                continue
            node = self.structure.graph.nodes.get(top.node)
            if node is None:
                self._known[top] = UNKNOWN
                continue
            missing = [v for v in self._needed(node) if v not in self._known and v not in pending[-1:]]
            missing = [v for v in missing if not _waiting(v, pending)]
            if missing:
                pending.extend(missing)
                continue
            self._settle(node, top)
            pending.pop()
        return self._known[value]

    def _needed(self, node: Node) -> Sequence[Value]:
        if is_loop_merge(node, self.structure.graph):
            return node.inputs[:1]
        return node.inputs

    def _settle(self, node: Node, asked: Value) -> None:
        outputs = self._outputs(node)
        for index, fact in enumerate(outputs):
            self._known.setdefault(Value(node.name, index), fact)
        self._known.setdefault(asked, UNKNOWN)

    def _outputs(self, node: Node) -> list[Fact]:
        inputs = [self._known.get(v, UNKNOWN) for v in node.inputs]
        if node.op in FOLDABLE and all(f.content is not None for f in inputs):
            folded = fold(node, [f.content for f in inputs if f.content is not None])
            if folded is not None:
                return [Fact(tuple(dim(n) for n in a.shape), a if a.size <= SMALL else None) for a in folded]
        rule = RULES.get(node.op)
        if rule is None:
            self._fix(inputs)
            return [self._declared(node)]
        return rule(self, node, inputs)

    def _declared(self, node: Node) -> Fact:
        """The shape that the file itself states in `_output_shapes`, sizes unknown where it leaves them free."""
        shapes = node.attributes.get("_output_shapes")
        if isinstance(shapes, tuple) and shapes and isinstance(shapes[0], ShapeAttribute):
            return Fact(self.symbols(node.name, shapes[0].dims))
        return UNKNOWN

    def _fix(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            for size in fact.shape or ():
                self.sizes.fix(size)

    def symbols(self, name: str, dims: Sequence[int | None] | None, free: Collection[int] = ()) -> Dims | None:
        """Sizes for a source value: plain numbers, and a symbol `name.axis` where the file leaves the size free.

        On the axes in `free` numbers become symbols too, whose nominal size is the number.
        """
        if dims is None:
            return None
        return tuple(
            Dim(n) if n is not None and axis not in free else self.sizes.symbol(f"{name}.{axis}", n)
            for axis, n in enumerate(dims)
        )

    def fresh(self, node: Node, axis: int | str) -> Dim:
        """A size of which nothing is known."""
        return self.sizes.symbol(f"?{node.name}.{axis}")

    def equate(self, first: Dims | None, second: Dims | None) -> Dims | None:
        """Two shapes that must agree."""
        if first is None or second is None:
            return first if second is None else second
        if len(first) != len(second):
            return None
        return tuple(self.sizes.equate(a, b) for a, b in zip(first, second, strict=True))

    def broadcast(self, first: Dims | None, second: Dims | None) -> Dims | None:
        """The shape of an element-wise result (NumPy's rule); equal sizes become known to be equal."""
        if first is None or second is None:
            return None
        rank = max(len(first), len(second))
        a = (Dim(1),) * (rank - len(first)) + first
        b = (Dim(1),) * (rank - len(second)) + second
        return tuple(self._wider(x, y) for x, y in zip(a, b, strict=True))

    def _wider(self, a: Dim, b: Dim) -> Dim:
        a, b = self.sizes.resolve(a), self.sizes.resolve(b)
        if a == Dim(1):
            return b
        if b == Dim(1):
            return a
        # A free size may be 1 and stretch, so a known size other than 1 says nothing about it; two free sizes of a
        # recurrent graph are the same axis, and a baked size is the number it is baked to.
        if a.known != b.known and self.sizes.nominal(b if a.known else a) == 1:
            return a if a.known else b
        return self.sizes.equate(a, b)


def _waiting(value: Value, pending: list[Value]) -> bool:
    """Whether `value` is being worked out already (a cycle that only a damaged file can have)."""
    return len(pending) > 10_000 and value in pending


Rule = Callable[[Facts, Node, list[Fact]], list[Fact]]


def _axis(fact: Fact, rank: int) -> int | None:
    if fact.content is None or fact.content.dtype == object:
        return None
    axis = int(fact.content.ravel()[0])
    return axis + rank if axis < 0 else axis


def _same(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [inputs[0]] if inputs else [UNKNOWN]


def _elementwise(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(inputs[0].shape)]


def _binary(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(facts.broadcast(inputs[0].shape, inputs[1].shape), _symbolic(node, inputs))]


def _symbolic(node: Node, inputs: list[Fact]) -> Array | None:
    """Products of sizes; other arithmetic on free sizes is not followed."""
    a, b = inputs[0].content, inputs[1].content
    if node.op != "Mul" or a is None or b is None:
        return None
    return np.asarray(np.multiply(a.astype(object), b.astype(object)), object)


def _all_agree(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.broadcast(shape, other.shape)
    return [Fact(shape)]


def _shape_op(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [_vector(f.shape) for f in inputs]


def _vector(shape: Dims | None) -> Fact:
    if shape is None:
        return Fact(None)
    content = np.empty(len(shape), object)
    content[:] = shape
    if all(d.known for d in shape):
        content = np.asarray([d.scale for d in shape], np.int64)
    return Fact((Dim(len(shape)),), content)


def _rank(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    return [Fact((), None if shape is None else np.asarray(len(shape)))]


def _size(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(())]


def _placeholder(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = node.attributes.get("shape")
    dims = shape.dims if isinstance(shape, ShapeAttribute) else None
    if dims == () and "_output_shapes" in node.attributes:
        # TensorFlow before 1.0 wrote [] for an unknown shape; the true one stands in `_output_shapes`.
        return [facts._declared(node)]
    return [Fact(facts.symbols(node.name, dims))]


def _const(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    tensor = node.attributes.get("value")
    if not isinstance(tensor, Tensor):
        return [UNKNOWN]
    small = tensor.size <= SMALL and tensor.dtype != "string"
    return [Fact(tuple(Dim(n) for n in tensor.shape), tensor.load() if small else None)]


def _variable(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = node.attributes.get("shape")
    return [Fact(facts.symbols(node.name, shape.dims) if isinstance(shape, ShapeAttribute) else None)]


def _matmul(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    a, b = inputs[0].shape, inputs[1].shape
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return [UNKNOWN]
    swap_a = bool(node.attributes.get("transpose_a") or node.attributes.get("adj_x"))
    swap_b = bool(node.attributes.get("transpose_b") or node.attributes.get("adj_y"))
    rows, inner = (a[-1], a[-2]) if swap_a else (a[-2], a[-1])
    inner_b, columns = (b[-1], b[-2]) if swap_b else (b[-2], b[-1])
    facts.sizes.equate(inner, inner_b)
    lead = facts.broadcast(a[:-2], b[:-2])
    return [Fact(None if lead is None else (*lead, rows, columns))]


def _bias_add(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, bias = inputs[0].shape, inputs[1].shape
    if x is not None and bias is not None and node.attributes.get("data_format") != b"NCHW":
        return [Fact((*x[:-1], facts.sizes.equate(x[-1], bias[0])))]
    return [Fact(x)]


def _concat(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    parts, axis_fact = (inputs[1:], inputs[0]) if node.op == "Concat" else (inputs[:-1], inputs[-1])
    shapes = [p.shape for p in parts]
    known = next((s for s in shapes if s is not None), None)
    axis = None if known is None else _axis(axis_fact, len(known))
    if known is None or axis is None or axis >= len(known):
        return [UNKNOWN]
    joined = list(known)
    for shape in shapes:
        if shape is not None and len(shape) == len(known):
            joined = [d if i == axis else facts.sizes.equate(d, shape[i]) for i, d in enumerate(joined)]
    content = _concatenated(parts, axis)
    if any(s is None for s in shapes):
        joined[axis] = facts.fresh(node, axis)
    else:
        sizes = [facts.sizes.resolve(s[axis]) for s in shapes if s is not None]
        joined[axis] = Dim(sum(d.scale for d in sizes)) if all(d.known for d in sizes) else _sum(facts, node, axis, sizes)
    return [Fact(tuple(joined), content)]


def _sum(facts: Facts, node: Node, axis: int, sizes: list[Dim]) -> Dim:
    if len(set(sizes)) == 1:  # equal pieces, as when the steps of an unrolled recurrence are put together
        return Dim(len(sizes)) * sizes[0]
    return facts.fresh(node, axis)


def _concatenated(parts: list[Fact], axis: int) -> Array | None:
    contents = [p.content for p in parts]
    if any(c is None for c in contents) or axis != 0:
        return None
    return np.concatenate([c.astype(object) for c in contents if c is not None])


def _pack(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.equate(shape, other.shape)
    if shape is None:
        return [UNKNOWN]
    axis = int(node.attributes.get("axis", 0)) % (len(shape) + 1)
    contents = [f.content for f in inputs]
    content = None
    if shape == () and all(c is not None for c in contents):
        content = np.empty(len(inputs), object)
        content[:] = [c.item() if c is not None else None for c in contents]
        if not any(isinstance(c, Dim) for c in content):
            content = np.asarray(list(content))
    return [Fact((*shape[:axis], Dim(len(inputs)), *shape[axis:]), content)]


def _unpack(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, count = inputs[0].shape, int(node.attributes.get("num", 0))
    content = inputs[0].content
    if content is not None and content.ndim == 1 and len(content) == count:
        return [Fact((), np.asarray(c, object if isinstance(c, Dim) else None)) for c in content]
    if shape is None:
        return [UNKNOWN] * count
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    return [Fact((*shape[:axis], *shape[axis + 1 :]))] * count


def _split(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    axis_fact, value = (inputs[0], inputs[1]) if node.op == "Split" else (inputs[2], inputs[0])
    count = int(node.attributes.get("num_split", 1))
    axis = None if value.shape is None else _axis(axis_fact, len(value.shape))
    if value.shape is None or axis is None:
        return [UNKNOWN] * count
    sizes = _split_sizes(facts, node, inputs, value.shape[axis], count)
    return [Fact((*value.shape[:axis], n, *value.shape[axis + 1 :])) for n in sizes]


def _split_sizes(facts: Facts, node: Node, inputs: list[Fact], whole: Dim, count: int) -> list[Dim]:
    if node.op == "SplitV" and inputs[1].content is not None and inputs[1].content.dtype != object:
        return [Dim(int(n)) if n >= 0 else facts.fresh(node, i) for i, n in enumerate(inputs[1].content)]
    whole = facts.sizes.resolve(whole)
    nominal = facts.sizes.nominal(whole)
    if whole.scale % count == 0:
        return [Dim(whole.scale // count, whole.symbols)] * count
    if nominal is not None and nominal % count == 0:
        facts.sizes.fix(whole)
        return [Dim(nominal // count)] * count
    return [facts.fresh(node, "part")] * count


def _transpose(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, order = inputs[0].shape, inputs[1].content
    if shape is None or order is None or order.dtype == object or len(order) != len(shape):
        return [UNKNOWN]
    return [Fact(tuple(shape[int(i)] for i in order))]


def _reshape(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
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
            content if content is not None and len(wanted) <= 1 and content.ndim <= 1 else None,
        )
    ]


def regroup(facts: Facts, node: Node, have: list[Dim], wanted: list[Dim]) -> Dims:
    """The sizes after a reshape: the row-major factors of `have`, grouped as `wanted` asks.

    Grouping from both ends leaves -1 whatever remains, so `[N, T, H]` to `[-1, H]` gives `(N·T, H)`.
    """
    wanted = [facts.sizes.resolve(d) for d in wanted]
    factors: list[Dim] = []
    for size in have:
        factors += [Dim(1, (s,)) for s in size.symbols] + ([Dim(size.scale)] if size.scale != 1 else [])
    front, back = _equal_ends(factors, wanted)
    if len(wanted) == 1:
        return (*front, product(factors), *back)
    if len(wanted) == len(factors) and all(
        facts.sizes.nominal(f) == w.scale for f, w in zip(factors, wanted, strict=True) if w.known
    ):
        return (*front, *factors, *back)
    open_at = wanted.index(Dim(-1)) if Dim(-1) in wanted else len(wanted)
    middle = [_take(facts, factors, size, 0) for size in wanted[:open_at]]
    after = [_take(facts, factors, size, -1) for size in reversed(wanted[open_at + 1 :])]
    failed = None in middle or None in after
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


def _take(facts: Facts, factors: list[Dim], wanted: Dim, end: int) -> Dim | None:
    """Removes factors worth `wanted` from one end of `factors`; None, and nothing removed, where none are."""
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


def _divide(facts: Facts, factors: list[Dim], taken: list[Dim], target: int | None, end: int) -> bool:
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


def _expand_dims(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    axis = None if shape is None else _axis(inputs[1], len(shape) + 1)
    if shape is None or axis is None:
        return [UNKNOWN]
    content = inputs[0].content
    flat = content.reshape(1) if content is not None and content.ndim == 0 else None
    return [Fact((*shape[:axis], Dim(1), *shape[axis:]), flat)]


def _squeeze(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if shape is None:
        return [UNKNOWN]
    axes = {int(a) % len(shape) for a in node.attributes.get("squeeze_dims") or node.attributes.get("axis") or ()}
    sizes = [facts.sizes.resolve(d) for d in shape]
    gone = axes or {i for i, d in enumerate(sizes) if d == Dim(1)}
    content = inputs[0].content
    return [
        Fact(
            tuple(d for i, d in enumerate(sizes) if i not in gone),
            content.reshape(()) if content is not None and content.size == 1 and len(gone) == content.ndim else None,
        )
    ]


def _reduce(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, axes = inputs[0].shape, inputs[1].content
    if shape is None or axes is None or axes.dtype == object:
        return [UNKNOWN]
    content = inputs[0].content
    if node.op == "Prod" and content is not None and content.ndim == 1:
        return [Fact((), np.asarray(product(content.tolist()), object))]
    gone = {int(a) % max(len(shape), 1) for a in axes.ravel()}
    if node.attributes.get("keep_dims") or node.attributes.get("keepdims"):
        return [Fact(tuple(Dim(1) if i in gone else d for i, d in enumerate(shape)))]
    return [Fact(tuple(d for i, d in enumerate(shape) if i not in gone))]


def _arg_reduce(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    axis = None if shape is None else _axis(inputs[1], len(shape))
    if shape is None or axis is None:
        return [UNKNOWN]
    return [Fact(tuple(d for i, d in enumerate(shape) if i != axis))]


def _gather(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    table, ids = inputs[0], inputs[1]
    axis = _axis(inputs[2], len(table.shape or ())) if len(inputs) > 2 else 0
    if table.content is not None and ids.content is not None and ids.content.dtype != object and axis == 0:
        taken = np.asarray(table.content[ids.content], table.content.dtype)
        return [Fact(tuple(Dim(n) for n in taken.shape), taken)]
    if table.shape is None or ids.shape is None or axis is None:
        return [UNKNOWN]
    return [Fact((*table.shape[:axis], *ids.shape, *table.shape[axis + 1 :]))]


def _resource_gather(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return _gather(facts, node, inputs[:2])


def _one_hot(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, depth = inputs[0].shape, inputs[1].content
    if shape is None:
        return [UNKNOWN]
    axis = int(node.attributes.get("axis", -1)) % (len(shape) + 1)
    width = facts.fresh(node, axis) if depth is None else dim(depth.item())
    return [Fact((*shape[:axis], width, *shape[axis:]))]


def _fill(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    wanted = inputs[1 if node.op == "BroadcastTo" else 0].content
    return [Fact(None if wanted is None else tuple(dim(d) for d in wanted.ravel()))]


def _tile(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, times = inputs[0].shape, inputs[1].content
    if shape is None or times is None or len(times) != len(shape):
        return [UNKNOWN]
    return [Fact(tuple(dim(t) if d == Dim(1) else d * dim(t) for d, t in zip(shape, times, strict=True)))]


def _strided_slice(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    from_content = _sliced_content(node, inputs)
    if from_content is not None:
        return [from_content]
    shape = inputs[0].shape
    if shape is None or any(node.attributes.get(m) for m in ("ellipsis_mask",)):
        return [UNKNOWN]
    return [Fact(_sliced_shape(facts, node, inputs, shape))]


def _sliced_content(node: Node, inputs: list[Fact]) -> Fact | None:
    content, begin, end, strides = (f.content for f in inputs[:4])
    if content is None or content.ndim != 1 or begin is None or end is None or strides is None:
        return None
    if any(c.dtype == object for c in (begin, end, strides)) or len(begin) != 1:
        return None
    if node.attributes.get("shrink_axis_mask", 0):
        if not -len(content) <= begin[0] < len(content):
            return UNKNOWN
        item = content[int(begin[0])]
        return Fact((), np.asarray(item, object if isinstance(item, Dim) else None))
    first = None if node.attributes.get("begin_mask", 0) else int(begin[0])
    last = None if node.attributes.get("end_mask", 0) else int(end[0])
    part = content[first : last : int(strides[0])]
    return Fact((Dim(len(part)),), part)


def _sliced_shape(facts: Facts, node: Node, inputs: list[Fact], shape: Dims) -> Dims | None:
    begin, end, strides = (f.content for f in inputs[1:4])
    if begin is None or end is None or strides is None:
        return None
    masks = {m: int(node.attributes.get(f"{m}_mask", 0)) for m in ("begin", "end", "shrink_axis", "new_axis")}
    sizes: list[Dim] = []
    axis = 0
    for i in range(len(begin)):
        if masks["new_axis"] >> i & 1:
            sizes.append(Dim(1))
            continue
        if axis >= len(shape):
            return None
        if not masks["shrink_axis"] >> i & 1:
            bounds = (
                None if masks["begin"] >> i & 1 else begin[i],
                None if masks["end"] >> i & 1 else end[i],
                strides[i],
            )
            sizes.append(_range_size(facts, node, i, shape[axis], bounds))
        axis += 1
    return (*sizes, *shape[axis:])


def _range_size(facts: Facts, node: Node, i: int, size: Dim, bounds: tuple[Any, Any, Any]) -> Dim:
    begin, end, stride = bounds
    if (begin is None or begin == 0) and end is None and abs(int(stride)) == 1:
        return size
    if begin is None and end is None and abs(int(stride)) == 1:
        return size
    whole = facts.sizes.resolve(size)
    if any(isinstance(b, Dim) for b in (begin, end)) or not whole.known:
        facts.sizes.fix(whole)
        return facts.fresh(node, i)
    return Dim(len(range(whole.scale)[begin : end : int(stride)]))


def _slice(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, begin, count = inputs[0].shape, inputs[1].content, inputs[2].content
    content = inputs[0].content
    if shape is None or count is None:
        return [UNKNOWN]
    if content is not None and content.ndim == 1 and begin is not None and begin.dtype != object and count.dtype != object:
        first = int(begin[0])
        part = content[first : first + int(count[0])] if count[0] >= 0 else content[first:]
        return [Fact((Dim(len(part)),), part)]
    sizes = []
    for i, n in enumerate(count):
        n = dim(n)
        if n == Dim(-1):
            start = None if begin is None else begin[i]
            whole = facts.sizes.resolve(shape[i])
            rest = Dim(whole.scale - int(start)) if whole.known and isinstance(start, np.integer) else facts.fresh(node, i)
            n = shape[i] if start == 0 else rest
        sizes.append(n)
    return [Fact(tuple(sizes))]


def _merge(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    if is_loop_merge(node, facts.structure.graph):
        return [Fact(inputs[0].shape)]
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.equate(shape, other.shape)
    return [Fact(shape), Fact(())]


def _switch(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    fact = Fact(inputs[0].shape) if facts.structure.is_loop_switch(node.name) else inputs[0]
    return [fact, fact]


def _results(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    return inputs or [UNKNOWN]


def _select(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = facts.equate(inputs[1].shape, inputs[2].shape)
    chosen = inputs[0].shape
    if node.op == "Select" and shape and chosen is not None and len(chosen) == 1:  # a flag for each row
        shape = (facts.sizes.equate(shape[0], chosen[0]), *shape[1:])
    elif shape is not None and chosen:
        shape = facts.broadcast(shape, chosen)
    return [Fact(shape)]


def _array(value: Value, facts: Facts) -> Value:
    """The operator that fills or allocates the TensorArray (or list) behind a flow value."""
    return facts.structure.origin(value)


def _array_read(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    flow = node.inputs[2] if node.op.startswith("TensorArray") else node.inputs[0]
    source = facts.structure.graph.nodes.get(_array(flow, facts).node)
    if source is None:
        return [UNKNOWN]
    stacked = stacked_into(source)
    shape = None if stacked is None else facts.of(stacked).shape
    return [Fact(None if shape is None else shape[1:])]


def stacked_into(node: Node) -> Value | None:
    """The tensor whose rows a node puts into a TensorArray or list, None if it is another node."""
    if node.op.startswith(("TensorArrayScatter", "TensorArrayUnpack")):
        return node.inputs[2] if node.op.startswith("TensorArrayScatter") else node.inputs[1]
    return node.inputs[0] if node.op == "TensorListFromTensor" else None


def written_value(node: Node) -> Value | None:
    """The element that a node writes into a TensorArray or list, None if it is another node."""
    if node.op.startswith("TensorArrayWrite"):
        return node.inputs[2]
    return node.inputs[2] if node.op == "TensorListSetItem" else None


def _array_stack(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """After a loop: as many rows as the array has, each like the element that the loop writes."""
    flow = node.inputs[-1] if node.op.startswith("TensorArray") else node.inputs[0]
    element = _written_element(facts, flow)
    if element is None:
        return [UNKNOWN]
    shape = facts.of(element).shape
    if shape is None:
        return [UNKNOWN]
    return [Fact((_array_size(facts, flow), *shape))]


def _written_element(facts: Facts, flow: Value) -> Value | None:
    carried = _carried_behind(facts, flow)
    if carried is None:
        return None
    write = facts.structure.graph.nodes.get(facts.structure.source(carried.leaving).node)
    return None if write is None else written_value(write)


def _carried_behind(facts: Facts, flow: Value) -> Any:
    structure = facts.structure
    value = structure.source(flow)
    node = structure.graph.nodes.get(value.node)
    if node is None or node.op not in ("Exit", "RefExit"):
        return None
    merge = structure.source(node.inputs[0])
    switch = structure.graph.nodes.get(node.inputs[0].node)
    return structure.carried_by(switch.inputs[0] if switch is not None else merge)


def _array_size(facts: Facts, flow: Value) -> Dim:
    carried = _carried_behind(facts, flow)
    made = facts.structure.graph.nodes[facts.structure.origin(carried.initial).node]
    size = None
    if made.op.startswith("TensorArray"):
        size = facts.of(made.inputs[0]).content
    elif made.op == "TensorListReserve":
        size = facts.of(made.inputs[1]).content
    # A size of 0 is that of an array which grows as it is written.
    return Dim(1, (grown_size(facts.structure, carried),)) if size is None or size.item() == 0 else dim(size.item())


def grown_size(structure: Structure, carried: Carried) -> str:
    """The symbol for the number of rows of an array whose size the file does not tell."""
    return f"?{structure.origin(carried.initial).node}.size"


def _array_count(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    value = facts.structure.origin(node.inputs[0])
    made = facts.structure.graph.nodes.get(value.node)
    if made is not None and made.op in ("TensorArrayV3", "TensorArrayV2", "TensorArray") and made.inputs:
        return [Fact((), facts.of(made.inputs[0]).content)]
    return [Fact(())]


def _range(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    start, limit, step = (f.content for f in inputs)
    if start is not None and step is not None and limit is not None and start.item() == 0 and step.item() == 1:
        return [Fact((dim(limit.item()),))]
    return [Fact((facts.fresh(node, 0),))]


def _conv(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Sizes of the picture axes are new ones; batch passes, channels come from the kernel."""
    x, kernel = inputs[0].shape, inputs[1].shape if len(inputs) > 1 else None
    if x is None or len(x) != 4 or node.attributes.get("data_format", b"NHWC") != b"NHWC":
        return [UNKNOWN]
    channels = x[3] if kernel is None else kernel[3]
    return [Fact((x[0], _pooled(facts, node, x, 1, kernel), _pooled(facts, node, x, 2, kernel), channels))]


def _pooled(facts: Facts, node: Node, x: Dims, axis: int, kernel: Dims | None) -> Dim:
    size = facts.sizes.resolve(x[axis])
    stride = int(node.attributes.get("strides", (1, 1, 1, 1))[axis])
    window = int(node.attributes["ksize"][axis]) if "ksize" in node.attributes else 0
    same = node.attributes.get("padding") == b"SAME"
    if kernel is not None and kernel[axis - 1].known:
        window = kernel[axis - 1].scale
    if (same and stride == 1) or (window == 1 and stride == 1):
        return size
    if size.known and window:
        return Dim(-(-size.scale // stride)) if same else Dim((size.scale - window) // stride + 1)
    return facts.fresh(node, axis)


def _block_cell(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """LSTMBlockCell and GRUBlockCell: every output is like the state that goes in."""
    x, state = inputs[0].shape, inputs[1].shape
    if x and state:
        facts.sizes.equate(x[0], state[0])
    return [Fact(state)] * 7


def _block_lstm(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """BlockLSTM(seq_len_max, x [T, N, D], cs_prev [N, H], …): every output is [T, N, H]."""
    x, state = inputs[1].shape, inputs[2].shape
    if x is None or state is None:
        return [UNKNOWN] * 7
    return [Fact((x[0], facts.sizes.equate(x[1], state[0]), state[1]))] * 7


def _partition(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicPartition: how many rows go where is known at run time only."""
    shape, places = inputs[0].shape, inputs[1].shape
    count = int(node.attributes.get("num_partitions", 1))
    if shape is None or places is None:
        return [UNKNOWN] * count
    return [Fact((facts.fresh(node, i), *shape[len(places) :])) for i in range(count)]


def _stitch(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicStitch: rows of the data, as many as the greatest place says."""
    half = len(inputs) // 2
    place, data = inputs[0].shape, inputs[half].shape
    if place is None or data is None:
        return [UNKNOWN]
    return [Fact((facts.fresh(node, 0), *data[len(place) :]))]


def _nothing(facts: Facts, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Operators that store values: their own results have no shape to speak of."""
    return [UNKNOWN, UNKNOWN]


_STORING = (
    "TensorArray TensorArrayV2 TensorArrayV3 TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 TensorArrayScatter "
    "TensorArrayScatterV2 TensorArrayScatterV3 TensorArrayUnpack TensorListReserve TensorListSetItem TensorListFromTensor "
    "EmptyTensorList TensorListPushBack StackPush StackPushV2"
)
_ELEMENTWISE = (
    "Sigmoid Tanh Relu Relu6 Elu Selu LeakyRelu Softplus Softsign Exp Log Log1p Sqrt Rsqrt Square Neg Abs Sign Floor "
    "Ceil Round Rint Reciprocal Inv Erf Sin Cos LogicalNot Softmax LogSoftmax ZerosLike OnesLike IsFinite IsNan Cumsum "
    "Cumprod ReverseSequence ReverseV2 Expm1 ClipByValue"
)
_BINARY = (
    "Add AddV2 Sub Mul Div RealDiv DivNoNan FloorDiv FloorMod Mod Maximum Minimum Pow SquaredDifference TruncateDiv "
    "Less LessEqual Greater GreaterEqual Equal NotEqual LogicalAnd LogicalOr BiasAddV1"
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_BINARY.split(), _binary),
    **dict.fromkeys(("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape", "Snapshot"), _same),
    **dict.fromkeys(("Enter", "RefEnter", "Exit", "RefExit", "NextIteration", "RefIdentity", "Cast"), _same),
    **dict.fromkeys(("Shape", "ShapeN"), _shape_op),
    **dict.fromkeys(("Const",), _const),
    **dict.fromkeys(("Placeholder", "PlaceholderV2"), _placeholder),
    **dict.fromkeys(("Variable", "VariableV2", "VarHandleOp"), _variable),
    **dict.fromkeys(("ReadVariableOp", "PlaceholderWithDefault"), _same),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2"), _matmul),
    **dict.fromkeys(("Concat", "ConcatV2"), _concat),
    **dict.fromkeys(("Pack", "Stack"), _pack),
    **dict.fromkeys(("Split", "SplitV"), _split),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_reduce),
    **dict.fromkeys(("Gather", "GatherV2"), _gather),
    **dict.fromkeys(("Switch", "RefSwitch"), _switch),
    **dict.fromkeys(("Merge", "RefMerge"), _merge),
    **dict.fromkeys(("Select", "SelectV2"), _select),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead", "TensorListGetItem"), _array_read),
    **dict.fromkeys(
        ("TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather", "TensorArrayPack", "TensorListStack"),
        _array_stack,
    ),
    **dict.fromkeys(("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize"), _array_count),
    **dict.fromkeys(("LSTMBlockCell", "GRUBlockCell", "GRUBlockCellV2"), _block_cell),
    **dict.fromkeys(("BlockLSTM", "BlockLSTMV2"), _block_lstm),
    **dict.fromkeys(("Conv2D", "MaxPool", "AvgPool"), _conv),
    **dict.fromkeys(_STORING.split(), _nothing),
    **dict.fromkeys(("DynamicStitch", "ParallelDynamicStitch"), _stitch),
    "DynamicPartition": _partition,
    "_Results": _results,
    "Rank": _rank,
    "Size": _size,
    "BiasAdd": _bias_add,
    "AddN": _all_agree,
    "Unpack": _unpack,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "ResourceGather": _resource_gather,
    "OneHot": _one_hot,
    **dict.fromkeys(("Fill", "RandomUniform", "RandomStandardNormal", "TruncatedNormal"), _fill),
    "Tile": _tile,
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "Range": _range,
}
