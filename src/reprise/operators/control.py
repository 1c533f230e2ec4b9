"""Loops and branches: the frames of TensorFlow 1."""

from __future__ import annotations

from collections.abc import Sequence

from reprise.graph import Node, Value
from reprise.operators.rules.asking import Asking, Sizes, as_result, both
from reprise.operators.rules.block import Block
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import Dims, Fact, Shapes, first_fact
from reprise.operators.rules.site import Site, first_input
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import keeps, passes
from reprise.structure import InBranch, is_loop_merge
from reprise.wire import onnx

_MEASURES = frozenset("Shape ShapeN Size Rank".split())


def _merge_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    if is_loop_merge(node, facts.structure.graph):
        return [Fact(_at_every_step(facts, node, inputs[0].shape))]
    shape = inputs[0].shape
    by_size = _is_by_size(facts, node)
    for other in inputs[1:]:
        shape = _of_any(shape, other.shape) if by_size else facts.equate(shape, other.shape)
    return [Fact(shape), Fact(())]


def _of_any(one: Dims | None, other: Dims | None) -> Dims | None:
    """The shape where a size itself decides: a branch that is for one step alone has one, and does not bake it in."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(b if a.known else a for a, b in zip(one, other, strict=True))


def _is_by_size(facts: Shapes, merge: Node) -> bool:
    """Whether what decides about a conditional is made of sizes and constants alone."""
    contexts = [facts.structure.context(v)[-1:] for v in merge.inputs]
    pending = [e.predicate.node for context in contexts for e in context if isinstance(e, InBranch)]
    seen = dict.fromkeys(pending)
    for name in pending:
        node = facts.structure.graph[name]
        above = [] if node.op in _MEASURES else [v.node for v in node.inputs if v.node not in seen]
        seen.update(dict.fromkeys(above))
        pending += above
    nodes = [facts.structure.graph[name] for name in seen]
    sized = any(n.op in _MEASURES for n in nodes)
    return sized and all(n.op in _MEASURES or n.inputs or n.constant is not None for n in nodes)


def _at_every_step(facts: Shapes, merge: Node, first: Dims | None) -> Dims | None:
    """The shape of a loop variable: what begins with nothing along an axis gets longer."""
    return first and tuple(facts.fresh(merge, i) if d == Dim(0) else d for i, d in enumerate(first))


def _switch_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    fact = Fact(inputs[0].shape) if facts.structure.is_loop_switch(node.name) else inputs[0]
    return [fact, fact]


def _exit_onnx(site: Site) -> tuple[str | None, ...]:
    """The first Exit of a loop that is asked for emits the whole loop; the others find their values made."""
    site.emitter.loop(site)
    return ()


def own_outputs(block: Block, names: Sequence[str]) -> list[str]:
    """Outputs of a subgraph must be made in it, each once: what comes from outside passes an Identity."""
    made = {output for node in block.nodes for output in node.output}
    own: list[str] = []
    for name in names:
        own.append(name if name in made and name not in own else block.one("Identity", name))
    return own


def _merge_onnx(site: Site) -> str:
    if is_loop_merge(site.node, site.emitter.structure.graph):
        raise site.refusal("is a loop variable outside of its loop")
    return _merged(site)


def _merged(site: Site) -> str:
    """Where two branches meet: ONNX If, each branch with its own nodes."""
    structure = site.emitter.structure
    depth = len(structure.context(Value(site.node.name)))
    sides: dict[int, Value] = {}
    predicate: Value | None = None
    for value in site.node.inputs:
        beyond = structure.context(value)[depth:]
        if beyond and isinstance(beyond[0], InBranch):
            sides[beyond[0].side] = value
            predicate = beyond[0].predicate
    rest = [v for v in site.node.inputs if v not in sides.values()]
    for value in rest:
        sides.setdefault(1 if 1 not in sides else 0, value)
    if predicate is None or len(sides) != 2:
        raise site.refusal("joins branches that could not be told apart")
    known = site.emitter.known(predicate)
    if known is not None:
        return _chosen_branch(site, predicate, sides[int(bool(known.item()))], int(bool(known.item())))
    branches = {side: _branch_graph(site, predicate, side, value) for side, value in sides.items()}
    condition = site.emitter.name(predicate, site.block)
    return site.one("If", condition, then_branch=branches[1], else_branch=branches[0])


def _chosen_branch(site: Site, predicate: Value, value: Value, side: int) -> str:
    """The branch that a setting chooses, emitted in place."""
    block = Block(site.block.names, (*site.block.context, InBranch(predicate, side)), site.block)
    block.nodes = site.block.nodes
    return site.emitter.name(value, block)


def _branch_graph(site: Site, predicate: Value, side: int, value: Value) -> onnx.Message:
    block = Block(site.block.names, (*site.block.context, InBranch(predicate, side)), site.block)
    result = own_outputs(block, [site.emitter.name(value, block)])
    return onnx.graph(block.nodes, f"{site.node.name}/{side}", [], [onnx.value_info(n) for n in result])


def _switch_onnx(site: Site) -> tuple[str | None, ...]:
    """Inside a loop the variable itself; inside a branch its input."""
    structure = site.emitter.structure
    if structure.is_loop_switch(site.node.name):
        return (None, site.emitter.name(site.node.inputs[0], site.block))
    name = site.emitter.name(site.node.inputs[0], site.block)
    return (name, name)


def _merge_asks(asking: Asking) -> Sizes | None:
    """A loop variable keeps its shape from iteration to iteration."""
    return both(asking.result(), asking.shape(1 - asking.index) if len(asking.node.inputs) == 2 else None)


OPERATORS = (
    Operator("Enter", shape=first_fact, steps=passes, onnx=first_input, asks=as_result),
    Operator("Exit", shape=first_fact, onnx=_exit_onnx, lazy=(0,), asks=as_result),
    Operator("NextIteration", shape=first_fact, asks=as_result),
    Operator(
        "Switch",
        2,
        shape=_switch_shape,
        steps=keeps,
        onnx=_switch_onnx,
        lazy=(0, 1),
        outputs="output_false output_true",
        asks=as_result,
    ),
    Operator(
        "Merge",
        shape=_merge_shape,
        steps=keeps,
        onnx=_merge_onnx,
        lazy=(0, 1),
        types=("", "int32"),
        outputs="output value_index",
        asks=_merge_asks,
    ),
    Operator("LoopCond", onnx=first_input, types=("bool",)),
    Operator("_Results", 0, steps=passes),
    Operator("RefMerge", outputs="output value_index"),
    Operator("RefSwitch", 2, outputs="output_false output_true"),
)
