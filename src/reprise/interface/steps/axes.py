"""Which axes are time and batch, and with which sizes set free: the shapes of one reading of a graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from reprise.errors import DiscoveryError
from reprise.graph import Value
from reprise.interface.analysis.facts import Facts, stated
from reprise.interface.analysis.influence import ancestors
from reprise.interface.loops.recurrences import Recurrence, array_sizes
from reprise.operators import Tag, named
from reprise.operators.arrays import grown_size
from reprise.operators.rules.shapes import Dims
from reprise.operators.rules.sizes import Dim
from reprise.structure import Carried, Loop, Structure
from reprise.tensors import Array

PARTITIONS = named(Tag.PARTITION)


@dataclass(frozen=True, slots=True)
class Axes:
    """The symbols of time and batch in a set of facts.

    Attributes:
        facts: Shapes with only these axes free.
        times: Symbols of time, one for each length of sequence that the recurrences run over; sequences that are longer
            or shorter by a number have the same.
        batch: The symbol of the batch, or None where the file has none or bakes it in.
        fixed: Axes that are time or batch but for numbers of the file that their sizes met, where there may be any.
    """

    facts: Facts
    times: frozenset[str]
    batch: str | None
    fixed: Fixed | None = None

    @property
    def structure(self) -> Structure:
        """The graph."""
        return self.facts.structure

    def named(self, value: Value) -> tuple[int | None, int | None]:
        """The axes of time and of the batch of `value`, those too that can have one size alone."""
        time, batch = self.time_axis(value), self.batch_axis(value)
        if self.fixed is None or self.rows(value) is not None:
            return time, batch
        known = {axis for axis, n in enumerate(self.sizes(value)) if n is not None} - {time, batch}
        found, rows = self.fixed.axes.time_axis(value), self.fixed.axes.batch_axis(value)
        if time is None and found in known and found != rows:
            time = found
        return time, rows if batch is None and rows in known - {time} else batch

    def why_fixed(self, value: Value) -> str:
        """Which node fixes the time of `value` to one size, empty where it is free or that is not known."""
        time = self.named(value)[0]
        if self.fixed is None or time is None or time == self.time_axis(value):
            return ""
        size = (self.fixed.axes.facts.of(value).shape or ())[time]
        return self.fixed.facts.sizes.fixed_by(size.symbols[0])

    def time_axis(self, value: Value) -> int | None:
        """The axis of `value` that is time alone."""
        if self.fixed is not None and self.rows(value) is not None:
            return None
        return next((i for i in self.timed(value) if len((self.facts.shape(value) or ())[i].symbols) == 1), None)

    def batch_axis(self, value: Value) -> int | None:
        """The axis of `value` that is the batch alone."""
        shape = self.facts.shape(value) or ()
        return next((i for i, d in enumerate(shape) if self.batch and d.symbols == (self.batch,)), None)

    def timed(self, value: Value) -> list[int]:
        """The axes of `value` that hold time."""
        return [i for i, size in enumerate(self.facts.shape(value) or ()) if self.holds_time(size)]

    def holds_time(self, size: Dim) -> bool:
        """Whether the steps of a sequence are among what a size counts."""
        return any(self.facts.sizes.base(name) in self.times for name in size.symbols)

    def is_partition(self, value: Value) -> bool:
        """Whether `value` is rows that DynamicPartition sorted, to be put back in order, as in a divided embedding."""
        symbols = {s for d in self.facts.shape(value) or () for s in d.symbols}
        makers = {s.removeprefix("?").rpartition(".")[0] for s in symbols}
        return any((m := self.structure.graph.nodes.get(name)) is not None and m.op in PARTITIONS for name in makers)

    def operators_behind(self, values: Sequence[Value]) -> set[str]:
        """The operators that `values` are computed with."""
        return {self.structure.graph[n].op for n in ancestors(self.structure, values)}

    def missing(self, value: Value, read: Iterable[Value]) -> tuple[int, list[int]]:
        """The fewest steps that `value` can have, no part of it being less than none; by how many it exceeds `read`.

        Sequences whose length has nothing to do with it are left out.
        """
        axis = self.time_axis(value)
        if axis is None:
            return 0, []
        size = (self.facts.shape(value) or ())[axis]
        more = [self.facts.sizes.apart(size, (self.facts.shape(v) or (size,))[0]) for v in read]
        return self.facts.sizes.least(size), [n for n in more if n is not None]

    def rows(self, value: Value) -> Literal["batch-major", "time-major"] | None:
        """`batch-major` or `time-major` where the first axis of `value` holds both."""
        size = next(iter(self.facts.shape(value) or ()), Dim(1))
        first = size.symbols
        if self.fixed is not None and size.scale != 1 and self.holds_time(size):
            return self.fixed.axes.rows(value)  # the file bakes in how many rows a step has
        if size.scale != 1 or len(first) != 2 or self.batch not in first or not self.holds_time(size):
            return None
        return "batch-major" if first[0] == self.batch else "time-major"

    def sizes(self, value: Value) -> tuple[int | None, ...]:
        """The shape of `value` as users see it, None where free.

        Raises:
            DiscoveryError: The graph computes a size that none can be.
        """
        shape = tuple(map(self.facts.sizes.number, self.facts.shape(value) or ()))
        if any(n is not None and n < 0 for n in shape):
            raise DiscoveryError(f"tensor {str(value)!r} would have the shape {list(shape)}; a size is 0 or more")
        return shape


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is time and batch where no size meets a number.

    Attributes:
        axes: As if the numbers that the file has for sizes met none of their like.
        facts: Where they did meet: shapes in which all sizes of the inputs began as free.
    """

    axes: Axes
    facts: Facts


def read(
    structure: Structure,
    recurrences: Collection[Recurrence],
    inputs: Sequence[Value],
    wanted: Iterable[Value],
    settings: Mapping[Value, Array],
    before: Collection[Recurrence] = (),
) -> Axes:
    """Time and batch axes when `wanted` is computed from `inputs`, known `settings` and the states of `recurrences`.

    The loops `before` have sequences of their own: their length is free too, and no time of the model.

    The first pass takes every size of inputs and states for free and sees which are time and batch; the second frees
    only those, so that every other size is the number in the file.
    """
    wanted, loops = list(wanted), (*recurrences, *before)
    every = {v: tuple(range(len(stated(structure, v) or ()))) for v in inputs}
    facts = first = _facts(structure, loops, every, None, wanted, settings)
    times, batch = _times(structure, facts, loops), _batch(facts, loops)
    free = {
        v: tuple(
            i for i, d in enumerate(facts.shape(v) or ()) if set(map(facts.sizes.base, d.symbols)) & (times | {batch})
        )
        for v in inputs
    }
    states = {c.entering: _batch_axes(facts, c, batch) for r in loops for c in r.states}
    facts = _facts(structure, loops, free, states, wanted, settings)
    times, batch = _times(structure, facts, loops), _batch(facts, loops)
    given = {facts.sizes.base(s) for v in inputs for d in facts.shape(v) or () for s in d.symbols}
    facts.sizes.fix_all(but={*(times & given), batch or ""})  # what no input counts is as the file says
    axes = Axes(facts, _times(structure, facts, recurrences), batch)
    if batch is not None and any(axes.time_axis(v) is not None for v in inputs):
        return axes
    facts = _facts(structure, loops, every, None, wanted, settings, lasting=True)
    return replace(axes, fixed=Fixed(Axes(facts, _times(structure, facts, recurrences), _batch(facts, loops)), first))


def _batch_axes(facts: Facts, carried: Carried, batch: str | None) -> tuple[int, ...]:
    return tuple(
        i for i, d in enumerate(facts.shape(carried.entering) or ()) if batch is not None and batch in d.symbols
    )


def _facts(
    structure: Structure,
    recurrences: Collection[Recurrence],
    inputs: Mapping[Value, Collection[int]],
    states: Mapping[Value, Collection[int]] | None,
    wanted: Iterable[Value],
    settings: Mapping[Value, Array],
    *,
    lasting: bool = False,
) -> Facts:
    """The shapes of everything that `wanted` is computed from.

    Args:
        structure: The graph.
        recurrences: Its loops; the shape of a state is the same before and after a step.
        inputs: Input → its axes whose size is free.
        states: State → its axes whose size is free; None where all are.
        wanted: The outputs.
        settings: Setting → its number.
        lasting: Whether a size that meets a number keeps its symbol.
    """
    static, facts = Facts(structure), Facts(structure, lasting=lasting)
    for value, number in settings.items():
        static.know(value, number)
        facts.know(value, number)
    for value, free in inputs.items():
        facts.give(value, facts.symbols(value.node, stated(structure, value), free))
    for carried in (c for r in recurrences for c in r.states):
        shape = static.shape(carried.initial)
        if shape is not None:
            free = range(len(shape)) if states is None else states[carried.entering]
            facts.give(carried.entering, _entering(facts, carried, shape, free))
    for recurrence in _in_order(structure, recurrences):  # what one leaves is measured before the next asks for it
        _free_trip_count(structure, facts, static, recurrence)
        for carried in recurrence.states:
            _equate_first(facts, carried)
        for carried in (c for loop in _within(structure, recurrence.loop) for c in loop.carried):
            facts.equate(facts.of(carried.entering).shape, facts.of(carried.leaving).shape)
        for write in recurrence.writes:
            facts.of(write.element)
    for value in wanted:
        facts.of(value)
    return facts


def _within(structure: Structure, outer: Loop) -> list[Loop]:
    """A loop and those that run within each of its iterations."""
    return [p for p in structure.loops.values() if p.context[: len(outer.context)] == outer.context]


def _in_order(structure: Structure, recurrences: Collection[Recurrence]) -> list[Recurrence]:
    """In the order of the data."""
    enters = {c.enter: r for r in recurrences for c in r.loop.carried}
    return list(dict.fromkeys(enters[name] for name in structure.order if name in enters))


def _entering(facts: Facts, carried: Carried, shape: Dims, free: Collection[int]) -> Dims:
    """The shape of a state: a size that the file computes from an input's shape is that input's size."""
    numbers = [d.scale if d.known else None for d in shape]
    symbols = facts.symbols(carried.enter, numbers, free) or ()
    return tuple(s if d.known else d for s, d in zip(symbols, shape, strict=True))


def _equate_first(facts: Facts, carried: Carried) -> None:
    """A state that is computed from inputs has their sizes; the rows of one that is a constant say nothing."""
    first, entering = (facts.of(v).shape for v in (carried.initial, carried.entering))
    for one, other in zip(first or (), entering or (), strict=False):
        if not facts.sizes.resolve(one).known:
            facts.sizes.equate(one, other)


def _free_trip_count(structure: Structure, facts: Facts, static: Facts, recurrence: Recurrence) -> None:
    """Where the file bakes in the number of steps, the loop's bound and its arrays' sizes are that number as constants.

    They are the time of the sequence that the loop reads, and become free with it.
    """
    stacked = [facts.shape(r.stacked) for r in recurrence.reads]
    times = [s[0] for s in stacked if s and not s[0].known and facts.sizes.nominal(s[0]) is not None]
    if not times:
        return
    for value in (
        *loop_bounds(structure, recurrence.loop),
        *array_sizes(structure, recurrence),
        *_gather_counts(structure, recurrence),
    ):
        number = static.content(value)
        if number is not None and number.size == 1 and int(number.item()) == facts.sizes.nominal(times[0]):
            facts.know(value, np.asarray(times[0], object))


def loop_bounds(structure: Structure, loop: Loop) -> list[Value]:
    """The right-hand sides of the comparisons that a loop's condition is made of."""
    found, pending = [], [loop.condition]
    while pending:
        node = structure.graph[structure.source(pending.pop()).node]
        if node.op == "LogicalAnd":
            pending.extend(node.inputs)
        elif node.op == "Less":
            found.append(structure.origin(node.inputs[1]))
    return found


def _gather_counts(structure: Structure, recurrence: Recurrence) -> Iterator[Value]:
    """The number up to which the rows are numbered that are gathered of an array at the end of a loop."""
    for final in (w.carried.final for w in recurrence.writes if w.carried.final is not None):
        for node in (structure.graph[name] for name in structure.consumers[final.node]):
            indices = structure.graph[structure.origin(node.inputs[1]).node] if len(node.inputs) > 1 else node
            if node.op.startswith("TensorArrayGather") and indices.op == "Range":
                yield structure.origin(indices.inputs[1])


def _times(structure: Structure, facts: Facts, recurrences: Collection[Recurrence]) -> frozenset[str]:
    found = set()
    for recurrence in recurrences:
        for read in recurrence.reads:
            lengths = (_counting(facts, n) for n in _lengths(structure, facts, read.stacked) if n.scale == 1)
            found |= {facts.sizes.base(names[0]) for names in lengths if len(names) == 1}
        found |= {grown_size(structure, w.carried) for w in recurrence.writes}
    return frozenset(found)


def _counting(facts: Facts, size: Dim) -> list[str]:
    """The symbols of a size, those aside that are one in the file: the rows of a picture that was pooled to one."""
    ones = [name for name in size.symbols if facts.sizes.nominal(Dim(1, (name,))) == 1]
    return [name for name in size.symbols if name not in ones or len(size.symbols) == 1]


def _lengths(structure: Structure, facts: Facts, stacked: Value) -> Iterator[Dim]:
    """The number of rows of a sequence; of that too which it is the later steps of."""
    shape = facts.shape(stacked)
    while shape:
        yield shape[0]
        node = structure.graph[structure.source(stacked).node]
        whole = facts.shape(node.inputs[0]) if node.op == "StridedSlice" else None
        shape = whole if whole is not None and len(whole) == len(shape) else None
        stacked = node.inputs[0] if shape else stacked


def _batch(facts: Facts, recurrences: Collection[Recurrence]) -> str | None:
    for recurrence in recurrences:
        for carried in recurrence.states:
            shape = facts.shape(carried.entering)
            if shape and len(shape[0].symbols) == 1 and shape[0].scale == 1 and len(shape) > 1:
                return shape[0].symbols[0]
    return _rows_of_packed(facts, recurrences)


def _rows_of_packed(facts: Facts, recurrences: Collection[Recurrence]) -> str | None:
    """Where every state is packed as [2, N, H]: the axis that it shares with the rows of what the loop reads."""
    read = [shape[1] for r in recurrences for q in r.reads if len(shape := facts.shape(q.stacked) or ()) > 1]
    packed = [d for r in recurrences for c in r.states for d in (facts.shape(c.entering) or ())[1:-1]]
    return next((d.symbols[0] for d in packed if d in read and len(d.symbols) == 1 and d.scale == 1), None)
