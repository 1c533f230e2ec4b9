"""Writes a restored model in another format: verified over many carried steps, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from reprise import verify
from reprise.errors import CallError
from reprise.export import onnx
from reprise.files import written_whole
from reprise.model import RecurrentModel
from reprise.sampling.symbols import is_of_symbols
from reprise.verify import Report

__all__ = ["TARGETS", "Report", "Target", "export"]


@dataclass(frozen=True, slots=True)
class Target:
    """A format that can be written.

    Attributes:
        name: As `to=` and `--to` call it.
        file: What the file is called when a folder is named.
        write: Writes a model to a path where nothing is.
        read: Reads what `write` wrote, for the comparison.
    """

    name: str
    file: str
    write: Callable[[RecurrentModel, Path], None]
    read: Callable[[Path], RecurrentModel]


TARGETS: tuple[Target, ...] = (Target("onnx", "model.onnx", onnx.write, onnx.read),)


def export(model: RecurrentModel, path: str | PathLike[str], to: str = "onnx", steps: int = 16) -> Report:
    """Writes `model` to `path`, reads it back, and keeps the file only when both compute the same.

    Args:
        model: A restored model; its settings are built in with the values that inference uses.
        path: The file, or an existing folder. A file that is there is replaced whole, or left as it was.
        to: The name of a target.
        steps: Over how many carried steps the two are compared.

    Returns:
        What the comparison found.

    Raises:
        CallError: There is no such target.
        SaveError: The file cannot be written, or the format cannot hold the model.
        VerificationError: What was written does not compute the same; it is removed.
    """
    target = _target(to)
    place = Path(path)
    place = place / target.file if place.is_dir() else place
    if model.vocabulary is None and is_of_symbols(model.interface):
        warnings.warn(
            "the model has no vocabulary, so what is written will not say which symbols its ids are; restore it with "
            "one first (vocabulary=, --vocabulary FILE, or corpus=, --corpus FILE)",
            stacklevel=2,
        )
    with written_whole(place) as part:
        target.write(model, part)
        report = verify.compare(model, target.read(part), steps=steps)
        report.raise_if_different()
    return report


def _target(name: str) -> Target:
    for target in TARGETS:
        if target.name == name:
            return target
    raise CallError(f"to={name!r}: no such export; there are: {', '.join(t.name for t in TARGETS)}")
