"""Loops that somebody wrote by hand give what TensorFlow gives: all at once, and step by step where there is a step."""

import numpy as np
import pytest

import reprise
from reprise.errors import RepriseError
from reprise.verify import check_steps
from tests.graphs import D, H, interface_of
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

N, T = 2, 6


def cell(x, h):
    return tf.tanh(tf.concat([tf.ensure_shape(x, [None, D]), h], 1) @ variable_of_cell())


def variable_of_cell():
    with v1.variable_scope("cell", reuse=v1.AUTO_REUSE):
        return variable("kernel", D + H, H)


def loop(read, *, time=0, first=0, step=1, going=lambda t, n: t < n, collect=None, place=None):
    """A graph x → ys whose loop counts t from `first` by `step`, takes `read(x, t, n)`, and collects its states.

    It collects them at row `place(t, n)` of an array, or by `collect(ys, h)`.
    """

    def graph():
        x, h = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.float32, [None, H], "h")
        n, batch = tf.shape(x)[time], tf.shape(x)[1 - time]
        start = first(n) if callable(first) else first
        if place:
            ys, invariant = tf.TensorArray(tf.float32, n, element_shape=[None, H]), tf.TensorShape(None)
            put = lambda ys, t, h: ys.write(place(t, n), h)  # noqa: E731
        else:
            ys, invariant = tf.zeros([0, batch, H] if time == 0 else [batch, 0, H]), tf.TensorShape([None, None, H])
            put = lambda ys, t, h: collect(ys, h)  # noqa: E731

        def body(t, h, ys):
            h = cell(read(x, t, n), h)
            return t + step, h, put(ys, t, h)

        shapes = (tf.TensorShape([]), tf.TensorShape([None, H]), invariant)
        _, _, ys = v1.while_loop(lambda t, *_: going(t, n), body, (start, h, ys), shapes)
        tf.identity(ys.stack() if place else ys, "ys")

    return graph


def longer(ys, h):
    return tf.concat([ys, h[None]], 0)


def longer_rows(ys, h):
    return tf.concat([ys, h[:, None]], 1)


def in_front(ys, h):
    return tf.concat([h[None], ys], 0)


def same(t, n):
    return t


FORWARDS = {
    "x[t]": loop(lambda x, t, n: x[t], place=same),
    "x[t], collected": loop(lambda x, t, n: x[t], collect=longer),
    "x[:, t]": loop(lambda x, t, n: x[:, t], time=1, collect=longer_rows),
    "x[:, t:t+1, :]": loop(lambda x, t, n: tf.squeeze(x[:, t : t + 1, :], 1), time=1, collect=longer_rows),
    "gather": loop(lambda x, t, n: tf.gather(x, t, axis=1), time=1, collect=longer_rows),
    "slice": loop(lambda x, t, n: tf.squeeze(tf.slice(x, [t, 0, 0], [1, -1, -1]), [0]), place=same),
    "counting down": loop(
        lambda x, t, n: x[n - t], first=lambda n: n, step=-1, going=lambda t, n: t > 0, collect=longer
    ),
    "from one": loop(lambda x, t, n: x[t - 1], first=1, going=lambda t, n: t <= n, place=lambda t, n: t - 1),
    "until equal": loop(lambda x, t, n: x[t], going=lambda t, n: tf.not_equal(t, n), place=same),
}
LAST = {"first": lambda n: n - 1, "step": -1, "going": lambda t, n: t >= 0}
BACKWARDS = {
    "reads and writes": loop(lambda x, t, n: x[t], place=same, **LAST),
    "puts in front": loop(lambda x, t, n: x[t], collect=in_front, **LAST),
    "reads alone": loop(lambda x, t, n: x[t], collect=longer, **LAST),
    "turns while it counts up": loop(lambda x, t, n: x[n - 1 - t], place=lambda t, n: n - t - 1),
    "writes alone": loop(lambda x, t, n: x[t], collect=in_front),
}


def restored(graph, tmp_path, functional):
    """The model of `graph`, and inputs, a state and the outputs that TensorFlow gives for them."""
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(T, T, D)).astype(np.float32), rng.normal(size=(T, H)).astype(np.float32)
    with session(functional=functional) as opened:
        graph()
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        expected = opened.run("ys:0", {"x:0": x, "h:0": h})
    model = reprise.restore(tmp_path / "model.ckpt")
    return model, x, model.initial_state(batch=T).replace({"layer0.h": h}), expected


def whole(model, x, state):
    (got,) = model.run({"x": x}, state)[0].values()
    return got


def run_as_in_tensorflow(form, tmp_path, functional):
    """The model of a form with one state, once its whole sequences are TensorFlow's; what it was given and gave."""
    model, x, state, expected = restored(form, tmp_path, functional)
    assert [s.name for s in model.interface.states] == ["layer0.h"]
    np.testing.assert_allclose(whole(model, x, state), expected, atol=1e-5)
    return model, x, state, expected


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("form", FORWARDS)
def test_a_loop_that_goes_forwards_is_stepped(form, functional, tmp_path):
    model, x, state, expected = run_as_in_tensorflow(FORWARDS[form], tmp_path, functional)
    time = model.interface.inputs[0].time_axis
    for t in range(T):
        outputs, state = model.step({"x": x.take(t, time)}, state)
        np.testing.assert_allclose(next(iter(outputs.values())), expected.take(t, time), atol=1e-5)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("form", BACKWARDS)
def test_a_loop_that_goes_backwards_runs_over_whole_sequences(form, functional, tmp_path):
    model, *_ = run_as_in_tensorflow(BACKWARDS[form], tmp_path, functional)
    assert not model.interface.steppable
    assert "ReverseV2" in model.interface.why_not


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_without_a_first_state_starts_from_a_row(reverse, functional, tmp_path):
    def graph():
        x = v1.placeholder(tf.float32, [None, None, H], "x")
        v1.placeholder(tf.float32, [None, H], "h")
        ys = tf.scan(lambda h, row: tf.tanh(h @ variable("kernel", H, H)) + row, x, reverse=reverse)
        tf.identity(ys * 2.0, "ys")

    rows = np.random.default_rng(0).normal(size=(T, N, H)).astype(np.float32)
    with session(functional=functional) as opened:
        graph()
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        expected = opened.run("ys:0", {"x:0": rows})
    model = reprise.restore(tmp_path / "model.ckpt")
    np.testing.assert_allclose(whole(model, rows, None), expected, atol=1e-5)


def test_what_a_loop_collects_and_looks_back_at_is_no_state(tmp_path):
    def graph():
        x, h = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.float32, [None, H], "h")

        def body(t, h, ys):
            h = cell(x[t], h + tf.reduce_sum(ys, 0) / 9)
            return t + 1, h, tf.concat([ys, h[None]], 0)

        shapes = (tf.TensorShape([]), tf.TensorShape([None, H]), tf.TensorShape([None, None, H]))
        first = (0, h, tf.zeros([0, tf.shape(x)[1], H]))
        _, _, ys = v1.while_loop(lambda t, *_: t < tf.shape(x)[0], body, first, shapes)
        tf.multiply(ys, 2.0, "ys")

    model, x, state, expected = restored(graph, tmp_path, functional=False)
    np.testing.assert_allclose(whole(model, x, state), expected, atol=1e-5)
    assert [s.name for s in model.interface.states] == ["layer0.h"]
    assert model.interface.outputs[0].shape == (None, None, H)
    assert "cannot be held as a state" in model.interface.why_not


def test_weights_that_differ_from_step_to_step_cannot_be_stepped():
    def graph():
        places = variable("places", 20, D)
        loop(lambda x, t, n: x[t] + places[t], place=same)()

    assert "computes with the number of the step" in interface_of(graph).why_not


def test_two_steps_in_an_iteration_are_refused(tmp_path):
    def graph():
        x, h = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.float32, [None, H], "h")
        n, made = tf.shape(x)[0], tf.TensorArray(tf.float32, tf.shape(x)[0])

        def body(t, h, made):
            one = cell(x[t], h)
            two = cell(x[t + 1], one)
            return t + 2, two, made.write(t, one).write(t + 1, two)

        tf.identity(v1.while_loop(lambda t, *_: t < n, body, (0, h, made))[2].stack(), "ys")

    with pytest.raises(RepriseError, match="writes rows in another order than that of the iterations"):
        restored(graph, tmp_path, functional=False)


def test_a_next_row_that_is_read_only_while_there_is_one_is_left_to_its_branch(tmp_path):
    with session() as opened:
        x, lengths = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.int32, [None], "lengths")
        read = tf.TensorArray(tf.float32, tf.shape(x)[0], clear_after_read=False).unstack(x)

        def body(t, row, h, over, made):
            h, over = cell(row, h), tf.add(t, 1) >= lengths
            row = v1.cond(tf.reduce_all(over), lambda: tf.zeros_like(row), lambda: read.read(tf.add(t, 1)))
            return t + 1, row, h, over, made.write(t, h)

        made = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[None, H])
        first = 0, read.read(0), tf.zeros([tf.shape(x)[1], H]), lengths < 1, made
        going = lambda t, _, h, over, made: ~tf.reduce_all(over) & (t < 2 * T)  # noqa: E731
        ys = v1.while_loop(going, body, first)[-1].stack()
        saved_by_tensorflow(opened, tmp_path / "model")
        fed = {"x": np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32), "lengths": np.full(N, T)}
        truth = opened.run(ys, {f"{name}:0": array for name, array in fed.items()})
    outputs, _ = reprise.restore(tmp_path / "model").run(fed)
    np.testing.assert_allclose(outputs.popitem()[1], truth, rtol=1e-4, atol=1e-5)


def test_a_list_that_every_step_overwrites_holds_what_the_last_step_wrote(tmp_path):
    """As TensorFlow 2 writes a layer that gives its last output alone, in a list of one row."""

    def graph():
        x = v1.placeholder(tf.float32, [None, N, D], "x")
        steps = tf.shape(x)[0]
        made = tf.raw_ops.TensorListReserve(element_shape=[N, H], num_elements=1, element_dtype=tf.float32)

        def body(t, made, h):
            h = cell(x[t], h)
            return t + 1, tf.raw_ops.TensorListSetItem(input_handle=made, index=0, item=h), h

        _, made, _ = v1.while_loop(lambda t, *_: t < steps, body, (0, made, tf.zeros([N, H])))
        rows = tf.raw_ops.TensorListStack(input_handle=made, element_shape=[N, H], element_dtype=tf.float32)
        tf.identity(rows[-1] @ variable("head", H, 3), "last")

    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    with session() as opened:
        graph()
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        expected = opened.run("last:0", {"x:0": x})
    model = reprise.restore(tmp_path / "model.ckpt")
    np.testing.assert_allclose(model.run(x)[0]["last"], expected, atol=1e-5)
    check_steps(model).raise_if_different()
