"""WAV files (RIFF): a head that says how samples are stored, and the samples, read piece by piece.

Whole numbers of 8, 16, 24 and 32 bits and floats of 32 and 64, in the plain and the extensible form of the head; one
is full scale. The format is Microsoft's Multiple Channel Audio Data and WAVE Files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from reprise.tensors import Array
from reprise.wire.varint import Cut

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
#: What a writer that cannot go back says of a length that it does not know.
_OPEN = 0xFFFFFFFF
#: The element types of samples, by the kind of the numbers and their bits; 24 bits have none.
_TYPES: Mapping[tuple[int, int], str] = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """How samples are stored.

    Attributes:
        kind: Whole numbers (1) or floats (3).
        bits: Of each sample.
        channels: Samples at a time.
        rate: How many times a second.
    """

    kind: int
    bits: int
    channels: int
    rate: int

    @property
    def size(self) -> int:
        """The bytes of the samples of all channels at a time."""
        return self.channels * self.bits // 8


@dataclass(frozen=True, slots=True)
class Wave:
    """A file: how its samples are stored, where, and how many for each channel."""

    path: Path
    layout: SampleLayout
    begin: int
    count: int

    def pieces(self, most: int) -> Iterator[Array]:
        """The samples as float32 [at most `most`, channels], from the first to the last."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            for at in range(0, self.count, most):
                data = file.read(min(most, self.count - at) * self.layout.size)
                yield _numbers(data, self.layout).reshape(-1, self.layout.channels)


def open_wave(path: Path) -> Wave:
    """The head of a file.

    Raises:
        Cut: It is not a complete WAV file, or its samples are stored in a way that is not read.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise Cut("it does not begin as a WAV file")
        layout: SampleLayout | None = None
        while len(entry := file.read(8)) == 8:
            name, length = entry[:4], int.from_bytes(entry[4:], "little")
            at = file.tell()
            if name == b"data" and layout is not None:
                return _wave_at(path, layout, at, size - at, length)
            if name == b"fmt ":
                layout = _layout(file.read(min(length, 40)))
            file.seek(at + length + length % 2)
    raise Cut("it has no samples")


def _wave_at(path: Path, layout: SampleLayout, at: int, rest: int, length: int) -> Wave:
    length = rest if length == _OPEN else length
    if length > rest:
        raise Cut(f"its samples take {length} bytes, of which {rest} are there")
    return Wave(path, layout, at, length // layout.size)


def _layout(head: bytes) -> SampleLayout:
    if len(head) < 16:
        raise Cut("its head is cut")
    kind, channels, rate, _, size, bits = struct.unpack("<HHIIHH", head[:16])
    if kind == _EXTENSIBLE and len(head) >= 26:
        kind = int.from_bytes(head[24:26], "little")
    if (kind, bits) not in _TYPES or not channels or not rate or size != channels * bits // 8:
        raise Cut(
            f"{bits} bits of the kind {kind} for {channels} channels are not read; whole numbers of 8, 16, 24 and 32 "
            "bits and floats are"
        )
    return SampleLayout(kind, bits, channels, rate)


def _numbers(data: bytes, layout: SampleLayout) -> Array:
    """Samples as float32, of which 1 is full scale."""
    if layout.kind == _FLOAT:
        return np.frombuffer(data, _TYPES[layout.kind, layout.bits]).astype(np.float32)
    if layout.bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if layout.bits == 24:  # the upper three bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(data, _TYPES[layout.kind, layout.bits]) / 2.0 ** (layout.bits - 1)).astype(np.float32)


def encode_samples(samples: Array, layout: SampleLayout) -> tuple[bytes, int]:
    """Samples as a file has them, and how many were beyond full scale and are cut to it."""
    if layout.kind == _FLOAT:
        return samples.astype(_TYPES[layout.kind, layout.bits]).tobytes(), 0
    full = 2.0 ** (layout.bits - 1)
    scaled = np.rint(samples.astype(np.float64) * full)
    whole = np.clip(scaled, -full, full - 1)
    cut = int(np.count_nonzero(whole != scaled))
    if layout.bits == 8:
        return (whole + 128).astype(np.uint8).tobytes(), cut
    if layout.bits == 24:
        return np.ascontiguousarray(whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3]).tobytes(), cut
    return whole.astype(_TYPES[layout.kind, layout.bits]).tobytes(), cut


def write_head(file: BinaryIO, layout: SampleLayout, count: int) -> None:
    """The head of a file of so many samples for each channel, which follow.

    Raises:
        ValueError: They are more than such a file can hold.
    """
    length = count * layout.size
    if length > _OPEN - 64:
        raise ValueError(f"{length} bytes of samples are more than a WAV file can hold")
    form = struct.pack(
        "<HHIIHH", layout.kind, layout.channels, layout.rate, layout.rate * layout.size, layout.size, layout.bits
    )
    file.write(b"RIFF" + struct.pack("<I", 36 + length + length % 2) + b"WAVE")
    file.write(b"fmt " + struct.pack("<I", len(form)) + form)
    file.write(b"data" + struct.pack("<I", length))
