"""The whole flow: read → discover → lift → run. Newcomers start here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

from reprise import formats, interface, lift
from reprise.errors import CallError, MissingWeights
from reprise.formats import StoredModel
from reprise.graph import Node
from reprise.interface import Choices
from reprise.interface.weights import describe
from reprise.lift import Lifted, onnx_file
from reprise.model import RecurrentModel
from reprise.runtime import THREADS
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary


def restore(
    path: str | PathLike[str],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    states: Sequence[str] = (),
    scope: str = "",
    settings: Mapping[str, float | int | bool] | None = None,
    format: str = "",
    tags: Sequence[str] = (),
    graph: str | PathLike[str] | None = None,
    averages: bool = False,
    vocabulary: Vocabulary | None = None,
    threads: int = THREADS,
) -> RecurrentModel:
    """The saved model at `path`, running, with its recurrent state in the caller's hands.

    Args:
        path: A folder, a prefix or a file of any supported format.
        inputs: Tensor names that are the inputs, where the evidence does not decide.
        outputs: Tensor names that are the outputs.
        states: Tensor names that are the states.
        scope: The name scope of the wanted model, where a graph holds several.
        settings: Values of settings by name, such as a keep probability, instead of those that inference uses.
        format: The name of the format, where the files could be of several.
        tags: The tags of the wanted MetaGraph, where a SavedModel holds several.
        graph: The file with the graph of a checkpoint, where no `.meta` of its name is beside it.
        averages: Use the moving averages of the weights that the file keeps beside them.
        vocabulary: The symbols, where the file does not have them.
        threads: How many threads one call may use; 1 is best where many models or sessions share the machine.

    Raises:
        RepriseError: The file cannot be read, understood or run; the message says where and why.
    """
    reading = {"tags": tuple(tags), "graph": graph}
    stored = formats.read(path, format=format, **{name: said for name, said in reading.items() if said})
    choices = Choices(tuple(inputs), tuple(outputs), tuple(states), scope, settings or {})
    if stored.foreign is not None:
        _refuse(stored, choices)
        return RecurrentModel(stored, *onnx_file.lifted_in(stored), vocabulary or stored.vocabulary, threads)
    if stored.graph is None:
        raise MissingWeights(_without_graph(stored))
    found = interface.discover(stored.graph, choices)
    names = _averaged(stored) if averages else stored.variable_names

    def variable(node: Node) -> Tensor | None:
        return stored.weights.get(names.get(node.name, ""))

    def lifted(values: Mapping[str, float | int | bool]) -> Lifted:
        return lift.lift(found, variable, values)

    return RecurrentModel(
        stored, lifted, lambda: lift.first_states(found, variable), vocabulary or stored.vocabulary, threads
    )


def _refuse(stored: StoredModel, choices: Choices) -> None:
    """Raises CallError if anything was chosen."""
    if choices != Choices():
        raise CallError(
            f"{stored.path}: a {stored.format} file states its interface, so there is nothing to choose. Leave out "
            "inputs, outputs, states, scope and settings; a call of the model takes the values of its settings."
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


def _without_graph(stored: StoredModel) -> str:
    """What weights alone say of their model, and what is missing."""
    known = describe({name: tensor.shape for name, tensor in stored.weights.items()})
    return (
        f"{stored.path}: weights without the graph that computes with them. They look like: "
        f"{'; '.join(known) or 'nothing known'}. Activations, the bias added to forget gates and what stands between "
        "the layers are in the graph: put the .meta that was saved with them beside them."
    )
