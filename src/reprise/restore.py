"""The whole flow: read → discover → lift → run. Newcomers start here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np

from reprise import engines, foreign, formats, interface, lift, stack
from reprise.corpus import vocabulary_of
from reprise.errors import AmbiguousInterface, CallError, DiscoveryError, MissingFile
from reprise.formats import StoredModel
from reprise.graph import Node
from reprise.graph_check import check
from reprise.inputs import Settings
from reprise.interface import Choices, Discovery
from reprise.layers import Layers, WrittenGraph, write_graph
from reprise.lift import Lifted, onnx_file
from reprise.model import RecurrentModel
from reprise.precision import FULL, LARGEST
from reprise.runtime import THREADS, TIME_LIMIT
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.weights import describe_weights, keras, layers_of_weights, ways

_Lift = Callable[[Settings], Lifted]
_FirstStates = Callable[[], onnx_file.FirstStates]


@np.errstate(all="ignore")  # the numbers of a file may be any, and what is worked out of them in advance is no news
def restore(
    path: str | PathLike[str],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    states: Sequence[str] | Mapping[str, str] = (),
    scope: str = "",
    signature: str = "",
    settings: Settings | None = None,
    format: str = "",
    tags: Sequence[str] = (),
    graph: str | PathLike[str] | None = None,
    checkpoint: str | int = "",
    layers: str | PathLike[str] | None = None,
    custom: Mapping[str, Any] | None = None,
    cell: Mapping[str, Any] | None = None,
    averages: bool = False,
    zero_state: bool = False,
    vocabulary: Vocabulary | str | PathLike[str] | Sequence[str] | None = None,
    symbols_before: Sequence[str] = (),
    symbols_after: Sequence[str] = (),
    corpus: str | PathLike[str] | None = None,
    threads: int = THREADS,
    time_limit: float = TIME_LIMIT,
    engine: str = engines.AUTO,
    precision: str = FULL,
    largest_drift: float = LARGEST,
) -> RecurrentModel:
    """The saved model at `path`, running, with its recurrent state in the caller's hands.

    Args:
        path: A folder, a prefix or a file of any supported format.
        inputs: Tensor names that are the inputs, where the evidence does not decide; any outside of loops can be.
        outputs: Tensor names that are the outputs.
        states: Tensor names that are the states; or, where a graph holds one step, the tensor by which each state
            enters and the one with its next value, such as `{"c:0": "cell/add_1:0", "h:0": "cell/mul_2:0"}`.
        scope: The name scope of the wanted model, where a graph holds several.
        signature: The signature or function of the wanted model, where a SavedModel of TensorFlow 2 holds several.
        settings: Values of settings by name, such as a keep probability, instead of those that inference uses.
        format: The name of the format, where the files could be of several.
        tags: The tags of the wanted MetaGraph, where a SavedModel holds several.
        graph: The file with the graph of a checkpoint, where no `.meta` of its name is beside it.
        checkpoint: Which of several checkpoints of a folder: `best` by validation, `last`, or a step. By default it is
            the best where the folder is that of a run of Reprise, else the one that TensorFlow would take.
        layers: The file with the configuration of Keras that weights alone belong to.
        custom: What layers are that are not Keras' own, by class or name: another class, such as
            `{"MyAttention": "Attention"}`, a description of a layer or model, or the path of a JSON file with one,
            whose layers have the weights in their order; `"Identity"` gives what goes into it.
        cell: What no weights say of their cells, where there is no graph at all, such as
            `{"kind": "lstm", "forget_bias": 1.0, "activation": "tanh"}`.
        averages: Use the moving averages of the weights that the file keeps beside them.
        zero_state: Start from zeros where the file holds values of a state, such as those that training left over.
        vocabulary: The symbols, where the file does not have them: a `Vocabulary`, the path of a file that holds one,
            or the symbols themselves in the order of their ids.
        symbols_before: Symbols that the program put before those of the vocabulary, such as one for padding.
        symbols_after: Symbols that it put behind them, such as one for what is unknown.
        corpus: The text that the model was trained on, where no file has the symbols: they are made from it, and the
            model decides in which of the ways in which programs do that.
        threads: How many threads one call may use; 1 is best where many models or sessions share the machine.
        time_limit: How many seconds a loop may run in one call before it is taken for one that never ends; for each
            number that is fed, a hundredth of a second more.
        engine: What computes single steps of one row: `numpy`, `onnxruntime`, or `auto`, which takes NumPy where it is
            faster and gives the same numbers. All else is computed by ONNX Runtime.
        precision: `int8` or `int4` keep the weights of products in so many bits; what that changes is measured, and
            stands in the notes. ONNX Runtime computes such a model.
        largest_drift: The largest drift from float32 that is accepted then: see `RecurrentModel.with_precision`.

    Raises:
        RepriseError: The file cannot be read, understood or run; the message says where and why.

    Warns:
        UserWarning: There are weights of Keras alone, and what they do not hold is as Keras has it by default.
    """
    reading = {"tags": tuple(tags), "graph": graph, "layers": layers, "custom": custom, "cell": cell}
    reading["checkpoint"] = str(checkpoint)
    stored = formats.read(path, format=format, **{name: value for name, value in reading.items() if value})
    symbols = formats.given_vocabulary(vocabulary) or stored.vocabulary
    if symbols is not None:
        symbols = symbols.extended(symbols_before, symbols_after)
    choices = Choices.of(inputs, outputs, states, scope, settings, signature)
    stored, lifted, first_states = _parts(stored, choices, cell, symbols, averages=averages)
    lifted = _from_zeros(lifted) if zero_state else lifted
    model = RecurrentModel(stored, lifted, first_states, symbols, threads, time_limit, engine)
    engines.check_chosen(engine, model)
    model = model if corpus is None else _spelled(model, corpus, given=vocabulary is not None)
    if engine == engines.NUMPY and precision != FULL:
        raise CallError(
            f"engine: {engine} computes in {FULL} alone, and precision is {precision}; leave one of them out"
        )
    return model.with_precision(precision, largest_drift)


def _parts(
    stored: StoredModel, choices: Choices, cell: Mapping[str, Any] | None, symbols: Vocabulary | None, *, averages: bool
) -> tuple[StoredModel, _Lift, _FirstStates]:
    """The model that was read, how it is lifted and its first states: it is ready, or layers, or a graph."""
    if stored.foreign is not None:
        own = onnx_file.is_own(stored)
        useless = cell is not None and not formats.takes_cell(stored.format)
        _refuse(stored, chosen=(own and choices != Choices()) or useless or averages)
        return stored, *(onnx_file.lifted_in(stored) if own else foreign.model_parts(stored, choices))
    if stack.is_stack(stored):
        _refuse(stored, chosen=choices != Choices() or cell is not None or averages)
        return stored, *stack.lifted_stack_in(stored)
    if stored.obstacle:
        raise DiscoveryError(f"{stored.path}: {stored.obstacle}")
    stored, source, found = discovered(stored, choices, cell, symbols, averages=averages)
    return stored, *_lifted(source, found)


def _spelled(model: RecurrentModel, corpus: str | PathLike[str], *, given: bool) -> RecurrentModel:
    """The model with the vocabulary that it tells from the text that it was trained on."""
    if given:
        raise CallError("corpus: a vocabulary is given too; leave one of them out")
    vocabulary, note = vocabulary_of(model, corpus)
    stored = replace(model.stored, vocabulary_source=str(corpus), notes=(*model.stored.notes, note))
    spelled = model.with_vocabulary(vocabulary)
    spelled.stored = stored
    return spelled


def _lifted(source: WrittenGraph, found: Discovery) -> tuple[_Lift, _FirstStates]:
    """What a `RecurrentModel` is made of: its `lift` and its `first_states`."""

    def variable(node: Node) -> Tensor | None:
        return source.tensors.get(node.name)

    return lambda values: lift.lift(found, variable, values), lambda: lift.first_states(found, variable)


def _from_zeros(lifted: _Lift) -> _Lift:
    """The same models, whose states start from zeros where the file holds values."""

    def from_zeros(values: Settings) -> Lifted:
        made = lifted(values)
        states = (replace(s, initial="zeros") if s.initial == "file" else s for s in made.interface.states)
        return replace(made, interface=replace(made.interface, states=tuple(states)))

    return from_zeros


def _refuse(stored: StoredModel, *, chosen: bool) -> None:
    """Raises CallError if anything was chosen."""
    if chosen:
        raise CallError(
            f"{stored.path}: a file of the format {stored.format} states its interface, so there is nothing to choose. "
            "Leave out inputs, outputs, states, scope, settings, cell and averages; a call of the model takes the "
            "values of its settings."
        )


def _averaged(stored: StoredModel) -> dict[str, str]:
    """The stored name of each variable, that of its moving average where it has one.

    Raises:
        CallError: None has.
    """
    shadows = stored.metadata.get("moving_averages") or {}
    if not shadows:
        raise CallError(f"{stored.path}: averages were asked for, and the file keeps no moving averages of its weights")
    return {**stored.variable_names, **shadows}


def discovered(
    stored: StoredModel,
    choices: Choices,
    cell: Mapping[str, Any] | None = None,
    symbols: Vocabulary | None = None,
    *,
    averages: bool = False,
) -> tuple[StoredModel, WrittenGraph, Discovery]:
    """The model, its graph with its tensors, and the interface of that; of several functions the best one's.

    Raises:
        RepriseError: As `restore`.
    """
    if stored.entries:
        name, found = interface.discover_entry(stored.entries, choices)
        stored, source = _source(replace(stored, graph=stored.entries[name]), cell, symbols, averages=averages)
        return stored, source, found
    if choices.signature:
        raise CallError(f"{stored.path}: holds no functions, so signature has nothing to choose. Leave it out.")
    stored, source = _source(stored, cell, symbols, averages=averages)
    wanted = replace(choices.or_outputs(source.outputs), declared=stored.declared())
    return stored, source, interface.discover(source.graph, wanted)


def _source(
    stored: StoredModel, cell: Mapping[str, Any] | None, symbols: Vocabulary | None, *, averages: bool
) -> tuple[StoredModel, WrittenGraph]:
    """The graph with its tensors: that of the file, or that of its layers, or that of the layers its weights are.

    Raises:
        CallError: The file says already what the caller says.
        MissingFile: There are weights alone, and what they do not hold is said by nobody; the message tells what it is.
        AmbiguousInterface: There is no way, or more than one, to put weights together.
    """
    whole = stored.graph is not None or (stored.layers is not None and not formats.takes_cell(stored.format))
    if cell is not None and whole:
        raise CallError(f"{stored.path}: cell is for weights without a graph, and these have theirs. Leave it out.")
    names = _averaged(stored) if averages else stored.variable_names
    tensors = {node: stored.weights[name] for node, name in names.items() if name in stored.weights}
    if stored.graph is not None:
        return stored, WrittenGraph(stored.graph, tensors)
    layers = stored.layers
    if layers is None:
        layers = _assembled(stored, {**stored.weights, **tensors}, cell, len(symbols) if symbols else 0)
        stored = replace(stored, notes=(*stored.notes, *layers.notes))
        for note in layers.notes if cell is None else ():
            warnings.warn(f"{stored.path}: {note}", stacklevel=6)
    made = write_graph(layers)
    check(made.graph)
    return stored, made


def _assembled(
    stored: StoredModel, weights: Mapping[str, Tensor], cell: Mapping[str, Any] | None, symbols: int
) -> Layers:
    """The layers that weights alone are, as far as they and the caller say."""
    try:
        if stored.keras is not None and keras.is_of_keras(weights):
            return keras.layers(weights, stored.keras, cell)
        if cell is not None:
            return layers_of_weights(weights, cell, symbols)
    except AmbiguousInterface as error:
        why = "cell: no weights as TensorFlow 1's cells hold them" if _by_object(stored) else error
        advice = "" if stored.keras else f". {_advice(stored)}"
        raise AmbiguousInterface(f"{stored.path}: {error if stored.keras else why}{advice}") from error
    raise MissingFile(f"{stored.path}: weights without the graph that computes with them. {_advice(stored)}")


def _advice(stored: StoredModel) -> str:
    """What these weights without a graph seem to be, and what to do about them, as sentences."""
    can_be = ways(stored.weights)
    if not _by_object(stored):
        step = "Put the .meta that was saved with them beside them, or name a file with the graph (--graph)."
    elif can_be:
        step = "TensorFlow 2 saved them by object, and writes no graph with them."
    else:
        step = (
            "TensorFlow 2 saved them by object, and writes no graph with them; Reprise does not put the layers of such "
            "programs together yet."
        )
    return " ".join(filter(None, (step, describe_weights(stored.weights), can_be)))


def _by_object(stored: StoredModel) -> bool:
    return bool(stored.metadata.get("by_object"))
