"""Data to train on: series of token ids or numbers, whatever they were read from, and their two parts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from reprise.errors import CallError
from reprise.tensors import Array
from reprise.train.data.normalisation import Normalisation
from reprise.train.data.streams import Streams
from reprise.train.data.validation import Validation, validation
from reprise.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Corpus:
    """Independent series of token ids or of numbers, split in two.

    Attributes:
        series: Each [M] ids, of the smallest unsigned type and mapped from a file; or [M, D] numbers, float32.
        val_frac: The share of all steps, at the end, that is for validation only.
        fingerprint: SHA-256 of all that a model sees of it: two corpora with the same one are the same to a model.
        vocabulary: What the ids mean; None where they are numbers.
        normalisation: From the units of the source to the numbers, and back; None where they are ids.
    """

    series: tuple[Array, ...]
    val_frac: float
    fingerprint: str
    vocabulary: Vocabulary | None = None
    normalisation: Normalisation | None = None

    @property
    def steps(self) -> int:
        """Ids, or rows of numbers, in all series."""
        return sum(map(len, self.series))

    @property
    def width(self) -> int:
        """Symbols of the vocabulary, V, or columns of numbers, D."""
        return self.series[0].shape[1] if self.vocabulary is None else len(self.vocabulary)

    @property
    def train(self) -> tuple[Array, ...]:
        """The series to train on."""
        return split(self.series, self.val_frac)[0]

    @property
    def validation(self) -> tuple[Array, ...]:
        """The series to validate on: the rest, which may be empty. The cut may go through a series."""
        return split(self.series, self.val_frac)[1]

    def streams(self, batch: int, seq_length: int) -> tuple[Streams, Validation | None]:
        """The streams of the training part and, if there is one, of the validation part.

        Raises:
            CallError: A part is too short; the message proposes numbers that fit.
        """
        parts, measured = self.train, self.validation
        before = self.series[len(parts) - 1] if parts and len(parts) + len(measured) > len(self.series) else None
        try:
            streams = Streams(parts, batch, seq_length)
        except CallError as error:
            raise CallError(_too_short(parts, batch, seq_length)) from error
        return streams, validation(before, measured, batch, seq_length)


def _too_short(parts: tuple[Array, ...], batch: int, seq_length: int) -> str:
    """What is too short for a chunk in every stream, and what would fit it: as many streams, or as long ones."""
    steps = max(map(len, parts), default=0)
    length = max(1, min(seq_length, (steps - 1) // 4))
    fitting = max(1, min(batch, (steps - 1) // (2 * length)))
    return (
        f"corpus: the training part has {sum(map(len, parts))} steps, and {batch} streams of {seq_length} steps need "
        f"{batch * seq_length + 1} or more. Use a longer corpus, or --batch-size {fitting} --seq-length {length}."
    )


def check_val_frac(val_frac: float) -> None:
    """Refuses a share that leaves nothing to train on.

    Raises:
        CallError: It is not from 0 to below 1.
    """
    if not 0 <= val_frac < 1:
        raise CallError(f"corpus: --val-frac {val_frac} must be 0 or more and below 1")


def split(series: tuple[Array, ...], val_frac: float) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Everything before and after the step where, over all series in order, the validation part begins."""
    ends = list(accumulate(map(len, series), initial=0))
    cut = ends[-1] - int(ends[-1] * val_frac)
    before = (values[: max(cut - start, 0)] for values, start in zip(series, ends, strict=False))
    after = (values[max(cut - start, 0) :] for values, start in zip(series, ends, strict=False))
    return tuple(part for part in before if len(part)), tuple(part for part in after if len(part))
