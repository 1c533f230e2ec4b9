"""Rules of products of matrices and of their diagonals."""

from __future__ import annotations

from reprise.graph import Node
from reprise.interface.analysis.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule
from reprise.operators.rules.sizes import Dim


def _matmul(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    a, b = inputs[0].shape, inputs[1].shape
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return [UNKNOWN]
    swap_a = bool(node.attributes.get("transpose_a") or node.attributes.get("adj_x"))
    swap_b = bool(node.attributes.get("transpose_b") or node.attributes.get("adj_y"))
    rows, inner = (a[-1], a[-2]) if swap_a else (a[-2], a[-1])
    inner_b, columns = (b[-1], b[-2]) if swap_b else (b[-2], b[-1])
    facts.sizes.equate(inner, inner_b)
    lead = facts.broadcast(a[:-2], b[:-2])
    return [Fact(None if lead is None else (*lead, rows, columns))]


def _einsum(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Each letter is one size; `...` are the axes without a letter, stretched as in arithmetic."""
    equation = node.attributes.get("equation", b"").decode()
    given, _, wanted = equation.partition("->")
    terms = given.split(",")
    if (not wanted and "->" not in equation) or len(terms) != len(inputs):
        return [UNKNOWN]
    sizes: dict[str, Dim] = {}
    others: Dims | None = ()
    for term, fact in zip(terms, inputs, strict=True):
        rest = _named(facts, term, fact.shape, sizes)
        others = None if rest is None else facts.broadcast(others, rest)
    if others is None or any(c not in sizes for c in wanted.replace("...", "")):
        return [UNKNOWN]
    before, dots, after = wanted.partition("...")
    return [Fact((*(sizes[c] for c in before), *(others if dots else ()), *(sizes[c] for c in after)))]


def _named(facts: Inference, term: str, shape: Dims | None, sizes: dict[str, Dim]) -> Dims | None:
    """Gives the letters of a term their sizes; what is left are the axes of its ellipsis."""
    before, _, after = term.partition("...")
    if shape is None or len(shape) < len(before) + len(after):
        return None
    end = len(shape) - len(after)
    for letter, size in zip(before + after, (*shape[: len(before)], *shape[end:]), strict=True):
        sizes[letter] = facts.sizes.equate(sizes[letter], size) if letter in sizes else size
    return shape[len(before) : end]


def _like_first(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(inputs[0].shape)]


def _diagonal(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    plain = shape and _is_main(inputs[1:]) and (node.op != "Diag" or len(shape) == 1)
    return [Fact((*shape, shape[-1]))] if shape and plain else [UNKNOWN]


def _diagonal_part(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if shape is None or len(shape) < 2 or not _is_main(inputs[1:2]) or (node.op == "DiagPart" and len(shape) != 2):
        return [UNKNOWN]
    rows, columns = (facts.sizes.resolve(d) for d in shape[-2:])
    if rows.known and columns.known:
        return [Fact((*shape[:-2], min(rows, columns, key=lambda d: d.scale)))]
    return [Fact((*shape[:-2], rows if rows == columns else facts.fresh(node, len(shape) - 2)))]


def _is_main(settings: list[Fact]) -> bool:
    """Whether the settings of the later versions ask for the main diagonal and a matrix of its size."""
    return all(f.content is not None and f.content.ravel().tolist() in ([0], [-1], [0, 0]) for f in settings)


MATRICES: dict[str, Rule] = {
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matmul),
    "Einsum": _einsum,
    **dict.fromkeys(("MatrixBandPart", "MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3"), _like_first),
    **dict.fromkeys(("MatrixDiag", "MatrixDiagV2", "MatrixDiagV3", "Diag"), _diagonal),
    **dict.fromkeys(("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "DiagPart"), _diagonal_part),
}
