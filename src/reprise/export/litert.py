"""A LiteRT model (TensorFlow Lite) with the signatures `step` and `initial_state`, of built-in operators alone.

It is converted from the SavedModel of the same model. It holds single steps, whose sizes need no tables of tensors; a
sequence is a loop of the caller's. A state has the same key where it goes in and where it comes out.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.errors import SaveError, VerificationError
from reprise.export import saved_model
from reprise.interface import Interface, Port
from reprise.model import RecurrentModel
from reprise.state import State
from reprise.tensors import Array
from reprise.verify.steps import join_steps
from reprise.vocabulary import Vocabulary

SIGNATURES = ("step", "initial_state")


def write(model: RecurrentModel, path: Path) -> None:
    """Writes the steps of `model`, with the values of its settings that inference uses.

    Raises:
        SaveError: It cannot be stepped, or has an operator that LiteRT lacks.
    """
    if not model.interface.steppable:
        raise SaveError(
            f"a LiteRT file of Reprise holds single steps, and the model cannot be stepped: {model.interface.why_not}"
        )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        saved_model.write(model, Path(folder, "m"))
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder, "m")), signature_keys=list(SIGNATURES))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            data = converter.convert()
        except Exception as error:
            raise SaveError(f"LiteRT cannot express this model: {_reason(error)}") from error
    path.write_bytes(data)


def _reason(error: Exception) -> str:
    """The operators that are none of LiteRT's own, or the first line of a long message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    foreign = [line.partition(":")[2].strip() for line in lines if line.startswith(("TF Select ops:", "Custom ops:"))]
    if foreign:
        return f"it has no operator of its own for {', '.join(foreign)}"
    return (lines[0] if lines else type(error).__name__)[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the converter tells its developers."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def read(path: Path, model: RecurrentModel) -> _Interpreted:
    """What `write` wrote, run by the interpreter."""
    with _quiet():
        interpreter = tf.lite.Interpreter(model_content=path.read_bytes())
    return _Interpreted(interpreter, model.interface, model.vocabulary)


class _Interpreted:
    """A file as something that can be compared: a run is a step after the other."""

    def __init__(self, interpreter: Any, face: Interface, vocabulary: Vocabulary | None) -> None:
        self.interface = face
        self.vocabulary = vocabulary
        self._interpreter = interpreter  # its runners live as long as it does
        self._keys = saved_model.keys(face)
        self._runners = {name: interpreter.get_signature_runner(name) for name in SIGNATURES}

    def _call(self, name: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return dict(self._runners[name](**{self._keys.get(k, k): v for k, v in feeds.items()}))
        except (RuntimeError, ValueError) as error:
            raise VerificationError(f"the interpreter does not run {name!r}: {str(error).strip()[:300]}") from error

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:  # noqa: ARG002 - as models have it
        found = self._call("initial_state", {"batch": np.asarray(batch, np.int32)})
        return State({s.name: found[self._keys[s.name]] for s in self.interface.states})

    def run(
        self,
        inputs: Mapping[str, Array],
        state: State | None = None,
        settings: Any = None,  # noqa: ARG002 - as models have it
    ) -> tuple[dict[str, Array], State]:
        timed = {p.name: p.time_axis for p in self.interface.inputs if p.time_axis is not None}
        steps = next((inputs[name].shape[axis] for name, axis in timed.items()), 1)
        state = state or self.initial_state(saved_model.rows_of(self.interface, inputs))
        made = []
        for t in range(steps):
            given = {n: np.take(a, t, timed[n]) if n in timed else a for n, a in inputs.items()}
            found = self._call("step", {**given, **state})
            state = State({s.name: found[self._keys[s.name]] for s in self.interface.states})
            made.append({p.name: _raised(p, found[self._keys[p.name]]) for p in self.interface.outputs})
        return {p.name: join_steps(p, [step[p.name] for step in made]) for p in self.interface.outputs}, state


def _raised(port: Port, array: Array) -> Array:
    """An output of a step with its axis of time."""
    return array if port.time_axis is None else np.expand_dims(array, port.time_axis)
