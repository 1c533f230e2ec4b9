"""Recurrent state as a value: what a model hands out, takes back, and what can be kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from reprise.errors import MissingFile, StateError
from reprise.files import written_whole
from reprise.tensors import Array


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

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file that names the model it belongs to. A file that was there is replaced whole.

        Raises:
            SaveError: It cannot be written.
        """
        about = {"version": 1, "fingerprint": self.fingerprint, "order": list(self), "pending": sorted(self.pending)}
        metadata = {"reprise": json.dumps(about)}
        with written_whole(Path(path)) as part:
            part.write_bytes(safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in self.items()}, metadata))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> State:
        """Reads what `save` wrote; a model refuses it when it belongs to another.

        Raises:
            MissingFile: There is no such file.
            StateError: It is not a state file.
        """
        if not Path(path).is_file():
            raise MissingFile(f"{path}: no such state file")
        try:
            with safetensors.safe_open(path, "numpy") as file:
                about = json.loads((file.metadata() or {}).get("reprise", "null"))
                values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
            raise StateError(f"{path}: not a state file ({error}); expected one that `--save-state` wrote") from error
        order = about.get("order") if isinstance(about, dict) else None
        if not isinstance(order, list) or sorted(map(str, order)) != sorted(values):
            raise StateError(f"{path}: a safetensors file, but not one of `State.save`")
        pending = [name for name in values if name in (about.get("pending") or ())]
        return cls({name: values[name] for name in order}, str(about.get("fingerprint", "")), pending)


def _frozen(array: Array) -> Array:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
