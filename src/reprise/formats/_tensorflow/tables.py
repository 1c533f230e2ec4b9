"""Tables of symbols that a graph fills from a text file, which lies among the assets or beside the model.

The key and the value of a row are a line as a whole (-2), its number (-1) or one of its columns.
Source: tensorflow/core/kernels/lookup_util.cc, InitializeTableFromTextFile (TensorFlow 1.15.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from reprise.files import is_file, read_whole
from reprise.graph import Graph, Node, Value
from reprise.tensors import DTYPES, Array, Tensor, in_memory
from reprise.vocabulary import Vocabulary

_FROM_FILE = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
_FILLED = ("LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2")
_WHOLE, _NUMBER = -2, -1
_UNKNOWN, _MOST_UNKNOWN = "[UNK]", 16


def with_table_files(graph: Graph, folder: Path) -> Graph:
    """`graph` with the content of the files in `folder`, or its `assets`, in the place of their names."""
    asking = [n for n in graph if n.op in _FROM_FILE and len(n.inputs) == 2]
    nodes = dict(graph.nodes) if asking else {}
    for node in asking:
        file = _file(graph, node.inputs[1], folder)
        table = graph.nodes.get(node.inputs[0].node)
        columns = None if file is None or table is None else _columns(node, table, file)
        if columns is not None:
            names = [Value(f"{node.name}/{part}") for part in ("keys", "values")]
            for name, tensor in zip(names, columns, strict=True):
                nodes[name.node] = Node(name.node, "Const", attributes={"dtype": tensor.dtype, "value": tensor})
            nodes[node.name] = replace(node, op="InitializeTableV2", inputs=(node.inputs[0], *names))
    return replace(graph, nodes=nodes) if asking else graph


def table_vocabulary(graphs: Iterable[Graph]) -> Vocabulary | None:
    """The symbols of the tables that give ids for text, where they all give the same; ids without a symbol are unknown.

    The layers that look symbols up keep the first ids for unknown ones.
    """
    found = {v for graph in graphs for node in graph if (v := _symbols(graph, node)) is not None}
    return found.pop() if len(found) == 1 else None


def _symbols(graph: Graph, node: Node) -> Vocabulary | None:
    if node.op not in _FILLED or len(node.inputs) != 3:
        return None
    parts = [None if (made := graph.nodes.get(v.node)) is None else made.constant for v in node.inputs[1:]]
    keys, ids = (None if part is None else part.load().ravel() for part in parts)
    if keys is None or ids is None or keys.dtype != object or ids.dtype.kind != "i" or not 0 < len(keys) == len(ids):
        return None
    texts = [k.decode("utf-8", "replace") if isinstance(k, bytes) else str(k) for k in keys]
    if ids.min() < 0 or ids.max() > len(ids) + _MOST_UNKNOWN or len(set(texts)) < len(texts):
        return None
    symbols = [_UNKNOWN if k == 0 else f"{_UNKNOWN}{k}" for k in range(int(ids.max()) + 1)]
    for text, k in zip(texts, ids, strict=True):
        symbols[k] = text
    plain = [t for t in texts if not t.startswith("[")]
    return Vocabulary(tuple(symbols), "characters" if all(len(t) <= 1 for t in plain) else "words")


def _file(graph: Graph, name: Value, folder: Path) -> Path | None:
    """The file of the name that the graph has for it, wherever it lay when the graph was saved."""
    node = graph.nodes.get(name.node)
    while node is not None and node.op == "Identity" and node.inputs:
        node = graph.nodes.get(node.inputs[0].node)
    tensor = None if node is None else node.constant
    if tensor is None or tensor.dtype != "string" or tensor.size != 1:
        return None
    path = tensor.load().item()
    last = PurePosixPath((path.decode("utf-8", "replace") if isinstance(path, bytes) else path).replace("\\", "/")).name
    places = (folder / "assets" / last, folder / last)
    return next((place for place in places if last and is_file(place)), None)


def _columns(node: Node, table: Node, file: Path) -> tuple[Tensor, Tensor] | None:
    """The keys and values in a file, None where it does not have what the table holds."""
    lines = read_whole(file).replace(b"\r", b"").split(b"\n")
    lines = lines[: len(lines) - (not lines[-1])]
    size = node.integer("vocab_size", -1)
    lines = lines[:size] if size >= 0 else lines
    try:
        keys, values = (
            _column(lines, node.integer(f"{part}_index"), node.text("delimiter", "\t"), table.dtype(f"{part}_dtype"))
            for part in ("key", "value")
        )
    except (ValueError, IndexError, OverflowError):
        return None
    return in_memory(keys, str(file)), in_memory(values, str(file))


def _column(lines: list[bytes], index: int, delimiter: str, dtype: str) -> Array:
    if index == _NUMBER:
        return np.arange(len(lines), dtype=DTYPES[dtype])
    parts = lines if index == _WHOLE else [line.split(delimiter.encode())[index] for line in lines]
    made = np.empty(len(parts), object)
    made[:] = parts
    return made if dtype == "string" else made.astype(DTYPES[dtype])
