"""One step with nothing to compare it to: a graph that was built for sampling or acting alone.

Nothing is repeated, so a state is what is fed, zero or a variable, where the graph computes its next value. Which
value that is, `pairing` reads from the graph, or the caller says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reprise.graph import Value
from reprise.interface.analysis.influence import SHAPE_ONLY, ancestors, descendants, reachable
from reprise.interface.normal.unrolled.cells import find_cells
from reprise.interface.normal.unrolled.chains import Chain
from reprise.interface.normal.unrolled.collected import outputs_of
from reprise.interface.normal.unrolled.flow import PARTS, PRODUCTS, Flow, StateSource
from reprise.interface.normal.unrolled.one_step import OneStep
from reprise.interface.normal.unrolled.pairing import Pairing, Rivals
from reprise.interface.normal.unrolled.replacements import FramePlan, frame_name
from reprise.interface.normal.unrolled.sources import assigned_sources, cell_sources, fed_sources, zero_sources
from reprise.interface.normal.unrolled.steps import SAME, CarriedState, UnrolledSteps, View
from reprise.interface.normal.unrolled.updates import SUMS

#: How a step computes with a state, products with weights aside.
_COMPUTING = SUMS | PARTS | {"Concat", "ConcatV2", "Pack", "Mul", "Sub"}


@dataclass(frozen=True, slots=True)
class LoneSteps:
    """The models of one step in a graph.

    Attributes:
        plans: What is to be a frame.
        rivals: What stands in the way of others.
    """

    plans: tuple[FramePlan, ...] = ()
    rivals: tuple[str, ...] = ()


def read(view: View, single: Iterable[Chain], known: set[str], *, no_others: bool) -> LoneSteps:
    """A plan for every model of one step, all its cells together.

    Its weights are all read by `single`; nodes in `known` belong to other recurrences, and `no_others` says that there
    are none.
    """
    chains = tuple(single)
    repeated = ~sum(c.mask for c in chains)
    flow, pairing = _pair_states(view, repeated, known, no_others=no_others)
    open_ones = [*pairing.rivals, *(Rivals((s,), ()) for s in pairing.undecided() if _may_be_state(view, s))]
    nexts = {} if _is_a_layer(flow, pairing.nexts) else pairing.nexts
    plans: list[FramePlan] = []
    rivals = [] if nexts else pairing.rivals
    for group in _connected(view, nexts):
        doubts = [r for r in open_ones if flow.meet(group, r.sources)]
        rivals += [r for r in doubts if r not in rivals]
        if not doubts and not _repeats(view, group, chains) and not _is_only_measured(view, group):
            plans += plan_of(view, group, tuple(f"{state_clause(s, v)}: {pairing.why[s]}" for s, v in group.items()))
    return LoneSteps(tuple(plans), tuple(_refusal(r, nexts) for r in rivals))


def _pair_states(view: View, repeated: int, known: set[str], *, no_others: bool) -> tuple[Flow, Pairing]:
    """What the steps outside of the nodes `known` read, and the next values among that.

    Nodes that rest on the weights in `repeated` are not followed; `no_others` says that there is no other recurrence.
    """
    hints = cell_sources(
        view, [c for c in find_cells(view, repeated) if not any(s.next.node in known for s in c.states)]
    )
    placeholders = {s.initial: s for s in _not_read_by(fed_sources(view), known)}
    set_by_step = assigned_sources(view)
    kept = {s: set_by_step[s] for s in _not_read_by(set_by_step, known)}
    set_already = frozenset[tuple[str, int]]().union(*(s.slots for s in kept))
    hints = {s: v for s, v in hints.items() if s.slots.isdisjoint(set_already)}
    fused = {s: v for s, v in hints.items() if view.graph.nodes[v.node].op.endswith("BlockCell")}
    taken = {s.initial for s in (*fused, *kept)}
    shared = [s.initial for s in hints]
    blank = {s.initial: s for s in _not_read_by(zero_sources(view), known) if shared.count(s.initial) < 2}
    others = {s: v for s, v in hints.items() if s.initial not in {*taken, *placeholders, *blank}}
    read = {**placeholders, **blank}
    sources = [*fused, *kept, *others, *(s for v, s in read.items() if v not in taken)]
    flow = Flow(view, [s for s in sources if not view.masks.get(s.initial.node)], repeated)
    known_by = {s: (v, "the operator gives it") for s, v in fused.items()}
    known_by |= {s: (v, "it is assigned to it") for s, v in kept.items()}
    in_a_step = {s: k for s, k in known_by.items() if s in flow.sources and flow.rests_on(k[0].node, s)}
    return flow, Pairing(flow, in_a_step, others, no_others=no_others)


def _not_read_by(sources: Iterable[StateSource], known: set[str]) -> list[StateSource]:
    """The sources that none of the nodes `known` reads."""
    return [s for s in sources if known.isdisjoint(n for n, _ in s.slots)]


def state_clause(source: StateSource, value: Value) -> str:
    """What is known of a state."""
    return f"{source.initial} is a state, and {value} its next value"


def _refusal(rivals: Rivals, nexts: Mapping[StateSource, Value]) -> str:
    """What cannot be decided about a step, and how the caller can."""
    states = " or ".join(str(s.initial) for s in rivals.sources)
    after = " or ".join(map(str, rivals.nexts))
    known = {str(s.initial): str(v) for s, v in nexts.items() if s not in rivals.sources}
    known[str(rivals.sources[0].initial)] = str(rivals.nexts[0]) if rivals.nexts else "next:0"
    python = ", ".join(f'"{a}": "{b}"' for a, b in known.items())
    options = " ".join(f"--state-tensor {a}={b}" for a, b in known.items())
    doubt = (
        f"{states} may be a state whose next value is {after}: all of these have its type and size"
        if rivals.nexts
        else f"{states} may be a state, and what its next value is does not follow from the graph"
    )
    return f"{doubt}. Say where every state enters and what its next value is, such as states={{{python}}} ({options})"


def _connected(view: View, nexts: Mapping[StateSource, Value]) -> list[dict[StateSource, Value]]:
    """States in groups: one whose next value rests on another, or on what the other does, belongs to the same model."""
    groups: list[tuple[set[str], dict[StateSource, Value]]] = []
    for source, value in sorted(nexts.items(), key=lambda pair: view.position[pair[1].node]):
        reached = ancestors(view.structure, [value])
        own = {name for name, _ in source.slots}
        below = [g for g in groups if not own.isdisjoint(g[0]) or any(_meets(s, v, reached) for s, v in g[1].items())]
        groups = [g for g in groups if g not in below]
        joined = {s: v for g in below for s, v in g[1].items()} | {source: value}
        groups.append((reached.union(*(g[0] for g in below)), joined))
    return [group for _, group in groups]


def _is_a_layer(flow: Flow, nexts: Mapping[StateSource, Value]) -> bool:
    """Whether the only state would be the only input: a highway layer keeps a part of its input too."""
    return len(nexts) == 1 and not flow.gives_more(nexts.values(), nexts)


def _meets(source: StateSource, value: Value, names: Collection[str]) -> bool:
    return value.node in names or any(name in names for name, _ in source.slots)


def _may_be_state(view: View, source: StateSource) -> bool:
    """Whether a step joins a source with others, or computes with it, as with a state."""
    nodes = view.graph.nodes
    return any(nodes[n].op in _COMPUTING or (nodes[n].op in PRODUCTS and slot == 0) for n, slot in source.slots)


def _is_only_measured(view: View, group: Mapping[StateSource, Value]) -> bool:
    """Whether nothing is made of the numbers of a step: a loop begins with zeros of the shape that one gives."""
    graph, consumers = view.graph, view.structure.consumers

    def readers(name: str) -> tuple[str, ...]:
        return () if graph[name].op in SHAPE_ONLY else consumers[name]

    behind = reachable([v.node for v in group.values()], readers)
    return all(consumers[name] or graph[name].op in SHAPE_ONLY for name in behind)


def _repeats(view: View, group: Mapping[StateSource, Value], chains: Sequence[Chain]) -> bool:
    """Whether weights of the step are read again in what it is part of: it is one of several steps that are unlike."""
    after = descendants(view.structure, [v.node for v in group.values()]) - set(view.trained)
    model = ancestors(view.structure, [Value(name) for name in after])
    kinds = [c.kind for c in chains if c.anchors[0] in model]
    step = ancestors(view.structure, list(group.values()))
    return any(kinds.count(c.kind) > 1 for c in chains if c.anchors[0] in step)


def plan_of(view: View, group: Mapping[StateSource, Value], why: tuple[str, ...]) -> Iterator[FramePlan]:
    """The plan of a step with these states, if what it reads can be told apart."""
    states = {slot: CarriedState(s.initial, v) for s, v in group.items() for slot in s.slots}
    steps = OneStep(view, states).steps()
    if steps is not None and not _waits_for_itself(view, steps, group.values()):
        used, _ = steps.needed(view.graph, [Value(a) for a in steps.anchors])
        yield FramePlan(frame_name(view, steps), steps, outputs_of(view, steps, used), why)


def _waits_for_itself(view: View, steps: UnrolledSteps, nexts: Iterable[Value]) -> bool:
    """Whether something that all steps are to share is made of a next state, as by a loop inside the step."""
    shared = [view.graph[name].inputs[slot] for (name, slot), role in steps.roles.items() if role == SAME]
    return not ancestors(view.structure, shared).isdisjoint(v.node for v in nexts)
