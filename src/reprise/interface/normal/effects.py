"""Functions of TensorFlow 2 as pure dataflow: variables that they assign become values that they take and give.

A loop or a branch that reads or assigns such a variable takes what it holds, and gives what it holds after: so every
assignment stands outside of loops and branches, at most one for each variable. After that no order is left to be kept,
and nodes that only pass a value on or wait for another are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from reprise.errors import DiscoveryError
from reprise.graph import RESULTS, VARIABLES, Function, Graph, Node, Value
from reprise.interface.analysis.influence import reachable
from reprise.interface.normal.assignments import ASSIGN, READ, Settled, changed_by, passed_on, settle
from reprise.interface.normal.inline import (
    CONTROL,
    LOOPS,
    MAX_DEPTH,
    first_argument,
    functions_of,
    open_calls,
    with_functions,
)

_FILLING = ("LookupTableImport", "InitializeTable")


def without_effects(graph: Graph) -> Graph:
    """A graph that says what it gives, with one assignment to a variable at most, outside of loops and branches.

    Raises:
        DiscoveryError: A variable is changed in a way that is not known, or in an order that is not said.
    """
    if not graph.results or not any(map(changed_by, _every_node(graph))):
        return graph
    graph = open_calls(graph)
    functions = _Functions(graph.functions)
    held = {v: Value(f"{v.node}/held") for v in functions.changed(graph, graph.nodes)}
    settled = functions.settled(graph, held)
    nodes: dict[str, Node] = {}
    for node in settled.graph:
        nodes[node.name] = node
        variable = Value(node.name)
        if variable in held:
            nodes[held[variable].node] = Node(held[variable].node, READ, (variable,), (), _dtype_of(node))
    for variable, name in settled.last.items():
        nodes[name] = Node(name, ASSIGN, (variable, settled.after[variable]), (), _dtype_of(graph[variable.node]))
    return replace(graph, nodes=nodes, functions={**graph.functions, **functions.made})


def _dtype_of(variable: Node) -> dict[str, str]:
    """The attribute of what reads and assigns a variable.

    Raises:
        DiscoveryError: It is no variable.
    """
    if variable.op not in VARIABLES:
        raise DiscoveryError(f"node {variable.name!r} ({variable.op}) is assigned, but is not a variable of the file")
    return {"dtype": variable.attributes.get("dtype", "float32")}


def _every_node(graph: Graph) -> Iterator[Node]:
    yield from graph
    for function in graph.functions.values():
        yield from function.nodes.values()


class _Pure(NamedTuple):
    """A function that takes what variables hold in their place, and what it leaves in them, by argument."""

    function: Function
    after: Mapping[int, Value]


class _Functions:
    """The functions of a graph, and what they become where they change variables."""

    def __init__(self, library: Mapping[str, Function]) -> None:
        self.made: dict[str, Function] = {}
        self._library = library
        self._changed: dict[str, frozenset[int]] = {}
        self._pure: dict[tuple[str, frozenset[int]], _Pure] = {}
        self._depth = 0

    def changed(self, nodes: Iterable[Node], among: Mapping[str, Node]) -> list[Value]:
        """The variables that nodes change, themselves or in the functions that they call."""
        found: dict[Value, None] = {}
        for node in nodes:
            indices = {0} if changed_by(node) else set()
            for function in functions_of(node, self._library):
                indices |= {first_argument(node) + k for k in self._arguments(function)}
            found |= {passed_on(among, node.inputs[k]): None for k in sorted(indices) if k < len(node.inputs)}
        return list(found)

    def _arguments(self, function: Function) -> frozenset[int]:
        """Which arguments of a function are variables that it changes."""
        if function.name not in self._changed:
            self._changed[function.name] = frozenset()  # in case that it calls itself
            self._enter(function)
            changed = set(self.changed(function.nodes.values(), function.nodes))
            self._depth -= 1
            indices = (k for k, name in enumerate(function.arguments) if Value(name) in changed)
            self._changed[function.name] = frozenset(indices)
        return self._changed[function.name]

    def _enter(self, function: Function) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise DiscoveryError(f"function {function.name!r}: calls nest deeper than {MAX_DEPTH} levels")

    def settled(self, graph: Graph, held: Mapping[Value, Value]) -> Settled:
        """`settle`, of a graph whose loops and branches may read and assign variables too."""
        nodes: dict[str, Node] = {}
        for node in graph:
            taken = {k for k, v in enumerate(node.inputs) if passed_on(graph.nodes, v) in held}
            made = self._with_variables_carried(node, taken) if taken and node.op in CONTROL else (node,)
            nodes.update((n.name, n) for n in made)
        return settle(replace(graph, nodes=nodes), held)

    def _with_variables_carried(self, node: Node, taken: set[int]) -> Iterator[Node]:
        """The nodes in place of a loop or branch that uses variables: it takes their values and gives the next ones.

        `taken` are the inputs of `node` that are variables. They are read before it, and assigned after it.
        """
        first = first_argument(node)
        waits = (*node.controls, *(v.node for v in node.inputs))
        inputs = list(node.inputs)
        for k in taken:
            inputs[k] = Value(f"{node.name}/held_{k}")
            yield Node(inputs[k].node, READ, (node.inputs[k],), waits)
        indices = frozenset(k - first for k in taken)
        pure = [self._pure_version(f, indices) for f in functions_of(node, self._library)]
        changed = sorted({k for one in pure for k in one.after})
        own = Value(f"{node.name}/pure")
        given = len(inputs) if node.op in LOOPS else len(pure[0].function.results)
        outputs = [Value(own.node, k) for k in range(given)]
        if node.op in LOOPS:
            functions = [pure[0].function, self._named(pure[1].function, _loop_results(pure[1]))]
            after = {k: outputs[k] for k in changed}
            outputs = [node.inputs[k] if k in taken else v for k, v in enumerate(outputs)]
        else:
            functions = [self._named(one.function, _branch_results(one, changed)) for one in pure]
            after = {first + k: Value(own.node, given + j) for j, k in enumerate(changed)}
        yield replace(with_functions(node, functions), name=own.node, inputs=tuple(inputs))
        assigned = [Node(f"{node.name}/assign_{k}", ASSIGN, (node.inputs[k], v)) for k, v in after.items()]
        yield from assigned
        yield Node(node.name, RESULTS, tuple(outputs), tuple(n.name for n in assigned))

    def _pure_version(self, function: Function, indices: frozenset[int]) -> _Pure:
        """A function with values in the place of the variables that are some of its arguments."""
        known = self._pure.get((function.name, indices))
        if known is not None:
            return known
        self._enter(function)
        variables = {Value(function.arguments[k]): k for k in indices if k < len(function.arguments)}
        graph = open_calls(Graph(function.nodes, self._library, function.results))
        settled = self.settled(graph, {v: v for v in variables})
        self._depth -= 1
        after = {variables[v]: value for v, value in settled.after.items()}
        pure = _Pure(self._named(replace(function, nodes=settled.graph.nodes), function.results), after)
        self._pure[function.name, indices] = pure
        return pure

    def _named(self, function: Function, results: Iterable[Value]) -> Function:
        """A function with other results, under a name of its own in the library."""
        name = f"{function.name}/{len(self.made)}"
        self.made[name] = replace(function, name=name, results=tuple(results))
        return self.made[name]


def _loop_results(pure: _Pure) -> list[Value]:
    """The results of the body of a loop, with what variables hold after it in place of these."""
    return [pure.after.get(k, value) for k, value in enumerate(pure.function.results)]


def _branch_results(pure: _Pure, changed: Iterable[int]) -> list[Value]:
    """The results of a branch, and what variables hold after it."""
    arguments = pure.function.arguments
    return [*pure.function.results, *(pure.after.get(k, Value(arguments[k])) for k in changed)]


def tidied(graph: Graph) -> Graph:
    """A graph that says what it gives without what only passes values on, orders nodes, or serves nothing.

    Raises:
        DiscoveryError: A variable is assigned inside a loop or branch.
    """
    if not graph.results:
        return graph
    for node in graph:
        if changed_by(node) and graph[passed_on(graph.nodes, node.inputs[0]).node].op not in VARIABLES:
            raise DiscoveryError(
                f"node {node.name!r}: {node.op} changes a variable that a function makes or chooses, so that which one "
                "it is, is not certain"
            )
    return _without_dead_nodes(_read_at_source(graph))


def _read_at_source(graph: Graph) -> Graph:
    """`graph` with every value read from where it is made; the nodes of results keep their names."""

    def behind(node: Node) -> tuple[Value, ...]:
        return tuple(passed_on(graph.nodes, v) for v in node.inputs)

    return replace(graph, nodes={n.name: replace(n, inputs=behind(n), controls=_branch(graph, n)) for n in graph})


def _branch(graph: Graph, node: Node) -> tuple[str, ...]:
    """The control edges that only say in which branch a constant is."""
    return tuple(
        c
        for c in node.controls
        if (made := graph.nodes.get(c)) and made.inputs and graph[made.inputs[0].node].op == "Switch"
    )


def _without_dead_nodes(graph: Graph) -> Graph:
    """What the results and assignments are computed from, and the last value of what their loops change."""

    def above(name: str) -> list[str]:
        node = graph.nodes.get(name)
        return [] if node is None else [*node.controls, *(v.node for v in node.inputs)]

    roots = [v.node for v in graph.results]
    roots += [n.name for n in graph if n.op == ASSIGN or n.op.startswith(_FILLING)]
    live = set(reachable(roots, above))
    live |= {n.name for n in graph if n.op == "Exit" and n.inputs[0].node in live and _is_changed(graph, n)}
    return replace(graph, nodes={n.name: n for n in graph if n.name in live})


def _is_changed(graph: Graph, after: Node) -> bool:
    """Whether the loop variable that an Exit gives is another one after an iteration."""
    switch = graph[after.inputs[0].node]
    backs = [graph[v.node] for v in graph[switch.inputs[0].node].inputs]
    return [n.inputs for n in backs if n.op == "NextIteration"] != [(Value(switch.name, 1),)]
