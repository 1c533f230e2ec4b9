"""Vocabularies beside a model, as the char-rnn family saves them: text, JSON, CSV and pickles, read as data only."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import reprlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from reprise.errors import CallError, DamagedFile, MissingFile, ReadError, UnknownFormat, VocabularyError
from reprise.files import read_whole
from reprise.formats._base import Format, StoredModel
from reprise.vocabulary import Vocabulary
from reprise.wire import pickle
from reprise.wire.varint import Cut

_MOST_BYTES = 2**26
#: A file that is only looked at because it lies there must be small: with a name that says vocabulary, or without.
_MOST_FOUND_BYTES = {True: 2**23, False: 2**18}
_MOST_SYMBOLS = 2**22
_MOST_NESTING = 4
#: How many lists and tables of one file are looked at: one may hold another many times.
_MOST_PARTS = 4096
#: A file of lines is taken for a vocabulary only where its name says so; it could be a corpus.
_NAMED = re.compile(r"vocab|char|symbol|token|alphabet|dictionary|word|itos|stoi|2id|2idx", re.IGNORECASE)
#: Symbols that stand for no text, by what programs call them; among characters they are not words.
_SPECIAL = re.compile(r"<[^<>]*>|\[[A-Za-z_]+\]|\{[A-Za-z_]+\}|_+[A-Za-z]+_*|PAD|UNK|OOV|EOS|BOS|SOS|GO|EOF|END|START|")
#: How many other symbols of several letters there may be among characters, at most, of how many.
_FEW_AMONG = 16
_NUMBERED = re.compile(r"\S+[ \t]+\d{1,9}")
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\\": "\\", r"\s": " "}


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A vocabulary, where it was found, and what else is to be said."""

    vocabulary: Vocabulary | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def model(
        self, path: Path, form: Format, notes: Iterable[str] = (), files: tuple[Path, ...] = (), **fields: Any
    ) -> StoredModel:
        """The model at `path` with this vocabulary; `fields` are the others of `StoredModel`."""
        return StoredModel(
            path=path,
            format=form.name,
            evidence=form.sniff(path) or "it is named so",
            graph=fields.pop("graph", None),
            vocabulary=self.vocabulary,
            vocabulary_source=self.source,
            files=files or (path,),
            notes=(*notes, *self.notes),
            **fields,
        )


def find(folder: Path) -> Sidecar:
    """The vocabulary in a folder, if all the files there that hold one agree."""
    found: dict[str, Vocabulary] = {}
    misses: list[str] = []
    for file in _candidates(folder):
        try:
            found[file.name] = read_vocabulary(file)
        except (ReadError, VocabularyError) as error:
            misses.append(f"no vocabulary is read from {error}")  # not every file beside a model is one
    if len(set(found.values())) == 1:
        name, vocabulary = next(iter(found.items()))
        return Sidecar(vocabulary, str(folder / name))
    if not found:
        return Sidecar(notes=tuple(misses))
    listed = ", ".join(f"{name} ({len(vocabulary)} symbols)" for name, vocabulary in found.items())
    return Sidecar(notes=(f"several vocabularies are here and differ: {listed}; none is used, choose one",))


def _candidates(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if _suffix(file) in _READERS)
        return [file for file in files if file.is_file() and _may_be(file)]
    except OSError:
        return []


def _may_be(file: Path) -> bool:
    named = bool(_NAMED.search(file.name.partition(".")[0]))
    return (named or _suffix(file) in (".pkl", ".pickle")) and file.stat().st_size <= _MOST_FOUND_BYTES[named]


def read_vocabulary(path: str | PathLike[str]) -> Vocabulary:
    """The vocabulary in a text, JSON, CSV or pickle file, which is read as data: nothing in it is run.

    Text has one symbol a line, or all characters in one. JSON and pickles hold a list of symbols, symbols with their
    ids, or something that contains these. CSV holds symbols and ids. Each may be packed by gzip.

    Raises:
        MissingFile: The file cannot be read.
        DamagedFile: It is not what its name says.
        UnknownFormat: It holds no vocabulary, or several that differ.
    """
    file = Path(path)
    try:
        data = read_whole(file, _MOST_BYTES)
    except OSError as error:
        raise MissingFile(f"{file}: the vocabulary cannot be read ({error.strerror}).") from error
    try:
        reader, data = _reader(file, data)
        found = set(_within(reader(data)))
    except _Corpus as error:
        raise UnknownFormat(
            f"{file}: is text, and no list of symbols. If the model was trained on it, give it as corpus= (--corpus)."
        ) from error
    except (ValueError, RecursionError, Cut, csv.Error, VocabularyError, EOFError, zlib.error) as error:
        raise DamagedFile(f"{file}: the vocabulary cannot be read ({error}).") from error
    if len(found) != 1:
        what = "holds no table of symbols and ids" if not found else f"holds {len(found)} vocabularies that differ"
        raise UnknownFormat(f'{file}: {what}. Give a file of one symbol a line, or JSON such as {{"a": 0, "b": 1}}.')
    return found.pop()


def given_vocabulary(given: object) -> Vocabulary | None:
    """What a caller names as a vocabulary: one, the path of a file, or its symbols in the order of their ids.

    Raises:
        CallError: It is none of these.
        ReadError: The file holds no vocabulary.
        VocabularyError: A symbol occurs twice.
    """
    if given is None or isinstance(given, Vocabulary):
        return given
    if isinstance(given, (str, PathLike)):
        return read_vocabulary(given)
    if isinstance(given, Sequence) and not isinstance(given, (bytes, bytearray)):
        symbols = list(given)
        if symbols and all(isinstance(symbol, str) for symbol in symbols):
            return _vocabulary(symbols)
    raise CallError(
        "vocabulary: expected a Vocabulary, the path of a file, or a sequence of symbols, each a str; "
        f"found {reprlib.repr(given)}"
    )


def within(content: Any) -> Vocabulary | None:
    """The one vocabulary in plain data, such as what a checkpoint holds beside its weights; None without one."""
    try:
        found = set(_within(content))
    except (ValueError, VocabularyError):
        return None
    return found.pop() if len(found) == 1 else None


class _Corpus(ValueError):
    """Text that is no list of symbols."""


def _reader(file: Path, data: bytes) -> tuple[Callable[[bytes], Any], bytes]:
    """How the content of a file becomes plain data; its content, unpacked.

    Raises:
        UnknownFormat: Neither its suffix nor its content tells.
        ValueError: It is larger than a vocabulary can be.
    """
    if file.suffix.lower() == ".gz":
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            data = packed.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"unpacked, it has more than {_MOST_BYTES} bytes")
    known = _READERS.get(_suffix(file))
    if known is None and b"\0" not in data and not data.startswith(b"\x80"):
        known = json.loads if data.lstrip()[:1] in (b"{", b"[") else _text
    if known is None:
        listed = ", ".join(_READERS)
        raise UnknownFormat(f"{file}: a vocabulary is read from {listed}; found {_suffix(file) or 'no suffix'}.")
    return known, data


def _suffix(file: Path) -> str:
    """The suffix of a file, or of what is packed in it."""
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def _text(data: bytes) -> list[str] | dict[Any, Any]:
    """One symbol a line, perhaps with a number; or characters that are all different, in one line.

    A line feed as a symbol makes two empty lines, or is written with a backslash.

    Raises:
        _Corpus: It is text.
    """
    text = data.decode("utf-8-sig")
    if text.count("\r\n") == text.count("\n"):
        text = text.replace("\r\n", "\n")
    lines = re.sub(r"(^|\n)\n\n", r"\1\\n\n", text).removesuffix("\n").split("\n")
    if _are_characters([_ESCAPES.get(line, line) for line in lines]):
        return [_ESCAPES.get(line, line) for line in lines]
    written = [line for line in lines if line.strip()]
    if len(written) == 1 and len(set(text.removesuffix("\n"))) == len(text.removesuffix("\n")):
        return list(text.removesuffix("\n"))
    if all(_NUMBERED.fullmatch(line) for line in written):
        numbered = {symbol: int(number) for symbol, number in (line.rsplit(maxsplit=1) for line in written)}
        return numbered if _by_id(numbered) else list(numbered)
    if 2 * sum(len(line.split()) > 1 for line in written) > len(written):
        raise _Corpus
    return lines


def _are_characters(symbols: Sequence[str]) -> bool:
    """Whether symbols are characters: all but those that stand for no text, and a few among many."""
    several = sum(len(symbol) != 1 and not _SPECIAL.fullmatch(symbol) for symbol in symbols)
    return _FEW_AMONG * several <= len(symbols) - several if several else True


def _table(data: bytes) -> dict[Any, Any]:
    """Rows of a symbol and its id, or an id and its symbol, perhaps below a heading."""
    text = data.decode("utf-8-sig")
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if any(len(row) != 2 for row in rows):
        raise ValueError("expected two columns, a symbol and its id")
    if rows and not any(cell.strip().isdecimal() for cell in rows[0]):
        del rows[0]
    for key, value in ((0, 1), (1, 0)):
        table = {row[key]: int(row[value]) for row in rows if row[value].strip().isdecimal() and len(row[value]) < 10}
        if len(table) == len(rows) and _by_id(table):
            return table
    return {}


def _within(content: Any) -> Iterator[Vocabulary]:
    """The vocabularies in plain data; what contains one and its inverse gives the same one twice."""
    pending, seen = [(content, _MOST_NESTING)], set[int]()
    while pending and len(seen) < _MOST_PARTS:
        part, depth = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        tokenizer, symbols = _tokenizer(part), _symbols(part)
        if tokenizer is not None:
            yield tokenizer
        elif symbols is not None:
            yield _vocabulary(symbols)
        elif depth and isinstance(part, dict) and isinstance(part.get("symbols"), list):
            yield Vocabulary.from_json(part)
        elif depth:
            pending += [(one, depth - 1) for one in _parts(part)]


def _tokenizer(content: Any) -> Vocabulary | None:
    """The words of Keras' Tokenizer: ids from 1, of which a model is given those below `num_words` only.

    Its other tables, such as how often each word occurs, are none of symbols and ids. As JSON it holds them as texts.
    """
    held = content.get("config") if isinstance(content, dict) and content.get("class_name") == "Tokenizer" else content
    if not isinstance(held, dict) or not {"word_index", "num_words"} <= held.keys():
        return None
    table = held["word_index"]
    table = json.loads(table) if isinstance(table, str) else table
    symbols = _symbols(table) if table and isinstance(table, dict) else None
    if symbols is None:
        raise ValueError("the word_index of its Tokenizer is no table of words and ids")
    most = held["num_words"]
    words = symbols[:most] if isinstance(most, int) and most > 0 else symbols
    return Vocabulary(tuple(words), "characters" if held.get("char_level") else "words")


def _parts(content: Any) -> Sequence[Any]:
    parts: Sequence[Any] = ()
    if isinstance(content, dict):
        parts = list(content.values())
    elif isinstance(content, (list, tuple)):
        parts = content
    elif isinstance(content, pickle.Record):
        parts = (content.state,)
    return [part for part in parts[:64] if isinstance(part, (dict, list, tuple, pickle.Record))]


def _symbols(content: Any) -> list[Any] | None:
    """The symbols in the order of their ids, if `content` is a list or a table of them."""
    if isinstance(content, (list, tuple)):
        return list(content) if len(content) > 1 and all(isinstance(s, (str, bytes)) for s in content) else None
    if not isinstance(content, dict) or len(content) < 2:
        return None
    if all(_is_id(value) for value in content.values()):
        return _by_id(content)
    if all(isinstance(value, (str, bytes)) for value in content.values()) and all(_is_id(key) for key in content):
        return _by_id({value: int(key) for key, value in content.items()})
    return None


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return value.isdecimal() and len(value) < 10
    return isinstance(value, int) and not isinstance(value, bool)


def _by_id(table: dict[Any, Any]) -> list[Any] | None:
    """The symbols by id; ids from 1 leave 0 to padding, which is no text."""
    places = {int(number): symbol for symbol, number in table.items() if isinstance(symbol, (str, bytes))}
    first = min(places, default=-1)
    if first not in (0, 1) or len(places) != len(table) or max(places) != first + len(table) - 1:
        return None
    return [""] * first + [places[i] for i in range(first, first + len(table))]


def _vocabulary(symbols: list[Any]) -> Vocabulary:
    if len(symbols) > _MOST_SYMBOLS:
        raise ValueError(f"{len(symbols)} symbols, at most {_MOST_SYMBOLS} are expected")
    single = all(len(symbol) == 1 for symbol in symbols)
    if single and any(isinstance(symbol, bytes) for symbol in symbols):
        return Vocabulary(tuple(s.decode("latin-1") if isinstance(s, bytes) else s for s in symbols), "bytes")
    texts = tuple(s.decode() if isinstance(s, bytes) else s for s in symbols)
    return Vocabulary(texts, "characters" if _are_characters(texts) else "words")


#: How a file becomes plain data, by its suffix.
_READERS: Mapping[str, Callable[[bytes], Any]] = {
    ".json": json.loads,
    ".txt": _text,
    ".csv": _table,
    ".tsv": _table,
    ".pkl": pickle.load,
    ".pickle": pickle.load,
}
