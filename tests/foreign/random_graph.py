"""A random ONNX graph under construction, written as its opset has it; its weights are the same in every form of it."""

import random
import zlib
from dataclasses import dataclass, field

import numpy as np

from reprise.wire import onnx

FLOAT, INT64, BOOL = (onnx.ELEMENT_TYPES[t] for t in ("float32", "int64", "bool"))
#: The value that holds how many rows there are.
ROWS = "rows"
#: How states that the file keeps to itself begin.
INSIDE = ("absent", "zeros", "shaped", "held")


@dataclass
class Graph:
    """A graph under construction.

    Attributes:
        border: How states enter: `border`, each by itself; `packed`, in one tensor; or one of `INSIDE`.
        batch: The rows that are baked in, None where any number is taken.
        inputs: Name, sizes (None for the rows) and element type.
        outputs: Name and value.
        states: Name → sizes, in the order of layers.
        entered: Those of them that are inputs.
        left: Those of them that leave → the value.
        pairs: At the border: input → output.
        parts: Input that holds several states → their names.
        axes: What the axes of input `x` are: n, t, d. Its sizes are `takes`.
        ids: How many ids `x` has, 0 where it has features.
        quantized: Whether weights are stored in int8.
        backward: Whether something in it reads from the end.
        coarse: Whether numbers are cut to int8 anew at every call.
        settings: Values of inputs that choose.
        still: An input that is the same at every step, or empty.
        says: What it is made of.
        data: The file.
    """

    opset: int
    seed: int
    draw: random.Random
    border: str
    batch: int | None = None
    nodes: list = field(default_factory=list)
    tensors: dict = field(default_factory=dict)
    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    states: dict = field(default_factory=dict)
    pairs: dict = field(default_factory=dict)
    parts: dict = field(default_factory=dict)
    entered: dict = field(default_factory=dict)
    left: dict = field(default_factory=dict)
    functions: list = field(default_factory=list)
    counter: list = field(default_factory=lambda: [0])
    quantized: bool = False
    backward: bool = False
    coarse: bool = False
    settings: dict = field(default_factory=dict)
    still: str = ""
    axes: list = field(default_factory=list)
    takes: tuple = ()
    ids: int = 0
    says: list = field(default_factory=list)
    data: bytes = b""

    def name(self):
        self.counter[0] += 1
        return f"v{self.counter[0]}"

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(onnx.node(kind, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def tensor(self, array, name=""):
        name = name or self.name()
        self.tensors[name] = np.asarray(array)
        return name

    def ints(self, *numbers):
        return self.tensor(np.array(numbers, np.int64))

    def numbers(self, label, *shape, scale=0.5):
        """Weights that are the same in both forms; perhaps quantised."""
        rng = np.random.default_rng([self.seed, zlib.crc32(label.encode())])
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    def weight(self, label, *shape, scale=0.5):
        array = self.numbers(label, *shape, scale=scale)
        if self.quantized and self.opset >= 10 and len(shape) == 2:
            step = np.float32(np.abs(array).max() / 127)
            held = self.tensor(np.round(array / step).astype(np.int8))
            return self.op("DequantizeLinear", held, self.tensor(step), self.tensor(np.int8(0)))
        return self.tensor(array)

    # What opsets write differently

    def _axes(self, kind, x, axes, since=13):
        if self.opset >= since:
            return self.op(kind, x, self.ints(*axes))
        return self.op(kind, x, axes=list(axes))

    def squeeze(self, x, *axes):
        return self._axes("Squeeze", x, axes)

    def unsqueeze(self, x, *axes):
        return self._axes("Unsqueeze", x, axes)

    def slice(self, x, axis, begin, end):
        if self.opset >= 10:
            return self.op("Slice", x, self.ints(begin), self.ints(end), self.ints(axis))
        return self.op("Slice", x, axes=[axis], starts=[begin], ends=[end])

    def split(self, x, axis, count, size):
        if self.opset >= 18:
            return self.op("Split", x, outputs=count, axis=axis, num_outputs=count)
        if self.opset >= 13:
            return self.op("Split", x, self.ints(*[size] * count), outputs=count, axis=axis)
        return self.op("Split", x, outputs=count, axis=axis, split=[size] * count)

    def dense(self, label, x, inputs, outputs):
        product = self.op("MatMul", x, self.weight(f"{label}.W", inputs, outputs))
        return self.op("Add", product, self.tensor(self.numbers(f"{label}.b", outputs)))

    def one_minus(self, x):
        return self.op("Sub", self.tensor(np.float32(1)), x)

    # States

    def state(self, name, *sizes):
        """The value by which a state of these sizes, None for the rows, enters; empty where the file has none."""
        self.states[name] = sizes
        if self.border not in ("border", "packed"):
            return "" if self.border == "absent" and len(sizes) == 3 else self._begun(name, sizes)
        self.entered[name] = sizes
        if self.border == "packed":
            return f"{name}_part"
        self.inputs.append((f"{name}_in", sizes, FLOAT))
        return f"{name}_in"

    def _begun(self, name, sizes):
        """What the file itself begins with: numbers that it holds, zeros, or zeros of a shape that it works out."""
        baked = [self.batch if n is None else n for n in sizes]
        if self.border == "held":
            first = self.numbers(f"{name} first", *(1 if n is None else n for n in sizes))
            return self.tensor(np.broadcast_to(first, baked).copy())
        if self.border == "zeros" and self.batch:
            return self.tensor(np.zeros(baked, np.float32))
        parts = [self.op("Identity", ROWS) if n is None else self.ints(n) for n in sizes]
        shape = self.op("Concat", *parts, axis=0)
        if self.opset >= 9:
            return self.op("ConstantOfShape", shape)
        return self.op(
            "Expand" if self.opset == 8 else "Tile", self.tensor(np.zeros([1] * len(sizes), np.float32)), shape
        )

    def leave(self, name, value):
        self.left[name] = value
