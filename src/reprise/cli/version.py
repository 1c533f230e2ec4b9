"""`reprise version`."""

from argparse import ArgumentParser

import reprise

EXAMPLES = "  reprise version"


def add_options(parser: ArgumentParser) -> None:
    """None."""


def version() -> None:
    """Show the version."""
    print(f"reprise {reprise.__version__}")
