"""Random inputs and states for models that are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reprise.errors import VerificationError
from reprise.interface import Interface, Port
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary


class Draw:
    """Random inputs and states that a model may be given."""

    def __init__(
        self, face: Interface, vocabulary: Vocabulary | None, rows: int, length: int, random: np.random.Generator
    ) -> None:
        self._face = face
        self._symbols = _symbols(face, vocabulary)
        self._first = 0 if vocabulary is None else vocabulary.first
        self._texts = () if vocabulary is None else vocabulary.symbols
        self._rows = rows
        self._length = length
        self._random = random
        self._constant = {p.name: self._input(p) for p in face.inputs if self._is_constant(p)}
        self.settings = {s.name: _neutral(s.dtype) for s in face.settings if s.value is None}

    def _is_constant(self, port: Port) -> bool:
        """An input without time beside others that have it is the same at every step."""
        return port.time_axis is None and any(p.time_axis is not None for p in self._face.inputs)

    def inputs(self) -> dict[str, Array]:
        """Those of one call; what is the same at every step is drawn once."""
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
            return self._random.integers(self._first, self._first + self._symbols, shape).astype(dtype)
        if dtype.kind == "b":
            return self._random.integers(0, 2, shape).astype(dtype)
        if dtype.kind == "O":
            return self._text(port, shape)
        return self._normal(shape, port.dtype)

    def _text(self, port: Port, shape: Sequence[int]) -> Array:
        """Symbols, where they are known."""
        if not self._texts:
            raise VerificationError(f"input {port.name!r} is text; the models cannot be compared on drawn inputs")
        return np.array(self._texts, object)[self._random.integers(0, len(self._texts), tuple(shape))]

    def _normal(self, shape: Sequence[int], dtype: str, scale: float = 1.0) -> Array:
        return np.asarray(scale * self._random.standard_normal(tuple(shape))).astype(DTYPES[dtype])


def _symbols(face: Interface, vocabulary: Vocabulary | None) -> int:
    """How many ids a model certainly knows: those that it predicts and that have a symbol; two where nothing tells."""
    widths = [p.shape[-1] for p in face.outputs if p.role in ("logits", "probabilities") and p.shape]
    predicted = [n for n in widths if n is not None and n > 1]
    return min([*predicted, *([len(vocabulary)] if vocabulary else [])], default=2)


def _neutral(dtype: str) -> float | int | bool:
    return False if dtype == "bool" else 1
