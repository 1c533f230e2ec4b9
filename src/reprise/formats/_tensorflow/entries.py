"""The signatures and functions of a TensorFlow 2 SavedModel, each as a graph of its own.

A graph has a placeholder for each argument, the variables, constants and tables that the function captures, a call of
the function, and a node for each result. Arguments and results have the names that a TensorFlow program calls them by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile
from reprise.formats._tensorflow import graphdef
from reprise.formats._tensorflow.metagraph import MetaGraphContent, metadata, notes_on, signatures
from reprise.formats._tensorflow.objects import Objects, SavedFunction, stored_names
from reprise.formats._tensorflow.tables import table_vocabulary, with_table_files
from reprise.formats._tensorflow.tensor_bundle import Bundle
from reprise.formats._tensorflow.tensors import dtype_name, shape_attribute
from reprise.formats._tensorflow.variables import declared_and_stored, fits
from reprise.graph import GROUP, Function, FunctionName, Graph, Node, ShapeAttribute, Value
from reprise.tensors import Tensor, in_memory

_CALL = "StatefulPartitionedCall"
_BELOW_ARGUMENTS = 2  # a signature is the pair of positional and named arguments
#: What Keras 2 calls the functions that it saves of each of its layers; its signatures call the same.
_OF_LAYERS = frozenset(
    "__call__ _default_save_signature call_and_return_all_conditional_losses call_and_return_conditional_losses".split()
)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One tensor among arguments or results.

    Attributes:
        key: What a dictionary calls it, or nothing.
        name: What the specification calls it, or nothing.
        shape: Its sizes, None where the file does not tell them.
        dtype: Its type, empty where the file does not tell it.
        group: Which argument or result it is a part of, where that is a structure of several.
    """

    key: str = ""
    name: str = ""
    shape: ShapeAttribute | None = None
    dtype: str = ""
    group: str = ""


def content(proto: Any, bundle: Bundle, path: Path) -> MetaGraphContent | None:
    """The functions of a MetaGraphDef with the tensors of its variables; None where it has no functions.

    Raises:
        DamagedFile: It contradicts itself.
    """
    if not proto.object_graph_def.nodes:
        return None
    objects = Objects(proto.object_graph_def, path)
    stored = stored_names(objects, bundle.objects, path)
    found = objects.variables(stored)
    tables = {n: table for n, keys in stored.items() if (table := _stored_table(keys, bundle.tensors))}
    graph = graphdef.graph(proto.graph_def, path)
    variables = {n: variable.node for n, variable in found.items()}
    entries = _Entries(objects, graph, proto, variables, tables, path).graphs()
    if not entries:
        return None
    known = [(v, bundle.tensors[v.key]) for v in found.values() if v.key in bundle.tensors]
    strangers = [declared_and_stored(v.node, tensor) for v, tensor in known if not fits(v.node, tensor)]
    return MetaGraphContent(
        entries=entries,
        weights=bundle.tensors,
        variable_names={v.node.name: v.key for v, tensor in known if fits(v.node, tensor)},
        signatures=signatures(proto),
        vocabulary=table_vocabulary(entries.values()),
        metadata=metadata(proto),
        notes=notes_on(strangers),
    )


def _stored_table(names: tuple[str, ...], tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """The keys and values of a table that was saved with the variables, as one that grows is."""
    for name in names:
        own = name.removesuffix("-keys")
        if f"{own}-keys" in tensors and f"{own}-values" in tensors:
            return tensors[f"{own}-keys"], tensors[f"{own}-values"]
    return None


class _Entries:
    """What can be called of one MetaGraph."""

    def __init__(
        self,
        objects: Objects,
        graph: Graph,
        proto: Any,
        variables: Mapping[int, Node],
        tables: Mapping[int, tuple[Tensor, Tensor]],
        path: Path,
    ) -> None:
        """`graph` is that of the MetaGraph `proto`; `tables` the keys and values of tables that were saved."""
        self._objects = objects
        self._graph = graph
        self._concrete = proto.object_graph_def.concrete_functions
        self._assets = [asset.filename for asset in proto.asset_file_def]
        self._variables = variables
        self._tables = tables
        self._path = path

    def graphs(self) -> dict[str, Graph]:
        """Every signature by its key, then every other function by its path, as graphs.

        Functions that a signature calls, and those of Keras' layers beside signatures, are left out.
        """
        signatures = self._objects.signatures()
        found = {key: self._built(key, f.traces[0], f.arguments[0]) for key, f in signatures.items() if f.traces}
        known = {name for f in signatures.values() for name in self._with_callees(f.traces)}
        for function in self._others(beside=signatures):
            for k, (trace, words) in enumerate(zip(function.traces, function.arguments, strict=True)):
                if trace not in known:
                    known.update(self._with_callees((trace,)))
                    name = function.path if len(function.traces) == 1 else f"{function.path}/trace_{k}"
                    found.setdefault(name, self._built(name, trace, words))
        return {name: graph for name, graph in found.items() if graph is not None}

    def _others(self, beside: Mapping[str, SavedFunction]) -> list[SavedFunction]:
        """The functions that are no signatures; Keras' own where there is nothing else, and of the outermost object."""
        every = [f for f in self._objects.functions() if f.traces]
        own = [f for f in every if f.path.rsplit("/", 1)[-1] not in _OF_LAYERS]
        if own or beside or not every:
            return own
        return [f for f in every if f.owner == every[0].owner]

    def _with_callees(self, traces: tuple[str, ...]) -> Iterator[str]:
        """Functions and what is called by those that do nothing but call one, as signatures do."""
        for trace in traces:
            yield trace
            nodes = self._graph.functions[trace].nodes.values() if trace in self._graph.functions else ()
            called = [n.attributes.get("f") for n in nodes if n.op in (_CALL, "PartitionedCall")]
            yield from (f.name for f in called if len(called) == 1 and isinstance(f, FunctionName))

    def _built(self, name: str, trace: str, words: tuple[str, ...]) -> Graph | None:
        """The graph of a concrete function, None where the library does not have it."""
        function, concrete = self._graph.functions.get(trace), self._concrete.get(trace)
        if function is None or concrete is None:
            return None
        count = len(function.arguments) - len(concrete.bound_inputs)
        if count < 0:
            raise DamagedFile(f"{self._path}: function {trace} captures more than it takes. Copy the file again.")
        arguments = self._arguments(concrete, function.arguments[:count], words)
        results = _leaves(concrete.output_signature, 1)
        results = results if len(results) == len(function.results) else [_Leaf()] * len(function.results)
        site = _Site(self._graph.functions)
        given = [
            site.placeholder(function.nodes[argument], leaf)
            for argument, leaf in zip(function.arguments[:count], arguments, strict=True)
        ]
        site.reserve([leaf.key for leaf in results])
        for number in sorted(set(concrete.bound_inputs) & self._variables.keys()):
            site.add(self._variables[number])
        captured = [self._captured(site, number) for number in concrete.bound_inputs]
        call = site.call(name, trace, [*given, *captured])
        return with_table_files(site.graph(site.results(results, call)), self._path.parent)

    def _arguments(self, concrete: Any, own: Sequence[str], words: Sequence[str]) -> list[_Leaf]:
        """What the file says of each argument: its key, or the name of its specification, or what callers name it."""
        leaves = _leaves(concrete.canonicalized_input_signature, _BELOW_ARGUMENTS)
        leaves = leaves if len(leaves) == len(own) else [_Leaf()] * len(own)
        words = words if len(words) == len(own) else own
        return [replace(leaf, key=leaf.key or leaf.name or word) for leaf, word in zip(leaves, words, strict=True)]

    def _captured(self, site: _Site, number: int) -> Value:
        """What a function captures, as a value of its graph."""
        kind = self._objects.kind(number)
        if kind == "variable":
            return site.add(self._variables[number])
        if kind == "constant":
            return self._constant(site, self._objects.content(number).operation)
        if kind == "asset":
            return self._asset(site, self._objects.content(number).asset_file_def_index)
        if kind == "resource":
            return self._table(site, number)
        return site.unknown(f"captured_{number}")

    def _constant(self, site: _Site, operation: str) -> Value:
        if operation not in self._graph:
            raise DamagedFile(f"{self._path}: constant {operation!r} is not in the graph. Copy the file again.")
        return site.add(self._graph[operation])

    def _asset(self, site: _Site, index: int) -> Value:
        if not 0 <= index < len(self._assets):
            raise DamagedFile(f"{self._path}: asset {index} of {len(self._assets)} is asked for. Copy the file again.")
        text = np.empty((), object)
        text[()] = self._assets[index].encode()
        return site.add(Node(f"asset_{index}", "Const", attributes={"dtype": "string", "value": in_memory(text)}))

    def _table(self, site: _Site, number: int) -> Value:
        """A table: what creates it, and what fills it."""
        name = self._objects.paths.get(number) or f"table_{number}"
        if name not in site.tables:
            created = [n for n in self._run(site, number, "_create_resource", name) if "HashTable" in n.op]
            site.tables[name] = Value(created[0].name) if created else site.unknown(name)
            self._run(site, number, "_initialize", name)
            if number in self._tables:
                site.fill(name, site.tables[name], self._tables[number])
        return site.tables[name]

    def _run(self, site: _Site, number: int, method: str, name: str) -> list[Node]:
        """Adds the body of a function that an object has and that takes nothing but captures; gives its nodes.

        The function that creates a table gives a number in its place.
        """
        child = self._objects.child(number, method)
        if child is None or self._objects.kind(child) != "function":
            return []
        trace = next(iter(self._objects.content(child).concrete_functions), "")
        if trace not in self._concrete or trace not in self._graph.functions:
            return []
        captured = [self._captured(site, k) for k in self._concrete[trace].bound_inputs]
        return site.body(name, self._graph.functions[trace], captured)


class _Site:
    """The graph of one function under construction."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._nodes: dict[str, Node] = {}
        self._reserved: set[str] = set()
        self._functions = functions
        self.tables: dict[str, Value] = {}

    def graph(self, results: tuple[Value, ...]) -> Graph:
        """All nodes so far."""
        return Graph(self._nodes, self._functions, results)

    def add(self, node: Node) -> Value:
        """A node of the file, once; gives its first output."""
        self._nodes[node.name] = node
        return Value(node.name)

    def reserve(self, names: list[str]) -> None:
        """Keeps names for results."""
        self._reserved.update(names)

    def _fresh(self, name: str, *, result: bool = False) -> str:
        candidate, k = name, 1
        while candidate in self._nodes or (candidate in self._reserved and not result):
            k += 1
            candidate = f"{name}_{k}"
        return candidate

    def placeholder(self, argument: Node, leaf: _Leaf) -> Value:
        """An argument of the function."""
        shape = leaf.shape or argument.attributes.get("shape") or ShapeAttribute(None)
        dtype = leaf.dtype or argument.attributes.get("T", "")
        attributes = {"dtype": dtype, "shape": shape, GROUP: leaf.group.encode()}
        return self.add(Node(self._fresh(leaf.key), "Placeholder", attributes=attributes))

    def unknown(self, name: str) -> Value:
        """Something that the file does not hold."""
        return self.add(Node(name, "Placeholder", attributes={"dtype": "resource", "shape": ShapeAttribute(())}))

    def fill(self, name: str, table: Value, content: tuple[Tensor, Tensor]) -> None:
        """Fills a table with keys and values."""
        words = zip(("keys", "values"), content, strict=True)
        made = [
            self.add(Node(f"{name}/{word}", "Const", attributes={"dtype": tensor.dtype, "value": tensor}))
            for word, tensor in words
        ]
        self.add(Node(f"{name}/fill", "LookupTableImportV2", (table, *made)))

    def body(self, name: str, function: Function, inputs: list[Value]) -> list[Node]:
        """Adds the nodes of a function, and gives them."""
        nodes, _ = function.placed(name, dict(zip(function.arguments, inputs, strict=False)))
        self._nodes.update((n.name, n) for n in nodes)
        return nodes

    def call(self, name: str, function: str, inputs: list[Value]) -> str:
        """A call of a function; gives the name of the node."""
        own = self._fresh(name)
        return self.add(Node(own, _CALL, tuple(inputs), (), {"f": FunctionName(function)})).node

    def results(self, leaves: Sequence[_Leaf], call: str) -> tuple[Value, ...]:
        """A node for each result of a call, called by its key; `result_0` and so on where not all have one."""
        names = [leaf.key for leaf in leaves]
        if not all(names) or len(set(names)) < len(names):
            names = [f"result_{k}" for k in range(len(leaves))]
        return tuple(
            self.add(
                Node(self._fresh(name, result=True), "Identity", (Value(call, k),), (), {GROUP: leaf.group.encode()})
            )
            for k, (name, leaf) in enumerate(zip(names, leaves, strict=True))
        )


def _leaves(structure: Any, level: int, key: str = "", place: tuple[int, ...] = ()) -> list[_Leaf]:
    """The tensors of a nested structure, in TensorFlow's order, with the key that each has in a dictionary.

    `level` is how deep in it single arguments or results stand.
    """
    kind = structure.WhichOneof("value")
    if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
        spec = getattr(structure, kind)
        group = str(place[level - 1]) if len(place) > level else ""
        return [_Leaf(key, spec.name, shape_attribute(spec.shape), dtype_name(spec.dtype), group)]
    inner = enumerate(_members(structure, kind))
    return [leaf for k, (name, value) in inner for leaf in _leaves(value, level, name, (*place, k))]


def _members(structure: Any, kind: str | None) -> list[tuple[str, Any]]:
    """What a structure holds, with keys where it is a dictionary."""
    if kind in ("list_value", "tuple_value"):
        return [("", value) for value in getattr(structure, kind).values]
    if kind == "dict_value":
        fields = structure.dict_value.fields
        return [(name, fields[name]) for name in sorted(fields)]
    if kind == "named_tuple_value":
        return [("", pair.value) for pair in structure.named_tuple_value.values]
    return []
