"""ATen's operators that lay numbers out, join, cut and fill, as ONNX. What a tensor is a view of is kept.

Source: aten/src/ATen/native/native_functions.yaml (2.13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from reprise.formats._torch.aten.values import (
    AtenTensor,
    Builder,
    RefusedError,
    RuntimeSize,
    Size,
    broadcast,
    known_number,
    left_over,
    same_size,
)
from reprise.wire import onnx

#: Element types by the number that ATen gives them; real numbers are computed in single precision.
_DTYPES = {
    0: "uint8",
    1: "int32",
    2: "int32",
    3: "int32",
    4: "int64",
    5: "float32",
    6: "float32",
    7: "float32",
    11: "bool",
    15: "float32",
}
#: The end of a slice that has none.
LAST = 2**63 - 1
#: How many parts a tensor is cut into at most.
_MOST_PARTS = 10_000


def dtype_of(number: Any, default: str = "float32") -> str:
    """The element type of ATen's number."""
    if number is None:
        return default
    if number not in _DTYPES:
        raise RefusedError(f"the element type {number}, which is not read")
    return _DTYPES[number]


def element(dtype: str) -> int:
    """ONNX's number of an element type."""
    return onnx.ELEMENT_TYPES[dtype]


def view(
    b: Builder,
    base: AtenTensor,
    op: str,
    inputs: Sequence[str],
    sizes: Sequence[Size],
    write_back: Callable[[AtenTensor], AtenTensor] | None = None,
    **attributes: Any,
) -> AtenTensor:
    """A tensor that shows numbers of another one."""
    made = b.node(op, [base, *inputs], base.dtype, sizes, **attributes)
    made.base, made.seen, made.write_back = base, base.name, write_back
    return made


def sizes_of(value: AtenTensor) -> list[Size]:
    """The sizes of a tensor; those that are not known can be computed.

    Raises:
        RefusedError: PyTorch drops axes of it that happen to be of size 1.
    """
    if value.loose:
        raise RefusedError("asks for the axes of a tensor without all axes of size 1, which depend on its sizes")
    return [known_number(n) for n in value.sizes]


# Axes


def squeeze(b: Builder, self: AtenTensor, dim: Any = None) -> AtenTensor:
    """Without axes of size 1. Where no axis is named, one whose size is free stays, also where it happens to be 1."""
    named = dim if isinstance(dim, list) else [] if dim is None else [dim]
    for k in named:
        if isinstance(known_number(self.sizes[self.axis(k)]), RuntimeSize):
            counted(self.sizes[self.axis(k)])
    chosen = range(self.rank) if dim is None else [self.axis(k) for k in named]
    axes = [k for k in chosen if known_number(self.sizes[k]) == 1]
    loose = dim is None and any(isinstance(known_number(n), RuntimeSize) for n in self.sizes)
    if not axes and not loose:
        return self
    left = [n for k, n in enumerate(self.sizes) if k not in axes]
    ints = b.ints(axes)

    def back(new: AtenTensor) -> AtenTensor:
        return b.node("Unsqueeze", [new, ints], self.dtype, self.sizes)

    made = view(b, self, "Squeeze", [ints], left, back) if axes else view(b, self, "Identity", [], left)
    made.loose = made.loose or loose
    return made


def unsqueeze(b: Builder, self: AtenTensor, dim: int) -> AtenTensor:
    axis = self.axis(dim, extra=1)
    ints = b.ints([axis])

    def back(new: AtenTensor) -> AtenTensor:
        return b.node("Squeeze", [new, ints], self.dtype, self.sizes)

    return view(b, self, "Unsqueeze", [ints], (*self.sizes[:axis], 1, *self.sizes[axis:]), back)


def permute(b: Builder, self: AtenTensor, dims: Sequence[int]) -> AtenTensor:
    order = [self.axis(k) for k in dims]
    if sorted(order) != [*range(self.rank)]:
        raise RefusedError(f"an order of axes {list(dims)} of a tensor of {self.rank}")

    def back(new: AtenTensor) -> AtenTensor:
        return b.node("Transpose", [new], self.dtype, self.sizes, perm=[order.index(k) for k in range(self.rank)])

    return view(b, self, "Transpose", [], [self.sizes[k] for k in order], back, perm=order)


def transpose(b: Builder, self: AtenTensor, dim0: int, dim1: int) -> AtenTensor:
    order = [*range(self.rank)]
    one, two = self.axis(dim0), self.axis(dim1)
    order[one], order[two] = two, one
    return permute(b, self, order)


def movedim(b: Builder, self: AtenTensor, source: Any, destination: Any) -> AtenTensor:
    """Axes moved to other places; the others keep their order."""
    taken, places = ([self.axis(k) for k in ([n] if isinstance(n, int) else n)] for n in (source, destination))
    moved = dict(zip(places, taken, strict=True))
    others = iter([k for k in range(self.rank) if k not in taken])
    return permute(b, self, [moved[k] if k in moved else next(others) for k in range(self.rank)])


def t(b: Builder, self: AtenTensor) -> AtenTensor:
    """The axes in their reverse order; `t` itself is called on no more than two."""
    return self if self.rank < 2 else permute(b, self, [*range(self.rank)][::-1])


def reshape(b: Builder, self: AtenTensor, shape: Sequence[Size]) -> AtenTensor:
    wanted = [known_number(n) for n in shape]
    open_at = [k for k, n in enumerate(wanted) if n == -1]
    others = [n for n in wanted if n != -1]
    rest = left_over(self.sizes, others)
    if isinstance(rest, RuntimeSize) and rest.enters and not open_at:
        rest = counted(rest)  # only one step fits
    if len(open_at) > 1 or (not open_at and rest not in (1, None)):
        raise RefusedError(f"a reshape of {len(self.sizes)} axes to {_words(shape)}")
    made = view(b, self, "Reshape", [b.ints(wanted)], [1 if n == -1 else n for n in wanted])
    sizes = [rest if n == -1 else n for n in wanted]
    made.sizes = tuple(RuntimeSize((made.name, k)) if n is None else n for k, n in enumerate(sizes))
    return made


def _words(shape: Sequence[Size]) -> str:
    return str(["free" if isinstance(n, RuntimeSize) else n for n in shape])


def flatten(b: Builder, self: AtenTensor, start_dim: int = 0, end_dim: int = -1) -> AtenTensor:
    first, last = self.axis(start_dim), self.axis(end_dim)
    if first >= last:
        return self
    return reshape(b, self, [*self.sizes[:first], -1, *self.sizes[last + 1 :]])


def unflatten(b: Builder, self: AtenTensor, dim: int, sizes: Sequence[Size]) -> AtenTensor:
    axis = self.axis(dim)
    return reshape(b, self, [*self.sizes[:axis], *sizes, *self.sizes[axis + 1 :]])


def view_as(b: Builder, self: AtenTensor, other: AtenTensor) -> AtenTensor:
    return reshape(b, self, other.sizes)


def expand(b: Builder, self: AtenTensor, size: Sequence[Size], implicit: bool = False) -> AtenTensor:
    padded = (*([1] * (len(size) - self.rank)), *self.sizes)
    if len(padded) != len(size):
        raise RefusedError(f"an expand of {self.rank} axes to {_words(size)}")
    wanted = [old if known_number(new) == -1 else known_number(new) for old, new in zip(padded, size, strict=True)]
    if [known_number(n) for n in padded] == wanted and self.rank == len(size):
        return self
    return view(b, self, "Expand", [b.ints(wanted)], wanted)


def expand_as(b: Builder, self: AtenTensor, other: AtenTensor) -> AtenTensor:
    return expand(b, self, other.sizes)


def repeat(b: Builder, self: AtenTensor, repeats: Sequence[Size]) -> AtenTensor:
    if len(repeats) < self.rank:
        raise RefusedError("a repeat along fewer axes than there are")
    wide = self
    for _ in range(len(repeats) - self.rank):
        wide = unsqueeze(b, wide, 0)
    after = [_times(n, k) for n, k in zip(wide.sizes, repeats, strict=True)]
    made = b.node("Tile", [wide, b.ints(repeats)], self.dtype, [1 if n is None else n for n in after])
    made.sizes = tuple(RuntimeSize((made.name, k)) if n is None else n for k, n in enumerate(after))
    return made


def _times(one: Size, other: Size) -> Size | None:
    one, other = known_number(one), known_number(other)
    if one == 1:
        return other
    if other == 1:
        return one
    return one * other if isinstance(one, int) and isinstance(other, int) else None


# Parts


def slice_(b: Builder, self: AtenTensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> AtenTensor:
    axis = self.axis(dim)
    size = known_number(self.sizes[axis])
    begin: Any = 0 if start is None else known_number(start)
    stop: Any = LAST if end is None else known_number(end)
    if step != 1 and (begin != 0 or stop != LAST or not isinstance(step, int) or step < 1):
        raise RefusedError("a slice with steps and bounds")
    if begin == 0 and stop == LAST and step == 1:
        return self
    if isinstance(size, RuntimeSize) and _whole(begin, stop) and 0 <= begin < stop < LAST:
        size.rows, size.cuts = max(size.rows, stop), size.cuts + 1
    sizes = list(self.sizes)
    left = (
        len(range(*slice(begin, stop, step).indices(size))) if isinstance(size, int) and _whole(begin, stop) else None
    )
    sizes[axis] = 1 if left is None else left
    if left == 0:
        raise RefusedError("a slice that holds nothing")
    back = _writer(b, self, axis, begin, stop) if left is not None and step == 1 else None
    made = view(b, self, "Slice", [b.ints([begin]), b.ints([stop]), b.ints([axis]), b.ints([step])], sizes, back)
    if left is None:
        made.sizes = tuple(RuntimeSize((made.name, axis)) if k == axis else n for k, n in enumerate(made.sizes))
    return made


def _whole(*numbers: Any) -> bool:
    return all(isinstance(n, int) for n in numbers)


def _writer(b: Builder, base: AtenTensor, axis: int, begin: Any, stop: Any) -> Callable[[AtenTensor], AtenTensor]:
    """What puts new numbers into a part of an axis: the parts before and behind it are joined with them."""
    size: Any = known_number(base.sizes[axis])
    first, last, _ = slice(begin, stop).indices(size)

    def back(new: AtenTensor) -> AtenTensor:
        parts = [_part(b, base, axis, 0, first)] if first else []
        parts += [new, *([_part(b, base, axis, last, size)] if last < size else [])]
        return new if len(parts) == 1 else b.node("Concat", parts, base.dtype, base.sizes, axis=axis)

    return back


def _part(b: Builder, value: AtenTensor, axis: int, begin: int, end: int) -> AtenTensor:
    sizes = [end - begin if k == axis else n for k, n in enumerate(value.sizes)]
    return b.node("Slice", [value, b.ints([begin]), b.ints([end]), b.ints([axis])], value.dtype, sizes)


def select(b: Builder, self: AtenTensor, dim: int, index: Any) -> AtenTensor:
    axis = self.axis(dim)
    at, size = known_number(index), known_number(self.sizes[axis])
    if not isinstance(at, int):
        raise RefusedError("a row whose number is computed")
    if isinstance(size, int) and not -size <= at < size:
        raise RefusedError(f"row {at} of {size}")
    row = self if size == 1 else slice_(b, self, axis, at, LAST if at == -1 else at + 1)
    if known_number(row.sizes[axis]) != 1:  # of an axis whose size is free
        row = view(b, row, "Identity", [], [1 if k == axis else n for k, n in enumerate(row.sizes)], lambda new: new)
    return squeeze(b, row, axis)


def narrow(b: Builder, self: AtenTensor, dim: int, start: int, length: int) -> AtenTensor:
    end = start + length
    return slice_(b, self, dim, start, None if start < 0 and end == 0 else end)


def unbind(b: Builder, self: AtenTensor, dim: int = 0) -> list[AtenTensor]:
    axis = self.axis(dim)
    return [select(b, self, axis, k) for k in range(counted(self.sizes[axis]))]


def counted(size: Any) -> int:
    """How often a loop runs that goes over a size. A free size is set to 1: the model takes one step a call."""
    size = known_number(size)
    if isinstance(size, RuntimeSize):
        if not size.enters:
            raise RefusedError("a loop over a size that is none of its inputs'")
        size.same, size.once = 1, True
        return 1
    if not isinstance(size, int) or size > _MOST_PARTS:
        raise RefusedError(f"a loop over {size} steps")
    return size


def chunk(b: Builder, self: AtenTensor, chunks: int, dim: int = 0) -> list[AtenTensor]:
    size = known_number(self.sizes[self.axis(dim)])
    if isinstance(size, RuntimeSize) and 0 < chunks < _MOST_PARTS:
        return _equal_parts(b, self, chunks, self.axis(dim))
    if not isinstance(size, int) or chunks < 1:
        raise RefusedError("a chunk of an axis whose size is free")
    return split(b, self, -(-size // chunks), dim)


def _equal_parts(b: Builder, self: AtenTensor, count: int, axis: int) -> list[AtenTensor]:
    """Parts of an axis whose size is free; ONNX Runtime refuses one that they do not fill."""
    names = b.emit("Split", [b.read(self)], count, axis=axis)
    part = RuntimeSize((names[0], axis))
    b.sums.append((self.sizes[axis], [part] * count))
    sizes = tuple(part if k == axis else n for k, n in enumerate(self.sizes))
    return [AtenTensor(name, self.dtype, sizes, base=self, seen=self.name) for name in names]


def unsafe_chunk(b: Builder, self: AtenTensor, chunks: int, dim: int = 0) -> list[AtenTensor]:
    return [AtenTensor(part.name, part.dtype, part.sizes) for part in chunk(b, self, chunks, dim)]


def tensor_split(b: Builder, self: AtenTensor, parts: Any, dim: int = 0) -> list[AtenTensor]:
    """So many parts, the first of which are larger by one where they do not come out even; or parts between places."""
    size = known_number(self.sizes[self.axis(dim)])
    if not isinstance(size, int):
        raise RefusedError("a split of an axis whose size is free")
    if isinstance(parts, int):
        parts = [k * (size // parts) + min(k, size % parts) for k in range(1, min(parts, _MOST_PARTS))]
    ends = [0, *(slice(n).indices(size)[1] for n in parts), size]
    return split(b, self, [end - begin for begin, end in pairwise(ends)], dim)


def split(b: Builder, self: AtenTensor, split_size: Any, dim: int = 0) -> list[AtenTensor]:
    axis = self.axis(dim)
    size = known_number(self.sizes[axis])
    if isinstance(split_size, list):
        lengths = [counted(n) for n in split_size]
        size = same_size(size, sum(lengths), "a split")
    elif isinstance(size, int) and isinstance(split_size, int) and split_size > 0 and size // split_size < _MOST_PARTS:
        lengths = [min(split_size, size - k) for k in range(0, size, split_size)]
    else:
        raise RefusedError("a split of an axis whose size is free")
    ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
    return [slice_(b, self, axis, end - n, end) for end, n in zip(ends, lengths, strict=True)]


def slice_scatter(
    b: Builder, self: AtenTensor, src: AtenTensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> AtenTensor:
    """A copy of a tensor with other numbers in a part of it."""
    part = slice_(b, self, dim, start, end, step)
    if part is self:
        return src
    if part.write_back is None:
        raise RefusedError("changes a part of an axis whose size is free")
    return part.write_back(src)


def select_scatter(b: Builder, self: AtenTensor, src: AtenTensor, dim: int, index: int) -> AtenTensor:
    """A copy of a tensor with other numbers in one row of it."""
    size = known_number(self.sizes[self.axis(dim)])
    if index < 0 and not isinstance(size, int):
        raise RefusedError("changes a row counted from the end of an axis whose size is free")
    at = index if index >= 0 else index + size  # type: ignore[operator]
    return slice_scatter(b, self, unsqueeze(b, src, self.axis(dim)), dim, at, at + 1)


# Joining


def cat(b: Builder, tensors: Sequence[AtenTensor], dim: int = 0) -> AtenTensor:
    if not tensors or any(v.rank != tensors[0].rank for v in tensors):
        raise RefusedError("tensors of several ranks that are joined")
    if len({v.dtype for v in tensors}) > 1:
        raise RefusedError("tensors of several types that are joined")
    axis = tensors[0].axis(dim)
    sizes: list[Size] = list(tensors[0].sizes)
    for value in tensors[1:]:
        for k in range(value.rank):
            if k != axis:
                sizes[k] = same_size(sizes[k], value.sizes[k], "tensors that are joined")
    along = [known_number(v.sizes[axis]) for v in tensors]
    total = sum(n for n in along if isinstance(n, int))
    sizes[axis] = total
    made = b.node("Concat", tensors, tensors[0].dtype, sizes, axis=axis)
    if any(isinstance(n, RuntimeSize) for n in along):
        whole = RuntimeSize((made.name, axis))
        b.sums.append((whole, along))
        made.sizes = tuple(whole if k == axis else n for k, n in enumerate(made.sizes))
    return made


def stack(b: Builder, tensors: Sequence[AtenTensor], dim: int = 0) -> AtenTensor:
    return cat(b, [unsqueeze(b, v, v.axis(dim, extra=1)) for v in tensors], dim)


def spread(b: Builder, value: AtenTensor, like: AtenTensor) -> AtenTensor:
    """A tensor that is written over another one, as large as that."""
    for own, wanted in zip(value.sizes[::-1], like.sizes[::-1], strict=False):
        if known_number(wanted) == 1 and isinstance(known_number(own), RuntimeSize):
            same_size(own, 1, "a tensor that is written over another one")
    if [known_number(n) for n in broadcast(value.sizes, like.sizes)] != [known_number(n) for n in like.sizes]:
        raise RefusedError("a tensor is written over a smaller one")
    if [known_number(n) for n in value.sizes] == [known_number(n) for n in like.sizes]:
        return value
    return b.node("Expand", [value, b.ints(like.sizes)], value.dtype, like.sizes)


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "permute": permute,
    "transpose": transpose,
    "swapaxes": transpose,
    "swapdims": transpose,
    "movedim": movedim,
    "moveaxis": movedim,
    "t": t,
    "numpy_T": t,
    "reshape": reshape,
    "view": reshape,
    "unflatten": unflatten,
    "view_as": view_as,
    "reshape_as": view_as,
    "flatten": flatten,
    "expand": expand,
    "expand_as": expand_as,
    "repeat": repeat,
    "slice": slice_,
    "select": select,
    "narrow": narrow,
    "slice_scatter": slice_scatter,
    "select_scatter": select_scatter,
    "unbind": unbind,
    "chunk": chunk,
    "unsafe_chunk": unsafe_chunk,
    "split": split,
    "tensor_split": tensor_split,
    "split_with_sizes": split,
    "cat": cat,
    "concat": cat,
    "stack": stack,
}
