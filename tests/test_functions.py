"""Functions that TensorFlow 2 saved, restored and held against the functions themselves over many carried steps."""

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.errors import AmbiguousInterface, CallError

T, N, D, H, V = 5, 3, 4, 6, 7
FLOATS = tf.TensorSpec([None, H])


def weight(*shape):
    return tf.Variable(tf.random.stateless_normal(shape, [len(shape), sum(shape)], stddev=0.4))


class Model(tf.Module):
    """Weights for one cell of any kind."""

    def __init__(self):
        super().__init__()
        self.table, self.kernel, self.recurrent = weight(V, D), weight(D, 3 * H), weight(H, 3 * H)
        self.output, self.memory = weight(H, V), tf.Variable(tf.random.stateless_normal([1, H], [1, 2]), name="memory")

    def gru(self, ids, h):
        x, r = tf.split(tf.gather(self.table, ids) @ self.kernel, 3, 1), tf.split(h @ self.recurrent, 3, 1)
        z = tf.sigmoid(x[0] + r[0])
        return z * h + (1 - z) * tf.tanh(x[2] + tf.sigmoid(x[1] + r[1]) * r[2])

    def own(self, ids, a, b):
        """A cell that is none of the known ones, of two states."""
        x = tf.gather(self.table, ids) @ self.kernel
        a = 0.5 * a + tf.sin(x[:, :H] + b @ self.recurrent[:, :H])
        return a, tf.tanh(x[:, H : 2 * H] + a @ self.recurrent[:, H : 2 * H])


def saved(tmp_path, model, **functions):
    """The folder of a model whose signatures are these functions."""
    tf.saved_model.save(model, str(tmp_path), signatures=functions)
    return tmp_path


def agrees(model, step, rows=N):
    """Whether a restored model gives what `step(ids, states)` does, step by step and in one run, from random state."""
    random = np.random.default_rng(0)
    ids = random.integers(0, V, (T, rows)).astype(np.int32)
    first = model.initial_state(batch=rows)
    state = first.replace({name: random.normal(size=first[name].shape).astype(np.float32) for name in first})
    expected, after = [], [tf.constant(state[name]) for name in state]
    for one in ids:
        scores, after = step(tf.constant(one), after)
        expected.append(scores)
    outputs, last = model.run(ids, state)
    single = state
    for one, scores in zip(ids, expected, strict=True):
        made, single = model.step(one, single)
        assert any(np.allclose(scores, y, atol=1e-5) for y in made.values())
    assert any(np.allclose(np.stack(expected), y, atol=1e-5) for y in outputs.values())
    for name, value in zip(state, after, strict=True):
        np.testing.assert_allclose(last[name], value, atol=1e-5)
        np.testing.assert_allclose(single[name], value, atol=1e-5)


IDS = tf.TensorSpec([None], tf.int32)


def test_a_state_is_an_argument_and_a_result(tmp_path):
    model = Model()

    @tf.function(input_signature=[IDS, FLOATS])
    def step(ids, h):
        h = model.gru(ids, h)
        return {"scores": h @ model.output, "next": h}

    restored = reprise.restore(saved(tmp_path, model, step=step))
    assert [(s.source_in, s.source_out) for s in restored.interface.states] == [("h:0", "next:0")]
    assert [p.tensor for p in restored.interface.outputs] == ["scores:0"]
    agrees(restored, lambda ids, states: ((h := model.gru(ids, *states)) @ model.output, [h]))


def test_a_state_in_a_variable_starts_from_what_is_stored_and_can_be_set(tmp_path):
    model = Model()

    @tf.function(input_signature=[tf.TensorSpec([1], tf.int32)])
    def step(ids):
        model.memory.assign(model.gru(ids, model.memory))
        return {"scores": model.memory @ model.output}  # read after it was assigned

    restored = reprise.restore(saved(tmp_path, model, step=step))
    assert restored.interface.states[0].source_in == "memory:0"
    np.testing.assert_array_equal(restored.initial_state()["layer0.h"], model.memory.numpy())
    agrees(restored, lambda ids, states: ((h := model.gru(ids, *states)) @ model.output, [h]), rows=1)


def test_what_is_added_to_a_variable_in_a_function_that_is_called_is_its_next_state(tmp_path):
    model = Model()

    @tf.function
    def remember(ids):
        model.memory.assign_add(tf.gather(model.table, ids) @ model.kernel[:, :H])

    @tf.function(input_signature=[tf.TensorSpec([1], tf.int32)])
    def step(ids):
        before = tf.identity(model.memory)
        remember(ids)
        return (before + tf.tanh(model.memory)) @ model.output

    def expected(ids, states):
        after = states[0] + tf.gather(model.table, ids) @ model.kernel[:, :H]
        return (states[0] + tf.tanh(after)) @ model.output, [after]

    agrees(reprise.restore(saved(tmp_path, model, step=step)), expected, rows=1)


def test_states_of_an_unknown_cell_in_one_structure_go_on_in_its_order(tmp_path):
    model = Model()

    def step(ids, states):
        a, b = model.own(ids, *states)
        return b @ model.output, [a, b]

    model.step = tf.function(step, input_signature=[IDS, [FLOATS, FLOATS]])
    restored = reprise.restore(saved(tmp_path, model))
    assert [s.source_out for s in restored.interface.states] == ["result_1:0", "result_2:0"]
    agrees(restored, step)


def test_states_of_an_unknown_cell_that_could_be_exchanged_must_be_named(tmp_path):
    model = Model()

    @tf.function(input_signature=[IDS, FLOATS, FLOATS])
    def step(ids, a, b):
        a, b = model.own(ids, a, b)
        return {"x": b, "y": a, "scores": b @ model.output}

    folder = saved(tmp_path, model, step=step)
    with pytest.raises(
        AmbiguousInterface, match=r"a:0 with x:0 or y:0; b:0 with x:0 or y:0\. Say where every state enters"
    ):
        reprise.restore(folder)
    restored = reprise.restore(folder, states={"a:0": "y:0", "b:0": "x:0"})
    assert [(s.source_in, s.source_out) for s in restored.interface.states] == [("a:0", "y:0"), ("b:0", "x:0")]
    agrees(restored, lambda ids, states: ((own := model.own(ids, *states))[1] @ model.output, own))


def test_of_several_signatures_the_one_that_leaves_the_most_free_is_read_unless_one_is_named(tmp_path):
    model = Model()

    def signature(rate):
        @tf.function(input_signature=[IDS, FLOATS])
        def step(ids, h):
            h = model.gru(ids, h)
            return {"scores": tf.nn.dropout(h, rate) @ model.output, "next": h}

        return step

    weights = tf.function(lambda: {"x": model.output + 0}).get_concrete_function()
    folder = saved(tmp_path, model, noisy=signature(0.5), quiet=signature(0.0), weights=weights)
    evidence = reprise.restore(folder).interface.evidence
    assert "'quiet' is read, not noisy: it leaves as much to its caller as any other, or more" in evidence
    assert "weights: no recurrence is read there" in evidence
    assert not any("is read, not" in e for e in reprise.restore(folder, signature="noisy").interface.evidence)
    with pytest.raises(CallError, match="'other': the file has none of this name; it has noisy, quiet, weights"):
        reprise.restore(folder, signature="other")


def test_functions_of_different_weights_that_leave_as_much_free_must_be_named(tmp_path):
    root = tf.Module()
    root.models = [Model(), Model()]

    def stepper(model):
        def step(ids, h):
            h = model.gru(ids, h)
            return {"scores": h @ model.output, "next": h}

        return tf.function(step, input_signature=[IDS, FLOATS])

    folder = saved(tmp_path, root, one=stepper(root.models[0]), two=stepper(root.models[1]))
    with pytest.raises(AmbiguousInterface, match="2 functions of the file are equally good: one, two"):
        reprise.restore(folder)
