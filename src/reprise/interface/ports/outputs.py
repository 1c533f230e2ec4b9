"""Which tensors a user wants of a graph: what the recurrence reaches, before losses, gradients and summaries.

A value is a *prediction* when it depends on a recurrence and on nothing that only the loss needs. Sources that feed no
recurrence (targets, weights of the loss) are foreign. Following consumers from the recurrence, a prediction that
nothing else consumes, or that is first joined with a foreign value that does not itself depend on the recurrence, is
an output. What is joined with foreign values that do depend on it belongs to the gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from reprise.frame import REPLACED
from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.gradients import LOSSES
from reprise.interface.analysis.influence import DISCRETE, ORDERINGS, RANKING, Influence, descendants
from reprise.interface.analysis.settings import is_setting
from reprise.interface.analysis.several_outputs import divided_input
from reprise.interface.analysis.sources import sources
from reprise.interface.loops.recurrences import Recurrence, grows
from reprise.interface.loops.states import writes_state
from reprise.interface.ports.conditions import conditions
from reprise.interface.ports.ends import Kinds, only_rearranges
from reprise.interface.ports.parts import Parts
from reprise.interface.ports.random_numbers import RandomDraws
from reprise.operators import Tag, named
from reprise.operators.types import dtype
from reprise.structure import RESULTS, Structure

_LAYOUTS = ("Reshape", "Squeeze", "ExpandDims", "Identity", RESULTS)
_ROUNDABOUT = named(Tag.LAYOUT).union("Identity Cast Log LogSoftmax OneHot StridedSlice Max Min".split())


#: What turns scores into a decision, and a decision into its name.
_DECISIONS = (DISCRETE | RANKING | ORDERINGS).union("Round Rint LookupTableFind LookupTableFindV2".split())
_COST_STEPS = named(Tag.SLICE).union("Mean Sum Square Pow SquaredDifference Sub Abs Neg Sqrt".split())
_COST_SUMS = named(Tag.ADDITION) | {"AddN", "Mul"}
_OF_COSTS = _COST_SUMS | {"Neg", "Sub", "Div", "RealDiv"}
_LOSS_STEPS = named(Tag.ADDITION).union("Log Log1p Sub Neg Maximum Minimum ClipByValue Reshape Identity Mul".split())


def predictions(
    structure: Structure,
    recurrences: Collection[Recurrence],
    given: Collection[Value],
    scoring: Mapping[Value, Collection[str]] | None = None,
) -> dict[Value, tuple[Recurrence, ...]]:
    """The outputs of `recurrences`, in the order of the file, each with those that it depends on.

    `given` are values besides placeholders that count as wanted inputs; `scoring` holds the scores that a loss or a
    decoder reads that is no operator of its own → the nodes where it begins.
    """
    every = sources(structure)
    from_sources = Influence(structure, every)
    leaves = {v: r for r in recurrences for v in _leaving(structure, r)}
    reached = Influence(structure, tuple(leaves))
    lost = {n.name for n in structure.graph if n.op in LOSSES or _is_likelihood(structure, n)}
    lost = lost.union(*(scoring or {}).values())
    wanted = _wanted_sources(structure, recurrences, from_sources, lost) | {s for s in every if s in given}
    wanted |= conditions(structure, reached, from_sources, lost)
    foreign = sum(1 << i for i, s in enumerate(every) if s not in wanted)
    kinds = Kinds(structure, reached, from_sources, foreign, lost, Parts(structure, recurrences))
    draws = RandomDraws(structure, tuple(leaves))
    scores = [v for v in scoring or () if v.node in kinds.candidates]
    ends = [*scores, *(v for v in kinds.outputs() if not (scores and only_rearranges(structure, v, scores)))]
    found = [v for end in ends for v in (*_presentable(structure, end, kinds, draws), *_ranked(structure, end))]
    if all(only_rearranges(structure, v, leaves) for v in found):
        found += [v for end in ends if _is_cost(structure, end) for v in _behind_cost(structure, end, kinds)]
    shown = _worth_showing(structure, recurrences, [_before_flattening(structure, v, kinds) for v in found], kinds)
    position = {name: i for i, name in enumerate(structure.graph.nodes)}
    shown.sort(key=lambda v: (position[v.node], v.index))
    return {v: tuple(dict.fromkeys(leaves[s] for s in reached.of(v))) for v in shown}


def _worth_showing(
    structure: Structure, recurrences: Collection[Recurrence], found: Iterable[Value], kinds: Kinds
) -> list[Value]:
    """Those of the ends `found` that say something of their own; states and whole numbers where there is no other."""
    arrays = {w.carried.final for r in recurrences for w in r.writes}
    unique = [v for v in dict.fromkeys(found) if v not in arrays]
    finals = {c.final for r in recurrences for c in r.states}
    unique = [v for v in unique if not only_rearranges(structure, v, finals)] or unique
    finals |= {w.carried.final for r in recurrences for w in r.writes if writes_state(structure, r, w)}
    unique = [v for v in unique if not only_rearranges(structure, v, finals)] or unique
    best = {w.carried.final for r in recurrences for w in r.writes if structure.graph[w.element.node].op in RANKING}
    ranked = [v for v in unique if _ranked(structure, v) or only_rearranges(structure, structure.result(v), best)]
    unique = [v for v in unique if _is_float(structure, v) or v in ranked] or unique
    stood_in_for = {Value(n.name) for n in structure.graph if REPLACED in n.attributes}
    unique = [v for v in unique if not only_rearranges(structure, v, stood_in_for)] or unique
    others = {structure.source(v) for v in unique if not kinds.only_lost(v)}
    unique = [v for v in unique if not (kinds.only_lost(v) and only_rearranges(structure, v, others))]
    return _in_one_layout(structure, unique)


def _in_one_layout(structure: Structure, found: list[Value]) -> list[Value]:
    """`found` without what is another of them flattened, or in fewer axes."""
    facts, alike = Facts(structure), dict[Value, list[Value]]()
    for value in found:
        alike.setdefault(structure.graph.through(structure.result(value), _LAYOUTS), []).append(value)
    ranks = {v: len(facts.shape(v) or ()) for same in alike.values() if len(same) > 1 for v in same}
    kept = {max(same, key=lambda v: ranks.get(v, 0)) for same in alike.values()}
    return [v for v in found if v in kept]


def _is_float(structure: Structure, value: Value) -> bool:
    return dtype(structure, value).startswith(("float", "bfloat"))


def _before_flattening(structure: Structure, value: Value, kinds: Kinds) -> Value:
    """`value` before it was flattened to the rows that a loss operator wants, or lost the steps without a target."""
    if not kinds.only_lost(value):
        return value
    facts = Facts(structure)
    while (given := _unflattened(structure, facts, value)) is not None and given.node in kinds.candidates:
        value = given
    return value


def _unflattened(structure: Structure, facts: Facts, value: Value) -> Value | None:
    """The steps [N, T, V] that `value` holds as rows [N·T, V], or some of; None if it does not."""
    node = structure.graph[value.node]
    if node.op not in ("Reshape", "StridedSlice", "Slice"):
        return None
    made, given = facts.shape(value), facts.shape(node.inputs[0])
    if not made or not given or len(given) < 3 or made[-1] != given[-1]:
        return None
    return node.inputs[0] if len(made) == (2 if node.op == "Reshape" else len(given)) else None


def _leaving(structure: Structure, recurrence: Recurrence) -> Iterator[Value]:
    written = [w.carried for w in recurrence.writes]
    written += [c for c in recurrence.loop.carried if grows(structure, c)]
    for carried in (*recurrence.states, *written, *recurrence.fed_back):
        if carried.final is not None:
            yield carried.final


def _wanted_sources(
    structure: Structure, recurrences: Collection[Recurrence], influence: Influence, losses: Collection[str]
) -> set[Value]:
    """Sources whose numbers a recurrence depends on, its losses aside, and scalars (they are settings)."""
    mask, every, lost = 0, influence.seeds, descendants(structure, losses)
    for recurrence in recurrences:
        for carried in (c for c in recurrence.loop.carried if c.leaving.node not in lost):
            mask |= influence.mask(carried.initial) | influence.mask(carried.leaving)
        for value in recurrence.loop.constants.values():
            mask |= influence.mask(value)
    scalars = {s for s in every if _is_scalar(structure.graph[s.node]) or is_setting(structure, s)}
    return {s for i, s in enumerate(every) if mask >> i & 1} | scalars


def _is_scalar(node: Node) -> bool:
    return "shape" in node.attributes and node.declared() == ()


def _presentable(structure: Structure, value: Value, kinds: Kinds, draws: RandomDraws) -> Iterator[Value]:
    """What to show for `value`, the end of a branch: scores instead of a draw from them, logits beside probabilities.

    `kinds` says what may be an output, `draws` to what random numbers were added.
    """
    node = structure.graph[value.node]
    if node.op in _DECISIONS or (node.op in _ROUNDABOUT and _behind_draw(structure, value)):
        chosen = next((v for v in node.inputs if v.node in kinds.candidates), None)
        if chosen is not None:
            yield from _presentable(structure, chosen, kinds, draws)
        return
    if value in draws:
        for made in (v for v in node.inputs if v.node in kinds.candidates):
            yield from _presentable(structure, made, kinds, draws)
        return
    if kinds.parts.are_steps(node):
        yield from _presentable(structure, divided_input(node), kinds, draws)
        return
    if _is_cost(structure, value):
        return
    scored = _behind_loss(structure, value, kinds)
    if scored:
        yield from scored
        return
    if node.op == "Sigmoid" and kinds.is_joined(node.inputs[0], structure.consumers[node.inputs[0].node]):
        yield node.inputs[0]
    logits = _logits_of(structure, value)
    if logits is not None and logits.node in kinds.candidates:
        yield logits
    yield value


def _ranked(structure: Structure, end: Value) -> list[Value]:
    """The end of a branch that ranks scores: which are best is wanted beside the scores."""
    return [end] if structure.graph[structure.source(end).node].op in RANKING else []


def _behind_loss(structure: Structure, value: Value, kinds: Kinds) -> list[Value]:
    """The probabilities behind `log(clip(p))` or `log(1 - p)`, where a cross entropy begins, and their scores."""
    node = structure.graph[value.node]
    if node.op not in ("Log", "Log1p"):
        return []
    while node.op in _LOSS_STEPS:
        moved = [v for v in node.inputs if structure.graph[structure.origin(v).node].op != "Const"]
        if len(moved) != 1:
            return []
        value = moved[0]
        node = structure.graph[value.node]
    if node.op in ("Softmax", "Sigmoid"):
        return [node.inputs[0], value]
    return [value] if kinds.is_of_loops(value) else []


def _is_likelihood(structure: Structure, node: Node) -> bool:
    """Whether a node picks the logarithms of the probabilities of what was read: `one_hot(x) * log(p)`."""
    if node.op != "Mul" or structure.context(Value(node.name)):
        return False
    kinds = {structure.graph.producer(structure.graph.through(v, (*_LAYOUTS, "Cast"))).op for v in node.inputs}
    return "OneHot" in kinds and not kinds.isdisjoint(("Log", "LogSoftmax"))


def _behind_draw(structure: Structure, value: Value) -> bool:
    """Whether a draw lies behind operators that only rearrange: `tf.squeeze(tf.multinomial(tf.log(p), 1))`."""
    return structure.graph.producer(structure.graph.through(value, _ROUNDABOUT)).op in _DECISIONS


def _behind_cost(structure: Structure, value: Value, kinds: Kinds) -> Iterator[Value]:
    """What costs are computed from whose targets are the inputs themselves: `mean(square(y[:, :-1] - x[:, 1:]))`."""
    node = structure.graph[value.node]
    computed = [v for v in node.inputs if v.node in kinds.candidates]
    if node.op in _COST_SUMS and _is_cost(structure, value):
        for part in computed:
            yield from _behind_cost(structure, part, kinds)
    elif node.op not in _COST_STEPS:
        yield value
    elif len(computed) == 1:
        yield from _behind_cost(structure, computed[0], kinds)


def _is_cost(structure: Structure, value: Value) -> bool:
    """Whether a value is a mean or sum of everything, or made of such alone: a cost beside the divergence of a code."""
    node = structure.graph[structure.source(value).node]
    if node.op in ("Mean", "Sum"):
        return _reduces_all(structure, node)
    moved = [v for v in node.inputs if structure.graph[structure.origin(v).node].op != "Const"]
    return node.op in _OF_COSTS and bool(moved) and all(_is_cost(structure, v) for v in moved)


def _reduces_all(structure: Structure, node: Node) -> bool:
    declared = node.attributes.get("_output_shapes")
    if isinstance(declared, tuple) and declared:
        return getattr(declared[0], "dims", None) == ()
    axes = structure.graph.nodes.get(node.inputs[1].node)
    return axes is not None and axes.op in ("Range", "Const") and not node.attributes.get("keep_dims")


def _logits_of(structure: Structure, value: Value) -> Value | None:
    """The input of a Softmax, seen through reshapes of its result."""
    node = structure.graph.producer(structure.graph.through(value, ("Reshape", "Identity", RESULTS)))
    if node.op != "Softmax":
        return None
    logits = node.inputs[0]
    above = structure.graph[logits.node]
    # TensorFlow flattens a [N, T, V] tensor around its two-dimensional Softmax; the tensor before that has the name.
    if above.op == "Reshape" and structure.graph[value.node].op == "Reshape":
        return above.inputs[0]
    return logits
