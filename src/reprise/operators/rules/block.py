"""ONNX nodes under construction: a graph, or the body of a loop or branch inside another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from reprise import bounds
from reprise.errors import LiftError
from reprise.graph import Value
from reprise.structure import Context
from reprise.tensors import Array
from reprise.wire import onnx

#: Written everywhere, because every ONNX Runtime of the last years loads it, browsers included.
OPSET = 17
IR_VERSION = 10
#: The version of `ai.onnx.ml`, of which models with a table of symbols need one operator.
TABLES_OPSET = 3

#: Smaller initializers stand in the graph itself, where ONNX Runtime can fold them.
INLINE = 1024

#: The type in which numbers of each source type are computed. Half precision is widened: CPUs have no kernels for it.
COMPUTED = {
    "float16": "float32",
    "bfloat16": "float32",
}


def computed_type(dtype: str) -> str:
    """The name of the type in which values of `dtype` are computed."""
    return COMPUTED.get(dtype, dtype)


def onnx_type(dtype: str) -> int:
    """ONNX's number for the type in which values of `dtype` are computed.

    Raises:
        LiftError: It has none: the tensor holds no numbers but a resource or a list.
    """
    number = onnx.ELEMENT_TYPES.get(computed_type(dtype))
    if number is None:
        raise LiftError(f"a tensor of type {dtype!r} cannot be computed: it holds no numbers and no text")
    return number


class Names:
    """Unique names in one model, and the constants that all its blocks share."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self.initializers: dict[str, Array] = {}
        self.deferred: dict[str, Callable[[], Array]] = {}
        self._spread = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def fresh(self, hint: str) -> str:
        """A name that nothing has yet."""
        count = self._count.get(hint, 0)
        self._count[hint] = count + 1
        return hint if count == 0 else f"{hint}.{count}"

    def constant(self, array: Array, hint: str = "constant") -> str:
        """The name of an initializer with the numbers of `array`, made from `hint`; equal small ones are shared."""
        if 0 in array.strides and array.size > 1:  # one number over and over, which takes its room from here on
            self._spread += array.nbytes
            bounds.check(
                self._spread, bounds.SPREAD_IN_ALL, f"{hint!r} and others: bytes of a few numbers in large shapes"
            )
        array = np.asarray(array, order="C")
        if array.dtype.name in COMPUTED:
            array = array.astype(np.float32)
        key = (str(array.dtype), array.shape, array.tobytes()) if array.size <= 64 and array.dtype != object else None
        if key is not None and key in self._constants:
            return self._constants[key]
        name = self.fresh(hint)
        self.initializers[name] = array
        if key is not None:
            self._constants[key] = name
        return name

    def later(self, make: Callable[[], Array], hint: str) -> str:
        """The name of a large initializer that is copied from other numbers when it is asked for, and not kept."""
        name = self.fresh(hint)
        self.deferred[name] = make
        return name


class Initializers(Mapping[str, Array]):
    """Large initializers by name; a deferred one is made anew each time."""

    def __init__(self, held: Mapping[str, Array], deferred: Mapping[str, Callable[[], Array]]) -> None:
        self._held, self._deferred = held, deferred

    def __getitem__(self, name: str) -> Array:
        return self._held[name] if name in self._held else self._deferred[name]()

    def __iter__(self) -> Iterator[str]:
        return chain(self._held, self._deferred)

    def __len__(self) -> int:
        return len(self._held) + len(self._deferred)


class Block:
    """A list of nodes, and which source value has which ONNX name in it.

    Attributes:
        context: The loops and branches of the source that this block stands for.
        parent: The block around it, whose values it may read.
        nodes: What was emitted, in order.
        values: Source value → ONNX name, of this block alone.
    """

    def __init__(self, names: Names, context: Context = (), parent: Block | None = None) -> None:
        self.names = names
        self.context = context
        self.parent = parent
        self.nodes: list[onnx.Message] = []
        self.values: dict[Value, str] = {}

    def lookup(self, value: Value) -> str | None:
        """The ONNX name of `value` in this block or one around it."""
        block: Block | None = self
        while block is not None:
            found = block.values.get(value)
            if found is not None:
                return found
            block = block.parent
        return None

    def home(self, context: Context) -> Block:
        """The innermost block, from here outwards, that a value of `context` may be emitted into."""
        block: Block = self
        while block.parent is not None and block.context != context[: len(block.context)]:
            block = block.parent
        return block

    def add(
        self, op: str, inputs: Sequence[str], outputs: int = 1, hint: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Appends a node; gives the names of its outputs."""
        made = tuple(self.names.fresh(hint or op) for _ in range(outputs))
        self.nodes.append(onnx.node(op, inputs, made, **attributes))
        return made

    def one(self, op: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """`add` for a node of one output."""
        return self.add(op, inputs, 1, hint, **attributes)[0]

    def ints(self, *numbers: int) -> str:
        """A constant int64 vector."""
        return self.names.constant(np.asarray(numbers, np.int64))
