"""Products of matrices, and what looks at their diagonals."""

from __future__ import annotations

import string

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.rules.asking import Asking, Sizes
from reprise.operators.rules.attributes import ElementType, Flag, Text
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, Shapes, first_shape
from reprise.operators.rules.site import Site, number
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import STEPS, STILL, Kind, TimeAxes, has_time, mixed

_TRANSPOSE_A, _TRANSPOSE_B = Flag("transpose_a"), Flag("transpose_b")
_ADJOINT_X, _ADJOINT_Y = Flag("adj_x"), Flag("adj_y")
_TYPE, _EQUATION = ElementType("Tout", "float32"), Text("equation")


def _matmul_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    a, b = inputs[0].shape, inputs[1].shape
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return [UNKNOWN]
    swap_a = _TRANSPOSE_A(node) or _ADJOINT_X(node)
    swap_b = _TRANSPOSE_B(node) or _ADJOINT_Y(node)
    rows, inner = (a[-1], a[-2]) if swap_a else (a[-2], a[-1])
    inner_b, columns = (b[-1], b[-2]) if swap_b else (b[-2], b[-1])
    facts.sizes.equate(inner, inner_b)
    lead = facts.broadcast(a[:-2], b[:-2])
    return [Fact(None if lead is None else (*lead, rows, columns))]


def _einsum_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Each letter is one size; `...` are the axes without a letter, stretched as in arithmetic."""
    equation = _EQUATION(node)
    given, _, wanted = equation.partition("->")
    terms = given.split(",")
    if (not wanted and "->" not in equation) or len(terms) != len(inputs):
        return [UNKNOWN]
    sizes: dict[str, Dim] = {}
    others: Dims | None = ()
    for term, fact in zip(terms, inputs, strict=True):
        rest = _sizes_by_letter(facts, term, fact.shape, sizes)
        others = None if rest is None else facts.broadcast(others, rest)
    if others is None or any(c not in sizes for c in wanted.replace("...", "")):
        return [UNKNOWN]
    before, dots, after = wanted.partition("...")
    return [Fact((*(sizes[c] for c in before), *(others if dots else ()), *(sizes[c] for c in after)))]


def _sizes_by_letter(facts: Shapes, term: str, shape: Dims | None, sizes: dict[str, Dim]) -> Dims | None:
    """Gives the letters of a term their sizes; what is left are the axes of its ellipsis."""
    before, _, after = term.partition("...")
    if shape is None or len(shape) < len(before) + len(after):
        return None
    end = len(shape) - len(after)
    for letter, size in zip(before + after, (*shape[: len(before)], *shape[end:]), strict=True):
        sizes[letter] = facts.sizes.equate(sizes[letter], size) if letter in sizes else size
    return shape[len(before) : end]


def _diagonal_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    plain = shape and _is_main_diagonal(inputs[1:]) and (node.op != "Diag" or len(shape) == 1)
    return [Fact((*shape, shape[-1]))] if shape and plain else [UNKNOWN]


def _diagonal_part_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if (
        shape is None
        or len(shape) < 2
        or not _is_main_diagonal(inputs[1:2])
        or (node.op == "DiagPart" and len(shape) != 2)
    ):
        return [UNKNOWN]
    rows, columns = (facts.sizes.resolve(d) for d in shape[-2:])
    if rows.known and columns.known:
        return [Fact((*shape[:-2], min(rows, columns, key=lambda d: d.scale)))]
    return [Fact((*shape[:-2], rows if rows == columns else facts.fresh(node, len(shape) - 2)))]


def _is_main_diagonal(settings: list[Fact]) -> bool:
    """Whether the settings of the later versions ask for the main diagonal and a matrix of its size."""
    return all(f.content is not None and f.content.ravel().tolist() in ([0], [-1], [0, 0]) for f in settings)


def _matmul_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    return STEPS if above[1] == STILL and has_time(axes, Value(node.name)) else mixed(node)


def _einsum_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """A letter that is in the result is the same step on both sides."""
    return STEPS if above.count(STEPS) == 1 and has_time(axes, Value(node.name)) else mixed(node)


def _matmul_onnx(site: Site) -> str:
    a, b = site.inputs()
    if _TRANSPOSE_A(site.node) or _ADJOINT_X(site.node):
        a = _transposed(site, a, 0)
    if _TRANSPOSE_B(site.node) or _ADJOINT_Y(site.node):
        b = _transposed(site, b, 1)
    return site.one("MatMul", a, b)


def _transposed(site: Site, name: str, index: int) -> str:
    rank = site.rank(index)
    return site.one("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def _einsum_onnx(site: Site) -> str:
    """Both know the notation of Einstein; axes without a letter get one: ONNX Runtime wants as many in each term."""
    given, _, wanted = _EQUATION(site.node).partition("->")
    terms = given.split(",")
    free = [c for c in string.ascii_letters if c not in given]
    rests = [site.rank(i) - len(t.replace("...", "")) if "..." in t else 0 for i, t in enumerate(terms)]
    names = "".join(free[: max(rests)])
    spelled = [t.replace("...", names[len(names) - n :]) for t, n in zip(terms, rests, strict=True)]
    return site.one("Einsum", *site.inputs(), equation=f"{','.join(spelled)}->{wanted.replace('...', names)}")


def _offset(site: Site, name: str) -> tuple[str, str, str]:
    """Column minus row of each index of a matrix, int64, and the numbers of its rows and columns, [1] each."""
    rank = site.rank(0)
    rows, columns = (site.one("Shape", name, start=axis, end=axis + 1) for axis in (rank - 2, rank - 1))
    across = site.one("Unsqueeze", _range_of(site, columns), site.block.ints(0))
    return site.one("Sub", across, site.one("Unsqueeze", _range_of(site, rows), site.block.ints(1))), rows, columns


def _range_of(site: Site, count: str) -> str:
    stop = site.one("Squeeze", count, site.block.ints(0))
    return site.one("Range", site.constant(0, "int64"), stop, site.constant(1, "int64"))


def _band_part_onnx(site: Site) -> str:
    """MatrixBandPart: so many diagonals below and above the main one; all of them where the number is negative."""
    x = site.input(0)
    offset, _, _ = _offset(site, x)
    zero = site.constant(0, "int64")
    lower, upper = site.int64(1), site.int64(2)
    below = site.one("Or", site.one("Less", lower, zero), site.one("LessOrEqual", site.one("Neg", offset), lower))
    above = site.one("Or", site.one("Less", upper, zero), site.one("LessOrEqual", offset, upper))
    return site.one("Where", site.one("And", below, above), x, number(site, 0))


def _only_main_diagonal(site: Site, first: int) -> None:
    """The later versions know other diagonals, sizes and paddings, from input `first` on.

    Raises:
        LiftError: One of those is asked for.
    """
    usual = {0: 0, 1: -1, 2: -1, 3: 0} if site.node.op.startswith("MatrixDiagV") else {0: 0, 1: 0}
    for index in range(first, len(site.node.inputs)):
        known = site.known(index)
        if known is None or (np.asarray(known) != usual.get(index - first, 0)).any():
            raise site.refusal("looks at another diagonal than the main one, or pads it")


def _diagonal_onnx(site: Site) -> str:
    """A matrix with these numbers on its diagonal."""
    _only_main_diagonal(site, 1)
    if site.node.op == "Diag" and site.rank(0) != 1:
        raise site.refusal("makes a diagonal of more than one axis")
    x, rank = site.input(0), site.rank(0)
    count = _range_of(site, site.one("Shape", x, start=rank - 1, end=rank))
    across, down = (site.one("Unsqueeze", count, site.block.ints(axis)) for axis in (0, 1))
    spread = site.one("Unsqueeze", x, site.block.ints(rank - 1))
    return site.one("Where", site.one("Equal", across, down), spread, number(site, 0))


def _diagonal_part_onnx(site: Site) -> str:
    """The numbers on the diagonal of a matrix."""
    _only_main_diagonal(site, 1)
    if site.node.op == "DiagPart" and site.rank(0) != 2:
        raise site.refusal("takes a diagonal of more than one axis")
    x, last = site.input(0), site.rank(0) - 1
    offset, rows, columns = _offset(site, x)
    on = site.one("Equal", offset, site.constant(0, "int64"))
    kept = site.one("ReduceSum", site.one("Where", on, x, number(site, 0)), site.block.ints(last), keepdims=0)
    return site.one("Slice", kept, site.block.ints(0), site.one("Min", rows, columns), site.block.ints(last - 1))


def _set_diagonal_onnx(site: Site) -> str:
    """A matrix whose diagonal is replaced."""
    _only_main_diagonal(site, 2)
    shape = site.shape(0)
    if shape is None or shape[-1] != shape[-2]:
        raise site.refusal("replaces the diagonal of a matrix that is not known to be square")
    x, diagonal = site.input(0), site.input(1)
    on = site.one("Equal", _offset(site, x)[0], site.constant(0, "int64"))
    return site.one("Where", on, site.one("Unsqueeze", diagonal, site.block.ints(len(shape) - 2)), x)


def _matmul_asks(asking: Asking) -> Sizes | None:
    """As many axes as the result has, or else the other factor, and its inner size."""
    if asking.index > 1:
        return None
    turned = [
        _TRANSPOSE_A(asking.node) or _ADJOINT_X(asking.node),
        _TRANSPOSE_B(asking.node) or _ADJOINT_Y(asking.node),
    ]
    other, result = asking.shape(1 - asking.index), asking.result()
    if any(shape is not None and len(shape) < 2 for shape in (other, result)):
        return None
    rank = len(result or other or (None, None))
    inner = other[(asking.index ^ turned[1 - asking.index]) - 2] if other else None
    outer = result[asking.index - 2] if result else None
    matrix = (outer, inner) if asking.index == 0 else (inner, outer)
    return (None,) * (rank - 2) + (matrix[::-1] if turned[asking.index] else matrix)


OPERATORS = (
    Operator(
        "MatMul",
        2,
        shape=_matmul_shape,
        steps=_matmul_steps,
        onnx=_matmul_onnx,
        tags=(Tag.PRODUCT,),
        attributes=(_TRANSPOSE_A, _TRANSPOSE_B),
        asks=_matmul_asks,
    ),
    Operator(
        "BatchMatMul BatchMatMulV2",
        2,
        shape=_matmul_shape,
        steps=_matmul_steps,
        onnx=_matmul_onnx,
        tags=(Tag.PRODUCT,),
        attributes=(_ADJOINT_X, _ADJOINT_Y),
        asks=_matmul_asks,
    ),
    Operator(
        "BatchMatMulV3",
        2,
        shape=_matmul_shape,
        steps=_matmul_steps,
        onnx=_matmul_onnx,
        types=(_TYPE,),
        tags=(Tag.PRODUCT,),
        attributes=(_ADJOINT_X, _ADJOINT_Y, _TYPE),
    ),
    Operator("Einsum", shape=_einsum_shape, steps=_einsum_steps, onnx=_einsum_onnx, attributes=(_EQUATION,)),
    Operator("MatrixBandPart", 3, shape=first_shape, onnx=_band_part_onnx, lazy=(1, 2)),
    Operator("MatrixDiag Diag", shape=_diagonal_shape, onnx=_diagonal_onnx, lazy=(1, 2, 3, 4)),
    Operator("MatrixDiagV2 MatrixDiagV3", 5, shape=_diagonal_shape, onnx=_diagonal_onnx, lazy=(1, 2, 3, 4)),
    Operator("MatrixDiagPart DiagPart", shape=_diagonal_part_shape, onnx=_diagonal_part_onnx, lazy=(1, 2)),
    Operator("MatrixDiagPartV2 MatrixDiagPartV3", 3, shape=_diagonal_part_shape, onnx=_diagonal_part_onnx, lazy=(1, 2)),
    Operator("MatrixSetDiag", 2, shape=first_shape, onnx=_set_diagonal_onnx, lazy=(2,)),
    Operator("MatrixSetDiagV2 MatrixSetDiagV3", 3, shape=first_shape, onnx=_set_diagonal_onnx, lazy=(2,)),
    Operator("SparseMatMul", 2),
    Operator("LogMatrixDeterminant", outputs="sign log_abs_determinant"),
    Operator("Qr", outputs="q r"),
    Operator("SelfAdjointEigV2", outputs="e v"),
    Operator("Svd", outputs="s u v"),
)
