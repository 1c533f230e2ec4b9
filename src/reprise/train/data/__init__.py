"""Data for training: corpora of symbols or numbers, and batches of parallel streams over them."""

from reprise.train.data.corpus import Corpus, load_corpus, read_corpus
from reprise.train.data.numeric import Normalisation, NumericCorpus, read_numeric
from reprise.train.data.streams import Streams

__all__ = ["Corpus", "Normalisation", "NumericCorpus", "Streams", "load_corpus", "read_corpus", "read_numeric"]
