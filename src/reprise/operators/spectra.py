"""Complex numbers and discrete Fourier transforms: products with a matrix, which is small for the frames of sound."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from reprise import bounds
from reprise.graph import Node, Value
from reprise.operators.elementwise import angle
from reprise.operators.rules.attributes import ElementType
from reprise.operators.rules.pairs import COMPLEX, as_pairs, component, pair_of, real_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes, first_shape
from reprise.operators.rules.site import OnnxRule, Site
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import STEPS, Kind, TimeAxes, has_time, keeps, mixed
from reprise.tensors import Array

_COMPLEX, _REAL = ElementType("Tcomplex", "complex64"), ElementType("Treal", "float32")
_PART, _PAIR = ElementType("Tout", "float32"), ElementType("Tout", "complex64")


def _spectrum_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """The last axis has the length that is asked for, or half of that and one where it is of a real signal."""
    shape, length = inputs[0].shape, inputs[1].content
    if not shape or length is None or length.size != 1 or length.dtype == object:
        return [UNKNOWN]
    count = int(length.item())
    return [Fact((*shape[:-1], Dim(count // 2 + 1 if node.op == "RFFT" else count)))]


def _transform_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    return STEPS if above[0] == STEPS and has_time(axes, Value(node.name)) else mixed(node)


def _transform_onnx(transform: Callable[..., Array], site: Site, *, wanted: int, length: int) -> str:
    """`transform(x, length)` of the first `wanted` numbers along the last axis, which is linear in them."""
    rank, shape, is_complex = site.rank(0), site.shape(0), site.dtype() in COMPLEX
    size = shape[-1] if shape else None
    if size is None or not size.known:
        raise site.refusal("reads frames of a free length")
    count = min(size.scale, wanted)
    amount = 4 * count * max(wanted, length) * np.dtype(np.float32).itemsize
    bounds.check(amount, bounds.SPREAD, f"node {site.node.name!r} ({site.node.op}): bytes of its matrix")
    x = site.input(0)
    if count < size.scale:
        x = site.one("Slice", x, site.block.ints(0), site.block.ints(count), site.block.ints(rank - 1))
    basis: Array = np.eye(count)
    if is_complex:
        basis = np.stack([basis, 1j * basis], 1).reshape(2 * count, count)
        x = site.one("Reshape", x, site.block.ints(*[0] * (rank - 1), 2 * count))
    made = transform(basis, length)
    gives_complex = made.dtype.kind == "c"
    matrix = as_pairs(made).reshape(len(basis), -1) if gives_complex else made
    given = site.one("MatMul", x, site.constant(matrix, real_type(site.dtype())))
    return site.one("Reshape", given, site.block.ints(*[0] * (rank - 1), -1, 2)) if gives_complex else given


def _of_real_onnx(site: Site) -> str:
    length = int(site.must_know(1, "length").item())
    return _transform_onnx(np.fft.rfft, site, wanted=length, length=length)


def _to_real_onnx(site: Site) -> str:
    length = int(site.must_know(1, "length").item())
    return _transform_onnx(np.fft.irfft, site, wanted=length // 2 + 1, length=length)


def _whole_onnx(transform: Callable[..., Array], site: Site) -> str:
    shape = site.shape(0)
    length = shape[-1].scale if shape and shape[-1].known else 0
    return _transform_onnx(transform, site, wanted=length, length=length)


def _abs_onnx(site: Site) -> str:
    x = site.input(0)
    squares = site.one("ReduceSum", site.one("Mul", x, x), site.block.ints(-1), keepdims=0)
    return site.one("Sqrt", squares)


def _angle_onnx(site: Site) -> str:
    pairs = site.input(0)
    return angle(site, component(site, pairs, 1), component(site, pairs, 0), real_type(site.dtype()))


def _conjugate_onnx(site: Site) -> str:
    return site.one("Mul", site.input(0), site.constant([1, -1], real_type(site.dtype())))


def _of_parts(names: str, onnx: OnnxRule, kind: ElementType, **rules: Any) -> Operator:
    """The record of an operator on single complex numbers or their parts."""
    tags = (Tag.ELEMENTWISE,)
    return Operator(names, shape=first_shape, steps=keeps, on_pairs=onnx, types=(kind,), tags=tags, **rules)


def _transform(names: str, onnx: OnnxRule, kind: ElementType, inputs: int = 2, **rules: Any) -> Operator:
    return Operator(names, inputs, steps=_transform_steps, on_pairs=onnx, types=(kind,), **rules)


OPERATORS = (
    _transform("RFFT", _of_real_onnx, _COMPLEX, shape=_spectrum_shape, lazy=(1,)),
    _transform("IRFFT", _to_real_onnx, _REAL, shape=_spectrum_shape, lazy=(1,)),
    _transform("FFT", partial(_whole_onnx, lambda x, n: np.fft.fft(x, n)), _COMPLEX, 1, shape=first_shape),
    _transform("IFFT", partial(_whole_onnx, lambda x, n: np.fft.ifft(x, n)), _COMPLEX, 1, shape=first_shape),
    _of_parts("Complex", lambda site: pair_of(site, *site.inputs()), _PAIR, inputs=2),
    _of_parts("Real", lambda site: component(site, site.input(0), 0), _PART),
    _of_parts("Imag", lambda site: component(site, site.input(0), 1), _PART),
    _of_parts("ComplexAbs", _abs_onnx, _PART),
    _of_parts("Angle", _angle_onnx, _PART),
    _of_parts("Conj", _conjugate_onnx, ElementType("T", "complex64")),
)
