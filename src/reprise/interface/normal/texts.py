"""Rows of text that a graph cuts into characters, given as the characters: one for each step.

The generator of TensorFlow's tutorial takes strings, which `tf.strings.unicode_split` cuts into a ragged tensor of
characters; a table makes ids of them, and `to_tensor` gives rows of one length. A caller who holds the state gives the
characters themselves, as an array [N, T] of strings.
"""

from __future__ import annotations

from dataclasses import replace

from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.interface.building.rewritten import Rewritten
from reprise.structure import Structure

#: What is done with one character after the other, and which input is the characters.
_EACH = {"LookupTableFind": 1, "LookupTableFindV2": 1, "Cast": 0}
_LAID_OUT = frozenset({"Reshape", "ExpandDims", "Identity", "Squeeze"})


def open_texts(structure: Structure) -> Rewritten:
    """The graph with a placeholder of characters in the place of one of strings that are cut into characters."""
    graph = structure.graph
    nodes, notes = dict(graph.nodes), []
    for node in (n for n in graph if n.op == "RaggedTensorToTensor" and len(n.inputs) == 4):
        found = _cut_text(graph, node)
        if found is None:
            continue
        text, joined = found
        rows = ShapeAttribute((None, None))
        nodes[text.node] = replace(graph[text.node], attributes={**graph[text.node].attributes, "shape": rows})
        nodes[joined] = replace(graph[joined], op="Identity", inputs=(text,), attributes={"T": "string"})
        nodes[node.name] = replace(node, op="Identity", inputs=node.inputs[1:2], attributes=_type(node))
        notes.append(f"{text} is text that the graph cuts into characters; here it is one character for each step")
    return Rewritten(replace(graph, nodes=nodes), tuple(notes)) if notes else Rewritten(graph)


def _cut_text(graph: Graph, ragged: Node) -> tuple[Value, str] | None:
    """The placeholder of strings that are cut into the characters of a ragged tensor, and the node that gives these."""
    cutting = graph[ragged.inputs[3].node]
    value = ragged.inputs[1]
    while (made := graph[value.node]).op in _EACH:
        value = made.inputs[_EACH[made.op]]
    if cutting.op != "UnicodeDecode" or made.op != "UnicodeEncode":
        return None
    text = graph.through(cutting.inputs[0], _LAID_OUT)
    from_same = graph.through(made.inputs[0], _LAID_OUT) == Value(cutting.name, 1)
    return (text, made.name) if from_same and graph[text.node].op == "Placeholder" else None


def _type(node: Node) -> dict[str, object]:
    return {"T": node.attributes.get("T", "int64")}
