"""Masks that a call of a layer is given as an argument, rather than along with what it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reprise.layers.keras.basic import Symbols
from reprise.layers.keras.calls import Symbol
from reprise.layers.keras.options import Options

#: What stands for the class of a model in a model.
MODEL = "a model"
_PAIRS = frozenset({"Attention", "AdditiveAttention"})
#: What is named where the call of a recurrent layer is given a mask.
GIVEN = "a mask of the call"
_RECURRENT = frozenset(
    "LSTM GRU SimpleRNN RNN CuDNNLSTM CuDNNGRU ConvLSTM1D ConvLSTM2D ConvLSTM3D Bidirectional".split()
)
#: Class → which argument of its call is the mask, counted from 0. The calls of other classes take none.
_MASK_INPUTS = {
    **dict.fromkeys(("Softmax", "GlobalAveragePooling1D", *_PAIRS), 1),
    **dict.fromkeys(("BatchNormalization", "TimeDistributed", MODEL, *_RECURRENT), 2),
}


def applied(
    kind: str, options: Options, given: Sequence[Any], named: Mapping[str, Any]
) -> tuple[Symbols, dict[str, Any]]:
    """What a layer reads, each with the mask that the call gives for it, and the other arguments by name.

    Args:
        kind: The class of the layer, or `MODEL`.
        options: Its configuration.
        given: The arguments by position.
        named: The arguments by name.

    Raises:
        LiftError: The layer takes no mask, or not such a one.
    """
    index = _MASK_INPUTS.get(kind, len(given))
    masks = [m for m in (*given[index : index + 1], named.get("mask")) if m is not None]
    inputs = _masked(kind, options, tuple(flat(given[:index])), masks)
    others = {name: value for name, value in named.items() if name != "mask"}
    return inputs, {**others, GIVEN: True} if masks and kind in _RECURRENT else others


def _masked(kind: str, options: Options, inputs: Symbols, masks: Sequence[Any]) -> Symbols:
    """The inputs with a mask in place of their own: one for the first of them; for attention, one for each."""
    if not masks:
        return inputs
    each = masks[0] if kind in _PAIRS else masks
    known = kind in _MASK_INPUTS and len(masks) == 1 and isinstance(each, (list, tuple)) and len(each) <= len(inputs)
    if not known or not all(m is None or isinstance(m, Symbol) for m in each):
        raise options.unknown("a mask that its call is given as an argument, in this form or by this layer")
    read = zip(inputs, each, strict=False)
    return (*(replace(s, mask=m.value if m else None) for s, m in read), *inputs[len(each) :])


def flat(given: Any) -> Iterator[Symbol]:
    """All values in an argument."""
    if isinstance(given, Symbol):
        yield given
    elif isinstance(given, (list, tuple)):
        for one in given:
            yield from flat(one)


def reads(kind: str) -> bool:
    """Whether what a layer of this class computes depends on a mask."""
    return kind in _MASK_INPUTS and kind not in ("BatchNormalization", MODEL)
