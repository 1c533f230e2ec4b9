"""What reaches what: sets of sources carried forward through a graph, as bits of an integer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

from reprise.graph import Value
from reprise.operators import Tag, named
from reprise.structure import Structure

#: Operators whose result depends on the shape of their input, not on its numbers.
SHAPE_ONLY = named(Tag.SHAPE_ONLY)

#: Operators that choose: a symbol drawn from scores is a new input, not a continuation of the scores.
DISCRETE = named(Tag.DISCRETE)

#: Their second output is a choice: the places of the greatest scores.
RANKING = named(Tag.RANKING)


#: Operators that ask which of two numbers is greater.
ORDERINGS = named(Tag.ORDERING)

_Place = TypeVar("_Place", bound=Hashable)


class Influence:
    """Which of some seed values each value depends on.

    A seed depends on itself alone, whatever made it: so a loop can be cut at the values that enter an iteration.
    """

    def __init__(
        self, structure: Structure, seeds: Collection[Value], blocked: Collection[str] = SHAPE_ONLY, within: str = ""
    ) -> None:
        """Follows `seeds`, not through operators in `blocked`; with `within`, only inside that loop."""
        self._structure = structure
        self._soft = not DISCRETE.isdisjoint(blocked)
        self._bits = {value: 1 << i for i, value in enumerate(seeds)}
        self.seeds = tuple(seeds)
        self._nodes: dict[str, int] = {}
        self._spread(structure, frozenset(blocked), within)

    def _spread(self, structure: Structure, blocked: Collection[str], within: str) -> None:
        nodes = structure.graph.nodes
        order = structure.bodies.get(within, ()) if within else structure.order
        back = [n for n in order if nodes[n].op == "NextIteration"]
        changed = True
        while changed:  # once, and again as long as the back edge of a loop brings news
            for name in order:
                self._update(name, nodes[name].inputs if nodes[name].op not in blocked else ())
            changed = sum(self._update(name, nodes[name].inputs) for name in back) > 0

    def _update(self, name: str, inputs: Collection[Value]) -> bool:
        mask = 0
        for value in inputs:
            mask |= self.mask(value)
        news = mask & ~self._nodes.get(name, 0)
        if news:
            self._nodes[name] = self._nodes.get(name, 0) | news
        return bool(news)

    def mask(self, value: Value) -> int:
        """The seeds that `value` depends on, as bits in the order of the seeds."""
        own = self._bits.get(value)
        if own is not None:
            return own
        result = self._structure.result(value)
        if value.index == 1 and self._soft and self._structure.graph[result.node].op in RANKING:
            return 0
        return self._nodes.get(value.node, 0) if result == value else self.mask(result)

    def of(self, value: Value) -> tuple[Value, ...]:
        """The seeds that `value` depends on."""
        mask = self.mask(value)
        return tuple(s for i, s in enumerate(self.seeds) if mask >> i & 1)


def descendants(structure: Structure, names: Iterable[str]) -> set[str]:
    """`names` and all nodes that are computed from them, through the back edges of loops too."""
    return set(reachable(names, structure.consumers.__getitem__))


def reachable(starts: Iterable[_Place], further: Callable[[_Place], Iterable[_Place]]) -> Iterator[_Place]:
    """`starts`, what `further` gives for each of them, what it gives for that and so on: each once, near ones first."""
    found = dict.fromkeys(starts)
    pending = list(found)
    for place in pending:
        yield place
        news = [v for v in dict.fromkeys(further(place)) if v not in found]
        found.update(dict.fromkeys(news))
        pending += news


def ancestors(structure: Structure, values: Collection[Value], stop: Mapping[Value, object] | None = None) -> set[str]:
    """Names of all nodes that `values` are computed from, shapes included; not beyond the values in `stop`."""
    seen: set[str] = set()
    pending = [v for v in values if not stop or v not in stop]
    while pending:
        value = pending.pop()
        result = structure.result(value)
        if result != value:
            seen.add(value.node)
            pending.extend([result] if not stop or result not in stop else [])
            continue
        if value.node in seen or value.node not in structure.graph.nodes:
            continue
        seen.add(value.node)
        pending.extend(v for v in structure.graph.nodes[value.node].inputs if not stop or v not in stop)
    return seen
