"""Functional control flow rewritten as dataflow, so that one analysis serves both of TensorFlow's generations.

`While` becomes a frame (Enter, Merge, Switch, LoopCond, NextIteration, Exit), `If` becomes Switch and Merge, `Case` an
`If` for each branch but the last, a function call becomes the nodes of its body. The replaced node stays as an operator
`_Results` that passes its inputs through, so that every tensor name of the file keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from reprise import bounds
from reprise.errors import DiscoveryError
from reprise.graph import Function, FunctionName, Graph, Node, Value
from reprise.structure import RESULTS
from reprise.tensors import in_memory

LOOPS = frozenset({"While", "StatelessWhile"})
BRANCHES = frozenset({"If", "StatelessIf"})
CASES = frozenset({"Case", "StatelessCase"})
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
CONTROL = LOOPS | BRANCHES | CASES
_FUNCTIONS = {
    **dict.fromkeys(LOOPS, ("cond", "body")),
    **dict.fromkeys(BRANCHES, ("then_branch", "else_branch")),
    **dict.fromkeys(CALLS, ("f",)),
}
#: How the names of operators begin that read or change variables.
_ACTING = ("ReadVariable", "Assign", "Resource")
PASSED = frozenset({"IdentityN"})  # what a gradient of one's own leaves in the graph

# A library may call itself, or double at every level.
MAX_DEPTH = 40


def inline(graph: Graph) -> Graph:
    """`graph` without functional control flow.

    Raises:
        DiscoveryError: A function is missing, calls itself, or the result would be unreasonably large.
    """
    return _expand_all(graph, CONTROL | CALLS | PASSED)


def open_calls(graph: Graph) -> Graph:
    """`graph` without calls of functions, but with its loops and branches.

    Raises:
        DiscoveryError: As `inline` does.
    """
    return _expand_all(graph, CALLS)


def functions_of(node: Node, functions: Mapping[str, Function]) -> list[Function]:
    """The functions that a node calls, in the order of its attributes.

    Raises:
        DiscoveryError: One is missing.
    """
    if node.op in functions:
        return [functions[node.op]]
    if node.op in CASES:
        return [_library_function(node, name, "branches", functions) for name in _branches(node)]
    return [_attribute_function(node, attribute, functions) for attribute in _FUNCTIONS.get(node.op, ())]


def with_functions(node: Node, functions: Sequence[Function]) -> Node:
    """A loop or branch with other functions, in the order of `functions_of`."""
    names = tuple(FunctionName(f.name) for f in functions)
    named = {"branches": names} if node.op in CASES else dict(zip(_FUNCTIONS[node.op], names, strict=True))
    return replace(node, attributes={**node.attributes, **named})


def first_argument(node: Node) -> int:
    """Which input of a node is the first argument of its functions; what chooses among branches is none."""
    return int(node.op in BRANCHES | CASES)


def _expand_all(graph: Graph, kinds: Collection[str]) -> Graph:
    """`graph` without nodes of some kinds, and without those that are called as a function is."""
    if not any(n.op in kinds or n.op in graph.functions for n in graph):
        return graph
    nodes: dict[str, Node] = {}
    written = len(graph.nodes) + sum(len(f.nodes) for f in graph.functions.values())
    most = bounds.UNFOLDED + bounds.UNFOLDED_PER_NODE * written
    pending = [(n, 0) for n in reversed(tuple(graph.nodes.values()))]
    while pending:
        node, depth = pending.pop()
        opened = node.op in kinds or node.op in graph.functions
        made = list(_expand(node, graph.functions)) if opened else [node]
        if made == [node]:
            nodes[node.name] = node
            continue
        if depth > MAX_DEPTH or len(nodes) + len(pending) > most:
            raise DiscoveryError(
                f"node {node.name!r}: function calls nest deeper than {MAX_DEPTH} levels or unfold to more than "
                f"{most} nodes; a function probably calls itself"
            )
        pending.extend((m, depth + 1) for m in reversed(made))
    return replace(graph, nodes=nodes)


def _expand(node: Node, functions: Mapping[str, Function]) -> Iterator[Node]:
    """The nodes of the `functions` that `node` calls, joined as its operator says; itself for any other operator."""
    if node.op in LOOPS:
        yield from _loop(
            node, _attribute_function(node, "cond", functions), _attribute_function(node, "body", functions)
        )
    elif node.op in BRANCHES:
        yield from _branch(
            node,
            _attribute_function(node, "then_branch", functions),
            _attribute_function(node, "else_branch", functions),
        )
    elif node.op in CASES:
        yield from _case(node, functions)
    elif node.op in CALLS:
        yield from _call(node, _attribute_function(node, "f", functions))
    elif node.op in PASSED:
        yield _results(node, list(node.inputs))
    elif node.op in functions:
        yield from _call(node, functions[node.op])
    else:
        yield node


def _attribute_function(node: Node, attribute: str, functions: Mapping[str, Function]) -> Function:
    return _library_function(node, node.attributes.get(attribute), attribute, functions)


def _library_function(node: Node, name: object, attribute: str, functions: Mapping[str, Function]) -> Function:
    if not isinstance(name, FunctionName) or name.name not in functions:
        raise DiscoveryError(f"node {node.name!r} ({node.op}): its function {attribute!r} is not in the file's library")
    return functions[name.name]


def _results(node: Node, values: list[Value]) -> Node:
    return Node(node.name, RESULTS, tuple(values), (), {})


def _call(node: Node, function: Function) -> Iterator[Node]:
    """The body, which runs after what the call waits for; what waits for the call waits for what the body assigns."""
    nodes, results = function.placed(node.name, dict(zip(function.arguments, node.inputs, strict=False)))
    acting = {n.name for n in nodes if n.op in CONTROL | CALLS or n.op.startswith(_ACTING)}
    yield from (replace(n, controls=(*n.controls, *node.controls)) if n.name in acting else n for n in nodes)
    yield replace(_results(node, results), controls=tuple(acting))


def _branch(node: Node, then: Function, otherwise: Function) -> Iterator[Node]:
    """Both bodies of an If behind Switches, `then` for true and `otherwise`, and a Merge for each result."""
    condition, *inputs = node.inputs
    merged = []
    outcomes = []
    for side, function in ((1, then), (0, otherwise)):
        prefix = f"{node.name}/{'then' if side else 'else'}"
        pivot = Node(f"{prefix}/pivot", "Switch", (condition, condition))
        arguments = {}
        for argument, value in zip(function.arguments, inputs, strict=False):
            yield Node(f"{prefix}/Switch_{argument}", "Switch", (value, condition))
            arguments[argument] = Value(f"{prefix}/Switch_{argument}", side)
        yield pivot
        yield Node(f"{prefix}/chosen", "Identity", (Value(pivot.name, side),))
        nodes, results = function.placed(prefix, arguments)
        # A constant of the branch reads nothing; the control edge keeps it there.
        yield from (replace(n, controls=(*n.controls, f"{prefix}/chosen")) if not n.inputs else n for n in nodes)
        outcomes.append(results)
    for k, (a, b) in enumerate(zip(*outcomes, strict=False)):
        yield Node(f"{node.name}/Merge_{k}", "Merge", (b, a))
        merged.append(Value(f"{node.name}/Merge_{k}"))
    yield _results(node, merged)


def _case(node: Node, functions: Mapping[str, Function]) -> Iterator[Node]:
    """The first branch for index 0, or the others with an index one lower; the last is also for any other index."""
    branches = _branches(node)
    first = _library_function(node, branches[0], "branches", functions)
    index, *inputs = node.inputs
    if len(branches) == 1:
        yield from _call(replace(node, inputs=tuple(inputs)), first)
        return
    zero = Node(f"{node.name}/zero", "Const", (), (), {"dtype": "int32", "value": in_memory(np.asarray(0, np.int32))})
    is_first = Node(f"{node.name}/is_first", "Equal", (index, Value(zero.name)), (), {"T": "int32"})
    yield from (zero, is_first)
    others = _later_branches(node, len(inputs), len(first.results))
    then = replace(first, arguments=("index", *first.arguments))
    yield from _branch(replace(node, inputs=(Value(is_first.name), index, *inputs)), then, others)


def _branches(node: Node) -> tuple[object, ...]:
    branches = node.attributes.get("branches")
    if not isinstance(branches, tuple) or not branches:
        raise DiscoveryError(f"node {node.name!r} ({node.op}): it has no branches; the file is damaged")
    return branches


def _later_branches(node: Node, inputs: int, results: int) -> Function:
    """A function of the index and the inputs of a Case that does what its branches from the second on do."""
    arguments = ("index", *(f"input_{k}" for k in range(inputs)))
    one = Node("one", "Const", (), (), {"dtype": "int32", "value": in_memory(np.asarray(1, np.int32))})
    lower = Node("lower", "Sub", (Value("index"), Value("one")), (), {"T": "int32"})
    values = (Value("lower"), *(Value(a) for a in arguments[1:]))
    rest = Node("others", node.op, values, (), {**node.attributes, "branches": node.attributes["branches"][1:]})
    made = {n.name: n for n in (*(Node(a, "_Arg") for a in arguments), one, lower, rest)}
    return Function(f"{node.name}/others", arguments, tuple(Value("others", k) for k in range(results)), made)


def _loop(node: Node, condition: Function, body: Function) -> Iterator[Node]:
    """A While as a frame of Enter, Merge, Switch and Exit around the nodes of its `condition` and its `body`."""
    count = len(node.inputs)
    name = node.name
    frame = {"frame_name": name.encode(), "is_constant": False}
    for k, value in enumerate(node.inputs):
        yield Node(f"{name}/Enter_{k}", "Enter", (value,), (), frame)
        yield Node(f"{name}/Merge_{k}", "Merge", (Value(f"{name}/Enter_{k}"), Value(f"{name}/NextIteration_{k}")))
        yield Node(f"{name}/Switch_{k}", "Switch", (Value(f"{name}/Merge_{k}"), Value(f"{name}/LoopCond")))
        yield Node(f"{name}/Exit_{k}", "Exit", (Value(f"{name}/Switch_{k}", 0),))
    tested = {a: Value(f"{name}/Merge_{k}") for k, a in enumerate(condition.arguments)}
    nodes, results = condition.placed(f"{name}/cond", tested)
    yield from nodes
    yield Node(f"{name}/LoopCond", "LoopCond", (results[0],))
    carried = {a: Value(f"{name}/Switch_{k}", 1) for k, a in enumerate(body.arguments)}
    nodes, results = body.placed(f"{name}/body", carried)
    yield from nodes
    for k, value in enumerate(results[:count]):
        yield Node(f"{name}/NextIteration_{k}", "NextIteration", (value,))
    yield _results(node, [Value(f"{name}/Exit_{k}") for k in range(count)])
