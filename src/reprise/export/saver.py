"""The four files of TensorFlow 1's Saver, from any restored model: its graph, its weights, and signatures by role.

`import_meta_graph` brings the graph back in any TensorFlow; the signatures `step` and `serving_default` say which
tensors are inputs, outputs and states. The states are placeholders with the model's own first state as their default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.errors import SaveError
from reprise.export.tf_graph import baked_rows, build_values, check_exportable, identifier, variable_weights
from reprise.interface import Interface, Port, StatePort
from reprise.lift import STATE_IN, STATE_OUT
from reprise.model import RecurrentModel
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary

v1 = tf.compat.v1
#: The prefix of the files in their folder.
PREFIX = "model.ckpt"
#: The collection that holds the vocabulary as JSON.
COLLECTION = "reprise"
#: Hints that newer versions attach to operators; TensorFlow 1 refuses a graph with attributes it does not know.
_UNKNOWN_TO_TENSORFLOW_1 = ("debug_name", "grad_a", "grad_b", "validate_shape", "_has_manual_control_dependencies")

Named = dict[str, tf.Tensor]


def write(model: RecurrentModel, path: Path) -> None:
    """Writes `model` into the folder `path`, with the values of its settings that inference uses.

    Raises:
        SaveError: It has an operator that TensorFlow lacks, or something that such a graph cannot hold.
    """
    check_exportable(model)
    if not variable_weights(model):
        raise SaveError("the model has no weights, and Saver files hold nothing else.")
    with tf.Graph().as_default() as graph, _frames(), v1.Session(graph=graph) as session:
        variables = _variables(model)
        given, results = _model(model, variables)
        about = json.dumps(_about(model), ensure_ascii=False).encode()
        graph.add_to_collection(COLLECTION, about)
        graph.add_to_collection(COLLECTION, hashlib.sha256(about).hexdigest().encode())
        for variable, array in zip(variables.values(), variable_weights(model).values(), strict=True):
            variable.load(array, session)
        saver = v1.train.Saver(variables)
        saver.save(session, str(path / PREFIX), write_meta_graph=False)
        meta = v1.train.export_meta_graph(saver_def=saver.as_saver_def(), strip_default_attrs=True)
    for node in meta.graph_def.node:
        for attribute in _UNKNOWN_TO_TENSORFLOW_1:
            node.attr.pop(attribute, None)
    for name in ("step", "serving_default"):
        _describe(meta.signature_def[name], given, results)
    (path / f"{PREFIX}.meta").write_bytes(meta.SerializeToString(deterministic=True))


@contextmanager
def _frames() -> Iterator[None]:
    """Loops as Enter, Merge, Switch, NextIteration, Exit: TensorFlow 1 before 1.13 knows no functional While."""
    functional = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if functional:
            v1.enable_control_flow_v2()


def _variables(model: RecurrentModel) -> dict[str, Any]:
    """A variable for each large array, by its name in the files."""
    with v1.variable_scope("", use_resource=True):
        return {
            identifier(name): v1.get_variable(identifier(name), shape=array.shape, dtype=tf.as_dtype(array.dtype))
            for name, array in variable_weights(model).items()
        }


def _model(model: RecurrentModel, variables: Mapping[str, Any]) -> tuple[Named, Named]:
    """The inputs and outputs of the graph by the names of ports and states."""
    face = model.interface
    inputs = {p.name: v1.placeholder(_dtype(p), p.shape, name=identifier(p.name)) for p in face.inputs}
    states = {s.name: _state(model, s, _rows(face, inputs)) for s in face.states}
    values = {**inputs, **{STATE_IN + n: t for n, t in states.items()}}
    values |= {name: variables[identifier(name)].read_value() for name in variable_weights(model)}
    found = build_values(model.lifted.graph, values)
    outputs = {p.name: tf.identity(found[p.name], name=f"output/{identifier(p.name)}") for p in face.outputs}
    after = {s.name: tf.identity(found[STATE_OUT + s.name], f"final_state/{identifier(s.name)}") for s in face.states}
    return {**inputs, **states}, {**outputs, **after}


def _dtype(port: Port | StatePort) -> tf.DType:
    return tf.string if port.dtype == "string" else tf.as_dtype(DTYPES[port.dtype])


def _rows(face: Interface, inputs: Named) -> tf.Tensor:
    port = next((p for p in face.inputs if p.batch_axis is not None), None)
    return tf.constant(1) if port is None else tf.shape(inputs[port.name])[port.batch_axis]


def _state(model: RecurrentModel, state: StatePort, rows: tf.Tensor) -> tf.Tensor:
    """A placeholder whose default is what a sequence starts from."""
    baked = baked_rows(model.interface)
    first = tf.constant(np.asarray(model.initial_state(baked or 1)[state.name]))
    if state.batch_axis is not None and baked is None:
        first = tf.tile(first, [rows if k == state.batch_axis else 1 for k in range(len(state.shape))])
    return v1.placeholder_with_default(first, state.shape, name=f"state/{identifier(state.name)}")


def _about(model: RecurrentModel) -> dict[str, Any]:
    about: dict[str, Any] = {"version": 1}
    if model.vocabulary is not None:
        about["vocabulary"] = model.vocabulary.to_json()
    return about


def _describe(signature: Any, inputs: Named, outputs: Named) -> None:
    """Writes a SignatureDef."""
    signature.method_name = "reprise/step"
    for described, named in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for key, value in named.items():
            described[key].name = value.name
            described[key].dtype = value.dtype.as_datatype_enum
            described[key].tensor_shape.CopyFrom(value.shape.as_proto())


# Reading back


def read(path: Path, model: RecurrentModel) -> _Imported:
    """What `write` wrote, imported and run by TensorFlow without anything but the files."""
    return _Imported(path, model.interface, model.vocabulary)


class _Imported:
    """The files as something that can be compared: `import_meta_graph`, `restore`, and the tensors of a signature."""

    def __init__(self, path: Path, face: Interface, vocabulary: Vocabulary | None) -> None:
        self.interface = face
        self.vocabulary = vocabulary
        with tf.Graph().as_default() as graph:
            saver = v1.train.import_meta_graph(str(path / f"{PREFIX}.meta"))
            self._session = v1.Session(graph=graph)
            saver.restore(self._session, str(path / PREFIX))
        meta = v1.MetaGraphDef.FromString((path / f"{PREFIX}.meta").read_bytes())
        signature = meta.signature_def["step"]
        self._inputs = {key: info.name for key, info in signature.inputs.items()}
        self._outputs = {key: info.name for key, info in signature.outputs.items()}

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:  # noqa: ARG002 - as models have it
        feeds = {self._inputs[p.name]: _filled(p, batch) for p in self.interface.inputs}
        names = [s.name for s in self.interface.states]
        found = self._session.run([self._inputs[name] for name in names], feeds)
        return State(dict(zip(names, found, strict=True)))

    def run(
        self,
        inputs: Mapping[str, Array],
        state: State | None = None,
        settings: Any = None,  # noqa: ARG002 - as models have it
    ) -> tuple[dict[str, Array], State]:
        feeds = {self._inputs[name]: array for name, array in {**inputs, **(state or {})}.items()}
        found = self._session.run(self._outputs, feeds)
        return {p.name: found[p.name] for p in self.interface.outputs}, State(
            {s.name: found[s.name] for s in self.interface.states}
        )


def _filled(port: Port, batch: int) -> Array:
    """Zeros of the shape of an input of some rows: only its size matters."""
    shape = [batch if k == port.batch_axis else (n if n is not None else 1) for k, n in enumerate(port.shape)]
    return np.zeros(shape, DTYPES[port.dtype])
