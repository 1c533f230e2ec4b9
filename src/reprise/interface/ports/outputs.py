"""Which tensors a user wants of a graph: what the recurrence reaches, before losses, gradients and summaries.

A value is a *prediction* when it depends on a recurrence and on nothing that only the loss needs. Sources that feed no
recurrence (targets, weights of the loss) are foreign. Following consumers from the recurrence, a prediction that
nothing else consumes, or that is first joined with a foreign value that does not itself depend on the recurrence, is
an output. What is joined with foreign values that do depend on it belongs to the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from reprise.frame import REPLACED
from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.gradients import LOSSES, before, ones_that_are_applied
from reprise.interface.analysis.influence import DISCRETE, ORDERINGS, RANKING, Influence, ancestors, descendants
from reprise.interface.analysis.settings import is_setting
from reprise.interface.analysis.sources import sources
from reprise.interface.loops.recurrences import Recurrence, grows
from reprise.interface.loops.states import writes_state
from reprise.interface.ports.conditions import conditions
from reprise.interface.ports.parts import Parts, whole
from reprise.interface.ports.random_numbers import Noise
from reprise.operators import Tag, named
from reprise.operators.types import dtype
from reprise.structure import RESULTS, Structure

_SIDE_EFFECTS = named(Tag.SIDE_EFFECT)
_JOINS = named(Tag.JOIN) | {"Pack"}
_MOVES = named(Tag.LAYOUT, Tag.SLICE).union("Split SplitV Unpack GatherNd TensorListStack".split())
_ROUNDABOUT = named(Tag.LAYOUT).union("Identity Cast Log LogSoftmax OneHot StridedSlice Max Min".split())


#: What turns scores into a decision, and a decision into its name.
_DECISIONS = (DISCRETE | RANKING | ORDERINGS).union("Round Rint LookupTableFind LookupTableFindV2".split())
_COST_STEPS = named(Tag.SLICE).union("Mean Sum Square Pow SquaredDifference Sub Abs Neg Sqrt".split())
_COST_SUMS = named(Tag.ADDITION) | {"AddN", "Mul"}
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
    lost = {n.name for n in structure.graph if n.op in LOSSES}.union(*(scoring or {}).values())
    wanted = _wanted(structure, recurrences, from_sources, lost) | {s for s in every if s in given}
    wanted |= conditions(structure, reached, from_sources, lost)
    foreign = sum(1 << i for i, s in enumerate(every) if s not in wanted)
    kinds = _Kinds(structure, reached, from_sources, foreign, lost, Parts(structure, recurrences))
    noise = Noise(structure, tuple(leaves))
    scores = [v for v in scoring or () if v.node in kinds.candidates]
    ends = [*scores, *(v for v in kinds.outputs() if not (scores and _only_rearranges(structure, v, scores)))]
    found = [v for end in ends for v in (*_presented(structure, end, kinds, noise), *_ranked(structure, end))]
    if all(_only_rearranges(structure, v, leaves) for v in found):
        found += [v for end in ends if _is_cost(structure, end) for v in _behind_cost(structure, end, kinds)]
    shown = _shown(structure, recurrences, [_as_given(structure, v, kinds) for v in found], kinds)
    places = {name: i for i, name in enumerate(structure.graph.nodes)}
    shown.sort(key=lambda v: (places[v.node], v.index))
    return {v: tuple(dict.fromkeys(leaves[s] for s in reached.of(v))) for v in shown}


def _shown(
    structure: Structure, recurrences: Collection[Recurrence], found: Iterable[Value], kinds: _Kinds
) -> list[Value]:
    """Those of the ends `found` that say something of their own; states and whole numbers where there is no other."""
    arrays = {w.carried.final for r in recurrences for w in r.writes}
    unique = [v for v in dict.fromkeys(found) if v not in arrays]
    finals = {c.final for r in recurrences for c in r.states}
    unique = [v for v in unique if not _only_rearranges(structure, v, finals)] or unique
    finals |= {w.carried.final for r in recurrences for w in r.writes if writes_state(structure, r, w)}
    unique = [v for v in unique if not _only_rearranges(structure, v, finals)] or unique
    unique = [v for v in unique if _is_float(structure, v) or _ranked(structure, v)] or unique
    others = {structure.source(v) for v in unique if not kinds.only_lost(v)}
    return [v for v in unique if not (kinds.only_lost(v) and _only_rearranges(structure, v, others))]


def _is_float(structure: Structure, value: Value) -> bool:
    return dtype(structure, value).startswith(("float", "bfloat"))


def _as_given(structure: Structure, value: Value, kinds: _Kinds) -> Value:
    """`value` before it was flattened to the rows that a loss operator wants, or lost the steps without a target."""
    if not kinds.only_lost(value):
        return value
    facts = Facts(structure)
    while (given := _whole(structure, facts, value)) is not None and given.node in kinds.candidates:
        value = given
    return value


def _whole(structure: Structure, facts: Facts, value: Value) -> Value | None:
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


def _wanted(
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


def _may_be_output(structure: Structure, name: str) -> bool:
    node = structure.graph[name]
    op = node.op
    if REPLACED in node.attributes:
        return False
    return op not in _SIDE_EFFECTS | LOSSES and not op.startswith(_STORES) and not structure.context(Value(name))


class _Kinds:
    """Sorts the nodes behind the recurrences into predictions and the rest."""

    def __init__(
        self,
        structure: Structure,
        reached: Influence,
        from_sources: Influence,
        foreign: int,
        lost: Collection[str],
        parts: Parts,
    ) -> None:
        self._structure = structure
        self.parts = parts
        self._losses = set(lost)
        self._reached = reached
        self._targets = tuple(s for i, s in enumerate(from_sources.seeds) if foreign >> i & 1)
        self._foreign = {n.name for n in structure.graph if from_sources.mask(Value(n.name)) & foreign}
        self._recurrent = {n.name for n in structure.graph if reached.mask(Value(n.name))}
        self.candidates = {name for name in self._recurrent - self._foreign if _may_be_output(structure, name)}
        self._remove_losses()
        self._before = before(structure, reached.seeds, self._losses)
        self._after_loss = self._gradients()
        self.candidates -= self._after_loss
        self.joined = False

    def _remove_losses(self) -> None:
        """What is computed from a loss operator is no prediction even where its targets are the inputs themselves."""
        lost = descendants(self._structure, self._losses & self._recurrent)
        self._foreign |= lost
        self.candidates -= lost
        self._lost = lost

    def _gradients(self) -> set[str]:
        """What depends on a loss, if only for its shape, and what descends from the ones a gradient begins with.

        The second matters for losses that are linear in a prediction or target and whose shapes are all constants.
        """
        roots = ones_that_are_applied(self._structure) - self._before
        self._gradient = descendants(self._structure, roots)
        return descendants(self._structure, (self._foreign & self._recurrent) | roots)

    def outputs(self) -> list[Value]:
        """Candidates that end a branch of the computation and are no part of the gradient."""
        self._live: set[str] = set()
        ends = self._ends(self._live, (), self._is_end)
        if self.joined:
            ends += self._late_ends(ends)
        return ends

    def _late_ends(self, ends: Collection[Value]) -> list[Value]:
        """What the loss reads but does not make of what it compares: the weights of a mixture beside its means."""
        readers = ((v, r) for name in self.candidates for v, r in self._readers(name).items())
        compared = Influence(self._structure, [v for v, r in readers if self.is_joined(v, r)])
        live = ancestors(self._structure, ends)
        late = self._ends(live, ends, lambda value, readers: self._is_lossy(readers))
        return [v for v in late if not compared.mask(v) and Facts(self._structure).shape(v) != ()]

    def _ends(
        self, live: set[str], known: Collection[Value], is_end: Callable[[Value, list[str]], bool]
    ) -> list[Value]:
        """Values that no live node reads and that `is_end` takes, given their readers; what leads to them is live.

        Those that are `known` already are left out.
        """
        found: list[Value] = []
        for name in reversed(self._structure.order):
            if name not in self.candidates:
                continue
            readers = self._readers(name)
            read = [v for v in readers if any(c in live for c in readers[v])]
            ends = [v for v in readers if v not in (*read, *known) and is_end(v, readers[v])]
            found += ends
            live.update([name] if read or ends else [])
        return found

    def _readers(self, name: str) -> dict[Value, list[str]]:
        """The nodes that read each output of a node."""
        readers: dict[Value, list[str]] = {}
        for consumer in self._structure.consumers[name]:
            for value in self._structure.graph[consumer].inputs:
                if value.node == name:
                    readers.setdefault(value, []).append(consumer)
        return readers | {v: [] for v in self.parts.unread(self._structure.graph[name], readers)}

    def _is_end(self, value: Value, readers: list[str]) -> bool:
        consumers = [c for c in readers if self._counts(c)]
        if not consumers:
            return not any(self._structure.graph[c].op.startswith(_STORES) for c in readers)
        joined = self.is_joined(value, consumers)
        self.joined = self.joined or joined
        return joined

    def is_joined(self, value: Value, readers: Iterable[str]) -> bool:
        """Whether any of `readers` joins a value with targets."""
        return any(self._joins_targets(c, value.node) for c in readers)

    def only_lost(self, value: Value) -> bool:
        """Whether losses alone read `value`: an output in the layout that a loss wants is no output of its own."""
        readers = self._structure.consumers[value.node]
        return bool(self._losses.intersection(readers)) and not self._live.intersection(readers)

    def _is_lossy(self, readers: Iterable[str]) -> bool:
        """Whether any of `readers` is a part of the loss, and not of its gradient."""
        return any(c in self._foreign and c not in self._lost and c not in self._gradient for c in readers)

    def _counts(self, name: str) -> bool:
        node = self._structure.graph[name]
        return node.op not in _SIDE_EFFECTS and not node.op.startswith(_STORES)

    def _joins_targets(self, consumer: str, name: str) -> bool:
        node = self._structure.graph[consumer]
        others = [v for v in node.inputs if v.node != name]
        if consumer in self._losses:
            return True
        return any(self._is_target(v) for v in others)

    def _is_target(self, value: Value) -> bool:
        """A foreign value before any loss; an iterator gives inputs and targets as outputs of one node."""
        if value in self._targets:
            return True
        return value.node in self._foreign and value.node not in self._recurrent | self._after_loss


_STORES = ("Assign", "ResourceApply", "Apply", "ScatterUpdate", "AssignVariableOp", "Restore")


def _presented(structure: Structure, value: Value, kinds: _Kinds, noise: Noise) -> Iterator[Value]:
    """What to show for the end of a branch: scores instead of a draw from them; logits beside probabilities."""
    node = structure.graph[value.node]
    if node.op in _DECISIONS or (node.op in _ROUNDABOUT and _behind_draw(structure, value)):
        chosen = next((v for v in node.inputs if v.node in kinds.candidates), None)
        if chosen is not None:
            yield from _presented(structure, chosen, kinds, noise)
        return
    if value in noise:
        for made in (v for v in node.inputs if v.node in kinds.candidates):
            yield from _presented(structure, made, kinds, noise)
        return
    if kinds.parts.are_steps(node):
        yield from _presented(structure, whole(node), kinds, noise)
        return
    if _is_cost(structure, value):
        return
    scored = _behind_loss(structure, value)
    if scored is not None:
        yield structure.graph[scored.node].inputs[0]
        yield scored
        return
    if node.op == "Sigmoid" and kinds.is_joined(node.inputs[0], structure.consumers[node.inputs[0].node]):
        yield node.inputs[0]
    logits = _logits_of(structure, value)
    if logits is not None and logits.node in kinds.candidates:
        yield logits
    yield value


def _ranked(structure: Structure, end: Value) -> list[Value]:
    """The end of a branch that ranks scores: which are best is wanted beside the scores."""
    return [end] if structure.graph[end.node].op in RANKING else []


def _behind_loss(structure: Structure, value: Value) -> Value | None:
    """The probabilities behind `log(clip(p))` or `log(1 - p)`, the beginning of a cross entropy written by hand."""
    node = structure.graph[value.node]
    if node.op not in ("Log", "Log1p"):
        return None
    while node.op in _LOSS_STEPS:
        moved = [v for v in node.inputs if structure.graph[structure.origin(v).node].op != "Const"]
        if len(moved) != 1:
            return None
        value = moved[0]
        node = structure.graph[value.node]
    return value if node.op in ("Softmax", "Sigmoid") else None


def _behind_draw(structure: Structure, value: Value) -> bool:
    """Whether a draw lies behind operators that only rearrange: `tf.squeeze(tf.multinomial(tf.log(p), 1))`."""
    return structure.graph.producer(structure.graph.through(value, _ROUNDABOUT)).op in _DECISIONS


def _behind_cost(structure: Structure, value: Value, kinds: _Kinds) -> Iterator[Value]:
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
    return node.op in _COST_SUMS and bool(moved) and all(_is_cost(structure, v) for v in moved)


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


def _only_rearranges(structure: Structure, value: Value, finals: Collection[Value | None]) -> bool:
    """Whether an end is nothing but what loops leave behind, cut or put together without any computation."""
    pending = [value]
    while pending:
        at = structure.source(pending.pop())
        if at in finals:
            continue
        node = structure.graph.nodes[at.node]
        if node.op in _JOINS:
            pending.extend(v for v in node.inputs if structure.graph[structure.origin(v).node].op != "Const")
        elif node.op in _MOVES:
            pending.append(whole(node))
        elif node.op.startswith(("TensorArrayGather", "TensorArrayPack")):
            pending.append(node.inputs[-1])
        else:
            return False
    return True
