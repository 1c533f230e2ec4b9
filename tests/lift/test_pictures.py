"""Pictures and what is beside each other in them, against TensorFlow itself: windows, strides, layouts, borders."""

import numpy as np
import pytest

from tests.lift.translating import assert_refused, check, normal, raw, tf


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("free", [False, True])
def test_pictures(padding, free):
    x, kernel = normal(2, 7, 6, 3), normal(3, 2, 3, 4)
    for stride, apart in ((1, 1), (2, 1), (1, 2), *([] if free else [(2, 3), (3, 2)])):
        strides, dilations = [1, stride, stride, 1], [1, apart, apart, 1]
        build = lambda x, k, s=strides, d=dilations: raw.Conv2D(  # noqa: E731
            input=x, filter=k, strides=s, padding=padding, dilations=d
        )
        check(build, x, kernel, free=(0,) if free else (), atol=1e-5)
    window = {"ksize": [1, 2, 3, 1], "strides": [1, 2, 1, 1], "padding": padding}
    check(lambda x: raw.MaxPool(input=x, **window), -np.abs(x), free=free)
    check(lambda x: raw.AvgPool(value=x, **window), x, free=free)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("free", [False, True])
def test_volumes(padding, free):
    x, kernel = normal(2, 5, 6, 7, 3), normal(2, 3, 2, 3, 4)
    for strides in ([1, 1, 1, 1, 1], [1, 2, 1, 3, 1]):
        check(
            lambda x, k, s=strides: raw.Conv3D(input=x, filter=k, strides=s, padding=padding),
            x,
            kernel,
            free=free,
            atol=1e-5,
        )
    window = {"ksize": [1, 2, 3, 1, 1], "strides": [1, 2, 1, 1, 1], "padding": padding}
    check(lambda x: raw.MaxPool3D(input=x, **window), -np.abs(x), free=free)
    check(lambda x: raw.AvgPool3D(input=x, **window), x, free=free)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_each_channel_for_itself_and_channels_in_groups(padding):
    options = {"padding": padding, "strides": [1, 2, 2, 1]}
    for apart in (1, 2) if padding == "VALID" else (1,):
        build = lambda x, k, d=apart: raw.DepthwiseConv2dNative(  # noqa: E731
            input=x, filter=k, strides=[1, 2 // d, 2 // d, 1], padding=padding, dilations=[1, d, d, 1]
        )
        check(build, normal(2, 7, 6, 3), normal(3, 2, 3, 4), rtol=1e-4, atol=1e-5)
    check(lambda x, k: raw.Conv2D(input=x, filter=k, **options), normal(2, 7, 6, 4), normal(3, 2, 2, 6), atol=1e-5)


def test_borders_given_as_numbers():
    borders = [0, 0, 1, 2, 0, 3, 0, 0]
    build = lambda x, k: raw.Conv2D(  # noqa: E731
        input=x, filter=k, strides=[1, 1, 2, 1], padding="EXPLICIT", explicit_paddings=borders
    )
    check(build, normal(2, 7, 6, 3), normal(3, 2, 3, 4), atol=1e-5)


def test_a_sequence_as_a_picture_of_one_row():
    for padding in ("SAME", "VALID"):
        check(lambda x, k, p=padding: tf.nn.conv1d(x, k, 1, p), normal(2, 9, 3), normal(3, 3, 4), free=(0,), atol=1e-5)
        build = lambda x, k, p=padding: tf.nn.convolution(x, k, padding=p, dilations=[2])  # noqa: E731
        check(build, normal(2, 9, 3), normal(3, 3, 4), free=(0,), atol=1e-5)


@pytest.mark.parametrize(("padding", "stride"), [("SAME", 1), ("SAME", 2), ("SAME", 4), ("VALID", 2), ("VALID", 3)])
def test_pictures_that_grow(padding, stride):
    """Conv2DBackpropInput, which `conv2d_transpose` is."""
    for height, width in ((4, 5), (1, 2)):
        wide = lambda n, k: n * stride if padding == "SAME" else (n - 1) * stride + k + (stride > 2)  # noqa: E731
        sizes = [2, wide(height, 3), wide(width, 2), 3]
        build = lambda x, k, s=sizes: tf.nn.conv2d_transpose(x, k, s, stride, padding)  # noqa: E731
        check(build, normal(2, height, width, 4), normal(3, 2, 3, 4), atol=1e-5)
    build = lambda x, k: raw.Conv3DBackpropInputV2(  # noqa: E731
        input_sizes=[2, 4, 5, 6, 3], filter=k, out_backprop=x, strides=[1] * 5, padding="SAME"
    )
    check(build, normal(2, 4, 5, 6, 4), normal(3, 2, 3, 3, 4), atol=1e-5)


def test_pictures_that_grow_whatever_their_size():
    def build(x, kernel):
        n, h, w = (tf.shape(x)[i] for i in range(3))
        return tf.nn.conv2d_transpose(x, kernel, tf.stack([n, h * 2, w * 2, 3]), 2, "SAME")

    check(build, normal(2, 3, 4, 4), normal(3, 3, 3, 4), free=(0,), atol=1e-5)


def test_pictures_whose_sizes_follow_from_known_ones():
    def build(x, kernel):
        picture = tf.reshape(x, [-1, 3, 2, 4])
        sizes = tf.shape(picture)
        return tf.nn.conv2d_transpose(picture, kernel, tf.stack([sizes[0], sizes[1] + 2, sizes[2] + 1, 3]), 1, "VALID")

    check(build, normal(2, 24), normal(3, 2, 3, 4), free=(0,), atol=1e-5)


@pytest.mark.parametrize("free", [False, True])
def test_blocks_that_become_rows_and_rows_that_become_blocks(free):
    for blocks, borders in (([2], [[1, 2]]), ([3, 2], [[0, 2], [1, 1]])):
        build = lambda x, b=blocks, p=borders: raw.SpaceToBatchND(input=x, block_shape=b, paddings=p)  # noqa: E731
        check(build, normal(2, 7, 4, 3), free=free)
        build = lambda x, b=blocks, p=borders: raw.BatchToSpaceND(input=x, block_shape=b, crops=p)  # noqa: E731
        check(build, normal(12, 3, 4, 3), free=free)
    check(lambda x: raw.SpaceToBatch(input=x, paddings=[[0, 1], [1, 1]], block_size=2), normal(2, 7, 4, 3), free=free)
    check(lambda x: raw.BatchToSpace(input=x, crops=[[0, 1], [1, 0]], block_size=2), normal(8, 3, 4, 3), free=free)


@pytest.mark.parametrize("op", ["DepthToSpace", "SpaceToDepth"])
@pytest.mark.parametrize("free", [False, True])
def test_blocks_that_become_channels_and_channels_that_become_blocks(op, free):
    check(lambda x: getattr(raw, op)(input=x, block_size=2), normal(2, 4, 6, 8), free=free)


@pytest.mark.parametrize("op", ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
def test_normalisation_by_the_statistics_of_training(op):
    numbers = [normal(5), normal(5), normal(5), np.abs(normal(5))]
    for epsilon in (1e-3, 0.1):
        build = lambda x, s, b, m, v, e=epsilon: getattr(raw, op)(  # noqa: E731
            x=x, scale=s, offset=b, mean=m, variance=v, epsilon=e, is_training=False
        )[0]
        check(build, normal(2, 3, 4, 5), *numbers, rtol=1e-4)


def test_normalisation_by_the_channels_beside():
    for options in ({}, {"depth_radius": 2, "bias": 2.0, "alpha": 0.3, "beta": 0.75}):
        check(lambda x, o=options: raw.LRN(input=x, **o), normal(2, 3, 4, 9), rtol=1e-4)
    check(lambda x: tf.nn.l2_normalize(x, -1), normal(2, 3, 4))


def grown_by_a_number(x):
    sizes = tf.concat([tf.shape(x)[:1], tf.cast(x[0, 0, 0, :2], tf.int32), [1]], 0)
    return tf.nn.conv2d_transpose(x, np.ones((3, 3, 1, 4), np.float32), sizes, 2)


REFUSALS = {
    "a window over channels": (
        lambda x: raw.MaxPool(input=x, ksize=[1, 1, 1, 2], strides=[1, 1, 1, 2], padding="VALID"),
        "has ksize along the batch or the channels",
    ),
    "borders of its own": (
        lambda x: raw.Conv2DBackpropInput(
            input_sizes=[2, 8, 8, 1],
            filter=normal(3, 3, 1, 4),
            out_backprop=x,
            strides=[1, 2, 2, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 0, 1, 0, 1, 0, 0],
        ),
        "cuts off by numbers of its own",
    ),
    "sizes computed at run time": (grown_by_a_number, "size is computed at run time"),
    "strides over unknown sizes": (
        lambda x: raw.Conv2D(
            input=x, filter=normal(2, 2, 4, 1), strides=[1, 2, 2, 1], padding="SAME", dilations=[1, 2, 2, 1]
        ),
        "dilations, and strides over an image of unknown size",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_name_the_operator_and_the_reason(what):
    build, words = REFUSALS[what]
    assert_refused(build, words, np.full((2, 4, 4, 4), 8, np.float32), free=True)
