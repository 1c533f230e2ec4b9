"""Complex numbers in ONNX, whose runtimes hardly compute with them: a last axis more, of real and imaginary part."""

from __future__ import annotations

import numpy as np

from reprise.operators.rules.site import Site
from reprise.tensors import Array

COMPLEX = frozenset({"complex64", "complex128"})


def real_type(dtype: str) -> str:
    """The type of the parts of a number."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def as_pairs(numbers: Array) -> Array:
    """Known complex numbers as pairs."""
    return np.stack([numbers.real, numbers.imag], -1)


def component(site: Site, pairs: str, index: int) -> str:
    """The real (0) or imaginary (1) parts."""
    return site.one("Gather", pairs, site.constant(index, "int64"), axis=-1)


def pair_of(site: Site, real: str, imaginary: str) -> str:
    """Pairs of these parts."""
    axis = site.block.ints(-1)
    return site.one("Concat", *(site.one("Unsqueeze", p, axis) for p in (real, imaginary)), axis=-1)


def pair_product(site: Site) -> str:
    """(a + bi)(c + di) = (ac − bd) + (ad + bc)i."""
    (a, b), (c, d) = ((component(site, pairs, 0), component(site, pairs, 1)) for pairs in site.inputs())
    real = site.one("Sub", site.one("Mul", a, c), site.one("Mul", b, d))
    return pair_of(site, real, site.one("Add", site.one("Mul", a, d), site.one("Mul", b, c)))


def exponential(site: Site) -> str:
    """exp(a + bi) = exp(a) (cos b + i sin b)."""
    a, b = (component(site, site.input(0), k) for k in (0, 1))
    size = site.one("Exp", a)
    return pair_of(site, site.one("Mul", size, site.one("Cos", b)), site.one("Mul", size, site.one("Sin", b)))
