"""The variables of a graph, by its nodes: how to read and to set them without adding an operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from reprise.errors import CallError
from reprise.tensors import Array, Shape

v1 = tf.compat.v1

_REFERENCES = frozenset({"Variable", "VariableV2"})
_KINDS = _REFERENCES | {"VarHandleOp"}
_ASSIGNS = frozenset({"Assign", "AssignVariableOp"})


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a partition lies in the variable that it is a part of."""

    whole: str
    shape: tuple[int, ...]
    bounds: tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """A variable of a graph.

    Attributes:
        op: Its operation.
        shared: The name under which a session keeps it, where that is not the operation's.
        dtype: As in `reprise.tensors.DTYPES`.
        shape: None where the graph leaves a size free.
        part: For a partition, its place in the whole.
        declared: Whether the graph lists it among its global variables.
    """

    op: Any
    shared: str
    dtype: str
    shape: Shape | None
    part: Partition | None
    declared: bool

    @property
    def name(self) -> str:
        """The name of its operation, by which savers know it."""
        return str(self.op.name)


def find(graph: Any) -> tuple[Variable, ...]:
    """Every variable of `graph` but those that it declares local, in the order of their making."""
    with graph.as_default():  # a program that executes eagerly may hold a session too
        parts = {v.op.name: _part(v) for v in graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)}
    local = {v.op.name for v in graph.get_collection(v1.GraphKeys.LOCAL_VARIABLES)} - parts.keys()
    every = [_variable(op, parts) for op in graph.get_operations() if op.type in _KINDS and op.name not in local]
    held = {v.shared for v in every if v.declared}
    return tuple(v for v in every if v.declared or v.shared not in held)  # a second handle of one variable counts once


def _variable(op: Any, parts: Mapping[str, Partition | None]) -> Variable:
    shape = op.get_attr("shape")
    sizes = None if shape.unknown_rank else tuple(None if d.size < 0 else int(d.size) for d in shape.dim)
    shared = op.get_attr("shared_name").decode() or op.name
    return Variable(
        op, shared, tf.as_dtype(op.get_attr("dtype")).base_dtype.name, sizes, parts.get(op.name), op.name in parts
    )


def _part(variable: Any) -> Partition | None:
    about = variable.to_proto().save_slice_info_def
    if not about.full_name:
        return None
    bounds = tuple(slice(at, at + size) for at, size in zip(about.var_offset, about.var_shape, strict=True))
    return Partition(about.full_name, tuple(about.full_shape), bounds)


def reading(variable: Variable) -> Any:
    """The tensor that holds a variable's value, one that the graph has already where it has one.

    Raises:
        CallError: It has none, and the graph is finalized.
    """
    if variable.op.type in _REFERENCES:
        return variable.op.outputs[0]
    found = next((op.outputs[0] for op in _users(variable) if op.type == "ReadVariableOp"), None)
    if found is not None:
        return found
    _check_open(variable, "is never read outside of loops")
    with variable.op.graph.as_default(), v1.name_scope("reprise/"):
        return tf.raw_ops.ReadVariableOp(resource=variable.op.outputs[0], dtype=variable.op.get_attr("dtype"))


def assigning(variable: Variable) -> Any:
    """An operation that sets a variable to its second input, one that the graph has already where it has one.

    Raises:
        CallError: It has none, and the graph is finalized.
    """
    found = next((op for op in _users(variable) if op.type in _ASSIGNS and op.graph.is_feedable(op.inputs[1])), None)
    if found is not None:
        return found
    _check_open(variable, "is never assigned")
    target, dtype = variable.op.outputs[0], variable.op.get_attr("dtype")
    with variable.op.graph.as_default(), v1.name_scope("reprise/"), v1.control_dependencies(None):
        value = v1.placeholder(dtype, name="value")
        if variable.op.type in _REFERENCES:
            return tf.raw_ops.Assign(ref=target, value=value).op
        return tf.raw_ops.AssignVariableOp(resource=target, value=value)


def _users(variable: Variable) -> Iterator[Any]:
    """Operations on a variable that running alone runs nothing else of the graph."""
    return (
        op
        for op in variable.op.outputs[0].consumers()
        if not op.control_inputs and op.inputs[0] is variable.op.outputs[0]
    )


def _check_open(variable: Variable, what: str) -> None:
    if variable.op.graph.finalized:
        raise CallError(
            f"variable {variable.name!r} {what} in this graph, and the graph is finalized, so that no operation can be "
            "added. Call this before the graph is finalized (before a MonitoredSession is made)."
        )


def values(session: Any, variables: Sequence[Variable]) -> list[Array]:
    """The value of each variable in `session`.

    Raises:
        CallError: Some have none yet.
    """
    tensors = [reading(v) for v in variables]
    try:
        return list(session.run(tensors))
    except tf.errors.FailedPreconditionError as error:
        unset = [v.name for v, tensor in zip(variables, tensors, strict=True) if not _is_set(session, tensor)]
        shown = ", ".join(unset[:10]) + (f" and {len(unset) - 10} more" if len(unset) > 10 else "")
        raise CallError(
            f"{len(unset)} of {len(variables)} variables have no value in this session: {shown}. "
            "Run their initializers, or restore them, first."
        ) from error


@contextmanager
def unchanged(session: Any, variables: Sequence[Variable]) -> Iterator[Mapping[str, Array]]:
    """The values by name; those that steps of the model change (states that it keeps in variables) are set back after.

    Raises:
        CallError: Some have no value yet.
    """
    held = values(session, variables)
    try:
        yield {v.name: array for v, array in zip(variables, held, strict=True)}
    finally:
        pairs = zip(variables, held, values(session, variables), strict=True)
        assign(session, [(v, array) for v, array, now in pairs if array.tobytes() != now.tobytes()])


def _is_set(session: Any, tensor: Any) -> bool:
    try:
        session.run(tensor)
    except tf.errors.FailedPreconditionError:
        return False
    return True


def assign(session: Any, pairs: Sequence[tuple[Variable, Array]]) -> None:
    """Sets variables; shapes and types must fit."""
    waiting = [(assigning(variable), array) for variable, array in pairs]
    while waiting:
        now: dict[Any, tuple[Any, Array]] = {}
        later = []
        for op, array in waiting:  # two variables that start from one tensor cannot both be fed through it at once
            key = op.inputs[1].ref()
            if key in now:
                later.append((op, array))
            else:
                now[key] = op, array
        session.run([op for op, _ in now.values()], {op.inputs[1]: array for op, array in now.values()})
        waiting = later
