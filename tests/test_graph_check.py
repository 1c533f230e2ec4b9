"""Whether a graph is one: what is wrong is refused by node and attribute."""

import re
from contextlib import nullcontext

import numpy as np
import pytest

from reprise import formats
from reprise.errors import DamagedFile, DiscoveryError
from reprise.formats import StoredModel
from reprise.graph import Function, Graph, Node, ShapeAttribute, Value
from reprise.graph_check import check, check_variable, outputs
from reprise.tensors import in_memory

X = Node("x", "Placeholder", attributes={"dtype": "float32", "shape": ShapeAttribute((None, 3))})


def node(op, *inputs, name="n", controls=(), **attributes):
    return Node(name, op, tuple(map(Value.parse, inputs)), controls, attributes)


def loop(**others):
    """A loop that counts, as TensorFlow 1 writes it."""
    nodes = {
        "start": node("Const", name="start", value=in_memory(np.int32(0))),
        "enter": node("Enter", "start", name="enter", frame_name=b"f"),
        "merge": node("Merge", "enter", "next", name="merge"),
        "less": node("Less", "merge", "merge", name="less"),
        "cond": node("LoopCond", "less", name="cond"),
        "switch": node("Switch", "merge", "cond", name="switch"),
        "more": node("Add", "switch:1", "switch:1", name="more"),
        "next": node("NextIteration", "more", name="next"),
        "exit": node("Exit", "switch", name="exit"),
    }
    return Graph.of((nodes | others).values())


def test_a_graph_with_a_loop_passes():
    check(loop())


WRONG = {
    "an input that is not there": (node("Tanh", "y"), "node 'n' (Tanh) reads y:0, which is not in the graph"),
    "a control input that is not there": (
        node("Tanh", "x", controls=("y",)),
        "node 'n' (Tanh) waits for y:0, which is not in the graph",
    ),
    "an output that is not there": (node("Tanh", "x:1"), "node 'n' (Tanh) reads x:1, and Placeholder has one output"),
    "an attribute that is missing": (
        node("Cast", "x"),
        "node 'n' (Cast): its attribute 'DstT' is missing; expected an element type",
    ),
    "an attribute of another kind": (
        node("Cast", "x", DstT=5),
        "node 'n' (Cast): its attribute 'DstT' is 5 (int); expected an element type",
    ),
    "an attribute of no kind": (
        node("Tanh", "x", how={"a": 1}),
        "node 'n' (Tanh): its attribute 'how' is {'a': 1} (dict); expected one of the kinds",
    ),
    "a list with something else in it": (
        node("Tanh", "x", how=(1, [2])),
        "its attribute 'how' is (1, [2]) (tuple); expected one of the kinds",
    ),
    "too few inputs of control flow": (node("Switch", "x"), "node 'n': Switch has 1 inputs where it needs 2"),
    "itself": (node("Tanh", "n"), "node 'n' (Tanh) is computed from itself outside of any loop ('n')"),
    "a back edge without a loop": (node("NextIteration", "n"), "node 'n' (NextIteration) is computed from itself"),
    "no name": (node("Tanh", "x", name=""), "stands under the name ''"),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(wrong, words):
    with pytest.raises(DiscoveryError, match=re.escape(words)):
        check(Graph.of([X, wrong]))


def test_the_nodes_of_a_cycle_are_listed():
    cycle = [node("Tanh", "c", name="a"), node("Add", "a", "x", name="b"), node("Tanh", "b", name="c")]
    with pytest.raises(DiscoveryError, match=r"computed from itself outside of any loop \('\w'(, | → )'\w' → '\w'\)"):
        check(Graph.of([X, *cycle, node("Tanh", "c", name="after")]))


def test_only_what_comes_back_to_the_head_of_a_loop_is_no_cycle():
    with pytest.raises(DiscoveryError, match="is computed from itself outside of any loop"):
        check(loop(more=node("Add", "switch:1", "next", name="more")))


def test_long_chains_take_no_longer_than_their_length():
    count = 50_000
    nodes = [X, *(node("Tanh", f"n{i - 1}" if i else "x", name=f"n{i}") for i in range(count))]
    check(Graph.of(nodes))


def test_functions_are_graphs_too():
    inside = {n.name: n for n in (node("_Arg", name="a"), node("Tanh", "b", name="c"))}
    library = {"f": Function("f", ("a",), (Value("c"),), inside)}
    with pytest.raises(DiscoveryError, match=r"node 'c' of function 'f' \(Tanh\) reads b:0, which is not in the graph"):
        check(Graph.of([X], library))
    with pytest.raises(DiscoveryError, match="function 'f' returns d:0, which is not in the graph"):
        check(Graph.of([X], {"f": Function("f", ("a",), (Value("d"),), {"a": inside["a"]})}))


@pytest.mark.parametrize(
    ("op", "attributes", "count"),
    [
        ("Tanh", {}, 1), ("Switch", {}, 2), ("Split", {"num_split": 3}, 3), ("Split", {}, None), ("BlockLSTM", {}, 7),
        ("While", {"T": ("float32", "int32")}, 2), ("CudnnRNNParamsToCanonical", {"num_params": 4}, 8),
        ("SomebodysOwn", {}, None),
    ],
)  # fmt: skip
def test_outputs_are_counted_where_the_operator_is_known(op, attributes, count):
    assert outputs(Node("n", op, attributes=attributes)) == count


@pytest.mark.parametrize(("dtype", "dims"), [("float64", (2, 3)), ("float32", (3, 2)), ("float32", (2, 3, 1))])
def test_a_variable_that_is_not_its_tensor_is_named(dtype, dims):
    variable = Node("w", "VarHandleOp", attributes={"dtype": dtype, "shape": ShapeAttribute(dims)})
    words = rf"node 'w' \(VarHandleOp\): its attributes 'dtype' and 'shape' say {dtype} .* tensor is float32 \[2, 3\]"
    with pytest.raises(DiscoveryError, match=words):
        check_variable(variable, in_memory(np.zeros((2, 3), np.float32)))


@pytest.mark.parametrize(("dims", "dtype"), [((None, 3), "float32"), (None, "float32"), ((2, 3), "float32")])
def test_a_variable_may_leave_sizes_free(dims, dtype):
    variable = Node("w", "VariableV2", attributes={"dtype": dtype, "shape": ShapeAttribute(dims)})
    check_variable(variable, in_memory(np.zeros((2, 3), np.float32)))


@pytest.mark.parametrize(("inner", "words"), [(X, ""), (node("Tanh", "y"), r"m: node 'n' \(Tanh\) reads y:0")])
def test_the_graph_of_every_format_is_checked(tmp_path, monkeypatch, inner, words):
    toy = formats.Format(
        "toy", "", lambda path: "it is one", lambda path: StoredModel(path, "toy", "", Graph.of([inner]))
    )
    monkeypatch.setattr(formats, "FORMATS", (toy,))
    (tmp_path / "m").write_bytes(b"toy")
    with pytest.raises(DamagedFile, match=words) if words else nullcontext():
        formats.read(tmp_path / "m")
