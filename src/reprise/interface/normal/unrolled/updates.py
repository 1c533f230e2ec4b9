"""How cells update what they carry: the equations by which a next state is known among values of its size.

Most cells keep a part of a state: c' = f ⊙ c + i ⊙ j (LSTM, Gers et al. 2000; coupled gates; SRU),
h' = u ⊙ h + (1 − u) ⊙ j (GRU, Cho et al. 2014; UGRNN, minimal, phased and leaky units), h' = h + u ⊙ (j − h), or h
where a row has ended. A part of the state may be kept again (a time gate, zoneout): the last of these sums is the next
state. An LSTM exposes h' = o ⊙ act(c'). The cell of Zoph & Le (2017, NAS) injects c: c' = tanh(c + j) ⊙ i,
m' = tanh(c' ⊙ o).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reprise.graph import Node, Value
from reprise.interface.normal.unrolled.chains import weight_of
from reprise.interface.normal.unrolled.flow import Flow, StateSource
from reprise.operators import Tag, named
from reprise.operators.rules.sizes import Dim

SUMS = named(Tag.ADDITION)
ACTIVATIONS = named(Tag.ACTIVATION)
CLIPS = ("Minimum", "Maximum", "ClipByValue")
_SELECTS = named(Tag.SELECT)
_LAYER_NORM = frozenset(("StopGradient", "SquaredDifference", "Rsqrt"))
_SLICES = ("Split", "Slice", "StridedSlice", "Unpack")


def partly_kept(flow: Flow, source: StateSource) -> list[Value]:
    """The values that keep a part of a source and add something to it, in the order of the data."""
    own = {source.initial, *_reset_factors(flow, source)}
    found = [v for v in _sums(flow, own) if flow.alike(v, source)]
    return sorted(dict.fromkeys(found), key=lambda v: flow.view.position[v.node])


def _reset_factors(flow: Flow, source: StateSource) -> Iterator[Value]:
    """A source times a factor for each row that clears it where an episode has ended: c · (1 − done)."""
    for name, slot in source.slots:
        node = flow.view.graph.nodes[name]
        shape = flow.view.facts.shape(node.inputs[1 - slot]) if node.op == "Mul" else None
        added = any(flow.view.graph.nodes[n].op in SUMS for n in flow.readers(Value(name)))  # that is a time gate
        if shape and shape[-1] == Dim(1) and not added and flow.alike(Value(name), source):
            yield Value(name)


def _sums(flow: Flow, own: set[Value]) -> Iterator[Value]:
    nodes = flow.view.graph.nodes
    for value in own:
        for reader in flow.readers(value):
            node = nodes[reader]
            if node.op in _SELECTS and value in node.inputs[1:]:
                yield Value(reader)
            elif node.op == "Mul" and Value(reader) not in own and not _has_weight(flow, node):
                yield from (Value(n) for n in flow.readers(Value(reader)) if nodes[n].op in (*SUMS, "AddN"))
            elif node.op in SUMS and _moves_towards(flow, node, own):
                yield Value(reader)


def _has_weight(flow: Flow, node: Node) -> bool:
    """Whether one factor is a weight: a peephole, not a gate."""
    zeros = {s.initial for s in flow.sources}
    return any(weight_of(flow.view.graph, v) is not None for v in node.inputs if v not in zeros)


def _moves_towards(flow: Flow, total: Node, own: set[Value]) -> bool:
    """Whether a sum is h + u ⊙ (j − h)."""
    nodes = flow.view.graph.nodes
    products = [nodes[v.node] for v in total.inputs if nodes[v.node].op == "Mul"]
    return any(nodes[v.node].op == "Sub" and nodes[v.node].inputs[1] in own for p in products for v in p.inputs)


def is_interpolation(flow: Flow, total: Value) -> bool:
    """Whether a sum weighs its parts by a gate and one minus that gate."""
    nodes = flow.view.graph.nodes
    factors = [v for part in nodes[total.node].inputs for v in nodes[part.node].inputs if nodes[part.node].op == "Mul"]
    return any(nodes[v.node].op == "Sub" and nodes[v.node].inputs[1] in factors for v in factors)


def after_clipping(flow: Flow, value: Value) -> Value:
    """A value after it is clipped, where nothing else reads it."""
    while len(after := flow.readers(value)) == 1 and flow.view.graph.nodes[after[0]].op in CLIPS:
        value = Value(after[0])
    return value


def lstm_output(flow: Flow, cell: Value) -> Value | None:
    """What an LSTM makes of its next c: o ⊙ act(c')."""
    nodes = flow.view.graph.nodes
    for name in flow.readers(cell):
        if nodes[name].op in ACTIVATIONS:
            for product in (n for n in flow.readers(Value(name)) if nodes[n].op == "Mul"):
                if not _has_weight(flow, nodes[product]):
                    return Value(product)
    return None


def nas_states(flow: Flow, source: StateSource) -> tuple[Value, Value] | None:
    """The next c and m of a cell of the NAS kind that is fed c."""
    c = tanh_of_sum = None
    nodes = flow.view.graph.nodes
    for total in (n for n in flow.readers(source.initial) if nodes[n].op in SUMS):
        added = [v for v in nodes[total].inputs if v != source.initial]
        if all(nodes[v.node].op in ACTIVATIONS for v in added):
            tanh_of_sum = _only_reader(flow, Value(total), ACTIVATIONS)
    if tanh_of_sum is not None:
        c = _only_reader(flow, tanh_of_sum, ("Mul",))
    product = None if c is None else _only_reader(flow, c, ("Mul",))
    m = None if product is None else _only_reader(flow, product, ACTIVATIONS)
    return None if c is None or m is None else (c, m)


def _only_reader(flow: Flow, value: Value, kinds: tuple[str, ...] | frozenset[str]) -> Value | None:
    """What the only reader of a value makes of it, if that is an operator of these kinds."""
    readers = dict.fromkeys(flow.readers(value))
    name = next(iter(readers), "")
    return Value(name) if len(readers) == 1 and flow.view.graph.nodes[name].op in kinds else None


def normalised_as_gates(flow: Flow, total: Value, made: Value) -> bool:
    """Whether a sum is normalised as each of its gates is, by `tf.contrib.layers.layer_norm`.

    So do TensorFlow's own LSTMs with layer normalisation, which carry the result; others carry the sum.
    """
    nodes = flow.view.graph.nodes
    way = _operators(flow, made, total)
    if not _LAYER_NORM.issubset(way):
        return False
    gates = [v for part in nodes[total.node].inputs for v in nodes[part.node].inputs if nodes[v.node].op == "Sigmoid"]
    return len(gates) > 1 and all(_operators(flow, *_preactivation(flow, gate)) == way for gate in gates)


def _preactivation(flow: Flow, gate: Value) -> tuple[Value, Value]:
    """What a gate is the sigmoid of, a forget bias aside, and the slice of the product that it is made of."""
    nodes = flow.view.graph.nodes
    value = nodes[gate.node].inputs[0]
    node = nodes[value.node]
    if node.op in SUMS and len(moving := [v for v in node.inputs if flow.changes(v)]) == 1:
        value = moving[0]
    origin = value
    while nodes[origin.node].op not in _SLICES and (above := [v for v in nodes[origin.node].inputs if flow.changes(v)]):
        origin = above[0]
    return value, origin


def _operators(flow: Flow, value: Value, origin: Value) -> Counter[str]:
    nodes = flow.view.graph.nodes
    return Counter(nodes[n].op for n in flow.between(value, origin) or ())
