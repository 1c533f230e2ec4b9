"""What can be said of a recurrent model from the names and shapes of its weights alone.

Enough to recognise the cells, not to run them: the bias that TensorFlow adds to the forget gate when it runs, the
activations, the order of layers and what stands between them are written in the graph only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Shapes = Mapping[str, tuple[int, ...]]


def describe(shapes: Shapes) -> tuple[str, ...]:
    """One clause for each recurrent cell, table and dense layer among these tensors, optimizer slots left out.

    An LSTM of TensorFlow has one kernel [D + H, 4H] and bias [4H]; a GRUCell gates [D + H, 2H] and a candidate
    [D + H, H]; a basic cell [D + H, H] (tensorflow/python/ops/rnn_cell_impl.py).
    """
    own = {name: shape for name, shape in shapes.items() if not _is_slot(name, shapes)}
    return tuple(_clauses(own))


def _is_slot(name: str, shapes: Shapes) -> bool:
    """`scope/variable/Adam` beside `variable` of the same shape: what an optimizer keeps for it."""
    owner, _, _ = name.rpartition("/")
    return any(
        owner == other or owner.endswith("/" + other)
        for other in shapes
        if shapes[other] == shapes[name] and other != name
    )


def _clauses(shapes: Shapes) -> Iterator[str]:
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
