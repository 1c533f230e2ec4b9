"""Random numbers: those that inference does not need, the masks of dropout when nothing is dropped, and the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reprise.graph import Value
from reprise.lift.emitter import Operator, Site
from reprise.operators.rules.block import computed, onnx_type
from reprise.structure import Structure
from reprise.tensors import Array
from reprise.wire import onnx

Known = Callable[[Value], Array | None]


def certain_mask(structure: Structure, known: Known, value: Value) -> bool:
    """Whether a mask is true everywhere, whatever is drawn: `floor(1 + u)`, or `u >= 0`, for u in [0, 1)."""
    node = structure.graph[value.node]
    if node.op == "Floor":
        added = structure.graph[structure.origin(node.inputs[0]).node]
        if added.op not in ("Add", "AddV2") or len(added.inputs) != 2:
            return False
        return any(
            _number(known, a) == 1.0 and _is_uniform(structure, known, b) for a, b in (added.inputs, added.inputs[::-1])
        )
    if node.op == "GreaterEqual":
        return _number(known, node.inputs[1]) == 0.0 and _is_uniform(structure, known, node.inputs[0])
    return False


def _number(known: Known, value: Value) -> float | None:
    content = known(value)
    return float(content.item()) if content is not None and content.size == 1 else None


def _is_uniform(structure: Structure, known: Known, value: Value) -> bool:
    """Drawn from [0, 1): RandomUniform, perhaps scaled by 1 and moved by 0 as `tf.random_uniform` writes it."""
    node = structure.graph[structure.origin(value).node]
    if node.op in ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"):
        return True
    neutral = {"Add": 0.0, "AddV2": 0.0, "Mul": 1.0}.get(node.op)
    if neutral is None or len(node.inputs) != 2:
        return False
    a, b = node.inputs
    return (_number(known, b) == neutral and _is_uniform(structure, known, a)) or (
        _number(known, a) == neutral and _is_uniform(structure, known, b)
    )


def _uniform(site: Site) -> str:
    return _drawn(site, "RandomUniformLike", site.node.dtype("dtype"))


def _normal(site: Site) -> str:
    return _drawn(site, "RandomNormalLike", site.node.dtype("dtype"))


def _whole(site: Site) -> str:
    """Whole numbers from the least on, below the greatest."""
    least, beyond = (site.one("Cast", site.input(i), to=onnx_type("float64")) for i in (1, 2))
    part = site.one("Mul", _drawn(site, "RandomUniformLike", "float64"), site.one("Sub", beyond, least))
    return site.one("Cast", site.one("Add", site.one("Floor", part), least), to=onnx_type(site.dtype(1)))


def _drawn(site: Site, op: str, dtype: str) -> str:
    """Numbers of the same distribution; TensorFlow's own sequence is not reproduced."""
    zero = onnx.tensor(np.zeros(1, computed(dtype)))
    return site.one(op, site.one("ConstantOfShape", _drawn_sizes(site), value=zero))


def _drawn_sizes(site: Site) -> str:
    """How many numbers are drawn: as many rows as the call has, where the file bakes in those it was made for."""
    emitter = site.emitter
    shape = site.made() or ()
    sizes = [s for d in shape if (s := emitter.size(d, site.block)) is not None]
    return site.one("Concat", *sizes, axis=0) if sizes and len(sizes) == len(shape) else site.int64(0)


def _multinomial(site: Site) -> str:
    """Classes by logarithms of their weights."""
    count = int(site.must_know(1, "number of draws").item())
    kind = onnx_type(site.node.dtype("output_dtype", "int64"))
    logits = site.one("Cast", site.input(0), to=onnx_type("float32"))
    return site.one("Multinomial", logits, sample_size=count, dtype=kind)


RANDOM: dict[str, Operator] = {
    "RandomUniform": Operator(_uniform),
    "RandomStandardNormal": Operator(_normal),
    "RandomUniformInt": Operator(_whole),
    "Multinomial": Operator(_multinomial, lazy=(1,)),
}
