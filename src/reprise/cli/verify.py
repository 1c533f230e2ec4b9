"""`reprise verify`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from reprise.cli._options import add_two_models, restored

EXAMPLES = """\
  reprise verify model.ckpt-2000 quijote.onnx
  reprise verify runs/quijote quijote.tflite --steps 64
  reprise verify model.h5 saved/ --tolerance 1e-3 --json"""


def add_options(parser: ArgumentParser) -> None:
    """Over what, and how closely."""
    add_two_models(parser)
    parser.add_argument("--steps", metavar="N", type=int, default=16, help="over how many carried steps (%(default)s)")
    about = "the largest |a - b| / (1 + |a|) that counts as equal (%(default)s)"
    parser.add_argument("--tolerance", metavar="X", type=float, default=1e-5, help=about)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of inputs and random states (%(default)s)")
    about = "how many symbols of the most probable text to compare (%(default)s)"
    parser.add_argument("--symbols", metavar="N", type=int, default=200, help=about)


def verify(
    first: Path,
    second: Path,
    as_json: bool,
    steps: int,
    tolerance: float,
    seed: int,
    symbols: int,
    **options: Any,
) -> None:
    """Say whether two saved models compute the same, over many carried steps; exit code 1 where they differ.

    What decides where files leave a choice, such as --vocabulary, is for both.
    """
    from reprise.comparison import compare

    a, b = (restored(path=path, **options) for path in (first, second))
    found = compare(a, b, steps=steps, tolerance=tolerance, seed=seed, symbols=symbols)
    print(json.dumps(found.to_json(), indent=2) if as_json else found)
    if not found.equal:
        raise SystemExit(1)
