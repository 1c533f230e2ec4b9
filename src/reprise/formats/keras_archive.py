"""Archives of Keras 3 and of tf_keras (`.keras`): a configuration and weights in a zip file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._base import Format, StoredModel
from reprise.formats._keras import lookups, models
from reprise.wire import archive, hdf5

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_VOCABULARY = re.compile(r"assets/.*/vocabulary\.txt")
_MOST_TEXT = 2**26


def sniff(path: Path) -> str | None:
    """Evidence of an archive of Keras: the names in its directory."""
    return "it is an archive with a configuration of Keras" if _CONFIG in archive.names(path, (_CONFIG,)) else None


def read(path: Path, *, custom: Mapping[str, Any] | None = None) -> StoredModel:
    """The model in an archive."""
    members = archive.open_members(path)
    if _WEIGHTS not in members:
        held = ", ".join(sorted(members)[:8])
        raise DamagedFile(f"{path}: holds no {_WEIGHTS} (it holds {held}). Save the model again.")
    text = members[_CONFIG](_MOST_TEXT)
    found = models.configuration(bytes(text), f"{path}, {_CONFIG}", _stated(path, members))
    group = hdf5.read(members[_WEIGHTS](None), f"{path}, {_WEIGHTS}")
    made = models.layers(found, group, str(path), custom)
    inside = lookups.lookup_vocabulary(found.content, _symbols(members))
    evidence = sniff(path) or "it is an archive of Keras"
    return models.stored(path, FORMAT.name, evidence, group, made, (path,), inside=inside)


def _symbols(members: Mapping[str, archive.Member]) -> set[str]:
    """The vocabularies among the assets, one symbol a line."""
    named = (member for name, member in members.items() if _VOCABULARY.fullmatch(name))
    return {bytes(member(_MOST_TEXT)).decode("utf-8", "replace") for member in named}


def _stated(path: Path, members: Mapping[str, archive.Member]) -> Any:
    """The version of Keras that the archive says."""
    if _METADATA not in members:
        return None
    try:
        content = json.loads(bytes(members[_METADATA](_MOST_TEXT)))
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: its {_METADATA} is not JSON ({error}). Save the model again.") from error
    return content.get("keras_version") if isinstance(content, dict) else None


FORMAT = Format(
    name="Keras archive",
    spec="keras/src/saving/saving_lib.py",
    sniff=sniff,
    read=read,
    choices=("custom",),
)
