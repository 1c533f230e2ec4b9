"""`reprise version`."""

import typer

import reprise

EXAMPLES = "  reprise version"


def version() -> None:
    """Show the version."""
    typer.echo(f"reprise {reprise.__version__}")
