"""Pad, PadV2 and MirrorPad: borders that the file states, and those that the graph computes."""

import numpy as np
import pytest

from tests.lift.translating import assert_refused, check, normal, raw, tf, whole

ONE = np.int32(1)


def up_to(x, steps):
    """Rows up to so many steps."""
    return [[0, 0], [0, steps - tf.shape(x)[1]]]


@pytest.mark.parametrize("free", [False, True])
def test_borders_of_a_number(free):
    check(lambda x: tf.pad(x, [[1, 0], [2, 3]]), normal(2, 3), free=free)
    check(lambda x: tf.pad(x, [[1, 0], [2, 3]], constant_values=7), normal(2, 3), free=free)  # PadV2


def test_borders_that_are_computed():
    check(lambda x: tf.pad(x, up_to(x, 7)), normal(2, 3), free=True)
    check(lambda x: tf.pad(x, up_to(x, 3)), normal(2, 3), free=True)
    check(lambda x, n: tf.pad(x, [[n, 2], [0, n]], constant_values=7.0), normal(2, 3), ONE)
    check(lambda x, n: tf.pad(x, tf.cast([[n, 2], [0, n]], tf.int64)), whole(0, 9, 2, 3), ONE)


def test_a_computed_border_below_zero_ends_the_call_as_in_tensorflow():
    """ONNX would cut rows off."""
    build = lambda x, n: tf.pad(x, [[0, 0], [0, n]])  # noqa: E731
    assert_refused(
        build, "the model could not run on .*out of data bounds", normal(2, 3), np.array(-1, np.int32), at=()
    )


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize("free", [False, True])
def test_borders_that_mirror_what_is_beside_them(mode, free):
    check(lambda x: raw.MirrorPad(input=x, paddings=[[2, 1], [0, 3]], mode=mode), normal(3, 4), free=free)
    check(lambda x: raw.MirrorPad(input=x, paddings=[[0, 2]], mode=mode), whole(0, 9, 3), free=free)
    check(lambda x, n: raw.MirrorPad(input=x, paddings=[[n, 2], [0, n]], mode=mode), normal(3, 4), ONE)


def test_borders_that_mirror_what_may_have_any_rank_are_refused():
    build = lambda x, s: tf.pad(tf.reshape(x, s), tf.stack([s - 1, s - 1], 1), "REFLECT")  # noqa: E731
    words = "mirrors at borders computed at run time, of what may have any rank"
    assert_refused(build, words, normal(3), np.array([3], np.int32), free=(1,))
