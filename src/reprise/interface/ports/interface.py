"""What a restored model takes and gives: the public description of its recurrent interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from html import escape
from typing import Any, Literal, TypeVar

from reprise.errors import DamagedFile
from reprise.printable import printable_line
from reprise.tensors import DTYPES, Shape

InputRole = Literal["text", "tokens", "one-hot", "features", "lengths"]
OutputRole = Literal["logits", "probabilities", "hidden", "ids", "values"]
Initial = Literal["zeros", "file", "inputs"]

_Entry = TypeVar("_Entry", "Port", "StatePort", "Setting")


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output.

    Attributes:
        name: Short, and unique in the model.
        tensor: The tensor in the source file, such as `Placeholder:0`, or None where the format has none.
        dtype: The element type, a key of `reprise.tensors.DTYPES`.
        shape: Its sizes, None where free.
        time_axis: The axis of time, None where there is none (or where it is flattened into another, see `rows`).
        batch_axis: The axis of the batch, None where there is none.
        role: What it means. Inputs: `tokens`, `one-hot`, `features`, `lengths`. Outputs: `logits`,
            `probabilities`, `hidden`, `ids`, `values`.
        rows: `batch-major` or `time-major` where the first axis holds N·T rows, else None.
        least: How many steps it must have at the least: one more than the model leaves out at the ends.
        even: Whether the model takes as many steps as this has, not some more or fewer.
    """

    name: str
    tensor: str | None
    dtype: str
    shape: Shape
    time_axis: int | None
    batch_axis: int | None
    role: str
    rows: Literal["batch-major", "time-major"] | None = None
    least: int = 1
    even: bool = True


@dataclass(frozen=True, slots=True)
class StatePort:
    """One recurrent state.

    Attributes:
        name: Such as `layer0.c`.
        source_in: The tensor that enters the recurrence.
        source_out: The tensor that leaves it, such as `rnn/while/Exit_3:0`; where the file keeps none, the one inside
            the loop that goes to the next step.
        fed_through: The placeholder behind `source_in` that a TensorFlow program would feed, or None.
        dtype: The element type.
        shape: Its sizes, None where free.
        batch_axis: The axis of the batch, None where there is none.
        initial: Where a sequence starts: `zeros`; `file` (values that the file holds); `inputs` (the model computes
            them from its inputs).
    """

    name: str
    source_in: str | None
    source_out: str | None
    fed_through: str | None
    dtype: str
    shape: Shape
    batch_axis: int | None
    initial: Initial


@dataclass(frozen=True, slots=True)
class Setting:
    """A scalar that steers the model, such as a keep probability.

    Attributes:
        name: Short, and unique in the model.
        tensor: The placeholder in the source file.
        dtype: The element type.
        value: What inference uses; None where the file does not tell, and a call must give it.
        why: How that value was established.
    """

    name: str
    tensor: str
    dtype: str
    value: float | int | bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Interface:
    """The recurrent interface of a model. Printed, it is a table.

    Attributes:
        inputs: What changes from call to call.
        outputs: What the model gives.
        states: What is carried from step to step.
        settings: Scalars with a value for inference.
        steppable: Whether T calls of `step` equal one `run` of T steps.
        why_not: Why it cannot be stepped, empty where it can.
        evidence: What the reading rests on, one clause each.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[StatePort, ...]
    settings: tuple[Setting, ...]
    steppable: bool
    why_not: str
    evidence: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same facts as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Interface:
        """The inverse of `to_json`, for data of any file.

        Raises:
            DamagedFile: It is not such data.
        """
        try:
            return cls(
                tuple(_read(Port, p) for p in data["inputs"]),
                tuple(_read(Port, p) for p in data["outputs"]),
                tuple(_read(StatePort, p) for p in data["states"]),
                tuple(_read(Setting, p) for p in data["settings"]),
                bool(data["steppable"]),
                str(data["why_not"]),
                tuple(str(e) for e in data["evidence"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedFile(f"interface: the data do not describe one ({error})") from error

    def __str__(self) -> str:
        return "\n".join([*_columns(self._rows()), self._steps()])

    def _repr_html_(self) -> str:
        head, *rows = self._rows()
        lines = [_html_row("th", head), *(_html_row("td", row) for row in rows)]
        return f"<table>{''.join(lines)}</table><p>{escape(self._steps())}</p>"

    def _steps(self) -> str:
        return f"steppable: {'yes' if self.steppable else 'no, ' + printable_line(self.why_not)}"

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("", "name", "tensor", "type", "shape", "meaning")]
        rows += [("input", p.name, p.tensor or "-", p.dtype, _shape(p), _meaning(p)) for p in self.inputs]
        rows += [("output", p.name, p.tensor or "-", p.dtype, _shape(p), _meaning(p)) for p in self.outputs]
        rows += [("state", s.name, _passage(s), s.dtype, _state_shape(s), _start(s)) for s in self.states]
        rows += [("setting", s.name, s.tensor, s.dtype, "", f"{_value(s)}: {s.why}") for s in self.settings]
        return rows


def _html_row(tag: str, cells: tuple[str, ...]) -> str:
    inside = (f"<{tag} style='text-align:left'>{escape(printable_line(cell))}</{tag}>" for cell in cells)
    return f"<tr>{''.join(inside)}</tr>"


def _read(kind: type[_Entry], data: Any) -> _Entry:
    """A port or setting from plain data, each of its facts checked."""
    facts = {f.name: data[f.name] for f in fields(kind) if f.name in data or f.default is MISSING}
    if "shape" in facts:
        facts["shape"] = tuple(facts["shape"])
    axes = len(facts.get("shape", ()))
    for name, value in facts.items():
        if not _ALLOWED[name](value, axes):
            raise ValueError(f"{name} cannot be {value!r}")
    return kind(**facts)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any, _: int) -> bool:
    return isinstance(value, str)


def _text_or_none(value: Any, _: int) -> bool:
    return value is None or isinstance(value, str)


def _axis(value: Any, axes: int) -> bool:
    return value is None or (_is_whole(value) and 0 <= value < axes)


#: What each fact of a port or setting may be, given how many axes its tensor has.
_ALLOWED: dict[str, Callable[[Any, int], bool]] = {
    **dict.fromkeys(("name", "role", "why"), _text),
    **dict.fromkeys(("tensor", "source_in", "source_out", "fed_through"), _text_or_none),
    **dict.fromkeys(("time_axis", "batch_axis"), _axis),
    "dtype": lambda value, _: value in DTYPES,
    "shape": lambda value, _: all(n is None or (_is_whole(n) and n >= 0) for n in value),
    "least": lambda value, _: _is_whole(value) and value > 0,
    "even": lambda value, _: isinstance(value, bool),
    "rows": lambda value, _: value in (None, "batch-major", "time-major"),
    "initial": lambda value, _: value in ("zeros", "file", "inputs"),
    "value": lambda value, _: value is None or isinstance(value, (bool, int, float)),
}


def _shape(port: Port) -> str:
    letters = {port.time_axis: "T", port.batch_axis: "N"} if port.rows is None else {0: "N·T"}
    if port.rows == "time-major":
        letters = {0: "T·N"}
    return _sizes(port.shape, {k: v for k, v in letters.items() if k is not None})


def _state_shape(state: StatePort) -> str:
    return _sizes(state.shape, {} if state.batch_axis is None else {state.batch_axis: "N"})


def _sizes(shape: Shape, letters: dict[int, str]) -> str:
    shown = [
        letters.get(axis, "?") if n is None else f"{letters[axis]}={n}" if axis in letters else str(n)
        for axis, n in enumerate(shape)
    ]
    return f"[{', '.join(shown)}]"


def _meaning(port: Port) -> str:
    return port.role + (f", {port.rows} rows" if port.rows else "")


def _passage(state: StatePort) -> str:
    entry = state.fed_through or state.source_in or "-"
    return f"{entry} → {state.source_out or '-'}"


def _start(state: StatePort) -> str:
    return {"zeros": "starts from zeros", "file": "starts from the file's values", "inputs": "starts from the inputs"}[
        state.initial
    ]


def _value(setting: Setting) -> str:
    return "must be given" if setting.value is None else str(setting.value)


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = [tuple(map(printable_line, row)) for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
