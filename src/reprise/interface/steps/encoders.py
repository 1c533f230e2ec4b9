"""Loops that run to their end before a model takes its first step, or within each step: encoders.

What they leave is where the steps start from, or what each step looks at as a whole: a source sentence, a memory.
Their own variables are carried nowhere, since every call reads the whole source again.
"""

from __future__ import annotations

from collections.abc import Sequence

from reprise.errors import NoRecurrence
from reprise.graph import VARIABLES, Value
from reprise.interface.analysis.influence import ancestors
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.loops.states import PLACEHOLDERS
from reprise.interface.steps.axes import Axes
from reprise.structure import Structure

_ARRAYS = ("TensorArray", "TensorList")
#: Operators on arrays that give tensors.
_TAKEN = (
    *("TensorArrayGather", "TensorArrayConcat", "TensorArrayPack", "TensorArrayRead", "TensorArraySize"),
    *("TensorListStack", "TensorListGather", "TensorListConcat", "TensorListGetItem", "TensorListLength"),
)


def split_encoders(
    structure: Structure, used: tuple[Recurrence, ...], wanted: Sequence[Value]
) -> tuple[tuple[Recurrence, ...], tuple[Recurrence, ...]]:
    """The recurrences that make the steps of `wanted`, and those that run before them."""
    entering = {Value(c.enter) for r in used for c in r.states}
    entering |= {inner for r in used for inner in unchanged_values(structure, r)}
    reached = ancestors(structure, wanted, dict.fromkeys(entering))
    steps = tuple(r for r in used if any(c.final and c.final.node in reached for c in r.loop.carried))
    return steps, tuple(r for r in used if r not in steps)


def within_steps(axes: Axes, used: tuple[Recurrence, ...]) -> tuple[Recurrence, ...]:
    """Those that begin anew in each step of another: the letters of a word, the words of a sentence.

    Their rows are the steps of all sequences, so a length stands in the shape of their states.

    Raises:
        NoRecurrence: What has such a shape is kept from call to call, by a variable or by who feeds it: a layer of one
            written step that reads what the layer below makes, which is no sequence to it.
    """
    held = [(r, c) for r in used for c in r.states if axes.timed(c.entering)]
    inner = tuple(r for r in used if any(r is recurrence for recurrence, _ in held))
    if len(inner) == len(used):
        return ()
    for _, carried in held:
        origin = axes.structure.graph.producer(axes.structure.origin(carried.initial))
        if origin.op in (*VARIABLES, *PLACEHOLDERS, "ReadVariableOp"):
            raise NoRecurrence(
                f"state {carried.initial} is kept from call to call, but what its layer reads is no sequence of its "
                "own: the steps of the layer below would all be its rows. If the file holds another copy of the model, "
                "with several steps, name one of its outputs (outputs=, --output)."
            )
    return inner


def unchanged_values(structure: Structure, recurrence: Recurrence) -> dict[Value, Value]:
    """What a loop's body sees unchanged at every iteration → the value outside; not the sequences that it reads."""
    return {
        inner: outer
        for inner, outer in recurrence.loop.constants.items()
        if not _is_array(structure.graph[structure.origin(outer).node].op)
    }


def _is_array(op: str) -> bool:
    return op.startswith(_ARRAYS) and not op.startswith(_TAKEN)
