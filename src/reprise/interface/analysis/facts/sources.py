"""Rules of the operators that begin a graph or tell sizes: constants, placeholders, variables, shapes, ranges."""

from __future__ import annotations

import numpy as np

from reprise.graph import VARIABLES, Node, ShapeAttribute, Value
from reprise.interface.analysis.facts.inference import SMALL, UNKNOWN, Dims, Fact, Inference, Rule
from reprise.interface.analysis.influence import reachable
from reprise.interface.analysis.settings import is_setting
from reprise.operators.rules.sizes import Dim, dim, product
from reprise.structure import Structure
from reprise.tensors import Tensor


def _const(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    tensor = node.attributes.get("value")
    if not isinstance(tensor, Tensor):
        return [UNKNOWN]
    small = tensor.size <= SMALL and tensor.dtype != "string"
    return [Fact(tuple(Dim(n) for n in tensor.shape), tensor.load() if small else None)]


def _placeholder(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = node.attributes.get("shape")
    dims = shape.dims if isinstance(shape, ShapeAttribute) else None
    fact = Fact(facts.symbols(node.name, dims))
    if dims == () and "_output_shapes" in node.attributes:
        # TensorFlow before 1.0 wrote [] for an unknown shape; the true one stands in `_output_shapes`.
        fact = facts.declared(node)
    if fact.shape == () and node.attributes.get("dtype") in ("int32", "int64"):
        return [Fact((), facts.unknown(Value(node.name)))]
    return [Fact(facts.symbols(node.name, stated(facts.structure, Value(node.name)))) if fact.shape is None else fact]


def stated(structure: Structure, value: Value) -> tuple[int | None, ...] | None:
    """The sizes that the file states for a value that is given, or that what reads it asks for; None if neither."""
    node = structure.graph[value.node]
    dims = node.declared(value.index)
    if dims is not None or not node.op.startswith("Placeholder"):
        return dims
    if is_setting(structure, value):
        return ()
    return (None,) if _ends_rows(structure, node) else None


def _ends_rows(structure: Structure, node: Node) -> bool:
    """Whether numbers of unknown rank are the lengths of rows: compared with a loop's counter, they choose what stays.

    `dynamic_rnn` takes them for a vector, whatever the file knows of them.
    """

    def passed_on(name: str) -> list[str]:
        return [c for c in structure.consumers[name] if structure.graph[c].op in _PASSED_ON]

    compared = (c for name in reachable([node.name], passed_on) for c in structure.consumers[name])
    ends = {c for c in compared if structure.graph[c].op == "GreaterEqual" and structure.context(Value(c))}
    return any(structure.graph[c].op in ("Select", "SelectV2") for end in ends for c in structure.consumers[end])


_PASSED_ON = ("Identity", "Enter", "Cast")


def _with_default(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Along an axis that the file leaves open, the number of the default says nothing about what will be given."""
    (default,), shape = inputs, node.attributes.get("shape")
    if not isinstance(shape, ShapeAttribute) or shape.dims is None or len(shape.dims) != len(default.shape or ()):
        return [default]
    given = facts.symbols(node.name, shape.dims)
    sizes = tuple(g if d.known else d for g, d in zip(given or (), default.shape or (), strict=True))
    return [default if sizes == default.shape else Fact(sizes)]


def _variable(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = node.attributes.get("shape")
    return [Fact(facts.symbols(node.name, shape.dims) if isinstance(shape, ShapeAttribute) else None)]


def _shape_op(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [_vector(f.shape) for f in inputs]


def _vector(shape: Dims | None) -> Fact:
    if shape is None:
        return Fact(None)
    content = np.empty(len(shape), object)
    content[:] = shape
    if all(d.known for d in shape):
        content = np.asarray([d.scale for d in shape], np.int64)
    return Fact((Dim(len(shape)),), content)


def _rank(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    return [Fact((), None if shape is None else np.asarray(len(shape)))]


def _size(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if shape is None:
        return [Fact(())]
    count = product(shape)
    return [Fact((), np.asarray(count.scale if count.known else count))]


def _range(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    start, limit, step = (f.content for f in inputs)
    if start is not None and step is not None and limit is not None and start.item() == 0 and step.item() == 1:
        return [Fact((dim(limit.item()),))]
    return [Fact((facts.fresh(node, 0),))]


def _fill(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    sizes = inputs[1 if node.op == "BroadcastTo" else 0]
    if sizes.content is not None:
        return [Fact(tuple(dim(d) for d in sizes.content.ravel()))]
    rank = sizes.shape[0] if sizes.shape else None
    if rank is None or not rank.known:
        return [UNKNOWN]
    return [Fact(tuple(facts.fresh(node, axis) for axis in range(rank.scale)))]


def _drawn(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Random numbers are as many as what they are joined with: sizes that the file bakes in are free with its own."""
    wanted = inputs[0].content
    if wanted is None or wanted.dtype == object:
        return _fill(facts, node, inputs)
    sizes = [int(n) for n in wanted.ravel()]
    return [Fact(facts.symbols(node.name, sizes, [axis for axis, n in enumerate(sizes) if n != 1]))]


def _line(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    count = inputs[2].content
    return [Fact((facts.fresh(node, 0) if count is None else dim(count.item()),))]


def _draws(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Multinomial(logits [N, C], draws): so many classes for each row."""
    shape, count = inputs[0].shape, inputs[1].content
    if not shape:
        return [UNKNOWN]
    return [Fact((shape[0], facts.fresh(node, 1) if count is None else dim(count.item())))]


SOURCES: dict[str, Rule] = {
    "Const": _const,
    **dict.fromkeys(("Placeholder", "PlaceholderV2"), _placeholder),
    "PlaceholderWithDefault": _with_default,
    **dict.fromkeys(VARIABLES, _variable),
    **dict.fromkeys(("Shape", "ShapeN", "VariableShape"), _shape_op),
    "Rank": _rank,
    "Size": _size,
    "Range": _range,
    "LinSpace": _line,
    "Multinomial": _draws,
    **dict.fromkeys(("Fill", "BroadcastTo"), _fill),
    **dict.fromkeys(("RandomUniform", "RandomStandardNormal", "TruncatedNormal", "RandomUniformInt"), _drawn),
}
