"""The lifted model: an ONNX graph with every input, output and state by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reprise.interface import Interface
from reprise.operators.rules.block import INLINE, IR_VERSION, OPSET, TABLES_OPSET, Block, Initializers, onnx_type
from reprise.tensors import Array, Shape
from reprise.wire import onnx

#: What the names of states begin with: what goes in, what comes out, and what a sequence starts from.
STATE_IN = "state_in."
STATE_OUT = "state_out."
STATE_FIRST = "state_first."

#: Domains of operators, each with its version.
Opsets = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Lifted:
    """A model as ONNX, its weights apart.

    Inputs and outputs have the names of the interface's ports; state `s` goes in as `state_in.s` and comes out as
    `state_out.s`; where the model computes its first value from the inputs, that is `state_first.s`. A setting that the
    graph still depends on is an input of its name.

    Attributes:
        interface: What the names mean.
        graph: The ONNX graph; its large initializers are not in it.
        weights: The large initializers by name.
        fixed: Settings whose value was built in.
        open: Settings that are inputs of the graph.
        fast: Names of the recurrent ONNX operators in use, for `inspect`.
        misses: Why other loops of the source stayed loops.
        opsets: The version of each domain of operators, where the graph is not in those that Reprise writes.
    """

    interface: Interface
    graph: onnx.Message
    weights: Mapping[str, Array]
    fixed: Mapping[str, float | int | bool]
    open: tuple[str, ...]
    fast: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    opsets: Opsets = ()

    def numbers(self) -> dict[str, Array]:
        """All initializers by name, large and small."""
        return {t.name: onnx.array_of(t) for t in self.graph.initializer} | dict(self.weights)

    @property
    def draws(self) -> bool:
        """Whether random numbers are drawn in every call, in the graph or in one of those inside of it."""
        pending = [self.graph]
        while pending:
            for node in pending.pop().node:
                if node.op_type.startswith(_DRAWING):
                    return True
                pending += [a.g for a in node.attribute if a.HasField("g")]
        return False


#: How the names of the ONNX operators begin that draw random numbers.
_DRAWING = ("Random", "Multinomial", "Bernoulli")


def subgraph(lifted: Lifted, outputs: Collection[str]) -> tuple[onnx.Message, dict[str, Array]]:
    """The graph that makes only `outputs`, and the weights that it uses."""
    whole = lifted.graph
    wanted, nodes = set(outputs), []
    for node in reversed(whole.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted |= _used([node])
    graph = onnx.graph(
        nodes[::-1],
        whole.name,
        [i for i in whole.input if i.name in wanted],
        [o for o in whole.output if o.name in outputs],
        [t for t in whole.initializer if t.name in wanted],
    )
    return graph, {name: lifted.weights[name] for name in lifted.weights if name in wanted}


def assemble(
    block: Block, inputs: Sequence[tuple[str, str, Shape]], outputs: Sequence[tuple[str, str, str, Shape]], name: str
) -> tuple[onnx.Message, Initializers]:
    """The graph of a finished block, and its large initializers.

    Args:
        block: Its nodes.
        inputs: (ONNX name, dtype, shape) of each input.
        outputs: (name wanted, ONNX name in the block, dtype, shape) of each output.
        name: The name of the graph.
    """
    _name_outputs(block, {wanted: made for wanted, made, _, _ in outputs})
    used = _used(block.nodes)
    arrays = {k: v for k, v in block.names.initializers.items() if k in used}
    small = [onnx.tensor(a, k) for k, a in arrays.items() if a.size <= INLINE]
    graph = onnx.graph(
        block.nodes,
        name,
        [_info(n, d, s) for n, d, s in inputs],
        [_info(n, d, s) for n, _, d, s in outputs],
        small,
    )
    large = {k: a for k, a in arrays.items() if a.size > INLINE}
    return graph, Initializers(large, {k: make for k, make in block.names.deferred.items() if k in used})


def _name_outputs(block: Block, outputs: Mapping[str, str]) -> None:
    """Gives what was made the names that are wanted: by renaming where that is safe, else through Identity.

    Safe is what one node of the block itself makes for one output, and no body of a loop or branch reads: each Identity
    costs a step more than a microsecond.
    """
    made = list(outputs.values())
    own = {name for node in block.nodes for name in node.output}
    inner = _used([n for node in block.nodes for a in node.attribute if a.type == onnx.GRAPH for n in a.g.node])
    inner |= {o.name for node in block.nodes for a in node.attribute if a.type == onnx.GRAPH for o in a.g.output}
    renamed = {m: w for w, m in outputs.items() if m in own and m not in inner and made.count(m) == 1}
    for node in block.nodes:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    for wanted, name in outputs.items():
        if name not in renamed:
            block.nodes.append(onnx.node("Identity", [name], [wanted]))


def _info(name: str, dtype: str, shape: Shape) -> onnx.Message:
    sizes = [n if n is not None else f"{name}.{axis}" for axis, n in enumerate(shape)]
    return onnx.value_info(name, onnx_type(dtype), sizes)


def _used(nodes: Sequence[onnx.Message]) -> set[str]:
    names: set[str] = set()
    for node in every_node(nodes):
        names.update(node.input)
        names.update(o.name for a in node.attribute if a.type == onnx.GRAPH for o in a.g.output)
    return names


def every_node(nodes: Sequence[onnx.Message]) -> Iterator[onnx.Message]:
    """The nodes, and those of loops and branches within them."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        pending.extend(n for a in node.attribute if a.type == onnx.GRAPH for n in a.g.node)
        yield node


def standalone(
    lifted_graph: onnx.Message, weights: Mapping[str, Array], metadata: Mapping[str, str], opsets: Opsets = ()
) -> onnx.Message:
    """A complete ONNX model, weights inside."""
    graph = onnx.empty("GraphProto")
    graph.CopyFrom(lifted_graph)
    graph.initializer.extend(onnx.tensor(a, k) for k, a in weights.items())
    return _model(graph, metadata, opsets)


def without_weights(lifted_graph: onnx.Message, weights: Mapping[str, Array], opsets: Opsets = ()) -> onnx.Message:
    """A model that names its large weights as external data, to be given to the runtime from memory."""
    graph = onnx.empty("GraphProto")
    graph.CopyFrom(lifted_graph)
    for name, array in weights.items():
        tensor = graph.initializer.add()
        tensor.name = name
        tensor.data_type = onnx.element_type(array)
        tensor.dims.extend(array.shape)
        tensor.data_location = onnx.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "memory"
    return _model(graph, {}, opsets)


def _model(graph: onnx.Message, metadata: Mapping[str, str], opsets: Opsets) -> onnx.Message:
    model = onnx.empty("ModelProto")
    model.ir_version = IR_VERSION
    model.producer_name = "reprise"
    for domain, version in opsets or _own_opsets(graph):
        model.opset_import.add(domain=domain, version=version)
    model.graph.CopyFrom(graph)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model


def _own_opsets(graph: onnx.Message) -> Opsets:
    """Those of a graph that Reprise wrote: ONNX's own operators, and tables of symbols."""
    others = sorted({n.domain for n in every_node(graph.node) if n.domain})
    return (("", OPSET), *((domain, TABLES_OPSET) for domain in others))
