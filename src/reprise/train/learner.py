"""What learns: the variables, and the compiled functions that advance them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.tensors import Array
from reprise.train import optimizer, recurrence
from reprise.train.cluster import Cluster
from reprise.train.model import (
    Architecture,
    Layer,
    Named,
    dropout_mask,
    forward,
    initial_parameters,
    loss,
    parameter_shapes,
    row_losses,
    state_shapes,
)

#: Whether XLA compiles what has a fixed shape: it fuses the element-wise work of a cell, and takes seconds to begin.
XLA = True


class Learner:
    """A model, its optimizer, and one compiled function for each thing to do with them.

    Nothing is remembered from call to call but the variables: states go in and come out.

    Args:
        model: What is trained.
        seed: Of the first weights and of dropout.
        grad_clip: Largest global norm of the gradient; 0 does not clip.
        dropout: Probability to drop an output of a layer.
        forget_bias: As `cells.initial_bias`.
        cluster: The workers that learn together.
        layer: How a layer runs over time; XLA compiles `recurrence.layer` alone.

    Attributes:
        model: What is trained.
        variables: Parameters, moments, powers and `global_step`, by their names in a checkpoint.
    """

    def __init__(
        self,
        model: Architecture,
        *,
        seed: int,
        grad_clip: float,
        dropout: float,
        forget_bias: float = 0,
        cluster: Cluster | None = None,
        layer: Layer = recurrence.layer,
    ) -> None:
        self.model = model
        self._layer = layer
        self._cluster = cluster or Cluster()
        self._seed, self._grad_clip, self._dropout = seed, grad_clip, dropout
        shapes = parameter_shapes(model)
        values = {**initial_parameters(model, seed, forget_bias), **optimizer.initial_slots(shapes)}
        self.variables = {name: tf.Variable(value, name=name) for name, value in values.items()}
        self._parameters = {name: self.variables[name] for name in shapes}
        compiled = XLA and layer is recurrence.layer
        self._gradients = tf.function(self._differentiated, jit_compile=compiled, autograph=False)
        self._evaluate = tf.function(self._evaluated, jit_compile=compiled, autograph=False)
        self._predict = tf.function(self._predicted, autograph=False)
        self._programs: dict[tuple[int, ...], Any] = {}

    def initial_state(self, batch: int) -> dict[str, Array]:
        """Zeros for every state."""
        return {name: np.zeros(shape, np.float32) for name, shape in state_shapes(self.model, batch).items()}

    def advance(
        self, inputs: Array, targets: Array, begins: Array, rates: Array, states: Named
    ) -> tuple[Array, Array, dict[str, tf.Tensor]]:
        """K training steps without Python in between: losses [K], gradient norms [K], and the carried states.

        Args:
            inputs: [K, N, T] ids, or [K, N, T, D] values.
            targets: Of the same shape.
            begins: [K, N], the streams whose state becomes zero before that step.
            rates: [K] learning rates.
            states: Carried from the chunks before, [N, H] each.
        """
        program = self._program(inputs.shape[1:])
        given = {name: tf.convert_to_tensor(state) for name, state in states.items()}
        losses, norms, after = program(*map(tf.convert_to_tensor, (inputs, targets, begins, rates)), given)
        return losses.numpy(), norms.numpy(), after

    def evaluate(self, inputs: Array, targets: Array, states: Named) -> tuple[Array, dict[str, tf.Tensor]]:
        """The loss of each row of one chunk without dropout, [N], and the states after it."""
        values, after = self._evaluate(inputs, targets, dict(states))
        return values.numpy(), after

    def predict(self, inputs: Array, states: Named) -> tuple[Array, dict[str, tf.Tensor]]:
        """Logits [N, T, V] (or values) and the states after."""
        logits, after = self._predict(inputs, dict(states))
        return logits.numpy(), after

    def values(self) -> dict[str, tf.Tensor]:
        """Every variable's value."""
        return {name: variable.read_value() for name, variable in self.variables.items()}

    def assign(self, values: Mapping[str, Any]) -> None:
        """Sets the variables that are named."""
        for name, value in values.items():
            self.variables[name].assign(value)

    def _program(self, shape: tuple[int, ...]) -> Any:
        """`_advanced` for any number K of chunks of one shape."""
        if shape not in self._programs:
            chunk = tf.TensorSpec([None, *shape], tf.int32 if self.model.task == "text" else tf.float32)
            begins, rates = tf.TensorSpec([None, shape[0]], tf.bool), tf.TensorSpec([None], tf.float32)
            sizes = state_shapes(self.model, shape[0])
            states = {name: tf.TensorSpec(size, tf.float32) for name, size in sizes.items()}
            traced = tf.function(self._advanced, autograph=False)
            self._programs[shape] = traced.get_concrete_function(chunk, chunk, begins, rates, states)
        return self._programs[shape]

    def _advanced(self, inputs: Any, targets: Any, begins: Any, rates: Any, states: Any) -> tuple[Any, ...]:
        steps = tf.shape(rates)[0]
        measured = tuple(tf.TensorArray(tf.float32, size=steps) for _ in range(2))

        def body(k: Any, measured: Any, states: Any) -> tuple[Any, ...]:
            states = {name: tf.where(begins[k][:, None], 0.0, state) for name, state in states.items()}
            objective, norm, after = self._cluster.step(self._step, inputs[k], targets[k], rates[k], states)
            return k + 1, (measured[0].write(k, objective), measured[1].write(k, norm)), after

        # One iteration at a time: the next one reads the variables that this one writes.
        _, measured, states = tf.while_loop(lambda k, *_: k < steps, body, (0, measured, states), parallel_iterations=1)
        return measured[0].stack(), measured[1].stack(), states

    def _step(self, inputs: Any, targets: Any, rate: Any, states: Any) -> tuple[Any, Any, dict[str, Any]]:
        masks = self._masks(*inputs.shape[:2])
        objective, gradients, after = self._gradients(self._parameters, inputs, targets, states, masks)
        objective, *gradients = self._cluster.mean([objective, *gradients])
        gradients, norm = optimizer.clipped(gradients, self._grad_clip)
        optimizer.apply(self.variables, list(self._parameters), gradients, rate)
        return objective, norm, after

    def _masks(self, batch: int, length: int) -> list[Any]:
        """The dropout of this step: it follows from the seed and the step alone, so a resumed run repeats it."""
        if not self._dropout:
            return []
        # Not inside XLA, which draws other numbers than the operator that the saved graph holds.
        seed = tf.stack([tf.constant(self._seed, tf.int64), self.variables["global_step"].read_value()])
        seed = seed * [1, self.model.num_layers]
        shape = [length, batch * self._cluster.workers, self.model.rnn_size]
        wide = [dropout_mask(self._dropout, seed, layer, shape) for layer in range(self.model.num_layers)]
        return [mask[:, self._cluster.rows(batch)] for mask in wide]

    def _differentiated(self, parameters: Any, inputs: Any, targets: Any, states: Any, masks: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            drop = (lambda layer, _: masks[layer]) if masks else None
            logits, after = forward(self.model, parameters, inputs, states, layer=self._layer, masks=drop)
            objective = loss(self.model, logits, targets)
        gradients = tape.gradient(objective, list(parameters.values()))
        return objective, [tf.convert_to_tensor(gradient) for gradient in gradients], after

    def _evaluated(self, inputs: Any, targets: Any, states: Any) -> tuple[Any, dict[str, Any]]:
        logits, after = self._predicted(inputs, states)
        return row_losses(self.model, logits, targets), after

    def _predicted(self, inputs: Any, states: Any) -> tuple[Any, dict[str, Any]]:
        return forward(self.model, self._parameters, inputs, states, layer=self._layer)
