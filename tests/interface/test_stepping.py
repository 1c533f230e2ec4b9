"""Single steps are offered only where they are the same as a run: what mixes steps is told, and what only looks so."""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, N, T, V, interface_of, lstm, rolled, saved
from tests.tensorflow.building import tf, v1, variable

# What a program does with the hidden states [T, N, H] before its last product.
KEEP = {
    "nothing": lambda h: h,
    "batch first": lambda h: tf.transpose(h, [1, 0, 2]),
    "flat": lambda h: tf.reshape(h, [-1, H]),
    "flat and back": lambda h: tf.reshape(tf.reshape(h, [-1, H]), tf.shape(h)),
    "halves exchanged": lambda h: tf.concat([h[:, :, 2:], h[:, :, :2]], 2),
    "columns backwards": lambda h: h[:, :, ::-1],
    "columns by number": lambda h: tf.gather(h, [4, 3, 2, 1, 0], axis=2),
    "normalised in itself": lambda h: h - tf.reduce_mean(h, 2, keepdims=True),
    "a product by letters": lambda h: tf.einsum("tnh,hk->tnk", h, variable("square", H, H)),
    "a wider vector": lambda h: tf.pad(h, [[0, 0], [0, 0], [1, 2]])[:, :, 2 : H + 2],
    "the angle of two numbers": lambda h: tf.atan2(h, h[:, :, ::-1]),
    "filled to its size": lambda h: h * tf.fill(tf.shape(h), 2.0),
    "tiled to its size": lambda h: h + tf.tile(tf.ones([1, 1, H]), [tf.shape(h)[0], tf.shape(h)[1], 1]),
    "divided by the number of rows, unpacked": lambda h: h / tf.cast(tf.unstack(tf.shape(h))[1], tf.float32),
    "divided by the number of rows": lambda h: h / tf.cast(tf.shape(h)[1], tf.float32),
    "printed": lambda h: v1.Print(h, [tf.shape(h)]),
    "the last step": lambda h: h[-1],
    "the last step, still with time": lambda h: h[-1:],
}
MIX = {
    "backwards": lambda h: h[::-1],
    "backwards by an operator": lambda h: tf.reverse(h, [0]),
    "backwards by number": lambda h: tf.gather(h, tf.range(tf.shape(h)[0])[::-1]),
    "one late": lambda h: tf.concat([tf.zeros_like(h[:1]), h[:-1]], 0),
    "every other": lambda h: h[::2],
    "the first step": lambda h: h[0],
    "taken for batch first": lambda h: tf.reshape(h, [tf.shape(h)[1], tf.shape(h)[0], H]),
    "normalised over time": lambda h: h - tf.reduce_mean(h, 0, keepdims=True),
    "attention over time": lambda h: tf.nn.softmax(h, axis=0) * h,
    "a running sum": lambda h: tf.cumsum(h, 0),
    "the mean over time": lambda h: tf.reduce_mean(h, 0),
    "the sum that attention weighs": lambda h: tf.reduce_sum(tf.nn.softmax(tf.reduce_sum(h, 2, True), 0) * h, 0),
    "every step with every other": lambda h: tf.reduce_mean(h[:, None] * h[None], 0),
    "every step with every other by letters": lambda h: tf.einsum("tnh,snh->tns", h, h)[:, :, :1],
    "a sum over steps by letters": lambda h: tf.einsum("tnh->nh", h),
    "a step before the first": lambda h: tf.pad(h, [[1, 0], [0, 0], [0, 0]])[:-1],
    "what came before": lambda h: h + h[-1],
    "divided by the number of steps": lambda h: h / tf.cast(tf.shape(h)[0], tf.float32),
    "divided by the number of steps, unpacked": lambda h: h / tf.cast(tf.unstack(tf.shape(h))[0], tf.float32),
    "divided by the number of steps, split off": lambda h: h / tf.cast(tf.split(tf.shape(h), 3)[0], tf.float32),
    "a share of the number of steps": lambda h: (
        h * tf.nn.softmax(tf.stack([tf.cast(tf.shape(h)[0], tf.float32), 1.0]))[0]
    ),
    "filled with the number of steps": lambda h: h * tf.fill(tf.shape(h), tf.cast(tf.shape(h)[0], tf.float32)),
    "all steps but the last": lambda h: h * mask_of(tf.fill([1], tf.shape(h)[0] - 1), h),
    "one way for many steps": lambda h: v1.cond(tf.shape(h)[0] > 2, lambda: -h, lambda: h),
    "a number for many steps": lambda h: h * v1.cond(tf.shape(h)[0] > 2, lambda: 1.0, lambda: 2.0),
    "one way for a large sum": lambda h: v1.cond(tf.reduce_sum(h) > 0, lambda: -h, lambda: h),
    "a running sum one way": lambda h: v1.cond(tf.shape(h)[1] > 1, lambda: tf.cumsum(h, 0), lambda: h),
    "two rows for each step": lambda h: tf.reshape(
        tf.transpose(tf.concat([h, -h], 2), [1, 0, 2]), [tf.shape(h)[1], -1, H]
    ),
}


def mask_of(lengths, h):
    return tf.transpose(tf.sequence_mask(lengths, tf.shape(h)[0], tf.float32))[:, :, None]


def restored(tmp_path, after=lambda h: h, before=lambda x: x):
    def graph():
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        hidden, _ = rolled(lstm, before(rows), [tf.zeros([tf.shape(rows)[1], H])] * 2)
        shown = after(hidden)
        product = tf.tensordot(shown, variable("output", H, V), [[len(shown.shape) - 1], [0]])
        tf.identity(product, "y")

    return reprise.restore(saved(tmp_path, graph))


@pytest.mark.parametrize("after", KEEP)
def test_what_keeps_steps_apart_can_be_stepped_and_gives_the_same(tmp_path, after):
    model = restored(tmp_path, KEEP[after])
    assert model.interface.steppable, model.interface.why_not
    (port,) = model.interface.outputs
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    whole, ended = model.run(xs)
    state, steps = None, []
    for x in xs:
        outputs, state = model.step(x, state)
        steps.append(outputs[port.name].reshape(N, -1))
    rows = whole[port.name] if port.time_axis is None else np.moveaxis(whole[port.name], port.time_axis, 0)
    kept = steps if port.time_axis is not None or port.rows is not None else steps[-1:]
    np.testing.assert_allclose(np.stack(kept), rows.reshape(len(kept), N, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["layer0.h"], ended["layer0.h"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("after", MIX)
def test_what_mixes_steps_is_not_stepped(tmp_path, after):
    interface = restored(tmp_path, MIX[after]).interface
    assert not interface.steppable
    assert interface.why_not


@pytest.mark.parametrize("before", ["backwards", "one late", "normalised over time", "taken for batch first"])
def test_inputs_that_are_mixed_before_the_loop(tmp_path, before):
    moved = MIX[before] if before != "taken for batch first" else lambda x: tf.reshape(x, tf.shape(x))[::-1]
    assert not restored(tmp_path, before=moved).interface.steppable


def test_the_reason_names_the_node(tmp_path):
    assert (
        restored(tmp_path, MIX["a running sum"]).interface.why_not
        == "Cumsum 'Cumsum' computes with several steps at once"
    )
    joined = restored(tmp_path, MIX["what came before"]).interface
    assert joined.why_not.startswith("AddV2 'add' joins every step with the last one")


def convolved(x, window=1, padding="SAME", stride=1):
    """A convolution over time of rows [T, N, D]."""
    moved = tf.nn.conv1d(tf.transpose(x, [1, 0, 2]), variable("conv", window, D, D), stride, padding)
    return tf.transpose(tf.nn.relu(moved), [1, 0, 2])


def test_a_convolution_one_step_wide_is_stepped(tmp_path):
    model = restored(tmp_path, before=convolved)
    assert model.interface.steppable, model.interface.why_not
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    state, steps = None, []
    for x in xs:
        outputs, state = model.step(x, state)
        steps.append(outputs.popitem()[1])
    np.testing.assert_allclose(np.stack(steps), model.run(xs)[0].popitem()[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("window", "padding", "stride"), [(3, "SAME", 1), (1, "SAME", 2)])
def test_a_convolution_that_sees_or_leaves_out_other_steps_is_not(tmp_path, window, padding, stride):
    interface = restored(tmp_path, before=lambda x: convolved(x, window, padding, stride)).interface
    assert not interface.steppable
    assert interface.why_not


def test_a_graph_of_one_step_whose_input_has_no_room_for_time_is_stepped(tmp_path):
    def one_step():
        seen = v1.placeholder(tf.float32, [None, D], "seen")
        c, h = (v1.placeholder(tf.float32, [None, H], name) for name in "ch")
        _, after = lstm(tf.tanh(seen), c, h)
        tf.matmul(after, variable("output", H, V), name="y")

    model = reprise.restore(saved(tmp_path, one_step))
    assert model.interface.steppable, model.interface.why_not
    assert [p.time_axis for p in model.interface.inputs] == [None]
    state = model.initial_state(N)
    for seen in np.random.default_rng(0).normal(size=(T, N, D)):
        _, state = model.step(seen.astype(np.float32), state)
    assert np.any(state["layer0.h"][0] != state["layer0.h"][1])


def in_the_body(tmp_path, change):
    """A loop whose body computes `change(t, count, h)`, where `count` is the number of steps."""

    def graph():
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        count = tf.shape(rows)[0]
        read, made = tf.TensorArray(tf.float32, count).unstack(rows), tf.TensorArray(tf.float32, count)

        def body(t, h, made):
            after = tf.tanh(change(t, count, tf.matmul(tf.concat([read.read(t), h], 1), variable("cell", D + H, H))))
            return t + 1, after, made.write(t, after)

        *_, made = v1.while_loop(lambda t, *_: t < count, body, (0, tf.zeros([tf.shape(rows)[1], H]), made))
        tf.tensordot(made.stack(), variable("output", H, V), [[2], [0]], name="y")

    return reprise.restore(saved(tmp_path, graph)).interface


def test_a_body_that_computes_with_the_number_of_steps(tmp_path):
    divided = in_the_body(tmp_path / "divided", lambda t, count, h: h / tf.cast(count, tf.float32))
    halves = in_the_body(tmp_path / "halves", lambda t, count, h: tf.where(t < count // 2, h, -h))
    ended = in_the_body(tmp_path / "ended", lambda t, count, h: tf.where(t >= count, tf.zeros_like(h), h))
    for interface in (divided, halves):
        assert interface.why_not == "loop 'while/while_context' computes with the number of steps"
    assert ended.steppable


def test_a_search_for_the_best_sequences_is_told_as_such():
    def graph():
        table, code = variable("table", V, H), v1.placeholder(tf.float32, [None, H], "code")

        def body(t, h, made):
            _, best = tf.math.top_k(tf.matmul(h, table, transpose_b=True), 2)
            h = tf.tanh(h + tf.reduce_sum(tf.gather(table, best), 1))
            return t + 1, h, made.write(t, h)

        first = 0, tf.tanh(code), tf.TensorArray(tf.float32, T)
        tf.tensordot(v1.while_loop(lambda t, *_: t < T, body, first)[-1].stack(), table, [[2], [1]], name="y")

    found = interface_of(graph)
    assert not found.steppable
    assert "searches: each step goes on with the best candidates of the last (while/TopKV2)" in found.why_not
