"""The model in a session as a model that can be compared: state in, state out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.errors import SaveError
from reprise.interface import Interface, Port, StatePort
from reprise.state import State
from reprise.tensors import DTYPES, Array
from reprise.vocabulary import Vocabulary


class LiveModel:
    """What a session computes, by the names of an interface.

    Attributes:
        interface: As discovered, its inputs and states with the sizes that the session's graph bakes in.
        vocabulary: Its symbols, or None.
    """

    def __init__(self, session: Any, interface: Interface, vocabulary: Vocabulary | None) -> None:
        """Every tensor of `interface` must be in the session's graph.

        Raises:
            SaveError: One is not, or cannot be fed.
        """
        self._session = session
        self.vocabulary = vocabulary
        self.inputs = {p.name: _tensor(session.graph, p.tensor, f"input {p.name!r}") for p in interface.inputs}
        self.settings = {s.name: _tensor(session.graph, s.tensor, f"setting {s.name!r}") for s in interface.settings}
        self.outputs = {p.name: _tensor(session.graph, p.tensor, f"output {p.name!r}") for p in interface.outputs}
        self.states = {p.name: _tensor(session.graph, p.source_in, f"state {p.name!r}") for p in interface.states}
        self.final = {p.name: _tensor(session.graph, p.source_out, f"state {p.name!r}") for p in interface.states}
        self._values = {s.name: s.value for s in interface.settings if s.value is not None}
        self._check_fed(session.graph)
        self.interface = replace(
            interface,
            inputs=tuple(replace(p, shape=_baked(p, self.inputs[p.name])) for p in interface.inputs),
            states=tuple(replace(p, shape=_baked(p, self.states[p.name])) for p in interface.states),
        )

    def _check_fed(self, graph: Any) -> None:
        owners: dict[Any, str] = {}
        for name, tensor in {**self.inputs, **self.settings, **self.states}.items():
            if not graph.is_feedable(tensor):
                raise SaveError(f"{name!r}: {tensor.name} cannot be fed in this graph")
            if tensor.ref() in owners:
                raise SaveError(
                    f"{name!r} and {owners[tensor.ref()]!r} both enter as {tensor.name}, so that no program could feed "
                    "them apart. Build the graph with a tensor for each state, such as a placeholder_with_default."
                )
            owners[tensor.ref()] = name

    def initial_state(self, batch: int = 1) -> State:
        """The state that the graph starts from when none is fed; what it computes from its inputs is pending."""
        zeros = {p.name: np.zeros(_filled(p, batch), DTYPES[p.dtype]) for p in self.interface.states}
        own = [p for p in self.interface.states if p.initial == "file"]
        feeds = {self.inputs[p.name]: np.zeros(_filled(p, batch), DTYPES[p.dtype]) for p in self.interface.inputs}
        found = self._run([self.states[p.name] for p in own], feeds) if own else []
        computed = [p.name for p in self.interface.states if p.initial == "inputs"]
        return State({**zeros, **{p.name: array for p, array in zip(own, found, strict=True)}}, pending=computed)

    def run(
        self, inputs: Mapping[str, Array], state: State | None = None, settings: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Array], State]:
        """One call of `session.run`; `state` None leaves the states to the graph."""
        feeds = {self.inputs[name]: array for name, array in inputs.items()}
        if state is not None:
            feeds |= {self.states[name]: array for name, array in state.items() if name not in state.pending}
        feeds |= {self.settings[name]: value for name, value in {**self._values, **(settings or {})}.items()}
        found = self._run([*self.outputs.values(), *self.final.values()], feeds)
        outputs = dict(zip(self.outputs, found, strict=False))
        return outputs, State(dict(zip(self.final, found[len(outputs) :], strict=True)))

    def _run(self, fetches: list[Any], feeds: Mapping[Any, Any]) -> list[Array]:
        try:
            return [np.asarray(array) for array in self._session.run(fetches, dict(feeds))]
        except (tf.errors.OpError, ValueError) as error:
            raise SaveError(
                f"the session cannot run the model by the interface that was found: {str(error).splitlines()[0]}. "
                "Say which tensors are meant with inputs=, outputs= or states=."
            ) from error


def _tensor(graph: Any, name: str | None, what: str) -> Any:
    try:
        return graph.as_graph_element(name, allow_operation=False)
    except (KeyError, ValueError, TypeError) as error:
        raise SaveError(
            f"{what}: no tensor of the graph holds it alone ({name}), so that a signature cannot name it. Save the "
            "graph that runs one step, or say which tensors are meant with inputs=, outputs= or states=."
        ) from error


def _baked(port: Port | StatePort, tensor: Any) -> tuple[int | None, ...]:
    """The sizes that a program must feed: the tensor's, or the port's where the tensor leaves them open."""
    if tensor.shape.rank is None:
        return port.shape
    if tensor.shape.rank != len(port.shape):
        raise SaveError(
            f"{port.name!r} has {len(port.shape)} axes and {tensor.name} the shape {tensor.shape}, as where each step "
            "has a placeholder of its own, so that a signature cannot name it. Save the graph that runs one step."
        )
    return tuple(n if n is not None else m for n, m in zip(tensor.shape.as_list(), port.shape, strict=True))


def _filled(port: Port | StatePort, batch: int) -> tuple[int, ...]:
    return tuple(batch if n is None else n for n in port.shape)
