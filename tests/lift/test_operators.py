"""Every operator that has a translation, against TensorFlow itself: types, signs, axes, masks, what has no number."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from reprise.errors import LiftError
from reprise.operators import OPERATORS
from reprise.operators.rules.block import onnx_type
from tests.lift.translating import assert_refused, check, expected, normal, raw, tf, translated, v1, whole

ODD = np.array([-2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, np.inf, -np.inf, np.nan])  # halves, infinities, no number
WHOLE, DIVISORS = np.array([-9, -7, -1, 0, 5, 7, 9]), np.array([2, -3, 4, -5, -2, 3, -4])


def apply(op, *inputs):
    """The raw operator on inputs in its own order."""
    names = inspect.signature(getattr(raw, op)).parameters
    return getattr(raw, op)(**dict(zip(names, inputs, strict=False)))


FLOAT_FUNCTIONS = (
    "Sigmoid Tanh Relu Relu6 Elu Selu LeakyRelu Softplus Softsign Exp Square Neg Abs Sign Floor Ceil Round Rint "
    "Reciprocal Inv Sin Cos Expm1 ZerosLike OnesLike Identity Snapshot StopGradient PreventGradient Log Log1p "
    "Sqrt Rsqrt IsNan IsInf IsFinite"
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", FLOAT_FUNCTIONS.split())
def test_functions_of_one_number(op, dtype):
    check(lambda x: apply(op, x), normal(3, 4, dtype=dtype) * 3)
    check(lambda x: apply(op, x), ODD.astype(dtype))


def test_the_error_function():
    check(lambda x: raw.Erf(x=x), ODD.astype(np.float32))


@pytest.mark.parametrize("op", "Neg Abs Sign Square ZerosLike OnesLike Identity".split())
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_functions_of_one_whole_number(op, dtype):
    check(lambda x: apply(op, x), WHOLE.astype(dtype))


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0, 2.0])
def test_the_slope_of_a_leaky_rectifier(alpha):
    check(lambda x: raw.LeakyRelu(features=x, alpha=alpha), normal(9))


@pytest.mark.parametrize(("low", "high"), [(-3, 3), (-0.1, 5), (0, 1), (1, 4), (-4, -1)])
@pytest.mark.parametrize("narrow", [False, True])
def test_levels_that_stand_for_quantized_numbers(low, high, narrow):
    x, bounds = normal(5, 4) * 4, [np.float32(low), np.float32(high)]
    options = {"num_bits": 4, "narrow_range": narrow}
    check(lambda x: raw.FakeQuantWithMinMaxVars(inputs=x, min=bounds[0], max=bounds[1], **options), x)
    each = [np.full(4, n, np.float32) * [1, 2, 3, 4] for n in bounds]
    check(lambda x: raw.FakeQuantWithMinMaxVarsPerChannel(inputs=x, min=each[0], max=each[1], **options), x)
    if low <= 0 <= high:
        check(lambda x: raw.FakeQuantWithMinMaxArgs(inputs=x, min=low, max=high, **options), x)


PAIRS = "Add AddV2 Sub Mul Div FloorDiv FloorMod Mod Maximum Minimum SquaredDifference"
COMPARISONS = "Less LessEqual Greater GreaterEqual Equal NotEqual"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", [*PAIRS.split(), *COMPARISONS.split(), "RealDiv", "DivNoNan"])
def test_functions_of_two_numbers(op, dtype):
    a, b = normal(3, 4, dtype=dtype) * 4, normal(4, dtype=dtype)
    check(lambda x, y: apply(op, x, y), a, b)
    check(lambda x, y: apply(op, x, y), a, b, free=True)
    odd, other = [1, -1, 0, np.nan, np.inf, 2, -7.5, 7.5], [0, 0, 0, 1, 2, np.nan, 2, -2]
    check(lambda x, y: apply(op, x, y), np.array(odd, dtype), np.array(other, dtype))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("op", [*PAIRS.split(), *COMPARISONS.split(), "TruncateMod", "TruncateDiv"])
def test_functions_of_two_whole_numbers_with_their_signs(op, dtype):
    check(lambda x, y: apply(op, x, y), WHOLE.astype(dtype), DIVISORS.astype(dtype))


def test_powers():
    check(lambda x, y: raw.Pow(x=x, y=y), np.abs(normal(3, 4)), normal(4))
    check(lambda x, y: raw.Pow(x=x, y=y), whole(-5, 6, 9), whole(0, 4, 9))


def test_flags():
    a, b = whole(0, 2, 3, 4) > 0, whole(0, 2, 4) > 0
    for op in ("LogicalAnd", "LogicalOr"):
        check(lambda x, y, op=op: apply(op, x, y), a, b)
    check(lambda x: raw.LogicalNot(x=x), a)
    for op in ("Equal", "NotEqual"):
        check(lambda x, y, op=op: apply(op, x, y), b, b[::-1].copy())
    for op in ("ZerosLike", "OnesLike"):
        check(lambda x, op=op: apply(op, x), a)


@pytest.mark.parametrize("kind", [tf.float16, tf.bfloat16])
def test_half_numbers_are_computed_in_single_precision(kind):
    x, y = (normal(3).astype(kind.as_numpy_dtype) for _ in range(2))
    check(lambda x, y: tf.tanh(x + y), x, y, rtol=1e-2, atol=1e-2)
    check(lambda x: tf.cast(tf.cast(x, kind) * 2, tf.float32), normal(3), rtol=1e-2, atol=1e-2)
    a, b = (np.array(n, kind.as_numpy_dtype) for n in ([7.5, -7.5, 3], [2, 2, -2]))
    check(lambda x, y: (raw.FloorDiv(x=x, y=y), raw.FloorMod(x=x, y=y)), a, b)


@pytest.mark.parametrize("wanted", "int32 int64 bool uint8 float64".split())
def test_casts_cut_and_do_not_round(wanted):
    numbers = [0, 0.5, 1.9, 2.7] + ([] if wanted == "uint8" else [-1.9, -0.5])
    check(lambda x: tf.cast(x, wanted), np.array(numbers, np.float32))
    check(lambda x: tf.cast(x, wanted), np.array([0, 1, 5], np.int32))
    check(lambda x: tf.cast(x, wanted), np.array([True, False]))


def test_sums_of_several_and_bounds():
    for dtype in ("float32", "int32"):
        check(lambda *x: raw.AddN(inputs=list(x)), *[whole(-9, 9, 3, 4, dtype=dtype) for _ in range(3)])
        check(lambda x: raw.ClipByValue(t=x, clip_value_min=-2, clip_value_max=2), whole(-9, 9, 9, dtype=dtype))
    check(lambda x: raw.AddN(inputs=[x]), normal(3))
    check(lambda x: raw.L2Loss(t=x), normal(3, 4))


def test_functions_of_angles_and_their_inverses():
    for op in ("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh"):
        check(lambda x, op=op: apply(op, x), np.linspace(-0.9, 0.9, 9, dtype=np.float32))
    check(lambda x: raw.Acosh(x=x), np.linspace(1, 9, 9, dtype=np.float32))
    y, x = np.array([0, 1, 1, 1, 0, -1, -1, -1, 0], np.float32), np.array([1, 1, 0, -1, -1, -1, 0, 1, 0], np.float32)
    check(lambda y, x: raw.Atan2(y=y, x=x), y, x)


@pytest.mark.parametrize("op", ["Xdivy", "Xlogy", "Xlog1py", "MulNoNan"])
def test_what_is_nothing_stays_nothing(op):
    x, y = np.array([0, 0, 0, 2, -3], np.float32), np.array([0, np.inf, -1, 2, 0.5], np.float32)
    check(lambda x, y: apply(op, x, y), *((y, x) if op == "MulNoNan" else (x, y)))


def test_numbers_that_are_nearly_equal_and_buckets():
    x = np.array([-3, 0, 0.99, 1, 1.01, 7], np.float32)
    check(lambda x: raw.ApproximateEqual(x=x, y=x * 1.001, tolerance=2e-3), x)
    check(lambda x: raw.Bucketize(input=x, boundaries=[0, 1, 5.5]), x)
    check(lambda x: raw.Bucketize(input=x, boundaries=[-2, 0]), WHOLE.astype(np.int64).reshape(7, 1))


def test_several_values_pass_as_they_are():
    check(lambda x, y: tf.identity_n([x, y]), normal(3), normal(4), free=True)
    check(lambda x: tf.expand_dims(v1.Print(x, [tf.reduce_sum(x)]), -1), normal(3), free=True)


def drawn(build):
    """Numbers that the translation draws; TensorFlow's own are others."""
    definition, names, held, right = expected(build, [np.zeros((1000, 8), np.float32)], free=True)
    (found,), _ = translated(definition, names, held, [np.zeros((1000, 8), np.float32)], free=True)
    assert found.shape == right[0].shape
    assert found.dtype == right[0].dtype
    return found, right[0]


DRAWS = {
    "RandomUniform": (lambda x: raw.RandomUniform(shape=tf.shape(x), dtype=tf.float32), 0.5, 0, 1),
    "RandomStandardNormal": (lambda x: raw.RandomStandardNormal(shape=tf.shape(x), dtype=tf.float32), 0, -9, 9),
    "RandomUniformInt": (lambda x: raw.RandomUniformInt(shape=tf.shape(x), minval=-2, maxval=5), 1, -2, 4),
    "Multinomial": (lambda x: raw.Multinomial(logits=x + 9 * tf.one_hot(7, 8), num_samples=8), 7, 0, 7),
}


@pytest.mark.parametrize("op", DRAWS)
def test_numbers_that_are_drawn_have_the_same_distribution(op):
    build, mean, least, greatest = DRAWS[op]
    for found in drawn(build):
        assert least <= found.min() < found.max() <= greatest
        assert abs(found.mean() - mean) < 0.1


def test_biases():
    check(lambda x, b: raw.BiasAdd(value=x, bias=b), normal(2, 3, 4), normal(4))
    check(lambda x, b: raw.BiasAdd(value=x, bias=b, data_format="NCHW"), normal(2, 3, 4, 5), normal(3))
    check(lambda x, b: raw.BiasAddV1(value=x, bias=b), normal(2, 3, 4), normal(4))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("op", "Sum Mean Max Min Prod All Any".split())
def test_reductions_over_any_axes(op, keep):
    x = whole(0, 2, 2, 3, 4) > 0 if op in ("All", "Any") else normal(2, 3, 4)
    for axes in ([0], [-1], [0, 2], [-1, -2], [0, 1, 2], [], 1, -2):
        check(lambda x, a=axes: getattr(raw, op)(input=x, axis=tf.constant(a, tf.int32), keep_dims=keep), x)


@pytest.mark.parametrize("op", "Sum Mean Max Min Prod".split())
def test_reductions_of_any_type(op):
    over_rows = lambda x: getattr(raw, op)(input=x, axis=[1])  # noqa: E731
    for dtype in ("int32", "int64", "float64"):
        check(over_rows, whole(-9, 9, 3, 4, dtype=dtype))
    undefined = [[1, np.nan, 2], [np.nan, 1, 2], [1, 2, np.nan], [np.inf, 1, -np.inf]]
    check(over_rows, np.array(undefined, np.float32))
    check(lambda x: getattr(raw, op)(input=x, axis=tf.range(tf.rank(x))), normal(3, 4), free=True)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("op", "Sum Mean Max Min Prod".split())
def test_reductions_of_nothing(op, free):
    for axes in ([1], [0, 1, 2]):
        check(lambda x, a=axes: getattr(raw, op)(input=x, axis=a), np.zeros((2, 0, 3), np.float32), free=free)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_places_of_the_greatest(op):
    for axis in (0, 1, -1):
        for kind in (tf.int32, tf.int64):
            check(lambda x, a=axis, k=kind: getattr(raw, op)(input=x, dimension=a, output_type=k), normal(3, 4))
    check(lambda x: getattr(raw, op)(input=x, dimension=1), np.array([[1, 1, 0], [0, 0, 1]], np.float32))


def test_the_greatest_k_the_first_of_equals_first():
    check(lambda x: raw.TopKV2(input=x, k=2), normal(3, 5))
    check(lambda x: raw.TopKV2(input=x, k=3), np.array([[1, 2, 2, 1, 2]], np.float32))
    check(lambda x: raw.TopKV2(input=x, k=2), whole(0, 99, 7))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_of_the_last_axis_whatever_the_rank(op):
    for shape in ((5,), (2, 3), (2, 3, 4)):
        check(lambda x: getattr(raw, op)(logits=x), normal(*shape) * 20)
    check(lambda x: getattr(raw, op)(logits=x), normal(3, 4, dtype="float64"))
    check(lambda x: getattr(raw, op)(logits=x), np.array([[1, -np.inf, 2]], np.float32))
    over_first = {"Softmax": tf.nn.softmax, "LogSoftmax": tf.nn.log_softmax}[op]
    check(lambda x: over_first(x, axis=0), normal(3, 4))


@pytest.mark.parametrize("shape", [(3,), (3, 3), (3, 4, 3)])
def test_select_takes_a_flag_for_each_row_and_select_v2_broadcasts(shape):
    flags = np.array([True, False, True])
    for dtype in ("float32", "int32", "bool"):
        a, b = whole(0, 9, *shape).astype(dtype), whole(0, 9, *shape).astype(dtype)
        check(lambda c, x, y: raw.Select(condition=c, x=x, y=y), flags, a, b)
        check(lambda c, x, y: raw.Select(condition=c, x=x, y=y), whole(0, 2, *shape) > 0, a, b)
        check(lambda c, x, y: raw.SelectV2(condition=c, t=x, e=y), flags, a, b)
    check(lambda c, x, y: raw.Select(condition=c, x=x, y=y), np.array(False), normal(*shape), normal(*shape))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("op", ["Cumsum", "Cumprod"])
def test_running_sums_and_products(op, exclusive, reverse):
    for axis in (0, -1):
        check(lambda x, a=axis: getattr(raw, op)(x=x, axis=a, exclusive=exclusive, reverse=reverse), normal(3, 4))
    check(lambda x: getattr(raw, op)(x=x, axis=0, exclusive=exclusive, reverse=reverse), normal(1, 4))


@pytest.mark.parametrize("shape", [(2, 3), (3,), ()])
def test_sizes(shape):
    for op in ("Shape", "Size"):
        for kind in (tf.int32, tf.int64):
            check(lambda x, op=op, k=kind: getattr(raw, op)(input=x, out_type=k), normal(*shape), free=True)
    check(lambda x: raw.Rank(input=x), normal(*shape), free=True)
    check(lambda x, y: raw.ShapeN(input=[x, y]), normal(*shape), normal(4), free=True)


@pytest.mark.parametrize("free", [False, True])
def test_reshapes(free):
    size = tf.shape
    check(lambda x: tf.reshape(x, [-1, 4]), normal(2, 3, 4), free=free)
    check(lambda x: tf.reshape(x, [2, 3, -1]), normal(6, 4), free=free)
    check(lambda x: tf.reshape(x, []), normal(1, 1), free=free)
    check(lambda x: tf.reshape(x, [size(x)[1], size(x)[0]]), normal(2, 3), free=free)
    check(lambda x: tf.reshape(x, [size(x)[0] // 2, -1]), normal(4, 3), free=free)
    check(lambda x: tf.reshape(x, [size(x)[0] * size(x)[1], 4]), normal(2, 3, 4), free=free)
    check(lambda x: tf.reshape(x, [size(x)[0], size(x)[1] * size(x)[2]]), normal(2, 3, 4), free=free)
    check(lambda x: tf.reshape(tf.reshape(x, [-1, 4]), [size(x)[0], size(x)[1], 2, 2]), normal(2, 3, 4), free=free)


def test_axes_of_one_come_go_and_move():
    for axis in (0, 1, -1, -3):
        check(lambda x, a=axis: tf.expand_dims(x, a), normal(2, 3), free=True)
    for axes in (None, [0], [-1], [0, -1]):
        check(lambda x, a=axes: tf.squeeze(x, a), normal(1, 3, 1))
    check(lambda x: tf.squeeze(x, [-1]), normal(1, 3, 1), free=True)
    for order in ([1, 0, 2], [2, 1, 0], None):
        check(lambda x, p=order: tf.transpose(x, p), normal(2, 3, 4), free=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_joins_and_parts_along_any_axis(axis):
    a, b = normal(2, 3), normal(2, 3)
    check(lambda x, y: tf.concat([x, y], axis), a, b, free=True)
    check(lambda x, y: raw.Concat(concat_dim=axis, values=[x, y]), a, b)
    check(lambda x, y: tf.stack([x, y], axis), a, b)
    check(lambda x: tf.stack([x], axis), a)
    check(lambda x: tf.unstack(x, axis=axis), normal(3, 3))
    check(lambda x: raw.Unpack(value=x, num=1, axis=axis), normal(1, 1))
    check(lambda x: tf.split(x, 2, axis), normal(4, 6))
    for sizes in ([1, 3], [1, -1], [4]):
        check(lambda x, s=sizes: raw.SplitV(value=x, size_splits=s, axis=axis, num_split=len(s)), normal(4, 4))


SLICES = (
    "1:3", ":, 1", "-1", ":, -1, :", "..., 0", ":, None", "::-1", ":, ::2", "::-2, 1:", "1, ..., -1", ":-1", "-2:",
    "None, ..., None", "5:9", "3:0:-1", "-1:0:-1", "0, 1, 2", "..., None, 1", "1:1", ":0:-1", "-9:2", "1:-9:-1",
    "0::-1",
)  # fmt: skip


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("index", SLICES)
def test_slices_with_all_their_masks(index, free):
    check(lambda x: eval(f"x[{index}]", {}, {"x": x}), normal(4, 3, 5), free=free)  # noqa: S307


def test_the_axes_behind_an_ellipsis_are_counted():
    check(lambda x: tf.expand_dims(x[..., 0, None], -1), normal(2, 3, 4), free=True)
    check(lambda x: tf.expand_dims(x[1:, ..., :2], -2), normal(2, 3, 4), free=True)


@pytest.mark.parametrize("index", ["n:", ":n", "n", ":, n", "n:n+1", "-n", ":, :n", "n-1:", "0:n, 1"])
def test_slices_whose_bounds_are_computed(index):
    for n in (1, 2):
        check(lambda x, n: eval(f"x[{index}]", {}, {"x": x, "n": n}), normal(4, 3, 5), np.int32(n), free=True)  # noqa: S307


def test_an_index_counts_whatever_the_masks_say_of_its_axis():
    masks = {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 1}
    build = lambda x, n: raw.StridedSlice(input=x, begin=[n], end=[n + 1], strides=[1], **masks)  # noqa: E731
    check(build, normal(4, 3), np.int32(2), free=True)
    check(lambda x: raw.StridedSlice(input=x, begin=[2], end=[3], strides=[1], **masks), normal(4, 3))


def test_blocks():
    check(lambda x: tf.slice(x, [1, 0], [2, -1]), normal(4, 3), free=True)
    check(lambda x, n: tf.slice(x, [n, 0], [2, -1]), normal(4, 3), np.int32(1), free=True)
    check(lambda x, n: tf.slice(x, [0, n], [-1, n]), normal(4, 3), np.int32(1), free=True)


def test_filled_repeated_and_stretched():
    check(lambda x: tf.fill([2, 3], x), np.float32(2))
    check(lambda x: tf.zeros([tf.shape(x)[0], 7]), normal(2, 3), free=True)
    check(lambda x: tf.tile(x, [2, 1]), normal(2, 3))
    check(lambda x, y: tf.tile(x, [tf.shape(y)[0], 1]), normal(1, 3), normal(4), free=True)
    check(lambda x: tf.broadcast_to(x, [4, 2, 3]), normal(2, 1))  # BroadcastTo
    check(lambda x, y: tf.broadcast_to(x, tf.shape(y)), normal(1, 3), normal(2, 3), free=True)
    check(lambda x: tf.range(1, tf.shape(x)[0], 2), normal(7, 3), free=True)
    check(lambda n: tf.range(0.0, n, 0.5), np.float32(3))
    check(lambda n: tf.sequence_mask(n), np.array([1, 3, 5], np.int32))


@pytest.mark.parametrize("free", [False, True])
def test_rows_that_move_on(free):
    for shift, axis in (([1], [0]), ([-2, 5], [1, 0]), ([7, 1], [1, 1])):
        check(lambda x, s=shift, a=axis: raw.Roll(input=x, shift=s, axis=a), normal(3, 4), free=free)
    check(lambda x, n: tf.roll(x, n, 1), normal(3, 4), np.int32(-5), free=free)


def test_numbers_at_equal_distances():
    for count in (1, 2, 7):
        check(lambda a, b, n=count: raw.LinSpace(start=a, stop=b, num=n), np.float32(-1), np.float32(2))
    check(lambda a, n: raw.LinSpace(start=a, stop=3.0, num=n), np.float32(1), np.int32(5))


def test_reversals():
    for axes in ([0], [-1], [0, 1], []):
        check(lambda x, a=axes: tf.reverse(x, np.array(a, np.int32)), normal(2, 3), free=True)
    lengths = np.array([2, 5, 1], np.int32)
    check(lambda x, n: tf.reverse_sequence(x, n, seq_axis=1, batch_axis=0), normal(3, 5, 2), lengths)
    check(lambda x, n: tf.reverse_sequence(x, n, seq_axis=0, batch_axis=1), normal(5, 3, 2), lengths.astype(np.int64))
    for time, batch in ((2, 0), (0, 2), (1, 2)):
        build = lambda x, n, t=time, b=batch: tf.reverse_sequence(x, n, seq_axis=t, batch_axis=b)  # noqa: E731
        check(build, normal(3, 5, 3), np.array([2, 3, 1], np.int32))
    check(lambda x: raw.Reverse(tensor=x, dims=[False, True, True]), normal(2, 3, 4))
    for step in (-1, -2):
        build = lambda x, last, step=step: tf.gather(x, tf.range(last, -1, step), axis=1)  # noqa: E731
        check(build, normal(2, 5, 3), np.int32(4))
    check(lambda x: tf.transpose(x, tf.math.invert_permutation([2, 0, 1])), normal(2, 3, 4))


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("clip", [-1.0, 0.5])
def test_one_step_of_the_fused_lstm(peephole, clip):
    shapes = {
        "x": (2, 3),
        "cs_prev": (2, 4),
        "h_prev": (2, 4),
        "w": (7, 16),
        "wci": (4,),
        "wcf": (4,),
        "wco": (4,),
        "b": (16,),
    }
    options = {"forget_bias": 0.7, "cell_clip": clip, "use_peephole": peephole}
    build = lambda *a: list(raw.LSTMBlockCell(**dict(zip(shapes, a, strict=True)), **options))  # noqa: E731
    check(build, *[normal(*s) for s in shapes.values()])


def test_one_step_of_the_fused_gru():
    shapes = {"x": (2, 3), "h_prev": (2, 4), "w_ru": (7, 8), "w_c": (7, 4), "b_ru": (8,), "b_c": (4,)}
    build = lambda *a: list(raw.GRUBlockCell(**dict(zip(shapes, a, strict=True))))  # noqa: E731
    check(build, *[normal(*s) for s in shapes.values()])


REFUSALS = {
    "a type without a kernel": (lambda x: raw.Erf(x=tf.cast(x, tf.float64)), "ONNX Runtime refuses"),
    "an operator without a translation": (lambda x: raw.Lgamma(x=x), "'Lgamma'.*no translation"),
    "strides of a slice": (lambda x: x[:: tf.cast(x[0, 0], tf.int32) + 1], "strides at run time"),
    "axes of a reduction": (lambda x: tf.reduce_sum(x, tf.cast(x[0, 0], tf.int32)), "axes at run time"),
    "an order of axes": (lambda x: tf.transpose(x, tf.argsort(x[0, :2])), "order of axes at run time"),
    "an unknown part": (
        lambda x: raw.SplitV(value=x, size_splits=[1, -1], axis=1, num_split=2),
        "size is not in the file",
    ),
    "statistics of the batch": (
        lambda x: raw.FusedBatchNormV3(x=x[:, :, None, None], scale=[1.0], offset=[0.0], mean=[], variance=[])[0],
        "training mode",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_name_the_operator_and_the_reason(what):
    build, words = REFUSALS[what]
    assert_refused(build, words, np.zeros((2, 3), np.float32), free=True)


ELSEWHERE = (
    # tests/test_cudnn.py
    "CudnnRNNCanonicalToParams CudnnRNNCanonicalToParamsV2 "
    # tests/lift/test_control.py
    "Enter RefEnter Exit RefExit Merge RefMerge Switch RefSwitch LoopCond TensorArray TensorArrayV2 TensorArrayV3 "
    "TensorListReserve EmptyTensorList TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3 TensorArrayUnpack "
    "TensorListFromTensor TensorArrayRead TensorArrayReadV2 TensorArrayReadV3 TensorListGetItem TensorArrayGather "
    "TensorArrayGatherV2 TensorArrayGatherV3 TensorArrayPack TensorListStack TensorArrayConcat TensorArrayConcatV2 "
    "TensorArrayConcatV3 TensorArraySize TensorArraySizeV2 TensorArraySizeV3 TensorListLength "
    # other names of what is tested here, which TensorFlow 2 cannot build any more, and what a graph begins with
    "Variable RefIdentity CheckNumerics CheckNumericsV2 EnsureShape GuaranteeConst VariableShape "
    "Placeholder PlaceholderV2 Const Stack TopK PlaceholderWithDefault "
    "LookupTableFind LookupTableSize StringSplit StringToHashBucketStrong "
    # what the functions of `tf` are made of
    "IdentityN Print Pack Cast ExpandDims Fill Tile OneHot Pad Range ConcatV2 Reshape ReverseSequence ReverseV2 Slice "
    "Split Squeeze StridedSlice Transpose GatherNd GatherV2 InvertPermutation DynamicPartition DynamicStitch"
)


def test_no_operator_is_forgotten():
    tests = Path(__file__).parent.glob("test_*.py")
    said = set(re.findall(r"\w+", "".join(t.read_text(encoding="utf-8") for t in tests)))
    assert {op for op, record in OPERATORS.items() if record.onnx} - said == set()


def stood_for(quantized):
    return raw.Dequantize(input=quantized, min_range=-1.0, max_range=2.0, mode="MIN_FIRST")


def test_quantized_weights_are_the_numbers_that_they_stand_for():
    with tf.Graph().as_default(), v1.Session() as session:
        held = session.run(tf.bitcast(tf.constant([[0, 9, 255], [7, 8, 130]], tf.uint8), tf.quint8))
    check(lambda x: tf.matmul(x, stood_for(tf.constant(held, tf.quint8))), normal(4, 2), free=True)


def test_numbers_at_equal_distances_as_later_programs_write_them():
    check(lambda x: tf.linspace(x[0], x[1], 5), normal(2))  # BroadcastArgs of shapes that the graph knows


def test_numbers_that_are_quantized_at_run_time_are_refused():
    words = "reads quantized numbers that are no constants with one range"
    assert_refused(lambda x: stood_for(tf.bitcast(tf.cast(x, tf.uint8), tf.quint8)), words, normal(4, 2))


def test_a_type_that_holds_no_numbers_is_refused():
    with pytest.raises(LiftError, match="a tensor of type 'variant' cannot be computed: it holds no numbers"):
        onnx_type("variant")
