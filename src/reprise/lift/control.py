"""Loops, branches and TensorArrays → ONNX Loop and If.

A TensorArray (or TensorList) is the tensor of its rows: reading row i is Gather, what a loop writes at its own counter is
a scan output of Loop. The loop keeps its own condition, so it runs exactly as long as it did in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.facts import stacked_into, written_value
from reprise.interface.influence import Influence
from reprise.interface.structure import Carried, InBranch, InLoop, Loop, is_loop_merge
from reprise.interface.types import dtype as value_dtype
from reprise.lift import recurrent
from reprise.lift.block import Block, computed, onnx_type
from reprise.lift.emitter import Operator, Site
from reprise.wire import onnx


def _exit(site: Site) -> tuple[str | None, ...]:
    """The first Exit of a loop that is asked for emits the whole loop; the others find their values made."""
    switch = site.emitter.structure.graph[site.node.inputs[0].node]
    loop = _loop_of(site, switch.inputs[0])
    emit_loop(site, loop)
    return ()


def _loop_of(site: Site, inside: Value) -> Loop:
    structure = site.emitter.structure
    for element in reversed(structure.context(inside)):
        if isinstance(element, InLoop) and element.frame in structure.loops:
            return structure.loops[element.frame]
    raise site.emitter.refusal(site.node, "belongs to no loop that was recognised")


def emit_loop(site: Site, loop: Loop) -> None:
    """Emits `loop` as one ONNX Loop into the block of `site`, and names its final values there."""
    plan = _Plan(site, loop)
    cells = (
        recurrent.emit(site.emitter, site.block, plan.body())
        if site.emitter.fast_path
        else recurrent.Miss("not wanted")
    )
    if not isinstance(cells, recurrent.Miss):
        plan.leave(cells)
        return
    site.emitter.misses.append(f"loop {loop.name!r}: {cells.reason}")
    outer = site.block
    trips, first = plan.trips(), ""
    body = Block(outer.names, loop.context, outer)
    counter = body.names.fresh(f"{loop.name}/i")
    going = body.names.fresh(f"{loop.name}/going")
    plan.enter(body, counter)
    results = [site.emitter.name(c.leaving, body) for c in plan.carried]
    rows = [site.emitter.name(_element(site, c), body) for c in plan.arrays]
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

    def __init__(self, site: Site, loop: Loop) -> None:
        self.site = site
        self.loop = loop
        live = _live(site, loop)
        self.numbers = [c for c in live if _is_iteration_number(site, c)]
        self.arrays = [c for c in live if _element_or_none(site, c) is not None]
        self.carried = [
            c
            for c in live
            if (c not in self.numbers or self._is_asked_for(c))
            and c not in self.arrays
            and site.emitter.structure.unchanged(c.entering) is None
        ]
        self.kept = [c for c in live if site.emitter.structure.unchanged(c.entering) is not None]
        for carried in self.arrays:
            _check_row(site, carried, self.numbers)
        self.initial = [self._initial(c) for c in self.carried]

    def _is_asked_for(self, carried: Carried) -> bool:
        return carried.final is not None and carried.final.node in self.site.emitter.needed

    def _initial(self, carried: Carried) -> str:
        given = self.site.block.lookup(Value(carried.enter))
        return given or self.site.emitter.name(carried.initial, self.site.block)

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
        rows = [_element(self.site, c) for c in self.arrays]
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
        size = _size_of(self.site, carried)
        if size is None:
            return rows
        bounds = _bounds(self.site, self.loop, self.numbers, self.loop.condition)
        counts = [facts.of(b).content for b in bounds or ()]
        wanted = facts.of(size).content
        if wanted is not None and len(counts) >= 1 and all(c is not None and c.item() == wanted.item() for c in counts):
            return rows
        return _padded(self.site, rows, size, carried)


def _live(site: Site, loop: Loop) -> list[Carried]:
    """Variables that the wanted final values and the condition depend on."""
    structure = site.emitter.structure
    influence = Influence(structure, [c.entering for c in loop.carried], (), within=loop.name)
    wanted = influence.mask(loop.condition)
    live = [c for c in loop.carried if c.final is not None and c.final.node in site.emitter.needed]
    chosen: set[Carried] = set()
    pending = [*live, *(c for i, c in enumerate(loop.carried) if wanted >> i & 1)]
    while pending:
        carried = pending.pop()
        if carried in chosen:
            continue
        chosen.add(carried)
        element = _element_or_none(site, carried)
        mask = influence.mask(carried.leaving if element is None else element)
        if element is not None:
            mask |= influence.mask(_index(site, carried))
        pending += [c for i, c in enumerate(loop.carried) if mask >> i & 1]
    return [c for c in loop.carried if c in chosen]


def _write_of(site: Site, carried: Carried) -> Node | None:
    structure = site.emitter.structure
    node = structure.graph.nodes.get(structure.source(carried.leaving).node)
    return node if node is not None and written_value(node) is not None else None


def _element_or_none(site: Site, carried: Carried) -> Value | None:
    write = _write_of(site, carried)
    return None if write is None else written_value(write)


def _element(site: Site, carried: Carried) -> Value:
    element = _element_or_none(site, carried)
    assert element is not None, "called for arrays only"
    return element


def _index(site: Site, carried: Carried) -> Value:
    write = _write_of(site, carried)
    assert write is not None, "called for arrays only"
    return write.inputs[1]


def _check_row(site: Site, carried: Carried, numbers: Sequence[Carried]) -> None:
    """A scan output holds the rows in the order of the iterations: refuse another order."""
    structure = site.emitter.structure
    write = _write_of(site, carried)
    assert write is not None, "called for arrays only"
    if structure.source(write.inputs[1]) not in {c.entering for c in numbers}:
        raise site.emitter.refusal(write, "writes rows in another order than that of the iterations")
    flow = write.inputs[3] if write.op.startswith("TensorArray") else write.inputs[0]
    if structure.source(flow) != carried.entering:
        raise site.emitter.refusal(write, "writes to one array several times in an iteration")


def _is_iteration_number(site: Site, carried: Carried) -> bool:
    """A whole number that starts at 0 and goes up by 1."""
    if not value_dtype(site.emitter.structure, carried.entering).startswith("int"):
        return False
    from reprise.interface.recurrences import is_counter

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
    depth = len(loop.context)
    return None if structure.context(bound)[:depth] == loop.context else [bound]


def _size_of(site: Site, carried: Carried) -> Value | None:
    """The size that an array was made with, None where it grows as it is written."""
    structure = site.emitter.structure
    made = structure.graph[structure.origin(carried.initial).node]
    if made.op == "TensorListReserve":
        size = made.inputs[1]
    elif made.op.startswith("TensorArray") and made.inputs:
        size = made.inputs[0]
    else:
        return None
    known = site.emitter.known(size)
    return None if known is not None and int(known.item()) <= 0 else size


def _padded(site: Site, rows: str, size: Value, carried: Carried) -> str:
    element = site.emitter.facts.shape(_element(site, carried))
    if element is None:
        raise site.emitter.refusal(site.node, "gives an array whose unwritten rows have an unknown shape")
    block = site.block
    known = site.emitter.known(size)
    total = (
        site.block.ints(int(known.item()))
        if known is not None
        else block.one("Reshape", block.one("Cast", site.emitter.name(size, block), to=onnx.INT64), block.ints(1))
    )
    have = block.one("Slice", block.one("Shape", rows), block.ints(0), block.ints(1))
    missing = block.one("Max", block.one("Sub", total, have), block.ints(0))
    rank = len(element) + 1
    before = block.ints(*[0] * rank)
    after = block.ints(*[0] * (rank - 1))
    pads = (
        block.one("Concat", before, missing, after, axis=0)
        if rank > 1
        else block.one("Concat", before, missing, axis=0)
    )
    return block.one("Pad", rows, pads)


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
    own = _own_outputs(body, outputs)
    infos = [onnx.value_info(name) for name in own]
    return onnx.graph(body.nodes, loop.name, inputs, infos)


def _own_outputs(block: Block, names: Sequence[str]) -> list[str]:
    """Outputs of a subgraph must be made in it, each once: what comes from outside passes an Identity."""
    made = {output for node in block.nodes for output in node.output}
    own: list[str] = []
    for name in names:
        own.append(name if name in made and name not in own else block.one("Identity", name))
    return own


def _loop_merge_or_branch(site: Site) -> str:
    if is_loop_merge(site.node, site.emitter.structure.graph):
        raise site.emitter.refusal(site.node, "is a loop variable outside of its loop")
    return _merged(site)


def _merged(site: Site) -> str:
    """Where two branches meet: ONNX If, each branch with its own nodes."""
    structure = site.emitter.structure
    depth = len(structure.context(Value(site.node.name)))
    sides: dict[int, Value] = {}
    predicate: Value | None = None
    for value in site.node.inputs:
        beyond = structure.context(value)[depth:]
        if beyond and isinstance(beyond[0], InBranch):
            sides[beyond[0].side] = value
            predicate = beyond[0].predicate
    rest = [v for v in site.node.inputs if v not in sides.values()]
    for value in rest:
        sides.setdefault(1 if 1 not in sides else 0, value)
    if predicate is None or len(sides) != 2:
        raise site.emitter.refusal(site.node, "joins branches that could not be told apart")
    known = site.emitter.known(predicate)
    if known is not None:
        return _taken(site, predicate, sides[int(bool(known.item()))], int(bool(known.item())))
    branches = {side: _branch_graph(site, predicate, side, value) for side, value in sides.items()}
    condition = site.emitter.name(predicate, site.block)
    return site.one("If", condition, then_branch=branches[1], else_branch=branches[0])


def _taken(site: Site, predicate: Value, value: Value, side: int) -> str:
    """The branch that a setting chooses, emitted in place."""
    block = Block(site.block.names, (*site.block.context, InBranch(predicate, side)), site.block)
    block.nodes = site.block.nodes
    return site.emitter.name(value, block)


def _branch_graph(site: Site, predicate: Value, side: int, value: Value) -> onnx.Message:
    block = Block(site.block.names, (*site.block.context, InBranch(predicate, side)), site.block)
    result = _own_outputs(block, [site.emitter.name(value, block)])
    return onnx.graph(block.nodes, f"{site.node.name}/{side}", [], [onnx.value_info(n) for n in result])


def _switch(site: Site) -> tuple[str | None, ...]:
    """Inside a loop the variable itself; inside a branch its input."""
    structure = site.emitter.structure
    if structure.is_loop_switch(site.node.name):
        return (None, site.emitter.name(site.node.inputs[0], site.block))
    name = site.emitter.name(site.node.inputs[0], site.block)
    return (name, name)


def _array(site: Site) -> tuple[str | None, ...]:
    """An array that is only allocated has no rows; its handle and flow are never tensors."""
    return (_NO_TENSOR, _NO_TENSOR)


_NO_TENSOR = "?array"


def _rows(site: Site) -> str:
    """The rows put in from a tensor, in order."""
    stacked = stacked_into(site.node)
    assert stacked is not None, "the table maps only such operators here"
    if site.node.op.startswith("TensorArrayScatter") and not _is_whole_range(site, site.node.inputs[1]):
        return _scattered(site, stacked)
    return site.emitter.name(stacked, site.block)


def _is_whole_range(site: Site, indices: Value) -> bool:
    known = site.emitter.known(indices)
    if known is not None:
        return bool((known == np.arange(known.size)).all())
    structure = site.emitter.structure
    node = structure.graph[structure.origin(indices).node]
    if node.op != "Range":
        return False
    start, step = (site.emitter.known(node.inputs[i]) for i in (0, 2))
    return start is not None and step is not None and start.item() == 0 and step.item() == 1


def _scattered(site: Site, stacked: Value) -> str:
    """Rows put in at places computed at run time; the others are zeros."""
    made = site.emitter.structure.graph[site.emitter.structure.origin(site.node.inputs[0]).node]
    if not made.op.startswith("TensorArray") or not made.inputs:
        raise site.emitter.refusal(site.node, "fills an array whose size is not known")
    rows = site.emitter.name(stacked, site.block)
    size = site.emitter.name(made.inputs[0], site.block)
    count = site.one("Reshape", site.one("Cast", size, to=onnx.INT64), site.block.ints(1))
    inner = site.one("Slice", site.one("Shape", rows), site.block.ints(1), site.block.ints(np.iinfo(np.int64).max))
    zero = site.constant(0, computed(value_dtype(site.emitter.structure, stacked)))
    empty = site.one("Expand", zero, site.one("Concat", count, inner, axis=0))
    places = site.one("Unsqueeze", site.int64(1), site.block.ints(1))
    return site.one("ScatterND", empty, places, rows)


def _read_row(site: Site) -> str:
    flow, index = (2, 1) if site.node.op.startswith("TensorArray") else (0, 1)
    return site.one("Gather", _array_rows(site, flow), site.input(index), axis=0)


def _array_rows(site: Site, index: int) -> str:
    """The tensor of an array's rows."""
    name = site.input(index)
    if name == _NO_TENSOR:
        raise site.emitter.refusal(site.node, "reads an array that nothing has filled before")
    return name


def _stack_rows(site: Site) -> tuple[str | None, ...]:
    structure_op = site.node.op
    if structure_op.startswith("TensorArray"):
        flow = len(site.node.inputs) - 1
        rows = _array_rows(site, flow)
        if structure_op.startswith("TensorArrayGather") and not _is_whole_range(site, site.node.inputs[1]):
            return (site.one("Gather", rows, site.input(1), axis=0),)
        return (rows,)
    return (_array_rows(site, 0),)


def _concat_rows(site: Site) -> tuple[str | None, ...]:
    """TensorArrayConcat: rows of equal shape joined along their first axis."""
    rows = _array_rows(site, len(site.node.inputs) - 1)
    rank = site.emitter.facts.shape(Value(site.node.name))
    shape = site.one("Shape", rows)
    rest = site.one("Slice", shape, site.block.ints(2), site.block.ints(np.iinfo(np.int64).max))
    del rank
    return (site.one("Reshape", rows, site.one("Concat", site.block.ints(-1), rest, axis=0)), None)


def _array_size(site: Site) -> str:
    structure = site.emitter.structure
    flow = Value(site.node.inputs[-1].node, site.node.inputs[-1].index)
    made = structure.graph[structure.origin(site.node.inputs[0]).node]
    size = made.inputs[0] if made.op.startswith("TensorArray") and made.inputs else None
    known = site.emitter.known(size) if size is not None else None
    if size is not None and (known is None or known.item() > 0):
        return site.emitter.name(size, site.block)
    rows = site.emitter.name(flow, site.block)
    count = site.one("Gather", site.one("Shape", rows), site.constant(0, "int64"), axis=0)
    return site.one("Cast", count, to=onnx.INT32)


def _condition(site: Site) -> str:
    return site.input(0)


_ARRAYS = ("TensorArray", "TensorArrayV2", "TensorArrayV3")

CONTROL: dict[str, Operator] = {
    **dict.fromkeys(("Exit", "RefExit"), Operator(_exit, lazy=(0,))),
    **dict.fromkeys(("Merge", "RefMerge"), Operator(_loop_merge_or_branch, lazy=(0, 1))),
    **dict.fromkeys(("Switch", "RefSwitch"), Operator(_switch, lazy=(0, 1))),
    "LoopCond": Operator(_condition),
    **dict.fromkeys(_ARRAYS, Operator(_array, lazy=(0,))),
    **dict.fromkeys(("TensorListReserve", "EmptyTensorList"), Operator(_array, lazy=(0, 1))),
    **dict.fromkeys(
        ("TensorArrayScatterV3", "TensorArrayScatterV2", "TensorArrayScatter"), Operator(_rows, lazy=(0, 1, 3))
    ),
    "TensorArrayUnpack": Operator(_rows, lazy=(0, 2)),
    "TensorListFromTensor": Operator(_rows, lazy=(1,)),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead"), Operator(_read_row, lazy=(0,))),
    "TensorListGetItem": Operator(_read_row, lazy=(2,)),
    **dict.fromkeys(
        ("TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather"), Operator(_stack_rows, lazy=(0, 1))
    ),
    "TensorArrayPack": Operator(_stack_rows, lazy=(0,)),
    "TensorListStack": Operator(_stack_rows, lazy=(1,)),
    **dict.fromkeys(
        ("TensorArrayConcatV3", "TensorArrayConcatV2", "TensorArrayConcat"), Operator(_concat_rows, lazy=(0,))
    ),
    **dict.fromkeys(("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize"), Operator(_array_size, lazy=(0, 1))),
}
