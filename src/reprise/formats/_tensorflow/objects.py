"""The object graph of a SavedModel of TensorFlow 2: variables, tables and functions by their paths from the root.

The format is `tensorflow/core/protobuf/saved_object_graph.proto` and `trackable_object_graph.proto`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._tensorflow.tensors import dtype_name, shape_attribute
from reprise.graph import Node
from reprise.tensors import Tensor
from reprise.wire import messages

_VALUE = "VARIABLE_VALUE"
_BELOW = "/.ATTRIBUTES/"  # between the path of an object and what is stored of it
_SIGNATURES = "signatures"


@dataclass(frozen=True, slots=True)
class SavedFunction:
    """A function of an object: one concrete function for each kind of arguments that it was called with.

    Attributes:
        path: Its place, such as `decoder/step`.
        owner: The number of the object that has it.
        traces: Names of its concrete functions in the library.
        arguments: For each trace the names that its arguments have, none where the file does not tell them.
    """

    path: str
    owner: int
    traces: tuple[str, ...]
    arguments: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SavedVariable:
    """A variable: its node, and the name of its tensor in the checkpoint, empty where none is stored."""

    node: Node
    key: str


class Objects:
    """The objects of one MetaGraph.

    Attributes:
        nodes: The objects by number; 0 is the root.
        paths: Number → the shortest way from the root, names joined by `/`, for every object that is reached.
    """

    def __init__(self, proto: Any, path: Path) -> None:
        """Raises `DamagedFile` where a child does not exist."""
        self.nodes: Sequence[Any] = proto.nodes
        self._path = path
        self.paths = dict(_walk(proto.nodes, path))

    def kind(self, number: int) -> str | None:
        """What an object is: `variable`, `constant`, `function` …; None for one that only has children."""
        return str(kind) if (kind := self._object(number).WhichOneof("value")) else None

    def content(self, number: int) -> Any:
        """What an object of a kind holds."""
        return getattr(self._object(number), self.kind(number) or "asset")

    def child(self, number: int, name: str) -> int | None:
        """The object that another calls by a name."""
        return next((c.node_id for c in self._object(number).children if c.local_name == name), None)

    def _object(self, number: int) -> Any:
        if not 0 <= number < len(self.nodes):
            raise DamagedFile(
                f"{self._path}: object {number} is asked for, of {len(self.nodes)}. The file is cut or changed."
            )
        return self.nodes[number]

    def signatures(self) -> Mapping[str, SavedFunction]:
        """The concrete function of each signature, by its key."""
        owner = self.child(0, _SIGNATURES)
        children = [] if owner is None else self._object(owner).children
        return {c.local_name: found for c in children if (found := self._function(c.node_id, owner or 0)) is not None}

    def functions(self) -> Iterator[SavedFunction]:
        """Functions that objects other than tables have, shallow ones first."""
        signatures = self.child(0, _SIGNATURES)
        for number in self.paths:
            if number == signatures or self.kind(number) in ("resource", "function"):
                continue
            for child in self._object(number).children:
                found = self._function(child.node_id, number)
                if found is not None and self.paths[child.node_id] == found.path:
                    yield found

    def _function(self, number: int, owner: int) -> SavedFunction | None:
        kind, path = self.kind(number), self.paths.get(number, "")
        if kind == "bare_concrete_function":
            bare = self.content(number)
            return SavedFunction(path, owner, (bare.concrete_function_name,), (tuple(bare.argument_keywords),))
        if kind != "function":
            return None
        names = tuple(self.content(number).concrete_functions)
        known = {b.concrete_function_name: tuple(b.argument_keywords) for b in self._traces(number)}
        return SavedFunction(path, owner, names, tuple(known.get(name, ()) for name in names))

    def _traces(self, number: int) -> Iterator[Any]:
        for child in self._object(number).children:
            if self.kind(child.node_id) == "bare_concrete_function":
                yield self.content(child.node_id)

    def variables(self, stored: Mapping[int, tuple[str, ...]]) -> dict[int, SavedVariable]:
        """Every variable by its number; `stored` names the tensors of those that have one.

        A variable's own name is kept where no other has it; else it is called by its path.
        """
        numbers = [n for n in range(len(self.nodes)) if self.kind(n) == "variable"]
        times = Counter(self.content(n).name for n in numbers)
        found = {}
        for number in numbers:
            proto, key = self.content(number), next((k for k in stored.get(number, ()) if k.endswith(_VALUE)), "")
            place = key.split(_BELOW)[0] or self.paths.get(number) or f"variable_{number}"
            name = proto.name if proto.name and times[proto.name] == 1 else place
            attributes = {"dtype": dtype_name(proto.dtype), "shape": shape_attribute(proto.shape)}
            found[number] = SavedVariable(Node(name, "VarHandleOp", attributes=attributes), key)
        return found


def _walk(nodes: Sequence[Any], path: Path) -> Iterator[tuple[int, str]]:
    """Every object that is reached from the root, with its path, the nearest first."""
    level = [(0, "")] if nodes else []
    seen = {0}
    while level:
        yield from level
        following = []
        for number, place in level:
            for child in nodes[number].children:
                if not 0 <= child.node_id < len(nodes):
                    raise DamagedFile(f"{path}: object {place!r} has a child that is not in the file. Copy it again.")
                if child.node_id not in seen:
                    seen.add(child.node_id)
                    following.append((child.node_id, f"{place}/{child.local_name}".lstrip("/")))
        level = following


def stored_names(objects: Objects, checkpoint: Tensor | None, path: Path) -> dict[int, tuple[str, ...]]:
    """Number of an object → the names of what the checkpoint stores of it, which has an object graph of its own.

    The two are walked together from their roots: only the names of children say which objects are the same.
    """
    if checkpoint is None:
        return {}
    stored = messages.parse("TrackableObjectGraph", checkpoint.load().item(), path).nodes
    names: dict[int, tuple[str, ...]] = {}
    pending, seen = [(0, 0)], set[tuple[int, int]]()
    while pending:
        pair = pending.pop()
        if pair in seen or max(pair[0] - len(objects.nodes), pair[1] - len(stored), -min(pair) - 1) >= 0:
            continue
        seen.add(pair)
        number, other = pair
        names.setdefault(number, tuple(value.checkpoint_key for value in stored[other].attributes))
        theirs = {c.local_name: c.node_id for c in stored[other].children}
        own = ((c.node_id, theirs.get(c.local_name)) for c in objects.nodes[number].children)
        pending += [(mine, their) for mine, their in own if their is not None]
    return names
