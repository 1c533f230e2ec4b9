"""The model in a session as the four files of a Saver, with a signature that says what is input, output and state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.variable_pb2 import VariableDef

from reprise import verify
from reprise.errors import CallError, SaveError, VerificationError
from reprise.formats import given_vocabulary
from reprise.formats._tensorflow import graphdef
from reprise.interface import Choices, Interface, Port, StatePort, discover
from reprise.restore import restore
from reprise.tensorflow import publishing
from reprise.tensorflow import variables as of_session
from reprise.tensorflow.live import LiveModel
from reprise.tensorflow.variables import Variable
from reprise.tensors import Array
from reprise.vocabulary import Vocabulary
from reprise.wire import messages

v1 = tf.compat.v1

_COLLECTION = "reprise"
_SIGNATURE = "step"
_METHOD = "reprise/step"

#: Carried steps that must agree, and how closely. Summing in another order changes float32 by far less; a state that is
#: lost, or exchanged with another, by far more.
_STEPS = 16
_TOLERANCE = {"float32": 1e-4, "float64": 1e-9, "float16": 2e-2, "bfloat16": 1e-1}


def save(
    session: Any,
    prefix: str | PathLike[str],
    *,
    global_step: Any = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    states: Sequence[str] = (),
    scope: str = "",
    vocabulary: Vocabulary | str | PathLike[str] | Sequence[str] | None = None,
) -> Path:
    """Writes the recurrent model of a session so that every program can find its way in, and gives the prefix written.

    The files are those of `tf.compat.v1.train.Saver`: `.data`, `.index`, `.meta` and `checkpoint`. The graph in `.meta`
    has a signature `step` that names the tensor of every input, output and state (`state/…`, in and out) beside those
    that a file of the same name had, and no devices, so that any machine can load it. Before the files take their
    names, `reprise.restore` reads them and must agree with the session over 16 carried steps. The session's own graph
    gets no operation, so a finalized one will do.

    Args:
        session: A `tf.compat.v1` session whose variables have values, or a `MonitoredSession`.
        prefix: What the names of the files begin with; its folder is made if need be.
        global_step: A number, or a tensor of the graph, to append to the prefix.
        inputs: Tensor names that are the inputs, where the evidence does not decide.
        outputs: Tensor names that are the outputs.
        states: Tensor names that are the states.
        scope: The name scope of the wanted model, where the graph holds several.
        vocabulary: The symbols of a language model, as for `reprise.restore`; they travel in `.meta`.

    Raises:
        DiscoveryError: The graph has no recurrence, or several readings are equally good. Nothing was written.
        LiftError: The graph uses an operator that Reprise cannot run; Saver can save it. Nothing was written.
        SaveError: The model cannot be written; what was there is untouched.
        VerificationError: What was written does not compute what the session does; it is removed, and what was there
            is untouched.
    """
    place = _place(session, prefix, global_step)
    variables = of_session.find(session.graph)
    if not variables:
        raise SaveError(f"{place}: the graph has no variables: its weights are constants. Write the GraphDef itself.")
    meta = _exported(session.graph, variables, place)
    found = _discovered(meta, place, Choices(tuple(inputs), tuple(outputs), tuple(states), scope))
    symbols = given_vocabulary(vocabulary)
    live = LiveModel(session, found, symbols)
    with of_session.unchanged(session, variables) as held, publishing.publication(place) as part:
        copy, written = _with_saver(meta)
        _describe(written, live, publishing.before(place), symbols)
        _write(part, copy, written, held)
        saved = restore(part, inputs=inputs, outputs=outputs, states=states, scope=scope, vocabulary=symbols)
        report = verify.compare(live, saved, steps=_STEPS, tolerance=_tolerance(found))
        if not report.equal:
            raise VerificationError(
                f"{place}: not written, for the files do not compute what the session does: {report}"
            )
    return place


def _place(session: Any, prefix: str | PathLike[str], global_step: Any) -> Path:
    place = Path(prefix)
    if not place.name or place.name == "checkpoint" or place.is_dir():
        raise CallError(
            f"{prefix}: is a folder, or a name that TensorFlow uses; give a prefix, such as runs/model.ckpt"
        )
    if global_step is None:
        return place
    is_number = isinstance(global_step, int)
    return place.with_name(f"{place.name}-{global_step if is_number else int(session.run(global_step))}")


def _exported(graph: Any, variables: Sequence[Variable], place: Path) -> Any:
    """The graph as a MetaGraphDef that lists every one of its variables."""
    others = graph.get_collection(v1.GraphKeys.SAVEABLE_OBJECTS)
    if others:
        names = ", ".join(str(getattr(one, "name", one)) for one in others[:5])
        raise SaveError(
            f"{place}: the graph asks to save tensors that are not variables ({names}); only Saver can do that"
        )
    # A graph that was imported as a bare GraphDef lists none of its variables, and a Saver goes by the list.
    unlisted = [_definition(v) for v in variables if not v.declared]
    try:
        with graph.as_default():
            meta = v1.train.export_meta_graph(graph=graph)
    except ValueError as error:  # protobuf's limit of two gigabytes
        raise SaveError(f"{place}: the graph cannot be written as one message ({error})") from error
    if unlisted:
        meta.collection_def[v1.GraphKeys.GLOBAL_VARIABLES].bytes_list.value.extend(unlisted)
    return meta


def _definition(variable: Variable) -> bytes:
    about = VariableDef(
        variable_name=variable.op.outputs[0].name,
        initializer_name=of_session.assigning(variable).name,
        snapshot_name=of_session.reading(variable).name,
        is_resource=variable.op.type == "VarHandleOp",
        trainable=True,
    )
    return bytes(about.SerializeToString())


def _discovered(meta: Any, place: Path, choices: Choices) -> Interface:
    definition = messages.parse("GraphDef", meta.graph_def.SerializeToString(), place)
    return discover(graphdef.graph(definition, place), choices).interface


def _with_saver(meta: Any) -> tuple[Any, Any]:
    """A copy of the graph with the operators of a Saver, and its MetaGraphDef: the session's graph stays as it is."""
    with tf.Graph().as_default() as copy:
        saver = v1.train.import_meta_graph(meta)
        written = v1.train.export_meta_graph(
            saver_def=saver.as_saver_def(), clear_devices=True, strip_default_attrs=True
        )
    return copy, written


def _describe(meta: Any, live: LiveModel, before: Mapping[str, Any], vocabulary: Vocabulary | None) -> None:
    """Adds the signatures and the vocabulary."""
    nodes = {node.name for node in meta.graph_def.node}
    for name, signature in before.items():
        named = [*signature.inputs.values(), *signature.outputs.values()]
        if all(one.name.partition(":")[0] in nodes for one in named):
            meta.signature_def[name].CopyFrom(signature)
    step = meta.signature_def[_SIGNATURE]
    step.Clear()
    step.method_name = _METHOD
    _name(step.inputs, {**live.inputs, **live.settings, **_state_keys(live.states)})
    _name(step.outputs, {**live.outputs, **_state_keys(live.final)})
    if vocabulary is not None:
        entries = meta.collection_def[_COLLECTION].bytes_list
        about = json.loads(entries.value[0]) if entries.value else {}
        about |= {"version": 1, "vocabulary": vocabulary.to_json()}
        del entries.value[:]
        entries.value.append(json.dumps(about, ensure_ascii=False).encode())


def _name(infos: Any, tensors: Mapping[str, Any]) -> None:
    for key, tensor in tensors.items():
        infos[key].name = tensor.name
        infos[key].dtype = tensor.dtype.as_datatype_enum
        infos[key].tensor_shape.CopyFrom(tensor.shape.as_proto())


def _state_keys(states: Mapping[str, Any]) -> dict[str, Any]:
    return {f"state/{name}": tensor for name, tensor in states.items()}


def _write(part: Path, copy: Any, meta: Any, held: Mapping[str, Array]) -> None:
    """Writes data and index by the operators of the Saver in the copy, fed with the values; and the graph."""
    saver = meta.saver_def
    write_op = copy.as_graph_element(saver.save_tensor_name).op.control_inputs[0]
    # The first three inputs are the prefix, the names and the slices.
    feeds = {tensor: held[_variable_behind(tensor.op)] for tensor in write_op.inputs[3:]}
    try:
        with v1.Session(graph=copy, config=v1.ConfigProto(device_count={"GPU": 0})) as session:
            session.run(saver.save_tensor_name, {saver.filename_tensor_name: str(part), **feeds})
    except tf.errors.OpError as error:
        raise SaveError(f"{part.name}: TensorFlow cannot write it: {error.message.splitlines()[0]}") from error
    part.with_name(f"{part.name}.meta").write_bytes(meta.SerializeToString(deterministic=True))


def _variable_behind(op: Any) -> str:
    while op.inputs:  # a read, or an Identity of it
        op = op.inputs[0].op
    return str(op.name)


def _tolerance(found: Interface) -> float:
    """That of the coarsest type of numbers in the interface."""
    ports: tuple[Port | StatePort, ...] = (*found.outputs, *found.states)
    return max(_TOLERANCE.get(p.dtype, 0.0) for p in ports) or _TOLERANCE["float32"]
