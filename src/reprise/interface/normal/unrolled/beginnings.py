"""A step that a cell takes on something else before the first of a sequence, to make the state that this starts from.

A captioner applies its cell once to a picture, from zeros, and then to the words. That step is like the others but for
what it reads, and it is no recurrence of its own: it is a part of what the first state is computed by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from reprise.graph import Value
from reprise.interface.analysis.influence import Influence, ancestors, reachable
from reprise.interface.analysis.sources import sources
from reprise.interface.normal.unrolled.chains import Chain, weight_of
from reprise.interface.normal.unrolled.overlay import correspond
from reprise.interface.normal.unrolled.replacements import FramePlan
from reprise.interface.normal.unrolled.steps import CarriedState, UnrolledSteps, View

#: So many steps of other kinds may come before the first of a sequence: a picture, a symbol that begins a sentence.
_MOST = 2
_PRODUCTS = frozenset("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Conv2D LSTMBlockCell GRUBlockCell".split())
_SLICES = frozenset("StridedSlice Slice Split SplitV Unpack Squeeze Reshape Identity Transpose Gather GatherV2".split())


def steps_after_first(view: View, cluster: tuple[Chain, ...]) -> UnrolledSteps | None:
    """The steps of a cluster but for the first one or two, which read something else; None where they are not alike."""
    for left_out in range(1, _MOST + 1):
        rest = tuple(replace(c, anchors=c.anchors[left_out:], bits=c.bits[left_out:]) for c in cluster)
        if min(len(c.anchors) for c in rest) < 2:
            return None
        steps = correspond(view, rest, wide=False)
        if steps is not None:
            first = [Value(c.anchors[k]) for c in cluster for k in range(left_out)]
            return None if _share_a_source(view, steps, first) else steps
    return None


def _share_a_source(view: View, steps: UnrolledSteps, first: Iterable[Value]) -> bool:
    """Whether the sequences of the steps and what was computed `first` come from one source, or may do."""
    known = Influence(view.structure, sources(view.structure))
    names = steps.needed(view.graph, [Value(a) for a in steps.anchors])[0]
    read = 0
    for row in steps.rows(view.graph, names):
        if row.source is None:  # a placeholder for each step, of which the first may be one more
            return True
        read |= known.mask(row.source)
    return any(known.mask(v) & read for v in first)


def without_beginnings(view: View, plans: Collection[FramePlan]) -> list[FramePlan]:
    """The plans but for those of one step that only makes the state which another recurrence starts from."""
    known = Influence(view.structure, sources(view.structure))
    return [plan for plan in plans if plan.count > 1 or not _is_beginning(view, plan, plans, known)]


def _is_beginning(view: View, plan: FramePlan, plans: Collection[FramePlan], known: Influence) -> bool:
    states = _states(view, plan)
    if any(known.mask(s.initial) or _rests_on_variable(view, s.initial) for s in states):
        return False
    own = _weights(view, plan)
    return _makes_only_states(view, plan, plans) and any(
        own <= weights and _begins(view, plan, starts) for weights, starts in _other_recurrences(view, plan, plans)
    )


def _states(view: View, plan: FramePlan) -> tuple[CarriedState, ...]:
    return plan.steps.needed(view.graph, [Value(a) for a in plan.steps.anchors])[1]


def _rests_on_variable(view: View, value: Value) -> bool:
    return any(_variable(view, Value(n)) is not None for n in ancestors(view.structure, [value]))


def _weights(view: View, plan: FramePlan) -> set[str]:
    """What the products of the steps multiply with that rest on a state."""
    roles, late = plan.steps.roles, set[str]()
    for name in plan.steps.order:
        inputs = [(roles[name, slot], v) for slot, v in enumerate(view.graph[name].inputs)]
        if any(isinstance(role, CarriedState) or v.node in late for role, v in inputs):
            late.add(name)
    products = [node for name in late if (node := view.graph[name]).op in _PRODUCTS]
    return {w for n in products for v in n.inputs if (w := _variable(view, v)) is not None}


def _variable(view: View, value: Value) -> str | None:
    """The variable or constant behind a value; none for zeros, which tell nothing of the cell that reads them."""
    name = weight_of(view.graph, value)
    node = None if name is None else view.graph.nodes.get(name)
    content = None if node is None else node.constant
    return None if content is not None and not content.load().any() else name


def _other_recurrences(
    view: View, plan: FramePlan, plans: Collection[FramePlan]
) -> Iterator[tuple[set[str], list[Value]]]:
    """The weights of every other recurrence, and what its states start from."""
    for other in plans:
        if other is not plan:
            yield _weights(view, other), [s.initial for s in _states(view, other)]
    for loop in view.structure.loops.values():
        held = {weight_of(view.graph, view.structure.origin(v)) for v in loop.constants.values()}
        yield {w for w in held if w is not None}, [c.initial for c in loop.carried]


def _begins(view: View, plan: FramePlan, starts: Collection[Value]) -> bool:
    """Whether a recurrence starts from what the step of `plan` makes, or from what a caller feeds."""
    made = {s.next.node for s in _states(view, plan)}
    fed = any(_source_operator(view, v).startswith("Placeholder") for v in starts)
    return fed or not made.isdisjoint(ancestors(view.structure, list(starts)))


def _source_operator(view: View, value: Value) -> str:
    """The operator that makes what `value` is cut out of."""
    node = view.graph.producer(view.structure.origin(value))
    while node.op in _SLICES:
        node = view.graph.producer(view.structure.origin(node.inputs[node.op == "Split"]))
    return node.op


def _makes_only_states(view: View, plan: FramePlan, plans: Collection[FramePlan]) -> bool:
    """Whether nothing but recurrences computes with weights and what the step makes."""
    steps = plan.steps
    used = steps.needed(view.graph, [Value(a) for a in steps.anchors])[0]
    others = {n for p in plans if p is not plan for images in p.steps.images for n in images.values()}

    def further(name: str) -> list[str]:
        read = view.structure.consumers[name]
        return [n for n in read if not (n in others | used | set(view.trained) or view.graph[n].op == "Enter")]

    behind = reachable([s.next.node for s in _states(view, plan)], further)
    return not any(weight_of(view.graph, v) for n in behind if n not in used for v in view.graph[n].inputs)
