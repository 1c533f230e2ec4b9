"""`reprise formats`."""

import typer

EXAMPLES = "  reprise formats"


def formats() -> None:
    """List the saved formats that can be read, and where each is written down."""
    from reprise.formats import FORMATS

    width = max(len(f.name) for f in FORMATS)
    for each in FORMATS:
        typer.echo(f"{each.name:{width}}  {each.spec}")
