"""What both exports of TensorFlow's files ask of a model."""

from __future__ import annotations

from reprise.errors import SaveError
from reprise.interface import Interface
from reprise.model import RecurrentModel
from reprise.tensors import Array


def check_exportable(model: RecurrentModel) -> None:
    """Refuses what signatures cannot hold.

    Raises:
        SaveError: A setting has no value, or a first state is computed from the inputs.
    """
    if model.lifted.open:
        raise SaveError(f"setting {model.lifted.open[0]!r} has no value for inference; restore the model with one.")
    if any(s.initial == "inputs" for s in model.interface.states):
        raise SaveError("a first state that is computed from the inputs cannot be expressed by these signatures.")


def variable_weights(model: RecurrentModel) -> dict[str, Array]:
    """The real numbers of a model that have axes, which become variables; single numbers and sizes stay constants."""
    return {name: array for name, array in model.lifted.numbers().items() if array.ndim and array.dtype.kind == "f"}


def baked_rows(face: Interface) -> int | None:
    """The number of rows that the source bakes in, None where any can be given."""
    sizes = (s.shape[s.batch_axis] for s in face.states if s.batch_axis is not None)
    return next((n for n in sizes if n is not None), None)
