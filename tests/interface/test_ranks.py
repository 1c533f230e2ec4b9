"""Placeholders whose shape a file does not state: frozen graphs keep nothing of what `set_shape` says."""

import numpy as np
import pytest

import reprise
from reprise.errors import AmbiguousInterface
from tests.graphs import D, H, V, gru, lstm, rolled
from tests.tensorflow.building import session, tf, v1, variable

N, T = 2, 3


def rows(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def given(*shape, dtype=tf.float32):
    x = v1.placeholder(dtype)
    x.set_shape(shape)
    return x


def scores(hidden):
    return tf.tensordot(hidden, variable("output", H, V), 1, name="y")


def looped(sequence):
    """Scores of a GRU over rows [T, N, D]."""
    return scores(rolled(gru, sequence, [tf.zeros([N, H])])[0])


def batch_first():
    x = given(None, None, D)
    return {x: rows(N, T, D)}, looped(tf.transpose(x, [1, 0, 2]))


def looked_up():
    x = given(None, None, dtype=tf.int32)
    return {x: np.int32([[0, 3, 1], [2, 2, 6]])}, looped(tf.transpose(tf.gather(variable("table", V, D), x), [1, 0, 2]))


def one_hot():
    x = v1.placeholder(tf.int32)
    return {x: np.int32([[0, 3], [1, 2], [2, 1]])}, looped(tf.reshape(tf.one_hot(x, D), [-1, N, D]))


def laid_out():
    x = v1.placeholder(tf.float32)
    return {x: rows(T, N, D)}, looped(tf.reshape(x, [-1, N, D]))


def shifted():
    x = given(None, None, D)
    return {x: rows(N, T, D)}, looped(tf.transpose((x - variable("mean", D)) / 2.0, [1, 0, 2]))


def written_out():
    x, h, made = given(N, T, D), tf.zeros([N, H]), []
    for row in tf.unstack(x, axis=1):
        (h,) = gru(row, h)
        made.append(h)
    return {x: rows(N, T, D)}, scores(tf.stack(made))


def cut_into_steps():
    x, h, made = v1.placeholder(tf.float32), tf.zeros([N, H]), []
    for row in tf.split(x, T, 1):
        (h,) = gru(tf.reshape(row, [N, D]), h)
        made.append(h)
    return {x: rows(N, T, D)}, scores(tf.stack(made))


def state_given():
    x, h = given(T, N, D), v1.placeholder(tf.float32)
    h.set_shape([None, H])
    return {x: rows(T, N, D), h: rows(N, H)}, scores(rolled(gru, x, [h])[0])


def frozen(tmp_path, build):
    """What is fed to a frozen graph, by tensor, what TensorFlow computes, and the states of one step."""
    with session() as opened:
        fed, y, *nexts = build()
        opened.run(v1.global_variables_initializer())
        truth = opened.run(y, fed)
        graph = v1.graph_util.convert_variables_to_constants(opened, opened.graph_def, [y.op.name])
    (tmp_path / "model.pb").write_bytes(graph.SerializeToString())
    return {t.name: value for t, value in fed.items()}, truth, *nexts


@pytest.mark.parametrize(
    "build", [batch_first, looked_up, one_hot, laid_out, shifted, written_out, cut_into_steps, state_given]
)
def test_a_placeholder_has_the_shape_that_its_readers_ask_for(tmp_path, build):
    fed, truth = frozen(tmp_path, build)
    model = reprise.restore(tmp_path / "model.pb")
    (port,), states = model.interface.inputs, model.interface.states
    assert len(port.shape) == fed[port.tensor].ndim
    start = {s.name: fed[s.source_in] for s in states if s.source_in in fed}
    outputs, _ = model.run(fed[port.tensor], model.initial_state(N).replace(start))
    np.testing.assert_allclose(next(iter(outputs.values())), truth, rtol=1e-4, atol=1e-5)


def one_step():
    """An LSTM whose x and h have any width that adds up to that of its kernel."""
    x, c, h = given(N, D), given(N, H), given(N, H)
    after = lstm(x, c, h)
    nexts = {c.name: after[0].name, h.name: after[1].name}
    return {x: rows(N, D), c: rows(N, H), h: rows(N, H)}, scores(after[1]), nexts


def test_a_state_that_is_chosen_has_the_shape_of_its_next_value(tmp_path):
    fed, truth, nexts = frozen(tmp_path, one_step)
    with pytest.raises(AmbiguousInterface, match="Placeholder:0 or Placeholder_2:0 may be a state"):
        reprise.restore(tmp_path / "model.pb")
    model = reprise.restore(tmp_path / "model.pb", states=nexts)
    assert [p.shape for p in model.interface.inputs] == [(None, None, D)]
    start = {s.name: fed[s.source_in] for s in model.interface.states}
    outputs, _ = model.step(fed["Placeholder:0"], model.initial_state(N).replace(start))
    np.testing.assert_allclose(next(iter(outputs.values())), truth, rtol=1e-4, atol=1e-5)
