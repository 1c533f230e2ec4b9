"""Whether a graph is one: every format's graph passes `check`, so that what reads graphs need not ask again.

The table of outputs is that of TensorFlow's operator definitions (`tensorflow/core/ops`, 1.15 to 2.21).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from reprise import bounds
from reprise.errors import DiscoveryError
from reprise.graph import RESULTS, VARIABLES, FunctionName, Graph, LazyAttributes, Node, ShapeAttribute, Value
from reprise.tensors import Tensor

#: The output arguments of operators that have several, in the order of TensorFlow's operator definitions. One that is a
#: list is followed by the attribute that tells its length: a number, or a list of types.
OUTPUTS = {
    "BlockLSTM": "i cs f o ci co h",
    "BlockLSTMV2": "i cs f o ci co h",
    "BroadcastGradientArgs": "r0 r1",
    "CTCGreedyDecoder": "decoded_indices decoded_values decoded_shape log_probability",
    "CTCLoss": "loss gradient",
    "CudnnRNN": "output output_h output_c reserve_space",
    "CudnnRNNParamsToCanonical": "weights*num_params biases*num_params",
    "CudnnRNNParamsToCanonicalV2": "weights*num_params_weights biases*num_params_biases",
    "CudnnRNNV2": "output output_h output_c reserve_space host_reserved",
    "CudnnRNNV3": "output output_h output_c reserve_space host_reserved",
    "FusedBatchNorm": "y batch_mean batch_variance reserve_space_1 reserve_space_2",
    "FusedBatchNormV2": "y batch_mean batch_variance reserve_space_1 reserve_space_2",
    "FusedBatchNormV3": "y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3",
    "GRUBlockCell": "r u c h",
    "LSTMBlockCell": "i cs f o ci co h",
    "ListDiff": "out idx",
    "LogMatrixDeterminant": "sign log_abs_determinant",
    "LookupTableExportV2": "keys values",
    "MaxPoolWithArgmax": "output argmax",
    "Merge": "output value_index",
    "ParseExample": "sparse_indices*Nsparse sparse_values*sparse_types sparse_shapes*Nsparse dense_values*Tdense",
    "Qr": "q r",
    "RefMerge": "output value_index",
    "RefSwitch": "output_false output_true",
    "SelfAdjointEigV2": "e v",
    "SoftmaxCrossEntropyWithLogits": "loss backprop",
    "SparseFillEmptyRows": "output_indices output_values empty_row_indicator reverse_index_map",
    "SparseReshape": "output_indices output_shape",
    "SparseSlice": "output_indices output_values output_shape",
    "SparseSoftmaxCrossEntropyWithLogits": "loss backprop",
    "StatelessRandomGetKeyCounter": "key counter",
    "StatelessRandomGetKeyCounterAlg": "key counter alg",
    "StringSplit": "indices values shape",
    "StringSplitV2": "indices values shape",
    "Svd": "s u v",
    "Switch": "output_false output_true",
    "TensorArrayConcat": "value lengths",
    "TensorArrayConcatV2": "value lengths",
    "TensorArrayConcatV3": "value lengths",
    "TensorArrayGradV3": "grad_handle flow_out",
    "TensorArrayV3": "handle flow",
    "TensorListConcat": "tensor lengths",
    "TensorListConcatV2": "tensor lengths",
    "TensorListPopBack": "output_handle tensor",
    "TopK": "values indices",
    "TopKV2": "values indices",
    "Unique": "y idx",
    "UniqueV2": "y idx",
    "UniqueWithCounts": "y idx count",
    "UniqueWithCountsV2": "y idx count",
}

#: Operators of one output, by the number of inputs that they have; those of `_ANY_NUMBER` may have more.
_SINGLE = {
    0: ("Const Placeholder PlaceholderV2 VarHandleOp Variable VariableV2"),
    1: (
        "Abs Acos Acosh AddN Asin Asinh Atan Atanh Cast Ceil CheckNumerics Cos Cosh Diag DiagPart Einsum Elu "
        "Enter EnsureShape Erf Exit Exp Expm1 Floor GuaranteeConst Identity Inv InvertPermutation IsFinite "
        "IsInf IsNan L2Loss LeakyRelu Log Log1p LogSoftmax LogicalNot LoopCond Neg NextIteration OnesLike "
        "Pack PlaceholderWithDefault PreventGradient Rank ReadVariableOp Reciprocal Relu Relu6 Rint Round "
        "Rsqrt Selu Shape Sigmoid Sign Sin Sinh Size Snapshot Softmax Softplus Softsign Sqrt Square Squeeze "
        "StopGradient Tan Tanh VariableShape Where ZerosLike"
    ),
    2: (
        "Add AddV2 All Any ArgMax ArgMin Atan2 BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd BiasAddV1 "
        "BroadcastTo Concat ConcatV2 Conv2D Cumprod Cumsum DepthwiseConv2dNative Div DivNoNan DynamicStitch "
        "Equal ExpandDims Fill FloorDiv FloorMod Gather GatherNd Greater GreaterEqual Less LessEqual "
        "LogicalAnd LogicalOr MatMul Max Maximum Mean Min Minimum MirrorPad Mod Mul MulNoNan NotEqual Pad Pow "
        "Prod RealDiv Reshape ResourceGather ResourceGatherNd ReverseSequence ReverseV2 SquaredDifference Sub "
        "Sum TensorArraySizeV3 TensorListFromTensor TensorListReserve TensorListStack Tile Transpose "
        "TruncateDiv TruncateMod Xdivy Xlogy"
    ),
    3: (
        "ClipByValue GatherV2 LinSpace MatrixBandPart PadV2 Range Roll ScatterNd Select SelectV2 Slice "
        "TensorArrayGatherV3 TensorArrayReadV3 TensorListGetItem TensorListSetItem UnsortedSegmentSum"
    ),
    4: ("OneHot StridedSlice TensorArrayScatterV3 TensorArrayWriteV3"),
}
_ANY_NUMBER = frozenset("AddN Concat ConcatV2 DynamicStitch Einsum Pack".split())
_ONE = frozenset(op for operators in _SINGLE.values() for op in operators.split())

#: Operators whose outputs are a list, with the attribute that has its length: a number, or a list of types.
_LISTS = {
    **dict.fromkeys(("Split", "SplitV"), "num_split"),
    "Unpack": "num",
    "ShapeN": "N",
    "DynamicPartition": "num_partitions",
    **dict.fromkeys(("IdentityN", "While", "StatelessWhile"), "T"),
    **dict.fromkeys(("If", "StatelessIf", "Case", "StatelessCase"), "Tout"),
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), "Tout"),
}

#: How many inputs operators have, at least.
_INPUTS = {
    **{op: count for count, operators in _SINGLE.items() for op in operators.split()},
    **dict.fromkeys("Switch RefSwitch Merge RefMerge Split TopKV2".split(), 2),
    **dict.fromkeys("RefEnter RefExit RefNextIteration RefIdentity Unpack TopK".split(), 1),
    **dict.fromkeys("If StatelessIf Case StatelessCase TensorArrayV3".split(), 1),
    "SplitV": 3,
    "LSTMBlockCell": 8,
    "GRUBlockCell": 6,
    "BlockLSTM": 9,
    "BlockLSTMV2": 9,
    "CudnnRNN": 4,
    "CudnnRNNV2": 4,
    "CudnnRNNV3": 5,
}

_EXACTLY = (_ONE - _ANY_NUMBER) | {"Switch", "RefSwitch", "Split", "SplitV", "Unpack"}

#: Attributes without a default on which the meaning of an operator rests, and what they are.
_REQUIRED: Mapping[str, Mapping[str, str]] = {
    op: dict.fromkeys(names.split(), kind)
    for operators, names, kind in (
        ("Const", "value", "a tensor"),
        ("Cast", "DstT", "an element type"),
        ("Placeholder", "dtype", "an element type"),
        ("Enter RefEnter", "frame_name", "text"),
        ("Split SplitV", "num_split", "a whole number"),
        ("Unpack", "num", "a whole number"),
        ("While StatelessWhile", "cond body", "a function"),
        ("If StatelessIf", "then_branch else_branch", "a function"),
        ("Case StatelessCase", "branches", "a list"),
        ("PartitionedCall StatefulPartitionedCall", "f", "a function"),
    )
    for op in operators.split()
}

#: The kinds of attributes, as messages name them.
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "a tensor": Tensor,
    "an element type": str,
    "text": bytes,
    "a whole number": Integral,
    "a function": FunctionName,
    "a list": tuple,
}
_ONE_VALUE = (bool, int, float, bytes, str, Integral, Tensor, FunctionName)

_COUNTED = frozenset(_LISTS) | {op for op, arguments in OUTPUTS.items() if "*" in arguments}
_BACK = frozenset({"NextIteration", "RefNextIteration"})
_MERGES = frozenset({"Merge", "RefMerge"})


def check(graph: Graph) -> None:
    """Holds that `graph` is in the vocabulary of `reprise.graph`, and that everything in it refers to what is there.

    Time is linear in its size. Attributes that a reader converts on demand are not converted for it.

    Raises:
        DiscoveryError: A node has no name of its own, or reads a node or an output that does not exist, or is its own
            input outside of a loop, or has an attribute of another kind, or lacks one; the message names both.
    """
    for nodes, function in ((graph.nodes, ""), *((f.nodes, name) for name, f in graph.functions.items())):
        where = f" of function {function!r}" if function else ""
        check_edges(nodes, where)
        for name, node in nodes.items():
            if not name or name != node.name:
                raise DiscoveryError(f"node {node.name!r}{where} stands under the name {name!r}; the file is changed")
            _check_attributes(node, where)
    _check_amounts(graph)
    for name, function_ in graph.functions.items():
        for value in function_.results:
            _check_exists(function_.nodes, value, f"function {name!r} returns")


def _check_amounts(graph: Graph) -> None:
    """Holds that nodes do not say that they have more outputs than a graph of this size reads."""
    groups = [graph.nodes, *(f.nodes for f in graph.functions.values())]
    most = bounds.OUTPUTS + bounds.OUTPUTS_PER_NODE * sum(map(len, groups))
    total = 0
    for node in (node for nodes in groups for node in nodes.values() if node.op in _COUNTED):
        total += abs(outputs(node) or 0)
        bounds.check(total, most, f"node {node.name!r} ({node.op}): outputs")


def check_variable(node: Node, tensor: Tensor) -> None:
    """Holds that a variable has the shape and the type of the tensor that is its value.

    Raises:
        DiscoveryError: It declares others.
    """
    dtype = node.attributes.get("dtype", tensor.dtype)
    dims = node.declared()
    fits = dims is None or (
        len(dims) == len(tensor.shape) and all(n in (None, m) for n, m in zip(dims, tensor.shape, strict=True))
    )
    if node.op not in VARIABLES or dtype != tensor.dtype or not fits:
        declared = "of any shape" if dims is None else list(dims)
        raise DiscoveryError(
            f"node {node.name!r} ({node.op}): its attributes 'dtype' and 'shape' say {dtype} {declared}, and its "
            f"tensor is {tensor.dtype} {list(tensor.shape)}"
        )


def check_edges(nodes: Mapping[str, Node], where: str = "") -> None:
    """Holds that every input exists, that control flow has its inputs, and that only loops read their own results.

    Raises:
        DiscoveryError: As `check`.
    """
    for node in nodes.values():
        for value in node.inputs:
            if value.node not in nodes or value.index:
                _check_exists(nodes, value, f"node {node.name!r}{where} ({node.op}) reads")
        for name in node.controls:
            if name not in nodes:
                _check_exists(nodes, Value(name), f"node {node.name!r}{where} ({node.op}) waits for")
        _check_count(node, where)
    cycle = _cycle(nodes)
    if cycle:
        shown = " → ".join(repr(name) for name in cycle[:6]) + (" → …" if len(cycle) > 6 else "")
        raise DiscoveryError(
            f"node {cycle[0]!r}{where} ({nodes[cycle[0]].op}) is computed from itself outside of any loop ({shown}); "
            "the file is changed"
        )


def _check_count(node: Node, where: str) -> None:
    needed, found = _INPUTS.get(node.op, 0), len(node.inputs)
    if found < needed or (found > needed and node.op in _EXACTLY):
        raise DiscoveryError(
            f"node {node.name!r}{where}: {node.op} has {found} inputs where it needs {needed}; the file is changed"
        )


def _check_exists(nodes: Mapping[str, Node], value: Value, reader: str) -> None:
    if value.node not in nodes:
        raise DiscoveryError(f"{reader} {value}, which is not in the graph; the file is cut or changed")
    count = outputs(nodes[value.node])
    if value.index < 0 or (count is not None and value.index >= count):
        has = "one output" if count == 1 else f"{count} outputs"
        raise DiscoveryError(f"{reader} {value}, and {nodes[value.node].op} has {has}; the file is changed")


def outputs(node: Node) -> int | None:
    """How many outputs a node has, None where that is not known."""
    if node.op == RESULTS:
        return len(node.inputs)
    if node.op in _ONE:
        return 1
    arguments = OUTPUTS.get(node.op, "").split() or ([f"*{_LISTS[node.op]}"] if node.op in _LISTS else [])
    lengths = [
        _length(node, counted_by) if star else 1 for _, star, counted_by in (a.partition("*") for a in arguments)
    ]
    return None if None in lengths or not lengths else sum(n for n in lengths if n is not None)


def _length(node: Node, attribute: str) -> int | None:
    found = node.attributes.get(attribute)
    if isinstance(found, tuple):
        return len(found)
    return int(found) if isinstance(found, Integral) else None


def _check_attributes(node: Node, where: str) -> None:
    for name, expected in _REQUIRED.get(node.op, {}).items():
        if name not in node.attributes:
            raise DiscoveryError(
                f"node {node.name!r}{where} ({node.op}): its attribute {name!r} is missing; expected {expected}"
            )
    if isinstance(node.attributes, LazyAttributes):
        return
    required = _REQUIRED.get(node.op, {})
    for name, value in node.attributes.items():
        expected = required.get(name, "")
        if not (isinstance(value, _KINDS[expected]) if expected else _is_known(value)):
            raise DiscoveryError(
                f"node {node.name!r}{where} ({node.op}): its attribute {name!r} is {_shown(value)}; expected "
                f"{expected or 'one of the kinds that reprise.graph.Node names'}"
            )


def _is_known(value: Any) -> bool:
    return value is None or all(_is_one(each) for each in (value if isinstance(value, tuple) else (value,)))


def _is_one(value: Any) -> bool:
    if isinstance(value, ShapeAttribute):
        dims = value.dims or ()
        return len(dims) <= bounds.AXES and all(n is None or (isinstance(n, (int, Integral)) and n >= 0) for n in dims)
    return isinstance(value, _ONE_VALUE)


def _shown(value: Any) -> str:
    return f"{repr(value)[:80]} ({type(value).__name__})"


def _dependencies(node: Node, nodes: Mapping[str, Node]) -> Iterator[str]:
    """What must run before a node; what comes back to the head of a loop belongs to the iteration before."""
    for value in node.inputs:
        if node.op not in _MERGES or nodes[value.node].op not in _BACK:
            yield value.node
    yield from node.controls


def _cycle(nodes: Mapping[str, Node]) -> Sequence[str]:
    """The names along one cycle, empty where there is none: what is left when all that can run has run."""
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    waiting: dict[str, int] = {}
    for name, node in nodes.items():
        before = list(_dependencies(node, nodes))
        waiting[name] = len(before)
        for one in before:
            readers[one].append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # grows while it is gone through
        for reader in readers[name]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(ready) == len(nodes):
        return ()
    at = next(name for name, count in waiting.items() if count)
    seen: dict[str, None] = {}
    while at not in seen:
        seen[at] = None
        at = next(name for name in _dependencies(nodes[at], nodes) if waiting[name])
    names = list(seen)
    return names[names.index(at) :]


__all__ = ["OUTPUTS", "check", "check_edges", "check_variable", "outputs"]
