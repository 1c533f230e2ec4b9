"""Text to token ids, block by block: the symbols that occur, and the arrays that stand for them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np

from reprise.errors import CallError, VocabularyError
from reprise.tensors import Array
from reprise.vocabulary import Kind, Vocabulary

#: The byte values as latin-1 text, which is how a vocabulary of kind `bytes` is written.
BYTES = Vocabulary(tuple(map(chr, range(256))), "bytes")

#: A word this long means that the text is not separated by spaces; reading on would hold all of it in memory.
LONGEST_WORD = 1 << 20


def characters(texts: Iterable[str]) -> set[str]:
    """The characters that occur."""
    seen = np.zeros(sys.maxunicode + 1, np.bool_)
    for text in texts:
        seen[_codes(text)] = True
    return {chr(code) for code in np.flatnonzero(seen)}


def words(texts: Iterable[str]) -> Iterator[list[str]]:
    """What `str.split` gives for the joined `texts`, in pieces.

    Raises:
        CallError: There is a word of more than a million characters.
    """
    rest = ""
    for text in texts:
        found = (rest + text).split()
        rest = found.pop() if found and not text[-1].isspace() else ""
        if len(rest) > LONGEST_WORD:
            raise CallError(f"corpus: over {LONGEST_WORD} characters without a space; use --level characters or bytes")
        yield found
    yield [rest] if rest else []


def symbol_counts(documents: Iterable[Iterable[str]], level: Kind) -> Counter[str]:
    """The symbols that occur in the texts of the documents; how often is counted for words only."""
    if level == "characters":
        return Counter(characters(chain.from_iterable(documents)))
    counts: Counter[str] = Counter()
    for texts in documents:
        for found in words(texts):
            counts.update(found)
    return counts


def most_frequent(counts: Counter[str], size: int, without: set[str]) -> list[str]:
    """The `size` most frequent words besides those of `without`; of equally frequent ones those that sort first."""
    return sorted(counts.keys() - without, key=lambda word: (-counts[word], word))[:size]


def check_holds(vocabulary: Vocabulary, symbols: Iterable[str], marker: set[str]) -> None:
    """Checks that a vocabulary has an id for all `symbols`, or an id for unknown ones, and for the end of text.

    Raises:
        VocabularyError: Symbols are missing; the message lists them.
    """
    if not marker <= vocabulary.ids.keys():
        raise VocabularyError(
            f"end of text {min(marker)!r} is not among the {len(vocabulary)} symbols of the vocabulary"
        )
    missing = sorted(set(symbols) - vocabulary.ids.keys())
    vocabulary.encode((" " if vocabulary.kind == "words" else "").join(missing))  # which raises, and lists them


def id_type(vocabulary: Vocabulary) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned little-endian integer type that holds every id."""
    size = len(vocabulary)
    return np.dtype("<u1" if size <= 1 << 8 else "<u2" if size <= 1 << 16 else "<u4")


def encoder(vocabulary: Vocabulary) -> Callable[[Iterable[str]], Iterator[Array]]:
    """A function from the texts of one document to the ids of their symbols, in blocks of `id_type`.

    Symbols outside the vocabulary become its `UNKNOWN` if it is one of words, and id 0 otherwise: check them before.
    """
    dtype = id_type(vocabulary)
    if vocabulary.kind == "words":
        ids, unknown = vocabulary.ids, vocabulary.stand_in or 0
        return lambda texts: (np.array([ids.get(word, unknown) for word in found], dtype) for found in words(texts))
    table = np.zeros(sys.maxunicode + 1, dtype)
    for symbol, i in vocabulary.ids.items():
        if len(symbol) == 1:  # an end-of-text marker may be longer; it never comes from a text
            table[ord(symbol)] = i
    return lambda texts: (table[_codes(text)] for text in texts)


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def end_of_text_ids(marker: str | None, vocabulary: Vocabulary) -> Array:
    """The ids of an end-of-text marker: one id, but one for each of its bytes in a vocabulary of bytes."""
    if marker is None:
        return np.array([], id_type(vocabulary))
    if vocabulary.kind == "bytes":
        return vocabulary.encode(marker).astype(id_type(vocabulary))
    return np.array([vocabulary.ids[marker]], id_type(vocabulary))
