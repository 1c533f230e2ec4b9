"""Symbols and their ids: the table without which a restored language model prints a cipher."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from reprise.errors import VocabularyError

Kind = Literal["characters", "bytes", "words"]

#: The word that stands for all words outside a vocabulary which has it, and what other programs call it.
UNKNOWN = "<unk>"
_UNKNOWN = (UNKNOWN, "<UNK>", "[UNK]", "<OOV>", "<oov>")


@dataclass(frozen=True)
class Vocabulary:
    """An ordered table of symbols; a symbol's id is its place, counted from `first`.

    Attributes:
        symbols: All different. Single characters, or words, or (kind `bytes`) the 256 byte values as latin-1 text.
        kind: How text is cut into symbols.
        first: The id of the first symbol: 0, or 1 where a program counts as Lua does. Outputs are counted from 0.
    """

    symbols: tuple[str, ...]
    kind: Kind = "characters"
    first: int = 0

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols):
            twice = sorted(s for s, times in Counter(self.symbols).items() if times > 1)
            raise VocabularyError(
                f"vocabulary: {len(twice)} symbols occur twice ({_listed(twice)}); each must have one id"
            )

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Symbol → id."""
        return {symbol: i for i, symbol in enumerate(self.symbols, self.first)}

    def encode(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """The ids of `text`, int32 [T]; unknown words have that of the one that stands for them.

        Raises:
            VocabularyError: Some symbols are unknown; the message lists them.
        """
        unknown, stand_in = self.unknown(text), self.stand_in
        if unknown and stand_in is None:
            raise VocabularyError(
                f"text: {len(unknown)} symbols are not among the {len(self)} of the vocabulary: {_listed(unknown)}. "
                "Remove or replace them, or use a model that was trained with them."
            )
        pieces = self._cut(text)
        return np.fromiter((self.ids.get(p, stand_in) for p in pieces), np.int32, len(pieces))

    def unknown(self, text: str) -> list[str]:
        """The symbols of `text` that have no id of their own, sorted."""
        return sorted(set(self._cut(text)) - self.ids.keys())

    @property
    def stand_in(self) -> int | None:
        """The id of the word that stands for unknown ones, if the symbols are words and it is among them."""
        found = (self.ids[word] for word in _UNKNOWN if word in self.ids)
        return next(found, None) if self.kind == "words" else None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`."""
        pieces = [self.symbols[int(i) - self.first] for i in ids]
        if self.kind == "bytes":
            return "".join(pieces).encode("latin-1").decode("utf-8", "replace")
        return ("" if self.kind == "characters" else " ").join(pieces)

    def extended(self, before: Sequence[str] = (), after: Sequence[str] = ()) -> Vocabulary:
        """The same symbols, with those in front and behind that a program adds for padding, unknown ones, or a start.

        Raises:
            VocabularyError: A symbol would have two ids.
        """
        return Vocabulary((*before, *self.symbols, *after), self.kind, self.first)

    def _cut(self, text: str) -> Sequence[str]:
        if self.kind == "bytes":
            return text.encode("utf-8", "surrogateescape").decode("latin-1")  # so any bytes can be given as text
        return text.split() if self.kind == "words" else text

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as plain data: `{"kind": …, "symbols": […]}`, and `first` where that is not 0."""
        return {"kind": self.kind, "symbols": list(self.symbols)} | ({"first": self.first} if self.first else {})

    @classmethod
    def from_json(cls, data: Any) -> Vocabulary:  # data of any file
        """The inverse of `to_json`; text is parsed first.

        Raises:
            VocabularyError: It is not such data.
        """
        if isinstance(data, (str, bytes)):
            try:
                data = json.loads(data)
            except ValueError as error:
                raise VocabularyError(f"vocabulary: not JSON ({error})") from error
        if not isinstance(data, dict) or not isinstance(data.get("symbols"), list):
            raise VocabularyError('vocabulary: expected {"kind": …, "symbols": […]}')
        symbols, kind = data["symbols"], data.get("kind", "characters")
        if kind not in ("characters", "bytes", "words") or not all(isinstance(s, str) for s in symbols):
            raise VocabularyError(
                f"vocabulary: kind {kind!r} or a symbol is not text; expected characters, bytes or words"
            )
        first = data.get("first", 0)
        if first not in (0, 1):
            raise VocabularyError(f"vocabulary: the first id is {first!r}; expected 0 or 1")
        return cls(tuple(symbols), kind, int(first))

    @classmethod
    def of_text(cls, text: str) -> Vocabulary:
        """The characters of `text`, sorted by code point: the same on every machine and in every process."""
        return cls(tuple(sorted(set(text))))


def _listed(symbols: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(repr(s) for s in symbols[:most])
    return shown + (f" and {len(symbols) - most} more" if len(symbols) > most else "")
