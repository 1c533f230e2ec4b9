"""Random ONNX models in the ways of many exporters, each with the same model whose states are all at its border.

A model is drawn by a number. The two forms have the same weights, so ONNX Runtime on the second tells what the first
must give when its states are carried.
"""

import random

from reprise.wire import onnx
from tests.foreign.random_graph import FLOAT, INSIDE, INT64, ROWS, Graph
from tests.foreign.random_layers import LAYERS, STEPS, operator_layer

#: The first opset of each kind of layer, and how often it is drawn.
_KINDS = {
    "operator": (7, 8),
    "scan": (9, 2),
    "loop": (8, 2),
    "convolution": (7, 2),
    "if": (11, 2),
    "quantized": (10, 1),
    "both ways": (7, 1),
}


def drawn(number):
    """The graph of a number, and that of the same model with its states at its border."""
    return _built(number, as_reference=False), _built(number, as_reference=True)


def _built(number, *, as_reference):
    draw = random.Random(number)
    opset, is_step = draw.choice(range(7, 26)), draw.random() < 0.25
    border = draw.choice(["border", "packed"] if is_step else ["border", "border", "packed", *INSIDE])
    batch = draw.choice([None, None, None, 1, 2]) or (1 if border == "held" else None)
    g = Graph(opset, number, draw, "border" if as_reference else border, batch)
    g.quantized = draw.random() < 0.2
    g.says = [f"opset {opset}", f"states {border}", f"rows {batch}"]
    sizes = draw.choice([3, 4]), draw.choice([4, 5]), draw.choice([2, 7])
    (_step if is_step else _sequence)(g, *sizes)
    if border == "packed" and not as_reference:
        _pack(g)
    for name, value in g.left.items():
        if name in g.entered:
            g.outputs.append((f"{name}_out", value))
            g.pairs[f"{name}_in"] = f"{name}_out"
    g.data = _file(g)
    return g


def _sequence(g, inputs, units, outs):
    draw = g.draw
    by_row, g.ids = draw.random() < 0.5, draw.choice([0, 0, 9])
    time = draw.choice([None, None, None, 6])
    g.axes = [*("nt" if by_row else "tn"), *([] if g.ids else ["d"])]
    g.takes = tuple({"n": g.batch or "n", "t": time or "t", "d": inputs}[k] for k in g.axes)
    g.inputs.append(("x", g.takes, INT64 if g.ids else FLOAT))
    x = g.op("Gather", g.tensor(g.numbers("table", 9, inputs)), "x", axis=0) if g.ids else "x"
    x = g.op("Transpose", x, perm=[1, 0, 2]) if by_row else x
    g.nodes.append(onnx.node("Identity", [g.slice(g.op("Shape", x), 0, 1, 2)], [ROWS]))
    x = g.op("Relu", g.dense("before", x, inputs, inputs)) if draw.random() < 0.3 else x
    y = g.dense("after", _layers(g, x, inputs, units), units, outs)
    y = g.op("Sigmoid", y) if draw.random() < 0.3 else y
    g.outputs.append(("y", g.op("Transpose", y, perm=[1, 0, 2]) if by_row and draw.random() < 0.8 else y))


def _layers(g, x, width, units):
    kinds = [kind for kind, (since, times) in _KINDS.items() for _ in range(times) if g.opset >= since]
    for layer in range(g.draw.choice([1, 1, 2, 3])):
        y, what = LAYERS[g.draw.choice(kinds)](g, f"layer{layer}", x, width, units)
        x = g.op("Add", x, y) if width == units and g.draw.random() < 0.3 else y
        width = units
        g.says.append(what)
    if g.states and all("cache" in name for name in g.states):
        x, what = operator_layer(g, "last", x, width, units)
        g.says.append(what)
    return x


def _step(g, inputs, units, outs):
    g.axes, g.takes = ["n", "d"], (g.batch or "n", inputs)
    g.inputs.append(("x", g.takes, FLOAT))
    x, width = "x", inputs
    for layer in range(g.draw.choice([1, 2, 3])):
        kind = g.draw.choice(sorted(STEPS))
        step, count = STEPS[kind]
        names = [f"layer{layer}.{k}" for k in "hc"[:count]]
        after = step(g, f"layer{layer}", x, [g.state(name, None, units) for name in names], width, units)
        g.left |= dict(zip(names, after, strict=True))
        x, width = after[0], units
        g.says.append(f"step {kind}")
    x = _decoy(g, x, units)
    g.outputs.append(("y", g.dense("after", x, units, outs)))


def _decoy(g, x, units):
    """What looks like a state and is none: an input handed on, one that stays, a state given twice, or its function."""
    what, name = g.draw.choice(["none", "none", "copied", "stays", "function", "twice"]), g.draw.choice(sorted(g.left))
    g.says.append(what)
    if what in ("function", "twice"):
        g.outputs.append(("beside", g.op("Tanh" if what == "function" else "Identity", g.left[name])))
    if what not in ("copied", "stays"):
        return x
    g.inputs.append(("still", (None, units), FLOAT))
    g.still = "still"
    if what == "copied":
        g.outputs.append(("beside", g.op("Identity", "still")))
    return g.op("Add", x, "still")


def _pack(g):
    """One input for all states of one shape, along a new first axis; caches each by itself."""
    by_shape = {}
    for name, sizes in g.entered.items():
        if "cache" not in name:
            by_shape.setdefault(sizes, []).append(name)
    nodes, g.nodes = g.nodes, []
    for k, (sizes, names) in enumerate(by_shape.items()):
        g.inputs.append((f"packed{k}", (len(names), *sizes), FLOAT))
        for place, name in enumerate(names):
            part = g.squeeze(g.slice(f"packed{k}", 0, place, place + 1), 0)
            g.nodes.append(onnx.node("Identity", [part], [f"{name}_part"]))
        g.parts[f"packed{k}"] = names
    g.nodes += nodes
    for taken, names in g.parts.items():
        whole = g.op("Concat", *(g.unsqueeze(g.left.pop(name), 0) for name in names), axis=0)
        g.outputs.append((f"{taken}_out", whole))
        g.pairs[taken] = f"{taken}_out"


def _file(g):
    g.draw.shuffle(g.inputs)
    g.draw.shuffle(g.outputs)
    g.nodes += [onnx.node("Identity", [value], [name]) for name, value in g.outputs]
    model = onnx.empty("ModelProto")
    model.ir_version = 3 if g.opset <= 8 else 8 if g.opset <= 20 else 10 if g.opset <= 23 else 13
    model.opset_import.add(domain="", version=g.opset)
    for domain in ["com.microsoft"] * g.coarse + ["local"] * bool(g.functions):
        model.opset_import.add(domain=domain, version=1)
    model.functions.extend(g.functions)
    infos = [
        onnx.value_info(n, kind, [(g.batch or "n") if k is None else k for k in sizes]) for n, sizes, kind in g.inputs
    ]
    if model.ir_version < 4 or g.draw.random() < 0.1:  # initialisers that are inputs too
        infos += [onnx.value_info(n, onnx.element_type(a), a.shape) for n, a in g.tensors.items()]
    shown = [onnx.value_info(name, FLOAT) for name, _ in g.outputs]
    tensors = [onnx.tensor(a, n) for n, a in g.tensors.items()]
    model.graph.CopyFrom(onnx.graph(g.nodes, "g", infos, shown, tensors))
    return model.SerializeToString()
