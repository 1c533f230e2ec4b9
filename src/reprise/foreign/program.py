"""An ONNX model of another program as discovery sees it: what it takes and gives, what each value is computed from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from reprise.errors import DiscoveryError
from reprise.tensors import DTYPES, Array
from reprise.wire import onnx

#: Operators that lay numbers out anew and compute nothing of them.
MOVES = frozenset(
    "Identity Squeeze Unsqueeze Reshape Transpose Slice Split Concat Gather Cast Flatten Expand Dropout ScatterND "
    "DequantizeLinear QuantizeLinear".split()
)
#: Operators that compute each number from the numbers at its own place, or beside it in its row.
ELEMENTWISE = MOVES | frozenset(
    "Add Sub Mul Div Neg Abs Sum Mean Max Min Clip Where Tanh Sigmoid Relu HardSigmoid Elu LeakyRelu Softsign Exp Pow "
    "Sqrt Reciprocal Selu Softplus LayerNormalization".split()
)
#: Operators that tell only how large a value is.
SIZES = frozenset({"Shape", "Size"})
#: Operators whose results are drawn anew at every call.
RANDOM = frozenset("RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli".split())


@dataclass(frozen=True, slots=True)
class Entry:
    """An input or output as the file states it.

    Attributes:
        name: Its name in the file.
        dtype: The element type, a key of `DTYPES`.
        sizes: A number where the file fixes the size, the word of a free one, None where neither is said.
    """

    name: str
    dtype: str
    sizes: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Program:
    """One graph whose inputs are all given by the caller.

    Attributes:
        nodes: In the order of computation.
        small: Initializers that stand in the graph.
        weights: Initializers apart from it, by name.
        inputs: What the caller gives.
        outputs: What the caller gets.
        opsets: The version of each domain of operators.
    """

    nodes: tuple[onnx.Message, ...]
    small: tuple[onnx.Message, ...]
    weights: Mapping[str, Array]
    inputs: tuple[Entry, ...]
    outputs: tuple[Entry, ...]
    opsets: tuple[tuple[str, int], ...]

    @cached_property
    def makers(self) -> dict[str, onnx.Message]:
        """The node that makes each value."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def reads(self) -> dict[str, list[str]]:
        """The names that each value is computed from at once; a value that no node makes has none."""
        return {name: read for node in self.nodes for read in (onnx.read_by(node),) for name in node.output if name}

    @cached_property
    def computed(self) -> frozenset[str]:
        """The values that numbers of some input have a part in, and not its sizes alone."""
        users: dict[str, list[str]] = {}
        for name, read in self.reads.items():
            for other in () if self.makers[name].op_type in SIZES else read:
                users.setdefault(other, []).append(name)
        found, pending = set[str](), [user for entry in self.inputs for user in users.get(entry.name, ())]
        while pending:
            if (name := pending.pop()) not in found:
                found.add(name)
                pending += users.get(name, ())
        return frozenset(found)

    @cached_property
    def constants(self) -> dict[str, onnx.Message]:
        """Small tensors by the name of the value that holds them: initializers, and what Constant nodes give."""
        held = {t.name: t for t in self.small}
        for node in self.nodes:
            if node.op_type == "Constant" and (tensor := _constant_tensor(node)) is not None:
                held[node.output[0]] = tensor
        return held

    def number(self, name: str) -> float | int | bool | None:
        """The one number of a constant, None where `name` is no constant of one element."""
        tensor = self.constants.get(name)
        if tensor is None or any(n != 1 for n in tensor.dims) or onnx.element_name(tensor.data_type) == "string":
            return None
        number: float | int | bool = onnx.array_of(tensor).item()
        return number

    def source(self, name: str) -> str:
        """The value that `name` is a copy of; itself where it is computed."""
        while (node := self.makers.get(name)) is not None and node.op_type == "Identity":
            name = node.input[0]
        return name

    def ancestors(self, names: Iterable[str], through: Collection[str] | None = None) -> set[str]:
        """All values that `names` are computed from, themselves among them; `through` limits the operators passed."""
        return self._above(names, lambda op: through is None or op in through)

    def data_ancestors(self, names: Iterable[str]) -> set[str]:
        """As `ancestors`, where a value is not counted of which only the size is asked."""
        return self._above(names, lambda op: op not in SIZES)

    def _above(self, names: Iterable[str], passes: Callable[[str], bool]) -> set[str]:
        """`names` and what they are computed from by operators that `passes` takes."""
        found, pending = set[str](), list(names)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            found.add(name)
            node = self.makers.get(name)
            if node is not None and passes(node.op_type):
                pending += self.reads[name]
        return found

    def after(self, names: Iterable[str]) -> set[str]:
        """All values that are computed from `names`, themselves among them."""
        found = set(names)
        for node in self.nodes:
            if found.intersection(onnx.read_by(node)):
                found.update(node.output)
        return found

    def message(self, outputs: Sequence[str] | None = None) -> onnx.Message:
        """The graph with every size free, giving `outputs` (its own by default)."""
        wanted = [o.name for o in self.outputs] if outputs is None else outputs
        infos = [
            onnx.value_info(i.name, onnx.ELEMENT_TYPES[i.dtype], [f"{i.name}.{k}" for k in range(len(i.sizes))])
            for i in self.inputs
        ]
        return onnx.graph(self.nodes, "model", infos, [onnx.value_info(name) for name in wanted], self.small)


def program_of(model: onnx.Message, small: Sequence[onnx.Message], weights: Mapping[str, Array]) -> Program:
    """The program of a model, without outputs that nothing makes.

    Args:
        model: The message, its functions opened.
        small: Of its initializers, those that stay in the graph.
        weights: The others.

    Raises:
        DiscoveryError: An input or output is no tensor of a known type.
    """
    graph = model.graph
    held = {t.name for t in small} | set(weights)
    known = held | {i.name for i in graph.input} | {name for node in graph.node for name in node.output}
    return Program(
        nodes=tuple(graph.node),
        small=tuple(small),
        weights=weights,
        inputs=tuple(_entry(i) for i in graph.input if i.name not in held),
        outputs=tuple(_entry(o) for o in graph.output if o.name in known),
        opsets=tuple((o.domain, o.version) for o in model.opset_import),
    )


def _constant_tensor(node: onnx.Message) -> onnx.Message | None:
    """The tensor of a Constant node, however it is written; None for text and sparse tensors."""
    whole = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    if (tensor := onnx.attribute(node, "value")) is not None:
        return tensor
    return next(
        (onnx.tensor(np.asarray(v, kind)) for n, kind in whole.items() if (v := onnx.attribute(node, n)) is not None),
        None,
    )


def _entry(info: onnx.Message) -> Entry:
    dtype = onnx.element_name(info.type.tensor_type.elem_type)
    if dtype not in DTYPES or not info.type.HasField("tensor_type"):
        raise DiscoveryError(
            f"input or output {info.name!r} is not a tensor of a known element type (ONNX type "
            f"{info.type.tensor_type.elem_type}); sequences, maps and sparse tensors are not read."
        )
    sizes = (d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in info.type.tensor_type.shape.dim)
    return Entry(info.name, dtype, tuple(size or None for size in sizes))


def renamed(nodes: Iterable[onnx.Message], names: Mapping[str, str]) -> list[onnx.Message]:
    """Copies of `nodes` in which values have other names, inside of subgraphs too."""
    return [_renamed(node, names) for node in nodes]


def _renamed(node: onnx.Message, names: Mapping[str, str]) -> onnx.Message:
    copy = onnx.empty("NodeProto")
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in copy.input]
    copy.output[:] = [names.get(name, name) for name in copy.output]
    for graph in onnx.subgraphs(copy):
        own = {name for inner in graph.node for name in inner.output} | {i.name for i in graph.input}
        outer = {old: new for old, new in names.items() if old not in own}
        inner_nodes = renamed(graph.node, outer)
        del graph.node[:]
        graph.node.extend(inner_nodes)
        for output in graph.output:
            output.name = outer.get(output.name, output.name)
    return copy


def with_nodes(program: Program, nodes: Sequence[onnx.Message], small: Sequence[onnx.Message] = ()) -> Program:
    """`program` with other nodes, and further small initializers."""
    return replace(program, nodes=tuple(nodes), small=(*program.small, *small))


def without_unused(program: Program) -> Program:
    """`program` without nodes and numbers that no output is computed from."""
    used = program.ancestors(o.name for o in program.outputs)
    return replace(
        program,
        nodes=tuple(n for n in program.nodes if used.intersection(n.output)),
        small=tuple(t for t in program.small if t.name in used),
        weights={name: array for name, array in program.weights.items() if name in used},
    )
