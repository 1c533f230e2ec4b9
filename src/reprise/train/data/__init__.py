"""Data for training: corpora of symbols or numbers, and batches of parallel streams over them."""

from reprise.train.data.corpus import Corpus, load_corpus, read_corpus
from reprise.train.data.streams import Streams

__all__ = ["Corpus", "Streams", "load_corpus", "read_corpus"]
