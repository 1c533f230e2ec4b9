"""What learns: the variables, and the compiled functions that advance them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.tensors import Array
from reprise.train import optimizer, recurrence
from reprise.train.model import (
    Architecture,
    Dropout,
    Named,
    forward,
    initial_parameters,
    loss,
    parameter_shapes,
    state_shapes,
)


class Learner:
    """A model, its optimizer, and one compiled function for each thing to do with them.

    Nothing is remembered from call to call but the variables: states go in and come out.

    Attributes:
        model: What is trained.
        variables: Parameters, moments, powers and `global_step`, by their names in a checkpoint.
    """

    def __init__(self, model: Architecture, *, seed: int, grad_clip: float, dropout: float) -> None:
        self.model = model
        self._grad_clip, self._dropout, self._seed = grad_clip, dropout, seed
        self._parameters = list(parameter_shapes(model))
        values = {**initial_parameters(model, seed), **optimizer.initial_slots(parameter_shapes(model))}
        self.variables = {name: tf.Variable(value, name=name) for name, value in values.items()}
        tokens, kind = (
            ([None, None], tf.int32) if model.task == "text" else ([None, None, model.input_size], tf.float32)
        )
        states = {name: tf.TensorSpec(shape, tf.float32) for name, shape in state_shapes(model, None).items()}
        many, one = tf.TensorSpec([None, *tokens], kind), tf.TensorSpec(tokens, kind)
        rates, begins = tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, None], tf.bool)
        self._advance = tf.function(self._advanced, [many, many, begins, rates, states], autograph=False)
        self._evaluate = tf.function(self._evaluated, [one, one, states], autograph=False)
        self._predict = tf.function(self._predicted, [one, states], autograph=False)

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
        losses, norms, after = self._advance(inputs, targets, begins, rates, dict(states))
        return losses.numpy(), norms.numpy(), after

    def evaluate(self, inputs: Array, targets: Array, states: Named) -> tuple[float, dict[str, tf.Tensor]]:
        """The loss of one chunk without dropout, and the states after it."""
        value, after = self._evaluate(inputs, targets, dict(states))
        return float(value), after

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

    def _advanced(self, inputs: Any, targets: Any, begins: Any, rates: Any, states: Any) -> tuple[Any, ...]:
        steps = tf.shape(rates)[0]
        measured = tuple(tf.TensorArray(tf.float32, size=steps) for _ in range(2))

        def body(k: Any, measured: Any, states: Any) -> tuple[Any, ...]:
            states = {name: tf.where(begins[k][:, None], 0.0, state) for name, state in states.items()}
            objective, norm, states = self._step(inputs[k], targets[k], rates[k], states)
            return k + 1, (measured[0].write(k, objective), measured[1].write(k, norm)), states

        # One iteration at a time: the next one reads the variables that this one writes.
        _, measured, states = tf.while_loop(lambda k, *_: k < steps, body, (0, measured, states), parallel_iterations=1)
        return measured[0].stack(), measured[1].stack(), states

    def _step(self, inputs: Any, targets: Any, rate: Any, states: Named) -> tuple[Any, Any, dict[str, Any]]:
        dropout = self._dropped() if self._dropout else None
        trained = self._trained()
        with tf.GradientTape() as tape:
            logits, after = forward(self.model, trained, inputs, states, layer=recurrence.layer, dropout=dropout)
            objective = loss(self.model, logits, targets)
        gradients = tape.gradient(objective, list(trained.values()))
        gradients, norm = optimizer.clipped(gradients, self._grad_clip)
        optimizer.apply(self.variables, list(trained), gradients, rate)
        return objective, norm, after

    def _evaluated(self, inputs: Any, targets: Any, states: Any) -> tuple[Any, dict[str, Any]]:
        logits, after = self._predicted(inputs, states)
        return loss(self.model, logits, targets), after

    def _predicted(self, inputs: Any, states: Any) -> tuple[Any, dict[str, Any]]:
        return forward(self.model, self._trained(), inputs, states, layer=recurrence.layer)

    def _trained(self) -> dict[str, Any]:
        return {name: self.variables[name] for name in self._parameters}

    def _dropped(self) -> Dropout:
        """The dropout of this step: it follows from the seed and the step alone, so a resumed run repeats it."""
        seed = tf.stack([tf.constant(self._seed, tf.int64), self.variables["global_step"].read_value()])
        return Dropout(self._dropout, seed * [1, self.model.num_layers])
