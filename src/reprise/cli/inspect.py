"""`reprise inspect`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from reprise.cli._options import add_model, told

EXAMPLES = """\
  reprise inspect model.ckpt-2000
  reprise inspect frozen.pb --scope decoder
  reprise inspect model.ckpt-2000 --graph graph.pbtxt
  reprise inspect frozen.pb --input Placeholder_1:0 --output add_7:0
  reprise inspect model.ckpt.meta --json | jq .interface"""


def add_options(parser: ArgumentParser) -> None:
    """How to say it."""
    add_model(parser)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data")


def inspect(as_json: bool, **options: Any) -> None:
    """Show what a saved model holds: format, interface and the evidence for it, variables, vocabulary.

    Also for a file that cannot be run: then it says what stands in the way.
    """
    from reprise.examine import examine

    with told():
        found = examine(**options)
    print(json.dumps(found.to_json(), indent=2) if as_json else found)
