"""Where values come from: constants, inputs, variables."""

from __future__ import annotations

from reprise.graph import Node, ShapeAttribute, Value
from reprise.operators.rules.attributes import Constant
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import SMALL, UNKNOWN, Fact, Shapes, first_fact
from reprise.operators.rules.site import Site, first_input
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import keeps
from reprise.tensors import Tensor

_VALUE = Constant("value")


def _const_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    tensor = node.attributes.get("value")
    if not isinstance(tensor, Tensor):
        return [UNKNOWN]
    small = tensor.size <= SMALL and tensor.dtype != "string"
    return [Fact(tuple(Dim(n) for n in tensor.shape), tensor.load() if small else None)]


def _placeholder_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = node.attributes.get("shape")
    dims = shape.dims if isinstance(shape, ShapeAttribute) else None
    fact = Fact(facts.symbols(node.name, dims))
    if dims == () and "_output_shapes" in node.attributes:
        # TensorFlow before 1.0 wrote [] for an unknown shape; the true one stands in `_output_shapes`.
        fact = facts.declared(node)
    if fact.shape == () and node.attributes.get("dtype") in ("int32", "int64"):
        return [Fact((), facts.unknown(Value(node.name)))]
    return [Fact(facts.symbols(node.name, facts.stated(Value(node.name)))) if fact.shape is None else fact]


def _placeholder_with_default_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Along an axis that the file leaves open, the number of the default says nothing about what will be given."""
    (default,), shape = inputs, node.attributes.get("shape")
    if not isinstance(shape, ShapeAttribute) or shape.dims is None or len(shape.dims) != len(default.shape or ()):
        return [default]
    given = facts.symbols(node.name, shape.dims)
    sizes = tuple(g if d.known else d for g, d in zip(given or (), default.shape or (), strict=True))
    return [default if sizes == default.shape else Fact(sizes)]


def _variable_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = node.attributes.get("shape")
    return [Fact(facts.symbols(node.name, shape.dims) if isinstance(shape, ShapeAttribute) else None)]


def _placeholder_onnx(site: Site) -> str:
    if site.node.inputs:  # PlaceholderWithDefault that nobody feeds
        return site.input(0)
    raise site.refusal("is an input that the interface does not list; name it with inputs=")


def _const_onnx(site: Site) -> str:
    return site.emitter.names.constant(_VALUE(site.node).load(), site.node.name)


def _variable_onnx(site: Site) -> str:
    return site.emitter.variable(site.node)


_PARSED = "sparse_indices*num_sparse sparse_values*sparse_types sparse_shapes*num_sparse dense_values*Tdense"

OPERATORS = (
    Operator("Const", 0, shape=_const_shape, onnx=_const_onnx, attributes=(_VALUE,)),
    Operator(
        "Placeholder PlaceholderV2",
        0,
        shape=_placeholder_shape,
        onnx=_placeholder_onnx,
        tags=(Tag.PLACEHOLDER, Tag.SOURCE),
    ),
    Operator(
        "PlaceholderWithDefault",
        shape=_placeholder_with_default_shape,
        steps=keeps,
        onnx=_placeholder_onnx,
        tags=(Tag.PLACEHOLDER, Tag.SOURCE),
    ),
    Operator("Variable VariableV2 VarHandleOp", 0, shape=_variable_shape, onnx=_variable_onnx, tags=(Tag.VARIABLE,)),
    Operator("ReadVariableOp", shape=first_fact, steps=keeps, onnx=first_input),
    Operator("_Arg", 0, tags=(Tag.SOURCE,)),
    Operator("FakeQueue", tags=(Tag.SOURCE,)),
    Operator("Unstage", 0, tags=(Tag.SOURCE,), outputs="values*dtypes"),
    Operator("ReaderRead ReaderReadV2", 2, tags=(Tag.SOURCE,), outputs="key value"),
    Operator("QueueDequeue QueueDequeueV2", tags=(Tag.SOURCE,), outputs="components*component_types"),
    Operator("QueueDequeueMany QueueDequeueManyV2", 2, tags=(Tag.SOURCE,), outputs="components*component_types"),
    Operator("QueueDequeueUpTo QueueDequeueUpToV2", 2, tags=(Tag.SOURCE,), outputs="components*component_types"),
    Operator("IteratorGetNext IteratorGetNextSync", tags=(Tag.SOURCE,), outputs="components*output_types"),
    Operator("IteratorGetNextAsOptional", tags=(Tag.SOURCE,)),
    Operator(
        "ParseSingleExample",
        tags=(Tag.SOURCE,),
        outputs=_PARSED,
    ),
    Operator(
        "ParseExampleV2",
        5,
        tags=(Tag.SOURCE,),
        outputs=f"{_PARSED} ragged_values*ragged_value_types ragged_row_splits*ragged_split_types",
    ),
    Operator(
        "ParseExample",
        2,
        tags=(Tag.SOURCE,),
        outputs=_PARSED.replace("num_sparse", "Nsparse"),
    ),
)
