"""A recurrent model from the names and shapes of its weights alone, where a caller says what no file of weights holds.

The bias that TensorFlow adds to the forget gate when it runs, the activations, and what stands between the layers are
written in the graph only. The first two are asked for; of the last it is taken that nothing stands there, and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reprise.errors import AmbiguousInterface
from reprise.layers import Layers
from reprise.tensors import Tensor
from reprise.weights import layering, unstored
from reprise.weights.own import Shapes, listed, own
from reprise.weights.reading import WeightsReading, leftover, readings

_BETWEEN = "nothing between the layers (no residual connections, no normalisation)"


def layers_of_weights(weights: Mapping[str, Tensor], cell: Mapping[str, Any], symbols: int = 0) -> Layers:
    """The model that these weights are, with cells as the caller says.

    Args:
        weights: Every stored tensor by its name.
        cell: `kind` (`lstm`, `gru` or `rnn`) and what else must be said of cells of this kind.
        symbols: How many symbols the vocabulary has; where inputs and outputs are as wide, they stand for symbols.

    Raises:
        CallError: Something is missing in `cell`, or wrong.
        AmbiguousInterface: No way or more than one to put the tensors together uses all of them.
    """
    options = unstored.cell_options(cell)
    shapes, unused = own(weights)
    found = readings(options.kind, shapes)
    if not found:
        why = _why_not(options.kind, shapes)
        raise AmbiguousInterface(f"read as {options.kind.upper()} cells between a table and dense layers, {why}")
    if len(found) > 1:
        raise AmbiguousInterface(f"{len(found)} readings are equally good: {'; '.join(map(str, found[:4]))}")
    notes = [
        f"no graph was saved; the weights are read as {found[0]}",
        f"said by the caller: {options}; taken for granted: TensorFlow's equations, {_BETWEEN}, states that start from "
        "zeros",
    ]
    if unused:
        notes.append(f"not used, as no weights: {listed(unused)}")
    scores = _stands_for_symbols(found[0], shapes, symbols)
    if scores:
        notes.append(f"inputs and outputs are as wide as the vocabulary of {symbols} symbols: they stand for symbols")
    return replace(layering.layers(found[0], options, weights, scores=scores), notes=tuple(notes))


def _why_not(kind: str, shapes: Shapes) -> str:
    left = [f"{name} {list(shapes[name])}" for name in leftover(kind, shapes)]
    placed = f"{len(left)} of {len(shapes)} tensors have no place: {listed(left)}"
    return placed if left else "the dense layers after the cells can stand in more than one way"


def _stands_for_symbols(reading: WeightsReading, shapes: Shapes, symbols: int) -> bool:
    widths = [shapes[head.kernel][1] for head in reading.heads]
    return reading.table is None and reading.cells[0].inputs == symbols and widths == [symbols]


def describe_weights(weights: Mapping[str, Tensor]) -> str:
    """What these weights seem to be, as a sentence."""
    shapes, _ = own(weights)
    return f"They look like: {listed(list(_clauses(shapes)), '; ') or 'nothing known'}."


def ways(weights: Mapping[str, Tensor]) -> str:
    """What a caller must say for these weights to run, as sentences; empty where nothing that he says is enough."""
    shapes, _ = own(weights)
    possible = {kind: found for kind in unstored.REQUIRED if (found := _possible(kind, shapes))}
    words = " ".join(
        f"With --cell {unstored.as_option(kind)} (in Python cell={_in_python(kind)}) they run as {found}."
        for kind, found in possible.items()
    )
    granted = (
        f"Give the values of the program that trained them, which no file of weights holds; {_BETWEEN} is assumed."
    )
    return f"{words} {granted}" if possible else ""


def _possible(kind: str, shapes: Shapes) -> str:
    try:
        found = readings(kind, shapes)
    except AmbiguousInterface:
        return ""
    return str(found[0]) if len(found) == 1 else ""


def _in_python(kind: str) -> str:
    return str({"kind": kind, **unstored.REQUIRED[kind]})


def _clauses(shapes: Shapes) -> Iterator[str]:
    """One clause for each recurrent cell, table and dense layer, by the names that TensorFlow's own cells use."""
    for name, shape in shapes.items():
        if len(shape) != 2:
            continue
        scope = name.rpartition("/")[0]
        word, rows, columns = name.lower(), *shape
        if "gru" in word and "candidate" in word and rows > columns:
            yield f"GRU {rows - columns} → {columns} ({scope.rpartition('/')[0]})"
        elif "gru" in word and "gates" in word:
            continue  # told with its candidate
        elif "lstm" in word and columns % 4 == 0 and rows > columns // 4:
            yield f"LSTM {rows - columns // 4} → {columns // 4} ({scope})"
        elif "rnn_cell" in word and rows > columns:
            yield f"RNN {rows - columns} → {columns} ({scope})"
        else:
            yield f"matrix {rows} × {columns} ({name})"
