"""Which engine a call runs on: the one place that decides.

One step of one row of a model that is a stack of standard layers is computed in NumPy; all else, and every model that
is no such stack, on ONNX Runtime. NumPy is taken only where it gives ONNX Runtime's numbers over carried steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from reprise import stack
from reprise.errors import CallError, RepriseError
from reprise.interface import Interface
from reprise.lift import STATE_IN, STATE_OUT, Lifted
from reprise.stack import NotAStack, StepEngine
from reprise.tensors import DTYPES, Array
from reprise.verify import TOLERANCE
from reprise.verify.report import difference

NUMPY, ONNX_RUNTIME, AUTO = "numpy", "onnxruntime", "auto"
CHOICES = (AUTO, NUMPY, ONNX_RUNTIME)

#: The fewest weights for which NumPy is taken unasked: with fewer, what a call takes in Python is all that counts.
FEWEST = 50_000

#: Over so many carried steps the two are compared, from random state.
STEPS = 32


class Runs(Protocol):
    """An engine, as far as it is compared here."""

    def run(self, feeds: Mapping[str, Array], wanted: list[str]) -> dict[str, Array]:
        """The outputs `wanted` for these inputs."""


class Chosen(Protocol):
    """A model, as far as its engine is concerned."""

    @property
    def engine(self) -> str:
        """What computes one step of one row."""

    @property
    def why_engine(self) -> str:
        """Why that is not NumPy."""


def check_choice(engine: str) -> None:
    """Refuses a name that no engine has.

    Raises:
        CallError: It is none of `CHOICES`.
    """
    if engine not in CHOICES:
        raise CallError(f"engine: expected one of {', '.join(CHOICES)}, found {engine!r}")


def check_chosen(engine: str, model: Chosen) -> None:
    """Refuses NumPy where it was asked for and cannot run a model.

    Raises:
        CallError: It cannot; the message has the reason.
    """
    if engine == NUMPY and model.engine != NUMPY:
        raise CallError(f"engine: NumPy cannot run this model: {model.why_engine}. Use {ONNX_RUNTIME}, or {AUTO}.")


def step_engine(lifted: Lifted, reference: Callable[[], Runs], threads: int, choice: str) -> StepEngine | NotAStack:
    """What computes one step of one row in NumPy, or why ONNX Runtime does.

    Args:
        lifted: The model.
        reference: Gives it on ONNX Runtime.
        threads: How many threads one call may use.
        choice: One of `CHOICES`.
    """
    if choice == ONNX_RUNTIME:
        return NotAStack("it was chosen")
    if not lifted.interface.steppable:
        return NotAStack(f"the model cannot be stepped: {lifted.interface.why_not}")
    try:
        found = stack.recognise(lifted)
        if isinstance(found, NotAStack):
            return found
        if choice == AUTO and (weights := found.weights) < FEWEST:
            return NotAStack(f"with {weights:,} weights NumPy would not be faster")
        engine = stack.step_engine(found, lifted.interface, threads)
        return engine if isinstance(engine, NotAStack) else _agreeing(engine, reference(), lifted.interface)
    except RepriseError as error:
        return NotAStack(f"the model could not be tried ({error})")


def lone_size(face: Interface) -> int:
    """How many numbers the input has in one step of one row; 0 where that is not known, or there are more inputs."""
    if len(face.inputs) != 1:
        return 0
    port = face.inputs[0]
    sizes = [n for axis, n in enumerate(port.shape) if axis not in (port.time_axis, port.batch_axis)]
    return 0 if None in sizes else math.prod(n for n in sizes if n is not None)


def _agreeing(engine: StepEngine, reference: Runs, face: Interface) -> StepEngine | NotAStack:
    """The engine, if both give the same numbers over carried steps from random state."""
    random = np.random.default_rng(0)
    states = [
        {STATE_IN + s.name: _normal(random, [n if n is not None else 1 for n in s.shape]) / 2 for s in face.states}
    ] * 2
    for step in range(1, STEPS + 1):
        given = {face.inputs[0].name: _input(engine, face, random)}
        found = [e.run({**given, **s}, engine.outputs) for e, s in zip((reference, engine), states, strict=True)]
        for name in engine.outputs:
            apart = difference("random", step, name, found[0][name], found[1][name])
            if not apart.error <= TOLERANCE:
                return NotAStack(f"NumPy gives {name!r} an error of {apart.error:.3g} at step {step} ({apart.found})")
        states = [{STATE_IN + s.name: one[STATE_OUT + s.name] for s in face.states} for one in found]
    return engine


def _input(engine: StepEngine, face: Interface, random: np.random.Generator) -> Array:
    port = face.inputs[0]
    alone = {port.time_axis, port.batch_axis}
    shape = [1 if axis in alone or n is None else n for axis, n in enumerate(port.shape)]
    if engine.ids:
        return random.integers(0, engine.ids, shape).astype(DTYPES[port.dtype])
    return _normal(random, shape)


def _normal(random: np.random.Generator, shape: list[int]) -> Array:
    return random.standard_normal(shape, np.float32)
