"""Models in numbers of 16 bits: computed in 32, they agree with TensorFlow to the rounding of the shorter type."""

import numpy as np
import pytest

import reprise
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

N, T, D, H = 3, 16, 4, 5
#: The distance of two neighbours near one, times the steps over which it may add up.
TOLERANCE = {"float16": 2.0**-10 * T, "bfloat16": 2.0**-7 * T}


def build(dtype, compute):
    """A GRU over [T, N, D] whose variables are of one type and whose arithmetic is of another."""
    x, first = v1.placeholder(compute, [None, None, D], "x"), v1.placeholder(compute, [None, H], "h")

    def dense(name, value, width):
        kernel, bias = (variable(f"{name}/{k}", *s, dtype=dtype) for k, s in (("k", (D + H, width)), ("b", (width,))))
        return tf.matmul(value, tf.cast(kernel, compute)) + tf.cast(bias, compute)

    def step(t, h, made):
        r, u = tf.split(tf.sigmoid(dense("gates", tf.concat([x[t], h], 1), 2 * H)), 2, axis=1)
        h = u * h + (1 - u) * tf.tanh(dense("candidate", tf.concat([x[t], r * h], 1), H))
        return t + 1, h, made.write(t, tf.cast(h, tf.float32))

    steps = tf.shape(x)[0]
    with v1.variable_scope("gru", reuse=v1.AUTO_REUSE):
        _, last, made = v1.while_loop(lambda t, *_: t < steps, step, (0, first, tf.TensorArray(tf.float32, steps)))
    return {"x": x, "first": first, "last": last, "output": made.stack()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("wide", [False, True], ids=["throughout", "variables alone"])
def test_steps_from_random_state_are_those_of_tensorflow(tmp_path, dtype, wide):
    random = np.random.default_rng(0)
    kind = tf.float32 if wide else tf.as_dtype(dtype)
    x = random.normal(size=(T, N, D)).astype(kind.as_numpy_dtype)
    start = random.normal(0, 0.5, (N, H)).astype(kind.as_numpy_dtype)
    with session() as opened:
        made = build(tf.as_dtype(dtype), kind)
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        state, wanted = start, []
        for t in range(T):
            row, state = opened.run([made["output"], made["last"]], {made["x"]: x[t : t + 1], made["first"]: state})
            wanted.append(row[0])
    model = reprise.restore(tmp_path)
    (port,), (state_port,) = model.interface.outputs, model.interface.states
    assert state_port.dtype == kind.name
    said = [line for line in model.interface.evidence if "computed in float32" in line]
    assert said == ([] if wide else [f"{dtype} numbers are computed in float32, more exactly than TensorFlow does"])
    carried, tolerance = model.initial_state(N).replace({state_port.name: start}), TOLERANCE[dtype]
    for t in range(T):
        outputs, carried = model.step(x[t].astype(np.float32), carried)
        np.testing.assert_allclose(outputs[port.name], wanted[t], atol=1e-5 if wide else tolerance)
    np.testing.assert_allclose(
        np.asarray(carried[state_port.name], np.float32), np.asarray(state, np.float32), atol=tolerance
    )
