"""One training step of the same model in Reprise, Keras and PyTorch, for `training.py`.

The model is an embedding V to H, L recurrent layers, and a projection to V; the loss is the mean cross entropy; Adam,
clipping by the global norm, float32. Every engine is used as its own documentation uses it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
VOCABULARY, LEARNING_RATE, GRAD_CLIP = 65, 2e-3, 5.0  # the vocabulary of the Shakespeare corpus of the char-rnn family


@dataclass(frozen=True, slots=True)
class Case:
    """A model and the chunks it is trained on: L layers of width H, chunks of N streams by T tokens."""

    cell: str
    layers: int
    hidden: int
    batch: int
    length: int

    def __str__(self) -> str:
        return f"{self.cell} {self.layers}×{self.hidden}, N {self.batch}, T {self.length}"

    def tokens(self, chunks: int) -> tuple[Any, Any]:
        """Inputs and targets, int32 [K, N, T]."""
        random = np.random.default_rng(0)
        shape = (chunks, self.batch, self.length)
        return (random.integers(0, VOCABULARY, shape, dtype=np.int32) for _ in range(2))


def serve(engine: str, case: Case, pipe: Connection) -> None:
    """Measures on request: receives a number of steps, sends the seconds that they took; ends on 0.

    The first message sent is (version, seconds from the first import to the end of the first step).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    start = time.perf_counter()
    version, train = ENGINES[engine](case)
    train(1)
    pipe.send((version, time.perf_counter() - start))
    while steps := pipe.recv():
        start = time.perf_counter()
        train(steps)
        pipe.send(time.perf_counter() - start)


def _reprise(case: Case) -> tuple[str, Callable[[int], None]]:
    import tensorflow as tf

    from reprise.train.learner import Learner
    from reprise.train.model import Architecture

    model = Architecture(case.cell, case.layers, case.hidden, case.hidden, VOCABULARY)
    learner = Learner(model, seed=1, grad_clip=GRAD_CLIP, dropout=0.0)
    states: Any = learner.initial_state(case.batch)

    def train(steps: int) -> None:
        nonlocal states
        inputs, targets = case.tokens(steps)
        begins, rates = np.zeros((steps, case.batch), bool), np.full(steps, LEARNING_RATE, np.float32)
        _, _, states = learner.advance(inputs, targets, begins, rates, states)

    return f"TensorFlow {tf.__version__}", train


def _keras(case: Case) -> tuple[str, Callable[[int], None]]:
    import keras
    import tensorflow as tf

    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}[case.cell]
    layers = [kind(case.hidden, return_sequences=True) for _ in range(case.layers)]
    model = keras.Sequential([keras.layers.Embedding(VOCABULARY, case.hidden), *layers, keras.layers.Dense(VOCABULARY)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=GRAD_CLIP), loss)

    def train(steps: int) -> None:
        model.fit(tf.data.Dataset.from_tensor_slices(tuple(case.tokens(steps))), shuffle=False, verbose=0)

    return f"Keras {keras.__version__}", train


def _torch(case: Case) -> tuple[str, Callable[[int], None]]:
    import torch

    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[case.cell]
    embedding = torch.nn.Embedding(VOCABULARY, case.hidden)
    layers = kind(case.hidden, case.hidden, case.layers, batch_first=True)
    output = torch.nn.Linear(case.hidden, VOCABULARY)
    parameters = [p for module in (embedding, layers, output) for p in module.parameters()]
    adam = torch.optim.Adam(parameters, LEARNING_RATE)

    def train(steps: int) -> None:
        for x, y in zip(*map(torch.from_numpy, case.tokens(steps)), strict=True):
            adam.zero_grad()
            logits = output(layers(embedding(x))[0])
            loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), y.reshape(-1).long())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, GRAD_CLIP)
            adam.step()
            loss.item()

    return f"PyTorch {torch.__version__}", train


#: Name to a function that gives the version and `train(steps)`.
ENGINES: dict[str, Callable[[Case], tuple[str, Callable[[int], None]]]] = {
    "reprise": _reprise,
    "keras": _keras,
    "torch": _torch,
}
