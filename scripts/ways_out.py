"""Which saved models reach which targets: a table in Markdown, each cell written and equal, or refused with its reason.

    python scripts/ways_out.py FOLDER… [--only REGEX] [--targets onnx saver] [--steps 32]

Each FOLDER has items: folders with an `about.json` that names the model's path. A model that is not restored is left
out. A number in the table stands for a reason below it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import reprise
from reprise.errors import RepriseError
from reprise.export import TARGETS

WRITTEN = "yes"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--targets", nargs="+", default=[t.name for t in TARGETS])
    parser.add_argument("--steps", type=int, default=32)
    options = parser.parse_args()
    reasons: dict[str, int] = {}
    print(f"| model | {' | '.join(options.targets)} |\n|---|{'---|' * len(options.targets)}")
    for folder in options.folders:
        for name, path in items(folder, options.only):
            row = cells(path, options.targets, options.steps)
            if row is not None:
                marks = [c if c == WRITTEN else str(reasons.setdefault(c, len(reasons) + 1)) for c in row]
                print(f"| {name} | {' | '.join(marks)} |", flush=True)
    print()
    for reason, number in reasons.items():
        print(f"{number}. {reason}")


def items(folder: Path, only: str) -> Iterator[tuple[str, Path]]:
    """The names and paths of the models in a folder of items."""
    for about in sorted(folder.glob("*/about.json")):
        if re.search(only, about.parent.name):
            yield about.parent.name, about.parent / json.loads(about.read_text())["path"]


def cells(path: Path, targets: list[str], steps: int) -> list[str] | None:
    """What becomes of a model in each target; None where it is not restored."""
    try:
        model = reprise.restore(path)
    except RepriseError:
        return None
    return [cell(model, target, steps) for target in targets]


def cell(model: reprise.RecurrentModel, target: str, steps: int) -> str:
    """`WRITTEN`, or why not."""
    place = Path(tempfile.mkdtemp())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reprise.export(model, place / "out", to=target, steps=steps)
    except RepriseError as error:
        return " ".join(str(error).split())[:240]
    finally:
        shutil.rmtree(place)
    return WRITTEN


if __name__ == "__main__":
    main()
