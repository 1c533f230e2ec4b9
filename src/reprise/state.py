"""Recurrent state as a value: what a model hands out, takes back, and what can be kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import safetensors
import safetensors.numpy

from reprise.errors import MissingFile, StateError
from reprise.files import read_whole, written_whole
from reprise.tensors import DTYPES, Array


class State(Mapping[str, Array]):
    """An immutable mapping from state name to array, in the order of the interface.

    Attributes:
        pending: Names of states that the next call computes from its inputs; until then their numbers are zeros.
    """

    def __init__(
        self, values: Mapping[str, Array], owner: str | Callable[[], str] = "", pending: Collection[str] = ()
    ) -> None:
        """`owner` is the fingerprint of the model that the state belongs to, or tells it: it is costly to work out."""
        self._values = {name: _frozen(array) for name, array in values.items()}
        self.owner = owner
        self.pending = frozenset(pending)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model that the state belongs to; empty where it belongs to none."""
        return self.owner if isinstance(self.owner, str) else self.owner()

    def __getitem__(self, name: str) -> Array:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        later = dict.fromkeys(self.pending, " from the inputs")
        inside = (f"{name} {array.dtype}{list(array.shape)}{later.get(name, '')}" for name, array in self.items())
        return f"State({', '.join(inside)})"

    def replace(self, values: Mapping[str, Array]) -> State:
        """This state with some arrays exchanged for others of the same shapes.

        Raises:
            StateError: A name is unknown, or a shape differs.
        """
        exchanged = dict(self._values)
        for name, array in values.items():
            if name not in exchanged:
                raise StateError(f"state {name!r} is not one of {', '.join(exchanged)}")
            array = np.asarray(array, exchanged[name].dtype)
            if array.shape != exchanged[name].shape:
                raise StateError(f"state {name!r}: expected shape {exchanged[name].shape}, found {array.shape}")
            exchanged[name] = array
        return State(exchanged, self.owner, self.pending - set(values))

    def __reduce__(self) -> tuple[Any, ...]:
        return State, (dict(self._values), self.fingerprint, self.pending)

    def __deepcopy__(self, _: dict[int, Any]) -> State:
        return self  # nothing can change it

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file that names the model it belongs to. A file that was there is replaced whole.

        Raises:
            SaveError: It cannot be written.
        """
        data = self.to_bytes()
        with written_whole(Path(path)) as part:
            part.write_bytes(data)

    def to_bytes(self) -> bytes:
        """What `save` writes, such as for a database or a cache that sessions share."""
        about = {
            "version": LAYOUT,
            "fingerprint": self.fingerprint,
            "order": list(self),
            "dtypes": [array.dtype.name for array in self.values()],
            "pending": sorted(self.pending),
        }
        stored = {name: _stored(array) for name, array in self.items()}
        metadata = {_ENTRY: json.dumps(about | {"crc32c": _checksum(about, stored)})}
        return bytes(safetensors.numpy.save(stored, metadata))

    @classmethod
    def load(cls, path: str | PathLike[str], *, finite: bool = True) -> State:
        """Reads what `save` wrote; a model refuses it when it belongs to another, or its types and shapes do not fit.

        Args:
            path: The file.
            finite: Refuse numbers that are infinite or NaN: whatever goes on from them is NaN too, as a rule.

        Raises:
            MissingFile: There is no such file.
            StateError: It is not a state file, not a whole one, or of a layout that this program does not know.
        """
        try:
            data = read_whole(Path(path))
        except OSError as error:
            raise MissingFile(f"{path}: no such state file ({error.strerror})") from error
        return cls.from_bytes(data, finite=finite, name=str(path))

    @classmethod
    def from_bytes(cls, data: bytes, *, finite: bool = True, name: str = "state") -> State:
        """The inverse of `to_bytes`; `name` is what messages call it.

        Raises:
            StateError: As `load`.
        """
        about, stored = _read_file(data, name)
        try:
            values = {
                state: stored[state].view(DTYPES[dtype])
                for state, dtype in zip(about["order"], about["dtypes"], strict=True)
            }
            loaded = cls(values, str(about["fingerprint"]), [state for state in values if state in about["pending"]])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StateError(f"{name}: the state file contradicts itself ({error!r}); save the state again") from error
        endless = [n for n, a in loaded.items() if finite and a.dtype.kind in "fcV" and not np.isfinite(a).all()]
        if endless:
            raise StateError(
                f"{name}: state {endless[0]!r} has NaN or infinite numbers, and so has what follows from them. Go on "
                "from an earlier state, or read it as it is with State.load(path, finite=False)"
            )
        return loaded


#: The layout of the entry that `save` writes, and the only one that `load` reads.
LAYOUT = 2
_ENTRY = "reprise"
#: NumPy itself has no such numbers, nor has every version of safetensors: they are stored as whole numbers.
_AS_WHOLE = {"bfloat16": np.dtype(np.uint16)}


def _stored(array: Array) -> Array:
    array = np.asarray(array, order="C")
    return array.view(_AS_WHOLE.get(array.dtype.name, array.dtype))


def _checksum(about: Mapping[str, Any], stored: Mapping[str, Array]) -> int:
    """Over all that a file says and holds: one bit that changes is a state that never was."""
    crc = google_crc32c.value(json.dumps(about, sort_keys=True).encode())
    for name in sorted(stored):
        array = stored[name]
        crc = google_crc32c.extend(crc, f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return int(crc)


def _read_file(data: bytes, path: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """What a state file says of itself, and its arrays, both as they were written."""
    try:
        stored = safetensors.numpy.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"][_ENTRY])
        version, crc = about["version"], about.pop("crc32c", None)
    except (
        safetensors.SafetensorError,
        KeyError,
        ValueError,
        OverflowError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise StateError(f"{path}: not a state file ({error}); expected one that `State.save` wrote") from error
    if version != LAYOUT:
        raise StateError(
            f"{path}: a state file of layout {version!r}, and this program reads {LAYOUT}; save the state again"
        )
    if crc != _checksum(about, stored):
        raise StateError(f"{path}: its checksum does not fit its content; the file is damaged, copy it again")
    return about, stored


def _frozen(array: Array) -> Array:
    """A copy, which nobody who holds the array can change: it may be an output too, or a buffer that is filled anew."""
    copied = np.array(array)
    copied.flags.writeable = False
    return copied
