"""The recurrent cell that arrays of NumPy programs make, by their names and shapes, and what a caller must say besides.

Such programs have names in common and no convention: `Wxh`, `Whh`, `Why` of min-char-rnn, a matrix for each gate
(`W_f` for state and input together, or `Wxf` and `Whf`, `W_f` and `U_f`), or one for all gates. Names tell gates, and
shapes the side on which a matrix stands. The order of joined gates or of state and input, and the two forms that a GRU
has, are in no file: they are asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reprise import cells
from reprise.errors import CallError
from reprise.formats._in_a_row import float_tensor, in_a_row
from reprise.graph import Value
from reprise.layers import Call, Layers
from reprise.layers.kinds import Activation, ActivationFunction, Dense, GateWeights, Layer, Recurrent, RecurrentCell
from reprise.tensors import Array

#: What may be said of a cell, with the values that it may have; no values where it is a number or the order of gates.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "first": ("state", "input"),
    "reset": ("before", "after"),
    "update": ("state", "candidate"),
    "activation": ("tanh", "relu", "sigmoid", "softsign"),
    "order": (),
    "forget_bias": (),
    "transposed": (),
}
_GATES = {"LSTM": "ifoc", "GRU": "zrc"}
#: The letters that programs have for the candidate.
_CANDIDATES = {"LSTM": "cgz", "GRU": "hcng"}
_HEADS = (("why", "by"), ("whead", "bhead"), ("wy", "by"), ("wv", "bv"), ("wyh", "by"), ("wout", "bout"), ("v", "c"))
#: What arrays without names are by their places: those of min-char-rnn, and those of a layer of Keras and a dense one.
_PLACES = (("wxh", "whh", "why", "bh", "by"), ("kernel", "recurrentkernel", "bias", "whead", "bhead"))
_JOINED = (("wxh", "whh", "bh"), ("whx", "whh", "bh"), ("wx", "wh", "b"), ("kernel", "recurrentkernel", "bias"))


class UndecidedCellError(Exception):
    """Why arrays make no model, and what is missing."""


Arrays = Mapping[str, Array]
CellOptions = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _CellMatrices:
    """The matrices of a cell as the file has them.

    Attributes:
        kind: `LSTM`, `GRU` or `RNN`.
        parts: Gates, one or all in their order → the matrices for the input, for the state, and the bias. Where one
            matrix is for both, it is the first, and the second is None.
        used: The names of all arrays that belong to the cell.
    """

    kind: str
    parts: Mapping[str, tuple[Array, Array | None, Array | None]]
    used: frozenset[str]


def layers_of(arrays: Arrays, options: CellOptions, symbols: int) -> tuple[Layers, tuple[str, ...]]:
    """The model of these arrays, and what is to be told of it.

    Args:
        arrays: By the names of the file.
        options: What the caller says of the cell.
        symbols: How many the vocabulary has; where inputs and outputs are as wide, they stand for symbols.

    Raises:
        UndecidedError: They are no known cell, or something is missing that the caller can say.
        CallError: The caller says what cannot be.
    """
    _check_options(options)
    named = _by_name(arrays)
    cell = _separate(named) or _joined(named, options)
    if cell is None:
        raise UndecidedCellError(
            "no weights of a cell are among them by the names of NumPy's programs: Wxh and Whh, or W_f, W_i, W_c, W_o, "
            "or Wx, Wh and b"
        )
    head = next(((w, b) for w, b in _HEADS if w in named and w not in cell.used), ("", ""))
    left = [n for n, a in named.items() if _is_matrix(a) and n not in cell.used.union(head)]
    if left:
        raise UndecidedCellError(
            f"{len(left)} matrices cannot be placed with certainty beside the {cell.kind}: {', '.join(left)}"
        )
    units = _units(cell)
    transposed = _is_transposed(cell, units, named.get(head[0]), options)
    made = _cell_of(cell, units, options, transposed=transposed)
    layers: list[tuple[str, Layer]] = [(cell.kind.lower(), Recurrent((made,)))]
    if head[0]:
        layers.append(("head", _dense(head, named, units, transposed=transposed)))
    inputs = made.blocks[0].kernel.shape[0]
    model = in_a_row("float32", (None, None, inputs), layers)
    of_symbols = head[0] and symbols == inputs == max(named[head[0]].shape)
    return (_scored(model) if of_symbols else model), (_note_of(cell.kind, options),)


def _dense(names: tuple[str, str], named: Arrays, units: int, *, transposed: bool) -> Dense:
    kernel = named[names[0]].T if transposed else named[names[0]]
    bias = named.get(names[1])
    if kernel.ndim != 2 or kernel.shape[0] != units or (bias is not None and bias.size != kernel.shape[1]):
        raise UndecidedCellError(
            f"{names[0]} has the shape {list(named[names[0]].shape)} where the cell has {units} units"
        )
    return Dense(float_tensor(kernel), None if bias is None else float_tensor(bias.reshape(-1)))


def _scored(layers: Layers) -> Layers:
    """With probabilities beside the outputs, which are their logits."""
    (logits,) = layers.outputs
    call = Call("probabilities", Activation(ActivationFunction("softmax")), (logits,))
    return Layers((*layers.calls, call), (logits, Value(call.name)))


def _note_of(kind: str, options: CellOptions) -> str:
    given = ", ".join(f"{name} {value}" for name, value in options.items())
    taken = f"{options.get('activation', 'tanh')}{'' if kind == 'RNN' else ' and sigmoid gates'}"
    return f"weights alone: taken for a {kind} with {taken}, and nothing between its layers" + (
        f"; said by the caller: {given}" if given else ""
    )


def _check_options(options: CellOptions) -> None:
    unknown = sorted(options.keys() - {"kind", *OPTIONS})
    if unknown:
        raise CallError(f"cell: {', '.join(unknown)} is not known; of these weights, say {', '.join(OPTIONS)}")
    for name, values in OPTIONS.items():
        if name in options and values and options[name] not in values:
            raise CallError(f"cell: {name} is {options[name]!r}; expected one of {', '.join(values)}")
    if not isinstance(options.get("forget_bias", 0.0), (int, float)) or not isinstance(
        options.get("transposed", True), bool
    ):
        raise CallError("cell: expected a number as forget_bias, and true or false as transposed")


def _required(options: CellOptions, name: str, why: str) -> object:
    if name not in options:
        values = "|".join(OPTIONS[name]) or {"order": "ifoc", "transposed": "true|false"}[name]
        raise UndecidedCellError(f"{why}. Say it: --cell {name}={values}")
    return options[name]


# Names


def _by_name(arrays: Arrays) -> dict[str, Array]:
    """The weights by what programs call them.

    Raises:
        UndecidedError: Two have one name, or places without names may be two things.
    """
    kept = {name: _single(name, a) for name, a in arrays.items() if not _is_slot(name, arrays)}
    named = {_plain(name): array for name, array in kept.items()}
    if len(named) < len(kept):
        raise UndecidedCellError(f"several of its arrays have one name, as those of several layers: {', '.join(kept)}")
    if not all(re.fullmatch(r"(arr)?\d+", name) for name in named):
        return named
    shapes = [a.shape for a in named.values()]
    found = [names for names in _PLACES if len(names) == len(shapes) and _fits(names, shapes)]
    if len(found) != 1:
        raise UndecidedCellError(f"its arrays have no names, and their shapes are {[list(s) for s in shapes]}")
    return dict(zip(found[0], named.values(), strict=True))


def _single(name: str, array: Array) -> Array:
    """An array as float32, in which is computed."""
    try:
        with np.errstate(over="raise", invalid="ignore"):  # NaN of any kind stays NaN
            return np.asarray(array, np.float32)
    except FloatingPointError:
        raise UndecidedCellError(f"{name} holds numbers beyond those of float32, in which is computed") from None


def _fits(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether arrays have the shapes of a cell and the layer behind it, those of min-char-rnn each as W·x."""
    if [len(shape) for shape in shapes[:2]] != [2, 2] or not all(shapes):
        return False
    sizes = dict(zip(names, (math.prod(shape) for shape in shapes), strict=True))
    if names == _PLACES[0]:
        (units, inputs), outputs = shapes[0], shapes[2][0]
        wanted = (units * inputs, units * units, outputs * units, units, outputs)
        return tuple(sizes.values()) == wanted and shapes[1] == (units, units) and shapes[2] == (outputs, units)
    (inputs, width), units, outputs = shapes[0], shapes[1][0], shapes[3][-1]
    wanted = (inputs * width, units * width, width, units * outputs, outputs)
    return tuple(sizes.values()) == wanted and shapes[1] == (units, width) and shapes[3] == (units, outputs)


def _plain(name: str) -> str:
    """A name without its scope, its case and what joins its parts."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"[/.]", name)[-1].lower())


def _is_slot(name: str, arrays: Arrays) -> bool:
    """Whether it is what an optimizer keeps for another: `mWxh` or `dWxh` beside `Wxh`."""
    other = arrays.get(name[1:])
    return name[:1] in "mdv" and other is not None and other.shape == arrays[name].shape


def _is_matrix(array: Array) -> bool:
    return array.ndim > 2 or (array.ndim == 2 and 1 not in array.shape)


def _separate(named: Arrays) -> _CellMatrices | None:
    """A cell with matrices of its own for each gate."""
    for kind, gates in _GATES.items():
        for candidate in _CANDIDATES[kind]:
            letters = {**{g: g for g in gates}, "c": candidate}
            parts = {gate: _of_gate(named, letter) for gate, letter in letters.items()}
            found = {gate: part for gate, part in parts.items() if part is not None}
            if len(found) == len(gates) and len({n for part in found.values() for n in part if n}) >= len(gates):
                held_by = {g: tuple(None if n is None else named[n] for n in names) for g, names in found.items()}
                used = frozenset(n for names in found.values() for n in names if n)
                return _CellMatrices(kind, held_by, used)  # type: ignore[arg-type]
    return None


def _of_gate(named: Arrays, letter: str) -> tuple[str, str | None, str | None] | None:
    """The names for the input, for the state, and of the bias of a gate."""
    inputs = (f"wx{letter}", f"w{letter}x", f"w{letter}", f"wi{letter}")
    states = (f"wh{letter}", f"w{letter}h", f"u{letter}", f"wh{letter}")
    taken = next((n for n in inputs if n in named), None)
    state = next((n for n in states if n in named and n != taken), None)
    bias = next((n for n in (f"b{letter}",) if n in named), None)
    return None if taken is None else (taken, state, bias)


def _joined(named: Arrays, options: CellOptions) -> _CellMatrices | None:
    """A cell with one matrix for all gates, or a plain RNN."""
    names = next((n for n in _JOINED if n[0] in named and n[1] in named), None)
    if names is None:
        return None
    kernel, recurrent, bias = named[names[0]], named[names[1]], named.get(names[2])
    if recurrent.ndim != 2 or kernel.ndim != 2:
        raise UndecidedCellError(f"{names[1]} has the shape {list(recurrent.shape)}")
    units = min(recurrent.shape)
    gates = max(recurrent.shape) // units if units else 0
    kind = {1: "RNN", 3: "GRU", 4: "LSTM"}.get(gates)
    if kind is None or max(recurrent.shape) != gates * units:
        raise UndecidedCellError(f"{names[1]} of shape {list(recurrent.shape)} is not that of any LSTM, GRU or RNN")
    order = "c" if kind == "RNN" else str(_required(options, "order", f"the order of the gates in {names[0]} is open"))
    if sorted(order) != sorted(_GATES.get(kind, "c")):
        raise CallError(f"cell: order is {order!r}; expected the letters {_GATES[kind]} of an {kind}'s gates")
    return _CellMatrices(kind, {order: (kernel, recurrent, bias)}, frozenset(n for n in names if n in named))


# Shapes


def _units(cell: _CellMatrices) -> int:
    """H: the smaller size of a matrix that reads the state."""
    sizes: set[int] = {min((state if state is not None else taken).shape) for taken, state, _ in cell.parts.values()}
    if len(sizes) != 1:
        raise UndecidedCellError(f"its gates have {', '.join(map(str, sorted(sizes)))} units")
    return sizes.pop()


def _is_transposed(cell: _CellMatrices, units: int, head: Array | None, options: CellOptions) -> bool:
    """Whether a matrix stands on the left, W·x, so that it is [gates · H, D].

    Raises:
        UndecidedError: Shapes do not tell, or contradict each other.
    """
    votes = set()
    for gates, (taken, state, bias) in cell.parts.items():
        rows = len(gates) * units
        matrices = [m for m in (taken, state) if m is not None]
        votes |= {m.shape[0] == rows for m in matrices if m.ndim == 2 and (m.shape[0] == rows) != (m.shape[1] == rows)}
        if bias is not None and bias.ndim == 2 and bias.size > 1 and 1 in bias.shape:
            votes.add(bias.shape[1] == 1)
    if head is not None and head.ndim == 2 and head.shape[0] != head.shape[1]:
        votes.add(head.shape[1] == units)
    if len(votes) > 1:
        raise UndecidedCellError("the shapes of its matrices contradict each other")
    return votes.pop() if votes else bool(_required(options, "transposed", "whether W·x or x·W is computed is open"))


def _cell_of(cell: _CellMatrices, units: int, options: CellOptions, *, transposed: bool) -> RecurrentCell:
    """The cell with its matrices as [D, gates · H] and [H, gates · H]."""
    blocks = []
    for gates, (taken, state, bias) in cell.parts.items():
        kernel, recurrent = (None if m is None else (m.T if transposed else m) for m in (taken, state))
        if kernel is None or kernel.ndim != 2:
            raise UndecidedCellError(f"a matrix of gate {gates} has {0 if kernel is None else kernel.ndim} axes")
        if recurrent is None:
            first = _required(options, "first", "whether the state or the input is first in its matrices is open")
            parts = np.split(kernel, [units if first == "state" else -units])
            recurrent, kernel = parts if first == "state" else parts[::-1]
        width = len(gates) * units
        if recurrent.shape != (units, width) or kernel.shape[1] != width or kernel.shape[0] < 1:
            raise UndecidedCellError(f"matrices of {list(kernel.shape)} and {list(recurrent.shape)} for {units} units")
        flat = None if bias is None else bias.reshape(-1)
        if flat is not None and flat.size != width:
            raise UndecidedCellError(f"a bias of {flat.size} numbers for {width} of gate {gates}")
        blocks.append((gates, kernel, recurrent, flat))
    return _cell(cell.kind, blocks, options)


def _cell(kind: str, blocks: Sequence[tuple[str, Array, Array, Array | None]], options: CellOptions) -> RecurrentCell:
    activation, sigmoid = ActivationFunction(str(options.get("activation", "tanh"))), ActivationFunction("sigmoid")
    if kind == "RNN":
        return RecurrentCell(cells.RNN, _blocks(blocks), (activation,))
    if kind == "LSTM":
        bias = options.get("forget_bias", 0.0)
        return RecurrentCell(
            cells.LSTM, _blocks(blocks), (sigmoid, activation, activation), forget_bias=float(str(bias))
        )
    reset = _required(options, "reset", "whether a GRU's reset gate comes before or after the product is open")
    update = _required(options, "update", "whether a GRU's update gate keeps the state or takes the candidate is open")
    if update == "candidate":  # 1 − σ(x) = σ(−x)
        blocks = [_without_sign(block) for block in blocks]
    made = cells.GRU if reset == "before" else cells.GRU_RESET_AFTER
    return RecurrentCell(made, _blocks(blocks), (sigmoid, activation))


def _blocks(blocks: Sequence[tuple[str, Array, Array, Array | None]]) -> tuple[GateWeights, ...]:
    return tuple(
        GateWeights(g, float_tensor(k), float_tensor(r), None if b is None else float_tensor(b))
        for g, k, r, b in blocks
    )


def _without_sign(block: tuple[str, Array, Array, Array | None]) -> tuple[str, Array, Array, Array | None]:
    """A block whose update gate is negated."""
    gates, kernel, recurrent, bias = block
    units = kernel.shape[1] // len(gates)
    signs = np.repeat([-1.0 if gate == "z" else 1.0 for gate in gates], units).astype(np.float32)
    return gates, kernel * signs, recurrent * signs, None if bias is None else bias * signs
