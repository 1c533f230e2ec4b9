"""TensorFlow operators → ONNX: products of matrices, and what looks at rows and columns together."""

from __future__ import annotations

import string

import numpy as np

from reprise.lift.emitter import Operator, Site
from reprise.lift.functions import number


def _matmul(site: Site) -> str:
    a, b = site.inputs()
    if site.node.flag("transpose_a") or site.node.flag("adj_x"):
        a = _swapped(site, a, 0)
    if site.node.flag("transpose_b") or site.node.flag("adj_y"):
        b = _swapped(site, b, 1)
    return site.one("MatMul", a, b)


def _swapped(site: Site, name: str, index: int) -> str:
    rank = site.rank(index)
    return site.one("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def _einsum(site: Site) -> str:
    """Both know the notation of Einstein; axes without a letter get one: ONNX Runtime wants as many in each term."""
    given, _, wanted = site.node.text("equation").partition("->")
    terms = given.split(",")
    free = [c for c in string.ascii_letters if c not in given]
    rests = [site.rank(i) - len(t.replace("...", "")) if "..." in t else 0 for i, t in enumerate(terms)]
    names = "".join(free[: max(rests)])
    spelled = [t.replace("...", names[len(names) - n :]) for t, n in zip(terms, rests, strict=True)]
    return site.one("Einsum", *site.inputs(), equation=f"{','.join(spelled)}->{wanted.replace('...', names)}")


def _offset(site: Site, name: str) -> tuple[str, str, str]:
    """Column minus row of each place of a matrix, int64, and the numbers of its rows and columns, [1] each."""
    rank = site.rank(0)
    rows, columns = (site.one("Shape", name, start=axis, end=axis + 1) for axis in (rank - 2, rank - 1))
    across = site.one("Unsqueeze", _counted(site, columns), site.block.ints(0))
    return site.one("Sub", across, site.one("Unsqueeze", _counted(site, rows), site.block.ints(1))), rows, columns


def _counted(site: Site, count: str) -> str:
    stop = site.one("Squeeze", count, site.block.ints(0))
    return site.one("Range", site.constant(0, "int64"), stop, site.constant(1, "int64"))


def _band(site: Site) -> str:
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


def _diagonal(site: Site) -> str:
    """A matrix with these numbers on its diagonal."""
    _only_main_diagonal(site, 1)
    if site.node.op == "Diag" and site.rank(0) != 1:
        raise site.refusal("makes a diagonal of more than one axis")
    x, rank = site.input(0), site.rank(0)
    count = _counted(site, site.one("Shape", x, start=rank - 1, end=rank))
    across, down = (site.one("Unsqueeze", count, site.block.ints(axis)) for axis in (0, 1))
    spread = site.one("Unsqueeze", x, site.block.ints(rank - 1))
    return site.one("Where", site.one("Equal", across, down), spread, number(site, 0))


def _diagonal_part(site: Site) -> str:
    """The numbers on the diagonal of a matrix."""
    _only_main_diagonal(site, 1)
    if site.node.op == "DiagPart" and site.rank(0) != 2:
        raise site.refusal("takes a diagonal of more than one axis")
    x, last = site.input(0), site.rank(0) - 1
    offset, rows, columns = _offset(site, x)
    on = site.one("Equal", offset, site.constant(0, "int64"))
    kept = site.one("ReduceSum", site.one("Where", on, x, number(site, 0)), site.block.ints(last), keepdims=0)
    return site.one("Slice", kept, site.block.ints(0), site.one("Min", rows, columns), site.block.ints(last - 1))


def _with_diagonal(site: Site) -> str:
    """A matrix whose diagonal is replaced."""
    _only_main_diagonal(site, 2)
    shape = site.shape(0)
    if shape is None or shape[-1] != shape[-2]:
        raise site.refusal("replaces the diagonal of a matrix that is not known to be square")
    x, diagonal = site.input(0), site.input(1)
    on = site.one("Equal", _offset(site, x)[0], site.constant(0, "int64"))
    return site.one("Where", on, site.one("Unsqueeze", diagonal, site.block.ints(len(shape) - 2)), x)


MATRICES: dict[str, Operator] = {
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), Operator(_matmul)),
    "Einsum": Operator(_einsum),
    "MatrixBandPart": Operator(_band, lazy=(1, 2)),
    **dict.fromkeys(("MatrixDiag", "MatrixDiagV2", "MatrixDiagV3", "Diag"), Operator(_diagonal, lazy=(1, 2, 3, 4))),
    **dict.fromkeys(
        ("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "DiagPart"), Operator(_diagonal_part, lazy=(1, 2))
    ),
    **dict.fromkeys(("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3"), Operator(_with_diagonal, lazy=(2,))),
}
