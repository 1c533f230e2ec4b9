"""The arguments that commands share, and the model that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reprise.model import RecurrentModel, State

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A folder, a checkpoint prefix or a file of any saved format.")
]
VocabularyFile = Annotated[
    Path | None, typer.Option("--vocabulary", metavar="FILE", help="The vocabulary, where the model's files have none.")
]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="TENSOR", help="Use this tensor as input. May be repeated.")
]
Outputs = Annotated[
    list[str] | None, typer.Option("--output", metavar="TENSOR", help="Use this tensor as output. May be repeated.")
]
Scope = Annotated[
    str | None, typer.Option("--scope", metavar="NAME", help="Of several models in the graph, the one in this scope.")
]
FormatName = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="Read as this format; `reprise formats` lists them.")
]
StateFile = Annotated[Path | None, typer.Option("--state", metavar="FILE", help="Go on from this saved state.")]
SaveState = Annotated[Path | None, typer.Option("--save-state", metavar="FILE", help="Save the state at the end.")]


def restored(
    path: Path,
    vocabulary: Path | None = None,
    inputs: list[str] | None = None,
    outputs: list[str] | None = None,
    scope: str | None = None,
    format_name: str | None = None,
) -> RecurrentModel:
    """The model that the arguments name."""
    from reprise.restore import restore

    return restore(
        path,
        vocabulary=vocabulary,
        inputs=inputs or None,
        outputs=outputs or None,
        scope=scope,
        format=format_name,
    )


def started(model: RecurrentModel, path: Path | None) -> State | None:
    """The state to start from, or None for the initial one."""
    from reprise.model import State

    return None if path is None else State.load(path, model)
