"""What becomes of the recurrences that were found, before the graph is changed."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.graph import Value
from reprise.interface.normal.unrolled.collected import Collected, StepOutput
from reprise.interface.normal.unrolled.steps import UnrolledSteps, View


@dataclass(frozen=True, slots=True)
class FramePlan:
    """A recurrence that is going to be a frame.

    Attributes:
        frame: The name of the frame.
        steps: Its steps, by the nodes of the first.
        outputs: What it makes at every step for the rest of the graph.
        why: What tells its states, where no steps are laid over each other.
    """

    frame: str
    steps: UnrolledSteps
    outputs: tuple[StepOutput, ...]
    why: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many steps the file has."""
        return len(self.steps.images)

    @property
    def is_read(self) -> bool:
        """Whether the rest of the graph, loops aside, has what its steps make from the frame."""
        return any(o.kind is not Collected.NOWHERE for o in self.outputs)


def stacked_name(frame: str, value: Value) -> Value:
    """The sequence of `value` of every step, time first."""
    return Value(f"{frame}/out/{value.node}/{value.index}/stack")


def frame_name(view: View, steps: UnrolledSteps) -> str:
    """A frame is called after the first node of its recurrence that reads a weight."""
    return f"unrolled/{min(steps.anchors, key=view.position.__getitem__)}"
