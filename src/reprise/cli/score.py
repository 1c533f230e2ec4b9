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
        help="text, or CSV or .npy for a model of numbers; - is standard input",
    )
    parser.add_argument("--encoding", default="utf-8", help="of the text [utf-8]; a model of bytes takes any")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data")
    about = "of numbers, with commas between them, in the order of the model's [those of its names]"
    parser.add_argument("--columns", default="", help=about)
    parser.add_argument(
        "--header", action=BooleanOptionalAction, help="whether the first line of CSV has names [told by the lines]"
    )


def score(text: Path, encoding: str, as_json: bool, columns: str, header: bool | None, **options: Any) -> None:
    """Measure how well a saved model predicts a text, in bits per symbol, or a series, by its errors one step ahead."""
    model = restored(**options)
    reads_symbols = any(p.role in ("tokens", "one-hot") for p in model.interface.inputs)
    if reads_symbols:
        facts, words = _of_text(model, text, encoding)
    else:
        chosen = [name.strip() for name in columns.split(",")] if columns else _named_columns(model)
        facts, words = _of_series(model, text, columns=chosen, header=header, encoding=encoding)
    print(json.dumps(facts) if as_json else words)


def _of_text(model: RecurrentModel, path: Path, encoding: str) -> tuple[dict[str, Any], str]:
    content = _read(path, encoding, of_bytes=model.vocabulary is not None and model.vocabulary.kind == "bytes")
    note_unknown(model.vocabulary, content)
    result = model.score(content)
    facts = {"bits_per_symbol": result.bits_per_symbol, "perplexity": result.perplexity, "symbols": result.symbols}
    return facts, (
        f"{result.bits_per_symbol:.4f} bits per symbol, perplexity {result.perplexity:.4f}, "
        f"{result.symbols} symbols predicted"
    )


def _named_columns(model: RecurrentModel) -> list[str] | None:
    """The columns that the model was trained on, if they had names: data in another order would be another's."""
    names = model.stored.metadata.get("columns", ())
    return list(names) if any(not name.isdecimal() for name in names) else None


def _of_series(model: RecurrentModel, path: Path, **reading: Any) -> tuple[dict[str, Any], str]:
    from reprise.train.data.numeric import read_series

    names, series = read_series(str(path), **reading)
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


def _read(path: Path, encoding: str, *, of_bytes: bool) -> str:
    from reprise.train.data.documents import decoded, text_encoding

    data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    if of_bytes:
        return data.decode("utf-8", "surrogateescape")
    return "".join(decoded([data], str(path), text_encoding(encoding)))
