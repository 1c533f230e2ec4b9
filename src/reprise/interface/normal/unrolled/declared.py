"""One step whose states the file declares: a function that assigns them to variables, or takes and gives them.

What a variable held before the call and what is assigned to it are the same state before and after the step, whatever
the cell computes. Of arguments and results the cell's equations tell which belong together, or that there is only one
way: a result of the same type and shape that is computed from the argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from reprise.errors import AmbiguousInterface
from reprise.graph import GROUP, VARIABLES, Node, Value
from reprise.interface.analysis.influence import DISCRETE, Influence
from reprise.interface.analysis.settings import is_setting
from reprise.interface.normal.assignments import ASSIGN
from reprise.interface.normal.unrolled import pairings
from reprise.interface.normal.unrolled.cells import KnownCell
from reprise.interface.normal.unrolled.collected import Collected, StepOutput
from reprise.interface.normal.unrolled.flow import PARTS
from reprise.interface.normal.unrolled.replacements import FramePlan, frame_name
from reprise.interface.normal.unrolled.step_copies import row_of
from reprise.interface.normal.unrolled.steps import COMPUTED, SAME, CarriedState, Role, SequenceRow, UnrolledSteps, View
from reprise.operators.types import FLOATS, dtype


def plan(view: View, known_cells: Iterable[KnownCell], chosen: Mapping[Value, Value]) -> FramePlan | None:
    """The step, None where the file declares no states, or has loops of its own.

    Args:
        view: The graph.
        known_cells: Cells that are told by their equations.
        chosen: Every state and its next value, where the caller says so.

    Raises:
        AmbiguousInterface: There is more than one way to tell which argument a result is given as.
    """
    graph = view.graph
    if not graph.results or view.structure.loops:
        return None
    found = [CarriedState(a, _named_result(view, b)) for a, b in chosen.items()] or _declared_states(view, known_cells)
    if not found:
        return None
    steps = _Step(view, found).steps([*(s.next for s in found), *graph.results])
    outputs = tuple(_outputs(view, steps, {s.next for s in found}))
    return FramePlan(frame_name(view, steps), steps, outputs)


def _declared_states(view: View, known_cells: Iterable[KnownCell]) -> list[CarriedState]:
    """The states that the file itself tells."""
    known, known_cells = tuple(_assigned(view)), tuple(known_cells)
    known += tuple(_of_cells(view, (s for cell in known_cells for s in cell.states), known))
    return [
        *known,
        *_paired_states(view, known, {_divided_source(view, s.initial) for cell in known_cells for s in cell.states}),
    ]


def _assigned(view: View) -> Iterator[CarriedState]:
    """What variables hold before and after the step."""
    reads = {n.inputs[0]: n for n in view.graph if n.op == "ReadVariableOp"}
    for node in view.graph:
        read = reads.get(node.inputs[0]) if node.op == ASSIGN else None
        if read is not None and dtype(view.structure, Value(read.name)) in FLOATS:
            yield CarriedState(Value(read.name), node.inputs[1])


def _named_result(view: View, value: Value) -> Value:
    """A value by the name that it has as a result of the file, or itself."""
    named = [r for r in view.graph.results if view.graph[r.node].inputs[:1] == (value,)]
    return named[-1] if named else value


def _of_cells(view: View, cells: Iterable[CarriedState], known: Collection[CarriedState]) -> Iterator[CarriedState]:
    """The states of known cells that come from an argument and go to a result."""
    taken = {s.initial for s in known}
    for state in cells:
        result = _named_result(view, state.next)
        if _is_argument(view, state.initial) and result != state.next and state.initial not in taken:
            yield CarriedState(state.initial, result)


def _is_argument(view: View, value: Value) -> bool:
    return view.graph[value.node].op == "Placeholder" and not is_setting(view.structure, value)


def _divided_source(view: View, value: Value) -> Value:
    """What a value is cut out of."""
    while (node := view.graph[value.node]).op in PARTS:
        value = node.inputs[node.op == "Split"]
    return value


def _paired_states(view: View, known: Sequence[CarriedState], packed: Collection[Value]) -> list[CarriedState]:
    """Arguments and results that belong together, where something is left for an input and for an output.

    Where an input and an output would do for a state too, the states of cells are cut out of the arguments `packed`.
    """
    arguments = [Value(n.name) for n in view.graph if _is_argument(view, Value(n.name))]
    settled = {s.initial for s in known} & {*arguments}
    fitting = _fitting(view, [a for a in arguments if a not in settled], known)
    pairs = pairings.largest(fitting)
    if len(pairs) + len(settled) in (len(arguments), len(view.graph.results)):
        if len(pairs) > 1 and not packed & fitting.keys():  # all but one of them are states, and any may be the one
            raise _ambiguous(fitting, known)
        fitting = {a: results for a, results in fitting.items() if a in packed}
        pairs = pairings.largest(fitting)
    if not pairs or len(pairs) + len(settled) in (len(arguments), len(view.graph.results)):
        return []
    if pairings.is_ambiguous(fitting, pairs):
        pairs = _in_order(view, fitting, known)
    return [CarriedState(a, r) for a, r in pairs.items()]


def _fitting(view: View, arguments: Sequence[Value], known: Sequence[CarriedState]) -> dict[Value, list[Value]]:
    """For each argument the results of its type and shape that are computed from it."""
    floats = [a for a in arguments if _is_float(view, a)]
    taken = {_named_result(view, s.next) for s in known}
    results = [r for r in view.graph.results if r not in taken and _is_float(view, r)]
    reached = Influence(view.structure, floats)
    return {a: [r for r in results if reached.mask(r) & reached.mask(a) and _same_shape(view, a, r)] for a in floats}


def _in_order(
    view: View, fitting: Mapping[Value, Sequence[Value]], known: Sequence[CarriedState]
) -> dict[Value, Value]:
    """The arguments of one nested structure with the results of another that has as many, in the same order."""
    settled = {s.initial: s.next for s in known}
    wanted = {a for a, results in fitting.items() if results}
    found = []
    for given in _groups(view, [*fitting, *settled]):
        for made in (g for g in _groups(view, view.graph.results) if len(g) == len(given)):
            pairs = dict(zip(given, made, strict=True))
            if wanted <= pairs.keys() and all(settled.get(a) == r or r in fitting.get(a, ()) for a, r in pairs.items()):
                found.append({a: r for a, r in pairs.items() if a in wanted})
    if len(found) != 1:
        raise _ambiguous(fitting, known)
    return found[0]


def _ambiguous(fitting: Mapping[Value, Sequence[Value]], known: Sequence[CarriedState]) -> AmbiguousInterface:
    open_ones = {str(a): [str(r) for r in results] for a, results in fitting.items() if results}
    listed = "; ".join(f"{a} with {' or '.join(results)}" for a, results in open_ones.items())
    example = {str(s.initial): str(s.next) for s in known} | {a: results[0] for a, results in open_ones.items()}
    return AmbiguousInterface(
        "the file does not say which arguments of a step are its states, and which results their next values: "
        f"{listed}. Say where every state enters and what its next value is, such as "
        f"states={example} ({' '.join(f'--state-tensor {a}={r}' for a, r in example.items())})"
    )


def _groups(view: View, values: Iterable[Value]) -> list[list[Value]]:
    """Those of the arguments or results that stand in one nested structure, for each structure, in the file's order."""
    groups: dict[bytes, list[Value]] = {}
    for value in sorted(values, key=lambda v: view.position[v.node]):
        group = view.graph[value.node].attributes.get(GROUP)
        if isinstance(group, bytes) and group:
            groups.setdefault(group, []).append(value)
    return list(groups.values())


def _is_float(view: View, value: Value) -> bool:
    return dtype(view.structure, value) in FLOATS


def _same_shape(view: View, argument: Value, result: Value) -> bool:
    one, two = view.facts.shape(argument), view.facts.shape(result)
    if one is None or two is None or len(one) != len(two) or not one:
        return False
    return all(a == b or not (a.known and b.known) for a, b in zip(one, two, strict=True))


class _Step:
    """Tells what every input of the step is, from the results back to what comes from outside."""

    def __init__(self, view: View, states: Sequence[CarriedState]) -> None:
        self._view = view
        self._states = {s.initial: s for s in states}
        rows = [
            Value(n.name) for n in view.graph if _is_argument(view, Value(n.name)) and Value(n.name) not in self._states
        ]
        self._moving = Influence(view.structure, [*self._states, *rows], ())

    def steps(self, roots: Sequence[Value]) -> UnrolledSteps:
        """The step that makes `roots`."""
        pending, seen = [r.node for r in roots], set[str]()
        roles: dict[tuple[str, int], Role] = {}
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            for slot, value in enumerate(self._view.graph[name].inputs):
                roles[name, slot] = self._role(value)
                pending += [value.node] if roles[name, slot] == COMPUTED else []
        order = tuple(sorted(seen, key=self._view.position.__getitem__))
        members = {r: (r.first,) for r in roles.values() if isinstance(r, SequenceRow) and r.source is None}
        anchors = tuple(dict.fromkeys(s.next.node for s in self._states.values()))
        return UnrolledSteps(roles, ({n: n for n in seen},), order, anchors, members, {})

    def _role(self, value: Value) -> Role:
        if value in self._states:
            return self._states[value]
        if not self._moving.mask(value):
            return SAME
        if _is_argument(self._view, value):
            return SequenceRow(value, None)
        row = row_of(self._view, value)
        return row if row.axis >= 0 and row.source is not None and _is_argument(self._view, row.source) else COMPUTED


def _outputs(view: View, steps: UnrolledSteps, carried: Collection[Value]) -> Iterator[StepOutput]:
    """The results that are no states, and the scores behind probabilities and draws."""
    results = [r for r in view.graph.results if r not in carried and r.node in steps.images[0]]
    scores = [v for name in steps.order for v in _scores(view, view.graph[name], steps)]
    for value in dict.fromkeys((*results, *scores)):
        yield StepOutput(value, Collected.SINGLY, value.node)


def _scores(view: View, node: Node, steps: UnrolledSteps) -> Iterator[Value]:
    if node.op in DISCRETE or node.op == "Softmax":
        scores = node.inputs[0]
        if steps.roles[node.name, 0] == COMPUTED and view.graph[scores.node].op not in VARIABLES:
            yield scores
