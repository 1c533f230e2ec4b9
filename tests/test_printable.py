"""Names from files on a terminal: escaped, whatever they hold, and errors that stay short."""

import json
from pathlib import Path

import numpy as np
import pytest

from reprise.errors import DamagedFile
from reprise.examine import Examination
from reprise.formats import StoredModel
from reprise.interface import Interface, Port
from reprise.printable import bounded, printable, printable_line
from reprise.tensors import in_memory

ESCAPES = {"\x1b[2J": r"\x1b[2J", "\x9b31m": r"\x9b31m", "\x07": r"\x07", "a\u202eb": r"a\u202eb", "\udc80": r"\udc80"}


@pytest.mark.parametrize(("text", "shown"), ESCAPES.items())
def test_what_commands_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


def test_what_people_write_stays_as_it_is():
    text = "Ñandú — 日本語\u3000עברית\n\tx"
    assert printable(text) == text
    assert printable_line("a\nb") == r"a\nb"


def test_an_error_is_escaped_and_bounded():
    assert str(DamagedFile("node '\x1b[2J'")) == r"node '\x1b[2J'"
    long = str(DamagedFile("begin" + "x" * 30_000_000 + "end"))
    assert len(long) < 5000
    assert (long[:5], long[-3:]) == ("begin", "end")
    assert "characters left out" in long
    assert bounded("short") == "short"


def report(name):
    port = Port(name, name, "float32", (None,), None, 0, "values")
    interface = Interface((port,), (port,), (), (), False, name, (name,))
    weights = {name: in_memory(np.zeros(2))}
    stored = StoredModel(Path("m"), "F", name, None, weights, notes=(name,))
    return Examination(stored, None, interface, DamagedFile(name), None)


def test_a_report_shows_every_name_of_a_file_escaped_and_on_its_line(tmp_path):
    shown = str(report("evil\x1b[2J\nreprise: all is well"))
    assert "\x1b" not in shown
    assert not any(line.startswith("reprise:") for line in shown.splitlines())
    assert "\x1b" not in json.dumps(report("evil\x1b[2J").to_json())
