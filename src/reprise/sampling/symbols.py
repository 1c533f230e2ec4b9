"""How symbols go into a recurrent model, and scores of symbols come out of it.

It asks of a model what `SteppableModel` says and nothing else, so it serves any engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from reprise.errors import CallError, VocabularyError
from reprise.tensors import DTYPES, Array, Shape
from reprise.vocabulary import Vocabulary

S = TypeVar("S")

#: So many symbols may be those that a program adds to what its vocabulary file lists.
_FEW = 4


class PortLike(Protocol):
    """An input or output of a model."""

    @property
    def name(self) -> str:
        """Unique among the ports."""

    @property
    def role(self) -> str:
        """What it holds, such as `tokens` or `logits`."""

    @property
    def dtype(self) -> str:
        """A key of `DTYPES`."""

    @property
    def shape(self) -> Shape:
        """Its sizes; None is free."""

    @property
    def batch_axis(self) -> int | None:
        """Which axis counts the rows, or None."""

    @property
    def time_axis(self) -> int | None:
        """Which axis counts the steps, or None."""


class StateLike(Protocol):
    """What is carried from step to step."""

    @property
    def name(self) -> str:
        """Unique among the states."""

    @property
    def batch_axis(self) -> int | None:
        """Which axis counts the rows, or None."""


class InterfaceLike(Protocol):
    """The ports of a model."""

    @property
    def inputs(self) -> Sequence[PortLike]:
        """What it reads."""

    @property
    def outputs(self) -> Sequence[PortLike]:
        """What it gives."""

    @property
    def states(self) -> Sequence[StateLike]:
        """What it carries."""

    @property
    def steppable(self) -> bool:
        """Whether it can go one step at a time."""

    @property
    def why_not(self) -> str:
        """Why it cannot be stepped, empty where it can."""


class SteppableModel(Protocol[S]):
    """A recurrent model: state in, state out."""

    @property
    def interface(self) -> InterfaceLike:
        """Its ports."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Its symbols."""

    def initial_state(self, batch: int = 1) -> S:
        """The state before the first symbol."""

    def run(self, inputs: Any, state: S | None = None) -> tuple[Mapping[str, Array], S]:
        """A whole sequence."""

    def step(self, inputs: Any, state: S | None = None) -> tuple[Mapping[str, Array], S]:
        """One step: inputs without their time axis."""


@dataclass(frozen=True)
class SymbolReader:
    """Feeds symbols to a model, whatever its layout is, and gives logits; symbols are their places, from 0.

    Attributes:
        model: Can be stepped.
        vocabulary: As long as the output is wide.
        input: The port of role tokens or one-hot. Lengths, where there are others, the model knows by itself.
        output: The port of role logits, or else probabilities.
        batch: Rows fed at once: as many as asked for, or more where the file fixed their number.
    """

    model: SteppableModel[Any]
    vocabulary: Vocabulary
    input: PortLike
    output: PortLike
    batch: int

    @property
    def takes_sequences(self) -> bool:
        """Whether `run` takes any number of steps at once."""
        return self.input.time_axis is not None and self.input.shape[self.input.time_axis] is None

    def run(self, ids: Array, state: Any) -> tuple[Array, Any]:
        """The ids [T], the same in every row → logits in the model's layout, and the state."""
        rows = np.broadcast_to(ids, (self.batch, len(ids)))
        outputs, state = self.model.run({self.input.name: self._fed(rows, _or(self.input.time_axis, 0))}, state)
        return self._logits(outputs), state

    def step(self, ids: Array, state: Any) -> tuple[Array, Any]:
        """The ids [N] → logits [N, V], and the state."""
        data = ids[:, None] == self._symbols if self.input.role == "one-hot" else ids + self.vocabulary.first
        fed = data.astype(DTYPES[self.input.dtype]).reshape(self._step_shape)
        outputs, state = self.model.step({self.input.name: fed}, state)
        return self._logits(outputs).reshape(self.batch, len(self._symbols)), state

    def step_all(self, symbol: int, state: Any) -> tuple[Array, Any]:
        """The same symbol in every row → logits [N, V], and the state."""
        return self.step(np.full(self.batch, symbol), state)

    def after(self, ids: Array, state: Any) -> tuple[Array, Any]:
        """The ids [T], the same in every row → logits [N, V] after the last of them, and the state."""
        before = ids[:-1]
        if len(before) and self.takes_sequences:
            _, state = self.run(before, state)
            before = before[:0]
        for symbol in before:
            _, state = self.step_all(symbol, state)
        return self.step_all(ids[-1], state)

    def along(self, ids: Array, state: Any) -> tuple[Array, Any]:
        """The ids [T] → logits [T, V] after each of them, and the state."""
        time, batch = self.output.time_axis, self.output.batch_axis
        if self.takes_sequences and (self.batch == 1 or (time is not None and batch is not None)):
            logits, state = self.run(ids, state)
            row = logits if self.batch == 1 else np.take(logits, 0, axis=batch)
            return row.reshape(len(ids), len(self.vocabulary)), state
        steps = []
        for symbol in ids:
            logits, state = self.step_all(symbol, state)
            steps.append(logits[0])
        return np.stack(steps), state

    def _logits(self, outputs: Mapping[str, Array]) -> Array:
        scores: Array = np.asarray(outputs[self.output.name], np.float64)
        if scores.shape[-1:] != self._symbols.shape:
            _check_width(self.vocabulary, self.output, scores.shape[-1] if scores.ndim else 1)
        if self.output.role != "probabilities":
            return scores
        with np.errstate(divide="ignore"):  # probability 0 is logit −inf
            return np.asarray(np.log(scores))

    @cached_property
    def _symbols(self) -> Array:
        return np.arange(len(self.vocabulary))

    @cached_property
    def _step_shape(self) -> list[int]:
        return self._shape(None, 1)

    def _fed(self, ids: Array, time_axis: int) -> Array:
        """The ids [N, T] in the layout of the input."""
        port = self.input
        data = ids if _or(port.batch_axis, -1) < time_axis else ids.T
        data = data[..., None] == self._symbols if port.role == "one-hot" else data + self.vocabulary.first
        return data.astype(DTYPES[port.dtype]).reshape(self._shape(time_axis, ids.shape[1]))

    def _shape(self, time_axis: int | None, steps: int) -> list[int]:
        """The shape of the input for so many steps, or for one without the time axis."""
        port = self.input
        sizes = {port.batch_axis: self.batch, time_axis: steps}
        kept = [axis for axis in range(len(port.shape)) if time_axis is not None or axis != port.time_axis]
        shape = [sizes.get(axis, 1) for axis in kept]
        if port.role == "one-hot":
            shape[-1] = len(self._symbols)
        return shape


def _or(axis: int | None, default: int) -> int:
    return default if axis is None else axis


def symbol_reader(model: SteppableModel[Any], rows: int) -> SymbolReader:
    """The way into `model` for this many rows.

    Raises:
        CallError: It is not a model of symbols that can be stepped, or it cannot take so many rows.
        VocabularyError: It has no vocabulary, or one of another length.
    """
    _check_steps(model)
    source, output = _input(model.interface), _output(model.interface)
    if model.vocabulary is None:
        raise VocabularyError(
            "vocabulary: the files have none; give the one that the model was trained with "
            "(vocabulary=, --vocabulary FILE), or the text that it was trained on (corpus=, --corpus FILE)"
        )
    for port in [source, output] if source.role == "one-hot" else [output]:
        if port.shape:
            _check_width(model.vocabulary, port, port.shape[-1])
    return SymbolReader(model, model.vocabulary, source, output, _batch(source, rows))


def symbol_count(model: SteppableModel[Any]) -> int:
    """How many symbols a model has.

    Raises:
        CallError: It is not a model of symbols that can be stepped, or the file leaves their number free.
    """
    _check_steps(model)
    source, output = _input(model.interface), _output(model.interface)
    sizes = [p.shape[-1] for p in ([source, output] if source.role == "one-hot" else [output]) if p.shape]
    known = [size for size in sizes if size is not None]
    if not known:
        raise CallError(f"outputs: {output.name!r} has as many symbols as the file leaves free; give the vocabulary")
    return known[0]


def is_of_symbols(interface: InterfaceLike) -> bool:
    """Whether it reads ids of symbols and gives scores of symbols, so that a vocabulary says what they are."""
    try:
        return _input(interface) is not None and _output(interface) is not None
    except CallError:
        return False


def _check_steps(model: SteppableModel[Any]) -> None:
    if not model.interface.steppable:
        raise CallError(
            f"model: it cannot be stepped ({model.interface.why_not}), so it neither samples nor scores text; "
            "run() takes whole sequences"
        )


def _output(interface: InterfaceLike) -> PortLike:
    for role in ("logits", "probabilities"):
        match [p for p in interface.outputs if p.role == role]:
            case [port]:
                return port
            case [_, *_] as rivals:
                raise CallError(
                    f"outputs: {len(rivals)} have the role {role} ({', '.join(p.name for p in rivals)}); "
                    "say which when restoring (outputs=, --output)"
                )
    raise CallError(
        f"outputs: expected one with the role logits or probabilities, found {names_and_roles(interface.outputs)}; "
        "it is not a model of symbols, use step() or run()"
    )


def _input(interface: InterfaceLike) -> PortLike:
    match [p for p in interface.inputs if p.role != "lengths"]:
        case [port] if port.role in ("tokens", "one-hot"):
            return port
    raise CallError(
        f"inputs: expected one with the role tokens or one-hot, found {names_and_roles(interface.inputs)}; "
        "use step() or run()"
    )


def names_and_roles(ports: Sequence[PortLike]) -> str:
    """Names and roles, for messages."""
    return ", ".join(f"{p.name} ({p.role})" for p in ports) or "none"


def _batch(port: PortLike, rows: int) -> int:
    """The rows to feed: `rows`, or the number that the file fixed where that is larger."""
    if rows < 1:
        raise CallError(f"samples: expected at least 1, found {rows}")
    fixed = 1 if port.batch_axis is None else port.shape[port.batch_axis]
    if fixed is not None and rows > fixed:
        raise CallError(f"samples: input {port.name!r} takes {fixed} at once in this file, found {rows}")
    return fixed or rows


def _check_width(vocabulary: Vocabulary, port: PortLike, width: int | None) -> None:
    if width is not None and width != len(vocabulary):
        raise VocabularyError(
            f"vocabulary: it has {len(vocabulary)} symbols, but {port.name!r} of the model has {width}; "
            f"{_padding_advice(len(vocabulary), width)}give the one that the model was trained with (vocabulary=, "
            "--vocabulary FILE), or the text that it was trained on (corpus=, --corpus FILE)"
        )


def _padding_advice(symbols: int, width: int) -> str:
    """What to do about a few ids more than there are symbols."""
    extra = width - symbols
    if not 0 < extra <= _FEW:
        return ""
    first, last = "id 0", f"id {symbols}"
    if extra > 1:
        first, last = f"ids 0 to {extra - 1}", f"ids {symbols} to {width - 1}"
    return (
        f"if the program that trained it added {extra} for padding, a start or what is unknown, name them where they "
        f"stand: in front ({first}) by --symbols-before '<pad>', behind ({last}) by --symbols-after '<unk>' "
        "(symbols_before=, symbols_after=); or "
    )
