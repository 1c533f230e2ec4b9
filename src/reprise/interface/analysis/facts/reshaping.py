"""The rule of Reshape: which axes are flattened together, and which are taken apart again."""

from __future__ import annotations

from reprise.graph import Node
from reprise.interface.analysis.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule
from reprise.operators.rules.sizes import Dim, product


def _reshape(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    target = inputs[1].content
    if target is None:
        return [UNKNOWN]
    wanted = [d if isinstance(d, Dim) else Dim(int(d)) for d in target.ravel()]
    if inputs[0].shape is None:
        return [Fact(tuple(facts.fresh(node, i) if d == Dim(-1) else d for i, d in enumerate(wanted)))]
    content = inputs[0].content
    return [
        Fact(
            regroup(facts, node, [facts.sizes.resolve(d) for d in inputs[0].shape], wanted),
            content.reshape((-1,) * len(wanted))
            if content is not None and max(len(wanted), content.ndim) <= 1
            else None,
        )
    ]


def regroup(facts: Inference, node: Node, have: list[Dim], wanted: list[Dim]) -> Dims:
    """The sizes after a reshape: the row-major factors of `have`, grouped as `wanted` asks.

    Grouping from both ends leaves -1 whatever remains, so `[N, T, H]` to `[-1, H]` gives `(N·T, H)`.
    """
    if sum(len(d.symbols) for d in have) == sum(len(d.symbols) for d in wanted) > 1 and Dim(-1) not in wanted:
        facts.sizes.equate(product(have), product(wanted))
    have, wanted = ([facts.sizes.resolve(d) for d in sizes] for sizes in (have, wanted))
    factors: list[Dim] = []
    for size in have:
        factors += [Dim(1, (f,)) if isinstance(f, str) else Dim(f) for f in size.factors if f != 1]
    front, back = _equal_ends(factors, wanted)
    if len(wanted) == 1:
        return (*front, product(factors), *back)
    if len(wanted) == len(factors) and all(
        w == f or (w.known and facts.sizes.nominal(f) == w.scale) for f, w in zip(factors, wanted, strict=True)
    ):
        return (*front, *factors, *back)
    open_at = wanted.index(Dim(-1)) if Dim(-1) in wanted else len(wanted)
    middle = [_take(facts, factors, size, 0) for size in wanted[:open_at]]
    after = [_take(facts, factors, size, -1) for size in reversed(wanted[open_at + 1 :])]
    failed = None in middle or None in after
    rest = [facts.fresh(node, len(front) + open_at) if failed else product(factors)] if open_at < len(wanted) else []
    found = [*middle, *rest, *reversed(after)]
    return (*front, *(w if f is None else f for f, w in zip(found, wanted, strict=True)), *back)


def _equal_ends(factors: list[Dim], wanted: list[Dim]) -> tuple[list[Dim], list[Dim]]:
    """Takes off both lists what is the same at their fronts and at their backs."""
    front: list[Dim] = []
    back: list[Dim] = []
    while factors and wanted and factors[-1] == wanted[-1]:
        back.insert(0, factors.pop())
        wanted.pop()
    while factors and wanted and factors[0] == wanted[0]:
        front.append(factors.pop(0))
        wanted.pop(0)
    return front, back


def _take(facts: Inference, factors: list[Dim], wanted: Dim, end: int) -> Dim | None:
    """Removes factors worth `wanted` from one end of `factors`; None, and nothing removed, where none are.

    An axis of one is the one that the file bakes in, if that is the next of several: `[T·N, D]` to `[-1, 1, D]`.
    """
    if wanted == Dim(1) and len(factors) > 1 and not factors[end].known and facts.sizes.nominal(factors[end]) == 1:
        return factors.pop(end)
    before = list(factors)
    taken: list[Dim] = []
    target = facts.sizes.nominal(wanted)
    while True:
        value = product(taken if end == 0 else taken[::-1])
        if sorted(value.symbols) == sorted(wanted.symbols) and value.scale == wanted.scale:
            return value
        if taken and target is not None and facts.sizes.nominal(value) == target:
            return value
        if not factors or not _divide(facts, factors, taken, target, end):
            factors[:] = before
            return None


def _divide(facts: Inference, factors: list[Dim], taken: list[Dim], target: int | None, end: int) -> bool:
    """Moves one factor over, or the part of a number that is still missing; False when nothing fits."""
    factor = factors[end]
    have = facts.sizes.nominal(product(taken))
    if factor.known and target is not None and have and (have * factor.scale) > target:
        missing, rest = divmod(target, have)
        if rest or factor.scale % missing:
            return False
        factors[end] = Dim(factor.scale // missing)
        taken.append(Dim(missing))
        return True
    taken.append(factors.pop(end))
    return True


RESHAPING: dict[str, Rule] = {
    "Reshape": _reshape,
}
