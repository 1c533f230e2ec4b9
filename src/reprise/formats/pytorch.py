"""Files of `torch.save`: state dicts, alone or in a checkpoint, and pickled modules; read without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reprise.errors import AmbiguousFormat, DamagedFile
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.modules import is_recurrent
from reprise.formats._torch.state import with_model
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.wire import torch
from reprise.wire.pickle import Record

State = dict[str, Tensor]
#: The name of a state dict in its file, its tensors, and what is known of modules beside their weights.
_Found = tuple[str, State, dict[str, dict[str, Any]]]
#: How deep in a checkpoint a state dict is looked for.
_DEPTH = 3


def sniff(path: Path) -> str | None:
    """Evidence of a file of `torch.save`: the names of its archive, or the number that older files begin with."""
    if not path.is_file():
        return None
    if torch.is_program(path):
        return None
    if torch.is_archive(path):
        return "its archive has the members that torch.save writes"
    return "it begins with the number that torch.save wrote before version 1.6" if torch.is_legacy(path) else None


def read(path: Path, *, cell: Mapping[str, Any] | None = None) -> StoredModel:
    """The state dict in a file, and the model that its names and shapes decide.

    Args:
        path: The file.
        cell: What weights do not hold: `{"activation": "relu"}` of a plain RNN; `{"model": "actor"}`, which of several.
    """
    archive = torch.read(path)
    found = list(_state_dicts(archive.root, "", _DEPTH))
    name, state, attributes = _state_dict(path, found, str((cell or {}).get("model", "")))
    models = [n for n, tensors, _ in found if any(key.endswith("weight") for key in tensors)]
    others = ", ".join(repr(n) for n in models if n != name)
    vocabulary = _sidecars.within(archive.root) or _alphabet(archive.root, state)
    beside = _sidecars.find(path.parent) if vocabulary is None else _sidecars.Sidecar(vocabulary, "the file itself")
    stored = beside.model(
        path, FORMAT, notes=((f"read {name!r}; the file holds {others} too",) if others else ()), weights=state
    )
    return with_model(stored, state, name=name, attributes=attributes, cell=cell)


def _alphabet(root: Any, state: State) -> Vocabulary | None:
    """Text beside the weights that has every character once, and as many as a matrix has rows: the symbols in order."""
    rows = {t.shape[0] for t in state.values() if len(t.shape) == 2}
    texts = [v for v in root.values() if isinstance(v, str)] if isinstance(root, dict) else []
    found = [text for text in texts if len(set(text)) == len(text) in rows]
    return Vocabulary(tuple(found[0])) if len(found) == 1 else None


def _state_dict(path: Path, found: Sequence[_Found], wanted: str) -> _Found:
    """The name, tensors and known attributes of the one state dict of a recurrent model, else of the largest.

    Raises:
        DamagedFile: There is none.
        AmbiguousFormat: There are several, or none of the wanted name.
    """
    largest = max((len(state) for _, state, _ in found), default=0)
    best = [entry for entry in found if is_recurrent(entry[1])] or [e for e in found if len(e[1]) == largest]
    if not best:
        raise DamagedFile(f"{path}: holds no state dict; it is a PyTorch file of something else than a model")
    if wanted or len(best) > 1:
        best = _chosen(path, best, wanted)
    return best[0]


def _chosen(path: Path, found: Sequence[_Found], wanted: str) -> list[_Found]:
    """The one of several models that the caller names."""
    chosen = [entry for entry in found if entry[0] == wanted]
    if not chosen:
        names = ", ".join(repr(name) for name, _, _ in found)
        raise AmbiguousFormat(
            f"{path}: holds several models ({names}){f', and none is called {wanted!r}' if wanted else ''}. Say which: "
            f'cell={{"model": "{found[0][0]}"}} (--cell model={found[0][0]}).'
        )
    return chosen


def _state_dicts(value: Any, name: str, depth: int) -> Iterator[tuple[str, State, dict[str, dict[str, Any]]]]:
    """Mappings from names to tensors, and modules as such; what an optimizer keeps is neither."""
    if isinstance(value, Record) and isinstance(value.state, dict) and "_modules" in value.state:
        attributes: dict[str, dict[str, Any]] = {}
        yield name, dict(_of_module(value, "", attributes, depth=32)), attributes
    elif isinstance(value, dict):
        tensors = {k: t for k, t in value.items() if isinstance(k, str) and isinstance(t, Tensor)}
        if tensors:
            yield name, tensors, {}
        elif depth:
            for key, inner in value.items():
                yield from _state_dicts(inner, f"{name}.{key}" if name else str(key), depth - 1)


def _of_module(
    module: Record, name: str, attributes: dict[str, dict[str, Any]], depth: int
) -> Iterator[tuple[str, Tensor]]:
    """The parameters and buffers of a pickled module and of those within, by the names that a state dict has."""
    held: dict[str, Any] = module.state
    attributes[name] = {k: v for k, v in held.items() if isinstance(v, (str, int, float, bool))}
    for kind in ("_parameters", "_buffers"):
        for key, tensor in (held.get(kind) or {}).items():
            if isinstance(tensor, Tensor):
                yield (f"{name}.{key}" if name else key), tensor
    for key, inner in (held.get("_modules") or {}).items():
        if depth and isinstance(inner, Record) and isinstance(inner.state, dict):
            yield from _of_module(inner, f"{name}.{key}" if name else str(key), attributes, depth - 1)


FORMAT = Format(
    name="PyTorch",
    spec="torch/serialization.py",
    sniff=sniff,
    read=read,
    choices=("cell",),
)
