"""Variables that a saver does not store but computes from what is stored.

A layer of cuDNN keeps its weights in one vector whose layout is the library's. Its saver writes them gate by gate, as
other cells have them, and its restore side joins them again before it assigns. Source:
tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, CudnnOpaqueParamsSaveable (TensorFlow 1.15.5).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reprise.errors import DamagedFile
from reprise.graph import Graph, Value
from reprise.operators import fold, is_foldable
from reprise.tensors import DTYPES, Array, Tensor, in_memory

#: Gives the stored tensor that a value of the graph is restored from, None for any other value.
Restored = Callable[[Value], Tensor | None]

_DEPTH = 24  # a saver splits, transposes, scales and joins; a longer way is not one


def computed_tensor(graph: Graph, value: Value, restored: Restored) -> Tensor | None:
    """`value` as a tensor, loaded on demand, if it is computed from restored tensors and constants alone."""
    blank = _Evaluation(graph, restored, _blank).of(value)
    if blank is None:
        return None

    def load() -> Array:
        array = _Evaluation(graph, restored, lambda tensor: tensor.load()).of(value)
        if array is None:
            raise DamagedFile(f"{value}: cannot be computed from the stored tensors that the graph restores it from.")
        return array

    return Tensor(in_memory(blank).dtype, blank.shape, load, f"computed by {value.node}")


def _blank(tensor: Tensor) -> Array:
    """Zeros of a tensor's type and shape that need no memory."""
    return np.broadcast_to(np.zeros((), DTYPES[tensor.dtype]), tensor.shape)


class _Evaluation:
    def __init__(self, graph: Graph, restored: Restored, load: Callable[[Tensor], Array]) -> None:
        self._graph, self._restored, self._load = graph, restored, load
        self._made: dict[str, list[Array] | None] = {}
        self._reads_stored = False

    def of(self, value: Value) -> Array | None:
        """The numbers of `value`, None where it does not rest on stored tensors."""
        found = self._numbers(value, 0)
        return found if self._reads_stored else None

    def _numbers(self, value: Value, depth: int) -> Array | None:
        stored = self._restored(value)
        if stored is not None:
            self._reads_stored = True
            return self._load(stored)
        if value.node not in self._made:
            self._made[value.node] = self._outputs(value.node, depth)
        outputs = self._made[value.node]
        return outputs[value.index] if outputs is not None and value.index < len(outputs) else None

    def _outputs(self, name: str, depth: int) -> list[Array] | None:
        node = self._graph.nodes.get(name)
        if node is None or depth > _DEPTH:
            return None
        if node.op == "Const":
            tensor = node.attributes.get("value")
            return [tensor.load()] if isinstance(tensor, Tensor) else None
        if node.op != "Identity" and not is_foldable(node.op):
            return None
        inputs: list[Array] = []
        for each in node.inputs:
            numbers = self._numbers(each, depth + 1)
            if numbers is None:
                return None
            inputs.append(numbers)
        return inputs if node.op == "Identity" else fold(node, inputs)
