"""What a call gives, as the inputs of a model take it."""

from __future__ import annotations

import numpy as np

from reprise.errors import CallError
from reprise.interface import Port
from reprise.tensors import DTYPES, Array, Shape

#: Which kinds of NumPy's types an input takes, by its own kind; others lose something. V is bfloat16.
_TAKEN = {"i": "iub", "u": "iub", "O": "OSU", "c": "cfiub"}


def fitting(port: Port, array: Array) -> Array:
    """`array` as the type of `port`.

    Raises:
        CallError: Numbers would change, there are none, or the shape does not fit.
    """
    wanted = DTYPES[port.dtype]
    if array.ndim != len(port.shape) or any(
        n is not None and n != m for n, m in zip(port.shape, array.shape, strict=True)
    ):
        steps = None if port.time_axis is None else port.shape[port.time_axis]
        only = "" if steps is None else f"; the graph is made for {steps} steps and no other number"
        raise CallError(f"input {port.name!r}: expected shape {_shown(port.shape)}, found {list(array.shape)}{only}")
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


def raised(port: Port, array: Array) -> Array:
    """One step as a sequence of one step.

    Raises:
        CallError: It has another number of axes.
    """
    if port.time_axis is None:
        return array
    if array.ndim != len(port.shape) - 1:
        shape = port.shape[: port.time_axis] + port.shape[port.time_axis + 1 :]
        raise CallError(f"input {port.name!r}: expected shape {_shown(shape)} for one step, found {list(array.shape)}")
    return array[(*(slice(None),) * port.time_axis, None)]


def _shown(shape: Shape) -> str:
    return "[" + ", ".join("any" if n is None else str(n) for n in shape) + "]"
