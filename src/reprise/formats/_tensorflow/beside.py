"""The graph of a checkpoint that has none of its own name: another file of its folder, whose variables it holds.

Estimators write `graph.pbtxt` beside their checkpoints; others keep one `.meta` for all, or wrote the graph themselves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reprise.errors import AmbiguousFormat, DamagedFile, ReadError
from reprise.formats._tensorflow import metagraph
from reprise.formats._tensorflow.variables import averages, unfilled
from reprise.tensors import Tensor
from reprise.wire import messages

_TEXT = re.compile(rb"(\s|#[^\n]*\n)*(node|library|versions|meta_info_def|graph_def)\s*\{")


class GraphBeside(NamedTuple):
    """A graph with the tensors of its variables, its file, and what is to be said of the choice."""

    content: metagraph.MetaGraphContent
    file: Path | None = None
    notes: tuple[str, ...] = ()


def read(file: Path, weights: Mapping[str, Tensor]) -> GraphBeside:
    """The graph in `file`, a MetaGraph or a GraphDef, binary or text.

    Raises:
        DamagedFile: It holds no graph.
    """
    return GraphBeside(metagraph.content(_meta(file), weights, file), file)


def find(prefix: Path, files: Sequence[Path], weights: Mapping[str, Tensor]) -> GraphBeside:
    """The only graph among `files` whose variables all are in `weights` with their shapes; or none.

    Raises:
        AmbiguousFormat: Several graphs that differ are.
    """
    fitting: dict[bytes, GraphBeside] = {}
    misses: list[str] = []
    for file in files:
        try:
            meta = _meta(file)
            content = metagraph.content(meta, weights, file)
        except ReadError:
            misses.append(f"{file.name} holds no graph that can be read")
            continue
        why = _miss(content)
        if why:
            misses.append(f"{file.name} is not its graph: {why}")
        else:
            fitting.setdefault(_digest(meta), GraphBeside(content, file))
    if len(fitting) > 1:
        listed = ", ".join(str(found.file.name) for found in fitting.values() if found.file)
        raise AmbiguousFormat(
            f"{prefix}: no .meta file has this name, and the variables of several graphs beside it are in the "
            f"checkpoint: {listed}. Choose one with graph= (--graph)."
        )
    for found in fitting.values():
        note = f"no .meta file has the checkpoint's name; the graph is that of {found.file and found.file.name}"
        return found._replace(notes=(f"{note}, whose variables all are in the checkpoint", *misses))
    shadows = averages({name: name for name in weights}, weights)
    return GraphBeside(
        metagraph.MetaGraphContent(weights=weights, metadata={"moving_averages": shadows}), None, tuple(misses)
    )


def _miss(content: metagraph.MetaGraphContent) -> str:
    """Why a graph is not that of the checkpoint; empty where it is."""
    if content.graph is None or not content.variable_names:
        return "none of its variables is in the checkpoint"
    lacking = unfilled(content.graph, content.variable_names)
    shown = ", ".join(lacking[:4]) + (" …" if len(lacking) > 4 else "")
    return (
        f"{len(lacking)} of its variables are not in the checkpoint, or not of their shape ({shown})" if lacking else ""
    )


def _digest(meta: Any) -> bytes:
    """Equal for equal graphs, whether they were text or not."""
    meta.DiscardUnknownFields()
    return hashlib.sha256(meta.graph_def.SerializeToString(deterministic=True)).digest()


def _meta(file: Path) -> Any:
    """The MetaGraphDef in a file, made of its GraphDef where it holds that alone."""
    if file.suffix == ".meta":
        return metagraph.read(file)
    data = metagraph.load(file)
    if metagraph.TEXT.match(data):
        return metagraph.read(file)
    graph = (messages.parse_text if _TEXT.match(data) else messages.parse)("GraphDef", data, file)
    if not graph.node or not all(node.name and node.op for node in graph.node):
        raise DamagedFile(f"{file}: contains no graph; expected a MetaGraph or a GraphDef.")
    meta = messages.message_class("MetaGraphDef")()
    meta.graph_def.CopyFrom(graph)
    return meta
