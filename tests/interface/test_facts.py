"""Shapes that a file bakes in, set free: which number of a reshape is the batch, and which is the time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.graph import ShapeAttribute, Value
from reprise.interface.analysis.facts import Facts
from reprise.structure import analyse
from tests.interface.building import Builder

N, T, H = 6, 4, 5


def shape_after(*targets, have=(N, T, H), free=(0, 1)):
    """What is known of x, whose axes `free` are set free, after these reshapes."""
    b = Builder()
    value = b.placeholder("x", *have)
    for target in targets:
        value = b("Reshape", value, b.const(target), T="float32")
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", have, free))
    return [str(d) for d in facts.shape(value)]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([[-1, H]], ["x.0·x.1", "5"]),
        ([[N * T, H]], ["x.0·x.1", "5"]),
        ([[N * T, H], [N, T, H]], ["x.0", "x.1", "5"]),
        ([[N * T, H], [-1, T, H]], ["x.0", "x.1", "5"]),
        ([[N * T, H], [N, -1, H]], ["x.0", "x.1", "5"]),
        ([[-1]], ["5·x.0·x.1"]),
        ([[N, T * H]], ["x.0", "5·x.1"]),
        ([[N, T, H, 1]], ["x.0", "x.1", "5", "1"]),
        ([[N, T, 1, H]], ["x.0", "x.1", "1", "5"]),
    ],
)
def test_a_reshape_keeps_track_of_batch_and_time(targets, expected):
    assert shape_after(*targets) == expected


def test_the_batch_of_one_that_a_file_bakes_in_is_told_apart_from_time():
    assert shape_after([-1, H], [-1, 1, H], have=(T, 1, H)) == ["x.0", "x.1", "5"]
    assert shape_after([1, -1, H], have=(1, H), free=(0,)) == ["1", "x.0", "5"]


def test_parts_of_an_axis_that_is_not_free_are_numbers():
    assert shape_after([N, T, 2, 4], have=(N, T, 8)) == ["x.0", "x.1", "2", "4"]
    assert shape_after([N * T * 2, 4], have=(N, T, 8)) == ["2·x.0·x.1", "4"]


SIZES = st.integers(2, 7)


@given(st.tuples(SIZES, SIZES, SIZES), st.sampled_from([(0, 1), (0,), (1,), ()]), st.data())
def test_what_is_known_of_a_shape_is_true_for_the_sizes_of_the_file(have, free, data):
    n, t, h = have
    target = data.draw(
        st.sampled_from([[n * t, h], [-1, h], [n, t * h], [t, n, h], [h, -1], [n, -1], [t * h, n], [-1]])
    )
    b = Builder()
    made = b("Reshape", b.placeholder("x", *have), b.const(target), T="float32")
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", have, free))
    real = np.empty(have).reshape(target).shape
    nominal = [facts.sizes.nominal(d) for d in facts.shape(made)]
    assert len(nominal) == len(real)
    assert all(known in (None, size) for known, size in zip(nominal, real, strict=True))


def test_a_size_that_is_reshaped_to_a_row_may_be_joined_with_others():
    b = Builder()
    x = b.placeholder("x", None, H)
    count = b("Size", b("Slice", x, b.const([0, 0]), b.const([-1, 1]), T="float32"), out_type="int32")
    shape = b.concat(b("Reshape", count, b.const([1]), T="int32"), b.const([2]), axis=0)
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", (None, H), (0,)))
    assert [str(n) for n in facts.of(shape).content] == ["x.0", "2"]


def test_a_weight_fixes_what_it_touches():
    b = Builder()
    x = b.placeholder("x", 3, H)
    total = b("Add", x, b.const(np.zeros((3, 1)), "float32"), T="float32")
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", (3, H), (0,)))
    assert [str(d) for d in facts.shape(total)] == ["3", "5"]


def test_an_operator_without_a_rule_fixes_what_it_touches():
    b = Builder()
    x = b.placeholder("x", 3, H)
    strange = b("Betainc", x, x, x, T="float32")
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", (3, H), (0,)))
    assert facts.shape(strange) is None
    assert [str(d) for d in facts.shape(x)] == ["3", "5"]


def test_a_graph_of_thousands_of_nodes_in_a_row_is_no_matter_of_depth():
    b = Builder()
    value = b.placeholder("x", None, H)
    for i in range(5_000):
        value = b("Identity", value, name=f"n{i}", T="float32")
    assert [str(d) for d in Facts(analyse(b.graph())).shape(value)] == ["x.0", "5"]


def test_sizes_that_are_fed_or_computed_keep_their_axes():
    """`reshape(x, [batch_size, length // 2, H])`, as two steps are made one, with the batch size as a placeholder."""
    b = Builder()
    x, count = b.placeholder("x", N * T, H), b.placeholder("batch_size", dtype="int32")
    half = b("FloorDiv", b.placeholder("length", dtype="int32"), b.const(2), T="int32", name="half")
    target = b("Pack", count, half, b.const(2 * H), T="int32", N=3)
    grouped = b("Reshape", x, target, T="float32")
    joined = b("ConcatV2", b("ExpandDims", count, b.const(0)), b.const([H]), b.const(0), T="int32", N=2)
    zeros = b("Fill", joined, b.const(0.0), T="float32")
    facts = Facts(analyse(b.graph()))
    assert [str(d) for d in facts.shape(grouped)] == ["?batch_size:0", "?half:0", "10"]
    assert [str(d) for d in facts.shape(zeros)] == ["?batch_size:0", "5"]


def repeated(times):
    """What is known of a row after it was repeated, and of time T baked in, where the two are added."""
    b = Builder()
    row = b.placeholder("row", N, 1, H)
    many = b("Tile", row, b.const(times), T="float32")
    total = b("AddV2", b.placeholder("x", N, T, H), many, T="float32")
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", (N, T, H), (0, 1)))
    return facts, many, total


def test_a_default_does_not_tell_the_size_of_what_is_given_instead():
    b = Builder()
    zeros = b.const(np.zeros((20, H)), "float32")
    left_open = b("PlaceholderWithDefault", zeros, dtype="float32", shape=ShapeAttribute((None, H)))
    said = b("PlaceholderWithDefault", zeros, dtype="float32", shape=ShapeAttribute((20, H)))
    facts = Facts(analyse(b.graph()))
    assert [str(d) for d in facts.shape(left_open)] == ["PlaceholderWithDefault.0", "5"]
    assert [str(d) for d in facts.shape(said)] == ["20", "5"]


def test_a_row_that_is_repeated_for_every_step_is_as_long_as_the_sequence():
    facts, many, total = repeated([1, T, 1])
    assert str(facts.shape(total)[1]) == str(facts.shape(many)[1])
    assert not facts.shape(many)[1].known


def test_sizes_that_are_no_axis_of_the_model_are_the_numbers_of_the_file():
    facts, many, _ = repeated([1, T, 1])
    facts.shape(many)
    facts.sizes.fix_all(but=["x.1"])
    assert [str(d) for d in facts.shape(many)] == ["6", "4", "5"]


@pytest.mark.parametrize(("padding", "sizes"), [(b"SAME", ["x.0", "2"]), (b"VALID", ["x.0", "1"])])
def test_what_a_window_leaves_of_an_axis_that_may_be_free_is_known_by_the_size_of_the_file(padding, sizes):
    b = Builder()
    picture = b.placeholder("x", N, T, H, 1)
    settings = {"padding": padding, "strides": (1, 2, 2, 1), "T": "float32"}
    seen = b("Conv2D", picture, b.variable("window", 3, 3, 1, 1), **settings)
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", (N, T, H, 1), (0, 1)))
    shape = facts.shape(seen)
    assert [str(shape[0]), str(facts.sizes.nominal(shape[1]))] == sizes


def batch_of_one_after(build):
    """The batch of x [1, T, H] that a file bakes in, once `build` has used x: 1 again, or still free."""
    b = Builder()
    x = b.placeholder("x", 1, T, H)
    used = build(b, x)
    facts = Facts(analyse(b.graph()))
    facts.give(Value("x"), facts.symbols("x", (1, T, H), (0, 1)))
    facts.shape(used)
    return str(facts.shape(Value("x"))[0])


def flat(b, x):
    return b("Reshape", x, b.const([-1, H]), T="float32")


def test_places_among_flattened_rows_hold_a_batch_of_one():
    places = [0]
    assert batch_of_one_after(lambda b, x: b("Gather", flat(b, x), b.const(places))) == "1"
    assert batch_of_one_after(lambda b, x: b("GatherNd", flat(b, x), b.const([places]))) == "1"


def test_so_many_places_for_flattened_rows_hold_a_batch_of_one():
    def scattered(b, x):
        ids = b("ArgMax", x, b.const(2), T="float32")
        return b("ScatterNd", b("Reshape", ids, b.const([-1, 1]), T="int64"), flat(b, x), b.const([T, H]))

    assert batch_of_one_after(scattered) == "1"


def test_a_batch_of_one_that_is_not_flattened_stays_free():
    assert batch_of_one_after(lambda b, x: b("GatherV2", x, b.const([0, 1]), b.const(1))) == "x.0"
    assert batch_of_one_after(flat) == "x.0"


def test_a_size_of_one_that_stretches_over_another_is_no_axis_of_the_sequence():
    """`x / scale[:, None]` with a scale [N, 1]: neither the features of x nor its steps are of the same number."""
    b = Builder()
    x, scale = b.placeholder("x", None, None, H), b.placeholder("scale", None, 1)
    divided = b.binary("RealDiv", x, b("ExpandDims", scale, b.const(1), T="float32"))
    facts = Facts(analyse(b.graph()))
    for value, dims in (("x", (None, None, H)), ("scale", (None, 1))):
        facts.give(Value(value), facts.symbols(value, dims, range(len(dims))))
    assert [str(d) for d in facts.shape(divided)] == ["x.0", "x.1", "x.2"]
    assert [str(d) for d in facts.shape(scale)] == ["x.0", "1"]
