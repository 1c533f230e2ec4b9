"""From the scores of symbols to a symbol: numbers in, ids out.

Equal scores and seeds give equal symbols, up to the last unit of `exp`, which differs between processors.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from reprise.errors import CallError
from reprise.tensors import Array

Ids = np.ndarray[Any, np.dtype[np.int32]]

#: So many uniform numbers are drawn at once: a call for each costs more than the number.
_AHEAD = 1024


def log_softmax(logits: Array) -> Array:
    """The logarithms of the probabilities, float64, along the last axis."""
    wide: Array = np.asarray(logits, np.float64)
    shifted: Array = wide - wide.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def draw(
    logits: Array,
    uniforms: Array,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
) -> Ids:
    """One symbol for each row, int32 [N], by inverting the cumulative distribution in the order of the ids.

    The filters act in this order: `temperature` divides the logits, `top_k` keeps the k most probable symbols,
    `top_p` keeps of those the fewest whose renormalised probabilities sum to p. Of equals the lower id comes first.

    Args:
        logits: [N, V]; −inf forbids a symbol.
        uniforms: float64 [N] in [0, 1).
        temperature: Above 0; below 1 prefers the probable.
        top_k: At least 1; V or more keeps all.
        top_p: Above 0, at most 1.
        greedy: The most probable symbol, whatever the other arguments say.

    Raises:
        CallError: An argument is outside its range, or a row has NaN, +inf or no finite logit.
    """
    wide: Array = np.asarray(logits, np.float64)
    if wide.ndim != 2 or not wide.shape[1]:
        raise CallError(f"logits: expected shape [N, V], found {list(wide.shape)}")
    return drawer(temperature, top_k, top_p, greedy=greedy)(wide, np.asarray(uniforms, np.float64))


def drawer(
    temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None, *, greedy: bool = False
) -> Callable[[Array, Array], Ids]:
    """`draw` with options that are checked here, once: (logits float64 [N, V], uniforms float64 [N]) → ids.

    Raises:
        CallError: As `draw`, of the options here, of the logits at each call.
    """
    check_options(temperature, top_k, top_p)

    def kept(wide: Array, largest: Array) -> Array:
        shifted = wide - largest
        if temperature != 1.0:
            with np.errstate(over="ignore"):  # a tiny temperature takes the improbable to −inf, as it should
                shifted = shifted / temperature
        return _filtered(np.exp(shifted), top_k, top_p)

    def drawn(wide: Array, uniforms: Array) -> Ids:
        largest = wide.max(axis=1, keepdims=True)
        # The largest is NaN or +inf where a number of the row is, and −inf where all are: one look tells all three.
        if not (math.isfinite(largest[0, 0]) if len(wide) == 1 else np.isfinite(largest).all()):
            raise _without_distribution(largest)
        if greedy:
            return np.asarray(wide.argmax(axis=1), np.int32)
        weights = kept(wide, largest)
        return _inverted_row(weights[0], uniforms[0]) if len(wide) == 1 else _inverted(weights, uniforms)

    return drawn


def check_options(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Refuses options that `draw` cannot follow, before anything is computed.

    Raises:
        CallError: One is outside its range.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise CallError(
            f"temperature: expected a number above 0, found {temperature!r}; greedy takes the most probable symbol"
        )
    if top_k is not None and top_k < 1:
        raise CallError(f"top_k: expected at least 1, found {top_k!r}; leave it out to keep every symbol")
    if top_p is not None and not 0 < top_p <= 1:
        raise CallError(f"top_p: expected a number above 0 and at most 1, found {top_p!r}")


def _without_distribution(largest: Array) -> CallError:
    row = int(np.isfinite(largest[:, 0]).argmin())
    return CallError(
        f"logits: row {row} has NaN, +inf or no finite number, so no symbol can be drawn; the "
        "weights or the state hold such numbers, or grew beyond the range of their type"
    )


def _filtered(weights: Array, top_k: int | None, top_p: float | None) -> Array:
    """The weights [N, V], with zeros for every symbol that a filter removes."""
    if top_k is None and top_p is None:
        return weights
    order = np.argsort(-weights, axis=1, kind="stable")
    ranked = np.take_along_axis(weights, order, axis=1)
    if top_k is not None:
        ranked[:, top_k:] = 0.0
    if top_p is not None:
        reached = np.cumsum(ranked, axis=1)
        ranked[:, 1:][reached[:, :-1] >= top_p * reached[:, -1:]] = 0.0
    kept = np.empty_like(weights)
    np.put_along_axis(kept, order, ranked, axis=1)
    return kept


def _inverted(weights: Array, uniforms: Array) -> Ids:
    # cumsum adds from left to right everywhere; sum groups by the width of the machine's vectors.
    cumulative = np.cumsum(weights, axis=1)
    ids = (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)  # where rounding takes u · total up to total
    return np.asarray(np.minimum(ids, last), np.int32)


def _inverted_row(weights: Array, uniform: float) -> Ids:
    """As `_inverted`, for one row: a search where that counts, since the sums never fall."""
    cumulative = weights.cumsum()
    symbol = cumulative.searchsorted(uniform * cumulative[-1], side="right")
    return np.array([symbol if symbol < len(weights) else weights.nonzero()[0][-1]], np.int32)


def uniforms(seed: int | None, samples: int = 1) -> Iterator[Array]:
    """Endless steps of uniform numbers, float64 [samples] in [0, 1): the same for a seed on every machine.

    Sample k has a stream of its own, so its text does not depend on how many are drawn beside it. The numbers are
    the upper 53 bits of Philox 4x64 with the key (seed, k).

    Args:
        seed: From 0 to 2⁶⁴ − 1; None takes one from the operating system.
        samples: How many streams.

    Raises:
        CallError: The seed is out of range.

    Source:
        NumPy promises that the stream of a bit generator never changes (NEP 19).
    """
    check_seed(seed)
    key = secrets.randbits(64) if seed is None else seed
    return _numbers([np.random.Philox(key=np.array([key, k], np.uint64)) for k in range(samples)])


def check_seed(seed: int | None) -> None:
    """Refuses what is no seed; None is one that the operating system gives.

    Raises:
        CallError: It is out of range.
    """
    if seed is not None and not 0 <= seed < 2**64:
        raise CallError(f"seed: expected a whole number from 0 to 2**64 - 1, found {seed!r}")


def _numbers(streams: Sequence[np.random.Philox]) -> Iterator[Array]:
    steps = max(1, _AHEAD // len(streams))
    while True:
        drawn = np.stack([stream.random_raw(steps) for stream in streams], axis=1)
        yield from (drawn >> np.uint64(11)) * 2.0**-53
