"""`reprise score`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, BooleanOptionalAction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprise.cli._options import add_model, note_unknown, restored
from reprise.errors import CallError

if TYPE_CHECKING:
    from reprise.model import RecurrentModel

EXAMPLES = """\
  reprise score runs/quijote chapter.txt
  cat *.txt | reprise score model.ckpt-2000 -
  reprise score model.ckpt chapter.txt --json
  reprise score runs/weather tomorrow.csv --columns temperature,wind"""


def add_options(parser: ArgumentParser) -> None:
    """The text or numbers, and how to say the result."""
    add_model(parser)
    parser.add_argument(
        "text",
        metavar="DATA",
        type=Path,
        help="text in UTF-8, or CSV or .npy for a model of numbers; - is standard input",
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data")
    parser.add_argument("--columns", default="", help="of numbers, with commas between them [all]")
    parser.add_argument(
        "--header", action=BooleanOptionalAction, help="whether the first line of CSV has names [told by the lines]"
    )


def score(text: Path, as_json: bool, columns: str, header: bool | None, **options: Any) -> None:
    """Measure how well a saved model predicts a text, in bits per symbol, or a series, by its errors one step ahead."""
    model = restored(**options)
    reads_symbols = any(p.role in ("tokens", "one-hot") for p in model.interface.inputs)
    facts, words = _of_text(model, text) if reads_symbols else _of_series(model, text, columns, header)
    print(json.dumps(facts) if as_json else words)


def _of_text(model: RecurrentModel, path: Path) -> tuple[dict[str, Any], str]:
    content = _read(path)
    note_unknown(model.vocabulary, content)
    result = model.score(content)
    facts = {"bits_per_symbol": result.bits_per_symbol, "perplexity": result.perplexity, "symbols": result.symbols}
    return facts, (
        f"{result.bits_per_symbol:.4f} bits per symbol, perplexity {result.perplexity:.4f}, "
        f"{result.symbols} symbols predicted"
    )


def _of_series(model: RecurrentModel, path: Path, columns: str, header: bool | None) -> tuple[dict[str, Any], str]:
    from reprise.train.data.numeric import read_series

    names, series = read_series(str(path), columns=columns.split(",") if columns else None, header=header)
    if len(series) != 1:
        raise CallError(f"{path}: it holds {len(series)} series; give one, [steps, columns]")
    result = model.score_forecast(series[0])
    errors = zip(names, result.rmse, result.rmse_unchanged, strict=True)
    table = [{"column": name, "rmse": rmse, "rmse_unchanged": unchanged} for name, rmse, unchanged in errors]
    lines = [
        f"column {row['column']}: root mean squared error {row['rmse']:.6g} one step ahead "
        f"({row['rmse_unchanged']:.6g} if nothing changed)"
        for row in table
    ]
    return {"columns": table, "steps": result.steps}, "\n".join([*lines, f"{result.steps} steps forecast"])


def _read(path: Path) -> str:
    data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CallError(
            f"{path}: expected UTF-8, found other bytes at offset {error.start}; convert it first"
        ) from error
