"""The walks of CONTRIBUTING.md, done with the very code of the page."""

import inspect
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np

import reprise
from reprise import formats
from reprise.operators import OPERATORS, functions
from tests.formats.contract import FormatContract
from tests.lift import translating

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def blocks(heading):
    """The Python of one section of the page."""
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def with_records(family, records):
    """The registry with the records of a changed family in place of its own."""
    changed = {name: record for record in records for name in record.names.split()}
    return {**{name: r for name, r in OPERATORS.items() if r not in family.OPERATORS}, **changed}


def test_adding_an_operator(monkeypatch):
    rule, record, test = blocks("Adding an operator")
    source = Path(functions.__file__).read_text("utf-8")
    changed = types.ModuleType("functions")
    exec(source.replace("\nOPERATORS = (\n", f"\n{rule}\nOPERATORS = (\n    {record.strip()},\n"), vars(changed))
    registry = with_records(functions, changed.OPERATORS)
    assert set(registry) - set(OPERATORS) == {"Erfc"}
    for module in [m for m in sys.modules.values() if getattr(m, "OPERATORS", None) is OPERATORS]:
        monkeypatch.setattr(module, "OPERATORS", registry)
    written = dict(vars(translating))
    exec(test, written)
    written["test_erfc"]()


def test_the_format_of_the_page_passes_the_linter():
    program = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "src/reprise/formats/toy.py", "-"]
    done = subprocess.run(program, input=blocks("Adding a format")[0], cwd=PAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_adding_a_format(monkeypatch, tmp_path):
    module, contract, test = blocks("Adding a format")
    toy = types.ModuleType("toy")
    monkeypatch.setitem(sys.modules, "toy", toy)
    exec(module, vars(toy))
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, toy.FORMAT))
    page = {"FormatContract": FormatContract, "json": json, "np": np, "reprise": reprise}
    exec(contract + test, page)
    page["test_a_toy_computes_what_its_equation_says"](tmp_path)
    for name, law in inspect.getmembers(page["TestToy"](), inspect.ismethod):
        if list(inspect.signature(law).parameters) == ["path"] and name.startswith("test_"):
            (tmp_path / name).mkdir()
            law(page["TestToy"].write(tmp_path / name))
