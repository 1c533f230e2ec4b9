"""Graphs of the tests, in TensorFlow's operators, written down without TensorFlow."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.tensors import in_memory


class Builder:
    """A graph that grows node by node; names repeat as TensorFlow lets them: `Mul`, `Mul_1`."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.weights: dict[str, np.ndarray] = {}
        self._made: Counter[str] = Counter()

    def __call__(
        self, op: str, *inputs: Value, name: str = "", controls: tuple[str, ...] = (), **attributes: Any
    ) -> Value:
        stem = name or op
        k = self._made[stem]
        self._made[stem] += 1
        name = f"{stem}_{k}" if k else stem
        self.nodes[name] = Node(name, op, inputs, controls, attributes)
        return Value(name)

    def graph(self) -> Graph:
        return Graph(dict(self.nodes))

    def const(self, content: Any, dtype: str = "int32", **options: Any) -> Value:
        return self("Const", dtype=dtype, value=in_memory(np.asarray(content, dtype)), **options)

    def placeholder(self, name: str, *shape: int | None, dtype: str = "float32") -> Value:
        return self("Placeholder", name=name, dtype=dtype, shape=ShapeAttribute(shape))

    def variable(self, name: str, *shape: int) -> Value:
        """The value of a variable whose weights are drawn here."""
        self.weights[name] = np.random.default_rng(len(self.weights)).normal(0, 0.5, shape).astype(np.float32)
        held = self("VariableV2", name=name, dtype="float32", shape=ShapeAttribute(shape))
        return self("Identity", held, name=f"{name}/read", T="float32")

    def parts(self, op: str, x: Value, count: int, axis: int) -> list[Value]:
        made = (
            self("Unpack", x, num=count, axis=axis, T="float32")
            if op == "Unpack"
            else self("Split", self.const(axis), x, num_split=count, T="float32")
        )
        return [Value(made.node, i) for i in range(count)]

    def concat(self, *parts: Value, axis: int, name: str = "concat") -> Value:
        return self("ConcatV2", *parts, self.const(axis), name=name, N=len(parts), T="float32")

    def linear(self, x: Value, kernel: Value, bias: Value) -> Value:
        product = self("MatMul", x, kernel, transpose_a=False, transpose_b=False, T="float32")
        return self("BiasAdd", product, bias, T="float32")

    def unary(self, op: str, x: Value) -> Value:
        return self(op, x, T="float32")

    def binary(self, op: str, x: Value, y: Value) -> Value:
        return self(op, x, y, T="float32")

    def lstm(self, x: Value, c: Value, h: Value, kernel: Value, bias: Value) -> tuple[Value, Value]:
        """BasicLSTMCell, as TensorFlow 1 writes it; gives c and h."""
        i, g, f, o = self.parts("Split", self.linear(self.concat(x, h, axis=1), kernel, bias), 4, 1)
        f = self.binary("Add", f, self.const(1.0, "float32"))
        kept = self.binary("Mul", c, self.unary("Sigmoid", f))
        c = self.binary("Add", kept, self.binary("Mul", self.unary("Sigmoid", i), self.unary("Tanh", g)))
        return c, self.binary("Mul", self.unary("Tanh", c), self.unary("Sigmoid", o))

    def gru(self, x: Value, h: Value, kernels: tuple[Value, ...]) -> Value:
        gates = self.unary("Sigmoid", self.linear(self.concat(x, h, axis=1), *kernels[:2]))
        r, u = self.parts("Split", gates, 2, 1)
        reset = self.binary("Mul", r, h)
        candidate = self.unary("Tanh", self.linear(self.concat(x, reset, axis=1), *kernels[2:]))
        rest = self.binary("Sub", self.const(1.0, "float32"), u)
        return self.binary("Add", self.binary("Mul", u, h), self.binary("Mul", rest, candidate))
