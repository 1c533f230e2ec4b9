"""The one definition of the model: pure functions of tensors, traced by the trainer and into the saved graph alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from reprise.tensors import Array
from reprise.train import cells
from reprise.train.config import Cell

#: Parameters, states: tensors or variables by name, in a fixed order.
Named = Mapping[str, Any]
#: `recurrence.layer`, or another of its kind.
Layer = Callable[..., tuple[tf.Tensor, tuple[tf.Tensor, ...]]]
#: (layer, its outputs [T, N, H]) to what they are multiplied with.
Masks = Callable[[int, tf.Tensor], tf.Tensor]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the shapes and operators of a model follow from.

    Attributes:
        input_size: The vocabulary's length V, or for a forecast the number of series.
        task: `text` predicts the next token, `forecast` the next values.
    """

    cell: Cell
    num_layers: int
    rnn_size: int
    embedding_size: int
    input_size: int
    task: Literal["text", "forecast"] = "text"

    def to_json(self) -> dict[str, Any]:
        """The architecture as plain data, for `Architecture(**data)`."""
        return asdict(self)

    def layer_input_size(self, layer: int) -> int:
        """The width of what enters a layer, D."""
        if layer:
            return self.rnn_size
        return self.embedding_size if self.task == "text" and self.embedding_size else self.input_size


def dropout_mask(rate: float, seed: tf.Tensor, layer: int, shape: Any) -> tf.Tensor:
    """What the outputs of a layer are multiplied with: zeros, or what keeps the mean; `seed`, int64 [2], decides."""
    # The raw operator: tf.random.stateless_uniform traces one that TensorFlow 1 cannot load.
    uniform = tf.raw_ops.StatelessRandomUniform(shape=shape, seed=tf.add(seed, [0, layer]), dtype=tf.float32)
    return tf.cast(uniform >= rate, tf.float32) / (1.0 - rate)


def parameter_shapes(model: Architecture) -> dict[str, tuple[int, ...]]:
    """Every trained parameter: name → shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    if model.task == "text" and model.embedding_size:
        shapes["embedding"] = (model.input_size, model.embedding_size)
    for layer in range(model.num_layers):
        weights = cells.weight_shapes(model.cell, model.layer_input_size(layer), model.rnn_size)
        shapes |= {f"rnn/layer{layer}/{name}": shape for name, shape in weights.items()}
    shapes["output/kernel"] = (model.rnn_size, model.input_size)
    shapes["output/bias"] = (model.input_size,)
    return shapes


def state_shapes(model: Architecture, batch: int | None) -> dict[str, tuple[int | None, int]]:
    """Every recurrent state: name, such as `layer0.c` → shape [N, H]."""
    parts = cells.state_names(model.cell)
    return {f"layer{k}.{part}": (batch, model.rnn_size) for k in range(model.num_layers) for part in parts}


def initial_parameters(model: Architecture, seed: int, forget_bias: float = 0) -> dict[str, Array]:
    """First weights, float32, the same on every machine.

    Kernels are uniform within Glorot's limit, recurrent biases as `cells.initial_bias` says, others zero. Each
    parameter has its own stream, so that one does not move another.
    """
    return {
        name: _initial(model, name, shape, np.random.Generator(np.random.Philox(key=[seed, index])), forget_bias)
        for index, (name, shape) in enumerate(parameter_shapes(model).items())
    }


def _initial(
    model: Architecture, name: str, shape: tuple[int, ...], random: np.random.Generator, forget_bias: float
) -> Array:
    if name == "embedding":
        return random.standard_normal(shape).astype(np.float32)
    if len(shape) == 2:
        limit = np.sqrt(6.0 / sum(shape))
        return random.uniform(-limit, limit, shape).astype(np.float32)
    if name.startswith("rnn/"):
        return cells.initial_bias(model.cell, name.split("/", 2)[2], shape, forget_bias)
    return np.zeros(shape, np.float32)


def forward(
    model: Architecture,
    parameters: Named,
    inputs: tf.Tensor,
    states: Named,
    *,
    layer: Layer,
    masks: Masks | None = None,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Logits [N, T, V] (or next values [N, T, D]) and the states after the last step.

    Args:
        model: The architecture.
        parameters: As `parameter_shapes`.
        inputs: Token ids int32 [N, T], or features float32 [N, T, D].
        states: As `state_shapes`.
        layer: How a layer runs over time.
        masks: Multiplied with the outputs of every layer, for dropout.
    """
    outputs = _time_first(inputs)
    final: dict[str, tf.Tensor] = {}
    for k in range(model.num_layers):
        names = [f"layer{k}.{part}" for part in cells.state_names(model.cell)]
        weights = _under(parameters, f"rnn/layer{k}/")
        embedding = parameters.get("embedding") if k == 0 else None
        outputs, after = layer(model.cell, outputs, weights, tuple(states[n] for n in names), embedding=embedding)
        final |= dict(zip(names, after, strict=True))
        if masks is not None:
            outputs *= masks(k, outputs)
    return _time_first(_projected(parameters, outputs)), final


def loss(model: Architecture, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The mean over all tokens of the cross entropy in nats, or over all values of the squared error."""
    return tf.reduce_mean(_each_loss(model, logits, targets))


def row_losses(model: Architecture, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """`loss` of each row, [N]."""
    each = _each_loss(model, logits, targets)
    return tf.reduce_mean(each, list(range(1, each.shape.rank)))


def _each_loss(model: Architecture, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    if model.task == "forecast":
        return tf.square(logits - targets)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)


def _time_first(x: tf.Tensor) -> tf.Tensor:
    """The first two axes exchanged."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _projected(parameters: Named, hidden: tf.Tensor) -> tf.Tensor:
    kernel, bias = parameters["output/kernel"], parameters["output/bias"]
    flat = tf.nn.bias_add(tf.matmul(tf.reshape(hidden, [-1, kernel.shape[0]]), kernel), bias)
    return tf.reshape(flat, tf.concat([tf.shape(hidden)[:2], [kernel.shape[1]]], 0))


def _under(parameters: Named, prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}
