"""`reprise forecast`."""

from __future__ import annotations

import csv
import sys
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprise.cli._options import add_model, named_columns, restored
from reprise.errors import CallError, MissingDependency

if TYPE_CHECKING:
    from reprise.sampling import Forecast
    from reprise.train.data.table import NumericTable

EXAMPLES = """\
  reprise forecast runs/load history.csv --steps 48 > next.csv
  reprise forecast runs/load history.csv --steps 48 --out next.csv --plot next.png
  reprise forecast runs/load history.csv --steps 24 --samples 5 --seed 1"""

#: How much of the history the picture shows, in forecasts of this length.
_SHOWN = 4


def add_options(parser: ArgumentParser) -> None:
    """The history, how far, and where to."""
    add_model(parser)
    parser.add_argument("history", metavar="HISTORY", type=Path, help="CSV or .npy; - is standard input")
    parser.add_argument("--steps", metavar="N", type=int, default=48, help="how many rows to forecast (%(default)s)")
    parser.add_argument("-o", "--out", metavar="CSV", type=Path, help="the file to write [standard output]")
    about = "also draw the end of the history and what follows; needs Matplotlib"
    parser.add_argument("--plot", metavar="PNG", type=Path, help=about)
    about = "the probability with which the truth is to lie in the interval (%(default)s)"
    parser.add_argument("--interval", metavar="P", type=float, default=0.9, help=about)
    about = "also give N ways in which the series may go on (%(default)s)"
    parser.add_argument("--samples", metavar="N", type=int, default=0, help=about)
    parser.add_argument("--seed", metavar="S", type=int, help="the same seed draws the same samples")
    add_series(parser)


def add_series(parser: ArgumentParser) -> None:
    """How a file of numbers is read."""
    about = "of numbers, with commas between them, in the order of the model's [those of its names]"
    parser.add_argument("--columns", default="", help=about)
    parser.add_argument(
        "--header", action=BooleanOptionalAction, help="whether the first line of CSV has names [told by the lines]"
    )
    about = "how missing numbers are filled: previous or linear [they are refused]"
    parser.add_argument("--fill", choices=("previous", "linear"), default="", help=about)


def forecast(
    history: Path,
    steps: int,
    out: Path | None,
    plot: Path | None,
    interval: float,
    samples: int,
    seed: int | None,
    columns: str,
    header: bool | None,
    fill: str,
    **options: Any,
) -> None:
    """Forecast what follows a series of numbers, as CSV with dates, an interval and a picture."""
    model = restored(**options)
    table = read_single_series(history, named_columns(model, columns), header, fill)
    found = model.forecast(table.rows, steps, samples=samples, seed=seed, interval=interval)
    sys.stderr.write(f"note: {found.basis}\n")
    if out is None:
        _write(sys.stdout, found, table)
    else:
        from reprise.files import written_whole

        with written_whole(out) as part, part.open("w", encoding="utf-8", newline="") as file:
            _write(file, found, table)
    if plot is not None:
        _draw(plot, found, table)


def read_single_series(
    path: Path, columns: list[str] | None, header: bool | None, fill: str, encoding: str = "utf-8"
) -> NumericTable:
    """The one series of a file.

    Raises:
        CallError: It holds several.
    """
    from reprise.train.data.numeric import read_series

    tables = read_series(str(path), columns=columns, header=header, fill=fill, encoding=encoding)  # type: ignore[arg-type]
    if len(tables) != 1:
        raise CallError(f"{path}: it holds {len(tables)} series; give one, [steps, columns]")
    return tables[0]


def _write(file: Any, found: Forecast, table: NumericTable) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([table.dates.name if table.dates else "step", *_titles(found, table.names)])
    steps = len(found.values)
    places = table.dates.following(steps) if table.dates else list(range(1, steps + 1))
    for place, row in zip(places, _rows(found), strict=True):
        writer.writerow([place, *(f"{value:.7g}" for value in row)])


def _titles(found: Forecast, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield name
        if found.lower is not None:
            yield from (f"{name}_low", f"{name}_high")
        yield from (f"{name}_sample{k + 1}" for k in range(len(found.samples)))


def _rows(found: Forecast) -> Iterator[list[float]]:
    for k, values in enumerate(found.values):
        row: list[float] = []
        for column, value in enumerate(values):
            row.append(value)
            if found.lower is not None and found.upper is not None:
                row += [found.lower[k, column], found.upper[k, column]]
            row += found.samples[:, k, column].tolist()
        yield row


def _draw(path: Path, found: Forecast, table: NumericTable) -> None:
    """The end of the history, and what follows with its interval, one picture below the other for each column."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        from reprise.installing import install

        raise MissingDependency(f"--plot needs Matplotlib: {install('forecast')}") from error
    from reprise.files import written_whole

    steps = len(found.values)
    before: Any = list(range(1 - min(len(table.rows), _SHOWN * steps), 1))
    after: Any = list(range(1, steps + 1))
    if table.dates:
        before, after = table.dates.preceding(len(before)), [table.dates.moment(k) for k in after]
    figure = Figure(figsize=(9, 3.2 * len(table.names)), dpi=120, layout="constrained")
    for column, axes in enumerate(figure.subplots(len(table.names), squeeze=False)[:, 0]):
        axes.plot(before, table.rows[-len(before) :, column], color="tab:gray", label="history")
        if found.lower is not None and found.upper is not None:
            band = {"color": "tab:blue", "alpha": 0.2, "label": f"{found.interval:.0%} interval"}
            axes.fill_between(after, found.lower[:, column], found.upper[:, column], **band)
        for sample in found.samples:
            axes.plot(after, sample[:, column], color="tab:blue", alpha=0.3, linewidth=0.8)
        axes.plot(after, found.values[:, column], color="tab:blue", label="forecast")
        axes.set_ylabel(table.names[column])
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    figure.autofmt_xdate() if table.dates else axes.set_xlabel("step")
    with written_whole(path) as part:
        figure.savefig(part, format="png")
