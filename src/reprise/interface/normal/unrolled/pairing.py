"""Which value is the next one of each state of a step that is fed from outside.

In turn: what is known from elsewhere (an assignment, a fused operator); the equations of cells; what everything that is
made of a state must pass, if it is the only value of its type and size. Of several that are left, the one that is
copied out of the graph is taken, and of those behind each other the last one in the name scope of the cell, if what
follows lies outside of it. Else nothing is taken, and an error names the rivals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, pairwise, takewhile

from reprise.graph import Value
from reprise.interface.analysis.influence import ancestors
from reprise.interface.normal.unrolled import updates
from reprise.interface.normal.unrolled.flow import Flow, StateSource
from reprise.interface.normal.unrolled.updates import ACTIVATIONS, CLIPS, SUMS

_LINEAR = (*SUMS, "AddN", "Sub", "BiasAdd", "Mul", "Split", "StridedSlice", "Slice", "Reshape", "Identity")
#: Operators that take values apart, or pass them on in another shape.
_MOVES = frozenset("Split SplitV Unpack Identity Reshape Pack ExpandDims Squeeze StridedSlice Slice".split())


@dataclass(frozen=True, slots=True)
class Rivals:
    """Readings of which none is better than another.

    Attributes:
        sources: The values that may be the state.
        nexts: The values that may be its next one.
    """

    sources: tuple[StateSource, ...]
    nexts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Values of the size of a source that everything made of it passes, each made of the one before alone.

    Attributes:
        value: The last of them.
        products: How many products with weights everything has passed before.
        plain: Whether they begin with sums of the first such products, as an Elman network does.
        more: Whether it passes another product after, or goes several ways.
    """

    value: Value
    products: int
    plain: bool
    more: bool = False


class Pairing:
    """The states of a step.

    Attributes:
        nexts: Source → its next value.
        why: Source → what tells.
        rivals: What could not be decided.
    """

    def __init__(
        self,
        flow: Flow,
        known: Mapping[StateSource, tuple[Value, str]],
        hints: Mapping[StateSource, Value],
        *,
        no_others: bool,
    ) -> None:
        """Pairs the sources of `flow`: `known` are next values, those of `hints` hold if nothing contradicts them.

        `no_others` says that the graph has no other recurrence.
        """
        self.nexts = {source: value for source, (value, _) in known.items()}
        self.why = {source: why for source, (_, why) in known.items()}
        self.rivals: list[Rivals] = []
        self._flow, self._nodes = flow, flow.view.graph.nodes
        self._hidden: dict[Value, StateSource] = {}
        self._inputs = {s for s in flow.sources if flow.is_only_compared(s)}
        for source in self._undecided():
            self._by_equation(source)
        self._part_those_of_one_value(known)
        for hidden, cell in sorted(self._hidden.items(), key=lambda pair: flow.view.position[pair[0].node]):
            self._exposed(hidden, cell)
        for source in (s for s in self._undecided() if s in hints):
            self._take(source, [hints[source]], "the equations of its cell")
        self._leave_an_input()
        if no_others:
            self._by_flow()
        self._doubt()

    def _undecided(self) -> list[StateSource]:
        decided = {*self.nexts, *self._inputs, *(s for r in self.rivals for s in r.sources)}
        open_ones = [s for s in self._flow.sources if s not in decided]
        return [s for s in open_ones if not any(self._flow.is_part(s, other) for other in self.nexts)]

    def undecided(self) -> list[StateSource]:
        """The sources that nothing feeds without a next value, of their own or of all that is sliced out of them."""
        nodes, parts = self._nodes, {source.initial.node for source in self.nexts}
        return [
            s
            for s in self._undecided()
            if not nodes[s.initial.node].op.startswith("Placeholder")
            and not self._flow.is_slice(s)
            and not all(name in parts for name, _ in s.slots)
        ]

    def _take(self, source: StateSource, options: Sequence[Value], why: str, *, ends: bool = False) -> None:
        """Takes the only option, or the one that something tells from the others; `ends`: they end the cell."""
        fetched = self._fetched(options)
        if len(options) > 1 and len(fetched) == 1:
            options, why = fetched, "of several values of its size this one is copied out of the graph"
        inside = self._in_scope(source, options) if ends else []
        if len(options) > 1 and inside:
            options, why = inside[-1:], "of several values of its size it is the last in the name scope of the cell"
        if len(options) == 1:
            self.nexts[source], self.why[source] = options[0], why
        else:
            self.rivals.append(Rivals((source,), tuple(options)))

    def _fetched(self, options: Sequence[Value]) -> list[Value]:
        """The options that are copied out of the graph and yet no last results of it."""
        return [v for v in options if v in self._flow.fetched and self._flow.is_read(v.node)]

    def _in_scope(self, source: StateSource, options: Sequence[Value]) -> list[Value]:
        """The options in the name scope in which a source is first multiplied, if something after them is outside."""
        passed = list(self._flow.passed(source))
        scope = next((n.rpartition("/")[0] for n in passed if self._flow.is_product(self._nodes[n])), "")
        inside = [v for v in options if v.node.startswith(f"{scope}/")]
        return inside if scope and passed and not passed[-1].startswith(f"{scope}/") else []

    # equations

    def _by_equation(self, source: StateSource) -> None:
        """Pairs `source` if its cell keeps a part of it or injects it, and notes what the cell exposes as its h."""
        injected = updates.nas_states(self._flow, source)
        if injected is not None:
            self._take(source, injected[:1], "it is tanh(c + …) times another value, as in cells of the NAS kind")
            self._hidden[injected[1]] = source
            return
        kept = updates.partly_kept(self._flow, source)
        if not kept:
            return
        *before, total = kept
        if not {v.node for v in before} <= ancestors(self._flow.view.structure, [total]):
            self.rivals.append(Rivals((source,), tuple(kept)))
            return
        self._take(source, self._settled(source, total), "it keeps a part of it and adds something")
        hidden = updates.lstm_output(self._flow, self.nexts[source]) if source in self.nexts else None
        if hidden is not None:
            self._hidden[hidden] = source

    def _part_those_of_one_value(self, known: Collection[StateSource]) -> None:
        """Refuses what keeps a part of several sources, as attention to the last states does."""
        claims: dict[Value, list[StateSource]] = {}
        for source, value in self.nexts.items():
            if source not in known:
                claims.setdefault(value, []).append(source)
        for value, sources in claims.items():
            if len(sources) > 1:
                self.rivals.append(Rivals(tuple(sources), (value,)))
                for source in sources:
                    del self.nexts[source], self.why[source]

    def _settled(self, source: StateSource, total: Value) -> list[Value]:
        """What may be the next state, where a cell keeps a part of it in a sum: the sum, or what is made of that."""
        value = updates.after_clipping(self._flow, total)
        after = self._made_of_alone(source, value)
        if not after or updates.is_interpolation(self._flow, total):
            return [value]
        if self._nodes[after[0].node].op in ACTIVATIONS:
            return [value] if updates.lstm_output(self._flow, value) else [value, after[0]]
        if updates.normalised_as_gates(self._flow, total, after[0]):
            return [updates.after_clipping(self._flow, after[0])]
        return [value, after[0]]

    def _made_of_alone(self, source: StateSource, value: Value) -> list[Value]:
        """What is made of a value alone before the next product with weights: values of its size that all passes."""
        found: list[Value] = []
        base = value
        for name in self._flow.passed_after(value.node):
            made = self._flow.between(Value(name), base)
            if made is None or self._flow.is_product(self._nodes[name]):
                break
            if self._flow.draws(made):
                found, base = [], Value(name)  # dropout: what comes before is scaled for it
            elif self._may_be_next(name, source):
                found.append(Value(name))
        return found

    def _exposed(self, hidden: Value, cell: StateSource) -> None:
        """Pairs what a cell makes of its c with the source that it is the next value of."""
        options = [hidden, *self._projected(hidden)]
        claims = {
            s: [v for v in options if self._flow.alike(v, s)]
            for s in self._undecided()
            if hidden.node in self._own_passage(s)
        }
        claims = {s: claims[s] for s in self._wholes([s for s, made in claims.items() if made])}
        together = [s for s in claims if self._flow.shares_placeholder(s, cell)]
        if len(claims) > 1 and len(together) != 1:
            self.rivals.append(Rivals(tuple(claims), (hidden,)))
        for source in together if len(claims) > 1 and len(together) == 1 else claims if len(claims) == 1 else ():
            self._take(source, claims[source], "it is what the cell makes of its c", ends=True)

    def _wholes(self, sources: Sequence[StateSource]) -> list[StateSource]:
        """The sources without the slices of others among them."""
        return [s for s in sources if not (self._flow.is_slice(s) and any(self._flow.is_part(s, t) for t in sources))]

    def _projected(self, hidden: Value) -> list[Value]:
        """h, where a cell multiplies o ⊙ act(c') with weights."""
        readers = self._flow.readers(hidden)
        if len(readers) != 1 or not self._flow.is_product(self._nodes[readers[0]]):
            return []
        value = Value(readers[0])
        while len(after := self._flow.readers(value)) == 1 and self._is_affine(after[0]):
            value = Value(after[0])
        biased = self._nodes[value.node].op not in CLIPS and value.node != readers[0]
        # Weights with a bias that give as many values are the next layer, not a projection.
        return [] if biased and self._flow.same_size(hidden, value) else [value]

    def _is_affine(self, name: str) -> bool:
        node = self._nodes[name]
        alone = sum(self._flow.changes(v) for v in node.inputs) == 1
        return alone and node.op in (*CLIPS, *SUMS, "BiasAdd")

    def _own_passage(self, source: StateSource) -> list[str]:
        """What all that is made of a source passes, up to the next value of another one."""
        others = {v.node for s, v in self.nexts.items() if s != source}
        found: list[str] = []
        for name in self._flow.passed(source):
            if name in others:
                break
            found.append(name)
        return found

    def _leave_an_input(self) -> None:
        """Where every source would be a state, none is an input: x of a highway is carried like a state."""
        if self._flow.gives_more(self.nexts.values(), self.nexts):
            return
        kept = [s for s, why in self.why.items() if why.startswith("it keeps")]
        surplus = [s for s in kept if any(self._passes_by(s, other) for other in self.nexts if other != s)]
        for source in surplus if len(surplus) == 1 else ():
            del self.nexts[source], self.why[source]
            self._inputs.add(source)

    def _passes_by(self, source: StateSource, other: StateSource) -> bool:
        """Whether a source is an input of the cell of another one, and its own next value what is made of that cell."""
        own, its = self.nexts[source], self.nexts[other]
        if not self._flow.rests_on(its.node, source):
            return False
        above = its.node in ancestors(self._flow.view.structure, [own])
        return above or (self._flow.is_read(own.node) and not self._flow.is_read(its.node))

    # flow

    def _by_flow(self) -> None:
        """Pairs what no equation tells with the nearest values of its size that everything made of it passes."""
        equations = bool(self.nexts)
        while True:
            stages = {s: self._stages(s) for s in self._undecided()}
            first = {s: made[0].value for s, made in stages.items() if made}
            if not first:
                return
            nearest = min(first.values(), key=lambda v: self._flow.view.position[v.node])
            claims = self._wholes([s for s, v in first.items() if v == nearest])
            options = _ends(stages[claims[0]])
            decided = stages[claims[0]][0].plain or self._is_added(claims[0]) or len(self._fetched(options)) == 1
            if equations and self._flow.is_slice(claims[0]):
                self._inputs.update(claims)
            elif len(claims) > 1 or equations or not decided:
                self.rivals.append(Rivals(tuple(claims), tuple(options)))
            else:
                self._take(claims[0], options, "all that is made of it passes this value of its size", ends=True)

    def _is_beyond(self, name: str, source: StateSource) -> bool:
        """Whether a node is computed from the next value of a cell whose input the source is."""
        made = [v for s, v in self.nexts.items() if s != source and self._flow.rests_on(v.node, source)]
        above = ancestors(self._flow.view.structure, [Value(name)]) if made else set()
        return any(v.node in above for v in made)

    def _stages(self, source: StateSource) -> list[Stage]:
        """The values of the size of `source` that all made of it passes, from the first that something else joins."""
        found: list[Stage] = []
        products, ended = 0, True
        base: Value | None = None
        passage = list(takewhile(lambda name: not self._is_beyond(name, source), self._own_passage(source)))
        dropped = self._dropped(source, passage)
        for name in passage:
            node, value = self._nodes[name], Value(name)
            if self._flow.is_product(node):
                products, ended = products + 1, True
                found = [replace(stage, more=True) for stage in found]
            if not self._may_be_next(name, source):
                continue
            made = None if base is None else self._flow.between(value, base)
            if name not in dropped and not ended and (made is not None or self._is_linear(value)):
                found[-1] = replace(found[-1], value=value)
                ended = node.op in ACTIVATIONS
            elif name not in dropped:
                found.append(Stage(value, products, plain=self._is_linear(value) and products < 2))
                ended = node.op in ACTIVATIONS
            base = value
        if passage and self._flow.is_read(passage[-1]):  # several heads
            found = [replace(stage, more=True) for stage in found]
        return list(dropwhile(lambda stage: not self._flow.joins(stage.value.node, source), found))

    def _may_be_next(self, name: str, source: StateSource) -> bool:
        """Whether a node rests on weights, and makes one value, of the type and size of a source."""
        weighted = self._flow.view.masks.get(name) and self._nodes[name].op not in _MOVES
        return bool(weighted) and self._flow.alike(Value(name), source)

    def _dropped(self, source: StateSource, passage: Sequence[str]) -> set[str]:
        """Nodes that drop out what a node before them makes, scaled for that: inference passes it on."""
        values = [Value(n) for n in passage if self._may_be_next(n, source)]
        found: set[str] = set()
        for before, value in pairwise(values):
            made = self._flow.between(value, before)
            if made is not None and self._flow.draws(made):
                found |= {value.node} | ({before.node} if self._is_scaled(before.node) else set())
        return found

    def _is_scaled(self, name: str) -> bool:
        """Whether a node multiplies a value with what is the same at every step."""
        node = self._nodes[name]
        return node.op in ("Mul", "RealDiv") and sum(self._flow.changes(v) for v in node.inputs) == 1

    def _is_linear(self, value: Value) -> bool:
        """Whether a value is made of products with weights, or of a source, by sums and products alone."""
        node = self._nodes[value.node]
        if self._flow.is_product(node) or not self._flow.rests_on_any(value.node):
            return True
        return node.op in _LINEAR and all(self._is_linear(v) for v in node.inputs if self._flow.changes(v))

    def _is_added(self, source: StateSource) -> bool:
        """Whether a source goes into sums as it is, or after an activation, and not only into products with weights."""
        nodes = [self._nodes[name] for name, _ in source.slots]
        nodes += [self._nodes[r] for n in nodes if n.op in ACTIVATIONS for r in self._flow.readers(Value(n.name))]
        return any(n.op in (*SUMS, "Mul", "Sub") and not self._is_scaled(n.name) for n in nodes)

    def _doubt(self) -> None:
        """Refuses what could be a state as well as an input."""
        taken = set(self.nexts.values())
        for source in self._undecided():
            for hidden in (v for v in self._hidden if v not in taken and self._flow.alike(v, source)):
                if self._flow.rests_on(hidden.node, source):
                    self.rivals.append(Rivals((source,), (hidden,)))
            for other, value in self.nexts.items():
                if self._flow.alike(value, source) and _stands_before(other, source) and not self._is_gated(other):
                    self.rivals.append(Rivals((other, source), (value,)))

    def _is_gated(self, source: StateSource) -> bool:
        """Whether gates weigh a state twice: for what it keeps of it, and for what it adds."""
        return sum(self._nodes[name].op == "Mul" for name, _ in source.slots) > 1


def _ends(stages: Sequence[Stage]) -> list[Value]:
    """Where a cell may end that only this flow shows: at its first stages, or later if the model goes on after that."""
    return [s.value for s in stages if s.products == stages[0].products or s.more]


def _stands_before(one: StateSource, other: StateSource) -> bool:
    """Whether two sources are joined for a product, the other one last, where cells of TensorFlow have their state."""
    return any(a == b and i < j for a, i in one.slots for b, j in other.slots)
