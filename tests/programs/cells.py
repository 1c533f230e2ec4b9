"""Recurrent cells as programs for TensorFlow 1 write them, by hand or from its own library.

Runs with any TensorFlow from 1.15 on, so it is written for Python 3.7.
"""

import tensorflow as tf

v1 = tf.compat.v1


def weights(name, *shape):
    width = shape[0] if len(shape) > 1 else 4
    return v1.get_variable(name, shape, initializer=v1.random_normal_initializer(stddev=0.9 / width**0.5))


def dense(name, x, width, bias=True):
    product = tf.matmul(x, weights(name + "/kernel", int(x.shape[-1]), width))
    return tf.nn.bias_add(product, weights(name + "/bias", width)) if bias else product


def gates(name, x, h, units, count):
    return tf.split(dense(name, tf.concat([x, h], 1), count * units), count, axis=1)


def normalised(name, x):
    mean, variance = tf.nn.moments(x, [1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-6) * (1 + weights(name, int(x.shape[-1])))


class Cell:
    """A cell of one's own: `step(x, states, units)` gives the output and the next states."""

    def __init__(self, step, units, states=1, output=None):
        self.step, self.units, self.name = step, units, step.__name__.strip("_")
        self.state_size = units if states == 1 else (units,) * states
        self.output_size = output or units
        if output:
            self.state_size = (units, output)

    def zero_state(self, batch, dtype):
        return tf.nest.map_structure(lambda size: tf.zeros(tf.stack([batch, size]), dtype), self.state_size)

    def __call__(self, x, state, scope=None):
        with v1.variable_scope(scope or self.name):
            out, states = self.step(x, tf.nest.flatten(state), self.units)
        return out, tf.nest.pack_sequence_as(self.state_size, states)


def elman(x, states, units):
    h = tf.tanh(dense("cell", tf.concat([x, states[0]], 1), units))
    return h, [h]


def rectified(x, states, units):
    """An RNN of rectified units, its input and state multiplied apart."""
    h = tf.nn.relu(dense("in", x, units) + dense("recurrent", states[0], units, bias=False) * 0.7)
    return h, [h]


def lstm(x, states, units):
    c, h = states
    i, j, f, o = gates("gates", x, h, units, 4)
    c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
    h = tf.tanh(c) * tf.sigmoid(o)
    return h, [c, h]


def lstm_h_first(x, states, units):
    h, c = states
    out, (c, h) = lstm(x, [c, h], units)
    return out, [h, c]


def peephole(x, states, units):
    c, h = states
    i, j, f, o = gates("gates", x, h, units, 4)
    after = tf.sigmoid(f + weights("f", units) * c) * c + tf.sigmoid(i + weights("i", units) * c) * tf.tanh(j)
    h = tf.sigmoid(o + weights("o", units) * after) * tf.tanh(after)
    return h, [after, h]


def projected(x, states, units):
    c, h = states
    i, j, f, o = gates("gates", x, h, units, 4)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(j)
    h = dense("projection", tf.sigmoid(o) * tf.tanh(c), int(h.shape[-1]), bias=False)
    return h, [c, h]


def coupled(x, states, units):
    c, h = states
    f, j, o = gates("gates", x, h, units, 3)
    c = c * tf.sigmoid(f) + (1 - tf.sigmoid(f)) * tf.tanh(j)
    h = tf.tanh(c) * tf.sigmoid(o)
    return h, [c, h]


def layer_norm_lstm(x, states, units):
    c, h = states
    parts = gates("gates", x, h, units, 4)
    i, j, f, o = [normalised(f"norm{k}", part) for k, part in enumerate(parts)]
    c = normalised("after", c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j))
    h = tf.tanh(c) * tf.sigmoid(o)
    return h, [c, h]


def multiplicative(x, states, units):
    c, h = states
    m = dense("mx", x, units, bias=False) * dense("mh", h, units, bias=False)
    return lstm(x, [c, m], units)


def gru(x, states, units):
    (h,) = states
    r, u = tf.split(tf.sigmoid(dense("gates", tf.concat([x, h], 1), 2 * units)), 2, axis=1)
    h = u * h + (1 - u) * tf.tanh(dense("candidate", tf.concat([x, r * h], 1), units))
    return h, [h]


def gru_after(x, states, units):
    """A GRU whose reset gate comes after the product, as Cudnn has it."""
    (h,) = states
    ours, theirs = tf.split(dense("in", x, 3 * units), 3, 1), tf.split(dense("recurrent", h, 3 * units), 3, 1)
    z, r = tf.sigmoid(ours[0] + theirs[0]), tf.sigmoid(ours[1] + theirs[1])
    h = z * h + (1 - z) * tf.tanh(ours[2] + r * theirs[2])
    return h, [h]


def minimal(x, states, units):
    (h,) = states
    f = tf.sigmoid(dense("f", tf.concat([x, h], 1), units))
    h = (1 - f) * h + f * tf.tanh(dense("h", tf.concat([x, f * h], 1), units))
    return h, [h]


def update_gate(x, states, units):
    (h,) = states
    g, c = gates("gates", x, h, units, 2)
    g = tf.sigmoid(g + 1.0)
    h = g * h + (1 - g) * tf.tanh(c)
    return h, [h]


def intersection(x, states, units):
    """Its output is one of two that it makes, its state the other: both are as wide."""
    (h,) = states
    y, g, hc, yc = gates("gates", x, h, units, 4)
    h, out = tf.sigmoid(g) * h + (1 - tf.sigmoid(g)) * tf.tanh(hc), tf.sigmoid(y) * tf.tanh(yc)
    return out, [h]


def independent(x, states, units):
    h = tf.tanh(dense("in", x, units) + states[0] * weights("recurrent", units))
    return h, [h]


def simple_recurrent(x, states, units):
    """SRU: only the gates of the input decide what the cell keeps."""
    (c,) = states
    candidate, f, r = tf.split(dense("in", x, 3 * units), 3, 1)
    c = tf.sigmoid(f) * c + (1 - tf.sigmoid(f)) * candidate
    skipped = dense("skip", x, units, bias=False)
    return tf.sigmoid(r) * tf.tanh(c) + (1 - tf.sigmoid(r)) * skipped, [c]


def grouped(x, states, units):
    """GLSTM: two halves, each an LSTM of its own."""
    c, h = states
    made = []
    for k, part in enumerate(tf.split(x, 2, 1) if int(x.shape[-1]) % 2 == 0 else [x, x]):
        with v1.variable_scope(f"group{k}"):
            half = slice(k * (units // 2), (k + 1) * (units // 2))
            made.append(lstm(part, [c[:, half], h[:, half]], units // 2)[1])
    c, h = (tf.concat(parts, 1) for parts in zip(*made))
    return h, [c, h]


def leaky(x, states, units):
    (h,) = states
    h = 0.8 * h + 0.2 * tf.tanh(dense("cell", tf.concat([x, h], 1), units))
    return h, [h]


def fast_weights(x, states, units):
    """A trace beside the state, of the state that was."""
    h, a = states
    after = tf.tanh(dense("in", x, units) + dense("recurrent", h, units, bias=False) + 0.3 * a)
    return after, [after, 0.9 * a + 0.5 * h]


def clockwork(x, states, units):
    """Counts its steps; half of it moves at every other one."""
    h, count = states
    after = tf.tanh(dense("cell", tf.concat([x, h], 1), units))
    slow = tf.cast(tf.range(units) < units // 2, tf.float32)
    wait = slow * tf.cast(tf.math.floormod(count, 2.0) > 0.5, tf.float32)
    return wait * h + (1 - wait) * after, [wait * h + (1 - wait) * after, tf.math.floormod(count + 1.0, 8.0)]


def recalling(x, states, units):
    """Attends to what is the same at every step: a memory of four rows in its weights."""
    (h,) = states
    memory = weights("memory", 4, units)
    seen = tf.matmul(tf.nn.softmax(tf.matmul(h, memory, transpose_b=True)), memory)
    h = tf.tanh(dense("cell", tf.concat([x, seen, h], 1), units))
    return h, [h]


def recent(x, states, units):
    """Attends to its own last outputs: two of them, one after the other in the state."""
    h, before = states
    window = tf.stack([h, before], 1)
    share = tf.nn.softmax(tf.reduce_sum(tf.tanh(window) * weights("query", units), 2))
    seen = tf.reduce_sum(window * tf.expand_dims(share, 2), 1)
    after = tf.tanh(dense("cell", tf.concat([x, seen], 1), units))
    return after, [after, h]


def block_lstm(x, states, units):
    c, h = states
    made = tf.raw_ops.LSTMBlockCell(
        x=x,
        cs_prev=c,
        h_prev=h,
        w=weights("kernel", int(x.shape[-1]) + units, 4 * units),
        wci=weights("wci", units),
        wcf=weights("wcf", units),
        wco=weights("wco", units),
        b=weights("bias", 4 * units),
        forget_bias=1.0,
        cell_clip=-1.0,
        use_peephole=False,
    )
    return made.h, [made.cs, made.h]


def block_gru(x, states, units):
    (h,) = states
    width = int(x.shape[-1]) + units
    made = tf.raw_ops.GRUBlockCell(
        x=x,
        h_prev=h,
        w_ru=weights("gates/kernel", width, 2 * units),
        w_c=weights("candidate/kernel", width, units),
        b_ru=weights("gates/bias", 2 * units),
        b_c=weights("candidate/bias", units),
    )
    return made.h, [made.h]


#: Name → the cell of so many units, and how many states it has.
OWN = {
    step.__name__: lambda units, step=step: Cell(step, units)
    for step in (
        elman,
        rectified,
        gru,
        gru_after,
        minimal,
        update_gate,
        intersection,
        independent,
        simple_recurrent,
        leaky,
        recalling,
        block_gru,
    )
}
OWN.update(
    {
        step.__name__: lambda units, step=step: Cell(step, units, 2)
        for step in (
            lstm,
            lstm_h_first,
            peephole,
            coupled,
            layer_norm_lstm,
            multiplicative,
            grouped,
            fast_weights,
            recent,
            block_lstm,
            clockwork,
        )
    }
)
OWN["projected"] = lambda units: Cell(projected, units, output=units - 1)


class Wrapped:
    """A cell with something around it: `around(x, out)` gives what comes out instead."""

    def __init__(self, cell, around):
        self.cell, self.around = cell, around
        self.state_size, self.output_size, self.zero_state = cell.state_size, cell.output_size, cell.zero_state

    def __call__(self, x, state, scope=None):
        with v1.variable_scope(scope or "wrapped"):
            out, state = self.cell(x, state)
            return self.around(x, out), state


def residual(x, out):
    return x + out if int(x.shape[-1]) == int(out.shape[-1]) else out


def highway(x, out):
    if int(x.shape[-1]) != int(out.shape[-1]):
        return out
    carry = tf.sigmoid(dense("carry", x, int(x.shape[-1])))
    return carry * x + (1 - carry) * out


def output_projection(x, out):
    return dense("outwards", out, int(out.shape[-1]))


def bounded(x, out):
    return tf.clip_by_value(out, -0.4, 0.4)


WRAPPERS = {w.__name__: w for w in (residual, highway, output_projection, bounded)}


class Stack:
    """Cells one above the other, as one cell whose state is a tuple of theirs."""

    def __init__(self, cells):
        self.cells, self.output_size = cells, cells[-1].output_size
        self.state_size = tuple(cell.state_size for cell in cells)

    def zero_state(self, batch, dtype):
        return tuple(cell.zero_state(batch, dtype) for cell in self.cells)

    def __call__(self, x, state, scope=None):
        states = []
        with v1.variable_scope(scope or "stack"):
            for k, cell in enumerate(self.cells):
                with v1.variable_scope(f"cell_{k}"):
                    x, after = cell(x, state[k])
                states.append(after)
        return x, tuple(states)


def library():
    """Name → a cell of so many units, of TensorFlow 1's own library, where this TensorFlow has it."""
    try:
        from tensorflow.contrib import grid_rnn, rnn
    except ImportError:
        return {}
    plain = v1.nn.rnn_cell
    return {
        "BasicRNNCell": plain.BasicRNNCell,
        "BasicLSTMCell": plain.BasicLSTMCell,
        "GRUCell": plain.GRUCell,
        "LSTMCell": lambda n: plain.LSTMCell(n, use_peepholes=True, num_proj=n),
        "LSTMCell clipped": lambda n: plain.LSTMCell(n, cell_clip=0.5, num_proj=n - 1, proj_clip=0.5),
        "LSTMCell packed": lambda n: plain.LSTMCell(n, state_is_tuple=False),
        "LSTMBlockCell": lambda n: rnn.LSTMBlockCell(n, use_peephole=True),
        "GRUBlockCellV2": rnn.GRUBlockCellV2,
        "LayerNormBasicLSTMCell": rnn.LayerNormBasicLSTMCell,
        "NASCell": rnn.NASCell,
        "NASCell projected": lambda n: rnn.NASCell(n, num_proj=n - 1),
        "IndRNNCell": rnn.IndRNNCell,
        "IndyGRUCell": rnn.IndyGRUCell,
        "IndyLSTMCell": rnn.IndyLSTMCell,
        "SRUCell": rnn.SRUCell,
        "GLSTMCell": lambda n: rnn.GLSTMCell(n, number_of_groups=2),
        "UGRNNCell": rnn.UGRNNCell,
        "IntersectionRNNCell": lambda n: rnn.IntersectionRNNCell(n, num_in_proj=n),
        "CoupledInputForgetGateLSTMCell": lambda n: rnn.CoupledInputForgetGateLSTMCell(n, num_proj=n),
        "AttentionCellWrapper": lambda n: rnn.AttentionCellWrapper(plain.GRUCell(n), 3, state_is_tuple=True),
        "ResidualWrapper": lambda n: rnn.InputProjectionWrapper(plain.ResidualWrapper(plain.GRUCell(n)), n),
        "HighwayWrapper": lambda n: rnn.InputProjectionWrapper(rnn.HighwayWrapper(plain.BasicLSTMCell(n)), n),
        "OutputProjectionWrapper": lambda n: rnn.OutputProjectionWrapper(plain.GRUCell(n), n),
        "Grid2LSTMCell": lambda n: grid_rnn.Grid2LSTMCell(n, use_peepholes=True),
        "PhasedLSTMCell": lambda n: Phased(rnn.PhasedLSTMCell(n)),
    }


class Phased:
    """A phased LSTM, whose time is the first of its inputs."""

    def __init__(self, cell):
        self.cell, self.state_size, self.output_size, self.zero_state = (
            cell,
            cell.state_size,
            cell.output_size,
            cell.zero_state,
        )

    def __call__(self, x, state, scope=None):
        return self.cell((tf.abs(x[:, :1]), x), state)
