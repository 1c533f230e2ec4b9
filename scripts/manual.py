"""Writes the pages of the manual that follow from the program: commands and formats. `make docs` runs it."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from reprise.cli import COMMANDS, parser
from reprise.formats import FORMATS

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def commands() -> str:
    """The `--help` of every command."""
    pages = [f"## reprise {name}\n\n```text\n{_help(name)}\n```\n" for name in COMMANDS]
    return "# Commands\n\nThis page is what `reprise COMMAND --help` prints.\n\n" + "\n".join(pages)


def _help(name: str) -> str:
    return parser(import_module(f"reprise.cli.{name}")).format_help().rstrip()


def formats() -> str:
    """A row for every format that is read."""
    rows = [f"| {form.name} | {form.limits or 'all'} | {form.spec} |" for form in FORMATS]
    head = "# Formats\n\nThis page lists what `reprise formats` lists: the readers of this version.\n\n"
    return head + "| format | which files | written down in |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def main() -> None:
    """Writes both pages."""
    os.environ["COLUMNS"] = "100"
    for name, text in (("commands.md", commands()), ("formats.md", formats())):
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
