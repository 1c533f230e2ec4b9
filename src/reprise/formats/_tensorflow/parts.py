"""One model in several checkpoints: a program may save its parts by savers of their own.

Checkpoints are parts of one model where no tensor is in two of them, and together they fill the variables of a graph
that none of them fills alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from reprise.errors import AmbiguousFormat, ReadError
from reprise.formats._tensorflow import beside, tensor_bundle, v1
from reprise.formats._tensorflow.beside import GraphBeside
from reprise.formats._tensorflow.checkpoint_files import CheckpointFiles, listed, siblings
from reprise.formats._tensorflow.tensor_bundle import Bundle
from reprise.formats._tensorflow.variables import unfilled
from reprise.tensors import Tensor

#: A folder with more checkpoints is one of steps, not of parts.
_MOST = 64


def read(path: Path, checkpoints: Sequence[CheckpointFiles], graph: Path | None) -> tuple[Bundle, GraphBeside]:
    """The tensors that `path` means and their graph; those of several checkpoints where they are parts of one model.

    Args:
        path: What the user named.
        checkpoints: The checkpoints that it means; at least one.
        graph: The file of the graph, where the user named it.

    Raises:
        AmbiguousFormat: Several checkpoints are meant, and they are not parts of one model.
        ReadError: As the readers of the parts.
    """
    if len(checkpoints) > 1:
        return _together(path, checkpoints, graph)
    one = checkpoints[0]
    bundle = bundle_of(one)
    found = _graph(one, graph, bundle.tensors)
    if _is_whole(found) or not bundle.tensors:
        return bundle, found
    parts = _disjoint(bundle, _readable(siblings(one)))
    joint = _union([bundle, *parts])
    together = _graph(one, graph, joint.tensors)
    if not parts or not _is_whole(together):
        return bundle, found
    return _noted(_union([bundle, *_used(parts, together)]), together)


def bundle_of(one: CheckpointFiles) -> Bundle:
    """The tensors of one checkpoint."""
    if one.v1:
        return v1.read(one.v1)
    if one.index:
        return tensor_bundle.read(one.prefix, may_lack_data=one.meta is not None)
    return tensor_bundle.NOTHING


def _together(path: Path, checkpoints: Sequence[CheckpointFiles], graph: Path | None) -> tuple[Bundle, GraphBeside]:
    bundles = list(_readable(checkpoints))
    alone = any(_is_whole(_graph(p, graph, b.tensors)) for p, b in zip(checkpoints, bundles, strict=False))
    if len(bundles) == len(checkpoints) and not alone and not _shared(bundles):
        joint = _union(bundles)
        for one in checkpoints:
            found = _graph(one, graph, joint.tensors)
            if _is_whole(found):
                return _noted(_union(_used(bundles, found)), found)
    raise AmbiguousFormat(
        f"{path}: holds checkpoints of several models ({listed(c.prefix for c in checkpoints)}). Name one of them; or, "
        "if they are parts of one, the file of its graph too (--graph)."
    )


def _readable(checkpoints: Sequence[CheckpointFiles]) -> Iterator[Bundle]:
    """The tensors of those checkpoints that are whole."""
    for one in checkpoints[:_MOST]:
        if one.index or one.v1:
            with suppress(ReadError):
                yield bundle_of(one)


def _graph(one: CheckpointFiles, graph: Path | None, tensors: Mapping[str, Tensor]) -> GraphBeside:
    named = graph or one.meta
    return beside.read(named, tensors) if named else beside.find(one.prefix, one.others, tensors)


def _is_whole(found: GraphBeside) -> bool:
    """Whether the variables of a graph have all their tensors."""
    content = found.content
    return (
        content.graph is not None
        and bool(content.variable_names)
        and not unfilled(content.graph, content.variable_names)
    )


def _disjoint(first: Bundle, others: Iterable[Bundle]) -> list[Bundle]:
    """Those of the others that share no tensor with the first, nor with one before."""
    taken, found = set(first.tensors), []
    for other in others:
        if taken.isdisjoint(other.tensors):
            taken |= other.tensors.keys()
            found.append(other)
    return found


def _shared(bundles: Sequence[Bundle]) -> bool:
    return any(not a.tensors.keys().isdisjoint(b.tensors) for a, b in combinations(bundles, 2))


def _used(bundles: Iterable[Bundle], found: GraphBeside) -> list[Bundle]:
    """Those of which the graph has a tensor."""
    names = set(found.content.variable_names.values())
    return [bundle for bundle in bundles if not names.isdisjoint(bundle.tensors)]


def _union(bundles: Sequence[Bundle]) -> Bundle:
    return Bundle(
        {name: tensor for bundle in bundles for name, tensor in bundle.tensors.items()},
        tuple(file for bundle in bundles for file in bundle.files),
        tuple(dict.fromkeys(note for bundle in bundles for note in bundle.notes)),
    )


def _noted(joint: Bundle, found: GraphBeside) -> tuple[Bundle, GraphBeside]:
    firsts = [file for file in joint.files if ".data-" not in file.name]
    note = f"one model in several checkpoints: {listed(f.with_name(f.name.removesuffix('.index')) for f in firsts)}"
    return joint, found._replace(notes=(*found.notes, note))
