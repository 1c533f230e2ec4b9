"""A `while` frame written node by node: what the rewrites of unrolled cells and fused operators produce.

For each variable: Enter → Merge → Switch → body → NextIteration, and Exit after the loop. A sequence that is read
or written is a TensorArray, filled before the loop or stacked after it. One iteration serves one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reprise.graph import Node, Value
from reprise.tensors import Array, in_memory

#: The attribute of nodes that a frame stands in for, and that only what belongs to training still reads.
REPLACED = "_replaced"
#: The attribute of an Exit that the file does not have: the value that its loop hands on, None where no name is known.
NEXT_VALUE = "_next_value"
#: The attribute of an Enter that says what its variable is called where it is a state.
CALLED = "_called"
#: The tensors of the single steps for which one node stands.
STEP_TENSORS = "_step_tensors"


class StateName(NamedTuple):
    """What a state is called, as an attribute; of a class of its own, so that no file can hold one."""

    name: str


class Scope:
    """Nodes under construction.

    Attributes:
        name: What all their names begin with.
        nodes: Where they go, by name.
    """

    def __init__(self, name: str, nodes: dict[str, Node] | None = None) -> None:
        self.name = name
        self.nodes: dict[str, Node] = {} if nodes is None else nodes

    def make(self, name: str, op: str, inputs: tuple[Value, ...] = (), **attributes: Any) -> Value:
        """Adds a node under the scope; gives its first output."""
        return self.add(Node(f"{self.name}/{name}", op, inputs, (), attributes))

    def add(self, node: Node) -> Value:
        """Adds a node; gives its first output."""
        self.nodes[node.name] = node
        return Value(node.name)

    def array(self, name: str, content: Array) -> Value:
        """A constant outside of all loops."""
        tensor = in_memory(content)
        return self.make(name, "Const", dtype=tensor.dtype, value=tensor)

    def number(self, name: str, content: Any) -> Value:
        """An int32 constant outside of all loops."""
        return self.array(name, np.asarray(content, np.int32))

    def part(self, name: str, whole: Value, begin: Sequence[int], end: Sequence[int], **attributes: Any) -> Value:
        """What lies between two indices, one after the other."""
        indices = (("begin", begin), ("end", end), ("strides", [1] * len(begin)))
        bounds = (self.number(f"{name}/{word}", content) for word, content in indices)
        return self.make(name, "StridedSlice", (whole, *bounds), **attributes)

    def rows(self, stacked: Value, name: str = "rows") -> Value:
        """The size of the first axis."""
        shape = self.make(f"{name}/Shape", "Shape", (stacked,), out_type="int32")
        return self.part(name, shape, [0], [1], shrink_axis_mask=1, T="int32")

    def range(self, name: str, count: Value) -> Value:
        """The numbers of `count` rows."""
        zero, one = self.number(f"{name}/zero", 0), self.number(f"{name}/one", 1)
        return self.make(name, "Range", (zero, count, one), Tidx="int32")

    def filled(self, name: str, rows: Value, indices: Value, stacked: Value, dtype: str) -> tuple[Value, Value]:
        """An array of so many `rows` with those of a sequence at their `indices`: its handle, and what it holds."""
        array = self.make(f"{name}/TensorArray", "TensorArrayV3", (rows,), dtype=dtype)
        held = (array, indices, stacked, Value(array.node, 1))
        return array, self.make(f"{name}/scatter", "TensorArrayScatterV3", held, T=dtype)


class Frame(Scope):
    """A frame under construction; its nodes are those before and after the loop too.

    Attributes:
        counter: The number of the iteration, inside the loop.
        below: Whether it is below the number of iterations.
    """

    def __init__(
        self, name: str, rows: Value, nodes: dict[str, Node] | None = None, loop: str = "", condition: str = ""
    ) -> None:
        """`rows`, an int32 scalar outside the loop, is the number of iterations.

        With `loop` the frame of that name gets further variables; its `LoopCond` is the node `condition`.
        """
        super().__init__(name, nodes)
        self._loop = loop or name
        self._condition = Value(condition or f"{name}/LoopCond")
        self._constants: dict[Value, Value] = {}
        self._variables: dict[Value, int] = {}
        self._rows = rows
        self._range = self.range("range", rows)
        zero, one = self.number("zero", 0), self.number("one", 1)
        self.counter = self.carry(zero, "int32")
        self.below = self.make("Less", "Less", (Value(f"{name}/Merge_0"), self.constant(rows)), T="int32")
        if not condition:
            self.make("LoopCond", "LoopCond", (self.below,))
        self.leave(self.counter, self.make("next", "Add", (self.counter, self.constant(one)), T="int32"))

    def constant(self, value: Value) -> Value:
        """A value from outside, as the body sees it."""
        if value not in self._constants:
            k = len(self._constants)
            self._constants[value] = self._enter(f"constant_{k}", value, is_constant=True)
        return self._constants[value]

    def _enter(self, name: str, value: Value, **attributes: Any) -> Value:
        return self.make(name, "Enter", (value,), frame_name=self._loop.encode(), **attributes)

    def carry(self, initial: Value, dtype: str, called: str = "") -> Value:
        """A new loop variable, as the body sees it at the start of an iteration; `called` names it as a state."""
        k = len(self._variables)
        named = {CALLED: StateName(called)} if called else {}
        enter = self._enter(f"Enter_{k}", initial, is_constant=False, T=dtype, **named)
        merge = self.make(f"Merge_{k}", "Merge", (enter, Value(f"{self.name}/NextIteration_{k}")), T=dtype)
        self.make(f"Switch_{k}", "Switch", (merge, self._condition), T=dtype)
        entered = self.make(f"Identity_{k}", "Identity", (Value(f"{self.name}/Switch_{k}", 1),), T=dtype)
        self._variables[entered] = k
        return entered

    def leave(self, variable: Value, leaving: Value) -> Value:
        """Ends the iteration of a variable that `carry` made; gives its value after the loop."""
        k = self._variables[variable]
        self.make(f"NextIteration_{k}", "NextIteration", (leaving,))
        return self.make(f"Exit_{k}", "Exit", (Value(f"{self.name}/Switch_{k}", 0),))

    def over(self, lengths: Value) -> Value:
        """Whether a row of the batch, or all of it, has ended before this step."""
        count = self.make("lengths", "Cast", (lengths,), DstT="int32")
        return self.make("over", "GreaterEqual", (self.counter, self.constant(count)), T="int32")

    def until(self, over: Value | None, made: Value, after: Value, name: str, dtype: str) -> Value:
        """`made`, and `after` where a row is over."""
        return made if over is None else self.make(name, "Select", (over, after, made), T=dtype)

    def read(self, name: str, stacked: Value, dtype: str) -> Value:
        """The row of this iteration, of a sequence with time as its first axis."""
        array, filled = self.filled(name, self._rows, self._range, stacked, dtype)
        held = (self.constant(array), self.counter, self.constant(filled))
        return self.make(f"{name}/read", "TensorArrayReadV3", held, dtype=dtype)

    def write(self, name: str, element: Value, dtype: str) -> Value:
        """Stacks a value of every iteration; gives the sequence, time first."""
        array = self.make(f"{name}/TensorArray", "TensorArrayV3", (self._rows,), dtype=dtype)
        flow = self.carry(Value(array.node, 1), "float32")
        held = (self.constant(array), self.counter, element, flow)
        done = self.leave(flow, self.make(f"{name}/write", "TensorArrayWriteV3", held, T=dtype))
        return self.make(f"{name}/stack", "TensorArrayGatherV3", (array, self._range, done), dtype=dtype)
