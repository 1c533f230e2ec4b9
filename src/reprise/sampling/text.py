"""Text out of a model, and bits per symbol of a text."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.errors import CallError
from reprise.sampling.drawing import Ids, drawer, log_softmax, uniforms
from reprise.sampling.symbols import SteppableModel, SymbolReader, symbol_reader
from reprise.tensors import Array
from reprise.vocabulary import Vocabulary

#: Symbols that begin a text where no prompt does: the first that the vocabulary has, else the symbol with id 0.
STARTS = ("\n", " ")


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model predicts a text.

    Attributes:
        bits_per_symbol: The mean of −log₂ p over the predicted symbols.
        symbols: How many were predicted: all but the first, which is only read.
    """

    bits_per_symbol: float
    symbols: int

    @property
    def perplexity(self) -> float:
        """Two to the power of `bits_per_symbol`: among how many equally likely symbols the model seems to choose."""
        return 2.0**self.bits_per_symbol if self.bits_per_symbol < 1024 else math.inf

    def _repr_html_(self) -> str:
        facts = (f"{self.bits_per_symbol:.4f}", f"{self.perplexity:.4f}", f"{self.symbols:,}")
        cells = "".join(f"<td>{fact}</td>" for fact in facts)
        return f"<table><tr><th>bits per symbol</th><th>perplexity</th><th>symbols</th></tr><tr>{cells}</tr></table>"


def generate(
    model: SteppableModel[Any],
    length: int,
    *,
    prompt: str = "",
    state: Any = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int | None = None,
    samples: int = 1,
    keep: Callable[[Any], None] | None = None,
) -> Iterator[tuple[str, ...]]:
    """Draws `length` symbols for each sample; every step gives one piece of text for each sample.

    Joined, the pieces of a sample are its text, without the prompt. All samples begin with the same prompt and go on
    by themselves. Without a prompt the model reads a newline first, or a space where its vocabulary has no newline,
    or else the symbol with id 0.

    Args:
        model: A model of symbols that can be stepped.
        length: How many symbols to draw for each sample.
        prompt: What the model reads first; needed with `state`.
        state: Where to start from instead of the initial state; it has as many rows as samples.
        temperature: See `draw`.
        top_k: See `draw`.
        top_p: See `draw`.
        greedy: See `draw`.
        seed: See `uniforms`.
        samples: How many texts to draw at once.
        keep: Receives the state at the end, when the model has read the prompt and all that was drawn.

    Raises:
        CallError: An argument is out of range, or the model is no model of symbols; raised before the first step.
        VocabularyError: The prompt has unknown symbols, or the vocabulary is not the model's; likewise.
    """
    if length < 0:
        raise CallError(f"length: expected at least 0, found {length}")
    choose = drawer(temperature, top_k, top_p, greedy=greedy)
    way = symbol_reader(model, samples)
    numbers = uniforms(seed, way.batch)
    writers = _writers(way.vocabulary, samples, between="" if not prompt else " ")
    first = _first(way.vocabulary, prompt, state)
    return _generated(way, first, state, length, lambda logits: choose(logits, next(numbers)), writers, keep)


def _first(vocabulary: Vocabulary, prompt: str, state: Any) -> Array:
    """The ids that are read before the first draw; at least one."""
    ids = vocabulary.encode(prompt) - vocabulary.first
    if len(ids):
        return ids
    if state is not None:
        raise CallError(
            "prompt: a state goes on after what it has read, so give what comes next; found an empty prompt"
        )
    places = (vocabulary.ids[s] - vocabulary.first for s in STARTS if s in vocabulary.ids)
    return np.array([next(places, 0)], np.int32)


def _generated(
    way: SymbolReader,
    first: Array,
    state: Any,
    length: int,
    choose: Callable[[Array], Ids],
    writers: Sequence[Callable[[str], str]],
    keep: Callable[[Any], None] | None,
) -> Iterator[tuple[str, ...]]:
    state = way.model.initial_state(way.batch) if state is None else state
    symbols = way.vocabulary.symbols
    logits, state = way.after(first, state)
    for left in reversed(range(length)):
        ids = choose(logits)
        yield tuple([write(symbols[i]) for write, i in zip(writers, ids.tolist(), strict=False)])
        if left or keep:
            logits, state = way.step(ids, state)
    if keep:
        keep(state)


def _writers(vocabulary: Vocabulary, samples: int, between: str) -> list[Callable[[str], str]]:
    """For each sample a function from its next symbol to the text that this adds."""
    match vocabulary.kind:
        case "bytes":
            return [_byte_writer() for _ in range(samples)]
        case "words":
            return [_word_writer(between) for _ in range(samples)]
        case _:
            return [str] * samples


def _byte_writer() -> Callable[[str], str]:
    """A character appears with its last byte; one that is never finished does not appear."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda symbol: decoder.decode(symbol.encode("latin-1"))


def _word_writer(between: str) -> Callable[[str], str]:
    before = iter([between])
    return lambda symbol: next(before, " ") + symbol


def score(model: SteppableModel[Any], text: str) -> Score:
    """How well `model` predicts `text`, in memory that does not grow with the text.

    Every symbol but the first is predicted from all before it: the state is carried through.

    Raises:
        CallError: The text has fewer than two symbols, the model is no model of symbols, or it gives NaN.
        VocabularyError: The text has unknown symbols, or the vocabulary is not the model's.
    """
    way = symbol_reader(model, 1)
    ids = way.vocabulary.encode(text) - way.vocabulary.first
    predicted = len(ids) - 1
    if predicted < 1:
        raise CallError(f"text: expected at least 2 symbols, of which the first is only read, found {len(ids)}")
    bits, state = 0.0, model.initial_state(way.batch)
    for start, stop in _chunks(predicted, len(way.vocabulary)):
        logits, state = way.along(ids[start:stop], state)
        chosen = np.take_along_axis(log_softmax(logits), ids[start + 1 : stop + 1, None], axis=1)
        bits -= float(chosen.sum()) / math.log(2)
        if math.isnan(bits):
            raise CallError(
                f"logits: NaN among those for symbols {start + 1} to {stop}, so the text has no score; the weights or "
                "the state hold such numbers, or grew beyond the range of their type"
            )
    return Score(bits / predicted, predicted)


def _chunks(steps: int, width: int) -> Iterator[tuple[int, int]]:
    most = min(1024, max(1, 2**20 // width))  # at most 8 MiB of float64 logits at a time
    for start in range(0, steps, most):
        yield start, min(start + most, steps)
