"""Which files make up the checkpoint that a path means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from reprise.errors import AmbiguousFormat, CallError, MissingFile, ReadError
from reprise.files import is_file, opened, read_whole
from reprise.wire import messages
from reprise.wire.sstable import MAGIC

_SHARD = re.compile(r"(?P<prefix>.+)\.data-\d{5}-of-\d{5}$")
_V1_SHARD = re.compile(r"(?P<prefix>.+)-(\d{5}|\?{5})-of-(?P<count>\d{5})$")
_STEP = re.compile(r"(?P<stem>.*?)-(?P<step>\d+)$")
_PATTERN = re.compile(r"[*?\[]")
_STATE_FILE = "checkpoint"
_MOST_STATE_BYTES = 2**20
#: What `reprise train` writes beside its checkpoints.
_BEST_FILE, _MOST_RECORD_BYTES = "best.json", 2**12
#: Ways to choose among the checkpoints of a folder.
BEST, LAST = "best", "last"


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The files of one checkpoint.

    Attributes:
        prefix: What the names of its parts begin with.
        index: The index of a V2 checkpoint.
        v1: The files of a V1 checkpoint: one, or its shards.
        meta: The graph.
        others: Files of the folder that may hold the graph, where no file says so by its name.
        evidence: Why these files, one clause.
        notes: Choices that were made, for the user.
        choice: Which of several checkpoints of a folder this is, and why; empty where there is no other.
    """

    prefix: Path
    index: Path | None = None
    v1: tuple[Path, ...] = ()
    meta: Path | None = None
    others: tuple[Path, ...] = ()
    evidence: str = ""
    notes: tuple[str, ...] = ()
    choice: str = ""


def locate(path: Path, wanted: str = "") -> tuple[CheckpointFiles, ...]:
    """The checkpoint that `path` means, or none; several for a pattern, or a folder with some of different names.

    Args:
        path: A folder, a prefix, a file, or a pattern.
        wanted: Which checkpoint of a folder: `best`, `last` or a step.

    Raises:
        CallError: One is wanted of a path that names one.
        MissingFile: Half of a checkpoint is there.
        DamagedFile: The state file of the folder cannot be read.
        AmbiguousFormat: The folder holds the graphs of different models, without weights.
    """
    name = path.name
    shard = _SHARD.match(name) or _V1_SHARD.match(name)
    if path.is_dir():
        return _in_folder(path, wanted)
    if name == _STATE_FILE and path.is_file():
        return _in_folder(path.parent, wanted)
    if wanted:
        raise CallError(f"{path}: names one checkpoint. Name its folder to choose by --checkpoint, or leave that out.")
    if shard:
        return _only(_at_prefix(path.with_name(shard["prefix"])))
    if name.endswith(".meta"):
        return _only(_of_meta(path))
    if _PATTERN.search(name) and not path.exists() and path.parent.is_dir():
        return _matching(path)
    return _only(_at_prefix(path.with_name(name.removesuffix(".index"))))


def siblings(place: CheckpointFiles) -> tuple[CheckpointFiles, ...]:
    """The other checkpoints of the folder that are whole, the highest steps first."""
    found = []
    for prefix in reversed(_prefixes(place.prefix.parent)):
        with suppress(MissingFile):
            found += [other for other in _only(_at_prefix(prefix)) if prefix != place.prefix]
    return tuple(found)


def _only(place: CheckpointFiles | None) -> tuple[CheckpointFiles, ...]:
    return () if place is None else (place,)


def _matching(pattern: Path) -> tuple[CheckpointFiles, ...]:
    """The checkpoints whose prefix, or the file that stands for it, has a name like `ckpt-*`."""
    alike = [p for p in _prefixes(pattern.parent) if any(fnmatchcase(p.name + e, pattern.name) for e in ("", ".index"))]
    return tuple(place for p in alike if (place := _at_prefix(p)))


def _at_prefix(prefix: Path) -> CheckpointFiles | None:
    index, meta = _beside(prefix, ".index"), _beside(prefix, ".meta")
    v1 = () if is_file(index) else _v1_files(prefix)
    if is_file(index) or v1:
        graph, more = _meta_of(prefix)
        others = () if graph else _graphs(prefix.parent)
        evidence = _clause(v1[0] if v1 else index, graph)
        return CheckpointFiles(prefix, None if v1 else index, v1, graph, others, evidence, more)
    shards = sorted(prefix.parent.glob(f"{_literal(prefix.name)}.data-*-of-*"))
    if shards:
        raise MissingFile(
            f"{index}: not found, though {shards[0].name} is there. "
            "Half a checkpoint was copied; copy the .index file too."
        )
    if is_file(meta) and not prefix.exists():
        return CheckpointFiles(
            prefix, meta=meta, evidence=f"{meta.name} is named as a MetaGraph is", notes=(_no_weights(meta),)
        )
    return None


def _no_weights(meta: Path) -> str:
    return f"{meta.name} holds the graph without weights: no .index and .data files are beside it"


def _clause(tensors: Path, meta: Path | None) -> str:
    return f"{tensors.name} holds tensors, " + (f"{meta.name} the graph" if meta else "no .meta file holds their graph")


def _beside(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _v1_files(prefix: Path) -> tuple[Path, ...]:
    """The files of a V1 checkpoint of this prefix, if there is one.

    Raises:
        MissingFile: Some of its shards are not there.
    """
    if _is_v1(prefix):
        return (prefix,)
    files = sorted(filter(_is_v1, prefix.parent.glob(f"{_literal(prefix.name)}-?????-of-?????")))
    counts = {int(match["count"]) for file in files if (match := _V1_SHARD.match(file.name))}
    if files and counts != {len(files)}:
        raise MissingFile(
            f"{prefix}: found {len(files)} of {max(counts)} shards of the checkpoint. "
            "Half a checkpoint was copied; copy the others too."
        )
    return tuple(files)


def _is_v1(path: Path) -> bool:
    """Whether the file is a table without being the index of a V2 checkpoint."""
    try:
        with opened(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - len(MAGIC)))
            return file.read() == MAGIC
    except OSError:
        return False


def _meta_of(prefix: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The graph of a checkpoint: its own, or that of its name with another step or without."""
    own = _beside(prefix, ".meta")
    if is_file(own):
        return own, ()
    related = _metas(prefix.parent).get(_stem(prefix))
    if related is None:
        return None, ()
    return related, (f"the graph is that of {related.name}; no .meta file has the checkpoint's name",)


def _metas(folder: Path) -> dict[str, Path]:
    """The MetaGraph of the highest step for each name without it."""
    return {_stem(meta.with_suffix("")): meta for meta in sorted(folder.glob("*.meta"), key=_order)}


def _graphs(folder: Path) -> tuple[Path, ...]:
    """The files of a folder that may hold a graph, of each series of MetaGraphs the last."""
    others = (file for file in folder.iterdir() if file.suffix in (".pbtxt", ".pb"))
    return tuple(sorted([*_metas(folder).values(), *others]))


def _of_meta(meta: Path) -> CheckpointFiles | None:
    """The checkpoint that belongs to a `.meta` file, whose name may lack the step."""
    prefix = meta.with_suffix("")
    place = _at_prefix(prefix)
    if place is None or place.index or place.v1 or not is_file(meta):
        return place
    prefixes = _prefixes(meta.parent)
    related = [p for p in prefixes if _stem(p) == _stem(prefix)] or (prefixes if len(prefixes) == 1 else [])
    if not related or _STEP.match(prefix.name):
        return place
    (chosen,), choice = _choose(meta.parent, related)
    found = _at_prefix(chosen)
    return found and replace(_noted(found, choice), meta=meta, others=(), evidence=_clause(chosen, meta))


def _noted(place: CheckpointFiles, choice: str) -> CheckpointFiles:
    return replace(place, notes=(choice, *place.notes), choice=choice) if choice else place


def _in_folder(folder: Path, wanted: str) -> tuple[CheckpointFiles, ...]:
    prefixes = _prefixes(folder)
    if prefixes:
        chosen, choice = _choose(folder, prefixes, wanted)
        return tuple(_noted(place, choice) for prefix in chosen if (place := _at_prefix(prefix)))
    metas = sorted(folder.glob("*.meta"), key=_order)
    if len({_stem(m.with_suffix("")) for m in metas}) > 1:
        raise AmbiguousFormat(f"{folder}: holds the graphs of several models ({listed(metas)}). Name one of the files.")
    shards = sorted(folder.glob("*.data-*-of-*"))
    if metas or shards:
        first = metas[-1].with_suffix("") if metas else Path(_SHARD.sub(r"\g<prefix>", str(shards[0])))
        return _only(_at_prefix(first))
    if (folder / _STATE_FILE).is_file():
        raise MissingFile(
            f"{folder}: its checkpoint file names {_state(folder) or 'nothing'}, which is not here. Copy it too."
        )
    return ()


def _prefixes(folder: Path) -> list[Path]:
    """The checkpoints of a folder, by stem and then by step."""
    v2 = {index.with_suffix("") for index in folder.glob("*.index")}
    others = (p for p in folder.iterdir() if p.suffix not in (".index", ".meta") and p.is_file() and _is_v1(p))
    return sorted({*v2, *(p.with_name(_without_shard(p.name)) for p in others)}, key=_order)


def _without_shard(name: str) -> str:
    match = _V1_SHARD.match(name)
    return match["prefix"] if match else name


def _choose(folder: Path, prefixes: list[Path], wanted: str = "") -> tuple[list[Path], str]:
    """Which of several checkpoints, and why.

    It is the best by validation, where the folder says which that is; else the one that the `checkpoint` file names;
    else the highest step of each name.

    Raises:
        CallError: `wanted` is no way to choose.
        MissingFile: The one that is wanted is not here.
    """
    highest = list({_stem(p): p for p in prefixes}.values())
    if wanted not in ("", BEST, LAST):
        return [_of_step(folder, prefixes, wanted)], ""
    if wanted != LAST and (best := _best(folder, prefixes)):
        others = f"; --checkpoint last is {listed(highest)}" if highest != [best] else ""
        note = f"{best.name} is the best of {len(prefixes)} checkpoints by validation{others}"
        return [best], note if len(prefixes) > 1 else ""
    if wanted == BEST:
        raise MissingFile(f"{folder}: no record says which checkpoint is the best; name a step, or --checkpoint last.")
    if len(prefixes) == 1:
        return prefixes, ""
    named = _state(folder)
    for prefix in prefixes if not wanted else ():
        if prefix.name == named:
            return [prefix], f"{len(prefixes)} checkpoints are here; the checkpoint file names {named}"
    stale = f"; the checkpoint file names {named}, which is not here" if named and not wanted else ""
    steps = ", ".join(p.name for p in highest)
    return highest, f"{len(prefixes)} checkpoints are here, the highest step is {steps}{stale}"


def _of_step(folder: Path, prefixes: list[Path], wanted: str) -> Path:
    found = [p for p in prefixes if (match := _STEP.match(p.name)) and match["step"].lstrip("0") == wanted.lstrip("0")]
    if not wanted.isdecimal():
        raise CallError(f"checkpoint {wanted!r}: expected best, last or the number of a step")
    if len(found) != 1:
        raise MissingFile(
            f"{folder}: {len(found) or 'no'} checkpoints of step {wanted} are here; there are {listed(prefixes)}."
        )
    return found[0]


def _best(folder: Path, prefixes: list[Path]) -> Path | None:
    """The checkpoint that the folder's record of validation names, if it is here."""
    try:
        record = json.loads(read_whole(folder / _BEST_FILE, _MOST_RECORD_BYTES))
        named = f"model.ckpt-{int(record['step'])}"
    except (OSError, ReadError, ValueError, LookupError, TypeError, RecursionError, OverflowError):
        return None
    return next((p for p in prefixes if p.name == named), None)


def _state(folder: Path) -> str:
    """The name in the folder's `checkpoint` file, without its folders, which may be another machine's; or nothing."""
    file = folder / _STATE_FILE
    try:
        text = read_whole(file, _MOST_STATE_BYTES)
    except OSError:
        return ""
    named = messages.parse_text("CheckpointState", text, file).model_checkpoint_path
    return _without_shard(re.split(r"[/\\]", named)[-1])


def _stem(prefix: Path) -> str:
    match = _STEP.match(prefix.name)
    return match["stem"] if match else prefix.name


def _order(prefix: Path) -> tuple[str, int]:
    bare = prefix.with_suffix("") if prefix.suffix == ".meta" else prefix
    match = _STEP.match(bare.name)
    return _stem(bare), int(match["step"]) if match else -1


def listed(paths: Iterable[Path]) -> str:
    names = [p.name for p in paths]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
