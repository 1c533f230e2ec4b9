"""The vocabulary in layers of Keras that look texts up: in their configurations, or among the assets of an archive."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reprise.errors import VocabularyError
from reprise.vocabulary import Vocabulary

_KINDS = ("StringLookup", "TextVectorization")
_MOST_PARTS = 100_000
_UNKNOWN = "[UNK]"


def lookup_vocabulary(description: Any, assets: Collection[str] = ()) -> tuple[Vocabulary | None, tuple[str, ...]]:
    """The symbols by which all such layers of a model look up, where they are the same; and what is to be said.

    Args:
        description: The configuration of the model.
        assets: The vocabularies of layers whose configurations do not hold them, one symbol a line; which is whose is
            not said, so there must be one only.
    """
    found, notes = set[Vocabulary](), []
    for kind, config in _lookups(description):
        symbols = _symbols(kind, config, assets)
        if symbols is None:
            continue
        try:
            plain = [s for s in symbols if s and not s.startswith("[")]
            single = config.get("split") == "character" or all(len(s) == 1 for s in plain)
            found.add(Vocabulary(tuple(symbols), "characters" if single else "words"))
        except VocabularyError as error:
            notes.append(f"layer {config.get('name')!r}: {error}")
            continue
        notes.append(_note_of(kind, config))
    return (found.pop() if len(found) == 1 else None), tuple(dict.fromkeys(notes))


def _note_of(kind: str, config: Mapping[str, Any]) -> str:
    note = f"the model reads ids in the place of texts; the layer {config.get('name')!r} ({kind}) has their symbols"
    ways = [f"{name} {config[name]}" for name in ("standardize", "output_sequence_length") if config.get(name)]
    return f"{note}, and makes texts ready before: {', '.join(ways)}" if ways else note


def _lookups(description: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The class and the options of each layer that looks up; of those that turn ids back, none."""
    pending, seen = [description], 0
    while pending and seen < _MOST_PARTS:
        seen += 1
        part = pending.pop()
        if isinstance(part, dict):
            config = part.get("config")
            if part.get("class_name") in _KINDS and isinstance(config, dict) and not config.get("invert"):
                yield part["class_name"], config
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _symbols(kind: str, config: Mapping[str, Any], assets: Collection[str]) -> list[str] | None:
    """The symbols by id: perhaps one for hidden steps, those for unknown texts, and the others."""
    mask = "" if kind == "TextVectorization" else config.get("mask_token")
    count = config.get("num_oov_indices", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 64:
        return None
    oov = str(config.get("oov_token") or _UNKNOWN)
    first = [*([] if mask is None else [str(mask)]), *[oov] * count]
    held: Any = config.get("vocabulary")
    if held is None:
        held = next(iter(assets)).split("\n") if len(set(assets)) == 1 else None
    if not isinstance(held, list) or not all(isinstance(s, str) for s in held):
        return None
    own = held[len(first) :] if held[: len(first)] == first else held
    marked = [*first[: len(first) - count], *([oov] if count else []), *(f"{oov}{k}" for k in range(1, count))]
    return [*marked, *own]
