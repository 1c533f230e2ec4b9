"""Placeholders whose shape the file does not state: the one that the operators which read them ask for.

`tf.placeholder(tf.float32)` has no shape, and frozen graphs do not keep what `set_shape` adds to it. A matrix product
asks for a matrix, a transposition for as many axes as it permutes, a table for indices with one axis less than its
result. What nothing asks for stays unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.interface.analysis.demands import Demands
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.settings import PLACEHOLDERS, is_setting
from reprise.interface.building.rewritten import Rewritten
from reprise.operators.rules.asking import Sizes, both
from reprise.structure import Structure, analyse


def give_shapes(structure: Structure, nexts: Mapping[str, str] | None = None) -> Rewritten:
    """The graph in which every placeholder whose shape is known, or asked for, states it.

    `nexts` are tensors by which states enter a step → those with their next values, which have the same shape.
    """
    placeholders = [n for n in structure.graph if n.op in PLACEHOLDERS and _stated_shape(n) is None]
    known = {n.name: dims for n in placeholders if (dims := n.declared()) is not None}
    unknown = [n.name for n in placeholders if n.name not in known and not is_setting(structure, Value(n.name))]
    if known:
        structure = analyse(_with_shapes(structure.graph, known))
    found = _demanded_shapes(structure, unknown, nexts or {})
    for _ in range(_ROUNDS):  # what is asked of one tells what is asked of others
        if not found:
            break
        structure = analyse(_with_shapes(structure.graph, found))
        before, found = found, {**found, **_demanded_shapes(structure, unknown, nexts or {})}
        if found == before:
            break
    notes = [
        f"the file states no shape for {name}:0: {_format_sizes(found[name])} is what its readers ask for"
        for name in found
    ]
    return Rewritten(structure.graph, tuple(notes))


def _stated_shape(node: Node) -> Sizes | None:
    shape = node.attributes.get("shape")
    return shape.dims if isinstance(shape, ShapeAttribute) else None


def _demanded_shapes(structure: Structure, names: Collection[str], nexts: Mapping[str, str]) -> dict[str, Sizes]:
    """Placeholder → the sizes that are asked of it; into which shape it is laid out says so where nothing else does."""
    if not names:
        return {}
    facts = Facts(structure)
    strict, loose = Demands(structure, facts), Demands(structure, facts, laid_out=True)
    asked = {name: strict.of(Value(name)) or loose.of(Value(name)) for name in names}
    after = {Value.parse(state).node: Value.parse(following) for state, following in nexts.items()}
    asked |= {name: both(asked[name], strict.shape(after[name])) for name in names if name in after}
    return {name: sizes for name, sizes in asked.items() if sizes is not None}


def _format_sizes(sizes: Sizes) -> str:
    return f"[{', '.join('any' if n is None else str(n) for n in sizes)}]"


def _with_shapes(graph: Graph, shapes: Mapping[str, Sizes]) -> Graph:
    """`graph` in which some nodes state a shape."""
    stating = {
        name: replace(graph[name], attributes={**graph[name].attributes, "shape": ShapeAttribute(sizes)})
        for name, sizes in shapes.items()
    }
    return replace(graph, nodes={**graph.nodes, **stating})


#: Each round takes the sizes of the last one into account.
_ROUNDS = 4
