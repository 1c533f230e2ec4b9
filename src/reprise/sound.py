"""Sound through a model that takes one channel: sample by sample, or frame by frame, the state carried to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reprise.errors import CallError
from reprise.interface import Interface, Port
from reprise.tensors import DTYPES, Array

#: How many samples, or frames, are given to a model at once.
AT_ONCE = 4096
#: Rates at which sound is kept: a setting of such a value is taken for the rate of a model.
_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000})


class SoundModel(Protocol):
    """A recurrent model: state in, state out."""

    @property
    def interface(self) -> Interface:
        """Its ports."""

    def run(self, inputs: Any, state: Any = None) -> tuple[Mapping[str, Array], Any]:
        """A whole sequence."""

    def step(self, inputs: Any, state: Any = None) -> tuple[Mapping[str, Array], Any]:
        """One step: inputs without their time axis."""


@dataclass(frozen=True, slots=True)
class SoundPath:
    """How sound goes through a model.

    Attributes:
        source: The port that takes it.
        target: The port that is given for it.
        frame: How many samples a step takes, without the context.
        hop: How many samples later the next step begins.
        context: How many samples before the frame are given with it.
    """

    source: Port
    target: Port
    frame: int
    hop: int
    context: int


def sound_path(model: SoundModel, *, frame: int = 0, hop: int = 0, context: int = 0) -> SoundPath:
    """How sound goes through `model`.

    Args:
        model: Has one input of one number, or of one frame, for each step, and one output.
        frame: Samples of a frame, where the file does not say, or to confirm what it says.
        hop: Samples between the beginnings of frames, the size of a frame where 0.
        context: Samples before a frame that the model takes with it.

    Raises:
        CallError: It is no such model, or the sizes do not fit it.
    """
    face = model.interface
    _check(face)
    source, (target,) = _source(face), face.outputs
    if source.time_axis is not None and target.time_axis is None:
        raise CallError(f"output {target.name!r}: is one for all steps, so it is not sound; use --inputs")
    size = _size(source)
    if size is None and not frame:
        raise CallError(
            f"input {source.name!r}: takes frames of any size; say how many samples a frame has (frame=, --frame)"
        )
    own = frame or (size or 0) - context
    if own < 1 or context < 0 or size not in (None, own + context):
        raise CallError(
            f"input {source.name!r}: takes {size} numbers a step; found a frame of {own} with {context} before it"
        )
    if not frame and own > 2 and (own - 1) & (own - 2) == 0:
        raise CallError(
            f"input {source.name!r}: takes {own} numbers a step, as many as a spectrum has bands, and so perhaps no "
            "samples. Give spectra by --inputs; if they are samples, say so (frame=, --frame)"
        )
    if not 0 <= hop <= own:
        raise CallError(f"hop: expected 1 to {own}, the size of a frame, found {hop}")
    return SoundPath(source, target, own, hop or own, context)


def rate_of(face: Interface, metadata: Mapping[str, Any]) -> tuple[int | None, str]:
    """The rate that a model was made for, None where nothing tells, and where it is said."""
    rate = metadata.get("sample_rate")
    if isinstance(rate, (int, float)) and rate > 0:
        return int(rate), "the file says so"
    found = [s for s in face.settings if s.value in _RATES and not isinstance(s.value, bool)]
    return (int(found[0].value or 0), f"setting {found[0].name!r}") if len(found) == 1 else (None, "")


def _check(face: Interface) -> None:
    if not face.steppable:
        raise CallError(f"model: it cannot be stepped ({face.why_not}); run() takes whole sequences")
    if len(face.outputs) != 1:
        named = ", ".join(p.name for p in face.outputs)
        raise CallError(f"outputs: expected one, found {named}; say which when restoring (outputs=, --output)")


def _source(face: Interface) -> Port:
    ports = [p for p in face.inputs if p.role != "lengths"]
    if len(ports) != 1 or not ports[0].dtype.startswith(("float", "bfloat")):
        found = ", ".join(f"{p.name} ({p.dtype})" for p in ports) or "none"
        raise CallError(f"inputs: expected one of floats, for samples of sound, found {found}; use --inputs")
    return ports[0]


def _size(port: Port) -> int | None:
    """How many numbers a step takes, None where any.

    Raises:
        CallError: They lie along several axes, or a batch that the file fixes is no single row.
    """
    if port.batch_axis is not None and port.shape[port.batch_axis] not in (None, 1):
        raise CallError(f"input {port.name!r}: takes {port.shape[port.batch_axis]} rows at once in this file")
    sizes = [n for axis, n in enumerate(port.shape) if axis not in (port.time_axis, port.batch_axis) and n != 1]
    if len(sizes) > 1:
        raise CallError(
            f"input {port.name!r}: takes numbers along {len(sizes)} axes, so no samples of one channel; use --inputs"
        )
    return sizes[0] if sizes else 1


def through(
    model: SoundModel,
    pieces: Iterable[Array],
    along: SoundPath,
    state: Any = None,
    keep: Callable[[Any], None] | None = None,
) -> Iterator[Array]:
    """What the model gives for sound, piece by piece: [steps, numbers of a step]; the last frame is filled with zeros.

    Args:
        model: Takes it.
        pieces: Samples [count] one after the other, in any lengths.
        along: As `sound_path` gives it.
        state: Where to begin.
        keep: Is given the state at the end.
    """
    most = AT_ONCE if along.source.time_axis is not None else 1
    for frames in _frames(pieces, along):
        for at in range(0, len(frames), most):
            some = frames[at : at + most]
            given = {along.source.name: _fed(some, along.source)}
            outputs, state = (model.step if along.source.time_axis is None else model.run)(given, state)
            yield _steps(np.asarray(outputs[along.target.name]), along.target, len(some))
    if keep is not None:
        keep(state)


def _frames(pieces: Iterable[Array], along: SoundPath) -> Iterator[Array]:
    """Frames [some, context + frame], each `hop` samples after the one before."""
    size, begun = along.context + along.frame, False
    held = np.zeros(along.context, np.float32)
    for piece in pieces:
        held = np.concatenate([held, np.asarray(piece, np.float32)])
        count = (len(held) - size) // along.hop + 1 if len(held) >= size else 0
        if count:
            begun = True
            yield np.lib.stride_tricks.sliding_window_view(held, size)[:: along.hop][:count]
            held = held[count * along.hop :]
    if len(held) > (size - along.hop if begun else along.context):
        yield np.concatenate([held, np.zeros(size - len(held), np.float32)])[None]


def _fed(frames: Array, port: Port) -> Array:
    """Frames [K, size] in the layout of an input."""
    own = next((k for k, n in enumerate(port.shape) if k not in (port.time_axis, port.batch_axis) and n != 1), None)
    sizes = {port.time_axis: len(frames), own: frames.shape[1]}
    shape = [sizes.get(axis, 1) for axis in range(len(port.shape))]
    ordered = frames if own is None or port.time_axis is None or port.time_axis < own else frames.T
    return ordered.reshape(shape).astype(DTYPES[port.dtype])


def _steps(given: Array, port: Port, count: int) -> Array:
    """What a model gives for so many steps as [steps, numbers]."""
    by_time = given if port.time_axis is None else np.moveaxis(given, port.time_axis, 0)
    return by_time.reshape(count, -1).astype(np.float32)


def overlap_add(results: Iterable[Array], along: SoundPath) -> Iterator[Array]:
    """Sound [samples, channels] from what `through` gives: frames that overlap are added.

    Raises:
        CallError: A step gives another number of samples than it takes.
    """
    tail = np.zeros(along.frame - along.hop, np.float32)
    for part in results:
        if along.frame == 1:
            yield part
            continue
        if part.shape[1] != along.frame:
            raise CallError(
                f"output {along.target.name!r}: gives {part.shape[1]} numbers for {along.frame} samples, so it is "
                "not sound; name a file for them that ends in .csv or .npz"
            )
        for frame in part:
            whole = np.concatenate([tail, np.zeros(along.hop, np.float32)]) + frame
            yield whole[: along.hop, None]
            tail = whole[along.hop :]
    if len(tail):
        yield tail[:, None]
