"""Text from files as a terminal may show it: names in a file can hold escape sequences that move the cursor or lie."""

from __future__ import annotations

#: What is not printable in Python's words and harmless: line feed, tab, the wide and the unbreakable space.
_KEPT = "\n\t\u3000\u00a0"
#: An error stays a line or a screen, whatever a file puts into it: its beginning and its end are kept.
_MOST, _END = 4000, 1000


def printable(text: str) -> str:
    """`text` with control and invisible characters written as Python escapes them; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode() for c in text)


def printable_line(text: str) -> str:
    """`printable` for what must stay one line: line feeds are escaped too."""
    return printable(text).replace("\n", r"\n")


def bounded(text: str) -> str:
    """`printable`, with the middle left out of a text that is longer than a screen."""
    if len(text) > _MOST:
        left = len(text) - _MOST
        text = f"{text[: _MOST - _END]} … [{left} characters left out] … {text[-_END:]}"
    return printable(text)
