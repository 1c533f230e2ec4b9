"""Loops that score paths: the forward algorithm of a conditional random field, and Viterbi's search.

Their state runs through sums and maxima (or the logarithm of a sum of exponentials) alone, the semiring of dynamic
programming, and never through a product with weights or a non-linearity. Such a loop belongs to a loss or a decoder;
what a model gives are the scores that it reads. Source: Lafferty, McCallum and Pereira, "Conditional Random Fields",
ICML 2001, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reprise.graph import Value
from reprise.interface.analysis.influence import SHAPE_ONLY, Influence, ancestors
from reprise.interface.loops.recurrences import Recurrence, recurrence
from reprise.operators import Tag, named
from reprise.structure import InLoop, Structure

_ADDITIONS = named(Tag.ADDITION)
_SUMS = _ADDITIONS.union("Sub Max Sum Exp Log".split())
_MOVES = named(Tag.LAYOUT, Tag.SLICE, Tag.SELECT).union(
    "Identity StopGradient Merge Switch NextIteration Cast IsFinite".split()
)
_JOINS = named(Tag.JOIN)
_PARTS = named(Tag.LAYOUT, Tag.SLICE).union("Identity ReverseSequence ReverseV2 Switch Cast".split())


@dataclass(frozen=True, slots=True)
class PathScores:
    """A loop that scores paths.

    Attributes:
        loop: The name of its frame.
        scores: The sequence of scores, [N, T, K], whose parts it starts from and reads.
        parts: Names of the nodes that cut those parts out of `scores`.
    """

    loop: str
    scores: Value
    parts: frozenset[str]

    def __str__(self) -> str:
        return (
            f"loop {self.loop!r} scores paths over {self.scores}, as a loss or a decoder does; {self.scores} is given"
        )


def find(structure: Structure) -> tuple[PathScores, ...]:
    """All loops of `structure` that score paths, those inside branches too."""
    found = (_path_scores(structure, r) for r in _single(structure))
    return tuple(p for p in found if p is not None)


def _single(structure: Structure) -> Iterator[Recurrence]:
    """Recurrences that lie in no other loop."""
    for loop in structure.loops.values():
        if sum(isinstance(e, InLoop) for e in loop.context) == 1:
            made = recurrence(structure, loop)
            if made is not None:
                yield made


def _path_scores(structure: Structure, found: Recurrence) -> PathScores | None:
    if len(found.states) != 1 or not found.reads or not _is_semiring(structure, found):
        return None
    starts = [found.states[0].initial, *(r.stacked for r in found.reads)]
    chains = [list(_wholes(structure, value)) for value in starts]
    common = next((v for v in chains[0] if not structure.context(v) and all(v in chain for chain in chains)), None)
    if common is None:
        return None
    padded = _without_padding(structure, common)
    parts = [v.node for chain in chains for v in chain[: chain.index(common)]] + [v.node for v in padded[:-1]]
    return PathScores(found.loop.name, padded[-1], frozenset(parts))


def _without_padding(structure: Structure, scores: Value) -> list[Value]:
    """`scores`, and what they are before tags and steps that no model computes were put around them."""
    found = [scores]
    finals = [c.final for loop in structure.loops.values() for c in loop.carried if c.final is not None]
    while (node := structure.graph[structure.source(found[-1]).node]).op in _JOINS:
        computed = Influence(structure, finals)
        parts = [v for v in node.inputs if computed.mask(v)]
        if len(parts) != 1:
            break
        found.append(parts[0])
    return found


def _is_semiring(structure: Structure, found: Recurrence) -> bool:
    """Whether the next state is made of the last by sums and maxima only."""
    state = found.states[0]
    reached = Influence(structure, [state.entering], SHAPE_ONLY, within=found.loop.name)
    between = ancestors(structure, [state.leaving], {state.entering: None})
    ops = {structure.graph[n].op for n in between if reached.mask(Value(n))}
    return ops <= _SUMS | _MOVES and bool(ops & _ADDITIONS) and ("Max" in ops or {"Exp", "Sum", "Log"} <= ops)


def _wholes(structure: Structure, value: Value) -> Iterator[Value]:
    """`value`, what it is a part of, what that is a part of, and so on."""
    while True:
        yield value
        node = structure.graph.nodes.get(value.node)
        if node is None or node.op not in _PARTS or not node.inputs:
            return
        value = node.inputs[0]
