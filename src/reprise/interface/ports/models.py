"""Which of the models of a graph is wanted; outputs that rest on the same recurrences are one model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reprise.errors import AmbiguousInterface, CallError, NoRecurrence
from reprise.frame import STEP_TENSORS
from reprise.graph import VARIABLES, Value
from reprise.interface.analysis import settings
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import ancestors
from reprise.interface.analysis.named import named_value
from reprise.interface.loops import path_scores
from reprise.interface.loops.recurrences import Recurrence, ranking_node
from reprise.interface.ports import outputs, roles
from reprise.interface.ports.choices import Choices
from reprise.interface.ports.ends import only_rearranges
from reprise.operators.types import dtype
from reprise.structure import Structure


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a graph.

    Attributes:
        outputs: What it gives, in the order of the file.
        recurrences: The loops that its outputs rest on, in the order of the data.
    """

    outputs: tuple[Value, ...]
    recurrences: tuple[Recurrence, ...]


def choose(structure: Structure, found: Sequence[Recurrence], choices: Choices) -> tuple[Model, tuple[str, ...]]:
    """The model that the choices name, else the only one or the best; and why it was chosen.

    Raises:
        NoRecurrence: Nothing that is wanted depends on any of the recurrences `found`.
        AmbiguousInterface: Several models are equally good.
        CallError: A choice names a tensor that the graph does not have, or a scope without an output.
    """
    if choices.outputs:
        return _named(structure, found, choices.outputs), (f"outputs chosen: {', '.join(choices.outputs)}",)
    declared = _made_by_recurrences(structure, found, choices.declared)
    if drawing(structure, found, choices):
        return _named(structure, found, declared), (f"outputs that the file declares: {', '.join(declared)}",)
    given = tuple(named_value(structure, name, "inputs") for name in choices.inputs)
    scoring = path_scores.find(structure)
    loops = tuple(r for r in found if r.loop.name not in {p.loop for p in scoring})
    if not loops:
        scoring, loops = (), tuple(found)
    predicted = outputs.predictions(structure, loops, given, {p.scores: p.parts for p in scoring})
    models = _within(structure, _models(structure, loops, predicted), choices.scope)
    model, why = _best(structure, models if choices.scope else _joined(structure, models))
    shown = {structure.source(v) for v in model.outputs}
    numbers = (str(v) for v in structure.graph.results if dtype(structure, v) != "string")  # texts are looked up after
    results = _made_by_recurrences(structure, found, numbers)
    more = [name for name in dict.fromkeys((*declared, *results)) if structure.source(Value.parse(name)) not in shown]
    if more and not choices.scope:
        model = _named(structure, found, [*map(str, model.outputs), *more])
        why = (*why, f"outputs that the file declares besides: {', '.join(more)}")
    return model, (*why, *(str(p) for p in scoring if p.scores in model.outputs))


def drawing(structure: Structure, found: Sequence[Recurrence], choices: Choices) -> tuple[Recurrence, ...]:
    """The loops that draw symbols which are wanted as they are: chosen as outputs, or declared as such by the file."""
    names = choices.outputs or _made_by_recurrences(structure, found, choices.declared)
    values = [v for n in names if (v := Value.parse(n)).node in structure.graph]
    ids = [v for v in values if dtype(structure, v).startswith("int")]
    draws = [r for r in _behind(structure, ids, found) if r.fed_back or ranking_node(structure, r)]
    return tuple(draws)


def _made_by_recurrences(structure: Structure, found: Sequence[Recurrence], declared: Iterable[str]) -> tuple[str, ...]:
    """The outputs that a file declares, as far as a recurrence makes them; states are none."""
    finals = {c.final for r in found for c in r.states}
    values = [v for name in declared if (v := Value.parse(name)).node in structure.graph]
    made = [v for v in values if _behind(structure, [v], found)]
    return tuple(str(v) for v in made if not only_rearranges(structure, v, finals))


def _named(structure: Structure, found: Sequence[Recurrence], names: Sequence[str]) -> Model:
    """The model that computes the tensors of these names."""
    values = tuple(named_value(structure, name, "outputs") for name in names)
    used = _behind(structure, values, found)
    if not used:
        raise NoRecurrence(f"outputs {', '.join(names)}: they depend on no recurrence of the graph")
    return Model(values, _upstream_too(structure, _feeding(structure, found), used))


def _behind(structure: Structure, values: Collection[Value], found: Sequence[Recurrence]) -> list[Recurrence]:
    """The recurrences that `values` depend on."""
    names = ancestors(structure, values)
    return [r for r in found if any(c.final and c.final.node in names for c in r.loop.carried)]


_Feeding = Mapping[Recurrence, Sequence[Recurrence]]


def _feeding(structure: Structure, found: Sequence[Recurrence]) -> _Feeding:
    """For each recurrence the others that it depends on; whatever feeds these feeds it too."""
    inside = {r: [v for c in r.loop.carried for v in (c.leaving, c.initial)] for r in found}
    return {r: [other for other in _behind(structure, inside[r], found) if other is not r] for r in found}


def _upstream_too(structure: Structure, feeding: _Feeding, used: Sequence[Recurrence]) -> tuple[Recurrence, ...]:
    """`used` and the recurrences that feed them, in the order of the data."""
    every = {*used, *(other for r in used for other in feeding[r])}
    position = {name: i for i, name in enumerate(structure.order)}
    return tuple(sorted(every, key=lambda r: (len(feeding[r]), min(position[c.enter] for c in r.loop.carried))))


def _models(
    structure: Structure, found: Sequence[Recurrence], predicted: Mapping[Value, Sequence[Recurrence]]
) -> list[Model]:
    """The models of the graph; one whose loops are all part of a larger one is a by-product of that."""
    feeding = _feeding(structure, found)
    groups: dict[tuple[Recurrence, ...], list[Value]] = {}
    for value, uses in predicted.items():
        groups.setdefault(_upstream_too(structure, feeding, uses), []).append(value)
    return [Model(tuple(values), own) for own, values in groups.items() if not any(set(own) < set(k) for k in groups)]


def _joined(structure: Structure, models: list[Model]) -> list[Model]:
    """The models, with those as one that make the results of the same function: its callers get all of them."""
    results = {structure.source(v) for v in structure.graph.results}
    giving = [m for m in models if any(structure.source(v) in results for v in m.outputs)]
    if len(giving) < 2:
        return models
    place = {name: i for i, name in enumerate(structure.order)}
    recurrences = {r: min(place[c.enter] for c in r.loop.carried) for m in giving for r in m.recurrences}
    outputs = tuple(v for m in giving for v in m.outputs)
    return [Model(outputs, tuple(sorted(recurrences, key=recurrences.__getitem__)))]


def _within(structure: Structure, models: list[Model], scope: str) -> list[Model]:
    """Those with an output in a name scope."""
    begin = scope.rstrip("/") + "/" if scope else ""
    names = ((m, n) for m in models for v in m.outputs for n in (v.node, structure.source(v).node))
    found = list(dict.fromkeys(m for m, name in names if name.startswith(begin)))
    if scope and not found:
        raise CallError(f"scope {scope!r}: no output of a recurrence lies in it")
    return found


def _best(structure: Structure, models: list[Model]) -> tuple[Model, tuple[str, ...]]:
    """The best of `models`, and why it is better than the others.

    Raises:
        NoRecurrence: There is none.
        AmbiguousInterface: Several are equally good.
    """
    if not models:
        raise NoRecurrence(
            "the graph has a recurrence, but nothing outside the training part is computed from it; "
            "name a tensor with outputs="
        )
    if len(models) == 1:
        return models[0], ()
    ranks = [_rank(structure, m) for m in models]
    weights = [_weights(structure, m) for m in models]
    first, *rest = sorted(range(len(models)), key=lambda i: (ranks[i], -len(weights[i])))
    # Where all weights of a model are weights of the other, it is another copy of that, or a part.
    rivals = [i for i in rest if ranks[i] == ranks[first] and not (weights[i] and weights[i] <= weights[first])]
    if rivals:
        listed = "; ".join(", ".join(map(str, models[i].outputs)) for i in (first, *rivals))
        raise AmbiguousInterface(
            f"{1 + len(rivals)} models of this graph are equally good: {listed}. "
            "Choose with scope= (--scope) or outputs= (--output)."
        )
    others = ", ".join(str(models[i].outputs[0]) for i in rest)
    return models[first], (
        f"{len(models)} models in the graph; chosen: the one without random numbers and with the fewest steps and "
        f"rows baked in, and with more than its states, not that of {others}",
    )


def _rank(structure: Structure, model: Model) -> tuple[int, int, int, int]:
    """Lower is better: no random numbers in it, few steps baked in, few rows baked in, more than its states."""
    random = any(structure.graph[n].op in settings.RANDOM for n in ancestors(structure, model.outputs))
    static, read = Facts(structure), [read.stacked for r in model.recurrences for read in r.reads]
    baked = [static.shape(stacked) or () for stacked in read]
    steps = [s[0].scale for s in baked if s and s[0].known]
    origins = (structure.graph.producer(structure.origin(stacked)) for stacked in read)
    steps += [len(origin.attributes.get(STEP_TENSORS, ())) for origin in origins]
    rows = [s[1].scale for s in baked if len(s) > 1 and s[1].known]
    bare = all(roles.is_hidden(structure, model.recurrences, v) for v in model.outputs)
    return int(random), max(steps, default=0), max(rows, default=0), int(bare)


def _weights(structure: Structure, model: Model) -> set[str]:
    return {n for n in ancestors(structure, model.outputs) if structure.graph[n].op in VARIABLES}
