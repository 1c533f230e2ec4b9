"""Writes a restored model in another format: verified over many carried steps, or refused."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import ModuleType

from reprise import verify
from reprise.errors import CallError, MissingDependency
from reprise.export import c, keras, onnx, safetensors, torch, triton, web
from reprise.files import folder_written_whole, written_whole
from reprise.installing import install
from reprise.model import RecurrentModel
from reprise.sampling.symbols import is_of_symbols
from reprise.verify import Report, SelfComparedModel

__all__ = ["TARGETS", "Report", "Target", "export"]


@dataclass(frozen=True, slots=True)
class Target:
    """A format that can be written.

    Attributes:
        name: As `to=` and `--to` call it.
        write: Writes a model to a path where nothing is, or into an empty folder.
        read: Reads what `write` wrote, in the target's own runtime, as a model with the interface of the one given.
        file: What the file is called when a folder is named; empty where the target is a folder.
        marks: Names in the folder that is written, by which a former export is known, which may be replaced.
        tolerance: The largest error that counts as equal, where its runtime rounds elsewhere than ONNX Runtime.
    """

    name: str
    write: Callable[[RecurrentModel, Path], None]
    read: Callable[[Path, RecurrentModel], SelfComparedModel]
    file: str = ""
    marks: tuple[str, ...] = ()
    tolerance: float = verify.TOLERANCE


def _of_tensorflow(name: str) -> tuple[Callable[..., None], Callable[..., SelfComparedModel]]:
    """How a module of this package writes and reads; it loads TensorFlow, so only when it is asked.

    Raises, when one of them is called, MissingDependency: TensorFlow is not installed.
    """

    def module() -> ModuleType:
        if find_spec("tensorflow") is None:
            raise MissingDependency(f"the export {name!r} needs TensorFlow: {install('tensorflow')}")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its greetings are no news to a user
        return import_module(f"reprise.export.{name.replace('-', '_')}")

    def write(model: RecurrentModel, path: Path) -> None:
        module().write(model, path)

    def read(path: Path, model: RecurrentModel) -> SelfComparedModel:
        found: SelfComparedModel = module().read(path, model)
        return found

    return write, read


TARGETS: tuple[Target, ...] = (
    Target("onnx", onnx.write, onnx.read, file="model.onnx"),
    Target("saved-model", *_of_tensorflow("saved-model"), marks=("saved_model.pb", "variables")),
    Target("saver", *_of_tensorflow("saver"), marks=("checkpoint", "model.ckpt.meta")),
    Target("litert", *_of_tensorflow("litert"), file="model.tflite"),
    Target("triton", triton.write, triton.read, marks=(triton.CONFIGURATION,)),
    Target("safetensors", safetensors.write, safetensors.read, file="model.safetensors"),
    Target("torch", torch.write, torch.read, marks=(torch.WEIGHTS, torch.PROGRAM)),
    Target("c", c.write, c.read, marks=(c.HEADER, c.SOURCE)),
    Target("web", web.write, web.read, marks=(web.PAGE, web.MODEL), tolerance=web.TOLERANCE),
    Target("keras", keras.write, keras.read, file="model.keras"),
)


def export(model: RecurrentModel, path: str | PathLike[str], to: str = "onnx", steps: int = 16) -> Report:
    """Writes `model` to `path`, reads it back, and keeps what was written only when both compute the same.

    Args:
        model: A restored model; its settings are built in with the values that inference uses.
        path: The file, or an existing folder for it; of a target that is a folder, the folder. What is there of the
            same kind is replaced whole, or left as it was.
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
    if model.vocabulary is None and is_of_symbols(model.interface):
        warnings.warn(
            "the model has no vocabulary, so what is written will not say which symbols its ids are; restore it with "
            "one first (vocabulary=, --vocabulary FILE, or corpus=, --corpus FILE)",
            stacklevel=2,
        )
    with _place(target, Path(path)) as part:
        target.write(model, part)
        report = verify.compare(model, target.read(part, model), steps=steps, tolerance=target.tolerance)
        report.raise_if_different()
    return report


def _place(target: Target, path: Path) -> AbstractContextManager[Path]:
    if not target.file:
        return folder_written_whole(path, target.marks)
    return written_whole(path / target.file if path.is_dir() else path)


def _target(name: str) -> Target:
    for target in TARGETS:
        if target.name == name:
            return target
    raise CallError(f"to={name!r}: no such export; there are: {', '.join(t.name for t in TARGETS)}")
