"""Layers of random ONNX models, [T, N, D] → [T, N, H]: operators, loops, branches and functions; and single steps."""

import numpy as np

from reprise.wire import onnx
from tests.foreign.random_graph import BOOL, FLOAT, INT64, Graph

# Steps of cells: x [N, D] and states [N, H] → the output, which is the first state, and the next states


def lstm_step(g, label, x, states, inputs, units):
    h, c = states
    sums = g.op(
        "Add", g.dense(f"{label}.x", x, inputs, 4 * units), g.op("MatMul", h, g.weight(f"{label}.R", units, 4 * units))
    )
    i, f, o, n = g.split(sums, 1, 4, units)
    kept = g.op("Mul", g.op("Sigmoid", f), c)
    c2 = g.op("Add", kept, g.op("Mul", g.op("Sigmoid", i), g.op("Tanh", n)))
    return [g.op("Mul", g.op("Sigmoid", o), g.op("Tanh", c2)), c2]


def gru_step(g, label, x, states, inputs, units):
    (h,) = states
    gates = g.op("Concat", x, h, axis=1)
    z = g.op("Sigmoid", g.dense(f"{label}.z", gates, inputs + units, units))
    r = g.op("Sigmoid", g.dense(f"{label}.r", gates, inputs + units, units))
    n = g.op("Tanh", g.dense(f"{label}.n", g.op("Concat", x, g.op("Mul", r, h), axis=1), inputs + units, units))
    return [g.op("Add", g.op("Mul", z, h), g.op("Mul", g.one_minus(z), n))]


def rnn_step(g, label, x, states, inputs, units):
    (h,) = states
    sums = g.op("Add", g.dense(f"{label}.x", x, inputs, units), g.op("MatMul", h, g.weight(f"{label}.R", units, units)))
    return [g.op("Tanh", sums)]


def leaky_step(g, label, x, states, inputs, units):
    """A leaky integrator with a trace of its input beside."""
    (h,) = states
    n = g.op("Tanh", g.dense(f"{label}.x", x, inputs, units))
    decay = g.tensor(1 / (1 + np.exp(-g.numbers(f"{label}.decay", units))).astype(np.float32))
    return [g.op("Add", g.op("Mul", decay, h), g.op("Mul", g.one_minus(decay), n))]


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_STATES = {"LSTM": "hc", "GRU": "h", "RNN": "h"}
_FUNCTIONS = {"LSTM": ["Sigmoid", "Relu", "Tanh"], "GRU": ["HardSigmoid", "Tanh"], "RNN": ["Relu"]}
STEPS = {"lstm": (lstm_step, 2), "gru": (gru_step, 1), "rnn": (rnn_step, 1), "leaky": (leaky_step, 1)}


# Layers: x [T, N, D] → [T, N, H]


def operator_layer(g, label, x, inputs, units):
    kind = g.draw.choice(sorted(GATES))
    options = {"hidden_size": units, **_options(g.draw, kind)}
    names = [f"{label}.{k}" for k in _STATES[kind]]
    first = [g.state(name, 1, None, units) for name in names]
    w, r = (g.tensor(g.numbers(f"{label}.{n}", 1, GATES[kind] * units, k)) for n, k in (("W", inputs), ("R", units)))
    b = g.tensor(g.numbers(f"{label}.B", 1, 2 * GATES[kind] * units)) if g.draw.random() < 0.8 else ""
    peepholes = [g.tensor(g.numbers(f"{label}.P", 1, 3 * units))] if kind == "LSTM" and g.draw.random() < 0.25 else []
    read = [x, w, r, b, "", *first, *peepholes]
    while not read[-1]:
        read.pop()
    called = g.draw.random() < 0.25 and g.opset >= 15
    make = in_function if called else Graph.op
    y, *last = make(g, kind, *read, outputs=1 + len(first), **options)
    for name, value in zip(names, last, strict=True):
        g.leave(name, value)
    return g.squeeze(y, 1), f"{kind} {sorted(options)}{' peepholes' * len(peepholes)}{' called' * called}"


def _options(draw, kind):
    options = {}
    if draw.random() < 0.2:
        options["clip"] = 0.8
    if kind == "GRU" and draw.random() < 0.6:
        options["linear_before_reset"] = 1
    if draw.random() < 0.2:
        options["activations"] = _FUNCTIONS[kind]
        options |= {"activation_alpha": [0.3], "activation_beta": [0.4]} if kind == "GRU" else {}
    return options


def in_function(g, kind, *inputs, outputs, **options):
    """The node as the body of a function, which is called."""
    name, own = f"{kind}_{len(g.functions)}", [f"i{k}" for k in range(len(inputs))]
    given = [n if i else "" for n, i in zip(own, inputs, strict=True)]
    function = onnx.empty("FunctionProto")
    function.name, function.domain = name, "local"
    function.input.extend(own)
    function.output.extend(f"o{k}" for k in range(outputs))
    function.node.append(onnx.node(kind, given, list(function.output), **options))
    function.opset_import.add(domain="", version=g.opset)
    g.functions.append(function)
    return g.op(name, *inputs, outputs=outputs, domain="local")


def scan_layer(g, label, x, inputs, units):
    kind = g.draw.choice(sorted(STEPS))
    step, count = STEPS[kind]
    names = [f"{label}.{k}" for k in ("h", "c")[:count]]
    before = [g.state(name, None, units) for name in names]
    inner = [f"{label}_s{k}" for k in range(count)]
    body = sub(g)
    after = step(body, label, f"{label}_x", inner, inputs, units)
    shown = body.op("Identity", after[0])
    infos = [onnx.value_info(n, FLOAT, ["n", units]) for n in inner] + [
        onnx.value_info(f"{label}_x", FLOAT, ["n", inputs])
    ]
    graph = onnx.graph(body.nodes, "body", infos, [onnx.value_info(n, FLOAT, ["n", units]) for n in (*after, shown)])
    *last, y = g.op("Scan", *before, x, outputs=count + 1, body=graph, num_scan_inputs=1)
    for name, value in zip(names, last, strict=True):
        g.leave(name, value)
    return y, f"Scan {kind}"


def loop_layer(g, label, x, inputs, units):
    kind = g.draw.choice(sorted(STEPS))
    step, count = STEPS[kind]
    names = [f"{label}.{k}" for k in ("h", "c")[:count]]
    before = [g.state(name, None, units) for name in names]
    inner = [f"{label}_s{k}" for k in range(count)]
    body = sub(g)
    row = body.op("Gather", x, f"{label}_i", axis=0)
    after = step(body, label, row, inner, inputs, units)
    shown, going = body.op("Identity", after[0]), body.op("Identity", f"{label}_go")
    infos = [onnx.value_info(f"{label}_i", INT64, []), onnx.value_info(f"{label}_go", BOOL, [])]
    infos += [onnx.value_info(n, FLOAT, ["n", units]) for n in inner]
    outs = [onnx.value_info(going, BOOL, []), *(onnx.value_info(n, FLOAT, ["n", units]) for n in (*after, shown))]
    graph = onnx.graph(body.nodes, "body", infos, outs)
    steps = g.squeeze(g.slice(g.op("Shape", x), 0, 0, 1), 0)
    *last, y = g.op("Loop", steps, g.tensor(np.array(True)), *before, outputs=count + 1, body=graph)
    for name, value in zip(names, last, strict=True):
        g.leave(name, value)
    return y, f"Loop {kind}"


def sub(g):
    """A graph inside of `g`, whose weights are those of `g`."""
    return Graph(g.opset, g.seed, g.draw, g.border, nodes=[], tensors=g.tensors, counter=g.counter)


def convolution_layer(g, label, x, inputs, units):
    """A causal convolution over time with the last frames as its cache, always at the border."""
    width = g.draw.choice([2, 3])
    name = f"{label}.cache"
    border, g.border = g.border, "border"
    cache = g.state(name, None, inputs, width - 1)
    g.border = border
    image = g.op("Transpose", x, perm=[1, 2, 0])
    whole = g.op("Concat", cache, image, axis=2)
    g.leave(name, g.slice(whole, 2, -(width - 1), 2**31 - 1))
    y = g.op("Conv", whole, g.tensor(g.numbers(f"{label}.K", units, inputs, width)), kernel_shape=[width])
    return g.op("Transpose", g.op("Relu", y), perm=[2, 0, 1]), f"Conv {width}"


def both_ways_layer(g, label, x, inputs, units):
    """A layer that reads from the end, alone or too: its states begin anew, and it cannot be stepped."""
    kind, direction = g.draw.choice(sorted(GATES)), g.draw.choice(["reverse", "bidirectional"])
    ways = 1 + (direction == "bidirectional")
    w, r = (g.tensor(g.numbers(f"{label}.{n}", ways, GATES[kind] * units, k)) for n, k in (("W", inputs), ("R", units)))
    y = g.op(kind, x, w, r, hidden_size=units, direction=direction)
    g.backward = True
    mean = [y, g.ints(1)] if g.opset >= 18 else [y]
    return g.op("ReduceMean", *mean, keepdims=0, **({} if g.opset >= 18 else {"axes": [1]})), f"{kind} {direction}"


def quantized_layer(g, label, x, inputs, units):
    """DynamicQuantizeLSTM: weights in int8, input-major."""
    held = {}
    for name, rows in (("W", inputs), ("R", units)):
        array = g.numbers(f"{label}.{name}", 1, rows, 4 * units)
        unit = np.float32(np.abs(array).max() / 127)
        held[name] = g.tensor(np.round(array / unit).astype(np.int8))
        held[f"{name} unit"], held[f"{name} zero"] = g.tensor(unit.reshape(1)), g.tensor(np.zeros(1, np.int8))
    names = [f"{label}.{k}" for k in "hc"]
    first = [g.state(name, 1, None, units) for name in names]
    b = g.tensor(g.numbers(f"{label}.B", 1, 8 * units))
    units_and_zeros = [held[f"{n} {k}"] for n in "WR" for k in ("unit", "zero")]
    read = [x, held["W"], held["R"], b, "", *first, "", *units_and_zeros]
    y, *last = g.op("DynamicQuantizeLSTM", *read, outputs=3, domain="com.microsoft", hidden_size=units)
    for name, value in zip(names, last, strict=True):
        g.leave(name, value)
    g.coarse = True
    return g.squeeze(y, 1), "DynamicQuantizeLSTM"


def if_layer(g, label, x, inputs, units):
    """A cell whose weights a setting chooses: in the branches of an If, perhaps in another."""
    kind, deep = g.draw.choice(["GRU", "RNN"]), g.draw.random() < 0.5
    before = g.state(f"{label}.h", 1, None, units)
    if not g.settings:
        g.inputs.append(("rate", (), INT64))
        g.settings["rate"] = 16000

    def cell(which):
        body = sub(g)
        w, r = (
            g.tensor(g.numbers(f"{label}.{n}{which}", 1, GATES[kind] * units, k))
            for n, k in (("W", inputs), ("R", units))
        )
        out = body.op(kind, x, w, r, *(["", "", before] if before else []), outputs=2, hidden_size=units)
        return onnx.graph(body.nodes, f"b{which}", [], [onnx.value_info(o, FLOAT) for o in out])

    def chosen(inside, rate, then, other):
        equal = inside.op("Equal", "rate", g.tensor(np.array(rate, np.int64)))
        return inside.op("If", equal, outputs=2, then_branch=then, else_branch=other)

    other = cell(1)
    if deep:
        body = sub(g)
        out = chosen(body, 8000, other, cell(2))
        other = onnx.graph(body.nodes, "b3", [], [onnx.value_info(o, FLOAT) for o in out])
    y, last = chosen(g, 16000, cell(0), other)
    g.leave(f"{label}.h", last)
    return g.squeeze(y, 1), f"If {kind}{' nested' * deep}"


LAYERS = {
    "both ways": both_ways_layer,
    "quantized": quantized_layer,
    "if": if_layer,
    "operator": operator_layer,
    "scan": scan_layer,
    "loop": loop_layer,
    "convolution": convolution_layer,
}
