"""A lifted model as one ONNX file that says of itself what it is, and back.

Any ONNX runtime can use such a file: state goes in as `state_in.NAME` and comes out as `state_out.NAME`. The metadata
tell in JSON what the names mean, where a sequence starts, and which symbols the ids stand for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise.errors import CallError, DamagedFile, UnknownFormat
from reprise.formats import StoredModel
from reprise.formats import onnx as file
from reprise.interface import Interface
from reprise.lift.model import STATE_FIRST, STATE_IN, STATE_OUT, Lifted, standalone
from reprise.operators.rules.block import INLINE, computed_type
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary
from reprise.wire import onnx

Settings = Mapping[str, float | int | bool]
FirstStates = tuple[onnx.Message, Mapping[str, Array]]


def as_onnx_file(
    lifted: Lifted,
    first_states: Mapping[str, Array],
    vocabulary: Vocabulary | None,
    columns: Sequence[str] = (),
    drift: Mapping[str, Any] | None = None,
) -> onnx.Message:
    """`lifted` with its weights and everything that is known of it.

    Args:
        lifted: The model, for one choice of its settings.
        first_states: Where a sequence starts, for the states that do not start from zeros: one row each.
        vocabulary: Its symbols.
        columns: What the columns of a forecast are called.
        drift: How far its numbers are from those in float32, where its weights have fewer bits.
    """
    facts: dict[str, Any] = {
        file.VERSION: file.LAYOUT,
        file.INTERFACE: lifted.interface.to_json(),
        file.SETTINGS: {"fixed": dict(lifted.fixed), "open": list(lifted.open)},
        file.FIRST_STATES: {n: _computed(a, a.dtype.name).tolist() for n, a in first_states.items()},
        file.FAST: list(lifted.fast),
    }
    if vocabulary is not None:
        facts[file.VOCABULARY] = vocabulary.to_json()
    if columns:
        facts[file.COLUMNS] = list(columns)
    if drift:
        facts[file.DRIFT] = dict(drift)
    metadata = {k: json.dumps(v, ensure_ascii=False) for k, v in facts.items()}
    return standalone(lifted.graph, lifted.weights, metadata, lifted.opsets)


def is_own(stored: StoredModel) -> bool:
    """Whether Reprise wrote the file, so that it says what its inputs, outputs and states are."""
    return file.INTERFACE in stored.metadata


def check_layout(stored: StoredModel, entry: str, layout: Any) -> None:
    """Holds that a file which Reprise wrote says in `entry` that it has this `layout`.

    Raises:
        UnknownFormat: A newer or older program wrote it.
    """
    found = stored.metadata.get(entry)
    if found != layout:
        raise UnknownFormat(
            f"{stored.path}: written in layout {found!r}; this program reads {layout}. Use a newer Reprise, or export "
            "the model again."
        )


def lifted_in(stored: StoredModel) -> tuple[Callable[[Settings], Lifted], Callable[[], FirstStates]]:
    """What a `RecurrentModel` is made of: its `lift` and its `first_states`.

    Raises:
        ReadError: What it says of itself cannot be.
    """
    check_layout(stored, file.VERSION, file.LAYOUT)
    try:
        lifted = _lifted(stored)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _damaged(stored, f"its description of itself is not valid ({error})") from error
    return lambda settings: _with(stored, lifted, settings), lambda: _first_states(stored, lifted.interface)


def _damaged(stored: StoredModel, what: str) -> DamagedFile:
    return DamagedFile(f"{stored.path}: {what}. Export the model again.")


def _lifted(stored: StoredModel) -> Lifted:
    known, model = stored.metadata, stored.foreign
    interface = Interface.from_json(known[file.INTERFACE])
    _check_ports(interface, model.graph, known[file.SETTINGS]["open"])
    small = [t for t in model.graph.initializer if _size(t) <= INLINE]
    weights = {t.name: onnx.array_of(t) for t in model.graph.initializer if _size(t) > INLINE}
    graph = onnx.graph(model.graph.node, model.graph.name, model.graph.input, model.graph.output, small)
    settings = known[file.SETTINGS]
    opsets = tuple((o.domain, o.version) for o in model.opset_import)
    fixed, still_open = dict(settings["fixed"]), tuple(settings["open"])
    return Lifted(interface, graph, weights, fixed, still_open, tuple(known[file.FAST]), opsets=opsets)


def _computed(numbers: Any, dtype: str) -> Array:
    return np.asarray(numbers, DTYPES[computed_type(dtype)])


def _size(tensor: onnx.Message) -> int:
    return math.prod(tensor.dims)


def _check_ports(interface: Interface, graph: onnx.Message, open_settings: list[str]) -> None:
    inputs = [*(p.name for p in interface.inputs), *(STATE_IN + s.name for s in interface.states), *open_settings]
    outputs = [*(p.name for p in interface.outputs), *(STATE_OUT + s.name for s in interface.states)]
    outputs += [STATE_FIRST + s.name for s in interface.states if s.initial == "inputs"]
    for kind, wanted, found in (
        ("input", inputs, {i.name for i in graph.input}),
        ("output", outputs, {o.name for o in graph.output}),
    ):
        missing = [name for name in wanted if name not in found]
        if missing or len(set(wanted)) < len(wanted):
            raise ValueError(f"its graph has no {kind} {', '.join(missing)}")
    unknown = {i.name for i in graph.input} - set(inputs)
    if unknown:
        raise ValueError(f"its graph has inputs that the interface does not name: {', '.join(sorted(unknown))}")


def _with(stored: StoredModel, lifted: Lifted, settings: Settings) -> Lifted:
    for name, value in settings.items():
        if name not in lifted.open and lifted.fixed.get(name) != value:
            raise CallError(
                f"setting {name!r} is {lifted.fixed.get(name)} in {stored.path} and cannot be {value}: it was built in "
                "when the model was exported. Use the model that the file was made from."
            )
    return lifted


def _first_states(stored: StoredModel, interface: Interface) -> FirstStates:
    """A graph without inputs that gives one row of each state that does not start from zeros."""
    held = stored.metadata.get(file.FIRST_STATES, {})
    try:
        rows = {p.name: _computed(held[p.name], p.dtype) for p in interface.states if p.initial == "file"}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(stored, f"its first states cannot be read ({error})") from error
    nodes = [onnx.node("Identity", [STATE_IN + name], [name]) for name in rows]
    outputs = [onnx.value_info(name, onnx.element_type(row), row.shape) for name, row in rows.items()]
    small = [onnx.tensor(a, STATE_IN + n) for n, a in rows.items()]
    return onnx.graph(nodes, "first states", [], outputs, small), {}


__all__ = ["STATE_IN", "STATE_OUT", "as_onnx_file", "lifted_in"]
