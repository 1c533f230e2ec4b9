"""What happens in a run, told to whoever listens: the terminal, the history, TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from reprise.tensors import Array
from reprise.train.config import TrainConfig
from reprise.train.model import Architecture


@dataclass(frozen=True, slots=True)
class Started:
    """A run begins, or goes on.

    Attributes:
        step: Steps done before.
        total_steps: Steps at the end of the last epoch.
        steps_per_epoch: Chunks of an epoch.
        tokens: Of the corpus, training and validation.
        notes: What was reused, and how exactly the run goes on.
        warnings: What was passed over since it is damaged.
    """

    folder: Path
    config: TrainConfig
    model: Architecture
    step: int
    total_steps: int
    steps_per_epoch: int
    tokens: int
    parameters: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advanced:
    """Some steps were made: those after `step - K` up to `step`, each with loss [K], gradient norm [K] and rate [K]."""

    step: int
    losses: Array
    norms: Array
    rates: Array
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Validated:
    """The loss on the validation part, or None without one; whether it is the best; a sample of the model's text."""

    step: int
    loss: float | None
    best: bool
    sample: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is on disk."""

    step: int
    prefix: Path
    best_step: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended, by itself or because it was told to.

    Attributes:
        why: A clause such as `all epochs are done`.
        signal: The number of the signal that ended it, or 0.
        best_step: The step of the best checkpoint, 0 if none was measured.
        best_loss: Its validation loss, infinity if none was measured.
        forecast: Whether the model forecasts values instead of writing text.
        unit: What the loss is measured in.
        more: The options with which a resumed run is the same and has more to do; nothing if it is and has anyway.
    """

    folder: Path
    forecast: bool
    why: str
    signal: int
    step: int
    best_step: int
    best_loss: float
    seconds: float
    more: str = ""
    unit: str = ""


Event: TypeAlias = Started | Advanced | Validated | Saved | Finished
Observer: TypeAlias = Callable[[Event], None]
