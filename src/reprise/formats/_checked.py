"""What every format's model passes before anything else sees it."""

from __future__ import annotations

from dataclasses import replace

from reprise.errors import DamagedFile, DiscoveryError
from reprise.files import Original
from reprise.formats._base import StoredModel
from reprise.graph_check import check, check_variable


def checked(stored: StoredModel) -> StoredModel:
    """`stored`, whose graph is one and whose variables have tensors of their shapes, with its files as they are now.

    Raises:
        DamagedFile: The format gave another; the message names the node.
    """
    try:
        if stored.graph is not None:
            check(stored.graph)
            for node, name in stored.variable_names.items():
                check_variable(stored.graph[node], stored.weights[name])
    except DiscoveryError as error:
        raise DamagedFile(f"{stored.path}: {error}") from error
    return replace(stored, originals=tuple(Original.of(file) for file in stored.files if file.is_file()))
