"""The arguments that commands share, and the model that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reprise.model import RecurrentModel
    from reprise.state import State

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A folder, a checkpoint prefix or a file of any saved format.")
]
VocabularyFile = Annotated[
    Path | None, typer.Option("--vocabulary", metavar="FILE", help="The vocabulary, where the model's files have none.")
]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="TENSOR", help="Use this tensor as an input. Repeatable.")
]
Outputs = Annotated[
    list[str] | None, typer.Option("--output", metavar="TENSOR", help="Use this tensor as an output. Repeatable.")
]
States = Annotated[
    list[str] | None,
    typer.Option("--state-tensor", metavar="TENSOR", help="Use this tensor as a state. Repeatable."),
]
Scope = Annotated[str, typer.Option(metavar="NAME", help="Of several models in the graph, the one in this scope.")]
StateFile = Annotated[Path | None, typer.Option("--state", metavar="FILE", help="Go on from this saved state.")]
SaveState = Annotated[Path | None, typer.Option("--save-state", metavar="FILE", help="Save the state at the end.")]


def restored(
    path: Path,
    vocabulary: Path | None = None,
    inputs: list[str] | None = None,
    outputs: list[str] | None = None,
    states: list[str] | None = None,
    scope: str = "",
) -> RecurrentModel:
    """The model that the arguments name."""
    from reprise.formats import read_vocabulary
    from reprise.restore import restore

    return restore(
        path,
        inputs=inputs or (),
        outputs=outputs or (),
        states=states or (),
        scope=scope,
        vocabulary=None if vocabulary is None else read_vocabulary(vocabulary),
    )


def started(path: Path | None) -> State | None:
    """The state to start from, or None for the initial one."""
    from reprise.state import State

    return None if path is None else State.load(path)
