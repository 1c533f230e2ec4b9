"""The options that commands share, and the model that they name."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reprise.model import RecurrentModel
    from reprise.state import State


def add_model(parser: ArgumentParser) -> None:
    """The model, and what decides where its files leave a choice; `restored` takes all of it."""
    parser.add_argument("path", metavar="MODEL", type=Path, help="a folder, a checkpoint prefix or a file")
    group = parser.add_argument_group("where the files do not decide")
    group.add_argument("--vocabulary", metavar="FILE", type=Path, help="the symbols the model was trained with")
    for option, name in (("--input", "inputs"), ("--output", "outputs"), ("--state-tensor", "states")):
        about = f"one of the {name}; may be repeated"
        group.add_argument(option, dest=name, metavar="TENSOR", action="append", default=[], help=about)
    group.add_argument("--scope", metavar="NAME", default="", help="which of several models in a graph")
    group.add_argument("--tags", metavar="TAG", nargs="+", default=[], help="which of several graphs in a SavedModel")
    group.add_argument("--averages", action="store_true", help="use the moving averages of the weights")


def add_state(parser: ArgumentParser) -> None:
    """Where to start and what to keep; see `started`."""
    parser.add_argument("--state", metavar="FILE", type=Path, help="go on from this saved state")
    parser.add_argument("--save-state", metavar="FILE", type=Path, help="save the state at the end")


def restored(path: Path, vocabulary: Path | None, **choices: Any) -> RecurrentModel:
    """The model that the options of `add_model` name."""
    from reprise.formats import read_vocabulary
    from reprise.restore import restore

    return restore(path, vocabulary=None if vocabulary is None else read_vocabulary(vocabulary), **choices)


def started(path: Path | None) -> State | None:
    """The state to start from, or None for the initial one."""
    from reprise.state import State

    return None if path is None else State.load(path)
