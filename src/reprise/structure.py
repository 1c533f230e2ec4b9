"""The control structure of a dataflow graph: which node runs in which loop and branch.

TensorFlow 1 writes a loop as a frame. For each loop variable:

    initial → Enter → Merge → Switch → (1) body … → NextIteration → back to Merge
                                     → (0) Exit → after the loop

and a conditional as Switch nodes on a predicate whose branches meet again in Merge nodes.
Source: Yu et al., "Dynamic Control Flow in Large-Scale Machine Learning", EuroSys 2018, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from reprise import bounds
from reprise.graph import RESULTS as RESULTS
from reprise.graph import Graph, Node, Value

_PASS = frozenset({"Identity", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape"})
_IDENTITY = ("Identity",)


class InLoop(NamedTuple):
    """Inside the loop of this frame."""

    frame: str


class InBranch(NamedTuple):
    """Inside the branch that runs when `predicate` is `side`."""

    predicate: Value
    side: int


Context = tuple[InLoop | InBranch, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """One loop variable.

    Attributes:
        initial: Its value before the loop, outside of it.
        entering: Its value at the start of an iteration (output of Merge).
        leaving: Its value at the end of an iteration.
        final: Its value after the loop (output of Exit), or None where nothing reads it.
        enter: The name of its Enter node.
    """

    initial: Value
    entering: Value
    leaving: Value
    final: Value | None
    enter: str


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A `while` frame.

    Attributes:
        name: The name of the frame.
        carried: Its variables, in the order of the file.
        condition: The value that decides about another iteration.
        constants: Outputs of Enter nodes that bring a value in unchanged → that value.
        context: Where its body runs, itself included.
    """

    name: str
    carried: tuple[Carried, ...]
    condition: Value
    constants: Mapping[Value, Value]
    context: Context

    def by_entering(self) -> dict[Value, Carried]:
        """Its variables by the value at the start of an iteration."""
        return {c.entering: c for c in self.carried}


@dataclass(frozen=True, slots=True)
class Structure:
    """A graph with its loops and branches known.

    Attributes:
        graph: The graph, without functional control flow.
        loops: By frame name.
        order: Node names, inputs before consumers (the back edges of loops aside).
        consumers: Node name → names of the nodes that read one of its outputs.
        bodies: Frame name → the nodes that run in an iteration of that loop, in order: the back edges of loops inside
            it do, its own do not.
    """

    graph: Graph
    loops: Mapping[str, Loop]
    order: tuple[str, ...]
    consumers: Mapping[str, tuple[str, ...]]
    bodies: Mapping[str, tuple[str, ...]]
    _contexts: Mapping[Value, Context] = field(repr=False)
    _loop_switches: Mapping[str, Value] = field(repr=False)
    _sources: dict[Value, Value] = field(default_factory=dict, repr=False, compare=False)

    def context(self, value: Value) -> Context:
        """Where `value` is made."""
        return _context(self._contexts, value)

    def is_inside(self, value: Value, loop: Loop) -> bool:
        """Whether `value` is made anew in every iteration of `loop`."""
        return self.context(value)[: len(loop.context)] == loop.context

    def body(self, loop: Loop) -> list[Node]:
        """The nodes that make values inside `loop`, in the order of the file."""
        return [n for n in self.graph if self.is_inside(Value(n.name), loop)]

    def result(self, value: Value) -> Value:
        """`value`, or what a node of results passes on as it: each of its outputs is one of its inputs."""
        while (node := self.graph.nodes.get(value.node)) is not None and node.op == RESULTS:
            value = node.inputs[value.index]
        return value

    def source(self, value: Value) -> Value:
        """`value` without the nodes that only pass it on, inside its own context."""
        passed: list[Value] = []
        while value not in self._sources:
            passed.append(value)
            before = self._passed_on(value)
            if before is None:
                break
            value = before
        source = self._sources.get(value, value)
        self._sources.update(
            dict.fromkeys(passed, source)
        )  # or long chains would be gone through from each of their nodes
        return source

    def _passed_on(self, value: Value) -> Value | None:
        """What a node passes on as `value`, None where it makes a value of its own."""
        node = self.graph.nodes.get(value.node)
        if node is not None and node.op in _PASS and node.inputs:
            return node.inputs[0]
        if node is not None and node.op == RESULTS:
            return self.result(value)
        return self._loop_switches.get(value.node) if value.index == 1 else None

    def plain(self, value: Value) -> Value:
        """`source`, and into branches: a value inside a branch is the one that its Switch lets in."""
        while (node := self.graph.nodes.get((value := self.source(value)).node)) is not None and node.op == "Switch":
            value = node.inputs[0]
        return value

    def origin(self, value: Value) -> Value:
        """`source`, and out of branches and loops through the nodes that bring a value in unchanged."""
        while True:
            value = self.source(value)
            node = self.graph.nodes.get(value.node)
            if node is None:
                return value
            if node.op in ("Enter", "Switch"):
                value = node.inputs[0]
                continue
            kept = self.unchanged(value)
            if kept is None:
                return value
            value = kept

    def decider(self, predicate: Value) -> Value:
        """What decides about a branch: `origin`, and of what reads a variable that variable."""
        value = self.origin(predicate)
        node = self.graph.nodes.get(value.node)
        return self.origin(node.inputs[0]) if node is not None and node.op == "ReadVariableOp" else value

    def unchanged(self, value: Value) -> Value | None:
        """The initial value of a loop variable that every iteration hands on as it was, else None."""
        node = self.graph.nodes.get(value.node)
        if node is None or not is_loop_merge(node, self.graph):
            return None
        carried = self.carried_by(value)
        return carried.initial if carried and self.source(carried.leaving) == carried.entering else None

    def number(self, value: Value) -> float | None:
        """The number that the file has for `value`, None where it is not a single constant."""
        node = self.graph.nodes.get(self.origin(value).node)
        tensor = None if node is None else node.constant
        return tensor.load().item() if tensor is not None and tensor.size == 1 else None

    def carried_by(self, entering: Value) -> Carried | None:
        """The loop variable whose Merge makes `entering`."""
        for element in reversed(self.context(entering)):
            if isinstance(element, InLoop) and element.frame in self.loops:
                return self.loops[element.frame].by_entering().get(entering)
        return None

    def is_loop_switch(self, name: str) -> bool:
        """Whether a Switch belongs to a loop rather than to a conditional."""
        return name in self._loop_switches


def is_loop_merge(node: Node, graph: Graph) -> bool:
    """Whether a Merge is the head of a loop variable."""
    return node.op == "Merge" and any(
        (made := graph.nodes.get(v.node)) is not None and made.op == "NextIteration" for v in node.inputs
    )


def analyse(graph: Graph) -> Structure:
    """The control structure of `graph`; linear in its size."""
    order = tuple(_topological(graph))
    switches = dict(_loop_switches(graph))
    contexts = _contexts(graph, order, switches)
    loops = {loop.name: loop for loop in _loops(graph, contexts)}
    consumers: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for node in graph:
        for made in dict.fromkeys(v.node for v in node.inputs):
            if made in consumers:
                consumers[made].append(node.name)
    readers = {k: tuple(v) for k, v in consumers.items()}
    return Structure(graph, loops, order, readers, _bodies(graph, order, contexts), contexts, switches)


def _context(contexts: Mapping[Value, Context], value: Value) -> Context:
    own = contexts.get(value)
    return own if own is not None else contexts.get(Value(value.node), ())


def _bodies(graph: Graph, order: tuple[str, ...], contexts: Mapping[Value, Context]) -> dict[str, tuple[str, ...]]:
    bodies: dict[str, list[str]] = {}
    for name in order:
        node = graph.nodes[name]
        is_back = node.op == "NextIteration" and bool(node.inputs)
        frames = [
            e.frame for e in _context(contexts, node.inputs[0] if is_back else Value(name)) if isinstance(e, InLoop)
        ]
        for frame in frames[:-1] if is_back else frames:
            bodies.setdefault(frame, []).append(name)
    return {frame: tuple(names) for frame, names in bodies.items()}


def _dependencies(node: Node) -> Iterator[str]:
    if node.op != "NextIteration":
        yield from (v.node for v in node.inputs)
        yield from node.controls


def _topological(graph: Graph) -> Iterator[str]:
    """Names so that inputs come first; NextIteration counts as a source, which opens every loop."""
    done: set[str] = set()
    for root in graph.nodes:
        if root in done:
            continue
        stack: list[tuple[str, Iterator[str]]] = [(root, _dependencies(graph.nodes[root]))]
        entered = {root}
        while stack:
            name, rest = stack[-1]
            following = next((d for d in rest if d in graph.nodes and d not in done and d not in entered), None)
            if following is not None:
                entered.add(following)
                stack.append((following, _dependencies(graph.nodes[following])))
                continue
            stack.pop()
            entered.discard(name)
            if name not in done:
                done.add(name)
                yield name


def _loop_switches(graph: Graph) -> Iterator[tuple[str, Value]]:
    """Switch nodes of loops → the Merge value they pass."""
    for node in graph:
        if node.op == "Switch" and len(node.inputs) == 2:
            predicate = graph.nodes.get(graph.through(node.inputs[1], _IDENTITY).node)
            if predicate is not None and predicate.op == "LoopCond":
                yield node.name, node.inputs[0]


def _frame(node: Node) -> str:
    name = node.attributes.get("frame_name", b"")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _contexts(graph: Graph, order: tuple[str, ...], switches: Mapping[str, Value]) -> dict[Value, Context]:
    """Where each value is made.

    A variable of an inner loop that starts from a constant does not show that its loop is an inner one; a sibling that
    starts from a value of the outer loop does. So a frame lies where the deepest of its Enter nodes says.
    """
    enters = [n for n in graph if n.op == "Enter"]
    frames: dict[str, Context] = {}
    contexts = _passed_down(graph, order, switches, frames)
    for _ in {_frame(n) for n in enters}:  # each pass settles a level of nesting
        for node in enters:
            frames[_frame(node)] = max(frames.get(_frame(node), ()), contexts[Value(node.name)], key=len)
        if all(contexts[Value(n.name)] == frames[_frame(n)] for n in enters):
            break
        contexts = _passed_down(graph, order, switches, frames)
    return contexts


def _passed_down(
    graph: Graph, order: tuple[str, ...], switches: Mapping[str, Value], frames: Mapping[str, Context]
) -> dict[Value, Context]:
    contexts: dict[Value, Context] = {}
    for name in order:
        node = graph.nodes[name]
        above = [_context(contexts, v) for v in node.inputs or map(Value, node.controls)]
        inside = max(above, key=len, default=())
        if node.op == "Enter":
            inside = max((*inside, InLoop(_frame(node))), frames.get(_frame(node), ()), key=len)
        elif node.op == "Exit":
            inside = _outside_loop(inside)
        elif node.op == "Merge" and not is_loop_merge(node, graph):
            inside = _after_merge(above)
        elif node.op == "Switch" and name not in switches and len(node.inputs) == 2:
            predicate = graph.through(node.inputs[1], _IDENTITY)
            contexts[Value(name, 1)] = (*inside, InBranch(predicate, 1))
            inside = (*inside, InBranch(predicate, 0))
        bounds.check(
            len(inside), bounds.NESTING, f"node {name!r}: lies in loops and branches within each other; levels"
        )
        contexts[Value(name)] = inside
    for name in order:  # a back edge stands before the body that it comes from
        if graph.nodes[name].op == "NextIteration":
            contexts[Value(name)] = _context(contexts, graph.nodes[name].inputs[0])
    return contexts


def _outside_loop(context: Context) -> Context:
    at = max((i for i, e in enumerate(context) if isinstance(e, InLoop)), default=len(context))
    return context[:at]


def _after_merge(above: list[Context]) -> Context:
    """The context without the innermost branch that the inputs do not share."""
    deepest = max(above, key=len, default=())
    branches = [i for i, e in enumerate(deepest) if isinstance(e, InBranch)]
    shared = [i for i in branches if all(len(c) > i and c[i] == deepest[i] for c in above)]
    apart = [i for i in branches if i not in shared]
    return deepest[: apart[0]] if apart else deepest


def _loops(graph: Graph, contexts: Mapping[Value, Context]) -> Iterator[Loop]:
    enters: dict[str, list[Node]] = {}
    wires = _Wires({}, {}, {})
    for node in graph:
        if node.op == "Enter":
            enters.setdefault(_frame(node), []).append(node)
        elif is_loop_merge(node, graph):
            wires.merges.update((v.node, node) for v in node.inputs)
        elif node.op == "Switch" and node.inputs:
            wires.switches.setdefault(node.inputs[0].node, node)
        elif node.op == "Exit" and node.inputs:
            wires.exits.setdefault(node.inputs[0].node, node)
    for frame, nodes in enters.items():
        loop = _loop(graph, frame, nodes, wires, contexts[Value(nodes[0].name)])
        if loop is not None:
            yield loop


class _Wires(NamedTuple):
    """The nodes of loop variables that follow on each other: Enter and NextIteration → Merge → Switch → Exit."""

    merges: dict[str, Node]
    switches: dict[str, Node]
    exits: dict[str, Node]


def _loop(graph: Graph, frame: str, enters: list[Node], wires: _Wires, context: Context) -> Loop | None:
    carried: list[Carried] = []
    constants: dict[Value, Value] = {}
    condition: Value | None = None
    for enter in enters:
        merge = wires.merges.get(enter.name)
        if merge is None:
            constants[Value(enter.name)] = enter.inputs[0]
            continue
        back = next(graph.nodes[v.node] for v in merge.inputs if v.node != enter.name)
        switch = wires.switches.get(merge.name)
        if switch is not None and condition is None:
            condition = graph.nodes[graph.through(switch.inputs[1], _IDENTITY).node].inputs[0]
        after = None if switch is None else wires.exits.get(switch.name)
        final = None if after is None else Value(after.name)
        carried.append(Carried(enter.inputs[0], Value(merge.name), back.inputs[0], final, enter.name))
    return None if condition is None else Loop(frame, tuple(carried), condition, constants, context)
