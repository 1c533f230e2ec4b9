"""One of two models, seen by the ports and states that both have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reprise import stack
from reprise.comparison.pairing import Pairs, PortPair
from reprise.interface import Interface, Port, StatePort
from reprise.model import RecurrentModel
from reprise.stack import Stack
from reprise.stack.ports import as_rows, of_rows, row_width
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Unit:
    """Columns `start` to `start + width` of each row of a state."""

    state: StatePort
    start: int
    width: int


#: What both models carry, by a name for both, each with the unit of this model; None where that cannot be told.
Units = Mapping[str, Unit] | None


def units(a: RecurrentModel, b: RecurrentModel) -> tuple[Units, Units]:
    """What each of two models carries, by common names: by the layers, where both are stacks, or by the states."""
    by_layer = [_of_layers(m, stack.recognise(m.lifted)) for m in (a, b)]
    by_state = [_of_states(m) for m in (a, b)]
    by_rank = [_by_rank(found) for found in by_state]
    for one, other in (by_state, by_layer, by_rank):
        if one and other and {n: u.width for n, u in one.items()} == {n: u.width for n, u in other.items()}:
            return one, {name: other[name] for name in one}
    return None, None


def _of_states(model: RecurrentModel) -> dict[str, Unit]:
    ports = model.interface.states
    widths = {s.name: row_width(s) for s in ports}
    return {} if None in widths.values() else {s.name: Unit(s, 0, widths[s.name] or 0) for s in ports}


def _by_rank(found: Mapping[str, Unit]) -> dict[str, Unit]:
    """By names such as `layer0.h` alone, whose layers are counted anew: a file may count other layers with them."""
    parts = {name: found_name.groups() for name in found if (found_name := re.fullmatch(r"layer(\d+)\.(\w+)", name))}
    ranks = {number: k for k, number in enumerate(sorted({int(number) for number, _ in parts.values()}))}
    if len(parts) != len(found):
        return {}
    return {f"layer{ranks[int(number)]}.{kind}": found[name] for name, (number, kind) in parts.items()}


def _of_layers(model: RecurrentModel, found: Stack | stack.NotAStack) -> dict[str, Unit]:
    if not isinstance(found, Stack):
        return {}
    ports = {s.name: s for s in model.interface.states}
    return {
        f"layer{k}.{kind}": Unit(ports[part.state], part.start, layer.width)
        for k, (_, layer) in enumerate(found.recurrent())
        for kind, part in layer.parts.items()
    }


def shared(a: RecurrentModel, b: RecurrentModel, pairs: Pairs) -> tuple[SharedView, SharedView]:
    """Both models by one interface."""
    in_a, in_b = units(a, b)
    carried = _states(in_a or {}, in_b or {})
    own = a.interface
    settings = {s.name: s for s in (*own.settings, *b.interface.settings) if s.value is None}
    face = replace(
        own,
        inputs=tuple(p.seen for p in pairs.inputs),
        outputs=tuple(replace(p.seen, dtype=_wider(p)) for p in pairs.outputs),
        states=carried,
        settings=tuple(settings.values()),
        steppable=own.steppable and b.interface.steppable,
        why_not=own.why_not or b.interface.why_not,
    )
    symbols = a.vocabulary or b.vocabulary
    return SharedView(a, face, pairs, lambda p: p.first, in_a, symbols), SharedView(
        b, face, pairs, lambda p: p.second, in_b, symbols
    )


def _states(in_a: Mapping[str, Unit], in_b: Mapping[str, Unit]) -> tuple[StatePort, ...]:
    """The states [N, R] by which both are seen."""
    found = []
    for name, unit in in_a.items():
        rows = [None if u.state.batch_axis is None else u.state.shape[u.state.batch_axis] for u in (unit, in_b[name])]
        baked = next((n for n in rows if n is not None), None)
        found.append(replace(unit.state, name=name, shape=(baked, unit.width), batch_axis=0))
    return tuple(found)


def _wider(pair: PortPair) -> str:
    """The type of both outputs, so that a type alone is no difference."""
    a, b = pair.first.dtype, pair.second.dtype
    return a if a == b or DTYPES[a].kind == "O" else np.result_type(DTYPES[a], DTYPES[b]).name


class SharedView:
    """A model by an interface that it shares with another."""

    def __init__(
        self,
        model: RecurrentModel,
        face: Interface,
        pairs: Pairs,
        own: Callable[[PortPair], Port],
        carried: Units,
        symbols: Vocabulary | None,
    ) -> None:
        self._model, self._pairs, self._own, self._units = model, pairs, own, carried
        self.interface = face
        self.vocabulary = symbols

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:
        """The model's own first state."""
        given = None if inputs is None else self._own_inputs(inputs)
        return self._shared_states(self._model.initial_state(batch, given))

    def run(
        self, inputs: Any, state: State | None = None, settings: Mapping[str, float | int | bool] | None = None
    ) -> tuple[dict[str, Array], State]:
        """The outputs of a whole sequence, and the state after it."""
        rows, steps = self._sizes(inputs)
        known = {s.name for s in self._model.interface.settings}
        chosen = {name: value for name, value in (settings or {}).items() if name in known}
        own_state = self._own_states(state, rows) if state is not None else None
        outputs, after = self._model.run(self._own_inputs(inputs), own_state, chosen)
        ports = zip(self._pairs.outputs, self.interface.outputs, strict=True)
        shown = {
            seen.name: _common_output(outputs[self._own(pair).name], self._own(pair), seen, rows, steps)
            for pair, seen in ports
        }
        return shown, self._shared_states(after)

    def _sizes(self, inputs: Mapping[str, Array]) -> tuple[int, int]:
        """How many rows and steps a call has."""
        ports = self.interface.inputs
        rows = (inputs[p.name].shape[p.batch_axis] for p in ports if p.batch_axis is not None)
        steps = (inputs[p.name].shape[p.time_axis] for p in ports if p.time_axis is not None)
        return next(rows, 1), next(steps, 1)

    def _own_inputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {self._own(p).name: _own_input(inputs[p.seen.name], p.seen, self._own(p)) for p in self._pairs.inputs}

    # States

    def _shared_states(self, state: State) -> State:
        if self._units is None:
            return state
        rows = {s.name: as_rows(s, state[s.name]) for s in self._model.interface.states}
        values = {name: rows[u.state.name][:, u.start : u.start + u.width] for name, u in self._units.items()}
        return State(values, pending=[name for name, u in self._units.items() if u.state.name in state.pending])

    def _own_states(self, state: State, rows: int) -> State:
        """The inverse of `_shared_states`."""
        if self._units is None:
            return state
        first = self._model.initial_state(rows)
        given = [(name, unit) for name, unit in self._units.items() if name not in state.pending]
        values = {u.state.name: as_rows(u.state, first[u.state.name]).copy() for _, u in given}
        for name, unit in given:
            values[unit.state.name][:, unit.start : unit.start + unit.width] = state[name]
        ports = {u.state.name: u.state for _, u in given}
        return first.replace({name: of_rows(ports[name], array) for name, array in values.items()})


def _own_input(array: Array, seen: Port, own: Port) -> Array:
    """An input as the model has it."""
    if own.role == "one-hot" and seen.role == "tokens":
        width = own.shape[-1] or int(array.max()) + 1
        array = np.eye(width)[array]
    array = _moved(array, (seen.batch_axis, seen.time_axis), (own.batch_axis, own.time_axis))
    return array.astype(DTYPES[own.dtype]) if DTYPES[own.dtype].kind != "O" else array


def _moved(array: Array, source: Sequence[int | None], target: Sequence[int | None]) -> Array:
    """An array whose batch and time lie elsewhere; an axis that only one side has, is of size 1."""
    here = [axis for axis in source if axis is not None]
    moved = np.moveaxis(array, here, range(len(here)))
    for place, axis in enumerate(source):
        if axis is None:
            moved = np.expand_dims(moved, place)
    dropped = tuple(place for place, axis in enumerate(target) if axis is None)
    kept = [axis for axis in target if axis is not None]
    return np.moveaxis(moved.squeeze(dropped), range(len(kept)), kept)


def _common_output(array: Array, own: Port, seen: Port, rows: int, steps: int) -> Array:
    """An output of the model as both are seen."""
    axes = (own.batch_axis, own.time_axis)
    if own.rows is not None:
        sizes = (rows, steps) if own.rows == "batch-major" else (steps, rows)
        array = array.reshape(*sizes, *array.shape[1:])
        axes = (0, 1) if own.rows == "batch-major" else (1, 0)
    array = _moved(array, axes, (seen.batch_axis, seen.time_axis))
    if own.role == "logits" and seen.role == "probabilities":
        weights = np.exp(array - array.max(axis=-1, keepdims=True))
        array = weights / weights.sum(axis=-1, keepdims=True)
    return array if DTYPES[seen.dtype].kind == "O" else array.astype(DTYPES[seen.dtype])
