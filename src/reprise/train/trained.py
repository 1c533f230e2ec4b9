"""`reprise.train` for programs and notebooks: trains, shows how it goes, and gives the run with its history."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprise.train import begin, configured, resume
from reprise.train.events import Event, Finished
from reprise.train.history import TrainingHistory
from reprise.train.quiet import silence


@dataclass(frozen=True)
class TrainedRun:
    """A run that ended.

    Attributes:
        folder: What `reprise.restore` takes: it stands for the best checkpoint.
        history: The losses of every step and validation.
        step: Steps made in all.
        best_step: The step of the best checkpoint by validation; 0 where nothing was validated.
        best_loss: Its validation loss, infinity where nothing was validated.
        why: Why it ended, a clause.
    """

    folder: Path
    history: TrainingHistory
    step: int
    best_step: int
    best_loss: float
    why: str

    def _repr_html_(self) -> str:
        return self.history._repr_html_()


def trained(
    given: Mapping[str, Any], observers: tuple[Callable[[Event], None], ...], *, resumed: bool, show: bool
) -> TrainedRun:
    """Trains with options as `TrainConfig` has them; new, or going on."""
    with silence():
        display = _display() if show else nullcontext()
    with display as shown:
        all_observers = (*observers, *((shown,) if shown else ()))
        if resumed:
            changes = {name: value for name, value in given.items() if name != "out" and (name, value) != ("data", ())}
            finished = resume(given["out"], changes, all_observers)
        else:
            finished = begin(configured(given), all_observers)
    return _result(finished)


def _result(finished: Finished) -> TrainedRun:
    history = TrainingHistory.load(finished.folder, finished.unit)
    return TrainedRun(finished.folder, history, finished.step, finished.best_step, finished.best_loss, finished.why)


def _display() -> AbstractContextManager[Any]:
    """What shows a run: a bar in a notebook, else a live line on standard error."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if type(shell).__name__ == "ZMQInteractiveShell":
        from reprise.train.notebook import Bar

        return Bar()
    from reprise.train.display import Display

    return Display()
