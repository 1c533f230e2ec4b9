"""What a call gives, as the inputs and states of a model take it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from reprise import bounds
from reprise.errors import CallError, DamagedFile, StateError
from reprise.interface import Interface, Port, StatePort
from reprise.interface.ports.choices import setting_value
from reprise.lift import Lifted
from reprise.tensors import DTYPES, Array

Inputs = Array | Mapping[str, Array]
Settings = Mapping[str, float | int | bool]

#: Which kinds of NumPy's types an input takes, by its own kind; others lose something. V is bfloat16.
_TAKEN = {"i": "iub", "u": "iub", "O": "OSU", "c": "cfiub"}


class Calls:
    """What the calls of a model give, held against its interface."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface

    def separated(self, inputs: Inputs, settings: Settings | None) -> tuple[dict[str, Array], dict[str, Any]]:
        """Inputs by name, and settings, which may stand among them.

        Raises:
            CallError: A name is none of the model, or an array stands alone where the model has several inputs.
        """
        if not settings and isinstance(inputs, Mapping) and inputs.keys() <= self._names:
            return dict(inputs), {}
        names = [p.name for p in self._interface.inputs]
        if not isinstance(inputs, Mapping):
            variable = [p for p in self._interface.inputs if p.role != "lengths"]
            if len(variable) != 1:
                raise CallError(f"the model has {len(variable)} inputs; give them by name: {', '.join(names)}")
            inputs = {variable[0].name: np.asarray(inputs)}
            if not settings:
                return inputs, {}
        known = {s.name: s for s in self._interface.settings}
        unknown = [n for n in (*inputs, *(settings or ())) if n not in known and n not in names]
        if unknown:
            raise CallError(
                f"{unknown[0]!r} is not an input or setting of the model; it has {', '.join([*names, *sorted(known)])}"
            )
        chosen = {**{k: v for k, v in inputs.items() if k in known}, **(settings or {})}
        return {k: v for k, v in inputs.items() if k in names}, {
            k: setting_value(known[k], v) for k, v in chosen.items()
        }

    def checked(self, given: Mapping[str, Array], needed: Container[str]) -> tuple[dict[str, Array], int]:
        """The inputs `needed` as a graph takes them, and how many rows they have.

        Raises:
            CallError: One is missing, does not fit, or has other rows than the rest.
        """
        feeds: dict[str, Array] = {}
        rows: dict[str, int] = {}
        steps: list[int] = []
        ports = [p for p in self._interface.inputs if p.name in needed]
        for port in ports:
            if port.name in given:
                feeds[port.name] = array = fitting(port, np.asarray(given[port.name]))
                if port.batch_axis is not None:
                    rows[port.name] = array.shape[port.batch_axis]
                if port.time_axis is not None:
                    steps.append(array.shape[port.time_axis])
            elif port.role != "lengths" or not self._one_sequence:
                raise CallError(
                    f"input {port.name!r} ({port.tensor}) is missing; given: {', '.join(given) or 'nothing'}"
                )
        if len(set(rows.values())) > 1:
            raise CallError(f"the inputs differ in rows: {', '.join(f'{n} {k}' for n, k in rows.items())}")
        batch = next(iter(rows.values())) if rows else self._baked_batch()
        for port in ports:
            if port.name not in feeds:  # lengths that are not given are those of the whole sequence
                feeds[port.name] = np.full([n or batch for n in port.shape], max(steps, default=1), DTYPES[port.dtype])
        return feeds, batch

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(p.name for p in self._interface.inputs)

    @cached_property
    def _one_sequence(self) -> bool:
        """Whether all lengths are those of the steps: no input beside them is a sequence of another length."""
        still = [p for p in self._interface.inputs if p.time_axis is None]
        return all(p.even for p in self._interface.inputs) and not any(
            n is None and axis != p.batch_axis for p in still for axis, n in enumerate(p.shape)
        )

    def _baked_batch(self) -> int:
        fixed = [p.shape[0] for p in self._interface.states if p.shape and p.shape[0] is not None]
        return int(fixed[0]) if fixed else 1


def fitting(port: Port, array: Array) -> Array:
    """`array` as the type of `port`.

    Raises:
        CallError: Numbers would change, there are none, or the shape does not fit.
    """
    wanted = DTYPES[port.dtype]
    if array.ndim == len(port.shape) - 1:
        array = _one_hot(port, array)
    if array.ndim != len(port.shape) or any(
        n is not None and n != m for n, m in zip(port.shape, array.shape, strict=True)
    ):
        steps = None if port.time_axis is None else port.shape[port.time_axis]
        only = "" if steps is None else f"; the graph is made for {steps} steps and no other number"
        raise CallError(f"input {port.name!r}: expected shape {named_shape(port)}, found {list(array.shape)}{only}")
    if not array.size:  # ONNX Runtime's LSTM ends the process on a batch of none
        raise CallError(
            f"input {port.name!r}: is empty, of shape {list(array.shape)}; give at least one row and one step"
        )
    if port.time_axis is not None and array.shape[port.time_axis] < port.least:
        raise CallError(
            f"input {port.name!r}: expected at least {port.least} steps, since the model leaves some out at the ends, "
            f"found {array.shape[port.time_axis]}"
        )
    as_floats = wanted.kind in "iu" and array.dtype.kind == "f" and _are_whole(array)  # ids, as Keras takes them
    if array.dtype.kind not in _TAKEN.get(wanted.kind, "fiubV") and not as_floats:
        whole = "whole " if wanted.kind in "iu" else ""
        raise CallError(f"input {port.name!r}: expected {whole}numbers ({port.dtype}), found {array.dtype}")
    if port.dtype == "string":
        return _texts(port, array)
    if array.dtype == wanted:
        return array
    fitted = array.astype(wanted, copy=False)
    if wanted.kind in "iu" and not np.can_cast(array.dtype, wanted) and (fitted != array).any():
        beyond = array[fitted != array].flat[0]
        raise CallError(f"input {port.name!r}: expected numbers in the range of {port.dtype}, found {beyond}")
    return fitted


def _are_whole(array: Array) -> bool:
    return bool(np.isfinite(array).all() and (np.trunc(array) == array).all())


def _texts(port: Port, array: Array) -> Array:
    """Strings as Python's text: bytes, as TensorFlow takes and gives them, are read as UTF-8.

    Raises:
        CallError: Bytes are not UTF-8, or there is something that is no string.
    """
    texts = np.empty(array.shape, object)
    for i, value in enumerate(array.flat):
        try:
            text = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            raise CallError(
                f"input {port.name!r}: expected text or its UTF-8 bytes, found {value!r} ({error})"
            ) from error
        if not isinstance(text, str):
            raise CallError(f"input {port.name!r}: expected text or its UTF-8 bytes, found {value!r}")
        texts.flat[i] = text
    return texts


def _one_hot(port: Port, ids: Array) -> Array:
    """Ids of symbols as the one-hot vectors that the input takes; other arrays as they are.

    Raises:
        CallError: An id is none.
    """
    width = port.shape[-1] if port.role == "one-hot" and port.shape else None
    if width is None or ids.ndim != len(port.shape) - 1 or ids.dtype.kind not in "iu":
        return ids
    if ids.size and not 0 <= ids.min() <= ids.max() < width:
        raise CallError(f"input {port.name!r}: expected ids from 0 to {width - 1}, found {ids.min()} to {ids.max()}")
    return np.asarray(ids[..., None] == np.arange(width), DTYPES[port.dtype])


def raised(port: Port, array: Array) -> Array:
    """One step as a sequence of one step.

    Raises:
        CallError: It has another number of axes.
    """
    if port.time_axis is None:
        return array
    are_ids = port.role == "one-hot" and array.ndim == len(port.shape) - 2 and array.dtype.kind in "iu"
    if array.ndim != len(port.shape) - 1 and not are_ids:
        wanted = named_shape(port, step=True)
        raise CallError(f"input {port.name!r}: expected shape {wanted} for one step, found {list(array.shape)}")
    return array[(*(slice(None),) * port.time_axis, None)]


#: What the last axis of an input counts, by its role.
_WIDTHS = {"one-hot": "symbols", "features": "features"}


def named_shape(port: Port, *, step: bool = False) -> str:
    """The shape of an input with the names of its axes, such as `[T, N, 65]: time, batch, symbols`."""
    letters = {port.time_axis: ("T", "time"), port.batch_axis: ("N", "batch")}
    last = len(port.shape) - 1
    sizes, names = [], []
    for axis, size in enumerate(port.shape):
        if step and axis == port.time_axis:
            continue
        letter, name = letters.get(axis, ("D", _WIDTHS.get(port.role, "features") if axis == last else "any"))
        sizes.append(letter if size is None else str(size))
        names.append(name)
    return f"[{', '.join(sizes)}]" + (f" ({', '.join(names)})" if names else "")


def state_shape(port: StatePort, batch: int, like: Sequence[int] = ()) -> tuple[int, ...]:
    """The shape of a state of `batch` rows; sizes that neither the file nor the rows decide are those of `like`.

    Raises:
        StateError: The file bakes in another number of rows.
        DamagedFile: The file asks for a state larger than `bounds.STATE`.
    """
    bounds.check(bounds.elements(port.shape), bounds.STATE, f"state {port.name!r} of shape {list(port.shape)}")
    if port.batch_axis is not None:
        baked = port.shape[port.batch_axis]
        if baked is not None and baked != batch:
            raise StateError(f"state {port.name!r}: the file bakes in {baked} rows, and {batch} were asked for")
    elif port.shape and port.shape[0] is not None and len(port.shape) > 1 and port.shape[0] != batch:
        raise StateError(f"state {port.name!r}: the file bakes in {port.shape[0]} rows, and {batch} were asked for")
    decided = port.batch_axis is not None or port.initial == "inputs"
    free = like if decided and len(like) == len(port.shape) else [batch] * len(port.shape)
    rows = [batch if axis == port.batch_axis else size for axis, size in enumerate(free)]
    return tuple(n if n is not None and axis != port.batch_axis else rows[axis] for axis, n in enumerate(port.shape))


def check_state(port: StatePort, array: Array, batch: int) -> None:
    """Holds that the value of a state has the shape and the type of its port.

    Raises:
        StateError: It has another.
    """
    shape = state_shape(port, batch, array.shape)
    if tuple(array.shape) != shape:
        raise StateError(f"state {port.name!r}: expected shape {shape} for {batch} rows, found {array.shape}")
    if not np.can_cast(array.dtype, DTYPES[port.dtype], "same_kind") and array.dtype.kind not in "fV":
        raise StateError(f"state {port.name!r}: expected numbers of {port.dtype}, found {array.dtype}")


def own_start(port: StatePort, held: Array, batch: int) -> Array:
    """The values of the file for `batch` rows: its own, or its one row for all where they are the same.

    Raises:
        StateError: The file has different values for another number of rows.
        DamagedFile: Its values are not of the shape of the state.
    """
    axis = port.batch_axis if held.ndim == len(port.shape) else None
    if axis is not None and held.shape[axis] != batch:
        first = held.take([0], axis)
        if (held != first).any():
            raise StateError(
                f"state {port.name!r} starts from values that the file holds for {held.shape[axis]} rows, and {batch} "
                f"were asked for: give {held.shape[axis]} rows, or begin with a reprise.State of {batch} rows, or from "
                "zeros (zero_state=True, --zero-state)"
            )
        held = first
    shape = state_shape(port, batch)
    try:
        return np.broadcast_to(held, shape)
    except ValueError as error:
        raise DamagedFile(
            f"state {port.name!r} of shape {list(shape)} starts from values of shape {list(held.shape)}. "
            "Copy the file again."
        ) from error


def any_shape(port: Port, batch: int) -> tuple[int, ...]:
    """A shape that an input takes: one where it is free."""
    return tuple(batch if axis == port.batch_axis else (n if n is not None else 1) for axis, n in enumerate(port.shape))


def with_open(lifted: Lifted, feeds: dict[str, Array], chosen: Mapping[str, Any]) -> dict[str, Array]:
    """`feeds` with the settings that the graph takes as inputs."""
    if not lifted.open:
        return feeds
    missing = [name for name in lifted.open if name not in chosen]
    if missing:
        raise CallError(f"setting {missing[0]!r} must be given: the file has no value for inference")
    return feeds | {k: np.asarray(chosen[k]) for k in lifted.open}


def as_type(array: Array, dtype: str) -> Array:
    """The array with this element type."""
    return array if array.dtype == DTYPES[dtype] else array.astype(DTYPES[dtype])
