"""Checkpoint files appear under their names when they are whole, and not before."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from reprise.errors import SaveError
from reprise.files import force
from reprise.wire import messages

_STATE_FILE = "checkpoint"
_ENDINGS = re.compile(r"\.(data-\d{5}-of-\d{5}|index|meta)")


@contextmanager
def publication(place: Path) -> Iterator[Path]:
    """A prefix to write the files of a checkpoint under; they move to `place` when the block ends without an exception.

    A kill leaves all other checkpoints of the folder whole. Files of the same name are out of the way only while theirs
    are exchanged; what a kill in that instant leaves aside, the next save of that name puts back first.

    Raises:
        SaveError: The system does not let them be written; what was there is in its place.
    """
    work = place.with_name(f".writing-{place.name}")
    aside = work / "before"
    try:
        _restore_previous(aside, place)
        shutil.rmtree(work, ignore_errors=True)
        aside.mkdir(parents=True)
        yield work / place.name
        _exchange(work, aside, place)
        _announce(place)
    except OSError as error:
        why = error.strerror or error
        raise SaveError(f"{place}: cannot be written ({why}). What was there is untouched.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _files(folder: Path, name: str) -> list[Path]:
    """Data, index and graph, in this order."""
    return sorted(f for f in folder.iterdir() if f.name.startswith(name) and _ENDINGS.fullmatch(f.name, len(name)))


def _exchange(work: Path, aside: Path, place: Path) -> None:
    fresh = _files(work, place.name)
    for file in fresh:
        force(file)
    try:
        for file in _files(place.parent, place.name):
            file.replace(aside / file.name)
        for file in fresh:
            file.replace(place.parent / file.name)
    except OSError:
        _restore_previous(aside, place)
        raise
    force(place.parent)


def _restore_previous(aside: Path, place: Path) -> None:
    for file in _files(aside, place.name) if aside.is_dir() else ():
        file.replace(place.parent / file.name)


def _announce(place: Path) -> None:
    """Names the checkpoint in the folder's state file, beside those that are named there and still exist."""
    earlier = [name for name in _named(place.parent) if name != place.name and _has_tensors(place.parent / name)]
    state = messages.message_class("CheckpointState")()
    state.model_checkpoint_path = place.name
    state.all_model_checkpoint_paths.extend([*earlier, place.name])
    fresh = place.with_name(f".writing-{place.name}") / _STATE_FILE
    fresh.write_text(text_format.MessageToString(state, as_utf8=True), encoding="utf-8")
    force(fresh)
    fresh.replace(place.with_name(_STATE_FILE))


def _has_tensors(prefix: Path) -> bool:
    return prefix.with_name(f"{prefix.name}.index").is_file() or prefix.is_file()


def _named(folder: Path) -> list[str]:
    """The checkpoints that the folder's state file names, the last one last; folders in it may be another machine's."""
    file = folder / _STATE_FILE
    if not file.is_file():
        return []
    state = messages.parse_text("CheckpointState", file.read_bytes(), file)
    paths = [p for p in state.all_model_checkpoint_paths if p != state.model_checkpoint_path]
    return [re.split(r"[/\\]", path)[-1] for path in (*paths, state.model_checkpoint_path)]


def before(place: Path) -> Mapping[str, Any]:
    """The signatures of the checkpoint of this name, or else of the folder's last one."""
    for name in [place.name, *reversed(_named(place.parent))]:
        file = place.with_name(f"{name}.meta")
        if file.is_file():
            try:
                return dict(tf.compat.v1.MetaGraphDef.FromString(file.read_bytes()).signature_def)
            except DecodeError:
                return {}  # a damaged file has none to keep, and is no reason not to write a whole one
    return {}
