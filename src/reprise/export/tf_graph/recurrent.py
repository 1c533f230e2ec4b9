"""LSTM, GRU and RNN of ONNX in TensorFlow, as loops of any length. Source: onnx/defs/rnn/defs.cc."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from reprise.export.tf_graph.context import Rule, TensorFlowSite

#: The activations that ONNX names, as functions of x and of numbers of their own, alpha and beta, each with the value
#: that it has where a file has none. Source: onnx/defs/rnn/defs.cc.
_FUNCTIONS: Mapping[str, tuple[Callable[..., tf.Tensor], tuple[float, ...]]] = {
    "sigmoid": (tf.sigmoid, ()),
    "tanh": (tf.tanh, ()),
    "relu": (tf.nn.relu, ()),
    "softsign": (tf.nn.softsign, ()),
    "softplus": (tf.nn.softplus, ()),
    "leakyrelu": (tf.nn.leaky_relu, (0.01,)),
    "hardsigmoid": (lambda x, alpha, beta: tf.clip_by_value(alpha * x + beta, 0, 1), (0.2, 0.5)),
}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}

State = tuple[tf.Tensor, ...]
#: (x, or x · W + b, of one step, states) → the next states; the first is the output.
Step = Callable[[tf.Tensor, State], State]


def recurrent(kind: str, gates: int) -> Rule:
    """The rule of an operator: its outputs, and the last of each of its states."""

    def rule(site: TensorFlowSite) -> list[tf.Tensor]:
        if site.attribute("layout", 0) or site.attribute("clip") is not None or site.attribute("input_forget", 0):
            raise site.refusal("has a layout, a clip or coupled gates")
        directions = _directions(site)
        found = [_one_direction(site, kind, gates, d, backward=b) for d, b in enumerate(directions)]
        outputs = tf.stack([sequence for sequence, _ in found], axis=1)
        states = [tf.stack(each) for each in zip(*(last for _, last in found), strict=True)]
        return [outputs, *states]

    return rule


def _directions(site: TensorFlowSite) -> list[bool]:
    """Whether each direction reads from the end."""
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
        site.attribute("direction", "forward")
    ]


def _one_direction(
    site: TensorFlowSite, kind: str, gates: int, index: int, *, backward: bool
) -> tuple[tf.Tensor, State]:
    """The outputs [T, N, H] and last states [N, H] of one direction."""
    x, w, r = site[0], site[1][index], site[2][index]
    units = int(site.attribute("hidden_size"))
    bias = site[3][index] if site.has(3) else tf.zeros([2 * gates * units], x.dtype)
    batch = tf.shape(x)[1]
    lengths = tf.cast(site[4], tf.int32) if site.has(4) else None
    slots = (5, 6)[: 2 if kind == "LSTM" else 1]
    first = tuple(_of_direction(site[p], index) if site.has(p) else tf.zeros([batch, units], x.dtype) for p in slots)
    follow = _STEPS[kind](site, index, r, bias[gates * units :])

    def step(row: tf.Tensor, states: State) -> State:
        return follow(tf.matmul(row, w, transpose_b=True) + bias[: gates * units], states)

    outputs, last = _loop(_turned(x, lengths) if backward else x, first, step, lengths)
    return (_turned(outputs, lengths) if backward else outputs), last


def _of_direction(states: tf.Tensor, index: int) -> tf.Tensor:
    """The states of one direction; what was only given an axis of directions is taken as it was."""
    op = states.op
    if op.type == "ExpandDims" and tf.get_static_value(op.inputs[1]) == 0:
        return op.inputs[0]
    return states[index]


def _turned(x: tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
    return tf.reverse(x, [0]) if lengths is None else tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=1)


def _loop(x: tf.Tensor, first: State, step: Step, lengths: tf.Tensor | None) -> tuple[tf.Tensor, State]:
    """Runs a step over the first axis; a row that has ended keeps its states and gives zeros."""

    def one(t: tf.Tensor, states: State) -> tuple[tf.Tensor, State]:
        after = step(x[t], states)
        if lengths is None:
            return after[0], after
        goes_on = (t < lengths)[:, None]
        kept = tuple(tf.where(goes_on, new, old) for new, old in zip(after, states, strict=True))
        return tf.where(goes_on, after[0], tf.zeros_like(after[0])), kept

    if x.shape[0] == 1:
        shown, after = one(tf.constant(0), first)
        return shown[None], after
    count = tf.shape(x)[0]
    written = tf.TensorArray(x.dtype, count, element_shape=first[0].shape)

    def body(t: tf.Tensor, states: State, outputs: tf.TensorArray) -> tuple[tf.Tensor, State, tf.TensorArray]:
        shown, after = one(t, states)
        return t + 1, after, outputs.write(t, shown)

    shapes = (tf.TensorShape([]), tuple(s.shape for s in first), tf.TensorShape(None))
    _, last, outputs = tf.while_loop(
        lambda t, *_: t < count, body, (tf.constant(0), first, written), shape_invariants=shapes
    )
    return outputs.stack(), last


def _functions(site: TensorFlowSite, index: int) -> Sequence[Callable[[tf.Tensor], tf.Tensor]]:
    """The activations of a direction."""
    defaults = _DEFAULTS[site.node.op_type]
    names = [n.decode() for n in site.attribute("activations", []) or []] or [*defaults * len(_directions(site))]
    if any(n.lower() not in _FUNCTIONS for n in names):
        raise site.refusal(f"has the activations {', '.join(names)}")
    given = [iter(site.attribute(f"activation_{which}", None) or ()) for which in ("alpha", "beta")]
    found = [_with_own(n.lower(), given) for n in names]
    return found[index * len(defaults) : (index + 1) * len(defaults)]


def _with_own(name: str, given: Sequence[Iterator[float]]) -> Callable[[tf.Tensor], tf.Tensor]:
    """An activation with the next of the numbers that a node lists for all of its activations."""
    function, usual = _FUNCTIONS[name]
    own = [next(numbers, default) for numbers, default in zip(given, usual, strict=False)]
    return lambda x: function(x, *own)


def _lstm(site: TensorFlowSite, index: int, r: tf.Tensor, bias: tf.Tensor) -> Step:
    gate, candidate, output = _functions(site, index)
    peepholes = tf.split(site[7][index], 3) if site.has(7) else None

    def seen(gate: tf.Tensor, k: int, c: tf.Tensor) -> tf.Tensor:
        return gate if peepholes is None else gate + peepholes[k] * c

    def step(part: tf.Tensor, states: State) -> State:
        h, c = states
        i, o, f, g = tf.split(part + tf.matmul(h, r, transpose_b=True) + bias, 4, axis=1)
        new = gate(seen(f, 2, c)) * c + gate(seen(i, 0, c)) * candidate(g)
        return gate(seen(o, 1, new)) * output(new), new

    return step


def _gru(site: TensorFlowSite, index: int, r: tf.Tensor, bias: tf.Tensor) -> Step:
    gate, candidate = _functions(site, index)
    after = bool(site.attribute("linear_before_reset", 0))
    units = tf.shape(r)[1]

    def step(part: tf.Tensor, states: State) -> State:
        (h,) = states
        zr, n = part[:, : 2 * units], part[:, 2 * units :]
        z, reset = tf.split(gate(zr + tf.matmul(h, r[: 2 * units], transpose_b=True) + bias[: 2 * units]), 2, axis=1)
        before = h if after else reset * h
        product = tf.matmul(before, r[2 * units :], transpose_b=True) + bias[2 * units :]
        new = candidate(n + (reset * product if after else product))
        return ((1 - z) * new + z * h,)

    return step


def _rnn(site: TensorFlowSite, index: int, r: tf.Tensor, bias: tf.Tensor) -> Step:
    (function,) = _functions(site, index)
    return lambda part, states: (function(part + tf.matmul(states[0], r, transpose_b=True) + bias),)


_STEPS: Mapping[str, Callable[[TensorFlowSite, int, tf.Tensor, tf.Tensor], Step]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN": _rnn,
}

RECURRENT: Mapping[str, Rule] = {
    "LSTM": recurrent("LSTM", 4),
    "GRU": recurrent("GRU", 3),
    "RNN": recurrent("RNN", 1),
}
