"""The command line as people type it: with underscores, one hyphen, the options of other programs, or misspelled."""

from __future__ import annotations

import re
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

_NUMBER = re.compile(r"-\.?\d")


class Parser(ArgumentParser):
    """Takes every option in several spellings, and answers what it does not understand in one line."""

    def __init__(self, *, aliases: Mapping[str, str] | None = None, **about: Any) -> None:
        """`aliases`: other programs' options → an option of this parser, or a sentence that says what to do instead."""
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **about)
        self._aliases = aliases or {}

    def spelled(self, arguments: Sequence[str]) -> list[str]:
        """The arguments with each option as this parser has it: `-rnn_size` and `--rnn_size` are `--rnn-size`.

        Raises:
            SystemExit: An option is unknown; the message has the one that may be meant.
        """
        end = arguments.index("--") if "--" in arguments else len(arguments)
        return [*(self._spelled(a) if _is_option(a) else a for a in arguments[:end]), *arguments[end:]]

    def _spelled(self, argument: str) -> str:
        typed, equals, value = argument.partition("=")
        name = "--" + typed.lstrip("-").replace("_", "-")
        known = self._option_string_actions
        meant = self._aliases.get(name, name)
        joined = typed[:2] in known and not typed.startswith("--")  # a value that is joined to a short option
        if meant in known and typed not in known:
            return meant + equals + value
        if not (typed in known or joined):
            advice = meant if meant != name else suggestion(name, (k for k in known if k.startswith("--")))
            self.error(f"there is no option {typed}. {advice}")
        return argument

    def error(self, message: str) -> NoReturn:
        """Leaves with one line and exit code 2."""
        text = message.strip()
        self.exit(2, f"{self.prog}: {text}{'' if text[-1] in '.?' else '.'} See {self.prog} --help.\n")


def suggestion(word: str, known: Iterable[str]) -> str:
    """A question that names what may be meant; empty where nothing is like it."""
    from difflib import get_close_matches

    like = get_close_matches(word, list(known), 1, 0.6)
    return f"Did you mean {like[0]}?" if like else ""


def _is_option(argument: str) -> bool:
    """As argparse has it: what begins with a hyphen, has no space and is no number."""
    return argument[:1] == "-" and len(argument) > 1 and " " not in argument and not _NUMBER.match(argument)


class _Formatter(RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)
