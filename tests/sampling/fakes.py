"""A recurrent model of symbols in a few lines of NumPy, in any layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reprise import sampling
from reprise.vocabulary import Vocabulary


@dataclass(frozen=True)
class FakePort:
    name: str
    role: str
    shape: tuple[int | None, ...]
    batch_axis: int | None = None
    time_axis: int | None = None
    dtype: str = "int32"


@dataclass(frozen=True)
class FakeInterface:
    inputs: tuple[FakePort, ...]
    outputs: tuple[FakePort, ...]
    steppable: bool = True
    why_not: str = ""


@dataclass
class FakeModel:
    """h' = tanh(A[symbol] + h R), logits = h' W; it speaks [N, T] inside and its ports' layouts outside."""

    vocabulary: Vocabulary | None
    interface: FakeInterface
    hidden: int = 5
    runs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = np.random.default_rng(7)
        width = self.width
        self.a, self.r, self.w = (
            random.normal(size=s) for s in [(width, self.hidden), (self.hidden, self.hidden), (self.hidden, width)]
        )

    @property
    def width(self) -> int:
        return self.interface.outputs[0].shape[-1] or len(self.vocabulary or ())

    def initial_state(self, batch: int = 1) -> np.ndarray[Any, Any]:
        return np.zeros((batch, self.hidden))

    def run(self, inputs: Mapping[str, Any], state: Any = None) -> tuple[dict[str, Any], Any]:
        port = self.interface.inputs[0]
        ids = self._ids(inputs[port.name], drop_time=False)
        self.runs.append(ids.shape[1])
        logits = []
        for column in ids.T:
            state = np.tanh(self.a[column] + state @ self.r)
            logits.append(state @ self.w)
        output = self.interface.outputs[0]
        whole = np.stack(logits, axis=1)
        if output.time_axis is None or output.batch_axis is None:
            whole = whole.reshape(-1, self.width)
        elif output.time_axis == 0:
            whole = whole.swapaxes(0, 1)
        return {output.name: self._scored(whole)}, state

    def step(self, inputs: Mapping[str, Any], state: Any = None) -> tuple[dict[str, Any], Any]:
        ids = self._ids(inputs[self.interface.inputs[0].name], drop_time=True)[:, 0]
        state = np.tanh(self.a[ids] + state @ self.r)
        return {self.interface.outputs[0].name: self._scored(state @ self.w)}, state

    def stream(self, length: int, **options: Any) -> Any:
        return sampling.generate(self, length, **options)

    def score(self, text: str) -> sampling.Score:
        return sampling.score(self, text)

    def _scored(self, logits: Any) -> Any:
        if self.interface.outputs[0].role != "probabilities":
            return logits
        return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    def _ids(self, array: Any, *, drop_time: bool) -> Any:
        port = self.interface.inputs[0]
        dropped = drop_time and port.time_axis is not None
        expected = [size for axis, size in enumerate(port.shape) if not (dropped and axis == port.time_axis)]
        assert len(expected) == array.ndim
        assert all(e in (None, s) for e, s in zip(expected, array.shape, strict=True))
        assert str(array.dtype) == port.dtype
        ids = array.argmax(-1) if port.role == "one-hot" else array
        if port.time_axis is None or drop_time:
            return ids.reshape(-1, 1)
        return ids.reshape(1, -1) if port.batch_axis is None else ids.T if port.time_axis == 0 else ids


LETTERS = Vocabulary(tuple("\n abcdefg"))
V = len(LETTERS)

LAYOUTS = {
    "batch-major tokens": (FakePort("x", "tokens", (None, None), 0, 1), FakePort("y", "logits", (None, None, V), 0, 1)),
    "time-major tokens": (
        FakePort("x", "tokens", (None, None), 1, 0, "int64"),
        FakePort("y", "logits", (None, None, V), 1, 0),
    ),
    "batch-major one-hot, flat output": (
        FakePort("x", "one-hot", (None, None, V), 0, 1, "float32"),
        FakePort("y", "logits", (None, V)),
    ),
    "time-major one-hot, probabilities": (
        FakePort("x", "one-hot", (None, None, V), 1, 0, "float32"),
        FakePort("y", "probabilities", (None, None, V), 1, 0),
    ),
    "one step, tokens": (FakePort("x", "tokens", (None,), 0), FakePort("y", "logits", (None, V), 0)),
    "one step, one-hot": (
        FakePort("x", "one-hot", (None, V), 0, None, "float64"),
        FakePort("y", "logits", (None, V), 0),
    ),
    "fixed batch and time": (FakePort("x", "tokens", (3, 4), 0, 1), FakePort("y", "logits", (12, V))),
    "fixed batch, free time": (FakePort("x", "tokens", (3, None), 0, 1), FakePort("y", "logits", (3, None, V), 0, 1)),
    "no batch": (FakePort("x", "tokens", (None,), None, 0), FakePort("y", "logits", (None, V), None, 0)),
    "one scalar": (FakePort("x", "tokens", ()), FakePort("y", "logits", (V,))),
}


def model(layout: str = "batch-major tokens", vocabulary: Vocabulary | None = LETTERS) -> FakeModel:
    source, target = LAYOUTS[layout]
    return FakeModel(vocabulary, FakeInterface((source,), (target,)))
