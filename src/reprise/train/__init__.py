"""Training: a corpus in; out comes a folder that any TensorFlow can go on from, and Reprise without TensorFlow."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprise.errors import MissingDependency
from reprise.installing import install
from reprise.train.config import TrainConfig, configured

if TYPE_CHECKING:
    from reprise.train.trained import TrainedRun

__all__ = ["TrainConfig", "begin", "configured", "resume", "train"]


def train(
    data: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    *,
    out: str | PathLike[str],
    resume: bool = False,
    observers: tuple[Callable[..., None], ...] = (),
    show: bool = True,
    **options: Any,
) -> TrainedRun:
    """Trains a model on text or numbers, as `reprise train` does, and gives the run with its history.

    In a terminal it shows the live line of the command, in a notebook a bar.

    Args:
        data: Files and folders; when a run is resumed, nothing, or the same again.
        out: The run folder; `reprise.restore` takes it.
        resume: Go on exactly where the run in `out` stopped.
        observers: Called with every event of `reprise.train.events`.
        show: Show how it goes.
        options: The fields of `TrainConfig`, such as `num_epochs=20` or `patience=5`.

    Raises:
        CallError: An option does not exist, is out of range or contradicts the data; or the folder holds a run already.
        MissingDependency: TensorFlow is not installed.
        ReadError, TrainingError, SaveError: As `reprise.train.runs.train`.
    """
    sources = (data,) if isinstance(data, (str, PathLike)) else tuple(data)
    given = {**options, "data": tuple(map(str, sources)), "out": str(out)}
    _check_tensorflow()
    return importlib.import_module("reprise.train.trained").trained(given, observers, resumed=resume, show=show)


def begin(config: TrainConfig, observers: tuple[Callable[..., None], ...] = ()) -> Any:
    """Trains a new model; `reprise.train.runs.train` says more. Loads TensorFlow.

    Raises:
        MissingDependency: TensorFlow is not installed.
    """
    return _runs().train(config, observers)


def resume(
    folder: str | Path, given: Mapping[str, Any] | None = None, observers: tuple[Callable[..., None], ...] = ()
) -> Any:
    """Goes on exactly where a run stopped; `reprise.train.runs.resume` says more. Loads TensorFlow.

    Raises:
        MissingDependency: TensorFlow is not installed.
    """
    return _runs().resume(Path(folder), given or {}, observers)


def _runs() -> Any:
    _check_tensorflow()
    return importlib.import_module("reprise.train.runs")


def _check_tensorflow() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency(f"training needs TensorFlow: {install('tensorflow')}")
