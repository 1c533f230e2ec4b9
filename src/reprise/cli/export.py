"""`reprise export`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from reprise.cli._options import add_model, restored, warnings_to_stderr

EXAMPLES = """\
  reprise export runs/quijote quijote.onnx --to onnx
  reprise export model.ckpt-2000 model.onnx --steps 64"""


def add_options(parser: ArgumentParser) -> None:
    """Where to, and as what."""
    add_model(parser)
    parser.add_argument("out", metavar="OUT", type=Path, help="the file or the folder to write")
    parser.add_argument("--to", metavar="TARGET", default="onnx", help="what to write (%(default)s)")
    parser.add_argument(
        "--steps", metavar="N", type=int, default=16, help="verify over so many carried steps (%(default)s)"
    )


def export(out: Path, to: str, steps: int, **options: Any) -> None:
    """Write a saved model in another format, verified over many carried steps, or refused."""
    from reprise.export import export as exported

    with warnings_to_stderr():
        exported(restored(**options), out, to=to, steps=steps)
    sys.stderr.write(f"written to {out}; it carries its state, and gives what the model gives, over {steps} steps\n")
