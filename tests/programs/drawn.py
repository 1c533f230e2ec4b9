"""Random programs of TensorFlow 1: each builds a recurrent graph, and knows its inputs, states and outputs.

A program is drawn by a number. Runs with any TensorFlow from 1.15 on, so it is written for Python 3.7.
"""

import random

import numpy as np
import tensorflow as tf

from tests.programs import cells, heads

v1 = tf.compat.v1

#: Rows of a batch, and steps of a graph whose steps are written out.
N, UNROLLED = 3, 4
IDS = 9


class Program:
    """A graph under construction.

    Attributes:
        steps: Time steps of a call: 0 where any number is taken, 1 in a graph of one step without an axis of time.
        inputs: Tensor of an input of each step → its axes, such as "ntd"; the number of ids, or 0 for features.
        still: Tensor of an input that is the same at every step → its value.
        settings: Tensor of a setting → its value.
        first, last: The tensors of the states, as they enter and as they leave.
        held: The variables that hold the states between calls, where these do.
        outputs: Tensor → its axes: "tn", "nt", "n"; "flat tn" or "flat nt" of all rows in one; "last" of the last step.
        says: What it is made of.
    """

    def __init__(self, number):
        self.number, self.draw = number, random.Random(number)
        self.steps, self.batch = 0, None
        self.inputs, self.still, self.settings, self.outputs = [], [], [], []
        self.first, self.last, self.held, self.says = [], [], [], []
        self.packed = self.kept = False

    def choose(self, *choices):
        chosen = self.draw.choice(choices)
        self.says.append(str(chosen))
        return chosen

    def build(self):
        """The whole graph, in the default graph."""
        self.batch = self.choose(None, None, N)
        loop = self.choose(*LOOPS)
        self.kept = self.batch and loop != "block" and self.choose(*[False] * 6, True)
        self.steps = {"step": 1, "static": UNROLLED, "unrolled": UNROLLED}.get(loop, 0)
        if loop in ("static", "unrolled") and self.draw.random() < 0.3:
            self.steps = 2
        rows = self.rows(loop)
        rows = self.dropped(rows)
        layers = self.choose(1, 1, 2, 3)
        if layers > 1 and self.choose("a loop for each", "stacked") == "a loop for each" and loop != "block":
            for _ in range(layers):
                rows = self.looped(loop, rows, self.cell())
        else:
            rows = self.looped(
                loop, rows, cells.Stack([self.cell() for _ in range(layers)]) if layers > 1 else self.cell()
            )
        heads.add(self, rows)

    def rows(self, loop):
        """What the first layer reads: [T, N, D], or [N, D] of one step."""
        kind = self.choose("features", "features", "ids", "one-hot")
        axes = "n" if loop == "step" else self.draw.choice(["nt", "tn"])
        shape = [{"n": self.batch, "t": self.steps or None}[axis] for axis in axes]
        width = self.draw.choice([4, 5, 6])
        if kind == "features":
            x = v1.placeholder(tf.float32, [*shape, width], self.named("x"))
        else:
            x = v1.placeholder(tf.int32, shape, self.named("ids"))
        self.inputs.append((x, axes, 0 if kind == "features" else IDS))
        if kind == "ids":
            x = tf.nn.embedding_lookup(cells.weights("embedding", IDS, width), x)
        elif kind == "one-hot":
            x = tf.one_hot(x, IDS)
        self.axes = axes
        return tf.transpose(x, [1, 0, 2]) if axes == "nt" else x

    def named(self, name):
        return name if self.draw.random() < 0.5 else None

    def dropped(self, x):
        if self.draw.random() < 0.8:
            return x
        self.says.append("dropout")
        keep = (
            v1.placeholder(tf.float32, [], self.named("keep"))
            if self.draw.random() < 0.5
            else v1.placeholder_with_default(1.0, [], self.named("keep"))
        )
        self.settings.append((keep, 1.0))
        return v1.nn.dropout(x, keep)

    def cell(self):
        known = dict(cells.OWN)
        known.update(cells.library())
        units = self.draw.choice([4, 6])
        name = self.choose(*sorted(known))
        cell = known[name](units)
        if name in cells.OWN and self.draw.random() < 0.3:
            cell = cells.Wrapped(cell, cells.WRAPPERS[self.choose(*sorted(cells.WRAPPERS))])
        return cell

    # States

    def entering(self, cell, batch):
        """The nest of the states of a cell as they enter."""
        zero = cell.zero_state(batch, tf.float32)
        flat = tf.nest.flatten(zero)
        plain = all(t.dtype == tf.float32 and t.shape.rank == 2 for t in flat)
        border = (
            "variables" if self.kept else self.choose("zeros", "zeros", "placeholders", "defaults", "packed", "learned")
        )
        if self.kept and not plain:
            raise ValueError("some states of this cell cannot be held in variables")
        flat = self.BORDERS[border](self, flat) if plain and border != "zeros" else flat
        self.packed = border == "packed" and plain and len({int(t.shape[1]) for t in flat}) == 1
        if not self.packed:
            self.first += flat
        return tf.nest.pack_sequence_as(zero, flat)

    def _placeholders(self, flat):
        return [v1.placeholder(tf.float32, [self.batch, t.shape[1]], self.named("state")) for t in flat]

    def _defaults(self, flat):
        return [v1.placeholder_with_default(t, [self.batch, t.shape[1]], self.named("state")) for t in flat]

    def _packed(self, flat):
        """One placeholder for all, along a new first axis, where they are alike."""
        width = int(flat[0].shape[1])
        if len({int(t.shape[1]) for t in flat}) > 1:
            return self._placeholders(flat)
        whole = v1.placeholder(tf.float32, [len(flat), self.batch, width], self.named("states"))
        self.first.append(whole)
        return tf.unstack(whole)

    def _learned(self, flat):
        """Numbers that are learned, the same for every row."""
        first = [cells.weights(f"first{len(self.first) + k}", 1, int(t.shape[1])) for k, t in enumerate(flat)]
        if self.draw.random() < 0.3:
            return [w + t for w, t in zip(first, flat)]
        return [tf.tile(w, [self.batch or tf.shape(t)[0], 1]) for w, t in zip(first, flat)]

    def _variables(self, flat):
        held = [
            v1.get_variable(f"held{len(self.held) + k}", initializer=tf.zeros([N, int(t.shape[1])]), trainable=False)
            for k, t in enumerate(flat)
        ]
        self.held += held
        return held

    BORDERS = {  # noqa: RUF012 - a table
        "placeholders": _placeholders,
        "defaults": _defaults,
        "packed": _packed,
        "learned": _learned,
        "variables": _variables,
    }

    def leaving(self, states):
        """What is known of the states that leave; those that were packed are stacked."""
        flat = tf.nest.flatten(states)
        self.last += [tf.stack(flat)] if self.packed else flat

    # Loops

    def looped(self, loop, rows, cell):
        """What a cell gives of all rows, its states noted."""
        batch = self.batch or tf.shape(rows)[0 if loop == "step" else 1]
        with v1.variable_scope(None, self.draw.choice(["rnn", "decoder"])):
            if loop == "block":
                return self._block(rows)
            entered = self.entering(cell, batch)
            out, states = LOOPS[loop](self, cell, rows, entered)
            self.leaving(states)
        return out

    def _block(self, rows):
        """All steps of an LSTM by one operator."""
        units, width = 4, int(rows.shape[-1])
        batch = self.batch or tf.shape(rows)[1]
        c, h = (tf.zeros(tf.stack([batch, units])) for _ in "ch")
        made = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.shape(rows)[0], tf.int64),
            x=rows,
            cs_prev=c,
            h_prev=h,
            w=cells.weights("kernel", width + units, 4 * units),
            wci=tf.zeros([units]),
            wcf=tf.zeros([units]),
            wco=tf.zeros([units]),
            b=cells.weights("bias", 4 * units),
            forget_bias=1.0,
            cell_clip=-1.0,
            use_peephole=False,
        )
        self.first += [c, h]
        self.last += [made.cs[-1], made.h[-1]]
        return made.h


def _step(program, cell, x, state):
    return cell(x, state)


def _dynamic(program, cell, rows, state):
    if program.draw.random() < 0.5:
        out, state = v1.nn.dynamic_rnn(cell, tf.transpose(rows, [1, 0, 2]), initial_state=state)
        return tf.transpose(out, [1, 0, 2]), state
    return v1.nn.dynamic_rnn(cell, rows, initial_state=state, time_major=True)


def _while(program, cell, rows, state):
    steps = tf.shape(rows)[0]
    read, made = tf.TensorArray(tf.float32, steps).unstack(rows), tf.TensorArray(tf.float32, steps)

    def body(t, made, state):
        out, state = cell(read.read(t), state)
        return t + 1, made.write(t, out), state

    _, made, state = v1.while_loop(lambda t, *_: t < steps, body, (0, made, state))
    return _with_width(made.stack(), cell), state


def _with_width(out, cell):
    out.set_shape([None, None, cell.output_size])
    return out


def _scan(program, cell, rows, state):
    batch = tf.shape(rows)[1]
    first = (tf.zeros(tf.stack([batch, cell.output_size])), state)
    out, states = tf.scan(lambda before, x: cell(x, before[1]), rows, first)
    return _with_width(out, cell), tf.nest.map_structure(lambda each: each[-1], states)


def _static(program, cell, rows, state):
    outs, state = v1.nn.static_rnn(cell, tf.unstack(rows, program.steps), initial_state=state)
    return tf.stack(outs), state


def _unrolled(program, cell, rows, state):
    outs = []
    for t in range(program.steps):
        with v1.variable_scope("cell", reuse=t > 0):
            out, state = cell(rows[t], state)
        outs.append(out)
    joined = (
        tf.stack(outs)
        if program.draw.random() < 0.5
        else tf.reshape(tf.concat(outs, 0), [program.steps, -1, cell.output_size])
    )
    return joined, state


LOOPS = {
    "step": _step,
    "dynamic": _dynamic,
    "while": _while,
    "scan": _scan,
    "static": _static,
    "unrolled": _unrolled,
    "block": None,
}


def values(program, steps, seed=0):
    """Inputs of so many steps, each [T, N, …], and first states, by tensor."""
    rng = np.random.RandomState(seed)
    fed = []
    for x, _axes, ids in program.inputs:
        if ids:
            fed.append(rng.randint(0, ids, (steps, N)).astype(np.int32))
        else:
            fed.append(rng.normal(size=(steps, N, int(x.shape[-1]))).astype(np.float32))
    states = []
    for t in program.held or program.first:
        shape = [N if size is None else size for size in t.shape.as_list()]
        states.append(rng.normal(size=shape, scale=0.5).astype(np.float32))
    return fed, states
