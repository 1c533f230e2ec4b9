"""Weights in fewer bits: what they change in the numbers of a model, measured, and how much of it is too much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from reprise.errors import CallError, VerificationError
from reprise.sampling.drawing import drawer, log_softmax, uniforms
from reprise.sampling.symbols import is_of_symbols, symbol_count, symbol_reader
from reprise.state import State
from reprise.tensors import Array
from reprise.verify.drawing import Draw
from reprise.verify.models import SelfComparedModel, baked
from reprise.verify.report import difference
from reprise.vocabulary import Vocabulary

FULL = "float32"
#: The bits of a weight.
BITS = {FULL: 32, "int8": 8, "int4": 4}
#: Over so many carried steps the drift is measured.
STEPS = 256
#: The largest drift that is not refused: bits per symbol, or, where a model gives no symbols, |a − b| / (1 + |a|).
LARGEST = 0.05


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a model with weights of fewer bits is from its float32, over carried steps of one row.

    A model of symbols reads what it draws in float32. Of other models all but the first two are None.

    Attributes:
        steps: How many.
        largest: The largest change of a logit, or |a − b| / (1 + |a|) of a model that gives no symbols.
        bits_per_symbol: By how many bits the symbols are predicted worse, or better; always above zero.
        same: The share of the steps in which the most probable symbol is the same.
        first: The first step in which it is another; None where there is none.
    """

    steps: int
    largest: float
    bits_per_symbol: float | None = None
    same: float | None = None
    first: int | None = None

    @property
    def amount(self) -> float:
        """What is compared with the largest drift that is allowed."""
        return self.largest if self.bits_per_symbol is None else self.bits_per_symbol

    def to_json(self) -> dict[str, float | int | None]:
        """The same as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        if self.bits_per_symbol is None or self.same is None:
            return f"over {self.steps} carried steps its numbers change by at most {self.largest:.3g} of 1 + their size"
        other = "another in none" if self.first is None else f"another first in step {self.first}"
        return (
            f"over {self.steps} carried steps a logit changes by at most {self.largest:.3g}, bits per symbol by "
            f"{self.bits_per_symbol:.3g}; the most probable symbol is the same in {self.same:.1%} of them ({other})"
        )


class MeasurableModel(SelfComparedModel, Protocol):
    """What is asked of a model whose drift is measured; a `RecurrentModel` is one."""

    def with_vocabulary(self, vocabulary: Vocabulary) -> MeasurableModel:
        """The same model, whose ids stand for other symbols."""

    def step(
        self, inputs: Any, state: State | None = None, settings: Mapping[str, float | int | bool] | None = None
    ) -> tuple[dict[str, Array], State]:
        """One step: inputs without their time axis."""


def bits_of(precision: str) -> int:
    """How many bits a weight has.

    Raises:
        CallError: There is no such precision.
    """
    if precision not in BITS:
        raise CallError(f"precision: expected one of {', '.join(BITS)}, found {precision!r}")
    return BITS[precision]


def check_drift(drift: Drift, precision: str, largest: float) -> None:
    """Refuses a drift beyond the largest that is allowed.

    Raises:
        VerificationError: It is beyond it, or not a number.
    """
    if not drift.amount <= largest:
        unit = "|a − b| / (1 + |a|)" if drift.bits_per_symbol is None else "bits per symbol"
        raise VerificationError(
            f"precision {precision}: {drift}; at most {largest:g} ({unit}) is allowed. Use more bits, or accept it "
            "(largest_drift=, --largest-drift)"
        )


def measure_drift(full: MeasurableModel, fewer: MeasurableModel) -> Drift:
    """The drift of `fewer` from `full`, two models of one interface."""
    settled = all(s.value is not None for s in full.interface.settings)
    if full.interface.steppable and settled and is_of_symbols(full.interface):
        try:
            return _of_symbols(full, fewer)
        except (CallError, OverflowError):  # its symbols cannot be counted or drawn
            pass
    return Drift(STEPS, max(_errors(full, fewer)))


def _of_symbols(full: MeasurableModel, fewer: MeasurableModel) -> Drift:
    symbols = full.vocabulary or Vocabulary(tuple(map(chr, range(symbol_count(full)))))
    ways = [symbol_reader(m.with_vocabulary(symbols), 1) for m in (full, fewer)]
    states = [m.initial_state(ways[0].batch) for m in (full, fewer)]
    choose, numbers, ids = drawer(), uniforms(0, ways[0].batch), np.zeros(ways[0].batch, np.int32)
    rows: list[list[Array]] = []
    chosen: list[int] = []
    for _ in range(STEPS):
        found = [way.step(ids, state) for way, state in zip(ways, states, strict=True)]
        states = [state for _, state in found]
        ids = choose(found[0][0], next(numbers))
        rows.append([logits[0] for logits, _ in found])
        chosen.append(int(ids[0]))
    return _compared(np.asarray(rows), np.asarray(chosen))


def _compared(logits: Array, chosen: Array) -> Drift:
    """The drift of the logits [T, 2, V] of both, of which the first drew what was `chosen` [T]."""
    best = logits.argmax(axis=2)
    other = np.flatnonzero(best[:, 0] != best[:, 1])
    logs = np.take_along_axis(log_softmax(logits), chosen[:, None, None], axis=2)[..., 0]
    with np.errstate(invalid="ignore"):  # −inf in both is no change
        change = np.abs(logits[:, 0] - logits[:, 1])
    largest = float(np.where(logits[:, 0] == logits[:, 1], 0, change).max())
    bits = abs(float((logs[:, 0] - logs[:, 1]).mean())) / math.log(2)
    return Drift(len(logits), largest, bits, 1 - len(other) / len(logits), int(other[0]) + 1 if len(other) else None)


def _errors(full: MeasurableModel, fewer: MeasurableModel) -> Iterator[float]:
    """The largest error of each call, in steps, or in one call where the model cannot be stepped."""
    face = full.interface
    length = baked(face, "time_axis") or (1 if face.steppable else STEPS)
    rows = baked(face, "batch_axis") or 1
    draw = Draw(face, full.vocabulary, rows, length, np.random.default_rng(0))
    states = [m.initial_state(rows) for m in (full, fewer)]
    for _ in range(-(-STEPS // length)):
        feeds = draw.inputs()
        found = [m.run(feeds, s, draw.settings) for m, s in zip((full, fewer), states, strict=True)]
        states = [state for _, state in found]
        yield max(difference("", 0, name, array, found[1][0][name]).error for name, array in found[0][0].items())
