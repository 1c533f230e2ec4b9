"""`reprise formats`."""

from argparse import ArgumentParser

EXAMPLES = "  reprise formats"


def add_options(parser: ArgumentParser) -> None:
    """None."""


def formats() -> None:
    """List the saved formats that can be read, and where each is written down."""
    from reprise.formats import FORMATS

    width = max(len(f.name) for f in FORMATS)
    for each in FORMATS:
        print(f"{each.name:{width}}  {each.spec}" + (f" ({each.limits})" if each.limits else ""))
