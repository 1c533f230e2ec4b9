"""Training: a corpus in; out comes a folder that any TensorFlow can go on from, and Reprise without TensorFlow."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reprise.errors import MissingDependency
from reprise.train.config import TrainConfig

__all__ = ["TrainConfig", "resume", "train"]


def train(config: TrainConfig, observers: tuple[Callable[..., None], ...] = ()) -> Any:
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
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency("training needs TensorFlow: pip install 'reprise-rnn[tensorflow]'")
    return importlib.import_module("reprise.train.runs")
