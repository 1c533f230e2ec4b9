"""The command line: arguments in, one library call, text out. One file per command.

A command's module has its options (`add_options`), its function of the same name, which receives them, and `EXAMPLES`.
Only the module of the command at hand is loaded, and it loads only what it needs: the cold start is a promise.

Text goes to standard output, everything else to standard error. Exit codes: 0 done, 1 the model or the call was
refused (one line says why) or nobody reads the output, 2 the command line was not understood, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from reprise.cli._parsing import Parser, suggestion
from reprise.errors import RepriseError
from reprise.printable import bounded

COMMANDS = ("train", "sample", "forecast", "score", "inspect", "run", "export", "verify", "diff", "formats", "version")

#: Packages of the extra `tensorflow`, which only some commands need.
OPTIONAL = frozenset({"tensorflow", "tensorboard", "matplotlib", "rich"})
EXTRA = "tensorflow"

ABOUT = "Brings saved RNN, LSTM and GRU models back, from their files alone, and trains new ones."


def main() -> NoReturn:
    """Does what the arguments say, and ends the process."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:  # it was closed, and the next file opened would take its number
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the program ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A pipe on Windows would have another encoding; a name of a file may be bytes that are no text.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(_outcome(sys.argv[1:]))


def _outcome(arguments: Sequence[str]) -> int:
    """Runs the command; the exit code."""
    try:
        execute(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output is gone, and needs no word about it
        return 1
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        from reprise.installing import install

        sys.stderr.write(f"reprise: {package} is not installed, and this command needs it: {install(EXTRA)}\n")
        return 1
    except (RepriseError, OSError) as error:
        sys.stderr.write(f"reprise: {_line(error)}\n")
        return 1
    return 0


def execute(arguments: Sequence[str]) -> None:
    """Runs the command that `arguments` begin with.

    Raises:
        SystemExit: The command line was not understood (2), or help was asked for (0).
        RepriseError: The command was refused.
    """
    if not arguments or arguments[0] not in COMMANDS:
        _answer(arguments)
        return
    name = arguments[0]
    module = import_module(f"reprise.cli.{name}")
    command = parser(module)
    getattr(module, name)(**vars(command.parse_args(command.spelled(arguments[1:]))))


def parser(module: ModuleType) -> Parser:
    """The options of the command that `module` is."""
    name = module.__name__.rpartition(".")[2]
    made = Parser(
        prog=f"reprise {name}",
        description=getattr(module, name).__doc__,
        epilog=f"examples:\n{module.EXAMPLES.rstrip()}",
        aliases=getattr(module, "ALIASES", None),
    )
    module.add_options(made)
    return made


def _answer(arguments: Sequence[str]) -> None:
    """What the program as a whole understands, when no command was named."""
    program = _program()
    if arguments and not arguments[0].startswith("-"):
        program.error(f"there is no command {arguments[0]!r}. {_instead(arguments[0])}")
    parsed = program.parse_args(program.spelled(arguments or ["--help"]))
    if parsed.completion:
        from reprise.cli._completion import script

        sys.stdout.write(script(parsed.completion))
        return
    program.error("a command is missing")


def _instead(word: str) -> str:
    if Path(word).exists():
        return f"To look at a file: reprise inspect {word}"
    return suggestion(word, COMMANDS)


def _program() -> Parser:
    made = Parser(prog="reprise", description=ABOUT)
    made.add_argument("--version", action="version", version=f"reprise {import_module('reprise').__version__}")
    about = "print what lets a shell complete commands and options: bash, zsh or fish"
    made.add_argument("--completion", metavar="SHELL", choices=("bash", "zsh", "fish"), help=about)
    commands = made.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        commands.add_parser(name, help=summary(name))
    return made


def summary(command: str) -> str:
    """What a command does, in one line."""
    about: str = getattr(import_module(f"reprise.cli.{command}"), command).__doc__
    return about.partition("\n")[0]


def _line(error: Exception) -> str:
    """What is wrong, as one line."""
    if isinstance(error, OSError) and error.filename:
        return bounded(f"{error.filename}: {error.strerror}")
    return bounded(" ".join(str(error).split()))
