"""A model of Keras as layers: every layer of its configuration translated and applied to what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from reprise.errors import DamagedFile, LiftError
from reprise.layers import kinds
from reprise.layers.keras import attention, basic, lookups, masks, operations, recurrent
from reprise.layers.keras.basic import Symbols, Translation
from reprise.layers.keras.calls import KerasCall, LayerCalls, Symbol
from reprise.layers.keras.graphs import (
    KerasModel,
    LayerDescription,
    LayerNode,
    Reference,
    description_of,
    is_model,
    model,
    references,
)
from reprise.layers.keras.options import Options, Version
from reprise.layers.keras.recurrent import unique_names
from reprise.layers.keras.weights import LayerWeights, Spec
from reprise.layers.kinds import Layer
from reprise.layers.model import Call, Layers
from reprise.tensors import DTYPES, Shape

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_TABLE: Mapping[str, Translation] = {
    **basic.TABLE,
    **attention.TABLE,
    **lookups.TABLE,
    **{kind: Translation(recurrent.layer, partial(recurrent.spec, kind)) for kind in _RECURRENT},
    "RNN": Translation(recurrent.rnn, recurrent.rnn_spec),
}
#: Layers that do to each step of a sequence what they do alone.
_STEPWISE = frozenset(
    "Dense Activation Dropout Identity ReLU LeakyReLU ELU Softmax Embedding GaussianNoise GaussianDropout "
    "AlphaDropout ThresholdedReLU Rescaling".split()
)
_DEEPEST = 32

Custom = Mapping[str, Any]


def translate(
    config: Any, version: Version, stored: Callable[[Spec, Sequence[str]], LayerWeights], custom: Custom
) -> Layers:
    """The layers of a model.

    Args:
        config: The description of a model: `class_name` and `config`.
        version: The Keras that wrote it.
        stored: The weights of the model, given what it has, and the names of its layers in their order.
        custom: Class or name of a layer that is not Keras' own → what it is: a class of Keras, or a description.

    Raises:
        DamagedFile: The configuration contradicts itself, or the weights.
        LiftError: A layer has no translation; the message names it.
    """
    top = description_of(config, "the configuration")
    if not is_model(top.config):
        raise DamagedFile(f"{top.kind} {top.name!r}: is not a model whose layers are in the file")
    translator = _Translator(version, custom)
    whole = model(top.kind, top.name, top.config)
    weights = stored(translator.spec(whole, 0), [layer.name for layer in whole.layers])
    outputs = translator.top(whole, weights)
    return Layers(
        _with_ids(translator.calls.calls), tuple(s.value for s in outputs), tuple(dict.fromkeys(translator.notes))
    )


def _with_ids(calls: Sequence[Call]) -> tuple[Call, ...]:
    """The calls with whole numbers for inputs that are only looked up: Keras takes these as floats by default."""
    readers: dict[str, list[Layer]] = {}
    for call in calls:
        for value in call.inputs:
            readers.setdefault(value.node, []).append(call.layer)

    def looked_up(name: str) -> bool:
        read = readers.get(name, [])
        tables = any(isinstance(layer, kinds.Embedding) for layer in read)
        return tables and all(isinstance(layer, (kinds.Embedding, kinds.Mask)) for layer in read)

    return tuple(
        replace(call, layer=kinds.Input("int32", call.layer.shape))
        if isinstance(call.layer, kinds.Input) and call.layer.dtype in ("float32", "float64") and looked_up(call.name)
        else call
        for call in calls
    )


@dataclass(frozen=True, slots=True)
class _Scope:
    """A model that is being applied."""

    model: KerasModel
    prefix: str
    weights: LayerWeights


class _Translator:
    def __init__(self, version: Version, custom: Custom) -> None:
        self._version, self._custom = version, custom
        self.calls = LayerCalls()
        self.notes: list[str] = []
        self._made: dict[Any, tuple[Any, Layer]] = {}
        self._models: dict[int, KerasModel] = {}
        self._replaced_configs: dict[Any, Any] = {}

    # What there is

    def _understood(self, layer: LayerDescription) -> LayerDescription:
        """The layer, or what the caller says that it is.

        Raises:
            LiftError: It is not Keras' own, and nothing says what it is.
        """
        short = layer.stranger.rpartition(">")[2]
        replacement = next(
            (self._custom[k] for k in (layer.name, layer.stranger, short, layer.kind) if k in self._custom), None
        )
        if replacement is not None:
            return self._replaced(layer, replacement)
        inside = layer.kind in _TABLE or layer.kind in _WRAPPERS or layer.operation or is_model(layer.config)
        if (layer.stranger and not is_model(layer.config)) or not (inside or layer.kind == "InputLayer"):
            raise LiftError(
                f"layer {layer.name!r} is of the class {layer.stranger or layer.kind}, which Reprise does not know: "
                "its code is not read from the file, and is never run. Say what it is: "
                f"custom={{{layer.kind!r}: 'Dense'}} or another class of Keras, a description of a layer or model, or "
                f"the JSON file with one (--custom {layer.kind}=FILE.json); or Identity for what goes into it"
            )
        return layer

    def _replaced(self, layer: LayerDescription, other: Any) -> LayerDescription:
        """The class or description that the caller gives for a layer, with the layer's own options beside its own."""
        kind, more = (other, {}) if isinstance(other, str) else (other.get("class_name"), other.get("config") or {})
        if not isinstance(kind, str) or not (kind in _TABLE or kind in _WRAPPERS or is_model(more)):
            raise LiftError(f"custom: {other!r:.80} is not a layer that Reprise knows; it was given for {layer.name!r}")
        self.notes.append(f"said by the caller: layer {layer.name!r}, of the class {layer.kind}, is {kind}")
        if is_model(more):
            return LayerDescription(kind, layer.name, more)
        own = layer.config if isinstance(layer.config, Mapping) else {}
        key = ("replacement", layer.name, id(layer.config))
        merged = self._replaced_configs.setdefault(key, {**own, **more})
        return LayerDescription(kind, layer.name, merged)

    def _options_of(self, layer: LayerDescription) -> Options:
        return Options.of(f"layer {layer.name!r} ({layer.kind})", layer.config, self._version)

    def _model_of(self, layer: LayerDescription) -> KerasModel:
        """The model that a layer is; the same object each time, so that shared layers stay shared."""
        if id(layer.config) not in self._models:
            self._models[id(layer.config)] = model(layer.kind, layer.name, layer.config)
        return self._models[id(layer.config)]

    # Weights

    def spec(self, whole: KerasModel, depth: int) -> Spec:
        """The weights of a model: those of its layers."""
        if depth > _DEEPEST:
            raise DamagedFile(f"model {whole.name!r}: models are nested more than {_DEEPEST} deep")
        layers = [self._understood(layer) for layer in whole.layers]
        keys = _keys(whole)
        return Spec(inner={key: self._spec_of(layer, depth) for key, layer in zip(keys, layers, strict=True)})

    def _spec_of(self, layer: LayerDescription, depth: int) -> Spec:
        if layer.kind == "InputLayer" or layer.operation:
            return Spec()
        if is_model(layer.config):
            found = self.spec(self._model_of(layer), depth + 1)
            frozen = isinstance(layer.config, Mapping) and layer.config.get("trainable") is False
            return replace(found, frozen=frozen)
        options = self._options_of(layer)
        return replace(self._plain_spec(layer, options, depth), frozen=options.get("trainable") is False)

    def _plain_spec(self, layer: LayerDescription, options: Options, depth: int) -> Spec:
        if layer.kind == "Bidirectional":
            return recurrent.bidirectional_spec(options, self._recurrent_spec)
        if layer.kind == "TimeDistributed":
            inner = self._understood(description_of(options.get("layer"), options.where))
            return Spec(inner={"layer": self._spec_of(inner, depth + 1)})
        return _TABLE[layer.kind].spec(options)

    def _recurrent_spec(self, kind: str, options: Options) -> Spec:
        if kind not in _RECURRENT and kind != "RNN":
            raise options.unknown(f"both directions of a layer of the class {kind}")
        return _TABLE[kind].spec(options)

    # Calls

    def top(self, whole: KerasModel, weights: LayerWeights) -> Symbols:
        """The outputs of the model itself, which reads what a caller gives."""
        scope = _Scope(whole, "", weights)
        if not whole.sequential:
            return self._functional(scope, None)
        first = whole.layers[0]
        given = self._input(first, "") if first.kind == "InputLayer" else self._input_of(scope, first)
        return self._sequential(scope, (given,))

    def _input(self, layer: LayerDescription, prefix: str) -> Symbol:
        options = self._options_of(layer)
        shape = _sizes(options, options.get("batch_shape", options.get("batch_input_shape")))
        if options.flag("sparse") or options.flag("ragged"):
            raise options.unknown("an input of ragged or sparse tensors")
        return Symbol(self.calls.add(f"{prefix}{layer.name}", kinds.Input(_dtype(options), shape)))

    def _input_of(self, scope: _Scope, first: LayerDescription) -> Symbol:
        """The input of a sequence of layers that has no layer for it: its first layer says what it reads."""
        known = self._understood(first)
        options = self._options_of(known)
        shape = self._first_shape(scope, known, options)
        dtype = options.get("input_dtype") or _dtype(options)
        name = "input"
        while any(layer.name == name for layer in scope.model.layers):
            name += "_"
        return Symbol(self.calls.add(name, kinds.Input(dtype if dtype in DTYPES else "float32", shape)))

    def _first_shape(self, scope: _Scope, first: LayerDescription, options: Options) -> Shape:
        stated = options.get("batch_input_shape", options.get("batch_shape", scope.model.build))
        if stated is None and is_model(first.config):
            return self._first_shape(scope, self._model_of(first).layers[0], options)
        if stated is None and options.get("input_shape") is not None:
            stated = [None, *options.get("input_shape")]
        if stated is not None:
            return _sizes(options, stated)
        if first.kind == "Embedding":
            return (None, None)
        weights = scope.weights.of(_keys(scope.model)[0])
        kernel = (
            weights.get("kernel")
            or weights.of("cell").get("kernel")
            or weights.of("forward_layer").of("cell").get("kernel")
        )
        if kernel is None or len(kernel.shape) != 2:
            raise DamagedFile(f"{options.where}: the file does not say which sizes its input has")
        return (None, kernel.shape[0]) if first.kind == "Dense" else (None, None, kernel.shape[0])

    def _sequential(self, scope: _Scope, given: Symbols) -> Symbols:
        at = given
        for key, layer in zip(_keys(scope.model), scope.model.layers, strict=True):
            if layer.kind != "InputLayer":
                at = self._apply(scope, key, layer, at, {})
        return at

    def _functional(self, scope: _Scope, given: Symbols | None) -> Symbols:
        """The outputs of a graph of layers, each call made once all that it reads is there."""
        whole = scope.model
        made: dict[tuple[str, int], Symbols] = {}
        if given is not None:
            if len(given) != len(whole.inputs):
                raise DamagedFile(f"model {whole.name!r}: reads {len(whole.inputs)} inputs, and {len(given)} are given")
            made |= {(r.layer, r.call): (symbol,) for r, symbol in zip(whole.inputs, given, strict=True)}
        layers = dict(zip([x.name for x in whole.layers], zip(_keys(whole), whole.layers, strict=True), strict=True))
        for target in whole.outputs:
            self._reach(scope, layers, made, target)
        return tuple(_output_of(made, r, whole.name) for r in whole.outputs)

    def _reach(
        self,
        scope: _Scope,
        layers: Mapping[str, tuple[str, LayerDescription]],
        made: dict[tuple[str, int], Symbols],
        target: Reference,
    ) -> None:
        pending, open_calls = [(target.layer, target.call)], set()
        while pending:
            name, number = at = pending[-1]
            applied = _call_at(scope.model, layers, name, number)
            missing = [] if at in made else [k for k in _needs(applied) if k not in made]
            if not missing:
                if at not in made:
                    made[at] = self._symbols_at(scope, *layers[name], applied, made)
                pending.pop()
                continue
            if at in open_calls:
                raise DamagedFile(f"model {scope.model.name!r}: layer {name!r} reads what is made of its own output")
            open_calls.add(at)
            pending += missing

    def _symbols_at(
        self,
        scope: _Scope,
        key: str,
        layer: LayerDescription,
        applied: LayerNode | None,
        made: Mapping[tuple[str, int], Symbols],
    ) -> Symbols:
        if applied is None or layer.kind == "InputLayer":
            return (self._input(layer, scope.prefix),)
        known = self._understood(layer)
        given = _resolved(applied.given, made, scope.model.name)
        named = _resolved(dict(applied.named), made, scope.model.name)
        if known.operation:
            call = self._place(scope, known, scope.weights.of(key), ())
            return operations.apply(call, known.kind, given, {**known.config, **named})
        kind = masks.MODEL if is_model(known.config) else known.kind
        inputs, named = masks.applied(kind, self._options_of(known), given, named)
        return self._apply(scope, key, known, inputs, named)

    def _apply(
        self, scope: _Scope, key: str, layer: LayerDescription, inputs: Symbols, named: Mapping[str, Any]
    ) -> Symbols:
        known, weights = self._understood(layer), scope.weights.of(key)
        if is_model(known.config):
            inner = _Scope(self._model_of(known), f"{scope.prefix}{known.name}/", weights)
            more = (*inputs, *masks.flat(list(named.values())))
            return self._sequential(inner, more) if inner.model.sequential else self._functional(inner, more)
        call = replace(self._place(scope, known, weights, inputs), named=named)
        if known.kind == "Bidirectional":
            return recurrent.bidirectional(call)
        if known.kind == "TimeDistributed":
            return self._each_step(call)
        return _TABLE[known.kind].layer(call)

    def _place(self, scope: _Scope, layer: LayerDescription, weights: LayerWeights, inputs: Symbols) -> KerasCall:
        name = f"{scope.prefix}{layer.name}"
        return KerasCall(name, layer.kind, self._options_of(layer), weights, inputs, {}, self.calls, self._made)

    def _each_step(self, call: KerasCall) -> Symbols:
        """A layer applied to each step alone; one that looks at the last axis only needs no other sizes for it."""
        inner = self._understood(description_of(call.options.get("layer"), call.options.where))
        own = _Scope(KerasModel("", (inner,), {}, (), (), sequential=True), f"{call.name}/", call.weights)
        if inner.kind in _STEPWISE and not is_model(inner.config):
            made = self._apply_inner(own, inner, call.inputs)
            self._check_masks(call, made)
            return tuple(Symbol(s.value, call.x.mask) for s in made)
        if call.x.mask is not None and masks.reads(inner.kind):
            raise call.options.unknown(f"a layer of the class {inner.kind} for each step of masked values")
        merged = call.put(kinds.MergeSteps(), "/merged", inputs=(call.x,))
        made = self._apply_inner(own, inner, (Symbol(merged),))
        self._check_masks(call, made)
        split = (call.put(kinds.SplitSteps(), inputs=(s, call.x)) for s in made)
        return tuple(Symbol(v, call.x.mask) for v in split)

    def _check_masks(self, call: KerasCall, made: Symbols) -> None:
        """Holds that no mask is made within steps: Keras 3 drops it, and Keras 2 hands it on to the next layer.

        Raises:
            LiftError: One is, and it is not Keras 3.
        """
        if self._version.major < 3 and any(s.mask not in (None, call.x.mask) for s in made):
            raise call.options.unknown("a mask that is made within each step, which Keras 2 hands on")

    def _apply_inner(self, scope: _Scope, layer: LayerDescription, inputs: Symbols) -> Symbols:
        return self._apply(
            replace(scope, weights=LayerWeights(scope.weights.where, {}, {"layer": scope.weights.of("layer")})),
            "layer",
            layer,
            inputs,
            {},
        )


def _call_at(
    whole: KerasModel, layers: Mapping[str, tuple[str, LayerDescription]], name: str, number: int
) -> LayerNode | None:
    if name not in layers:
        raise DamagedFile(f"model {whole.name!r}: something reads the layer {name!r}, which it does not have")
    calls = whole.calls.get(name, ())
    if number < len(calls):
        return calls[number]
    if number == 0 and layers[name][1].kind == "InputLayer":
        return None
    raise DamagedFile(f"model {whole.name!r}: layer {name!r} is called {len(calls)} times, and call {number} is read")


_WRAPPERS = frozenset({"Bidirectional", "TimeDistributed"})


def _keys(whole: KerasModel) -> list[str]:
    """How the objects of a file call the layers of a model: by their classes, counted; operations are none of them."""
    outside = [layer.operation or (whole.sequential and layer.kind == "InputLayer") for layer in whole.layers]
    counted = [layer.kind for layer, out in zip(whole.layers, outside, strict=True) if not out]
    names = iter(unique_names(counted))
    return [f"outside/{i}" if out else f"layers/{next(names)}" for i, out in enumerate(outside)]


def _needs(applied: LayerNode | None) -> list[tuple[str, int]]:
    if applied is None:
        return []
    return list(dict.fromkeys((r.layer, r.call) for r in references((applied.given, dict(applied.named)))))


def _resolved(value: Any, made: Mapping[tuple[str, int], Symbols], name: str) -> Any:
    """An argument with symbols for references."""
    if isinstance(value, Reference):
        return _output_of(made, value, name)
    if isinstance(value, Mapping):
        return {key: _resolved(one, made, name) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved(one, made, name) for one in value]
    return value


def _output_of(made: Mapping[tuple[str, int], Symbols], reference: Reference, name: str) -> Symbol:
    symbols = made[reference.layer, reference.call]
    if reference.output >= len(symbols):
        raise DamagedFile(
            f"model {name!r}: layer {reference.layer!r} gives {len(symbols)} values; number {reference.output} is read"
        )
    return symbols[reference.output]


def _sizes(options: Options, found: Any) -> Shape:
    """The sizes of an input; the batch is free whatever was written down."""
    if isinstance(found, Mapping):
        raise options.unknown("an input of several tensors")
    if not isinstance(found, (list, tuple)) or not found or not all(_is_size(n) for n in found):
        raise options.refuse("batch_shape", "the sizes of what it reads")
    return (None, *found[1:])


def _is_size(n: Any) -> bool:
    return n is None or (isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31)


def _dtype(options: Options) -> str:
    """The element type of an input."""
    found = options.get("dtype", "float32")
    if isinstance(found, Mapping):
        found = (
            found.get("config", {}).get("name", "float32") if isinstance(found.get("config"), Mapping) else "float32"
        )
    if found in ("mixed_float16", "mixed_bfloat16"):
        return "float32"
    if found not in DTYPES:
        raise options.refuse("dtype", "an element type")
    return str(found)
