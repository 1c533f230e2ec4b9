"""A folder that opens in a browser: a page that samples while one watches what the units of the model do.

A stack of standard layers is computed in JavaScript of our own (`layers`); every other model by onnxruntime-web, which
lies beside the page (`graph`).
"""

from __future__ import annotations

from pathlib import Path

from reprise.errors import SaveError
from reprise.export.layers import stack_of
from reprise.export.web import graph, layers
from reprise.export.web.page import MODEL, PAGE
from reprise.model import RecurrentModel
from reprise.verify import SelfComparedModel

__all__ = ["MODEL", "PAGE", "TOLERANCE", "read", "write"]

#: Between the 32-bit numbers that it keeps, JavaScript computes in 64 bits; over the steps the two ways drift apart.
TOLERANCE = 1e-4


def write(model: RecurrentModel, folder: Path) -> None:
    """Writes a page for `model` into an empty folder.

    Raises:
        SaveError: A page cannot hold it, or cannot give what it needs.
        MissingDependency: It needs onnxruntime-web, which is not installed.
        OSError: A file cannot be written.
    """
    try:
        found = stack_of(model)
    except SaveError:
        graph.write(model, folder)
    else:
        layers.write(model, found, folder)


def read(folder: Path, model: RecurrentModel) -> SelfComparedModel:
    """What `write` wrote, run by Node, whose numbers are those of a browser.

    Raises:
        MissingDependency: Node is not installed.
    """
    return (graph if (folder / graph.GRAPH).exists() else layers).read(folder, model)
