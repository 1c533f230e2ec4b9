"""One LiteRT operator while it is written in TensorFlow's operators: its inputs as values, and where its nodes go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reprise.formats._litert.schema import LiteOperator, LiteTensor, Subgraph
from reprise.frame import Scope
from reprise.graph import Node, ShapeAttribute, Value
from reprise.tensors import Array, Tensor

#: What may follow an operator at once, by number: ReLU, clipping to [-1, 1], ReLU6, tanh.
_RELU, _UNIT, _RELU6, _TANH = 1, 2, 3, 4
ACTIVATIONS = {_RELU: "Relu", _RELU6: "Relu6", _TANH: "Tanh"}
_QUANTIZED = frozenset("int4 int8 uint8 int16 int32".split())


class Values:
    """The tensors of a subgraph as values of a graph under construction.

    Numbers that stand for others are what they stand for: a quantised tensor is one of float32.
    """

    def __init__(self, subgraph: Subgraph) -> None:
        self.subgraph = subgraph
        self.nodes: dict[str, Node] = {}
        self.names = _names(subgraph.tensors)
        self.last_use: dict[str, str] = {}
        self.stored: dict[str, Tensor] = {}
        self.known: dict[int, Tensor] = {}
        self._values: dict[int, Value] = {}

    def dtype(self, number: int) -> str:
        """The element type of what a tensor stands for."""
        tensor = self.subgraph.tensors[number]
        return "float32" if is_quantized(tensor) else tensor.dtype

    def content(self, number: int) -> Tensor | None:
        """The numbers of a tensor that is a constant, or made of one."""
        tensor = self.subgraph.tensors[number]
        return self.known.get(number) if tensor.content is None else numbers(tensor, tensor.content)

    def of(self, number: int) -> Value:
        """The value of a tensor; a constant is written where it is first read."""
        content = self.content(number)
        if number not in self._values and content is not None:
            self._values[number] = self.constant(self.names[number], content)
        return self._values.get(number, Value(self.names[number]))

    def constant(self, name: str, tensor: Tensor) -> Value:
        """A constant under a name of its own."""
        self.nodes[name] = Node(name, "Const", attributes={"dtype": tensor.dtype, "value": tensor})
        return Value(name)

    def variable(self, name: str, tensor: LiteTensor) -> Value:
        """A variable for a tensor that keeps its content, which begins with zeros."""
        shape = tuple(n or 1 for n in tensor.shape)
        zeros = Tensor("float32", shape, lambda: np.zeros(shape, np.float32), "a variable tensor")
        self.stored[name] = zeros
        attributes = {"dtype": "float32", "shape": ShapeAttribute(shape)}
        self.nodes[name] = Node(name, "VarHandleOp", attributes=attributes)
        return Value(name)

    def bind(self, number: int, value: Value) -> None:
        """Says what a tensor is."""
        self._values[number] = value


def _names(tensors: Sequence[LiteTensor]) -> list[str]:
    """A name for each tensor as a node can have it, its own where no tensor before has it."""
    taken: set[str] = set()
    names = []
    for number, tensor in enumerate(tensors):
        name = tensor.name.removesuffix(":0").replace(":", "_") or f"tensor_{number}"
        name = f"{name}/{number}" if name in taken else name
        taken.add(name)
        names.append(name)
    return names


def is_quantized(tensor: LiteTensor) -> bool:
    """Whether a tensor's numbers stand for others."""
    return tensor.quantization is not None and tensor.dtype in _QUANTIZED


def numbers(tensor: LiteTensor, content: Tensor) -> Tensor:
    """What the numbers of a constant stand for."""
    quantization = tensor.quantization
    if quantization is None or not is_quantized(tensor):
        return content

    def load() -> Array:
        sizes = [1] * len(content.shape)
        if quantization.scale.size > 1:
            sizes[quantization.axis] = -1
        scale, zero = (
            quantization.scale.reshape(sizes),
            quantization.zero.reshape(sizes if quantization.zero.size > 1 else [1] * len(sizes)),
        )
        return ((content.load().astype(np.int64) - zero) * scale.astype(np.float64)).astype(np.float32)

    return Tensor("float32", content.shape, load, content.source)


class LiteSite(Scope):
    """One operator.

    Attributes:
        node: The operator.
        values: The tensors of its subgraph.
    """

    def __init__(self, node: LiteOperator, values: Values) -> None:
        outputs = [o for o in node.outputs if o >= 0]
        super().__init__(values.names[outputs[0]] if outputs else node.name, values.nodes)
        self.node, self.values = node, values

    def has(self, k: int) -> bool:
        """Whether an input is given."""
        return k < len(self.node.inputs) and self.node.inputs[k] >= 0

    def input(self, k: int) -> Value:
        """An input."""
        return self.values.of(self.node.inputs[k])

    def inputs(self) -> tuple[Value, ...]:
        """All inputs that are given."""
        return tuple(self.values.of(i) for i in self.node.inputs if i >= 0)

    def tensor(self, k: int) -> LiteTensor:
        """What the file says of an input."""
        return self.values.subgraph.tensors[self.node.inputs[k]]

    def output(self) -> LiteTensor:
        """What the file says of the first output."""
        return self.values.subgraph.tensors[self.node.outputs[0]]

    def content(self, k: int) -> Tensor | None:
        """The numbers of an input that is a constant."""
        return self.values.content(self.node.inputs[k])

    def rank(self, k: int) -> int:
        """How many axes an input has."""
        return len(self.tensor(k).shape)

    def dtype(self, k: int = 0, *, output: bool = False) -> str:
        """The element type of an input or output."""
        return self.values.dtype((self.node.outputs if output else self.node.inputs)[k])

    def option(self, field: int, kind: str = "b", default: Any = 0) -> Any:
        """A number among the options."""
        return default if self.node.options is None else self.node.options.number(field, kind, default)

    def turned(self, k: int, perm: Sequence[int]) -> Value:
        """An input with its axes in another order, turned once for all operators that read it; a constant is stored so.

        Steps that are written out one by one show by that that they have the same weights.
        """
        content = self.content(k)
        name = f"{self.values.names[self.node.inputs[k]]}/turned_{''.join(map(str, perm))}"
        if name in self.nodes:
            return Value(name)
        if content is None:
            order = self.number(f"perm_{k}", list(perm))
            return self.add(Node(name, "Transpose", (self.input(k), order), (), {"T": self.dtype(k), "Tperm": "int32"}))
        shape = tuple(content.shape[axis] for axis in perm)
        turned = Tensor(content.dtype, shape, lambda: content.load().transpose(perm), content.source)
        return self.values.constant(name, turned)

    def give(self, op: str, inputs: tuple[Value, ...], activation: int = 0, **attributes: Any) -> None:
        """Makes the outputs: one node for all of them, and what follows at once."""
        attributes.setdefault("T", self.dtype(output=True))
        if not activation:
            self.bind([Value(self.name, k) for k in range(len(self.node.outputs))])
            self.add(Node(self.name, op, inputs, (), attributes))
        else:
            self.activated(self.make("linear", op, inputs, **attributes), activation)

    def activated(self, value: Value, activation: int) -> None:
        """Makes the output from a value that an activation follows."""
        kind = self.dtype(output=True)
        if activation == _UNIT:
            low = self.make("low", "Maximum", (value, self.scalar("minus_one", -1.0)), T=kind)
            self.give("Minimum", (low, self.scalar("one", 1.0)))
        else:
            self.give(ACTIVATIONS[activation] if activation else "Identity", (value,))

    def scalar(self, name: str, content: float) -> Value:
        """A constant number of float32."""
        return self.array(name, np.asarray(content, np.float32))

    def bind(self, outputs: Sequence[Value]) -> None:
        """Says what the outputs are."""
        for number, value in zip(self.node.outputs, outputs, strict=False):
            if number >= 0:
                self.values.bind(number, value)
