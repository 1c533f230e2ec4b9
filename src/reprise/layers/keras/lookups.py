"""Layers that look texts up: the model reads ids in their call, and the symbols are its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

from reprise.errors import LiftError
from reprise.layers import kinds
from reprise.layers.keras.basic import Symbols, Translation
from reprise.layers.keras.calls import KerasCall


def _lookup(call: KerasCall) -> Symbols:
    """Ids for the texts that an input gives; behind the model, ids in the place of texts.

    Raises:
        LiftError: It gives other than ids, or what is looked up is no input.
    """
    options = call.options
    if options.get("output_mode", "int") != "int" or options.get("ngrams") is not None:
        raise options.unknown(f"a lookup that gives {options.get('output_mode')!r}, or several words at once")
    if options.flag("invert"):
        return (call.x,)
    made = call.calls.layer_of(call.x.value)
    if not isinstance(made, kinds.Input) or made.dtype != "string":
        raise _no_input(call)
    call.calls.become(call.x.value, kinds.Input("int32", (None, None)))
    return (call.x,)


def _no_input(call: KerasCall) -> LiftError:
    return call.options.unknown("a lookup of other than an input of texts, or a second one of the same input")


TABLE: Mapping[str, Translation] = dict.fromkeys(("StringLookup", "TextVectorization"), Translation(_lookup))
