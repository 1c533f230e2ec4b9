"""Loop variables that share an Enter, as tools that merge equal nodes leave them, are told apart."""

from dataclasses import replace
from pathlib import Path

from reprise.formats._tensorflow import graphdef
from reprise.graph import Value
from reprise.interface.discover import discover
from tests.graphs import D, H, N, lstm, rolled
from tests.tensorflow.building import session, tf, v1


def test_two_states_that_start_from_the_same_zeros_stay_two():
    with session() as opened:
        hidden, _ = rolled(lstm, v1.placeholder(tf.float32, [None, N, D], "x"), [tf.zeros([N, H])] * 2)
        tf.identity(hidden, "y")
        graph = graphdef.graph(opened.graph.as_graph_def(add_shapes=True), Path("graph"))
    first, second = (n for n in graph if n.op == "Enter" and n.inputs == (Value("zeros"),))
    nodes = {
        n.name: replace(n, inputs=tuple(Value(first.name) if v.node == second.name else v for v in n.inputs))
        for n in graph
        if n.name != second.name
    }
    found = discover(replace(graph, nodes=nodes))
    assert [s.name for s in found.interface.states] == ["layer0.c", "layer0.h"]
    assert len({c.enter for c in found.states}) == 2
    assert found.interface.steppable, found.interface.why_not
