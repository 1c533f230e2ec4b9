"""`reprise score`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from reprise.cli._options import add_model, note_unknown, restored
from reprise.errors import CallError

EXAMPLES = """\
  reprise score runs/quijote chapter.txt
  cat *.txt | reprise score model.ckpt-2000 -
  reprise score model.ckpt chapter.txt --json"""


def add_options(parser: ArgumentParser) -> None:
    """The text, and how to say the result."""
    add_model(parser)
    parser.add_argument("text", metavar="TEXT", type=Path, help="a text file in UTF-8, or - for standard input")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data")


def score(text: Path, as_json: bool, **options: Any) -> None:
    """Measure how well a saved model predicts a text: bits per symbol and perplexity."""
    model, content = restored(**options), _read(text)
    note_unknown(model.vocabulary, content)
    result = model.score(content)
    facts = {"bits_per_symbol": result.bits_per_symbol, "perplexity": result.perplexity, "symbols": result.symbols}
    if as_json:
        print(json.dumps(facts))
    else:
        print(
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
