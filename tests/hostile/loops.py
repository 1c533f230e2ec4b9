"""Graphs of TensorFlow 1 written node by node: a loop over an input, with chains and calls around it."""

import numpy as np

from reprise.graph import Function, FunctionName, Graph, Node, ShapeAttribute, Value
from reprise.tensors import in_memory

FLOAT = {"T": "float32"}


def node(name, op, *inputs, **attributes):
    return Node(name, op, tuple(map(Value.parse, inputs)), (), attributes)


def const(name, content):
    array = np.asarray(content)
    return node(name, "Const", dtype=array.dtype.name, value=in_memory(array))


def chain(name, op, start, count):
    """`count` nodes one after the other; gives them and the name of the last."""
    names = [f"{name}{i}" for i in range(count)]
    nodes = [node(n, op, before, **FLOAT) for before, n in zip([start, *names], names, strict=False)]
    return nodes, names[-1] if names else start


def loop_model(before=0, inside=0, after=0, op="Tanh", wrapped=()):
    """h' = tanh([x, h] · W) over x [T, 2, 3], with chains before, inside of and after the loop.

    `wrapped` are nodes that compute `x` from `given`.
    """
    x = node("given" if wrapped else "x", "Placeholder", dtype="float32", shape=ShapeAttribute((None, 2, 3)))
    first, rows = chain("before", op, "x", before)
    body, product = chain("inside", op, "product", inside)
    last, _ = chain("after", op, "all", after)
    return Graph.of([x, *wrapped, *first, *_arrays(rows), *_variables(), *_body(), *body, *_results(product), *last])


def _arrays(rows):
    shape = ShapeAttribute(None)
    return [
        const("0", np.int32(0)), const("1", np.int32(1)), const("first", [0]), const("second", [1]),
        const("h0", np.zeros((2, 4), np.float32)), const("kernel", np.ones((7, 4), np.float32)),
        node("shape", "Shape", rows, T="float32", out_type="int32"),
        node("steps", "StridedSlice", "shape", "first", "second", "second", shrink_axis_mask=1, T="int32"),
        node("in", "TensorArrayV3", "steps", dtype="float32", element_shape=shape),
        node("out", "TensorArrayV3", "steps", dtype="float32", element_shape=shape),
        node("range", "Range", "0", "steps", "1", Tidx="int32"),
        node("scattered", "TensorArrayScatterV3", "in:0", "range", rows, "in:1", T="float32"),
    ]  # fmt: skip


def _variables():
    """Loop variables: the iteration number, the state and what is written; and what comes in unchanged."""
    for name, start, kind in (("i", "0", "int32"), ("h", "h0", "float32"), ("o", "out:1", "float32")):
        yield node(f"enter_{name}", "Enter", start, frame_name=b"f", T=kind)
        yield node(f"merge_{name}", "Merge", f"enter_{name}", f"next_{name}", T=kind)
        yield node(f"switch_{name}", "Switch", f"merge_{name}", "cond", T=kind)
        yield node(name, "Identity", f"switch_{name}:1", T=kind)
        yield node(f"exit_{name}", "Exit", f"switch_{name}:0", T=kind)
    for name, kind in (
        ("steps", "int32"),
        ("kernel", "float32"),
        ("in", "resource"),
        ("scattered", "float32"),
        ("out", "resource"),
    ):
        yield node(f"still_{name}", "Enter", name, frame_name=b"f", is_constant=True, T=kind)


def _body():
    return [
        node("less", "Less", "merge_i", "still_steps", T="int32"), node("cond", "LoopCond", "less"),
        const("one", np.int32(1)), node("more", "Add", "i", "one", T="int32"),
        node("next_i", "NextIteration", "more", T="int32"),
        node("row", "TensorArrayReadV3", "still_in", "i", "still_scattered", dtype="float32"),
        const("axis", np.int32(1)), node("both", "ConcatV2", "row", "h", "axis", N=2, **FLOAT),
        node("product", "MatMul", "both", "still_kernel", **FLOAT),
    ]  # fmt: skip


def _results(product):
    shape = ShapeAttribute((2, 4))
    return [
        node("new_h", "Tanh", product, **FLOAT), node("next_h", "NextIteration", "new_h", **FLOAT),
        node("written", "TensorArrayWriteV3", "still_out", "i", "new_h", "o", **FLOAT),
        node("next_o", "NextIteration", "written", **FLOAT),
        node("size", "TensorArraySizeV3", "out:0", "exit_o"), node("places", "Range", "0", "size", "1", Tidx="int32"),
        node("all", "TensorArrayGatherV3", "out:0", "places", "exit_o", dtype="float32", element_shape=shape),
    ]  # fmt: skip


def nested_calls(depth, width, kind="call"):
    """A model whose input passes functions that call the next one `width` times, `depth` levels deep."""
    functions = {f.name: f for f in (_leaf(), _condition(), *(_level(d, depth, width, kind) for d in range(depth)))}
    call = Node("x", "PartitionedCall", (Value("given"),), (), {"f": FunctionName("f0"), "Tout": ("float32",)})
    return Graph(loop_model(wrapped=[call]).nodes, functions)


ARGUMENT = Node("a", "_Arg", attributes={"index": 0, "T": "float32"})


def _leaf():
    return Function("leaf", ("a",), (Value("t"),), {"a": ARGUMENT, "t": node("t", "Tanh", "a", **FLOAT)})


def _condition():
    nodes = [
        ARGUMENT, const("zero", np.float32(0)), const("axes", np.array([0, 1, 2], np.int32)),
        node("sum", "Sum", "a", "axes", T="float32", Tidx="int32"), node("less", "Less", "sum", "zero", T="float32"),
    ]  # fmt: skip
    return Function("condition", ("a",), (Value("less"),), {n.name: n for n in nodes})


def _level(level, depth, width, kind):
    following, last, nodes = FunctionName(f"f{level + 1}"), "a", [ARGUMENT]
    for k in range(width):
        nodes.append(node(f"t{k}", "Tanh", last, **FLOAT))
        last = f"t{k}"
        if level + 1 < depth:
            nodes += _call(f"c{k}", last, following, kind)
            last = f"c{k}"
    return Function(f"f{level}", ("a",), (Value(last),), {n.name: n for n in nodes})


def _call(name, argument, function, kind):
    if kind == "while":
        called = {"cond": FunctionName("condition"), "body": function, "T": ("float32",)}
        return [node(name, "While", argument, **called)]
    if kind == "if":
        flag = const(f"{name}/flag", np.asarray(True))
        branches = {"then_branch": function, "else_branch": FunctionName("leaf"), "Tout": ("float32",)}
        return [flag, node(name, "If", flag.name, argument, **branches)]
    return [node(name, "PartitionedCall", argument, f=function, Tout=("float32",))]
