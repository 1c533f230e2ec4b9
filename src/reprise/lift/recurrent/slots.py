"""The states of a loop one by one, also where several are joined in one variable (`state_is_tuple=False`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reprise.graph import Value
from reprise.lift.recurrent.affine import GateReader
from reprise.structure import Carried


@dataclass(frozen=True, slots=True)
class StateSlot:
    """One state.

    Attributes:
        carried: The loop variable.
        entering: Its value at the start of an iteration.
        leaving: Its value at the end of an iteration.
        columns: Which columns of the variable it is, (start, stop); None for all.
    """

    carried: Carried
    entering: Value
    leaving: Value
    columns: tuple[int, int] | None = None


def slots(reader: GateReader, carried: Carried, leaving: Value) -> list[StateSlot]:
    """The states in `carried`: one, or one for each part that `leaving` is joined of and `entering` divided into."""
    alone = [StateSlot(carried, carried.entering, leaving)]
    shape = reader.facts.shape(leaving)
    if not shape or not shape[-1].known:
        return alone
    entering = dict(_parts(reader, carried.entering))
    found, start = [], 0
    for value, width in reader.factors(leaving, shape[-1].scale):
        columns = (start, start + width)
        if columns in entering:
            found.append(StateSlot(carried, entering[columns], value, columns))
        start += width
    covered = sum(b - a for a, b in (s.columns or (0, 0) for s in found))
    return found if len(found) > 1 and covered == shape[-1].scale else alone


def _parts(reader: GateReader, whole: Value) -> Iterator[tuple[tuple[int, int], Value]]:
    """Every range of columns that the body takes of `whole`, and the value that it is."""
    pending, seen = [whole.node], set()
    while pending:
        for name in reader.structure.consumers[pending.pop()]:
            outputs = reader.outputs(name)
            if name in seen or not outputs:
                continue
            seen.add(name)
            pending.append(name)
            for value in outputs:
                root, taken = reader.selected_columns(value)
                if root == whole and taken is not None and taken.size and len(taken) == taken[-1] - taken[0] + 1:
                    yield (int(taken[0]), int(taken[-1]) + 1), reader.structure.source(value)
