"""What the documents say is so."""

import re
import tomllib
from pathlib import Path

import pytest

from reprise.cli import COMMANDS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(ROOT.glob("*.md"))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_commands_that_are_shown_exist(path):
    shown = set(re.findall(r"^reprise (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^make ([\w-]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown <= set(COMMANDS)
    assert targets <= set(re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE))


def test_the_ladder_on_paper_is_the_ladder_that_is_enforced():
    contract = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    rows = [set(re.findall(r"\w+", layer)) - {"__main__"} for layer in contract["layers"]]
    drawn = [
        set(re.findall(r"`(\w+)`", row))
        for row in re.findall(r"^\| (`[^|]+) \|", text("ARCHITECTURE.md"), re.MULTILINE)
    ]
    assert drawn == [row for row in rows if row]
