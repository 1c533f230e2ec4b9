"""Weights that Keras saved alone: what their names and shapes tell of the layers, and what has to be taken for granted.

Keras keeps the kernel of a cell's input and that of its output apart, so shapes tell LSTM (4 matrices side by side),
GRU (3; with two biases it resets after the product) and plain RNN (1). They do not tell activations, masks, what layers
without weights do, or whether all outputs of the last cell are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from reprise import cells
from reprise.errors import AmbiguousInterface, CallError
from reprise.graph import Value
from reprise.layers import Call, Layers
from reprise.layers.kinds import ActivationFunction, Dense, Embedding, GateWeights, Input, Recurrent, RecurrentCell
from reprise.tensors import Tensor

_KINDS = {4: "lstm", 3: "gru", 1: "rnn"}
_NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
#: Layers without weights that do nothing when a model is used, by the names that Keras gives them.
_HARMLESS = re.compile(r"(input|input_layer|keras_tensor|(spatial_)?dropout(1d|2d)?|gaussian_(noise|dropout))(_\d+)?")
_FUNCTIONS = {name: ActivationFunction(name) for name in ("tanh", "sigmoid", "relu", "softsign", "linear")}
_SLOPES = {"hard_sigmoid": 0.2, "hard_sigmoid_3": 1 / 6}


@dataclass(frozen=True, slots=True)
class KerasFacts:
    """What a file says besides its weights.

    Attributes:
        sigmoid: Whether its version of Keras has a plain sigmoid for gates where nobody says otherwise.
        ordered: Whether the weights are in the order of the layers.
        silent: The names of layers without weights; None for one that the file counts and does not name.
    """

    sigmoid: bool
    ordered: bool
    silent: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """The weights of one layer."""

    name: str
    tensors: Mapping[str, Tensor]

    @property
    def kind(self) -> str:
        """`lstm`, `gru`, `rnn`, `dense`, `table`, or empty."""
        held = self.tensors
        if "recurrent_kernel" in held and held.keys() <= {"kernel", "recurrent_kernel", "bias"}:
            units, wide = (*held["recurrent_kernel"].shape, 0)[:2]
            return _KINDS.get(wide // units if units and wide % units == 0 else 0, "")
        if held.keys() == {"embeddings"}:
            return "table"
        plain = held.keys() <= {"kernel", "bias"} and "kernel" in held and len(held["kernel"].shape) == 2
        return "dense" if plain else ""

    @property
    def sizes(self) -> tuple[int, int]:
        """How wide what it reads and what it gives is."""
        kernel = self.tensors.get("kernel", self.tensors.get("embeddings"))
        rows, columns = (1, 1) if kernel is None else kernel.shape
        inner = self.tensors.get("recurrent_kernel")
        return rows, columns if inner is None else inner.shape[0]


def groups(weights: Mapping[str, Tensor]) -> list[_Group]:
    """The layers that hold the weights, in their order."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in weights.items():
        scope, _, role = name.rpartition("/")
        found.setdefault(scope, {})[role.removesuffix(":0")] = tensor
    return [_Group(scope, tensors) for scope, tensors in found.items()]


def is_of_keras(weights: Mapping[str, Tensor]) -> bool:
    """Whether some layer has a kernel for its own output apart."""
    return any("recurrent_kernel" in group.tensors for group in groups(weights))


def layers(weights: Mapping[str, Tensor], facts: KerasFacts, cell: Mapping[str, Any] | None) -> Layers:
    """The model that these weights are: a table or none, cells one on the other, dense layers that read the last cell.

    Raises:
        CallError: `cell` says something else than the shapes, or what cannot be said.
        AmbiguousInterface: The layers cannot be told by names and shapes, or it must be said what they do.
    """
    held = groups(weights)
    unknown = [g for g in held if not g.kind]
    if unknown:
        shown = ", ".join(f"{role} {list(t.shape)}" for role, t in unknown[0].tensors.items())
        raise AmbiguousInterface(
            f"weights alone: {unknown[0].name!r} ({shown}) is not an embedding, recurrent or dense layer; what it does "
            "is in the configuration: name the file that holds it (--layers)"
        )
    chain = _chain(held, facts)
    gates = _gates(chain, facts, cell)
    silent = [name for name in facts.silent if name is None or not _HARMLESS.fullmatch(name)]
    if silent and cell is None:
        named = ", ".join(repr(name) for name in silent if name) or f"{len(silent)} that the file does not name"
        raise AmbiguousInterface(
            f"weights alone: what the layers without weights do is in the configuration ({named}): name the file that "
            f"holds it (--layers), or say that they do nothing and what the cells are (--cell {_example(chain)})"
        )
    source = "said by the caller" if cell else "taken for granted, as Keras has it by default"
    parts = [_layer_clause(group) for group in chain if group.kind != "dense"]
    parts += filter(None, [" and ".join(_layer_clause(group) for group in chain if group.kind == "dense")])
    notes = (
        f"no configuration was saved; the weights are read as {' → '.join(parts)}",
        f"{source}: {gates.clause}; no masks, all steps are given, scores before any activation of the last layer; "
        "name the configuration (--layers) to be certain",
    )
    ends = [group.name for group in chain if group.kind == "dense"] or [chain[-1].name]
    return Layers(tuple(_calls(chain, gates)), tuple(map(Value, ends)), notes)


def _layer_clause(group: _Group) -> str:
    read, given = group.sizes
    return f"{_NAMES.get(group.kind, group.kind)} {read} → {given} ({group.name})"


def _chain(held: Sequence[_Group], facts: KerasFacts) -> list[_Group]:
    """The layers in an order in which each reads what the one before gives.

    Raises:
        AmbiguousInterface: There is none, or more than one.
    """
    given = [list(held)] if _fits(held) else []
    found = given if facts.ordered else list(_orders([], list(held)))
    if len(found) != 1:
        these = ", ".join(_layer_clause(g) for g in held[:8])
        many = "can stand in several orders" if found else "do not fit one on the other"
        raise AmbiguousInterface(
            f"weights alone: the layers {many} as a table, cells and dense layers that read the last of them "
            f"({these}): name the file with the configuration (--layers)"
        )
    return found[0]


def _orders(before: list[_Group], left: list[_Group]) -> Iterator[list[_Group]]:
    if not left:
        yield before
    for group in left if len(left) < 12 else ():
        behind = before and before[-1].kind == group.kind == "dense"  # which of two outputs is the first tells nothing
        if behind and group.name < before[-1].name:
            continue
        if _fits([*before, group], whole=len(left) == 1):
            yield from _orders([*before, group], [g for g in left if g is not group])


def _fits(chain: Sequence[_Group], *, whole: bool = True) -> bool:
    """Whether the layers are a table or none, cells, and dense layers, of the right widths.

    Several dense layers all read the last cell; they could also follow one another where one is as wide as that.
    """
    letters = "".join({"table": "t", "dense": "d"}.get(g.kind, "c") for g in chain)
    if not re.fullmatch("t?c+d*" if whole else "t?c*d*", letters):
        return False
    row = [g for g in chain if g.kind != "dense"]
    heads = chain[len(row) :]
    width = row[-1].sizes[1] if row else None
    many = len(heads) > 1 and any(head.sizes[1] == width for head in heads)
    return (
        all(a.sizes[1] == b.sizes[0] for a, b in pairwise(row)) and all(h.sizes[0] == width for h in heads) and not many
    )


@dataclass(frozen=True, slots=True)
class _Functions:
    """The activations of all cells, and in words."""

    gate: ActivationFunction
    inner: ActivationFunction
    clause: str


def _gates(chain: Sequence[_Group], facts: KerasFacts, cell: Mapping[str, Any] | None) -> _Functions:
    if cell is None:
        if not facts.sigmoid:
            raise AmbiguousInterface(
                "weights alone: gates have a hard sigmoid by default in the Keras that may have saved them, and a "
                f"sigmoid where somebody chose it: say which (--cell {_example(chain)}, or "
                "recurrent_activation=sigmoid), or name the file with the configuration (--layers)"
            )
        return _Functions(
            ActivationFunction("sigmoid"), ActivationFunction("tanh"), "recurrent activation sigmoid, activation tanh"
        )
    kinds = {g.kind for g in chain if g.kind in _NAMES}
    unknown = sorted(cell.keys() - {"kind", "activation", "recurrent_activation"})
    if unknown or cell.get("kind") not in kinds or len(kinds) > 1:
        what = f"{', '.join(unknown)} is not known" if unknown else f"kind is {cell.get('kind')}"
        raise CallError(
            f"cell: {what}; of weights that Keras saved, of {', '.join(sorted(kinds))}, say {_example(chain)}"
        )
    gate, inner = (
        _function(cell, key, default) for key, default in (("recurrent_activation", ""), ("activation", "tanh"))
    )
    return _Functions(gate, inner, ", ".join(f"{k} {v}" for k, v in cell.items()))


def _function(cell: Mapping[str, Any], key: str, default: str) -> ActivationFunction:
    name = cell.get(key, default or ("sigmoid" if cell.get("kind") == "rnn" else None))
    if name in _SLOPES:
        return ActivationFunction("hard_sigmoid", (_SLOPES[name], 0.5))
    if name not in _FUNCTIONS:
        known = ", ".join((*_FUNCTIONS, *_SLOPES))
        raise CallError(f"cell: {key} is {name!r}; expected one of {known} (hard_sigmoid is that of Keras 1 and 2)")
    return _FUNCTIONS[name]


def _example(chain: Sequence[_Group]) -> str:
    kind = next((g.kind for g in chain if g.kind in _NAMES), "lstm")
    gate = "" if kind == "rnn" else ",recurrent_activation=hard_sigmoid"
    return f"kind={kind}{gate},activation=tanh"


def _calls(chain: Sequence[_Group], gates: _Functions) -> Iterator[Call]:
    first = chain[0]
    name = "inputs"
    while any(g.name == name for g in chain):
        name += "_"
    dtype = next(iter(first.tensors.values())).dtype
    ids = first.kind == "table"
    yield Call(name, Input("int32", (None, None)) if ids else Input(dtype, (None, None, first.sizes[0])))
    for group in chain:
        held = group.tensors
        if group.kind == "table":
            layer: Embedding | Dense | Recurrent = Embedding(held["embeddings"])
        elif group.kind == "dense":
            layer = Dense(held["kernel"], held.get("bias"))
        else:
            layer = Recurrent((_cell(group, gates),))
        yield Call(group.name, layer, (Value(name),))
        name = name if group.kind == "dense" else group.name


def _cell(group: _Group, gates: _Functions) -> RecurrentCell:
    held, bias = group.tensors, group.tensors.get("bias")
    order = {"lstm": "ifco", "gru": "zrc", "rnn": "c"}[group.kind]
    two = bias is not None and len(bias.shape) == 2
    biases = (_row(bias, 0), _row(bias, 1)) if two and bias is not None else (bias, None)
    block = GateWeights(order, held["kernel"], held["recurrent_kernel"], *biases)
    if group.kind == "lstm":
        return RecurrentCell(cells.LSTM, (block,), (gates.gate, gates.inner, gates.inner))
    if group.kind == "rnn":
        return RecurrentCell(cells.RNN, (block,), (gates.inner,))
    return RecurrentCell(cells.GRU_RESET_AFTER if two else cells.GRU, (block,), (gates.gate, gates.inner))


def _row(tensor: Tensor, index: int) -> Tensor:
    return Tensor(tensor.dtype, tensor.shape[1:], lambda: tensor.load()[index], tensor.source)
