"""A restored model: state in, state out, nothing remembered."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from reprise import engines, precision, sampling
from reprise.errors import CallError, StateError, VocabularyError
from reprise.formats import StoredModel
from reprise.inputs import (
    Calls,
    Inputs,
    Settings,
    any_shape,
    as_type,
    check_state,
    own_start,
    raised,
    state_shape,
    with_open,
)
from reprise.interface import Interface
from reprise.lift import STATE_FIRST, STATE_IN, STATE_OUT, Lifted
from reprise.lift.quantised import quantised
from reprise.loading import Graphs
from reprise.printable import printable_line
from reprise.runtime import THREADS, TIME_LIMIT, Engine
from reprise.stack import NotAStack, StepEngine
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary

#: What to say of a model that `draws`.
DRAWS = "the model draws random numbers in every call, so no two calls give the same numbers"


class RecurrentModel:
    """A recurrent model that runs. It remembers nothing, so threads may share it, each with states of its own.

    Attributes:
        interface: What it takes and gives.
        vocabulary: Its symbols, or None.
        stored: The file as data.
        precision: In how many bits the weights of its products are: `float32`, `int8` or `int4`.
        drift: How far it is from float32, None where that is what it is.
    """

    def __init__(
        self,
        stored: StoredModel,
        lift: Callable[[Settings], Lifted],
        first_states: Callable[[], tuple[Any, Mapping[str, Array]]],
        vocabulary: Vocabulary | None,
        threads: int = THREADS,
        time_limit: float = TIME_LIMIT,
        engine: str = engines.AUTO,
    ) -> None:
        """`lift` gives the model for some values of its settings; `first_states` the graph of its own first states."""
        engines.check_choice(engine)
        self.stored = stored
        self.vocabulary = vocabulary
        self.precision = precision.FULL
        self.drift: precision.Drift | None = None
        self._parts = lift, first_states
        self._threads, self._time_limit, self._choice = threads, time_limit, engine
        self._graphs = Graphs(stored, lift, first_states, threads, time_limit)
        self.lifted = self._graphs.lifted
        self.interface: Interface = self.lifted.interface
        self._calls = Calls(self.interface)
        self._computed_starts = frozenset(s.name for s in self.interface.states if s.initial == "inputs")

    def __repr__(self) -> str:
        return f"<{self.stored.format} at {self.stored.path}>\n{self.interface}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(printable_line(str(self.stored.path)))}</p>{self.interface._repr_html_()}"

    def with_vocabulary(self, vocabulary: Vocabulary) -> RecurrentModel:
        """The same model, whose ids stand for other symbols."""
        other = copy.copy(self)
        other.vocabulary = vocabulary
        return other

    def with_engine(self, engine: str) -> RecurrentModel:
        """The same model, whose single steps another engine computes.

        Raises:
            CallError: There is no such engine, or it cannot run this model.
        """
        engines.check_choice(engine)
        other = copy.copy(self)
        other.__dict__.pop("_stepper", None)
        other._choice = engine
        engines.check_chosen(engine, other)
        return other

    def with_precision(self, name: str, largest_drift: float = precision.LARGEST) -> RecurrentModel:
        """The same model with the weights of its products in fewer bits, computed by ONNX Runtime.

        Args:
            name: `int8`, `int4`, or `float32`, which is the model itself.
            largest_drift: The largest drift that is accepted, in bits per symbol; of a model that gives no symbols
                |a − b| / (1 + |a|).

        Raises:
            CallError: There is no such precision, or the model has no products of many weights.
            VerificationError: Its drift is larger.
        """
        bits = precision.bits_of(name)
        if name == precision.FULL:
            return self
        if quantised(self.lifted, bits) is self.lifted:
            raise CallError(f"precision {name}: the model has no product of many float32 weights; leave it at float32")
        stored, (lift, first_states) = self.stored, self._parts
        running = self._threads, self._time_limit, engines.ONNX_RUNTIME
        fewer = RecurrentModel(
            stored, lambda values: quantised(lift(values), bits), first_states, self.vocabulary, *running
        )
        fewer.precision, fewer.drift = name, precision.measure_drift(self, fewer)
        precision.check_drift(fewer.drift, name, largest_drift)
        fewer.stored = replace(stored, notes=(*stored.notes, f"weights in {name}: {fewer.drift}"))
        return fewer

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers itself, such as by dropout that a file bakes in: no two calls agree then."""
        return self.lifted.draws

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the weights and state shapes: equal for equal models. Costs one pass over the weights."""
        digest = hashlib.sha256()
        for port in self.interface.states:
            digest.update(f"{port.name}{port.dtype}{port.shape}".encode())
        for _, array in sorted(self.lifted.numbers().items()):
            digest.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _own_fingerprint(self) -> str:
        return self.fingerprint

    def initial_state(self, batch: int = 1, inputs: Inputs | None = None) -> State:
        """The state that a sequence starts from: zeros, the values that the file itself starts from, or computed ones.

        Args:
            batch: How many rows; where `inputs` are given, as many as they have.
            inputs: What states are computed from that start from inputs, such as an image or a source sentence. Without
                them, these states are pending: the next call computes them from its own inputs.

        Raises:
            StateError: The file bakes in another batch size.
            CallError: An input that a state is computed from is missing or does not fit.
        """
        given, chosen = self._calls.separated(inputs, None) if inputs is not None else ({}, {})
        if given:
            batch = self._calls.checked(given, given)[1]
        own = self._own_first_states(batch)
        values = {}
        for port in self.interface.states:
            shape = state_shape(port, batch)
            values[port.name] = own[port.name] if port.name in own else np.zeros(shape, DTYPES[port.dtype])
        state = State(values, self._own_fingerprint, self._computed_starts)
        return state if inputs is None else self._started(state, given, chosen)

    def _started(self, state: State, given: Mapping[str, Array], chosen: Settings) -> State:
        """`state` with what is pending computed from the inputs."""
        if not state.pending:
            return state
        lifted, starter = self._graphs.steps(chosen)[0], self._graphs.starter(chosen)
        try:
            feeds = self._calls.checked(given, starter.inputs)[0]
        except CallError as error:
            raise CallError(f"{error}; state {min(state.pending)!r} is computed from it, or give that") from error
        found = starter.run(with_open(lifted, feeds, chosen), [STATE_FIRST + name for name in sorted(state.pending)])
        values = {p.name: state[p.name] for p in self.interface.states}
        for port in (p for p in self.interface.states if p.name in state.pending):
            first = as_type(found[STATE_FIRST + port.name], port.dtype)
            rows = state[port.name].shape[port.batch_axis] if port.batch_axis is not None else 1
            values[port.name] = np.broadcast_to(first, state_shape(port, rows, first.shape))
        return State(values, self._own_fingerprint)

    def _own_first_states(self, batch: int) -> dict[str, Array]:
        wanted = [p for p in self.interface.states if p.initial == "file"]
        if not wanted:
            return {}
        feeds = {p.name: np.zeros(any_shape(p, batch), DTYPES[p.dtype]) for p in self.interface.inputs}
        found = self._graphs.first.run(feeds, [p.name for p in wanted])
        return {p.name: own_start(p, found[p.name], batch).astype(DTYPES[p.dtype]) for p in wanted}

    def run(
        self, inputs: Inputs, state: State | None = None, settings: Settings | None = None
    ) -> tuple[dict[str, Array], State]:
        """Runs a whole sequence.

        Args:
            inputs: An array (for a model of one input), or arrays by port name, in the layout of the source; values of
                settings may be among them.
            state: Where to start; None for `initial_state`.
            settings: Values of settings, where not those that inference uses.

        Returns:
            The outputs by port name, and the state after the last step.

        Raises:
            CallError: A name, type or shape does not fit; nothing has run then.
        """
        given, chosen = self._calls.separated(inputs, settings)
        return self._call(given, state, chosen)

    def _call(
        self, given: Mapping[str, Array], state: State | None, chosen: Settings
    ) -> tuple[dict[str, Array], State]:
        feeds, batch, engine = self._fed(given, chosen)
        state = self._started(self._checked_state(state, batch), given, chosen)
        for port in self.interface.states:
            feeds[STATE_IN + port.name] = state[port.name]
        results = engine.run(feeds, engine.outputs)
        outputs = {p.name: as_type(results[p.name], p.dtype) for p in self.interface.outputs}
        after = {p.name: as_type(results[STATE_OUT + p.name], p.dtype) for p in self.interface.states}
        return outputs, State(after, self._own_fingerprint)

    def _fed(self, given: Mapping[str, Array], chosen: Settings) -> tuple[dict[str, Array], int, Engine | StepEngine]:
        """The inputs as a graph takes them, how many rows they have, and the engine for them."""
        if self._is_lone(given) and not self._graphs.builds_in(chosen) and isinstance(self._stepper, StepEngine):
            feeds, batch = self._calls.checked(given, self._stepper.inputs)
            if self._stepper.takes(next(iter(feeds.values()))):
                return feeds, batch, self._stepper
        lifted, engine = self._graphs.steps(chosen)
        feeds, batch = self._calls.checked(given, engine.inputs)
        return with_open(lifted, feeds, chosen), batch, engine

    def _is_lone(self, given: Mapping[str, Array]) -> bool:
        """Whether it is one step of one row, as far as the number of numbers tells."""
        return len(given) == 1 and np.size(next(iter(given.values()))) == self._lone_size

    @cached_property
    def _lone_size(self) -> int:
        return engines.lone_size(self.interface)

    @cached_property
    def _stepper(self) -> StepEngine | NotAStack:
        """What computes one step of one row in NumPy, or why ONNX Runtime does."""
        found = engines.step_engine(self.lifted, self._graphs.own_steps, self._threads, self._choice)
        self._graphs.check_files(again=False)
        return found

    @property
    def engine(self) -> str:
        """What computes one step of one row, `numpy` or `onnxruntime`; all else is computed by ONNX Runtime."""
        return engines.NUMPY if isinstance(self._stepper, StepEngine) else engines.ONNX_RUNTIME

    @property
    def why_engine(self) -> str:
        """Why ONNX Runtime computes also single steps; empty where NumPy does."""
        if self.precision != precision.FULL:
            return f"products of {self.precision} are computed there"
        return self._stepper.reason if isinstance(self._stepper, NotAStack) else ""

    def step(
        self, inputs: Inputs, state: State | None = None, settings: Settings | None = None
    ) -> tuple[dict[str, Array], State]:
        """Runs one time step: as `run`, with inputs and outputs without their time axis.

        Raises:
            CallError: As `run`; or the model cannot be stepped.
        """
        if settings is None and (found := self._lone_step(inputs, state)) is not None:
            return found
        if not self.interface.steppable:
            raise CallError(f"this model cannot be stepped: {self.interface.why_not}. Use run on whole sequences.")
        given, chosen = self._calls.separated(inputs, settings)
        if self._computed_starts:
            self._check_first_step(state, chosen)
        whole = {p.name: raised(p, np.asarray(given[p.name])) for p in self.interface.inputs if p.name in given}
        outputs, after = self._call(whole, state, chosen)
        lowered = {
            p.name: outputs[p.name] if p.time_axis is None else outputs[p.name].take(0, axis=p.time_axis)
            for p in self.interface.outputs
        }
        return lowered, after

    def _lone_step(self, inputs: Inputs, state: State | None) -> tuple[dict[str, Array], State] | None:
        """One step of one row in NumPy, for what fits as it is; None for all else, which goes the way with every check.

        What a user waits for is this call, and checks in Python take as long as the product of a small model.
        """
        port = self.interface.inputs[0]
        array = inputs.get(port.name) if isinstance(inputs, Mapping) and len(inputs) == 1 else inputs
        if type(array) is not np.ndarray or array.shape != self._lone_shape or array.dtype != DTYPES[port.dtype]:
            return None
        if state is None or state.owner != self._own_fingerprint or not isinstance(self._stepper, StepEngine):
            return None
        if not (self._stepper.takes(array) and self._stepper.takes_state(state)):
            return None
        outputs, after = self._stepper.step(array, state)
        return outputs, State(after, self._own_fingerprint)

    @cached_property
    def _lone_shape(self) -> tuple[int, ...] | None:
        """The shape of the only input in one step of one row, None where there is no such input."""
        port = self.interface.inputs[0]
        kept = [n if n is not None else 1 for axis, n in enumerate(port.shape) if axis != port.time_axis]
        return tuple(kept) if self._lone_size and port.least <= 1 else None

    def _check_first_step(self, state: State | None, chosen: Settings) -> None:
        """Refuses to compute a first state from one step of what it is computed from as a whole."""
        pending = self._computed_starts if state is None else state.pending
        whole = [p.name for p in self.interface.inputs if p.time_axis is not None] if pending else []
        used = [name for name in whole if name in self._graphs.starter(chosen).inputs]
        if used:
            raise CallError(
                f"state {min(pending)!r} is computed from the whole of input {used[0]!r}, of which a step has one row: "
                "begin with initial_state(inputs=...)"
            )

    @cached_property
    def _state_names(self) -> list[str]:
        return [p.name for p in self.interface.states]

    def _checked_state(self, state: State | None, batch: int) -> State:
        if state is None:
            return self.initial_state(batch)
        expected = self._state_names
        if list(state) != expected and sorted(state) != sorted(expected):
            raise StateError(f"the state has {', '.join(state) or 'nothing'}; this model carries {', '.join(expected)}")
        if state.owner not in ("", self._own_fingerprint) and state.fingerprint != self.fingerprint:
            raise StateError("the state belongs to another model (its fingerprint differs)")
        # A state that this model made has its shapes; all of them have the same rows.
        ports = self.interface.states[: 1 if state.owner == self._own_fingerprint else None]
        for port in ports:
            check_state(port, state[port.name], batch)
        return state

    def sample(
        self,
        length: int,
        *,
        prompt: str = "",
        state: State | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        seed: int | None = None,
        keep: Callable[[State], None] | None = None,
    ) -> str:
        """A text of `length` symbols, drawn one after the other, without the prompt; arguments as of `stream`."""
        drawing: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "greedy": greedy}
        pieces = self.stream(length, prompt=prompt, state=state, seed=seed, keep=keep, **drawing)
        return "".join(piece[0] for piece in pieces)

    def stream(
        self,
        length: int,
        *,
        prompt: str = "",
        state: State | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        seed: int | None = None,
        samples: int = 1,
        keep: Callable[[State], None] | None = None,
    ) -> Iterator[tuple[str, ...]]:
        """One or several texts symbol by symbol, each time a tuple with one piece for each text.

        Args:
            length: How many symbols to draw.
            prompt: What the model reads first; needed with `state`.
            state: Where to start from instead of the initial state.
            temperature: Above 0; below 1 prefers what is probable, above 1 what is not.
            top_k: Draw only from so many of the most probable symbols.
            top_p: Draw only from the fewest symbols whose probabilities sum to this.
            greedy: Always take the most probable symbol.
            seed: The same seed gives the same text while logits agree.
            samples: How many texts to draw at once.
            keep: Receives the state at the end.

        Raises:
            CallError: An argument is out of range, it is no model of symbols, or the prompt has unknown symbols.
        """
        drawing: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "greedy": greedy}
        return sampling.generate(
            self, length, prompt=prompt, state=state, seed=seed, samples=samples, keep=keep, **drawing
        )

    def encode(self, text: str) -> Array:
        """The ids of the symbols of `text`, int32 [T]; VocabularyError where one is unknown."""
        return self._symbols().encode(text)

    def decode(self, ids: Array) -> str:
        """The text of ids [T]; VocabularyError where the model has no vocabulary."""
        return self._symbols().decode(np.asarray(ids).ravel().tolist())

    def _symbols(self) -> Vocabulary:
        if self.vocabulary is None:
            raise VocabularyError("vocabulary: the files have none; give the one that the model was trained with")
        return self.vocabulary

    def score(self, text: str) -> sampling.Score:
        """How well the model predicts `text`."""
        return sampling.score(self, text)

    def forecast(
        self,
        history: Array,
        steps: int,
        *,
        samples: int = 0,
        seed: int | None = None,
        interval: float = 0.9,
        validation: Array | None = None,
    ) -> sampling.Forecast:
        """What follows `history` [T, D] for so many steps, each read as if it were what came.

        Arguments and errors are those of `reprise.sampling.forecast`; `validation` is that of the run by default.
        """
        path = self.stored.metadata.get("validation")
        if validation is None and path is not None:
            validation = sampling.read_validation(path)
        facts: dict[str, Any] = {"samples": samples, "seed": seed, "interval": interval, "validation": validation}
        return sampling.forecast(self, history, steps, columns=tuple(self.stored.metadata.get("columns", ())), **facts)

    def backtest(self, series: Array, horizon: int, season: int = 1) -> sampling.Backtest:
        """Forecasts of `horizon` steps from many places of `series` [T, D], beside the seasonal naive forecast."""
        return sampling.backtest(self, series, horizon, season)

    def score_forecast(self, series: Array) -> sampling.ForecastScore:
        """How well the model forecasts each row of `series` [T, D] from those before it."""
        return sampling.score_forecast(self, series)
