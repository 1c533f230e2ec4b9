"""Pairs of things that fit each other, each in one pair at most: as many as can be, and whether there is only one way.

By augmenting paths (Berge 1957); the number of things is small.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)


def largest(fitting: Mapping[A, Sequence[B]]) -> dict[A, B]:
    """As many pairs as can be, in the order of `fitting`."""
    taken: dict[B, A] = {}
    for one in fitting:
        _augment(fitting, one, taken, set())
    owner = {a: b for b, a in taken.items()}
    return {a: owner[a] for a in fitting if a in owner}


def _augment(fitting: Mapping[A, Sequence[B]], one: A, taken: dict[B, A], tried: set[B]) -> bool:
    for other in fitting[one]:
        if other in tried:
            continue
        tried.add(other)
        if other not in taken or _augment(fitting, taken[other], taken, tried):
            taken[other] = one
            return True
    return False


def is_ambiguous(fitting: Mapping[A, Sequence[B]], pairs: Mapping[A, B]) -> bool:
    """Whether there is another way to have as many pairs."""
    for one, other in pairs.items():
        without = {a: [b for b in bs if (a, b) != (one, other)] for a, bs in fitting.items()}
        if len(largest(without)) == len(pairs):
            return True
    return False
