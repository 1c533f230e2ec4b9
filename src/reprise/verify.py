"""Whether two models compute the same numbers, over many carried steps.

A first step from zeros shows little: state that is dropped, or c and h exchanged, shows only when the state that one
call gives goes into the next, or when a sequence starts from numbers that are not zero. So both are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reprise.errors import CallError, VerificationError
from reprise.interface import Interface, Port, StatePort
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary

#: Largest |a − b| / (1 + |a|) at which two float32 computations in another order of the same sums count as equal.
TOLERANCE = 1e-5

_Settings = Mapping[str, float | int | bool]


class Model(Protocol):
    """What is asked of a model that is compared; a `RecurrentModel` is one."""

    vocabulary: Vocabulary | None

    @property
    def interface(self) -> Interface:
        """What it takes and gives."""

    def initial_state(self, batch: int = 1) -> State:
        """The state that a sequence of `batch` rows starts from."""

    def run(
        self, inputs: Any, state: State | None = None, settings: _Settings | None = None
    ) -> tuple[dict[str, Array], State]:
        """The outputs of a whole sequence, and the state after it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two models part.

    Attributes:
        start: Where the sequence started: `zero`, `random`, or `whole` (one call of all steps from random state).
        step: The call, counted from 1.
        tensor: The output or state that differs most in it.
        error: The largest |a − b| / (1 + |a|); infinite where shapes, text or not-a-numbers differ.
        found: The two numbers at that place, in words.
    """

    start: str
    step: int
    tensor: str
    error: float
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a comparison found.

    Attributes:
        steps: How many calls were carried on.
        batch: How many rows each had.
        tolerance: The largest error that counts as equal.
        errors: Start → the largest error of each call.
        first: The first difference, None where the models are equal.
    """

    steps: int
    batch: int
    tolerance: float
    errors: Mapping[str, tuple[float, ...]]
    first: Difference | None

    @property
    def equal(self) -> bool:
        """Whether no error was above the tolerance."""
        return self.first is None

    @property
    def worst(self) -> float:
        """The largest error of all."""
        return max((e for errors in self.errors.values() for e in errors), default=0.0)

    def raise_if_different(self) -> None:
        """Nothing where the models are equal.

        Raises:
            VerificationError: They are not; the message names the first step and tensor that differ.
        """
        if self.first is not None:
            raise VerificationError(str(self))

    def __str__(self) -> str:
        over = f"{self.steps} carried steps of {self.batch} rows ({', '.join(self.errors)})"
        if self.first is None:
            return f"equal over {over}: largest error {self.worst:.3g}"
        at = self.first
        return (
            f"the models differ first at step {at.step} from {at.start} state, in {at.tensor!r}: {at.found}; "
            f"error {at.error:.3g} where {self.tolerance:.3g} is allowed (over {over}, largest {self.worst:.3g})"
        )


def compare(
    model_a: Model,
    model_b: Model,
    steps: int = 16,
    batch: int | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Runs both models on the same drawn inputs, state carried from call to call.

    Three times: one step at a time from the models' own first state, one step at a time from random state, and one
    whole sequence from random state. Where the file bakes in a length, a step is a call of that length.

    Args:
        model_a: The model that is believed.
        model_b: The model that is checked.
        steps: How many carried steps.
        batch: Rows; None for 2, or as many as the file bakes in.
        seed: Of the inputs and the random state.
        tolerance: The largest |a − b| / (1 + |a|) that counts as equal.

    Raises:
        CallError: There are no steps.
        VerificationError: The models take or give other things, so that their numbers cannot be compared.
    """
    if steps < 1:
        raise CallError(f"steps: expected at least 1, found {steps}")
    _check_same_interface(model_a.interface, model_b.interface)
    rows = batch or _baked(model_a.interface, "batch_axis") or 2
    errors: dict[str, tuple[float, ...]] = {}
    first: Difference | None = None
    for start in _starts(model_a.interface):
        calls = list(_calls(model_a, model_b, start, steps, rows, np.random.default_rng(seed)))
        errors[start] = tuple(d.error for d in calls)
        first = first or next((d for d in calls if not d.error <= tolerance), None)
    return Report(steps, rows, tolerance, errors, first)


def _starts(face: Interface) -> tuple[str, ...]:
    if not face.steppable:
        return ("whole",)
    timed = any(p.time_axis is not None for p in face.inputs)
    return ("zero", "random", "whole") if timed and _baked(face, "time_axis") is None else ("zero", "random")


def _calls(a: Model, b: Model, start: str, steps: int, rows: int, random: np.random.Generator) -> Iterator[Difference]:
    """The largest difference of each call."""
    face = a.interface
    baked = _baked(face, "time_axis")
    length = baked or (steps if start == "whole" else 1)
    draw = _Draw(face, a.vocabulary, rows, length, random)
    state_a, state_b = a.initial_state(rows), b.initial_state(rows)
    if start != "zero":
        values = draw.state(state_a)
        state_a, state_b = state_a.replace(values), state_b.replace(values)
    for step in range(1, 2 if start == "whole" else steps + 1):
        feeds = draw.inputs()
        outputs_a, after_a = a.run(feeds, state_a, draw.settings)
        outputs_b, after_b = b.run(feeds, state_b, draw.settings)
        pairs = {n: (outputs_a[n], outputs_b[n]) for n in outputs_a} | {n: (after_a[n], after_b[n]) for n in after_a}
        yield max((_difference(start, step, n, *pair) for n, pair in pairs.items()), key=lambda d: d.error)
        state_a, state_b = after_a, after_b


def _difference(start: str, step: int, tensor: str, a: Array, b: Array) -> Difference:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return Difference(start, step, tensor, np.inf, f"{a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}")
    if a.size == 0:
        return Difference(start, step, tensor, 0.0, "nothing")
    if a.dtype.kind in "biuOSU":
        error = np.where(a == b, 0.0, np.inf)
    else:
        error = _relative(a.astype(np.complex128 if a.dtype.kind == "c" else np.float64), b)
    place = np.unravel_index(int(error.argmax()), a.shape)
    where = f"at {[int(i) for i in place]} " if place else ""
    return Difference(start, step, tensor, float(error[place]), f"{where}{a[place]} and {b[place]}")


def _relative(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(a - b) / (1 + np.abs(a))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))


def _baked(face: Interface, axis: str) -> int | None:
    """The size of an axis that the file bakes in, None where it is free everywhere."""
    ports: tuple[Port | StatePort, ...] = face.inputs if axis == "time_axis" else (*face.inputs, *face.states)
    sizes = [p.shape[at] for p in ports if (at := getattr(p, axis)) is not None]
    return next((n for n in sizes if n is not None), None)


def _check_same_interface(a: Interface, b: Interface) -> None:
    for kind in ("inputs", "outputs", "states"):
        one = {p.name: (p.dtype, len(p.shape)) for p in getattr(a, kind)}
        other = {p.name: (p.dtype, len(p.shape)) for p in getattr(b, kind)}
        for name in [*one, *other]:
            if one.get(name) != other.get(name):
                raise VerificationError(
                    f"the models cannot be compared: {kind[:-1]} {name!r} is {_words(one.get(name))} in the first "
                    f"and {_words(other.get(name))} in the second"
                )


def _words(port: tuple[str, int] | None) -> str:
    return "absent" if port is None else f"{port[0]} of {port[1]} axes"


class _Draw:
    """Random inputs and states that a model may be given."""

    def __init__(
        self, face: Interface, vocabulary: Vocabulary | None, rows: int, length: int, random: np.random.Generator
    ) -> None:
        self._face = face
        self._symbols = _symbols(face, vocabulary)
        self._rows = rows
        self._length = length
        self._random = random
        self._constant = {p.name: self._input(p) for p in face.inputs if self._is_constant(p)}
        self.settings = {s.name: _neutral(s.dtype) for s in face.settings if s.value is None}

    def _is_constant(self, port: Port) -> bool:
        """An input without time beside others that have it is the same at every step."""
        return port.time_axis is None and any(p.time_axis is not None for p in self._face.inputs)

    def inputs(self) -> dict[str, Array]:
        drawn = {p.name: self._input(p) for p in self._face.inputs if p.name not in self._constant}
        return {**drawn, **self._constant}

    def state(self, like: State) -> dict[str, Array]:
        """Numbers of the size that gated units have."""
        settable = [p for p in self._face.states if DTYPES[p.dtype].kind not in "biuO"]
        return {p.name: self._normal(like[p.name].shape, p.dtype, 0.5) for p in settable}

    def _input(self, port: Port) -> Array:
        free = {port.batch_axis: self._rows, port.time_axis: self._length}
        shape = [n if n is not None else free.get(axis, self._rows) for axis, n in enumerate(port.shape)]
        dtype = DTYPES[port.dtype]
        if port.role == "lengths":
            return self._random.integers(1, self._length + 1, shape).astype(dtype)
        if port.role == "one-hot" and shape:
            return np.eye(shape[-1])[self._random.integers(0, shape[-1], shape[:-1])].astype(dtype)
        if dtype.kind in "iu":
            return self._random.integers(0, self._symbols, shape).astype(dtype)
        if dtype.kind == "b":
            return self._random.integers(0, 2, shape).astype(dtype)
        if dtype.kind == "O":
            raise VerificationError(f"input {port.name!r} is text; the models cannot be compared on drawn inputs")
        return self._normal(shape, port.dtype)

    def _normal(self, shape: Sequence[int], dtype: str, scale: float = 1.0) -> Array:
        return np.asarray(scale * self._random.standard_normal(tuple(shape))).astype(DTYPES[dtype])


def _symbols(face: Interface, vocabulary: Vocabulary | None) -> int:
    """How many ids a model certainly knows: those that it predicts and that have a symbol; two where nothing tells."""
    widths = [p.shape[-1] for p in face.outputs if p.role in ("logits", "probabilities") and p.shape]
    predicted = [n for n in widths if n is not None and n > 1]
    return min([*predicted, *([len(vocabulary)] if vocabulary else [])], default=2)


def _neutral(dtype: str) -> float | int | bool:
    return False if dtype == "bool" else 1
