"""What an input or output means, read from the operators that use or make it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reprise.graph import Value
from reprise.interface.analysis.influence import ORDERINGS, ancestors, reachable
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.loops.states import writes_state
from reprise.interface.steps.axes import Axes
from reprise.operators import Tag, named
from reprise.operators.types import dtype
from reprise.structure import RESULTS, Structure

_LOOKUPS = named(Tag.LOOKUP) | {"OneHot"}
_PASSING = named(Tag.LAYOUT, Tag.SLICE, Tag.JOIN).union(
    "Identity Cast Split Unpack TensorArrayScatterV3 Enter Switch Merge NextIteration TensorListFromTensor Pack".split()
)
_ARRANGED = frozenset("Reshape Identity _Results Transpose ReverseSequence ReverseV2".split())
#: What is done with the lengths of rows: they are compared with a counter, or divide what was summed over the steps.
_COUNTING = ORDERINGS.union("Equal NotEqual Max Min Maximum Minimum ReverseSequence Sub Div RealDiv".split())
#: What is done with images and with the differences between numbers, not with one-hot vectors.
_OF_IMAGES_AND_CHANGES = frozenset(("Conv2D", "Sub", "SquaredDifference"))


def of_input(axes: Axes, value: Value, scores: Collection[int | None]) -> str:
    """`text`, `tokens`, `one-hot`, `features` or `lengths`.

    `scores` are the numbers of symbols for which the model has scores at each step: a vector of so many numbers, one
    of which is 1, is the way in of a symbol. Two features of a model that forecasts two are none.
    """
    users, timed = _users(axes.structure, value), axes.time_axis(value) is not None
    kind = dtype(axes.structure, value)
    if kind == "string":
        return "text"
    if kind.startswith(("int", "uint")):
        counted = not users & _LOOKUPS and not timed and users & _COUNTING
        return "lengths" if counted else "tokens"
    shape = axes.facts.shape(value) or ()
    width = shape[-1].scale if len(shape) >= 2 and shape[-1].known else 1
    return "one-hot" if width > 1 and width in scores and not users & _OF_IMAGES_AND_CHANGES else "features"


def scored_symbols(axes: Axes, wanted: Sequence[Value], used: tuple[Recurrence, ...]) -> set[int | None]:
    """How many symbols each of the outputs `wanted` scores that are logits or probabilities."""
    kinds = {v: of_output(axes, v, wanted, used) for v in wanted}
    return {_width(axes, v) for v, kind in kinds.items() if kind in ("logits", "probabilities")}


def _users(structure: Structure, value: Value) -> set[str]:
    """Operators that use a value's numbers, seen through those that only move them."""

    def moved(name: str) -> list[str]:
        return [c for c in structure.consumers[name] if structure.graph[c].op in _PASSING]

    readers = [c for c in structure.consumers[value.node] if value in structure.graph[c].inputs]
    passed = reachable([c for c in readers if structure.graph[c].op in _PASSING], moved)
    return {structure.graph[c].op for c in readers} | {
        structure.graph[c].op for name in passed for c in structure.consumers[name]
    }


def of_output(axes: Axes, value: Value, wanted: Sequence[Value], used: tuple[Recurrence, ...]) -> str:
    """`logits`, `probabilities`, `hidden`, `ids` or `values`."""
    if dtype(axes.structure, value).startswith(("int", "uint")):
        return "ids"
    if _producing_operator(axes.structure, used, value) == "Softmax":
        return "probabilities"
    scored = any(_feeds_softmax(axes.structure, value, other) for other in wanted) or _is_scored(axes.structure, value)
    if scored and _width(axes, value) != 1:  # of one number nothing can be chosen
        return "logits"
    if _width(axes, value) in _symbols(axes, used) and not is_hidden(axes.structure, used, value):
        return "logits"
    return "hidden" if is_hidden(axes.structure, used, value) else "values"


def is_hidden(structure: Structure, used: tuple[Recurrence, ...], value: Value) -> bool:
    """Whether a value is the sequence of a recurrence's own states."""
    hidden = {_stacking_node(structure, w.carried.final) for r in used for w in r.writes}
    at = structure.graph.through(value, _ARRANGED)
    return at.node in hidden and _is_state_element(structure, used, at)


def _width(axes: Axes, value: Value) -> int | None:
    shape = axes.facts.shape(value)
    return shape[-1].scale if shape and shape[-1].known else None


def _symbols(axes: Axes, used: tuple[Recurrence, ...]) -> set[int]:
    """The number of symbols of each table or one-hot code that the sequences are made by."""
    behind = ancestors(axes.structure, [read.stacked for r in used for read in r.reads])
    behind |= ancestors(axes.structure, [w.element for r in used for w in r.writes])
    sizes = set()
    for name in behind:
        node = axes.structure.graph[name]
        if node.op in ("Gather", "GatherV2", "ResourceGather"):
            table = axes.facts.shape(node.inputs[0])
            sizes |= {table[0].scale} if table and table[0].known else set()
        elif node.op == "OneHot":
            depth = axes.facts.content(node.inputs[1])
            sizes |= set() if depth is None else {int(depth.item())}
    return sizes


def _producing_operator(structure: Structure, used: tuple[Recurrence, ...], value: Value) -> str:
    """The operator that makes a value, or each row of it in a loop, seen through those that only arrange it."""
    rows = {_stacking_node(structure, w.carried.final): w.element for r in used for w in r.writes}
    node = structure.graph[value.node]
    while (node.name in rows and node.op != "_Results") or (node.op in _ARRANGED and node.inputs):
        node = structure.graph[structure.source(rows[node.name]).node if node.name in rows else node.inputs[0].node]
    return node.op


def _feeds_softmax(structure: Structure, value: Value, other: Value) -> bool:
    graph = structure.graph
    node = graph.producer(graph.through(other, ("Reshape", "Identity", RESULTS)))
    if node.op != "Softmax":
        return False

    def arranged(at: Value) -> tuple[Value, ...]:
        return graph[at.node].inputs[:1] if graph[at.node].op in ("Reshape", "Identity") else ()

    return value in reachable(node.inputs[:1], arranged)


def _is_scored(structure: Structure, value: Value) -> bool:
    """Whether a value is the first input of a cross entropy, or a choice is made over it."""
    scorers = {
        "SparseSoftmaxCrossEntropyWithLogits",
        "SoftmaxCrossEntropyWithLogits",
        "ArgMax",
        "Multinomial",
        "Softmax",
    }
    return bool(_users(structure, value) & scorers)


def _stacking_node(structure: Structure, final: Value | None) -> str | None:
    """The node that stacks the array that a loop wrote."""
    if final is None:
        return None
    users = structure.consumers[final.node]
    stackers = [
        n for n in users if structure.graph[n].op.startswith(("TensorArrayGather", "TensorListStack", "_Results"))
    ]
    return next(iter(stackers), None)


def _is_state_element(structure: Structure, used: tuple[Recurrence, ...], stacked: Value) -> bool:
    return any(
        _stacking_node(structure, w.carried.final) == stacked.node and writes_state(structure, r, w)
        for r in used
        for w in r.writes
    )
