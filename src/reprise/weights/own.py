"""Which of the tensors of a checkpoint are weights of the model, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reprise.tensors import Tensor

Shapes = Mapping[str, tuple[int, ...]]


def own(weights: Mapping[str, Tensor]) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """The shapes of the model's weights by name; and the names of what is no weight.

    No weights are what an optimizer or a moving average keeps for another tensor, single numbers (steps, learning
    rates, powers of Adam's decay), and whatever is not real.
    """
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    kept = {
        name: shape
        for name, shape in shapes.items()
        if shape and "float" in weights[name].dtype and not _is_slot(name, shapes)
    }
    return kept, tuple(name for name in weights if name not in kept and not _is_slot(name, shapes))


def _is_slot(name: str, shapes: Shapes) -> bool:
    """`scope/variable/Adam` beside `variable` of the same shape: what is kept for it."""
    parts = name.split("/")[:-1]
    return any(shapes.get("/".join(parts[start:])) == shapes[name] for start in range(len(parts)))


def scope(name: str) -> str:
    """The scope that a tensor lies in."""
    return name.rpartition("/")[0]


def nearest(name: str, others: Iterable[str]) -> tuple[str, ...]:
    """Those of the others that share the longest scope with a tensor."""
    near = {other: _shared(scope(name), scope(other)) for other in others if other != name}
    return tuple(other for other, depth in near.items() if depth == max(near.values()))


def listed(things: Sequence[str], separator: str = ", ") -> str:
    """The first of them, for a message."""
    return separator.join(things[:6]) + (f" and {len(things) - 6} more" if len(things) > 6 else "")


def _shared(one: str, other: str) -> int:
    """How many parts two scopes have in common from the start."""
    parts = [a == b for a, b in zip(one.split("/"), other.split("/"), strict=False)]
    return (*parts, False).index(False)
