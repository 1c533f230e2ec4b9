"""Which shape the operators that read a value ask of it, followed from the readers back to what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.operators import Tag, named
from reprise.operators.rules.sizes import Dim
from reprise.structure import RESULTS, Structure
from reprise.tensors import Array

#: The sizes of a value, None where any will do.
Sizes = tuple[int | None, ...]
#: What a node asks of one of its inputs; None where it does not say how many axes that has.
Rule = Callable[["Site"], Sizes | None]
#: Readers of readers are followed so far.
_MOST_READERS = 60


@dataclass(frozen=True, slots=True)
class Demands:
    """The sizes that readers ask of values, worked out where they are wanted.

    Attributes:
        structure: The graph.
        facts: What is known of its values from what they are made of.
        laid_out: Whether a Reshape asks for the shape that it gives: any other of as many elements is laid out alike.
        known: What was worked out.
    """

    structure: Structure
    facts: Facts
    laid_out: bool = False
    known: dict[Value, Sizes | None] = field(default_factory=dict)

    def of(self, value: Value, depth: int = 0) -> Sizes | None:
        """The sizes that all readers of `value` together ask for; None where none says how many axes there are."""
        if value not in self.known and depth < _MOST_READERS:
            self.known[value] = None  # what goes round in a loop asks for nothing new
            for node, index in self.readers(value):
                rule = _RULES.get(node.op)
                asked = None if rule is None else rule(Site(self, node, index, depth + 1))
                self.known[value] = both(self.known[value], asked)
        return self.known.get(value)

    def readers(self, value: Value) -> Iterator[tuple[Node, int]]:
        """The nodes that read a value, with the index of the input that does."""
        for name in self.structure.consumers[value.node]:
            node = self.structure.graph[name]
            yield from ((node, index) for index, read in enumerate(node.inputs) if read == value)

    def shape(self, value: Value) -> Sizes | None:
        """The sizes that are known of `value` from what it is made of."""
        found = self.facts.shape(value)
        return None if found is None else tuple(d.scale if d.known else None for d in found)


@dataclass(frozen=True, slots=True)
class Site:
    """One input of a node, as a rule sees it.

    Attributes:
        demands: Of the graph.
        node: The node.
        index: Of the input.
        depth: How many readers lie between the placeholder and here.
    """

    demands: Demands
    node: Node
    index: int
    depth: int

    def result(self) -> Sizes | None:
        """What is asked of the node's outputs, which are alike."""
        found: Sizes | None = None
        for output in range(self.outputs()):
            found = both(found, self.demands.of(Value(self.node.name, output), self.depth))
        return found

    def outputs(self) -> int:
        """How many outputs of the node are read."""
        consumers = self.demands.structure.consumers[self.node.name]
        read = (v for c in consumers for v in self.demands.structure.graph[c].inputs if v.node == self.node.name)
        return max((v.index + 1 for v in read), default=0)

    def shape(self, index: int) -> Sizes | None:
        """What is known of the shape of another input."""
        return self.demands.shape(self.node.inputs[index]) if index < len(self.node.inputs) else None

    def numbers(self, index: int) -> list[int] | None:
        """The numbers of another input, where the file knows them."""
        content = self.demands.facts.content(self.node.inputs[index])
        return None if content is None else [int(n) for n in content.ravel()]


def both(first: Sizes | None, second: Sizes | None) -> Sizes | None:
    """What two readers ask for together; the first where they contradict each other."""
    if first is None or second is None or len(first) != len(second):
        return second if first is None else first
    return tuple(b if a is None else a for a, b in zip(first, second, strict=True))


def without(sizes: Sizes | None, axis: int) -> Sizes | None:
    """The sizes of the other axes."""
    if sizes is None or not -len(sizes) <= axis < len(sizes):
        return None
    axis %= len(sizes)
    return sizes[:axis] + sizes[axis + 1 :]


def inserted(sizes: Sizes | None, axis: int, size: int | None) -> Sizes | None:
    """The sizes with one more axis before `axis`."""
    if sizes is None or not -len(sizes) - 1 <= axis <= len(sizes):
        return None
    axis %= len(sizes) + 1
    return (*sizes[:axis], size, *sizes[axis:])


def _passed(site: Site) -> Sizes | None:
    """Of what keeps the shape of the one input that is asked about."""
    return site.result() if site.index == 0 else None


def _carried(site: Site) -> Sizes | None:
    """A loop variable keeps its shape from iteration to iteration."""
    return both(site.result(), site.shape(1 - site.index) if len(site.node.inputs) == 2 else None)


def _elementwise(site: Site) -> Sizes | None:
    """The result has as many axes as the operand with most of them; the other may have fewer."""
    result = site.result()
    if len(site.node.inputs) == 1:
        return result
    other = site.shape(1 - site.index) if len(site.node.inputs) == 2 else None
    if result is not None and other is not None and len(other) < len(result):
        return result
    return other if other and _is_gated(site) else None


def _is_gated(site: Site) -> bool:
    """Whether a gate says how much of a state stays, to which more is added: f·c + i·j."""
    structure = site.demands.structure
    gate = structure.graph.through(site.node.inputs[1 - site.index], ("Identity", "Split", "Add", "AddV2"))
    added = [n for n, _ in site.demands.readers(Value(site.node.name)) if n.op in _ADDITIONS]
    return site.node.op == "Mul" and structure.graph[gate.node].op in _GATES and bool(added)


def _product(site: Site) -> Sizes | None:
    """A matrix, whose inner size is that of the other factor."""
    if site.index > 1:
        return None
    other, result = site.shape(1 - site.index), site.result()
    turned = [bool(site.node.attributes.get(name)) for name in ("transpose_a", "transpose_b")]
    inner = None if other is None or len(other) != 2 else other[site.index ^ turned[1 - site.index]]
    outer = result[site.index] if result is not None and len(result) == 2 else None
    sizes = (outer, inner) if site.index == 0 else (inner, outer)
    return sizes[::-1] if turned[site.index] else sizes


def _batched_product(site: Site) -> Sizes | None:
    found = site.shape(1 - site.index) or site.result()
    return None if found is None else (None,) * len(found)


def _ranks(*ranks: int | None) -> Rule:
    """The rule of an operator whose inputs have so many axes."""

    def rule(site: Site) -> Sizes | None:
        rank = ranks[site.index] if site.index < len(ranks) else None
        return None if rank is None else (None,) * rank

    return rule


def _with_bias(site: Site) -> Sizes | None:
    bias, result = site.shape(1), site.result()
    return None if site.index or result is None else (*result[:-1], bias[0] if bias else result[-1])


def _joined(site: Site) -> Sizes | None:
    """As the other parts, but for the axis along which they are joined."""
    last = site.node.op == "ConcatV2"
    at = len(site.node.inputs) - 1 if last else 0
    axis = site.numbers(at)
    if axis is None or site.index == at:
        return None
    others = [site.shape(k) for k in range(len(site.node.inputs)) if k not in (at, site.index)]
    result = site.result()
    apart = reduce(both, (without(sizes, axis[0]) for sizes in (result, *others)), None)
    widths = [None if s is None or apart is None else s[axis[0]] for s in (result, *others)]
    whole, *parts = widths
    return inserted(apart, axis[0], None if None in widths else (whole or 0) - sum(p or 0 for p in parts))


def _stacked(site: Site) -> Sizes | None:
    axis = int(site.node.attributes.get("axis", 0))
    others = [site.shape(k) for k in range(len(site.node.inputs)) if k != site.index]
    return reduce(both, others, without(site.result(), axis))


def _unstacked(site: Site) -> Sizes | None:
    return inserted(site.result(), int(site.node.attributes.get("axis", 0)), site.node.attributes.get("num"))


def _divided(site: Site) -> Sizes | None:
    """Along the axis a value is as long as its parts together; parts of one row are laid out without the axis."""
    value, axis = (1, 0) if site.node.op == "Split" else (0, 2)
    along, part = site.numbers(axis), site.result()
    if site.index != value or along is None or part is None:
        return None
    parts = int(site.node.attributes.get("num_split", 1)) if site.node.op == "Split" else None
    if all(n.op == "Reshape" for n, _ in site.demands.readers(Value(site.node.name))):
        return inserted(part, along[0], parts)
    size = None if parts is None or not -len(part) <= along[0] < len(part) else part[along[0]]
    return inserted(without(part, along[0]), along[0], size and parts and size * parts)


def _laid_out(site: Site) -> Sizes | None:
    """The shape that a Reshape gives, where that may be taken for the one that it is given."""
    if not site.demands.laid_out or site.index:
        return None
    content = site.demands.facts.of(site.node.inputs[1]).content
    if content is None:
        return None
    return tuple(int(n) if isinstance(n, (int, np.integer)) and n >= 0 else None for n in _sizes(site, content))


def _sizes(site: Site, content: Array) -> list[object]:
    resolve = site.demands.facts.sizes.resolve
    sizes = [resolve(n) if isinstance(n, Dim) else n for n in content.ravel()]
    return [n.scale if isinstance(n, Dim) and n.known else n for n in sizes]


def _transposed(site: Site) -> Sizes | None:
    order = site.numbers(1)
    if site.index or order is None:
        return None
    result = site.result() or (None,) * len(order)
    return tuple(result[order.index(axis)] for axis in range(len(order))) if len(result) == len(order) else None


def _looked_up(site: Site) -> Sizes | None:
    """Indices have the axes of the result that are not those of a row of the table."""
    table, result = site.shape(0), site.result()
    if site.index != 1 or table is None or result is None or (site.numbers(2) or [0]) != [0]:
        return None
    return result[: max(0, len(result) - len(table) + 1)]


def _one_hot(site: Site) -> Sizes | None:
    return without(site.result(), int(site.node.attributes.get("axis", -1))) if site.index == 0 else None


def _expanded(site: Site) -> Sizes | None:
    axis = site.numbers(1)
    return None if site.index or axis is None else without(site.result(), axis[0])


def _squeezed(site: Site) -> Sizes | None:
    axes, result = site.node.attributes.get("squeeze_dims") or (), site.result()
    if any(axis < 0 for axis in axes) or not axes:
        return None
    return reduce(lambda sizes, axis: inserted(sizes, axis, 1), sorted(axes), result)


def _sliced(site: Site) -> Sizes | None:
    """At least as many axes as are cut; those that are dropped stand before the ones that are asked for."""
    begin, result = site.shape(1), site.result()
    masks = [int(site.node.attributes.get(f"{name}_mask", 0)) for name in ("ellipsis", "new_axis", "shrink_axis")]
    if site.index or not begin or begin[0] is None or result is None or masks[0] or masks[1]:
        return None
    dropped = bin(masks[2]).count("1")
    return (*(None,) * begin[0], *result[begin[0] - dropped :])


def _as_many_as(index: int) -> Rule:
    """The rule of an operator that has as many axes as another input has numbers."""

    def rule(site: Site) -> Sizes | None:
        numbers = site.shape(index)
        return None if site.index or not numbers or numbers[0] is None else (None,) * numbers[0]

    return rule


def _chosen(site: Site) -> Sizes | None:
    """Flags for whole rows are a vector, as dynamic_rnn writes them; the operands are as the result."""
    return (None,) if site.index == 0 else both(site.result(), site.shape(3 - site.index))


def _written(site: Site) -> Sizes | None:
    """Rows of an array: of the flow between its operators the shape of one row is asked."""
    return {2: inserted(site.result(), 0, None), 3: site.result()}.get(site.index)


def _element_written(site: Site) -> Sizes | None:
    return site.result() if site.index in (2, 3) else None


def _element_read(site: Site) -> Sizes | None:
    return site.result() if site.index == 2 else None


def _rows_read(site: Site) -> Sizes | None:
    return without(site.result(), 0) if site.index == 2 else None


def _each_result(site: Site) -> Sizes | None:
    return site.demands.of(Value(site.node.name, site.index), site.depth)


def _reversed(site: Site) -> Sizes | None:
    return site.result() if site.index == 0 else (None,)


_ADDITIONS = named(Tag.ADDITION)
_GATES = ("Sigmoid", "HardSigmoid")
_PASSING = "Identity Enter Switch NextIteration Cast StopGradient CheckNumerics PreventGradient Exit Softmax LogSoftmax"
#: Operator → what it asks of an input.
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_PASSING.split(), _passed),
    **dict.fromkeys(named(Tag.ELEMENTWISE), _elementwise),
    "Merge": _carried,
    RESULTS: _each_result,
    "MatMul": _product,
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), _batched_product),
    "BiasAdd": _with_bias,
    **dict.fromkeys(("Concat", "ConcatV2"), _joined),
    "Pack": _stacked,
    "Unpack": _unstacked,
    **dict.fromkeys(("Split", "SplitV"), _divided),
    "Transpose": _transposed,
    **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), _looked_up),
    "OneHot": _one_hot,
    "ExpandDims": _expanded,
    "Squeeze": _squeezed,
    "Reshape": _laid_out,
    "StridedSlice": _sliced,
    "Slice": _as_many_as(2),
    **dict.fromkeys(("Tile", "Pad", "PadV2", "MirrorPad"), _as_many_as(1)),
    **dict.fromkeys(("ReverseV2", "Reverse"), _passed),
    "ReverseSequence": _reversed,
    "Select": _chosen,
    "Conv2D": _ranks(4, 4),
    **dict.fromkeys(("LSTMBlockCell",), _ranks(2, 2, 2)),
    "GRUBlockCell": _ranks(2, 2),
    **dict.fromkeys(("BlockLSTM", "BlockLSTMV2"), _ranks(0, 3, 2, 2)),
    **dict.fromkeys(("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"), _ranks(3, 3, 3)),
    **dict.fromkeys(("TensorArrayScatterV3", "TensorArrayScatterV2", "TensorArrayUnpack"), _written),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayReadV2"), _element_read),
    **dict.fromkeys(("TensorArrayGatherV3", "TensorArrayGatherV2"), _rows_read),
    **dict.fromkeys(("TensorArrayWriteV3", "TensorArrayWriteV2"), _element_written),
}
