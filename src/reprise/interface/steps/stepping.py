"""Whether T single steps are the same as one run of T steps.

They are when every number at step t is made of the inputs at step t and of the state. Each value outside the loops is
one of five kinds: *still* (no input of a sequence reaches it), *count* (it tells how many steps there are), *steps* (it
has the axis of time, and step t of it is made of step t), *end* (made of what the last step left behind), or mixed,
which is the obstacle. An operator that is not known to keep steps apart mixes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import ORDERINGS, SHAPE_ONLY, Influence, ancestors
from reprise.interface.analysis.settings import RANDOM
from reprise.interface.loops import hidden_state
from reprise.interface.loops.recurrences import Recurrence, ranking_node
from reprise.interface.steps import indices
from reprise.interface.steps.axes import PARTITIONS, Axes
from reprise.interface.steps.encoders import unchanged_values
from reprise.interface.steps.operators import kind_after
from reprise.operators import Tag, named
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import COUNT, END, STEPS, STILL, Kind
from reprise.structure import InBranch, InLoop, Structure

_ARRAYS = ("TensorArray", "TensorList")
#: Operators whose results are made of the numbers of one operand; the others say how large, where, along which axis.
_NUMBERS = {
    "Fill": 1,
    **dict.fromkeys("Tile BroadcastTo ExpandDims Reshape Transpose StridedSlice Slice Gather GatherV2".split(), 0),
    **dict.fromkeys("Sum Mean Max Min Prod".split(), 0),
}
_COMPUTES = named(Tag.ELEMENTWISE, Tag.SELECT, Tag.PRODUCT, Tag.JOIN).union(
    _NUMBERS, "Cast Identity Switch Merge BiasAdd Pack Squeeze".split()
)
_SEVERAL = frozenset({"Split", "SplitV", "Unpack"})
#: Operators that make as many numbers as a count says, none of which tells it: indices, random numbers, room for rows.
_ONLY_AS_MANY = RANDOM | {"Range"}
#: What makes another number of the number of steps.
_PARTS = named(Tag.ADDITION).union("Sub Div RealDiv FloorDiv TruncateDiv FloorMod Mod".split())


def obstacle(
    used: tuple[Recurrence, ...],
    axes: Axes,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    before: tuple[Recurrence, ...] = (),
) -> str:
    """Why the model cannot be stepped, or an empty string where it can.

    `used` are the recurrences that make the steps from `inputs` to `outputs`, `before` those that run before them.
    """
    still_held = next((c for r in used for c in r.states if axes.structure.source(c.leaving) == c.entering), None)
    if still_held is not None:
        return f"no step changes {still_held.entering}, which is a state only if some step does"
    if not any(axes.time_axis(v) is not None for v in inputs):
        return "" if _is_one_step(axes, used) else _searching(axes.structure, used) or _without_time(axes, inputs)
    kinds = _kinds(used, before, axes, inputs, outputs)
    for recurrence in used:
        why = hidden_state.obstacle(axes.structure, recurrence, outputs)
        if why:
            return why
        fixed = [r.stacked for r in recurrence.reads if kinds.get(r.stacked.node, STILL) == STILL]
        placed = next((v for v in fixed if indices.differ(axes, v, lambda n: kinds.get(n) == STEPS)), None)
        if placed is not None:
            return (
                f"loop {recurrence.loop.name!r} reads {placed}, numbers that depend on the position in the sequence, "
                "beside its input"
            )
    crowded = next((v for v in outputs if _rows_of_a_step(axes, v) > 1), None)
    if crowded is not None:
        return f"{crowded} has {_rows_of_a_step(axes, crowded)} rows for each step"
    mixed = [k.why for v in outputs if (k := kinds.get(axes.structure.result(v).node, STILL)).name == "mixed"]
    mixed += [k.why for r in used for read in r.reads if (k := kinds.get(read.stacked.node, STILL)).name == "mixed"]
    return mixed[0] if mixed else ""


def _without_time(axes: Axes, inputs: Sequence[Value]) -> str:
    """Why no input has a number of steps that is free."""
    for value in inputs:
        time = axes.named(value)[0]
        if time is not None:
            node = axes.structure.graph.nodes.get(axes.why_fixed(value))
            by = "the graph holds" if node is None else f"{node.op} {node.name!r} is"
            steps = axes.sizes(value)[time]
            return f"{value} has {steps} steps, one after the other, and {by} made for so many and no other number"
    return "no input has an axis of time: the graph makes the sequence itself from what it is given"


def _rows_of_a_step(axes: Axes, value: Value) -> int:
    """How many rows along its axis of time a value has for each step of the sequence."""
    axis = axes.time_axis(value)
    return 1 if axis is None else (axes.facts.shape(value) or ())[axis].scale


def _searching(structure: Structure, used: tuple[Recurrence, ...]) -> str:
    """The words for loops that go on with the best of several candidates, as a search by beams does; else none."""
    for recurrence in used:
        ranking = ranking_node(structure, recurrence)
        if ranking is not None:
            return (
                f"loop {recurrence.loop.name!r} searches: each step goes on with the best candidates of the last "
                f"({ranking.name}), and no input gives the symbols. Run it whole; to step the decoder, save a graph in "
                "which it reads symbols, as for training"
            )
    return ""


def _is_one_step(axes: Axes, used: tuple[Recurrence, ...]) -> bool:
    """Whether the graph is that of a single step, whose inputs have no room for others."""
    stacked = [axes.facts.shape(read.stacked) for r in used for read in r.reads]
    return bool(stacked) and all(shape and shape[0] == Dim(1) for shape in stacked)


def _kinds(
    used: tuple[Recurrence, ...],
    before: tuple[Recurrence, ...],
    axes: Axes,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
) -> dict[str, Kind]:
    """Node → what becomes of the steps of the `inputs` in it, for all that `outputs` and next states are computed from.

    `used` are the recurrences that make the steps, `before` those that run to their end first.
    """
    structure = axes.structure
    kinds = {v.node: STEPS if axes.time_axis(v) is not None else STILL for v in inputs}
    loops = {c.final.node: r for r in (*used, *before) for c in r.loop.carried if c.final is not None}
    results = [*outputs, *(c.final for r in used for c in r.states if c.final is not None)]
    wanted = ancestors(structure, results)
    wanted |= ancestors(structure, [v for n in wanted for v in _deciding(structure, structure.graph[n])])
    pending = [n for n in structure.order if n in wanted and n not in kinds and not _is_in_a_loop(structure, n)]
    while pending:  # once more for each loop that is read by the next
        unsettled = set(pending)
        for name in pending:
            if not any(v.node in unsettled for v in _needed(structure, name, loops)):
                recurrence = loops.get(name)
                if recurrence is None:
                    kinds[name] = _of_node(axes, structure.graph[name], kinds)
                elif name not in kinds:
                    kinds |= _kinds_after_loop(axes, kinds, recurrence, whole=recurrence in before)
                unsettled.discard(name)
        if len(unsettled) == len(pending):
            return kinds | {name: Kind("mixed", f"{name!r} is computed from itself") for name in pending}
        pending = [name for name in pending if name in unsettled]
    return kinds


def _needed(structure: Structure, name: str, loops: Mapping[str, Recurrence]) -> list[Value]:
    """What has to be known before a node: of what a loop leaves, all that comes into the loop."""
    recurrence = loops.get(name)
    if recurrence is None:
        node = structure.graph[name]
        return [*(structure.result(v) for v in node.inputs), *_deciding(structure, node)]
    entering = [c.initial for c in recurrence.loop.carried]
    return [*entering, *unchanged_values(structure, recurrence).values(), *(r.stacked for r in recurrence.reads)]


def _deciding(structure: Structure, node: Node) -> list[Value]:
    """What decides which of its inputs a node behind a conditional takes."""
    if node.op != "Merge":
        return []
    return [e.predicate for v in node.inputs for e in structure.context(v)[-1:] if isinstance(e, InBranch)]


def _is_in_a_loop(structure: Structure, name: str) -> bool:
    return any(isinstance(e, InLoop) for e in structure.context(Value(name)))


def _kinds_after_loop(axes: Axes, kinds: dict[str, Kind], recurrence: Recurrence, *, whole: bool) -> dict[str, Kind]:
    """What a loop leaves behind: rows in its arrays, the end in its variables; a `whole` one runs before the steps."""
    mixed = _to_its_end(axes, kinds, recurrence) if whole else _mixed_in_loop(axes.structure, kinds, recurrence)
    written = {w.carried for w in recurrence.writes}
    return {
        c.final.node: mixed or (STEPS if c in written else END) for c in recurrence.loop.carried if c.final is not None
    }


def _mixed_in_loop(structure: Structure, kinds: dict[str, Kind], recurrence: Recurrence) -> Kind | None:
    """What in a loop is made of several steps."""
    reads = [kinds.get(r.stacked.node, STILL) for r in recurrence.reads]
    others = [kinds.get(v.node, STILL) for v in _used_constants(structure, recurrence)]
    for kind in (*reads, *others):
        if kind.name == "mixed":
            return kind
    if any(k in (STEPS, END) for k in others):
        return Kind("mixed", f"every iteration of loop {recurrence.loop.name!r} looks at a whole sequence")
    if _computes_with_the_count(structure, recurrence, kinds):
        return Kind("mixed", f"loop {recurrence.loop.name!r} computes with the number of steps")
    return None


def _to_its_end(axes: Axes, kinds: dict[str, Kind], recurrence: Recurrence) -> Kind:
    """The kind of what `recurrence` leaves, which runs before or within the steps, from the `kinds` of what it reads.

    No iteration may look at several steps.
    """
    seen = [r.stacked for r in recurrence.reads] + [c.initial for c in recurrence.states]
    fixed = [kinds.get(v.node, STILL) for v in _used_constants(axes.structure, recurrence)]
    every = [STILL if kind == COUNT else kind for kind in (*(kinds.get(v.node, STILL) for v in seen), *fixed)]
    mixed = next((k for k in every if k.name == "mixed"), None)
    if mixed is not None:
        return mixed
    if all(k == STILL for k in every):
        return STILL
    if (
        all(k in (STILL, STEPS) for k in every)
        and STEPS not in fixed
        and not any(0 in axes.timed(v) for v in seen[: len(recurrence.reads)])
    ):
        return STEPS
    return Kind("mixed", f"loop {recurrence.loop.name!r} looks at the whole sequence before the first step")


def _used_constants(structure: Structure, recurrence: Recurrence) -> list[Value]:
    """Values from outside whose numbers the body computes with, the sequences that it reads aside."""
    constants = unchanged_values(structure, recurrence)
    return [constants[inner] for inner in _used(structure, recurrence, constants, SHAPE_ONLY)]


def _used(
    structure: Structure, recurrence: Recurrence, inside: Iterable[Value], blocked: frozenset[str]
) -> list[Value]:
    """Those of the values `inside` a loop that an iteration computes with, not by way of the operators `blocked`."""
    influence = Influence(structure, tuple(inside), blocked, within=recurrence.loop.name)
    results = [c.leaving for c in recurrence.loop.carried] + [w.element for w in recurrence.writes]
    used = {value for result in results for value in influence.of(result)}
    return [value for value in inside if value in used]


def _computes_with_the_count(structure: Structure, recurrence: Recurrence, kinds: dict[str, Kind]) -> bool:
    """Whether the number of steps is more to a loop than its end: only a part of it is compared with, or it is used."""
    counts = {inner: v for inner, v in unchanged_values(structure, recurrence).items() if kinds.get(v.node) == COUNT}
    parts = [
        inner
        for inner, outer in counts.items()
        if any(structure.graph[n].op in _PARTS for n in ancestors(structure, [outer]) if kinds.get(n) == COUNT)
    ]
    parts += [
        Value(node.name)
        for node in structure.graph
        if node.op in _PARTS and any(structure.plain(v) in counts for v in node.inputs)
    ]
    ends = SHAPE_ONLY | {"LoopCond"}
    return bool(_used(structure, recurrence, counts, ends | ORDERINGS) or _used(structure, recurrence, parts, ends))


def _of_node(axes: Axes, node: Node, kinds: dict[str, Kind]) -> Kind:
    above = [kinds.get(axes.structure.result(v).node, STILL) for v in node.inputs]
    deciding = [kinds.get(axes.structure.result(v).node, STILL) for v in _deciding(axes.structure, node)]
    numbers = [kind for i, kind in enumerate(above) if _NUMBERS.get(node.op, i) == i]
    counted = COUNT in (*numbers, *deciding)
    if node.op in SHAPE_ONLY or all(kind in (STILL, COUNT) for kind in (*above, *deciding)):
        return COUNT if _holds_count(axes, node, otherwise=counted) else STILL
    mixed = next((k for k in (*above, *deciding) if k.name == "mixed"), None)
    if mixed is not None:
        return mixed
    if counted and node.op in _COMPUTES:
        return Kind("mixed", f"{node.op} {node.name!r} computes with the number of steps")
    return _of_steps(axes, node, [STILL if k == COUNT else k for k in above], deciding, kinds)


def _holds_count(axes: Axes, node: Node, *, otherwise: bool) -> bool:
    """Whether the number of steps is among the numbers that a node makes where no step reaches it.

    Where they are not known, or are those of the first output alone, it is as for its inputs: `otherwise`.
    """
    content = None if node.op in _SEVERAL else axes.facts.of(Value(node.name)).content
    if content is None:
        return otherwise and node.op not in _ONLY_AS_MANY and not node.op.startswith(_ARRAYS)
    return any(isinstance(size, Dim) and axes.holds_time(size) for size in content.flat)


def _of_steps(axes: Axes, node: Node, above: list[Kind], deciding: list[Kind], kinds: dict[str, Kind]) -> Kind:
    if STEPS not in (*above, *deciding):
        return END
    if node.op.startswith(_ARRAYS):
        return STEPS
    if END in (*above, *deciding):
        return Kind("mixed", f"{node.op} {node.name!r} joins every step with the last one")
    return _placed(axes, node, above, kinds) or kind_after(axes, node, above)


def _placed(axes: Axes, node: Node, above: list[Kind], kinds: dict[str, Kind]) -> Kind | None:
    """The obstacle where rows meet what no step reaches and what is not the same at every step."""
    fixed = [v for v, kind in zip(node.inputs, above, strict=True) if kind == STILL and axes.timed(v)]
    differ = (indices.differ(axes, v, lambda n: kinds.get(n) == STEPS) for v in fixed)
    if node.op in PARTITIONS or node.op == "_Results" or not any(differ):
        return None
    return Kind(
        "mixed", f"{node.op} {node.name!r} joins each step with numbers that depend on its position in the sequence"
    )
