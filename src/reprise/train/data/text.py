"""Text as token ids on disk, made in a few passes over the sources, whatever their size."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from reprise.errors import CallError, ReadError, SaveError, VocabularyError
from reprise.tensors import Array
from reprise.train.data import cache
from reprise.train.data.corpus import Corpus, check_val_frac
from reprise.train.data.documents import Document, Source, blocks, decoded, find_documents, text_encoding
from reprise.train.data.tokens import BYTES, check_holds, encoder, end_of_text_ids, most_frequent, symbol_counts
from reprise.vocabulary import UNKNOWN, Kind, Vocabulary


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
        return json.dumps([cache.VERSION, *facts])


def read_text(
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
    check_val_frac(val_frac)
    try:
        return _cached_or_built(sources, reading, val_frac, Path(cache_dir) if cache_dir is not None else None)
    except OSError as error:
        raise SaveError(f"corpus: its ids could not be written ({error}); free space or name another folder") from error


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


def _cached_or_built(
    sources: Source | Iterable[Source], reading: _Reading, val_frac: float, folder: Path | None
) -> Corpus:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".corpus-", ignore_cleanup_errors=True) as scratch:
        documents = find_documents(sources, Path(scratch), without=folder)
        key = reading.key(map(_digest, documents))
        if folder is not None:
            with suppress(ReadError):
                return cache.load_text(folder, val_frac, key)
        return _build(documents, reading, key, val_frac, Path(scratch), folder)


def _digest(document: Document) -> bytes:
    digest = hashlib.sha256()
    for block in blocks(document):
        digest.update(block)
    return digest.digest()


def _build(
    documents: tuple[Document, ...], reading: _Reading, key: str, val_frac: float, scratch: Path, folder: Path | None
) -> Corpus:
    """The corpus of `documents`, written to `scratch` and, once it is whole, moved to `folder`."""
    vocabulary = _vocabulary(documents, reading)
    tokens, digests = scratch / cache.TOKENS_FILE, list[bytes]()
    digest = cache.fingerprint(vocabulary)
    with tokens.open("xb") as file:
        for ids in _ids(documents, reading, vocabulary, digests):
            file.write(ids.data)
            digest.update(ids.data)
    if reading.key(digests) != key:
        raise ReadError(f"corpus: {_named(documents)} changed while it was read; start again when it is complete")
    if not tokens.stat().st_size:
        raise CallError(f"corpus: {_named(documents)} holds no symbols")
    if folder is not None:
        tokens = cache.keep(tokens, folder, vocabulary, key, digest.hexdigest())
    return Corpus((cache.mapped(tokens, vocabulary),), val_frac, digest.hexdigest(), vocabulary)


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


def _named(documents: tuple[Document, ...]) -> str:
    names = [document.name for document in documents]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
