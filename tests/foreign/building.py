"""Small ONNX models as other programs write them, with random weights and names that say nothing."""

import numpy as np

from reprise.wire import onnx

D, H, V = 3, 5, 7
FLOAT = onnx.ELEMENT_TYPES["float32"]


def numbers(*shape, seed=0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * 0.5).astype(np.float32)


def cell_weights(gates, units=H, inputs=D, directions=1):
    return {
        "W": numbers(directions, gates * units, inputs),
        "R": numbers(directions, gates * units, units, seed=1),
        "B": numbers(directions, 2 * gates * units, seed=2),
    }


def tensors(**arrays):
    return [onnx.tensor(np.asarray(a), name) for name, a in arrays.items()]


def value(name, *sizes, kind=FLOAT):
    return onnx.value_info(name, kind, sizes)


def save(path, nodes, inputs, outputs, initializers=(), opset=17, functions=(), domains=()):
    """Writes a model whose outputs are names or values."""
    model = onnx.empty("ModelProto")
    model.ir_version = 8
    model.opset_import.add(domain="", version=opset)
    shown = [onnx.value_info(o, FLOAT) if isinstance(o, str) else o for o in outputs]
    model.graph.CopyFrom(onnx.graph(nodes, "g", inputs, shown, initializers))
    model.functions.extend(functions)
    for domain in sorted({*domains, *(f.domain for f in functions)}):
        model.opset_import.add(domain=domain, version=1)
    path.write_bytes(model.SerializeToString())
    return path


def lstm(path, h="b", c="a", h_out="d", c_out="e", outputs=("e", "o", "d")):
    """x [T, N, D] → o [T, N, V], with h and c at the border, named and ordered to mislead."""
    nodes = [
        onnx.node("LSTM", ["x", "W", "R", "B", "", h, c], ["Y", h_out, c_out], hidden_size=H),
        onnx.node("Squeeze", ["Y", "one"], ["y"]),
        onnx.node("MatMul", ["y", "O"], ["o"]),
    ]
    inputs = [value("a", 1, "n", H), value("x", "t", "n", D), value("b", 1, "n", H)]
    return save(path, nodes, inputs, outputs, tensors(**cell_weights(4), O=numbers(H, V), one=np.array([1])))


def gru_step(path, state_first=False, units=H):
    """One step of a GRU written out: x [N, D], h [N, H] → y [N, V], h' [N, H]."""
    nodes = [
        onnx.node("Concat", ["x", "h"], ["xh"], axis=1),
        onnx.node("MatMul", ["xh", "Wz"], ["zi"]),
        onnx.node("Sigmoid", ["zi"], ["z"]),
        onnx.node("MatMul", ["xh", "Wn"], ["ni"]),
        onnx.node("Tanh", ["ni"], ["n"]),
        onnx.node("Sub", ["n", "h"], ["d"]),
        onnx.node("Mul", ["z", "d"], ["zd"]),
        onnx.node("Add", ["h", "zd"], ["h2"]),
        onnx.node("MatMul", ["h2", "O"], ["y"]),
    ]
    inputs = [value("x", "n", D), value("h", "n", units)]
    weights = tensors(Wz=numbers(D + units, units), Wn=numbers(D + units, units, seed=1), O=numbers(units, V))
    return save(path, nodes, inputs[::-1] if state_first else inputs, ["y", "h2"], weights)
