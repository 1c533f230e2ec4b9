"""`reprise inspect`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from reprise.cli._options import Inputs, Model, Outputs, Scope, States

EXAMPLES = """\
  reprise inspect model.ckpt-2000
  reprise inspect frozen.pb --scope decoder
  reprise inspect model.ckpt.meta --json | jq .interface"""


def inspect(
    path: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
    inputs: Inputs = None,
    outputs: Outputs = None,
    states: States = None,
    scope: Scope = "",
) -> None:
    """Show what a saved model holds: format, interface and the evidence for it, variables, vocabulary.

    Also for a file that cannot be run: then it says what stands in the way.
    """
    from reprise.restore import examine

    found = examine(path, inputs=inputs or (), outputs=outputs or (), states=states or (), scope=scope)
    typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if as_json else str(found))
