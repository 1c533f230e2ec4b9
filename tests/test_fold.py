"""What TensorFlow computes of constants inside a graph, worked out without TensorFlow: the same, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from reprise.formats._tensorflow import graphdef
from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.operators import fold
from reprise.structure import analyse
from tests.tensorflow.building import tf, v1

raw = tf.raw_ops
A, B = np.array([-7, -3, 0, 3, 7], np.int32), np.array([2, -2, 3, -3, 4], np.int32)
CUBE, FLAGS = np.arange(60, dtype=np.int32).reshape(4, 3, 5), np.array([True, False, True])
SQUARE = np.arange(9).reshape(3, 3)


def assert_folds(build):
    with tf.Graph().as_default() as graph:
        made = tf.nest.flatten(build())
        with v1.Session() as session:
            right = session.run(made)
    facts = Facts(analyse(graphdef.graph(graph.as_graph_def(), Path("constants"))))
    for tensor, array in zip(made, right, strict=True):
        found = facts.content(Value.parse(tensor.name))
        assert found is not None
        np.testing.assert_array_equal(found, array, strict=True)
        assert [d.scale for d in facts.shape(Value.parse(tensor.name))] == list(np.shape(array))


PAIRS = "Add AddV2 Sub Mul FloorDiv Div FloorMod Mod Maximum Minimum Less LessEqual Greater GreaterEqual Equal NotEqual"


@pytest.mark.parametrize("op", PAIRS.split())
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_arithmetic_with_signs(op, dtype):
    assert_folds(lambda: getattr(raw, op)(x=A.astype(dtype), y=B.astype(dtype)))


@pytest.mark.parametrize("op", "Div FloorDiv FloorMod Mod TruncateMod".split())
def test_whole_numbers_are_not_divided_by_zero(op):
    assert fold(Node("x", op), [A, np.zeros(5, np.int32)]) is None


@pytest.mark.parametrize("op", ["Prod", "Sum", "Max", "Min"])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", [[], [0], [-1], [0, 1], 1])
def test_reductions(op, keep, axes):
    numbers = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert_folds(lambda: getattr(raw, op)(input=numbers, axis=tf.constant(axes, tf.int32), keep_dims=keep))


@pytest.mark.parametrize(
    "index", "1:3 | :,1 | -1 | :,None | ::-1 | ::-2,1: | 5:9 | 3:0:-1 | 0,1,2 | :,-2 | -9:2 | 1:-9:-1".split(" | ")
)
def test_slices(index):
    assert_folds(lambda: eval(f"x[{index}]", {}, {"x": tf.constant(CUBE)}))  # noqa: S307


@pytest.mark.parametrize("index", ["-2:", "::-1", "-2", "1:2", "5:", "-9:", "None,1:", "2:0:-1"])
def test_slices_of_shapes(index):
    assert_folds(lambda: eval(f"tf.shape(x)[{index}]", {"tf": tf}, {"x": tf.constant(CUBE)}))  # noqa: S307


OTHERS = {
    "RealDiv": lambda: raw.RealDiv(x=A.astype(np.float32), y=B.astype(np.float32)),
    "flags": lambda: (raw.LogicalAnd(x=FLAGS, y=~FLAGS), raw.LogicalOr(x=FLAGS, y=FLAGS), raw.LogicalNot(x=FLAGS)),
    "Neg": lambda: raw.Neg(x=A),
    "Reshape": lambda: tf.reshape(A[:4], [2, -1]),
    "ConcatV2": lambda: tf.concat([CUBE, CUBE], -1),
    "Concat": lambda: raw.Concat(concat_dim=1, values=[SQUARE, SQUARE]),
    "Pack": lambda: (tf.stack([A, B], 0), tf.stack([A, B], -1)),
    "Range": lambda: (tf.range(2, 9, 3), tf.range(9, 2, -3), tf.range(2, 2), tf.range(np.int64(4))),
    "Fill": lambda: (tf.fill([2, 2], np.float32(3)), tf.fill([], 3)),
    "Cast": lambda: [tf.cast(np.array([0.0, 1.7, 2.5]), kind) for kind in (tf.int32, tf.bool, tf.float32, tf.uint8)],
    "Squeeze": lambda: (tf.squeeze(A.reshape(1, 5, 1)), tf.squeeze(A.reshape(1, 5, 1), [-1])),
    "ExpandDims": lambda: (tf.expand_dims(A, -1), tf.expand_dims(np.int32(3), 0)),
    "InvertPermutation": lambda: tf.math.invert_permutation([2, 0, 1]),
    "ListDiff": lambda: list(v1.setdiff1d([3, 1, 2, 3], [1])),
    "DynamicStitch": lambda: tf.dynamic_stitch([[0, 2], [1, 2]], [[10, 20], [30, 40]]),
    "Select": lambda: raw.Select(condition=FLAGS, x=SQUARE, y=-SQUARE),
    "SelectV2": lambda: raw.SelectV2(condition=FLAGS, t=SQUARE, e=-SQUARE),
    "ZerosLike": lambda: (tf.zeros_like(A), tf.ones_like(A)),
    "Transpose": lambda: (tf.transpose(CUBE, [1, 2, 0]), tf.transpose(CUBE)),
    "Tile": lambda: tf.tile(A, [2]),
    "Pad": lambda: (tf.pad(A, [[1, 2]]), tf.pad(CUBE, np.array([[0, 1], [0, 0], [2, 0]], np.int32))),
    "PadV2": lambda: tf.pad(A, [[0, 3]], constant_values=2),
    "ReverseV2": lambda: (tf.reverse(CUBE, [-1, 0]), tf.reverse(CUBE, np.array([], np.int32))),
    "Slice": lambda: (tf.slice(A, [1], [2]), tf.slice(A, [1], [-1]), tf.slice(CUBE, [1, 0, 2], [2, -1, 1])),
    "Gather": lambda: tf.gather(A, [4, 0]),
    "Unpack": lambda: tf.unstack(tf.constant(A)),
    "Rank": lambda: tf.rank(CUBE),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", OTHERS)
def test_other_operators(op):
    assert_folds(OTHERS[op])


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Reshape", [A, np.array([2, 3])]),
        ("Fill", [np.array([10**6, 10**6]), np.float32(1)]),
        ("Range", [np.array(0), np.array(10**12), np.array(1)]),
        ("Range", [np.array(0), np.array(5), np.array(0)]),
        ("StridedSlice", [A, np.array([9]), np.array([10]), np.array([1])]),
        ("Tile", [A, np.array([10**9])]),
        ("Pad", [A, np.array([[0, 10**9]])]),
        ("DynamicStitch", [np.array([10**9]), np.array([1])]),
    ],
)
def test_numbers_that_do_not_fit_or_would_fill_the_memory_are_left_alone(op, inputs):
    attributes = {"shrink_axis_mask": 1} if op == "StridedSlice" else {}
    assert fold(Node("x", op, (), (), attributes), [np.asarray(a) for a in inputs]) is None


@pytest.mark.parametrize("mode", ["MIN_COMBINED", "MIN_FIRST", "SCALED"])
@pytest.mark.parametrize("kind", [tf.quint8, tf.qint8, tf.quint16, tf.qint16])
@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.9), (-0.7, 0.1), (0.2, 1.0)])
def test_quantized_numbers(mode, kind, low, high):
    info = np.iinfo(kind.name.replace("q", ""))
    whole = np.linspace(info.min, info.max, 50).astype(info.dtype)
    with tf.Graph().as_default(), v1.Session() as session:
        held = tf.bitcast(tf.constant(whole), kind)
        right = session.run(raw.Dequantize(input=held, min_range=low, max_range=high, mode=mode))
    node = Node("x", "Dequantize", (), (), {"mode": mode.encode()})
    (made,) = fold(node, [whole, np.float32(low), np.float32(high)])
    np.testing.assert_allclose(made, right, rtol=1e-6, atol=1e-6)
    assert made.dtype == np.float32


def test_divisions_into_equal_parts():
    assert_folds(lambda: raw.Split(axis=-1, value=np.arange(12).reshape(2, 6), num_split=3))


@pytest.mark.parametrize("sizes", [[1, 2, 3], [1, -1, 2]])
def test_divisions_by_sizes(sizes):
    assert_folds(lambda: raw.SplitV(value=np.arange(12).reshape(2, 6), size_splits=sizes, axis=1, num_split=3))


@pytest.mark.parametrize("sizes", [[1, 2], [4, 5], [-1, 7]])
def test_sizes_that_are_not_those_of_the_whole_divide_nothing(sizes):
    assert fold(Node("x", "SplitV"), [np.arange(6), np.array(sizes), np.array(0)]) is None
