"""`reprise score`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprise.cli._options import add_model, named_columns, note_unknown, restored
from reprise.cli.forecast import add_series, read_single_series

if TYPE_CHECKING:
    from reprise.model import RecurrentModel
    from reprise.train.data.table import NumericTable

EXAMPLES = """\
  reprise score runs/quijote chapter.txt
  cat *.txt | reprise score model.ckpt-2000 -
  reprise score model.ckpt chapter.txt --json
  reprise score runs/weather tomorrow.csv --columns temperature,wind
  reprise score runs/load lastweek.csv --horizon 48"""


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
    about = "of numbers: forecast so many steps from many places, and compare with the seasonal naive forecast"
    parser.add_argument("--horizon", metavar="N", type=int, help=about)
    about = "steps of a season for that [told by the dates: a day of hours, a week of days]"
    parser.add_argument("--season", metavar="N", type=int, help=about)
    add_series(parser)


def score(
    text: Path,
    encoding: str,
    as_json: bool,
    horizon: int | None,
    season: int | None,
    columns: str,
    header: bool | None,
    fill: str,
    **options: Any,
) -> None:
    """Measure how well a saved model predicts a text, in bits per symbol, or a series, by its errors one step ahead."""
    model = restored(**options)
    reads_symbols = any(p.role in ("tokens", "one-hot") for p in model.interface.inputs)
    if reads_symbols:
        facts, words = _of_text(model, text, encoding)
    else:
        table = read_single_series(text, named_columns(model, columns), header, fill, encoding)
        facts, words = _of_series(model, table, horizon, season)
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


def _of_series(
    model: RecurrentModel, table: NumericTable, horizon: int | None, season: int | None
) -> tuple[dict[str, Any], str]:
    if horizon is not None:
        return _of_horizon(model, table, horizon, season)
    result = model.score_forecast(table.rows)
    errors = zip(table.names, result.rmse, result.rmse_unchanged, strict=True)
    found = [{"column": name, "rmse": rmse, "rmse_unchanged": unchanged} for name, rmse, unchanged in errors]
    lines = [
        f"column {row['column']}: root mean squared error {row['rmse']:.6g} one step ahead "
        f"({row['rmse_unchanged']:.6g} if nothing changed)"
        for row in found
    ]
    return {"columns": found, "steps": result.steps}, "\n".join([*lines, f"{result.steps} steps forecast"])


def _of_horizon(
    model: RecurrentModel, table: NumericTable, horizon: int, season: int | None
) -> tuple[dict[str, Any], str]:
    """Forecasts of many steps from many places, beside the seasonal naive forecast."""
    own_season = table.dates.step.season if table.dates and table.dates.step else None
    steps = season or own_season or 1
    result = model.backtest(table.rows, horizon, steps)
    errors = zip(table.names, result.rmse, result.rmse_naive, strict=True)
    found = [{"column": name, "rmse": rmse, "rmse_naive": naive} for name, rmse, naive in errors]
    naive = f"the value {steps} steps before" if steps > 1 else "the last value, as no dates tell a season (--season)"
    lines = [
        f"column {row['column']}: root mean squared error {row['rmse']:.6g} over {horizon} steps "
        f"({row['rmse_naive']:.6g} by {naive})"
        for row in found
    ]
    facts = {"columns": found, "horizon": horizon, "season": steps, "forecasts": len(result.errors)}
    return facts, "\n".join([*lines, f"{len(result.errors)} forecasts of {horizon} steps"])


def _read(path: Path, encoding: str, *, of_bytes: bool) -> str:
    from reprise.train.data.documents import decoded, text_encoding

    data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    if of_bytes:
        return data.decode("utf-8", "surrogateescape")
    return "".join(decoded([data], str(path), text_encoding(encoding)))
