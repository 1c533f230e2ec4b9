"""The pages of the manual: their commands are understood, their Python runs, what is generated is up to date."""

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

import reprise
from reprise.cli import COMMANDS, parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in ("commands.md", "formats.md")]
TEXT = "how much wood would a woodchuck chuck if a woodchuck could chuck wood?\nto be in the woods\n" * 30


def blocks(page, language):
    """The code of a page in a language."""
    parts = re.split(r"^```(.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return [code for opening, code in zip(parts[1::4], parts[2::4], strict=False) if opening == language]


def commands(page):
    for block in blocks(page, ""):
        for line in block.splitlines():
            if line.startswith("reprise "):
                yield line.partition("  #")[0]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_are_understood(page):
    for line in commands(page):
        _, name, *arguments = shlex.split(line)
        assert name in COMMANDS, line
        command = parser(import_module(f"reprise.cli.{name}"))
        command.parse_args(command.spelled(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_generated_pages_are_those_of_this_version(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    manual = import_module("manual")
    monkeypatch.setenv("COLUMNS", "100")
    assert (ROOT / "docs/reference/formats.md").read_text("utf-8") == manual.formats(), "run scripts/manual.py"
    if sys.version_info[:2] == (3, 11):  # argparse prints options in other ways later
        assert (ROOT / "docs/reference/commands.md").read_text("utf-8") == manual.commands(), "run scripts/manual.py"


def runs(page, folder, monkeypatch):
    """Runs the Python of a page in a folder, one block after the other."""
    monkeypatch.chdir(folder)
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("name", ["book", "forecast"])
def test_a_tutorial_that_trains_runs(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "book.txt").write_text(TEXT)
    runs(ROOT / f"docs/tutorials/{name}.md", tmp_path, monkeypatch)
    assert capsys.readouterr().out


def test_the_tutorial_of_a_service_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "corpus.txt").write_text(TEXT)
    shape = {"rnn_size": 8, "embedding_size": 4, "seq_length": 10, "batch_size": 2, "max_steps": 2, "show": False}
    for seed, out in enumerate(("model", "other")):
        reprise.train(tmp_path / "corpus.txt", out=tmp_path / out, seed=seed, **shape)
    runs(ROOT / "docs/tutorials/service.md", tmp_path, monkeypatch)
    assert "belongs to another model" in capsys.readouterr().out
