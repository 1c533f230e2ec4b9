"""The modules that PyTorch's names of weights tell of, and the one way to put them together.

`weight_ih_l0` and the like tell the kind of a recurrent module, its layers, directions and sizes. A table or a head is
found by its shape. What a state dict does not hold is never guessed: where two ways fit, or something has no place,
that is the reason why there is no model. Source: torch/nn/modules/rnn.py (2.13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from types import MappingProxyType

from reprise.tensors import Tensor

_WEIGHT = re.compile(r"(?:(?P<module>.*)\.)?weight_ih(?:_l0)?")
_KINDS = {4: "LSTM", 3: "GRU", 1: "RNN"}
#: How many recurrent modules are tried in every order.
_MOST_MODULES = 5

State = Mapping[str, Tensor]


class UndecidedModulesError(Exception):
    """Why a state dict gives no model, and what is missing."""


@dataclass(frozen=True, slots=True)
class RecurrentModule:
    """A recurrent module.

    Attributes:
        name: Its place in the model, such as `encoder.lstm`.
        kind: `LSTM`, `GRU` or `RNN`.
        inputs: D, the size of its input.
        units: H.
        layers: How many of them lie on each other.
        directions: 2 where it also reads from the end.
        is_cell: Whether it is one cell, whose states have no axis of layers.
        relu: Whether a plain RNN has relu instead of tanh.
        weights: Its tensors by PyTorch's names, those of a cell as if they were of layer 0.
        projection: LSTM: P, the size of h where that is not H; 0 where it is.
    """

    name: str
    kind: str
    inputs: int
    units: int
    layers: int
    directions: int
    is_cell: bool
    relu: bool
    weights: Mapping[str, Tensor]
    projection: int = 0

    @property
    def outputs(self) -> int:
        """The size of its output."""
        return (self.projection or self.units) * self.directions


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of an embedding [V, E], or the weights of a dense layer [O, D] with a bias or without."""

    name: str
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class ModuleChain:
    """A model as modules one after the other.

    Attributes:
        embedding: The table of its ids, None where it takes features.
        recurrent: Its recurrent modules.
        heads: Dense layers, each of which reads what comes before them.
        notes: What is taken to be so.
        between: Dense layers one after the other between the recurrent modules and the heads, each with ATen's name of
            the activation behind it.
    """

    embedding: Matrix | None
    recurrent: tuple[RecurrentModule, ...]
    heads: tuple[Matrix, ...]
    notes: tuple[str, ...]
    between: tuple[tuple[Matrix, str], ...] = ()


def chain_of(state: State, attributes: Mapping[str, Mapping[str, object]], activation: str = "") -> ModuleChain:
    """The one way to put the modules of a state dict together.

    Args:
        state: Tensors by PyTorch's names.
        attributes: What is known of modules beside their weights, by their names.
        activation: That of a plain RNN, `tanh` or `relu`, where its attributes do not tell.

    Raises:
        UndecidedError: There is none, or more than one.
    """
    found = [recurrent_of(name, state, attributes.get(name, {}), activation) for name in _recurrent_names(state)]
    if not found:
        raise UndecidedModulesError("no weights of an LSTM, GRU or RNN (weight_ih, weight_hh) are among its tensors")
    used = {_full(r.name, n, is_cell=r.is_cell) for r in found for n in r.weights}
    matrices, left = _matrices({name: t for name, t in state.items() if name not in used})
    ordered = _in_order(found)
    embedding, heads = _around(ordered, matrices)
    placed = {m.name for m in (*heads, *([embedding] if embedding else []))}
    left += [m.name for m in matrices if m.name not in placed]
    if left:
        raise UndecidedModulesError(
            f"{_described(ordered)}; these cannot be placed with certainty beside it: {_listed(left)}. The file "
            "has weights alone, not the order in which they are used. Where the model's code is at hand, save what it "
            "computes: torch.jit.script(model).save(file), or torch.export.save"
        )
    return ModuleChain(embedding, ordered, heads, _notes(ordered, heads))


# Recurrent modules


def _recurrent_names(state: State) -> list[str]:
    return [m["module"] or "" for name in state if (m := _WEIGHT.fullmatch(name)) is not None]


def is_recurrent(state: Iterable[str]) -> bool:
    """Whether names of tensors tell of a recurrent module."""
    return any(_WEIGHT.fullmatch(name) for name in state)


def recurrent_of(
    name: str, state: State, attributes: Mapping[str, object] = MappingProxyType({}), activation: str = ""
) -> RecurrentModule:
    """A recurrent module by the names of its weights.

    Args:
        name: Its place in the model.
        state: Tensors by PyTorch's names.
        attributes: What is known of it beside its weights.
        activation: That of a plain RNN, where its attributes do not tell.

    Raises:
        UndecidedError: Its weights have sizes that no such module has.
    """
    is_cell = _full(name, "weight_ih_l0", is_cell=False) not in state
    weights = dict(_named(name, state, is_cell=is_cell))
    first, recurrent = weights["weight_ih_l0"].shape, weights.get("weight_hh_l0")
    projected = weights.get("weight_hr_l0")
    units = (recurrent if projected is None else projected).shape[-1] if recurrent is not None else 0
    if not units or len(first) != 2 or first[0] % units:
        raise UndecidedModulesError(
            f"the weights of {name or 'the recurrent module'} have sizes that no LSTM, GRU or RNN has"
        )
    projection, gates = 0 if projected is None else projected.shape[0], first[0] // units
    if gates not in _KINDS or (projection and gates != 4):
        raise UndecidedModulesError(
            f"{name or 'the recurrent module'} has {gates} gates, which no LSTM, GRU or RNN has"
        )
    layers = len({n for n in weights if re.fullmatch(r"weight_ih_l\d+", n)})
    directions = 2 if "weight_ih_l0_reverse" in weights else 1
    relu = gates == 1 and _nonlinearity(name, attributes, activation) == "relu"
    made = RecurrentModule(name, _KINDS[gates], first[1], units, layers, directions, is_cell, relu, weights, projection)
    _check_sizes(made, gates)
    return made


def _named(name: str, state: State, *, is_cell: bool) -> Iterator[tuple[str, Tensor]]:
    """The weights of a module by their last names; those of a cell as of layer 0."""
    pattern = r"(?:weight|bias)_(?:ih|hh|hr)" + ("" if is_cell else r"_l\d+(?:_reverse)?")
    for full, tensor in state.items():
        module, _, last = full.rpartition(".")
        if module == name and re.fullmatch(pattern, last):
            yield (f"{last}_l0" if is_cell else last), tensor


def _full(name: str, last: str, *, is_cell: bool) -> str:
    own = last.removesuffix("_l0") if is_cell else last
    return f"{name}.{own}" if name else own


def _nonlinearity(name: str, attributes: Mapping[str, object], activation: str) -> str:
    mode = str(attributes.get("nonlinearity") or attributes.get("mode") or activation).lower()
    for known in ("relu", "tanh"):
        if mode.endswith(known):
            return known
    raise UndecidedModulesError(
        f"{name or 'its module'} is a plain RNN, and its weights do not tell whether with tanh or relu. Say it: "
        'cell={"activation": "tanh"} (--cell activation=tanh)'
    )


def _check_sizes(module: RecurrentModule, gates: int) -> None:
    """Every layer must have the sizes that the first one tells."""
    for layer in range(module.layers):
        inputs = module.inputs if layer == 0 else module.outputs
        for end in ("", "_reverse")[: module.directions]:
            sizes = {
                f"weight_ih_l{layer}{end}": (gates * module.units, inputs),
                f"weight_hh_l{layer}{end}": (gates * module.units, module.projection or module.units),
                f"bias_ih_l{layer}{end}": (gates * module.units,),
                f"bias_hh_l{layer}{end}": (gates * module.units,),
            }
            if module.projection:
                sizes[f"weight_hr_l{layer}{end}"] = (module.projection, module.units)
            for name, wanted in sizes.items():
                found = module.weights.get(name)
                if found is None and name.startswith("bias"):
                    continue
                if found is None or found.shape != wanted:
                    raise UndecidedModulesError(
                        f"{name} of {module.name or module.kind}: expected shape {list(wanted)}, found "
                        f"{'none' if found is None else list(found.shape)}"
                    )


# Tables and heads


def _matrices(state: State) -> tuple[list[Matrix], list[str]]:
    """Pairs of a matrix and its bias, and the names of what is none."""
    found = [
        Matrix(name.removesuffix(".weight"), tensor, state.get(name.removesuffix("weight") + "bias"))
        for name, tensor in state.items()
        if (name.endswith(".weight") or name == "weight") and len(tensor.shape) == 2
    ]
    used = {f"{m.name}.{end}" if m.name != "weight" else end for m in found for end in ("weight", "bias")}
    return found, [name for name in state if name not in used]


def _in_order(found: Sequence[RecurrentModule]) -> tuple[RecurrentModule, ...]:
    """Modules so that each reads what the one before it gives; members of one list in the order of their numbers."""
    if len(found) > _MOST_MODULES and not _is_list(found):
        raise UndecidedModulesError(
            f"it has {len(found)} recurrent modules ({_listed([r.name for r in found])}), in what order?"
        )
    if _is_list(found):
        found = sorted(found, key=lambda r: int(r.name.rpartition(".")[2]))
        orders = [tuple(found)] if _fits(found) else []
    else:
        orders = [order for order in permutations(found) if _fits(order)]
    if len(orders) != 1:
        raise UndecidedModulesError(
            f"its recurrent modules ({_listed([r.name or r.kind for r in found])}) can be put one after the other in "
            f"{len(orders)} ways by their sizes"
        )
    return orders[0]


def _is_list(found: Sequence[RecurrentModule]) -> bool:
    """Whether modules are members of one list (`nn.ModuleList`), which is numbered in its order."""
    names = [r.name.rpartition(".") for r in found]
    return len(found) > 1 and len({n[0] for n in names}) == 1 and all(n[2].isdecimal() for n in names)


def _fits(order: Sequence[RecurrentModule]) -> bool:
    return all(a.outputs == b.inputs for a, b in pairwise(order))


def _around(order: Sequence[RecurrentModule], matrices: Sequence[Matrix]) -> tuple[Matrix | None, tuple[Matrix, ...]]:
    """The table before the recurrent modules, and the heads behind them.

    Raises:
        UndecidedError: A matrix could be either, or heads could lie on each other.
    """
    tables = [m for m in matrices if m.bias is None and m.weight.shape[1] == order[0].inputs]
    heads = [m for m in matrices if m.weight.shape[1] == order[-1].outputs and m not in tables]
    if len(tables) == 2 and not heads and tables[0].weight.source == tables[1].weight.source:
        tables, heads = tables[:1], tables[1:]  # tied: one tensor under two names
    if len(tables) > 1:
        raise UndecidedModulesError(
            f"{_listed([m.name for m in tables])} may each be the table of its ids or a head without bias"
        )
    sizes = {m.weight.shape[0] for m in heads}
    if len(heads) > 1 and order[-1].outputs in sizes:
        raise UndecidedModulesError(f"{_listed([m.name for m in heads])} may read the recurrent module or each other")
    return (tables[0] if tables else None), tuple(heads)


def _notes(order: Sequence[RecurrentModule], heads: Sequence[Matrix]) -> tuple[str, ...]:
    names = [r.name or r.kind for r in order] + [m.name for m in heads]
    return (
        _described(order),
        f"weights alone: nothing is taken to stand between {_listed(names)}, such as an activation or a connection "
        "around them",
    )


def _described(modules: Sequence[RecurrentModule]) -> str:
    """What recurrent modules are: kind, layers and sizes."""
    parts = []
    for m in modules:
        layers = "" if m.is_cell else f" of {m.layers} layer{'s' if m.layers > 1 else ''}"
        both = ", in both directions" if m.directions == 2 else ""
        projected = f", projected to {m.projection}" if m.projection else ""
        kind = f"{m.kind} cell" if m.is_cell else m.kind
        parts.append(
            f"{m.name or 'it'} is {'a' if m.kind == 'GRU' else 'an'} {kind}{layers}, {m.inputs} numbers in, "
            f"{m.units} units{projected}{both}"
        )
    return "; ".join(parts)


def _listed(names: Iterable[str], most: int = 8) -> str:
    known = list(names)
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")
