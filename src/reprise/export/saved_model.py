"""A SavedModel of TensorFlow 2 with the state in the caller's hands.

Its signatures: `step` takes one time step and the states and gives the outputs and the next states; `sequence` does so
for any number of steps; `serving_default` runs a sequence from the model's own first state; `initial_state` gives that
state for a number of rows. A state has the same key where it goes in and where it comes out. Nothing of Reprise is
needed to use it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.export.tf_graph import baked_rows, build_values, check_exportable, identifier, variable_weights
from reprise.interface import Interface, Port, StatePort
from reprise.lift import STATE_IN, STATE_OUT, Lifted
from reprise.model import RecurrentModel
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary

Tensors = dict[str, tf.Tensor]


def write(model: RecurrentModel, path: Path) -> None:
    """Writes `model` to the folder `path`, with the values of its settings that inference uses.

    Raises:
        SaveError: It has an operator that TensorFlow lacks, or something that a signature cannot hold.
    """
    check_exportable(model)
    module = _Module(model)
    signatures = {
        name: tf.function(function, autograph=False).get_concrete_function(**specs)
        for name, (function, specs) in module.functions().items()
    }
    with tempfile.TemporaryDirectory() as folder:
        if model.vocabulary is not None:
            file = Path(folder) / "vocabulary.json"
            file.write_text(json.dumps(model.vocabulary.to_json(), ensure_ascii=False), encoding="utf-8")
            module.vocabulary = tf.saved_model.Asset(str(file))
        tf.saved_model.save(module, str(path), signatures=signatures)


class _Module(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """The weights as variables, and the functions over them."""

    def __init__(self, model: RecurrentModel) -> None:
        super().__init__()
        self._lifted: Lifted = model.lifted
        self._face: Interface = model.interface
        self._keys = keys(model.interface)
        self._named = {name: identifier(name) for name in variable_weights(model)}
        self.weights = {
            self._named[name]: tf.Variable(array, trainable=False, name=self._named[name])
            for name, array in variable_weights(model).items()
        }
        first = model.initial_state(baked_rows(model.interface) or 1)
        self._first = {name: tf.constant(np.asarray(array)) for name, array in first.items()}

    def functions(self) -> dict[str, tuple[Callable[..., Tensors], dict[str, tf.TensorSpec]]]:
        """Signature → its function, and what it takes."""
        states = {self._keys[s.name]: _spec(s) for s in self._face.states}
        whole = {self._keys[p.name]: _spec(p) for p in self._face.inputs}
        single = {self._keys[p.name]: _spec(p, without=p.time_axis) for p in self._face.inputs}
        found: dict[str, tuple[Callable[..., Tensors], dict[str, tf.TensorSpec]]] = {
            "serving_default": (self._from_the_start, whole),
            "sequence": (self._sequence, {**whole, **states}),
            "initial_state": (self._initial_state, {"batch": tf.TensorSpec([], tf.int32)}),
        }
        if self._face.steppable:
            found["step"] = (self._step, {**single, **states})
        return found

    def _sequence(self, **given: tf.Tensor) -> Tensors:
        names = {STATE_IN + s.name: given[self._keys[s.name]] for s in self._face.states}
        names |= {p.name: given[self._keys[p.name]] for p in self._face.inputs}
        values = build_values(self._lifted.graph, {**names, **{n: self.weights[k] for n, k in self._named.items()}})
        found = {self._keys[p.name]: tf.identity(values[p.name]) for p in self._face.outputs}
        return found | {self._keys[s.name]: tf.identity(values[STATE_OUT + s.name]) for s in self._face.states}

    def _step(self, **given: tf.Tensor) -> Tensors:
        raised = {self._keys[p.name]: p.time_axis for p in self._face.inputs if p.time_axis is not None}
        found = self._sequence(**{k: tf.expand_dims(v, raised[k]) if k in raised else v for k, v in given.items()})
        lowered = {self._keys[p.name]: p.time_axis for p in self._face.outputs if p.time_axis is not None}
        return {k: _first(v, lowered[k]) if k in lowered else v for k, v in found.items()}

    def _from_the_start(self, **given: tf.Tensor) -> Tensors:
        port = next((p for p in self._face.inputs if p.batch_axis is not None), None)
        rows = tf.constant(1) if port is None else tf.shape(given[self._keys[port.name]])[port.batch_axis]
        return self._sequence(**given, **self._initial_state(rows))

    def _initial_state(self, batch: tf.Tensor) -> Tensors:
        return {self._keys[s.name]: _repeated(self._first[s.name], s.batch_axis, batch) for s in self._face.states}


def _first(x: tf.Tensor, axis: int) -> tf.Tensor:
    """What lies first along an axis; LiteRT's converter loses the axis of a Squeeze behind a transposition."""
    return x[(slice(None),) * axis + (0,)]


def _repeated(row: tf.Tensor, axis: int | None, rows: tf.Tensor) -> tf.Tensor:
    """One row of a state, as many times as there are rows; what is made for some number of rows is as it is."""
    if axis is None or row.shape[axis] != 1:
        return tf.identity(row)
    times = [rows if k == axis else 1 for k in range(row.shape.rank)]
    return tf.tile(row, times)


def keys(face: Interface) -> dict[str, str]:
    """The key of each port and state in the signatures."""
    found: dict[str, str] = {}
    ports = [*(p.name for p in face.inputs), *(s.name for s in face.states), *(p.name for p in face.outputs)]
    for name in dict.fromkeys(ports):
        found[name] = identifier(name, found.values())
    return found


def _spec(port: Port | StatePort, without: int | None = None) -> tf.TensorSpec:
    shape = [n for k, n in enumerate(port.shape) if without is None or k != without]
    dtype = tf.string if port.dtype == "string" else tf.as_dtype(DTYPES[port.dtype])
    return tf.TensorSpec(shape, dtype)


# Reading back


def read(path: Path, model: RecurrentModel) -> _Loaded:
    """What `write` wrote, run by TensorFlow through its signatures."""
    return _Loaded(tf.saved_model.load(str(path)), model.interface, model.vocabulary)


class _Loaded:
    """A SavedModel as something that can be compared: one step runs `step`, more run `sequence`."""

    def __init__(self, loaded: Any, face: Interface, vocabulary: Vocabulary | None) -> None:
        self.interface = face
        self.vocabulary = vocabulary
        self._signatures: Mapping[str, Callable[..., Tensors]] = loaded.signatures
        self._loaded = loaded  # its variables live as long as it does
        self._keys = keys(face)

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:  # noqa: ARG002 - as models have it
        found = self._signatures["initial_state"](batch=tf.constant(batch))
        return State({s.name: found[self._keys[s.name]].numpy() for s in self.interface.states})

    def run(
        self,
        inputs: Mapping[str, Array],
        state: State | None = None,
        settings: Any = None,  # noqa: ARG002 - as models have it
    ) -> tuple[dict[str, Array], State]:
        timed = {p.name: p.time_axis for p in self.interface.inputs if p.time_axis is not None}
        single = self.interface.steppable and all(inputs[name].shape[axis] == 1 for name, axis in timed.items())
        given = {n: np.take(a, 0, timed[n]) if single and n in timed else a for n, a in inputs.items()}
        feeds = {**given, **(state or self.initial_state(rows_of(self.interface, inputs)))}
        called = self._signatures["step" if single else "sequence"]
        found = called(**{self._keys[name]: tf.constant(array) for name, array in feeds.items()})
        outputs = {
            p.name: _with_time_axis(found[self._keys[p.name]].numpy(), p, single=single) for p in self.interface.outputs
        }
        return outputs, State({s.name: found[self._keys[s.name]].numpy() for s in self.interface.states})


def rows_of(face: Interface, inputs: Mapping[str, Array]) -> int:
    """How many rows the inputs of a call have."""
    found = (inputs[p.name].shape[p.batch_axis] for p in face.inputs if p.batch_axis is not None)
    return next(found, 1)


def _with_time_axis(array: Array, port: Port, *, single: bool) -> Array:
    return np.expand_dims(array, port.time_axis) if single and port.time_axis is not None else array
