"""The frame that replaces unrolled steps, and how the rest of the graph reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reprise.frame import NEXT_VALUE, STEP_TENSORS, Frame, Scope
from reprise.graph import Node, Value
from reprise.interface.normal.unrolled.collected import Collected, StepOutput
from reprise.interface.normal.unrolled.replacements import FramePlan, stacked_name
from reprise.interface.normal.unrolled.steps import CarriedState, Computed, SequenceRow, StepCount, View
from reprise.interface.normal.unrolled.time_slices import holds_batches
from reprise.operators.types import dtype
from reprise.structure import RESULTS


def write_frame(view: View, plan: FramePlan, nodes: dict[str, Node]) -> set[str]:
    """Adds the frame of `plan` to `nodes`, and lets what read the last step or all steps read the frame.

    Gives the names of the nodes that the frame makes idle, unless something else in the graph reads them.
    """
    names, states = plan.steps.needed(view.graph, [*map(Value, plan.steps.anchors), *(o.value for o in plan.outputs)])
    states = tuple(sorted(states, key=lambda s: (view.position[s.initial.node], view.position[s.next.node])))
    writer = _Writer(view, plan, nodes)
    finals = writer.loop(names, states)
    made = plan.steps.images[-1]
    named = {plan.steps.image(s.next, -1): f for s, f in zip(states, finals, strict=True) if s.next.node in made}
    writer.results(named)
    for final in set(finals) - set(named.values()):
        nodes[final.node] = replace(nodes[final.node], attributes={NEXT_VALUE: None})
    for output in plan.outputs:
        writer.output(output)
    return writer.idle()


class _Writer(Scope):
    def __init__(self, view: View, plan: FramePlan, nodes: dict[str, Node]) -> None:
        super().__init__(plan.frame, nodes)
        self.view, self.plan = view, plan
        self._renamed: dict[str, str] = {}
        self._firsts: set[str] = set()

    def idle(self) -> set[str]:
        """The nodes of the steps, those aside whose names now mean something else, and first rows made for them."""
        steps = {name for images in self.plan.steps.images for name in images.values()}
        return (steps - set(self._renamed)) | set(self._renamed.values()) | self._firsts

    def loop(self, names: set[str], states: tuple[CarriedState, ...]) -> list[Value]:
        """Writes the frame; gives the last value of every state."""
        graph, steps = self.view.graph, self.plan.steps
        rows = steps.rows(graph, names)
        stacked = {row: self._sequence(row, f"in/{k}") for k, row in enumerate(rows)}
        frame = Frame(self.name, self._row_count(stacked), self.nodes)
        entering: dict[object, Value] = {s: frame.carry(s.initial, dtype(self.view.structure, s.next)) for s in states}
        for k, row in enumerate(rows):
            entering[row] = frame.read(f"in/{k}", stacked[row], dtype(self.view.structure, row.first))
        for name in sorted(names, key=self.view.position.__getitem__):
            frame.add(self._moved(frame, graph.nodes[name], entering))
        finals = [frame.leave(entering[s], self._inside(s.next)) for s in states]
        for value in dict.fromkeys(o.value for o in self.plan.outputs):
            frame.write(f"out/{value.node}/{value.index}", self._inside(value), dtype(self.view.structure, value))
        return finals

    def _inside(self, value: Value) -> Value:
        return Value(f"{self.plan.frame}/step/{value.node}", value.index)

    def _moved(self, frame: Frame, node: Node, entering: dict[object, Value]) -> Node:
        inputs = []
        for slot, value in enumerate(node.inputs):
            role = self.plan.steps.roles[node.name, slot]
            if isinstance(role, Computed):
                inputs.append(self._inside(value))
            elif isinstance(role, StepCount):
                inputs.append(_counted(frame, role, self.plan.count, entering))
            elif isinstance(role, (CarriedState, SequenceRow)):
                inputs.append(entering[role])
            else:
                inputs.append(frame.constant(self._outside(value)))
        return replace(node, name=self._inside(Value(node.name)).node, inputs=tuple(inputs), controls=())

    def _outside(self, value: Value) -> Value:
        """A value as the loop can bring it in: a constant of a branch is one of the loop's own."""
        node = self.view.graph.nodes[value.node]
        if node.op != "Const" or not node.controls:
            return value
        return self.add(replace(node, name=self._inside(value).node, controls=()))

    def _row_count(self, stacked: Mapping[SequenceRow, Value]) -> Value:
        if not stacked:
            return self.number("rows", self.plan.count)
        leading = min(stacked, key=lambda row: not _is_whole(row, self.plan.count))
        return self.rows(stacked[leading])

    def _sequence(self, row: SequenceRow, scope: str) -> Value:
        """All rows with time as the first axis, in the order of the steps; the first row is read from it too."""
        kind = dtype(self.view.structure, row.first)
        whole = self._placeholder(row) if row.source is None else self._time_first(row, row.source, scope)
        if not _is_whole(row, self.plan.count):
            first = min(row.start, row.start + row.delta * (self.plan.count - 1))
            whole = self.part(f"{scope}/part", whole, [first], [first + self.plan.count], T=kind)
        if row.delta < 0:
            whole = self.make(f"{scope}/reversed", "ReverseV2", (whole, self.number(f"{scope}/axis", [0])))
        if row.axis >= 0 and row.first not in self.view.stacked:
            self._first_row(row, whole, scope, kind)
        return whole

    def _time_first(self, row: SequenceRow, source: Value, scope: str) -> Value:
        if row.axis < 0:
            return self.make(f"{scope}/expand", "ExpandDims", (source, self.number(f"{scope}/dim", 0)))
        shape = self.view.facts.shape(source)
        axis = row.axis
        if row.kept and shape is not None and holds_batches(shape, axis, row.of):
            sizes = self.number(f"{scope}/sizes", [row.of, -1, *(size.scale for size in shape[1:])])
            return self.make(f"{scope}/apart", "Reshape", (source, sizes), T=dtype(self.view.structure, source))
        if row.kept:
            source = self.make(f"{scope}/expand", "ExpandDims", (source, self.number(f"{scope}/dim", axis + 1)))
        if axis == 0:
            return source
        rank = (len(shape) if shape is not None else axis + 2) + row.kept
        order = [axis, *(i for i in range(rank) if i != axis)]
        return self.make(f"{scope}/transpose", "Transpose", (source, self.number(f"{scope}/perm", order)))

    def _placeholder(self, row: SequenceRow) -> Value:
        """One placeholder for all steps, called like the first."""
        name = row.first.node
        shape = self.view.graph.nodes[name].attributes["shape"]
        dims = None if shape.dims is None else (None, *shape.dims)
        members = tuple(str(v).encode() for v in self.plan.steps.members[row])
        attributes = {
            "dtype": dtype(self.view.structure, row.first),
            "shape": type(shape)(dims),
            STEP_TENSORS: members,
        }
        self.nodes[name] = Node(name, "Placeholder", (), (), attributes)
        return row.first

    def _first_row(self, row: SequenceRow, stacked: Value, scope: str, kind: str) -> None:
        """Lets other readers of the first row (they ask for its size) find it in a sequence of any length."""
        taken = self.part(f"{scope}/first", stacked, [0], [1], shrink_axis_mask=1, T=kind)
        self._firsts.add(taken.node)
        for name, _ in self.view.readers.get(row.first, ()):
            node = self.nodes[name]
            moved = tuple(taken if v == row.first else v for v in node.inputs)
            self.nodes[name] = replace(node, inputs=moved)

    def results(self, last: Mapping[Value, Value]) -> None:
        """The last value of a state is read from the loop, under the name that it has in the file."""
        for name in dict.fromkeys(v.node for v in last):
            known = [v for v in (*last, *self.view.readers) if v.node == name]
            self._rename(name)
            every = [Value(name, i) for i in range(max(v.index for v in known) + 1)]
            self.add(Node(name, RESULTS, tuple(last.get(v) or self._other(v) for v in every)))

    def _other(self, value: Value) -> Value:
        """What is no state: as the last step of the file makes it, or, where nothing reads it, no number at all."""
        return self._old(value) if value in self.view.readers else self.make("unread", "_Unread")

    def _old(self, value: Value) -> Value:
        return Value(f"{self.plan.frame}/file/{value.node}", value.index)

    def _rename(self, name: str) -> None:
        """Keeps a node whose name is given to something else."""
        old = self._old(Value(name)).node
        self.nodes[old] = replace(self.nodes[name], name=old)
        self._renamed[name] = old

    def output(self, output: StepOutput) -> None:
        """Lets the readers of what every step makes read the sequence that the loop stacks."""
        stacked = stacked_name(self.plan.frame, output.value)
        if output.kind is Collected.NOWHERE:
            return
        if output.kind is Collected.SINGLY:
            self._stand_in(output, stacked)
        elif output.kind is Collected.LAST:
            self._last_row(output, stacked)
        else:
            self._collect(output, stacked)
            if output.kind is Collected.DIRECT:
                self._read_all(output)

    def _read_all(self, output: StepOutput) -> None:
        """The readers of the only step, but not what keeps it as a state, read those of all steps."""
        inside = {name for images in self.plan.steps.images for name in images.values()}
        for reader, _ in self.view.readers.get(output.value, ()):
            node = self.nodes[reader]
            if reader not in inside and not node.op.startswith("Assign"):
                moved = tuple(Value(output.node) if v == output.value else v for v in node.inputs)
                self.nodes[reader] = replace(node, inputs=moved)

    def _stand_in(self, output: StepOutput, stacked: Value) -> None:
        """One tensor for all steps, the rows `stacked`, called like the value of `output` in the first step."""
        images = (self.plan.steps.image(output.value, t) for t in range(self.plan.count))
        named = tuple(str(v).encode() for v in images)
        attributes = {STEP_TENSORS: named, "T": dtype(self.view.structure, output.value)}
        ports = [o.value for o in self.plan.outputs if o.kind is output.kind and o.node == output.node]
        if output.value == ports[0]:
            self._rename(output.node)
        self._redirect(output.value)
        if self._is_one_call():
            stacked = self.part(
                f"only/{_of_port(output.value)}", stacked, [0], [1], shrink_axis_mask=1, T=attributes["T"]
            )
        if ports == [Value(output.node)]:
            self.add(Node(output.node, "Identity", (stacked,), (), attributes))
            return
        self.add(Node(_of_port(output.value), "Identity", (stacked,), (), attributes))
        if output.value == ports[-1]:
            count = 1 + max(v.index for v in [*ports, *self.view.readers] if v.node == output.node)
            every = (Value(output.node, k) for k in range(count))
            inputs = tuple(Value(_of_port(v)) if v in ports else self._old(v) for v in every)
            self.add(Node(output.node, RESULTS, inputs))

    def _is_one_call(self) -> bool:
        """Whether the only step reads nothing that could be given for several: it is no part of a sequence."""
        roots = [*map(Value, self.plan.steps.anchors), *(o.value for o in self.plan.outputs)]
        rows = self.plan.steps.rows(self.view.graph, self.plan.steps.needed(self.view.graph, roots)[0])
        return self.plan.count == 1 and all(row.source is not None and row.axis < 0 for row in rows)

    def _redirect(self, value: Value) -> None:
        """Nodes of the file that read one step go on reading that step."""
        for reader, slot in self.view.readers.get(value, ()):
            node = self.nodes[reader]
            if node.inputs[slot] == value:
                moved = tuple(self._old(v) if v == value else v for v in node.inputs)
                self.nodes[reader] = replace(node, inputs=moved)

    def _last_row(self, output: StepOutput, stacked: Value) -> None:
        row = self.part(f"last/{output.node}", stacked, [-1], [0], shrink_axis_mask=1, end_mask=1)
        self._rename(output.node)
        count = max(v.index for v in [output.value, *self.view.readers] if v.node == output.node) + 1
        every = (row if i == output.value.index else self._old(Value(output.node, i)) for i in range(count))
        self.add(Node(output.node, RESULTS, tuple(every)))

    def _collect(self, output: StepOutput, stacked: Value) -> None:
        """What was put together from every step, in the same layout, for any number of steps."""
        scope = f"collect/{output.node}"
        if output.backwards:
            stacked = self.make(f"{scope}/reversed", "ReverseV2", (stacked, self.number(f"{scope}/first_axis", [0])))
        kind = dtype(self.view.structure, output.value)
        if output.axis:
            order = [*range(1, output.axis + 1), 0, *range(output.axis + 1, output.rank + 1)]
            inputs = (stacked, self.number(f"{scope}/perm", order))
            stacked = self.make(f"{scope}/transpose", "Transpose", inputs, T=kind, Tperm="int32")
        if output.kind is Collected.PACKED:
            self.add(Node(output.node, "Identity", (stacked,), (), {"T": kind}))
        else:
            inputs = (stacked, self._joined(scope, stacked, output))
            self.add(Node(output.node, "Reshape", inputs, (), {"T": kind, "Tshape": "int32"}))

    def _joined(self, scope: str, stacked: Value, output: StepOutput) -> Value:
        """The shape in which the axis of time and the one after it are one."""
        shape = self.make(f"{scope}/Shape", "Shape", (stacked,), out_type="int32")
        parts: list[Value] = []
        for name, first, end in (("before", 0, output.axis), ("after", output.axis + 2, output.rank + 1)):
            if end > first:
                parts.append(self.part(f"{scope}/{name}", shape, [first], [end], T="int32"))
        parts.insert(output.axis > 0, self.number(f"{scope}/open", [-1]))
        return self.make(
            f"{scope}/target", "ConcatV2", (*parts, self.number(f"{scope}/zero", 0)), N=len(parts), T="int32"
        )


def _of_port(value: Value) -> str:
    """The name of one of several outputs of a node, for all steps."""
    return f"{value.node}/steps/{value.index}"


def _is_whole(row: SequenceRow, count: int) -> bool:
    """Whether the steps read all rows that there are."""
    known = row.of is None or row.of == count
    return known and min(row.start, row.start + row.delta * (count - 1)) == 0


def _counted(frame: Frame, role: StepCount, steps: int, known: dict[object, Value]) -> Value:
    """`first + delta · (iteration mod steps)`: a program that makes `steps` of them at a call counts anew at each."""
    if role not in known:
        scope = f"count/{role.first}_{role.delta}_{role.dtype}"
        value = frame.counter
        for op, number, neutral in (("FloorMod", steps, 0), ("Mul", role.delta, 1), ("Add", role.first, 0)):
            if number != neutral:
                held = frame.constant(frame.number(f"{scope}/{op}/number", number))
                value = frame.make(f"{scope}/{op}", op, (value, held), T="int32")
        if role.dtype != "int32":
            value = frame.make(f"{scope}/Cast", "Cast", (value,), SrcT="int32", DstT=role.dtype)
        known[role] = value
    return known[role]
