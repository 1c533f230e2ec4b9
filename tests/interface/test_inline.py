"""Functional control flow as dataflow: every call, branch and loop has one meaning, and a library cannot run away."""

import numpy as np
import pytest

from reprise.errors import DiscoveryError
from reprise.graph import Function, FunctionName, Graph, Node, Value
from reprise.interface.normal.inline import inline
from reprise.structure import InBranch, InLoop, analyse
from reprise.tensors import in_memory


def function(name, arguments, results, *nodes):
    every = [Node(a, "_Arg") for a in arguments] + list(nodes)
    return Function(name, arguments, tuple(Value.parse(r) for r in results), {n.name: n for n in every})


def node(name, op, *inputs, **attributes):
    return Node(name, op, tuple(Value.parse(i) for i in inputs), (), attributes)


def graph(*nodes, functions=()):
    return Graph.of(nodes, {f.name: f for f in functions})


DOUBLE = function("double", ("a",), ("twice",), node("twice", "Add", "a", "a"))
BELOW = function("below", ("a", "n"), ("less",), node("less", "Less", "a", "n"))
DOUBLED = function("doubled", ("a", "n"), ("twice", "n"), node("twice", "Add", "a", "a"))
X, N = node("x", "Placeholder"), node("n", "Placeholder")
WHILE = node("w", "While", "x", "n", cond=FunctionName("below"), body=FunctionName("doubled"))


def test_a_graph_without_functions_is_left_as_it_is():
    plain = graph(X, node("y", "Neg", "x"))
    assert inline(plain) is plain


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall"])
def test_a_call_is_the_body_of_its_function_and_keeps_its_name(op):
    found = inline(graph(X, node("call", op, "x", f=FunctionName("double")), functions=[DOUBLE]))
    assert found["call/twice"].inputs == (Value("x"), Value("x"))
    assert analyse(found).result(Value("call")) == Value("call/twice")


def test_what_passes_several_values_through_stands_for_them():
    structure = analyse(inline(graph(X, N, node("both", "IdentityN", "x", "n"))))
    assert [structure.result(Value("both", k)) for k in (0, 1)] == [Value("x"), Value("n")]


def test_a_node_may_be_named_after_its_function():
    found = inline(graph(X, node("call", "double", "x"), functions=[DOUBLE]))
    assert found["call/twice"].op == "Add"


def test_calls_inside_calls():
    outer = function("outer", ("a",), ("inner",), node("inner", "PartitionedCall", "a", f=FunctionName("double")))
    found = inline(graph(X, node("call", "outer", "x"), functions=[DOUBLE, outer]))
    assert found["call/inner/twice"].inputs == (Value("x"), Value("x"))


def test_a_loop_is_a_frame():
    structure = analyse(inline(graph(X, N, WHILE, functions=[BELOW, DOUBLED])))
    loop = structure.loops["w"]
    assert [structure.source(c.initial) for c in loop.carried] == [Value("x"), Value("n")]
    assert structure.graph[loop.condition.node].op == "Less"
    assert structure.unchanged(loop.carried[1].entering) == Value("n")
    assert structure.context(Value("w/body/twice")) == (InLoop("w"),)
    assert structure.result(Value("w", 0)) == loop.carried[0].final


@pytest.mark.parametrize(("index", "expected"), [(0, 10), (1, 100), (2, 1000), (7, 1000), (-1, 1000)])
def test_of_several_branches_the_index_chooses_one_and_any_other_index_the_last(index, expected):
    names = [f"times_{10**k}" for k in (1, 2, 3)]
    bodies = [
        function(name, ("a",), ("made",), node("by", "Const", value=in_memory(np.asarray(10**k))), times_by)
        for k, name in enumerate(names, 1)
    ]
    case = node("case", "Case", "i", "x", branches=tuple(FunctionName(n) for n in names))
    found = inline(graph(X, node("i", "Placeholder"), case, functions=bodies))
    assert {n.op for n in found} <= {
        "Placeholder",
        "Const",
        "Equal",
        "Sub",
        "Switch",
        "Identity",
        "Mul",
        "Merge",
        "_Results",
    }
    assert chosen(found, Value("case"), {"x": 1, "i": index}) == expected


times_by = node("made", "Mul", "a", "by")


def chosen(graph, value, fed):
    """What a graph of branches makes, worked out along the sides that are taken."""
    node = graph[value.node]
    if node.op == "Merge":
        return next((s for v in node.inputs if (s := chosen(graph, v, fed)) is not None), None)
    inputs = [chosen(graph, v, fed) for v in node.inputs]
    if node.op == "_Results":
        return inputs[value.index]
    if None in inputs or any(chosen(graph, Value(c), fed) is None for c in node.controls):
        return None
    if node.op == "Switch":
        return inputs[0] if bool(inputs[1]) == bool(value.index) else None
    if node.op == "Const":
        return node.attributes["value"].load().item()
    operators = {"Equal": lambda a, b: a == b, "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b}
    return fed[node.name] if node.op == "Placeholder" else operators.get(node.op, lambda a: a)(*inputs)


def test_a_branch_lies_on_its_side():
    zero = function("zero", ("a",), ("z",), node("z", "Const"))
    branch = node("if", "If", "p", "x", then_branch=FunctionName("double"), else_branch=FunctionName("zero"))
    structure = analyse(inline(graph(X, node("p", "Placeholder"), branch, functions=[DOUBLE, zero])))
    assert structure.context(Value("if/then/twice")) == (InBranch(Value("p"), 1),)
    assert structure.context(Value("if/else/z")) == (InBranch(Value("p"), 0),)
    assert structure.context(structure.result(Value("if"))) == ()


def test_a_loop_inside_a_loop_lies_in_both_even_where_it_starts_from_a_constant():
    inner = node("inner", "While", "one", "n", cond=FunctionName("below"), body=FunctionName("doubled"))
    body = function("nested", ("a", "n"), ("inner", "n"), node("one", "Const"), inner)
    outer = node("w", "While", "x", "n", cond=FunctionName("below"), body=FunctionName("nested"))
    structure = analyse(inline(graph(X, N, outer, functions=[BELOW, DOUBLED, body])))
    both = (InLoop("w"), InLoop("w/body/inner"))
    assert structure.context(Value("w/body/inner/body/twice")) == both
    assert [structure.context(c.entering) for c in structure.loops["w/body/inner"].carried] == [both, both]


def test_a_function_that_is_not_in_the_library_is_named():
    with pytest.raises(DiscoveryError, match=r"node 'w' \(While\): its function 'body' is not in the file's library"):
        inline(graph(X, N, WHILE, functions=[BELOW]))


def test_a_function_that_calls_itself_is_refused():
    again = function("again", ("a",), ("call",), node("call", "again", "a"))
    with pytest.raises(DiscoveryError, match=r"nest deeper than 40 levels .* a function probably calls itself"):
        inline(graph(X, node("call", "again", "x"), functions=[again]))


def test_a_library_that_doubles_at_every_level_is_refused():
    levels = [
        function(f"f{i}", ("a",), ("r",), node("l", f"f{i + 1}", "a"), node("r", f"f{i + 1}", "l")) for i in range(39)
    ]
    levels.append(function("f39", ("a",), ("r",), node("r", "Neg", "a")))
    with pytest.raises(DiscoveryError, match="unfold to more than 52420 nodes"):
        inline(graph(X, node("call", "f0", "x"), functions=levels))
