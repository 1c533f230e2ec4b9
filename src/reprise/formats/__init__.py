"""Saved formats, one module each: which one a path is, and its content as a `StoredModel`."""

from __future__ import annotations

from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from reprise.errors import AmbiguousFormat, CallError, DamagedFile, MissingFile, ReadError, UnknownFormat
from reprise.files import can_be
from reprise.formats import (
    _strangers,
    json_state,
    keras_archive,
    keras_h5,
    ml5,
    nam,
    numpy_weights,
    onnx,
    pytorch,
    rtneural,
    safetensors,
    sb3,
    sketch_rnn,
    tf_checkpoint,
    tf_frozen,
    tf_saved_model,
    tfjs_graph,
    tfjs_layers,
    tflite,
    torch7,
    torch_export,
    torchscript,
    world_models,
)
from reprise.formats._base import Format, Signature, StoredModel
from reprise.formats._checked import checked
from reprise.formats._sidecars import given_vocabulary, read_vocabulary

__all__ = ["FORMATS", "Format", "Signature", "StoredModel", "given_vocabulary", "identify", "read", "read_vocabulary"]

#: Every format that can be read. Their order decides nothing: two claims are an error.
FORMATS: tuple[Format, ...] = (
    json_state.FORMAT,
    nam.FORMAT,
    numpy_weights.FORMAT,
    keras_archive.FORMAT,
    keras_h5.FORMAT,
    ml5.FORMAT,
    onnx.FORMAT,
    pytorch.FORMAT,
    rtneural.FORMAT,
    safetensors.FORMAT,
    sb3.FORMAT,
    sketch_rnn.FORMAT,
    tf_checkpoint.FORMAT,
    tf_frozen.FORMAT,
    tf_saved_model.FORMAT,
    tfjs_graph.FORMAT,
    tfjs_layers.FORMAT,
    tflite.FORMAT,
    torch7.FORMAT,
    torch_export.FORMAT,
    torchscript.FORMAT,
    world_models.FORMAT,
)

#: How much of a folder is looked at for models inside, how many are named, and which of its folders are parts of one.
_MOST_INSIDE, _MOST_NAMED, _OF_A_MODEL = 256, 16, ("variables", "assets", "assets.extra")


#: The choice that a format may leave to what puts weights without a graph together.
CELL = "cell"


def takes_cell(format: str) -> bool:
    """Whether the reader of a format is told of the cells what weights do not hold."""
    return any(f.name == format and CELL in f.choices for f in FORMATS)


def identify(path: str | PathLike[str], format: str = "") -> Format:
    """The one format that claims `path`, which is a file, a folder, or the prefix of a checkpoint.

    Args:
        path: A file, a folder, or the prefix of a checkpoint.
        format: The name of the format, or a part that no other has: then nothing is asked of the files.

    Raises:
        CallError: No format, or not only one, has this name.
        MissingFile: Nothing is there.
        UnknownFormat: No format claims it; the message says what it seems to be.
        AmbiguousFormat: Two or more do.
    """
    place = Path(path)
    if not can_be(place):
        raise MissingFile(
            f"{path!s:.80}…: no such file or folder, and none can have such a name ({len(str(path))} letters)."
        )
    if place.exists() and not (place.is_file() or place.is_dir()):  # it could be endless
        raise UnknownFormat(f"{path}: is a device or a pipe; expected a file or a folder. Write it to a file first.")
    if format:
        return _named(format)
    claims = [(f, evidence) for f in FORMATS if (evidence := f.sniff(place))]
    if len(claims) == 1:
        return claims[0][0]
    if claims:
        found = "; ".join(f"{f.name}, for {evidence}" for f, evidence in claims)
        raise AmbiguousFormat(
            f"{path}: may be {len(claims)} things ({found}). Name one of the files, or the format (--format)."
        )
    if not place.exists():
        words = f"{path}: no such file or folder, and no checkpoint has this prefix. {_strangers.nearest(place)}"
        raise MissingFile(words.rstrip())
    inside = _inside(place)
    if inside:
        raise UnknownFormat(f"{path}: is a folder with {_listed(inside)}.")
    stranger = _strangers.describe(place)
    readable = ", ".join(f.name + (f" ({f.limits})" if f.limits else "") for f in FORMATS)
    step = stranger.step or f"What can be read: {readable}. Nothing turns it into one of these yet."
    raise UnknownFormat(f"{path}: seems to be {stranger.what}. {step}")


def _inside(folder: Path) -> list[Path]:
    """The files and folders in a folder that are a model."""
    try:
        inner = sorted(child for child in islice(folder.iterdir(), _MOST_INSIDE) if child.name not in _OF_A_MODEL)
    except OSError:
        return []
    return [child for child in inner if (child.is_file() or child.is_dir()) and any(f.sniff(child) for f in FORMATS)]


def _listed(models: list[Path]) -> str:
    """Models in a folder, and how to name one."""
    if len(models) == 1:
        return f"a model in it; name that: {models[0]}"
    more = f" and {len(models) - _MOST_NAMED} more" if len(models) > _MOST_NAMED else ""
    return f"{len(models)} models in it; name one of them: {', '.join(map(str, models[:_MOST_NAMED]))}{more}"


def _named(name: str) -> Format:
    found = [f for f in FORMATS if f.name.lower() == name.lower()] or [
        f for f in FORMATS if name.lower() in f.name.lower()
    ]
    if len(found) != 1:
        known = ", ".join(f.name for f in found or FORMATS)
        raise CallError(
            f"format {name!r}: {'more than one has' if found else 'none has'} this name; there are: {known}."
        )
    return found[0]


def read(path: str | PathLike[str], *, format: str = "", **choices: Any) -> StoredModel:
    """The saved model at `path` as data; nothing is interpreted, no weight is loaded.

    Args:
        path: A file, a folder, or the prefix of a checkpoint.
        format: As in `identify`.
        choices: Which of several models of one file, in the words of its format (`tags` for a SavedModel).

    Raises:
        ReadError: It is not a saved model, not a whole one, or not only one.
        CallError: The format has no such choice.
    """
    chosen = identify(path, format)
    choices = {name: value for name, value in choices.items() if name != CELL or CELL in chosen.choices}
    unknown = sorted(choices.keys() - set(chosen.choices))
    if unknown:
        known = ", ".join(chosen.choices) or "none"
        raise CallError(f"{path}: {chosen.name} has no choice {', '.join(unknown)}; it has: {known}.")
    try:
        stored = chosen.read(Path(path), **choices)
    except ReadError as error:
        found = _strangers.instead(Path(path))
        if found is None:
            raise
        file, stranger = found
        raise DamagedFile(f"{file}: is {stranger.what}. {stranger.step}") from error
    return checked(stored)
