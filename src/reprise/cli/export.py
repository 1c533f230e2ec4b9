"""`reprise export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reprise.cli._options import Inputs, Model, Outputs, Scope, States, VocabularyFile, restored

EXAMPLES = """\
  reprise export runs/quijote quijote.onnx --to onnx
  reprise export model.ckpt-2000 model.onnx --steps 64"""


def export(
    path: Model,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[str, typer.Option("--to", help="The format to write.")] = "onnx",
    steps: Annotated[int, typer.Option(help="Over how many carried steps the file is verified.")] = 16,
    vocabulary: VocabularyFile = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    states: States = None,
    scope: Scope = "",
) -> None:
    """Write a saved model in another format, verified over many carried steps, or refused."""
    from reprise.export import export as exported

    exported(restored(path, vocabulary, inputs, outputs, states, scope), out, to=to, steps=steps)
    typer.echo(f"{out}: written, and equal over {steps} carried steps", err=True)
