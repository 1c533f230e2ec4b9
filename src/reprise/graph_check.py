"""Whether a graph is one: every format's graph passes `check`, so that what reads graphs need not ask again.

What an operator has of inputs, outputs and attributes, its record says (`reprise.operators`); here stands only what has
no record, since it is rewritten before anything asks: calls of functions, and the names of frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from reprise import bounds
from reprise.errors import DiscoveryError
from reprise.graph import RESULTS, VARIABLES, FunctionName, Graph, LazyAttributes, Node, ShapeAttribute, Value
from reprise.operators import OPERATORS
from reprise.tensors import Tensor

#: The attribute of operators without a record that has the length of their only output: a list of types.
_LISTS = {
    **dict.fromkeys(("While", "StatelessWhile"), "T"),
    **dict.fromkeys(("If", "StatelessIf", "Case", "StatelessCase"), "Tout"),
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), "Tout"),
}

#: How many inputs operators have at least, where that is not what the record says: loops are known by two.
_INPUTS = {"Merge": 2, "RefMerge": 2, **dict.fromkeys(("If", "StatelessIf", "Case", "StatelessCase"), 1)}

#: Attributes of frames and calls, and what they are.
_REQUIRED: Mapping[str, Mapping[str, str]] = {
    op: dict.fromkeys(names.split(), kind)
    for operators, names, kind in (
        ("Enter RefEnter", "frame_name", "text"),
        ("While StatelessWhile", "cond body", "a function"),
        ("If StatelessIf", "then_branch else_branch", "a function"),
        ("Case StatelessCase", "branches", "a list"),
        ("PartitionedCall StatefulPartitionedCall", "f", "a function"),
    )
    for op in operators.split()
}

#: The kinds of these attributes, as messages name them.
_KINDS: Mapping[str, type] = {"text": bytes, "a function": FunctionName, "a list": tuple}
_ONE_VALUE = (bool, int, float, bytes, str, Integral, Tensor, FunctionName)

_BACK = frozenset({"NextIteration", "RefNextIteration"})
_MERGES = frozenset({"Merge", "RefMerge"})


def check(graph: Graph) -> None:
    """Holds that `graph` is in the vocabulary of `reprise.graph`, and that everything in it refers to what is there.

    Time is linear in its size. Attributes that a reader converts on demand are not converted for it.

    Raises:
        DiscoveryError: A node has no name of its own, or reads a node or an output that does not exist, or is its own
            input outside of a loop, or has an attribute of another kind, or lacks one; the message names both.
    """
    for nodes, function in ((graph.nodes, ""), *((f.nodes, name) for name, f in graph.functions.items())):
        where = f" of function {function!r}" if function else ""
        check_edges(nodes, where)
        for name, node in nodes.items():
            if not name or name != node.name:
                raise DiscoveryError(f"node {node.name!r}{where} stands under the name {name!r}; the file is changed")
            _check_attributes(node, where)
    _check_amounts(graph)
    for name, function_ in graph.functions.items():
        for value in function_.results:
            _check_exists(function_.nodes, value, f"function {name!r} returns")


def _check_amounts(graph: Graph) -> None:
    """Holds that nodes do not say that they have more outputs than a graph of this size reads."""
    groups = [graph.nodes, *(f.nodes for f in graph.functions.values())]
    most = bounds.OUTPUTS + bounds.OUTPUTS_PER_NODE * sum(map(len, groups))
    total = 0
    for node in (node for nodes in groups for node in nodes.values()):
        if node.op in _LISTS or (node.op in OPERATORS and "*" in OPERATORS[node.op].outputs):
            total += abs(outputs(node) or 0)
            bounds.check(total, most, f"node {node.name!r} ({node.op}): outputs")


def check_variable(node: Node, tensor: Tensor) -> None:
    """Holds that a variable has the shape and the type of the tensor that is its value.

    Raises:
        DiscoveryError: It declares others.
    """
    dtype = node.attributes.get("dtype", tensor.dtype)
    dims = node.declared()
    fits = dims is None or (
        len(dims) == len(tensor.shape) and all(n in (None, m) for n, m in zip(dims, tensor.shape, strict=True))
    )
    if node.op not in VARIABLES or dtype != tensor.dtype or not fits:
        declared = "of any shape" if dims is None else list(dims)
        raise DiscoveryError(
            f"node {node.name!r} ({node.op}): its attributes 'dtype' and 'shape' say {dtype} {declared}, and its "
            f"tensor is {tensor.dtype} {list(tensor.shape)}"
        )


def check_edges(nodes: Mapping[str, Node], where: str = "") -> None:
    """Holds that every input exists, that control flow has its inputs, and that only loops read their own results.

    Raises:
        DiscoveryError: As `check`.
    """
    for node in nodes.values():
        for value in node.inputs:
            if value.node not in nodes or value.index:
                _check_exists(nodes, value, f"node {node.name!r}{where} ({node.op}) reads")
        for name in node.controls:
            if name not in nodes:
                _check_exists(nodes, Value(name), f"node {node.name!r}{where} ({node.op}) waits for")
        _check_count(node, where)
    cycle = _cycle(nodes)
    if cycle:
        shown = " → ".join(repr(name) for name in cycle[:6]) + (" → …" if len(cycle) > 6 else "")
        raise DiscoveryError(
            f"node {cycle[0]!r}{where} ({nodes[cycle[0]].op}) is computed from itself outside of any loop ({shown}); "
            "the file is changed"
        )


def _check_count(node: Node, where: str) -> None:
    record = OPERATORS.get(node.op)
    needed = _INPUTS.get(node.op, record.inputs if record else 0)
    if len(node.inputs) < needed:
        raise DiscoveryError(
            f"node {node.name!r}{where}: {node.op} has {len(node.inputs)} inputs where it needs {needed}; "
            "the file is changed"
        )


def _check_exists(nodes: Mapping[str, Node], value: Value, reader: str) -> None:
    if value.node not in nodes:
        raise DiscoveryError(f"{reader} {value}, which is not in the graph; the file is cut or changed")
    count = outputs(nodes[value.node])
    if value.index < 0 or (count is not None and value.index >= count):
        has = "one output" if count == 1 else f"{count} outputs"
        raise DiscoveryError(f"{reader} {value}, and {nodes[value.node].op} has {has}; the file is changed")


def outputs(node: Node) -> int | None:
    """How many outputs a node has, None where that is not known."""
    if node.op == RESULTS:
        return len(node.inputs)
    arguments = [argument.partition("*") for argument in _listed(node.op)]
    lengths = [_length(node, counted_by) if star else 1 for _, star, counted_by in arguments]
    return None if None in lengths or not lengths else sum(n for n in lengths if n is not None)


def _listed(op: str) -> list[str]:
    """The outputs of an operator as its record lists them, empty where it is not known."""
    if op in OPERATORS:
        return OPERATORS[op].outputs.split()
    return [f"output*{_LISTS[op]}"] if op in _LISTS else []


def _length(node: Node, attribute: str) -> int | None:
    """The number that an attribute holds, or the length of its list; None where it holds neither."""
    found = node.attributes.get(attribute)
    if isinstance(found, tuple):
        return len(found)
    return int(found) if isinstance(found, Integral) else None


def _check_attributes(node: Node, where: str) -> None:
    record = OPERATORS.get(node.op)
    read = {attribute.name: attribute for attribute in record.attributes} if record else {}
    needed = {name: a.expected for name, a in read.items() if a.default is None} | dict(_REQUIRED.get(node.op, {}))
    for name, expected in needed.items():
        if name not in node.attributes:
            raise DiscoveryError(
                f"node {node.name!r}{where} ({node.op}): its attribute {name!r} is missing; expected {expected}"
            )
    if isinstance(node.attributes, LazyAttributes):
        return
    for name, value in node.attributes.items():
        if name.startswith("_"):  # a note that rules leave for each other, as in TensorFlow
            continue
        kind = _KINDS.get(needed.get(name, ""))
        fits = read[name].fits(value) if name in read else isinstance(value, kind) if kind else _is_known(value)
        if not fits:
            expected = read[name].expected if name in read else needed.get(name, "one of the kinds that Node names")
            raise DiscoveryError(
                f"node {node.name!r}{where} ({node.op}): its attribute {name!r} is {_format_value(value)}; "
                f"expected {expected}"
            )


def _is_known(value: Any) -> bool:
    if value is None or _is_one(value):
        return True
    return type(value) is tuple and all(_is_one(each) for each in value)  # shapes and names are tuples too


def _is_one(value: Any) -> bool:
    if isinstance(value, ShapeAttribute):
        dims = value.dims or ()
        return len(dims) <= bounds.AXES and all(n is None or (isinstance(n, (int, Integral)) and n >= 0) for n in dims)
    return isinstance(value, _ONE_VALUE)


def _format_value(value: Any) -> str:
    return f"{repr(value)[:80]} ({type(value).__name__})"


def _dependencies(node: Node, nodes: Mapping[str, Node]) -> Iterator[str]:
    """What must run before a node; what comes back to the head of a loop belongs to the iteration before."""
    for value in node.inputs:
        if node.op not in _MERGES or nodes[value.node].op not in _BACK:
            yield value.node
    yield from node.controls


def _cycle(nodes: Mapping[str, Node]) -> Sequence[str]:
    """The names along one cycle, empty where there is none: what is left when all that can run has run."""
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    waiting: dict[str, int] = {}
    for name, node in nodes.items():
        before = list(_dependencies(node, nodes))
        waiting[name] = len(before)
        for one in before:
            readers[one].append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # grows while it is gone through
        for reader in readers[name]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(ready) == len(nodes):
        return ()
    at = next(name for name, count in waiting.items() if count)
    seen: dict[str, None] = {}
    while at not in seen:
        seen[at] = None
        at = next(name for name in _dependencies(nodes[at], nodes) if waiting[name])
    names = list(seen)
    return names[names.index(at) :]
