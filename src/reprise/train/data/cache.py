"""A text corpus beside its run: token ids and what they mean, used again while they are whole and what is asked for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from reprise.errors import DamagedFile, MissingFile, ReadError, VocabularyError
from reprise.tensors import Array
from reprise.train.data.corpus import Corpus, check_val_frac
from reprise.train.data.documents import Source
from reprise.train.data.tokens import id_type
from reprise.vocabulary import Vocabulary

TOKENS_FILE = "corpus.ids"
FACTS_FILE = "corpus.json"
VERSION = 1


def keep(tokens: Path, folder: Path, vocabulary: Vocabulary, key: str, fingerprint: str) -> Path:
    """Moves the file of ids to `folder`, with what `load_text` needs to know about it, and gives its new place."""
    facts = tokens.with_name(FACTS_FILE)
    stored = {"version": VERSION, "key": key, "fingerprint": fingerprint, "vocabulary": vocabulary.to_json()}
    facts.write_text(json.dumps(stored), encoding="utf-8")
    kept = tokens.replace(folder / TOKENS_FILE)
    facts.replace(folder / FACTS_FILE)
    return kept


def load_text(folder: Source, val_frac: float = 0.05, key: str | None = None) -> Corpus:
    """The corpus that `read_text` left in a folder, without its sources.

    Args:
        folder: The `cache_dir` of `read_text`.
        val_frac: As for `read_text`.
        key: The digest of the sources and settings that it must be made from; any will do if None.

    Raises:
        MissingFile: There is none.
        DamagedFile: It is not as it was written.
        ReadError: It has another key.
    """
    check_val_frac(val_frac)
    facts, tokens = Path(folder, FACTS_FILE), Path(folder, TOKENS_FILE)
    try:
        stored = json.loads(facts.read_text(encoding="utf-8"))
        vocabulary = Vocabulary.from_json(stored["vocabulary"])
        if stored["version"] != VERSION or key not in (None, stored["key"]):
            raise ReadError(f"{facts}: made from other sources, or with other settings")
        ids, expected = mapped(tokens, vocabulary), str(stored["fingerprint"])
    except FileNotFoundError as error:
        raise MissingFile(f"{error.filename}: no such file; read the corpus from its sources again") from error
    except (OSError, ValueError, KeyError, TypeError, VocabularyError) as error:
        raise DamagedFile(f"{facts}: not what was written ({error}); read the corpus from its sources again") from error
    digest = fingerprint(vocabulary)
    digest.update(ids.data)
    if digest.hexdigest() != expected:
        raise DamagedFile(
            f"{tokens}: SHA-256 of vocabulary and ids is {digest.hexdigest()}, expected {expected}; the file is "
            "damaged or was cut short. Read the corpus from its sources again."
        )
    return Corpus((ids,), val_frac, expected, vocabulary)


def mapped(tokens: Path, vocabulary: Vocabulary) -> Array:
    """The ids in a file, [M]."""
    return np.memmap(tokens, id_type(vocabulary), "r")


def fingerprint(vocabulary: Vocabulary) -> hashlib._Hash:
    """The digest of a corpus with this vocabulary, to be updated with its ids."""
    return hashlib.sha256(json.dumps(vocabulary.to_json()).encode())
