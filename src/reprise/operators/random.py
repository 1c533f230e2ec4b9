"""Random numbers: those that inference does not need, the masks of dropout when nothing is dropped, and the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.filling import filled_shape
from reprise.operators.rules.attributes import ElementType
from reprise.operators.rules.block import computed_type, onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import dim
from reprise.structure import Structure
from reprise.tensors import Array
from reprise.wire import onnx

_TYPE, _WHOLE_TYPE, _INDEX_TYPE = (
    ElementType("dtype"),
    ElementType("Tout", "int32"),
    ElementType("output_dtype", "int64"),
)


def _random_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Random numbers are as many as what they are joined with: sizes that the file bakes in are free with its own."""
    wanted = inputs[0].content
    if wanted is None or wanted.dtype == object:
        return filled_shape(facts, node, inputs)
    sizes = [int(n) for n in wanted.ravel()]
    return [Fact(facts.symbols(node.name, sizes, [axis for axis, n in enumerate(sizes) if n != 1]))]


def _multinomial_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Multinomial(logits [N, C], draws): so many classes for each row."""
    shape, count = inputs[0].shape, inputs[1].content
    if not shape:
        return [UNKNOWN]
    return [Fact((shape[0], facts.fresh(node, 1) if count is None else dim(count.item())))]


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


def _uniform_onnx(site: Site) -> str:
    return _drawn(site, "RandomUniformLike", _TYPE(site.node))


def _normal_onnx(site: Site) -> str:
    return _drawn(site, "RandomNormalLike", _TYPE(site.node))


def _uniform_int_onnx(site: Site) -> str:
    """Whole numbers from the least on, below the greatest."""
    least, beyond = (site.one("Cast", site.input(i), to=onnx_type("float64")) for i in (1, 2))
    part = site.one("Mul", _drawn(site, "RandomUniformLike", "float64"), site.one("Sub", beyond, least))
    return site.one("Cast", site.one("Add", site.one("Floor", part), least), to=onnx_type(site.dtype(1)))


def _drawn(site: Site, op: str, dtype: str) -> str:
    """Numbers of the same distribution; TensorFlow's own sequence is not reproduced."""
    zero = onnx.tensor(np.zeros(1, computed_type(dtype)))
    return site.one(op, site.one("ConstantOfShape", _drawn_sizes(site), value=zero))


def _drawn_sizes(site: Site) -> str:
    """How many numbers are drawn: as many rows as the call has, where the file bakes in those it was made for."""
    emitter = site.emitter
    shape = site.result_shape() or ()
    sizes = [s for d in shape if (s := emitter.size(d, site.block)) is not None]
    return site.one("Concat", *sizes, axis=0) if sizes and len(sizes) == len(shape) else site.int64(0)


def _multinomial_onnx(site: Site) -> str:
    """Classes by logarithms of their weights."""
    count = int(site.must_know(1, "number of draws").item())
    kind = onnx_type(_INDEX_TYPE(site.node))
    logits = site.one("Cast", site.input(0), to=onnx_type("float32"))
    return site.one("Multinomial", logits, sample_size=count, dtype=kind)


OPERATORS = (
    Operator("RandomUniform", shape=_random_shape, onnx=_uniform_onnx, tags=(Tag.RANDOM,), attributes=(_TYPE,)),
    Operator("RandomStandardNormal", shape=_random_shape, onnx=_normal_onnx, tags=(Tag.RANDOM,), attributes=(_TYPE,)),
    Operator("TruncatedNormal", shape=_random_shape, tags=(Tag.RANDOM,), attributes=(_TYPE,)),
    Operator(
        "RandomUniformInt",
        3,
        shape=_random_shape,
        onnx=_uniform_int_onnx,
        types=(_WHOLE_TYPE,),
        tags=(Tag.DISCRETE, Tag.RANDOM),
        attributes=(_WHOLE_TYPE,),
    ),
    Operator(
        "Multinomial",
        2,
        shape=_multinomial_shape,
        onnx=_multinomial_onnx,
        lazy=(1,),
        types=(_INDEX_TYPE,),
        tags=(Tag.DISCRETE, Tag.SAMPLING),
        attributes=(_INDEX_TYPE,),
    ),
    Operator(
        "RandomCategorical",
        2,
        types=(_INDEX_TYPE,),
        tags=(Tag.DISCRETE, Tag.RANDOM, Tag.SAMPLING),
        attributes=(_INDEX_TYPE,),
    ),
    Operator(
        "StatelessMultinomial", 3, types=(_INDEX_TYPE,), tags=(Tag.DISCRETE, Tag.SAMPLING), attributes=(_INDEX_TYPE,)
    ),
    Operator("RandomGamma RandomPoisson RandomPoissonV2", 2, tags=(Tag.RANDOM,)),
    Operator("RandomShuffle Dropout", tags=(Tag.RANDOM,)),
    Operator("RandomIndexShuffle", 3, tags=(Tag.RANDOM,)),
    Operator("ParameterizedTruncatedNormal", 5, tags=(Tag.RANDOM,)),
    Operator("StatelessTruncatedNormal", 2, tags=(Tag.RANDOM,)),
    Operator("StatelessTruncatedNormalV2", 4, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomUniform StatelessRandomNormal", 2, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomUniformV2 StatelessRandomNormalV2", 4, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomUniformInt", 4, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomUniformIntV2", 6, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomUniformFullInt", 2, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomUniformFullIntV2", 4, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomBinomial", 4, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomPoisson StatelessRandomGammaV2", 3, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomGammaV3", 5, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomGetAlg", 0, tags=(Tag.RANDOM,)),
    Operator("StatelessRandomGetKeyCounter", tags=(Tag.RANDOM,), outputs="key counter"),
    Operator("StatelessRandomGetKeyCounterAlg", tags=(Tag.RANDOM,), outputs="key counter alg"),
)
