"""Operators that hand on what they are given, or its numbers in another type."""

from __future__ import annotations

import numpy as np

from reprise.graph import VARIABLES, Node, Value
from reprise.operators.rules.asking import as_result
from reprise.operators.rules.attributes import ElementType, Flag, Integer, Text
from reprise.operators.rules.block import computed_type, onnx_type
from reprise.operators.rules.pairs import COMPLEX, component, pair_of, real_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import Fact, Shapes, first_fact, first_shape
from reprise.operators.rules.site import Site, first_input
from reprise.operators.rules.steps import keeps, passes
from reprise.tensors import DTYPES, Array

_TO, _FROM_QUANTIZED = ElementType("DstT"), ElementType("dtype", "float32")
_MODE, _AXIS, _NARROW = Text("mode", "MIN_COMBINED"), Integer("axis", -1), Flag("narrow_range")


def _identity_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """A variable of any shape has the one that the program set where it is read, as the file remembers."""
    held = facts.structure.graph.nodes.get(facts.structure.origin(node.inputs[0]).node) if node.inputs else None
    unknown = held is not None and held.op in VARIABLES and inputs[0].shape is None
    return [facts.declared(node)] if unknown else first_fact(facts, node, inputs)


def _cast_fold(node: Node, inputs: list[Array]) -> Array:
    return inputs[0].astype(DTYPES[_TO(node)])


def _dequantize_fold(node: Node, inputs: list[Array]) -> Array:
    """Whole numbers of a byte or two as the numbers of a range. Source: dequantize_op.cc (TensorFlow 1.15.5, 2.21)."""
    whole, (low, high) = inputs[0], (np.float32(a.item()) for a in inputs[1:])
    kind, mode = np.iinfo(whole.dtype), _MODE(node)
    if _AXIS(node) != -1 or _NARROW(node):
        raise ValueError("a range for each channel")
    numbers, steps = whole.astype(np.float32), np.float32(int(kind.max) - int(kind.min))
    if mode == "SCALED":
        return numbers * (max(low / np.float32(kind.min), high / np.float32(kind.max)) if kind.min else high / steps)
    if mode == "MIN_COMBINED":
        half = np.float32((steps + 1) / 2 if kind.min else 0)
        return (numbers + half) * ((high - low) / steps) + low
    if mode != "MIN_FIRST":
        raise ValueError("mode")
    scale = np.float32((high - low) / np.float64(steps))
    return np.round(low / scale) * scale + (numbers - np.float32(kind.min)) * scale


def _dequantize_onnx(site: Site) -> str:
    """Quantized weights, as the numbers that they stand for."""
    numbers = site.emitter.numbers(Value(site.node.name))
    if numbers is None:
        raise site.refusal("reads quantized numbers that are no constants with one range")
    return site.emitter.names.constant(numbers, site.node.name)


def _cast_onnx(site: Site) -> str:
    return site.one("Cast", site.input(0), to=onnx_type(_TO(site.node)))


def _complex_cast_onnx(site: Site) -> str:
    """Real numbers have no imaginary part, and complex ones lose theirs."""
    wanted = _TO(site.node)
    real = site.input(0) if site.dtype() not in COMPLEX else component(site, site.input(0), 0)
    real = site.one("Cast", real, to=onnx_type(real_type(wanted)))
    if wanted not in COMPLEX:
        return real
    return pair_of(site, real, site.one("Mul", real, site.constant(0, computed_type(real_type(wanted)))))


OPERATORS = (
    Operator("Identity", shape=_identity_shape, steps=passes, onnx=first_input, on_pairs=first_input, asks=as_result),
    Operator("IdentityN", onnx=lambda site: tuple(site.inputs()), outputs="output*T"),
    Operator(
        "StopGradient PreventGradient CheckNumerics CheckNumericsV2 EnsureShape Snapshot GuaranteeConst",
        shape=first_fact,
        steps=passes,
        onnx=first_input,
        asks=as_result,
    ),
    Operator("Print", shape=first_fact, steps=passes, onnx=first_input, tags=(Tag.SIDE_EFFECT,), asks=as_result),
    Operator(
        "Cast",
        shape=first_fact,
        fold=_cast_fold,
        steps=keeps,
        onnx=_cast_onnx,
        on_pairs=_complex_cast_onnx,
        attributes=(_TO,),
        asks=as_result,
    ),
    Operator(
        "Dequantize",
        3,
        shape=first_shape,
        fold=_dequantize_fold,
        onnx=_dequantize_onnx,
        lazy=(0, 1, 2),
        types=(_FROM_QUANTIZED,),
        attributes=(_MODE, _AXIS, _NARROW, _FROM_QUANTIZED),
    ),
)
