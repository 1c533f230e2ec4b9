"""What no file of weights holds of its cells, and a caller must say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reprise.errors import CallError

#: Activations by the name that callers use.
ACTIVATIONS = ("tanh", "relu", "sigmoid", "softsign", "softplus", "elu", "identity")
#: What must be said of each kind of cell, with the value that TensorFlow's own cells have where nobody says otherwise.
REQUIRED: Mapping[str, Mapping[str, float | str]] = {
    "lstm": {"forget_bias": 1.0, "activation": "tanh"},
    "gru": {"activation": "tanh"},
    "rnn": {"activation": "tanh"},
}
_OPTIONAL: Mapping[str, tuple[str, ...]] = {"lstm": ("cell_clip",)}


@dataclass(frozen=True, slots=True)
class Unstored:
    """What is said of all recurrent cells of a model.

    Attributes:
        kind: `lstm`, `gru` or `rnn`.
        activation: One of `ACTIVATIONS`.
        forget_bias: What an LSTM adds to its forget gate when it runs.
        cell_clip: The bound of an LSTM's cell state; 0 for none.
    """

    kind: str
    activation: str
    forget_bias: float = 0.0
    cell_clip: float = 0.0

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {getattr(self, name)}" for name in (*REQUIRED[self.kind], *_OPTIONAL.get(self.kind, ()))
        )


def cell_options(cell: Mapping[str, Any]) -> Unstored:
    """What the option `cell` says, in full.

    Raises:
        CallError: Something is missing, unknown or of another kind.
    """
    kind = str(cell.get("kind", "missing"))
    if kind not in REQUIRED:
        raise CallError(f"cell: kind is {kind}; expected one of {', '.join(REQUIRED)}")
    required, optional = REQUIRED[kind], _OPTIONAL.get(kind, ())
    unknown = sorted(cell.keys() - {"kind", *required, *optional})
    missing = [name for name in required if name not in cell]
    if unknown or missing:
        what = f"{', '.join(missing)} is missing" if missing else f"{', '.join(unknown)} is not known"
        raise CallError(f"cell: {what}; of a cell of kind {kind}, say {as_option(kind)}" + _also(optional))
    if cell["activation"] not in ACTIVATIONS:
        raise CallError(f"cell: activation is {cell['activation']!r}; expected one of {', '.join(ACTIVATIONS)}")
    numbers = {name: cell[name] for name in ("forget_bias", "cell_clip") if name in cell}
    for name, value in numbers.items():
        if isinstance(value, (bool, str)):
            raise CallError(f"cell: {name} is {value!r}; expected a number")
    return Unstored(kind, cell["activation"], **{name: float(value) for name, value in numbers.items()})


def as_option(kind: str) -> str:
    """What the command line would say of a cell as TensorFlow makes it by default."""
    return ",".join(f"{name}={value}" for name, value in {"kind": kind, **REQUIRED[kind]}.items())


def _also(optional: tuple[str, ...]) -> str:
    return f" and perhaps {', '.join(optional)}" if optional else ""
