"""Vocabularies that lie beside a model, as the char-rnn family saves them: text, JSON, CSV, pickles; read as data only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reprise.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Found:
    """A vocabulary, where it was found, and what else is to be said."""

    vocabulary: Vocabulary | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


def find(folder: Path) -> Found:
    """The vocabulary beside a model, if exactly one is there."""
    del folder
    return Found()
