"""One expression of TensorFlow, computed by TensorFlow and by its translation."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

from reprise.errors import LiftError
from reprise.formats._tensorflow import graphdef
from reprise.graph import Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import ancestors
from reprise.interface.normal.inline import inline
from reprise.lift.control import leave_loop
from reprise.lift.emitter import Emitter
from reprise.lift.model import assemble
from reprise.operators.rules.block import Block
from reprise.operators.types import dtype
from reprise.runtime import Engine
from reprise.structure import analyse
from reprise.tensors import in_memory

v1 = tf.compat.v1


RANDOM = np.random.default_rng(0)
raw = tf.raw_ops


def normal(*shape, dtype="float32"):
    return RANDOM.normal(size=shape).astype(dtype)


def whole(low, high, *shape, dtype="int32"):
    return RANDOM.integers(low, high, size=shape).astype(dtype)


def _declared(array, free, index):
    """The shape that the graph knows of an input; `free` is whether it knows none, or of which inputs it knows none."""
    unknown = index in free if isinstance(free, tuple) else free
    return [None] * array.ndim if unknown else array.shape


def expected(build, arrays, free):
    """The graph of `build(*placeholders)`, the names of its results, and what TensorFlow computes for `arrays`."""
    with tf.Graph().as_default() as graph:
        fed = [v1.placeholder(a.dtype, _declared(a, free, i), f"x{i}") for i, a in enumerate(arrays)]
        made = tf.nest.flatten(build(*fed))
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            held = {v.op.name: in_memory(session.run(v)) for v in v1.global_variables()}
            results = session.run(made, dict(zip(fed, arrays, strict=True)))
        return graph.as_graph_def(), [t.name for t in made], held, results


def translated(definition, names, held, arrays, free):
    """What the translation computes."""
    structure = analyse(inline(graphdef.graph(definition, Path("expression"))))
    facts = Facts(structure)
    given = [Value(f"x{i}") for i in range(len(arrays))]
    sizes = {}
    for i, (value, array) in enumerate(zip(given, arrays, strict=True)):
        shape = facts.symbols(value.node, _declared(array, free, i))
        facts.give(value, shape)
        sizes |= {size: (value.node, axis) for axis, size in enumerate(shape) if not size.known}
    wanted = [Value.parse(name) for name in names]
    needed = frozenset(ancestors(structure, wanted))
    emitter = Emitter(structure, facts, leave_loop, lambda node: held.get(node.name), needed, sizes)
    block = Block(emitter.names)
    inputs = []
    for value, array in zip(given, arrays, strict=True):
        block.values[value] = emitter.names.fresh(value.node)
        inputs.append((value.node, dtype(structure, value), (None,) * array.ndim))
    outputs = [(f"y{i}", emitter.name(v, block), dtype(structure, v), ()) for i, v in enumerate(wanted)]
    graph, weights = assemble(block, inputs, outputs, "expression")
    for info in graph.output:
        info.type.tensor_type.ClearField("shape")
    engine = Engine(graph, weights)
    results = engine.run({f"x{i}": a for i, a in enumerate(arrays)}, engine.outputs)
    shapes = [facts.shape(v) for v in wanted]
    return [results[name] for name in engine.outputs], shapes


def assert_refused(build, words, *arrays, at=None, free=False):
    """TensorFlow's own run is for arrays without the offending number at `at` of the last of them."""
    harmless = [a.copy() for a in arrays]
    if at is not None:
        harmless[-1][at] = 0
    definition, names, held, _ = expected(build, harmless, free)
    with pytest.raises(LiftError, match=words):
        translated(definition, names, held, arrays, free)


def check(build, *arrays, free=False, rtol=2e-5, atol=1e-6):
    """Both agree in numbers, types and shapes; and what is known of the shapes before running is true."""
    arrays = [np.asarray(a) for a in arrays]
    definition, names, held, right = expected(build, arrays, free)
    found, shapes = translated(definition, names, held, arrays, free)
    for name, a, b, shape in zip(names, right, found, shapes, strict=True):
        a = np.asarray(a)
        assert b.shape == a.shape, f"{name}: {b.shape} instead of {a.shape}"
        assert b.dtype == a.dtype or a.dtype in ("float16", "bfloat16"), f"{name}: {b.dtype} instead of {a.dtype}"
        a = a.astype(b.dtype)
        np.testing.assert_allclose(b, a, rtol=rtol, atol=atol, err_msg=name)
        assert shape is None or len(shape) == a.ndim, f"{name}: thought to have shape {[str(d) for d in shape]}"
        fed = {f"x{i}.{axis}": n for i, x in enumerate(arrays) for axis, n in enumerate(x.shape)}
        for size, real in zip(shape or (), a.shape, strict=shape is not None):
            known = all(s in fed for s in size.symbols)
            thought = size.scale * math.prod(fed.get(s, 1) for s in size.symbols)
            assert not known or thought == real, f"{name}: thought to have shape {[str(d) for d in shape]}"
