"""What every page has: its own files, what it knows of a model, and Node, which runs what a browser would."""

from __future__ import annotations

import json
import shutil
import subprocess
import weakref
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib import resources
from pathlib import Path
from typing import Any

from reprise.errors import MissingDependency, VerificationError
from reprise.model import RecurrentModel
from reprise.sampling.symbols import is_of_symbols, symbol_count
from reprise.vocabulary import Vocabulary

PAGE, MODEL, ENGINE = "index.html", "model.js", "engine.js"
#: A string of a browser holds half a gigabyte.
LARGEST = 350_000_000


def write_page(folder: Path, *scripts: str) -> None:
    """Writes the page and its engine, which loads these scripts besides, into a folder."""
    for name in (ENGINE, "page.js"):
        (folder / name).write_bytes(_own(name).read_bytes())
    tags = "".join(f'<script src="{name}"></script>\n' for name in (ENGINE, *scripts))
    page = _own(PAGE).read_text("utf-8").replace(f'<script src="{ENGINE}"></script>\n', tags)
    (folder / PAGE).write_text(page, encoding="utf-8")


def write_facts(facts: Mapping[str, Any], folder: Path) -> None:
    """Writes what a page knows of its model."""
    text = json.dumps(facts, ensure_ascii=False).replace("</", "<\\/")
    ending = 'if (typeof module === "object") module.exports = { MODEL };'
    (folder / MODEL).write_text(f"/* Written by Reprise. */\nconst MODEL = {text};\n{ending}\n", encoding="utf-8")


def scores_of(model: RecurrentModel) -> dict[str, Any]:
    """Which output has the scores of symbols, as facts of a page."""
    scores = next((p for role in ("logits", "probabilities") for p in model.interface.outputs if p.role == role), None)
    return {
        "scores": None if scores is None else scores.name,
        "probabilities": scores is not None and scores.role == "probabilities",
    }


def vocabulary_of(model: RecurrentModel) -> dict[str, Any] | None:
    """The vocabulary; of a model of symbols without one, its ids; None where it reads or gives something else."""
    if not is_of_symbols(model.interface):
        return None
    if model.vocabulary is not None:
        return model.vocabulary.to_json()
    return Vocabulary(tuple(map(str, range(symbol_count(model)))), "words").to_json()


def copied(name: str, folder: Path) -> None:
    """Writes a file of this package into a folder."""
    (folder / name).write_bytes(_own(name).read_bytes())


def _own(name: str) -> Any:
    return resources.files(__package__).joinpath(name)


class NodeProcess:
    """A script of this package that answers lines, until it is forgotten.

    Raises:
        MissingDependency: Node is not installed.
        VerificationError: What is in the folder cannot be loaded.
    """

    def __init__(self, script: str, folder: Path) -> None:
        node = shutil.which("node") or shutil.which("nodejs")
        if node is None:
            raise MissingDependency("Node is not installed, and without it what is written cannot be verified")
        files = ExitStack()
        runner = files.enter_context(resources.as_file(_own(script)))
        self._process = subprocess.Popen(  # noqa: S603 - no shell, own files
            [node, str(runner), str(folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        weakref.finalize(self, _end, self._process, files)

    def answer(self, what: Any) -> Any:
        """What it answers.

        Raises:
            VerificationError: It has ended.
        """
        process = self._process
        assert process.stdin is not None  # noqa: S101 - all three are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise VerificationError(f"the page does not run: {process.stderr.read().strip()[-500:]}")
        return json.loads(line)


def _end(process: subprocess.Popen[str], files: ExitStack) -> None:
    """Ends a process and closes what leads to it."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    files.close()
