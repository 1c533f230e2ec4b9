"""What is asked of models that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from reprise.interface import Interface, Port, StatePort
from reprise.state import State
from reprise.tensors import Array
from reprise.vocabulary import Vocabulary

Settings = Mapping[str, float | int | bool]


class ComparedModel(Protocol):
    """What is asked of a model that is compared; a `RecurrentModel` is one."""

    vocabulary: Vocabulary | None

    @property
    def interface(self) -> Interface:
        """What it takes and gives."""

    def initial_state(self, batch: int = 1) -> State:
        """The state that a sequence of `batch` rows starts from."""

    def run(
        self, inputs: Any, state: State | None = None, settings: Settings | None = None
    ) -> tuple[dict[str, Array], State]:
        """The outputs of a whole sequence, and the state after it."""


class SelfComparedModel(ComparedModel, Protocol):
    """What is asked of a model that is compared with itself."""

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:
        """The state that a sequence of `batch` rows, or that of `inputs`, starts from."""


def takes_any_steps(face: Interface) -> bool:
    """Whether a call may have any number of steps."""
    return any(p.time_axis is not None for p in face.inputs) and baked(face, "time_axis") is None


def baked(face: Interface, axis: str) -> int | None:
    """The size of an axis that the file bakes in, None where it is free everywhere."""
    ports: tuple[Port | StatePort, ...] = face.inputs if axis == "time_axis" else (*face.inputs, *face.states)
    sizes = [p.shape[at] for p in ports if (at := getattr(p, axis)) is not None]
    return next((n for n in sizes if n is not None), None)
