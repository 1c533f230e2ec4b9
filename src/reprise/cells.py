"""What LSTM, GRU and plain RNN cells are, as data: gates, states, equations, and how every framework lays them out.

A gate is a letter. LSTM: i input, f forget, o output, c candidate (TensorFlow 1 calls it j, PyTorch g). GRU: z update
(TensorFlow 1: u), r reset, c candidate (n). RNN: c alone. An order of gates is a string of these letters, and what
leads from one order to another is computed from two strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from reprise.tensors import Array

Activation = Callable[[Array], Array]


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), x.dtype)


@dataclass(frozen=True, slots=True)
class Weights:
    """The numbers of one cell by gate.

    Attributes:
        kernel: Gate → [D, H], applied to the input.
        recurrent: Gate → [H, H], applied to the last output.
        bias: Gate → [H]; gates without one have zeros.
        recurrent_bias: Gate → [H], added to the recurrent product; matters on its own only where a GRU resets after it.
        peephole: Gate → [H], applied to the LSTM's cell state.
    """

    kernel: Mapping[str, Array]
    recurrent: Mapping[str, Array]
    bias: Mapping[str, Array] = field(default_factory=dict)
    recurrent_bias: Mapping[str, Array] = field(default_factory=dict)
    peephole: Mapping[str, Array] = field(default_factory=dict)

    def input_part(self, gate: str, x: Array) -> Array:
        """The input part of a gate, x · W + b, for x [N, D]."""
        return x @ self.kernel[gate] + self.bias.get(gate, np.zeros((), x.dtype))

    def recurrent_part(self, gate: str, h: Array) -> Array:
        """The recurrent part of a gate, h · R + b, for h [N, H]."""
        return h @ self.recurrent[gate] + self.recurrent_bias.get(gate, np.zeros((), h.dtype))

    def before(self, gate: str, x: Array, h: Array) -> Array:
        """What a gate's activation is applied to, peepholes aside."""
        return self.input_part(gate, x) + self.recurrent_part(gate, h)


@dataclass(frozen=True, slots=True)
class Cell:
    """A recurrent cell.

    Attributes:
        name: As ONNX calls it.
        gates: Its gates in ONNX's order.
        states: What it carries; the last is its output.
        step: (x [N, D], states [N, H] each, weights, activations) → the next states. In NumPy, the oracle.
        activations: Those of its gates, of its candidate, and of the LSTM's output.
    """

    name: str
    gates: str
    states: tuple[str, ...]
    step: Callable[[Array, Mapping[str, Array], Weights, tuple[Activation, ...]], dict[str, Array]]
    activations: tuple[Activation, ...]


def _lstm(x: Array, state: Mapping[str, Array], w: Weights, acts: tuple[Activation, ...]) -> dict[str, Array]:
    """Gers et al. 2000; peepholes: Gers & Schmidhuber 2000."""
    gate, candidate, output = acts
    h, c = state["h"], state["c"]
    zero = np.zeros((), x.dtype)
    i = gate(w.before("i", x, h) + w.peephole.get("i", zero) * c)
    f = gate(w.before("f", x, h) + w.peephole.get("f", zero) * c)
    c = f * c + i * candidate(w.before("c", x, h))
    o = gate(w.before("o", x, h) + w.peephole.get("o", zero) * c)
    return {"c": c, "h": o * output(c)}


def _gru(x: Array, state: Mapping[str, Array], w: Weights, acts: tuple[Activation, ...]) -> dict[str, Array]:
    """Cho et al. 2014: the reset gate is applied to the last output."""
    gate, candidate = acts
    h = state["h"]
    z, r = gate(w.before("z", x, h)), gate(w.before("r", x, h))
    return {"h": z * h + (1 - z) * candidate(w.before("c", x, r * h))}


def _gru_reset_after(
    x: Array, state: Mapping[str, Array], w: Weights, acts: tuple[Activation, ...]
) -> dict[str, Array]:
    """CuDNN's variant: the reset gate is applied to the product of the last output, bias included."""
    gate, candidate = acts
    h = state["h"]
    z, r = gate(w.before("z", x, h)), gate(w.before("r", x, h))
    return {"h": z * h + (1 - z) * candidate(w.input_part("c", x) + r * w.recurrent_part("c", h))}


def _rnn(x: Array, state: Mapping[str, Array], w: Weights, acts: tuple[Activation, ...]) -> dict[str, Array]:
    """Elman 1990."""
    return {"h": acts[0](w.before("c", x, state["h"]))}


LSTM = Cell("LSTM", "iofc", ("c", "h"), _lstm, (sigmoid, np.tanh, np.tanh))
GRU = Cell("GRU", "zrc", ("h",), _gru, (sigmoid, np.tanh))
GRU_RESET_AFTER = Cell("GRU", "zrc", ("h",), _gru_reset_after, (sigmoid, np.tanh))
RNN = Cell("RNN", "c", ("h",), _rnn, (np.tanh,))


@dataclass(frozen=True, slots=True)
class Layout:
    """How a framework stores the weights of a cell.

    Attributes:
        framework: As its users call it, with the layer where it has several.
        cell: Which cell it is.
        order: The order of the gates in a stored kernel.
        forget_bias: What is added to the forget gate at run time, beside the stored bias.
        biases: Stored biases: one, or one for the input and one for the recurrent product.
        transposed: Whether a kernel is stored as [gates · H, D] instead of [D, gates · H].
        source: Where that is written.
    """

    framework: str
    cell: Cell
    order: str
    forget_bias: float = 0.0
    biases: int = 1
    transposed: bool = False
    source: str = ""


_TF1 = "tensorflow/python/ops/rnn_cell_impl.py"
_BLOCK = "tensorflow/core/ops/rnn_ops.cc"
_KERAS = "keras/src/layers/rnn/"
_ONNX = "onnx/defs/rnn/defs.cc"
_CUDNN = "cuDNN API reference, cudnnGetRNNLinLayerMatrixParams"
_TORCH_RNN = "torch-rnn, "
_TORCH = "torch/nn/modules/rnn.py"

#: TensorFlow 1's GRUCell keeps the candidate apart from the gates: its kernels, joined, have this order.
LAYOUTS: tuple[Layout, ...] = (
    Layout("ONNX LSTM", LSTM, "iofc", biases=2, transposed=True, source=_ONNX),
    Layout("ONNX GRU, linear_before_reset=0", GRU, "zrc", biases=2, transposed=True, source=_ONNX),
    Layout("ONNX GRU, linear_before_reset=1", GRU_RESET_AFTER, "zrc", biases=2, transposed=True, source=_ONNX),
    Layout("TensorFlow 1 LSTMCell", LSTM, "icfo", forget_bias=1.0, source=_TF1),
    Layout("TensorFlow 1 GRUCell", GRU, "rzc", source=_TF1),
    Layout("TensorFlow LSTMBlockCell", LSTM, "icfo", forget_bias=1.0, source=_BLOCK),
    Layout("TensorFlow BlockLSTMV2", LSTM, "ifco", source=_BLOCK),
    Layout("TensorFlow GRUBlockCell", GRU, "rzc", source=_BLOCK),
    Layout("Keras LSTM", LSTM, "ifco", source=_KERAS + "lstm.py"),
    Layout("Keras GRU, reset_after=False", GRU, "zrc", source=_KERAS + "gru.py"),
    Layout("Keras GRU, reset_after=True", GRU_RESET_AFTER, "zrc", biases=2, source=_KERAS + "gru.py"),
    Layout("torch-rnn LSTM", LSTM, "ifoc", source=_TORCH_RNN + "LSTM.lua"),
    Layout("torch-rnn VanillaRNN", RNN, "c", source=_TORCH_RNN + "VanillaRNN.lua"),
    Layout("cuDNN LSTM", LSTM, "ifco", biases=2, transposed=True, source=_CUDNN),
    Layout("cuDNN GRU", GRU_RESET_AFTER, "rzc", biases=2, transposed=True, source=_CUDNN),
    Layout("PyTorch LSTM", LSTM, "ifco", biases=2, transposed=True, source=_TORCH),
    Layout("PyTorch GRU", GRU_RESET_AFTER, "rzc", biases=2, transposed=True, source=_TORCH),
)


def divide_gates(joined: Array, order: str) -> dict[str, Array]:
    """Gate → its part of the last axis, which holds the gates one after the other.

    Raises:
        ValueError: The axis does not divide into as many equal parts.
    """
    return dict(zip(order, np.split(joined, len(order), axis=-1), strict=True))


def join_gates(parts: Mapping[str, Array], order: str) -> Array:
    """The inverse of `divide_gates`, in any order."""
    return np.concatenate([parts[gate] for gate in order], axis=-1)


def reordered(array: Array, have: str, want: str) -> Array:
    """The last axis with its gates in another order."""
    return join_gates(divide_gates(array, have), want)
