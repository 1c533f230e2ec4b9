"""`reprise diff`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from reprise.cli._options import add_two_models, restored

EXAMPLES = """\
  reprise diff model.ckpt-1000 model.ckpt-2000
  reprise diff model.ckpt-2000 quijote.onnx --json"""


def add_options(parser: ArgumentParser) -> None:
    """Which models."""
    add_two_models(parser)


def diff(first: Path, second: Path, as_json: bool, **options: Any) -> None:
    """Show which weights of two saved models differ, by layer and gate, and what of interface, vocabulary and settings.

    What decides where files leave a choice, such as --vocabulary, is for both. Exit code 1 where something differs.
    """
    from reprise.comparison import diff as differing

    found = differing(*(restored(path=path, **options) for path in (first, second)))
    print(json.dumps(found.to_json(), indent=2) if as_json else found)
    if not found.same:
        raise SystemExit(1)
