"""Whether T single steps are the same as one run of T steps."""

from __future__ import annotations

from collections.abc import Sequence

from reprise.graph import Value
from reprise.interface.axes import Axes
from reprise.interface.recurrences import Recurrence
from reprise.interface.structure import Carried, Structure


def obstacle(
    structure: Structure,
    used: tuple[Recurrence, ...],
    axes: Axes,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    started: Sequence[Carried],
) -> str:
    """Why the model cannot be stepped, or an empty string where it can."""
    if started:
        return f"the model computes the first state of {started[0].final} from its inputs"
    return ""
