"""Checkpoints on disk: written whole or not at all, read with every checksum looked at.

A checkpoint is three files of TensorFlow's Saver, `model.ckpt-STEP` with `.data-00000-of-00001`, `.index` and `.meta`.
They are written under other names, forced to disk, and renamed in this order; `.meta` is the last, so a checkpoint that
has it is complete. The file `checkpoint`, which names them for TensorFlow, follows.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from reprise.errors import DamagedFile, MissingFile, ReadError, SaveError, UnknownFormat
from reprise.files import force
from reprise.tensors import Array
from reprise.train.model import Architecture
from reprise.train.saved_graph import COLLECTION
from reprise.vocabulary import Vocabulary

_NAME = re.compile(r"model\.ckpt-(\d+)\.(meta|index|data-00000-of-00001)")
_NAMES = "checkpoint"
#: Names the best checkpoint by validation, `{"step": 1200, "validation_loss": 1.234}`; absent where none is known.
BEST = "best.json"
_ORDER = ("data-00000-of-00001", "index", "meta")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint, read.

    Attributes:
        prefix: Its files' names up to the ending.
        values: Every variable by name.
        model: The architecture.
        vocabulary: What the token ids mean; None for a forecast.
        config: The configuration that it was trained with, as plain data.
    """

    prefix: Path
    values: Mapping[str, Array]
    model: Architecture
    vocabulary: Vocabulary | None
    config: Mapping[str, Any]


def prefix_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"model.ckpt-{step}"


def write(folder: Path, step: int, values: Mapping[str, Any], meta: bytes) -> Path:
    """Writes a checkpoint and gives its prefix. A kill at any moment leaves every other checkpoint whole.

    Raises:
        SaveError: The system does not let it be written.
    """
    prefix = prefix_of(folder, step)
    work = folder / f".writing-{step}"
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        tf.raw_ops.SaveV2(
            prefix=str(work / prefix.name),
            tensor_names=list(values),
            shape_and_slices=[""] * len(values),
            tensors=list(values.values()),
        )
        (work / f"{prefix.name}.meta").write_bytes(meta)
        _publish(work, folder, prefix.name)
    except (OSError, tf.errors.OpError) as error:
        raise _unsaved(prefix, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return prefix


def _unsaved(path: Path, error: Exception) -> SaveError:
    why = getattr(error, "strerror", None) or _first_line(error)
    advice = "It is the first one: make room, and start again."
    if complete(path.parent):
        advice = "The checkpoints before it are whole: make room, and go on by --resume."
    return SaveError(f"{path}: it cannot be written ({why}). {advice}")


def _publish(work: Path, folder: Path, name: str) -> None:
    for ending in _ORDER:
        force(work / f"{name}.{ending}")
    for ending in reversed(_ORDER):  # one of the same step, found damaged, must not mix with this one
        (folder / f"{name}.{ending}").unlink(missing_ok=True)
    for ending in _ORDER:
        (work / f"{name}.{ending}").replace(folder / f"{name}.{ending}")
    force(folder)


def announce(folder: Path, steps: Collection[int]) -> None:
    """Names the checkpoints of `steps` in the file `checkpoint`, then removes all others.

    Raises:
        SaveError: The system does not let it be written.
    """
    names = [prefix_of(folder, step).name for step in sorted(steps)]
    lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{name}"' for name in names)]
    try:
        write_text(folder / _NAMES, "\n".join(lines) + "\n")
        force(folder)  # or, after a power cut, it might name what was removed
        for file in folder.iterdir():
            found = _NAME.fullmatch(file.name)
            if found and int(found[1]) not in steps:
                file.unlink()
    except OSError as error:
        raise _unsaved(folder / _NAMES, error) from error


def announce_best(folder: Path, step: int, loss: float) -> None:
    """Names the best checkpoint by validation in `BEST`; step 0 means that none is known.

    Raises:
        SaveError: The system does not let it be written.
    """
    try:
        if step:
            write_text(folder / BEST, json.dumps({"step": step, "validation_loss": loss}) + "\n")
        else:
            (folder / BEST).unlink(missing_ok=True)
    except OSError as error:
        raise _unsaved(folder / BEST, error) from error


def best(folder: Path) -> int:
    """The step of the best checkpoint by validation; 0 where none is known, or it is not there any more."""
    try:
        step = json.loads((folder / BEST).read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return step if step in complete(folder) else 0


def write_text(path: Path, text: str) -> None:
    """Replaces a file's text in one act."""
    fresh = path.with_name(f".writing-{path.name}.tmp")
    fresh.write_text(text, encoding="utf-8")
    force(fresh)
    fresh.replace(path)


def complete(folder: Path) -> list[int]:
    """The steps that have a complete checkpoint, in order."""
    endings: dict[int, set[str]] = {}
    for file in folder.iterdir() if folder.is_dir() else ():
        if found := _NAME.fullmatch(file.name):
            endings.setdefault(int(found[1]), set()).add(found[2])
    return sorted(step for step, present in endings.items() if present == set(_ORDER))


def present(folder: Path) -> list[int]:
    """The steps that have a complete checkpoint, in order, of which there is one.

    Raises:
        MissingFile: There is none.
    """
    if steps := complete(folder):
        return steps
    raise MissingFile(f"{folder}: no complete checkpoint; it is not the folder of a run, or of one that never began.")


def newest(folder: Path) -> tuple[int, Checkpoint, list[str]]:
    """The last checkpoint that can be read, its step, and for each later one what is wrong with it.

    Raises:
        MissingFile: The folder holds no complete checkpoint.
        DamagedFile: All are damaged.
        UnknownFormat: A later one is of another version; nothing is wrong with it.
    """
    wrong: list[str] = []
    for step in sorted({*present(folder), *_announced(folder)}, reverse=True):
        try:
            return step, read(prefix_of(folder, step)), wrong
        except UnknownFormat:
            raise
        except ReadError as error:
            wrong.append(str(error))
    raise DamagedFile(f"{folder}: no checkpoint can be read; begin anew with another --out. {' '.join(wrong)}")


def _announced(folder: Path) -> list[int]:
    """The steps that the file `checkpoint` names: each was complete once."""
    path = folder / _NAMES
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return [int(step) for step in re.findall(r'"model\.ckpt-(\d+)"', text)]


def read(prefix: Path) -> Checkpoint:
    """A checkpoint of this program, every checksum verified.

    Raises:
        MissingFile: One of the three files is not there.
        DamagedFile: The files contradict themselves.
        UnknownFormat: It is whole, but another version wrote it.
        ReadError: It is whole, but another program wrote it.
    """
    for ending in _ORDER:
        if not prefix.with_name(f"{prefix.name}.{ending}").is_file():
            raise MissingFile(f"{prefix}.{ending}: no such file. A checkpoint needs .meta, .index and .data together.")
    about = _about(prefix)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, RuntimeError, ValueError, LookupError) as error:  # what its reader makes of damage
        raise DamagedFile(
            f"{prefix}.index or .data: {_first_line(error)}; the file is damaged or was cut short."
        ) from error
    vocabulary = Vocabulary.from_json(about["vocabulary"]) if "vocabulary" in about else None
    return Checkpoint(prefix, values, Architecture(**about["architecture"]), vocabulary, about["config"])


def _about(prefix: Path) -> dict[str, Any]:
    path = prefix.with_name(f"{prefix.name}.meta")
    try:
        meta = tf.compat.v1.MetaGraphDef.FromString(path.read_bytes())
    except Exception as error:  # protobuf's error class differs from implementation to implementation
        raise DamagedFile(
            f"{path}: not a MetaGraph ({_first_line(error)}); the file is damaged or was cut short."
        ) from error
    entries = meta.collection_def[COLLECTION].bytes_list.value
    if not entries:
        raise ReadError(
            f"{path}: the collection {COLLECTION!r} is not there: `reprise train` did not write this file. It goes "
            "on from its own checkpoints only; the other commands take any."
        )
    try:
        about: dict[str, Any] = json.loads(entries[0])
    except ValueError as error:
        raise DamagedFile(
            f"{path}: the collection {COLLECTION!r} is not JSON ({error}); the file is damaged."
        ) from error
    if [hashlib.sha256(entries[0]).hexdigest().encode()] != list(entries[1:]):
        raise DamagedFile(f"{path}: the collection {COLLECTION!r} contradicts its checksum; the file is damaged.")
    if about.get("version") != 1:
        found = about.get("version")
        raise UnknownFormat(f"{path}: written by another version ({found!r}, expected 1). Update reprise.")
    return about


def _first_line(error: Exception) -> str:
    """What an error says, without TensorFlow's names for the operator that met it."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", first).strip(". ")
