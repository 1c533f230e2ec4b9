"""Keras' recurrent layers: cells, stacks of cells, both directions, and cells of convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reprise import cells
from reprise.errors import DamagedFile
from reprise.graph import Value
from reprise.layers.arranging import Reverse
from reprise.layers.keras.calls import KerasCall, Symbol
from reprise.layers.keras.graphs import snake
from reprise.layers.keras.masks import GIVEN, flat
from reprise.layers.keras.options import Options
from reprise.layers.keras.weights import LayerWeights, Spec
from reprise.layers.kinds import (
    ActivationFunction,
    Concatenate,
    ConvolutionalCell,
    GateWeights,
    Join,
    Recurrent,
    RecurrentCell,
)
from reprise.tensors import Array, Tensor

_LSTM = next(one for one in cells.LAYOUTS if one.framework == "Keras LSTM")
_GRU = next(one for one in cells.LAYOUTS if one.framework == "Keras GRU, reset_after=False")
#: Keras 1 keeps a matrix for each gate unless it was told to consume less of a GPU's time; in this order.
_KERAS_1 = {"LSTM": "icfo", "GRU": "zrc"}

_Made = RecurrentCell | ConvolutionalCell


def spec(kind: str, options: Options) -> Spec:
    """The weights of a layer of one cell: in Keras 1 and 2 of the layer itself, since then of its cell."""
    return Spec(inner={"cell": cell_spec(options, kind)})


def cell_spec(options: Options, kind: str) -> Spec:
    """The weights of a cell."""
    if options.version.major == 1 and options.get("consume_less") != "gpu" and kind != "SimpleRNN":
        return Spec(
            tuple(f"{role}_{gate}" for gate in _KERAS_1[kind] for role in ("kernel", "recurrent_kernel", "bias"))
        )
    biased = kind.startswith("CuDNN") or options.flag("use_bias", default=True)
    return Spec(("kernel", "recurrent_kernel", *(("bias",) if biased else ())))


def layer(call: KerasCall) -> tuple[Symbol, ...]:
    """LSTM, GRU, SimpleRNN, and the layers of CuDNN and of convolutions."""
    return _run(call, (_cell(call.options, call.kind, call.weights.of("cell")),))


def rnn_spec(options: Options) -> Spec:
    """The weights of a layer over cells that are given."""
    inner = _inner(options, "cell")
    return Spec(inner={"cell": _any_cell_spec(*inner)})


def rnn(call: KerasCall) -> tuple[Symbol, ...]:
    """RNN over a cell, or several."""
    kind, options = _inner(call.options, "cell")
    return _run(call, tuple(_any_cell(kind, options, call.weights.of("cell"))))


def _inner(options: Options, name: str) -> tuple[str, Options]:
    """The class and the options of a layer inside."""
    found = options.get(name)
    return _described(options, found, name)


def _described(options: Options, found: Any, name: str) -> tuple[str, Options]:
    if not isinstance(found, Mapping) or not isinstance(found.get("class_name"), str):
        raise options.refuse(name, "the description of a layer")
    kind = found["class_name"]
    config = found.get("config")
    called = config.get("name", kind) if isinstance(config, Mapping) else kind
    return kind, Options.of(f"{options.where}, {kind} {called!r}", config, options.version)


_CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}


def _stacked(options: Options) -> list[tuple[str, Options]]:
    found = options.get("cells", ())
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise options.refuse("cells", "a list of cells")
    return [_described(options, one, "cells") for one in found]


def _names_inside(parts: Sequence[tuple[str, Options]]) -> list[str]:
    """How `.keras` calls the cells of a stack: by their classes, counted."""
    return unique_names([kind for kind, _ in parts])


def unique_names(kinds: Sequence[str]) -> list[str]:
    """Classes as names: `LSTMCell` is `lstm_cell`, the second one `lstm_cell_1`."""
    seen: dict[str, int] = {}
    names = []
    for kind in kinds:
        name = snake(kind)
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.append(f"{name}_{count}" if count else name)
    return names


def _any_cell_spec(kind: str, options: Options) -> Spec:
    if kind == "StackedRNNCells":
        parts = _stacked(options)
        return Spec(
            inner={
                f"cells/{name}": _any_cell_spec(*part) for name, part in zip(_names_inside(parts), parts, strict=True)
            }
        )
    return cell_spec(options, _CELLS.get(kind, kind))


def _any_cell(kind: str, options: Options, weights: LayerWeights) -> Iterator[_Made]:
    if kind == "StackedRNNCells":
        parts = _stacked(options)
        for name, part in zip(_names_inside(parts), parts, strict=True):
            yield from _any_cell(*part, weights.of(f"cells/{name}"))
    elif kind in _CELLS:
        yield _cell(options, _CELLS[kind], weights)
    else:
        raise options.unknown("a custom cell: its code is not in the file, and is never run")


def _cell(options: Options, kind: str, weights: LayerWeights) -> _Made:
    if kind.startswith("ConvLSTM"):
        return _convolutional(options, kind, weights)
    if kind.startswith("CuDNN"):
        return _of_cudnn(kind, weights)
    inner = options.function("activation", "tanh")
    if kind == "SimpleRNN":
        return RecurrentCell(cells.RNN, _blocks(options, kind, weights, "c"), (inner,))
    gate = options.function("recurrent_activation", _default_gate(options))
    if kind == "LSTM":
        return RecurrentCell(cells.LSTM, _blocks(options, kind, weights, _LSTM.order), (gate, inner, inner))
    bias = weights.get("bias")
    after = options.flag("reset_after") if bias is None else len(bias.shape) == 2
    made = cells.GRU_RESET_AFTER if after else cells.GRU
    return RecurrentCell(made, _blocks(options, kind, weights, _GRU.order), (gate, inner))


def _default_gate(options: Options) -> str:
    """What a configuration means that leaves it out."""
    return "sigmoid" if options.version.major >= 3 else "hard_sigmoid"


def _blocks(options: Options, kind: str, weights: LayerWeights, order: str) -> tuple[GateWeights, ...]:
    if "kernel_c" in weights.own:
        return tuple(
            GateWeights(g, weights[f"kernel_{g}"], weights[f"recurrent_kernel_{g}"], weights[f"bias_{g}"])
            for g in _KERAS_1[kind]
        )
    kernel, recurrent, bias = weights["kernel"], weights["recurrent_kernel"], weights.get("bias")
    units = recurrent.shape[0] if len(recurrent.shape) == 2 else -1
    options.check_units(units)
    wide = len(order) * units
    if len(kernel.shape) != 2 or kernel.shape[1] != wide or recurrent.shape != (units, wide):
        raise _strange(
            weights, f"kernels of {list(kernel.shape)} and {list(recurrent.shape)} are none of {units} units"
        )
    if bias is None or bias.shape == (wide,):
        return (GateWeights(order, kernel, recurrent, bias),)
    if bias.shape == (2, wide):
        return (GateWeights(order, kernel, recurrent, _row(bias, 0), _row(bias, 1)),)
    if bias.shape == (2 * wide,):  # as the layer of CuDNN keeps them, which is loaded into the plain layer and back
        return _of_cudnn(f"CuDNN{kind}", weights).blocks
    raise _strange(weights, f"a bias of {list(bias.shape)} for {units} units")


def _strange(weights: LayerWeights, what: str) -> DamagedFile:
    return DamagedFile(f"{weights.where}: {what}; the weights belong to another model")


def _row(tensor: Tensor, index: int) -> Tensor:
    return Tensor(tensor.dtype, tensor.shape[1:], lambda: tensor.load()[index], tensor.source)


def _of_cudnn(kind: str, weights: LayerWeights) -> RecurrentCell:
    """Matrices of single gates lie as [H, D] in memory that is stated to be [D, H]; both products have a bias."""
    order = "ifco" if kind == "CuDNNLSTM" else "zrc"
    kernel, recurrent, bias = weights["kernel"], weights["recurrent_kernel"], weights["bias"]
    count, units = len(order), recurrent.shape[0]
    if kernel.shape[1:] != (count * units,) or recurrent.shape != (units, count * units):
        raise _strange(weights, f"kernels of {list(kernel.shape)} and {list(recurrent.shape)}")
    if bias.shape != (2 * count * units,):
        raise _strange(weights, f"a bias of {list(bias.shape)} for {units} units of CuDNN")
    whole = GateWeights(
        order,
        _turned(kernel, count),
        _turned(recurrent, count),
        Tensor(bias.dtype, (count * units,), lambda: bias.load()[: count * units], bias.source),
        Tensor(bias.dtype, (count * units,), lambda: bias.load()[count * units :], bias.source),
    )
    sigmoid, tanh = ActivationFunction("sigmoid"), ActivationFunction("tanh")
    if kind == "CuDNNLSTM":
        return RecurrentCell(cells.LSTM, (whole,), (sigmoid, tanh, tanh))
    return RecurrentCell(cells.GRU_RESET_AFTER, (whole,), (sigmoid, tanh))


def _turned(tensor: Tensor, count: int) -> Tensor:
    rows, columns = tensor.shape[0], tensor.shape[1] // count

    def load() -> Array:
        gates = np.split(tensor.load(), count, axis=1)
        return np.concatenate([g.reshape(columns, rows).T for g in gates], axis=1)

    return Tensor(tensor.dtype, tensor.shape, load, tensor.source)


def _convolutional(options: Options, kind: str, weights: LayerWeights) -> ConvolutionalCell:
    axes = int(kind[len("ConvLSTM")])
    if axes == 3:
        raise options.unknown("a recurrent layer over three axes")
    if options.channels_first():
        raise options.unknown("a recurrent convolution with channels first")
    gate = options.function("recurrent_activation", _default_gate(options))
    inner = options.function("activation", "tanh")
    return ConvolutionalCell(
        _LSTM.order,
        weights["kernel"],
        weights["recurrent_kernel"],
        weights.get("bias"),
        (gate, inner, inner),
        options.wholes("strides", 1, axes),
        options.padding(),
        options.wholes("dilation_rate", 1, axes),
    )


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a recurrent layer gives: outputs, and its last states."""

    outputs: Value
    states: tuple[Value, ...]


def _run(call: KerasCall, made: Sequence[_Made]) -> tuple[Symbol, ...]:
    options = call.options
    ran = _ran(call, made, _mask(call))
    mask = call.x.mask if options.flag("return_sequences") else None
    states = [Symbol(v) for v in ran.states] if options.flag("return_state") else []
    return (Symbol(ran.outputs, mask), *states)


def _ran(call: KerasCall, made: Sequence[_Made], mask: Value | None, *, zeros: bool | None = None) -> _Ran:
    options = call.options
    if options.get("num_constants") or call.named.get("constants"):
        raise options.unknown("constants that every step reads")
    hidden = options.flag("zero_output_for_mask") if zeros is None else zeros
    layer = Recurrent(
        tuple(made),
        backward=options.flag("go_backwards"),
        sequences=options.flag("return_sequences"),
        zeros_where_masked=hidden,
        time_major=options.flag("time_major"),
    )
    initial = _initial(call)
    count = sum(2 if isinstance(c, ConvolutionalCell) or c.kind is cells.LSTM else 1 for c in made)
    if len(initial) not in (0, count):
        raise DamagedFile(f"{options.where}: {len(initial)} first states are given, and it has {count}")
    value = call.put(layer, inputs=(call.x,), mask=mask, initial=initial)
    return _Ran(value, tuple(Value(value.node, 1 + i) for i in range(count)))


def _mask(call: KerasCall) -> Value | None:
    """The mask of the steps.

    Keras 3 takes the mask of what a layer reads only where it reads nothing else: beside first states there is none,
    unless the call is given one.
    """
    alone = call.options.version.major < 3 or not _initial(call) or GIVEN in call.named
    return call.x.mask if alone else None


def _initial(call: KerasCall) -> tuple[Value, ...]:
    """The first states: further inputs, or given by name; in one list or in one for each cell."""
    given = call.named.get("initial_state")
    states = (*call.inputs[1:], *flat(given))
    return tuple(symbol.value for symbol in states)


_MERGES = {"sum": "add", "mul": "multiply", "ave": "average"}


def bidirectional_spec(options: Options, of: Callable[[str, Options], Spec]) -> Spec:
    """The weights of both directions."""
    forward, backward = _directions(options)
    return Spec(inner={"forward_layer": of(*forward), "backward_layer": of(*backward)})


def _directions(options: Options) -> tuple[tuple[str, Options], tuple[str, Options]]:
    """The layers of both directions; the backward one, where nothing is said of it, is the other turned around."""
    forward = _inner(options, "layer")
    if "backward_layer" in options:
        return forward, _inner(options, "backward_layer")
    content = {**forward[1].content, "go_backwards": not forward[1].flag("go_backwards")}
    return forward, (forward[0], replace(forward[1], content=content))


def bidirectional(call: KerasCall) -> tuple[Symbol, ...]:
    """Both directions, the backward one turned around, then joined."""
    options, half = call.options, len(_initial(call)) // 2
    given = [Symbol(v) for v in _initial(call)]
    ends = (("forward_layer", given[:half]), ("backward_layer", given[half:]))
    ran: list[_Ran] = []
    for (end, states), (kind, own) in zip(ends, _directions(options), strict=True):
        called = f"{call.name}/{end.removesuffix('_layer')}"
        weights = call.weights.of(end)
        part = replace(call.inside(called, kind, own, weights), inputs=(call.x, *states))
        made = (
            tuple(_any_cell(*_inner(own, "cell"), weights.of("cell")))
            if kind == "RNN"
            else (_cell(own, kind, weights.of("cell")),)
        )
        ran.append(_ran(part, made, _mask(call), zeros=_zeros_of_both(options) and own.flag("return_sequences")))
    forward, backward = ran[0].outputs, ran[1].outputs
    sequences = _directions(options)[0][1].flag("return_sequences")
    if sequences:
        backward = call.put(Reverse(), "/turned", inputs=(Symbol(backward),))
    mask = call.x.mask if sequences else None
    merged = _merged(call, (Symbol(forward, mask), Symbol(backward, mask)))
    states = [Symbol(v) for r in ran for v in r.states] if _directions(options)[0][1].flag("return_state") else []
    return (*merged, *states)


def _zeros_of_both(options: Options) -> bool:
    """Whether hidden steps give zeros: in TensorFlow's Keras and since 2.4, not in Keras' own before."""
    version = options.version
    return version.of_tensorflow or (version.major, version.minor) >= (2, 4)


def _merged(call: KerasCall, both: tuple[Symbol, Symbol]) -> tuple[Symbol, ...]:
    mode = call.options.content.get("merge_mode", "concat")
    if mode is None:
        return both
    mask = both[0].mask
    if mode == "concat":
        return (Symbol(call.put(Concatenate(), inputs=both), mask),)
    if mode not in _MERGES:
        raise call.options.refuse("merge_mode", "concat, sum, mul, ave or none")
    return (Symbol(call.put(Join(_MERGES[mode]), inputs=both), mask),)
