"""`reprise inspect`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from reprise.cli._options import add_model, warnings_to_stderr

EXAMPLES = """\
  reprise inspect model.ckpt-2000
  reprise inspect frozen.pb --scope decoder
  reprise inspect model.ckpt-2000 --evidence
  reprise inspect model.ckpt-2000 --graph graph.pbtxt
  reprise inspect frozen.pb --input Placeholder_1:0 --output add_7:0
  reprise inspect model.ckpt.meta --json | jq .interface"""


def add_options(parser: ArgumentParser) -> None:
    """How to say it."""
    add_model(parser)
    about = "print everything that was found: how, in which files, and every variable"
    parser.add_argument("--evidence", action="store_true", help=about)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data")


def inspect(evidence: bool, as_json: bool, **options: Any) -> None:
    """Show what a saved model is, reads, gives and carries, on one screen; --evidence shows everything.

    Also for a file that cannot be run: then it says what stands in the way.
    """
    from reprise.examine import examine

    with warnings_to_stderr():
        found = examine(**options)
    print(json.dumps(found.to_json(), indent=2) if as_json else found if evidence else found.overview)
