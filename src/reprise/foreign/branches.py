"""Inputs that choose a branch, such as a sampling rate: settings, and the program that is left for their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from reprise.foreign.probe import SECONDS
from reprise.foreign.program import Entry, Program, renamed, with_nodes, without_unused
from reprise.interface import Setting
from reprise.runtime import Engine
from reprise.tensors import DTYPES, Array
from reprise.wire import onnx


def settings_of(program: Program) -> tuple[Setting, ...]:
    """The single numbers among the inputs that a condition is computed from."""
    conditions = [node.input[0] for node in program.nodes if node.op_type == "If"]
    behind = program.ancestors(conditions)
    return tuple(
        _setting(program, entry)
        for entry in program.inputs
        if entry.name in behind and all(size == 1 for size in entry.sizes) and entry.dtype != "string"
    )


def _setting(program: Program, entry: Entry) -> Setting:
    value = next(_compared(program, entry.name), None)
    if value is not None:
        return Setting(entry.name, entry.name, entry.dtype, value, "the graph asks whether it is this number")
    off = None if entry.dtype != "bool" else False
    why = "it chooses a branch, and the file names no value" if off is None else "a flag, which inference leaves off"
    return Setting(entry.name, entry.name, entry.dtype, off, why)


def _compared(program: Program, name: str) -> Iterator[float | int | bool]:
    """Constants that an input is compared with for equality."""
    for node in program.nodes:
        if node.op_type == "Equal" and name in program.ancestors(node.input, through={"Cast", "Identity", "Reshape"}):
            yield from (n for i in node.input if (n := program.number(i)) is not None)


def with_settings(program: Program, settings: Sequence[Setting], values: Mapping[str, float | int | bool]) -> Program:
    """`program` with the values of its settings built in, and of each condition that they decide only one branch."""
    fixed = {s.name: values.get(s.name, s.value) for s in settings}
    stated = {i.name: [1] * len(i.sizes) for i in program.inputs}
    held = [
        onnx.tensor(np.full(stated[s.name], fixed[s.name], DTYPES[s.dtype]), s.name)
        for s in settings
        if fixed[s.name] is not None
    ]
    kept = tuple(i for i in program.inputs if fixed.get(i.name) is None)
    return _decided(replace(program, inputs=kept, small=(*program.small, *held)))


def _decided(program: Program) -> Program:
    """`program` without conditions that depend on no input; those inside of a branch that is taken, too."""
    given = {i.name for i in program.inputs}
    while fixed := [n for n in program.nodes if n.op_type == "If" and not given & program.ancestors([n.input[0]])]:
        program = _with_branches(program, fixed, {})
    return without_unused(program)


def as_run(program: Program, feeds: Mapping[str, Array]) -> Program:
    """`program` with only the branches that it takes on these inputs: to look at, since other sizes may take others."""
    while conditions := [n for n in program.nodes if n.op_type == "If"]:
        program = _with_branches(program, conditions, feeds)
    return without_unused(program)


def _with_branches(program: Program, conditions: Sequence[onnx.Message], feeds: Mapping[str, Array]) -> Program:
    """`program` with the branches that some conditions take in their place."""
    truths = _values(program, [n.input[0] for n in conditions], feeds)
    nodes: list[onnx.Message] = []
    small: list[onnx.Message] = []
    for node in program.nodes:
        if any(node is condition for condition in conditions):
            taken, held = _branch(node, is_true=bool(np.ravel(truths[node.input[0]])[0]))
            nodes, small = [*nodes, *taken], [*small, *held]
        else:
            nodes.append(node)
    return with_nodes(program, nodes, small)


def _branch(node: onnx.Message, *, is_true: bool) -> tuple[list[onnx.Message], list[onnx.Message]]:
    """The nodes and initializers of a branch, their names told apart from all others by an output of the condition."""
    graph = onnx.attribute(node, "then_branch" if is_true else "else_branch")
    own = {name for inner in graph.node for name in inner.output if name} | {t.name for t in graph.initializer}
    names = {name: f"{name}@{node.output[0]}" for name in own}
    small = []
    for tensor in graph.initializer:
        copy = onnx.empty("TensorProto")
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
        small.append(copy)
    results = [
        onnx.node("Identity", [names.get(inside.name, inside.name)], [outside])
        for inside, outside in zip(graph.output, node.output, strict=True)
        if outside
    ]
    return [*renamed(graph.node, names), *results], small


def _values(program: Program, names: Sequence[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What some values are for these inputs; only what they depend on is run."""
    behind = program.ancestors(names)
    alone = replace(
        program,
        nodes=tuple(n for n in program.nodes if behind.intersection(n.output)),
        inputs=tuple(i for i in program.inputs if i.name in behind),
        weights={k: a for k, a in program.weights.items() if k in behind},
    )
    return Engine(alone.message(names), alone.weights, threads=1, opsets=program.opsets, time_limit=SECONDS).run(
        feeds, names
    )
