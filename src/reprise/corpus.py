"""The vocabulary of a model, from the text that it was trained on.

Programs make a vocabulary of a text in a few ways, and forget to save it. Each way that gives as many symbols as the
model has is tried, and the model decides: with the right one it predicts the text, with any other it reads a cipher.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path

from reprise.encodings import likely
from reprise.errors import MissingFile, ReadError, VocabularyError
from reprise.model import RecurrentModel
from reprise.sampling.symbols import symbol_count
from reprise.vocabulary import UNKNOWN, Kind, Vocabulary

_MOST_BYTES = 1 << 30
#: How many symbols may stand before or behind those of the text.
_MOST_EXTRA = 3
#: Symbols of a piece of text that sorts out, pieces and symbols of those that decide, and how many are left for these.
_FIRST_PIECE, _PIECES, _PIECE, _LEFT = 60, 3, 300, 6
#: By how many bits per symbol the best way must beat the frequencies of the symbols, and by how many in all the next.
_BEATS, _BITS = 0.3, 20.0
#: Where two ways differ in few symbols: at how many places of each, and in how many windows of what reach, the model is
#: asked; and which share of the text may stay undecided.
_PLACES, _WINDOWS, _BEFORE, _AFTER, _RARE = 5, 60, 40, 8, 0.01
#: How much of the text is looked at, in characters.
_LOOKED_AT = 1 << 22


@dataclass(frozen=True)
class Candidate:
    """One way in which a program may have made its vocabulary.

    Attributes:
        vocabulary: What it gives.
        text: The text as the program read it.
        how: The way, as the end of "its ...".
    """

    vocabulary: Vocabulary
    text: str
    how: str


def vocabulary_of(model: RecurrentModel, corpus: str | PathLike[str]) -> tuple[Vocabulary, str]:
    """The vocabulary with which `model` predicts the text in the file `corpus` best, and what is to be said of it.

    Raises:
        MissingFile: There is no such file.
        ReadError: It is not text.
        CallError: The model is no model of symbols that can be stepped.
        VocabularyError: No way gives as many symbols as the model has, or the model does not tell which is right.
    """
    width = symbol_count(model)
    data = _read(Path(corpus))
    ways = list(_ways(data, width))
    if not ways:
        raise VocabularyError(
            f"{corpus}: no way to make symbols of it gives the {width} of the model: {_counts(data)}. Is it the whole "
            "text that the model was trained on?"
        )
    subject = f"{corpus}: of {len(ways)} ways to make {width} symbols of it"
    best, *rivals = _ranked(model, ways)
    if best.excess > -_BEATS:
        raise VocabularyError(
            f"{subject}, the best leaves the model at {best.bits:.2f} bits per symbol, where their frequencies alone "
            f"give {best.bits - best.excess:.2f}: it does not know this text, or its vocabulary was made in another way"
        )
    unsure = set[str]()
    for rival in rivals:
        unsure |= _undecided(model, best, rival, subject)
    note = f"vocabulary from {subject}, the model predicts it best by {best.way.how}: {_score_clause(best)}"
    note += f"; next, {rivals[0].way.how}: {_score_clause(rivals[0])}" if rivals else ""
    doubt = f"; it does not tell the places of {', '.join(map(repr, sorted(unsure)))}, which are rare" if unsure else ""
    return best.way.vocabulary, note + doubt


def _score_clause(measured: CandidateScore) -> str:
    where = "below" if measured.excess < 0 else "above"
    return f"{measured.bits:.2f} bits per symbol, {abs(measured.excess):.2f} {where} their frequencies"


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ReadError(f"{path}: has {path.stat().st_size} bytes; a corpus of at most {_MOST_BYTES} is read.")
        data = path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: the corpus cannot be read ({error.strerror}).") from error
    if not data or b"\0" in data:
        what = "is an empty file" if not data else "is no text, it has bytes of 0"
        raise ReadError(f"{path}: {what}; expected the text that the model was trained on.")
    return data


# The ways in which programs make vocabularies


def _ways(data: bytes, width: int) -> Iterator[Candidate]:
    """Every way that gives `width` symbols, each vocabulary once for a text."""
    for text, kind, read in _texts(data):
        found: dict[tuple[str, ...], str] = {}
        for symbols, how in _tables(text, kind, width):
            found.setdefault(symbols, how)
        yield from (Candidate(Vocabulary(symbols, kind), text, how + read) for symbols, how in found.items())


def _texts(data: bytes) -> Iterator[tuple[str, Kind, str]]:
    """The text as programs read it: in characters, in words, in bytes; how, where that is not plainly."""
    plain = _decoded(data).replace("\r\n", "\n")
    variants = {_decoded(data): "", plain: "" if b"\r\n" not in data else ", with line ends of one character"}
    variants.setdefault(plain.lower(), ", in lower case")
    variants.setdefault(plain.replace("\n", " "), ", with spaces for line ends")
    variants.setdefault(plain.lower().replace("\n", " "), ", in lower case, with spaces for line ends")
    yield from ((text, "characters", how) for text, how in variants.items())
    yield from ((text, "words", how) for text, how in ((plain, ""), (plain.lower(), ", in lower case")))
    yield plain.replace("\n", " <eos> "), "words", ", with <eos> for line ends"
    if not data.isascii():
        yield data.decode("latin-1"), "bytes", ""


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fitting = likely(data, error.start)
        return data.decode(fitting[0] if fitting else "latin-1", "replace")


def _tables(text: str, kind: Kind, width: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Tables of `width` symbols of a text, and how each was made."""
    counts = Counter(text.split() if kind == "words" else text)
    extra = width - len(counts)
    if counts.total() < 2:
        return  # the first symbol is only read
    if kind == "bytes" and width == 256:
        yield tuple(map(chr, range(256))), "the 256 values of bytes"
    elif 0 <= extra <= _MOST_EXTRA:
        for how, symbols in _orders(counts).items():
            for before in range(extra + 1):
                yield _extended(symbols, before, extra - before), f"its {kind} {how}{_placed(before, extra - before)}"
    elif kind == "words" and extra < 0 and width > 2:
        yield from _most_frequent(counts, width)


def _orders(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """The symbols in each order in which programs put them; `counts` has them as they first appear."""
    return {
        "sorted": sorted(counts),
        "as they first appear": list(counts),
        "by frequency": sorted(counts, key=lambda s: -counts[s]),
        "by frequency, equally frequent ones sorted": sorted(counts, key=lambda s: (-counts[s], s)),
        "by frequency, equally frequent ones sorted downwards": sorted(counts, key=lambda s: (counts[s], s))[::-1],
    }


def _extended(symbols: Sequence[str], before: int, after: int) -> tuple[str, ...]:
    """The symbols, with names for those that the program put before and behind them."""
    first, last = range(before), range(before + len(symbols), before + len(symbols) + after)
    return (*(f"<id {i}>" for i in first), *symbols, *(f"<id {i}>" for i in last))


def _placed(before: int, after: int) -> str:
    parts = [f"{count} more {where}" for count, where in ((before, "before"), (after, "behind")) if count]
    return f", with {' and '.join(parts)}" if parts else ""


def _most_frequent(counts: Mapping[str, int], width: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """The most frequent words; one symbol stands for all others, unless the text has that itself."""
    for how, ordered in _orders(counts).items():
        if how.startswith("by frequency"):
            kept = [word for word in ordered if word != UNKNOWN][: width - 1]
            words = f"its {width - 1} most frequent words {how.replace('by frequency', 'by their frequency')}"
            yield (UNKNOWN, *kept), f"{words}, after {UNKNOWN}"
            yield (*kept, UNKNOWN), f"{words}, before {UNKNOWN}"
            yield tuple(sorted((*kept, UNKNOWN))), f"its {width - 1} most frequent words and {UNKNOWN}, sorted"


def _counts(data: bytes) -> str:
    text = _decoded(data)
    return (
        f"it has {len(set(text))} characters, {len(set(text.lower()))} in lower case, {len(set(text.split()))} words "
        f"and {len(set(data))} values of bytes"
    )


# What the model says of them


@dataclass(frozen=True)
class CandidateScore:
    """How well the model predicts the text in one way.

    Attributes:
        way: The way.
        bits: Per symbol.
        excess: How many more than the frequencies of the symbols in the same pieces need; below zero if it predicts.
        symbols: How many were predicted.
    """

    way: Candidate
    bits: float
    excess: float
    symbols: int


def _ranked(model: RecurrentModel, ways: Sequence[Candidate]) -> list[CandidateScore]:
    """The ways by how well the model predicts the text in them, the best first; of many, the best few."""
    sorted_out = sorted((_measured(model, way, 1, _FIRST_PIECE) for way in ways), key=lambda m: m.excess)[:_LEFT]
    measured = sorted((_measured(model, m.way, _PIECES, _PIECE) for m in sorted_out), key=lambda m: m.excess)
    best = measured[0]
    for rival in measured[1:]:
        if _bits_behind(rival, best) < _BITS and _bits_between(model, rival.way, best.way) > 0:
            best = rival
    return [best, *(m for m in measured if m is not best)]


def _undecided(model: RecurrentModel, best: CandidateScore, rival: CandidateScore, subject: str) -> set[str]:
    """The symbols, if any, whose places the model does not tell between two ways.

    Raises:
        VocabularyError: They are no small part of the text.
    """
    if _bits_behind(rival, best) >= _BITS or _bits_between(model, best.way, rival.way) >= _BITS:
        return set()
    differing, counts = _differing(best.way, rival.way), Counter(_cut(best.way))
    if best.way.text != rival.way.text or sum(counts[s] for s in differing) > _RARE * counts.total():
        raise VocabularyError(
            f"{subject}, two are equally good for the model: {best.way.how}, and {rival.way.how}. Give the vocabulary "
            "itself (vocabulary=, --vocabulary FILE)"
        )
    return differing


def _bits_behind(rival: CandidateScore, best: CandidateScore) -> float:
    """How many bits more a way needs than another, in all the pieces."""
    return (rival.excess - best.excess) * min(rival.symbols, best.symbols)


def _bits_between(model: RecurrentModel, one: Candidate, other: Candidate) -> float:
    """How many bits fewer the model needs in one way than in another, where it reads a symbol that differs."""
    if one.text != other.text or one.vocabulary.kind != other.vocabulary.kind:
        return 0.0
    windows = list(islice(_windows(_cut(one), _differing(one, other)), _WINDOWS))
    return _total(model, other, windows)[0] - _total(model, one, windows)[0] if windows else 0.0


def _differing(one: Candidate, other: Candidate) -> set[str]:
    """The symbols of the text that have another id in another way."""
    ids = other.vocabulary.ids
    return {symbol for symbol, i in one.vocabulary.ids.items() if ids.get(symbol) not in (None, i)}


def _windows(symbols: Sequence[str], wanted: set[str]) -> Iterator[Sequence[str]]:
    """Pieces around the first places of each wanted symbol."""
    left = dict.fromkeys(wanted, _PLACES)
    for i, symbol in enumerate(symbols):
        if left.get(symbol):
            left[symbol] -= 1
            yield symbols[max(0, i - _BEFORE) : i + _AFTER]


def _measured(model: RecurrentModel, way: Candidate, pieces: int, size: int) -> CandidateScore:
    symbols = _cut(way)
    step = max(1, len(symbols) // (pieces + 1))
    texts = [symbols[i * step : i * step + size] for i in range(1, pieces + 1)]
    texts = [piece for piece in texts if len(piece) > 1] or [symbols[:size]]
    bits, predicted = _total(model, way, texts)
    counts = Counter(
        i for piece in texts for i in way.vocabulary.encode(_as_text(piece, way.vocabulary.kind))[1:].tolist()
    )
    entropy = -sum(n * math.log2(n / predicted) for n in counts.values()) / predicted
    return CandidateScore(way, bits / predicted, bits / predicted - entropy, predicted)


def _cut(way: Candidate) -> Sequence[str]:
    """The symbols of the beginning of the text."""
    text = way.text[:_LOOKED_AT]
    return text.split() if way.vocabulary.kind == "words" else text


def _total(model: RecurrentModel, way: Candidate, pieces: Iterable[Sequence[str]]) -> tuple[float, int]:
    """How many bits the model needs for pieces of text in one way, and how many symbols it predicts."""
    reading = model.with_vocabulary(way.vocabulary)
    scores = [reading.score(_as_text(piece, way.vocabulary.kind)) for piece in pieces if len(piece) > 1]
    return sum(s.bits_per_symbol * s.symbols for s in scores), sum(s.symbols for s in scores)


def _as_text(symbols: Sequence[str], kind: Kind) -> str:
    """Text that a vocabulary cuts into these symbols."""
    if kind == "bytes":
        return "".join(symbols).encode("latin-1").decode("utf-8", "surrogateescape")
    return (" " if kind == "words" else "").join(symbols)
