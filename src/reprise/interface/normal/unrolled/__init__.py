"""Recurrences that a program unrolled: the same cell applied again and again, with no loop in the graph.

The steps are found by the weights they share, laid over each other, and replaced by one `while` frame whose body is
the first step. The number of steps becomes the number of rows of the input. The last value of
a state keeps its name and reads the loop, as does what puts the outputs of all steps together. Nodes of the steps that
something else reads (a gradient) are left as they were, marked as replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from reprise.frame import REPLACED
from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.gradients import applied_gradient_seeds
from reprise.interface.analysis.influence import ancestors, descendants
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.normal.unrolled import beginnings, chains, chosen_steps, declared, lone_step, step_copies
from reprise.interface.normal.unrolled.cells import find_cells
from reprise.interface.normal.unrolled.chains import weight_of
from reprise.interface.normal.unrolled.collected import Collected, StepOutput, outputs_of
from reprise.interface.normal.unrolled.overlay import correspond
from reprise.interface.normal.unrolled.replacements import FramePlan, frame_name, stacked_name
from reprise.interface.normal.unrolled.rolling import write_frame
from reprise.interface.normal.unrolled.sized import read_sizes_from_inputs
from reprise.interface.normal.unrolled.steps import SequenceRow, UnrolledSteps, View
from reprise.interface.normal.unrolled.time_slices import TimeSlice
from reprise.structure import Structure, analyse

__all__ = ["roll"]


def roll(structure: Structure, nexts: Mapping[str, str] | None = None) -> Rewritten:
    """The graph with every recurrence that was unrolled in it as a frame; what does not repeat exactly stays.

    Args:
        structure: The graph.
        nexts: Tensors by which states enter a step → those with their next values, where the caller knows them.

    Raises:
        CallError: The graph does not compute one of these from the other in one step.
    """
    given, graph = structure.graph, _without_waiting(structure.graph)
    structure = structure if graph is given else analyse(graph)
    found = chains.find(structure)
    if not found.masks:
        return Rewritten(given)
    sized = read_sizes_from_inputs(structure, found.masks)
    if sized is not graph:
        graph, structure = sized, analyse(sized)
        found = chains.find(structure)
    view = _view(structure, found)
    plans, rivals = _plans(view, found, nexts or {})
    if not plans:
        return Rewritten(given, rivals=rivals)
    nodes = dict(graph.nodes)
    idle = {plan.frame: write_frame(view, plan, nodes) for plan in plans}
    _sweep(nodes, set().union(*idle.values()))
    left = {n for p in plans if p.is_read for n in idle[p.frame] if n in nodes}
    steps = {name for plan in plans for images in plan.steps.images for name in images.values()}
    for name in left | _no_longer_read(graph, steps, nodes):
        nodes[name] = replace(nodes[name], attributes={**nodes[name].attributes, REPLACED: True})
    notes = tuple(note for p in plans for note in (_note(p), *p.why))
    return Rewritten(replace(graph, nodes=nodes), notes, rivals=rivals)


def _without_waiting(graph: Graph) -> Graph:
    """`graph` in which values are read at once that are passed on when something else has run: a state was saved.

    One step of several has such a node, which makes it unlike the others. A variable is another one after it has run.
    """
    late = {n.name: n.inputs[0] for n in graph if n.op == "Identity" and n.controls and n.inputs}
    late = {name: value for name, value in late.items() if weight_of(graph, value) is None}
    read = {v.node for node in graph for v in node.inputs} & set(late)
    if not read:
        return graph
    nodes = dict(graph.nodes)
    for node in (n for n in graph if any(v.node in read for v in n.inputs)):
        nodes[node.name] = replace(node, inputs=tuple(_at_once(v, late) for v in node.inputs))
    for name in read:
        nodes[name] = replace(nodes[name], attributes={**nodes[name].attributes, REPLACED: True})
    return replace(graph, nodes=nodes)


def _at_once(value: Value, late: Mapping[str, Value]) -> Value:
    seen: set[str] = set()  # in a damaged file a value may wait for itself
    while value.node in late and value.node not in seen:
        seen.add(value.node)
        value = late[value.node]
    return value


def _sweep(nodes: dict[str, Node], idle: set[str]) -> None:
    """Takes out idle nodes that nothing reads: they would look like results of the model."""
    readers = Counter(name for node in nodes.values() for name in _read_names(node))
    pending = [name for name in idle if not readers[name]]
    while pending:
        for name in _read_names(nodes.pop(pending.pop())):
            readers[name] -= 1
            if not readers[name] and name in idle:
                pending.append(name)


def _no_longer_read(before: Graph, steps: set[str], nodes: dict[str, Node]) -> set[str]:
    """What only the steps read that a frame now stands in for, such as a sequence taken apart."""
    was_read = set().union(*(_read_names(before.nodes[name]) for name in steps)) - steps
    return (was_read & set(nodes)) - set().union(*(_read_names(n) for n in nodes.values()))


def _read_names(node: Node) -> set[str]:
    return {v.node for v in node.inputs} | set(node.controls)


def _view(structure: Structure, found: chains.Chains) -> View:
    readers: dict[Value, list[tuple[str, int]]] = {}
    outputs: dict[str, dict[int, None]] = {}
    for node in structure.graph:
        for slot, value in enumerate(node.inputs):
            readers.setdefault(value, []).append((node.name, slot))
            outputs.setdefault(value.node, {})[value.index] = None
    position = {name: i for i, name in enumerate(structure.order)}
    trained = descendants(structure, applied_gradient_seeds(structure))
    return View(structure, Facts(structure), found.masks, readers, outputs, position, trained)


def _plans(view: View, found: chains.Chains, nexts: Mapping[str, str]) -> tuple[list[FramePlan], tuple[str, ...]]:
    """The recurrences among the chains `found` that become frames, and why others cannot be decided.

    `nexts` are the states that the caller names, each with its next value.
    """
    plans: dict[str, FramePlan] = {}
    known: set[str] = set()
    for cluster in sorted(found.clusters, key=lambda c: min(view.position[chain.anchors[0]] for chain in c)):
        steps = (
            correspond(view, cluster, wide=False)
            or beginnings.steps_after_first(view, cluster)
            or correspond(view, cluster)
        )
        if steps is None:
            continue
        used, _ = steps.needed(view.graph, [Value(a) for a in steps.anchors])
        own = {images[n] for images in steps.images for n in used if n in images}
        if not own.isdisjoint(known):  # the same steps, begun with another of their weights
            continue
        known |= own
        frame = frame_name(view, steps)
        if len(found.clusters) > 1:
            _record_stacked_values(view, frame, steps)
        plans[frame] = FramePlan(frame, steps, outputs_of(view, steps, used))
    copies = _independent(
        view, [copy for model in plans.values() for copy in step_copies.adopt(view, model, found.single)]
    )
    plans |= {copy.frame: copy for copy in sorted(copies, key=lambda c: len(c.outputs))}
    taken = {name for plan in plans.values() for images in plan.steps.images for name in images.values()}
    if not plans and view.graph.results and not view.structure.loops:
        repeated = ~sum(c.mask for c in found.single)
        step = declared.plan(view, find_cells(view, repeated), chosen_steps.pairs(view, nexts))
        if step is not None:
            return [step], ()
    if nexts:
        chosen = chosen_steps.read(view, nexts, list(plans.values()))
        return _with_linking_outputs(view, [*plans.values(), *chosen]), ()
    no_others = not plans and not view.structure.loops
    lone = lone_step.read(view, found.single, taken, no_others=no_others)
    plans |= {plan.frame: plan for plan in lone.plans}
    return _with_linking_outputs(view, beginnings.without_beginnings(view, plans.values())), lone.rivals


def _independent(view: View, copies: list[FramePlan]) -> list[FramePlan]:
    """Copies of one step that do not rest on each other.

    What one makes of its only step is no sequence to the other; layers of one step are a step only together.
    """
    made = {copy.frame: set(copy.steps.images[0].values()) for copy in copies}
    read = {
        copy.frame: ancestors(view.structure, [r.source for r in _rows(view, copy) if r.source is not None])
        for copy in copies
    }
    joined = {(a, b) for a in made for b in made if a != b and not made[a].isdisjoint(read[b])}
    return [copy for copy in copies if not any(copy.frame in pair for pair in joined)]


def _record_stacked_values(view: View, frame: str, steps: UnrolledSteps) -> None:
    """Lets the steps of another recurrence know what these make as the rows of a sequence."""
    for t, images in enumerate(steps.images):
        for value in _values(view, steps):
            source = stacked_name(frame, value)
            view.stacked[Value(images[value.node], value.index)] = TimeSlice(
                source, 0, t, kept=False, of=len(steps.images)
            )


def _with_linking_outputs(view: View, plans: list[FramePlan]) -> list[FramePlan]:
    """The plans, each making what another one reads; what is made so may need something of others again."""
    asked = {row.source for p in plans for row in _rows(view, p)}
    linked = []
    for plan in plans:
        made = {o.value for o in plan.outputs if o.kind is Collected.NOWHERE}
        values = (v for v in _values(view, plan.steps) if stacked_name(plan.frame, v) in asked and v not in made)
        linked.append(replace(plan, outputs=(*plan.outputs, *(StepOutput(v, Collected.NOWHERE) for v in values))))
    return plans if linked == plans else _with_linking_outputs(view, linked)


def _values(view: View, steps: UnrolledSteps) -> Iterator[Value]:
    """What the first step makes of itself alone, as far as something reads it."""
    for name in steps.order:
        yield from view.read_outputs(name)


def _rows(view: View, plan: FramePlan) -> tuple[SequenceRow, ...]:
    roots = [*map(Value, plan.steps.anchors), *(o.value for o in plan.outputs)]
    return plan.steps.rows(view.graph, plan.steps.needed(view.graph, roots)[0])


def _note(plan: FramePlan) -> str:
    first = plan.frame.removeprefix("unrolled/")
    if plan.count == 1:
        return f"one step of a recurrence is written out in the graph, at {first}"
    return f"{plan.count} steps written out in the graph, from {first}, are one recurrence"
