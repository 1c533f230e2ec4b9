"""How far the most probable text of two models is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reprise.errors import CallError, VocabularyError
from reprise.model import RecurrentModel
from reprise.sampling.symbols import symbol_count
from reprise.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many symbols of the most probable text are the same from the start.

    Attributes:
        symbols: How many were drawn from each.
        same: How many are the same before the first that differs.
    """

    symbols: int
    same: int

    def __str__(self) -> str:
        if self.same == self.symbols:
            return f"greedy text: all {self.symbols} symbols are the same"
        return f"greedy text: symbol {self.same + 1} of {self.symbols} is the first that differs"


def agreement(a: RecurrentModel, b: RecurrentModel, length: int) -> Agreement | None:
    """How far the greedy text of two models agrees; None where one of them is no model of symbols."""
    try:
        symbols = a.vocabulary or b.vocabulary or _numbers(symbol_count(a))
        pieces = zip(_text(a, symbols, length), _text(b, symbols, length), strict=True)
        same = next((i for i, (one, other) in enumerate(pieces) if one != other), length)
    except (CallError, VocabularyError):
        return None
    return Agreement(length, same)


def _text(model: RecurrentModel, symbols: Vocabulary, length: int) -> Iterator[tuple[str, ...]]:
    return model.with_vocabulary(symbols).stream(length, greedy=True)


def _numbers(count: int) -> Vocabulary:
    """Ids that stand for themselves."""
    return Vocabulary(tuple(map(str, range(count))), "words")
