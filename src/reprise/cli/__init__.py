"""The command line: arguments in, one library call, text out. One file per command.

Text goes to standard output, everything else to standard error. Exit codes: 0 done, 1 the model or the call was
refused (one line says why), 2 the command line was not understood, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from reprise.errors import RepriseError

COMMANDS = ("train", "sample", "score", "inspect", "run", "export", "formats", "version")

ABOUT = "Brings saved RNN, LSTM and GRU models back, from their files alone, and trains new ones."


def main() -> None:
    """Runs the command that the arguments name, and ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # a pipe on Windows would have another
    try:
        application(sys.argv[1:])(prog_name="reprise")
    except RepriseError as error:
        sys.exit(_said(str(error)))
    except OSError as error:
        sys.exit(_said(f"{error.filename}: {error.strerror}" if error.filename else str(error)))


def application(arguments: Sequence[str]) -> typer.Typer:
    """The program: with the one command that `arguments` begin with, or with all where they begin otherwise."""
    app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback(help=ABOUT)(_common)
    for name in COMMANDS if arguments[:1] not in [[c] for c in COMMANDS] else arguments[:1]:
        module = import_module(f"reprise.cli.{name}")
        app.command(name, epilog=f"\b\nExamples:\n{module.EXAMPLES}")(getattr(module, name))
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        import_module("reprise.cli.version").version()
        raise typer.Exit


def _common(
    version: bool = typer.Option(False, "--version", help="Show the version.", callback=_show_version, is_eager=True),
) -> None:
    """Options that come before the command."""


def _said(message: str) -> int:
    sys.stderr.write(f"reprise: {' '.join(message.split())}\n")
    return 1
