"""Keras' layers of attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprise.graph import Value
from reprise.layers import kinds
from reprise.layers.keras.basic import Symbols, Translation
from reprise.layers.keras.calls import KerasCall, Symbol
from reprise.layers.keras.options import Options
from reprise.layers.keras.weights import LayerWeights, Spec

_PARTS = ("query", "key", "value", "output")


def _scaled(options: Options) -> Spec:
    additive = options.flag("use_scale", default=True)
    return Spec(("scale",) if additive else ())


def _plainly_scaled(options: Options) -> Spec:
    roles = ("scale",) if options.flag("use_scale") else ()
    return Spec((*roles, *(("concat_score_weight",) if options.get("score_mode") == "concat" else ())))


def _attention(call: KerasCall) -> Symbols:
    options = call.options
    if options.get("score_mode", "dot") != "dot":
        raise options.unknown(f"attention whose scores are made by {options.get('score_mode')!r}")
    causal = options.flag("causal") or bool(call.named.get("use_causal_mask"))
    scores = bool(call.named.get("return_attention_scores"))
    layer = kinds.Attention(call.kind == "AdditiveAttention", call.weights.get("scale"), causal=causal, scores=scores)
    value, *_ = call.inputs[1:]
    made = call.put(layer, mask=call.x.mask, other_mask=value.mask)
    return (Symbol(made, call.x.mask), *((Symbol(Value(made.node, 1)),) if scores else ()))


def _heads_spec(options: Options) -> Spec:
    roles = ("kernel", "bias") if options.flag("use_bias", default=True) else ("kernel",)
    return Spec(inner={f"{part}_dense": Spec(roles) for part in _PARTS})


def _multi_head(call: KerasCall) -> Symbols:
    options, named = call.options, call.named
    if options.get("attention_axes") not in (None, [1], (1,)):
        raise options.unknown(f"attention along the axes {options.get('attention_axes')}")
    if named.get("attention_mask") is not None:
        raise options.unknown("a mask of attention that is given")
    if options.get("sliding_window") is not None or options.flag("use_gate"):
        raise options.unknown("attention with a sliding window or a gate")
    inputs = [*call.inputs, *(s for key in ("value", "key") if isinstance(s := named.get(key), Symbol))]
    if len(inputs) not in (2, 3):
        raise options.refuse("value", "a query, a value and perhaps a key as inputs")
    scores = bool(named.get("return_attention_scores"))
    parts = {part: _projection(call.weights.of(f"{part}_dense")) for part in _PARTS}
    causal = bool(named.get("use_causal_mask"))
    layer = kinds.MultiHeadAttention(**parts, causal=causal, scores=scores)
    mask, other = _masks(call, inputs)
    made = call.put(layer, inputs=inputs, mask=mask, other_mask=other)
    return (Symbol(made, mask), *((Symbol(Value(made.node, 1)),) if scores else ()))


def _masks(call: KerasCall, inputs: Sequence[Symbol]) -> tuple[Value | None, Value | None]:
    """The masks of the query and of the values: their own, unless the call is given another for the values.

    Raises:
        LiftError: It is given another mask for the query, which not every version of Keras 3 reads, or for the keys.
    """
    own = dict(zip(("query", "value", "key"), (s.mask for s in inputs), strict=False))
    given = {part: call.named[f"{part}_mask"] for part in own if call.named.get(f"{part}_mask") is not None}
    if not all(isinstance(one, Symbol) for one in given.values()):
        raise call.options.unknown("a mask of attention that is a constant")
    used = {**own, **{part: one.value for part, one in given.items()}}
    for part, like in (("query", own["query"]), ("key", used["value"])):
        mask = used.get(part)
        if mask is not None and (like is None or not call.calls.alike(mask, like)):
            raise call.options.unknown(f"a mask of its own for the {part} of attention")
    return own["query"], used["value"]


def _projection(weights: LayerWeights) -> kinds.Projection:
    return kinds.Projection(weights["kernel"], weights.get("bias"))


TABLE: Mapping[str, Translation] = {
    "Attention": Translation(_attention, _plainly_scaled),
    "AdditiveAttention": Translation(_attention, _scaled),
    "MultiHeadAttention": Translation(_multi_head, _heads_spec),
}
