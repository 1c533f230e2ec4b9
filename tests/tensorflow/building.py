"""Small recurrent graphs of TensorFlow 1, written by hand."""

from contextlib import contextmanager

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

SYMBOLS, HIDDEN = 7, 5


@contextmanager
def session(*, functional=False, seed=0):
    """A session over an empty graph whose loops are frames, or functional."""
    was = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    try:
        with tf.Graph().as_default(), v1.Session() as opened:
            v1.set_random_seed(seed)
            yield opened
    finally:
        (v1.enable_control_flow_v2 if was else v1.disable_control_flow_v2)()


def variable(name, *shape, **options):
    return v1.get_variable(name, shape, initializer=v1.random_normal_initializer(stddev=0.5, seed=len(name)), **options)


def weights(hidden=HIDDEN, **options):
    """The variables of a language model: embedding, LSTM, projection."""
    return {
        "embedding": variable("embedding", SYMBOLS, 4, **options),
        "kernel": variable("lstm/kernel", 4 + hidden, 4 * hidden, **options),
        "bias": variable("lstm/bias", 4 * hidden, **options),
        "projection": variable("projection/kernel", hidden, SYMBOLS, **options),
    }


def lstm(held, x, c, h):
    i, j, f, o = tf.split(tf.concat([x, h], 1) @ held["kernel"] + held["bias"], 4, axis=1)
    c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
    return c, tf.sigmoid(o) * tf.tanh(c)


def by_while(held, rows, c, h):
    """The hidden states [T, N, H], and the last c and h."""
    steps = tf.shape(rows)[0]
    read = tf.TensorArray(tf.float32, steps).unstack(rows)
    made = tf.TensorArray(tf.float32, steps)

    def body(t, c, h, made):
        c, h = lstm(held, read.read(t), c, h)
        return t + 1, c, h, made.write(t, h)

    _, c, h, made = v1.while_loop(lambda t, *_: t < steps, body, (0, c, h, made))
    return made.stack(), c, h


def by_scan(held, rows, c, h):
    cs, hs = tf.scan(lambda state, x: lstm(held, x, *state), rows, (c, h))
    return hs, cs[-1], hs[-1]


def language_model(loop=by_while, *, tokens="tokens", state=tf.zeros, **options):
    """Tensors of a model over unnamed states that start from zeros."""
    held = weights(**options)
    ids = v1.placeholder(tf.int32, [None, None], name=tokens)
    first = [state([tf.shape(ids)[0], held["bias"].shape[0] // 4], name=name) for name in ("zeros_c", "zeros_h")]
    rows = tf.transpose(tf.nn.embedding_lookup(held["embedding"], ids), [1, 0, 2])
    hidden, *last = loop(held, rows, *first)
    hidden = tf.transpose(hidden, [1, 0, 2])
    scores = tf.matmul(tf.reshape(hidden, [-1, hidden.shape[-1]]), held["projection"])
    logits = tf.reshape(scores, [tf.shape(ids)[0], -1, SYMBOLS], name="logits")
    return {"ids": ids, "first": first, "last": last, "logits": logits}


def saved_by_tensorflow(session, prefix, **options):
    session.run(v1.global_variables_initializer())
    return v1.train.Saver(**options).save(session, str(prefix), write_state=False)


def numbers(session):
    return {v.op.name: session.run(v) for v in v1.global_variables()}


def ids(rows, steps, seed=1):
    return np.random.default_rng(seed).integers(0, SYMBOLS, (rows, steps)).astype(np.int32)
