"""Data for training: corpora of symbols or numbers, and batches of parallel streams over them."""

from reprise.train.data.cache import load_text
from reprise.train.data.corpus import Corpus
from reprise.train.data.normalisation import Normalisation
from reprise.train.data.numeric import read_numeric
from reprise.train.data.streams import Streams
from reprise.train.data.text import read_text
from reprise.train.data.validation import Validation

__all__ = ["Corpus", "Normalisation", "Streams", "Validation", "load_text", "read_numeric", "read_text"]
