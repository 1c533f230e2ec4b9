"""What follows the recurrence in a random program: scores, parts, choices, training."""

import tensorflow as tf

from tests.programs import cells

v1 = tf.compat.v1
V = 6


def add(program, rows):
    """Adds a head over rows [T, N, H], or [N, H] of one step, and what is trained."""
    if program.steps == 1 and rows.shape.rank == 2:
        axes, flat = "n", rows
    else:
        layout = program.choose("whole", "flat", "flat", "last")
        axes, flat = _laid_out(program, rows, layout)
    kind = program.choose(*HEADS)
    found = HEADS[kind](program, flat)
    if axes in ("tn", "nt") and program.draw.random() < 0.3:
        found = [tf.identity(t) for t in found]
    program.outputs += [(t, axes) for t in found]
    if program.choose("plain", "plain", "trained") == "trained" and found[0].dtype == tf.float32 and axes != "last":
        _train(program, found[0])


def _laid_out(program, rows, layout):
    axes = program.draw.choice(["tn", "nt"])
    if layout == "last":
        return "last", rows[-1]
    if axes == "nt":
        rows = tf.transpose(rows, [1, 0, 2])
    return (axes, rows) if layout == "whole" else ("flat " + axes, tf.reshape(rows, [-1, int(rows.shape[-1])]))


def _scores(x, width=V, name="head"):
    kernel, bias = cells.weights(name + "/W", int(x.shape[-1]), width), cells.weights(name + "/b", width)
    return (tf.matmul(x, kernel) if x.shape.rank == 2 else tf.tensordot(x, kernel, 1)) + bias


def _dense(program, x):
    return [tf.identity(_scores(x), program.named("logits"))]


def _both(program, x):
    scores = _scores(x)
    return [scores, tf.nn.softmax(scores)]


def _probabilities(program, x):
    return [tf.nn.softmax(_scores(x), name=program.named("chances"))]


def _squashed(program, x):
    return [tf.nn.sigmoid(_scores(x))]


def _split(program, x):
    return tf.split(_scores(x), 3, axis=-1)


def _split_sizes(program, x):
    return tf.split(_scores(x), [1, 2, 3], axis=-1)


def _unstacked(program, x):
    return tf.unstack(_scores(x, 3), axis=-1)


def _ranked(program, x):
    found = tf.nn.top_k(_scores(x), 3)
    return [found.values, found.indices]


def _ranked_chances(program, x):
    found = tf.nn.top_k(tf.nn.softmax(_scores(x)), 2)
    return [found.values, found.indices]


def _mixture(program, x):
    shares, means, widths = tf.split(_scores(x), 3, axis=-1)
    return [tf.nn.softmax(shares), means, tf.exp(widths)]


def _handwriting(program, x):
    z = _scores(x, 13)
    end, rest = z[..., :1], z[..., 1:]
    shares, one, two, wide, high, rho = tf.split(rest, 6, axis=-1)
    return [tf.sigmoid(end), tf.nn.softmax(shares), one, two, tf.exp(wide), tf.exp(high), tf.tanh(rho)]


def _actor(program, x):
    return [tf.nn.softmax(_scores(x, name="policy")), tf.squeeze(_scores(x, 1, "value"), -1)]


def _two(program, x):
    return [_scores(x, 4, "one"), _scores(tf.nn.relu(_scores(x, 5, "between")), 3, "other")]


def _hidden(program, x):
    return [tf.identity(x, "hidden")]


HEADS = {
    "dense": _dense,
    "both": _both,
    "probabilities": _probabilities,
    "squashed": _squashed,
    "split": _split,
    "split sizes": _split_sizes,
    "unstacked": _unstacked,
    "ranked": _ranked,
    "ranked chances": _ranked_chances,
    "mixture": _mixture,
    "handwriting": _handwriting,
    "actor": _actor,
    "two": _two,
    "hidden": _hidden,
}


def _train(program, scores):
    wanted = v1.placeholder(tf.float32, scores.shape, program.named("targets"))
    loss = tf.reduce_mean(tf.math.squared_difference(scores, wanted))
    v1.summary.scalar("loss", loss)
    held = v1.trainable_variables()
    slopes, _ = tf.clip_by_global_norm(tf.gradients(loss, held), 5.0)
    pairs = [(g, v) for g, v in zip(slopes, held)]
    v1.train.AdamOptimizer(0.01).apply_gradients(pairs)
