"""What becomes of the steps of a sequence in one operator: whether step t of its result is made of step t alone."""

from __future__ import annotations

from reprise.graph import Node, Value
from reprise.interface.steps.axes import Axes
from reprise.operators import OPERATORS, Tag, named
from reprise.operators.rules.steps import STEPS, Kind, mixed

_JOINS = named(Tag.JOIN)


def kind_after(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """The kind of the result of a node, some of whose inputs hold steps; `above` are the kinds of all its inputs."""
    if len(axes.timed(Value(node.name))) > 1:  # each step beside each other
        return mixed(node)
    if node.op != "Reshape" and (other := _other_steps(axes, node, above)):
        return other
    record = OPERATORS.get(node.op)
    return mixed(node) if record is None else record.steps(axes, node, above)


def _other_steps(axes: Axes, node: Node, above: list[Kind]) -> Kind | None:
    """The obstacle where a node makes more or fewer steps than it is given."""
    sequences = [v for v, kind in zip(node.inputs, above, strict=True) if kind == STEPS]
    given = {size: v for v in sequences for size in axes.facts.shape(v) or () if axes.holds_time(size)}
    made = {size for size in axes.facts.shape(Value(node.name)) or () if axes.holds_time(size)}
    if not given or made <= set(given):
        return None
    source = axes.structure.result(next(iter(given.values())))
    instead = "; with inputs= (--input) its own rows are the steps" if node.op in _JOINS else ""
    return Kind("mixed", f"{node.op} {node.name!r} makes more or fewer steps than {source} has{instead}")
