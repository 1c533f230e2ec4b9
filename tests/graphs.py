"""Recurrent graphs as programs for TensorFlow 1 write them, saved."""

from pathlib import Path

from reprise.formats._tensorflow import graphdef
from reprise.interface import Choices
from reprise.interface.discover import discover
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

N, T, D, H, V = 3, 16, 4, 5, 7


def dense(name, x, width):
    return tf.matmul(x, variable(f"{name}/kernel", x.shape[-1], width)) + variable(f"{name}/bias", width)


def lstm(x, c, h, name="lstm", peephole=False, projected=None):
    with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
        i, j, f, o = tf.split(dense("gates", tf.concat([x, h], 1), 4 * H), 4, axis=1)
        after = tf.sigmoid(f + 1.0 + (c * variable("f", H) if peephole else 0.0)) * c + tf.sigmoid(i) * tf.tanh(j)
        out = tf.sigmoid(o + (after * variable("o", H) if peephole else 0.0)) * tf.tanh(after)
        return after, tf.matmul(out, variable("projection", H, projected)) if projected else out


def gru(x, h, name="gru"):
    with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
        r, u = tf.split(tf.sigmoid(dense("gates", tf.concat([x, h], 1), 2 * H)), 2, axis=1)
        return (u * h + (1 - u) * tf.tanh(dense("candidate", tf.concat([x, r * h], 1), H)),)


def residual(x, c0, h0, h1):
    c0, h0 = lstm(x, c0, h0)
    (h1,) = gru(h0, h1)
    return c0, h0, h1 + h0


def normalised(x, c, h):
    """An LSTM over layer-normalised inputs, as no fused operator has it."""
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return lstm((x - mean) * tf.math.rsqrt(variance + 1e-6), c, h)


def rolled(cell, rows, first):
    """What dynamic_rnn writes: a loop over the rows [T, N, D]; gives the last state of each step, all at the end."""
    steps = tf.shape(rows)[0]
    read, made = tf.TensorArray(tf.float32, steps).unstack(rows), tf.TensorArray(tf.float32, steps)

    def body(t, made, *state):
        state = cell(read.read(t), *state)
        return t + 1, made.write(t, state[-1]), *state

    _, made, *last = v1.while_loop(lambda t, *_: t < steps, body, (0, made, *first))
    return made.stack(), last


def saved(tmp_path, *builds, **options):
    """The checkpoint of a graph in which all of `builds` stand."""
    with session(**options) as opened:
        for one in builds:
            one()
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def interface_of(*builds, functional=False, **choices):
    """What discovery says of a graph that is never saved."""
    with session(functional=functional) as opened:
        for build in builds:
            build()
        graph = graphdef.graph(opened.graph.as_graph_def(add_shapes=True), Path("graph"))
    return discover(graph, Choices(**choices)).interface
