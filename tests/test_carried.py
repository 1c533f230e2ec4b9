"""Carried state: T single steps are one run of T steps, however much of the program a file keeps."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import reprise
from reprise import verify
from tests.graphs import D, H, V, gru, lstm, residual, rolled
from tests.tensorflow.building import session, tf, v1, variable

ROWS, STEPS = 2, 3


def block_lstm(x, c, h):
    """What LSTMBlockCell of TensorFlow 1 writes: zeros, new for every step, where it has no peepholes."""
    with v1.variable_scope("block", reuse=v1.AUTO_REUSE):
        none = tf.zeros([H])
        weights = {"w": variable("kernel", D + H, 4 * H), "b": variable("bias", 4 * H)}
        made = tf.raw_ops.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, wci=none, wcf=none, wco=none, **weights)
        return made.cs, made.h


def block_gru(x, h):
    with v1.variable_scope("block", reuse=v1.AUTO_REUSE):
        kernels = {"w_ru": variable("ru", D + H, 2 * H), "w_c": variable("c", D + H, H)}
        biases = {"b_ru": variable("ru_bias", 2 * H), "b_c": variable("c_bias", H)}
        return (tf.raw_ops.GRUBlockCell(x=x, h_prev=h, **kernels, **biases).h,)


def rnn(x, h):
    return (tf.tanh(tf.matmul(x, variable("w", D, H)) + tf.matmul(h, variable("u", H, H)) + variable("b", H)),)


def sliced_gru(x, h):
    """As Keras writes it: every step cuts the kernels of its gates out of one kernel anew."""
    kernel, recurrent = variable("kernel", D, 3 * H), variable("recurrent", H, 3 * H)
    z = tf.sigmoid(tf.matmul(x, kernel[:, :H]) + tf.matmul(h, recurrent[:, :H]))
    r = tf.sigmoid(tf.matmul(x, kernel[:, H : 2 * H]) + tf.matmul(h, recurrent[:, H : 2 * H]))
    return (z * h + (1 - z) * tf.tanh(tf.matmul(x, kernel[:, 2 * H :]) + tf.matmul(r * h, recurrent[:, 2 * H :])),)


def reused(cell):
    """A cell that makes its variables once."""

    def made(*arguments):
        with v1.variable_scope("cell", reuse=v1.AUTO_REUSE):
            return cell(*arguments)

    return made


def fast_weights(x, a, h):
    """The next a is made of the last h, which no weight of this step has touched."""
    added = tf.matmul(x, variable("w", D, H)) + tf.matmul(h, variable("u", H, H)) + a
    return 0.9 * a + 0.1 * h, tf.tanh(added)


CELLS = {
    "sliced gru": (reused(sliced_gru), ["layer0.h"]),
    "fast weights": (reused(fast_weights), ["layer0.h", "layer1.h"]),
    "rnn": (reused(rnn), ["layer0.h"]),
    "lstm": (lstm, ["layer0.c", "layer0.h"]),
    "gru": (gru, ["layer0.h"]),
    "stack": (residual, ["layer0.c", "layer0.h", "layer1.h"]),
    "block lstm": (block_lstm, ["layer0.c", "layer0.h"]),
    "block gru": (block_gru, ["layer0.h"]),
}


def written_out(cell, rows, first):
    """The steps one after the other, as static_rnn writes them."""
    state, made = first, []
    for row in tf.unstack(rows, STEPS):
        state = cell(row, *state)
        made.append(state[-1])
    return tf.stack(made), list(state)


LOOPS = {"frame": rolled, "functional": rolled, "written out": written_out}


def frozen(opened, kept):
    """What `freeze_graph` keeps: the numbers of the variables, and what `kept` are computed from."""
    names = [t.op.name for t in kept]
    return v1.graph_util.convert_variables_to_constants(opened, opened.graph_def, names)


def renamed(graph):
    """The graph with names that say nothing."""
    new = {node.name: f"n{k}" for k, node in enumerate(graph.node)}
    for node in graph.node:
        node.name = new[node.name]
        node.input[:] = [re.sub(r"^(\^?)([^:]+)", lambda m: m[1] + new[m[2]], name) for name in node.input]
        node.attr.pop("_class", None)
    return graph


@st.composite
def programs(draw):
    """A cell, how its steps are written, which of its last states the file keeps, whether names are kept."""
    cell = draw(st.sampled_from(sorted(CELLS)))
    kept = draw(st.lists(st.booleans(), min_size=len(CELLS[cell][1]), max_size=len(CELLS[cell][1])))
    return cell, draw(st.sampled_from(sorted(LOOPS))), tuple(kept), draw(st.booleans()), draw(st.booleans())


def saved(program, path):
    """Freezes a program; gives its inputs, and what TensorFlow makes of them: outputs and last states."""
    cell, loop, kept, fed, anonymous = program
    function, states = CELLS[cell]
    with session(functional=loop == "functional") as opened:
        x = v1.placeholder(tf.float32, [STEPS if loop == "written out" else None, ROWS, D], "x")
        first = [v1.placeholder(tf.float32, [ROWS, H]) if fed else tf.zeros([ROWS, H]) for _ in states]
        hidden, last = LOOPS[loop](function, x, first)
        y = tf.tensordot(hidden, variable("output", H, V), 1, name="y")
        opened.run(v1.global_variables_initializer())
        rng = np.random.default_rng(0)
        rows, start = rng.normal(size=(STEPS, ROWS, D)), rng.normal(size=(len(states), ROWS, H)) * fed
        truth = opened.run([y, *last], {x: rows, **(dict(zip(first, start, strict=True)) if fed else {})})
        graph = frozen(opened, [y, *(tf.identity(t) for t, keep in zip(last, kept, strict=True) if keep)])
    path.write_bytes((renamed(graph) if anonymous else graph).SerializeToString())
    return rows.astype(np.float32), dict(zip(states, start.astype(np.float32), strict=True)), truth


@settings(max_examples=12)
@given(programs())
@example(("lstm", "frame", (False, False), True, False))
@example(("gru", "frame", (False,), False, True))
@example(("stack", "functional", (False, True, False), False, False))
@example(("block lstm", "written out", (False, False), True, False))
@example(("sliced gru", "written out", (False,), False, False))
@example(("fast weights", "written out", (False, False), False, True))
@example(("block gru", "written out", (False,), False, True))
def test_a_frozen_program_carries_the_state_of_tensorflow(tmp_path_factory, program):
    path = tmp_path_factory.mktemp("frozen") / "model.pb"
    rows, start, (y, *last) = saved(program, path)
    model = reprise.restore(path)
    assert model.interface.steppable, model.interface
    outputs, after = model.run(rows, model.initial_state(ROWS).replace(start))
    np.testing.assert_allclose(next(iter(outputs.values())), y, rtol=1e-4, atol=1e-5)
    for name, value in zip(start, last, strict=True):
        np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-5)
    verify.check_steps(model, steps=5).raise_if_different()


@pytest.mark.parametrize(
    ("program", "left"),
    [
        (("lstm", "frame", (False, True), True, False), ["while/lstm/add_3:0", "while/Exit_3:0"]),
        (("gru", "functional", (False,), False, False), ["while:4"]),
        (
            ("block lstm", "written out", (False, True), True, False),
            ["block_2/LSTMBlockCell:1", "block_2/LSTMBlockCell:6"],
        ),
    ],
)
def test_a_state_leaves_by_the_tensor_that_holds_its_next_value(tmp_path, program, left):
    """By its Exit, and where freezing dropped that by what goes to the next step inside the loop."""
    saved(program, tmp_path / "model.pb")
    states = reprise.restore(tmp_path / "model.pb").interface.states
    assert [s.source_out for s in states] == left
