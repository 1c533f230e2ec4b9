"""The recurrent interface of a graph: what is input, output and state, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from reprise.errors import AmbiguousInterface, CallError, NoRecurrence
from reprise.graph import VARIABLES, Graph, Value
from reprise.interface import outputs, paths, recurrences, settings
from reprise.interface.choices import Choices, named
from reprise.interface.describe import Discovery, describe
from reprise.interface.facts import Facts
from reprise.interface.feedback import open_feedback
from reprise.interface.influence import ancestors
from reprise.interface.normal import normalise
from reprise.interface.recurrences import Recurrence
from reprise.interface.structure import Structure

_PRODUCTS = frozenset("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3".split())


def discover(graph: Graph, choices: Choices | None = None) -> Discovery:
    """The recurrent interface of `graph`; time is linear in its size.

    Args:
        graph: As the file holds it.
        choices: What the caller decides.

    Raises:
        NoRecurrence: Nothing carries state from step to step.
        AmbiguousInterface: Several readings are equally good.
        CallError: A choice names a tensor that the graph does not have.
    """
    choices = choices or Choices()
    normal = normalise(graph, choices.inputs)
    found = recurrences.find(normal.structure)
    if not found:
        raise NoRecurrence(_without_recurrence(normal.structure, graph, normal.unread))
    opened = normal.after(partial(open_feedback, found=found))
    if opened.structure is not normal.structure:
        found = recurrences.find(opened.structure)
    structure, notes = opened.structure, opened.notes
    wanted, used, why = _choose(structure, found, choices)
    return describe(structure, used, wanted, choices, (*notes, *why, *_left_written_out(structure, wanted)))


def _without_recurrence(structure: Structure, graph: Graph, unread: tuple[str, ...]) -> str:
    loops = sum(n.op in ("LoopCond", "While", "StatelessWhile") for n in graph)
    products = sum(n.op in _PRODUCTS for n in graph)
    seen = f"{len(graph.nodes)} nodes, {products} matrix products, {loops} loops"
    if unread:
        return f"no recurrence of the graph can be read ({seen}): {'; '.join(unread)}"
    repeated = _in_turn(structure, set(structure.order))
    if repeated:
        weight, times = repeated
        return (
            f"the graph multiplies what it computes with {weight} {times} times in turn ({seen}), as steps do that are "
            "written out one after the other, but these are not alike, so no one of them stands for the others: some "
            "compute parts of the state that others leave as they are, or the layers are joined in another way. Save "
            "the model with a loop, or with steps that all compute the same."
        )
    return (
        f"the graph carries no state from step to step ({seen}): no loop variable, repeated cell or fused operator "
        "whose next value depends on its last. It is a feed-forward model, or only a part of the recurrent one was "
        "saved."
    )


def _left_written_out(structure: Structure, wanted: Sequence[Value]) -> tuple[str, ...]:
    """What to say of steps outside the loops that are no recurrence: a decoder that reads only its own output."""
    repeated = _in_turn(structure, ancestors(structure, wanted))
    if repeated is None:
        return ()
    weight, times = repeated
    return (
        f"{weight} is multiplied {times} times in turn outside the loops: steps written out that read no input of "
        "their own, or are not alike, are no recurrence here; all of them run with every call",
    )


def _in_turn(structure: Structure, among: Collection[str]) -> tuple[Value, int] | None:
    """The factor that most products `among` some nodes share, each computed from the others, and how many they are."""
    products: dict[Value, list[Value]] = {}
    for name in (n for n in structure.order if n in among):
        node = structure.graph[name]
        factors = [_stored(structure, v) for v in node.inputs[:2]] if node.op in _PRODUCTS else []
        for factor in dict.fromkeys(factors):
            products.setdefault(factor, []).append(Value(name))
    chains = {w: made for w, made in products.items() if len(made) > 2 and _is_chain(structure, made)}
    most = max(chains, key=lambda w: len(chains[w]), default=None)
    return None if most is None else (most, len(chains[most]))


def _stored(structure: Structure, value: Value) -> Value:
    """Where a factor comes from; a resource variable is read anew for every product."""
    origin = structure.origin(value)
    node = structure.graph[origin.node]
    return structure.origin(node.inputs[0]) if node.op == "ReadVariableOp" else origin


def _is_chain(structure: Structure, products: Sequence[Value]) -> bool:
    """Whether the last product is computed from all the others."""
    *before, last = products
    return {v.node for v in before} <= ancestors(structure, [last])


def _choose(
    structure: Structure, found: tuple[Recurrence, ...], choices: Choices
) -> tuple[tuple[Value, ...], tuple[Recurrence, ...], tuple[str, ...]]:
    if choices.outputs:
        values = tuple(named(structure, name, "outputs") for name in choices.outputs)
        behind = ancestors(structure, values)
        used = tuple(r for r in found if any(c.final and c.final.node in behind for c in r.loop.carried))
        if not used:
            raise NoRecurrence(f"outputs {', '.join(choices.outputs)}: they depend on no recurrence of the graph")
        every = _upstream_too(structure, _feeding(structure, found), used)
        return values, every, (f"outputs chosen: {', '.join(choices.outputs)}",)
    given = tuple(named(structure, name, "inputs") for name in choices.inputs)
    scoring = paths.find(structure)
    models = tuple(r for r in found if r.loop.name not in {p.loop for p in scoring})
    if not models:
        scoring, models = (), found
    predicted = outputs.predictions(structure, models, given, {p.scores: p.parts for p in scoring})
    values, used, why = _select(structure, _groups(structure, models, predicted), choices)
    return values, used, (*why, *(str(p) for p in scoring if p.scores in values))


_Feeding = Mapping[Recurrence, Sequence[Recurrence]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Outputs that rest on the same recurrences: one model of the graph."""

    outputs: tuple[Value, ...]
    recurrences: tuple[Recurrence, ...]


def _groups(structure: Structure, found: tuple[Recurrence, ...], predicted: outputs.Predictions) -> list[_Group]:
    groups: dict[tuple[str, ...], list[Value]] = {}
    members: dict[tuple[str, ...], tuple[Recurrence, ...]] = {}
    feeding = _feeding(structure, found)
    for value, uses in zip(predicted.values, predicted.uses, strict=True):
        every = _upstream_too(structure, feeding, uses)
        key = tuple(r.loop.name for r in every)
        groups.setdefault(key, []).append(value)
        members[key] = every
    merged = _merge_nested(groups)
    return [_Group(tuple(values), members[key]) for key, values in merged.items()]


def _merge_nested(groups: dict[tuple[str, ...], list[Value]]) -> dict[tuple[str, ...], list[Value]]:
    """A group whose loops are all part of a larger group is a by-product of that one."""
    largest = {
        key: next((k for k in sorted(groups, key=len, reverse=True) if set(key) <= set(k)), key) for key in groups
    }
    return {key: values for key, values in groups.items() if largest[key] == key}


def _feeding(structure: Structure, found: tuple[Recurrence, ...]) -> _Feeding:
    """For each recurrence the others that it depends on; whatever feeds these feeds it too."""

    def behind(one: Recurrence) -> list[Recurrence]:
        names = ancestors(structure, [v for c in one.loop.carried for v in (c.leaving, c.initial)])
        return [r for r in found if r is not one and any(c.final and c.final.node in names for c in r.loop.carried)]

    return {r: behind(r) for r in found}


def _upstream_too(structure: Structure, feeding: _Feeding, used: Sequence[Recurrence]) -> tuple[Recurrence, ...]:
    """`used` and the recurrences that feed them, in the order of the data."""
    every = {*used, *(other for r in used for other in feeding[r])}
    place = {name: i for i, name in enumerate(structure.order)}
    return tuple(sorted(every, key=lambda r: (len(feeding[r]), min(place[c.enter] for c in r.loop.carried))))


def _select(
    structure: Structure, groups: list[_Group], choices: Choices
) -> tuple[tuple[Value, ...], tuple[Recurrence, ...], tuple[str, ...]]:
    if choices.scope:
        scope = choices.scope.rstrip("/") + "/"
        groups = [g for g in groups if any(v.node.startswith(scope) for v in g.outputs)]
        if not groups:
            raise CallError(f"scope {choices.scope!r}: no output of a recurrence lies in it")
    if not groups:
        raise NoRecurrence(
            "the graph has a recurrence, but nothing outside the training part is computed from it; "
            "name a tensor with outputs="
        )
    ranked = sorted(groups, key=lambda g: (_rank(structure, g), -len(_weights(structure, g))))
    best = ranked[0]
    rivals = [
        g for g in ranked[1:] if _rank(structure, g) == _rank(structure, best) and not _is_within(structure, g, best)
    ]
    if rivals:
        listed = "; ".join(", ".join(str(v) for v in g.outputs) for g in [best, *rivals])
        raise AmbiguousInterface(
            f"{1 + len(rivals)} models of this graph are equally good: {listed}. "
            "Choose with scope= (--scope) or outputs= (--output)."
        )
    why: tuple[str, ...] = ()
    if len(ranked) > 1:
        others = ", ".join(str(g.outputs[0]) for g in ranked[1:])
        why = (
            f"{len(ranked)} models in the graph; chosen: the one without random numbers and with the fewest steps and "
            f"rows baked in, not that of {others}",
        )
    return best.outputs, best.recurrences, why


def _rank(structure: Structure, group: _Group) -> tuple[int, int, int]:
    """Lower is better: no random numbers in it, few steps baked in, few rows baked in."""
    random = any(structure.graph[n].op.startswith(settings.RANDOM) for n in _behind(structure, group))
    static = Facts(structure)
    baked = [static.shape(read.stacked) or () for r in group.recurrences for read in r.reads]
    steps = [s[0].scale for s in baked if s and s[0].known]
    rows = [s[1].scale for s in baked if len(s) > 1 and s[1].known]
    return int(random), max(steps, default=0), max(rows, default=0)


def _behind(structure: Structure, group: _Group) -> set[str]:
    return ancestors(structure, group.outputs)


def _is_within(structure: Structure, one: _Group, other: _Group) -> bool:
    """Whether all weights of one model are weights of the other: another copy of it, or a part."""
    own = _weights(structure, one)
    return bool(own) and own <= _weights(structure, other)


def _weights(structure: Structure, group: _Group) -> set[str]:
    return {n for n in _behind(structure, group) if structure.graph[n].op in VARIABLES}
