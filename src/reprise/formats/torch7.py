"""Checkpoints of torch-rnn (`.t7`): a language model as a row of Lua Torch's modules, its vocabulary inside.

Ids start from 1, as Lua counts. Source: torch-rnn's LanguageModel.lua, LSTM.lua and VanillaRNN.lua.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, UnknownFormat
from reprise.formats._base import Format, StoredModel
from reprise.formats._in_a_row import cell_layer, held, in_a_row, layout
from reprise.layers import Layers
from reprise.layers.kinds import Dense, Embedding, Layer
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.wire import torch7
from reprise.wire.torch7 import Object

#: Modules that only lay numbers out, or do nothing when a model is used.
_PASSED = frozenset({"nn.View", "nn.Dropout", "nn.Reshape", "nn.Identity", "nn.Copy", "nn.Contiguous"})


def sniff(path: Path) -> str | None:
    """Evidence of a file of Lua Torch: it begins as a table or an object in binary form, and names a module."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    return "it begins as Lua Torch's binary files do" if torch7.begins(head) and b"V 1" in head else None


def read(path: Path) -> StoredModel:
    """The language model in a checkpoint."""
    root = torch7.read(path)
    model = root.get("model") if isinstance(root, dict) else root
    if not isinstance(model, Object) or not isinstance(model.fields, dict):
        raise UnknownFormat(f"{path}: is a file of Lua Torch without a model of torch-rnn in it; such alone are read.")
    net = model.fields.get("net")
    try:
        layers, weights = _layers(list(_modules(net)) if isinstance(net, Object) else [])
    except (KeyError, ValueError, IndexError, AttributeError, TypeError, RecursionError) as error:
        raise DamagedFile(f"{path}: its modules are not those of torch-rnn ({error}). Copy it again.") from error
    vocabulary = _vocabulary(model.fields.get("idx_to_token"))
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        layers=layers,
        weights=weights,
        vocabulary=vocabulary,
        vocabulary_source="the file itself" if vocabulary else "",
        files=(path,),
        notes=("ids start from 1, as Lua counts: 0 is no symbol",),
    )


def _modules(net: Object) -> Iterator[Object]:
    """The modules of a sequence in their order."""
    inner = (net.fields or {}).get("modules")
    if not isinstance(inner, dict):
        yield net
        return
    for number in sorted(k for k in inner if isinstance(k, (int, float))):
        yield from _modules(inner[number])


def _layers(modules: list[Object]) -> tuple[Layers, dict[str, Tensor]]:
    """The layers in a row, and their weights by name.

    Raises:
        ValueError: A module is of another kind.
    """
    layers: list[tuple[str, Layer]] = []
    weights: dict[str, Tensor] = {}
    for number, module in enumerate(m for m in modules if m.name not in _PASSED):
        name = f"{module.name.removeprefix('nn.')}{number}"
        layers.append((name, _layer(module)))
        weights |= {f"{name}.{end}": t for end in ("weight", "bias") if isinstance(t := module.fields.get(end), Tensor)}
    if not any(m.name in ("nn.LSTM", "nn.VanillaRNN") for m in modules):
        raise ValueError("no nn.LSTM or nn.VanillaRNN is among them")
    return in_a_row("int64", (None, None), layers), weights


def _layer(module: Object) -> Layer:
    fields: Mapping[str, Any] = module.fields
    weight = fields["weight"].load()
    if module.name == "nn.LookupTable":  # id 1 is its first row
        return Embedding(held(np.concatenate([np.zeros_like(weight[:1]), weight])))
    bias = fields["bias"].load()
    if module.name == "nn.Linear":
        return Dense(held(weight.T), held(bias))
    stored_as = {"nn.LSTM": "torch-rnn LSTM", "nn.VanillaRNN": "torch-rnn VanillaRNN"}.get(module.name)
    if stored_as is None:
        raise ValueError(f"{module.name} is none of them")
    units = bias.shape[0] // len(layout(stored_as).order)
    return cell_layer(layout(stored_as), weight[:-units], weight[-units:], bias, cell_state_first=True)


def _vocabulary(table: Any) -> Vocabulary | None:
    """Symbols by their numbers from 1; 0 is no text."""
    if not isinstance(table, dict):
        return None
    symbols = [str(table.get(float(k), table.get(k))) for k in range(1, len(table) + 1)]
    return Vocabulary(("", *symbols)) if len(set(symbols)) == len(symbols) and "" not in symbols else None


FORMAT = Format(name="torch-rnn", spec="torch7/File.lua, torch-rnn/LanguageModel.lua", sniff=sniff, read=read)
