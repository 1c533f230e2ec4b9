"""What a caller decides instead of the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reprise.errors import CallError
from reprise.interface.analysis.named import named_value
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.ports.interface import Setting
from reprise.structure import Structure


@dataclass(frozen=True, slots=True)
class Choices:
    """Names of tensors and scopes that decide.

    Attributes:
        inputs: Tensor names that are the inputs, whatever the graph computes them from.
        outputs: Tensor names that are the outputs.
        states: Tensor names (entering or leaving) of the loop variables that are the states.
        scope: A name scope that holds the wanted model.
        settings: Values of settings by name, instead of those that inference uses.
        nexts: The tensor by which each state enters → the one with its next value: all states of a recurrence.
        declared: Tensor names that the file itself declares as outputs → what it calls them.
        signature: The signature or function of the file that is the wanted model.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    scope: str = ""
    settings: Mapping[str, float | int | bool] = field(default_factory=dict)
    nexts: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    signature: str = ""

    @classmethod
    def of(
        cls,
        inputs: Iterable[str] = (),
        outputs: Iterable[str] = (),
        states: Iterable[str] | Mapping[str, str] = (),
        scope: str = "",
        settings: Mapping[str, float | int | bool] | None = None,
        signature: str = "",
    ) -> Choices:
        """The choices that a caller gives, with states by name or, as a mapping, with the next value of each."""
        nexts = states if isinstance(states, Mapping) else {}
        names = () if isinstance(states, Mapping) else states
        return cls(tuple(inputs), tuple(outputs), tuple(names), scope, settings or {}, nexts, signature=signature)

    def or_outputs(self, outputs: tuple[str, ...]) -> Choices:
        """The same choices, with these outputs where the caller names none."""
        return self if self.outputs else replace(self, outputs=outputs)


def with_chosen_states(structure: Structure, used: tuple[Recurrence, ...], choices: Choices) -> tuple[Recurrence, ...]:
    """The recurrences `used` with the states that `choices` name, all of theirs where these name none.

    Raises:
        CallError: A named tensor neither enters nor leaves one of them.
    """
    if choices.nexts:
        return _with_chosen_nexts(structure, used, choices.nexts)
    if not choices.states:
        return used
    wanted = {structure.result(named_value(structure, n, "states")) for n in choices.states}
    chosen = []
    for r in used:
        kept = tuple(
            c for c in r.loop.carried if {c.final, structure.origin(c.initial), c.entering, c.leaving} & wanted
        )
        chosen.append(Recurrence(r.loop, kept, r.counters, r.fed_back, r.reads, r.writes))
    missing = wanted - {
        v for r in chosen for c in r.states for v in (c.final, structure.origin(c.initial), c.entering, c.leaving)
    }
    if missing:
        raise CallError(f"states: {', '.join(map(str, missing))} neither enters nor leaves a recurrence of the model")
    return tuple(chosen)


def _with_chosen_nexts(
    structure: Structure, used: tuple[Recurrence, ...], nexts: Mapping[str, str]
) -> tuple[Recurrence, ...]:
    """The recurrences `used`, those that carry any of the states in `nexts` (first value → next) with these alone."""
    pairs = {
        structure.origin(named_value(structure, a, "states")): structure.source(named_value(structure, b, "states"))
        for a, b in nexts.items()
    }
    kept = {
        r: tuple(
            c
            for c in r.loop.carried
            if c.final is not None and pairs.get(structure.origin(c.initial)) == structure.source(c.final)
        )
        for r in used
    }
    found = {structure.origin(c.initial) for states in kept.values() for c in states}
    missing = [
        f"{a} → {b}" for a, b in nexts.items() if structure.origin(named_value(structure, a, "states")) not in found
    ]
    if missing:
        raise CallError(
            f"states: {', '.join(missing)}: no recurrence of the model begins with the one and ends with the other"
        )
    return tuple(replace(r, states=kept[r]) if kept[r] else r for r in used)


def with_chosen_settings(found: tuple[Setting, ...], choices: Choices) -> tuple[Setting, ...]:
    """The settings with the values that the caller gives.

    Raises:
        CallError: The model has no setting of a name, or not of the value's kind.
    """
    known = {s.name for s in found}
    for name in choices.settings:
        if name not in known:
            raise CallError(
                f"settings: {name!r} is not a setting of the model; it has {', '.join(sorted(known)) or 'none'}"
            )
    return tuple(
        replace(s, value=setting_value(s, choices.settings[s.name]), why="chosen by the caller")
        if s.name in choices.settings
        else s
        for s in found
    )


def setting_value(setting: Setting, given: Any) -> float | int | bool:
    """What a caller gives for a setting, as a number of its kind.

    Raises:
        CallError: It is not one number of this kind.
    """
    array, flag = np.asarray(given), setting.dtype == "bool"
    whole = not setting.dtype.startswith(("float", "bfloat"))
    number = array.item() if array.size == 1 and array.dtype.kind in "fiub" else None
    if number is None or (flag and number not in (0, 1)) or (whole and number % 1 != 0):
        raise CallError(f"settings: {setting.name!r} is of type {setting.dtype}, and {given!r} was given")
    kind = bool if flag else int if whole else float
    return kind(number)
