"""What a checkpoint of char-rnn holds: one step of a model as a graph of Lua Torch's modules, and its vocabulary.

The graph (nngraph) takes the ids of a step and the states, and gives the next states and the logarithms of
probabilities; it is translated module by module into the body of a loop, so any cell that is made of these modules is
read. Its nodes are in the order of computation, and each says whose outputs it reads. A GPU's numbers are stored as
others are. Source: nngraph's gmodule.lua and node.lua; char-rnn's model/LSTM.lua, GRU.lua, RNN.lua, util/OneHot.lua.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from reprise import bounds
from reprise.frame import Frame, Scope
from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.tensors import Array, Tensor
from reprise.vocabulary import Vocabulary
from reprise.wire.torch7 import Object, Storage

_PASSED = frozenset({"nn.Identity", "nn.Copy", "nn.Contiguous"})
_FUNCTIONS = {
    "nn.Sigmoid": "Sigmoid",
    "nn.Tanh": "Tanh",
    "nn.ReLU": "Relu",
    "nn.LogSoftMax": "LogSoftmax",
    "nn.SoftMax": "Softmax",
}
_JOINS = {"nn.CAddTable": "Add", "nn.CMulTable": "Mul", "nn.CSubTable": "Sub", "nn.CDivTable": "RealDiv"}


def graph_of_checkpoint(root: Mapping[str, Any]) -> dict[str, Any]:
    """The graph, weights and vocabulary, as `StoredModel` has them.

    Raises:
        ValueError: A module is of another kind, or is given what it cannot read.
        KeyError: A module lacks a weight, and so on: the file is no such checkpoint.
    """
    net = root["protos"]["rnn"]
    if net.name != "nn.gModule":
        raise ValueError(f"the model is a {net.name}, where char-rnn has an nn.gModule")
    step = _Step(root["opt"]["rnn_size"], int(net.fields["nInputs"]) - 1)
    step.leave(_outputs(net, step))
    return {"graph": Graph(step.scope.nodes), "weights": step.weights, "vocabulary": _vocabulary(root.get("vocab"))}


def _vocabulary(table: Any) -> Vocabulary | None:
    """Symbols by their numbers from 1: each is one byte of a text; None where the numbers are others."""
    if not isinstance(table, dict):
        return None
    numbered = {number: text for text, number in table.items() if isinstance(text, str)}
    if not numbered or sorted(numbered) != list(range(1, len(table) + 1)):
        return None
    data = [numbered[k].encode("utf-8", "surrogateescape") for k in range(1, len(table) + 1)]
    if all(len(symbol) == 1 for symbol in data) and max(data) > b"\x7f":
        return Vocabulary(tuple(symbol.decode("latin-1") for symbol in data), "bytes", first=1)
    return Vocabulary(tuple(symbol.decode("utf-8", "replace") for symbol in data), first=1)


def _outputs(net: Object, step: _Step) -> Sequence[Any]:
    """What the last node of a graph of modules is given."""
    entry, exit_ = (id(net.fields[key].fields["data"]) for key in ("innode", "outnode"))
    found: dict[int, Any] = {entry: step.inputs}
    nodes = net.fields["forwardnodes"]
    for number in range(1, len(nodes) + 1):
        data = nodes[number].fields["data"]
        if id(data) == entry:
            continue
        read = [found[id(data["mapindex"][k])] for k in _places(data["mapindex"])]
        if id(data) == exit_:
            return read
        found[id(data)] = _of_node(data, read[0] if len(read) == 1 else read, step)
    raise ValueError("its last node is not among them")


def _places(mapindex: Mapping[Any, Any]) -> Iterator[int]:
    """The numbers under which a node lists what it reads; the same table leads back from each to its number."""
    for place in count(1):
        if place not in mapindex:
            return
        yield place


def _of_node(data: Mapping[str, Any], read: Any, step: _Step) -> Any:
    """What a node gives: an element of a table, what its module makes, or what it reads."""
    if "selectindex" in data:
        return read[int(data["selectindex"]) - 1]
    module = data.get("module")
    return read if module is None or module.name in _PASSED else step.module(module, read)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers of one step, [N, sizes…], which lie side by side as [N, product of the sizes]."""

    value: Value
    sizes: tuple[int, ...]


class _Ids:
    """The ids of a step, which are looked up outside of the loop."""


@dataclass
class _Step:
    """A loop over the ids [N, T] under construction; its states start from zeros."""

    units: float
    states: int
    scope: Scope = field(default_factory=lambda: Scope("char-rnn"))
    weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        units = int(self.units)
        bounds.check(self.states, bounds.LAYERS, "the graph of modules has states")
        if units != self.units or units < 1 or self.states < 1:
            raise ValueError(f"{self.states} states of {self.units} numbers")
        self._names = count()
        shape = ShapeAttribute((None, None))
        ids = self.scope.add(Node("ids", "Placeholder", (), (), {"dtype": "int64", "shape": shape}))
        axes = self.scope.number("axes", [1, 0])
        self._ids = self.scope.make("by_time", "Transpose", (ids, axes), T="int64", Tperm="int32")
        self._frame = Frame("char-rnn/loop", self.scope.rows(self._ids), self.scope.nodes)
        sizes = self.scope.make("sizes", "Pack", (self._rows(), self.scope.number("units", units)), N=2, T="int32")
        zeros = self.scope.make("zeros", "Fill", (sizes, self._constant(0.0)), T="float32", index_type="int32")
        self._carried = [self._frame.carry(zeros, "float32") for _ in range(self.states)]
        self.inputs = [_Ids(), *(_Numbers(state, (units,)) for state in self._carried)]

    def _rows(self) -> Value:
        shape = self.scope.make("ids/Shape", "Shape", (self._ids,), out_type="int32")
        return self.scope.part("batch", shape, [1], [2], shrink_axis_mask=1, T="int32")

    def leave(self, outputs: Sequence[Any]) -> None:
        """Ends a step with the next states, and what it gives."""
        if len(outputs) != self.states + 1:
            raise ValueError(f"{self.states} states enter, and {len(outputs) - 1} leave beside the last output")
        for before, after in zip(self.inputs[1:], outputs[:-1], strict=True):
            if not isinstance(before, _Numbers) or not isinstance(after, _Numbers) or before.sizes != after.sizes:
                raise ValueError("a state leaves in another size than it enters in")
            self._frame.leave(before.value, after.value)
        stacked = self._frame.write("outputs", outputs[-1].value, "float32")
        axes = self.scope.number("back", [1, 0, 2])
        self.scope.add(Node("scores", "Transpose", (stacked, axes), (), {"T": "float32", "Tperm": "int32"}))

    def module(self, module: Object, read: Any) -> Any:
        """What a module makes of what it reads."""
        kind, fields = module.name.removeprefix("nn."), module.fields
        if isinstance(read, _Ids):
            if kind not in _LOOKUPS:
                raise ValueError(f"{module.name} reads the ids; {', '.join(_LOOKUPS)} can")
            return self._looked_up(_LOOKUPS[kind](self, fields))
        if module.name in _FUNCTIONS:
            return _Numbers(self._op(_FUNCTIONS[module.name], read), read.sizes)
        if module.name in _JOINS:
            return self._joined(_JOINS[module.name], read)
        if kind not in _MODULES:
            raise ValueError(f"{module.name} is none of them")
        return _MODULES[kind](self, fields, read)

    def _name(self, op: str) -> str:
        return f"{op}_{next(self._names)}"

    def _op(self, op: str, *inputs: _Numbers | Value, **attributes: Any) -> Value:
        values = tuple(i.value if isinstance(i, _Numbers) else i for i in inputs)
        return self._frame.make(self._name(op), op, values, **{"T": "float32", **attributes})

    def _constant(self, content: Array | float) -> Value:
        return self.scope.array(self._name("constant"), np.asarray(content, np.float32))

    def _weight(self, fields: Mapping[str, Any], role: str, axes: int) -> Array:
        """A weight of a module as float32, which is what is computed in."""
        tensor = fields[role]
        self.weights[f"module{len(self.weights)}.{role}"] = tensor
        array = np.asarray(tensor.load(), np.float32)
        if array.ndim != axes:
            raise ValueError(f"a {role} of shape {list(array.shape)}")
        return array

    def _looked_up(self, table: tuple[Value, int]) -> _Numbers:
        rows, width = table
        return _Numbers(self._frame.read("rows", rows, "float32"), (width,))

    def one_hot(self, fields: Mapping[str, Any]) -> tuple[Value, int]:
        """Ids from 1 as one-hot rows."""
        size = int(fields["outputSize"])
        bounds.check(size, bounds.SPREAD // 4, "module OneHot makes numbers of each id")
        held = (self._places(), self.scope.number("depth", size), self._constant(1.0), self._constant(0.0))
        return self.scope.make("one_hot", "OneHot", held, axis=-1, T="float32", TI="int64"), size

    def _places(self) -> Value:
        one = self.scope.array("first", np.asarray(1, np.int64))
        return self.scope.make("places", "Sub", (self._ids, one), T="int64")

    def lookup(self, fields: Mapping[str, Any]) -> tuple[Value, int]:
        """Rows of a table."""
        table = self._weight(fields, "weight", 2)
        held = (self._constant(table), self._places(), self.scope.number("axis", 0))
        types = {"Tparams": "float32", "Tindices": "int64", "Taxis": "int32"}
        return self.scope.make("looked_up", "GatherV2", held, **types), table.shape[1]

    def linear(self, fields: Mapping[str, Any], read: _Numbers) -> _Numbers:
        """The product with the weights, and the bias."""
        weight = self._weight(fields, "weight", 2)
        if read.sizes != (weight.shape[1],):
            raise ValueError(f"an nn.Linear of shape {list(weight.shape)} reads {list(read.sizes)} numbers")
        product = self._op("MatMul", read, self._frame.constant(self._constant(weight.T)))
        if fields.get("bias") is not None:
            bias = self._weight(fields, "bias", 1)
            product = self._op("BiasAdd", product, self._frame.constant(self._constant(bias)))
        return _Numbers(product, (weight.shape[0],))

    def _joined(self, op: str, read: Sequence[_Numbers]) -> _Numbers:
        if len({one.sizes for one in read}) != 1:
            raise ValueError(f"{op} of several sizes: {[list(one.sizes) for one in read]}")
        total = read[0].value
        for one in read[1:]:
            total = self._op(op, total, one)
        return _Numbers(total, read[0].sizes)

    def reshape(self, fields: Mapping[str, Any], read: _Numbers) -> _Numbers:
        """Other sizes, the batch aside."""
        size = fields["size"]
        sizes = tuple(int(n) for n in (size.load() if isinstance(size, Storage) else ()))
        if math.prod(sizes) != math.prod(read.sizes) or not 1 <= len(sizes) <= 2:
            raise ValueError(f"{list(read.sizes)} numbers as {list(sizes)}")
        return _Numbers(read.value, sizes)

    def split(self, fields: Mapping[str, Any], read: _Numbers) -> list[_Numbers]:
        """[N, parts, size] as a table of its parts."""
        _check_first_axis(fields, len(read.sizes))
        parts, size = read.sizes
        node = self._split(read.value, [size] * parts)
        return [_Numbers(Value(node.node, k), (size,)) for k in range(parts)]

    def narrow(self, fields: Mapping[str, Any], read: _Numbers) -> _Numbers:
        """A part of [N, size] from a place that is counted from 1."""
        begin, length = int(fields["index"]) - 1, int(fields["length"])
        (size,) = read.sizes
        _check_first_axis(fields, 1)
        if begin < 0 or length < 1 or begin + length > size:
            raise ValueError(f"a part of {length} from {begin + 1} of {size}")
        node = self._split(read.value, [n for n in (begin, length, size - begin - length) if n])
        return _Numbers(Value(node.node, 1 if begin else 0), (length,))

    def _split(self, value: Value, lengths: Sequence[int]) -> Value:
        sizes = self._frame.constant(self.scope.number(self._name("lengths"), lengths))
        axis = self._frame.constant(self.scope.number(self._name("axis"), 1))
        return self._op("SplitV", value, sizes, axis, num_split=len(lengths), Tlen="int32")

    def concatenated(self, fields: Mapping[str, Any], read: Sequence[_Numbers]) -> _Numbers:
        """Parts side by side."""
        _check_first_axis(fields, 1)
        if any(len(one.sizes) != 1 for one in read):
            raise ValueError(f"a join of {[list(one.sizes) for one in read]}")
        axis = self._frame.constant(self.scope.number(self._name("axis"), 1))
        joined = self._op("ConcatV2", *read, axis, N=len(read), Tidx="int32")
        return _Numbers(joined, (sum(one.sizes[0] for one in read),))

    def shifted(self, op: str, fields: Mapping[str, Any], read: _Numbers) -> _Numbers:
        """One number added to each, or multiplied with."""
        number = fields["constant_scalar"]
        if not isinstance(number, (int, float)):
            raise TypeError(f"a constant that is {type(number).__name__}")
        return self._with_number(op, read, number)

    def _with_number(self, op: str, read: _Numbers, number: float) -> _Numbers:
        return _Numbers(self._op(op, read, self._frame.constant(self._constant(number))), read.sizes)

    def dropped(self, fields: Mapping[str, Any], read: _Numbers) -> _Numbers:
        """What dropout does when a model is used: nothing, or in its first version a factor."""
        return read if fields.get("v2") else self._with_number("Mul", read, 1 - fields["p"])


def _check_first_axis(fields: Mapping[str, Any], axes: int) -> None:
    """Holds that a module works along the first of so many axes after the batch.

    Raises:
        ValueError: It works along another.
    """
    dimension, inner = int(fields["dimension"]), fields.get("nInputDims")
    if dimension != (2 if inner is None else 1) or inner not in (None, axes):
        raise ValueError(f"dimension {dimension} of {inner or axes + 1}, where the first after the batch is expected")


_LOOKUPS: Mapping[str, Callable[[_Step, Mapping[str, Any]], tuple[Value, int]]] = {
    "OneHot": _Step.one_hot,
    "LookupTable": _Step.lookup,
}
_MODULES: Mapping[str, Callable[[_Step, Mapping[str, Any], Any], Any]] = {
    "Linear": _Step.linear,
    "Dropout": _Step.dropped,
    "Reshape": _Step.reshape,
    "View": _Step.reshape,
    "SplitTable": _Step.split,
    "Narrow": _Step.narrow,
    "JoinTable": _Step.concatenated,
    "AddConstant": lambda step, fields, read: step.shifted("Add", fields, read),
    "MulConstant": lambda step, fields, read: step.shifted("Mul", fields, read),
}
