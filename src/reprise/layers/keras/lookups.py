"""Layers that look texts up: the model reads ids in their place, and the symbols are its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

from reprise.errors import LiftError
from reprise.layers import kinds
from reprise.layers.keras.basic import Symbols, Translation
from reprise.layers.keras.place import Place


def _lookup(place: Place) -> Symbols:
    """Ids for the texts that an input gives; behind the model, ids in the place of texts.

    Raises:
        LiftError: It gives other than ids, or what is looked up is no input.
    """
    options = place.options
    if options.get("output_mode", "int") != "int" or options.get("ngrams") is not None:
        raise options.unknown(f"a lookup that gives {options.get('output_mode')!r}, or several words at once")
    if options.flag("invert"):
        return (place.x,)
    made = place.calls.made(place.x.value)
    if not isinstance(made, kinds.Input) or made.dtype != "string":
        raise _no_input(place)
    place.calls.become(place.x.value, kinds.Input("int32", (None, None)))
    return (place.x,)


def _no_input(place: Place) -> LiftError:
    return place.options.unknown("a lookup of other than an input of texts, or a second one of the same input")


TABLE: Mapping[str, Translation] = dict.fromkeys(("StringLookup", "TextVectorization"), Translation(_lookup))
