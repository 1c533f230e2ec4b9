"""Functions of TensorFlow's library as `Function`: values named by output argument become values named by number.

In a FunctionDef a value is written `argument`, or `node:output_argument:k`, where k counts within the output argument
(which may be a list). Flat numbers need the list sizes; an operator whose output arguments are all single is numbered
by the order in which its arguments appear in TensorFlow's operator definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._tf_tensors import dtype_name
from reprise.graph import Function, Node, Value

#: The output arguments of operators that have more than one, in order. An argument that is a list is written with the
#: attribute that tells its length: `output*N` for a number, `output*T` for a list of types.
_OUTPUTS = {
    op: tuple(arguments.split())
    for op, arguments in {
        "AccumulateNV2": "sum",
        "BlockLSTM": "i cs f o ci co h",
        "BlockLSTMV2": "i cs f o ci co h",
        "LSTMBlockCell": "i cs f o ci co h",
        "GRUBlockCell": "r u c h",
        "CudnnRNN": "output output_h output_c reserve_space",
        "CudnnRNNV2": "output output_h output_c reserve_space host_reserved",
        "CudnnRNNV3": "output output_h output_c reserve_space host_reserved",
        "CudnnRNNCanonicalToParams": "params",
        "CudnnRNNParamsToCanonical": "weights*num_params biases*num_params",
        "FusedBatchNorm": "y batch_mean batch_variance reserve_space_1 reserve_space_2",
        "FusedBatchNormV2": "y batch_mean batch_variance reserve_space_1 reserve_space_2",
        "FusedBatchNormV3": "y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3",
        "Switch": "output_false output_true",
        "RefSwitch": "output_false output_true",
        "Merge": "output value_index",
        "RefMerge": "output value_index",
        "TensorArrayV3": "handle flow",
        "TensorArrayV2": "handle",
        "TensorArrayGradV3": "grad_handle flow_out",
        "TensorArrayConcatV3": "value lengths",
        "TensorListPopBack": "output_handle tensor",
        "TensorListConcat": "tensor lengths",
        "TensorListConcatV2": "tensor lengths",
        "TopK": "values indices",
        "TopKV2": "values indices",
        "Unique": "y idx",
        "UniqueV2": "y idx",
        "UniqueWithCounts": "y idx count",
        "Moments": "mean variance",
        "SoftmaxCrossEntropyWithLogits": "loss backprop",
        "SparseSoftmaxCrossEntropyWithLogits": "loss backprop",
        "BroadcastGradientArgs": "r0 r1",
        "ListDiff": "out idx",
        "Qr": "q r",
        "Svd": "s u v",
        "SelfAdjointEigV2": "e v",
        "CTCLoss": "loss gradient",
        "MaxPoolWithArgmax": "output argmax",
        "DynamicPartition": "outputs*num_partitions",
        "ConcatOffset": "offset*N",
        "ShapeN": "output*N",
        "IdentityN": "output*T",
        "Split": "output*num_split",
        "SplitV": "output*num_split",
        "Unpack": "output*num",
        "If": "output*Tout",
        "StatelessIf": "output*Tout",
        "Case": "output*Tout",
        "StatelessCase": "output*Tout",
        "While": "output*T",
        "StatelessWhile": "output*T",
        "For": "output*T",
        "PartitionedCall": "output*Tout",
        "StatefulPartitionedCall": "output*Tout",
        "SymbolicGradient": "output*Tout",
        "RemoteCall": "output*Tout",
        "RestoreV2": "tensors*dtypes",
        "ParseExample": "sparse_indices*Nsparse sparse_values*sparse_types sparse_shapes*Nsparse dense_values*Tdense",
        "IteratorGetNext": "components*output_types",
        "QueueDequeueV2": "components*component_types",
        "QueueDequeueManyV2": "components*component_types",
        "QueueDequeueUpToV2": "components*component_types",
        "RandomStandardNormal": "output",
    }.items()
}

MakeNode = Callable[[Any, Path], Node]


def function(proto: Any, make: MakeNode, path: Path) -> Function:
    """A FunctionDef; `make` turns one of its NodeDefs into a node, inputs as written.

    Raises:
        DamagedFile: A value does not exist, or its number cannot be told.
    """
    name = proto.signature.name
    arguments = {a.name: _argument(a, i) for i, a in enumerate(proto.signature.input_arg)}
    bodies = {p.name: make(p, path) for p in proto.node_def}
    nodes = dict(arguments)
    for body, source in zip(bodies.values(), proto.node_def, strict=False):
        values = tuple(_value(t, arguments, bodies, name, path) for t in source.input if not t.startswith("^"))
        nodes[body.name] = Node(body.name, body.op, values, body.controls, body.attributes)
    results = tuple(
        _value(proto.ret[out.name], arguments, bodies, name, path)
        if out.name in proto.ret
        else _missing(out.name, name, path)
        for out in proto.signature.output_arg
    )
    return Function(name, tuple(arguments), results, nodes)


def _argument(proto: Any, number: int) -> Node:
    attributes: dict[str, Any] = {"index": number}
    if proto.type:
        attributes["T"] = dtype_name(proto.type)
    return Node(proto.name, "_Arg", attributes=attributes)


def _missing(result: str, name: str, path: Path) -> Value:
    raise DamagedFile(f"{path}: function {name} does not say what its result {result} is. Copy the file again.")


def _value(text: str, arguments: Mapping[str, Node], bodies: Mapping[str, Node], name: str, path: Path) -> Value:
    owner, *where = text.split(":")
    if owner in arguments:
        return Value(owner)
    if owner not in bodies or len(where) != 2 or not where[1].isdigit():
        raise DamagedFile(f"{path}: function {name} reads {text}, which it does not have. The file is cut or changed.")
    return Value(owner, _offset(bodies[owner], where[0]) + int(where[1]))


def _offset(node: Node, argument: str) -> int:
    """The flat number of the first output of `argument`."""
    offset = 0
    for known in _OUTPUTS.get(node.op, ()):
        name, _, counted_by = known.partition("*")
        if name == argument:
            return offset
        offset += _length(node.attributes.get(counted_by, 1))
    return 0


def _length(count: Any) -> int:
    return len(count) if isinstance(count, tuple) else int(count)
