"""The graphs of a model on ONNX Runtime, each loaded when a call first needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from reprise.formats import StoredModel
from reprise.inputs import Settings
from reprise.lift import STATE_FIRST, Lifted, Opsets, subgraph
from reprise.runtime import Engine
from reprise.tensors import Array

Key = tuple[tuple[str, Any], ...]

#: For how many values of settings an engine is kept.
KEPT = 4


class Graphs:
    """What computes the steps of a model and its first states.

    Attributes:
        lifted: The model with the settings that it was restored with.
    """

    def __init__(
        self,
        stored: StoredModel,
        lift: Callable[[Settings], Lifted],
        first_states: Callable[[], tuple[Any, Mapping[str, Array]]],
        threads: int,
        time_limit: float,
    ) -> None:
        self.lifted = lift({})
        self._files, self._lift, self._first_states = stored.originals, lift, first_states
        self._threads, self._time_limit = threads, time_limit
        self._starts = frozenset(s.name for s in self.lifted.interface.states if s.initial == "inputs")
        # Each has its own copy of the weights, so few are kept for other values of settings than those of the model.
        self._built = lru_cache(maxsize=KEPT)(self._build)
        self._built_starter = lru_cache(maxsize=KEPT)(self._build_starter)

    def steps(self, chosen: Settings) -> tuple[Lifted, Engine]:
        """The model with the values `chosen` of settings, and what computes its steps."""
        key = self._key(chosen)
        return self._built(key) if key else self._own

    def starter(self, chosen: Settings) -> Engine:
        """What computes the states that start from inputs."""
        return self._built_starter(self._key(chosen))

    @cached_property
    def first(self) -> Engine:
        """What gives the first states that the file holds."""
        return self._loaded(*self._first_states(), threads=1)

    def own_steps(self) -> Engine:
        """What computes the steps of `lifted`: kept only where a call needed it, since it has a copy of the weights."""
        return (self.__dict__.get("_own") or self._build(()))[1]

    def builds_in(self, chosen: Settings) -> bool:
        """Whether values of settings are built into another graph than that of `lifted`."""
        return bool(chosen and self._key(chosen))

    def check_files(self, *, again: bool) -> None:
        """Holds that the numbers in memory are those that the files had when the model was restored.

        Args:
            again: Whether numbers were read from them since.

        Raises:
            DamagedFile: A file was changed, and its numbers are mapped or were read again.
        """
        for file in self._files:
            if again or file.is_mapped:
                file.check()

    @cached_property
    def _own(self) -> tuple[Lifted, Engine]:
        return self._build(())

    def _build(self, key: Key) -> tuple[Lifted, Engine]:
        lifted = self._lift(dict(key)) if key else self.lifted
        names = {o.name for o in lifted.graph.output if not o.name.startswith(STATE_FIRST)}
        steps = subgraph(lifted, names) if self._starts else (lifted.graph, lifted.weights)
        return lifted, self._loaded(*steps, key, lifted.opsets)

    def _build_starter(self, key: Key) -> Engine:
        lifted = self.steps(dict(key))[0]
        graph, weights = subgraph(lifted, [STATE_FIRST + n for n in self._starts])
        return self._loaded(graph, weights, key, lifted.opsets)

    def _loaded(
        self, graph: Any, weights: Mapping[str, Array], key: Key = (), opsets: Opsets = (), threads: int = 0
    ) -> Engine:
        engine = Engine(graph, weights, threads or self._threads, opsets, self._time_limit)
        self.check_files(again=bool(key))
        return engine

    def _key(self, chosen: Settings) -> Key:
        """The settings that are built into a graph, where they are not those of the model."""
        built = {k: v for k, v in chosen.items() if k not in self.lifted.open and v != self.lifted.fixed.get(k)}
        return tuple(sorted(built.items()))
