"""Text corpora: token ids on disk, made once in a few passes over the sources, whatever their size."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reprise.errors import CallError, DamagedFile, MissingFile, ReadError, SaveError, VocabularyError
from reprise.tensors import Array
from reprise.train.data.documents import Document, Source, blocks, decoded, find_documents, text_encoding
from reprise.train.data.streams import Streams, training_and_validation
from reprise.train.data.tokens import (
    BYTES,
    check_holds,
    encoder,
    end_of_text_ids,
    id_type,
    most_frequent,
    symbol_counts,
)
from reprise.vocabulary import UNKNOWN, Kind, Vocabulary

TOKENS_FILE = "corpus.ids"
FACTS_FILE = "corpus.json"
CACHE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Corpus:
    """The token ids of a text, split in two.

    Attributes:
        ids: All ids in order, [M], of the smallest unsigned type, mapped from a file.
        vocabulary: What the ids mean.
        val_frac: The share of the ids, at the end, that is for validation only.
        fingerprint: SHA-256 of vocabulary and ids: two corpora with the same one are the same to a model.
    """

    ids: Array
    vocabulary: Vocabulary
    val_frac: float
    fingerprint: str

    @property
    def train(self) -> Array:
        """The ids to train on."""
        return self.ids[: self._split]

    @property
    def validation(self) -> Array:
        """The ids to validate on: the rest, which may be empty."""
        return self.ids[self._split :]

    @property
    def _split(self) -> int:
        return len(self.ids) - int(len(self.ids) * self.val_frac)

    def streams(self, batch: int, seq_length: int) -> tuple[Streams, Streams | None]:
        """The streams of the training part and, if there is one, of the validation part.

        Raises:
            CallError: A part is too short for one chunk; the message names the options that change it.
        """
        return training_and_validation(self.train, self.validation, batch, seq_length)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How sources become ids: everything besides their bytes that the ids depend on."""

    level: Kind
    encoding: str
    vocabulary: Vocabulary | None
    extend: bool
    vocabulary_size: int | None
    end_of_text: str | None

    def key(self, digests: Iterable[bytes]) -> str:
        """A digest of this and of the digests of the documents."""
        return hashlib.sha256(self.to_json().encode() + b"".join(digests)).hexdigest()

    def to_json(self) -> str:
        known = self.vocabulary.to_json() if self.vocabulary is not None else None
        facts = (self.level, self.encoding, known, self.extend, self.vocabulary_size, self.end_of_text)
        return json.dumps([CACHE_VERSION, *facts])


def read_corpus(
    sources: Source | Iterable[Source],
    *,
    level: Kind = "characters",
    encoding: str = "utf-8",
    vocabulary: Vocabulary | None = None,
    extend: bool = False,
    vocabulary_size: int | None = None,
    end_of_text: str | None = None,
    val_frac: float = 0.05,
    cache_dir: Source | None = None,
) -> Corpus:
    """The corpus of one or more files, folders or `-` for standard input.

    The sources are read in blocks and never held in memory. The ids lie in `cache_dir` and are used again as long as
    neither the bytes of the sources nor the arguments changed; without `cache_dir` they lie in a temporary file.

    Args:
        sources: Each file is one document; a folder stands for its files in the order of their paths, hidden ones and
            those of `cache_dir` left out.
        level: What a symbol is: a character, a byte, or a word between white space.
        encoding: How characters are written. Without meaning at the level of bytes.
        vocabulary: The symbols to use. By default all that occur, sorted by code point.
        extend: Whether symbols that occur are added after those of `vocabulary`.
        vocabulary_size: Words only: know so many symbols, those of `vocabulary` and then the most frequent ones;
            `<unk>` stands for the rest.
        end_of_text: A symbol to put after every document.
        val_frac: The share at the end that is for validation, from 0 to below 1.
        cache_dir: A folder, made if need be.

    Raises:
        CallError: The arguments contradict each other, or the sources hold no symbol.
        MissingFile: A source does not exist.
        ReadError: A source is not text in `encoding` (the message has the byte), or it changed while it was read.
        SaveError: The ids could not be written.
        VocabularyError: The sources hold symbols that a given vocabulary lacks; the message lists them.
    """
    reading = _checked(_Reading(level, encoding, vocabulary, extend, vocabulary_size, end_of_text))
    _check_val_frac(val_frac)
    try:
        return _cached_or_built(sources, reading, val_frac, Path(cache_dir) if cache_dir is not None else None)
    except OSError as error:
        raise SaveError(f"corpus: its ids could not be written ({error}); free space or name another folder") from error


def load_corpus(cache_dir: Source, val_frac: float = 0.05) -> Corpus:
    """The corpus that `read_corpus` left in `cache_dir`, without its sources.

    Raises:
        MissingFile: There is none.
        DamagedFile: It is not as it was written.
    """
    _check_val_frac(val_frac)
    return _load(Path(cache_dir), val_frac, None)


def _checked(asked: _Reading) -> _Reading:
    """What was asked for in its normal form, if it agrees with itself."""
    level, vocabulary, size, marker = asked.level, asked.vocabulary, asked.vocabulary_size, asked.end_of_text
    if vocabulary is not None and vocabulary.kind != level:
        raise CallError(f"corpus: level {level!r} was asked for, but the given vocabulary is one of {vocabulary.kind}")
    if size is not None and (level != "words" or (vocabulary is not None and not asked.extend)):
        raise CallError("corpus: a vocabulary size can be given only with --level words and without a vocabulary")
    if size is not None and size < 3:
        raise CallError(f"corpus: a vocabulary of {size} symbols leaves no room for words; give 3 or more")
    if marker == "" or (level == "words" and marker is not None and marker.split() != [marker]):
        raise CallError(f"corpus: end of text {marker!r} must be a symbol: not empty and, with --level words, one word")
    if level != "bytes":
        return replace(asked, encoding=text_encoding(asked.encoding))
    if vocabulary not in (None, BYTES):
        raise VocabularyError("corpus: a vocabulary of bytes must have the 256 byte values in order, as latin-1 text")
    return replace(asked, encoding="latin-1", vocabulary=BYTES, extend=False)


def _check_val_frac(val_frac: float) -> None:
    if not 0 <= val_frac < 1:
        raise CallError(f"corpus: --val-frac {val_frac} must be 0 or more and below 1")


def _cached_or_built(
    sources: Source | Iterable[Source], reading: _Reading, val_frac: float, cache: Path | None
) -> Corpus:
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".corpus-", ignore_cleanup_errors=True) as scratch:
        documents = find_documents(sources, Path(scratch), without=cache)
        key = reading.key(map(_digest, documents))
        if cache is not None:
            with suppress(ReadError):
                return _load(cache, val_frac, key)
        return _build(documents, reading, key, val_frac, Path(scratch), cache)


def _digest(document: Document) -> bytes:
    digest = hashlib.sha256()
    for block in blocks(document):
        digest.update(block)
    return digest.digest()


def _build(
    documents: tuple[Document, ...], reading: _Reading, key: str, val_frac: float, scratch: Path, cache: Path | None
) -> Corpus:
    """The corpus of `documents`, written to `scratch` and, once it is whole, moved to `cache`."""
    vocabulary = _vocabulary(documents, reading)
    tokens, facts = scratch / TOKENS_FILE, scratch / FACTS_FILE
    fingerprint, digests = _fingerprint(vocabulary), list[bytes]()
    with tokens.open("xb") as file:
        for ids in _ids(documents, reading, vocabulary, digests):
            file.write(ids.data)
            fingerprint.update(ids.data)
    if reading.key(digests) != key:
        raise ReadError(f"corpus: {_named(documents)} changed while it was read; start again when it is complete")
    if not tokens.stat().st_size:
        raise CallError(f"corpus: {_named(documents)} holds no symbols")
    if cache is not None:
        stored = {"version": CACHE_VERSION, "key": key, "fingerprint": fingerprint.hexdigest()}
        facts.write_text(json.dumps({**stored, "vocabulary": vocabulary.to_json()}), encoding="utf-8")
        tokens = tokens.replace(cache / TOKENS_FILE)
        facts.replace(cache / FACTS_FILE)
    return Corpus(_mapped(tokens, vocabulary), vocabulary, val_frac, fingerprint.hexdigest())


def _ids(
    documents: tuple[Document, ...], reading: _Reading, vocabulary: Vocabulary, digests: list[bytes]
) -> Iterator[Array]:
    """The ids of all documents in blocks; appends to `digests` the `_digest` of the bytes they were made from."""
    encode, marker = encoder(vocabulary), end_of_text_ids(reading.end_of_text, vocabulary)
    for document in documents:
        digest = hashlib.sha256()
        yield from encode(decoded(_digested(blocks(document), digest), document.name, reading.encoding))
        yield marker
        digests.append(digest.digest())


def _digested(raw: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for block in raw:
        digest.update(block)
        yield block


def _vocabulary(documents: tuple[Document, ...], reading: _Reading) -> Vocabulary:
    """The vocabulary to use, known to have an id for every symbol of `documents`."""
    if reading.level == "bytes":
        return BYTES
    texts = (decoded(blocks(document), document.name, reading.encoding) for document in documents)
    counts = symbol_counts(texts, reading.level)
    extra = {reading.end_of_text} if reading.end_of_text is not None else set[str]()
    if reading.vocabulary is not None and not reading.extend:
        check_holds(reading.vocabulary, counts, extra)
        return reading.vocabulary
    return _extended(reading.vocabulary or Vocabulary((), reading.level), counts, extra, reading.vocabulary_size)


def _extended(known: Vocabulary, counts: Counter[str], extra: set[str], size: int | None) -> Vocabulary:
    """The known symbols, then those of `extra` and those that occur, sorted; of so many words the most frequent."""
    if size is None:
        return Vocabulary((*known.symbols, *sorted((extra | counts.keys()) - known.ids.keys())), known.kind)
    extra = (extra | {UNKNOWN}) - known.ids.keys()
    kept = most_frequent(counts, max(0, size - len(known) - len(extra)), without=extra | known.ids.keys())
    return Vocabulary((*known.symbols, *sorted({*kept, *extra})), known.kind)


def _load(cache: Path, val_frac: float, key: str | None) -> Corpus:
    """The corpus in `cache`, if it is whole and, where a key is given, was made from what has that key."""
    facts, tokens = cache / FACTS_FILE, cache / TOKENS_FILE
    try:
        stored = json.loads(facts.read_text(encoding="utf-8"))
        vocabulary = Vocabulary.from_json(stored["vocabulary"])
        if stored["version"] != CACHE_VERSION or key not in (None, stored["key"]):
            raise ReadError(f"{facts}: made from other sources, or with other settings")
        ids, expected = _mapped(tokens, vocabulary), str(stored["fingerprint"])
    except FileNotFoundError as error:
        raise MissingFile(f"{error.filename}: no such file; read the corpus from its sources again") from error
    except (OSError, ValueError, KeyError, TypeError, VocabularyError) as error:
        raise DamagedFile(f"{facts}: not what was written ({error}); read the corpus from its sources again") from error
    fingerprint = _fingerprint(vocabulary)
    fingerprint.update(ids.data)
    if fingerprint.hexdigest() != expected:
        raise DamagedFile(
            f"{tokens}: SHA-256 of vocabulary and ids is {fingerprint.hexdigest()}, expected {expected}; the file is "
            "damaged or was cut short. Read the corpus from its sources again."
        )
    return Corpus(ids, vocabulary, val_frac, expected)


def _mapped(tokens: Path, vocabulary: Vocabulary) -> Array:
    return np.memmap(tokens, id_type(vocabulary), "r")


def _fingerprint(vocabulary: Vocabulary) -> hashlib._Hash:
    return hashlib.sha256(json.dumps(vocabulary.to_json()).encode())


def _named(documents: tuple[Document, ...]) -> str:
    names = [document.name for document in documents]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
