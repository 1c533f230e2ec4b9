"""The equations of recurrent cells on one step; `reprise.cells` has the same ones in NumPy, with their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reprise import cells
from reprise.graph import Value
from reprise.layers.kinds import GateWeights, RecurrentCell
from reprise.layers.writing.functions import apply
from reprise.layers.writing.ops import Inside, Outside
from reprise.tensors import Tensor

#: The states of each kind in the order in which layers give them.
STATES: Mapping[str, tuple[str, ...]] = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}


@dataclass(frozen=True, slots=True)
class EnteredBlock:
    """A block whose weights are in the graph, as the body of the loop sees them."""

    block: GateWeights
    kernel: Value
    recurrent: Value
    bias: Value | None
    recurrent_bias: Value | None


@dataclass(frozen=True, slots=True)
class CellStep:
    """A cell with its weights in the body of a loop."""

    cell: RecurrentCell
    ops: Inside
    blocks: tuple[EnteredBlock, ...]
    peepholes: Mapping[str, Value]
    projection: Value | None

    def next(self, x: Value, states: Sequence[Value]) -> tuple[Value, ...]:
        """The next states, in the order of `STATES`."""
        return _EQUATIONS[self.cell.kind.name](self, x, *states)

    def input_parts(self, x: Value) -> dict[str, Value]:
        """Gate → x · W + b."""
        return self._gates({b: self._product(b.block, x, b.kernel, b.bias) for b in self.blocks})

    def recurrent_parts(self, h: Value) -> dict[str, Value]:
        """Gate → h · R + b."""
        return self._gates({b: self._product(b.block, h, b.recurrent, b.recurrent_bias) for b in self.blocks})

    def sums(self, x: Value, h: Value) -> dict[str, Value]:
        """Gate → x · W + h · R and all biases."""
        return self._gates({b: self._sum(b, x, h) for b in self.blocks})

    def _sum(self, held: EnteredBlock, x: Value, h: Value) -> Value:
        whole = self._product(held.block, x, held.kernel, None)
        whole = self.ops.op("AddV2", whole, self._product(held.block, h, held.recurrent, held.recurrent_bias))
        return whole if held.bias is None else self.ops.op("BiasAdd", whole, held.bias)

    def _product(self, block: GateWeights, x: Value, matrix: Value, bias: Value | None) -> Value:
        product = self.ops.op("MatMul", x, matrix, transpose_a=False, transpose_b=block.transposed)
        return product if bias is None else self.ops.op("BiasAdd", product, bias)

    def _gates(self, wholes: Mapping[EnteredBlock, Value]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for held, whole in wholes.items():
            order = held.block.order
            if len(order) == 1:
                found[order] = whole
                continue
            split = self.ops.op("Split", self.ops.number(1, "int32"), whole, num_split=len(order))
            found |= {gate: Value(split.node, place) for place, gate in enumerate(order)}
        return found


def cell_step(cell: RecurrentCell, outside: Outside, inside: Inside, prefix: str) -> CellStep:
    """A cell whose weights, called by `prefix` and their roles, become variables of the graph."""

    def weight(name: str, tensor: Tensor) -> Value:
        return inside.constant(outside.weight(f"{prefix}{name}", tensor))

    def optional(name: str, tensor: Tensor | None) -> Value | None:
        return None if tensor is None else weight(name, tensor)

    blocks = list(_separated(cell))
    kept = []
    for block in blocks:
        end = f"_{block.order}" if len(blocks) > 1 else ""
        kernel, recurrent = weight(f"kernel{end}", block.kernel), weight(f"recurrent_kernel{end}", block.recurrent)
        biases = optional(f"bias{end}", block.bias), optional(f"recurrent_bias{end}", block.recurrent_bias)
        kept.append(EnteredBlock(block, kernel, recurrent, *biases))
    peepholes = {gate: weight(f"peephole_{gate}", tensor) for gate, tensor in cell.peepholes.items()}
    return CellStep(cell, inside, tuple(kept), peepholes, optional("projection", cell.projection))


def _separated(cell: RecurrentCell) -> Iterator[GateWeights]:
    """The blocks of a cell; the candidate of a GRU that resets first, which has a product of its own, stands alone."""
    for block in cell.blocks:
        if cell.kind is cells.GRU and len(block.order) > 1 and "c" in block.order:
            rest = block.order.replace("c", "")
            yield from (
                gates_of(block, gates) for gates in ((rest, "c") if _adjoin(block.order, rest) else block.order)
            )
        else:
            yield block


def _adjoin(order: str, gates: str) -> bool:
    return gates in order


def gates_of(block: GateWeights, gates: str) -> GateWeights:
    """Some gates of a block that lie side by side; nothing is loaded."""
    axis = 0 if block.transposed else 1
    units = block.kernel.shape[axis] // len(block.order)
    start = block.order.index(gates) * units
    stop = start + len(gates) * units

    def of(tensor: Tensor | None, axis: int) -> Tensor | None:
        return None if tensor is None else slice_tensor(tensor, start, stop, axis)

    return replace(
        block,
        order=gates,
        kernel=slice_tensor(block.kernel, start, stop, axis),
        recurrent=slice_tensor(block.recurrent, start, stop, axis),
        bias=of(block.bias, 0),
        recurrent_bias=of(block.recurrent_bias, 0),
    )


def slice_tensor(tensor: Tensor, start: int, stop: int, axis: int) -> Tensor:
    """Rows `start` to `stop` of a tensor along an axis; nothing is loaded."""
    index = (slice(None),) * axis + (slice(start, stop),)
    shape = (*tensor.shape[:axis], stop - start, *tensor.shape[axis + 1 :])
    return Tensor(tensor.dtype, shape, lambda: tensor.load()[index], tensor.source)


def _lstm(step: CellStep, x: Value, h: Value, c: Value) -> tuple[Value, ...]:
    ops, cell = step.ops, step.cell
    gate, candidate, output = cell.functions
    before = step.sums(x, h)

    def peeped(letter: str, state: Value) -> Value:
        weight = step.peepholes.get(letter)
        whole = before[letter]
        return whole if weight is None else ops.op("AddV2", whole, ops.op("Mul", weight, state))

    if cell.forget_bias:
        before["f"] = ops.op("AddV2", before["f"], ops.number(cell.forget_bias))
    kept = ops.op("Mul", apply(ops, gate, peeped("f", c)), c)
    new = ops.op("Mul", apply(ops, gate, peeped("i", c)), apply(ops, candidate, before["c"]))
    c = ops.op("AddV2", kept, new)
    if cell.clip:
        c = ops.op("ClipByValue", c, ops.number(-cell.clip), ops.number(cell.clip))
    h = ops.op("Mul", apply(ops, gate, peeped("o", c)), apply(ops, output, c))
    return (h if step.projection is None else ops.op("MatMul", h, step.projection), c)


def _gru(step: CellStep, x: Value, h: Value) -> tuple[Value, ...]:
    ops = step.ops
    gate, candidate = step.cell.functions
    if step.cell.kind is cells.GRU_RESET_AFTER:
        ahead, back = step.input_parts(x), step.recurrent_parts(h)
        z, r = (apply(ops, gate, ops.op("AddV2", ahead[letter], back[letter])) for letter in "zr")
        new = ops.op("AddV2", ahead["c"], ops.op("Mul", r, back["c"]))
    else:
        own = tuple(b for b in step.blocks if b.block.order == "c")
        sums = replace(step, blocks=tuple(b for b in step.blocks if b not in own)).sums(x, h)
        z, r = (apply(ops, gate, sums[letter]) for letter in "zr")
        new = replace(step, blocks=own).sums(x, ops.op("Mul", r, h))["c"]
    rest = ops.op("Mul", ops.op("Sub", ops.number(1.0), z), apply(ops, candidate, new))
    return (ops.op("AddV2", ops.op("Mul", z, h), rest),)


def _rnn(step: CellStep, x: Value, h: Value) -> tuple[Value, ...]:
    return (apply(step.ops, step.cell.functions[0], step.sums(x, h)["c"]),)


_EQUATIONS: Mapping[str, Callable[..., tuple[Value, ...]]] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
