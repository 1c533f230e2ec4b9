"""Variables that functions of TensorFlow 2 read and assign: in order, in calls, in branches and in loops."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.errors import AmbiguousInterface, DiscoveryError
from reprise.graph import Graph, Node, Value
from reprise.interface.normal.effects import without_effects

N, D, H = 2, 3, 4


class Model(tf.Module):
    """A cell whose state `h` is a variable, with others beside it."""

    def __init__(self, function, shape):
        super().__init__()
        random = np.random.default_rng(5)
        values = {"w": (D, H), "u": (H, H), "h": (N, H), "other": (N, H)}
        for name, sizes in values.items():
            setattr(self, name, tf.Variable(random.normal(0, 0.7, sizes).astype(np.float32), name=name))
        self.count = tf.Variable(0, name="count")
        self.function = tf.function(
            lambda x: function(self, x), input_signature=[tf.TensorSpec(shape, tf.float32, "x")]
        )

    def cell(self, x, h):
        return tf.tanh(x @ self.w + h @ self.u)

    def move(self, x):
        self.h.assign(self.cell(x, self.h))


def in_one_branch(model, x):
    tf.cond(tf.reduce_sum(x) > 0, lambda: model.h.assign_add(model.cell(x, model.h)).value(), lambda: model.h.value())
    return model.h @ model.u


def in_every_case(model, x):
    def case(scale):
        def change():
            model.move(scale * x)
            return model.h.value()

        return change

    number = tf.reduce_sum(tf.cast(x > 0, tf.int32)) % 3
    return tf.switch_case(number, [case(1.0), case(-2.0), case(0.5)])


def read_in_a_branch(model, x):
    model.move(x)
    model.other.assign(tf.cond(tf.reduce_sum(x) > 0, lambda: 2 * model.h, lambda: model.other - model.h))
    return model.other @ model.u


def in_a_loop(model, x):
    tf.while_loop(lambda i: i < 3, lambda i: (model.move(x), i + 1)[1], [0])
    return model.h @ model.u


def in_calls(model, x):
    @tf.function
    def twice(y):
        model.move(y)
        return 2 * model.h

    return twice(x) + twice(x / 2) + model.h


def in_rows(model, x):
    model.h.scatter_nd_update([[1]], model.cell(x, model.h)[:1])
    return model.h @ model.u


def given_as_it_is(model, x):
    h = model.cell(x, model.h)
    model.h.assign(h)
    return h


def beside_an_input_alike(model, x):
    h = model.cell(x[:, :D], x / 2 + model.h)
    model.h.assign(h)
    return h - x


def saved(function, folder, shape=(N, D)):
    model = Model(function, shape)
    tf.saved_model.save(model, str(folder))
    return model, reprise.restore(Path(folder))


@pytest.mark.parametrize(
    "function", [in_one_branch, in_every_case, read_in_a_branch, in_a_loop, in_calls, in_rows, given_as_it_is]
)
def test_an_assignment_counts_where_it_stands(function, tmp_path):
    model, restored = saved(function, tmp_path)
    state = restored.initial_state(N)
    step = restored.step if restored.interface.steppable else restored.run
    for x in np.random.default_rng(2).normal(size=(5, N, D)).astype(np.float32):
        outputs, state = step(x, state)
        np.testing.assert_allclose(outputs["output_0"], model.function(x), atol=1e-5)
    np.testing.assert_allclose(state["layer0.h"], model.h, atol=1e-5)


def over_a_sequence(model, x):
    states, h = tf.TensorArray(tf.float32, 0, dynamic_size=True), model.h.value()
    for t in tf.range(tf.shape(x)[1]):
        h = model.cell(x[:, t], h)
        states = states.write(t, h)
    model.h.assign(h)
    return states.stack()


def in_two_layers(model, x):
    first, h = over_a_sequence(model, x), model.other.value()
    states = tf.TensorArray(tf.float32, 0, dynamic_size=True)
    for t in tf.range(tf.shape(first)[0]):
        h = tf.tanh((first[t] + h) @ model.u)
        states = states.write(t, h)
    model.other.assign(h)
    return states.stack()


@pytest.mark.parametrize("function", [over_a_sequence, in_two_layers])
def test_a_loop_over_tf_range_is_stepped_and_leaves_its_states(function, tmp_path):
    model, restored = saved(function, tmp_path, (N, None, D))
    x, state = np.random.default_rng(3).normal(size=(3, N, 4, D)).astype(np.float32), restored.initial_state(N)
    for part in x:
        expected = model.function(part)
        for t, row in enumerate(np.moveaxis(part, 1, 0)):
            outputs, state = restored.step(row, state)
            np.testing.assert_allclose(outputs["output_0"], expected[t], atol=1e-5)


def with_another_beside(model, x):
    states, h = tf.TensorArray(tf.float32, 0, dynamic_size=True), model.other.value()
    for t in tf.range(tf.shape(x)[1]):
        h = tf.tanh(2 * model.cell(x[:, t], h))
        states = states.write(t, h)
    return over_a_sequence(model, x), states.stack()


def test_an_input_like_an_output_is_no_state_beside_those_in_variables(tmp_path):
    model, restored = saved(beside_an_input_alike, tmp_path, (N, H))
    assert [s.name for s in restored.interface.states] == ["layer0.h"]
    state = restored.initial_state(N)
    for x in np.random.default_rng(6).normal(size=(4, N, H)).astype(np.float32):
        outputs, state = restored.step(x, state)
        np.testing.assert_allclose(outputs["output_0"], model.function(x), atol=1e-5)


def test_states_of_which_any_may_be_the_input_are_asked_for(tmp_path):
    class Step(tf.Module):
        def __init__(self):
            super().__init__()
            self.u = tf.Variable(np.eye(H, dtype=np.float32))

        @tf.function(input_signature=[tf.TensorSpec([N, H], tf.float32, n) for n in ("x", "a", "b", "c", "h")])
        def __call__(self, x, a, b, c, h):
            i, f, g, o = tf.split(tf.concat([x, h], 1) @ tf.tile(self.u, [2, 4]), 4, 1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            return h + b, c, h, a + tf.sin(h), tf.tanh(a) - b

    tf.saved_model.save(Step(), str(tmp_path))
    with pytest.raises(AmbiguousInterface, match=r"which arguments of a step are its states.*a:0 with"):
        reprise.restore(tmp_path)


def test_results_that_rest_on_different_loops_are_outputs_of_one_model(tmp_path):
    model, restored = saved(with_another_beside, tmp_path, (N, None, D))
    x = np.random.default_rng(4).normal(size=(N, 5, D)).astype(np.float32)
    outputs, _ = restored.run(x)
    for k, expected in enumerate(model.function(x)):
        np.testing.assert_allclose(outputs[f"output_{k}"], expected, atol=1e-5)


def counted(model, x):
    model.move(x)
    model.count.assign_add(1)
    return model.h * tf.cast(model.count, tf.float32)


def decayed(model, x):
    given = over_a_sequence(model, x)
    model.h.assign(model.h / 2)
    return given


def added(model, x):
    h = model.cell(x, model.h)
    for _ in tf.range(2):
        h = model.cell(x, h) + model.h
    model.h.assign(h)
    return h


@pytest.mark.parametrize(
    ("function", "shape", "variable"),
    [(counted, (N, D), "count"), (decayed, (N, None, D), "h"), (added, (N, D), "h")],
)
def test_a_variable_that_would_be_forgotten_is_refused(function, shape, variable, tmp_path):
    with pytest.raises(DiscoveryError, match=f"variable '{variable}' is changed by every call .* is no state"):
        saved(function, tmp_path, shape)


def test_a_variable_that_is_changed_in_part_is_refused(tmp_path):
    def function(model, x):
        model.h[:1].assign(model.cell(x, model.h)[:1])
        return model.h @ model.u

    with pytest.raises(DiscoveryError, match="ResourceStridedSliceAssign changes a part of the variable 'h'"):
        saved(function, tmp_path)


def test_assignments_without_an_order_are_refused():
    nodes = [Node("v", "VarHandleOp", (), (), {"dtype": "float32"}), Node("x", "Placeholder", (), (), {})]
    nodes += [Node(name, "AssignVariableOp", (Value("v"), Value("x"))) for name in ("one", "two")]
    nodes += [
        Node("read", "ReadVariableOp", (Value("v"),), ("one", "two")),
        Node("result", "Identity", (Value("read"),)),
    ]
    graph = Graph({n.name: n for n in nodes}, {}, (Value("result"),))
    with pytest.raises(
        DiscoveryError, match="one and two assign a variable before it, and the file does not say in wh"
    ):
        without_effects(graph)


def told_in_words(model, x):
    states = over_a_sequence(model, x)
    return states, model.words.lookup(tf.argmax(states, 2))


def test_what_is_told_in_words_besides_is_left_out(tmp_path):
    ids, words = tf.range(H, dtype=tf.int64), tf.constant(["a", "b", "c", "d"])
    model = Model(told_in_words, (N, None, D))
    model.words = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(ids, words), "?")
    tf.saved_model.save(model, str(tmp_path))
    x = np.ones((N, 5, D), np.float32)
    outputs, _ = reprise.restore(tmp_path).run(x)
    assert list(outputs) == ["logits"]
    np.testing.assert_allclose(outputs["logits"], model.function(x)[0], atol=1e-5)
