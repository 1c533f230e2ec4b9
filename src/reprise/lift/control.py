"""Loops → ONNX Loop.

A loop keeps its own condition, so it runs exactly as long as it did in TensorFlow; what it writes to an array at its
own counter is a scan output.
"""

from __future__ import annotations

from collections.abc import Sequence

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import Influence
from reprise.interface.loops.recurrences import is_counter
from reprise.lift import recurrent
from reprise.lift.arrays import check_row, padded, written_row
from reprise.lift.emitter import Emitter
from reprise.operators.arrays import allocated_size
from reprise.operators.control import own_outputs
from reprise.operators.rules.block import Block, computed_type, onnx_type
from reprise.operators.rules.site import Site
from reprise.operators.types import dtype as value_dtype
from reprise.structure import Carried, InLoop, Loop
from reprise.wire import onnx


def leave_loop(emitter: Emitter, site: Site) -> None:
    """Emits the loop that the Exit at `site` leaves; its other Exits find their values made."""
    switch = emitter.structure.graph[site.node.inputs[0].node]
    emit_loop(emitter, site, _loop_of(site, switch.inputs[0]))


def _loop_of(site: Site, inside: Value) -> Loop:
    structure = site.emitter.structure
    for element in reversed(structure.context(inside)):
        if isinstance(element, InLoop) and element.frame in structure.loops:
            return structure.loops[element.frame]
    raise site.refusal("belongs to no loop that was recognised")


def emit_loop(emitter: Emitter, site: Site, loop: Loop) -> None:
    """Emits `loop` as one ONNX Loop into the block of `site`, and names its final values there."""
    plan = _Plan(emitter, site, loop)
    if not plan.carried and not plan.arrays:  # only how often it runs is asked for
        plan.leave([])
        return
    cells = (
        recurrent.emit(emitter, site.block, plan.body())
        if emitter.fast_path
        else recurrent.NoSequencePlan("not wanted")
    )
    if not isinstance(cells, recurrent.NoSequencePlan):
        plan.leave(cells)
        return
    emitter.misses.append(f"loop {loop.name!r}: {cells.reason}")
    outer = site.block
    trips, first = plan.trips(), ""
    body = Block(outer.names, loop.context, outer)
    counter = body.names.fresh(f"{loop.name}/i")
    going = body.names.fresh(f"{loop.name}/going")
    plan.enter(body, counter)
    results = [emitter.name(c.leaving, body) for c in plan.carried]
    rows = [emitter.name(row.element, body) for row in plan.arrays.values()]
    if trips is None:
        first = plan.condition_before(outer)
        again = plan.condition_after(body, results)
    else:
        again = body.one("Identity", going)
    graph = _body_graph(site, loop, body, plan, counter, going, [again, *results, *rows])
    made = outer.add(
        "Loop",
        [trips or "", first, *plan.initial],
        len(plan.carried) + len(plan.arrays),
        loop.name,
        body=graph,
    )
    plan.leave(made)


class _Plan:
    """Which variables of a loop are carried, which are arrays it writes, which are its iteration number."""

    def __init__(self, emitter: Emitter, site: Site, loop: Loop) -> None:
        self.site = site
        self.loop = loop
        self.needed = emitter.needed
        live = _live(site, loop, emitter.needed)
        self.numbers = [c for c in live if _is_iteration_number(site, c)]
        self.arrays = {c: row for c in live if (row := written_row(site, c)) is not None}
        self.carried = [
            c
            for c in live
            if (c not in self.numbers or self._is_needed(c))
            and c not in self.arrays
            and site.emitter.structure.unchanged(c.entering) is None
        ]
        self.kept = [c for c in live if site.emitter.structure.unchanged(c.entering) is not None]
        for carried, row in self.arrays.items():
            check_row(site, carried, row, self.numbers)
        self.initial = [self._initial(c) for c in self.carried]

    def _is_needed(self, carried: Carried) -> bool:
        return carried.final is not None and carried.final.node in self.needed

    def _initial(self, carried: Carried) -> str:
        given = self.site.block.lookup(Value(carried.enter)) or self._stretched(carried)
        return given or self.site.emitter.name(carried.initial, self.site.block)

    def _stretched(self, carried: Carried) -> str | None:
        """A first value that is one number over and over, for as many rows as there are and not as the file had."""
        emitter, block = self.site.emitter, self.site.block
        shape, baked = (emitter.facts.shape(v) for v in (carried.entering, carried.initial))
        if not shape or not baked or all(d.known for d in shape) or not all(d.known for d in baked):
            return None
        number = self._only_number(emitter.structure.graph[emitter.structure.origin(carried.initial).node])
        sizes = [emitter.size(d, block) for d in shape]
        if number is None or None in sizes:
            return None
        return block.one("Expand", number, block.one("Concat", *(s for s in sizes if s is not None), axis=0))

    def _only_number(self, made: Node) -> str | None:
        """The number that all elements of a constant are."""
        if made.op == "Fill":
            return self.site.emitter.name(made.inputs[1], self.site.block)
        content = made.tensor("value").load() if made.op == "Const" else None
        if content is None or content.size == 0 or (content != content.flat[0]).any():
            return None
        return self.site.constant(content.flat[0].item(), computed_type(made.dtype("dtype")))

    def enter(self, body: Block, counter: str) -> None:
        """Names what an iteration starts from."""
        for carried in self.numbers:
            kind = onnx_type(value_dtype(self.site.emitter.structure, carried.entering))
            body.values[carried.entering] = body.one("Cast", counter, to=kind)
        for carried in self.carried:
            body.values[carried.entering] = body.names.fresh(carried.entering.node)
        for carried in self.kept:
            body.values[carried.entering] = self._initial(carried)

    def body(self) -> recurrent.Body:
        """What the fast path needs to know."""
        rows = [row.element for row in self.arrays.values()]
        bounds = _bounds(self.site, self.loop, self.numbers, self.loop.condition)
        still = {c.entering: self._initial(c) for c in self.kept}
        return recurrent.Body(self.loop, self.numbers, self.carried, self.initial, still, rows, bounds or ())

    def trips(self) -> str | None:
        """The number of iterations (int64), where the condition only compares counters with bounds."""
        bounds = _bounds(self.site, self.loop, self.numbers, self.loop.condition)
        if bounds is None:
            return None
        names = []
        for bound in bounds:
            known = self.site.emitter.known(bound)
            if known is not None:
                names.append(self.site.constant(known.reshape(()), "int64"))
            else:
                names.append(self.site.block.one("Cast", self.site.emitter.name(bound, self.site.block), to=onnx.INT64))
        return names[0] if len(names) == 1 else self.site.block.one("Min", *names)

    def condition_before(self, outer: Block) -> str:
        """Whether the first iteration runs."""
        test = Block(outer.names, self.loop.context, outer)
        test.nodes = outer.nodes
        for carried in self.loop.carried:
            if carried in self.numbers:
                kind = value_dtype(self.site.emitter.structure, carried.entering)
                test.values[carried.entering] = self.site.constant(0, kind)
            elif carried not in self.arrays and carried in (*self.carried, *self.kept):
                test.values[carried.entering] = self._initial(carried)
        return self.site.emitter.name(self.loop.condition, test)

    def condition_after(self, body: Block, results: Sequence[str]) -> str:
        """Whether another iteration follows."""
        test = Block(body.names, self.loop.context, body)
        test.nodes = body.nodes
        for carried, result in zip(self.carried, results, strict=True):
            test.values[carried.entering] = result
        for carried in self.numbers:
            kind = value_dtype(self.site.emitter.structure, carried.entering)
            one = self.site.constant(1, kind)
            test.values[carried.entering] = body.one("Add", body.values[carried.entering], one)
        return self.site.emitter.name(self.loop.condition, test)

    def leave(self, made: Sequence[str]) -> None:
        """Names the values after the loop."""
        outer = self.site.block
        for carried, name in zip((*self.carried, *self.arrays), made, strict=True):
            if carried.final is not None:
                outer.values[carried.final] = name if carried in self.carried else self._whole(carried, name)
        for carried in self.kept:
            if carried.final is not None:
                outer.values[carried.final] = self._initial(carried)

    def _whole(self, carried: Carried, rows: str) -> str:
        """All rows of an array: those that the loop did not reach are zeros, as TensorFlow reads them."""
        facts = self.site.emitter.facts
        size = allocated_size(facts, carried.initial)
        if size is None:
            return rows
        bounds = _bounds(self.site, self.loop, self.numbers, self.loop.condition)
        counts = [facts.of(b).content for b in bounds or ()]
        wanted = facts.of(size).content
        if wanted is not None and len(counts) >= 1 and all(c is not None and c.item() == wanted.item() for c in counts):
            return rows
        return padded(self.site, rows, size, self.arrays[carried])


def _live(site: Site, loop: Loop, needed: frozenset[str]) -> list[Carried]:
    """Variables that the wanted final values and the condition depend on."""
    structure = site.emitter.structure
    influence = Influence(structure, [c.entering for c in loop.carried], (), within=loop.name)
    wanted = influence.mask(loop.condition)
    live = [c for c in loop.carried if c.final is not None and c.final.node in needed]
    chosen: set[Carried] = set()
    pending = [*live, *(c for i, c in enumerate(loop.carried) if wanted >> i & 1)]
    while pending:
        carried = pending.pop()
        if carried in chosen:
            continue
        chosen.add(carried)
        row = written_row(site, carried)
        mask = (
            influence.mask(carried.leaving) if row is None else influence.mask(row.element) | influence.mask(row.index)
        )
        pending += [c for i, c in enumerate(loop.carried) if mask >> i & 1]
    return [c for c in loop.carried if c in chosen]


def _is_iteration_number(site: Site, carried: Carried) -> bool:
    """A whole number that starts at 0 and goes up by 1."""
    if not value_dtype(site.emitter.structure, carried.entering).startswith("int"):
        return False
    initial = site.emitter.known(carried.initial)
    return (
        initial is not None
        and initial.size == 1
        and initial.item() == 0
        and is_counter(site.emitter.structure, carried)
    )


def _bounds(site: Site, loop: Loop, numbers: Sequence[Carried], condition: Value) -> list[Value] | None:
    """The bounds b of `number < b and …`, None when the condition is anything else."""
    structure = site.emitter.structure
    node = structure.graph[structure.source(condition).node]
    if node.op == "LogicalAnd":
        parts = [_bounds(site, loop, numbers, v) for v in node.inputs]
        return None if None in parts else [b for p in parts if p is not None for b in p]
    if node.op != "Less" or structure.source(node.inputs[0]) not in {c.entering for c in numbers}:
        return None
    bound = structure.origin(node.inputs[1])
    return None if structure.is_inside(bound, loop) else [bound]


def _body_graph(
    site: Site, loop: Loop, body: Block, plan: _Plan, counter: str, going: str, outputs: Sequence[str]
) -> onnx.Message:
    structure = site.emitter.structure
    inputs = [
        onnx.value_info(counter, onnx.INT64, []),
        onnx.value_info(going, onnx.BOOL, []),
    ]
    for carried in plan.carried:
        kind = onnx_type(value_dtype(structure, carried.entering))
        inputs.append(onnx.value_info(body.values[carried.entering], kind, None))
    own = own_outputs(body, outputs)
    infos = [onnx.value_info(name) for name in own]
    return onnx.graph(body.nodes, loop.name, inputs, infos)
