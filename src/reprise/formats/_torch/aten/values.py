"""What an interpreted TorchScript program computes with: tensors of an ONNX graph in the making, and their sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reprise.tensors import Array, Tensor
from reprise.wire import onnx

#: How many nodes a program may have: loops are unrolled.
MOST_NODES = 20_000
#: How many numbers one tensor may have.
MOST_NUMBERS = 2**28


class RefusedError(Exception):
    """The program does something that has no translation, or that no tensor of these shapes can do.

    Attributes:
        place: Where in the program.
    """

    place = ""


class NoIndexError(RefusedError):
    """A tensor is used as ids and holds no whole numbers.

    Attributes:
        name: Of the tensor.
    """

    def __init__(self, name: str) -> None:
        super().__init__("looks numbers up in a table by ids that are no whole numbers")
        self.name = name


@dataclass(eq=False)
class RuntimeSize:
    """A size that is known when the model runs.

    Attributes:
        source: The value and axis that have it, or the value of one element that holds it.
        same: The size that it was found to be equal to.
        enters: Whether it is a size of an input.
        once: Whether the program was read for a size of 1 alone.
        rows: How many rows are taken one by one, and `cuts`, how often one is.
    """

    source: tuple[str, int | None]
    same: int | RuntimeSize | None = None
    enters: bool = False
    once: bool = False
    rows: int = 0
    cuts: int = 0


Size = int | RuntimeSize


def known_number(size: Size) -> Size:
    """The number that a size was found to be, or the one size that stands for all that are equal."""
    while isinstance(size, RuntimeSize) and size.same is not None:
        size = size.same
    return size


def only_once(size: Size) -> bool:
    """Whether the program was read for a size of 1 where another one could be given."""
    while isinstance(size, RuntimeSize) and size.same is not None:
        if size.once:
            return True
        size = size.same
    return False


@dataclass(eq=False)
class AtenTensor:
    """A tensor. Two names of one tensor are one `AtenTensor`, so that a change in place is seen through both.

    Attributes:
        name: In the graph; another one after a change in place.
        dtype: Its element type.
        sizes: Of its axes.
        stored: Its numbers where it is an attribute or a constant of the file.
        base: The tensor that it is a view of.
        seen: The name of `base` when the view was taken.
        write_back: Given the new value of this view, the new value of `base`; None where that has no translation.
        loose: Whether PyTorch drops further axes of it where they happen to be of size 1.
        apart: Whether PyTorch may hold it as a copy of `base`, which the program does not tell.
        lost: Whether it was changed in what may be a copy of it: its own numbers are known no longer.
    """

    name: str
    dtype: str
    sizes: tuple[Size, ...]
    stored: Tensor | None = None
    base: AtenTensor | None = None
    seen: str = ""
    write_back: Callable[[AtenTensor], AtenTensor] | None = None
    loose: bool = False
    apart: bool = False
    lost: bool = False

    @property
    def rank(self) -> int:
        return len(self.sizes)

    @property
    def root(self) -> AtenTensor:
        """The tensor that it is a view of in the end; itself where it is none."""
        value = self
        while value.base is not None:
            value = value.base
        return value

    def axis(self, number: int, extra: int = 0) -> int:
        """An axis counted from the front; `extra` where one may stand behind the last."""
        rank = self.rank + extra
        if not -rank <= number < rank:
            raise RefusedError(f"axis {number} of a tensor of {self.rank} axes")
        return number % rank


@dataclass
class Builder:
    """The graph under construction.

    Attributes:
        nodes: In the order of computation.
        tensors: Initializers by name, loaded when the graph is finished.
        loaded: Attributes whose numbers went into the graph in another form.
        sums: Sizes that are the sum of others.
        fixed: Values that are computed from initializers alone.
        odd: How often sizes met in a way that speaks against the ranks of the inputs.
    """

    nodes: list[onnx.Message] = field(default_factory=list)
    tensors: dict[str, Callable[[], Array]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    sums: list[tuple[Size, Sequence[Size]]] = field(default_factory=list)
    fixed: set[str] = field(default_factory=set)
    odd: int = 0
    count: int = 0

    def fresh(self, word: str) -> str:
        self.count += 1
        return f"{word.lower()} {self.count}"

    def read(self, value: AtenTensor) -> str:
        """The name of a tensor for a node that reads it.

        Raises:
            RefusedError: It is a view of a tensor that was changed in place since.
        """
        inner = value
        while inner.base is not None:
            if inner.base.name != inner.seen:
                raise RefusedError("reads a view of a tensor that was changed in place after the view was taken")
            inner = inner.base
        if inner.lost:
            raise RefusedError("reads a tensor of which a copy, or it itself, was changed in place")
        return value.name

    def settle(self) -> None:
        """Finds the sizes that the sums leave; each may decide another."""
        for _ in self.sums:
            for whole, parts in self.sums:
                total, free = known_number(whole), [d for n in parts if isinstance(d := known_number(n), RuntimeSize)]
                rest = sum(n for n in map(known_number, parts) if isinstance(n, int))
                if not free:
                    same_size(total, rest, "tensors that are joined")
                elif isinstance(total, int) and len(set(free)) == 1 and (total - rest) % len(free) == 0:
                    same_size(free[0], (total - rest) // len(free), "tensors that are joined")

    def emit(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        if len(self.nodes) >= MOST_NODES:
            raise RefusedError(f"makes more than {MOST_NODES} nodes; its loops are too long to be unrolled")
        names = [self.fresh(op) for _ in range(outputs)]
        self.nodes.append(onnx.node(op, inputs, names, **attributes))
        return names

    def node(
        self, op: str, inputs: Sequence[AtenTensor | str], dtype: str, sizes: Sequence[Size], **attributes: Any
    ) -> AtenTensor:
        """The result of a node of one output."""
        names = [self.read(i) if isinstance(i, AtenTensor) else i for i in inputs]
        if product(sizes) > MOST_NUMBERS:
            raise RefusedError(f"makes a tensor of {product(sizes)} numbers; no model needs that")
        loose = any(isinstance(i, AtenTensor) and i.loose for i in inputs)
        if loose and not (op in _PER_NUMBER and all(_is_single(i) for i in inputs)):
            raise RefusedError(f"computes {op} of a tensor without all axes of size 1, whose axes depend on its sizes")
        (made,) = self.emit(op, names, **attributes)
        if all(n in self.tensors or n in self.fixed for n in names):
            self.fixed.add(made)
        return AtenTensor(made, dtype, tuple(map(known_number, sizes)), loose=loose)

    def constant(self, array: Any, dtype: str) -> AtenTensor:
        held = np.asarray(array, dtype)
        return AtenTensor(self.tensor(self.fresh("constant"), lambda: held), dtype, held.shape)

    def tensor(self, name: str, load: Callable[[], Array]) -> str:
        self.tensors[name] = load
        return name

    def load(self, value: AtenTensor) -> Array:
        """The numbers of an attribute that go into the graph in another form.

        Raises:
            RefusedError: They are computed.
        """
        if value.stored is None or value.name not in self.tensors:
            raise RefusedError("weights of a layer are computed")
        self.loaded.add(value.name)
        return np.asarray(value.stored.load(), np.float32)

    def ints(self, sizes: Sequence[Size]) -> str:
        """The name of a list of sizes, one tensor of one axis."""
        held = [known_number(n) for n in sizes]
        if all(isinstance(n, int) for n in held):
            numbers = np.asarray(held, np.int64)
            return self.tensor(f"ints {tuple(held)}", lambda: numbers)
        parts = [self._one(n) for n in held]
        return parts[0] if len(parts) == 1 else self.emit("Concat", parts, axis=0)[0]

    def _one(self, size: Size) -> str:
        if isinstance(size, int):
            return self.ints([size])
        name, axis = size.source
        if axis is None:
            return name
        (shape,) = self.emit("Shape", [name])
        (found,) = self.emit("Gather", [shape, self.ints([axis])], axis=0)
        size.source = found, None
        return found

    def scalar(self, size: Size) -> AtenTensor:
        """A size as a tensor without axes."""
        return self.node("Squeeze", [self.ints([size]), self.ints([0])], "int64", ())


#: Operators of single numbers, which are the same however a tensor is laid out.
_PER_NUMBER = frozenset("Add Sub Mul Div Neg Tanh Sigmoid Relu Exp Abs Elu Clip Cast Identity".split())


def _is_single(value: AtenTensor | str) -> bool:
    """Whether an operand spreads along no axis: the loose tensor itself, or one of one number."""
    return isinstance(value, str) or value.loose or (value.rank < 2 and all(known_number(n) == 1 for n in value.sizes))


def same_size(one: Size, other: Size, what: str) -> Size:
    """The size that both are.

    Raises:
        RefusedError: They are two different numbers.
    """
    one, other = known_number(one), known_number(other)
    if one is other:
        return one
    if isinstance(one, RuntimeSize):
        one.same = other
        return other
    if isinstance(other, RuntimeSize):
        other.same = one
        return one
    if one != other:
        raise RefusedError(f"{what}: sizes {one} and {other} do not fit")
    return one


def broadcast(*shapes: Sequence[Size]) -> tuple[Size, ...]:
    """The shape of a result computed number by number.

    Raises:
        RefusedError: The shapes do not fit each other.
    """
    rank = max(map(len, shapes))
    padded = [(*([1] * (rank - len(s))), *map(known_number, s)) for s in shapes]
    return tuple(_widest(sizes) for sizes in zip(*padded, strict=True))


def _widest(sizes: Sequence[Size]) -> Size:
    found: Size = 1
    for size in sizes:
        if found == 1:
            found = size
        elif size != 1:
            found = same_size(found, size, "numbers of two tensors are taken together")
    return found


def left_over(whole: Sequence[Size], parts: Sequence[Size]) -> Size | None:
    """The size that the `parts` leave of the product of `whole`; None where it is not one number or size."""
    have, used = Counter(map(known_number, whole)), Counter(map(known_number, parts))
    dims = [d for d in (have - used).elements() if isinstance(d, RuntimeSize)]
    missing = [d for d in (used - have).elements() if isinstance(d, RuntimeSize)]
    number = product(whole)
    rest = product(parts)
    if missing or not rest or number % rest:
        return None
    factor = number // rest
    return factor if not dims else dims[0] if len(dims) == 1 and factor == 1 else None


def product(sizes: Sequence[Size]) -> int:
    """The product of the sizes that are known."""
    result = 1
    for size in map(known_number, sizes):
        result *= size if isinstance(size, int) else 1
    return result
