"""What the formats of Keras share: configurations as text, and the two ways in which HDF5 holds weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, MissingFile, ReadError
from reprise.formats import _sidecars
from reprise.formats._base import StoredModel
from reprise.layers import Layers
from reprise.layers.keras import LayerWeights, Spec, Tree, Version, in_a_tree, translate, weights_in_order
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.weights.keras import KerasFacts
from reprise.wire import hdf5

_MOST_TEXT = 2**26
#: Where a full model of Keras 1 to 3 keeps its weights in HDF5; weights alone lie at the root.
_INSIDE = "model_weights"
_OBJECTS = ("layers", "_layer_checkpoint_dependencies")


#: The vocabulary of the layers of a model that look texts up, and what is to be said of them.
Inside = tuple[Vocabulary | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A model's description, and the Keras that wrote it."""

    content: Mapping[str, Any]
    version: Version


def configuration(
    text: str | bytes, source: str, version: Any = None, hook: Callable[[dict[str, Any]], Any] | None = None
) -> Configuration:
    """The description in a text, with what `hook` makes of each object of the JSON.

    Raises:
        DamagedFile: It is no JSON, or no description of a model.
    """
    try:
        content = json.loads(text, object_hook=hook)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{source}: its configuration is not JSON ({error}). Copy the file again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("class_name"), str):
        raise DamagedFile(f"{source}: holds no description of a model; expected JSON with class_name and config")
    return Configuration(content, _version(content, version))


def _version(content: Mapping[str, Any], stated: Any) -> Version:
    """The version that is stated, else that which the description's own form tells."""
    found = Version.parse(stated or content.get("keras_version"))
    if found.major or "module" not in content:
        return found
    return Version(2, 13, of_tensorflow=True) if str(content["module"]).startswith("tf_keras") else Version(3, 0)


def read_text(path: Path) -> bytes:
    """The content of a file of text.

    Raises:
        MissingFile: It cannot be read.
        DamagedFile: It is larger than a configuration is.
    """
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise DamagedFile(f"{path}: has {path.stat().st_size} bytes; a configuration has at most {_MOST_TEXT}.")
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}).") from error


def custom_layers(custom: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a caller says of layers, with the content of the JSON files that are named.

    Raises:
        MissingFile: A file cannot be read.
        DamagedFile: It holds no description of a layer or model.
    """
    return {
        name: configuration(read_text(Path(one)), one).content
        if isinstance(one, str) and one.endswith(".json")
        else one
        for name, one in (custom or {}).items()
    }


def layers(found: Configuration, group: hdf5.Group, source: str, custom: Mapping[str, Any] | None) -> Layers:
    """The layers of a model, with the weights in a file.

    Raises:
        DamagedFile: The weights are those of another model.
        LiftError: A layer has no translation.
    """

    def stored(spec: Spec, names: Sequence[str]) -> LayerWeights:
        return weights(group, spec, names, source)

    return translate(found.content, found.version, stored, custom_layers(custom))


def weights(group: hdf5.Group, spec: Spec, names: Sequence[str], source: str) -> LayerWeights:
    """The weights of a model's layers, by their names where all have groups of these, else in the order of the file."""
    root = root_of(group)
    if "layer_names" not in listed(root):
        return in_a_tree(source, spec, tree(root))
    rows = rows_of(root, source)
    wanted = {key: name for key, name in zip(spec.inner, names, strict=True) if spec.inner[key].size}
    if not wanted.keys() or all(rows.get(name) for name in wanted.values()):
        found = {key: rows[name] for key, name in wanted.items()}
    else:
        held = [row for row in rows.values() if row]
        if len(held) != len(wanted):
            raise DamagedFile(
                f"{source}: holds the weights of {len(held)} layers ({', '.join(list(rows)[:8])}), and the model has "
                f"{len(wanted)} with weights ({', '.join(list(wanted.values())[:8])}); they belong to another model"
            )
        found = dict(zip(wanted, held, strict=True))
    inner = {key: weights_in_order(f"layer {wanted[key]!r}", spec.inner[key], row) for key, row in found.items()}
    return LayerWeights(source, {}, inner)


def root_of(group: hdf5.Group) -> hdf5.Group:
    """Where the layers lie: a full model keeps them in a group of their own."""
    return group.groups.get(_INSIDE, group)


def listed(group: hdf5.Group) -> Mapping[str, tuple[str, ...]]:
    """The lists of names of a group; one that is too long for HDF5 is in parts, `layer_names0` and so on."""
    found: dict[str, tuple[str, ...]] = {}
    for name in ("layer_names", "weight_names"):
        value = group.attributes.get(name)
        parts, number = [value] if value is not None else [], 0
        while value is None and f"{name}{number}" in group.attributes:
            parts.append(group.attributes[f"{name}{number}"])
            number += 1
        if parts:
            found[name] = tuple(str(text) for part in parts if isinstance(part, tuple) for text in part)
    return found


def rows_of(root: hdf5.Group, source: str) -> dict[str, tuple[Tensor, ...]]:
    """Layer → its weights in order.

    Raises:
        DamagedFile: A weight that is listed is not there.
    """
    rows: dict[str, tuple[Tensor, ...]] = {}
    for name in listed(root).get("layer_names", ()):
        group = root
        for part in name.split("/"):
            group = group.groups.get(part, hdf5.Group({}, {}, {}))
        names = listed(group).get("weight_names", ())
        found = [(weight, group.tensor(weight)) for weight in names]
        missing = [weight for weight, tensor in found if tensor is None]
        if missing:
            raise DamagedFile(f"{source}: layer {name!r} lists the weight {missing[0]!r}, which is not there")
        rows[name] = tuple(tensor for _, tensor in found if tensor is not None)
    return rows


def tree(group: hdf5.Group) -> Tree:
    """Objects of `.weights.h5`: their tensors in `vars`, other objects in groups of their names."""
    held = group.groups.get("vars", hdf5.Group({}, {}, {}))
    inner = {name: tree(one) for name, one in group.groups.items() if name != "vars"}
    for name in _OBJECTS[1:]:  # Keras 2.12 has its layers in such a group
        if name in inner and "layers" not in inner:
            inner["layers"] = inner[name]
    return Tree(held.tensors, inner)


def named(group: hdf5.Group) -> dict[str, Tensor]:
    """Every weight of the model by a short name, such as `lstm/kernel`; what an optimizer keeps is left out."""
    root = root_of(group)
    if "layer_names" in listed(root):
        rows: dict[str, Tensor] = {}
        for name in listed(root)["layer_names"]:
            inside = root.groups.get(name, hdf5.Group({}, {}, {}))
            rows |= {w: t for w in listed(inside).get("weight_names", ()) if (t := inside.tensor(w)) is not None}
        return rows
    objects = ((key, one) for key, one in tree(root).inner.items() if key != "optimizer")
    return {name: tensor for key, one in objects for name, tensor in _in_roles(one, key)}


def _in_roles(one: Tree, path: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of objects under the roles that their numbers and shapes tell."""
    held = [one.tensors[str(i)] for i in range(len(one.tensors)) if str(i) in one.tensors]
    roles = _roles([len(t.shape) for t in held], path)
    yield from ((f"{path}/{role}", tensor) for role, tensor in zip(roles, held, strict=True))
    for name, inner in one.inner.items():
        yield from _in_roles(inner, f"{path}/{name}")


def _roles(ranks: list[int], path: str) -> tuple[str, ...]:
    """What the weights of an object are: those of a cell, of a dense layer, of an embedding, or numbers."""
    if path.endswith("/cell") and ranks[:2] == [2, 2] and ranks[2:] in ([], [1], [2]):
        return ("kernel", "recurrent_kernel", "bias")[: len(ranks)]
    last = path.rpartition("/")[2]
    if last.startswith("dense") and ranks in ([2], [2, 1]):
        return ("kernel", "bias")[: len(ranks)]
    if last.startswith("embedding") and ranks == [2]:
        return ("embeddings",)
    return tuple(f"vars/{i}" for i in range(len(ranks)))


def facts(group: hdf5.Group) -> KerasFacts:
    """What a file of weights says besides them."""
    root = root_of(group)
    names = listed(root).get("layer_names")
    if names is None:  # only Keras 3 and the last 2 write such files
        layers = tree(root).inner.get("layers", Tree())
        return KerasFacts(
            sigmoid=True, ordered=False, silent=tuple(n for n, one in layers.inner.items() if not _holds(one))
        )
    version = Version.parse(root.attributes.get("keras_version", group.attributes.get("keras_version")))
    inputs = names[:1] if _is_table(root, names[1:2]) else ()  # nothing else stands before a table
    silent = (
        n
        for n in names
        if n not in inputs and not listed(root.groups.get(n, hdf5.Group({}, {}, {}))).get("weight_names")
    )
    return KerasFacts(sigmoid=(version.major, version.minor) >= (2, 3), ordered=True, silent=tuple(silent))


def _is_table(root: hdf5.Group, names: Sequence[str]) -> bool:
    held = [w for n in names for w in listed(root.groups.get(n, hdf5.Group({}, {}, {}))).get("weight_names", ())]
    return len(held) == 1 and held[0].rpartition("/")[2].removesuffix(":0") == "embeddings"


def _holds(one: Tree) -> bool:
    """Whether an object holds weights, the seeds of its random numbers aside."""
    return bool(one.tensors) or any(_holds(inner) for name, inner in one.inner.items() if name != "seed_generator")


def stored(
    path: Path, format: str, evidence: str, group: hdf5.Group, made: Layers | None, files: Sequence[Path], **more: Any
) -> StoredModel:
    """What was read, with the vocabulary that is in it (`inside`) or lies beside it."""
    inside: Inside = more.pop("inside", (None, ()))
    beside = _sidecars.find(path.parent)
    found = beside if inside[0] is None else _sidecars.Sidecar(inside[0], str(path))
    own = (*(made.notes if made is not None else ()), *inside[1])
    return StoredModel(
        path=path,
        format=format,
        evidence=evidence,
        graph=None,
        keras=facts(group) if made is None else None,
        layers=made,
        weights=named(group),
        vocabulary=found.vocabulary,
        vocabulary_source=found.source,
        files=tuple(files),
        notes=(*own, *more.pop("notes", ()), *found.notes),
        **more,
    )


def beside(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """The files of a folder that may belong to a model."""
    try:
        yield from sorted(f for f in folder.iterdir() if f.name.lower().endswith(tuple(suffixes)) and f.is_file())
    except OSError:
        return


def fitting(group: hdf5.Group, path: Path, custom: Mapping[str, Any] | None) -> tuple[Layers, Path] | None:
    """The only description beside weights whose layers they fit, with its layers; or None."""
    found = []
    for file in beside(path.parent, (".json",)):
        try:
            found.append((layers(configuration(read_text(file), str(file)), group, str(path), custom), file))
        except ReadError:
            continue
    return found[0] if len(found) == 1 else None
