"""`reprise score`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from reprise.cli._options import Inputs, Model, Outputs, Scope, States, VocabularyFile, restored
from reprise.errors import CallError

EXAMPLES = """\
  reprise score runs/quijote chapter.txt
  cat *.txt | reprise score model.ckpt-2000 -
  reprise score model.ckpt chapter.txt --json"""


def score(
    path: Model,
    text: Annotated[Path, typer.Argument(metavar="TEXT", help="A text file in UTF-8, or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
    vocabulary: VocabularyFile = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    states: States = None,
    scope: Scope = "",
) -> None:
    """Measure how well a saved model predicts a text: bits per symbol and perplexity."""
    from reprise.sampling import score as scored

    result = scored(restored(path, vocabulary, inputs, outputs, states, scope), _read(text))
    facts = {"bits_per_symbol": result.bits_per_symbol, "perplexity": result.perplexity, "symbols": result.symbols}
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(
            f"{result.bits_per_symbol:.4f} bits per symbol, perplexity {result.perplexity:.4f}, "
            f"{result.symbols} symbols predicted"
        )


def _read(path: Path) -> str:
    data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CallError(
            f"{path}: expected UTF-8, found other bytes at offset {error.start}; convert it first"
        ) from error
