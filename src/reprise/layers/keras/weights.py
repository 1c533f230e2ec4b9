"""Which tensors of a file are the weights of which layer.

A layer has weights of its own, each in a role, and other layers inside. Files keep them in one of three ways: in a row
for each layer of the model, those that are trained first (HDF5 of Keras 1 to 3); in a tree of objects with numbers
(`.weights.h5`, `.keras`); in a tree of objects with names (checkpoints of TensorFlow 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reprise.errors import DamagedFile
from reprise.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Spec:
    """The weights that a layer has.

    Attributes:
        trained: Roles of its own weights that are trained, in Keras' order.
        kept: Roles of those that are not.
        inner: Layers inside by the attribute that holds them.
        frozen: Whether all of them count as not trained.
    """

    trained: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    inner: Mapping[str, Spec] = field(default_factory=dict)
    frozen: bool = False

    @property
    def size(self) -> int:
        """How many weights there are."""
        return len(self.trained) + len(self.kept) + sum(spec.size for spec in self.inner.values())

    def roles(self, *, frozen: bool = False) -> Iterator[tuple[tuple[str, ...], bool]]:
        """The path of each weight, and whether it is trained; a layer's own before those of the layers inside."""
        frozen = frozen or self.frozen
        yield from (((role,), not frozen) for role in self.trained)
        yield from (((role,), False) for role in self.kept)
        for name, spec in self.inner.items():
            yield from (((name, *path), trained) for path, trained in spec.roles(frozen=frozen))


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """The weights of a layer: by role, and those of the layers inside."""

    where: str
    own: Mapping[str, Tensor] = field(default_factory=dict)
    inner: Mapping[str, LayerWeights] = field(default_factory=dict)

    def __getitem__(self, role: str) -> Tensor:
        """A weight.

        Raises:
            DamagedFile: The file does not hold it.
        """
        if role not in self.own:
            raise DamagedFile(f"{self.where}: its weight {role!r} is not in the file; other layers were saved")
        return self.own[role]

    def get(self, role: str) -> Tensor | None:
        """A weight, or None."""
        return self.own.get(role)

    def of(self, name: str) -> LayerWeights:
        """Those of a layer inside."""
        return self.inner.get(name, LayerWeights(f"{self.where}/{name}"))


def weights_in_order(where: str, spec: Spec, tensors: Sequence[Tensor]) -> LayerWeights:
    """The weights of a layer in Keras' own order: those that are trained, then the others.

    Raises:
        DamagedFile: There are more or fewer.
    """
    paths = weight_paths(spec)
    if len(paths) != len(tensors):
        found = ", ".join(str(list(t.shape)) for t in tensors[:8])
        raise DamagedFile(
            f"{where}: has {len(paths)} weights by its configuration, and {len(tensors)} are in the file ({found}); "
            "the weights belong to another model"
        )
    return _nested(where, dict(zip(paths, tensors, strict=True)))


def weight_paths(spec: Spec) -> list[tuple[str, ...]]:
    """The path of each weight in Keras' own order: those that are trained, then the others."""
    paths = list(spec.roles())
    return [path for path, trained in paths if trained] + [path for path, trained in paths if not trained]


def _nested(where: str, tensors: Mapping[tuple[str, ...], Tensor]) -> LayerWeights:
    own = {path[0]: tensor for path, tensor in tensors.items() if len(path) == 1}
    names = dict.fromkeys(path[0] for path in tensors if len(path) > 1)
    inner = {
        name: _nested(f"{where}/{name}", {p[1:]: t for p, t in tensors.items() if p[0] == name and len(p) > 1})
        for name in names
    }
    return LayerWeights(where, own, inner)


@dataclass(frozen=True, slots=True)
class Tree:
    """Objects that hold tensors, by number (`0`, `1`, …) or by role, and other objects."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    inner: Mapping[str, Tree] = field(default_factory=dict)


def in_a_tree(where: str, spec: Spec, tree: Tree) -> LayerWeights:
    """The weights of a layer as its objects hold them; a layer inside may be missing where it has none.

    Raises:
        DamagedFile: There are more or fewer.
    """
    roles = (*spec.trained, *spec.kept)
    numbered = [tree.tensors[str(n)] for n in range(len(tree.tensors)) if str(n) in tree.tensors]
    if all(role in tree.tensors for role in roles):
        own = {role: tree.tensors[role] for role in roles}
    elif len(numbered) == len(roles):
        own = dict(zip(roles, numbered, strict=True))
    else:
        raise DamagedFile(
            f"{where}: has the weights {', '.join(roles) or 'none'} by its configuration, {len(tree.tensors)} are in "
            "the file; the weights belong to another model"
        )
    inner = {
        name: in_a_tree(f"{where}/{name}", part, _below(tree, name)) for name, part in spec.inner.items() if part.size
    }
    return LayerWeights(where, own, inner)


def _below(tree: Tree, path: str) -> Tree:
    for name in path.split("/"):
        tree = tree.inner.get(name, Tree())
    return tree
