"""Saved formats, one module each: which one a path is, and its content as a `StoredModel`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from reprise.errors import AmbiguousFormat, MissingFile, UnknownFormat
from reprise.formats import tf_checkpoint, tf_frozen, tf_saved_model
from reprise.formats._base import Format, Signature, StoredModel

__all__ = ["FORMATS", "Format", "Signature", "StoredModel", "identify", "read"]

#: Every format that can be read. Their order decides nothing: two claims are an error.
FORMATS: tuple[Format, ...] = (tf_checkpoint.FORMAT, tf_frozen.FORMAT, tf_saved_model.FORMAT)


def identify(path: str | PathLike[str]) -> Format:
    """The one format that claims `path`.

    Raises:
        MissingFile: Nothing is at the path.
        UnknownFormat: No format claims it.
        AmbiguousFormat: Two or more do.
    """
    place = Path(path)
    claims = [(f, why) for f in FORMATS if (why := f.sniff(place))]
    if len(claims) == 1:
        return claims[0][0]
    if claims:
        raise AmbiguousFormat(f"{path}: {'; '.join(f'{f.name} ({why})' for f, why in claims)}. Name one of its files.")
    if not place.exists():
        raise MissingFile(f"{path}: no such file or folder, and no checkpoint has this prefix.")
    raise UnknownFormat(f"{path}: no reader claims it.")


def read(path: str | PathLike[str]) -> StoredModel:
    """The saved model at `path` as data; nothing is interpreted, no weight is loaded.

    Raises:
        ReadError: It is not a saved model, not a whole one, or not only one.
    """
    return identify(path).read(Path(path))
