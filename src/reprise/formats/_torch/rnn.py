"""What a checkpoint of torch-rnn holds: a row of Lua Torch's modules, and its vocabulary.

Source: torch-rnn's LanguageModel.lua, LSTM.lua and VanillaRNN.lua.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reprise.formats._in_a_row import cell_layer, float_tensor, in_a_row, layout
from reprise.layers import Layers
from reprise.layers.kinds import Dense, Embedding, Layer
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.wire.torch7 import Object

#: Modules that only lay numbers out, or do nothing when a model is used.
_PASSED = frozenset({"nn.View", "nn.Reshape", "nn.Identity", "nn.Copy", "nn.Contiguous"})


def layers_of_checkpoint(root: Mapping[str, Any]) -> dict[str, Any]:
    """The layers, weights and vocabulary, as `StoredModel` has them.

    Raises:
        ValueError: A module is of another kind.
        KeyError: A module lacks a weight, and so on: the file is no such checkpoint.
    """
    model = root["model"]
    net = model.fields.get("net")
    layers, weights = _layers(list(_modules(net)) if isinstance(net, Object) else [])
    return {"layers": layers, "weights": weights, "vocabulary": _vocabulary(model.fields.get("idx_to_token"))}


def _modules(net: Object) -> Iterator[Object]:
    """The modules of a sequence in their order."""
    inner = (net.fields or {}).get("modules")
    if not isinstance(inner, dict):
        yield net
        return
    for number in sorted(k for k in inner if isinstance(k, (int, float))):
        yield from _modules(inner[number])


def _layers(modules: list[Object]) -> tuple[Layers, dict[str, Tensor]]:
    """The layers in a row, and their weights by name."""
    layers: list[tuple[str, Layer]] = []
    weights: dict[str, Tensor] = {}
    for number, module in enumerate(m for m in modules if not _is_passed(m)):
        name = f"{module.name.removeprefix('nn.')}{number}"
        layers.append((name, _layer(module)))
        weights |= {f"{name}.{end}": t for end in ("weight", "bias") if isinstance(t := module.fields.get(end), Tensor)}
    if not any(m.name in ("nn.LSTM", "nn.VanillaRNN") for m in modules):
        raise ValueError("no nn.LSTM or nn.VanillaRNN is among them")
    return in_a_row("int64", (None, None), layers), weights


def _is_passed(module: Object) -> bool:
    return module.name in _PASSED or (module.name == "nn.Dropout" and module.fields.get("v2", True))


def _layer(module: Object) -> Layer:
    fields: Mapping[str, Any] = module.fields
    if module.name == "nn.Dropout":
        raise ValueError("an nn.Dropout of the first version, which is a factor when a model is used")
    weight = fields["weight"].load()
    if module.name == "nn.LookupTable":
        return Embedding(float_tensor(weight), first=1)
    bias = fields["bias"].load()
    if module.name == "nn.Linear":
        return Dense(float_tensor(weight.T), float_tensor(bias))
    stored_as = {"nn.LSTM": "torch-rnn LSTM", "nn.VanillaRNN": "torch-rnn VanillaRNN"}.get(module.name)
    if stored_as is None:
        raise ValueError(f"{module.name} is none of them")
    units = bias.shape[0] // len(layout(stored_as).order)
    return cell_layer(layout(stored_as), weight[:-units], weight[-units:], bias, cell_state_first=True)


def _vocabulary(table: Any) -> Vocabulary | None:
    """Symbols by their numbers from 1."""
    if not isinstance(table, dict):
        return None
    symbols = [str(table.get(float(k), table.get(k))) for k in range(1, len(table) + 1)]
    return Vocabulary(tuple(symbols), first=1) if len(set(symbols)) == len(symbols) else None
